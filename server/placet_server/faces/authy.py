"""The Authy API as its clients speak it, in JSON and XML.

    GET|POST /protected/{json|xml}/…      users and tokens        key: X-Authy-API-Key or X-TFA-API-Key,
    GET|POST /onetouch/{json|xml}/…       approval requests            else api_key in query or body

    200 {"message":"Token is valid.","token":"is valid","success":"true",…}
    4xx {"message":M,"success":false,"errors":{"message":M},"error_code":"60026"}

Quirks that clients depend on: success is exactly 200; JSON is compact and ASCII; ``error_code`` is text; ``success`` of
a token check is the text "true" and of everything else a boolean; parameters come by query, form or JSON, also in the
body of a GET; ids in paths may be any text; ``details`` may be a hash, nested fields or one plain string.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from aiohttp import web

from placet_protocol import approval as limits
from placet_protocol.text import visible
from placet_server.domain.handles import canonical_email, canonical_phone
from placet_server.domain.refusals import RefusedError
from placet_server.domain.services import Domain
from placet_server.domain.users import UserDraft
from placet_server.domain.values import Approval, ApprovalDraft, Caller, Scope, User, Verification
from placet_server.faces import params
from placet_server.faces.authyqr import PICTURE_PATH, Pictures
from placet_server.faces.authyreplies import DEVICE, REFUSALS, VERIFICATIONS, Reply, error, ok, unverified
from placet_server.faces.rack import as_list, flag
from placet_server.faces.switches import switch
from placet_server.web.gate import Call, Gate, Handler
from placet_server.web.wire import rfc3339

TTL_DEFAULT: Final = 86_400
TTL_MAX: Final = 30 * 86_400
_PATH_TEXT: Final = "[^/{}]{1,100}"


class AuthyFace:
    """Reads Authy's credentials and says no in Authy's words."""

    name = "authy"

    def __init__(self, domain: Domain, pictures: Pictures) -> None:
        self._domain = domain
        self._pictures = pictures

    async def authenticate(self, request: web.Request, now: int) -> Caller | None:
        """The application of the key in header, query or body, in this order."""
        headers = request.headers
        key = headers.get("X-Authy-API-Key") or headers.get("X-TFA-API-Key")
        if key is None:
            found = (await params.read(request)).get("api_key")
            key = found if isinstance(found, str) else None
        return await self._domain.credentials.by_secret("authy", key, now) if key else None

    def refusal(self, request: web.Request, refused: RefusedError, _request_id: str) -> web.Response:
        """The error body of section 5 of Authy's reference."""
        said = REFUSALS[refused.code]
        message = said.message or refused.detail
        if refused.code == "invalid_request":
            message = f"Invalid parameter: {message}"
        response = error(request, said._replace(message=message))
        if refused.retry_after is not None:
            response.headers["Retry-After"] = str(refused.retry_after)
        return response

    def routes(self, gate: Gate, router: web.UrlDispatcher) -> None:
        """Serve every path of this face."""

        def add(method: str, path: str, handler: Handler, scope: Scope) -> None:
            gate.add(router, method, path, handler, face=self, scope=scope)

        users = "/protected/{format:json|xml}/users"
        user = "{user:" + _PATH_TEXT + "}"
        add("POST", f"{users}/new", self._add_user, "users")
        add("GET", f"{users}/{user}/status", self._user_status, "users")
        for path in (f"{users}/{user}/remove", f"{users}/{user}/delete", f"{users}/delete/{user}"):
            add("POST", path, self._remove_user, "users")
        add("POST", f"{users}/{user}/secret", self._secret, "codes")
        token = "{token:" + _PATH_TEXT + "}"
        add("GET", f"/protected/{{format:json|xml}}/verify/{token}/{user}", self._verify, "codes")
        onetouch = "/onetouch/{format:json|xml}"
        add("POST", f"{onetouch}/users/{user}/approval_requests", self._ask, "approvals")
        add("GET", f"{onetouch}/approval_requests/{{id:{_PATH_TEXT}}}", self._asked, "approvals")
        gate.add(router, "GET", PICTURE_PATH, self._pictures.show, face=self)
        gate.add_rest(router, self, "/protected")
        gate.add_rest(router, self, "/onetouch")

    async def _add_user(self, request: web.Request, call: Call) -> web.Response:
        sent = await params.read(request)
        fields = sent.get("user")
        fields = fields if isinstance(fields, dict) else {}
        texts = {name: str(fields.get(name, "")).strip() for name in ("email", "cellphone", "country_code")}
        errors = {name: "is invalid and can't be blank" for name in ("email", "cellphone") if not texts[name]}
        draft = UserDraft(
            country_code=texts["country_code"] or "1",
            phone=texts["cellphone"],
            email=texts["email"],
            phone_identifies=True,
        )
        errors |= {name: "is invalid" for name in _malformed(draft) if name not in errors}
        if errors:
            return error(request, REFUSALS["user_conflict"], errors)
        user, _ = await self._domain.users.create(call.by.org, draft, call.now)
        return ok(request, message="User created successfully.", user={"id": user.tfa_id}, success=True)

    async def _user_status(self, request: web.Request, call: Call) -> web.Response:
        user = await self._user(request, call)
        devices = [item for item in await self._domain.devices.of_user(user.id) if item.status == "active"]
        status = {
            "authy_id": user.tfa_id,
            "confirmed": user.confirmed,
            "registered": bool(devices),
            "country_code": user.country_code or 1,
            "phone_number": _masked(user.phone),
            "email": user.emails[0] if user.emails else None,
            "devices": [device.platform for device in devices],
            "has_hard_token": False,
            "account_disabled": False,
            "detailed_devices": [
                {
                    "device_type": "authy",
                    "os_type": device.platform,
                    "registration_device_id": None,
                    "registration_method": "push",
                    "device_id": _number(device.id),
                    "last_sync_date": device.created_at // 1000,
                    "creation_date": device.created_at // 1000,
                }
                for device in devices
            ],
            "deleted_devices": [],
        }
        return ok(request, status=status, message="User status.", success=True)

    async def _remove_user(self, request: web.Request, call: Call) -> web.Response:
        user = await self._user(request, call)
        await self._domain.users.remove(call.by.org, user.tfa_id, call.now)
        return ok(request, message="User removed from application", success=True)

    async def _secret(self, request: web.Request, call: Call) -> web.Response:
        user = await self._user(request, call)
        sent = await params.read(request)
        issuer = call.by.application.name
        given = sent.get("label")
        label = (
            _shown(str(given), limits.NAME_MAX)
            if given
            else (user.emails[0] if user.emails else str(user.tfa_id))
        )
        made = await self._domain.soft_tokens.create(user, label, issuer, call.now)
        picture = self._pictures.url(made.uri, call.now, sent.get("qr_size"))
        return ok(request, label=label, issuer=issuer, qr_code=picture, success=True)

    async def _verify(self, request: web.Request, call: Call) -> web.Response:
        token = request.match_info["token"]
        if not (token.isascii() and token.isdigit() and 6 <= len(token) <= 12):
            return unverified(request, VERIFICATIONS["mismatch"])
        try:
            user = await self._user(request, call)
        except RefusedError:
            return error(request, Reply(404, "60016", "User doesn't exist"))
        sent = await params.read(request)
        # Authy lets any token pass for a user who never confirmed one. Only a credential that asks for it gets that.
        lenient = (
            switch(call.by, "verify_unconfirmed") == "lenient" and "force" in sent and not flag(sent["force"])
        )
        outcome: Verification = "matched"
        if not (lenient and not user.confirmed):
            outcome = await self._domain.soft_tokens.verify(call.by, user.tfa_id, token, call.now)
        if outcome != "matched":
            return unverified(request, VERIFICATIONS[outcome])
        device = dict.fromkeys(DEVICE) | {
            "os_type": "sms",
            "registration_date": user.created_at // 1000,
            "last_sync_date": call.now // 1000,
        }
        said = VERIFICATIONS["matched"].message
        valid = {"token": "is valid", "success": "true"}
        return ok(request, message=said, **valid, device=device)

    async def _ask(self, request: web.Request, call: Call) -> web.Response:
        user = await self._domain.users.ref(call.by.org, _tfa_id(request))
        draft = _draft(await params.read(request), call.by.application.policies.authy_number)
        created = await self._domain.approvals.create(call.by, user, draft, call.now)
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
            message = f"Approval request not found: {_shown(sought, 100)}"
            return error(request, Reply(404, "60049", message), {})
        user = await self._domain.users.by_tfa_id(call.by.org, approval.tfa_id)
        return ok(
            request,
            approval_request=_approval(approval, user, call.by.application.name),
            message="Approval request status.",
            success=True,
        )

    async def _user(self, request: web.Request, call: Call) -> User:
        return await self._domain.users.by_tfa_id(call.by.org, _tfa_id(request))


