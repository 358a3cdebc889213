"""``placet-server`` as a program: every command against a running server and against a closed store."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import zxingcpp
from click.testing import CliRunner
from PIL import Image
from standardwebhooks import Webhook

from placet_server.cli import program
from placet_server.settings import table
from support.programs import answer, run, serving
from support.receivers import receiver


@pytest.fixture(params=["running", "closed"])
def data(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A data folder, with a server running on it and without one."""
    folder = tmp_path / "data"
    assert run("init", "--data", folder).status == 0
    with contextlib.ExitStack() as stack:
        if request.param == "running":
            stack.enter_context(serving(folder, "--egress-allow", "127.0.0.0/8"))
        else:
            (folder / "placet.toml").write_text('egress_allow = ["127.0.0.0/8"]\n')
        yield folder


def test_applications_are_added_shown_changed_and_removed(data: Path) -> None:
    """Each application command does the same with and without a server, and keys are shown once."""
    made = answer("application", "add", "shop", "--data", data)
    assert set(made) == {"id", "name", "api_key"}
    assert made["api_key"].startswith("plk_")
    assert [row["name"] for row in answer("application", "list", "--data", data)] == ["shop"]
    changed = answer(
        "application", "set", "shop", "approval.ttl=120", "approval.number=entry:4", "--data", data
    )
    assert changed["policies"]["approval.ttl"] == 120
    rotated = answer("application", "rotate-key", "shop", "--data", data)
    assert rotated["api_key"] != made["api_key"]
    shown = answer("application", "show", "shop", "--data", data)
    assert shown["policies"]["approval.number"] == "entry:4"
    assert [bool(key["expires_at"]) for key in shown["keys"]] == [True, False]
    assert made["api_key"] not in str(shown)
    assert answer("application", "remove", "shop", "--data", data) == {"removed": "shop"}
    assert answer("application", "list", "--data", data) == []


def test_credentials_of_a_face_are_made_or_brought_along(data: Path) -> None:
    """A key of the old system can be kept, also read from stdin so that no process list shows it."""
    answer("application", "add", "shop", "--data", data)
    words = ("credential", "add", "--face", "authy", "--application", "shop", "--data", data)
    made = answer(*words)
    assert len(made["api_key"]) >= 32
    brought = answer(*words, "--api-key", "-", stdin="d57d919d11e6b221c9bf6f7c882028f9\n")
    assert brought["api_key"] == "d57d919d11e6b221c9bf6f7c882028f9"
    listed = answer("credential", "list", "--data", data)
    assert sorted(row["last4"] for row in listed) == sorted([made["api_key"][-4:], "28f9"])
    assert brought["api_key"] not in str(listed)
    answer("credential", "revoke", made["id"], "--data", data)
    assert [row["id"] for row in answer("credential", "list", "--face", "authy", "--data", data)] == [
        brought["id"]
    ]


def test_users_are_added_imported_and_removed(data: Path, tmp_path: Path) -> None:
    """Existing tfa ids come along, one by one or from a CSV file whose bad rows are named."""
    added = answer(
        "user", "add", "--tfa-id", "4711", "--country-code", "48", "--phone", "600100200", "--data", data
    )
    assert (added["tfa_id"], added["created"]) == (4711, True)
    for words in (["--country-code", "48", "--phone", "0600 100 200"], ["--phone", "+48 600-100-200"]):
        again = answer("user", "add", *words, "--data", data)
        assert (again["tfa_id"], again["created"]) == (4711, False)
    assert "country_code is needed" in run("user", "add", "--phone", "600100200", "--data", data).err
    file = tmp_path / "users.csv"
    file.write_text(
        "tfa_id,country_code,phone,email\n4712,1,4155550100,\n4713,,,ada@example.com\n4714,48,600100200,\n"
    )
    done = run("user", "import", file, "--data", data, "--json")
    assert done.status == 1
    assert '"created":2' in done.out
    assert '"line":4' in done.out
    assert "user_conflict" in done.out
    page = answer("user", "list", "--limit", "2", "--data", data)
    rest = answer("user", "list", "--after", page["next"], "--data", data)
    assert [user["tfa_id"] for user in page["users"] + rest["users"]] == [4711, 4712, 4713]
    status = answer("user", "status", "4713", "--data", data)
    assert status["emails"] == ["ada@example.com"]
    assert status["devices"] == []
    assert answer("user", "unlock", "4713", "--data", data) == {"unlocked": 4713}
    assert answer("user", "remove", "4713", "--data", data) == {"removed": 4713}
    assert "user_not_found" in run("user", "unlock", "4713", "--data", data).err
    refused = run("user", "status", "4713", "--data", data)
    assert refused.status == 1
    assert "user_not_found" in refused.err


