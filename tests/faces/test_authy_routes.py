"""Routes of the Authy face one by one: users, application, XML for each, and paths that must do nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import pytest

from placet_server.domain.calllog import Sought
from placet_server.ports import Sql
from placet_server.testing import ManualClock, live_server
from support.authying import ADA, HEADER, KEY, NEW, Authy, authy_server
from support.http import raw, request

XML = {"Content-Type": "application/xml"}
_LEAVES = Sql("leaves", "SELECT kind, body FROM audit WHERE kind LIKE 'user.%' ORDER BY seq")


@pytest.fixture
async def authy(tmp_path: Path) -> AsyncIterator[Authy]:
    """A server with an Authy credential."""
    async with authy_server(tmp_path) as made:
        yield made


async def test_an_email_is_replaced_and_the_old_one_kept(authy: Authy) -> None:
    """Update makes the new address the one that is shown; a bad one changes nothing."""
    number = await authy.ada()
    path = f"/protected/json/users/{number}"
    answer = await authy.good("POST", f"{path}/update", {"email": "New@Example.com"})
    assert answer["message"] == "User was updated successfully"
    for bad in ("nope", ""):
        status, refused = await authy.send("POST", f"{path}/update", {"email": bad})
        assert (status, refused["error_code"]) == (400, "60027")
        assert refused["errors"]["email"].startswith("is invalid")
    status = await authy.good("GET", f"{path}/status")
    assert status["status"]["email"] == "new@example.com"
    org = (await authy.server.domain.applications.named("acme")).org
    assert (await authy.server.domain.users.by_tfa_id(org, number)).emails == (
        "new@example.com",
        "ada@example.com",
    )
    for nobody in ("tony", "1"):
        assert await authy.bad(
            "POST", f"/protected/json/users/{nobody}/update", {"email": "a@example.com"}
        ) == (404, "60026")


async def test_an_activity_is_noted_without_personal_data(authy: Authy) -> None:
    """The four known words are written to the audit log; others are refused with 60029."""
    number = await authy.ada()
    path = f"/protected/json/users/{number}/register_activity"
    for kind in ("password_reset", "banned", "unbanned", "cookie_login"):
        sent = {"type": kind, "data": {"reason": "canary-4711"}, "user_ip": "127.0.0.1"}
        assert (await authy.good("POST", path, sent))["message"] == "Activity was created."
    for wrong in ({"type": "other"}, {}):
        assert await authy.bad("POST", path, wrong) == (400, "60029")
    assert await authy.bad("POST", path.replace(str(number), "tony"), {"type": "banned"}) == (404, "60026")
    leaves = await authy.server.store.rows(_LEAVES)
    assert [kind for kind, _ in leaves] == ["user.added", *["user.activity"] * 4]
    assert "canary" not in str(leaves)


async def test_numbers_are_told_only_to_who_may_export_them(authy: Authy) -> None:
    """60154 by default; with the switch, the number in the documented members."""
    number = await authy.ada()
    path = f"/protected/json/users/{number}/phone_number"
    assert await authy.bad("GET", path) == (503, "60154")
    headers = await authy.credential("exporting-key-acme-0001", phone_number_export=True)
    status, answer = await authy.send("GET", path, None, headers)
    assert status == 200
    assert (answer["phone_number"], answer["country_code"]) == ("405-342-5699", "57")
    assert answer["e164"] == "+574053425699"
    assert (await authy.send("GET", path.replace(str(number), "tony"), None, headers))[0] == 404


async def test_statistics_count_by_month_and_survive_a_restart(tmp_path: Path) -> None:
    """Months follow each other, oldest first, at most twelve, each with the seven members and no other."""
    clock = ManualClock()
    async with authy_server(tmp_path, clock) as authy:
        await authy.ada()
        for _ in range(13):
            clock.advance(seconds=31 * 86_400)
            assert await authy.bad("GET", "/protected/json/users/1/status") == (404, "60026")
    async with live_server(tmp_path / "server", clock=clock) as server:
        stats = await Authy(server, authy.gateway).good("GET", "/protected/json/app/stats")
    assert stats["message"] == "Monthly statistics."
    assert len(stats["stats"]) == stats["count"] == 12
    expected = {"sms_count", "calls_count", "users_count", "auths_count", "api_calls_count", "month", "year"}
    assert all(set(month) == expected for month in stats["stats"])
    assert [month["api_calls_count"] for month in stats["stats"]] == [1] * 11 + [2]
    assert all(month["users_count"] == 0 for month in stats["stats"])
    years = [month["year"] for month in stats["stats"]]
    assert years == sorted(years)
    assert stats["total_users"] == 1


async def xml(
    authy: Authy, method: str, path: str, data: str | None = None, **headers: str
) -> tuple[int, Element]:
    """Status and document of one call that asks for XML."""
    async with authy.server.http.request(
        method, authy.server.url + path, data=data, headers={**HEADER, **headers}
    ) as answer:
        assert answer.content_type == "application/xml"
        return answer.status, fromstring(await answer.text())


async def test_every_route_speaks_xml(authy: Authy) -> None:
    """Successes are ``<hash>``, refusals ``<errors>``, whatever the route, and an old client's XML body is read."""
    body = "<user><cellphone>405-342-5699</cellphone><country_code>57</country_code><email>a@example.com</email></user>"
    status, made = await xml(authy, "POST", "/protected/xml/users/new", body, **XML)
    assert (status, made.tag) == (200, "hash")
    number = made.findtext("user/id")
    ask = f"/onetouch/xml/users/{number}/approval_requests"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    status, asked = await xml(authy, "POST", ask, "message=Login%3F&details[To]=Zo%C3%A9", **form)
    assert (status, asked.findtext("success")) == (200, "true")
    uuid = asked.findtext("approval-request/uuid")
    phone = "phone_number=201-555-0123&country_code=1"
    good = [
        ("GET", f"/protected/xml/users/{number}/status", None),
        ("POST", f"/protected/xml/users/{number}/update", "email=b@example.com"),
        ("POST", f"/protected/xml/users/{number}/register_activity", "type=banned"),
        ("POST", f"/protected/xml/users/{number}/secret", "label=Ada&qr_size=300"),
        ("GET", f"/protected/xml/sms/{number}?force=true", None),
        ("GET", f"/protected/xml/call/{number}?force=true", None),
        ("POST", f"/protected/xml/email/{number}", None),
        ("GET", "/protected/xml/app/details", None),
        ("GET", "/protected/xml/app/stats", None),
        ("GET", "/protected/xml/reporting/events", None),
        ("GET", f"/protected/xml/registrations/status?custom_user_id={number}", None),
        ("POST", "/protected/xml/phones/verification/start", phone),
        ("GET", f"/protected/xml/phones/verification/status?{phone}", None),
        ("GET", f"/protected/xml/phones/info?{phone}", None),
        ("GET", f"/onetouch/xml/approval_requests/{uuid}", None),
        ("POST", f"/protected/xml/users/{number}/remove", None),
    ]
    for method, path, data in good:
        status, answer = await xml(authy, method, path, data, **(form if data else {}))
        assert (status, answer.tag) == (200, "hash"), path
    for method, path, data in [
        *good[:6],
        ("GET", f"/protected/xml/verify/1234567/{number}", None),
        ("GET", "/onetouch/xml/approval_requests/u-1", None),
        ("GET", f"/protected/xml/phones/verification/check?{phone}&verification_code=none", None),
        ("GET", "/protected/xml/nothing", None),
    ]:
        status, answer = await xml(authy, method, path, data, **(form if data else {}))
        assert (status >= 400, answer.tag) == (True, "errors"), path
        assert (answer.findtext("error-code") or "").isdigit()


