"""Why a data file is not opened, and the word for what the engine met."""

from __future__ import annotations

from placet_server.ports import StoreUnavailableError


class StoreRefusedError(StoreUnavailableError):
    """The data file must not be used: another process has it, it is damaged, or a newer version wrote it.

    The text is one sentence for the operator.
    """


def engines_name(error: Exception) -> str:
    """SQLite's name of its error, such as ``SQLITE_IOERR_FSYNC``; "unknown" for what did not come from the engine."""
    name: str = getattr(error, "sqlite_errorname", "unknown")
    return name
