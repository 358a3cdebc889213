"""``Idempotency-Key`` on creates: the same call again gives the first answer again, and makes nothing twice."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from aiohttp import web

from placet_protocol.canonical import joined
from placet_server.domain.idempotency import Idempotency, Kept
from placet_server.domain.refusals import RefusedError
from placet_server.ports import Step
from placet_server.web.gate import Call
from placet_server.web.wire import encode, reply, reply_bytes

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotent-Replayed"

T = TypeVar("T")


class Once:
    """Answers creates, each key's only once."""

    def __init__(self, idempotency: Idempotency) -> None:
        self._idempotency = idempotency

    async def answer(
        self,
        request: web.Request,
        call: Call,
        wanted: object,
        make: Callable[[Callable[[T], Step] | None], Awaitable[T]],
        again: Callable[[T], object],
        shown: Callable[[T], Awaitable[object]],
    ) -> web.Response:
        """201 with what is ``shown`` of what ``make`` made, or the kept answer of the same call.

        ``wanted`` is the body as it was understood, ``again`` what may be shown later: without ``uri`` and ``qr``.
        Raises ``idempotency_conflict`` for another call under the same key.
        """
        keys = request.headers.getall(HEADER, [])
        if not keys:
            return reply(201, await shown(await make(None)))
        if len(keys) > 1:
            raise RefusedError("invalid_request", f"{HEADER} is given more than once.")
        key, by = keys[0], call.by
        fingerprint = hashlib.sha256(
            joined([request.method.encode(), request.rel_url.raw_path.encode(), encode(wanted)])
        ).digest()

        def keep(made: T) -> Step:
            return self._idempotency.guard(by, key, fingerprint, Kept(201, encode(again(made))), call.now)

        kept = await self._idempotency.replay(by, key, fingerprint, call.now)
        if kept is None:
            try:
                return reply(201, await shown(await make(keep)))
            except RefusedError as error:
                # Somebody sent the same call in this moment and was faster; their answer is ours as well.
                if error.code != "idempotency_conflict":
                    raise
                kept = await self._idempotency.replay(by, key, fingerprint, call.now)
                if kept is None:
                    raise
        response = reply_bytes(kept.status, kept.body)
        response.headers[REPLAYED] = "true"
        return response
