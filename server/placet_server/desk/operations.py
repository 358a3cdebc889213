"""The operator's commands: what ``placet-server application add`` and its siblings do, wherever they run.

Each is a function of a ``Desk`` and its arguments that returns JSON; a running server answers them over its admin
socket, and without one the command line runs them itself on the opened store.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import structs

from placet_server.desk import audit, credentials, messages
from placet_server.desk.desk import Answer, Desk
from placet_server.desk.doctor import doctor
from placet_server.domain import destinations
from placet_server.domain.ids import new_id
from placet_server.domain.organizations import DEFAULT_ORG
from placet_server.domain.outbox import WebhookBody
from placet_server.domain.policies import shown
from placet_server.domain.refusals import RefusedError
from placet_server.domain.users import UserDraft
from placet_server.domain.values import Application, Caller, Device, Enrollment, User, Webhook
from placet_server.ports import Sql
from placet_server.web.wire import rfc3339

_CHECK_DIGITS: Final = 6
_WAITING: Final = Sql(
    "enrollment_waiting",
    "SELECT id FROM enrollments WHERE user_id = ? AND status = 'redeemed' ORDER BY created_at DESC LIMIT 1",
)


async def run(desk: Desk, command: str, arguments: Mapping[str, Any]) -> Answer:
    """Carry out one command by its name, like ``application add``; raises ``RefusedError``."""
    function = COMMANDS.get(command)
    if function is None:
        raise RefusedError("invalid_request", f"This server knows no command {command[:64]!r}.")
    try:
        inspect.signature(function).bind(desk, **arguments)
    except TypeError as error:
        raise RefusedError("invalid_request", f"{command}: {error}.") from error
    return await function(desk, **arguments)


async def application_add(desk: Desk, *, name: str, scopes: Sequence[str]) -> Answer:
    """A new application and its API key, shown this once."""
    return (await desk.domain.applications.add(name, scopes, desk.clock.now()))._asdict()


async def application_list(desk: Desk) -> Answer:
    """All applications."""
    return [
        {"id": application.id, "name": application.name, "created_at": when(application.created_at)}
        for application in await desk.domain.applications.all()
    ]


async def application_show(desk: Desk, *, name: str) -> Answer:
    """One application with its policies, keys and webhooks, no secret among them."""
    applications = desk.domain.applications
    application = await applications.named(name)
    keys = [
        {**structs.asdict(key), "created_at": when(key.created_at), "expires_at": when(key.expires_at)}
        for key in await applications.keys(name)
    ]
    return {
        **_application(application),
        "keys": keys,
        "webhooks": [_webhook(hook) for hook in await applications.webhooks(name)],
    }


async def application_set(desk: Desk, *, name: str, pairs: Mapping[str, str]) -> Answer:
    """Change policies of an application."""
    return _application(await desk.domain.applications.set_policies(name, pairs, desk.clock.now()))


async def application_rotate_key(desk: Desk, *, name: str, at_once: bool = False) -> Answer:
    """A new API key; the old one lives for 24 hours more, or ends at once."""
    return (await desk.domain.applications.rotate_key(name, desk.clock.now(), at_once=at_once))._asdict()


async def application_remove(desk: Desk, *, name: str) -> Answer:
    """End an application with its keys, credentials and webhooks."""
    await desk.domain.applications.remove(name, desk.clock.now())
    return {"removed": name}


async def user_add(
    desk: Desk,
    *,
    tfa_id: int | None = None,
    country_code: int | None = None,
    phone: str | None = None,
    email: str | None = None,
    name: str | None = None,
) -> Answer:
    """A user by phone or e-mail; the one who has them already is given back.

    Without ``country_code`` a phone in international spelling brings it along.
    """
    if country_code is None and phone is not None and phone.lstrip().startswith(("+", "00")):
        country_code = destinations.phone(phone).country
    draft = UserDraft(country_code=country_code, phone=phone, email=email, name=name, tfa_id=tfa_id)
    user, created = await desk.domain.users.create(DEFAULT_ORG, draft, desk.clock.now())
    return {**_user(user), "created": created}


async def user_import(desk: Desk, *, rows: Sequence[Mapping[str, Any]]) -> Answer:
    """Many users; each row stands for itself, and refused ones are named by their ``line``."""
    created = known = 0
    refused = []
    for row in rows:
        fields = dict(row)
        line = fields.pop("line")
        try:
            user = await run(desk, "user add", fields)
        except RefusedError as error:
            refused.append({"line": line, "code": error.code, "detail": error.detail})
        else:
            fresh = isinstance(user, dict) and user["created"]
            created, known = (created + 1, known) if fresh else (created, known + 1)
    return {"created": created, "known": known, "refused": refused}


async def user_list(desk: Desk, *, after: str | None = None, limit: int = 100) -> Answer:
    """One page of users, and the cursor of the next."""
    page = await desk.domain.users.page(DEFAULT_ORG, after, limit)
    return {"users": [_user(user) for user in page.items], "next": page.next}


async def user_status(desk: Desk, *, tfa_id: int) -> Answer:
    """A user with devices and soft tokens."""
    user = await desk.domain.users.by_tfa_id(DEFAULT_ORG, tfa_id)
    tokens = await desk.domain.soft_tokens.of_user(user)
    return {
        **_user(user),
        "devices": [_device(device, user) for device in await desk.domain.devices.of_user(user.id)],
        "soft_tokens": [
            {"id": token.id, "name": token.name, "status": token.status, "created_at": when(token.created_at)}
            for token in tokens
        ],
    }


async def user_remove(desk: Desk, *, tfa_id: int) -> Answer:
    """Remove a user with devices and soft tokens."""
    await desk.domain.users.remove(DEFAULT_ORG, tfa_id, desk.clock.now())
    return {"removed": tfa_id}


async def user_unlock(desk: Desk, *, tfa_id: int) -> Answer:
    """Let a user's soft tokens and recovery codes count again after too many wrong codes."""
    user = await desk.domain.users.ref(DEFAULT_ORG, tfa_id)
    await desk.domain.soft_tokens.unlock(user, desk.clock.now())
    return {"unlocked": tfa_id}


