"""What every gateway gets, whoever wrote it: a deadline, bounded concurrency, checked input, clean reasons, counters."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterable, Sequence
from typing import Final, get_args

from msgspec import Struct, structs

from placet_server.plugin import (
    Carried,
    ExchangeError,
    Gateway,
    LocalGateway,
    Outcome,
    Outgoing,
    Report,
    ReportedState,
    ReportReader,
)
from placet_server.ports import Channel

log: Final = logging.getLogger("placet")

TIMEOUT: Final = 8.0
TIMEOUT_MAX: Final = 9.5
"""Longest deadline in seconds: the next gateway has its turn within ten."""
AT_ONCE: Final = 32
REASON_MAX: Final = 200
_REFERENCE_MAX: Final = 128
_PHONE: Final = re.compile(r"\+[1-9][0-9]{4,14}", re.ASCII)
_EMAIL: Final = re.compile(
    r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*@[a-z0-9-]+(\.[a-z0-9-]+)+",
    re.ASCII | re.IGNORECASE,
)
# C0 without the line feed, DEL, C1, and halves of surrogate pairs: no channel carries them, and some end a field.
_CONTROL: Final = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_OUTCOMES: Final = get_args(Outcome)
_SHORTEST_SECRET: Final = 4
_SLACK: Final = 0.4
"""Seconds behind the deadline that a gateway has to clean up, before its clean-up is ended, too."""
_PATIENCE: Final = 3
_REST: Final = 30.0


class Counts(Struct):
    """What became of the messages that one gateway was given since the start of the process."""

    accepted: int = 0
    refused: int = 0
    later: int = 0
    timeouts: int = 0
    in_flight: int = 0
    last_reason: str = ""


class Carrier:
    """One configured gateway as the rest of the server sees it.

    ``timeout`` (s) covers the wait for one of the ``at_once`` places and the exchange itself; ``channels`` narrows what
    the gateway could carry; ``secrets`` are words that no reason may hold.
    """

    def __init__(
        self,
        gateway: Gateway,
        *,
        kind: str = "",
        timeout: float = TIMEOUT,
        at_once: int = AT_ONCE,
        channels: frozenset[Channel] | None = None,
        secrets: Iterable[str] = (),
    ) -> None:
        self.name: Final = gateway.name
        self.kind: Final = kind or type(gateway).__name__
        self.channels: Final = gateway.channels if channels is None else gateway.channels & channels
        self.counts: Final = Counts()
        self._gateway: Final = gateway
        self._local: Final = gateway if isinstance(gateway, LocalGateway) and gateway.local is True else None
        self.deadline: Final = timeout
        self._places: Final = asyncio.Semaphore(at_once)
        self._secrets: Final = tuple(secrets)
        self._unanswered = 0
        self._rests_until = 0.0  # by the loop's clock

    async def send(self, message: Outgoing) -> Carried:
        """One attempt, over within the deadline; never raises for what the gateway does.

        What is no address, or holds control characters, is refused here and reaches no gateway. An attempt that did not
        end is ``later``: the message may have left.
        """
        message = _with_plain_lines(message)
        if (fault := self._objection(message)) is not None:
            return self._told(Carried("refused", reason=fault), message)
        self.counts.in_flight += 1
        try:
            carried = await self._carried(message)
        finally:
            self.counts.in_flight -= 1
        return self._told(carried, message)

    @property
    def is_local(self) -> bool:
        """Whether it waits for nobody, so that ``take`` can be asked."""
        return self._local is not None

    def take(self, messages: Sequence[Outgoing]) -> list[Carried]:
        """As ``send``, for several messages at once and without waiting; for a local gateway."""
        plain = [_with_plain_lines(message) for message in messages]
        faults = [self._objection(message) for message in plain]
        good = [message for message, fault in zip(plain, faults, strict=True) if fault is None]
        taken = iter(self._taken(good))
        said = [next(taken) if fault is None else Carried("refused", reason=fault) for fault in faults]
        return [self._told(carried, message) for carried, message in zip(said, plain, strict=True)]

    @property
    def resting(self) -> bool:
        """Whether it left the last messages without an answer, so that others should have the first try."""
        return self._unanswered >= _PATIENCE and asyncio.get_running_loop().time() < self._rests_until

    def read_report(self, report: Report) -> ReportedState | None:
        """What a call to a report URL says by this gateway's reading; None when it says nothing."""
        if not isinstance(reader := self._gateway, ReportReader):
            return None
        try:
            return reader.read_report(report)
        except Exception as error:  # noqa: BLE001 - a stranger's bytes in a stranger's code
            log.warning("report_not_read", extra=_facts(gateway=self.name, error=type(error).__name__))
            return None

    async def close(self) -> None:
        """Let the gateway go."""
        await self._gateway.close()

    def _objection(self, message: Outgoing) -> str | None:
        """Why a message must not reach this gateway; None when it may."""
        if message.channel not in self.channels:
            return f"{self.name} does not carry {message.channel}"
        return objection(message)

    async def _carried(self, message: Outgoing) -> Carried:
        handed = False
        try:
            async with (
                asyncio.timeout(self.deadline + _SLACK),
                asyncio.timeout(self.deadline),
                self._places,
            ):
                handed = True
                return await self._gateway.send(message)
        except TimeoutError:
            self.counts.timeouts += 1
            missing = "answer" if handed else "place free"
            return Carried("later", reason=f"no {missing} within {self.deadline:g} s", unsure=handed)
        except ExchangeError as error:
            return Carried("later", reason=str(error), unsure=error.unsure)
        except Exception as error:  # noqa: BLE001 - a plug-in's defect must not end the delivery
            return _failed(error)

    def _taken(self, messages: Sequence[Outgoing]) -> Sequence[Carried]:
        """What the gateway says of messages that may reach it."""
        assert self._local is not None
        try:
            said = self._local.take(messages)
            if len(said) == len(messages):
                return said
            raise ValueError("one receipt for each message")  # noqa: TRY301 - as any other defect of a plug-in
        except Exception as error:  # noqa: BLE001 - as above
            return [_failed(error)] * len(messages)

    def _told(self, carried: Carried, message: Outgoing) -> Carried:
        """A receipt as the server keeps it, counted."""
        if not _is_sound(carried):
            carried = _failed(TypeError())
        if carried.reason or carried.reference != message.id:
            carried = Carried(
                carried.outcome,
                self._clean(carried.reference, message)[:_REFERENCE_MAX],
                self._clean(carried.reason, message),
                carried.unsure,
            )
        self._note(carried)
        return carried

    def _clean(self, reason: str, message: Outgoing) -> str:
        """A reason without what the message or the settings keep secret, in one printable line."""
        if not reason:
            return ""
        spoken = ", ".join(message.code or "")
        words = (
            message.text,
            message.html,
            message.subject,
            message.code,
            spoken,
            message.to,
            *self._secrets,
        )
        for word in sorted({each for each in words if each}, key=len, reverse=True):
            if len(word) >= _SHORTEST_SECRET:
                reason = reason.replace(word, "…").replace(word.removeprefix("+"), "…")
        return _printable(reason)[:REASON_MAX]

    def _note(self, carried: Carried) -> None:
        self._unanswered = self._unanswered + 1 if carried.unsure else 0
        self._rests_until = asyncio.get_running_loop().time() + _REST
        match carried.outcome:
            case "accepted":
                self.counts.accepted += 1
                return
            case "refused":
                self.counts.refused += 1
            case "later":
                self.counts.later += 1
        self.counts.last_reason = carried.reason
        facts = _facts(gateway=self.name, outcome=carried.outcome, reason=carried.reason)
        log.warning("message_not_taken", extra=facts)


