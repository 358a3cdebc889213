"""How gateways are set up: tables, plug-ins, secrets, and what is there without any."""

import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from placet_server.carriers import Carriers, open_carriers
from placet_server.plugin import GatewayKit
from placet_server.settings import SettingsError, load
from placet_server.testing import ManualClock, RecordingGateway
from support.carrying import carriers, outgoing, secret

SID = "AC" + "0" * 32
STRANGER = """
from pathlib import Path
from msgspec import Struct
from placet_server.plugin import Carried, Secret

class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    token: Secret
    greeting: str = "hi"

class Pigeon:
    settings = Settings
    channels = frozenset({"sms", "voice"})
    def __init__(self, name, settings, kit):
        self.name = name
        self.flown = []
        self._settings = settings
    async def send(self, message):
        self.flown.append((self._settings.greeting, self._settings.token.reveal(), message.to))
        return Carried("accepted", "ring 7")
    async def close(self):
        pass
"""


def opened(folder: Path, toml: str, *, local: bool = False, **flags: Any) -> Carriers:
    """The gateways of a settings file in a data folder."""
    (folder / "placet.toml").write_text(toml)
    kit = GatewayKit(None, ManualClock(), folder)  # type: ignore[arg-type]  # nothing is sent
    return open_carriers(load({"data": folder, **flags}, {}), kit, local=local)


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ('type = "kanel"', "gateway.a: unknown type 'kanel': did you mean 'kannel'?"),
        ("x = 1", "gateway.a needs a type: console, file, http_template, kannel, smtp, twilio."),
        ('type = "kannel"\nurl = "http://k"\nusername = "o"\npasword_file = "pw"', "gateway.a.pasword_file: did you mean password_file?"),
        ('type = "kannel"\nurl = "http://k"\nusername = "o"\npassword = "x"', "gateway.a.password is a secret: write password_file"),
        ('type = "kannel"\nurl = "http://k"\nusername = "o"\npassword_file = "open"', "has mode 0644, so others may read it; run: chmod 0600"),
        ('type = "kannel"\nurl = "http://k"\nusername = "o"\npassword_file = "none"', "No such file"),
        ('type = "kannel"\nurl = "http://k"\nusername = "o"\npassword_file = "empty"', "holds no secret of one line"),
        ('type = "kannel"\nurl = "http://k"\nusername = "o"\npassword_file = 7', "gateway.a.password_file names a file"),
        ('type = "kannel"\nurl = 3\nusername = "o"\npassword_file = "pw"', "gateway.a.url: expected `str`"),
        ('type = "kannel"\nurl = "kannel:13013"\nusername = "o"\npassword_file = "pw"', "url starts with http"),
        ('type = "kannel"\nurl = "http://u:p@k/"\nusername = "o"\npassword_file = "pw"', "holds no name, password"),
        ('type = "kannel"\nurl = "http://k/a b"\nusername = "o"\npassword_file = "pw"', "holds no name, password"),
        ('type = "kannel"\nurl = "http://"\nusername = "o"\npassword_file = "pw"', "and a host"),
        (f'type = "twilio"\naccount_sid = "{SID}"\nauth_token_file = "pw"\nsms_from = "+1555"\nurl = "api.twilio.com"', "url starts with http"),
        ('type = "kannel"\nurl = "http://k"\npassword_file = "pw"', "missing required field `username`"),
        ('type = "smtp"\nhost = "h"\nfrom = "nobody"', "from is no e-mail address"),
        ('type = "smtp"\nhost = "h"\nfrom = "a@b.example"\nport = 0', "gateway.a.port: expected `int` >= 1"),
        ('type = "smtp"\nhost = "h"\nfrom = "a@b.example"\nusername = "u"', "needs both username and password_file"),
        ('type = "smtp"\nhost = "h"\nfrom = "a@b.example"\nusername = "u"\npassword_file = "pw"\nsecurity = "none"', "would travel in clear"),
        (f'type = "twilio"\naccount_sid = "{SID}"\nauth_token_file = "pw"', "give at least one of sms_from"),
        (f'type = "twilio"\naccount_sid = "{SID}"\nauth_token_file = "pw"\nsms_from = "+1555"\nvoices = {{ "el.male" = "x" }}', "voices knows no 'el.male'"),
        ('type = "http_template"\nurl = "http://v/"', "missing required field `channels`"),
        ('type = "http_template"\nchannels = ["sms"]\nurl = "http://{to}/"', "a constant http(s)://host"),
        ('type = "http_template"\nchannels = ["sms"]\nurl = "http://v{to}/"', "a constant http(s)://host"),
        ('type = "http_template"\nchannels = ["sms"]\nurl = "http://u@v/"', "a constant http(s)://host"),
        ('type = "http_template"\nchannels = ["sms"]\nurl = "http://v/{too}"', "unknown placeholder {too}: did you mean {to}?"),
        ('type = "http_template"\nchannels = ["sms"]\nurl = "http://v/"\nform = { a = "{secret.key}" }', "unknown placeholder {secret.key}"),
        ('type = "http_template"\nchannels = ["sms"]\nurl = "http://v/"\njson = { a = ["x", { b = "{tex}" }] }', "did you mean {text}?"),
        ('type = "http_template"\nchannels = ["sms"]\nurl = "http://v/"\njson = { a = "}" }', "lone brace"),
        ('type = "http_template"\nchannels = ["sms"]\nurl = "http://v/"\nform = {}\nxml = ""', "one body"),
        ('type = "http_template"\nchannels = ["sms"]\nurl = "http://v/"\nmethod = "GET"\nform = { a = "b" }', "a GET has no body"),
        ('type = "http_template"\nchannels = ["sms"]\nurl = "http://v/"\nid_pattern = "("', "no regular expression"),
        ('type = "http_template"\nchannels = ["sms"]\nurl = "http://v/"\nid_pattern = "id"', "needs one group"),
        ('type = "file"\nchannels = ["smoke"]', "gateway.a.channels[0]: invalid enum value 'smoke'"),
        ('type = "file"\ntimeout = 20', "gateway.a.timeout: expected `float` <= 9.5"),
        ('type = "file"\ntimout = 2', "unknown key gateway.a.timout: did you mean timeout?"),
    ],
)  # fmt: skip
def test_a_gateway_that_cannot_be_used_is_named(tmp_path: Path, table: str, sentence: str) -> None:
    """Whatever is wrong with a table is refused in one sentence that names the key and says what to do."""
    secret(tmp_path, "s3cret", "pw")
    secret(tmp_path, "", "empty")
    Path(secret(tmp_path, "s3cret", "open")).chmod(0o644)
    with pytest.raises(SettingsError) as refused:
        opened(tmp_path, f"[gateway.a]\n{table}\n")
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("name", ["A", "a b", "a:b", "a~", "ä", "x" * 65, "../a"])
def test_names_of_gateways_fit_into_urls_and_lists(tmp_path: Path, name: str) -> None:
    """A name has small letters, digits, hyphens and underscores only."""
    with pytest.raises(SettingsError, match="small letters"):
        opened(tmp_path, f'[gateway."{name}"]\ntype = "console"\n')


