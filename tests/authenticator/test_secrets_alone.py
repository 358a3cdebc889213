"""A secret without its URI, as sites print it beside the QR code: in the app and by command."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest
from textual.widgets import Button, Input

from placet_authenticator.errors import ImportFailedError
from placet_authenticator.importing import otpauth
from placet_authenticator.settings import Settings
from placet_authenticator.tokens import code
from placet_authenticator.vault import QUICK, Vault
from support.apps import NOW, paste, running, shows, until
from support.persons import PASSPHRASE
from support.programs import environment
from support.snapshots import screen_text

PLACET = Path(sys.executable).parent / "placet"
SHORT = "JBSWY3DPEHPK3PXP"
"""80 bits, the usual example."""
AT_ZERO = "282760"
"""Its code at the beginning of the epoch."""


@pytest.mark.parametrize(
    "text",
    [
        SHORT,
        SHORT.lower(),
        "jbsw y3dp ehpk 3pxp",
        " JBSW-Y3DP-EHPK-3PXP ",
        "jbswy3 dpehpk 3pxp",
        "JBSWY3DP  EHPK3PXP",
    ],
)
def test_a_secret_is_taken_as_sites_print_it(text: str) -> None:
    """Any case, blanks or hyphens between groups; the token is the usual one."""
    secret = otpauth.secret_alone(text)
    assert secret is not None
    made = otpauth.named(secret, " GitHub: ada ", token_id="i", now=7)
    assert (made.issuer, made.account, made.algorithm, made.digits, made.period) == (
        "GitHub",
        "ada",
        "SHA1",
        6,
        30,
    )
    assert code(made, 0).digits == AT_ZERO


@pytest.mark.parametrize("size", [10, 15, 16, 20, 32, 64, 80])
def test_secrets_of_every_usual_length_are_taken(size: int) -> None:
    """With and without the padding that some sites show."""
    padded = base64.b32encode(bytes(range(size))).decode()
    assert otpauth.secret_alone(padded) == otpauth.secret_alone(padded.rstrip("=")) == bytes(range(size))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "JBSWY3DPEHPK3PX",
        SHORT + "0",
        "JBSW Y3DP EHPK 3PX1",
        "three words of a sentence",
        "abcd efghijkl mnop",
        "234567 234567",
        "A" * 17,
        "A" * 200,
        "JBSWY3DPEHPK3PX\u0131",
        "/" + SHORT,
        SHORT + ".png",
        "0123456789abcdef0123",
    ],
)
def test_what_may_be_something_else_is_no_secret(text: str) -> None:
    """Too short or too long, other characters, words of a sentence, paths and hexadecimal digits."""
    assert otpauth.secret_alone(text) is None
    with pytest.raises(ImportFailedError, match="neither"):
        otpauth.text_of(text or "-", secrets=True)


def test_a_secret_with_a_slip_is_not_repeated() -> None:
    """The error names what a secret looks like and not what was typed; a path is repeated."""
    with pytest.raises(ImportFailedError) as slip:
        otpauth.text_of("JBSWY3DPEHPK3PX1", secrets=True)
    assert "JBSW" not in f"{slip.value.detail} {slip.value.hint}"
    assert "digits from 2 to 7" in slip.value.hint
    with pytest.raises(ImportFailedError, match=r"missing\.png"):
        otpauth.text_of("missing.png", secrets=True)


def test_what_names_a_file_too_is_asked_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither is guessed; the hint says how each is meant. An invitation is never a secret."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / SHORT).touch()
    with pytest.raises(ImportFailedError) as both:
        otpauth.text_of(SHORT, secrets=True)
    assert "Write ./" in both.value.hint
    assert otpauth.text_of("JBSW Y3DP EHPK 3PXP", secrets=True) == "JBSW Y3DP EHPK 3PXP"
    with pytest.raises(ImportFailedError, match="neither a URI nor a file"):
        otpauth.text_of(SHORT.lower())


@pytest.mark.parametrize("name", ["", " ", "GitHub:", "x" * 257, "a\u202eb"])
def test_a_name_is_one_that_can_be_shown(name: str) -> None:
    """Empty, too long, without an account, or with what would turn the line around."""
    with pytest.raises(ImportFailedError, match="name"):
        otpauth.named(b"x" * 10, name, token_id="i", now=0)


async def test_the_app_asks_for_the_name_of_a_secret(tmp_path: Path) -> None:
    """Enter leads to the name, and only then adds; another text takes the question away."""
    async with running(tmp_path) as (app, pilot):
        await pilot.press("2", "a")
        source, name = app.screen.query_one("#source", Input), app.screen.query_one("#name", Input)
        assert not name.display
        await paste(app, pilot, "jbsw y3dp ehpk 3pxp")
        await shows(app, pilot, "A secret of 80 bits without a name")
        assert app.screen.query_one("#add", Button).disabled
        await pilot.press("enter")
        assert app.focused is name
        await pilot.press("enter")
        assert app.device.tokens() == []
        await pilot.press(*"Git:ada")
        await shows(app, pilot, "6 digits, new every 30 s, SHA1, secret of 80 bits", "Back Add")
        source.value = "nonsense"
        await until(pilot, lambda: not name.display)
        source.value = SHORT
        await shows(app, pilot, "6 digits, new every 30 s")
        name.focus()
        await pilot.press("enter")
        await until(pilot, lambda: [each.label for each in app.device.tokens()] == ["Git:ada"])
        assert app.device.tokens()[0].created_at == NOW
        assert SHORT not in screen_text(app)


def test_the_command_takes_a_secret_and_its_name(tmp_path: Path) -> None:
    """From its argument or standard input; without a name, or with two, nothing is kept."""
    Vault.create(Settings(tmp_path / "home").vault, PASSPHRASE, profile=QUICK).close()
    (tmp_path / "passphrase").write_text(PASSPHRASE)
    (tmp_path / "passphrase").chmod(0o600)

    def add(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PLACET, "token", "add", *words, "--passphrase-file", tmp_path / "passphrase"],
            input=stdin,
            capture_output=True,
            text=True,
            env=environment(PLACET_HOME=str(tmp_path / "home")),
            check=False,
        )

    assert json.loads(add(SHORT, "--name", "GitHub:ada", "--json").stdout)["name"] == "GitHub:ada"
    assert add("-", "--name", "Mail", stdin="jbsw y3dp ehpk 3pxp\n").returncode == 0
    nameless = add(SHORT)
    assert (nameless.returncode, "--name NAME" in nameless.stderr) == (2, True)
    twice = add(f"otpauth://totp/x?secret={SHORT}", "--name", "y")
    assert (twice.returncode, "own name" in twice.stderr) == (2, True)
    slip = add("JBSWY3DPEHPK3PX1", "--name", "y")
    assert (slip.returncode, "nor a secret" in slip.stderr, "JBSW" in slip.stderr) == (1, True, False)