async def test_api_12_xml_with_a_document_type_is_refused(authy: Authy) -> None:
    """Entities of one's own are a bad request, and nobody is made."""
    body = '<!DOCTYPE user [<!ENTITY x "1">]><user><cellphone>&x;</cellphone></user>'
    status, answer = await xml(authy, "POST", "/protected/xml/users/new", body, **XML)
    assert (status, answer.findtext("error-code")) == (400, "60004")
    assert await authy.server.store.rows(Sql("users", "SELECT count(*) FROM users")) == [(0,)]


HOSTILE = (
    "..%2f", "%2e%2e/", "%2e%2e%2f", ".%2e/", "..;/", "..%5c", "%252e%252e%252f", "%c0%ae%c0%ae/", "%00", "%0d%0a", "%0a",
    ";", ";x=1", "%3b", "%23", "#", "%3f", "//", "/", "%2f", "%20", "%09", "１", "٥", "%EF%BC%91", "%D9%A5", "+", "*", "{id}",
    "%7Bid%7D", "a" * 200, "9" * 50, "-1", "1.0", "1e3", "0x1", "null", "true",
)  # fmt: skip


async def test_api_11_hostile_paths_send_and_change_nothing(authy: Authy) -> None:
    """Two hundred spellings of sending and changing paths: each is an error in the documented shape, none has an effect."""
    number = await authy.ada()
    before = await state(authy)
    tried = 0
    port = int(authy.server.url.rsplit(":", 1)[1])
    for hostile in HOSTILE:
        for method, path in (
            ("GET", f"/protected/json/sms/{hostile}{number}"),
            ("GET", f"/protected/json/verify/{hostile}sms/{number}"),
            ("GET", f"/protected/json/call/{number}{hostile}"),
            ("POST", f"/protected/json/users/{hostile}{number}/delete"),
            ("POST", f"/protected/json/users/{number}{hostile}/remove"),
            ("POST", f"/protected/json/email/{hostile}"),
        ):
            if path in {f"/protected/json/call/{number}{end}" for end in "#/"} | {
                f"/protected/json/sms//{number}"
            }:
                continue  # a fragment belongs to nobody, and a slash behind a path makes no difference
            sent = request(method, path, X_Authy_API_Key=KEY)
            answer = await raw(port, sent)
            tried += 1
            if answer is None:
                continue  # the connection was closed: nothing was understood
            assert 400 <= answer.status < 500, (path, answer)
            assert b"Traceback" not in answer.body
            if answer.headers.get("content-type", "").startswith("application/json"):
                assert answer.json()["success"] is False
    assert tried > 200
    assert await state(authy) == before
    assert not authy.gateway.sent


