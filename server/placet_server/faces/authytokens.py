"""Codes on the Authy face: sent by text message, call or e-mail, and verified together with soft tokens.

GET  sms/{id}, call/{id}     force, action, action_message, locale
POST email/{id}
GET  verify/{token}/{id}     force, action

Quirks: without ``force`` nothing is sent to a person who holds a confirmed soft token: their devices are nudged, and the
answer says ``ignored``, a member that stays away otherwise. A code asked for with an ``action`` is good for a verify with
the same one only. ``verify`` takes soft tokens and the newest code sent, spends one try of both, and knows no leniency
towards users who never confirmed unless the credential says so.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from placet_protocol.text import visible
from placet_server.domain.codes import CodeDraft, Issued, Outcome
from placet_server.domain.ids import made_at
from placet_server.domain.refusals import RefusedError
from placet_server.domain.services import Domain
from placet_server.domain.shapes import Shape
from placet_server.domain.values import User, UserRef
from placet_server.faces import params
from placet_server.faces.authyapp import AUTHS, CALLS, SMS
from placet_server.faces.authyparts import (
    CHANNELS_OFF,
    PROTECTED,
    TOKEN,
    USER,
    Row,
    device_facts,
    hidden_phone,
    parameter,
    tfa_id,
    wanted_language,
)
from placet_server.faces.authyreplies import (
    CHECKS,
    UNKNOWN_LOCALE,
    UNKNOWN_USER,
    VERIFICATIONS,
    Reply,
    disabled,
    error,
    ok,
    unverified,
)
from placet_server.faces.authysandbox import Sandbox
from placet_server.faces.rack import flag
from placet_server.faces.switches import switch
from placet_server.ports import Bus, Channel
from placet_server.web.gate import Call

NUDGE: Final = "code.wanted"
SENT: Final[dict[Channel, str]] = {"sms": "SMS token was sent", "voice": "Call started..."}
IGNORED: Final[dict[Channel, str]] = {
    "sms": "Ignored: SMS is not needed for smartphones. Pass force=true if you want to actually send it anyway.",
    "voice": "Call ignored. User is using  App Tokens and this call is not necessary. Pass force=true if you still"
    " want to call users that are using the App.",
}
_COUNTED: Final[dict[Channel, str]] = {"sms": SMS, "voice": CALLS}
_NO_PHONE: Final = Reply(404, "60058", "Phone not found.")


class TokenRoutes:
    """Sends codes and verifies them."""

    def __init__(self, domain: Domain, bus: Bus) -> None:
        self._domain = domain
        self._bus = bus

    def rows(self) -> tuple[Row, ...]:
        """The routes of this part."""
        sandbox = Sandbox(self._domain)
        return (
            Row("GET", f"{PROTECTED}/sms/{USER}", self._sms, "codes", sandbox.sms),
            Row("GET", f"{PROTECTED}/call/{USER}", self._call, "codes", sandbox.call),
            Row("POST", f"{PROTECTED}/email/{USER}", self._email, "codes", sandbox.email),
            Row("GET", f"{PROTECTED}/verify/{TOKEN}/{USER}", self._verify, "codes", sandbox.verify),
        )

    async def _sms(self, request: web.Request, call: Call) -> web.Response:
        return await self._requested(request, call, "sms")

    async def _call(self, request: web.Request, call: Call) -> web.Response:
        return await self._requested(request, call, "voice")

    async def _requested(self, request: web.Request, call: Call, channel: Channel) -> web.Response:
        sent = await params.read(request)
        user = await self._domain.users.by_tfa_id(call.by.org, tfa_id(request))
        action, action_message = parameter(sent, "action"), parameter(sent, "action_message")
        if not flag(sent.get("force")) and await self._holds_token(user, call.now):
            return await self._ignored(request, call, user, channel, action_message)
        if user.phone is None:
            return error(request, _NO_PHONE)
        language = wanted_language(call.by, parameter(sent, "locale"))
        if language is None:
            return error(request, UNKNOWN_LOCALE)
        if await self._issued(call, user, channel, action, language) is None:
            return disabled(request, call.by, *CHANNELS_OFF[channel])
        return ok(request, success=True, message=SENT[channel], cellphone=hidden_phone(user))

    async def _email(self, request: web.Request, call: Call) -> web.Response:
        sent = await params.read(request)
        user = await self._domain.users.by_tfa_id(call.by.org, tfa_id(request))
        if not user.emails:
            return error(request, Reply(400, "60038", "The user has no e-mail."))
        language = wanted_language(call.by, parameter(sent, "locale"))
        if language is None:
            return error(request, UNKNOWN_LOCALE)
        issued = await self._issued(call, user, "email", parameter(sent, "action"), language)
        if issued is None:
            return disabled(request, call.by, *CHANNELS_OFF["email"])
        return ok(
            request,
            success=True,
            message="Email token was sent",
            email=user.emails[0],
            email_id=f"EM{(issued.message_id or issued.id).replace('-', '')}",
        )

    async def _verify(self, request: web.Request, call: Call) -> web.Response:
        token = request.match_info["token"]
        if not (token.isascii() and token.isdigit() and 6 <= len(token) <= 12):
            return unverified(request, call.by, VERIFICATIONS["mismatch"])
        try:
            user = await self._domain.users.ref(call.by.org, tfa_id(request))
        except RefusedError:
            return error(request, UNKNOWN_USER)
        sent = await params.read(request)
        # Authy lets any token pass for a user who never confirmed one. Only a credential that asks for it gets that.
        if (
            not user.confirmed
            and switch(call.by, "verify_unconfirmed") == "lenient"
            and not flag(sent.get("force"))
        ):
            return await self._verified(request, call, user)
        said, by_token = await self._tried(call, user, token, parameter(sent, "action"))
        call.note(factor="soft token" if by_token else "code")
        if said.status != 200:
            return unverified(request, call.by, said)
        return await self._verified(request, call, user, by_token=by_token)

    async def _tried(self, call: Call, user: UserRef, token: str, action: str) -> tuple[Reply, bool]:
        """What to say of a token, and whether it was a soft token's.

        The wrong code of one is a failure of the user, counted before the code that was sent is looked at: tries are one
        budget, whichever of the two is guessed.
        """
        domain = self._domain
        outcome = await domain.soft_tokens.verify(call.by, user.tfa_id, token, call.now)
        if outcome in {"matched", "throttled"}:
            return VERIFICATIONS[outcome], True
        purpose = _purpose(action)
        checked: Outcome = (
            await domain.codes.check(call.by, token, call.now, user=user, purpose=purpose)
        ).outcome
        if checked == "matched" and outcome != "no_token":
            await domain.soft_tokens.forgive(user)
        if checked == "unknown" or (outcome == "used" and checked != "matched"):
            return VERIFICATIONS[outcome], True
        return CHECKS[checked], False

    async def _verified(
        self, request: web.Request, call: Call, user: UserRef, *, by_token: bool = False
    ) -> web.Response:
        self._domain.usage.add(call.by.application.id, AUTHS, call.now)
        device = None
        if by_token:
            devices = await self._domain.devices.of_user(user.id)
            device = next((each for each in devices if each.status == "active"), None)
        return ok(
            request,
            message=VERIFICATIONS["matched"].message,
            token="is valid",  # noqa: S106 - the wire's words, no secret
            success="true",
            device=device_facts(device, made_at(user.id), None if device is None else call.now),
        )

    async def _holds_token(self, user: User, now: int) -> bool:
        tokens = await self._domain.soft_tokens.of_user(user, now)
        return any(token.status == "confirmed" for token in tokens)

    async def _ignored(
        self, request: web.Request, call: Call, user: User, channel: Channel, action_message: str
    ) -> web.Response:
        wanted = f": {visible(action_message)}" if action_message else "."
        text = f"{call.by.application.name} asks for a code of your soft token{wanted}"
        if await self._domain.notices.nudge(user.id, NUDGE, text, call.now):
            self._bus.publish("user", user.id)
        devices = await self._domain.devices.of_user(user.id)
        device = next((each.platform for each in reversed(devices) if each.status == "active"), None)
        return ok(
            request,
            message=IGNORED[channel],
            cellphone=hidden_phone(user),
            device=device,
            ignored=True,
            success=True,
        )

    async def _issued(
        self, call: Call, user: User, channel: Channel, action: str, language: str
    ) -> Issued | None:
        """A new code in place of the one before, on its way; None when nothing carries this channel."""
        draft = CodeDraft(
            user=user,
            shape=Shape(switch(call.by, "token_length")),
            seconds=switch(call.by, "token_seconds"),
            purpose=_purpose(action),
            channels=(channel,),
            language=language,
            replaces=True,
        )
        try:
            issued = await self._domain.codes.issue(call.by, draft, call.now, ip=call.ip)
        except RefusedError as refused:
            if refused.code in {"no_route", "channel_not_allowed"}:
                return None
            raise
        call.note(
            user=user.tfa_id,
            destination=issued.destination and issued.destination.address,
            subject=issued.id,
            channel=channel,
            seconds=issued.seconds,
            tries=issued.tries,
        )
        if (what := _COUNTED.get(channel)) is not None:
            self._domain.usage.add(call.by.application.id, what, call.now)
        return issued


def _purpose(action: str) -> str:
    return f"authy {action}".rstrip()
