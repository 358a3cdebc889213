"""What has still to be delivered: rows that are committed with the change that caused them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

import msgspec
from msgspec import Struct

from placet_server.domain.chunks import PLACES, chunks
from placet_server.domain.ids import new_id
from placet_server.domain.values import Application
from placet_server.ports import Bus, Entropy, Plan, Row, Sealer, Sql, Step, Store, UnsealableError, plan, step

Kind = Literal["push", "webhook", "callback"]
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_ADD: Final = Sql(
    "outbox_add",
    "INSERT INTO outbox (id, kind, subject, target, attempts, due_at, created_at, sealed)"
    " VALUES (?, ?, ?, ?, 0, ?, ?, ?)",
)
# Neither its time nor its id tells an event's place: two share a millisecond, and a time is that of the call's arrival.
_ADD_EVENT: Final = Sql(
    "outbox_add_event",
    "INSERT INTO outbox (id, kind, subject, target, attempts, due_at, created_at, sealed, turn)"
    " VALUES (?, 'webhook', ?, ?, 0, ?, ?, ?,"
    " (SELECT coalesce(max(turn), 0) + 1 FROM outbox WHERE kind = 'webhook' AND subject = ?))",
)
_COLUMNS: Final = "id, kind, subject, target, attempts, due_at, created_at, sealed"
_DUE: Final = Sql(
    "outbox_due",
    f"SELECT {_COLUMNS} FROM outbox WHERE due_at <= ? ORDER BY due_at, id LIMIT ?",  # noqa: S608 - constant text
)
_BY_IDS: Final = Sql("outbox_by_ids", f"SELECT {_COLUMNS} FROM outbox WHERE id IN {PLACES}")  # noqa: S608 - as above
_NEXT: Final = Sql("outbox_next", "SELECT min(due_at) FROM outbox")
_CLAIM: Final = Sql(
    "outbox_claim", "UPDATE outbox SET attempts = attempts + 1, due_at = ? WHERE id = ? AND attempts = ?"
)
_HEAD: Final = Sql(
    "outbox_head",
    f"SELECT {_COLUMNS} FROM outbox WHERE kind = 'webhook' AND subject = ? AND target = ?"  # noqa: S608 - as above
    " ORDER BY turn, created_at, id LIMIT 1",
)
_POSTPONE: Final = Sql("outbox_postpone", "UPDATE outbox SET due_at = ? WHERE id = ?")
_DONE: Final = Sql("outbox_done", "DELETE FROM outbox WHERE id = ?")


class WebhookBody(Struct, frozen=True):
    """One message to one endpoint.

    ``event_id`` is the same for all endpoints that hear of one event, and is what ``webhook-id`` carries; ``payload`` is
    the exact JSON that is signed and sent.
    """

    url: str
    event_id: str
    application: str
    payload: bytes


class Exchange(NamedTuple):
    """One HTTP exchange as it is sent; a ``query`` stands behind a URL without one."""

    method: Literal["GET", "POST"]
    url: str
    headers: dict[str, str]
    body: bytes | None
    query: str = ""


class Item(Struct, frozen=True):
    """One row; times in ms UTC.

    For ``push`` the subject is an approval request and the target the user whose devices should hear of it; for
    ``webhook`` the target is the id of an endpoint, '' for a callback URL, and ``body`` is None when it does not open;
    for ``callback`` the subject is an approval request that ended and the target the face credential that asked.
    """

    id: str
    kind: Kind
    subject: str
    target: str
    attempts: int
    due_at: int
    created_at: int
    body: WebhookBody | None


class Outbox:
    """What is due, claimed one by one and deleted when delivered."""

    def __init__(self, store: Store, sealer: Sealer) -> None:
        self._store = store
        self._sealer = sealer

    async def due(self, now: int, limit: int = 100) -> list[Item]:
        """What should be delivered by now, longest due first."""
        return [self._item(row) for row in await self._store.rows(_DUE, (now, limit))]

    async def several(self, item_ids: Sequence[str]) -> list[Item]:
        """The rows of these ids, oldest first, without those that were delivered."""
        items = [self._item(row) for ids in chunks(item_ids) for row in await self._store.rows(_BY_IDS, ids)]
        return sorted(items, key=lambda item: (item.created_at, item.id))

    async def next_due(self) -> int | None:
        """When the next row is due in ms UTC, None when nothing is left."""
        row = await self._store.row(_NEXT)
        return None if row is None else row[0]

    async def head(self, item: Item) -> Item | None:
        """The webhook row of the same subject and target that was committed first: what must be delivered first."""
        row = await self._store.row(_HEAD, (item.subject, item.target))
        return None if row is None else self._item(row)

    async def postpone(self, item: Item, due_at: int) -> None:
        """Make an item due later, without counting an attempt."""
        await self._store.write(plan(step(_POSTPONE, due_at, item.id), guards=0))

    async def claim(self, item: Item, due_at: int) -> bool:
        """Take an item for one attempt, False when somebody else did.

        It is due again at ``due_at`` should the attempt, or this process, fail.
        """
        return await self._store.write(plan(step(_CLAIM, due_at, item.id, item.attempts))) == 0

    async def done(self, *item_ids: str) -> None:
        """Delete what was delivered or given up."""
        await self._store.write(plan(*(step(_DONE, item_id) for item_id in item_ids), guards=0))

    def _item(self, row: Row) -> Item:
        item_id, kind, subject, target, attempts, due_at, created_at, sealed = row
        body = None
        if sealed is not None:
            try:
                opened = self._sealer.open("hook", "outbox", item_id, sealed)
            except UnsealableError:
                pass  # one damaged row must not stop the others
            else:
                body = msgspec.msgpack.decode(opened, type=WebhookBody)
        return Item(item_id, kind, subject, target, attempts, due_at, created_at, body)


def push(item_id: str, subject: str, user_id: str, now: int) -> Step:
    """The row that wakes a user's devices; ``item_id`` must be new."""
    return step(_ADD, item_id, "push", subject, user_id, now, now, None)


