"""``/device/v1``: what a person's authenticator calls. Signed documents speak for themselves, all else needs a proof."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Final

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Meta, Struct

from placet_protocol import jose
from placet_protocol.documents import DECISION_LIMIT, ENROLL_LIMIT
from placet_protocol.errors import ProtocolError
from placet_protocol.sealing import seal
from placet_server.domain.items import Item, end_body
from placet_server.domain.refusals import RefusedError
from placet_server.domain.services import Domain
from placet_server.domain.values import Caller, Device
from placet_server.ports import Clock, Entropy, Hub, UrlRule
from placet_server.web.gate import Call, Doc, Gate, body, decode
from placet_server.web.problems import problem
from placet_server.web.proofs import HEADER, NONCE_HEADER, Proofs
from placet_server.web.socket import PATH as SOCKET_PATH
from placet_server.web.socket import DeviceSocket
from placet_server.web.wire import UUID, WaitQuery, query, reply, rfc3339

JOSE: Final = "application/jose"
IDS_MAX: Final = 100
ITEMS_MAX: Final = 50

ItemId = Annotated[str, Meta(min_length=1, max_length=64)]


class EnrolledAnswer(Struct):
    """A device's certificate; ``sealed`` (base64url, RFC 8291) holds the otpauth URI of its soft token."""

    certificate: str
    sealed: str | None
    active: bool


class DecidedAnswer(Struct):
    """What a decision led to."""

    approval: str
    status: str
    reason: str | None
    decided_at: str


class SealedItem(Struct):
    """One message, sealed to the device ``did`` (base64url, RFC 8291)."""

    did: str
    id: str
    sealed: str


class ItemsAnswer(Struct):
    """What waits for the device; ``server_time`` in ms UTC."""

    items: list[SealedItem]
    server_time: int


class AcksBody(Struct, forbid_unknown_fields=True):
    """Items that are safe on the device, and requests that its person was shown."""

    ids: Annotated[list[ItemId], Meta(max_length=IDS_MAX)] = []
    seen: Annotated[list[ItemId], Meta(max_length=IDS_MAX)] = []


class SelfAnswer(Struct):
    """The device as the server knows it."""

    id: str
    name: str
    status: str
    created_at: str


class DeviceFace:
    """No credential but the key of a device: refusals are problems, and carry the next nonce."""

    name: Final = "device"

    def __init__(self, proofs: Proofs, clock: Clock) -> None:
        self._proofs = proofs
        self._clock = clock

    async def authenticate(self, request: web.Request, now: int) -> Caller | None:
        """Nobody: what proves the caller is checked with the body."""
        del request, now
        return None

    def refusal(self, request: web.Request, error: RefusedError, request_id: str) -> web.Response:
        """A problem, with the nonce for whoever the proof names."""
        response = problem(error, request_id)
        response.headers.pop("WWW-Authenticate", None)
        document = request.headers.get(HEADER)
        if document is not None:
            try:
                kid = self._proofs.kid(document)
            except RefusedError:
                return response
            response.headers[NONCE_HEADER] = self._proofs.nonce(kid, self._clock.now())
        return response


