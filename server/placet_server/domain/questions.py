"""One approval request as it is kept: its row, what is sealed in it, and the document that devices get."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct, structs

from placet_protocol import documents
from placet_protocol.canonical import hidden_hash
from placet_protocol.jose import b64u
from placet_server.domain.values import Approval, ApprovalDraft
from placet_server.ports import Row, Sealer, Sql

COLUMNS: Final = "id, org, application, user_id, tfa_id, status, reason, created_at, expires_at, decided_at, device, seen_at, sealed"
BY_ID: Final = Sql("approval", f"SELECT {COLUMNS} FROM approvals WHERE id = ?")  # noqa: S608 - constant text
TABLE: Final = "approvals"


class Secrets(Struct, frozen=True, array_like=True):
    """What is sealed beside the texts.

    The number (None when none is asked), the nonce and the salt of the hidden details (16 bytes each), and the
    application's name as it was when it asked.
    """

    number: str | None
    nonce: bytes
    salt: bytes
    asker: str


class _Body(Struct, frozen=True, array_like=True):
    secrets: Secrets
    draft: ApprovalDraft


class Question(Struct, frozen=True):
    """An approval request with its secrets; never leaves the core."""

    approval: Approval
    secrets: Secrets


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Body).decode


def sealed(sealer: Sealer, question_id: str, secrets: Secrets, draft: ApprovalDraft) -> bytes:
    """The one sealed value of a row."""
    return sealer.seal("pii", TABLE, question_id, _encode(_Body(secrets, draft)))


def opened(sealer: Sealer, row: Row) -> Question:
    """The question of a row of ``COLUMNS``, with the status that the row has; raises ``UnsealableError``."""
    body = _decode(sealer.open("pii", TABLE, row[0], row[12]))
    return Question(_approval(row, body.draft), body.secrets)


def unreadable(row: Row) -> Question:
    """What is left of a row whose sealed value somebody changed: enough to end it."""
    return Question(_approval(row, ApprovalDraft("", 1, "none")), Secrets(None, b"", b"", ""))


def is_due(approval: Approval, now: int) -> bool:
    """Whether it is still open in the store although its time is over."""
    return approval.status == "pending" and approval.expires_at <= now


def as_of(approval: Approval, now: int) -> Approval:
    """The approval as everybody must see it at ``now``: expired from the first millisecond of ``expires_at``."""
    if not is_due(approval, now):
        return approval
    return structs.replace(approval, status="expired", decided_at=approval.expires_at)


def request(question: Question, issuer: str) -> documents.Request:
    """What the server signs for the devices; the same for all of them. ``exp`` is never before the true end."""
    approval, draft = question.approval, question.approval.draft
    return documents.Request(
        iss=issuer,
        rid=approval.id,
        sub=approval.user_id,
        rp=documents.RelyingParty(id=approval.application, name=question.secrets.asker),
        iat=approval.created_at // 1000,
        exp=-(-approval.expires_at // 1000),
        non=b64u(question.secrets.nonce),
        msg=draft.message,
        vis=draft.visible,
        hdh=b64u(hidden_hash(question.secrets.salt, draft.hidden)),
        ctx=documents.Context(ip=draft.ip, place=draft.place, agent=draft.agent),
        num=draft.number,
    )


def public_facts(approval: Approval, times: Callable[[int], str]) -> dict[str, str | int | None]:
    """What an event says of an approval: ids, state and times (through ``times``), no text and no number."""
    return {
        "id": approval.id,
        "tfa_id": approval.tfa_id,
        "status": approval.status,
        "reason": approval.reason,
        "device": approval.device,
        "created_at": times(approval.created_at),
        "expires_at": times(approval.expires_at),
        "decided_at": None if approval.decided_at is None else times(approval.decided_at),
    }


def _approval(row: Row, draft: ApprovalDraft) -> Approval:
    return Approval(*(*row[:12], draft))
