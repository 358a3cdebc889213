"""Every route of every face: described, closed without a credential, limited, logged, and blind to what is not its own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from placet_server.web.facedocs import TABLE
from support import faceforms
from support.described import KEY, Faces, Operation, faces, routed
from support.http import exchange, request
from support.wishes import Wish

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND")
FOREIGN = {"authy", "afilnet", "unityvox", "octopush"}
STRANGERS = {
    ("GET", "/.well-known/jwks.json"), ("GET", "/errors"), ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/openapi.json"),
    ("POST", "/device/v1/enrollments/{id}"), ("POST", "/device/v1/decisions"), ("GET", "/device/v1/socket"),
    ("GET", "/qr/{sealed}.png"), ("GET", "/api/soap/"),
    ("GET", "/gateway/reports/{gateway}/{id}/{secret}"), ("POST", "/gateway/reports/{gateway}/{id}/{secret}"),
}  # fmt: skip
"""What answers without a key; whatever joins them has to be thought about."""


@pytest.fixture
async def all_faces(tmp_path: Path) -> AsyncIterator[Faces]:
    async with faces(tmp_path / "data") as made:
        yield made


def keyed(made: Faces) -> list[Operation]:
    """The routes that need a key of an application."""
    return [each for each in made.operations if each.keys and each.keys != ("deviceProof",)]


async def test_api_06_the_description_is_the_live_router(all_faces: Faces) -> None:
    """No route is undescribed and none described that is not there; each has a summary, a face and a key or a reason."""
    described = {(each.method, each.path) for each in all_faces.operations}
    assert described == routed(all_faces.live)
    assert TABLE.keys() <= described
    for each in all_faces.operations:
        assert each.told["summary"]
        if not each.keys:
            assert len(each.told["description"]) > 20, each.path
            assert each.told["description"].endswith(".")
    assert {(each.method, each.path) for each in all_faces.operations if not each.keys} == STRANGERS


async def test_api_06_every_route_with_a_key_is_closed_without_it(all_faces: Faces) -> None:
    """Without a credential, and with a wrong one, every route answers as its face says no, and nothing happens."""
    before = await all_faces.state()
    seen = {}
    for each in keyed(all_faces):
        bare = all_faces.wish(each, keys=False)
        wrong = all_faces.wish(each)
        wrong.headers = [(name, value + "x") for name, value in wrong.headers]
        wrong.query = [
            (name, value + "x" if name in {"password", "apikey"} else value) for name, value in wrong.query
        ]
        if wrong.kind == "raw":
            wrong.body = wrong.body.replace(b"s3cret", b"other")
        for wish in (bare, wrong):
            answer = await all_faces.call(wish)
            seen[answer.headers["x-request-id"]] = each
            assert faceforms.sent(each.face, each.path, answer) == 0
    rows = await all_faces.rows()
    for request_id, each in seen.items():
        assert rows[request_id].code == "unauthorized", each
        assert rows[request_id].credential is None
    assert len(seen) == 2 * len(keyed(all_faces)) > 120
    assert await all_faces.state() == before
    assert not all_faces.gateway.sent


async def test_api_06_every_route_with_a_key_has_its_limit_and_its_row(tmp_path: Path) -> None:
    """Of three calls at once with a limit of one a second the third is refused everywhere, and all three are logged."""
    async with faces(tmp_path / "data", limits__requests_per_second="1") as made:
        calls: list[tuple[Operation, list[str]]] = []
        for each in keyed(made):
            made.clock.advance(seconds=5)
            answers = [await made.call(made.wish(each)) for _ in range(3)]
            calls.append((each, [answer.headers["x-request-id"] for answer in answers]))
            assert answers[2].headers["retry-after"] == "1", each
        rows = await made.rows()
        for each, (first, second, third) in calls:
            assert rows[first].code != "rate_limited", each
            assert rows[second].code != "rate_limited", each
            assert rows[third].code == "rate_limited", each
            assert {(rows[one].face, rows[one].method) for one in (first, second, third)} == {
                (each.face, each.method)
            }
            assert rows[third].credential is not None


async def test_api_13_only_declared_methods_do_anything(all_faces: Faces) -> None:
    """Every other method on every path is 405 (or nothing is there) with credentials, too: HEAD sends no message."""
    paths: dict[str, set[str]] = {}
    for each in all_faces.operations:
        paths.setdefault(each.path, set()).add(each.method)
    before = await all_faces.state()
    for each in all_faces.operations:
        for method in METHODS:
            if method in paths[each.path]:
                continue
            wish = all_faces.wish(each)
            wish.method = method
            answer = await all_faces.call(wish)
            assert answer.status in {404, 405}, (method, each)
            if answer.status == 405:
                assert set(answer.headers["allow"].split(", ")) >= paths[each.path]
            if method == "TRACE":
                assert b"api-key" not in answer.body.lower()
    assert await all_faces.state() == before
    assert not all_faces.gateway.sent


async def test_api_15_every_answer_says_what_it_is(all_faces: Faces) -> None:
    """Type with charset, nosniff, no-store where anything is private, no version of a program, and no redirect."""
    head = [("X-Authy-API-Key", KEY)]
    secret = Wish("POST", f"/protected/json/users/{all_faces.values['user']}/secret", None, head)
    shown = (await all_faces.call(secret)).json()["qr_code"].removeprefix(all_faces.live.url)
    picture = await all_faces.call(Wish("GET", shown))
    assert (picture.status, picture.headers["content-type"], picture.headers["server"]) == (
        200,
        "image/png",
        "placet",
    )
    assert (picture.headers["cache-control"], picture.headers["x-content-type-options"]) == (
        "no-store",
        "nosniff",
    )
    for each in all_faces.operations:
        answer = await all_faces.call(all_faces.wish(each))
        assert not 300 <= answer.status < 400, each
        assert "location" not in answer.headers
        assert answer.status < 500, (each, answer.body)
        faceforms.read(each.face, answer)
        if each.path not in {"/openapi.json", "/.well-known/jwks.json"}:
            assert answer.headers["cache-control"] == "no-store", each
        assert "set-cookie" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13"}
    sent = request(
        "GET",
        "/device/v1/socket",
        b"",
        Origin="https://evil.example",
        Sec_WebSocket_Key="A" * 22 + "==",
        **upgrade,
    )
    refused = await exchange(all_faces.port, sent)
    assert refused is not None
    assert (refused.status, refused.json()["code"]) == (403, "forbidden")


async def test_api_10_no_native_route_takes_what_it_does_not_know(all_faces: Faces) -> None:
    """An unknown query parameter, a repeated one and an unknown member are 400 on every native route."""
    before = await all_faces.state()
    for each in all_faces.operations:
        if each.face != "native" or not each.keys:
            continue
        queried = [one["name"] for one in each.told.get("parameters", []) if one["in"] == "query"]
        odd = [[("status_", "approved")], *([(name, "1"), (name, "1")] for name in queried)]
        for query in odd:
            wish = all_faces.wish(each)
            wish.query = query
            answer = await all_faces.call(wish)
            assert (answer.status, answer.json()["code"]) == (400, "invalid_request"), (each, query)
        if "requestBody" in each.told:
            wish = all_faces.wish(each)
            wish.body = {"protected_": "approved"}
            answer = await all_faces.call(wish)
            assert (answer.status, answer.json()["code"]) == (400, "invalid_request"), each
            assert "protected_" in answer.json()["detail"]
    assert await all_faces.state() == before


TOKEN_FORMS = (
    "%2e%2e", "%2e%2e%2f", "..%2f", "%2f", "123456%2f7", "123456%2f6%23", "123456%23", "123456;a=b", "123456%00", "%00", "%0d%0a",
    "123456%0a", "%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96", "１２３４５６", "%D9%A1%D9%A2%D9%A3%D9%A4%D9%A5%D9%A6",
    "1" * 101, "1" * 4000, "%252e%252e", "%25%32%66", "%5c", "..%5c", "12345", "1234567890123", "+123456", "-123456", "12 3456",
    "%20123456", "0x1e240", "1e5", "null", "true", "[]", "%7B%7D", "123456?", "%3F", "%26", "%3Cscript%3E", "..", ".", "...", "~", "*",
    "123456%20", "123456%09", "%ff", "%c0%ae%c0%ae", "%e2%80%ae123456", "123456%e2%80%8b", "%f0%9f%98%80", "sms",
)  # fmt: skip


async def test_api_11_hostile_paths_on_the_authy_face_do_nothing(all_faces: Faces) -> None:
    """Two hundred odd paths around codes and users: 4xx in the face's words, nothing verified, changed or sent."""
    user = all_faces.values["user"]
    corpus = [
        pattern.format(form=form, user=user)
        for form in TOKEN_FORMS
        for pattern in (
            "/protected/json/verify/{form}/{user}",
            "/protected/json/verify/735194/{form}",
            "/protected/xml/sms/{form}",
            "/protected/json/call/{form}/{user}?force=true",
            "/protected/json/{form}/sms/{user}",
        )
    ]
    corpus += [
        f"/protected/json/verify/../sms/{user}",
        f"/protected/json//sms/{user}",
        f"/protected/json/sms/{user}//",
    ]
    corpus += [
        f"///protected/json/sms/{user}",
        f"/protected;x/json/sms/{user}",
        f"/PROTECTED/json/sms/{user}",
    ]
    corpus += [
        f"/protected/html/sms/{user}",
        f"/%70rotected/json/sms/{user}",
        f"/protected/json/sms/{user}%3fforce=true",
    ]
    before = await all_faces.state()
    for path in dict.fromkeys(corpus):
        wish = Wish("GET", path, None, [("X-Authy-API-Key", KEY)])
        answer = await all_faces.call(wish)
        assert 400 <= answer.status < 500, (path, answer)
        assert b"is valid" not in answer.body
        if (
            path.startswith(("/protected/json", "/protected/xml"))
            and answer.headers.get("content-type", "").find("problem") < 0
        ):
            faceforms.read("authy", answer)
    assert len(set(corpus)) >= 200
    assert await all_faces.state() == before
    assert not all_faces.gateway.sent


async def test_api_12_document_types_are_refused_on_every_way_that_reads_xml(all_faces: Faces) -> None:
    """Entities, external or multiplied, are never read: 400, and nothing of them comes back."""
    bomb = '<!DOCTYPE a [<!ENTITY b "bbbbbbbbbbbbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>'
    outer = '<!DOCTYPE a [<!ENTITY c SYSTEM "file:///etc/hostname">]>'
    path = f"/onetouch/json/users/{all_faces.values['user']}/approval_requests"
    before = await all_faces.state()
    for document in (bomb, outer):
        body = f"{document}<hash><message>&c;</message></hash>".encode()
        wish = Wish(
            "POST",
            path,
            None,
            [("X-Authy-API-Key", KEY), ("Content-Type", "text/xml")],
            "raw",
            body,
        )
        answer = await all_faces.call(wish)
        assert (answer.status, json.loads(answer.body)["success"]) == (400, False)
        assert b"b" * 20 not in answer.body
        soap = Wish("POST", "/api/soap/", None, [("Content-Type", "text/xml")], "raw", body)
        answer = await all_faces.call(soap)
        assert answer.status == 400
        assert b"b" * 20 not in answer.body
    assert await all_faces.state() == before
