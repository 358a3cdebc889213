"""The Afilnet face's wire: where parameters travel, in which order errors come, how answers look."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import get_args
from urllib.parse import quote, urlencode
from xml.etree.ElementTree import fromstring

import pytest

from placet_server.domain.codes import Outcome
from placet_server.domain.refusals import CODES
from placet_server.faces.afilnetparams import PAIRS_MAX
from placet_server.faces.afilnetreplies import OUTCOMES, REFUSALS, Error, failure, success, to_xml
from support.afilnet import PASSWORD, PHONE, USER, WHO, afilnet, port, said
from support.http import raw, request
from support.otpfaces import Desk
from support.scale import scaled

GENERATE = {"class": "otp", "method": "generateotp", **WHO, "type": "mobile", "destination": PHONE}
SEND = {"class": "sms", "method": "sendsms", **WHO, "from": "Me", "to": PHONE, "sms": "hello"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
BASIC = "Basic ZGVtb0BleGFtcGxlLm9yZzpzM2NyZXQ="


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Desk]:
    """A server with the account of the examples."""
    async with afilnet(tmp_path) as made:
        yield made


def test_every_outcome_and_refusal_has_a_reply() -> None:
    """The tables are total in Afilnet's own words, and nothing but a match is a success."""
    assert set(REFUSALS) == set(CODES)
    assert set(OUTCOMES) == set(get_args(Outcome))
    assert {reply.error for reply in REFUSALS.values()} <= set(get_args(Error))
    assert [outcome for outcome, error in OUTCOMES.items() if error is None] == ["matched"]


