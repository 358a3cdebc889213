"""``placet-server doctor`` inside the server: what of gateways, applications and credentials an operator should know."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from placet_server.desk.desk import Answer, Desk
from placet_server.domain.credentialkinds import UNGUESSABLE, kind_of
from placet_server.domain.credentials import CredentialInfo
from placet_server.domain.values import Application
from placet_server.ports import Sql
from placet_server.settings import is_loopback

IN_CLEAR: Final = frozenset({"file", "console"})
_NEWEST: Final = Sql("audit_newest", "SELECT max(at) FROM audit")
_URL: Final = Sql("doctor_public_url", "SELECT value FROM facts WHERE name = 'public_url'")
_BEHIND_MS: Final = 1_000

Finding = dict[str, Any]


def finding(level: str, name: str, detail: str, about: str | None = None) -> Finding:
    """One finding: ``problem``, ``warning`` or ``note``, its stable name, a sentence, and what it is about."""
    return {"level": level, "name": name, "about": about, "detail": detail}


async def doctor(desk: Desk) -> Answer:
    """What is to be said of this server, worst first where it stands."""
    found = await _clock(desk) + await _gateways(desk)
    for application in await desk.domain.applications.all():
        found += await _application(desk, application)
    for credential in await desk.domain.credentials.all():
        found += await _credential(desk, credential)
    return found


async def _clock(desk: Desk) -> list[Finding]:
    row = await desk.store.row(_NEWEST)
    ahead = ((row[0] if row else None) or 0) - desk.clock.now()
    if ahead <= _BEHIND_MS:
        return []
    text = f"The clock is {ahead // 1000} s behind what was written last: codes and requests live too long."
    return [finding("problem", "clock", text)]


async def _gateways(desk: Desk) -> list[Finding]:
    carriers = desk.carriers.all()
    if not carriers:
        text = "No gateway is set: codes that should be sent are refused with no_route."
        return [finding("warning", "no_gateway", text)]
    row = await desk.store.row(_URL)
    host = urlsplit(bytes(row[0]).decode()).hostname if row else None
    found = []
    for carrier in carriers:
        if carrier.kind in IN_CLEAR:
            where = desk.carriers.kept_in or f"what the gateway {carrier.name!r} writes"
            level = "warning" if is_loopback(host or "") else "problem"
            text = f"Codes stand in clear in {where} and reach nobody: set a gateway that carries them."
            found.append(finding(level, f"{carrier.kind}_gateway", text, carrier.name))
        if carrier.resting:
            text = "It has left the last messages without an answer and is asked last."
            found.append(finding("warning", "gateway_resting", text, carrier.name))
    return found


async def _application(desk: Desk, application: Application) -> list[Finding]:
    found, policies, name = [], application.policies, application.name
    webhooks = await desk.domain.applications.webhooks(name)
    if application.secret is None:
        text = "Its secret does not open: callbacks of its requests are not sent. `webhook secret` makes another."
        found.append(finding("problem", "no_webhook_secret", text, name))
    for hook in webhooks:
        if not hook.active:
            text = (
                f"Webhook {hook.id} answered 410 and is told nothing more: `webhook enable` it, or remove it."
            )
            found.append(finding("warning", "disabled_webhook", text, name))
    if not webhooks:
        text = (
            "It has no webhook and has to ask what became of requests and codes; `webhook add` gives it one."
        )
        found.append(finding("note", "no_webhook", text, name))
    if "*" in policies.callback_hosts:
        text = "A call may name any host as its callback (callback.hosts)."
        found.append(finding("warning", "any_callback_host", text, name))
    paid = [each for each in desk.carriers.all() if each.kind not in IN_CLEAR and each.channels - {"email"}]
    if paid and "*" in policies.code_countries:
        text = "Messages go to every country: code.countries=34,48 allows those that you serve."
        found.append(finding("warning", "all_countries", text, name))
    if paid and not policies.code_breaker and not policies.code_per_prefix:
        text = "Nothing bounds messages to one block of numbers: set code.breaker or code.per_prefix."
        found.append(finding("problem", "no_pumping_guard", text, name))
    return found


async def _credential(desk: Desk, credential: CredentialInfo) -> list[Finding]:
    if credential.networks:
        return []
    about = f"{credential.face} {credential.id}"
    if kind_of(credential.face).chosen:
        text = "A password opens it from any address: allow the customer's by `credential set --allow-ip`."
        return [finding("warning", "open_face", text, about)]
    secret = await desk.domain.credentials.secret(credential.id)
    if secret is None or len(secret) >= UNGUESSABLE:
        return []
    text = (
        f"A secret of {len(secret)} characters opens it from any address: allow the customer's, or rotate it."
    )
    return [finding("problem", "short_secret", text, about)]
