"""Small write plans on the real tables, for tests of the store."""

from __future__ import annotations

from placet_server.domain.audit import leaf
from placet_server.ports import Plan, Sql, plan, step

TAKE = Sql("take", "INSERT INTO idempotency VALUES (?, x'00', 201, 1, x'00') ON CONFLICT DO NOTHING")
COUNT_UP = Sql("count_up", "UPDATE throttles SET failures = failures + 1 WHERE subject = ? AND failures < ?")
COUNTER = Sql("counter", "INSERT INTO throttles VALUES (?, 0, 0, 0)")
ADD_OUTBOX = Sql(
    "add_outbox",
    "INSERT INTO outbox (id, kind, subject, target, due_at, created_at) VALUES (?, 'push', ?, '', 1, 1)",
)
ORGANIZATION = Sql("organization", "INSERT INTO organizations VALUES (?, ?, 1)")
RENAME_ALL = Sql("rename_all", "UPDATE organizations SET created_at = 2")
FAILURES = Sql("failures", "SELECT failures FROM throttles WHERE subject = ?")
TAKEN = Sql("taken", "SELECT lookup FROM idempotency ORDER BY lookup")
OUTBOX = Sql("outbox", "SELECT id FROM outbox ORDER BY id")
ENTRIES = Sql("entries", "SELECT seq, body FROM audit ORDER BY seq")


def create(name: str) -> Plan:
    """Take a name once; with it come one outbox row and one entry of the audit log."""
    return plan(
        step(TAKE, name.encode()),
        step(ADD_OUTBOX, name, name, rows=1),
        leaf=leaf(1, "thing.created", "default", name),
    )


def counted(name: str, subject: bytes, limit: int) -> Plan:
    """As ``create`` with two guards: the name is free, and the subject's counter is below the limit."""
    return plan(
        step(TAKE, name.encode()),
        step(COUNT_UP, subject, limit),
        step(ADD_OUTBOX, name, name, rows=1),
        guards=2,
        leaf=leaf(1, "thing.counted", "default", name),
    )
