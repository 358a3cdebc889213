"""Does this person answer this number? A code to a telephone number without a user.

While a verification counts, asking again sends the same code again: who is asked twice may answer either message.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from msgspec import structs

from placet_server.domain.codes import (
    INNER,
    Checked,
    CodeDraft,
    CodeInfo,
    Codes,
    ExtraGuard,
    Issued,
    LiveError,
)
from placet_server.domain.destinations import Destination
from placet_server.domain.mail import Gender
from placet_server.domain.refusals import RefusedError
from placet_server.domain.shapes import Shape
from placet_server.domain.values import Caller
from placet_server.domain.verified import PURPOSE
from placet_server.ports import Channel, PhoneBook, PhoneInfo, Step

_LAPS: Final = 3
VerificationStatus = Literal["pending", "verified", "expired"]


class Started(NamedTuple):
    """A verification under way; ``repeated`` when the code of an earlier call was sent again.

    ``code`` is for who must hand it out; ``info`` is what the number's range tells.
    """

    id: str
    code: str
    expires_at: int
    seconds_left: int
    message_id: str | None
    repeated: bool
    info: PhoneInfo


class VerificationInfo(NamedTuple):
    """How a verification stands; ``destination`` is masked, ``left`` are tries, ``info`` is of the number's range."""

    id: str
    status: VerificationStatus
    seconds_left: int
    destination: str
    left: int
    channels: tuple[Channel, ...]
    info: PhoneInfo


class PhoneVerifications:
    """Verifications of telephone numbers."""

    def __init__(self, codes: Codes, book: PhoneBook) -> None:
        self._codes = codes
        self._book = book

    def info(self, destination: Destination) -> PhoneInfo:
        """Type and carrier of a number by its range."""
        return self._book.info(destination.dialled)

    async def start(
        self,
        caller: Caller,
        destination: Destination,
        now: int,
        *,
        channel: Channel = "sms",
        shape: Shape | None = None,
        value: str | None = None,
        seconds: int | None = None,
        text: str | None = None,
        sender: str | None = None,
        language: str | None = None,
        gender: Gender = "female",
        ip: str = "",
        extra_guard: Callable[[Started], Step] | None = None,
    ) -> Started:
        """Send a code to a number; the same one again while it counts, unless ``value`` gives another.

        ``gender`` is that of a call's voice, ``extra_guard`` gives a further guard of the plan for the answer. Raises ``invalid_destination`` for what is no number, and what ``Codes.issue`` raises.
        """
        if destination.kind != "phone":
            raise RefusedError("invalid_destination", "Only telephone numbers are verified here.")
        info = self.info(destination)
        draft = CodeDraft(
            destination=destination,
            shape=shape,
            value=value,
            seconds=seconds,
            purpose=PURPOSE,
            channels=(channel,),
            text=text,
            sender=sender,
            language=language,
            gender=gender,
        )
        again = None if extra_guard is None else _guarded(extra_guard, info, now, repeated=True)
        first = None if extra_guard is None else _guarded(extra_guard, info, now, repeated=False)
        for _ in range(_LAPS if value is None else 0):
            issued = await self._repeated(caller, destination, channel, now, ip, again)
            if issued is not None:
                return _started(issued, info, now, repeated=True)
            try:
                issued = await self._codes.issue(
                    caller, draft, now, ip=ip, extra_guard=first, repeatable=True, alone=True
                )
            except LiveError:  # of calls at once another was faster: its code is this one's, too
                continue
            return _started(issued, info, now, repeated=False)
        draft = structs.replace(draft, replaces=True)
        issued = await self._codes.issue(caller, draft, now, ip=ip, extra_guard=first, repeatable=True)
        return _started(issued, info, now, repeated=False)

    async def check(
        self,
        caller: Caller,
        destination: Destination | None,
        value: str,
        now: int,
        *,
        id: str | None = None,  # noqa: A002 - the word of the wire
    ) -> Checked:
        """Whether this is the code that went to the number, or of the verification of this id; a try, counted."""
        return await self._codes.check(
            caller, value, now, code_id=id, destination=destination, purpose=PURPOSE
        )

    async def status(
        self,
        caller: Caller,
        now: int,
        *,
        id: str | None = None,  # noqa: A002 - as above
        destination: Destination | None = None,
    ) -> VerificationInfo:
        """The verification of this id, or the newest of a number; raises ``not_found``."""
        if id is not None:
            found: CodeInfo | None = await self._codes.get(caller, id, now)
        else:
            found = await self._codes.newest(caller, now, destination=destination, purpose=PURPOSE)
        if found is None or found.purpose != PURPOSE.removeprefix(INNER):
            raise RefusedError("not_found", "There is no such verification.")
        to = destination or await self._codes.destination(caller, found.id)
        if to is None or to.kind != "phone":
            raise RefusedError("not_found", "There is no such verification.")
        states: dict[str, VerificationStatus] = {"live": "pending", "matched": "verified"}
        return VerificationInfo(
            found.id,
            states.get(found.status, "expired"),
            _left(found.expires_at, now) if found.status == "live" else 0,
            found.destination,
            found.left,
            found.channels,
            self.info(to),
        )

    async def _repeated(
        self,
        caller: Caller,
        destination: Destination,
        channel: Channel,
        now: int,
        ip: str,
        extra_guard: ExtraGuard,
    ) -> Issued | None:
        """The code that still counts, sent again; None when there is none."""
        found = await self._codes.newest(caller, now, destination=destination, purpose=PURPOSE)
        if found is None or found.status != "live":
            return None
        try:
            return await self._codes.repeat(
                caller, found.id, now, channels=(channel,), ip=ip, extra_guard=extra_guard
            )
        except RefusedError as error:
            if error.code == "not_pending":  # it ended in this moment
                return None
            raise


def _started(issued: Issued, info: PhoneInfo, now: int, *, repeated: bool) -> Started:
    return Started(
        issued.id,
        issued.value,
        issued.expires_at,
        _left(issued.expires_at, now),
        issued.message_id,
        repeated,
        info,
    )


def _guarded(
    guard: Callable[[Started], Step], info: PhoneInfo, now: int, *, repeated: bool
) -> Callable[[Issued], Step]:
    return lambda issued: guard(_started(issued, info, now, repeated=repeated))


def _left(expires_at: int, now: int) -> int:
    return max(0, -(-(expires_at - now) // 1000))
