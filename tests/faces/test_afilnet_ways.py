"""Afilnet's other three ways: HTTP Basic, JWT, SOAP."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from xml.etree.ElementTree import fromstring

import pytest
import zeep
from joserfc import jwt
from joserfc.jwk import OctKey

from placet_protocol import jose
from placet_server.domain.calllog import Sought
from placet_server.faces.afilnetcalls import METHODS
from placet_server.faces.afilnetjwt import SECONDS, Tokens
from placet_server.faces.afilnetsoap import ENVELOPE, OPERATIONS
from placet_server.testing import START, ClearSealer, ManualClock
from support.afilnet import PASSWORD, PHONE, USER, afilnet, port
from support.http import Answer, raw, request
from support.otpfaces import Desk, add

BALANCE = urlencode({"class": "user", "method": "getbalance"})
SOAP = {"Content-Type": "text/xml; charset=utf-8"}


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Desk]:
    """A server with the account of the examples."""
    async with afilnet(tmp_path) as made:
        yield made


def basic(user: str = USER, password: str = PASSWORD) -> str:
    """The header's value."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


async def call(at: Desk, method: str, path: str, sent: bytes = b"", /, **headers: str) -> Answer:
    """One raw call; underscores in header names are hyphens."""
    answer = await raw(port(at), request(method, path, sent, **headers))
    assert answer is not None
    assert answer.headers["cache-control"] == "no-store"
    return answer


async def test_basic_challenges_and_then_answers(at: Desk) -> None:
    """401 with the challenge for no, malformed and wrong credentials; all calls of the HTTP way behind right ones."""
    for header, error in [
        ("", "MISSING_USER"),
        ("Basic !!!", "MISSING_USER"),
        ("Bearer x", "MISSING_USER"),
        (basic(password=""), "MISSING_PASSWORD"),
        (basic(password="wrong"), "INCORRECT_USER_PASSWORD"),
    ]:
        answer = await call(
            at, "GET", f"/api/basic/?{BALANCE}", **({"Authorization": header} if header else {})
        )
        assert (answer.status, answer.json()["error"]) == (401, error)
        assert answer.headers["www-authenticate"] == 'Basic realm="api"'
    for path in (f"/api/basic/?{BALANCE}", f"/API/Basic?{BALANCE}&user={USER}"):
        answer = await call(at, "GET", path, Authorization=basic())
        assert (answer.status, answer.json()["result"]) == (200, "10.00")
    answer = await call(at, "GET", f"/api/basic/?{BALANCE}&user=other", Authorization=basic())
    assert (answer.status, answer.json()["error"]) == (401, "INCORRECT_USER_PASSWORD")
    answer = await call(at, "GET", "/api/basic/", Authorization=basic())
    assert (answer.status, answer.json()["error"]) == (200, "MISSING_CLASS")


async def test_basic_reads_utf_8_and_latin_1(at: Desk) -> None:
    """A password with a colon and accents works in both encodings that clients use."""
    await add(at.live, "afilnet", "josé", "pä:ss w0rd")
    for encoding in ("utf-8", "latin-1"):
        header = "Basic " + base64.b64encode("josé:pä:ss w0rd".encode(encoding)).decode()
        answer = await call(at, "GET", f"/api/basic/?{BALANCE}", Authorization=header)
        assert answer.json()["status"] == "SUCCESS", encoding


async def token(at: Desk, path: str = "/api/jwt/token") -> str:
    """A token by POST."""
    body = urlencode({"user": USER, "password": PASSWORD}).encode()
    answer = await call(at, "POST", path, body, Content_Type="application/x-www-form-urlencoded")
    told = answer.json()
    assert (answer.status, told["status"], told["result"]["expires"]) == (200, "SUCCESS", 3600)
    return str(told["result"]["token"])


