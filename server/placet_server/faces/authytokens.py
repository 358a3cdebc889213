"""Codes on the Authy face.

GET  verify/{token}/{id}     force

Quirk: ``verify`` knows no leniency towards users who never confirmed unless the credential says so.
"""

from __future__ import annotations

from aiohttp import web

from placet_server.domain.refusals import RefusedError
from placet_server.domain.services import Domain
from placet_server.domain.values import UserRef
from placet_server.faces import params
from placet_server.faces.authyapp import AUTHS
from placet_server.faces.authyparts import PROTECTED, TOKEN, USER, Row, device_facts, tfa_id
from placet_server.faces.authyreplies import UNKNOWN_USER, VERIFICATIONS, error, ok, unverified
from placet_server.faces.rack import flag
from placet_server.faces.switches import switch
from placet_server.ports import Bus
from placet_server.web.gate import Call


class TokenRoutes:
    """Verifies codes."""

    def __init__(self, domain: Domain, bus: Bus) -> None:
        self._domain = domain
        self._bus = bus

    def rows(self) -> tuple[Row, ...]:
        """The routes of this part."""
        return (Row("GET", f"{PROTECTED}/verify/{TOKEN}/{USER}", self._verify, "codes"),)

    async def _verify(self, request: web.Request, call: Call) -> web.Response:
        token = request.match_info["token"]
        if not (token.isascii() and token.isdigit() and 6 <= len(token) <= 12):
            return unverified(request, VERIFICATIONS["mismatch"])
        try:
            user = await self._domain.users.ref(call.by.org, tfa_id(request))
        except RefusedError:
            return error(request, UNKNOWN_USER)
        sent = await params.read(request)
        # Authy lets any token pass for a user who never confirmed one. Only a credential that asks for it gets that.
        if (
            not user.confirmed
            and switch(call.by, "verify_unconfirmed") == "lenient"
            and "force" in sent
            and not flag(sent["force"])
        ):
            return await self._verified(request, call, user)
        outcome = await self._domain.soft_tokens.verify(call.by, user.tfa_id, token, call.now)
        if outcome != "matched":
            return unverified(request, VERIFICATIONS[outcome])
        return await self._verified(request, call, user)

    async def _verified(self, request: web.Request, call: Call, user: UserRef) -> web.Response:
        self._domain.usage.add(call.by.application.id, AUTHS, call.now)
        devices = await self._domain.devices.of_user(user.id)
        device = next((each for each in devices if each.status == "active"), None)
        return ok(
            request,
            message=VERIFICATIONS["matched"].message,
            token="is valid",  # noqa: S106 - the wire's words, no secret
            success="true",
            device=device_facts(device, call.now, call.now),
        )