class _Poll:
    """One long poll; it implements ``Link``."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.ended = False

    def wake(self) -> None:
        self.changed.set()

    def end(self, code: str) -> None:
        del code
        self.ended = True
        self.changed.set()


class DeviceApi:
    """The handlers of the device API."""

    def __init__(
        self,
        gate: Gate,
        domain: Domain,
        hub: Hub,
        clock: Clock,
        entropy: Entropy,
        public_url: str,
        endpoint_rule: UrlRule,
    ) -> None:
        self._gate: Final = gate
        self._domain: Final = domain
        self._hub: Final = hub
        self._clock: Final = clock
        self._entropy: Final = entropy
        self._public_url: Final = public_url
        self._endpoint_rule: Final = endpoint_rule
        self._proofs: Final = Proofs(domain.devices, entropy, public_url)

    def mount(self, router: web.UrlDispatcher) -> DeviceFace:
        """Add the routes; the face it returns also answers for unknown paths below ``/device/v1``."""
        face = DeviceFace(self._proofs, self._clock)
        add, base = self._gate.add, "/device/v1"
        add(router, "POST", f"{base}/enrollments/{UUID}", self.enroll, face=face, doc=_ENROLL)
        add(router, "POST", f"{base}/decisions", self.decide, face=face, doc=_DECIDE)
        add(router, "GET", f"{base}/items", self._proven(self.items), face=face, doc=_ITEMS)
        add(router, "POST", f"{base}/acks", self._proven(self.acknowledge), face=face, doc=_ACKS)
        add(router, "GET", f"{base}/self", self._proven(self.about_itself), face=face, doc=_SELF)
        add(router, "POST", f"{base}/leave", self._proven(self.leave), face=face, doc=_LEAVE)
        add(router, "GET", SOCKET_PATH, self.socket, face=face, doc=_SOCKET)
        return face

    async def enroll(self, request: web.Request, call: Call) -> web.Response:
        """Redeem an invitation by an ``enroll+jwt``."""
        document = await _document(request, ENROLL_LIMIT)
        self._check_endpoint(document)
        redeemed = await self._domain.enrollments.redeem(request.match_info["id"], document, call.now)
        sealed = None if redeemed.sealed is None else jose.b64u(redeemed.sealed)
        answer = EnrolledAnswer(redeemed.certificate, sealed, redeemed.device.status == "active")
        return self._with_nonce(reply(200, answer), redeemed.device.jkt)

    async def decide(self, request: web.Request, _call: Call) -> web.Response:
        """Take an ``approval-decision+jwt``."""
        document = await _document(request, DECISION_LIMIT)
        # The time of arrival counts, and the body may have taken its time.
        decided = await self._domain.decisions.decide(document, self._clock.now())
        answer = DecidedAnswer(decided.approval, decided.status, decided.reason, rfc3339(decided.decided_at))
        return reply(200, answer)

    async def items(self, request: web.Request, device: Device, _data: bytes) -> web.Response:
        """What waits for the device, or, within ``wait`` seconds, what comes; a second poll ends the first."""
        until = asyncio.get_running_loop().time() + query(request, WaitQuery).wait
        poll = _Poll()
        leave = self._hub.join(poll, device.id, device.user_id, at_most=1)
        try:
            while True:
                poll.changed.clear()
                now = self._clock.now()
                items = await self._waiting(device, now)
                left = until - asyncio.get_running_loop().time()
                if items or left <= 0 or poll.ended or not await self._gate.wait(poll.changed, left):
                    break
                device = await self._current(device)
        finally:
            leave()
        sealed = [SealedItem(device.id, item.id, self._sealed(device, item)) for item in items]
        return reply(200, ItemsAnswer(sealed, self._clock.now()))

    async def acknowledge(self, _request: web.Request, device: Device, data: bytes) -> web.Response:
        """Note what the device holds and what its person saw."""
        noted = decode(data, AcksBody)
        now = self._clock.now()
        await self._domain.items.acknowledge(device, noted.ids, now)
        for rid in noted.seen:
            await self._domain.approvals.seen(device, rid, now)
        return reply(200, {})

    async def about_itself(self, _request: web.Request, device: Device, _data: bytes) -> web.Response:
        """Tell a device its own state."""
        return reply(200, SelfAnswer(device.id, device.name, device.status, rfc3339(device.created_at)))

    async def leave(self, _request: web.Request, device: Device, _data: bytes) -> web.Response:
        """Revoke the calling device."""
        left = await self._domain.devices.revoke(device.org, device.id, "left", self._clock.now())
        return reply(200, SelfAnswer(left.id, left.name, left.status, rfc3339(left.created_at)))

    async def socket(self, request: web.Request, _call: Call) -> web.StreamResponse:
        """Serve the device socket; a browser may open it from the server's own pages only."""
        if request.headers.get("Origin", self._public_url) != self._public_url:
            raise RefusedError("forbidden", "The socket is not for pages of another origin.")
        return await DeviceSocket(self._domain, self._hub, self._proofs, self._clock, self._entropy).run(
            request
        )

    def _proven(
        self, handler: Callable[[web.Request, Device, bytes], Awaitable[web.Response]]
    ) -> Callable[[web.Request, Call], Awaitable[web.StreamResponse]]:
        """A handler for the device that proves the call; its answer carries the next nonce."""

        async def run(request: web.Request, _call: Call) -> web.StreamResponse:
            data = await body(request)
            device = await self._proofs.caller(request, data, self._clock.now())
            return self._with_nonce(await handler(request, device, data), device.jkt)

        return run

    def _with_nonce(self, response: web.Response, kid: str) -> web.Response:
        response.headers[NONCE_HEADER] = self._proofs.nonce(kid, self._clock.now())
        return response

    async def _waiting(self, device: Device, now: int) -> list[Item]:
        items = await self._domain.items.waiting(device, now)
        items += [end_body(ended) for ended in await self._domain.items.ended(device, now)]
        return items[:ITEMS_MAX]

    async def _current(self, device: Device) -> Device:
        current = await self._domain.devices.by_id(device.id)
        if current is None or current.status == "revoked":
            raise RefusedError("device_revoked", "This device was revoked.")
        return current

    def _sealed(self, device: Device, item: Item) -> str:
        fresh = ec.generate_private_key(ec.SECP256R1())
        salt = self._entropy.bytes(16)
        return jose.b64u(seal(item.body, device.p256dh, device.auth, ephemeral_key=fresh, salt=salt))

    def _check_endpoint(self, document: str) -> None:
        """Refuse an endpoint that may not be called, before anything of the document is believed."""
        try:
            push = jose.peek(document, ENROLL_LIMIT)[1].get("push")
        except ProtocolError:
            return  # refused with all other bad documents
        endpoint = push.get("endpoint") if isinstance(push, dict) else None
        if isinstance(endpoint, str) and endpoint != "embedded":
            sentence = self._endpoint_rule(endpoint)
            if sentence is not None:
                raise RefusedError("enrollment_refused", f"push.endpoint: {sentence}.")