async def test_a_token_is_good_for_an_hour_and_ends_with_its_password(at: Desk) -> None:
    """Calls work behind the token until its last second, and not after the password was replaced or revoked."""
    clock = at.live.clock
    assert isinstance(clock, ManualClock)
    bearer = f"Bearer {await token(at)}"
    clock.advance(seconds=SECONDS - 1)
    answer = await call(at, "GET", f"/api/jwt/?{BALANCE}", Authorization=bearer)
    assert (answer.status, answer.json()["result"]) == (200, "10.00")
    clock.advance(seconds=1)
    answer = await call(at, "GET", f"/api/jwt/?{BALANCE}", Authorization=bearer)
    assert (answer.status, answer.json()["error"]) == (401, "INCORRECT_USER_PASSWORD")
    assert answer.headers["www-authenticate"] == "Bearer"
    bearer = f"Bearer {await token(at, '/API/jwt/Token/')}"
    (made,) = await at.live.domain.credentials.all("afilnet")
    await at.live.domain.credentials.rotate(made.id, "another-s3cret", clock.now(), overlap=0)
    answer = await call(at, "GET", f"/api/jwt/?{BALANCE}", Authorization=bearer)
    assert (answer.status, answer.json()["error"]) == (401, "INCORRECT_USER_PASSWORD")


async def test_only_tokens_of_this_installation_are_taken(at: Desk) -> None:
    """No token, a foreign key, ``none``, another algorithm, a changed payload and a long text are 401."""
    answer = await call(at, "GET", f"/api/jwt/?{BALANCE}&user={USER}&password={PASSWORD}")
    assert (answer.status, answer.json()["error"]) == (401, "MISSING_USER")
    good = await token(at)
    head, payload, mac = good.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    key = OctKey.import_key(b"k" * 32)
    foreign = jwt.encode({"alg": "HS256", "typ": "JWT"}, {"sub": "x", "exp": START}, key)
    known = json.loads(base64.urlsafe_b64decode(payload + "=="))
    known["exp"] += 9999
    signed = f"{head}.{jose.b64u(json.dumps(known).encode())}"
    forged = f"{signed}.{jose.b64u(hmac.digest(b'k' * 32, signed.encode(), 'sha256'))}"
    other = payload[:-2] + ("AA" if payload[-2:] != "AA" else "BB")
    bad = [
        f"{none}.{payload}.",
        foreign,
        forged,
        f"{head}.{other}.{mac}",
        f"{head}.{payload}.",
        f"{good}.x",
        good + "A" * 2000,
    ]
    for each in [*bad, "x", "...", "é"]:
        answer = await call(at, "GET", f"/api/jwt/?{BALANCE}", Authorization=f"Bearer {each}")
        assert (answer.status, answer.json()["error"]) == (401, "INCORRECT_USER_PASSWORD"), each[:40]
    answer = await call(at, "POST", "/api/jwt/token", b'{"user":"demo@example.org","password":"wrong"}')
    assert (answer.status, answer.json()) == (200, {"status": "ERROR", "error": "INCORRECT_USER_PASSWORD"})
    answer = await call(at, "GET", f"/api/jwt/token?user={USER}&password={PASSWORD}")
    assert answer.status == 405


