"""``/v1/messages``: plain texts on a channel, and what became of every message of the application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Final

from aiohttp import web
from msgspec import Meta, Struct

from placet_server.domain import destinations
from placet_server.domain.destinations import Destination
from placet_server.domain.mail import MessageDraft, MessageInfo, MessageKind, MessageStatus
from placet_server.domain.messages import LIFE_MS
from placet_server.domain.onecode import RESTRICTED
from placet_server.domain.refusals import RefusedError
from placet_server.domain.services import Domain
from placet_server.domain.texts import Text
from placet_server.domain.values import User
from placet_server.faces import Face
from placet_server.ports import Channel, Step
from placet_server.web.gate import Call, Doc, Gate
from placet_server.web.native_codeforms import (
    SENDING,
    SUBJECT_MAX,
    TEXT_MAX,
    Channels,
    Gender,
    Language,
    Sender,
    Subject,
    one_order,
    sender_of,
)
from placet_server.web.native_recipients import RecipientBody
from placet_server.web.once import HEADER, Once
from placet_server.web.wire import UUID, After, Limit, json_body, milliseconds, query, reply, rfc3339, shown

LIFE_MAX: Final = 30 * 86_400


class MessageBody(RecipientBody, forbid_unknown_fields=True, kw_only=True):
    """A text for one person; a code belongs into ``/v1/codes``.

    It is tried for ``seconds_to_expire`` (a day unless told otherwise) from ``send_at`` (now) on.
    """

    channel: Channel | None = None
    channels: Channels | None = None
    text: Annotated[str, Meta(min_length=1, max_length=TEXT_MAX)]
    subject: Subject | None = None
    sender: Sender | None = None
    language: Language | None = None
    gender: Gender = "female"
    send_at: Annotated[datetime, Meta(tz=True)] | None = None
    seconds_to_expire: Annotated[int, Meta(ge=60, le=LIFE_MAX)] | None = None


class MessageAnswer(Struct, omit_defaults=True):
    """How a message stands, without its text.

    ``channel`` is the one that took it, ``parts`` how many text messages it makes, ``attempts`` how often a gateway was
    tried. ``sent`` means that a gateway took it, ``delivered`` that the network reported so.
    """

    id: str
    kind: MessageKind
    status: MessageStatus
    to: str
    channels: tuple[Channel, ...]
    restricted: bool
    created_at: str
    updated_at: str
    expires_at: str
    parts: int
    attempts: int
    channel: Channel | None = None
    gateway: str | None = None
    code_id: str | None = None


class MessagesQuery(Struct, forbid_unknown_fields=True):
    """Which page of messages."""

    limit: Limit = 50
    after: After | None = None


class MessagesPage(Struct):
    """A page of messages, newest first; ``next`` goes into ``after``, null at the end."""

    items: list[MessageAnswer]
    next: str | None


class MessageRoutes:
    """The routes of messages."""

    def __init__(self, domain: Domain) -> None:
        self._users = domain.users
        self._messages = domain.messages
        self._once = Once(domain.idempotency)

    async def send(self, request: web.Request, call: Call) -> web.Response:
        """Take a text for somebody."""
        wanted = await json_body(request, MessageBody)
        by = call.by
        channels = one_order(wanted.channel, wanted.channels)
        to = wanted.destination()
        if to is None:
            assert wanted.tfa_id is not None
            user = await self._users.by_tfa_id(by.org, wanted.tfa_id)
            to = _reached(user, channels)
        text = Text(
            shown("text", wanted.text, TEXT_MAX, newline=True),
            by.application.name if wanted.subject is None else shown("subject", wanted.subject, SUBJECT_MAX),
        )
        order = channels or (("email",) if to.kind == "email" else ("sms",))
        begins = call.now if wanted.send_at is None else milliseconds(wanted.send_at)
        life = LIFE_MS if wanted.seconds_to_expire is None else wanted.seconds_to_expire * 1000
        draft = MessageDraft(
            to=to,
            channels=order,
            texts=dict.fromkeys(order, text),
            expires_at=begins + life,
            sender=sender_of(wanted.sender, order),
            language=wanted.language or by.application.policies.code_language,
            gender=wanted.gender,
            send_at=None if wanted.send_at is None else begins,
        )

        def make(keep: Callable[[MessageInfo], Step] | None) -> Awaitable[MessageInfo]:
            return self._messages.send(by, draft, call.now, extra_guard=keep)

        async def shown_once(made: MessageInfo) -> MessageAnswer:
            return _answer(made)

        return await self._once.answer(request, call, wanted, make, _answer, shown_once)

    async def get(self, request: web.Request, call: Call) -> web.Response:
        """How a message stands."""
        return reply(200, _answer(await self._messages.get(call.by, request.match_info["id"])))

    async def listing(self, request: web.Request, call: Call) -> web.Response:
        """A page of messages."""
        wanted = query(request, MessagesQuery)
        page = await self._messages.page(call.by, after=wanted.after, limit=wanted.limit)
        return reply(200, MessagesPage([_answer(each) for each in page.items], page.next))


def mount(gate: Gate, router: web.UrlDispatcher, face: Face, domain: Domain) -> None:
    """Add the routes of messages."""
    routes = MessageRoutes(domain)
    gate.add(
        router,
        "POST",
        "/v1/messages",
        routes.send,
        face=face,
        scope="codes",
        doc=Doc(
            "Send a plain text by a channel",
            MessageAnswer,
            201,
            body=MessageBody,
            refusals=("user_not_found", *SENDING, "idempotency_conflict"),
            headers=(HEADER,),
        ),
    )
    gate.add(
        router,
        "GET",
        "/v1/messages",
        routes.listing,
        face=face,
        scope="codes",
        doc=Doc(
            "List messages of this application, those of codes as well", MessagesPage, query=MessagesQuery
        ),
    )
    gate.add(
        router,
        "GET",
        f"/v1/messages/{UUID}",
        routes.get,
        face=face,
        scope="codes",
        doc=Doc("How a message stands", MessageAnswer, refusals=("not_found",)),
    )


def _reached(user: User, channels: tuple[Channel, ...]) -> Destination:
    """The number or address of a user that the first channel needs which reaches them at all."""
    for channel in channels or ("sms", "email"):
        to = destinations.of_user(user, "email" if channel == "email" else "phone")
        if to is not None:
            return to
    raise RefusedError("channel_not_allowed", "No channel of this message reaches this user.")


def _answer(message: MessageInfo) -> MessageAnswer:
    return MessageAnswer(
        message.id,
        message.kind,
        message.status,
        message.to,
        message.channels,
        not RESTRICTED.isdisjoint(message.channels),
        rfc3339(message.created_at),
        rfc3339(message.updated_at),
        rfc3339(message.expires_at),
        message.parts,
        message.attempts,
        message.channel,
        message.gateway,
        message.code_id,
    )
