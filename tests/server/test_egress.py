from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from placet_server.delivery.egress import ANSWER_MAX, Egress, EgressError
from support.receivers import Receiver, receiver

LOOPBACK = ["127.0.0.0/8", "::1/128"]

DENIED_ADDRESSES = [
    "0.0.0.0",  # noqa: S104 - an address to refuse, not to bind to
    "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.9.9.9",
    "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.0.1",
    "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1",
    "255.255.255.255",
    "[::]", "[::1]", "[::127.0.0.1]", "[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]", "[64:ff9b::7f00:1]",
    "[64:ff9b:1::1]", "[100::1]", "[2001::1]", "[2001:1ff::1]", "[2001:db8::1]", "[2002:7f00:1::]", "[3fff::1]",
    "[5f00::1]", "[fc00::1]", "[fd12:3456::1]", "[fe80::1]", "[fec0::1]", "[ff02::1]", "[4000::1]", "[1000::1]",
]  # fmt: skip

ODD_SPELLINGS = [
    "https://2130706433/", "https://017700000001/", "https://0x7f000001/", "https://0x7f.0.0.1/", "https://127.1/",
    "https://0177.0.0.1/", "https://127.0.0.1./", "https://example.com./", "https://127。0。0。1/",
    "https://①②⑦.0.0.1/", "https://\uff11\uff12\uff17.0.0.1/", "https://user@example.com/", "https://user:pw@example.com/",
    "https://example.com@127.0.0.1/", "https://[fe80::1%25eth0]/", "https://[::1%lo]/", "https://exa mple.com/",
    "https://example.com\\@127.0.0.1/", "https://example.com\t/", "https://ex%61mple.com/", "https:///path",
    "https:example.com", "HTTPS://example.com:x/", "https://example.com:0/", "https://example.com:/",
    "https://example.com:70000/", "https://-bad.example/", "https://a..b/", "https://127.0.0.0x1/", "https://[::1/",
    "https://localhost/", "https://app.localhost/", "https://LOCALHOST/", "https://", "", "//example.com/",
    "https://256.1.1.1/", "https://1.2.3.4.5/",
]  # fmt: skip

OTHER_RULES = [
    "http://example.com/", "http://93.184.216.34/", "ftp://example.com/", "file:///etc/passwd", "gopher://x.example/",
    "ws://example.com/", "data:text/plain,x", "https://example.com:25/", "https://example.com:22/",
    "https://example.com/" + "a" * 2_040,
]  # fmt: skip


class Answers(AbstractResolver):
    """A resolver that gives one prepared list of addresses after the other, round and round."""

    def __init__(self, *rounds: list[str]) -> None:
        self.rounds = rounds
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        del family
        addresses = self.rounds[self.asked % len(self.rounds)]
        self.asked += 1
        return [
            ResolveResult(hostname=host, host=each, port=port, family=socket.AF_INET, proto=0, flags=0)
            for each in addresses
        ]

    async def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
async def canary() -> AsyncIterator[Receiver]:
    async with receiver() as kept:
        yield kept


@pytest.mark.parametrize("host", DENIED_ADDRESSES)
async def test_ssr_01_denied_addresses_are_refused_at_save_and_at_send(host: str) -> None:
    """Every special-purpose range is refused in a URL, and by the guard of each socket."""
    egress = Egress()
    url = f"https://{host}:8443/"
    with pytest.raises(EgressError) as saved:
        egress.check(url)
    with pytest.raises(EgressError) as sent:
        await egress.post(url, data=b"{}", headers={})
    assert (saved.value.reason, sent.value.reason) == ("forbidden", "forbidden")
    guard = egress._session("https").connector
    family = socket.AF_INET6 if "[" in host else socket.AF_INET
    with pytest.raises(OSError, match=r"public|zone"):
        guard._socket_factory((family, socket.SOCK_STREAM, 0, "", (host.strip("[]"), 443)))  # type: ignore[union-attr] # the connector of a fresh session
    await egress.close()


@pytest.mark.parametrize("url", [*ODD_SPELLINGS, *OTHER_RULES])
def test_ssr_03_05_only_the_plain_spelling_of_a_public_https_url_passes(url: str) -> None:
    """Decimal, octal, hex, short, full-width, circled, dotted-end, userinfo and zone forms are all refused."""
    with pytest.raises(EgressError) as refused:
        Egress().check(url)
    assert refused.value.reason == "forbidden"


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/",
        "https://hooks.example.com:8443/a?b=c",
        "https://93.184.216.34/",
        "https://[2606:2800:220:1::1]/x",
        "https://xn--bcher-kva.example/",
    ],
)
def test_ssr_05_public_https_urls_pass(url: str) -> None:
    """The guard lets through what it is there to let through."""
    Egress().check(url)


