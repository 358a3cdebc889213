"""Runs many write plans in one SQLite transaction, commits them, and tells the outcome of each.

Plans and outcomes are plain data and nothing here knows of the event loop. The two halves may run in different threads,
one after the other: ``begin`` runs the statements and never waits, ``finish`` waits for the disk.
"""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Sequence
from typing import Final, NamedTuple, NoReturn

from placet_server.crypto.merkle import Tree, from_bytes, grown, to_bytes
from placet_server.ports import BrokenPlanError, Leaf, Plan, Step, StoreUnavailableError
from placet_server.storage.errors import engines_name

Outcome = int | Exception
"""0, the number of the guard that took no row, or why the plan was not written."""

_BEGIN_SECONDS: Final = 0.02
"""Several times what a full batch takes, so that only statements that go over many rows are given up."""
_OPERATIONS_A_LOOK: Final = 10_000
"""Of SQLite's virtual machine, about half a millisecond: how often it is asked whether time is up."""
_LOCK_MS: Final = 1000

_LATER: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_INTERRUPT})
"""What ``begin`` leaves to ``finish``: somebody else has the file's lock, or the statements take too long."""

_DISK_TROUBLE: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)
"""The store may recover from these by itself."""

_DISK_BROKEN: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOTADB})
"""After these nobody knows what is on the disk: after a failed fsync the kernel may have dropped the pages."""

_READ_TREE: Final = "SELECT value FROM facts WHERE name = 'tree'"
_KEEP_TREE: Final = "INSERT INTO facts (name, value) VALUES ('tree', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
_ADD_LEAF: Final = "INSERT INTO audit (seq, at, kind, body, leaf) VALUES (?, ?, ?, ?, ?)"


class Ran(NamedTuple):
    """The outcomes of plans that stand in an open transaction, and the audit log's tree once that is committed."""

    outcomes: list[Outcome]
    tree: Tree


