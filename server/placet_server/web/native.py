"""The native API, ``/v1``: its credential, its words for no, and what is not in the other ``native_*`` modules."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from aiohttp import web
from msgspec import Struct

from placet_server.domain.refusals import RefusedError
from placet_server.domain.services import Domain
from placet_server.domain.values import Caller
from placet_server.ports import Bus, Clock, Signer
from placet_server.web import (
    native_approvals,
    native_codes,
    native_enrollments,
    native_log,
    native_messages,
    native_policies,
    native_recovery,
    native_tokens,
    native_users,
    native_verifications,
)
from placet_server.web.gate import Call, Doc, Gate
from placet_server.web.problems import HEADERS, page, problem

_BEARER: Final = "Bearer "
_KEY_MAX: Final = 200
_JWKS_SECONDS: Final = 300


class Jwks(Struct):
    """RFC 7517 key set: every key that ever signed, so that old receipts verify."""

    keys: list[dict[str, Any]]


class NativeFace:
    """``Authorization: Bearer plk_…`` and RFC 9457 problems."""

    name: Final = "native"

    def __init__(self, domain: Domain) -> None:
        self._authenticate = domain.applications.authenticate

    async def authenticate(self, request: web.Request, now: int) -> Caller | None:
        """The application whose key this is, or None."""
        header = request.headers.get("Authorization")
        if header is None or not header.startswith(_BEARER) or len(header) > _KEY_MAX:
            return None
        return await self._authenticate(header[len(_BEARER) :], now)

    def refusal(self, request: web.Request, error: RefusedError, request_id: str) -> web.Response:
        """A problem."""
        del request  # every caller reads JSON
        return problem(error, request_id)


class OpenFace(NativeFace):
    """Routes that need no credential and read none."""

    async def authenticate(self, request: web.Request, now: int) -> Caller | None:
        """Nobody."""
        del request, now
        return None


def mount(
    gate: Gate, router: web.UrlDispatcher, domain: Domain, clock: Clock, bus: Bus, signer: Signer
) -> NativeFace:
    """Add every route of the native API to a router; the face it returns also answers for unknown paths."""
    face = NativeFace(domain)
    # The router tries routes below the same folder in this order, so the ones that are called most stand first.
    native_approvals.mount(gate, router, face, domain, clock, bus)
    native_codes.mount(gate, router, face, domain)
    native_tokens.mount(gate, router, face, domain)
    native_users.mount(gate, router, face, domain)
    native_recovery.mount(gate, router, face, domain)
    native_verifications.mount(gate, router, face, domain)
    native_messages.mount(gate, router, face, domain)
    native_enrollments.mount(gate, router, face, domain, clock, bus)
    native_log.mount(gate, router, face, domain)
    native_policies.mount(gate, router, face, domain.applications)
    nobody = OpenFace(domain)

    async def jwks(_request: web.Request, _call: Call) -> web.Response:
        response = web.Response(body=msgspec.json.encode(Jwks(signer.jwks())), headers=HEADERS)
        response.headers["Cache-Control"] = f"public, max-age={_JWKS_SECONDS}"
        return response

    async def errors(_request: web.Request, _call: Call) -> web.Response:
        return page()

    gate.add(
        router,
        "GET",
        "/.well-known/jwks.json",
        jwks,
        face=nobody,
        doc=Doc(
            "The keys under which the server's documents verify",
            Jwks,
            open="Public keys are for everybody who verifies a receipt.",
        ),
    )
    gate.add(
        router,
        "GET",
        "/errors",
        errors,
        face=nobody,
        doc=Doc("What each error code means", answer_media="text/html", open="A constant page without data."),
    )
    return face