async def test_ssr_01_only_the_allow_list_opens_loopback(canary: Receiver) -> None:
    """The canary hears nothing without the allow list, and one post with it."""
    closed, opened = Egress(), Egress(allow=LOOPBACK)
    for host in ("127.0.0.1", "localhost", "0x7f.1", "[::ffff:127.0.0.1]"):
        port = urlsplit(canary.url).port
        for scheme in ("http", "https"):
            with pytest.raises(EgressError):
                await closed.post(f"{scheme}://{host}:{port}/", data=b"{}", headers={})
    assert canary.posts == []
    answer = await opened.post(canary.url + "/hook", data=b"{}", headers={"X-Test": "1"})
    assert answer.status == 204
    assert [(path, body) for path, _, body in canary.posts] == [("/hook", b"{}")]
    await closed.close()
    await opened.close()


async def test_ssr_01_http_stays_inside_the_allow_list(canary: Receiver) -> None:
    """A name in a plain http URL may lead to a listed network only, wherever it resolves to."""
    port = urlsplit(canary.url).port
    egress = Egress(allow=["127.0.0.1/32"], resolver=Answers(["127.0.0.1"]))
    assert (await egress.post(f"http://acme.test:{port}/", data=b"1", headers={})).status == 204
    await egress.close()
    for elsewhere in ("93.184.216.34", "127.0.0.2"):
        egress = Egress(allow=["127.0.0.1/32"], resolver=Answers([elsewhere]))
        with pytest.raises(EgressError) as refused:
            await egress.post(f"http://acme.test:{port}/", data=b"1", headers={})
        assert refused.value.reason == "forbidden"
        await egress.close()
    assert len(canary.posts) == 1


@pytest.mark.parametrize(
    "rounds", [(["127.0.0.1"],), (["127.0.0.1", "10.0.0.1"],), (["10.0.0.1"], ["127.0.0.1"])]
)
async def test_ssr_02_a_rebinding_name_never_leads_inside(
    canary: Receiver, rounds: tuple[list[str], ...]
) -> None:
    """Names that answer with inner addresses, alone or in turn, connect nowhere."""
    port = urlsplit(canary.url).port
    egress = Egress(resolver=Answers(*rounds))
    for _ in range(10):
        with pytest.raises(EgressError) as refused:
            await egress.post(f"https://rebind.test:{port}/", data=b"1", headers={})
        assert refused.value.reason == "forbidden"
    assert canary.posts == []
    await egress.close()


async def test_ssr_02_the_socket_is_checked_even_when_the_resolver_lied(canary: Receiver) -> None:
    """An address that passed the resolver's check is checked again at its socket."""
    port = urlsplit(canary.url).port
    egress = Egress(resolver=Answers(["127.0.0.1"]))
    session = egress._session("https")
    session.connector._resolver = Answers(["127.0.0.1"])  # type: ignore[union-attr] # past the guarded resolver on purpose
    with pytest.raises(EgressError) as refused:
        await egress.post(f"https://rebind.test:{port}/", data=b"1", headers={})
    assert refused.value.reason == "forbidden"
    assert canary.posts == []
    await egress.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_ssr_04_redirects_are_answers_not_orders(canary: Receiver, status: int) -> None:
    """A redirect is reported with its status and never followed."""

    async def redirect(request: web.Request, body: bytes) -> web.Response:
        del request, body
        return web.Response(
            status=status, headers={"Location": canary.url, "Refresh": f"0; url={canary.url}"}
        )

    egress = Egress(allow=LOOPBACK)
    async with receiver(redirect) as hostile:
        assert (await egress.post(hostile.url, data=b"1", headers={})).status == status
    assert canary.posts == []
    await egress.close()


async def test_ssr_06_environment_and_cookies_have_no_say(
    canary: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proxies of the environment are not used and cookies are not kept."""

    async def cookie(request: web.Request, body: bytes) -> web.Response:
        del request, body
        return web.Response(status=200, headers={"Set-Cookie": "a=b"})

    monkeypatch.setenv("HTTP_PROXY", canary.url)
    monkeypatch.setenv("http_proxy", canary.url)
    egress = Egress(allow=LOOPBACK)
    async with receiver(cookie) as target:
        await egress.post(target.url, data=b"1", headers={})
        await egress.post(target.url, data=b"1", headers={})
        assert all("cookie" not in headers for _, headers, _ in target.posts)
    assert canary.posts == []
    await egress.close()


async def test_whk_04_dripping_and_endless_answers_end() -> None:
    """One exchange ends in its time even when bytes drip, and an endless body is cut at 64 KiB."""

    async def drip(request: web.Request, body: bytes) -> web.StreamResponse:
        del body
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * (20_000 if request.path == "/endless" else 1))
                await asyncio.sleep(0.01)
        except ConnectionError:
            return response

    egress = Egress(allow=LOOPBACK, total=1)
    async with receiver(drip) as hostile:
        with pytest.raises(EgressError) as refused:
            await egress.post(hostile.url, data=b"1", headers={})
        assert refused.value.reason == "timeout"
        assert len((await egress.post(hostile.url + "/endless", data=b"1", headers={})).body) == ANSWER_MAX
    with pytest.raises(EgressError) as gone:
        await egress.post(hostile.url, data=b"1", headers={})
    assert gone.value.reason == "unreachable"
    await egress.close()