def test_gateways_are_set_in_the_file_alone(tmp_path: Path) -> None:
    """Neither a flag nor the environment makes a gateway."""
    with pytest.raises(SettingsError, match="unknown option --gateway"):
        load({"data": tmp_path, "gateway": {"a": {"type": "file"}}}, {})
    with pytest.raises(SettingsError, match="unknown environment variable PLACET_GATEWAY"):
        load({"data": tmp_path}, {"PLACET_GATEWAY": "file"})


def test_routes_are_the_gateways_of_a_channel_in_their_order(tmp_path: Path) -> None:
    """All that carry a channel in the order of the file, or those named in the order of the names; unknown ones not."""
    found = opened(
        tmp_path,
        '[gateway.a]\ntype = "file"\nchannels = ["sms"]\n[gateway.b]\ntype = "console"\n[gateway.c]\ntype = "file"\n',
    )
    assert found.gateways("sms") == ("a", "b", "c")
    assert found.gateways("voice") == ("b", "c")
    assert found.gateways("sms", ("c", "gone", "a")) == ("c", "a")
    assert found.gateways("email", ("a",)) == ()


def test_without_gateways_messages_go_to_a_file_on_this_machine_only(tmp_path: Path) -> None:
    """The file is the default for all four channels on a local server or in a demo, and else there is no route."""
    assert opened(tmp_path, "").gateways("sms") == ()
    for found in (opened(tmp_path, "", local=True), opened(tmp_path, "", demo=True)):
        assert [found.gateways(channel) for channel in ("sms", "voice", "email", "whatsapp")] == [
            ("file",)
        ] * 4
    set_up = opened(tmp_path, '[gateway.mail]\ntype = "smtp"\nhost = "h"\nfrom = "a@b.example"\n', local=True)
    assert set_up.gateways("sms") == ()


