"""Reporting on the Authy face: every call and answer that Authy has an event for is told, to its own application only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import fromstring

import pytest

from placet_authenticator.deciding import approve
from support.authying import HEADER, NEW, Authy, authy_server
from support.persons import authenticator, enrolled

EVENTS = "/protected/json/reporting/events"
PHONE = "country_code=1&phone_number=201-555-0123"


@pytest.fixture
async def authy(tmp_path: Path) -> AsyncIterator[Authy]:
    """A server with an Authy credential."""
    async with authy_server(tmp_path) as made:
        yield made


async def reported(
    authy: Authy, query: str = "", least: int = 1, key: dict[str, str] | None = None
) -> list[dict[str, Any]]:
    """The events, once so many are there: rows of the log are written a moment after the answers."""
    async with asyncio.timeout(10):
        while True:
            found: list[dict[str, Any]] = (await authy.good("GET", EVENTS + query, **(key or {})))["events"]
            if len(found) >= least:
                return found
            await asyncio.sleep(0.05)


def names(found: list[dict[str, Any]]) -> list[str]:
    """Names of events, oldest first."""
    return [event["event"] for event in reversed(found)]


async def lived(authy: Authy) -> tuple[int, str]:
    """A user's life; gives the id and the code that was sent."""
    user = await authy.ada()
    assert await authy.ada() == user  # known already: nobody was added
    await authy.good("GET", f"/protected/json/sms/{user}")
    code = await authy.code(1)
    wrong = "1234567" if code != "1234567" else "7654321"
    await authy.bad("GET", f"/protected/json/verify/{wrong}/{user}")
    await authy.good("GET", f"/protected/json/verify/{code}/{user}")
    await authy.good("GET", f"/protected/json/call/{user}")
    await authy.good("GET", f"/protected/json/users/{user}/status")
    await authy.good("POST", f"/protected/json/users/delete/{user}")
    return user, code


LIFE = [
    "user_added",
    "totp_token_sent",
    "token_invalid",
    "token_verified",
    "totp_token_sent_via_call",
    "user_removed",
]


async def test_a_users_life_is_told_by_its_events(authy: Authy) -> None:
    """Name, time, request and objects as documented, newest first; calls that are no event are not there."""
    user, code = await lived(authy)
    found = await reported(authy, least=len(LIFE))
    assert names(found) == LIFE
    assert [event["time"] for event in found] == sorted((event["time"] for event in found), reverse=True)
    for event in found:
        assert set(event) == {"event", "time", "request_id", "request", "objects"}
        assert event["request"] == {"id": event["request_id"], "ip": "127.0.0.1"}
        assert event["objects"]["user"]["s_authy_id"] == str(user)
        assert event["objects"]["user"]["as_authy_ids"] == [str(user)]
        assert event["objects"]["app"]["s_type"] == "full"
        assert len(event["objects"]["app"]["s_id"]) == 24
    assert code not in repr(found)


async def test_phone_verifications_are_told(authy: Authy) -> None:
    """Started, a wrong code, the right one, and one for which nothing is pending, with what is known of each."""
    base = "/protected/json/phones/verification"
    await authy.good("POST", f"{base}/start?{PHONE}&via=sms&code_length=6&locale=es")
    code = await authy.code(1)
    wrong = "111111" if code != "111111" else "222222"
    for value in (wrong, code, code):
        await authy.send("GET", f"{base}/check?{PHONE}&verification_code={value}")
    found = await reported(authy, least=4)
    assert names(found) == [
        "phone_verification_started",
        "phone_verification_code_is_invalid",
        "phone_verification_code_is_valid",
        "phone_verification_not_found",
    ]
    started = found[-1]["objects"]["phone_verification"]
    assert (started["s_country_code"], started["s_phone_number"], started["s_locale"]) == (
        "1",
        "201-555-0123",
        "es",
    )
    assert (started["i_code_length"], started["i_seconds_to_expire"], started["s_status"]) == (
        6,
        600,
        "pending",
    )
    assert started["s_id"] == found[1]["objects"]["phone_verification"]["s_id"]
    assert code not in repr(found)


async def test_limits_of_phone_verifications_are_told(authy: Authy) -> None:
    """More codes than a number may get, and more guesses than a person may make, have events of their own."""
    base = "/protected/json/phones/verification"
    for codes in (1, 2):
        await authy.good("POST", f"{base}/start?{PHONE}&via=sms")
        await authy.code(codes)
        said = [await authy.send("GET", f"{base}/check?{PHONE}&verification_code=none") for _ in range(5)]
    assert said[-1][0] == 429
    said = [
        await authy.send("POST", f"{base}/start?country_code=1&phone_number=2015550124") for _ in range(6)
    ]
    assert said[-1][0] == 429
    told = names(await reported(authy, least=18))
    assert told.count("too_many_phone_verifications") == 1
    assert told.count("too_many_code_verifications") == 5
    assert told.count("phone_verification_started") == 7