def _tfa_id(request: web.Request) -> int:
    """The id in the path; any text may stand there, and what is no number is nobody's."""
    text = request.match_info["user"]
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        raise RefusedError("user_not_found", "User not found.")
    return int(text)


def _malformed(draft: UserDraft) -> list[str]:
    """Which of Authy's fields hold no phone or e-mail."""
    bad = []
    try:
        canonical_phone(draft.country_code or "", draft.phone or "")
    except RefusedError as refused:
        bad.append("country_code" if refused.detail.startswith("country_code") else "cellphone")
    try:
        canonical_email(draft.email or "")
    except RefusedError:
        bad.append("email")
    return bad


def _draft(sent: dict[str, Any], number: str) -> ApprovalDraft:
    """Authy's fields as a question; raises ``invalid_request`` in the form *name - why*."""
    message = _shown(str(sent.get("message", "")), limits.MESSAGE_MAX, newline=True, name="message")
    if not message.strip():
        raise RefusedError("invalid_request", "message - Parameter is required")
    details = sent.get("details") or {}
    if not isinstance(details, dict):
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
        ttl=_ttl(sent.get("seconds_to_expire")),
        number=number,
        visible=tuple(
            (_shown(str(label), limits.LABEL_MAX), _shown(_text(value), limits.VALUE_MAX, name="details"))
            for label, value in details.items()
        ),
        hidden=hidden,
        logos=tuple(
            (visible(str(logo.get("res", "")))[:10], visible(str(logo.get("url", "")))[:500])
            for logo in logos[:10]
        ),
        supersede=True,
    )


