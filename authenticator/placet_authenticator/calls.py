"""A device's HTTP calls to one server: signed documents as they are, everything else with a fresh proof of its key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import aiohttp
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from placet_authenticator.errors import ServerRefusedError, UnreachableError
from placet_authenticator.keys import from_scalar
from placet_authenticator.records import Enrollment
from placet_protocol import callproof
from placet_protocol.errors import ProtocolError
from placet_protocol.jose import b64u
from placet_protocol.strictjson import loads
from placet_protocol.text import visible

RandomBytes = Callable[[int], bytes]

TIMEOUT: Final = 20.0
"""Seconds for one call; a long poll adds its wait."""
MAX_ANSWER: Final = 8_000_000
"""Bytes: a hundred requests of the largest size."""
GONE: Final = frozenset({"device_revoked", "invalid_proof"})
"""Codes by which a server says that it does not serve this device's key any more."""
_JOSE: Final = {"Content-Type": "application/jose"}
_JSON: Final = {"Content-Type": "application/json"}


class Signer(NamedTuple):
    """Who signs a call: the thumbprint that names the key, and the key."""

    thumbprint: str
    key: EllipticCurvePrivateKey

    @classmethod
    def of(cls, enrollment: Enrollment) -> Signer:
        """The signer of one enrolment."""
        return cls(enrollment.thumbprint, from_scalar(enrollment.signing_secret))


def open_session() -> aiohttp.ClientSession:
    """The HTTP client of a device: no cookies, no proxy from the environment, TLS checked."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=TIMEOUT),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "placet"},
    )


class Calls:
    """Calls to the server at ``origin``. Nonces are kept by device and renewed by themselves."""

    def __init__(self, session: aiohttp.ClientSession, origin: str, random_bytes: RandomBytes) -> None:
        self.session: Final = session
        self.origin: Final = origin
        self._random = random_bytes
        self._nonces: dict[str, str] = {}

    def random(self, size: int) -> bytes:
        """That many fresh unpredictable bytes."""
        return self._random(size)

    def new_id(self) -> str:
        """A fresh unpredictable id for a document or proof (128 bits, base64url)."""
        return b64u(self._random(16))

    def proof(self, signer: Signer, method: str, url: str, body: bytes, nonce: str) -> str:
        """A proof for one call under a nonce of the server."""
        return callproof.proof(signer.key, signer.thumbprint, method, url, body, nonce, self.new_id())

    async def get_public(self, path: str) -> dict[str, Any]:
        """What the server tells everybody at this path."""
        return await self._send("GET", path)

    async def post_document(self, path: str, document: str) -> dict[str, Any]:
        """Post a signed document; the same document again gets the same answer, so a lost answer is asked for once."""
        try:
            return await self._send("POST", path, document.encode(), _JOSE)
        except UnreachableError:
            return await self._send("POST", path, document.encode(), _JOSE)

    async def call(
        self, signer: Signer, method: str, path: str, body: bytes = b"", *, seconds: float = TIMEOUT
    ) -> dict[str, Any]:
        """A call that proves the key; signs again with the server's fresh nonce when it asks for one.

        ``seconds`` is how long it may take. Raises ``UnreachableError`` and ``ServerRefusedError``.
        """
        try:
            return await self._proven(signer, method, path, body, seconds)
        except ServerRefusedError as refused:
            if refused.code != "use_nonce":
                raise
        return await self._proven(signer, method, path, body, seconds)

    async def status(self, signer: Signer) -> str:
        """What the server says of this device: ``pending``, ``active`` or ``revoked``. Raises as ``call``."""
        try:
            answer = await self.call(signer, "GET", "/device/v1/self")
        except ServerRefusedError as no:
            if no.code in GONE:
                return "revoked"
            if no.code == "device_pending":
                return "pending"
            raise
        said = answer.get("status")
        return visible(said) if isinstance(said, str) else "unknown"

    async def _proven(
        self, signer: Signer, method: str, path: str, body: bytes, seconds: float
    ) -> dict[str, Any]:
        nonce = self._nonces.get(signer.thumbprint, "none")
        headers = {"Placet-Proof": self.proof(signer, method, self.origin + path, body, nonce)}
        return await self._send(
            method, path, body, headers | (_JSON if body else {}), seconds, signer.thumbprint
        )

    async def _send(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        seconds: float = TIMEOUT,
        device: str | None = None,
    ) -> dict[str, Any]:
        try:
            async with self.session.request(
                method,
                self.origin + path,
                data=body or None,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=seconds),
            ) as response:
                if device and (nonce := response.headers.get("Placet-Nonce")):
                    self._nonces[device] = nonce
                data = await _limited(response)
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unreachable(self.origin, error) from error
        try:
            answer = loads(data, MAX_ANSWER) if data else {}
        except ProtocolError as error:
            raise UnreachableError(
                f"{self.origin} answered {status} with something that is not from Placet",
                "Is there another program at this address?",
            ) from error
        if status >= 300:
            raise refused(status, answer)
        return answer


def unreachable(origin: str, error: BaseException) -> UnreachableError:
    """The error for a server that does not answer, in words for a person; a library's own words tell them nothing."""
    host = urlsplit(origin).netloc
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, ConnectionRefusedError):
        return UnreachableError(
            f"{host} does not answer: no server runs there now", "Try again later, or ask whoever runs it"
        )
    for kind, said, hint in _TROUBLES:
        if isinstance(error, kind):
            return UnreachableError(said.format(host), hint)
    return UnreachableError(f"{host} does not answer", _NETWORK)


_NETWORK: Final = "Check the network, then try again"
_TROUBLES: Final[tuple[tuple[type[BaseException], str, str], ...]] = (
    (aiohttp.ClientConnectorDNSError, "the name of {} is not known here", _NETWORK),
    (
        aiohttp.ClientConnectorCertificateError,
        "what answers as {} does not prove that it is: its certificate is not good",
        "Check this machine's date and its network; if both are good, ask whoever runs the server",
    ),
    (aiohttp.ClientSSLError, "{} does not speak TLS", "Ask whoever runs the server whether its https works"),
    (TimeoutError, "{} does not answer: it took too long", _NETWORK),
    (aiohttp.ClientConnectorError, "{} cannot be reached from here", _NETWORK),
    (aiohttp.ClientPayloadError, "the answer of {} did not arrive whole", _NETWORK),
    (
        aiohttp.ClientResponseError,
        "{} does not answer as Placet does",
        "Is there another program at this address, or on the way to it?",
    ),
    (aiohttp.ClientConnectionError, "the connection to {} broke off", _NETWORK),
    (OSError, "the connection to {} broke off", _NETWORK),
)
"""What a failed call is, the first that fits: the class, what a person is told with the server's name, and what helps."""


def refused(status: int, problem: dict[str, Any]) -> ServerRefusedError:
    """The error for an RFC 9457 problem of the server."""
    code, detail, state = (problem.get(name) for name in ("code", "detail", "state"))
    said = visible(detail) if isinstance(detail, str) and detail else f"the server answered {status}"
    return ServerRefusedError(
        visible(code) if isinstance(code, str) else "unknown",
        said[:500],
        status=status,
        state=visible(state) if isinstance(state, str) else None,
    )


async def _limited(response: aiohttp.ClientResponse) -> bytes:
    chunks, size = [], 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > MAX_ANSWER:
            raise aiohttp.ClientPayloadError("the answer is too large")
        chunks.append(chunk)
    return b"".join(chunks)
