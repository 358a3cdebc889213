"""Approval requests ("OneTouch") on the Authy face.

POST users/{id}/approval_requests    message, details, hidden_details, logos, seconds_to_expire
GET  approval_requests/{uuid}        pending, approved, denied or expired

Quirks: ``details`` may be a hash, nested fields or one plain string; ``seconds_to_expire`` is 86,400 when there is none and
0 means the longest time there is; ``message`` in both answers is ours, because one client fails without it; a new
request supersedes the oldest of too many, and what was superseded or cancelled reads as expired.
"""

from __future__ import annotations

import json
from typing import Any, Final

from aiohttp import web

from placet_protocol import approval as limits
from placet_protocol.text import visible
from placet_server.domain.asking import TTL_MAX
from placet_server.domain.refusals import RefusedError
from placet_server.domain.services import Domain
from placet_server.domain.values import Approval, ApprovalDraft, Caller, Device, User
from placet_server.faces import params
from placet_server.faces.authyparts import (
    ONETOUCH,
    USER,
    UUID,
    Row,
    device_facts,
    hex24,
    integer,
    number,
    parameter,
    required,
    shown,
    tfa_id,
)
from placet_server.faces.authyreplies import Reply, disabled, error, ok
from placet_server.faces.rack import as_list
from placet_server.faces.switches import switch
from placet_server.web.gate import Call
from placet_server.web.wire import rfc3339

TTL_DEFAULT: Final = 86_400
LOGOS_MAX: Final = 10


class ApprovalRoutes:
    """Asks people, and tells what they said."""

    def __init__(self, domain: Domain) -> None:
        self._domain = domain

    def rows(self) -> tuple[Row, ...]:
        """The routes of this part."""
        create = f"{ONETOUCH}/users/{USER}/approval_requests"
        return (
            Row("POST", create, self._ask, "approvals", self._not_in_the_sandbox),
            Row("GET", f"{ONETOUCH}/approval_requests/{UUID}", self._asked, "approvals"),
        )

    async def _ask(self, request: web.Request, call: Call) -> web.Response:
        user = await self._domain.users.ref(call.by.org, tfa_id(request))
        draft = _draft(await params.read(request), call.by)
        created = await self._domain.approvals.create(call.by, user, draft, call.now)
        call.note(subject=created.approval.id, seconds=draft.ttl, devices=created.devices)
        asked = {"uuid": created.approval.id}
        if created.number is not None:  # Authy knows no such field; without it nobody could show the number
            asked["number"] = created.number
        return ok(request, approval_request=asked, message="Approval request created.", success=True)

    async def _asked(self, request: web.Request, call: Call) -> web.Response:
        sought = request.match_info["id"]
        try:
            approval = await self._domain.approvals.get(call.by.application.id, sought, call.now)
        except RefusedError as refused:
            if refused.code != "not_found":
                raise
            message = f"Approval request not found: {shown(sought, 1_000)}"
            return error(request, Reply(404, "60049", message), {})
        device = await self._domain.devices.by_id(approval.device) if approval.device else None
        return ok(
            request,
            approval_request=_told(approval, await self._asked_user(call.by, approval), device, call.by),
            message="Approval request status.",
            success=True,
        )

    async def _not_in_the_sandbox(self, request: web.Request, call: Call) -> web.Response:
        await self._domain.users.ref(call.by.org, tfa_id(request))
        return disabled(request, call.by, "60064", "OneTouch is not enabled on the sandbox.")

    async def _asked_user(self, caller: Caller, approval: Approval) -> User | None:
        """Who was asked; None when they were removed meanwhile."""
        try:
            return await self._domain.users.by_tfa_id(caller.org, approval.tfa_id)
        except RefusedError:
            return None


def outward(status: str) -> str:
    """A status in Authy's words: where a question ended otherwise, its time is over for Authy's clients."""
    return "expired" if status in {"cancelled", "superseded"} else status


def _draft(sent: dict[str, Any], caller: Caller) -> ApprovalDraft:
    """Authy's fields as a question; raises ``invalid_request`` in the form *name - why*."""
    message = shown(str(sent.get("message") or ""), limits.MESSAGE_MAX, newline=True, name="message")
    if not message.strip():
        required({}, "message")
    details = sent.get("details") or {}
    if not isinstance(details, dict):
        if switch(caller, "details_text") == "refused":
            raise RefusedError("invalid_request", "details - is no hash")
        details = {"Details": details}
    if len(details) > limits.FIELDS_MAX:
        raise RefusedError("invalid_request", f"details - has more than {limits.FIELDS_MAX} fields")
    hidden = sent.get("hidden_details") or {}
    if not isinstance(hidden, dict) or len(json.dumps(hidden)) > limits.HIDDEN_MAX:
        raise RefusedError(
            "invalid_request", f"hidden_details - is no hash of at most {limits.HIDDEN_MAX} bytes"
        )
    logos = [logo for logo in as_list(sent.get("logos")) if isinstance(logo, dict)]
    return ApprovalDraft(
        message=message,
        ttl=_ttl(parameter(sent, "seconds_to_expire")),
        number=caller.application.policies.authy_number,
        visible=tuple(
            (shown(str(label), limits.LABEL_MAX), shown(_text(value), limits.VALUE_MAX, name="details"))
            for label, value in details.items()
        ),
        hidden=hidden,
        logos=tuple(
            (visible(str(logo.get("res", "")))[:10], visible(str(logo.get("url", "")))[:500])
            for logo in logos[:LOGOS_MAX]
        ),
        supersede=True,
        callback_credential=caller.credential if caller.settings.get("callback_url") else None,
    )


def _ttl(text: str) -> int:
    wanted = integer("seconds_to_expire", text) if text else TTL_DEFAULT
    return min(wanted, TTL_MAX) or TTL_MAX


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _told(approval: Approval, user: User | None, device: Device | None, caller: Caller) -> dict[str, Any]:
    decided = approval.decided_at
    ended = approval.status != "pending"
    email = user.emails[0] if user and user.emails else f"{approval.tfa_id}@users.invalid"
    told: dict[str, Any] = {
        "_app_name": caller.application.name,
        "_app_serial_id": number(approval.application),
        "_authy_id": approval.tfa_id,
        "_id": hex24(approval.id),
        "_user_email": email,  # one client insists on an address
        "app_id": hex24(approval.application),
        "created_at": rfc3339(approval.created_at),
        "notified": approval.seen_at is not None,
        "processed_at": rfc3339(decided or approval.expires_at) if ended else None,
        "seconds_to_expire": (approval.expires_at - approval.created_at) // 1000,
        "status": outward(approval.status),
        "updated_at": rfc3339(decided or (approval.expires_at if ended else approval.created_at)),
        "user_id": hex24(approval.user_id),
        "uuid": approval.id,
    }
    if device is not None:
        told["hidden_details"] = approval.draft.hidden
        told["device"] = device_facts(device, approval.created_at, decided)
    return told