def _ttl(value: object) -> int:
    text = str(value if value is not None else TTL_DEFAULT)
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise RefusedError(
            "invalid_request", f"seconds_to_expire - '{_shown(text, 40)}' is not a valid Integer"
        )
    return min(int(text), TTL_MAX) or TTL_MAX


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _shown(text: str, limit: int, *, newline: bool = False, name: str = "details") -> str:
    """What a person can be shown of a foreign text: forbidden characters become visible, too much is refused."""
    shown = visible(text, newline=newline)
    if len(shown) > limit:
        raise RefusedError("invalid_request", f"{name} - is longer than {limit} characters")
    return shown


def _approval(approval: Approval, user: User, application: str) -> dict[str, Any]:
    decided = approval.decided_at
    ended = approval.status != "pending"
    # Authy knows neither of the two: for its clients the time of the question is simply over.
    status = "expired" if approval.status in {"cancelled", "superseded"} else approval.status
    told = {
        "_app_name": application,
        "_app_serial_id": _number(approval.application),
        "_authy_id": approval.tfa_id,
        "_id": _hex24(approval.id),
        "_user_email": user.emails[0] if user.emails else None,
        "app_id": _hex24(approval.application),
        "created_at": rfc3339(approval.created_at),
        "notified": approval.seen_at is not None,
        "processed_at": rfc3339(decided or approval.expires_at) if ended else None,
        "seconds_to_expire": (approval.expires_at - approval.created_at) // 1000,
        "status": status,
        "updated_at": rfc3339(decided or (approval.expires_at if ended else approval.created_at)),
        "user_id": _hex24(approval.user_id),
        "uuid": approval.id,
    }
    if approval.device is not None:
        told["hidden_details"] = approval.draft.hidden
    return told


def _hex24(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _number(text: str) -> int:
    return int(hashlib.sha256(text.encode()).hexdigest()[:7], 16)


def _masked(phone: str | None) -> str:
    return f"XXX-XXX-{phone[-4:]}" if phone else ""
