"""The Authy API as its clients speak it, in JSON and XML.

    GET|POST /protected/{json|xml}/…      users and tokens        key: X-Authy-API-Key or X-TFA-API-Key,
    GET|POST /onetouch/{json|xml}/…       approval requests            else api_key in query or body

    200 {"message":"Token is valid.","token":"is valid","success":"true",…}
    4xx {"message":M,"success":false,"errors":{"message":M},"error_code":"60026"}

Quirks that clients depend on: success is exactly 200; JSON is compact and ASCII; ``error_code`` is text; ``success`` of
a token check is the text "true" and of everything else a boolean; parameters come by query, form, JSON or XML, also in
the body of a GET; ids in paths may be any text; a base URL that ends with a slash doubles the first slash of each path;
a slash behind a path makes no difference.

Each family of routes has a file with a drawing of its own: ``authyusers``, ``authytokens``, ``authyphones``,
``authyapproval``, ``authyapp``, ``authyreporting``; ``authysandbox`` answers where nothing is to be sent,
``authycallbacks`` calls back.
"""

from __future__ import annotations

from aiohttp import web

from placet_server.domain.refusals import RefusedError
from placet_server.domain.services import Domain
from placet_server.domain.values import Caller
from placet_server.faces import params
from placet_server.faces.authyapp import API_CALLS, ApplicationRoutes
from placet_server.faces.authyapproval import ApprovalRoutes
from placet_server.faces.authyparts import Row
from placet_server.faces.authyphones import PhoneRoutes
from placet_server.faces.authyqr import PICTURE_PATH, Pictures
from placet_server.faces.authyreplies import CODE, refused
from placet_server.faces.authyreporting import ReportingRoutes
from placet_server.faces.authytokens import TokenRoutes
from placet_server.faces.authyusers import UserRoutes
from placet_server.faces.switches import switch
from placet_server.ports import Bus
from placet_server.web.gate import Call, Gate, Handler
from placet_server.web.peer import PEER

_CALLER = web.RequestKey("authy caller", Caller)


class AuthyFace:
    """Reads Authy's credentials and says no in Authy's words."""

    name = "authy"

    def __init__(self, domain: Domain, pictures: Pictures, bus: Bus) -> None:
        self._domain = domain
        self._pictures = pictures
        self._families = (
            UserRoutes(domain, pictures),
            TokenRoutes(domain, bus),
            PhoneRoutes(domain),
            ApprovalRoutes(domain),
            ApplicationRoutes(domain),
            ReportingRoutes(domain),
        )

    async def authenticate(self, request: web.Request, now: int) -> Caller | None:
        """The application of the key in header, query or body, in this order."""
        headers = request.headers
        key = headers.get("X-Authy-API-Key") or headers.get("X-TFA-API-Key")
        if key is None:
            found = (await params.read(request)).get("api_key")
            key = found if isinstance(found, str) else None
        caller = await self._domain.credentials.by_secret("authy", key, now, request[PEER]) if key else None
        if caller is not None:
            request[_CALLER] = caller
        return caller

    def refusal(self, request: web.Request, error: RefusedError, _request_id: str) -> web.Response:
        """The error body of section 5 of Authy's reference."""
        return refused(request, request.get(_CALLER), error)

    def routes(self, gate: Gate, router: web.UrlDispatcher) -> None:
        """Serve every path of this face."""
        for family in self._families:
            for row in family.rows():
                handler = self._counted(row)
                for slash in ("", "/"):
                    path = slash + row.path
                    gate.add(router, row.method, path, handler, face=self, scope=row.scope, slashed=True)
        gate.add(router, "GET", PICTURE_PATH, self._pictures.show, face=self)
        for prefix in ("/protected", "/onetouch", "//protected", "//onetouch"):
            gate.add_rest(router, self, prefix)

    def _counted(self, row: Row) -> Handler:
        async def run(request: web.Request, call: Call) -> web.StreamResponse:
            self._domain.usage.add(call.by.application.id, API_CALLS, call.now)
            await params.read(request)  # also where none is used: it refuses contradictions and tells the log
            handler = row.handler
            if row.sandbox is not None and switch(call.by, "sandbox"):
                handler = row.sandbox
            response = await handler(request, call)
            if (code := request.get(CODE)) is not None:
                call.note(code=code)
            return response

        return run
