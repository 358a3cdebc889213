"""The person's device as commands and screens use it: vault, state and servers in one place."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

import aiohttp
from msgspec import structs

from placet_authenticator import enrolling
from placet_authenticator.calls import Calls, RandomBytes, Signer
from placet_authenticator.deciding import Answer, Verified, decision
from placet_authenticator.errors import (
    AuthenticatorError,
    NotFoundError,
    ServerRefusedError,
    UnreachableError,
)
from placet_authenticator.inbox import (
    HISTORY,
    NOTICES,
    Arrived,
    Closed,
    Ended,
    Entry,
    Event,
    Inbox,
    Lost,
    Notice,
    Passed,
    opened,
    reduce,
)
from placet_authenticator.items import ended, place_of
from placet_authenticator.link import Link
from placet_authenticator.records import Enrollment, Held, Outcome, Past, Record, Token, Told
from placet_authenticator.vault import Vault
from placet_protocol.errors import ProtocolError
from placet_protocol.frames import PROOFS_MAX
from placet_protocol.otpauth import EnrollmentUri
from placet_protocol.text import visible

Clock = Callable[[], int]
"""Gives the time in ms UTC."""
T = TypeVar("T")

_DECISIONS: Final = "/device/v1/decisions"
_SENT_MAX: Final = 4
_SETTLING: Final = frozenset({"already_decided", "invalid_decision"})
"""Codes by which a server says that it did not take an answer, and never will."""


class Authenticator:
    """One person's open vault and what is known of its servers.

    ``state`` is what a person sees. It changes through ``absorb`` only, which keeps the vault in step: what was
    acknowledged to a server is on disk first.
    """

    def __init__(
        self,
        vault: Vault,
        session: aiohttp.ClientSession,
        *,
        clock: Clock,
        random_bytes: RandomBytes = os.urandom,
    ) -> None:
        self.vault = vault
        self.state = Inbox()
        self._clock = clock
        self._random = random_bytes
        self._session = session
        self._calls: dict[str, Calls] = {}
        self._enrollments: dict[str, Enrollment] = {}
        self._decisions: dict[tuple[str, str], str] = {}
        self._unsettled: set[str] = set()
        self.reload()

    @property
    def enrollments(self) -> list[Enrollment]:
        """This person's devices, one for each enrolment."""
        return list(self._enrollments.values())

    def tokens(self) -> list[Token]:
        """All soft tokens, by label."""
        return sorted(self.vault.all(Token), key=lambda token: (token.label.casefold(), token.id))

    def calls(self, origin: str) -> Calls:
        """The calls to one server; kept, because they remember its nonces."""
        return self._calls.setdefault(origin, Calls(self._session, origin, self._random))

    def links(self) -> list[Link]:
        """A link for each server, for all enrolments there; a server with very many gets several."""
        by_origin: dict[str, list[Enrollment]] = {}
        for each in self.enrollments:
            by_origin.setdefault(each.origin, []).append(each)
        return [
            Link(self.calls(origin), here[start : start + PROOFS_MAX], clock=self._clock)
            for origin, here in sorted(by_origin.items())
            for start in range(0, len(here), PROOFS_MAX)
        ]

    def reload(self) -> None:
        """Take the vault's word: enrolments, requests that wait, history. Connections stay as they are known.

        Texts are filtered here as they are when a server says them: a vault may have been written by anybody.
        """
        self._enrollments = {each.id: each for each in self.vault.all(Enrollment)}
        pending = [entry for held in self.vault.all(Held) if (entry := self._entry(held))]
        ended_here = self.vault.all(Past)
        past = [
            Ended(entry, each.outcome, each.by, visible(each.reason), each.ended_at)
            for each in ended_here
            if (entry := self._entry(each))
        ]
        self._unsettled = {each.id for each in ended_here if each.sent}
        told = sorted(self.vault.all(Told), key=lambda each: -each.at)
        self.state = Inbox(
            tuple(sorted(pending, key=lambda entry: (-entry.created_at, entry.rid))),
            tuple(sorted(past, key=lambda each: -each.at)[:HISTORY]),
            tuple(
                Notice(each.origin, each.notice, visible(each.kind), visible(each.text), each.at)
                for each in told[:NOTICES]
            ),
            self.state.connections,
        )
        self.absorb(Passed())

    def absorb(self, event: Event) -> bool:
        """Take in one event; False when it changed nothing that a person sees in requests, history or notices."""
        if isinstance(event, Passed) and self.vault.changed_elsewhere():
            self.reload()
        before, now = self.state, self._clock()
        after = reduce(before, event, now)
        known = {entry.key for entry in before.pending}
        past = {each.entry.key for each in before.history}
        if isinstance(event, Arrived) and event.entry.key not in known | past:
            known.add(event.entry.key)
            self.vault.put(Held(_record_id(*event.entry.key), event.entry.device, event.entry.document, now))
        for each in after.history:
            if each.entry.key in known and each.entry.key not in past:
                self._file(each)
        for notice in after.notices:
            if notice not in before.notices:
                self._keep(notice)
        self.state = after
        return (before.pending, before.history, before.notices) != (
            after.pending,
            after.history,
            after.notices,
        )

    async def fetch(self) -> list[AuthenticatorError]:
        """Ask every server once what waits; returns the troubles of those that could not be asked."""
        results = await asyncio.gather(*(self._fetch(link) for link in self.links()))
        self.absorb(Passed())
        await self.settle()
        return [trouble for trouble in results if trouble]

    async def enroll(self, uri: EnrollmentUri, *, device_name: str) -> enrolling.Enrolled:
        """Become a device on that server and keep keys and soft token; errors as ``enrolling.enroll``."""
        enrolled = await enrolling.enroll(
            self.calls(uri.origin), uri, device_name=device_name, now=self._clock()
        )
        self.vault.put(enrolled.enrollment, *([enrolled.token] if enrolled.token else []))
        self._enrollments[enrolled.enrollment.id] = enrolled.enrollment
        return enrolled

    async def decide(self, entry: Entry, answer: Answer, *, verified: Verified = "none") -> Ended:
        """Sign and post the answer to exactly this request; returns how it ended.

        Raises ``NumberError`` (nothing was sent), ``ServerRefusedError`` (e.g. ``already_decided``; the history then
        has the final outcome) and ``UnreachableError`` (not known whether it was taken; it may be given again).
        """
        answer.check(entry)
        signer = Signer.of(self._enrollments[entry.device])
        calls, now = self.calls(entry.origin), self._clock()
        document = decision(
            entry,
            answer,
            signer,
            counter=self.vault.next_counter(now),
            now=now,
            jti=calls.new_id(),
            uv=verified,
        )
        before = self._sending(entry, document)
        try:
            taken = await calls.post_document(_DECISIONS, document)
        except ServerRefusedError as refused:
            if refused.state is None:
                raise
            # An earlier answer may be what ended it: sent again, the very one that was taken gets its answer again.
            for document in reversed(before):
                with contextlib.suppress(ServerRefusedError):
                    ours = self._taken(entry, await calls.post_document(_DECISIONS, document), document)
                    if ours.outcome == "denied" or answer.verb == "approve":
                        return ours
            with contextlib.suppress(ProtocolError):
                self.absorb(ended(entry.origin, entry.rid, refused.state))
            raise
        return self._taken(entry, taken, document)

    async def settle(self) -> None:
        """Learn what became of answers that were not heard of until the time of their requests was over.

        Sent again, the very answer that was taken gets its outcome again; any other comes too late. A server that
        cannot be asked now is asked the next time.
        """
        for record_id in tuple(self._unsettled):
            past = self.vault.get(Past, record_id)
            entry = None if past is None else self._entry(past)
            if past is None or entry is None:
                self._unsettled.discard(record_id)
            elif entry.expires_at <= self._clock() + self.state.offset(entry.origin):
                with contextlib.suppress(UnreachableError, ServerRefusedError):
                    self.vault.replace(past, await self._settled(past, entry))
                    self.reload()

    async def confirmed(self, enrollment: Enrollment) -> bool:
        """Wait until the six digits of an enrolment were confirmed; False when it was turned down."""
        return await enrolling.confirmed(self.calls(enrollment.origin), enrollment)

    async def status(self, enrollment: Enrollment) -> str:
        """What the server says of this device now: ``pending``, ``active`` or ``revoked``."""
        return await self.calls(enrollment.origin).status(Signer.of(enrollment))

    async def seen(self, entries: Iterable[Entry]) -> None:
        """Tell the servers that a person was shown these requests; those that cannot be told are left out."""
        shown = {(entry.device, entry.rid) for entry in entries}
        for link in self.links():
            with contextlib.suppress(UnreachableError, ServerRefusedError):
                await link.seen(shown)

    async def leave(self, enrollment: Enrollment, *, tell: bool = True) -> None:
        """Stop being this device: tell the server, then erase keys, requests and history of it here.

        The soft token that came with it is erased too. ``tell`` False leaves a server that is gone for good. Raises
        ``UnreachableError`` and ``ServerRefusedError``; nothing is erased then.
        """
        calls, signer = self.calls(enrollment.origin), Signer.of(enrollment)
        if tell and await calls.status(signer) != "revoked":
            await calls.call(signer, "POST", "/device/v1/leave")
        of_it: list[Record] = [each for each in self.vault.all(Held) if each.device == enrollment.id]
        of_it += [each for each in self.vault.all(Past) if each.device == enrollment.id]
        of_it += [each for each in self.vault.all(Token) if each.device == enrollment.id]
        if not any(each.origin == enrollment.origin for each in self.enrollments if each.id != enrollment.id):
            of_it += [each for each in self.vault.all(Told) if each.origin == enrollment.origin]
        self.vault.remove(enrollment, *of_it)
        self.reload()

    def find(self, prefix: str) -> Entry:
        """The pending request whose id begins so. Raises ``NotFoundError`` for none, several or one that has ended."""
        past = [each for each in self.state.history if each.entry.rid == prefix]
        if past and all(entry.rid != prefix for entry in self.state.pending):
            raise NotFoundError(
                f"{prefix} has ended: {past[0].outcome} by {past[0].by}", "See what waits: placet list"
            )
        return _one(self.state.pending, prefix, lambda entry: entry.rid, "pending request", "placet list")

    def device(self, prefix: str) -> Enrollment:
        """The enrolment whose device id or server name begins so. Raises ``NotFoundError`` for none or several."""
        by_name = [each for each in self.enrollments if prefix in {each.origin, each.name}]
        if len(by_name) == 1:
            return by_name[0]
        return _one(self.enrollments, prefix, lambda each: each.id, "device", "placet devices")

    def _sending(self, entry: Entry, document: str) -> tuple[str, ...]:
        """Keep an answer until it is known what became of it; gives the earlier ones of which that is not known."""
        held = self.vault.get(Held, _record_id(*entry.key))
        if held is None:
            return ()
        self.vault.replace(held, structs.replace(held, sent=(*held.sent, document)[-_SENT_MAX:]))
        return held.sent

    async def _settled(self, past: Past, entry: Entry) -> Past:
        """How a request ended that had answers of this device; raises when the server does not say."""
        known = structs.replace(past, sent=())
        for document in reversed(past.sent):
            try:
                taken = await self.calls(entry.origin).post_document(_DECISIONS, document)
            except ServerRefusedError as refused:
                if refused.code not in _SETTLING:
                    raise
                with contextlib.suppress(ProtocolError):  # no state, or none that is known here
                    event = ended(entry.origin, entry.rid, refused.state or "")
                    known = structs.replace(known, outcome=event.outcome, by=event.by)
            else:
                outcome, reason = _outcome(taken)
                return structs.replace(
                    known, outcome=outcome, by="this device", reason=reason, decision=document
                )
        return known

    def _taken(self, entry: Entry, taken: dict[str, Any], document: str) -> Ended:
        """Take in the server's answer to a decision of this device."""
        outcome, reason = _outcome(taken)
        self._decisions[entry.key] = document
        self.absorb(Closed(entry.origin, entry.rid, outcome, "this device", reason))
        return next(each for each in self.state.history if each.entry.key == entry.key)

    async def _fetch(self, link: Link) -> AuthenticatorError | None:
        try:
            await link.fetch(self.absorb)
        except (UnreachableError, ServerRefusedError) as trouble:
            self.absorb(Lost(link.origin, trouble.detail))
            return trouble
        return None

    def _entry(self, record: Held | Past) -> Entry | None:
        """The request in a record; None if its enrolment is gone or its document is not believed any more."""
        enrollment = self._enrollments.get(record.device)
        if enrollment is None:
            return None
        try:
            return opened(place_of(enrollment), record.document)
        except ProtocolError:
            return None

    def _file(self, each: Ended) -> None:
        """Move a request that ended from what waits to the past, unless another process did."""
        entry = each.entry
        record_id = _record_id(*entry.key)
        held = self.vault.get(Held, record_id)
        if held is None:
            return
        past = Past(
            id=record_id,
            device=entry.device,
            document=entry.document,
            outcome=each.outcome,
            by=each.by,
            reason=each.reason,
            ended_at=each.at,
            decision=self._decisions.pop(entry.key, None),
            sent=held.sent if each.by == "time" else (),
        )
        if past.sent:
            self._unsettled.add(record_id)
        self.vault.replace(held, past)
        oldest_first = sorted(self.vault.all(Past), key=lambda past: past.ended_at)
        self.vault.remove(*oldest_first[:-HISTORY])

    def _keep(self, notice: Notice) -> None:
        told = Told(
            _record_id(notice.origin, notice.id),
            notice.origin,
            notice.id,
            notice.kind,
            notice.text,
            notice.at,
        )
        oldest_first = sorted(self.vault.all(Told), key=lambda each: each.at)
        self.vault.remove(*oldest_first[: max(0, len(oldest_first) + 1 - NOTICES)])
        self.vault.put(told)


def _outcome(taken: dict[str, Any]) -> tuple[Outcome, str]:
    """Outcome and reason in the server's answer to a decision."""
    outcome, reason = taken.get("status"), taken.get("reason")
    if outcome not in {"approved", "denied"}:
        raise UnreachableError("the server's answer has no outcome", "See what became of it: placet list")
    return outcome, reason if isinstance(reason, str) else ""


def _record_id(origin: str, name: str) -> str:
    """An id for the vault that tells a reader of the file neither server nor request."""
    first = origin.encode()
    return hashlib.sha256(len(first).to_bytes(4, "big") + first + name.encode()).hexdigest()[:32]


def _one(items: Iterable[T], prefix: str, id_of: Callable[[T], str], what: str, command: str) -> T:
    found = [item for item in items if id_of(item).startswith(prefix)] if prefix else []
    exact = [item for item in found if id_of(item) == prefix]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if found:
        raise NotFoundError(f"{len(found)} of them begin with {prefix}", f"Give more of the id: {command}")
    raise NotFoundError(f"there is no {what} {prefix}", f"See all: {command}")
