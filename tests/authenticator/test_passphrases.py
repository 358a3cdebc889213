"""Where a passphrase may come from, and which places are refused."""

from __future__ import annotations

import io
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends import chainer, fail, null

from placet_authenticator import settings
from placet_authenticator.errors import PassphraseError
from placet_authenticator.running import Run
from placet_authenticator.settings import Settings
from placet_authenticator.tui import vaults
from placet_authenticator.vault import QUICK, Vault


class PlaintextKeyring(KeyringBackend):  # type: ignore[misc]  # keyring ships no types
    """A store as keyrings.alt ships it: readable by who reads the home folder."""

    priority = 1.0

    def get_password(self, service: str, username: str) -> str | None:  # noqa: ARG002  keyring's signature
        return "leaked"

    def set_password(self, service: str, username: str, password: str) -> None:  # noqa: ARG002  as above
        raise AssertionError("nothing may be stored here")


class SealedKeyring(PlaintextKeyring):
    """Stands for the operating system's store, by its module's name."""

    priority = 0.0  # chainers must not find it by itself

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password


SealedKeyring.__module__ = "keyring.backends.SecretService"


@pytest.mark.parametrize("backend", [null.Keyring, fail.Keyring, PlaintextKeyring, chainer.ChainerBackend])
def test_key_08_null_and_plaintext_keyrings_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, backend: type[KeyringBackend]
) -> None:
    """Neither read from nor written to; the error names what was found and the other ways."""
    monkeypatch.setattr(keyring, "get_keyring", backend)
    choices = Settings(tmp_path, keyring=True)
    with pytest.raises(PassphraseError, match="no keyring") as refused:
        settings.passphrase(choices)
    assert "--passphrase-file" in refused.value.hint
    with pytest.raises(PassphraseError):
        settings.store_in_keyring(choices, "secret")


def test_key_08_the_operating_systems_keyring_gives_back_what_it_was_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each vault has its own entry."""
    sealed = SealedKeyring()
    monkeypatch.setattr(keyring, "get_keyring", lambda: sealed)
    settings.store_in_keyring(Settings(tmp_path / "a", keyring=True), "first")
    assert settings.passphrase(Settings(tmp_path / "a", keyring=True)) == "first"
    with pytest.raises(PassphraseError, match="empty"):
        settings.passphrase(Settings(tmp_path / "b", keyring=True))


@pytest.mark.parametrize(
    ("stdin", "keyed", "file", "given", "known"),
    [
        (True, True, True, "typed", "none"),
        (False, True, True, "kept", "os"),
        (False, False, True, "filed", "none"),
        (True, False, False, "typed", "none"),
        (False, True, False, "kept", "os"),
    ],
)
def test_the_decision_says_what_gave_the_passphrase(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    *,
    stdin: bool,
    keyed: bool,
    file: bool,
    given: str,
    known: str,
) -> None:
    """Of several sources the first in the documented order counts, and a decision claims no other one."""
    sealed = SealedKeyring()
    monkeypatch.setattr(keyring, "get_keyring", lambda: sealed)
    settings.store_in_keyring(Settings(tmp_path), "kept")
    written = tmp_path / "pass"
    written.write_text("filed\n")
    written.chmod(0o600)
    choices = Settings(tmp_path, written if file else None, stdin, keyed)
    assert settings.passphrase(choices, stdin=io.StringIO("typed\n")) == given
    assert Run(choices, json=False).verified() == known


def test_key_05_a_passphrase_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """0600 is asked of it; its first line counts."""
    file = tmp_path / "pass"
    file.write_text("first line\nsecond\n")
    file.chmod(0o644)
    with pytest.raises(PassphraseError) as refused:
        settings.passphrase(Settings(tmp_path, passphrase_file=file))
    assert "chmod 600" in refused.value.hint
    file.chmod(0o600)
    assert settings.passphrase(Settings(tmp_path, passphrase_file=file)) == "first line"


@pytest.mark.parametrize("text", ["", "\n", "x" * 2000])
def test_an_empty_or_endless_passphrase_is_refused(tmp_path: Path, text: str) -> None:
    """From standard input as from anywhere."""
    with pytest.raises(PassphraseError):
        settings.passphrase(Settings(tmp_path, passphrase_stdin=True), stdin=io.StringIO(text))


def test_a_new_passphrase_has_eight_characters_and_an_old_one_opens_as_it_is(tmp_path: Path) -> None:
    """``abc`` seals no new vault, whatever makes it; where a vault has it from before it is still given."""
    choices, wanted = Settings(tmp_path, passphrase_stdin=True), "at least 8 characters"
    assert settings.passphrase(choices, stdin=io.StringIO("abc\n")) == "abc"
    for short in ("abc", "7 chars"):
        with pytest.raises(PassphraseError, match=wanted) as refused:
            settings.passphrase(choices, stdin=io.StringIO(f"{short}\n"), new=True)
        assert refused.value.hint
        with pytest.raises(PassphraseError, match=wanted):
            vaults.made(choices, short)
    assert not choices.vault.exists()
    assert settings.passphrase(choices, stdin=io.StringIO("8 chars!\n"), new=True) == "8 chars!"
    Vault.create(choices.vault, "abc", profile=QUICK).close()
    vaults.opened(choices, "abc").close()


def test_the_data_folder_is_placet_home_or_the_systems_place(tmp_path: Path) -> None:
    """PLACET_HOME wins; otherwise the platform's own folder."""
    assert settings.home({"PLACET_HOME": str(tmp_path)}) == tmp_path
    assert settings.home({}).name == "placet"
