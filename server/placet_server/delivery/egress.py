"""The one way out: an HTTP client for addresses that others chose.

A URL passes three times: its spelling when it is saved, every resolved address, and the very address of each socket
just before it connects. The last check holds against IP literals, which never reach a resolver, and against names
that answer differently every time.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Final, Literal
from urllib.parse import SplitResult, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from placet_server.plugin import ExchangeError

Reason = Literal["forbidden", "unreachable", "tls", "timeout", "broken"]
Network = IPv4Network | IPv6Network

URL_MAX: Final = 2_048
ANYWHERE: Final = ("0.0.0.0/0", "::/0")
"""What ``allow`` is for calls whose hosts the operator set: every network, by plain http, too."""
ANSWER_MAX: Final = 64 * 1024
RETRY_AFTER_MAX: Final = 10 * 3600 * 1000
_KEEPALIVE: Final = 4.0  # below what common servers allow, so that a reused connection is rarely a closed one

# Special-purpose ranges, one by one: ``ipaddress.is_global`` calls NAT64 and 6to4 forms of loopback global.
_DENIED: Final[tuple[Network, ...]] = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
            "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
            "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
            "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16",
            "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
        ),
    )
)  # fmt: skip
_GLOBAL_V6: Final = ip_network("2000::/3")  # all that is assigned to the open internet (RFC 4291, IANA)
_PLAIN: Final = "plain http is only for networks listed in egress_allow"
_LABEL: Final = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)", re.ASCII)
_NUMERIC: Final = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)


class EgressError(ExchangeError):
    """An exchange that did not happen or did not end: ``reason`` is one word, the text a sentence without secrets."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail, unsure=reason in {"timeout", "broken"})
        self.reason: Final = reason


class _ForbiddenAddressError(OSError):
    """An address that we do not connect to; an OSError, so that the connector closes what it opened."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver said: at most 64 KiB of its body, no redirect followed."""

    status: int
    reason: str
    headers: CIMultiDictProxy[str]
    body: bytes

    async def text(self) -> str:
        """The body as text, however broken."""
        return self.body.decode("utf-8", "replace")

    def retry_after(self, now: int) -> int | None:
        """For how many ms the receiver asks to be left alone, from 0 to 10 h; None when it does not say."""
        text = self.headers.get("Retry-After", "").strip()
        if text.isascii() and text.isdigit():
            wait = int(text[:10]) * 1000
        else:
            try:
                wait = round(parsedate_to_datetime(text).timestamp() * 1000) - now
            except (ValueError, OverflowError):
                return None
        return min(max(wait, 0), RETRY_AFTER_MAX)