def test_one_bad_line_keeps_nobody_else_out(data: Path, tmp_path: Path) -> None:
    """A CSV file as spreadsheets write it: a country code may have its plus; lines without sense are named in order."""
    file = tmp_path / "users.csv"
    lines = ("tfa_id,country_code,phone,email", "4712,+48,600 100 200,", "x,48,600100201,", "4714,48,abc,",
             "9" * 30 + ",48,600100203,", "4716,48,600100204,")  # fmt: skip
    file.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    done = run("user", "import", file, "--data", data, "--json")
    assert done.status == 1
    said = json.loads(done.out)
    assert (said["created"], [row["line"] for row in said["refused"]]) == (2, [3, 4, 5])
    assert said["refused"][0]["detail"] == "tfa_id is no number."
    file.write_bytes("email\nren\xe9@example.com\n".encode("latin-1"))
    assert "save it as CSV in UTF-8" in run("user", "import", file, "--data", data).err


def test_an_invitation_is_a_uri_and_its_pictures(data: Path, tmp_path: Path) -> None:
    """The QR code in the terminal, as PNG and as SVG is the URI that is printed once."""
    answer("application", "add", "shop", "--data", data)
    answer("user", "add", "--email", "ada@example.com", "--tfa-id", "7", "--data", data)
    png, svg = tmp_path / "qr.png", tmp_path / "qr.svg"
    opened = answer("enroll", "7", "--png", png, "--svg", svg, "--data", data)
    assert opened["status"] == "open"
    with Image.open(png) as image:
        (found,) = zxingcpp.read_barcodes(image.convert("RGB"))
    assert found.text == opened["uri"]
    assert svg.read_text().startswith("<?xml")
    assert stat.S_IMODE(png.stat().st_mode) == stat.S_IMODE(svg.stat().st_mode) == 0o600
    shown = run("enroll", "7", "--data", data)
    assert shown.status == 0
    assert "█" in shown.out
    nobody = run("enroll", "7", "--confirm", "123456", "--data", data)
    assert nobody.status == 1
    assert "enroll one first" in nobody.err
    assert answer("device", "list", "7", "--data", data) == []
    unknown = run("device", "revoke", "00000000-0000-7000-8000-000000000000", "--data", data)
    assert unknown.status == 1
    assert "not_found" in unknown.err


async def test_webhooks_are_added_tested_and_removed(data: Path) -> None:
    """A test event arrives signed, and the command says what the endpoint answered."""
    await asyncio.to_thread(answer, "application", "add", "shop", "--data", data)
    async with receiver() as endpoint:
        made = await asyncio.to_thread(answer, "webhook", "add", "shop", endpoint.url + "/in", "--data", data)
        tested = await asyncio.to_thread(answer, "webhook", "test", made["id"], "--data", data)
        assert (tested["delivered"], tested["status"]) == (True, 204)
        _, headers, body = endpoint.posts[0]
        event = Webhook(made["secret"]).verify(body.decode(), headers)
        assert event["type"] == "webhook.test"
    gone = await asyncio.to_thread(run, "webhook", "test", made["id"], "--data", data)
    assert gone.status == 1
    assert "must answer 2xx" in gone.err
    (listed,) = await asyncio.to_thread(answer, "webhook", "list", "--data", data)
    assert (listed["application"], listed["status"]) == ("shop", "active")
    assert made["secret"] not in str(listed)
    await asyncio.to_thread(answer, "webhook", "remove", made["id"], "--data", data)
    assert await asyncio.to_thread(answer, "webhook", "list", "shop", "--data", data) == []


def test_key_03_a_damaged_webhook_is_named(tmp_path: Path) -> None:
    """The list says which endpoint gets nothing because its secret was damaged; its test says what to do."""
    data = tmp_path / "data"
    run("init", "--data", data)
    answer("application", "add", "shop", "--data", data)
    made = answer("webhook", "add", "shop", "https://shop.example.com/in", "--data", data)
    answer("webhook", "add", "shop", "https://shop.example.com/other", "--data", data)
    with contextlib.closing(sqlite3.connect(data / "placet.db")) as file:
        file.execute("UPDATE webhooks SET sealed = x'00' WHERE id = ?", (made["id"],))
        file.commit()
    listed = answer("webhook", "list", "--data", data)
    assert {row["url"][-6:]: row["status"] for row in listed} == {"com/in": "damaged", "/other": "active"}
    tested = run("webhook", "test", made["id"], "--data", data)
    assert tested.status == 1
    assert "remove it and add it again" in tested.err
    answer("webhook", "remove", made["id"], "--data", data)