def callback(item_id: str, subject: str, credential_id: str, now: int) -> Step:
    """The row that has a face tell its caller how a request ended; ``item_id`` must be new."""
    return step(_ADD, item_id, "callback", subject, credential_id, now, now, None)


def event(
    sealer: Sealer,
    entropy: Entropy,
    application: Application,
    kind: str,
    subject: str,
    data: dict[str, Any],
    now: int,
    callback_url: str | None = None,
) -> tuple[Step, ...]:
    """The rows that tell an application of an event: one for each of its webhooks and one for a callback URL.

    A webhook whose secret is damaged gets none.
    """
    targets = [(hook.id, hook.url) for hook in application.webhooks if hook.secret is not None]
    if callback_url is not None:
        targets.append(("", callback_url))
    if not targets:
        return ()
    event_id = f"evt_{new_id(now, entropy)}"
    payload = msgspec.json.encode({"type": kind, "timestamp": rfc3339(now), "data": data})
    steps = []
    for number, (target, url) in enumerate(targets):
        row_id = event_id if number == 0 else f"{event_id}.{number}"
        body = WebhookBody(url, event_id, application.id, payload)
        sealed = sealer.seal("hook", "outbox", row_id, msgspec.msgpack.encode(body))
        steps.append(step(_ADD_EVENT, row_id, subject, target, now, now, sealed, subject))
    return tuple(steps)


def announce(bus: Bus, written: Plan) -> None:
    """Wake the delivery for the outbox rows of a plan that was written."""
    for each in written.steps:
        if each.sql is _ADD or each.sql is _ADD_EVENT:
            bus.publish("outbox", str(each.params[0]))


def rfc3339(at: int) -> str:
    """A time in ms UTC as RFC 3339 with milliseconds and ``Z``."""
    return (_EPOCH + timedelta(milliseconds=at)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
