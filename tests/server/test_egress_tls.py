from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from aiohttp import web

from placet_server.delivery.egress import Egress, EgressError
from support.tls import certificate


@pytest.mark.parametrize(
    ("address", "days", "trusted", "reason"),
    [
        ("127.0.0.1", 1, True, None),
        ("127.0.0.1", 1, False, "tls"),
        ("127.0.0.9", 1, True, "tls"),
        ("127.0.0.1", -1, True, "tls"),
    ],
    ids=["trusted", "self-signed", "wrong host", "expired"],
)
async def test_whk_12_the_receivers_certificate_is_verified(
    tmp_path: Path, address: str, days: int, *, trusted: bool, reason: str | None
) -> None:
    """Only a current certificate for this very host by a trusted authority gets the message."""
    heard: list[bytes] = []

    async def take(request: web.Request) -> web.Response:
        heard.append(await request.read())
        return web.Response(status=204)

    pem = certificate(tmp_path, address=address, days=days)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    egress = Egress(allow=["127.0.0.0/8"], ca_file=pem if trusted else None)
    url = f"https://127.0.0.1:{runner.addresses[0][1]}/"
    if reason is None:
        assert (await egress.post(url, data=b"1", headers={})).status == 204
        assert heard == [b"1"]
    else:
        with pytest.raises(EgressError) as refused:
            await egress.post(url, data=b"1", headers={})
        assert refused.value.reason == reason
        assert heard == []
    await egress.close()
    await runner.cleanup()
