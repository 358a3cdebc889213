"""Why a data file is not opened."""

from __future__ import annotations

from placet_server.ports import StoreUnavailableError


class StoreRefusedError(StoreUnavailableError):
    """The data file must not be used: another process has it, it is damaged, or a newer version wrote it.

    The text is one sentence for the operator.
    """
