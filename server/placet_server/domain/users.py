"""The people who can be asked, found by tfa id, phone or e-mail inside one organization."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec
from msgspec import Struct, structs

from placet_protocol.approval import NAME_MAX
from placet_protocol.errors import TextError
from placet_protocol.text import clean
from placet_server.domain import codekeys
from placet_server.domain.audit import leaf
from placet_server.domain.destinations import Destination
from placet_server.domain.handles import canonical_email, canonical_phone
from placet_server.domain.ids import new_id
from placet_server.domain.refusals import RefusedError
from placet_server.domain.values import Page, User, UserRef
from placet_server.ports import Bus, Entropy, Row, Sealer, Sql, Step, Store, plan, step

TFA_ID_MIN: Final = 100_000_000
TFA_ID_MAX: Final = 999_999_999
TFA_ID_LIMIT: Final = 2**53 - 1  # ids that are brought along; JSON numbers are exact up to here
PAGE_MAX: Final = 200
_EMAILS_MAX: Final = 10
_TRIES: Final = 16

_REF: Final = (
    "id, org, tfa_id, (SELECT count(*) FROM devices WHERE user_id = users.id AND status = 'active') AS devices,"
    " confirmed"
)
_COLUMNS: Final = f"{_REF}, created_at, sealed"
_ADD: Final = Sql(
    "user_add",
    "INSERT INTO users (id, org, tfa_id, sealed, created_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
)
_ADD_HANDLE: Final = Sql(
    "handle_add", "INSERT INTO handles (org, handle, user_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
)
_FIND_ONE: Final = Sql("user_by_handle", "SELECT user_id FROM handles WHERE org = ? AND handle = ?")
_BY_TFA_ID: Final = Sql(
    "user_by_tfa_id",
    f"SELECT {_COLUMNS} FROM users WHERE org = ? AND tfa_id = ?",  # noqa: S608 - constant text
)
_REF_BY_TFA_ID: Final = Sql(
    "user_ref_by_tfa_id",
    f"SELECT {_REF} FROM users WHERE org = ? AND tfa_id = ?",  # noqa: S608 - constant text
)
_BY_ID: Final = Sql("user_by_id", f"SELECT {_COLUMNS} FROM users WHERE id = ?")  # noqa: S608 - constant text
_PAGE: Final = Sql(
    "users_page",
    f"SELECT {_COLUMNS} FROM users WHERE org = ? AND id > ? ORDER BY id LIMIT ?",  # noqa: S608 - constant text
)
_COUNT: Final = Sql("users_count", "SELECT count(*) FROM users WHERE org = ?")
_SET_SEALED: Final = Sql("user_set_sealed", "UPDATE users SET sealed = ? WHERE id = ? AND sealed = ?")
_CONFIRM: Final = Sql("user_confirm", "UPDATE users SET confirmed = 1 WHERE id = ? AND confirmed = 0")
_DEVICES: Final = Sql("user_device_ids", "SELECT id FROM devices WHERE user_id = ?")
_REMOVE: Final = Sql("user_remove", "DELETE FROM users WHERE id = ?")
_REMOVE_ACKS: Final = Sql("device_acks_remove", "DELETE FROM acks WHERE device = ?")
_REMOVE_PRESSURE: Final = Sql("user_pressure_remove", "DELETE FROM pressure WHERE user_id = ?")


class UserDraft(Struct, frozen=True):
    """A person as an application describes them, in any spelling; a phone or an e-mail is needed.

    ``tfa_id`` brings an id of another system along. ``phone_identifies``: the phone alone says who it is, and an
    e-mail that somebody else is found by is kept all the same.
    """

    country_code: str | int | None = None
    phone: str | None = None
    email: str | None = None
    name: str | None = None
    tfa_id: int | None = None
    phone_identifies: bool = False


class _Personal(Struct, frozen=True, omit_defaults=True):
    """What is sealed of a user."""

    name: str | None = None
    country_code: int | None = None
    phone: str | None = None
    emails: tuple[str, ...] = ()


class _Handle(NamedTuple):
    """One canonical phone or e-mail and its blind index; ``firm`` when it says who the person is."""

    blind: bytes
    phone: tuple[int, str] | None = None
    email: str | None = None
    firm: bool = True


class Users:
    """The people of all organizations."""

    def __init__(self, store: Store, sealer: Sealer, entropy: Entropy, bus: Bus) -> None:
        self._store = store
        self._sealer = sealer
        self._entropy = entropy
        self._bus = bus

    async def create(self, org: str, draft: UserDraft, now: int) -> tuple[User, bool]:
        """The user of this phone or e-mail, and whether they are new.

        The same phone again gives the same user and remembers a further e-mail. Raises ``user_conflict`` when phone
        and e-mail belong to two people or the tfa id is taken, ``invalid_request``, ``invalid_text``.
        """
        name = _clean_name(draft.name)
        if draft.tfa_id is not None and not 1 <= draft.tfa_id <= TFA_ID_LIMIT:
            raise RefusedError("invalid_request", "tfa_id is a whole number from 1 to 2^53 - 1.")
        phone, email = self._handles(org, draft)
        for _ in range(_TRIES):
            found = await self._found(org, phone, email)
            if found is None:
                user = await self._added(org, name, phone, email, draft.tfa_id, now)
            elif draft.tfa_id in {None, found[0].tfa_id}:
                user = await self._extended(*found, phone, email, now)
            else:
                raise RefusedError(
                    "user_conflict", "This phone or e-mail belongs to a user with another tfa id."
                )
            if user is not None:
                return user, found is None
        raise RefusedError("unavailable", "No free tfa id was found; try again.")

    async def by_tfa_id(self, org: str, tfa_id: int) -> User:
        """The user of this tfa id; raises ``user_not_found``."""
        row = await self._store.row(_BY_TFA_ID, (org, tfa_id)) if 0 < tfa_id <= TFA_ID_LIMIT else None
        if row is None:
            raise RefusedError("user_not_found", "There is no user with this tfa id.")
        return self._user(row)

    async def ref(self, org: str, tfa_id: int) -> UserRef:
        """As ``by_tfa_id`` without opening a seal: what asking and verifying need; raises ``user_not_found``."""
        row = await self._store.row(_REF_BY_TFA_ID, (org, tfa_id)) if 0 < tfa_id <= TFA_ID_LIMIT else None
        if row is None:
            raise RefusedError("user_not_found", "There is no user with this tfa id.")
        return UserRef(row[0], row[1], row[2], row[3], bool(row[4]))

    async def by_id(self, user_id: str) -> User:
        """The user of this internal id; raises ``user_not_found``."""
        row = await self._store.row(_BY_ID, (user_id,))
        if row is None:
            raise RefusedError("user_not_found", "There is no such user.")
        return self._user(row)

    async def owner_of(self, org: str, destination: Destination) -> str | None:
        """The internal id of the user who is found by this number or address, or None."""
        said = (
            f"{destination.country} {destination.national}"
            if destination.kind == "phone"
            else destination.address
        )
        found = await self._store.row(_FIND_ONE, (org, self._sealer.index(destination.kind, f"{org} {said}")))
        return None if found is None else str(found[0])

    async def page(self, org: str, after: str | None, limit: int) -> Page:
        """Users of an organization, oldest first, at most 200; ``after`` is a cursor of an earlier page."""
        limit = max(1, min(limit, PAGE_MAX))
        rows = await self._store.rows(_PAGE, (org, after or "", limit + 1))
        users = tuple(self._user(row) for row in rows[:limit])
        return Page(users, users[-1].id if len(rows) > limit else None)

    async def remove(self, org: str, tfa_id: int, now: int) -> None:
        """Erase a user with handles, devices, soft tokens and codes; requests and decisions stay as evidence."""
        user = await self.by_tfa_id(org, tfa_id)
        devices = [row[0] for row in await self._store.rows(_DEVICES, (user.id,))]
        failed = await self._store.write(
            plan(
                step(_REMOVE, user.id),
                step(_REMOVE_PRESSURE, user.id),
                *codekeys.erase_steps(self._sealer, user),
                *(step(_REMOVE_ACKS, device) for device in devices),
                leaf=leaf(now, "user.removed", org, user.id),
            )
        )
        if failed:
            raise RefusedError("user_not_found", "There is no user with this tfa id.")
        self._bus.publish("user", user.id)
        for device in devices:
            self._bus.publish("device", device)

    async def set_email(self, org: str, tfa_id: int, text: str, now: int) -> User:
        """Make an e-mail the user's first; the others are kept, the oldest of more than ten is not.

        Whoever else is found by this address stays so. Raises ``user_not_found``, ``invalid_request``.
        """
        address = canonical_email(text)
        handle = _Handle(self._sealer.index("email", f"{org} {address}"), email=address, firm=False)
        for _ in range(_TRIES):
            row = await self._store.row(_BY_TFA_ID, (org, tfa_id)) if 0 < tfa_id <= TFA_ID_LIMIT else None
            if row is None:
                raise RefusedError("user_not_found", "There is no user with this tfa id.")
            user = self._user(row)
            emails = (address, *(email for email in user.emails if email != address))[:_EMAILS_MAX]
            personal = _Personal(user.name, user.country_code, user.phone, emails)
            changed = plan(
                step(_SET_SEALED, self._seal(user.id, personal), user.id, row[6]),
                *_handle_steps(org, user.id, [handle]),
                leaf=leaf(now, "user.email_set", org, user.id),
            )
            if await self._store.write(changed) == 0:
                return structs.replace(user, emails=emails)
        raise RefusedError("unavailable", "The user is being changed by others; try again.")

    async def note_activity(self, user: User, kind: str, application: str, now: int) -> None:
        """Write into the audit log what an application says that happened to a user; ``kind`` is one of its words."""
        noted = leaf(now, "user.activity", user.org, user.id, activity=kind, application=application)
        await self._store.write(plan(guards=0, leaf=noted))

    async def count(self, org: str) -> int:
        """How many users an organization has."""
        row = await self._store.row(_COUNT, (org,))
        return int(row[0]) if row else 0

    @staticmethod
    def confirm_step(user_id: str) -> Step:
        """The step that marks a user as confirmed once a factor succeeded."""
        return step(_CONFIRM, user_id)

    def _handles(self, org: str, draft: UserDraft) -> tuple[_Handle | None, _Handle | None]:
        phone = email = None
        if draft.phone is not None:
            if draft.country_code is None:
                raise RefusedError("invalid_request", "country_code is needed beside phone.")
            code, digits = canonical_phone(draft.country_code, draft.phone)
            phone = _Handle(self._sealer.index("phone", f"{org} {code} {digits}"), phone=(code, digits))
        if draft.email is not None:
            address = canonical_email(draft.email)
            blind = self._sealer.index("email", f"{org} {address}")
            email = _Handle(blind, email=address, firm=not draft.phone_identifies)
        if phone is None and email is None:
            raise RefusedError("invalid_request", "A user needs a phone or an email.")
        return phone, email

    async def _found(
        self, org: str, phone: _Handle | None, email: _Handle | None
    ) -> tuple[User, bytes] | None:
        """Who has these handles, with the sealed value that a change must still find in place."""
        owners = []
        for handle in (phone, email):
            if handle is not None and handle.firm:
                row = await self._store.row(_FIND_ONE, (org, handle.blind))
                owners += [row[0]] if row else []
        if len(set(owners)) > 1:
            raise RefusedError("user_conflict", "Phone and e-mail belong to two different users.")
        row = await self._store.row(_BY_ID, (owners[0],)) if owners else None
        if row is None:
            return None
        user = self._user(row)
        if phone and user.phone and phone.phone != (user.country_code, user.phone):
            raise RefusedError("user_conflict", "The e-mail belongs to a user with another phone.")
        return user, row[6]

    async def _added(
        self,
        org: str,
        name: str | None,
        phone: _Handle | None,
        email: _Handle | None,
        tfa_id: int | None,
        now: int,
    ) -> User | None:
        """The new user, or None when somebody was faster or the random tfa id is taken."""
        user_id = new_id(now, self._entropy)
        number = tfa_id or TFA_ID_MIN + self._entropy.below(TFA_ID_MAX - TFA_ID_MIN + 1)
        code, digits = (phone.phone if phone else None) or (None, None)
        personal = _Personal(name, code, digits, (email.email,) if email and email.email else ())
        handles = [handle for handle in (phone, email) if handle]
        failed = await self._store.write(
            plan(
                step(_ADD, user_id, org, number, self._seal(user_id, personal), now),
                *_handle_steps(org, user_id, handles),
                guards=1 + sum(handle.firm for handle in handles),
                leaf=leaf(now, "user.added", org, user_id),
            )
        )
        # Either somebody made the very same user in this moment, or the number is another person's.
        if failed == 1 and tfa_id is not None and await self._found(org, phone, email) is None:
            raise RefusedError("user_conflict", "The tfa id belongs to another user.")
        if failed:
            return None
        return User(user_id, org, number, 0, False, now, name, code, digits, personal.emails)

    async def _extended(
        self, user: User, sealed: bytes, phone: _Handle | None, email: _Handle | None, now: int
    ) -> User | None:
        """The user with a handle added that they did not have, or None when somebody changed them meanwhile."""
        new_phone = phone if phone and user.phone is None else None
        new_email = email if email and email.email not in user.emails else None
        added = [handle for handle in (new_phone, new_email) if handle]
        if not added:
            return user
        if new_email and len(user.emails) >= _EMAILS_MAX:
            raise RefusedError("invalid_request", f"A user has at most {_EMAILS_MAX} e-mails.")
        code, digits = (new_phone.phone if new_phone else None) or (user.country_code, user.phone)
        emails = user.emails + ((new_email.email,) if new_email and new_email.email else ())
        personal = _Personal(user.name, code, digits, emails)
        failed = await self._store.write(
            plan(
                step(_SET_SEALED, self._seal(user.id, personal), user.id, sealed),
                *_handle_steps(user.org, user.id, added),
                guards=1 + sum(handle.firm for handle in added),
                leaf=leaf(now, "user.handle_added", user.org, user.id),
            )
        )
        return None if failed else structs.replace(user, country_code=code, phone=digits, emails=emails)

    def _seal(self, user_id: str, personal: _Personal) -> bytes:
        return self._sealer.seal("pii", "users", user_id, msgspec.msgpack.encode(personal))

    def _user(self, row: Row) -> User:
        user_id, org, tfa_id, devices, confirmed, created_at, sealed = row
        personal = msgspec.msgpack.decode(self._sealer.open("pii", "users", user_id, sealed), type=_Personal)
        return User(
            user_id,
            org,
            tfa_id,
            devices,
            bool(confirmed),
            created_at,
            personal.name,
            personal.country_code,
            personal.phone,
            personal.emails,
        )


def _handle_steps(org: str, user_id: str, handles: list[_Handle]) -> list[Step]:
    """What makes a user found by these handles; the firm ones first, because they are guards."""
    ordered = sorted(handles, key=lambda handle: not handle.firm)
    return [step(_ADD_HANDLE, org, handle.blind, user_id) for handle in ordered]


def _clean_name(name: str | None) -> str | None:
    if name is None or not name.strip():
        return None
    if len(name) > NAME_MAX:
        raise RefusedError("invalid_request", f"name has at most {NAME_MAX} characters.")
    try:
        return clean(name.strip())
    except TextError as error:
        raise RefusedError("invalid_text", f"name: {error.detail}") from None