def objection(message: Outgoing) -> str | None:
    """Why a message must not reach any gateway, as a sentence for the operator; None when it may."""
    if message.channel == "email":
        if not _EMAIL.fullmatch(message.to) or len(message.to) > 254:
            return "the destination is no e-mail address"
        if message.sender is not None and (len(message.sender) > 100 or _unclean(message.sender)):
            return "the sender is not good"
    else:
        if not _PHONE.fullmatch(message.to):
            return "the destination is no telephone number"
        if not message.sender_fits_phones:
            return "the sender is neither a number nor up to eleven letters and digits"
    if not message.text.strip() or _CONTROL.search(message.text):
        return "the text is empty or holds control characters"
    if message.subject is not None and (len(message.subject) > 200 or _unclean(message.subject)):
        return "the subject is too long or holds control characters"
    if message.html is not None and _CONTROL.search(message.html.replace("\r", "").replace("\t", "")):
        return "the HTML holds control characters"
    return None


def _with_plain_lines(message: Outgoing) -> Outgoing:
    if "\r\n" in message.text:
        return structs.replace(message, text=message.text.replace("\r\n", "\n"))
    return message


def _is_sound(carried: object) -> bool:
    """Whether a gateway's answer is a receipt: a stranger's code may give anything."""
    if not isinstance(carried, Carried):
        return False
    outcome, reference, reason, _ = structs.astuple(carried)
    return isinstance(reference, str) and isinstance(reason, str) and outcome in _OUTCOMES


def _failed(error: Exception) -> Carried:
    """What is kept of a defect: its text may hold anything."""
    return Carried("later", reason=f"the gateway failed: {type(error).__name__}", unsure=True)


def _unclean(line: str) -> bool:
    return "\n" in line or "\u2028" in line or "\u2029" in line or _CONTROL.search(line) is not None


def _printable(text: str) -> str:
    if text.isprintable():
        return text.strip()
    return "".join(sign if sign.isprintable() else " " for sign in text).strip()


def _facts(**facts: str | int) -> dict[str, dict[str, str | int]]:
    return {"placet_facts": facts}
