from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from placet_server.delivery.egress import Egress, EgressError


def certificate(folder: Path, *, address: str = "127.0.0.1", days: int = 1) -> Path:
    """A self-signed certificate for an address and its key in one PEM file; with negative days it has expired."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "receiver")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=9))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "receiver.pem"
    pem.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return pem


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
