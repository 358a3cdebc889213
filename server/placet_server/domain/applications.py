"""Relying applications: their API keys, policies and webhook endpoints."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final, NamedTuple, get_args

import msgspec
from msgspec import Struct, structs

from placet_protocol.approval import NAME_MAX
from placet_protocol.errors import TextError
from placet_protocol.text import clean
from placet_server.domain.apikeys import new_api_key, read_api_key
from placet_server.domain.audit import leaf
from placet_server.domain.ids import new_id
from placet_server.domain.organizations import DEFAULT_ORG
from placet_server.domain.policies import Policies, parse
from placet_server.domain.refusals import RefusedError
from placet_server.domain.values import Application, Caller, Scope, Webhook
from placet_server.domain.webhooks import HookSecrets, Webhooks, check_callable
from placet_server.ports import Entropy, Row, Sealer, Sql, Step, Store, UrlRule, plan, step

DEFAULT_SCOPES: Final[tuple[Scope, ...]] = ("approvals", "users", "codes")
_OVERLAP_MS: Final = 24 * 3600 * 1000
_FRESH_MS: Final = 1000  # a key revoked by another process is dead after a second
_LAPS: Final = 64
_NO_HASH: Final = bytes(32)

_ADD: Final = Sql(
    "application_add",
    "INSERT INTO applications (id, org, name, policies, created_at, sealed) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT DO NOTHING",
)
_ADD_KEY: Final = Sql(
    "api_key_add",
    "INSERT INTO api_keys (id, application, secret_hash, scopes, last4, created_at) VALUES (?, ?, ?, ?, ?, ?)",
)
_COLUMNS: Final = "id, org, name, policies, created_at, sealed"
_ALL: Final = Sql("applications", f"SELECT {_COLUMNS} FROM applications ORDER BY id")  # noqa: S608 - constant text
_BY_ID: Final = Sql("application_by_id", f"SELECT {_COLUMNS} FROM applications WHERE id = ?")  # noqa: S608 - as above
_BY_NAME: Final = Sql(
    "application_by_name",
    f"SELECT {_COLUMNS} FROM applications WHERE org = ? AND name = ?",  # noqa: S608 - constant text
)
_POLICIES: Final = Sql("application_policies", "SELECT policies FROM applications WHERE id = ?")
_SET_POLICIES: Final = Sql(
    "application_set_policies", "UPDATE applications SET policies = ? WHERE id = ? AND policies = ?"
)
_SET_SECRET: Final = Sql("application_set_secret", "UPDATE applications SET sealed = ? WHERE id = ?")
_REMOVE: Final = Sql("application_remove", "DELETE FROM applications WHERE id = ?")
# An unknown id reads the row of another key: reading none would take less time, and tell.
_KEY: Final = Sql(
    "api_key",
    "SELECT secret_hash, scopes, expires_at, application, id FROM api_keys WHERE id ="
    " coalesce((SELECT min(id) FROM api_keys WHERE id >= ?), (SELECT min(id) FROM api_keys))",
)
_KEYS: Final = Sql(
    "api_keys_of_application",
    "SELECT id, scopes, last4, created_at, expires_at FROM api_keys WHERE application = ? ORDER BY created_at, id",
)
_SCOPES: Final = Sql(
    "api_key_scopes", "SELECT scopes FROM api_keys WHERE application = ? ORDER BY created_at DESC, id DESC"
)
_END_KEYS: Final = Sql(
    "api_keys_end",
    "UPDATE api_keys SET expires_at = ? WHERE application = ? AND (expires_at IS NULL OR expires_at > ?)",
)
_DROP_KEYS: Final = Sql("api_keys_drop", "DELETE FROM api_keys WHERE application = ? AND expires_at <= ?")
_TOUCH: Final = Sql("application_touch", "UPDATE applications SET name = name WHERE id = ?")


class NewKey(NamedTuple):
    """A key that was just made; ``api_key`` exists in this value only."""

    id: str
    name: str
    api_key: str


class KeyInfo(Struct, frozen=True):
    """What may be shown of an API key."""

    id: str
    scopes: tuple[str, ...]
    last4: str
    created_at: int
    expires_at: int | None


class _Known(NamedTuple):
    caller: Caller
    read_at: int
    expires_at: int | None


class Applications:
    """The relying applications of the installation, and who is calling."""

    def __init__(self, store: Store, sealer: Sealer, entropy: Entropy, url_rule: UrlRule) -> None:
        self._store = store
        self._secrets = HookSecrets(sealer, entropy)
        self._webhooks = Webhooks(store, self._secrets, entropy)
        self._entropy = entropy
        self._url_rule = url_rule
        self._known: dict[bytes, _Known] = {}
        self._by_id: dict[str, Application] = {}
        self.generation = 0
        """Grows with every change, so that whoever remembers an application knows when to read it anew."""

    async def authenticate(self, api_key: str, now: int) -> Caller | None:
        """Who presents this key, or None; an unknown id and a wrong secret cost the same work."""
        digest = hashlib.sha256(api_key.encode("utf-8", "replace")).digest()
        known = self._known.get(digest)
        if known is not None and 0 <= now - known.read_at < _FRESH_MS:
            return known.caller if known.expires_at is None or now < known.expires_at else None
        key = read_api_key(api_key)
        if key is None:
            return None
        generation = self.generation
        row = await self._store.row(_KEY, (key.id,))
        secret_hash, scopes, expires_at, application_id, key_id = row or (_NO_HASH, "", None, "", "")
        same = hmac.compare_digest(secret_hash, key.digest) and key_id == key.id
        if not same or row is None or (expires_at is not None and expires_at <= now):
            self._known.pop(digest, None)
            return None
        application = await self._load(application_id)
        if application is None:
            return None
        caller = Caller(application, key.id, frozenset(scopes.split()))
        if generation == self.generation:
            self._known[digest] = _Known(caller, now, expires_at)
        return caller

    async def add(self, name: str, scopes: Iterable[str], now: int, *, org: str = DEFAULT_ORG) -> NewKey:
        """A new application and its first key; raises ``name_taken``, ``invalid_text``, ``invalid_request``."""
        name = _clean_name(name)
        application_id = new_id(now, self._entropy)
        add_key, key_id, api_key = self._key_step(application_id, _scopes(scopes), now)
        sealed = self._secrets.sealed("applications", application_id, self._secrets.new())
        failed = await self._store.write(
            plan(
                step(_ADD, application_id, org, name, _encode(Policies()), now, sealed),
                add_key,
                leaf=leaf(now, "application.added", org, application_id, key=key_id),
            )
        )
        if failed:
            raise RefusedError("name_taken", "An application of this name exists.")
        return NewKey(application_id, name, api_key)

    async def all(self) -> list[Application]:
        """All applications, oldest first."""
        return [await self._built(row) for row in await self._store.rows(_ALL)]

    async def named(self, name: str, *, org: str = DEFAULT_ORG) -> Application:
        """The application of this name; raises ``not_found``."""
        row = await self._store.row(_BY_NAME, (org, name))
        if row is None:
            raise RefusedError("not_found", "There is no application of this name.")
        return await self._built(row)

    async def by_id(self, application_id: str) -> Application:
        """The application of this id, from memory when it was read before; raises ``not_found``."""
        application = self._by_id.get(application_id) or await self._load(application_id)
        if application is None:
            raise RefusedError("not_found", "There is no such application.")
        return application

    async def set_policies(self, name: str, pairs: Mapping[str, str], now: int) -> Application:
        """The application with these policies changed.

        Raises ``invalid_request`` naming the nearest known one, ``unavailable`` when others were faster every time.
        """
        for _ in range(_LAPS):
            application = await self.named(name)
            row = await self._store.row(_POLICIES, (application.id,))
            if row is None:
                continue  # removed in this moment: now it has no name, either
            policies = parse(pairs, msgspec.json.decode(row[0], type=Policies))
            changed = plan(
                # As they were read, byte for byte: what is encoded anew may leave out other defaults.
                step(_SET_POLICIES, _encode(policies), application.id, row[0]),
                leaf=leaf(now, "application.policies_set", application.org, application.id, **dict(pairs)),
            )
            if await self._store.write(changed) == 0:
                self.forget()
                return structs.replace(application, policies=policies)
        raise RefusedError(
            "unavailable", "Others change this application all the time; try again.", retry_after=1
        )

    async def keys(self, name: str) -> list[KeyInfo]:
        """What may be shown of the keys of an application."""
        application = await self.named(name)
        return [
            KeyInfo(key_id, tuple(scopes.split()), last4, created_at, expires_at)
            for key_id, scopes, last4, created_at, expires_at in await self._store.rows(
                _KEYS, (application.id,)
            )
        ]

    async def rotate_key(self, name: str, now: int, *, at_once: bool = False) -> NewKey:
        """A new key with the scopes of the last one; the old ones end in 24 hours, or now when ``at_once``."""
        application = await self.named(name)
        row = await self._store.row(_SCOPES, (application.id,))
        scopes = row[0].split() if row else DEFAULT_SCOPES
        end = now if at_once else now + _OVERLAP_MS
        add_key, key_id, api_key = self._key_step(application.id, scopes, now)
        failed = await self._store.write(
            plan(
                step(_TOUCH, application.id),
                step(_END_KEYS, end, application.id, end),
                step(_DROP_KEYS, application.id, now),
                add_key,
                leaf=leaf(now, "application.key_rotated", application.org, application.id, key=key_id),
            )
        )
        if failed:
            raise RefusedError("not_found", "There is no application of this name.")
        self.forget()
        return NewKey(application.id, application.name, api_key)

    async def remove(self, name: str, now: int) -> None:
        """End an application with its keys, credentials and webhooks; its requests stay as evidence."""
        application = await self.named(name)
        removed = leaf(now, "application.removed", application.org, application.id)
        await self._store.write(plan(step(_REMOVE, application.id), leaf=removed))
        self.forget()

    async def rotate_secret(self, name: str, now: int) -> Application:
        """The application with a new secret for its callback URLs, which signs from now on; raises ``not_found``."""
        application = await self.named(name)
        secret = self._secrets.new()
        rotated = plan(
            step(_SET_SECRET, self._secrets.sealed("applications", application.id, secret), application.id),
            leaf=leaf(now, "application.secret_rotated", application.org, application.id),
        )
        if await self._store.write(rotated):
            raise RefusedError("not_found", "There is no application of this name.")
        self.forget()
        return structs.replace(application, secret=secret)

    async def add_webhook(self, name: str, url: str, now: int) -> Webhook:
        """A new endpoint with a secret of its own; raises ``invalid_request`` for a URL that may not be called."""
        application = await self.named(name)
        self.check_callable(url)
        webhook = await self._webhooks.add(application, url, now)
        self.forget()
        return webhook

    async def webhooks(self, name: str) -> tuple[Webhook, ...]:
        """The endpoints of an application, with their secrets, disabled and damaged ones too."""
        return await self._webhooks.of((await self.named(name)).id)

    async def webhook(self, webhook_id: str) -> Webhook:
        """One endpoint, disabled or damaged as it may be; raises ``not_found``."""
        return await self._webhooks.one(webhook_id)

    async def remove_webhook(self, webhook_id: str, now: int) -> None:
        """End an endpoint; raises ``not_found``."""
        application = await self.by_id((await self.webhook(webhook_id)).application)
        await self._webhooks.remove(application, webhook_id, now)
        self.forget()

    async def disable_webhook(self, webhook_id: str, now: int) -> None:
        """Send nothing more to an endpoint that said that it is gone; no harm when it ended otherwise."""
        with suppress(RefusedError):  # removed meanwhile
            application = await self.by_id((await self.webhook(webhook_id)).application)
            await self._webhooks.disable(application, webhook_id, now)
            self.forget()

    async def enable_webhook(self, webhook_id: str, now: int) -> None:
        """Tell an endpoint again that was disabled, from the next event on; raises ``not_found``."""
        application = await self.by_id((await self.webhook(webhook_id)).application)
        await self._webhooks.enable(application, webhook_id, now)
        self.forget()

    def check_callable(self, url: str) -> None:
        """Raise ``invalid_request`` for what is no URL or would be refused, by its spelling, when it is called."""
        check_callable(url, self._url_rule)

    def forget(self) -> None:
        """Read everything anew: something about applications, keys or webhooks changed."""
        self.generation += 1  # what is being read at this moment is not remembered
        self._known.clear()
        self._by_id.clear()

    async def _load(self, application_id: str) -> Application | None:
        generation = self.generation
        row = await self._store.row(_BY_ID, (application_id,))
        if row is None:
            return None
        application = await self._built(row)
        if generation == self.generation:
            self._by_id[application_id] = application
        return application

    async def _built(self, row: Row) -> Application:
        application_id, org, name, policies, created_at, kept = row
        webhooks = tuple(hook for hook in await self._webhooks.of(application_id) if hook.active)
        known = msgspec.json.decode(policies, type=Policies)
        secret = self._secrets.opened("applications", application_id, kept)
        return Application(application_id, org, name, known, webhooks, created_at, secret)

    def _key_step(self, application_id: str, scopes: Iterable[str], now: int) -> tuple[Step, str, str]:
        key = new_api_key(self._entropy)
        add = step(_ADD_KEY, key.id, application_id, key.digest, " ".join(scopes), key.text[-4:], now)
        return add, key.id, key.text


def _clean_name(name: str) -> str:
    if not 1 <= len(name.strip()) <= NAME_MAX or name != name.strip():
        raise RefusedError(
            "invalid_request", f"name has 1 to {NAME_MAX} characters, none of them a space at an end."
        )
    try:
        return clean(name)
    except TextError as error:
        raise RefusedError("invalid_text", f"name: {error.detail}") from None


def _scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    wanted = tuple(dict.fromkeys(scopes))
    for scope in wanted:
        if scope not in get_args(Scope):
            raise RefusedError(
                "invalid_request", f"There is no scope {scope[:64]!r}; known: {', '.join(get_args(Scope))}."
            )
    return wanted


def _encode(policies: Policies) -> str:
    return msgspec.json.encode(policies).decode()