async def state(authy: Authy) -> list[Any]:
    """How much there is of what a call could change."""
    tables = ("users", "codes", "messages", "approvals", "soft_tokens", "outbox", "notices")
    return [await authy.server.store.rows(Sql("n", f"SELECT count(*) FROM {table}")) for table in tables]


async def test_a_doubled_first_slash_is_what_a_base_url_with_a_slash_makes(authy: Authy) -> None:
    """The same routes answer below it, known or not, also in XML."""
    made = await authy.good("POST", f"/{NEW}", ADA)
    number = made["user"]["id"]
    assert (await authy.good("GET", f"//protected/json/users/{number}/status"))["success"] is True
    asked = await authy.good(
        "POST", f"//onetouch/json/users/{number}/approval_requests", {"message": "Login?"}
    )
    uuid = asked["approval_request"]["uuid"]
    assert (await authy.good("GET", f"//onetouch/json/approval_requests/{uuid}"))["success"] is True
    assert await authy.bad("GET", "//protected/json/nothing") == (404, "60002")
    status, answer = await xml(authy, "GET", "//protected/xml/nothing")
    assert (status, answer.tag) == (404, "errors")
    assert (await authy.send("GET", f"///protected/json/users/{number}/status"))[0] == 404


async def test_a_slash_behind_a_path_makes_no_difference(authy: Authy) -> None:
    """As in Rails; what is no path stays none, and another method is told which there are. The log knows one route."""
    made = await authy.good("POST", f"{NEW}/", ADA)
    number = made["user"]["id"]
    assert (await authy.good("GET", f"//protected/json/users/{number}/status/"))["success"] is True
    status, answer = await xml(authy, "GET", f"/protected/xml/users/{number}/status/")
    assert (status, answer.tag) == (200, "hash")
    asked = await authy.good(
        "POST", f"/onetouch/json/users/{number}/approval_requests/", {"message": "Login?"}
    )
    uuid = asked["approval_request"]["uuid"]
    assert (await authy.good("GET", f"/onetouch/json/approval_requests/{uuid}/"))["success"] is True
    assert (await authy.send("GET", f"{NEW}/"))[0] == 405
    assert await authy.bad("GET", f"/protected/json/users/{number}/status//") == (404, "60002")
    assert await authy.bad("GET", "/protected/json/nothing/") == (404, "60002")


