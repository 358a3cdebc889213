"""The one way in, for every route of every face.

The gate names the request, asks the face who calls, checks scope and rate, turns refusals into the face's own answers
and notes the call. One coroutine a request and no chain of middlewares, because such a chain costs as much as the work behind it.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, NoReturn

from aiohttp import web
from msgspec import Struct, structs

from placet_protocol.errors import ProtocolError
from placet_server.domain.limits import RateLimit
from placet_server.domain.networks import allowed, source
from placet_server.domain.refusals import Code, RefusedError
from placet_server.domain.values import Caller, Scope
from placet_server.faces import Face
from placet_server.faces.logged import TABLE as FOREIGN
from placet_server.faces.paths import Slashed
from placet_server.ports import Clock, Entropy, StoreUnavailableError
from placet_server.web.answer import Answer
from placet_server.web.apilog import SENT, ApiLog, Noted
from placet_server.web.logging import event
from placet_server.web.peer import PEER, Peers
from placet_server.web.problems import HEADERS
from placet_server.web.wire import body, decode

__all__ = ["Call", "Doc", "Gate", "Handler", "Route", "body", "decode"]

UNAVAILABLE_RETRY: Final = 5
_STRANGE: Final[frozenset[Code]] = frozenset(
    {
        "unauthorized",
        "not_found",
        "enrollment_refused",
        "enrollment_ended",
        "invalid_proof",
    }
)
"""What somebody hears who guesses; nothing on which a caller with a good key or device depends."""
_NO_FACTS: Final[dict[str, Any]] = {}
JSON: Final = "application/json"
_SERVER: Final = HEADERS["Server"]  # aiohttp's own tells versions
_IN_CLEAR: Final = frozenset({"/healthz", "/readyz"})  # supervisors of the host do not come by the proxy
_REST: Final = "/{rest:(?s:.*)}"  # line ends as well: a path may hold them, encoded


class Call(Struct, frozen=True):
    """One request: its id, when it came (ms UTC), from which address, and who calls where the route asks for that."""

    id: str
    now: int
    ip: str
    caller: Caller | None
    facts: dict[str, Any] = {}

    def note(self, **facts: Any) -> None:  # noqa: ANN401 - what JSON can say
        """Tell the API log what this call was about; never a secret, a code or a text that holds one.

        ``user`` (tfa id) and ``destination`` can be searched for, ``subject`` (an id) and ``code`` (the face's own result)
        stand beside the row; everything else, such as effective values, is sealed.
        """
        self.facts.update(facts)

    @property
    def by(self) -> Caller:
        """Who calls, on routes that need a credential."""
        assert self.caller is not None
        return self.caller


Handler = Callable[[web.Request, Call], Awaitable[web.StreamResponse]]


class Doc(NamedTuple):
    """What the published description says of a route; the types are those that validate.

    ``body`` None: the route takes no body (or, with ``media``, one of that type). ``refusals`` are the codes beyond
    those that every route may answer. A route without a scope says in ``open`` why it needs no key and what bounds it,
    or that a device's key proves each call (``proven``).
    """

    summary: str
    answer: Any = None
    status: int = 200
    body: Any = None
    query: Any = None
    refusals: tuple[Code, ...] = ()
    other_statuses: tuple[int, ...] = ()
    headers: tuple[str, ...] = ()
    media: str = "application/json"
    answer_media: str = "application/json"
    answer_headers: tuple[str, ...] = ()
    proven: bool = False
    open: str = ""


class Route(NamedTuple):
    """A route as it was added."""

    method: str
    path: str
    face: str
    scope: Scope | None
    doc: Doc | None


class Gate:
    """Takes every request of every face.

    A network that was refused more than ``strangers`` times a minute for want of a credential hears that alone, in
    bursts of twice as many; 0: any number. Who has a good credential is never in this count and costs it nothing.
    """

    def __init__(
        self,
        clock: Clock,
        entropy: Entropy,
        apilog: ApiLog,
        rate: RateLimit,
        peers: Peers | None = None,
        opened: Callable[[str, int], Awaitable[bool]] | None = None,
        strangers: int = 0,
    ) -> None:
        self.routes: Final[list[Route]] = []
        self.closing = False
        self._clock = clock
        self._apilog = apilog
        self._rate = rate
        self._peers = peers or Peers(())
        self._opened = opened
        self._strangers = strangers
        self._refused = RateLimit(seconds=60)
        self._boot = entropy.bytes(5).hex()
        self._count = itertools.count()
        self._waiting: set[asyncio.Event] = set()

    def add(
        self,
        router: web.UrlDispatcher,
        method: str,
        path: str,
        handler: Handler,
        *,
        face: Face,
        scope: Scope | None = None,
        doc: Doc | None = None,
        slashed: bool = False,
    ) -> None:
        """Serve ``method path`` by ``handler``; with a scope, only to callers whose credential has it.

        Variables in the path need a pattern of ASCII characters, ``{id:[0-9a-f-]{36}}``. A route whose ``doc`` names
        no query refuses every query. ``slashed``: a slash behind the path makes no difference.
        """
        self.routes.append(Route(method, path, face.name, scope, doc))
        plain = doc is not None and doc.query is None
        queried = () if doc is None or doc.query is None else doc.query.__struct_encode_fields__
        behind = self._behind(handler, method, path, face, scope, plain=plain, queried=queried)
        if slashed:
            router.register_resource(resource := Slashed(path))
            resource.add_route(method, behind, expect_handler=_expect)
        else:
            router.add_route(method, path, behind, expect_handler=_expect)

    def add_rest(self, router: web.UrlDispatcher, face: Face, prefix: str = "") -> None:
        """Answer every other path below a prefix with the face's ``not_found`` or ``method_not_allowed``."""
        path = prefix + _REST

        async def rest(request: web.Request, _call: Call) -> web.StreamResponse:
            allowed: set[str] = set()
            for resource in router.resources():
                if resource.canonical != prefix + "/{rest}":
                    allowed |= (await resource.resolve(request))[1]
            if not allowed - {"*"}:
                raise RefusedError("not_found", "There is nothing at this path.")
            listed = ", ".join(sorted(allowed - {"*"}))
            refusal = RefusedError("method_not_allowed", f"This path knows {listed}.")
            response = face.refusal(request, refusal, _call.id)
            response.headers["Allow"] = listed
            return response

        router.add_route("*", path, self._behind(rest, "*", path, face, None), expect_handler=_expect)

    async def wait(self, changed: asyncio.Event, seconds: float) -> bool:
        """Wait until an event of the bus is set, at most so long; false at the end of the time or of the server.

        Long polls wait here, so that closing the server answers them at once.
        """
        if self.closing:
            return False
        self._waiting.add(changed)
        try:
            async with asyncio.timeout(seconds):
                await changed.wait()
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(changed)
        changed.clear()
        return not self.closing

    def close(self) -> None:
        """Let every waiting call answer now: the server ends."""
        self.closing = True
        for changed in self._waiting:
            changed.set()

    def _behind(
        self,
        handler: Handler,
        method: str,
        path: str,
        face: Face,
        scope: Scope | None,
        *,
        plain: bool = False,
        queried: tuple[str, ...] = (),
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        authenticate = face.authenticate
        literal = not path.endswith(_REST)
        guarded = self._peers.bare and path not in _IN_CLEAR
        foreign = face.name in FOREIGN

        async def run(request: web.Request) -> web.StreamResponse:
            started = time.perf_counter_ns()
            now = self._clock.now()
            request_id = f"{now:012x}{self._boot}{next(self._count):06x}"
            request[PEER] = ip = self._peers.address(request)
            caller: Caller | None = None
            code: Code | None = None
            call: Call | None = None
            try:
                if guarded or foreign:
                    await self._enter(request, face, now, guarded=guarded)
                if literal:
                    _one_spelling(request)
                if plain and request.rel_url.raw_query_string:
                    _no_query()
                caller = await authenticate(request, now)
                self._admit(caller, scope, ip, now)
                call = Call(request_id, now, ip, caller)
                response = await handler(request, call)
            except RefusedError as error:
                told = error if caller is not None else self._told(error, ip, now)
                code = told.code
                response = face.refusal(request, told, request_id)
            except Exception as error:  # noqa: BLE001 - whatever happens, the answer is the face's own
                refusal = _refusal(error, request_id, path)
                code = refusal.code
                response = face.refusal(request, refusal, request_id)
            plainly = isinstance(response, Answer)  # under headers of its own
            if not response.prepared:
                response.headers["X-Request-Id"] = request_id
                if foreign and not plainly:  # their URLs and forms hold credentials
                    response.headers.setdefault("Cache-Control", "no-store")
                    response.headers.setdefault("Server", _SERVER)
            row = (
                request_id,
                now,
                face.name,
                method if method != "*" else request.method[:16],
                path,
                response.status,
                code,
                ip,
                None if caller is None else caller.application.id,
                None if caller is None else caller.credential,
                (time.perf_counter_ns() - started) // 1000,
            )
            noted = Noted(
                row,
                request.headers.get("User-Agent"),
                request.match_info,
                request.rel_url.raw_query_string,
                queried,
                _NO_FACTS if call is None else call.facts,
            )
            if foreign:
                answer = response.body if isinstance(response, web.Response) else None
                noted = structs.replace(
                    noted,
                    sent=request.get(SENT),
                    answer=answer if isinstance(answer, bytes) else b"",
                    media=JSON if plainly else response.content_type,
                )
            self._apilog.add(noted)
            return response

        return run

    async def _enter(self, request: web.Request, face: Face, now: int, *, guarded: bool) -> None:
        """A bare socket is for proxies; a face answers as if it were not there until a credential opens it."""
        if guarded and not self._peers.encrypted(request):
            raise RefusedError("forbidden", "This server answers by https only.")
        if self._opened is not None and face.name in FOREIGN and not await self._opened(face.name, now):
            raise RefusedError("not_found", "No credential opens this API: add one by `credential add`.")

    def _told(self, error: RefusedError, ip: str, now: int) -> RefusedError:
        """What a caller without a credential hears: why, or that there were too many such calls of late.

        Counted when they are refused, and no call is turned away unseen: others behind the same address may be good.
        """
        if self._strangers and error.code in _STRANGE:
            try:
                what = "calls without a valid credential came from this address"
                self._refused.take(source(ip), self._strangers, now, what)
            except RefusedError as limited:
                return limited
        return error

    def _admit(self, caller: Caller | None, scope: Scope | None, ip: str, now: int) -> None:
        if caller is None:
            if scope is not None:
                raise RefusedError("unauthorized", "Send a valid API key of this installation.")
            return
        policies = caller.application.policies
        if not (allowed(ip, caller.networks) and allowed(ip, policies.limits_networks)):
            raise RefusedError("ip_not_allowed", f"This credential may not be used from {ip or 'here'}.")
        if scope is not None and scope not in caller.scopes:
            raise RefusedError("forbidden", f"This needs a key with scope {scope}.")
        if limit := policies.limits_requests_per_second:
            self._rate.take(caller.credential, limit, now)


def _one_spelling(request: web.Request) -> None:
    # Nothing in a path of ours has to be encoded, and %2f must never become a slash.
    if "%" in request.rel_url.raw_path:
        raise RefusedError("not_found", "There is nothing at this path.")


def _no_query() -> NoReturn:
    raise RefusedError("invalid_request", "This call takes no query parameters.")


def _refusal(error: Exception, request_id: str, path: str) -> RefusedError:
    """What an exception that is no refusal means to the caller; defects are logged by place, without values."""
    if isinstance(error, ProtocolError):
        return RefusedError("invalid_request", "The signed document is not good.")
    if isinstance(error, StoreUnavailableError):
        event(
            "store_unavailable", level=logging.ERROR, reason=error.reason, request_id=request_id, route=path
        )
        return RefusedError("unavailable", "The server cannot write now.", retry_after=UNAVAILABLE_RETRY)
    if isinstance(error, web.HTTPException) and error.status < 500:
        return RefusedError(_BY_STATUS.get(error.status, "invalid_request"), "The request cannot be read.")
    event("request_failed", level=logging.ERROR, error=error, request_id=request_id, route=path)
    return RefusedError("internal", "The server failed; the operator finds why under this request id.")


_BY_STATUS: Final[dict[int, Code]] = {
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    413: "too_large",
    415: "unsupported_media_type",
}


async def _expect(request: web.Request) -> None:
    """Let a caller that waits for ``100 Continue`` send its body; other expectations are ignored (RFC 9110 §10.1.1)."""
    if request.headers.get("Expect", "").lower() == "100-continue" and request.version >= (1, 1):
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer itself has not begun