async def _document(request: web.Request, limit: int) -> str:
    if request.content_type != JOSE:
        raise RefusedError("unsupported_media_type", f"Send Content-Type: {JOSE}.")
    data = await body(request, limit=limit)
    try:
        return data.decode("ascii")
    except UnicodeDecodeError:
        raise RefusedError("invalid_request", "The body is a compact JWS in ASCII.") from None


_PROOF_REFUSALS: Final = ("invalid_proof", "use_nonce", "device_revoked", "rate_limited")
_ENROLL: Final = Doc(
    "Become a device",
    EnrolledAnswer,
    media=JOSE,
    refusals=(
        "enrollment_refused",
        "enrollment_ended",
        "reason_required",
        "rate_limited",
        "unsupported_media_type",
    ),
    answer_headers=(NONCE_HEADER,),
    open="Devices come here without a key: a token of 256 bits opens one invitation once, within ten minutes.",
)
_DECIDE: Final = Doc(
    "Answer a request",
    DecidedAnswer,
    media=JOSE,
    refusals=("invalid_decision", "already_decided", "rate_limited", "unsupported_media_type"),
    open="The signature in the body proves the device, and one request takes one answer.",
)
_ITEMS: Final = Doc(
    "What waits for the device",
    ItemsAnswer,
    query=WaitQuery,
    refusals=_PROOF_REFUSALS,
    answer_headers=(NONCE_HEADER,),
    proven=True,
)
_ACKS: Final = Doc(
    "Acknowledge items",
    dict[str, str],
    body=AcksBody,
    refusals=_PROOF_REFUSALS,
    answer_headers=(NONCE_HEADER,),
    proven=True,
)
_SELF: Final = Doc(
    "The device itself", SelfAnswer, refusals=_PROOF_REFUSALS, answer_headers=(NONCE_HEADER,), proven=True
)
_LEAVE: Final = Doc(
    "Stop being a device", SelfAnswer, refusals=_PROOF_REFUSALS, answer_headers=(NONCE_HEADER,), proven=True
)
_SOCKET: Final = Doc(
    "The device socket (WebSocket)",
    status=101,
    refusals=("forbidden",),
    open="The first frame proves the device's key within ten seconds, or the socket ends.",
)
