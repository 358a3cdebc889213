"""The neighbours of Afilnet's class ``otp``: what carries a code to a person, what became of it, and the balance.

    sms/sendsms · sms/sendsmsfromtemplate · voice/sendvoice · email/sendemail · whatsapp/sendmessage
                                                            {"messageid":"…","credits":"0.05"}
    {sms,voice,email}/getdeliverystatus   messages=id,id    [{"messageid","sms","deliverydate","deliverystatus"},…]
    user/getbalance                                         "10.00"

Whatever keeps a message from its way is ``NO_ROUTE_AVAILABLE``, a malformed number too: senders have no code for that.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from placet_server.domain import destinations
from placet_server.domain.destinations import Destination
from placet_server.domain.ids import is_id
from placet_server.domain.mail import MessageDraft, MessageStatus
from placet_server.domain.messages import LIFE_MS
from placet_server.domain.refusals import RefusedError
from placet_server.domain.services import Domain
from placet_server.domain.texts import Text, language
from placet_server.faces.afilnetparams import Sent
from placet_server.faces.afilnetreplies import Result, SaidError
from placet_server.faces.htmltext import words
from placet_server.faces.switches import switch
from placet_server.ports import Channel
from placet_server.web.gate import Call

STATUS: Final = ("messageid", "sms", "deliverydate", "deliverystatus")
ASKED_MAX: Final = 100

_TIME: Final = "%Y-%m-%d %H:%M:%S"
_UNIT: Final = 10_000
STATES: Final[dict[MessageStatus, str]] = {
    "queued": "PENDING",
    "sending": "PENDING",
    "sent": "SENT",
    "delivered": "DELIVERED",
    "undelivered": "UNDELIVERED",
    "failed": "FAILED",
    "expired": "EXPIRED",
}
_PLACE: Final = re.compile(r"[<{]\s*([^<>{}]{1,40}?)\s*[>}]")
_MARKUP: Final = re.compile(r"</?[a-zA-Z][^>]{0,1000}>")


async def sms(domain: Domain, sent: Sent, call: Call) -> Result:
    """Send a text message."""
    _needs(sent, "from", "to", "sms")
    return await _send(domain, sent, call, "sms", Text(sent.get("sms")), sender=sent.get("from"))


async def sms_from_template(domain: Domain, sent: Sent, call: Call) -> Result:
    """Send a text message whose text the credential holds; ``<name>`` and ``{name}`` take their values."""
    _needs(sent, "to", "idtemplate")
    template = call.by.settings.get("templates", {}).get(sent.get("idtemplate"))
    if template is None:
        raise SaidError("NOT_ACCESS_TO_TEMPLATE")
    values = dict(_pairs(sent.get("params")))
    text = _PLACE.sub(lambda place: values.get(place[1], place[0]), template)
    return await _send(domain, sent, call, "sms", Text(text))


async def voice(domain: Domain, sent: Sent, call: Call) -> Result:
    """Have a text spoken; one published client says ``language``, another ``lang``."""
    _needs(sent, "to", "message")
    spoken = sent.get("language") or sent.get("lang")
    return await _send(domain, sent, call, "voice", Text(sent.get("message")), spoken=spoken)


async def email(domain: Domain, sent: Sent, call: Call) -> Result:
    """Send an e-mail; what holds markup goes as HTML, with its text beside it."""
    _needs(sent, "subject", "to", "email")
    text = sent.get("email")
    html = text if _MARKUP.search(text) else None
    content = Text(text if html is None else words(html), subject=sent.get("subject"), html=html)
    return await _send(domain, sent, call, "email", content)


async def whatsapp(domain: Domain, sent: Sent, call: Call) -> Result:
    """Send a WhatsApp message; ``platformid`` named their account and is not needed here."""
    _needs(sent, "platformid", "destination", "message")
    return await _send(domain, sent, call, "whatsapp", Text(sent.get("message")), to="destination")


async def status(domain: Domain, sent: Sent, call: Call) -> Result:
    """What became of messages; unknown ids are left out, texts are not kept."""
    _needs(sent, "messages")
    found = []
    for wanted in sent.get("messages").split(",")[:ASKED_MAX]:
        if not is_id(message_id := wanted.strip().lower()):
            continue
        try:
            info = await domain.messages.get(call.by, message_id)
        except RefusedError:
            continue
        at = f"{datetime.fromtimestamp(info.updated_at // 1000, UTC):{_TIME}}"
        values = (info.id, "", at if info.status == "delivered" else "", STATES[info.status])
        found.append(dict(zip(STATUS, values, strict=True)))
    return found


async def balance(domain: Domain, sent: Sent, call: Call) -> Result:
    """What is left to spend, as a text with two decimals."""
    del sent
    left = await domain.credentials.balance(call.by)
    return switch(call.by, "unlimited_balance") if left is None else money(left)


def money(amount: int) -> str:
    """An amount in 1/10,000 with two decimals, more only where they are needed."""
    sign, amount = ("-", -amount) if amount < 0 else ("", amount)
    whole, rest = divmod(amount, _UNIT)
    return f"{sign}{whole}.{f'{rest:04}'.rstrip('0').ljust(2, '0')}"


async def _send(
    domain: Domain,
    sent: Sent,
    call: Call,
    channel: Channel,
    text: Text,
    *,
    to: str = "to",
    sender: str | None = None,
    spoken: str = "",
) -> Result:
    at = _scheduled(sent.get("scheduledatetime"), call.now)
    draft = MessageDraft(
        to=_recipient(sent, to, channel),
        channels=(channel,),
        texts={channel: text},
        sender=sender,
        language=language(spoken, call.by.application.policies.code_language),
        send_at=at,
        expires_at=(at or call.now) + LIFE_MS,
    )
    info = await domain.messages.send(call.by, draft, call.now, ip=call.ip)
    call.note(destination=draft.to.address, subject=info.id, channel=channel)
    return {"messageid": info.id, "credits": money(call.by.price or 0)}


def _needs(sent: Sent, *names: str) -> None:
    if not all(sent.get(name) for name in names):
        raise SaidError("MISSING_COMPULSORY_PARAM")


def _recipient(sent: Sent, name: str, channel: Channel) -> Destination:
    if name in sent.conflicts:
        raise SaidError("NO_ROUTE_AVAILABLE")
    text = sent.get(name)
    try:
        return destinations.email(text) if channel == "email" else destinations.phone(text)
    except RefusedError:
        raise SaidError("NO_ROUTE_AVAILABLE") from None


def _scheduled(text: str, now: int) -> int | None:
    """When to send, in ms UTC; None for at once. A time that cannot be read is refused: it must not go out now."""
    if not text:
        return None
    try:
        at = int(datetime.strptime(text, _TIME).replace(tzinfo=UTC).timestamp()) * 1000
    except ValueError:
        raise SaidError("INCORRECT_FORMAT") from None
    return at if at > now else None


def _pairs(text: str) -> list[tuple[str, str]]:
    pairs = (item.partition(":") for item in text.split(","))
    return [(name.strip(), value.strip()) for name, colon, value in pairs if colon]
