"""Plain messages over HTTP, and what becomes of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support import farend
from support.native import clock_of, native_api
from support.onecode import OneCode

NUMBER = "+447700900123"


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[OneCode]:
    async with native_api(tmp_path / "data") as native:
        yield OneCode(native, tmp_path / "data")


async def test_a_text_is_carried_as_it_is(shop: OneCode) -> None:
    """Text and sender arrive unchanged on the channel; the message tells its way, and never its text."""
    text = "Ihr Paket ist da.\n{code} ist kein Platzhalter."
    wanted = {"phone": NUMBER, "channel": "sms", "text": text, "sender": "Acme", "language": "de-DE"}
    status, made = await shop("POST", "/v1/messages", wanted)
    assert (status, made["status"], made["kind"], made["restricted"]) == (201, "queued", "text", True)
    carried = await farend.message(shop.data, made["id"])
    assert (carried["text"], carried["sender"], carried["to"]) == (text, "Acme", NUMBER)
    got = await until(shop, made["id"], "sent")
    assert (got["channel"], got["gateway"], got["attempts"], got["to"]) == ("sms", "file", 1, "+44********23")
    assert "Paket" not in str(got)


async def until(shop: OneCode, message_id: str, status: str) -> dict[str, Any]:
    """The message once it has this status; the far end has it a moment before the server knows."""
    async with asyncio.timeout(30):
        while True:
            _, got = await shop("GET", f"/v1/messages/{message_id}")
            if got["status"] == status:
                return dict(got)
            await asyncio.sleep(0.01)


async def test_a_user_is_reached_by_number_or_address(shop: OneCode) -> None:
    """The first channel says which that reaches them; an e-mail without subject bears the application's name."""
    person = {"country_code": 44, "phone": "7700900124", "email": "eva@example.com"}
    eva = (await shop("POST", "/v1/users", person))[1]["tfa_id"]
    for order, to in ((["whatsapp", "sms"], "+447700900124"), (["email"], "eva@example.com")):
        _, made = await shop("POST", "/v1/messages", {"tfa_id": eva, "channels": order, "text": "Hello"})
        carried = await farend.message(shop.data, made["id"])
        assert (carried["to"], carried["channel"]) == (to, order[0])
    only_email = {"tfa_id": shop.native.tfa_id, "text": "Hello"}
    assert (await shop("POST", "/v1/messages", only_email | {"channel": "sms"}))[1][
        "code"
    ] == "channel_not_allowed"
    for more in ({}, {"channels": ["sms", "email"]}):
        _, made = await shop("POST", "/v1/messages", only_email | more)
        assert (made["to"][1:4], made["channels"]) == ("***", ["email"])


async def test_a_message_can_wait(shop: OneCode) -> None:
    """Before ``send_at`` nothing leaves; a time in the past, or too far ahead, is refused."""
    clock = clock_of(shop.native)
    wanted = {
        "phone": NUMBER,
        "text": "Later",
        "send_at": "2027-01-15T09:00:00+01:00",
    }  # the twins' clock stands there
    assert (await shop("POST", "/v1/messages", wanted))[0] == 201
    for at in ("2027-01-15T09:30:00Z", "2027-05-15T09:30:00Z", "2027-01-15T07:59:59Z", "2027-01-15T09:30:00"):
        status, made = await shop("POST", "/v1/messages", wanted | {"send_at": at})
        assert (status == 201) == (at == "2027-01-15T09:30:00Z"), made
        assert status in {201, 400}
    _, waiting = await shop("GET", "/v1/messages")
    assert [each["status"] for each in waiting["items"]].count("queued") >= 1
    assert clock.now() == 1_800_000_000_000


async def test_messages_are_listed_page_by_page(shop: OneCode) -> None:
    """Newest first, those of codes as well; the cursor goes through all of them, and each once."""
    clock = clock_of(shop.native)
    made = []
    for number in range(5):
        clock.advance(ms=1)
        wanted = {"phone": f"+44770090050{number}", "text": "Hello"}
        made.append((await shop("POST", "/v1/messages", wanted))[1]["id"])
    clock.advance(ms=1)
    _, code = await shop.issue(phone="+447700900510")
    seen, after = [], ""
    while True:
        _, page = await shop("GET", f"/v1/messages?limit=2{after}")
        seen += [(each["id"], each["kind"], each.get("code_id")) for each in page["items"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    expected = [(code["message_id"], "code", code["id"])] + [(each, "text", None) for each in reversed(made)]
    assert seen == expected
    other = await shop.another("other")
    assert (await other("GET", "/v1/messages"))[1]["items"] == []
    assert (await other("GET", f"/v1/messages/{made[0]}"))[0] == 404


async def test_api_07_a_message_under_one_key_goes_once(shop: OneCode) -> None:
    """The same call gives the same message; another call under the key is refused."""
    key = {"Idempotency-Key": "k-1"}
    wanted = {"phone": NUMBER, "text": "Hello"}
    first = await shop("POST", "/v1/messages", wanted, **key)
    assert first == await shop("POST", "/v1/messages", wanted, **key)
    assert (await shop("POST", "/v1/messages", wanted | {"text": "Hi"}, **key))[1][
        "code"
    ] == "idempotency_conflict"
    assert len((await shop("GET", "/v1/messages"))[1]["items"]) == 1


async def test_the_same_limits_hold_as_for_codes(shop: OneCode) -> None:
    """Five messages in ten minutes go to one number, whatever they are; the next one waits."""
    for number in range(5):
        call = (
            shop.issue(phone=NUMBER)
            if number % 2
            else shop("POST", "/v1/messages", {"phone": NUMBER, "text": "Hi"})
        )
        assert (await call)[0] == 201
    status, refused = await shop("POST", "/v1/messages", {"phone": NUMBER, "text": "Hi"})
    assert (status, refused["code"], refused["retry_after"]) == (429, "too_many_codes", 600)