async def enrollment_open(desk: Desk, *, tfa_id: int, application: str | None, reason: str) -> Answer:
    """Invite a device of a user; the URI is shown this once."""
    user = await desk.domain.users.by_tfa_id(DEFAULT_ORG, tfa_id)
    caller = await _operator(desk, application)
    opened = await desk.domain.enrollments.open(
        caller, user, caller.application.name, reason, desk.clock.now()
    )
    return {**_enrollment(opened, user), "uri": opened.uri}


async def enrollment_status(desk: Desk, *, tfa_id: int, id: str) -> Answer:  # noqa: A002 - as above
    """How far an invitation has come."""
    user = await desk.domain.users.by_tfa_id(DEFAULT_ORG, tfa_id)
    return _enrollment(await desk.domain.enrollments.status(DEFAULT_ORG, id, desk.clock.now()), user)


async def enrollment_confirm(desk: Desk, *, tfa_id: int, check: str, id: str | None = None) -> Answer:  # noqa: A002 - as above
    """Confirm the device that waits for its six digits, so that it becomes active.

    Spaces between them do not count, and what are not six digits costs none of the three tries.
    """
    check = "".join(check.split())
    if not (len(check) == _CHECK_DIGITS and check.isascii() and check.isdigit()):
        raise RefusedError("invalid_request", "Give the six digits that the device shows, such as 123456.")
    user = await desk.domain.users.by_tfa_id(DEFAULT_ORG, tfa_id)
    row = (id,) if id else await desk.store.row(_WAITING, (user.id,))
    if row is None:
        raise RefusedError("not_found", "No device of this user waits for confirmation: enroll one first.")
    return _enrollment(
        await desk.domain.enrollments.confirm(DEFAULT_ORG, row[0], check, desk.clock.now()), user
    )


async def device_list(desk: Desk, *, tfa_id: int) -> Answer:
    """The devices of a user."""
    user = await desk.domain.users.by_tfa_id(DEFAULT_ORG, tfa_id)
    return [_device(device, user) for device in await desk.domain.devices.of_user(user.id)]


async def device_revoke(desk: Desk, *, id: str) -> Answer:  # noqa: A002 - as above
    """End a device at once."""
    await desk.domain.devices.revoke(DEFAULT_ORG, id, "operator", desk.clock.now())
    return {"revoked": id}


async def webhook_add(desk: Desk, *, application: str, url: str) -> Answer:
    """A new endpoint with its signing secret, shown this once."""
    hook = await desk.domain.applications.add_webhook(application, url, desk.clock.now())
    return {**_webhook(hook), "application": application, "secret": hook.secret}


async def webhook_list(desk: Desk, *, application: str | None = None) -> Answer:
    """The endpoints of one application or of all, disabled ones too."""
    applications = desk.domain.applications
    names = [application] if application else [owner.name for owner in await applications.all()]
    return [
        {**_webhook(hook), "application": name}
        for name in names
        for hook in await applications.webhooks(name)
    ]


