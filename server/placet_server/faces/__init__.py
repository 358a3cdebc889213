"""API dialects. A face reads its own credentials and says no in its own words; between those it calls the core."""

from __future__ import annotations

from typing import Protocol

from aiohttp import web

from placet_server.domain.refusals import RefusedError
from placet_server.domain.values import Caller


class Face(Protocol):
    """What the gate asks of a dialect."""

    @property
    def name(self) -> str:
        """The name of the dialect, as in ``credential add --face``."""
        ...

    async def authenticate(self, request: web.Request, now: int) -> Caller | None:
        """Who calls, or None when there is no good credential; raises ``RefusedError`` for a malformed one."""
        ...

    def refusal(self, request: web.Request, error: RefusedError, request_id: str) -> web.StreamResponse:
        """The dialect's answer to a refusal."""
        ...
