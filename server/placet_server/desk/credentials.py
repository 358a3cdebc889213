"""The operator's commands on credentials and on the API log; ``operations.py`` lists them with its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from msgspec import structs

from placet_server.desk.desk import Answer, Desk
from placet_server.domain import senders
from placet_server.domain.calllog import LoggedCall, Sought
from placet_server.domain.credentialkinds import KINDS, kind_of
from placet_server.domain.credentials import (
    OVERLAP_SECONDS,
    UNIT,
    Change,
    CredentialInfo,
    NewCredential,
)
from placet_server.domain.refusals import RefusedError
from placet_server.faces import switches
from placet_server.web.wire import milliseconds, rfc3339

_TEMPLATE_MAX: Final = 1_000
_TEMPLATES_MAX: Final = 200
_TEXT_MAX: Final = 1_000
_PLACES: Final = 4


async def credential_add(
    desk: Desk,
    *,
    face: str,
    application: str,
    api_key: str | None = None,
    name: str = "",
    options: Mapping[str, Any] | None = None,
    switched: Mapping[str, str] | None = None,
    allow_ip: Sequence[str] = (),
    balance: str | None = None,
    price: str = "0",
) -> Answer:
    """A credential for a face, made here or brought along with what the customer's code holds."""
    settings = _options(desk, face, options or {}) | switches.parse(kind_of(face).face, switched or {})
    settings = {name: value for name, value in settings.items() if value is not None}
    made = await desk.domain.credentials.add(
        face,
        application,
        api_key,
        settings,
        desk.clock.now(),
        name=name,
        allow_ip=tuple(allow_ip),
        balance=None if balance is None else amount(balance),
        price=amount(price),
    )
    return {"id": made.id, "face": made.face, "application": application, **_secret(made)}


async def credential_list(desk: Desk, *, face: str | None = None) -> Answer:
    """The credentials of the faces, no secret among them."""
    names = await _names(desk)
    return [_shown(known, names) for known in await desk.domain.credentials.all(face)]


async def credential_set(
    desk: Desk,
    *,
    id: str,  # noqa: A002 - the argument's name on the wire
    options: Mapping[str, Any] | None = None,
    switched: Mapping[str, str] | None = None,
    allow_ip: Sequence[str] | None = None,
    balance: str | None = None,
    price: str | None = None,
) -> Answer:
    """Change settings, networks, price or balance; a balance with a plus sign is added to what is left."""
    known = await desk.domain.credentials.one(id)
    settings = _options(desk, known.face, options or {}) | switches.parse(known.face, switched or {})
    if "templates" in settings:
        merged = {**known.settings.get("templates", {}), **settings["templates"]}
        settings["templates"] = {name: text for name, text in merged.items() if text}
    added = balance is not None and balance.startswith("+")
    change = Change(
        settings=settings,
        networks=None if allow_ip is None else tuple(allow_ip),
        balance=amount(balance) if balance is not None and not added else None,
        top_up=amount(balance[1:]) if balance is not None and added else None,
        price=None if price is None else amount(price),
    )
    return _shown(await desk.domain.credentials.change(id, change, desk.clock.now()), await _names(desk))


async def credential_rotate(
    desk: Desk,
    *,
    id: str,  # noqa: A002 - as above
    api_key: str | None = None,
    overlap: int | None = OVERLAP_SECONDS,
) -> Answer:
    """A new secret; the old one lives for so many seconds more, with None on and on."""
    made = await desk.domain.credentials.rotate(id, api_key, desk.clock.now(), overlap=overlap)
    return {"id": made.id, "face": made.face, **_secret(made)}


async def credential_revoke(desk: Desk, *, id: str) -> Answer:  # noqa: A002 - as above
    """End a credential."""
    await desk.domain.credentials.revoke(id, desk.clock.now())
    return {"revoked": id}


async def log_search(
    desk: Desk,
    *,
    since: str | None = None,
    until: str | None = None,
    application: str | None = None,
    after: str | None = None,
    limit: int = 50,
    **sought: Any,  # noqa: ANN401 - as ``Sought`` types them
) -> Answer:
    """One page of calls, newest first, and the cursor of the next."""
    unknown = set(sought) - set(Sought.__struct_fields__)
    if unknown:
        raise RefusedError("invalid_request", f"Calls cannot be sought by {min(unknown)[:32]!r}.")
    owner = None if application is None else (await desk.domain.applications.named(application)).id
    wanted = Sought(since=_time(since), until=_time(until), application=owner, **sought)
    page = await desk.domain.calls.search(wanted, after, limit)
    names = await _names(desk)
    return {"calls": [_call(call, names) for call in page.items], "next": page.next}