async def test_a_request_of_a_removed_user_can_still_be_read(authy: Authy) -> None:
    """Requests stay as evidence; where there is no e-mail, an address that nobody has stands in its place."""
    number = await authy.ada()
    asked = await authy.good(
        "POST", f"/onetouch/json/users/{number}/approval_requests", {"message": "Login?"}
    )
    await authy.good("POST", f"/protected/json/users/{number}/remove")
    path = f"/onetouch/json/approval_requests/{asked['approval_request']['uuid']}"
    seen = (await authy.good("GET", path))["approval_request"]
    assert seen["_user_email"] == f"{number}@users.invalid"


async def test_plain_details_are_refused_where_the_credential_says_so(authy: Authy) -> None:
    """The seed's curl sends one string; the switch makes that 60004."""
    number = await authy.ada()
    path = f"/onetouch/json/users/{number}/approval_requests"
    await authy.good("POST", path, {"message": "Login?", "details": "a string of details"})
    headers = await authy.credential("refusing-key-acme-00001", details_text="refused")
    status, answer = await authy.send("POST", path, {"message": "Login?", "details": "a string"}, headers)
    assert (status, answer["error_code"]) == (400, "60004")


async def test_zero_seconds_mean_the_longest_time(authy: Authy) -> None:
    """None is a day, 0 is thirty days, more than that is cut."""
    number = await authy.ada()
    path = f"/onetouch/json/users/{number}/approval_requests"
    for sent, expected in ((None, 86_400), (0, 2_592_000), ("0", 2_592_000), (10**9, 2_592_000), (60, 60)):
        asked = await authy.good("POST", path, {"message": "Login?", "seconds_to_expire": sent})
        seen = await authy.good(
            "GET", f"/onetouch/json/approval_requests/{asked['approval_request']['uuid']}"
        )
        assert seen["approval_request"]["seconds_to_expire"] == expected


async def test_log_03_calls_are_found_by_person_and_number_and_hold_no_code(authy: Authy) -> None:
    """What was sent and answered is there, by user and by destination; key, codes and tokens are not."""
    number = await authy.ada()
    await authy.good("GET", f"/protected/json/sms/{number}?force=true&locale=es")
    code = await authy.code(1)
    await authy.good("GET", f"/protected/json/verify/{code}/{number}?api_key={KEY}")
    assert await authy.bad("GET", f"/protected/json/verify/{code}/{number}") == (401, "60019")
    calls = authy.server.domain.calls

    async def found(**sought: Any) -> list[Any]:
        rows: list[Any] = []
        while len(rows) < sought["least"]:
            page = await calls.search(Sought(**{k: v for k, v in sought.items() if k != "least"}), None, 100)
            rows = list(page.items)
            await asyncio.sleep(0.05)
        return rows

    async with asyncio.timeout(30):
        by_user = await found(user=number, least=4)
        by_number = await found(destination="+574053425699", least=2)
    assert {row.route for row in by_number} == {
        "/protected/{format}/users/new",
        "/protected/{format}/sms/{user}",
    }
    sms = next(row for row in by_number if "/sms/" in row.route)
    assert sms.detail.facts == {"channel": "sms", "seconds": 600, "tries": 5}
    assert sms.detail.parameters["locale"] == "es"
    assert next(row for row in by_user if row.status == 401).code == "60019"
    text = repr(by_user)
    assert code not in text
    assert KEY not in text


async def test_what_can_have_no_answer_is_not_there(tmp_path: Path) -> None:
    """Devices of the SDK cannot be enrolled here: a documented 404 with a body that clients can read."""
    async with authy_server(tmp_path) as authy:
        assert await authy.bad("DELETE", "/protected/json/sdk/devices/7") == (404, "60002")