async def test_a_stranger_s_plug_in_is_a_gateway_like_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installed distribution with an entry point is found by its type, gets its settings and secret, and carries."""
    site = tmp_path / "site"
    info = site / "pigeon_post-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pigeon-post\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[placet.gateways]\npigeon = pigeon_post:Pigeon\n")
    (site / "pigeon_post.py").write_text(STRANGER)
    monkeypatch.syspath_prepend(str(site))
    table = {"type": "pigeon", "token_file": secret(tmp_path, "corn"), "greeting": "hey", "timeout": 2}
    async with carriers(tmp_path, {"loft": table}) as found:
        assert found.gateways("voice") == ("loft",)
        carried = await found.send("loft", outgoing())
        assert (carried.outcome, carried.reference) == ("accepted", "ring 7")
        gateway: Any = found.all()[0]._gateway
        assert gateway.flown == [("hey", "corn", outgoing().to)]
        refused = await found.send("loft", outgoing(to="+1 555\r\nX: y"))
        assert (refused.outcome, len(gateway.flown)) == ("refused", 1)
    with pytest.raises(SettingsError, match=r"unknown key gateway\.loft\.greting: did you mean greeting\?"):
        async with carriers(tmp_path, {"loft": table | {"greting": "x"}}):
            pass
    sys.modules.pop("pigeon_post", None)


async def test_what_a_test_gives_stands_beside_the_settings(tmp_path: Path) -> None:
    """A gateway that is handed in is asked first, and its messages are there to be read."""
    recorded = RecordingGateway("twin", "sms")
    async with carriers(tmp_path, {"a": {"type": "file"}}, given=[recorded]) as found:
        assert found.gateways("sms") == ("twin", "a")
        await found.send("twin", outgoing())
        assert [message.text for message in recorded.sent] == [outgoing().text]
        assert (await found.send("nobody", outgoing())).outcome == "refused"


async def test_the_file_is_private_and_says_what_was_sent(tmp_path: Path) -> None:
    """One line of JSON a message, in a file that only the server's user reads, whatever it was before."""
    (tmp_path / "messages.jsonl").touch(0o644)
    async with carriers(tmp_path, {"a": {"type": "file"}}) as found:
        await found.send("a", outgoing(sender="ACME"))
        await found.send("a", outgoing(channel="email", to="ana@example.org", text="one\ntwo", gender="male"))
    lines = (tmp_path / "messages.jsonl").read_text().splitlines()
    assert stat.S_IMODE((tmp_path / "messages.jsonl").stat().st_mode) == 0o600
    assert lines[0] == (
        '{"id":"0199a000-0000-7000-8000-000000000001","at":"2027-01-15T08:00:00.000Z","channel":"sms",'
        '"to":"+48600100200","sender":"ACME","text":"Your code is 271828.","language":"en-US","gender":"female"}'
    )
    assert '"text":"one\\ntwo","language":"en-US","gender":"male"' in lines[1]


async def test_a_file_that_cannot_be_written_is_for_later(tmp_path: Path) -> None:
    """Neither a folder nor a link is taken for the file, and the message is not lost."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("folder", "link"):
        async with carriers(tmp_path, {"a": {"type": "file", "path": str(tmp_path / name)}}) as found:
            carried = await found.send("a", outgoing())
        assert carried.outcome == "later", carried
    assert not (tmp_path / "elsewhere").exists()


async def test_the_console_shows_the_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Channel, destination and text are printed, and a text's lines cannot look like another message's."""
    async with carriers(tmp_path, {"a": {"type": "console"}}) as found:
        await found.send("a", outgoing(text="Your code is 1\nsms to +1:"))
    assert capsys.readouterr().out == "sms to +48600100200:\n    Your code is 1\n    sms to +1:\n"
