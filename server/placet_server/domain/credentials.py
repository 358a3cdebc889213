"""What applications present on the faces of other dialects: accounts with secrets, settings and a balance."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct, structs

from placet_server.domain.audit import leaf
from placet_server.domain.callers import CURRENT, PREVIOUS, Body, Callers
from placet_server.domain.credentialkinds import KINDS, SECRET_OPTIONS, Kind, account, checked, kind_of
from placet_server.domain.ids import new_id
from placet_server.domain.networks import networks
from placet_server.domain.organizations import DEFAULT_ORG
from placet_server.domain.refusals import RefusedError
from placet_server.ports import Sql, Step, plan, step

UNIT: Final = 10_000
"""Balances and prices are whole numbers of 1/10,000."""
OVERLAP_SECONDS: Final = 86_400
OVERLAP_MAX: Final = 90 * 86_400
SECRETS_MAX: Final = 10
AMOUNT_MAX: Final = 10**15
_LAPS: Final = 64

_ADD: Final = Sql(
    "credential_add",
    "INSERT INTO credentials (id, application, face, sealed, balance, price, created_at)"
    " SELECT ?, id, ?, ?, ?, ?, ? FROM applications WHERE id = ?",
)
_ADD_SECRET: Final = Sql(
    "credential_secret_add",
    "INSERT INTO credential_secrets (id, credential, face, lookup, sealed, last4, created_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
)
_COLUMNS: Final = "id, face, application, sealed, balance, price, created_at"
_ALL: Final = Sql(
    "credentials",
    f"SELECT {_COLUMNS} FROM credentials WHERE ? IN ('', face) ORDER BY id",  # noqa: S608 - constant text
)
_ONE: Final = Sql("credential", f"SELECT {_COLUMNS} FROM credentials WHERE id = ?")  # noqa: S608 - as above
_SECRETS: Final = Sql(
    "credential_secrets",
    "SELECT id, last4, created_at, expires_at FROM credential_secrets WHERE credential = ?"
    " ORDER BY created_at DESC, id DESC",
)
_TOUCH: Final = Sql("credential_touch", "UPDATE credentials SET price = price WHERE id = ?")
_CHANGE: Final = Sql(
    "credential_change", "UPDATE credentials SET sealed = ?, price = ? WHERE id = ? AND sealed = ?"
)
_SET_BALANCE: Final = Sql("credential_set_balance", "UPDATE credentials SET balance = ? WHERE id = ?")
_TOP_UP: Final = Sql(
    "credential_top_up", "UPDATE credentials SET balance = coalesce(balance, 0) + ? WHERE id = ?"
)
_END: Final = Sql(
    "credential_secrets_end",
    "UPDATE credential_secrets SET expires_at = ?"
    " WHERE credential = ? AND id <> ? AND (expires_at IS NULL OR expires_at > ?)",
)
_DROP: Final = Sql(
    "credential_secrets_drop", "DELETE FROM credential_secrets WHERE credential = ? AND expires_at <= ?"
)
_DROP_AT: Final = Sql(
    "credential_secret_drop", "DELETE FROM credential_secrets WHERE face = ? AND lookup = ?"
)
_MOVE: Final = Sql(
    "credential_secret_move",
    "UPDATE credential_secrets SET lookup = ?, expires_at = ? WHERE face = ? AND lookup = ?",
)
_SWEEP: Final = Sql("credential_secrets_sweep", "DELETE FROM credential_secrets WHERE expires_at <= ?")
_REVOKE: Final = Sql("credential_revoke", "DELETE FROM credentials WHERE id = ?")


class NewCredential(NamedTuple):
    """A credential that was just made or got a new secret; ``api_key`` is not shown again, "" for chosen passwords."""

    id: str
    face: str
    api_key: str
    warnings: tuple[str, ...] = ()


class SecretInfo(Struct, frozen=True):
    """What may be shown of a secret."""

    id: str
    last4: str
    created_at: int
    expires_at: int | None


class CredentialInfo(Struct, frozen=True):
    """What may be shown of a credential; ``application`` is an id, amounts are in 1/10,000."""

    id: str
    face: str
    application: str
    name: str
    settings: dict[str, Any]
    networks: tuple[str, ...]
    balance: int | None
    price: int
    created_at: int
    secrets: tuple[SecretInfo, ...]

    @property
    def last4(self) -> str:
        """The end of the newest secret."""
        return self.secrets[0].last4 if self.secrets else ""


class Change(Struct, frozen=True, kw_only=True):
    """What changes of a credential: None stays as it is. ``top_up`` is added to the balance."""

    settings: dict[str, Any] = {}
    networks: tuple[str, ...] | None = None
    balance: int | None = None
    top_up: int | None = None
    price: int | None = None


class Credentials(Callers):
    """The credentials of all faces."""

    async def add(
        self,
        face: str,
        application_name: str,
        secret: str | None,
        settings: dict[str, Any],
        now: int,
        *,
        name: str = "",
        allow_ip: tuple[str, ...] = (),
        balance: int | None = None,
        price: int = 0,
    ) -> NewCredential:
        """A credential that opens one face; ``secret`` brings along what the customer's code already holds.

        Raises ``not_found``, ``invalid_request``, and ``name_taken`` when account or secret are in use on that face.
        """
        kind = kind_of(face)
        name = account(kind, name)
        text, warnings = self._secret(kind, secret)
        _amounts(balance, price)
        body = Body(name, settings, networks(allow_ip))
        application = await self._applications.named(application_name, org=DEFAULT_ORG)
        credential_id = new_id(now, self._entropy)
        added = step(
            _ADD, credential_id, face, self._sealed(credential_id, body), balance, price, now, application.id
        )
        add_secret = await self._secret_step(kind, credential_id, name, text, now)
        entry = leaf(
            now, "credential.added", application.org, application.id, credential=credential_id, face=face
        )
        failed = await self._store.write(plan(added, add_secret, guards=2, leaf=entry))
        if failed == 1:
            raise RefusedError("not_found", "There is no application of this name.")
        if failed:
            raise RefusedError("name_taken", f"{_taken(kind)} is in use on this face.")
        self.forget()
        return NewCredential(credential_id, face, "" if kind.chosen else text, warnings)

    async def all(self, face: str | None = None) -> list[CredentialInfo]:
        """What may be shown of the credentials of one face or of all."""
        if face is not None:
            kind_of(face)
        return [await self._info(row) for row in await self._store.rows(_ALL, (face or "",))]

    async def one(self, credential_id: str) -> CredentialInfo:
        """What may be shown of one credential; raises ``not_found``."""
        return await self._info(await self._row(credential_id))

    async def settings(self, credential_id: str) -> dict[str, Any]:
        """All settings of a credential, the secret ones too, for who signs with them; raises ``not_found``."""
        return self.body(credential_id, (await self._row(credential_id))[3]).settings

    async def change(self, credential_id: str, change: Change, now: int) -> CredentialInfo:
        """The credential with other settings, networks, price or balance.

        Raises ``not_found``, ``invalid_request``, and ``unavailable`` when others were faster every time.
        """
        _amounts(change.balance, change.price or 0)
        listed = None if change.networks is None else networks(change.networks)
        for _ in range(_LAPS):
            row = await self._row(credential_id)
            application = await self._applications.by_id(row[2])
            body = self.body(credential_id, row[3])
            changed = structs.replace(
                body,
                settings={**body.settings, **change.settings},
                networks=body.networks if listed is None else listed,
            )
            price = row[5] if change.price is None else change.price
            steps = [step(_CHANGE, self._sealed(credential_id, changed), price, credential_id, row[3])]
            if change.balance is not None:
                steps.append(step(_SET_BALANCE, change.balance, credential_id))
            if change.top_up is not None:
                steps.append(step(_TOP_UP, change.top_up, credential_id))
            entry = leaf(now, "credential.changed", application.org, application.id, credential=credential_id)
            if await self._store.write(plan(*steps, leaf=entry)) == 0:
                self.forget()
                return await self.one(credential_id)
        raise RefusedError(
            "unavailable", "Others change this credential all the time; try again.", retry_after=1
        )

    async def rotate(
        self, credential_id: str, secret: str | None, now: int, *, overlap: int | None = OVERLAP_SECONDS
    ) -> NewCredential:
        """A new secret; the old ones live for ``overlap`` seconds more: 0 ends them at once, None keeps them.

        Raises ``not_found``, ``invalid_request``, and ``name_taken`` when the secret is in use on that face.
        """
        row = await self._row(credential_id)
        kind, application = KINDS[row[1]], await self._applications.by_id(row[2])
        name = self.body(credential_id, row[3]).name
        if overlap is None and kind.chosen:
            raise RefusedError("invalid_request", "An account of this face has one password: name a time.")
        if overlap is not None and not 0 <= overlap <= OVERLAP_MAX:
            raise RefusedError("invalid_request", f"The overlap goes from 0 to {OVERLAP_MAX} seconds.")
        if overlap is None and len(await self._store.rows(_SECRETS, (credential_id,))) >= SECRETS_MAX:
            raise RefusedError("invalid_request", f"A credential has at most {SECRETS_MAX} secrets.")
        text, warnings = self._secret(kind, secret)
        end = None if overlap is None else now + overlap * 1000
        add = await self._secret_step(kind, credential_id, name, text, now)
        steps = self._replacing(kind, credential_id, name, add, end, now)
        entry = leaf(now, "credential.rotated", application.org, application.id, credential=credential_id)
        failed = await self._store.write(plan(*steps, guards=1 if kind.chosen else 2, leaf=entry))
        if failed == 1:
            raise RefusedError("not_found", "There is no such credential.")
        if failed:
            raise RefusedError("name_taken", f"{_taken(kind)} is in use on this face.")
        self.forget()
        return NewCredential(credential_id, kind.face, "" if kind.chosen else text, warnings)

    async def revoke(self, credential_id: str, now: int) -> None:
        """End a credential with all its secrets; raises ``not_found``."""
        owner = await self._applications.by_id((await self._row(credential_id))[2])
        entry = leaf(now, "credential.revoked", owner.org, owner.id, credential=credential_id)
        await self._store.write(plan(step(_REVOKE, credential_id), leaf=entry))
        self.forget()

    async def sweep(self, now: int) -> None:
        """Erase secrets whose time is over."""
        await self._store.write(plan(step(_SWEEP, now), guards=0))

    def _replacing(
        self, kind: Kind, credential_id: str, name: str, add: Step, end: int | None, now: int
    ) -> list[Step]:
        touch = step(_TOUCH, credential_id)
        if not kind.chosen:
            ended = [] if end is None else [step(_END, end, credential_id, add.params[0], end)]
            return [touch, add, *ended, step(_DROP, credential_id, now)]
        current, previous = (self.lookup(kind.face, name, which) for which in (CURRENT, PREVIOUS))
        return [
            touch,
            step(_DROP_AT, kind.face, previous),
            step(_MOVE, previous, end, kind.face, current),
            structs.replace(add, rows=1),
            step(_DROP, credential_id, now),
        ]

    def _secret(self, kind: Kind, secret: str | None) -> tuple[str, tuple[str, ...]]:
        if secret is not None:
            return secret, checked(kind, secret)
        if kind.chosen:
            raise RefusedError("invalid_request", f"Give the {kind.secret} that the customer uses.")
        return self._entropy.bytes(24).hex(), ()

    async def _secret_step(self, kind: Kind, credential_id: str, name: str, text: str, now: int) -> Step:
        secret_id = new_id(now, self._entropy)
        kept = await self._passwords.hash(text) if kind.chosen else text
        return step(
            _ADD_SECRET,
            secret_id,
            credential_id,
            kind.face,
            self.lookup(kind.face, name, CURRENT if kind.chosen else text.encode()),
            self._sealer.seal("key", "credential_secrets", secret_id, kept.encode()),
            "" if kind.chosen or len(text) < 12 else text[-4:],
            now,
        )

    def _sealed(self, credential_id: str, body: Body) -> bytes:
        return self._sealer.seal("key", "credentials", credential_id, msgspec.msgpack.encode(body))

    async def _row(self, credential_id: str) -> tuple[Any, ...]:
        row = await self._store.row(_ONE, (credential_id,))
        if row is None:
            raise RefusedError("not_found", "There is no such credential.")
        return row

    async def _info(self, row: tuple[Any, ...]) -> CredentialInfo:
        credential_id, face, application, sealed, balance, price, created_at = row
        body = self.body(credential_id, sealed)
        secrets = [SecretInfo(*found) for found in await self._store.rows(_SECRETS, (credential_id,))]
        shown = {
            name: value if name not in SECRET_OPTIONS else "(set)" for name, value in body.settings.items()
        }
        return CredentialInfo(
            credential_id,
            face,
            application,
            body.name,
            shown,
            body.networks,
            balance,
            price,
            created_at,
            tuple(secrets),
        )


def _taken(kind: Kind) -> str:
    return f"This {kind.name}" if kind.chosen else f"This {kind.secret}"


def _amounts(balance: int | None, price: int) -> None:
    if not 0 <= price <= AMOUNT_MAX or abs(balance or 0) > AMOUNT_MAX:
        raise RefusedError("invalid_request", "A price is not negative, and an amount has at most 11 digits.")