def test_a_token_is_a_jwt_to_an_independent_reader() -> None:
    """Joserfc verifies what is made here under the same key, and what it makes under another is refused."""
    sealer = ClearSealer()
    tokens = Tokens(sealer)
    key = OctKey.import_key(sealer.mac("afilnet_token", b"HS256"))
    read = jwt.decode(tokens.make("key-7", START), key, algorithms=["HS256"])
    assert read.header == {"alg": "HS256", "typ": "JWT"}
    assert read.claims == {"sub": "key-7", "iat": START // 1000, "exp": START // 1000 + 3600}
    assert tokens.read(tokens.make("key-7", START), START + 1) == "key-7"


def soap(operation: str, **fields: str) -> bytes:
    """An envelope as a stub writes it."""
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
    return (
        f'<s:Envelope xmlns:s="{ENVELOPE}"><s:Body><a:{operation} xmlns:a="urn:afilnet-api">{inner}'
        f"</a:{operation}></s:Body></s:Envelope>"
    ).encode()


def test_every_method_is_an_operation() -> None:
    """Nothing that HTTP can do is missing in SOAP; methods of one name carry their class."""
    wanted = {(class_name, method) for class_name, methods in METHODS.items() for method in methods}
    assert {(each.class_name, each.method) for each in OPERATIONS.values()} == wanted
    assert {"generateotp", "verifyotp", "sms_getdeliverystatus"} <= set(OPERATIONS)


async def test_zeep_makes_every_call_from_the_wsdl(at: Desk) -> None:
    """A client that knows nothing but ``?wsdl`` generates, verifies once, sends, asks and reads errors."""

    def talk() -> None:
        with zeep.Client(f"{at.live.url}/api/soap/?wsdl") as client:
            who: dict[str, Any] = {"user": USER, "password": PASSWORD}
            made = client.service.generateotp(**who, type="mobile", destination=PHONE, length="8")
            assert (made.status, made.result.status, len(made.result.code)) == ("SUCCESS", "SUCCESS", 8)
            tries = [
                client.service.verifyotp(**who, destination=PHONE, code=made.result.code) for _ in range(2)
            ]
            assert [(each.status, each.error) for each in tries] == [
                ("SUCCESS", None),
                ("ERROR", "CODE_NOT_FOUND"),
            ]
            assert client.service.getbalance(**who).result == "10.00"
            sent = client.service.sendsms(**who, **{"from": "Me", "to": PHONE, "sms": "<&>"})
            found = client.service.sms_getdeliverystatus(**who, messages=sent.result.messageid)
            assert [each.messageid for each in found.result.item] == [sent.result.messageid]
            missing = client.service.generateotp(user=USER)
            assert (missing.status, missing.error, missing.result) == ("ERROR", "MISSING_PASSWORD", None)

    await asyncio.to_thread(talk)
    assert (await at.arrived(1))[0]["text"] == "<&>"


async def test_soap_logical_errors_stay_in_the_body(at: Desk) -> None:
    """Order and words are those of the HTTP way; other namespaces and prefixes are understood."""
    for fields, error in [
        ({}, "MISSING_USER"),
        ({"user": "x"}, "MISSING_PASSWORD"),
        ({"user": USER, "password": "x"}, "INCORRECT_USER_PASSWORD"),
        ({"user": USER, "password": PASSWORD}, "MISSING_COMPULSORY_PARAM"),
        ({"user": USER, "password": PASSWORD, "type": "fax", "destination": "x"}, "INCORRECT_TYPE"),
        (
            {"user": USER, "password": PASSWORD, "class": "user", "type": "fax", "destination": "x"},
            "INCORRECT_TYPE",
        ),
    ]:
        answer = await call(at, "POST", "/api/soap/", soap("generateotp", **fields), Content_Type="text/xml")
        assert (answer.status, answer.headers["content-type"]) == (200, "text/xml; charset=utf-8")
        said = fromstring(answer.body).find(f"{{{ENVELOPE}}}Body")
        assert said is not None
        assert said[0].tag == "{urn:afilnet-api}generateotpResponse"
        assert (said[0].findtext("status"), said[0].findtext("error")) == ("ERROR", error)
    plain = soap("getbalance", user=USER, password=PASSWORD).replace(
        b'xmlns:a="urn:afilnet-api"', b'xmlns:a="urn:x"'
    )
    answer = await call(at, "POST", "/api/SOAP", plain)
    assert b"<result>10.00</result>" in answer.body


BOMB = b'<!DOCTYPE b [<!ENTITY a "aaaaaaaaaa">' + b"".join(
    b'<!ENTITY %c "&%c;&%c;&%c;&%c;">' % (98 + n, 97 + n, 97 + n, 97 + n, 97 + n) for n in range(12)
) + b"]>"  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        BOMB + soap("generateotp", user="&amp;m;"),
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd">' + soap("getbalance"),
        b'<!DOCTYPE x [<!ENTITY e SYSTEM "http://127.0.0.1:1/">]>' + soap("getbalance", user="&e;"),
        b"<!DOCTYPE html>" + soap("getbalance"),
        b"",
        b"not xml",
        b"<a>",
        b"<a/>",
        soap("generateotp")[:-5],
        soap("dropall", user=USER, password=PASSWORD),
        soap("getdeliverystatus", user=USER, password=PASSWORD),
        f'<s:Envelope xmlns:s="{ENVELOPE}"><s:Body/></s:Envelope>'.encode(),
        soap("generateotp").replace(
            b"schemas.xmlsoap.org/soap/envelope/", b"www.w3.org/2003/05/soap-envelope"
        ),
        b'<?xml version="1.0" encoding="utf-7"?>' + soap("getbalance"),
        b'<?xml version="1.0" encoding="nonsense"?>' + soap("getbalance"),
        b"\xff\xfe\x00<",
        b"<a>" * 20_000,
    ],
)
async def test_api_12_hostile_xml_is_a_fault(at: Desk, body: bytes) -> None:
    """Entities, document types, other envelopes and broken XML: status 400, a well-formed fault, nothing done."""
    answer = await call(at, "POST", "/api/soap/", body, **{"Content-Type": "text/xml"})
    assert answer.status == 400
    fault = fromstring(answer.body).find(f"{{{ENVELOPE}}}Body/{{{ENVELOPE}}}Fault")
    assert fault is not None
    assert fault.findtext("faultcode") == "soap:Client"
    assert fault.findtext("faultstring")
    assert b"root:" not in answer.body


