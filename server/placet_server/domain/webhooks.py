"""Endpoints that are told what happened to an application: where they are, what signs for them, which listen."""

from __future__ import annotations

import base64
import logging
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from placet_server.domain.audit import leaf
from placet_server.domain.ids import new_id
from placet_server.domain.refusals import RefusedError
from placet_server.domain.values import Application, Webhook
from placet_server.ports import Entropy, Row, Sealer, Sql, Store, UnsealableError, UrlRule, plan, step

log: Final = logging.getLogger("placet")

_MAX_URL: Final = 2048

_ADD: Final = Sql(
    "webhook_add",
    "INSERT INTO webhooks (id, application, url, status, created_at, sealed)"
    " SELECT ?, id, ?, 'active', ?, ? FROM applications WHERE id = ?",
)
_COLUMNS: Final = "id, application, url, created_at, sealed, status"
_OF_APPLICATION: Final = Sql(
    "webhooks_of_application",
    f"SELECT {_COLUMNS} FROM webhooks WHERE application = ? ORDER BY id",  # noqa: S608 - constant text
)
_ONE: Final = Sql("webhook", f"SELECT {_COLUMNS} FROM webhooks WHERE id = ?")  # noqa: S608 - as above
_REMOVE: Final = Sql("webhook_remove", "DELETE FROM webhooks WHERE id = ?")
_DISABLE: Final = Sql(
    "webhook_disable", "UPDATE webhooks SET status = 'disabled' WHERE id = ? AND status = 'active'"
)
_ENABLE: Final = Sql(
    "webhook_enable", "UPDATE webhooks SET status = 'active' WHERE id = ? AND status = 'disabled'"
)


class HookSecrets:
    """The ``whsec_`` secrets that sign for endpoints and callback URLs: 32 bytes each, kept sealed."""

    def __init__(self, sealer: Sealer, entropy: Entropy) -> None:
        self._sealer = sealer
        self._entropy = entropy

    def new(self) -> str:
        """A new secret."""
        return "whsec_" + base64.b64encode(self._entropy.bytes(32)).decode()

    def sealed(self, table: str, row_id: str, secret: str) -> bytes:
        """What is kept of a secret in this row."""
        return self._sealer.seal("hook", table, row_id, secret.encode())

    def opened(self, table: str, row_id: str, kept: bytes) -> str | None:
        """The secret of a row. A damaged one stops nothing but what it would sign: a revocation must go on."""
        with suppress(UnsealableError):
            return self._sealer.open("hook", table, row_id, kept).decode()
        log.error("webhook secret damaged", extra={"placet_facts": {"table": table, "id": row_id}})
        return None


class Webhooks:
    """The endpoints of all applications, as they are kept; whoever remembers an application reads it anew after a change."""

    def __init__(self, store: Store, secrets: HookSecrets, entropy: Entropy) -> None:
        self._store = store
        self._secrets = secrets
        self._entropy = entropy

    async def of(self, application_id: str) -> tuple[Webhook, ...]:
        """The endpoints of an application, oldest first: disabled and damaged ones too."""
        return tuple(self._built(row) for row in await self._store.rows(_OF_APPLICATION, (application_id,)))

    async def one(self, webhook_id: str) -> Webhook:
        """An endpoint, disabled or damaged as it may be; raises ``not_found``."""
        row = await self._store.row(_ONE, (webhook_id,))
        if row is None:
            raise RefusedError("not_found", "There is no such webhook.")
        return self._built(row)

    async def add(self, application: Application, url: str, now: int) -> Webhook:
        """A new endpoint with a secret of its own; raises ``not_found`` when the application was removed."""
        secret = self._secrets.new()
        webhook = Webhook(new_id(now, self._entropy), application.id, url, secret, now)
        sealed = self._secrets.sealed("webhooks", webhook.id, secret)
        added = plan(
            step(_ADD, webhook.id, url, now, sealed, application.id),
            leaf=leaf(now, "webhook.added", application.org, application.id, webhook=webhook.id),
        )
        if await self._store.write(added):
            raise RefusedError("not_found", "There is no application of this name.")
        return webhook

    async def remove(self, application: Application, webhook_id: str, now: int) -> None:
        """End an endpoint."""
        await self._change(_REMOVE, "webhook.removed", application, webhook_id, now)

    async def disable(self, application: Application, webhook_id: str, now: int) -> None:
        """Send nothing more to an endpoint; no harm when it ended otherwise."""
        await self._change(_DISABLE, "webhook.disabled", application, webhook_id, now)

    async def enable(self, application: Application, webhook_id: str, now: int) -> None:
        """Send to a disabled endpoint again; no harm when it is active."""
        await self._change(_ENABLE, "webhook.enabled", application, webhook_id, now)

    def _built(self, row: Row) -> Webhook:
        hook_id, application, url, created_at, kept, status = row
        secret = self._secrets.opened("webhooks", hook_id, kept)
        return Webhook(hook_id, application, url, secret, created_at, status == "active")

    async def _change(
        self, change: Sql, kind: str, application: Application, webhook_id: str, now: int
    ) -> None:
        entry = leaf(now, kind, application.org, application.id, webhook=webhook_id)
        await self._store.write(plan(step(change, webhook_id), leaf=entry))


def check_callable(url: str, url_rule: UrlRule) -> None:
    """Raise ``invalid_request`` for what is no URL or would be refused, by its spelling, when it is called."""
    check_url(url)
    sentence = url_rule(url)
    if sentence is not None:
        raise RefusedError("invalid_request", f"{sentence}.")


def check_url(url: str) -> None:
    """Raise ``invalid_request`` unless this is a plain absolute http(s) URL: no user, no fragment, ≤ 2,048 characters.

    Where it may lead is decided when it is called.
    """
    try:
        parts = urlsplit(url)
        good = (
            len(url) <= _MAX_URL
            and url.isascii()
            and url.isprintable()
            and " " not in url
            and parts.scheme in {"http", "https"}
            and bool(parts.hostname)
            and "@" not in parts.netloc
            and not parts.fragment
            and parts.port != 0
        )
    except ValueError:
        good = False
    if not good:
        raise RefusedError(
            "invalid_request", "url is not an absolute http or https URL without user and fragment."
        )
