"""``/v1/…/soft_tokens``: TOTP secrets that the server verifies."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Annotated, Final, Literal

from aiohttp import web
from msgspec import Meta, Struct

from placet_protocol.approval import NAME_MAX
from placet_server.domain.refusals import RefusedError
from placet_server.domain.services import Domain
from placet_server.domain.softtokens import SoftTokens
from placet_server.domain.values import NewSoftToken, SoftToken, Verification
from placet_server.faces import Face
from placet_server.ports import Step
from placet_server.web.gate import Call, Doc, Gate
from placet_server.web.native_users import TFA_ID
from placet_server.web.once import HEADER, Once
from placet_server.web.qr import QrForm, picture
from placet_server.web.wire import UUID, encode, json_body, no_content, reply, reply_bytes, rfc3339, shown

SECRET_MIN: Final = 16
SECRET_MAX: Final = 64
Code = Annotated[str, Meta(pattern="^[0-9]{6,8}$")]


class TokenBody(Struct, forbid_unknown_fields=True):
    """A new soft token; without ``secret`` (base32, 128 to 512 bits) the server makes one of 160 bits."""

    name: Annotated[str, Meta(min_length=1, max_length=NAME_MAX)]
    algorithm: Literal["SHA1", "SHA256", "SHA512"] = "SHA1"
    digits: Annotated[int, Meta(ge=6, le=8)] = 6
    period: Annotated[int, Meta(ge=15, le=120)] = 30
    secret: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    qr: QrForm = "none"


class TokenAnswer(Struct, omit_defaults=True):
    """A soft token; ``uri`` and ``qr`` hold the secret and are in the answer that made it only."""

    id: str
    name: str
    status: Literal["pending", "confirmed"]
    created_at: str
    uri: str | None = None
    qr: str | None = None


class TokensAnswer(Struct):
    """All soft tokens of a user."""

    items: list[TokenAnswer]


class CodeBody(Struct, forbid_unknown_fields=True):
    """A code as the person typed it."""

    code: Code


class VerifyAnswer(Struct, omit_defaults=True):
    """Whether the code is good now. A good code is spent by this answer."""

    verified: bool
    reason: Literal["mismatch", "used", "no_token"] | None = None


def mount(gate: Gate, router: web.UrlDispatcher, face: Face, domain: Domain) -> None:
    """Add the routes of soft tokens."""
    users, tokens = domain.users, domain.soft_tokens
    once = Once(domain.idempotency)

    async def create(request: web.Request, call: Call) -> web.Response:
        wanted = await json_body(request, TokenBody)
        user = await users.by_tfa_id(call.by.org, int(request.match_info["tfa_id"]))
        name = shown("name", wanted.name, NAME_MAX)
        secret = None if wanted.secret is None else _secret(wanted.secret)

        def make(keep: Callable[[NewSoftToken], Step] | None) -> Awaitable[NewSoftToken]:
            return tokens.create(
                user,
                name,
                call.by.application.name,
                call.now,
                secret=secret,
                algorithm=wanted.algorithm,
                digits=wanted.digits,
                period=wanted.period,
                extra_guard=keep,
            )

        async def shown_once(made: NewSoftToken) -> TokenAnswer:
            answer = _answer(made.token)
            answer.uri = made.uri
            answer.qr = await picture(made.uri, wanted.qr)
            return answer

        return await once.answer(request, call, wanted, make, lambda made: _answer(made.token), shown_once)

    async def listing(request: web.Request, call: Call) -> web.Response:
        user = await users.by_tfa_id(call.by.org, int(request.match_info["tfa_id"]))
        return reply(200, TokensAnswer([_answer(token) for token in await tokens.of_user(user, call.now)]))

    async def confirm(request: web.Request, call: Call) -> web.Response:
        wanted = await json_body(request, CodeBody)
        token_id = request.match_info["id"]
        user = await users.by_id(await tokens.owner(call.by.org, token_id))
        outcome = await tokens.confirm(call.by, user.tfa_id, token_id, wanted.code, call.now)
        return await _verified(call, tokens, user.tfa_id, outcome)

    async def verify(request: web.Request, call: Call) -> web.Response:
        wanted = await json_body(request, CodeBody)
        tfa_id = int(request.match_info["tfa_id"])
        outcome = await tokens.verify(call.by, tfa_id, wanted.code, call.now)
        return await _verified(call, tokens, tfa_id, outcome)

    async def remove(request: web.Request, call: Call) -> web.Response:
        await tokens.remove(call.by.org, request.match_info["id"], call.now)
        return no_content()

    gate.add(
        router,
        "POST",
        f"/v1/users/{TFA_ID}/soft_tokens/verify",
        verify,
        face=face,
        scope="codes",
        doc=Doc(
            "Verify a code against the user's soft tokens",
            VerifyAnswer,
            body=CodeBody,
            refusals=("user_not_found", "throttled"),
        ),
    )
    gate.add(
        router,
        "POST",
        f"/v1/users/{TFA_ID}/soft_tokens",
        create,
        face=face,
        scope="codes",
        doc=Doc(
            "Make a soft token: an otpauth URI to be shown as QR code",
            TokenAnswer,
            201,
            body=TokenBody,
            refusals=("user_not_found", "invalid_text", "idempotency_conflict"),
            headers=(HEADER,),
        ),
    )
    gate.add(
        router,
        "GET",
        f"/v1/users/{TFA_ID}/soft_tokens",
        listing,
        face=face,
        scope="codes",
        doc=Doc("Soft tokens of a user", TokensAnswer, refusals=("user_not_found",)),
    )
    gate.add(
        router,
        "POST",
        f"/v1/soft_tokens/{UUID}/confirm",
        confirm,
        face=face,
        scope="codes",
        doc=Doc(
            "Confirm a new soft token by a first code, which is spent",
            VerifyAnswer,
            body=CodeBody,
            refusals=("not_found", "throttled"),
        ),
    )
    gate.add(
        router,
        "DELETE",
        f"/v1/soft_tokens/{UUID}",
        remove,
        face=face,
        scope="codes",
        doc=Doc("Delete a soft token at once", status=204, refusals=("not_found",)),
    )


_VERIFIED: Final = encode(VerifyAnswer(True))


async def _verified(call: Call, tokens: SoftTokens, tfa_id: int, outcome: Verification) -> web.Response:
    call.note(code=outcome)
    if outcome == "matched":
        return reply_bytes(200, _VERIFIED)
    if outcome == "throttled":
        wait = await tokens.wait(call.by, tfa_id, call.now)
        raise RefusedError("throttled", "Too many wrong codes for this user.", retry_after=wait)
    return reply(200, VerifyAnswer(False, outcome))


def _secret(text: str) -> bytes:
    compact = text.replace(" ", "").replace("-", "").rstrip("=").upper()
    try:
        secret = base64.b32decode(compact + "=" * (-len(compact) % 8))
    except (binascii.Error, ValueError):
        raise RefusedError("invalid_request", "secret is no base32.") from None
    if not SECRET_MIN <= len(secret) <= SECRET_MAX:
        raise RefusedError("invalid_request", f"secret has {SECRET_MIN * 8} to {SECRET_MAX * 8} bits.")
    return secret


def _answer(token: SoftToken) -> TokenAnswer:
    return TokenAnswer(token.id, token.name, token.status, rfc3339(token.created_at))
