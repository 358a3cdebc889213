"""The Authy face's wire where clients differ: places of the key and of parameters, shapes, formats, hostile paths."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_args
from xml.etree.ElementTree import fromstring

import pytest

from placet_server.domain.refusals import CODES
from placet_server.domain.values import Verification
from placet_server.faces.authyreplies import REFUSALS, VERIFICATIONS
from placet_server.testing import LiveServer, live_server
from support.authying import ADA, FORM, HEADER, KEY, NEW


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[LiveServer]:
    """A server with an Authy credential."""
    async with live_server(tmp_path) as live:
        await live.api_key("acme")
        await live.domain.credentials.add("authy", "acme", KEY, {}, live.clock.now())
        yield live


async def send(
    server: LiveServer, method: str, path: str, data: str = "", headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    """Status and JSON of one call, with the key in the header unless other headers are given."""
    sent = HEADER if headers is None else headers
    body = data.encode("utf-8", "surrogateescape") or None
    async with server.http.request(method, server.url + path, data=body, headers=sent) as answer:
        raw = await answer.read()
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Request-Id"]
        return answer.status, json.loads(raw)


async def ada(server: LiveServer) -> int:
    """The id of a user."""
    status, answer = await send(server, "POST", NEW, json.dumps(ADA))
    assert status == 200
    number = answer["user"]["id"]
    assert isinstance(number, int)
    return number


def test_every_refusal_has_a_reply_in_authys_words() -> None:
    """No outcome of the core is without an Authy code of text digits, and none of them is a success."""
    assert set(REFUSALS) == set(CODES)
    assert set(VERIFICATIONS) == set(get_args(Verification))
    replies = [*REFUSALS.values(), *(said for outcome, said in VERIFICATIONS.items() if outcome != "matched")]
    assert all(said.code.isdigit() and said.status >= 400 for said in replies)


@pytest.mark.parametrize(
    ("path", "headers", "data"),
    [
        (NEW, {"X-TFA-API-Key": KEY}, json.dumps(ADA)),
        (NEW, {"x-tfa-api-key": KEY}, json.dumps(ADA)),
        (f"{NEW}?api_key={KEY}", {}, json.dumps(ADA)),
        (
            NEW,
            FORM,
            f"api_key={KEY}&user%5Bemail%5D=ada%40example.com&user%5Bcellphone%5D=4053425699&user[country_code]=57",
        ),
        (
            f"/{NEW}?user%5Bemail%5D=ada%40example.com&user%5Bcellphone%5D=4053425699&user%5Bcountry_code%5D=57",
            HEADER,
            "",
        ),
    ],
    ids=["tfa-header", "lower-case", "query-key", "form-key", "php-query"],
)
async def test_key_and_parameters_are_found_wherever_clients_put_them(
    server: LiveServer, path: str, headers: dict[str, str], data: str
) -> None:
    """Header, query and form carry the key; JSON, form and the query of a POST carry the parameters."""
    status, answer = await send(server, "POST", path, data, headers)
    assert (status, answer["success"]) == (200, True)


async def test_the_three_shapes_of_details_are_shown(server: LiveServer) -> None:
    """A hash in JSON, nested form fields and one plain string all reach the person."""
    user = await ada(server)
    path = f"/onetouch/json/users/{user}/approval_requests"
    shapes = [
        (json.dumps({"message": "Hi", "details": {"Location": "California", "Room": "1"}}), {**HEADER}),
        (
            "message=Hi&details%5BLocation%5D=California&details%5BRoom%5D=1&seconds_to_expire=300",
            HEADER | FORM,
        ),
        ("message=Hi&details=a+string+of+details", HEADER | FORM),
    ]
    expected = [(("Location", "California"), ("Room", "1"))] * 2 + [(("Details", "a string of details"),)]
    application = (await server.domain.applications.named("acme")).id
    for (data, headers), visible in zip(shapes, expected, strict=True):
        status, answer = await send(server, "POST", path, data, headers)
        assert status == 200
        uuid = answer["approval_request"]["uuid"]
        approval = await server.domain.approvals.get(application, uuid, server.clock.now())
        assert approval.draft.visible == visible
        status, answer = await send(server, "GET", f"/onetouch/json/approval_requests/{uuid}")
        assert answer["approval_request"]["status"] == "pending"


async def test_a_new_request_supersedes_the_oldest_which_reads_as_expired(server: LiveServer) -> None:
    """Authy knows no limit of pending requests: the oldest makes room, and its poller sees it expired."""
    user = await ada(server)
    uuids = []
    for number in range(4):
        body = json.dumps({"message": f"Login {number}?"})
        status, answer = await send(server, "POST", f"/onetouch/json/users/{user}/approval_requests", body)
        assert status == 200
        uuids.append(answer["approval_request"]["uuid"])
    states = []
    for uuid in uuids:
        answer = (await send(server, "GET", f"/onetouch/json/approval_requests/{uuid}"))[1]
        states.append(answer["approval_request"]["status"])
    assert states == ["expired", "pending", "pending", "pending"]


async def test_hidden_and_forbidden_text_is_made_visible_not_refused(server: LiveServer) -> None:
    """A right-to-left override in a foreign message becomes text that says so, before anything is signed."""
    user = await ada(server)
    body = json.dumps({"message": "Pay \u202e0001 EUR", "details": {"To\u200b": "Bob"}})
    status, answer = await send(server, "POST", f"/onetouch/json/users/{user}/approval_requests", body)
    assert status == 200
    application = (await server.domain.applications.named("acme")).id
    approval = await server.domain.approvals.get(
        application, answer["approval_request"]["uuid"], server.clock.now()
    )
    assert approval.draft.message == "Pay ‹U+202E›0001 EUR"
    assert approval.draft.visible[0][0] == "To‹U+200B›"


@pytest.mark.parametrize("route", ["users/{id}/remove", "users/{id}/delete", "users/delete/{id}"])
async def test_all_three_delete_routes_work_without_a_body(server: LiveServer, route: str) -> None:
    """A POST with a JSON label and neither body nor length deletes, as one of the clients sends it."""
    user = await ada(server)
    path = "/protected/json/" + route.format(id=user)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rsplit(":", 1)[1]))
    writer.write(
        f"POST {path} HTTP/1.1\r\nHost: x\r\nX-Authy-API-Key: {KEY}\r\nContent-Type: application/json\r\n"
        "Connection: close\r\n\r\n".encode()
    )
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200")
    assert b'"message":"User removed from application"' in answer
    status, gone = await send(server, "GET", f"/protected/json/users/{user}/status")
    assert (status, gone["error_code"]) == (404, "60026")


async def test_xml_says_the_same_in_rails_spelling(server: LiveServer) -> None:
    """Root, dashes and types are those of the old clients, for successes and errors."""
    body = "user[email]=ada@example.com&user[cellphone]=4053425699&user[country_code]=57"
    async with server.http.post(
        f"{server.url}/protected/xml/users/new", data=body, headers=HEADER | FORM
    ) as answer:
        assert answer.content_type == "application/xml"
        root = fromstring(await answer.text())
    assert root.tag == "hash"
    number = root.findtext("user/id")
    async with server.http.get(f"{server.url}/protected/xml/users/{number}/status", headers=HEADER) as answer:
        status = fromstring(await answer.text())
    assert status.findtext("status/phone-number") == "XXX-XXX-5699"
    async with server.http.get(f"{server.url}/protected/xml/users/1/status", headers=HEADER) as answer:
        errors = fromstring(await answer.text())
    assert (errors.tag, errors.findtext("error-code")) == ("errors", "60026")


async def test_json_is_compact_and_ascii(server: LiveServer) -> None:
    """One client searches the raw bytes without spaces, another reads them as Latin-1."""
    user = await ada(server)
    headers = {**HEADER, "Content-Type": "application/json"}
    async with server.http.post(
        f"{server.url}/protected/json/users/{user}/secret",
        data=json.dumps({"label": "Café"}),
        headers=headers,
    ) as answer:
        raw = await answer.read()
    assert raw.isascii()
    assert b'"label":"Caf\\u00e9"' in raw


@pytest.mark.parametrize(
    "path",
    [
        "/protected/json/verify/123%2f6%23/5",
        "/protected/json/verify/..%2fsms/5",
        "/protected/json/verify/%2e%2e/sms/5",
        "/protected/json/verify/12345678;x/5",
        "/protected/json/verify/１２３４５６/5",
        "/protected/json/verify/1234567/٥",
        "/protected/json/users/%00/status",
        "/protected/json/users/5%0d%0a/status",
        "/protected/json/nothing",
        "/onetouch/json/approval_requests/%2e%2e%2fusers",
    ],
)
async def test_api_11_hostile_paths_are_errors_without_effect(server: LiveServer, path: str) -> None:
    """Encoded slashes, dots, control characters and foreign digits verify nothing and never fail the server."""
    from yarl import URL  # sends the path as it is written

    async with server.http.get(URL(server.url + path, encoded=path.isascii()), headers=HEADER) as answer:
        body = await answer.json(content_type=None)
    assert 400 <= answer.status < 500
    assert body["success"] is False
    assert body["error_code"].isdigit()
    assert body["message"]


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ({}, "message"),
        ({"message": "x" * 257}, "message"),
        ({"message": "x", "seconds_to_expire": "soon"}, "seconds_to_expire"),
        ({"message": "x", "seconds_to_expire": -1}, "seconds_to_expire"),
        ({"message": "x", "seconds_to_expire": 1.5}, "seconds_to_expire"),
        ({"message": "x", "details": {str(n): "v" for n in range(21)}}, "details"),
        ({"message": "x", "details": {"k": "v" * 257}}, "details"),
        ({"message": "x", "hidden_details": {"k": "v" * 5000}}, "hidden_details"),
        ({"message": "x", "hidden_details": "text"}, "hidden_details"),
    ],
)
async def test_what_cannot_be_shown_or_kept_is_named(
    server: LiveServer, data: dict[str, Any], named: str
) -> None:
    """A bad parameter is 400 with code 60004 and its name; nothing is asked."""
    user = await ada(server)
    path = f"/onetouch/json/users/{user}/approval_requests"
    status, answer = await send(server, "POST", path, json.dumps(data))
    assert (status, answer["error_code"]) == (400, "60004")
    assert answer["message"].startswith(f"Invalid parameter: {named} - ")


@pytest.mark.parametrize(
    ("headers", "data"),
    [
        (HEADER, "{" * 2000),
        (HEADER, '{"message": "\udcff"}'),
        (HEADER, "[1]"),
        (HEADER | FORM, "a[b=1"),
        (HEADER | FORM, "message=a&message=b"),
        (HEADER | {"Content-Type": "multipart/form-data"}, "x"),
        (HEADER, '{"message": 1' + "0" * 5000 + "}"),
    ],
)
async def test_malformed_bodies_are_400_never_500(
    server: LiveServer, headers: dict[str, str], data: str
) -> None:
    """Deep, broken, contradictory or huge input is the caller's mistake, in Authy's words."""
    user = await ada(server)
    status, answer = await send(
        server, "POST", f"/onetouch/json/users/{user}/approval_requests", data, headers
    )
    assert status == 400, answer
    assert answer["success"] is False


@pytest.mark.parametrize(
    ("query", "headers", "data"),
    [
        ("?message=%ff", HEADER, ""),
        ("", HEADER | FORM, "message=%ff"),
        ("", HEADER | FORM, "message=\udcff"),
        ("", HEADER, '{"message": "\udcff"}'),
    ],
)
async def test_bytes_that_are_no_text_have_a_code_of_their_own(
    server: LiveServer, query: str, headers: dict[str, str], data: str
) -> None:
    """60005, wherever they stand; what is text and yet cannot be read keeps 60004."""
    path = f"/onetouch/json/users/{await ada(server)}/approval_requests"
    status, answer = await send(server, "POST", path + query, data, headers)
    assert (status, answer["error_code"], answer["message"]) == (400, "60005", "Invalid UTF-8")
    status, answer = await send(server, "POST", path, '{"message":', HEADER)
    assert (status, answer["error_code"]) == (400, "60004")


async def test_a_lenient_credential_lets_an_unconfirmed_user_in_only_when_it_says_so(
    server: LiveServer,
) -> None:
    """Without ``force`` is strict by default; the credential's own switch alone brings Authy's leniency back.

    Two clients never say ``force=false``, one takes the parameter away for it: absent is as good as false.
    """
    user = await ada(server)
    paths = [f"/protected/json/verify/1234567/{user}{query}" for query in ("", "?force=", "?force=False")]
    assert {(await send(server, "GET", path))[0] for path in paths} == {401}
    switch = {"verify_unconfirmed": "lenient"}
    await server.domain.credentials.add(
        "authy", "acme", "lenient-key-of-acme-0001", switch, server.clock.now()
    )
    headers = {"X-Authy-API-Key": "lenient-key-of-acme-0001"}
    for path in paths:
        status, answer = await send(server, "GET", path, "", headers)
        assert (status, answer["success"]) == (200, "true"), path
    assert (await send(server, "GET", f"{paths[0]}?force=true", "", headers))[0] == 401


async def test_num_03_the_face_is_no_way_around_a_number(server: LiveServer) -> None:
    """Where policy asks a number for this face, its requests ask one too, and the one answer that may tells it."""
    user = await ada(server)
    await server.domain.applications.set_policies("acme", {"authy.number": "entry:4"}, server.clock.now())
    status, answer = await send(
        server, "POST", f"/onetouch/json/users/{user}/approval_requests", json.dumps({"message": "Hi"})
    )
    assert status == 200
    application = (await server.domain.applications.named("acme")).id
    uuid = answer["approval_request"]["uuid"]
    approval = await server.domain.approvals.get(application, uuid, server.clock.now())
    assert approval.draft.number == "entry:4"
    number = answer["approval_request"]["number"]
    assert len(number) == 4
    assert number.isdigit()
    status, later = await send(server, "GET", f"/onetouch/json/approval_requests/{uuid}")
    assert (status, "number" in later["approval_request"]) == (200, False)


async def test_half_a_character_anywhere_in_a_question_is_no_failure(server: LiveServer) -> None:
    """A lone surrogate in any field is shown as what it is, or refused; the server never fails over it."""
    user = await ada(server)
    path = f"/onetouch/json/users/{user}/approval_requests"
    half = "\ud800"
    for more, expected in (
        ({"logos": [{"res": half, "url": half}]}, 200),
        ({"details": {half: half}}, 200),
        ({"message": half}, 200),
        ({"hidden_details": {half: half}}, 400),
        ({"seconds_to_expire": half}, 400),
    ):
        status, _ = await send(server, "POST", path, json.dumps({"message": "Hi"} | more))
        assert status == expected, more
