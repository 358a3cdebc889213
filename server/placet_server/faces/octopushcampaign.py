"""What stands beside Octopush's codes: plain text messages, balance and credits.

POST sms-campaign/send       {"recipients":[{"phone_number":…}],"text":…,"sender":…,"send_at":…}
GET  wallet/check-balance    {"amount":9.95,"unit":"euros"}
GET  wallet/check-credits    country_codes[]=FR    {"FR":{"premium_sms":199,"vocal_sms":199,"low_cost_sms":199,"hlr":0}}

Quirks: a good campaign is 201, because one client insists on it. All recipients get their message or, where one of them
is refused, none does. ``simulation_mode`` sends and charges nothing; a ``request_id`` that was used within 24 hours gets
the first answer again. ``send_at`` without a zone is UTC; one that is past sends at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from aiohttp import web

from placet_server.domain.idempotency import Kept
from placet_server.domain.mail import MessageDraft, MessageInfo
from placet_server.domain.messages import LIFE_MS
from placet_server.domain.messagetexts import AHEAD_MS
from placet_server.domain.refusals import RefusedError
from placet_server.domain.services import Domain
from placet_server.domain.texts import Text
from placet_server.faces import octopushwords as words
from placet_server.faces import params
from placet_server.faces.octopushreplies import (
    BAD_TIME,
    NO_PHONE,
    NO_TEXT,
    SUCCESS,
    TOO_LONG,
    answer,
    plain,
)
from placet_server.faces.rack import as_list
from placet_server.faces.switches import switch
from placet_server.ports import Step
from placet_server.web.gate import Call

RECIPIENTS_MAX: Final = 100
_UNIT: Final = 10_000
"""Amounts are counted in ten thousandths."""
_COUNTRIES_MAX: Final = 250
_GOOD: Final = SUCCESS._replace(status=201)


class Campaigns:
    """Sends plain messages and tells what is left to spend."""

    def __init__(self, domain: Domain) -> None:
        self._domain = domain

    async def send(self, request: web.Request, call: Call) -> web.Response:
        """One text to some people."""
        sent = await params.read(request, single=words.SINGLE)
        recipients = as_list(sent.get("recipients"))
        text = words.plain(sent.get("text"))
        if not recipients:
            return answer(call, NO_PHONE)
        if len(recipients) > RECIPIENTS_MAX:
            return answer(call, TOO_LONG)
        numbers = dict.fromkeys(
            words.number(item.get("phone_number") if isinstance(item, dict) else item) for item in recipients
        )
        if not text.strip():
            return answer(call, NO_TEXT)
        begins = _time(sent.get("send_at"), call.now)
        if begins is None:
            return answer(call, BAD_TIME)
        sender = words.sender(sent.get("sender"), switch(call.by, "sender"))
        drafts = [
            MessageDraft(
                to=to,
                channels=("sms",),
                texts={"sms": Text(text)},
                expires_at=begins + LIFE_MS,
                sender=sender,
                send_at=begins if begins > call.now else None,
            )
            for to in numbers
        ]
        simulated = words.truth(sent.get("simulation_mode"), default=False)
        call.note(destination=drafts[0].to.address, recipients=len(drafts), simulated=simulated)
        return await self._taken(call, drafts, words.text(sent.get("request_id"))[:255], simulated=simulated)

    async def _taken(
        self, call: Call, drafts: list[MessageDraft], request_id: str, *, simulated: bool
    ) -> web.Response:
        """The answer to a campaign that is taken now, or was under the same ``request_id``."""
        price = (call.by.price or 0) * len(drafts)
        left = await self._domain.credentials.balance(call.by)

        def told(ticket: str) -> dict[str, Any]:
            after = left if left is None or simulated else left - price
            return {
                "sms_ticket": words.ticket("sms", ticket),
                "number_of_contacts": len(drafts),
                "total_cost": price / _UNIT,
                "number_of_sms_needed": len(drafts),
                "residual_credit": self._amount(call, after) / _UNIT,
            }

        if simulated:
            for draft in drafts:
                self._domain.guard.channels(call.by, draft.to, draft.channels)
            if left is not None and left <= 0:
                raise RefusedError("no_credit", "The balance of this credential is used up.")
            return answer(call, _GOOD, **told(call.id))
        if not request_id:
            infos = await self._domain.messages.send_all(call.by, drafts, call.now, ip=call.ip)
            call.note(subject=infos[0].id)
            return answer(call, _GOOD, **told(infos[0].id))
        return answer(call, _GOOD, **await self._once(call, drafts, request_id, told))

    async def _once(
        self, call: Call, drafts: list[MessageDraft], request_id: str, told: Callable[[str], dict[str, Any]]
    ) -> dict[str, Any]:
        """What is told of the campaign under this id, sent now unless it was; raises ``idempotency_conflict``."""
        kept, by = self._domain.idempotency, call.by
        key = hashlib.sha256(f"octopush {by.credential} {request_id}".encode("utf-8", "replace")).hexdigest()
        same = _fingerprint(drafts)

        def keep(infos: tuple[MessageInfo, ...]) -> Step:
            body = msgspec.json.encode(told(infos[0].id))
            return kept.guard(by, key, same, Kept(_GOOD.status, body), call.now)

        known = await kept.replay(by, key, same, call.now)
        if known is None:
            try:
                infos = await self._domain.messages.send_all(
                    by, drafts, call.now, ip=call.ip, extra_guard=keep
                )
            except RefusedError as refused:
                # The same call came twice at once: the answer of the faster one is this one's, too.
                if refused.code != "idempotency_conflict":
                    raise
                known = await kept.replay(by, key, same, call.now)
                if known is None:
                    raise
            else:
                call.note(subject=infos[0].id)
                return told(infos[0].id)
        call.note(repeated=True)
        return msgspec.json.decode(known.body, type=dict[str, Any])

    async def balance(self, _request: web.Request, call: Call) -> web.Response:
        """What is left to spend."""
        left = await self._domain.credentials.balance(call.by)
        return plain({"amount": self._amount(call, left) / _UNIT, "unit": switch(call.by, "unit")})

    async def credits(self, request: web.Request, call: Call) -> web.Response:
        """How many messages that is, by country; prices are the same everywhere."""
        left = self._amount(call, await self._domain.credentials.balance(call.by))
        count = max(0, left // (call.by.price or _UNIT))
        voice = 0 if call.by.settings.get("no_voice") else count
        return plain(
            {
                code: {"premium_sms": count, "vocal_sms": voice, "low_cost_sms": count, "hlr": 0}
                for code in _countries((await params.read(request, single=words.SINGLE)).get("country_codes"))
            }
        )

    @staticmethod
    def _amount(call: Call, left: int | None) -> int:
        unlimited: int = switch(call.by, "unlimited_balance") * _UNIT
        return unlimited if left is None else left


def _countries(asked: object) -> list[str]:
    """Two letters each, however the list was written; France unless something else is asked."""
    listed = asked.split(",") if isinstance(asked, str) else as_list(asked)
    named = [words.text(each).upper() for each in listed]
    return [code for code in named if len(code) == 2 and code.isascii() and code.isalpha()][
        :_COUNTRIES_MAX
    ] or ["FR"]


def _time(value: object, now: int) -> int | None:
    """When to begin in ms UTC; now unless told otherwise or told the past, None for what is no time."""
    written = words.text(value)
    if not written:
        return now
    try:
        at = datetime.fromisoformat(written)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
        begins = int(at.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
    return max(now, begins) if begins <= now + AHEAD_MS else None


def _fingerprint(drafts: list[MessageDraft]) -> bytes:
    """What is the same when a campaign is sent again: people, text and sender."""
    what = [(draft.to.address, draft.texts["sms"].text, draft.sender) for draft in drafts]
    return hashlib.sha256(msgspec.json.encode(what)).digest()
