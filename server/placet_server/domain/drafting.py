"""From a code as it is asked for to what is written: within policy, bound to everything, with its message."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Final

import msgspec
from msgspec import Struct, structs

from placet_protocol.errors import TextError
from placet_protocol.text import clean
from placet_server.domain import codekeys, texts
from placet_server.domain.destinations import Destination, of_user
from placet_server.domain.guard import Guard
from placet_server.domain.mail import MessageDraft, reaches
from placet_server.domain.messagerows import owner
from placet_server.domain.messages import NOTHING, Messages, Prepared
from placet_server.domain.onecode import CodeDraft, Kept
from placet_server.domain.refusals import RefusedError
from placet_server.domain.shapes import LENGTH_MAX, LENGTH_MIN, Shape
from placet_server.domain.users import Users
from placet_server.domain.values import Caller, User, UserRef
from placet_server.domain.verified import VerifiedNumbers
from placet_server.ports import Channel, Sealer, Sql, Step, step

_INTO: Final = (
    "INSERT INTO codes (id, application, owner, user_id, lookup, subject, prefix, purpose, ip, status, mac, key, tries,"
    " tries_left, expires_at, erase_at, message, sealed)"
)
_VALUES: Final = "?, ?, ?, ?, ?, ?, ?, ?, ?, 'live', ?, ?, ?, ?, ?, ?, ?, ?"
_ADD: Final = Sql("code_add", f"{_INTO} VALUES ({_VALUES})")
_ADD_ALONE: Final = Sql(
    "code_add_alone",
    f"{_INTO} SELECT {_VALUES} WHERE NOT EXISTS (SELECT 1 FROM codes"  # noqa: S608 - constant text
    " WHERE lookup = ? AND owner = ? AND purpose = ? AND status = 'live' AND expires_at > ?)",
)

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Kept).decode


class Wish(Struct, frozen=True, gc=False):
    """A code with everything decided: what it is, for whom it is found and counted, what it is bound to."""

    kept: Kept
    user_id: str | None
    lookup: bytes
    subject: bytes
    purpose: bytes
    ip: bytes | None
    tries: int
    left: int


class Drafting:
    """Decides what a draft leaves open, and makes the rows."""

    def __init__(
        self, sealer: Sealer, users: Users, guard: Guard, messages: Messages, verified: VerifiedNumbers
    ) -> None:
        self._sealer = sealer
        self._purpose = lru_cache(256)(partial(codekeys.of_purpose, sealer))  # applications have few
        self._users = users
        self._guard = guard
        self._messages = messages
        self._verified = verified

    async def wish(self, caller: Caller, draft: CodeDraft, code_id: str) -> Wish:
        """A draft within policy; raises as ``Codes.issue``."""
        policies = caller.application.policies
        destination, other = draft.destination, None
        channels = draft.channels
        if destination is None:
            destination, other = await self._of_user(draft)
        if channels:
            if destination is None:
                raise RefusedError("invalid_destination", "There is nothing that the channel reaches.")
            destination, other, channels = await self._reached(caller, draft, destination, other)
        shape = draft.shape or Shape(policies.code_length)
        length = max(policies.code_min_length, min(shape.length, LENGTH_MAX))
        tries = max(1, min(draft.tries or policies.code_tries, policies.code_max_tries))
        kept = Kept(
            kind=None if destination is None else destination.kind,
            address="" if destination is None else destination.address,
            purpose=draft.purpose,
            channels=channels,
            shape=shape if shape.length == length else structs.replace(shape, length=length),
            seconds=max(1, min(draft.seconds or policies.code_seconds, policies.code_max_seconds)),
            text=_clean("text", draft.text, newline=True),
            subject=_clean("subject", draft.subject),
            sender=_clean("sender", draft.sender) or policies.code_sender or None,
            language=texts.language(draft.language or policies.code_language, policies.code_language),
            gender=draft.gender,
            other_address="" if other is None else other.address,
        )
        user_id = None if draft.user is None else draft.user.id
        ip = codekeys.of_ip(self._sealer, draft.ip)
        return self.bound(caller, kept, user_id, code_id, ip=ip, tries=tries, left=tries)

    def bound(
        self,
        caller: Caller,
        kept: Kept,
        user_id: str | None,
        code_id: str,
        *,
        ip: bytes | None,
        tries: int,
        left: int,
    ) -> Wish:
        """What a code is found, counted and bound by; who is neither a user nor reached is the code itself."""
        subject = lookup = None
        if (destination := kept.destination) is not None:
            subject = lookup = codekeys.of_destination(self._sealer, caller.org, destination)
        if (user := _ref(caller.org, user_id)) is not None:
            lookup = codekeys.of_user(self._sealer, user)
        lookup = lookup or codekeys.of_code(self._sealer, code_id)
        purpose = self._purpose(kept.purpose)
        return Wish(kept, user_id, lookup, subject or lookup, purpose, ip, tries, left)

    async def again(self, caller: Caller, kept: Kept, user_id: str | None) -> Kept:
        """What is kept of a code, by those of its channels that still may and can; raises as ``Codes.issue``."""
        if kept.destination is None or not kept.channels:
            return kept
        asked = CodeDraft(channels=kept.channels, user=_ref(caller.org, user_id))
        to, other, channels = await self._reached(caller, asked, kept.destination, kept.other)
        other_address = "" if other is None else other.address
        return structs.replace(
            kept, kind=to.kind, address=to.address, channels=channels, other_address=other_address
        )

    def message(
        self, caller: Caller, kept: Kept, value: str, code_id: str, expires_at: int, now: int, ip: str
    ) -> Prepared:
        """The message that carries a code, or nothing when it goes by no channel."""
        destination = kept.destination
        if not kept.channels or destination is None:
            return NOTHING
        application = caller.application
        draft = MessageDraft(
            to=destination,
            channels=kept.channels,
            texts=texts.code_texts(
                kept.channels,
                texts.Facts(value, application.name, now, expires_at),
                tag=kept.language,
                template=kept.text,
                subject=kept.subject,
                origin=application.policies.code_origin,
            ),
            expires_at=expires_at,
            kind="code",
            sender=kept.sender,
            language=kept.language,
            gender=kept.gender,
            code=value,
            other=kept.other,
        )
        return self._messages.prepare(caller, draft, now, ip=ip, code_id=code_id)

    def row(
        self,
        caller: Caller,
        code_id: str,
        wish: Wish,
        value: str,
        expires_at: int,
        prepared: Prepared,
        *,
        alone_at: int | None = None,
    ) -> Step:
        """The row of a code that this message carries; with ``alone_at`` (ms) only if none counts at that time."""
        kept, application = wish.kept, caller.application
        # Where codes to a block of numbers are counted, right answers are counted, too.
        prefix = next((taken.subject for taken in prepared.taken if taken.kind == "prefix"), None)
        alone = () if alone_at is None else (wish.lookup, owner(caller), wish.purpose, alone_at)
        return step(
            _ADD_ALONE if alone else _ADD,
            code_id,
            application.id,
            owner(caller),
            wish.user_id,
            wish.lookup,
            wish.subject,
            prefix,
            wish.purpose,
            wish.ip,
            codekeys.mac(
                self._sealer, codekeys.VERSION, code_id, caller.org, wish.lookup, wish.purpose, value
            ),
            codekeys.VERSION,
            wish.tries,
            wish.left,
            expires_at,
            expires_at,
            prepared.id,
            self._sealer.seal("pii", "codes", code_id, _encode(kept)),
            *alone,
        )

    async def _is_factor(self, caller: Caller, draft: CodeDraft, destination: Destination) -> None:
        """Raise ``channel_not_allowed`` for a user's number that has to be verified before codes go there."""
        must = caller.application.policies.code_verified_numbers
        if draft.user is None or destination.kind != "phone" or not must:
            return
        if not await self._verified.has(caller.org, destination):
            raise RefusedError(
                "channel_not_allowed",
                "This user's number was never verified: code.verified_numbers asks for a phone verification first.",
            )

    async def _of_user(self, draft: CodeDraft) -> tuple[Destination | None, Destination | None]:
        """Where the first channel goes, and the user's other handle where another channel needs it."""
        if draft.user is None:
            return None, None
        user = draft.user if isinstance(draft.user, User) else await self._users.by_id(draft.user.id)
        number, address = of_user(user, "phone"), of_user(user, "email")
        if draft.channels[:1] == ("email",):
            number, address = address, number
        needed = address is not None and any(reaches(channel, address) for channel in draft.channels)
        second = address if needed else None
        return (second, None) if number is None else (number, second)

    async def _reached(
        self, caller: Caller, draft: CodeDraft, destination: Destination, other: Destination | None
    ) -> tuple[Destination, Destination | None, tuple[Channel, ...]]:
        """Where the channels go that may and can; the refusal of the first destination when none does."""
        if other is None:
            channels = self._guard.channels(caller, destination, draft.channels)
            await self._is_factor(caller, draft, destination)
            return destination, None, channels
        good: dict[Destination, tuple[Channel, ...]] = {}
        refused: list[RefusedError] = []
        for each in (destination, other):
            try:
                good[each] = self._guard.channels(caller, each, draft.channels)
                await self._is_factor(caller, draft, each)
            except RefusedError as error:
                good.pop(each, None)
                refused.append(error)
        if not good:
            raise refused[0]
        carrying = {channel for channels in good.values() for channel in channels}
        first, *rest = good
        return first, rest[0] if rest else None, tuple(c for c in draft.channels if c in carrying)


def opened(sealer: Sealer, code_id: str, sealed: bytes) -> Kept:
    """What is sealed of a code."""
    return _decode(sealer.open("pii", "codes", code_id, sealed))


def own(value: str) -> str:
    """A code of the caller's own; raises ``invalid_request``."""
    good = LENGTH_MIN <= len(value) <= LENGTH_MAX and value.isascii() and value.isprintable()
    if not good or " " in value:
        raise RefusedError(
            "invalid_request", f"A code has {LENGTH_MIN} to {LENGTH_MAX} visible ASCII characters."
        )
    return value


def _ref(org: str, user_id: str | None) -> UserRef | None:
    """A user as codes name them."""
    return None if user_id is None else UserRef(user_id, org, 0, 0, False)


def _clean(name: str, text: str | None, *, newline: bool = False) -> str | None:
    if text is None:
        return None
    try:
        return clean(text.replace("\r\n", "\n") if newline else text, newline=newline)
    except TextError as error:
        raise RefusedError("invalid_text", f"{name}: {error.detail}") from None