COMMANDS: Final[dict[str, Callable[..., Awaitable[Answer]]]] = {
    "credential add": credential_add,
    "credential list": credential_list,
    "credential set": credential_set,
    "credential rotate": credential_rotate,
    "credential revoke": credential_revoke,
    "log search": log_search,
}


def amount(text: str) -> int:
    """Money or credits such as ``10.00`` in 1/10,000; raises ``invalid_request``."""
    try:
        number = Decimal(text.strip())
        whole = text.isascii() and number.is_finite() and -number.as_tuple().exponent <= _PLACES  # type: ignore[operator] # finite: a number
    except InvalidOperation:
        whole = False
    if not whole or abs(number) >= 10**11:
        raise RefusedError("invalid_request", f"{text[:32]!r} is no amount such as 10.00.")
    return int(number * UNIT)


def spelled(units: int | None) -> str | None:
    """An amount as text, with two decimal places or as many as it has."""
    if units is None:
        return None
    text = f"{Decimal(units) / UNIT:.{_PLACES}f}"
    return text.removesuffix("00")


def _options(desk: Desk, face: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a credential; raises ``invalid_request`` for one that its face has not, or that is not good."""
    kind = kind_of(face)
    for name, value in options.items():
        if name not in kind.options:
            owners = ", ".join(other.face for other in KINDS.values() if name in other.options)
            known = ", ".join(sorted(_flag(option) for option in kind.options)) or "none"
            hint = f"it belongs to {owners}" if owners else "no face has it"
            raise RefusedError(
                "invalid_request", f"{_flag(name)} is no option of the {face} face ({known}): {hint}."
            )
        if name == "callback_url" and value:
            desk.domain.applications.check_callable(value)
        elif name == "callback_method" and value not in {"POST", "GET"}:
            raise RefusedError("invalid_request", "The callback method is POST or GET.")
        elif name == "templates":
            _check_templates(value)
        elif name == "sender" and value and not senders.fits_phones(value):
            raise RefusedError("invalid_request", f"--sender takes {senders.TYPE}, not {value[:64]!r}.")
        elif isinstance(value, str) and (len(value) > _TEXT_MAX or not value.isprintable()):
            raise RefusedError(
                "invalid_request", f"{_flag(name)} has at most {_TEXT_MAX} printable characters."
            )
    return dict(options)


def _check_templates(templates: object) -> None:
    if not isinstance(templates, Mapping) or len(templates) > _TEMPLATES_MAX:
        raise RefusedError("invalid_request", f"There are at most {_TEMPLATES_MAX} templates.")
    for name, text in templates.items():
        if not (1 <= len(name) <= 64 and name.isprintable() and " " not in name):
            raise RefusedError("invalid_request", "A template's id has 1 to 64 characters without spaces.")
        if len(text) > _TEMPLATE_MAX:
            raise RefusedError("invalid_request", f"A template has at most {_TEMPLATE_MAX} characters.")


def _flag(option: str) -> str:
    return "--" + option.removesuffix("s").replace("_", "-")


def _secret(made: NewCredential) -> dict[str, Any]:
    shown: dict[str, Any] = {"api_key": made.api_key} if made.api_key else {}
    if made.warnings:
        shown["warning"] = " ".join(made.warnings)
    return shown


def _shown(known: CredentialInfo, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "id": known.id,
        "face": known.face,
        "application": names.get(known.application, known.application),
        "name": known.name or None,
        "last4": known.last4,
        "settings": known.settings,
        "allow_ip": list(known.networks),
        "balance": spelled(known.balance),
        "price": spelled(known.price),
        "created_at": rfc3339(known.created_at),
        "secrets": [
            {
                **structs.asdict(secret),
                "created_at": rfc3339(secret.created_at),
                "expires_at": None if secret.expires_at is None else rfc3339(secret.expires_at),
            }
            for secret in known.secrets
        ],
    }


def _call(call: LoggedCall, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        **structs.asdict(call),
        "at": rfc3339(call.at),
        "application": names.get(call.application or "", call.application),
        "detail": {name: value for name, value in structs.asdict(call.detail).items() if value},
    }


async def _names(desk: Desk) -> dict[str, str]:
    return {application.id: application.name for application in await desk.domain.applications.all()}


def _time(text: str | None) -> int | None:
    """An RFC 3339 time or a date as ms UTC; without a zone it is taken for UTC."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise RefusedError(
            "invalid_request", f"{text[:40]!r} is no time such as 2026-11-21T20:00:00Z."
        ) from None
    return milliseconds(at if at.tzinfo else at.replace(tzinfo=UTC))