async def test_an_answer_of_a_person_is_an_event(authy: Authy, tmp_path: Path) -> None:
    """Who approves makes ``one_touch_request_responded`` with the request's id and status, beside the calls."""
    user = await authy.ada()
    async with authenticator(tmp_path) as device:
        await enrolled(authy.server, device, user, await authy.server.api_key("enrolling"))
        path = f"/onetouch/json/users/{user}/approval_requests"
        asked = await authy.good("POST", path, {"message": "Pay?", "seconds_to_expire": 60})
        uuid = asked["approval_request"]["uuid"]
        await device.fetch()
        await device.decide(device.find(uuid), approve())
    (event,) = await reported(authy, "?query[event][eq]=one_touch_request_responded")
    told = event["objects"]["onetouch_request"]
    assert (told["s_uuid"], told["s_status"]) == (uuid, "approved")
    assert told["i_expiration_timestamp"] > 0
    assert 0 <= told["i_seconds_to_expire"] <= 60
    assert event["objects"]["user"]["s_country_code"] == "57"
    assert await reported(authy, f"?query[objects.onetouch_request.s_uuid][eq]={uuid}") == [event]


async def test_queries_and_pages_choose(authy: Authy) -> None:
    """Attributes with operators, all of which must hold; pages of at most a hundred."""
    user, _ = await lived(authy)
    found = await reported(authy, least=len(LIFE))
    mine = f"objects.user.s_authy_id][eq]={user}"
    for query, expected in (
        ("query[event][eq]=token_invalid", ["token_invalid"]),
        ("query[event]=token_invalid", ["token_invalid"]),
        ("query[event][lk]=TOTP", ["totp_token_sent", "totp_token_sent_via_call"]),
        (f"query[event][lk]=token_v&query[{mine}", ["token_verified"]),
        (f"query[objects.user.as_authy_ids][eq]={user}", LIFE),
        ("query[objects.user.s_authy_id][eq]=1", []),
        ("query[objects.phone_verification.s_country_code][eq]=371", []),
        (f"query[request_id][eq]={found[0]['request_id']}", LIFE[-1:]),
        (f"query[time][gt]={found[0]['time']}", []),
        (f"query[time][lte]={found[-1]['time']}", LIFE[:1]),
        (f"query[time][gte]={found[-1]['time']}&query[time][lt]={found[0]['time']}", LIFE[:-1]),
        ("per_page=2", LIFE[-2:]),
        ("per_page=4&page=2", LIFE[:2]),
        ("page=3", []),
        ("per_page=100000", LIFE),
    ):
        assert names(await reported(authy, f"?{query}", 0)) == expected, query
    for query, code in (
        ("query[nothing][eq]=1", "60089"),
        ("query[event][like]=1", "60089"),
        ("query[event][eq][deep]=1", "60089"),
        ("query[time][gte]=soon", "60089"),
        ("query[time][lk]=2026", "60089"),
        ("query=token_invalid", "60089"),
        ("page=0", "60004"),
        ("page=101", "60004"),
        ("per_page=x", "60004"),
    ):
        assert await authy.bad("GET", f"{EVENTS}?{query}") == (400, code), query


async def test_api_05_events_are_the_applications_own(authy: Authy) -> None:
    """Another application's key sees none of them, though both know the same person."""
    user = await authy.ada()
    await authy.server.api_key("other")
    key = "other-key-of-other-000001"
    await authy.server.domain.credentials.add("authy", "other", key, {}, authy.server.clock.now())
    other = {"X-Authy-API-Key": key}
    await authy.good("GET", f"/protected/json/sms/{user}", **other)
    assert names(await reported(authy)) == ["user_added"]
    assert names(await reported(authy, key=other)) == ["totp_token_sent"]


async def test_numbers_are_told_where_the_credential_has_them(authy: Authy) -> None:
    """A user's number stands in events for credentials that may read numbers, in JSON and XML; for others it does not."""
    await authy.good(
        "POST", NEW, {"user": {"email": "b@example.com", "cellphone": "4053425690", "country_code": 57}}
    )
    (event,) = await reported(authy)
    assert event["objects"]["user"]["s_phone_number"] is None
    may = await authy.credential("export-key-of-acme-0001", phone_number_export=True)
    (event,) = await reported(authy, key=may)
    assert event["objects"]["user"]["s_phone_number"] == "4053425690"
    url = authy.server.url + EVENTS.replace("json", "xml")
    async with authy.server.http.get(url, headers=HEADER) as answer:
        document = await answer.text()
    root = fromstring(document)
    assert [each.findtext("event") for each in root.findall("events/event")] == ["user_added"]
    assert root.findtext("success") == "true"
    assert "4053425690" not in document