async def webhook_test(desk: Desk, *, id: str) -> Answer:  # noqa: A002 - as above
    """Send one signed test event now, to a disabled endpoint too, and tell what it answered."""
    hook, now = await desk.domain.applications.webhook(id), desk.clock.now()
    event_id = f"evt_{new_id(now, desk.entropy)}"
    payload = msgspec.json.encode({"type": "webhook.test", "timestamp": when(now), "data": {"webhook": id}})
    if hook.secret is None:
        raise RefusedError(
            "invalid_request", "The secret of this webhook is damaged: remove it and add it again."
        )
    body = WebhookBody(hook.url, event_id, hook.application, payload)
    attempt = await desk.sender.send(body, hook.secret, now)
    return {
        "id": id,
        "delivered": attempt.outcome == "delivered",
        "status": attempt.status or None,
        "detail": attempt.detail,
    }


async def webhook_secret(desk: Desk, *, application: str, rotate: bool = False) -> Answer:
    """The secret that signs what goes to an application's callback URLs, or a new one that signs from now on."""
    applications = desk.domain.applications
    if rotate:
        owner = await applications.rotate_secret(application, desk.clock.now())
    else:
        owner = await applications.named(application)
    if owner.secret is None:
        raise RefusedError("invalid_request", "The secret is damaged: make a new one by --rotate.")
    return {"application": owner.name, "secret": owner.secret}


async def webhook_enable(desk: Desk, *, id: str) -> Answer:  # noqa: A002 - as above
    """Tell a disabled endpoint again, from the next event on."""
    await desk.domain.applications.enable_webhook(id, desk.clock.now())
    return _webhook(await desk.domain.applications.webhook(id))


async def webhook_remove(desk: Desk, *, id: str) -> Answer:  # noqa: A002 - as above
    """End an endpoint."""
    await desk.domain.applications.remove_webhook(id, desk.clock.now())
    return {"removed": id}


COMMANDS: Final[dict[str, Callable[..., Awaitable[Answer]]]] = {
    "application add": application_add,
    "application list": application_list,
    "application show": application_show,
    "application set": application_set,
    "application rotate-key": application_rotate_key,
    "application remove": application_remove,
    **credentials.COMMANDS,
    **messages.COMMANDS,
    **audit.COMMANDS,
    "doctor": doctor,
    "user add": user_add,
    "user import": user_import,
    "user list": user_list,
    "user status": user_status,
    "user remove": user_remove,
    "user unlock": user_unlock,
    "enrollment open": enrollment_open,
    "enrollment status": enrollment_status,
    "enrollment confirm": enrollment_confirm,
    "device list": device_list,
    "device revoke": device_revoke,
    "webhook add": webhook_add,
    "webhook list": webhook_list,
    "webhook test": webhook_test,
    "webhook secret": webhook_secret,
    "webhook enable": webhook_enable,
    "webhook remove": webhook_remove,
}


def when(ms: int | None) -> str | None:
    """A time in ms as RFC 3339 in UTC with milliseconds."""
    return None if ms is None else rfc3339(ms)


async def _operator(desk: Desk, name: str | None) -> Caller:
    applications = desk.domain.applications
    if name is not None:
        application = await applications.named(name)
    else:
        known = await applications.all()
        if len(known) != 1:
            hint = "add one by `application add NAME`" if not known else "name one by --application"
            raise RefusedError("invalid_request", f"There are {len(known)} applications: {hint}.")
        application = known[0]
    return Caller(application, "operator", frozenset({"users", "devices:admin"}))


def _application(application: Application) -> dict[str, Any]:
    return {
        "id": application.id,
        "name": application.name,
        "created_at": when(application.created_at),
        "policies": shown(application.policies),
    }


def _user(user: User) -> dict[str, Any]:
    return {
        "tfa_id": user.tfa_id,
        "name": user.name,
        "country_code": user.country_code,
        "phone": user.phone,
        "emails": list(user.emails),
        "confirmed": user.confirmed,
        "created_at": when(user.created_at),
    }


def _device(device: Device, user: User) -> dict[str, Any]:
    return {
        "id": device.id,
        "tfa_id": user.tfa_id,
        "name": device.name,
        "platform": device.platform,
        "status": device.status,
        "created_at": when(device.created_at),
        "revoked_at": when(device.revoked_at),
    }


def _enrollment(enrollment: Enrollment, user: User) -> dict[str, Any]:
    return {
        "id": enrollment.id,
        "tfa_id": user.tfa_id,
        "status": enrollment.status,
        "device": enrollment.device,
        "expires_at": when(enrollment.expires_at),
    }


def _webhook(hook: Webhook) -> dict[str, Any]:
    return {
        "id": hook.id,
        "url": hook.url,
        "status": ("damaged" if hook.secret is None else "active") if hook.active else "disabled",
        "created_at": when(hook.created_at),
    }
