"""The Afilnet API as its clients speak it: one path, class and method as parameters, four ways to connect.

    GET|POST /api/http/    ?class=otp&method=generateotp&user=U&password=P&type=mobile&destination=34600000000…
    GET|POST /api/basic/   user and password in Authorization: Basic          (afilnetbasic.py)
    GET|POST /api/jwt/     a token in Authorization: Bearer                   (afilnetjwt.py)
    POST     /api/soap/    SOAP 1.1, described at ?wsdl                       (afilnetsoap.py)

    200 {"status":"SUCCESS","result":{"status":"SUCCESS","code":"4K9Q2Z"}}      generateotp tells the code
    200 {"status":"SUCCESS","result":{}}                                        verifyotp, once
    200 {"status":"ERROR","error":"CODE_NOT_FOUND"}

    MISSING_USER > _PASSWORD > _CLASS > _METHOD > INCORRECT_USER_PASSWORD > _CLASS > _METHOD > the method's own

Quirks that clients depend on: the HTTP status of a logical error is 200; ``status`` is in capitals; parameters come by
query, form, multipart or JSON, encoded or not; ``output`` is sent empty and means JSON; the path is known in any letter
case, with or without a slash behind it, and to one plug-in with the query in place of its last segment.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from placet_server.domain.refusals import RefusedError
from placet_server.domain.services import Domain
from placet_server.domain.values import Scope
from placet_server.faces.afilnetbasic import BasicWay
from placet_server.faces.afilnetcalls import Calls
from placet_server.faces.afilnetjwt import BearerWay, Tokens, TokenWay
from placet_server.faces.afilnetparams import FORGETFUL, Sent
from placet_server.faces.afilnetsoap import DescriptionWay, SoapWay
from placet_server.faces.afilnetway import Way
from placet_server.faces.paths import any_case
from placet_server.ports import Sealer
from placet_server.web.gate import Gate, Handler

_SCOPE: Final[Scope] = "codes"
_REST: Final = "/{rest:(?s:.*)}"


class PathWay(Way):
    """Knows the query that stands in the path; every other path below ``/api/http/`` is nothing."""

    async def read(self, request: web.Request) -> Sent:
        """The parameters; raises ``not_found`` before anything is read of another path."""
        if not request.rel_url.raw_path.lower().startswith(FORGETFUL):
            raise RefusedError("not_found", "There is nothing at this path.")
        return await super().read(request)


class AfilnetFace:
    """All ways into Afilnet's API."""

    def __init__(self, domain: Domain, sealer: Sealer, public_url: str) -> None:
        calls, tokens = Calls(domain), Tokens(sealer)
        self._http = Way(calls)
        self._path = PathWay(calls)
        self._basic = BasicWay(calls)
        self._token = TokenWay(calls, tokens)
        self._bearer = BearerWay(calls, tokens)
        self._soap = SoapWay(calls, public_url)
        self._description = DescriptionWay(calls, public_url)

    def routes(self, gate: Gate, router: web.UrlDispatcher) -> None:
        """Serve every path of this face."""

        def add(methods: str, path: str, way: Way, handler: Handler, scope: Scope | None = _SCOPE) -> None:
            # The usual spelling is a route of its own: it is found faster, and the log shows it as it is.
            for spelled in (path, any_case(path)):
                for method in methods.split("|"):
                    gate.add(router, method, spelled, handler, face=way, scope=scope)

        add("GET|POST", "/api/http/", self._http, self._http.handle)
        add("GET|POST", "/api/basic/", self._basic, self._basic.handle)
        add("POST", "/api/jwt/token", self._token, self._token.handle)
        add("GET|POST", "/api/jwt/", self._bearer, self._bearer.handle)
        add("POST", "/api/soap/", self._soap, self._soap.handle)
        add("GET", "/api/soap/", self._description, self._description.describe, None)
        for method in ("GET", "POST"):
            gate.add(router, method, f"/api/http{_REST}", self._path.handle, face=self._path, scope=_SCOPE)
