"""Afilnet by JWT: a token for user and password, then calls with the token.

    POST /api/jwt/token   user=…&password=…   {"status":"SUCCESS","result":{"token":"…","expires":3600}}
    GET|POST /api/jwt/?class=…&method=…       Authorization: Bearer …
    401  WWW-Authenticate: Bearer             MISSING_USER without a token, INCORRECT_USER_PASSWORD

The token is a JWS with HS256 (RFC 7519) under a key of this installation. It names the password that it was made for
by its id, so that it ends with the password and with the credential.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any, Final

from aiohttp import web

from placet_protocol.errors import MalformedError
from placet_protocol.jose import b64u, unb64u
from placet_server.domain.values import Caller
from placet_server.faces import afilnetreplies as replies
from placet_server.faces.afilnetcalls import Calls
from placet_server.faces.afilnetparams import Sent
from placet_server.faces.afilnetreplies import SaidError
from placet_server.faces.afilnetway import Way
from placet_server.ports import Sealer
from placet_server.web.gate import Call

SECONDS: Final = 3600
TOKEN_MAX: Final = 1024
_HEAD: Final = b64u(b'{"alg":"HS256","typ":"JWT"}')


class Tokens:
    """Makes and reads tokens."""

    def __init__(self, sealer: Sealer) -> None:
        self._key = sealer.mac("afilnet_token", b"HS256")

    def make(self, key: str, now: int) -> str:
        """A token for the password of this id, good for an hour from ``now`` (ms UTC)."""
        seconds = now // 1000
        claims = {"sub": key, "iat": seconds, "exp": seconds + SECONDS}
        signed = f"{_HEAD}.{b64u(json.dumps(claims, separators=(',', ':')).encode())}"
        return f"{signed}.{b64u(self._mac(signed))}"

    def read(self, token: str, now: int) -> str | None:
        """The id that a token names, or None when this installation did not make it or its hour is over."""
        head, _, rest = token.partition(".")
        payload, _, mac = rest.partition(".")
        # One header is good: none can choose another algorithm (RFC 8725 §3.1).
        if len(token) > TOKEN_MAX or not token.isascii() or head != _HEAD:
            return None
        try:
            if not hmac.compare_digest(unb64u(mac), self._mac(f"{head}.{payload}")):
                return None
            claims: dict[str, Any] = json.loads(unb64u(payload))
        except (MalformedError, ValueError):
            return None
        named: str = claims["sub"]
        return named if now // 1000 < claims["exp"] else None

    def _mac(self, signed: str) -> bytes:
        return hmac.digest(self._key, signed.encode(), hashlib.sha256)


class TokenWay(Way):
    """Gives a token for user and password."""

    names_method = False

    def __init__(self, calls: Calls, tokens: Tokens) -> None:
        super().__init__(calls)
        self._tokens = tokens

    async def handle(self, request: web.Request, call: Call) -> web.StreamResponse:
        """A token for the caller."""
        token = self._tokens.make(call.by.key, call.now)
        return self.answer(request, replies.success({"token": token, "expires": SECONDS}))


class BearerWay(Way):
    """Reads the token alone."""

    challenge = "Bearer"

    def __init__(self, calls: Calls, tokens: Tokens) -> None:
        super().__init__(calls)
        self._tokens = tokens

    def presented(self, request: web.Request, sent: Sent) -> tuple[str, str]:
        """The token of the header, twice nothing else; raises ``SaidError`` without one."""
        del sent
        scheme, _, token = request.headers.get("Authorization", "").strip().partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise SaidError("MISSING_USER")
        return "", token.strip()

    async def who(self, name: str, secret: str, now: int, ip: str) -> Caller | None:
        """The caller that the token names, while credential and password live."""
        del name, ip
        key = self._tokens.read(secret, now)
        return None if key is None else await self.calls.holder(key, now)
