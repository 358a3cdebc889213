"""One way into Afilnet's API: who calls by which credential, in which order things are missed, how answers leave."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from placet_server.domain.refusals import RefusedError
from placet_server.domain.values import Caller
from placet_server.faces import afilnetparams as params
from placet_server.faces import afilnetreplies as replies
from placet_server.faces.afilnetcalls import Calls
from placet_server.faces.afilnetparams import Sent
from placet_server.faces.afilnetreplies import SaidError
from placet_server.faces.switches import switch
from placet_server.web.apilog import SENT
from placet_server.web.gate import Call
from placet_server.web.peer import PEER

_SENT: Final = web.RequestKey("afilnet", Sent)
_BY: Final = web.RequestKey("afilnet_caller", Caller)
_UNKNOWN: Final = Sent({})


class Way:
    """The way of ``/api/http/``: everything in parameters, errors with status 200. Other ways differ from it.

    Nothing is told to strangers: what is absent is missed first (user, password, class, method), then the credentials
    are checked, and only then what class and method say.
    """

    name = "afilnet"
    challenge: str | None = None
    """What ``WWW-Authenticate`` asks for, on ways where missing or wrong credentials have status 401."""
    names_method = True

    def __init__(self, calls: Calls) -> None:
        self.calls = calls

    async def read(self, request: web.Request) -> Sent:
        """The parameters."""
        return await params.read(request)

    def presented(self, request: web.Request, sent: Sent) -> tuple[str, str]:
        """User and password; raises ``SaidError`` for what is absent."""
        user, password = sent.get("user"), sent.get("password")
        if not user and (pair := params.basic(request)) is not None:
            user, password = pair
        return present(user, password)

    async def who(self, name: str, secret: str, now: int, ip: str) -> Caller | None:
        """Who presents these two, or None."""
        return await self.calls.caller(name, secret, now, ip)

    async def authenticate(self, request: web.Request, now: int) -> Caller | None:
        """The caller; contradicting credentials are as good as wrong ones."""
        request[_SENT] = sent = await self.read(request)
        request[SENT] = dict(sent.values)
        name, secret = self.presented(request, sent)
        if self.names_method:
            if not sent.get("class"):
                raise SaidError("MISSING_CLASS")
            if not sent.get("method"):
                raise SaidError("MISSING_METHOD")
        if sent.conflicts & {"user", "password"}:
            return None
        caller = await self.who(name, secret, now, request[PEER])
        if caller is not None:
            request[_BY] = caller
        return caller

    def refusal(self, request: web.Request, refused: RefusedError, _request_id: str) -> web.StreamResponse:
        """An error in Afilnet's words; an address that is not allowed looks like wrong credentials."""
        error, status = replies.said(refused)
        by = request.get(_BY)
        if refused.code == "ip_not_allowed" and by is not None:
            error = switch(by, "refused_ip")
        if self.challenge is not None and refused.code in {"unauthorized", "forbidden", "ip_not_allowed"}:
            status = 401
        response = self.answer(request, replies.failure(error), status)
        if status == 401 and self.challenge is not None:
            response.headers["WWW-Authenticate"] = self.challenge
        if refused.retry_after is not None:
            response.headers["Retry-After"] = str(refused.retry_after)
        return response

    def answer(self, request: web.Request, envelope: dict[str, Any], status: int = 200) -> web.StreamResponse:
        """An envelope in the format that the call asks for."""
        by = request.get(_BY)
        wanted = request.get(_SENT, _UNKNOWN).get("output").lower()
        xml = wanted == "xml" or (not wanted and by is not None and switch(by, "output") == "xml")
        return replies.answer(envelope, xml=xml, status=status)

    async def handle(self, request: web.Request, call: Call) -> web.StreamResponse:
        """Run the method that the call names."""
        try:
            result = await self.calls.run(request[_SENT], call)
        except SaidError as refused:
            call.note(code=refused.error)
            return self.answer(request, replies.failure(refused.error))
        call.note(code="SUCCESS")
        return self.answer(request, replies.success(result))


def present(user: str, password: str) -> tuple[str, str]:
    """Both; raises ``SaidError`` for the first that is absent."""
    if not user:
        raise SaidError("MISSING_USER")
    if not password:
        raise SaidError("MISSING_PASSWORD")
    return user, password
