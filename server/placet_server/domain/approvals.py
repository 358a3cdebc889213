"""Questions to people: asking, reading, cancelling, handing out to devices, expiring."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Final, NamedTuple

from placet_protocol import documents
from placet_server.domain import asking, outbox, pressure
from placet_server.domain.endings import Ending, Endings
from placet_server.domain.ids import is_id
from placet_server.domain.questions import (
    BY_ID,
    COLUMNS,
    Question,
    as_of,
    opened,
    request,
    unreadable,
)
from placet_server.domain.refusals import RefusedError
from placet_server.domain.values import (
    Approval,
    ApprovalDraft,
    ApprovalStatus,
    Caller,
    Created,
    Device,
    Page,
    UserRef,
)
from placet_server.ports import (
    Bus,
    Entropy,
    Row,
    Sealer,
    Signer,
    Sql,
    Store,
    StoreUnavailableError,
    UnsealableError,
    plan,
    step,
)

log: Final = logging.getLogger("placet")

PAGE_MAX: Final = 200
SCANNED_MAX: Final = 10_000
"""Requests, of all applications, that one page may look at; a page that found less than asked says where to go on."""
_AT_ONCE: Final = 500
_ATTEMPTS: Final = 8

_GET: Final = Sql(
    "approval_of_application",
    f"SELECT {COLUMNS} FROM approvals WHERE id = ? AND application = ?",  # noqa: S608 - constant text
)
_STATE: Final = Sql(
    "approval_state",
    "SELECT id, status, tfa_id, created_at, expires_at, reason, decided_at, seen_at, device"
    " FROM approvals WHERE id = ? AND application = ?",
)
_PAGE: Final = Sql(
    "approvals_page",
    f"SELECT {COLUMNS} FROM approvals WHERE application = ? AND id >= ? AND id < ?"  # noqa: S608 - constant text
    " AND (? < 0 OR tfa_id = ?)"
    " AND (? = '' OR CASE WHEN status = 'pending' AND expires_at <= ? THEN 'expired' ELSE status END = ?)"
    " ORDER BY id DESC LIMIT ?",
)
_EDGE: Final = Sql(
    "approvals_page_edge",
    "SELECT id FROM approvals WHERE id >= ? AND id < ? ORDER BY id DESC LIMIT 1 OFFSET ?",
)
_OLDEST: Final = Sql(
    "approval_oldest_pending",
    f"SELECT {COLUMNS} FROM approvals WHERE user_id = ? AND application = ? AND status = 'pending'"  # noqa: S608 - as above
    " AND NOT EXISTS (SELECT 1 FROM enrollments e WHERE e.user_id = approvals.user_id AND e.ask = approvals.id)"
    " ORDER BY id LIMIT 1",
)
_DUE: Final = Sql(
    "approvals_due",
    f"SELECT {COLUMNS} FROM approvals WHERE status = 'pending' AND expires_at <= ?"  # noqa: S608 - constant text
    " ORDER BY expires_at LIMIT ?",
)
_DUE_OF: Final = Sql(
    "approvals_due_of_user",
    f"SELECT {COLUMNS} FROM approvals WHERE user_id = ? AND status = 'pending' AND expires_at <= ?",  # noqa: S608 - as above
)
_DOCUMENT: Final = Sql("document", "SELECT sealed FROM documents WHERE approval = ?")
_KEEP_DOCUMENT: Final = Sql(
    "document_keep", "INSERT INTO documents (approval, sealed) VALUES (?, ?) ON CONFLICT DO NOTHING"
)
_PENDING_FOR: Final = Sql(
    "approvals_pending_for_device",
    "SELECT a.id, d.sealed FROM approvals a LEFT JOIN documents d ON d.approval = a.id"
    " WHERE a.user_id = ? AND a.status = 'pending' AND a.expires_at > ?"
    " AND NOT EXISTS (SELECT 1 FROM acks k WHERE k.device = ? AND k.item = a.id) ORDER BY a.id",
)
_ACK: Final = Sql(
    "approval_ack",
    "INSERT INTO acks (device, item, acked_at) SELECT ?, id, ? FROM approvals WHERE id = ? AND user_id = ?"
    " ON CONFLICT DO NOTHING",
)
_SEEN: Final = Sql(
    "approval_seen",
    "UPDATE approvals SET seen_at = ? WHERE id = ? AND user_id = ? AND seen_at IS NULL AND status = 'pending'",
)


class State(NamedTuple):
    """What a poll needs, read without opening a seal; times in ms UTC."""

    id: str
    status: ApprovalStatus
    tfa_id: int
    created_at: int
    expires_at: int
    reason: str | None
    decided_at: int | None
    seen_at: int | None
    device: str | None


class Approvals:
    """All approval requests of all applications."""

    def __init__(
        self,
        store: Store,
        sealer: Sealer,
        signer: Signer,
        entropy: Entropy,
        bus: Bus,
        endings: Endings,
        public_url: str,
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._signer = signer
        self._entropy = entropy
        self._bus = bus
        self._endings = endings
        self._public_url = public_url

    async def create(
        self,
        caller: Caller,
        user: UserRef,
        draft: ApprovalDraft,
        now: int,
        extra_guard: asking.ExtraGuard = None,
    ) -> Created:
        """Ask a person.

        ``extra_guard`` makes a guard of the answer; it is written in the same plan and must take its row. Raises
        ``on_hold`` and ``too_many_pending`` by the fatigue rules, ``invalid_request`` when less of a number is asked
        than policy wants, and ``idempotency_conflict`` when the extra guard took no row.
        """
        digits = asking.digits(caller, draft)
        for _ in range(_ATTEMPTS):
            created, written = asking.asked(
                self._sealer, self._entropy, caller, user, draft, digits, now, extra_guard
            )
            failed = await self._store.write(written)
            if failed == 0:
                self._bus.publish("user", user.id)
                outbox.announce(self._bus, written)
                return created
            if failed < written.guards:
                raise RefusedError("idempotency_conflict", "A call with this Idempotency-Key was just taken.")
            await self._make_room(caller, user, draft, now)
        raise RefusedError("too_many_pending", "Too many questions to this person at once.", retry_after=1)

    async def get(self, application: str, approval_id: str, now: int) -> Approval:
        """One request of this application as of ``now``; raises ``not_found``."""
        row = await self._store.row(_GET, (approval_id, application)) if is_id(approval_id) else None
        if row is not None and await self._lapsed([row], now):
            row = await self._store.row(_GET, (approval_id, application))
        if row is None:
            raise _not_found()
        return as_of(opened(self._sealer, row).approval, now)

    async def state(self, application: str, approval_id: str, now: int) -> State:
        """The state of one request of this application as of ``now``; raises ``not_found``."""
        row = await self._store.row(_STATE, (approval_id, application)) if is_id(approval_id) else None
        if row is None:
            raise _not_found()
        state = State._make(row)
        if state.status != "pending" or state.expires_at > now:
            return state
        await self.lapse(approval_id, now)
        row = await self._store.row(_STATE, (approval_id, application))
        state = state if row is None else State._make(row)
        if state.status == "pending":
            return state._replace(status="expired", decided_at=state.expires_at)
        return state

    async def lapse(self, approval_id: str, now: int) -> None:
        """Write down that the time of a request is over, if it is, before anybody is told so."""
        row = await self._store.row(BY_ID, (approval_id,))
        if row is not None:
            await self._lapsed([row], now)

    async def page(
        self,
        application: str,
        now: int,
        *,
        status: ApprovalStatus | None = None,
        tfa_id: int | None = None,
        created_from: int | None = None,
        created_to: int | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> Page:
        """Requests of an application, newest first, at most 200; a page may be short, or empty, and have a next one.

        ``created_from`` is included and ``created_to`` is not (ms UTC); ``after`` is the cursor of an earlier page.
        There is no index by application, user or state: it would cost every request that is made, and lists are rare.
        """
        limit = max(1, min(limit, PAGE_MAX))
        lowest = "" if created_from is None else _first_id(created_from)
        highest = "g" if created_to is None else _first_id(created_to)
        if after is not None:
            highest = min(highest, after)
        wanted, number = status or "", -1 if tfa_id is None else tfa_id
        found: list[Approval] = []
        for _ in range(SCANNED_MAX // _AT_ONCE):
            edge = await self._store.row(_EDGE, (lowest, highest, _AT_ONCE - 1))
            # The cursor is a time, not an id: the request at the edge may be another application's.
            start = lowest if edge is None else max(lowest, edge[0][:_TIME])
            rest = limit + 1 - len(found)
            bounds = (application, start, highest, number, number, wanted, now, wanted, rest)
            rows = await self._store.rows(_PAGE, bounds)
            if await self._lapsed(rows, now):
                rows = await self._store.rows(_PAGE, bounds)
            found += [as_of(self._read(row).approval, now) for row in rows]
            if len(found) > limit:
                return Page(tuple(found[:limit]), found[limit - 1].id)
            if start == lowest:
                return Page(tuple(found), None)
            highest = start
            await asyncio.sleep(0)  # looking for rare requests must not hold up who calls
        return Page(tuple(found), highest)

    async def cancel(self, application: str, approval_id: str, now: int) -> Approval:
        """Take a question back; raises ``not_found``, and ``not_pending`` with the state when it has ended."""
        row = await self._store.row(_GET, (approval_id, application)) if is_id(approval_id) else None
        if row is None:
            raise _not_found()
        ended = await self._endings.end(opened(self._sealer, row), Ending("cancelled", now), now)
        approval = await self.get(application, approval_id, now)
        if ended != 0:
            raise RefusedError("not_pending", "The request has ended already.", state=approval.status)
        return approval

    async def document(self, approval_id: str) -> str:
        """The exact document that devices sign: made when it is first asked for, then always the same.

        Raises ``not_found``.
        """
        kept = await self._kept(approval_id)
        if kept is not None:
            return kept
        row = await self._store.row(BY_ID, (approval_id,))
        if row is None:
            raise _not_found()
        payload = documents.payload(request(opened(self._sealer, row), self._public_url))
        document = self._signer.sign(documents.REQUEST, payload)
        sealed_document = self._sealer.seal("pii", "documents", approval_id, document.encode())
        if await self._store.write(plan(step(_KEEP_DOCUMENT, approval_id, sealed_document))) == 0:
            return document
        made_by_another = await self._kept(approval_id)
        assert made_by_another is not None
        return made_by_another

    async def pending_for(self, device: Device, now: int) -> list[tuple[str, str]]:
        """Id and document of every open question that this active device has not acknowledged, oldest first.

        One whose sealed value is damaged is left out, and logged: nobody can be shown it, and the others wait for answers.
        """
        if device.status != "active":
            return []
        rows = await self._store.rows(_PENDING_FOR, (device.user_id, now, device.id))
        found = []
        for approval_id, kept in rows:
            try:
                document = (
                    await self.document(approval_id)
                    if kept is None
                    else self._open_document(approval_id, kept)
                )
            except UnsealableError:
                log.error("request damaged", extra={"placet_facts": {"id": approval_id}})  # noqa: TRY400 - nothing is known but that
            else:
                found.append((approval_id, document))
        return found

    async def acknowledge(self, device: Device, approval_ids: list[str], now: int) -> None:
        """Note that a device holds these requests, so that they are not sent to it again; others' are ignored."""
        steps = [step(_ACK, device.id, now, each, device.user_id) for each in approval_ids if is_id(each)]
        if steps:
            await self._store.write(plan(*steps, guards=0))

    async def seen(self, device: Device, approval_id: str, now: int) -> None:
        """Note that the person was shown a request; the first time counts, and only for their own."""
        if (
            is_id(approval_id)
            and await self._store.write(plan(step(_SEEN, now, approval_id, device.user_id))) == 0
        ):
            self._bus.publish("approval", approval_id)

    async def sweep(self, now: int) -> int:
        """Write down that requests have expired, at most 500; how many there were."""
        return await self._expire(await self._store.rows(_DUE, (now, _AT_ONCE)), now)

    async def _make_room(self, caller: Caller, user: UserRef, draft: ApprovalDraft, now: int) -> None:
        """Return when another try may succeed, otherwise raise why it may not."""
        pair = (user.id, caller.application.id)
        if await self._expire(await self._store.rows(_DUE_OF, (user.id, now)), now):
            return
        refused = pressure.refusal(
            await self._store.row(pressure.READ, pair), caller.application.policies, now
        ) or pressure.crowded(await self._store.row(pressure.QUEUE, (user.id,)), now)
        if refused is None:
            return
        oldest = await self._store.row(_OLDEST, pair)
        if refused.code != "too_many_pending" or not draft.supersede or oldest is None:
            raise refused
        await self._endings.end(opened(self._sealer, oldest), Ending("superseded", now), now)

    async def _lapsed(self, rows: list[Row], now: int) -> bool:
        """Whether the time of any of these is over and was not written down; it is now, and they are to be read again.

        What was only told could be undone by a clock that is set back, or contradicted by an answer that is just being
        written. Where the store cannot write, the time alone has to do.
        """
        due = [row for row in rows if row[5] == "pending" and row[8] <= now]
        if due:
            with suppress(StoreUnavailableError):
                await self._expire(due, now)
        return bool(due)

    async def _expire(self, rows: list[Row], now: int) -> int:
        questions = [self._read(row) for row in rows]
        failed = await asyncio.gather(
            *(
                self._endings.end(question, Ending("expired", question.approval.expires_at), now)
                for question in questions
            )
        )
        return failed.count(0)

    def _read(self, row: Row) -> Question:
        """The question of a row; one whose seal was tampered with is listed and ends like others, without its texts."""
        try:
            return opened(self._sealer, row)
        except UnsealableError:
            return unreadable(row)

    async def _kept(self, approval_id: str) -> str | None:
        row = await self._store.row(_DOCUMENT, (approval_id,))
        return None if row is None else self._open_document(approval_id, row[0])

    def _open_document(self, approval_id: str, kept: bytes) -> str:
        return self._sealer.open("pii", "documents", approval_id, kept).decode()


_TIME: Final = len("01890a5d-ac96")
"""Characters of an id that tell its time."""


def _first_id(at: int) -> str:
    """The lowest text that an id made at ``at`` (ms UTC) can have."""
    text = f"{at:012x}"
    return f"{text[:8]}-{text[8:]}"


def _not_found() -> RefusedError:
    return RefusedError("not_found", "There is no such approval request.")
