"""Users on the Authy face.

POST users/new                       user[email], user[cellphone], user[country_code]
GET  users/{id}/status
POST users/{id}/remove = users/{id}/delete = users/delete/{id}
POST users/{id}/register_activity    type, data
POST users/{id}/update               email
POST users/{id}/secret               label, qr_size: the URL of a picture, never the secret
GET  users/{id}/phone_number         where the credential may read numbers
GET  registrations/status            custom_user_id

Quirks: the phone alone says who it is, a second e-mail is kept; blank fields are "is invalid and can't be blank";
``send_install_link_via_sms`` is taken wherever it stands and sends nothing: people join by an enrolment.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from placet_protocol import approval as limits
from placet_server.domain.handles import canonical_email, canonical_phone
from placet_server.domain.refusals import RefusedError
from placet_server.domain.services import Domain
from placet_server.domain.users import UserDraft
from placet_server.domain.values import User
from placet_server.faces import params
from placet_server.faces.authyparts import (
    PROTECTED,
    USER,
    Row,
    grouped,
    masked,
    number,
    parameter,
    shown,
    tfa_id,
    user_number,
)
from placet_server.faces.authyqr import Pictures
from placet_server.faces.authyreplies import REFUSALS, Reply, disabled, error, ok
from placet_server.faces.switches import switch
from placet_server.web.gate import Call
from placet_server.web.wire import rfc3339

ACTIVITIES: Final = frozenset({"password_reset", "banned", "unbanned", "cookie_login"})
_BLANK: Final = "is invalid and can't be blank"


class UserRoutes:
    """Makes, shows, changes and removes users."""

    def __init__(self, domain: Domain, pictures: Pictures) -> None:
        self._domain = domain
        self._pictures = pictures

    def rows(self) -> tuple[Row, ...]:
        """The routes of this part."""
        users = f"{PROTECTED}/users"
        removals = (f"{users}/{USER}/remove", f"{users}/{USER}/delete", f"{users}/delete/{USER}")
        return (
            Row("POST", f"{users}/new", self._add, "users"),
            Row("GET", f"{users}/{USER}/status", self._status, "users"),
            *(Row("POST", path, self._remove, "users") for path in removals),
            Row("POST", f"{users}/{USER}/register_activity", self._activity, "users"),
            Row("POST", f"{users}/{USER}/update", self._update, "users"),
            Row("POST", f"{users}/{USER}/secret", self._secret, "codes"),
            Row("GET", f"{users}/{USER}/phone_number", self._phone_number, "users"),
            Row("GET", f"{PROTECTED}/registrations/status", self._registration, "users"),
        )

    async def _add(self, request: web.Request, call: Call) -> web.Response:
        fields = (await params.read(request)).get("user")
        fields = fields if isinstance(fields, dict) else {}
        texts = {name: str(fields.get(name) or "").strip() for name in ("email", "cellphone", "country_code")}
        errors = {name: _BLANK for name in ("email", "cellphone") if not texts[name]}
        draft = UserDraft(
            country_code=texts["country_code"] or "1",
            phone=texts["cellphone"],
            email=texts["email"],
            phone_identifies=True,
        )
        errors |= {name: text for name, text in _malformed(draft).items() if name not in errors}
        if errors:
            return error(request, REFUSALS["user_conflict"], errors)
        await self._domain.lookups.take(call.by, call.now)
        user, new = await self._domain.users.create(call.by.org, draft, call.now)
        call.note(user=user.tfa_id)
        if new:
            call.note(added=user.tfa_id)
            self._domain.lookups.undo(call.by)
            self._domain.usage.add(call.by.application.id, "users", call.now)
        return ok(request, message="User created successfully.", user={"id": user.tfa_id}, success=True)

    async def _status(self, request: web.Request, call: Call) -> web.Response:
        await self._domain.lookups.take(call.by, call.now)
        user = await self._user(request, call)
        devices = await self._domain.devices.of_user(user.id)
        active = [device for device in devices if device.status == "active"]
        status = {
            "authy_id": user.tfa_id,
            "confirmed": user.confirmed,
            "registered": bool(active),
            "country_code": user.country_code or 1,
            "phone_number": masked(user.phone),
            "email": user.emails[0] if user.emails else None,
            "devices": [device.platform for device in active],
            "has_hard_token": False,
            "account_disabled": False,
            "detailed_devices": [
                {
                    "device_type": "authy",
                    "os_type": device.platform,
                    "registration_device_id": None,
                    "registration_method": "push",
                    "device_id": number(device.id),
                    "last_sync_date": device.created_at // 1000,
                    "creation_date": device.created_at // 1000,
                }
                for device in active
            ],
            "deleted_devices": [],
        }
        return ok(request, status=status, message="User status.", success=True)

    async def _remove(self, request: web.Request, call: Call) -> web.Response:
        await self._domain.users.remove(call.by.org, tfa_id(request), call.now)
        return ok(request, message="User removed from application", success=True)

    async def _activity(self, request: web.Request, call: Call) -> web.Response:
        user = await self._user(request, call)
        kind = parameter(await params.read(request), "type")
        if kind not in ACTIVITIES:
            known = ", ".join(sorted(ACTIVITIES))
            return error(request, Reply(400, "60029", f"Activity was not created: type is one of {known}."))
        await self._domain.users.note_activity(user, kind, call.by.application.id, call.now)
        return ok(request, message="Activity was created.", success=True)

    async def _update(self, request: web.Request, call: Call) -> web.Response:
        text = parameter(await params.read(request), "email", 320)
        number_in_path = tfa_id(request)
        try:
            canonical_email(text)
        except RefusedError:
            await self._user(request, call)
            return error(request, REFUSALS["user_conflict"], {"email": "is invalid" if text else _BLANK})
        await self._domain.users.set_email(call.by.org, number_in_path, text, call.now)
        return ok(request, message="User was updated successfully", success=True)

    async def _secret(self, request: web.Request, call: Call) -> web.Response:
        user = await self._user(request, call)
        sent = await params.read(request)
        issuer = call.by.application.name
        label = shown(parameter(sent, "label"), limits.NAME_MAX, name="label")
        label = label or (user.emails[0] if user.emails else str(user.tfa_id))
        made = await self._domain.soft_tokens.create(user, label, issuer, call.now)
        picture = self._pictures.url(made.uri, call.now, sent.get("qr_size"))
        return ok(request, label=label, issuer=issuer, qr_code=picture, success=True)

    async def _phone_number(self, request: web.Request, call: Call) -> web.Response:
        await self._domain.lookups.take(call.by, call.now)
        user = await self._user(request, call)
        if not switch(call.by, "phone_number_export"):
            return disabled(request, call.by, "60154", "Phone number export is not enabled.")
        if user.phone is None:
            return error(request, Reply(404, "60058", "Phone not found."))
        return ok(
            request,
            phone_number=grouped(user.phone),
            country_code=str(user.country_code),
            e164=f"+{user.country_code}{user.phone}",
            updated_at=rfc3339(user.created_at),
            success=True,
        )

    async def _registration(self, request: web.Request, call: Call) -> web.Response:
        text = parameter(await params.read(request), "custom_user_id")
        await self._domain.lookups.take(call.by, call.now)
        try:
            user = await self._domain.users.ref(call.by.org, user_number(text))
        except RefusedError:
            return error(request, Reply(404, "60035", "Registration request not found."))
        state = "completed" if user.devices else "pending"
        return ok(request, message={"request_status": state}, status=state, pin=None, success=True)

    async def _user(self, request: web.Request, call: Call) -> User:
        return await self._domain.users.by_tfa_id(call.by.org, tfa_id(request))


def _malformed(draft: UserDraft) -> dict[str, str]:
    """What is wrong with which of Authy's fields."""
    bad = {}
    try:
        canonical_phone(draft.country_code or "", draft.phone or "")
    except RefusedError as refused:
        if refused.detail.startswith("country_code"):
            bad["country_code"] = "is not supported"
        else:
            bad["cellphone"] = "is invalid"
    try:
        canonical_email(draft.email or "")
    except RefusedError:
        bad["email"] = "is invalid"
    return bad
