"""The Authy face of a credential with ``sandbox`` switched on: nothing is sent and nothing is spent.

Users are real; ``0000000`` is valid for each of them and ``0000`` for each phone, any other code is not; the carrier is
always the same; there are no approval requests.
"""

from __future__ import annotations

import hashlib
from typing import Final

from aiohttp import web

from placet_server.domain.refusals import RefusedError
from placet_server.domain.services import Domain
from placet_server.domain.values import User
from placet_server.faces import params
from placet_server.faces.authynumbers import info_text, number_of, started_text
from placet_server.faces.authyparts import device_facts, hidden_phone, parameter, required, tfa_id
from placet_server.faces.authyreplies import (
    PHONE_CHECKS,
    UNKNOWN_USER,
    VERIFICATIONS,
    Reply,
    error,
    ok,
    unverified,
)
from placet_server.ports import Channel
from placet_server.web.gate import Call

VALID: Final = "0000000"
VALID_VERIFICATION: Final = "0000"
CARRIER: Final = "Sandbox"


class Sandbox:
    """Answers in place of the routes that would send or spend something."""

    def __init__(self, domain: Domain) -> None:
        self._domain = domain

    async def sms(self, request: web.Request, call: Call) -> web.Response:
        """A text message that nobody gets."""
        user = await self._user(request, call)
        return ok(request, success=True, message="SMS token was sent", cellphone=hidden_phone(user))

    async def call(self, request: web.Request, call: Call) -> web.Response:
        """A call that nobody gets."""
        user = await self._user(request, call)
        return ok(request, success=True, message="Call started...", cellphone=hidden_phone(user))

    async def email(self, request: web.Request, call: Call) -> web.Response:
        """An e-mail that nobody gets."""
        user = await self._user(request, call)
        if not user.emails:
            return error(request, Reply(400, "60038", "The user has no e-mail."))
        email_id = f"EM{hashlib.sha256(call.id.encode()).hexdigest()[:32]}"
        said = "Email token was sent"
        return ok(request, success=True, message=said, email=user.emails[0], email_id=email_id)

    async def verify(self, request: web.Request, call: Call) -> web.Response:
        """Whether the token is the one that is always valid here."""
        try:
            user = await self._user(request, call)
        except RefusedError:
            return error(request, UNKNOWN_USER)
        if request.match_info["token"] != VALID:
            return unverified(request, call.by, VERIFICATIONS["mismatch"])
        said, device = VERIFICATIONS["matched"].message, device_facts(None, user.created_at, None)
        return ok(request, message=said, token="is valid", success="true", device=device)  # noqa: S106 - the wire's words

    async def start(self, request: web.Request, call: Call) -> web.Response:
        """A phone verification whose code is known to everybody."""
        sent = await params.read(request)
        number, locale = number_of(sent), parameter(sent, "locale")
        channel: Channel = "voice" if parameter(sent, "via").lower() == "call" else "sms"
        uuid = hashlib.sha256(number.address.encode()).hexdigest()
        return ok(
            request,
            carrier=CARRIER,
            is_cellphone=True,
            is_ported=False,
            message=started_text(call.by, number, channel, locale),
            seconds_to_expire=599,
            uuid=f"{uuid[:8]}-{uuid[8:12]}-{uuid[12:16]}-{uuid[16:20]}-{uuid[20:32]}",
            success=True,
        )

    async def check(self, request: web.Request, _call: Call) -> web.Response:
        """Whether the code is the one that is always valid here."""
        sent = await params.read(request)
        number_of(sent)
        good = required(sent, "verification_code") == VALID_VERIFICATION
        said = PHONE_CHECKS["matched" if good else "mismatch"]
        return ok(request, message=said.message, success=True) if good else error(request, said)

    async def status(self, request: web.Request, _call: Call) -> web.Response:
        """Always pending: nothing is remembered."""
        sent = await params.read(request)
        if not parameter(sent, "uuid"):
            number_of(sent)
        said = "Phone Verification status."
        return ok(request, message=said, status="pending", seconds_to_expire=599, success=True)

    async def info(self, request: web.Request, call: Call) -> web.Response:
        """A mobile number of the one carrier."""
        number_of(await params.read(request))
        return ok(
            request,
            message=info_text(call.now),
            type="cellphone",
            provider=CARRIER,
            ported=False,
            success=True,
        )

    async def _user(self, request: web.Request, call: Call) -> User:
        return await self._domain.users.by_tfa_id(call.by.org, tfa_id(request))
