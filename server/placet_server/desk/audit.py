"""The operator's commands on the audit log; ``operations.py`` lists them with its own."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from placet_server.crypto.checkpoint import (
    Checked,
    Checkpoint,
    check_part,
    current_checkpoint,
    sign_checkpoint,
    verifier_key,
)
from placet_server.crypto.merkle import from_bytes, to_bytes
from placet_server.desk.desk import Answer, Desk
from placet_server.domain.refusals import RefusedError
from placet_server.ports import plan


async def audit_checkpoint(desk: Desk) -> Answer:
    """A signed statement of the log as it is now, and the key by which others verify it."""
    checkpoint = await current_checkpoint(desk.store, desk.log_origin)
    return {
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "root": b64encode(checkpoint.root).decode(),
        "key": verifier_key(desk.log_origin, desk.log_key.public_key()),
        "note": sign_checkpoint(checkpoint, desk.log_key),
    }


async def audit_check(
    desk: Desk, *, signed: Sequence[tuple[int, str]], tree: str = "", confirmed: int = 0
) -> Answer:
    """Check some entries more; ``tree`` and ``confirmed`` are what the call before answered.

    ``signed`` are size and root of the checkpoints whose signatures the caller has verified. A log of any length is
    checked in calls that take some seconds each.
    """
    try:
        before = Checked(from_bytes(b64decode(tree, validate=True) or bytes(8)), confirmed)
        checkpoints = [
            Checkpoint(desk.log_origin, size, b64decode(root, validate=True)) for size, root in signed
        ]
    except (TypeError, ValueError) as error:
        raise RefusedError(
            "invalid_request", f"The state of the check is not understood: {error}."
        ) from error
    # Reads share a snapshot until the next commit; this begins a new one.
    await desk.store.write(plan(guards=0))
    checked = await check_part(desk.store, checkpoints, before)
    return {
        "tree": b64encode(to_bytes(checked.tree)).decode(),
        "entries": checked.tree.size,
        "confirmed": checked.signed,
        "wrong": checked.wrong,
        "done": checked.done,
    }


COMMANDS: Final[dict[str, Callable[..., Awaitable[Answer]]]] = {
    "audit checkpoint": audit_checkpoint,
    "audit check": audit_check,
}