def multipart(fields: dict[str, str]) -> str:
    """As PHP's curl writes an array."""
    parts = (
        f'--xx\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    return "".join(parts) + "--xx--\r\n"


@pytest.mark.parametrize(
    ("method", "path", "body", "headers"),
    [
        ("GET", f"/api/http/?{urlencode(GENERATE)}", "", {}),
        ("GET", f"/API/Http?{urlencode(GENERATE)}", "", {}),
        ("GET", "/api/http/?" + "&".join(f"{n}={v}" for n, v in GENERATE.items()) + "&output=&", "", {}),
        ("POST", "/api/http/", urlencode(GENERATE), FORM),
        ("POST", "/api/http/", multipart(GENERATE), {"Content-Type": "multipart/form-data; boundary=xx"}),
        ("POST", f"/api/http/?{urlencode(GENERATE)}", "", FORM),
        ("POST", "/api/http/", json.dumps(GENERATE | {"destination": int(PHONE)}), {}),
        ("POST", "/api/http/?class=sms&output=xml", urlencode(GENERATE | {"output": "json"}), FORM),
        ("GET", f"/api/http/{urlencode(GENERATE)}", "", {}),
        ("GET", f"/api/http/?{urlencode(GENERATE | {'user': '', 'password': ''})}", "", {"Authorization": BASIC}),
    ],
    ids=[
        "query", "case", "raw", "form", "multipart", "post-query", "json", "body-wins", "forgetful", "basic",
    ],
)  # fmt: skip
async def test_parameters_are_found_wherever_clients_put_them(
    at: Desk, method: str, path: str, body: str, headers: dict[str, str]
) -> None:
    """Every transport of the field gives a code, with the body before the query and Basic where user is absent."""
    status, told = await at.ask(method, path, body, headers)
    assert (status, told["status"], told["result"]["status"]) == (200, "SUCCESS", "SUCCESS")
    assert len(told["result"]["code"]) == 6


async def test_values_are_trimmed_and_a_raw_plus_is_no_part_of_a_number(at: Desk) -> None:
    """Spaces around values do not matter; ``+34…`` unencoded arrives as a space and is the same number."""
    query = f"user=%20{USER}%20&password={PASSWORD}&class=otp%20&method=generateotp&type=mobile&destination=+{PHONE}"
    _, told = await at.ask("GET", f"/api/http/?{query}")
    value = told["result"]["code"]
    answer = await said(at, "otp", "verifyotp", destination="0034 600-000 000", code=f" {value} ")
    assert answer == {"status": "SUCCESS", "result": {}}


async def test_errors_come_in_the_documented_order(at: Desk) -> None:
    """Every step of the order, each with everything behind it wrong as well."""
    steps: list[tuple[dict[str, str], str]] = [
        ({}, "MISSING_USER"),
        ({"user": "nobody"}, "MISSING_PASSWORD"),
        ({"password": "wrong"}, "MISSING_CLASS"),
        ({"class": "nothing"}, "MISSING_METHOD"),
        ({"method": "nothing"}, "INCORRECT_USER_PASSWORD"),
        ({"user": USER}, "INCORRECT_USER_PASSWORD"),
        ({"password": PASSWORD}, "INCORRECT_CLASS"),
        ({"class": "otp"}, "INCORRECT_METHOD"),
        ({"method": "generateotp"}, "MISSING_COMPULSORY_PARAM"),
        ({"type": "fax"}, "MISSING_COMPULSORY_PARAM"),
        ({"destination": "nothing", "otpformat": "emoji", "timetype": "eons"}, "INCORRECT_TYPE"),
        ({"type": "email"}, "INCORRECT_FORMAT"),
        ({"type": "MOBILE"}, "INCORRECT_FORMAT"),
        ({"destination": PHONE}, "INCORRECT_OTP_FORMAT"),
        ({"otpformat": "Letters"}, "INCORRECT_TIME_TYPE"),
    ]
    sent: dict[str, str] = {}
    for more, error in steps:
        sent |= more
        status, told = await at.ask("GET", f"/api/http/?{urlencode(sent)}")
        assert (status, told) == (200, {"status": "ERROR", "error": error}), sent
    _, told = await at.ask("GET", f"/api/http/?{urlencode(sent | {'timetype': 'WEEKS'})}")
    assert told["result"]["code"].isalpha()


async def test_verify_knows_fewer_errors(at: Desk) -> None:
    """A missing destination is missed; a missing code and a malformed destination are CODE_NOT_FOUND."""
    for fields, error in [
        ({}, "MISSING_COMPULSORY_PARAM"),
        ({"code": "123456"}, "MISSING_COMPULSORY_PARAM"),
        ({"destination": PHONE}, "CODE_NOT_FOUND"),
        ({"destination": "12", "code": "123456"}, "CODE_NOT_FOUND"),
        ({"destination": "a@b", "code": "123456"}, "CODE_NOT_FOUND"),
        ({"destination": PHONE, "code": "123456"}, "CODE_NOT_FOUND"),
    ]:
        assert await said(at, "otp", "verifyotp", **fields) == {"status": "ERROR", "error": error}


async def test_contradicting_credentials_and_destinations_fail(at: Desk) -> None:
    """Equal repetitions pass; two users, passwords or destinations are none of them."""
    base = f"/api/http/?{urlencode(GENERATE)}"
    for more, error in [
        (f"&password={PASSWORD}&destination={PHONE}", None),
        ("&password=other", "INCORRECT_USER_PASSWORD"),
        ("&user=other", "INCORRECT_USER_PASSWORD"),
        ("&destination=34600000001", "INCORRECT_FORMAT"),
    ]:
        _, told = await at.ask("GET", base + more)
        assert told.get("error") == error, more
    for body in ("password=other", f"password=other&password={PASSWORD}", f"user=other&user={USER}"):
        _, told = await at.ask("POST", base, body, FORM)
        assert told["error"] == "INCORRECT_USER_PASSWORD", body
    _, told = await at.ask("GET", f"/api/http/?{urlencode(SEND)}&to=34600000001")
    assert told["error"] == "NO_ROUTE_AVAILABLE"
    assert at.sent() == 0


async def test_a_number_without_its_country_code_is_a_mistake(at: Desk) -> None:
    """No credential has a country: what cannot be a number is refused, and policy keeps the rest at home."""
    domain, clock = at.live.domain, at.live.clock
    for national in ("600000000", "0600000000", "0 600 00 00 00", "832345678"):
        told = await said(at, "otp", "generateotp", type="mobile", destination=national)
        assert told == {"status": "ERROR", "error": "INCORRECT_FORMAT"}, national
    await domain.applications.set_policies("acme", {"code.countries": "34"}, clock.now())
    for number, error in (("612345678", "NO_ROUTE_AVAILABLE"), (PHONE, None)):
        told = await said(at, "sms", "sendsms", **{"from": "Me"}, to=number, sms="hello")
        assert told.get("error") == error
    assert len(await at.arrived(1)) == 1


async def test_bodies_that_cannot_be_read_are_no_parameters(at: Desk) -> None:
    """Broken JSON, multipart without its parts, and other bytes read as nothing: the user is missing."""
    bodies: list[tuple[str | bytes, str]] = [
        ('{"user":', "application/json"),
        ("[1]", "application/json"),
        ('{"user":["demo"]}', "application/json"),
        ("--yy", "multipart/form-data; boundary=xx"),
        (b"\xff\xfe\x00", "text/plain"),
        ("<user>x</user>", "text/xml"),
        ("{" * 40_000, "application/json"),
        ('{"user": ' + "9" * 5000 + "}", "application/json"),
    ]
    for body, media in bodies:
        status, told = await at.ask("POST", "/api/http/", body, {"Content-Type": media})
        assert (status, told["error"]) == (200, "MISSING_USER"), body[:20]
    many = "&".join(f"p{number}=1" for number in range(PAIRS_MAX + 1))
    status, told = await at.ask("POST", "/api/http/", many, FORM)
    assert (status, told["error"]) == (200, "INCORRECT_FORMAT")
    status, told = await at.ask("POST", "/api/http/", "x" * 70_000, FORM)
    assert (status, told["error"]) == (413, "INCORRECT_FORMAT")


async def test_output_is_json_unless_xml_is_asked_for(at: Desk) -> None:
    """Empty and unknown formats are JSON, ``xml`` is XML, for results, bare values and errors."""
    seen = []
    for wanted, media in [("", "application/json"), ("txt", "application/json"), ("XML", "application/xml")]:
        query = urlencode({"class": "user", "method": "getbalance", **WHO, "output": wanted})
        answer = await raw(port(at), request("GET", f"/api/http/?{query}"))
        assert answer is not None
        assert answer.headers["content-type"] == f"{media}; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        seen.append(answer.body)
    assert seen[-1] == (
        b'<?xml version="1.0" encoding="UTF-8"?><response><status>SUCCESS</status><result>10.00</result></response>'
    )
    answer = await raw(port(at), request("GET", "/api/http/?output=xml"))
    assert answer is not None
    assert answer.body.endswith(b"<response><status>ERROR</status><error>MISSING_USER</error></response>")


def test_api_12_xml_answers_are_well_formed_for_any_text() -> None:
    """Odd strings come back from a parser as they were, with U+FFFD for what XML cannot carry."""
    chance = random.Random(12)
    odd = "<>&\"'\r\n\t]]>\0\x0b\x1f\u2028\ufffe\ud800é☃\U0001f600"
    for _ in range(scaled(2000)):
        text = "".join(chance.choice(odd + chr(chance.randrange(0x110000))) for _ in range(20))
        carried = "".join(
            char if char in "\t\n\r" or 0x20 <= ord(char) < 0xD800 or 0xE000 <= ord(char) < 0xFFFE
            or ord(char) > 0xFFFF else "\ufffd"
            for char in text
        )  # fmt: skip
        root = fromstring(to_xml(success({"status": "SUCCESS", "code": text})))
        assert (root.findtext("result/code") or "") == carried
        assert fromstring(to_xml(failure(text))).findtext("error") == carried
    listed = fromstring(to_xml(success([{"messageid": "1"}, {"messageid": "2"}])))
    assert [each.text for each in listed.findall("result/item/messageid")] == ["1", "2"]


async def test_api_08_credentials_open_nothing_without_an_account(tmp_path: Path) -> None:
    """An installation without an Afilnet credential has none of these paths."""
    async with afilnet(tmp_path) as at:
        await at.live.domain.credentials.revoke(
            (await at.live.domain.credentials.all("afilnet"))[0].id, at.live.clock.now()
        )
        for fields in (GENERATE, SEND, GENERATE | {"class": "none"}):
            status, told = await at.ask("GET", f"/api/http/?{urlencode(fields)}")
            assert (status, told) == (404, {"status": "ERROR", "error": "INCORRECT_METHOD"})


async def test_api_11_odd_paths_have_no_side_effect(at: Desk) -> None:
    """Encoded, doubled and dotted paths send nothing; only the plug-in's own path is a query."""
    query = urlencode(SEND)
    for path in (
        "/api/http/%2e%2e/http/", "/api/%68ttp/", "/api/http/..;/", "/api//http/", "/api/http/x/",
        "/api/http/%63lass=sms", "/api/http//class=sms", "/api/http/x/class=sms", "/%61pi/http/class=sms",
        "/api/http%2f", "/api/http/%00", "/api/h\uff54tp/", "/api/soap/x", "/api/jwt/token/x",
    ):  # fmt: skip
        answer = await raw(port(at), request("GET", f"{quote(path, safe='/%;=')}?{query}"))
        assert answer is not None
        assert answer.status in {400, 404, 405}, path
    assert at.sent() == 0
    assert (await said(at, "user", "getbalance"))["result"] == "10.00"


async def test_api_13_only_get_and_post_do_anything(at: Desk) -> None:
    """HEAD, PUT, DELETE, OPTIONS and TRACE send nothing."""
    for method in ("HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"):
        for path in (f"/api/http/?{urlencode(SEND)}", f"/api/http/{urlencode(SEND)}"):
            async with at.live.http.request(method, at.live.url + path) as answer:
                assert answer.status in {404, 405}, method
    assert at.sent() == 0
