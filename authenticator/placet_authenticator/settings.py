"""Where the person's data lies and where the passphrase comes from."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from msgspec import Struct

from placet_authenticator.errors import PassphraseError

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

VAULT_NAME: Final = "vault.db"
MIN_PASSPHRASE: Final = 8
"""Characters of a new passphrase, at least; one that was chosen before goes on opening its vault."""
MAX_PASSPHRASE: Final = 1024
_WAYS: Final = "Give it by --passphrase-file FILE, --passphrase-stdin, --keyring or PLACET_PASSPHRASE_FILE, or run this in a terminal"
# Stores that the operating system itself seals. Everything else (null, fail, keyrings.alt's plain files) is refused.
_SAFE_KEYRINGS: Final = frozenset(
    f"keyring.backends.{name}" for name in ("SecretService", "kwallet", "libsecret", "macOS", "Windows")
)


class Settings(Struct, frozen=True):
    """Choices of one run.

    ``passphrase_stdin`` reads one line, ``keyring`` asks the operating system's own store, ``passphrase_file`` is a
    path; the first of these that is chosen counts, and without any of them a terminal is asked.
    """

    home: Path
    passphrase_file: Path | None = None
    passphrase_stdin: bool = False
    keyring: bool = False

    @property
    def vault(self) -> Path:
        """The vault's file."""
        return self.home / VAULT_NAME


def home(environ: Mapping[str, str]) -> Path:
    """The data folder: ``PLACET_HOME``, or the system's usual place for a person's application data."""
    if chosen := environ.get("PLACET_HOME"):
        return Path(chosen).expanduser()
    from platformdirs import user_data_path  # only a start without PLACET_HOME needs it

    return user_data_path("placet", appauthor=False)


def passphrase(settings: Settings, *, stdin: IO[str] | None = None, new: bool = False) -> str:
    """The passphrase from the first source that was chosen; ``new`` asks a terminal twice and takes no short one.

    Raises ``PassphraseError`` when there is no source, it is unsafe or empty.
    """
    given = _given(settings, stdin, new=new)
    return checked_new(given) if new else given


def checked_new(text: str) -> str:
    """This passphrase, for a vault that is to have it from now on. Raises ``PassphraseError`` for a short one."""
    if len(text) < MIN_PASSPHRASE:
        raise PassphraseError(
            f"a new passphrase has at least {MIN_PASSPHRASE} characters, this one has {len(text)}",
            "Take four or more words that only you would put together",
        )
    return text


def _given(settings: Settings, stdin: IO[str] | None, *, new: bool) -> str:
    if settings.passphrase_stdin:
        return _checked((stdin or sys.stdin).readline(MAX_PASSPHRASE + 2).rstrip("\r\n"), "standard input")
    if settings.keyring:  # before the file, whose name may stand in the environment for other runs
        return _checked(safe_keyring().get_password(*_entry(settings)) or "", "the keyring")
    if settings.passphrase_file is not None:
        return _checked(_from_file(settings.passphrase_file), str(settings.passphrase_file))
    return _asked(new=new)


def store_in_keyring(settings: Settings, text: str) -> None:
    """Keep the passphrase in the operating system's own store. Raises ``PassphraseError`` if there is no safe one."""
    safe_keyring().set_password(*_entry(settings), text)


def safe_keyring() -> KeyringBackend:
    """The operating system's own secret store.

    Raises ``PassphraseError`` when the configured one is none of those: a null or plaintext store would hand the
    vault to anybody who reads the home folder.
    """
    import keyring  # slow to start, and only --keyring needs it
    from keyring.backends.chainer import ChainerBackend

    chosen = keyring.get_keyring()
    candidates = list(chosen.backends) if isinstance(chosen, ChainerBackend) else [chosen]
    for candidate in candidates:
        if type(candidate).__module__ in _SAFE_KEYRINGS:
            return candidate
    names = ", ".join(f"{type(each).__module__}.{type(each).__qualname__}" for each in candidates) or "none"
    raise PassphraseError(f"no keyring of the operating system is available (found: {names})", _WAYS)


def _entry(settings: Settings) -> tuple[str, str]:
    return "placet", str(settings.vault.absolute())


def _from_file(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise PassphraseError(
                    f"others on this machine can read {path}", f"Close it: chmod 600 '{path}'"
                )
            return file.readline(MAX_PASSPHRASE + 2).rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise PassphraseError(f"cannot read the passphrase from {path}", _WAYS) from error


def _asked(*, new: bool) -> str:
    if not sys.stdin.isatty():
        raise PassphraseError("no passphrase: standard input is not a terminal", _WAYS)
    import getpass  # only a prompt needs it

    text = _checked(
        getpass.getpass("New passphrase for this vault: " if new else "Passphrase: "), "the terminal"
    )
    if new and getpass.getpass("Once more: ") != text:
        raise PassphraseError("the two passphrases differ", "Run the command again")
    return text


def _checked(text: str, source: str) -> str:
    if not text:
        raise PassphraseError(f"the passphrase from {source} is empty", _WAYS)
    if len(text) > MAX_PASSPHRASE:
        raise PassphraseError(
            f"the passphrase from {source} is longer than {MAX_PASSPHRASE} characters", _WAYS
        )
    return text