def test_a_disabled_webhook_is_shown_and_enabled(tmp_path: Path) -> None:
    """List, application and doctor name an endpoint that answered 410, and the list says how it is told again."""
    data = tmp_path / "data"
    run("init", "--data", data)
    answer("application", "add", "shop", "--data", data)
    made = answer("webhook", "add", "shop", "https://shop.example.com/in", "--data", data)
    with contextlib.closing(sqlite3.connect(data / "placet.db")) as file:
        file.execute("UPDATE webhooks SET status = 'disabled' WHERE id = ?", (made["id"],))
        file.commit()
    listed = run("webhook", "list", "--data", data, "--json")
    assert '"status":"disabled"' in listed.out
    assert "webhook enable ID" in listed.err
    (shown,) = answer("application", "show", "shop", "--data", data)["webhooks"]
    assert (shown["id"], shown["status"]) == (made["id"], "disabled")
    assert "disabled_webhook" in run("doctor", "--data", data, "--json").out
    enabled = answer("webhook", "enable", made["id"], "--data", data)
    assert (enabled["id"], enabled["status"]) == (made["id"], "active")
    again = run("webhook", "list", "--data", data)
    assert "active" in again.out
    assert again.err == ""
    assert run("webhook", "enable", "nobody", "--data", data).status == 1


def test_each_application_has_a_secret_for_its_callback_urls(data: Path) -> None:
    """It is there from the start, stays, and is another one after --rotate; the application's own page shows none."""
    answer("application", "add", "shop", "--data", data)
    words = ("webhook", "secret", "shop", "--data", data)
    first = answer(*words)
    assert first == answer(*words) == {"application": "shop", "secret": first["secret"]}
    assert first["secret"].startswith("whsec_")
    assert first["secret"] not in str(answer("application", "show", "shop", "--data", data))
    second = answer(*words, "--rotate")
    assert second["secret"] != first["secret"]
    assert answer(*words) == second


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (("application", "list"), 3, "placet-server init --data"),
        (("serve", "--public-url", "http://placet.example.com"), 3, "must be https"),
        (("serve", "--host", "0.0.0.0"), 3, "--tls-cert"),  # noqa: S104 - that it is refused is the point
        (("serve", "--trusted-proxy", "10.0.0.0/33"), 3, "trusted_proxy"),
        (("application", "set", "shop", "approval.ttl"), 2, "KEY=VALUE"),
        (("application", "ad"), 2, "add"),
        (("user", "status", "ada"), 2, "integer"),
    ],
)
def test_errors_are_one_sentence_with_the_next_step(
    tmp_path: Path, words: tuple[str, ...], status: int, sentence: str
) -> None:
    """Exit status and stderr say what is wrong; nothing is half done and no traceback is shown."""
    done = run(*words, "--data", tmp_path / "none")
    assert done.status == status
    assert sentence in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "none").exists()


def test_a_misspelt_setting_is_named_by_every_command(tmp_path: Path) -> None:
    """A wrong variable is an error before anything is opened, and names the nearest known one."""
    done = run("application", "list", "--data", tmp_path, PLACET_TRUSTED_PROXXY="10.0.0.0/8")
    assert done.status == 3
    assert "did you mean PLACET_TRUSTED_PROXY?" in done.err


def test_init_fixes_the_public_url(tmp_path: Path) -> None:
    """A folder is made once; another public URL for it is refused."""
    data = tmp_path / "data"
    made = answer("init", "--public-url", "https://placet.example.com", "--data", data)
    assert made == {"data": str(data), "public_url": "https://placet.example.com"}
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in data.iterdir()} == {0o600}
    again = run("init", "--data", data)
    assert again.status == 3
    assert "installation already" in again.err
    other = run("serve", "--public-url", "https://other.example.com", "--data", data, "--port", "0")
    assert other.status == 3
    assert "https://placet.example.com for ever" in other.err


def test_every_command_explains_itself() -> None:
    """--help of each command says what it does, and those that act offer --json and --data."""
    commands = [[*path] for path in _commands(program)]
    assert len(commands) == 37
    for path in commands:
        shown = CliRunner().invoke(program, [*path, "--help"])
        assert shown.exit_code == 0, path
        assert "--json" in shown.output, path
        assert "--data" in shown.output, path
        described = shown.output.splitlines()[2].strip()
        assert described.endswith((".", ":")) or "." in shown.output, path
    assert "Exit status" in CliRunner().invoke(program, ["--help"]).output


def test_serve_takes_every_setting_as_an_option() -> None:
    """What can be set in a file can be set on the command line."""
    shown = CliRunner().invoke(program, ["serve", "--help"]).output
    for setting in table():
        assert "--" + setting.name.replace("_", "-") in shown


def _commands(group: click.Group, *path: str) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, *path, name)
        else:
            yield (*path, name)