class Egress:
    """Calls endpoints that users and applications named; it implements ``WayOut``.

    ``allow`` lists the operator's own networks: only there may plain http, any port and otherwise denied addresses be
    used. ``total`` seconds bound one whole exchange even when bytes drip, ``connect`` those until there is a
    connection. ``ca_file`` adds certificate authorities.
    """

    def __init__(
        self,
        *,
        allow: Iterable[str] = (),
        ca_file: Path | None = None,
        total: float = 15.0,
        resolver: AbstractResolver | None = None,
        url_max: int = URL_MAX,
        connect: float | None = None,
    ) -> None:
        self._url_max: Final = url_max
        self._connect: Final = connect
        self._allow: Final = tuple(ip_network(network) for network in allow)
        self._ca_file: Final = ca_file
        self._total: Final = total
        self._given_resolver: Final = resolver
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    def check(self, url: str) -> None:
        """Refuse a URL by its spelling alone; raises ``EgressError`` (forbidden) with a sentence for who gave it."""
        if len(url) > self._url_max:
            raise _forbidden(f"a URL has at most {self._url_max} characters")
        parts = _split(url)
        host = _host(parts)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            address = ip_address(host)
        except ValueError:
            if not self._allow:  # otherwise what the name resolves to decides, when it is used
                _check_name(host, port, parts.scheme)
        else:
            self._check_address(address, port, parts.scheme)

    def refusal(self, url: str) -> str | None:
        """Why a URL is refused by its spelling alone, as a sentence without its end; None when it is not."""
        try:
            self.check(url)
        except EgressError as error:
            return str(error)
        return None

    async def post(self, url: str, *, data: bytes | None, headers: Mapping[str, str]) -> Answer:
        """Post once and read the answer, whatever its status; raises ``EgressError``."""
        return await self.request("POST", url, data=data, headers=headers)

    async def request(
        self, method: str, url: str, *, data: bytes | None = None, headers: Mapping[str, str], query: str = ""
    ) -> Answer:
        """One exchange, and its answer whatever its status; raises ``EgressError``.

        ``query`` is what the server itself says behind a URL without one, already encoded, and may be longer than a URL
        that others give.
        """
        self.check(url)
        target = f"{url}?{query}" if query else url
        session = self._session(urlsplit(url).scheme)
        try:
            async with (
                asyncio.timeout(self._total),
                session.request(
                    method,
                    URL(target, encoded=True),
                    data=data,
                    headers=CIMultiDict(headers),
                    allow_redirects=False,
                ) as response,
            ):
                body = await _read(response)
                return Answer(response.status, response.reason or "", response.headers, body)
        except aiohttp.ConnectionTimeoutError:
            raise EgressError("unreachable", f"no connection within {self._connect:g} s") from None
        except TimeoutError:
            raise EgressError("timeout", f"no complete answer within {self._total:g} s") from None
        except aiohttp.ClientConnectorError as error:
            raise _connect_error(error) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise EgressError("broken", f"the exchange broke: {type(error).__name__}") from None

    async def close(self) -> None:
        """Close all connections."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    def _session(self, scheme: str) -> aiohttp.ClientSession:
        session = self._sessions.get(scheme)
        if session is None:
            guard = _Guard(self, scheme)
            connector = aiohttp.TCPConnector(
                limit=0,  # the dispatcher bounds its own exchanges; a limit here would let hanging hosts stop others
                resolver=_GuardedResolver(self._given_resolver or aiohttp.ThreadedResolver(), guard),
                socket_factory=guard.socket,
                keepalive_timeout=_KEEPALIVE,
                ssl=self._tls(),
            )
            session = self._sessions[scheme] = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
                raise_for_status=False,
                # asyncio.timeout above covers name resolution too
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect),
                headers={"User-Agent": "Placet", "Accept-Encoding": "identity"},
            )
        return session

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self._ca_file is not None:
            context.load_verify_locations(self._ca_file)
        return context

    def _check_address(self, address: IPv4Address | IPv6Address, port: int, scheme: str) -> None:
        if isinstance(address, IPv6Address):
            if address.scope_id is not None:
                raise _forbidden("an address with a zone is not used")
            address = address.ipv4_mapped or address
        if any(address in network for network in self._allow if network.version == address.version):
            return
        if scheme != "https":
            raise _forbidden(_PLAIN)
        if any(address in network for network in _DENIED if network.version == address.version) or (
            address.version == 6 and address not in _GLOBAL_V6
        ):
            raise _forbidden(f"{address} is not a public address; egress_allow can list your own networks")
        _check_port(port)


class _Guard:
    """The rules as one scheme's connector asks them."""

    def __init__(self, egress: Egress, scheme: str) -> None:
        self._egress = egress
        self._scheme = scheme

    def permits(self, host: str, port: int) -> None:
        try:
            self._egress._check_address(ip_address(host), port, self._scheme)  # noqa: SLF001 - two halves of one guard
        except (EgressError, ValueError) as error:
            raise _ForbiddenAddressError(str(error)) from None

    def socket(self, info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, proto, _, target = info
        self.permits(str(target[0]), int(target[1]))
        return socket.socket(family, kind, proto)


class _GuardedResolver(AbstractResolver):
    """Drops addresses that may not be used; a name with none left is forbidden."""

    def __init__(self, inner: AbstractResolver, guard: _Guard) -> None:
        self._inner = inner
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        permitted: list[ResolveResult] = []
        refusal: _ForbiddenAddressError | None = None
        for result in found:
            try:
                self._guard.permits(result["host"], result["port"])
            except _ForbiddenAddressError as error:
                refusal = error
            else:
                permitted.append(result)
        if refusal is not None and not permitted:
            raise refusal
        return permitted

    async def close(self) -> None:
        await self._inner.close()


def _split(url: str) -> SplitResult:
    if not url.isascii() or not url.isprintable() or any(sign in url for sign in ' \\"<>^`{|}'):
        raise _forbidden("a URL is printable ASCII; write other names in punycode")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _forbidden("the URL cannot be read") from None
    if parts.scheme not in {"https", "http"} or not url.startswith(f"{parts.scheme}://"):
        raise _forbidden("a URL starts with https://")
    if "@" in parts.netloc:
        raise _forbidden("a URL carries no user name or password")
    if port == 0 or parts.netloc.endswith(":"):
        raise _forbidden("the port is not good")
    return parts


def _host(parts: SplitResult) -> str:
    """The host in its one accepted spelling: plain dotted IPv4, bracketed IPv6 without zone, or a DNS name."""
    host = parts.hostname or ""
    if "[" in parts.netloc:
        try:
            address = IPv6Address(host)
        except ValueError:
            raise _forbidden("the address cannot be read") from None
        if address.scope_id is not None:
            raise _forbidden("an address with a zone is not used")
        return host
    labels = host.split(".")
    if _NUMERIC.fullmatch(labels[-1]):
        try:
            return str(IPv4Address(host))
        except ValueError:
            raise _forbidden("an IPv4 address is written as four decimal numbers") from None
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _forbidden("the host name cannot be read")
    if URL(parts.geturl(), encoded=True).raw_host != host:
        raise _forbidden("the host name cannot be read")
    return host


def _check_name(host: str, port: int, scheme: str) -> None:
    if scheme != "https":
        raise _forbidden(_PLAIN)
    if host == "localhost" or host.endswith(".localhost"):
        raise _forbidden("localhost is not a public name; egress_allow can list your own networks")
    _check_port(port)


def _check_port(port: int) -> None:
    if port != 443 and port < 1_024:
        raise _forbidden(f"port {port} belongs to another protocol; use 443 or one from 1024")


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """At most 64 KiB; a longer answer is cut off together with its connection."""
    body = bytearray()
    while len(body) < ANSWER_MAX and (part := await response.content.read(ANSWER_MAX - len(body))):
        body += part
    if not response.content.at_eof():
        response.close()
    return bytes(body)


def _forbidden(detail: str) -> EgressError:
    return EgressError("forbidden", detail)


def _connect_error(error: aiohttp.ClientConnectorError) -> EgressError:
    if isinstance(error, aiohttp.ClientSSLError):
        return EgressError("tls", "the receiver's certificate is not good")
    if isinstance(error.os_error, _ForbiddenAddressError):
        return EgressError("forbidden", str(error.os_error))
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return EgressError("unreachable", "the name does not resolve")
    return EgressError("unreachable", "no connection")