async def test_the_api_log_shows_calls_of_every_way_without_secrets(at: Desk) -> None:
    """Operation, parameters, result and effective values of each way; passwords and codes are masked."""
    query = {"class": "otp", "method": "generateotp", "type": "mobile", "destination": PHONE}
    asked = f"/api/basic/?{urlencode(query | {'time': '10', 'timetype': 'years'})}"
    code = (await call(at, "GET", asked, Authorization=basic())).json()["result"]["code"]
    check = {"user": USER, "password": PASSWORD, "destination": f"+{PHONE}"}
    await call(at, "POST", "/api/soap/", soap("verifyotp", **check, code="WRONG1"))
    await call(at, "POST", "/api/soap/", soap("verifyotp", **check, code=code))
    await call(
        at, "GET", f"/api/http/{urlencode(query | {'user': USER, 'password': 'wr0ng-one', 'code': code})}"
    )
    sought = Sought(face="afilnet", destination=PHONE)
    async with asyncio.timeout(20):
        while len(rows := (await at.live.domain.calls.search(sought, None, 10)).items) < 4:  # noqa: ASYNC110 - written by a timer
            await asyncio.sleep(0.05)
    stranger, right, wrong, made = rows
    assert [each.route.rpartition(" ")[2] for each in rows] == [
        "otp/generateotp", "otp/verifyotp", "otp/verifyotp", "otp/generateotp",
    ]  # fmt: skip
    assert [each.route.partition(" ")[0] for each in rows[1:]] == ["/api/soap/", "/api/soap/", "/api/basic/"]
    assert [each.code for each in rows] == ["unauthorized", "SUCCESS", "CODE_NOT_FOUND", "SUCCESS"]
    assert (made.detail.facts["seconds"], made.detail.facts["tries"], made.detail.facts["length"]) == (
        86_400,
        5,
        6,
    )
    assert made.detail.answer == {"status": "SUCCESS", "result": {"status": "SUCCESS", "code": "***"}}
    assert made.detail.parameters["time"] == "10"
    assert [each.detail.facts["outcome"] for each in (wrong, right)] == ["mismatch", "matched"]
    assert right.detail.parameters["code"] == right.detail.parameters["password"] == "***"
    told = repr(rows)
    assert code not in told
    assert PASSWORD not in told
    assert "wr0ng-one" not in told
    assert made.ip == stranger.ip == "127.0.0.1"
