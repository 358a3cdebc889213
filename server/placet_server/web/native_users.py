"""``/v1/users``: the people who can be asked."""

from __future__ import annotations

from typing import Annotated, Final

from aiohttp import web
from msgspec import Meta, Struct

from placet_protocol.approval import NAME_MAX
from placet_server.domain.refusals import RefusedError
from placet_server.domain.services import Domain
from placet_server.domain.users import TFA_ID_LIMIT, UserDraft
from placet_server.domain.values import User
from placet_server.faces import Face
from placet_server.web.gate import Call, Doc, Gate
from placet_server.web.wire import After, Limit, json_body, no_content, query, reply, rfc3339

TFA_ID: Final = "{tfa_id:[1-9][0-9]{0,15}}"
TfaId = Annotated[int, Meta(ge=1, le=TFA_ID_LIMIT, description="The number of a user in this organization.")]


class UserBody(Struct, forbid_unknown_fields=True):
    """A person; a phone with its country code, or an e-mail, is needed."""

    tfa_id: TfaId | None = None
    country_code: Annotated[int, Meta(ge=1, le=9999)] | Annotated[str, Meta(max_length=8)] | None = None
    phone: Annotated[str, Meta(min_length=1, max_length=40)] | None = None
    email: Annotated[str, Meta(min_length=3, max_length=254)] | None = None
    name: Annotated[str, Meta(min_length=1, max_length=NAME_MAX)] | None = None


class UserAnswer(Struct, omit_defaults=True):
    """A person; ``confirmed`` once any factor of theirs succeeded.

    ``devices`` (active) and ``soft_tokens`` (confirmed) are counted where one user is asked for.
    """

    tfa_id: int
    created_at: str
    confirmed: bool
    emails: tuple[str, ...]
    country_code: int | None = None
    phone: str | None = None
    name: str | None = None
    devices: int | None = None
    soft_tokens: int | None = None


class UsersQuery(Struct, forbid_unknown_fields=True):
    """Which page of users."""

    limit: Limit = 50
    after: After | None = None


class UsersPage(Struct):
    """A page of users, oldest first; ``next`` goes into ``after``, null at the end."""

    items: list[UserAnswer]
    next: str | None


def mount(gate: Gate, router: web.UrlDispatcher, face: Face, domain: Domain) -> None:
    """Add the routes of users."""
    users = domain.users

    async def create(request: web.Request, call: Call) -> web.Response:
        wanted = await json_body(request, UserBody)
        if wanted.tfa_id is not None and "devices:admin" not in call.by.scopes:
            # Who may choose the id could delete a person and put another in their place, for all applications.
            raise RefusedError(
                "forbidden", "tfa_id: bringing an id along needs a key with scope devices:admin."
            )
        draft = UserDraft(wanted.country_code, wanted.phone, wanted.email, wanted.name, wanted.tfa_id)
        await domain.lookups.take(call.by, call.now)
        user, new = await users.create(call.by.org, draft, call.now)
        if new:
            domain.lookups.undo(call.by)
        return reply(201 if new else 200, _answer(user))

    async def listing(request: web.Request, call: Call) -> web.Response:
        wanted = query(request, UsersQuery)
        await domain.lookups.take(call.by, call.now)
        page = await users.page(call.by.org, wanted.after, wanted.limit)
        return reply(200, UsersPage([_answer(user) for user in page.items], page.next))

    async def get(request: web.Request, call: Call) -> web.Response:
        await domain.lookups.take(call.by, call.now)
        user = await users.by_tfa_id(call.by.org, int(request.match_info["tfa_id"]))
        tokens = await domain.soft_tokens.of_user(user, call.now)
        confirmed = sum(token.status == "confirmed" for token in tokens)
        return reply(200, _answer(user, user.devices, confirmed))

    async def remove(request: web.Request, call: Call) -> web.Response:
        await users.remove(call.by.org, int(request.match_info["tfa_id"]), call.now)
        return no_content()

    gate.add(
        router,
        "POST",
        "/v1/users",
        create,
        face=face,
        scope="users",
        doc=Doc(
            "Create a user, or find the one of this phone or e-mail",
            UserAnswer,
            201,
            body=UserBody,
            refusals=("user_conflict", "invalid_text"),
            other_statuses=(200,),
        ),
    )
    gate.add(
        router,
        "GET",
        "/v1/users",
        listing,
        face=face,
        scope="users",
        doc=Doc("List users", UsersPage, query=UsersQuery),
    )
    gate.add(
        router,
        "GET",
        f"/v1/users/{TFA_ID}",
        get,
        face=face,
        scope="users",
        doc=Doc("A user and their factors", UserAnswer, refusals=("user_not_found",)),
    )
    gate.add(
        router,
        "DELETE",
        f"/v1/users/{TFA_ID}",
        remove,
        face=face,
        scope="users",
        doc=Doc("Erase a user with devices and soft tokens", status=204, refusals=("user_not_found",)),
    )


def _answer(user: User, devices: int | None = None, soft_tokens: int | None = None) -> UserAnswer:
    return UserAnswer(
        user.tfa_id,
        rfc3339(user.created_at),
        user.confirmed,
        user.emails,
        user.country_code,
        user.phone,
        user.name,
        devices,
        soft_tokens,
    )