class Writer:
    """The owner of the writing connection and of the audit log's tree."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        # One cursor stays: to make one for each statement costs as much as binding its values.
        self._execute = connection.cursor().execute
        self._broken: str | None = None
        self._reason = ""
        self._until = math.inf
        row = connection.execute(_READ_TREE).fetchone()
        self._tree = Tree() if row is None else from_bytes(row[0])
        self._wait_for_lock(0)
        connection.set_progress_handler(self._late, _OPERATIONS_A_LOOK)

    def begin(self, plans: Sequence[Plan]) -> Ran | Exception:
        """Run the statements of the plans, to be committed by ``finish``; an exception is for ``finish`` to judge.

        Takes some milliseconds at most, because it neither syncs nor waits for a lock and gives up statements that
        take longer. Never raises.
        """
        if self._broken is not None:
            return StoreUnavailableError(self._broken, self._reason)
        self._until = time.perf_counter() + _BEGIN_SECONDS
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            return self._run_together(self._tree, plans)
        except Exception as error:  # noqa: BLE001 - whatever it is, other callers' plans are in this batch
            return error

    def finish(
        self, plans: Sequence[Plan], ran: Ran | Exception | None, aside: Sequence[Plan] = ()
    ) -> list[Outcome]:
        """Commit what was begun and what is to be written aside, and answer one outcome each; never raises.

        Plans that were not begun, or for which ``begin`` failed, are run here and take the time that they need. For
        want of room what is aside is left out.
        """
        if self._broken is not None:
            return _refused((*plans, *aside), self._broken, self._reason)
        self._until = math.inf
        try:
            try:
                if not isinstance(ran, Ran):
                    ran = self._run_here(plans, ran)
                return self._commit(ran, self._run_together(ran.tree, aside))
            except Exception as error:  # noqa: BLE001 - whatever a driver makes of bad parameters, only one plan may fail
                self._roll_back()
                _raise_if_unavailable(error)
                self._begin_patiently()
                return self._commit(self._run_apart((*plans, *aside)))
        except Exception as error:  # noqa: BLE001 - the callers of all plans are waiting for an answer
            self._give_up(error)
            # Perhaps there is too little room for what is aside, and enough for the callers.
            if aside and _code(error) in _DISK_TROUBLE:
                return [*self.finish(plans, None), *_refused(aside, *_now(error))]
            return _refused((*plans, *aside), *_now(error))

    def close(self) -> None:
        """Move the log into the data file and let go of it."""
        self._connection.close()

    def _run_here(self, plans: Sequence[Plan], failed: Exception | None) -> Ran:
        """The fast way without haste; raises what was wrong with the hasty one, unless that was only haste."""
        if failed is not None and _code(failed) not in _LATER:
            raise failed
        self._begin_patiently()
        return self._run_together(self._tree, plans)

    def _begin_patiently(self) -> None:
        """Begin a transaction, waiting a while for a lock that somebody else has."""
        self._roll_back()
        self._wait_for_lock(_LOCK_MS)
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        finally:
            self._wait_for_lock(0)

    def _run_together(self, tree: Tree, plans: Sequence[Plan]) -> Ran:
        """The fast way: any surprise raises, and the whole batch has to be run again, apart."""
        return self._ran(tree, plans, [self._guard(plan) or self._write(plan) for plan in plans])

    def _run_apart(self, plans: Sequence[Plan]) -> Ran:
        """The careful way: every plan in a savepoint; a bad plan fails alone."""
        execute = self._execute
        outcomes: list[Outcome] = []
        for plan in plans:
            execute("SAVEPOINT plan")
            try:
                outcomes.append(self._guard(plan) or self._write(plan))
            except Exception as error:  # noqa: BLE001 - as in finish
                _raise_if_unavailable(error)
                execute("ROLLBACK TO plan")
                outcomes.append(BrokenPlanError(f"{type(error).__name__}: {error}"))
            execute("RELEASE plan")
        return self._ran(self._tree, plans, outcomes)

    def _write(self, plan: Plan) -> int:
        """Run what stands behind the guards; 0, or an exception."""
        execute = self._execute
        for step in plan.steps[plan.guards :]:
            taken = execute(step.sql.text, step.params).rowcount
            if step.rows is not None and taken != step.rows:
                _refuse(step, taken)
        return 0

    def _guard(self, plan: Plan) -> int:
        """Run the guards; the number of the one that took no row, with nothing written, or 0."""
        execute = self._execute
        if plan.guards == 1:
            step = plan.steps[0]
            taken = execute(step.sql.text, step.params).rowcount
            if taken > 1:
                _refuse(step, taken)
            return 0 if taken else 1
        if plan.guards == 0:
            return 0
        execute("SAVEPOINT guards")
        failed = 0
        for number, step in enumerate(plan.steps[: plan.guards], 1):
            taken = execute(step.sql.text, step.params).rowcount
            if taken > 1:
                _refuse(step, taken)
            if not taken:
                failed = number
                execute("ROLLBACK TO guards")
                break
        execute("RELEASE guards")
        return failed

    def _ran(self, tree: Tree, plans: Sequence[Plan], outcomes: list[Outcome]) -> Ran:
        """Append the leaves of the plans that were written to this tree, in the order of the plans."""
        leaves = [
            plan.leaf
            for plan, outcome in zip(plans, outcomes, strict=True)
            if outcome == 0 and plan.leaf is not None
        ]
        return Ran(outcomes, self._append(tree, leaves) if leaves else tree)

    def _append(self, tree: Tree, leaves: list[Leaf]) -> Tree:
        first = tree.size
        tree = grown(tree, (leaf.hash for leaf in leaves))
        self._connection.executemany(
            _ADD_LEAF,
            [(number, leaf.at, leaf.kind, leaf.body, leaf.hash) for number, leaf in enumerate(leaves, first)],
        )
        self._connection.execute(_KEEP_TREE, (to_bytes(tree),))
        return tree

    def _commit(self, *parts: Ran) -> list[Outcome]:
        """Commit what ran, one part on top of the other, and only then believe in the new tree."""
        self._connection.execute("COMMIT")
        self._tree = parts[-1].tree
        return [outcome for part in parts for outcome in part.outcomes]

    def _wait_for_lock(self, milliseconds: int) -> None:
        self._connection.execute(f"PRAGMA busy_timeout = {milliseconds}")

    def _late(self) -> bool:
        """Asked by SQLite now and then; true ends the statement."""
        return time.perf_counter() > self._until

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _give_up(self, error: Exception) -> None:
        """Undo the batch; stop writing for good when the disk can no longer be believed."""
        try:
            self._roll_back()
        except sqlite3.Error as failed:
            self._broken = (
                f"The store has stopped because a rollback failed ({failed}); restart after a check."
            )
            self._reason = engines_name(failed)
        if _code(error) in _DISK_BROKEN:
            self._broken = f"The store has stopped because of the disk ({error}); restart after a check."
            self._reason = engines_name(error)


def _refused(plans: Sequence[Plan], text: str, reason: str) -> list[Outcome]:
    return [StoreUnavailableError(text, reason) for _ in plans]


def _now(error: Exception) -> tuple[str, str]:
    """Text and reason for callers of a store that cannot write now."""
    return f"The store cannot write now: {error}", engines_name(error)


def _refuse(step: Step, taken: int) -> NoReturn:
    wanted = 1 if step.rows is None else step.rows
    raise BrokenPlanError(f"{step.sql.name} took {taken} rows instead of {wanted}")


def _code(error: Exception) -> int | None:
    """SQLite's primary result code, if the error came from the engine."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _raise_if_unavailable(error: Exception) -> None:
    if _code(error) in _DISK_TROUBLE | _DISK_BROKEN:
        raise error
