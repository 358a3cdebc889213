"""``placet token show``: what is known of a token, and its secret only when it is asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from placet_authenticator.exporting import otpauth, qr
from placet_authenticator.importing import otpauth as importing
from placet_authenticator.records import Token
from placet_authenticator.settings import Settings
from placet_authenticator.vault import QUICK, Vault
from support.apps import NOW, token
from support.persons import PASSPHRASE
from support.programs import environment
from support.qrcodes import drawn, zbar, zxing

PLACET = Path(sys.executable).parent / "placet"
ACME = token("Acme Pay", "ada@example.com")
ODD = token("Old: Forum\u202e", "me & you", secret=b"0123456789", digits=8, period=47, algorithm="SHA512")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A vault with two tokens."""
    with Vault.create(Settings(tmp_path / "home").vault, PASSPHRASE, profile=QUICK) as vault:
        vault.put(ACME, ODD)
    return tmp_path / "home"


def show(home: Path, *words: str) -> str:
    """What the command prints."""
    done = subprocess.run(
        [PLACET, "token", "show", *words, "--passphrase-stdin"],
        input=PASSPHRASE,
        capture_output=True,
        text=True,
        env=environment(PLACET_HOME=str(home)),
        check=False,
    )
    return done.stdout if done.returncode == 0 else f"{done.returncode}: {done.stderr}"


@pytest.mark.parametrize("kept", [ACME, ODD], ids=lambda token: token.issuer)
def test_the_qr_code_holds_the_uri_and_the_uri_the_token(home: Path, tmp_path: Path, kept: Token) -> None:
    """Two readers read what stands in the terminal; whoever imports it makes the same codes."""
    uri = show(home, kept.id, "--uri").strip()
    assert uri == otpauth.uri(kept)
    picture = drawn(show(home, kept.id, "--qr"), tmp_path / "qr.png")
    assert zxing(picture) == zbar(picture) == uri
    back = importing.token(uri, token_id=kept.id, now=NOW)
    assert (back.secret, back.digits, back.period, back.algorithm) == (
        kept.secret,
        kept.digits,
        kept.period,
        kept.algorithm,
    )
    assert json.loads(show(home, kept.id, "--uri", "--json"))["uri"] == uri


def test_the_secret_is_shown_only_when_it_is_asked_for(home: Path) -> None:
    """Facts alone otherwise, for people and for programs."""
    shown = show(home, "acme")
    assert "6 digits, new every 30 s, SHA1" in shown
    assert "otpauth" not in shown
    assert "uri" not in json.loads(show(home, "acme", "--json"))
    assert show(home, "acme", "--qr", "--uri").startswith("2: ")
    assert show(home, "nobody", "--qr").startswith("1: ")


def test_the_quiet_zone_is_what_fits() -> None:
    """Four modules where there is room, at least one, and no code at all below that."""
    code = qr.matrix("x" * 100)
    size = len(code)
    assert qr.quiet_zone(code, 200, 100) == 4
    assert qr.quiet_zone(code, size + 2, 100) == 1
    assert qr.quiet_zone(code, size + 1, 100) is None
    assert qr.quiet_zone(code, 200, (size + 3) // 2) == 1
    lines = qr.lines(code, 1)
    assert {len(line) for line in lines} == {size + 2}
    assert len(lines) == (size + 3) // 2
