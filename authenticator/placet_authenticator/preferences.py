"""What a person chose for the app and is to find again at the next start."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

import msgspec

NAME: Final = "preferences.json"
MAX_BYTES: Final = 10_000


class Preferences(msgspec.Struct, frozen=True):
    """``theme`` is the name of a theme, empty while none was chosen."""

    theme: str = ""


def load(home: Path) -> Preferences:
    """The choices kept in this folder; a missing or damaged file counts as none, since nothing depends on it."""
    try:
        with (home / NAME).open("rb") as file:
            return msgspec.json.decode(file.read(MAX_BYTES), type=Preferences)
    except (OSError, msgspec.MsgspecError):
        return Preferences()


def save(home: Path, preferences: Preferences) -> None:
    """Keep the choices: file 0600 that is replaced whole, folder 0700 when it has to be made. Raises ``OSError``."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = home / f"{NAME}.{os.getpid()}"
    try:
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
            file.write(msgspec.json.encode(preferences))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(home / NAME)
    finally:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
