"""What is not well-formed about codes and messages: refused with a stable code, before anything is made or counted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from placet_server.domain.refusals import CODES
from placet_server.gateways.base import objection
from placet_server.plugin import Outgoing
from support import farend
from support.native import native_api
from support.onecode import OneCode

NUMBER = "+447700900123"


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[OneCode]:
    async with native_api(tmp_path / "data") as native:
        yield OneCode(native, tmp_path / "data")


BAD: list[tuple[str, dict[str, Any], int, str]] = [
    ("nobody", {}, 400, "invalid_request"),
    ("two people", {"phone": NUMBER, "email": "ada@example.com"}, 400, "invalid_request"),
    ("user and number", {"phone": NUMBER, "tfa_id": 7}, 400, "invalid_request"),
    ("country alone", {"email": "ada@example.com", "country_code": 44}, 400, "invalid_request"),
    ("no number", {"phone": "hello"}, 422, "invalid_destination"),
    ("no country", {"phone": "+0 123 456 789"}, 422, "invalid_destination"),
    ("short number", {"phone": "+44 12"}, 422, "invalid_destination"),
    ("two numbers", {"phone": "+447700900123,+447700900124"}, 422, "invalid_destination"),
    ("line end", {"phone": "+447700900123\r\nTo: x"}, 422, "invalid_destination"),
    ("no address", {"email": "ada@localhost"}, 422, "invalid_destination"),
    ("two addresses", {"email": "ada@example.com,eve@example.com"}, 422, "invalid_destination"),
    ("header", {"email": "ada@example.com\r\nBcc: eve@example.com"}, 422, "invalid_destination"),
    ("nobody's id", {"tfa_id": 999_999_999}, 404, "user_not_found"),
    ("channel", {"phone": NUMBER, "channel": "pigeon"}, 400, "invalid_request"),
    ("two orders", {"phone": NUMBER, "channel": "sms", "channels": ["voice"]}, 400, "invalid_request"),
    ("twice", {"phone": NUMBER, "channels": ["sms", "sms"]}, 400, "invalid_request"),
    ("none", {"phone": NUMBER, "channels": []}, 400, "invalid_request"),
    ("mail to a number", {"phone": NUMBER, "channel": "email"}, 403, "channel_not_allowed"),
    ("text to an address", {"email": "ada@example.com", "channel": "sms"}, 403, "channel_not_allowed"),
    ("sent and not", {"phone": NUMBER, "deliver": False, "channel": "sms"}, 400, "invalid_request"),
    ("text of nothing", {"deliver": False, "text": "{code}"}, 400, "invalid_request"),
    ("short", {"deliver": False, "length": 3}, 400, "invalid_request"),
    ("long", {"deliver": False, "length": 33}, 400, "invalid_request"),
    ("no characters", {"deliver": False, "alphabet": []}, 400, "invalid_request"),
    ("characters", {"deliver": False, "alphabet": ["emoji"]}, 400, "invalid_request"),
    ("own, short", {"deliver": False, "code": "123"}, 400, "invalid_request"),
    ("own, spaced", {"deliver": False, "code": "12 34"}, 400, "invalid_request"),
    ("own, full-width", {"deliver": False, "code": "１２３４"}, 400, "invalid_request"),
    ("own number", {"deliver": False, "code": 123456}, 400, "invalid_request"),
    ("no time", {"deliver": False, "seconds_to_expire": 0}, 400, "invalid_request"),
    ("less than no time", {"deliver": False, "seconds_to_expire": -1}, 400, "invalid_request"),
    ("no tries", {"deliver": False, "tries": 0}, 400, "invalid_request"),
    ("purpose", {"deliver": False, "purpose": ""}, 400, "invalid_request"),
    ("hidden purpose", {"deliver": False, "purpose": "a\u0000b"}, 422, "invalid_text"),
    ("address", {"deliver": False, "recipient_ip": "300.1.1.1"}, 400, "invalid_request"),
    ("network", {"deliver": False, "recipient_ip": "10.0.0.0/8"}, 400, "invalid_request"),
    ("text", {"phone": NUMBER, "text": ""}, 400, "invalid_request"),
    ("hidden text", {"phone": NUMBER, "text": "a\u202eb {code}"}, 422, "invalid_text"),
    ("two subjects", {"email": "ada@example.com", "subject": "a\r\nBcc: x"}, 422, "invalid_text"),
    ("sender", {"phone": NUMBER, "sender": "a\nb"}, 422, "invalid_text"),
    ("long sender", {"phone": NUMBER, "sender": "Acme Bank plc"}, 400, "invalid_request"),
    (
        "mail's sender",
        {"phone": NUMBER, "channel": "voice", "sender": "A <a@b.example>"},
        400,
        "invalid_request",
    ),
    ("language", {"phone": NUMBER, "language": "tlh"}, 400, "invalid_request"),
    ("gender", {"phone": NUMBER, "gender": "any"}, 400, "invalid_request"),
    ("unknown", {"phone": NUMBER, "lenght": 8}, 400, "invalid_request"),
    ("nothing", {"phone": None}, 400, "invalid_request"),
]


@pytest.mark.parametrize(
    ("wanted", "status", "code"), [each[1:] for each in BAD], ids=[each[0] for each in BAD]
)
async def test_no_code_is_made_of_what_is_not_well_formed(
    shop: OneCode, wanted: dict[str, Any], status: int, code: str
) -> None:
    """Status and stable code for each; the sentence names what is wrong; nothing is sent."""
    found, problem = await shop.issue(**wanted)
    assert (found, problem["code"]) == (status, code), problem
    assert problem["code"] in CODES
    assert len(problem["detail"]) > 10
    assert (await shop("GET", "/v1/messages"))[1]["items"] == []
    assert farend.messages(shop.data) == []


async def test_a_check_that_is_not_well_formed_spends_no_try(shop: OneCode) -> None:
    """Codes that nobody can have typed, and members that do not exist, are 400; the try is not counted."""
    _, made = await shop.issue(deliver=False, email="ada@example.com")
    for bad in ("", "1" * 65, "１２３４５６", "12 34 56", "12\n34", 123456, None, ["1234"]):
        status, problem = await shop.check(made["id"], bad)  # type: ignore[arg-type]  # that is the point
        assert (status, problem["code"]) == (400, "invalid_request"), bad
    for more in ({"tries": 9}, {"purpose": ""}, {"recipient_ip": "here"}, {"phone": NUMBER}):
        assert (await shop.check(made["id"], "123456", **more))[0] == 400, more
    for nobody in ({}, {"phone": NUMBER, "email": "ada@example.com"}, {"tfa_id": -1}):
        assert (await shop("POST", "/v1/codes/check", {"code": "123456", **nobody}))[0] == 400, nobody
    _, got = await shop("GET", f"/v1/codes/{made['id']}")
    assert (got["status"], got["tries_left"]) == ("live", 5)


@pytest.mark.parametrize(
    ("path", "wanted", "status"),
    [
        ("/v1/phone_verifications", {"email": "ada@example.com"}, 400),
        ("/v1/phone_verifications", {"phone": NUMBER, "channel": "email"}, 400),
        ("/v1/phone_verifications", {"phone": "112"}, 422),
        ("/v1/phone_verifications", {"phone": NUMBER, "sender": "Acme Bank plc"}, 400),
        ("/v1/phone_verifications/check", {"phone": NUMBER}, 400),
        ("/v1/phone_verifications/check", {"phone": NUMBER, "code": ""}, 400),
        ("/v1/messages", {"phone": NUMBER}, 400),
        ("/v1/messages", {"phone": NUMBER, "text": "a" * 1601}, 400),
        ("/v1/messages", {"phone": NUMBER, "text": "a\u0007"}, 422),
        ("/v1/messages", {"phone": NUMBER, "text": "a", "sender": "a\r\nb"}, 422),
        ("/v1/messages", {"phone": NUMBER, "text": "a", "sender": "Acme Bank plc"}, 400),
        ("/v1/messages", {"phone": NUMBER, "text": "a", "seconds_to_expire": 1}, 400),
        ("/v1/messages", {"phone": NUMBER, "text": "a", "send_at": "tomorrow"}, 400),
        ("/v1/messages", {"phone": NUMBER, "email": "a@example.com", "text": "a"}, 400),
        ("/v1/messages", {"phone": NUMBER, "text": "a", "channel": "email"}, 403),
        ("/v1/users/1/recovery_codes/verify", {"code": "k7m2x-9qwrt"}, 404),
        ("/v1/users/1/recovery_codes", None, 404),
    ],
)
async def test_nothing_else_is_made_of_it_either(shop: OneCode, path: str, wanted: Any, status: int) -> None:
    """Verifications, messages and recovery codes are as strict."""
    found, problem = await shop("POST", path, wanted)
    assert (found, problem["code"] in CODES) == (status, True), problem
    assert (await shop("GET", "/v1/messages"))[1]["items"] == []


async def test_a_sender_is_taken_where_a_gateway_takes_it(shop: OneCode) -> None:
    """What would keep every gateway from a message is refused at once; an e-mail may come under any name."""
    senders = (
        "Acme",
        "A & B",
        "+447700900999",
        "13013",
        "Acme Bank p",
        "Acme Bank pl",
        "Ácme",
        "+",
        "-x",
        "1" * 16,
    )
    for number, sender in enumerate(senders):
        phone = f"+44770090012{number}"
        status, problem = await shop.issue(phone=phone, sender=sender)
        taken = objection(Outgoing(id="1", channel="sms", to=phone, text="Hi", sender=sender)) is None
        assert status == (201 if taken else 400), (sender, problem)
    status, made = await shop.issue(email="ada@example.com", sender="Ácme Bank <codes@acme.example>")
    assert status == 201, made


async def test_what_policy_forbids_is_refused_by_name(shop: OneCode) -> None:
    """A country that is not allowed, a line that takes no texts, a channel without gateway: 403 and 422, each its code."""
    await shop.policies(**{"code.countries": "34", "code.lines": "mobile", "route.voice": "elsewhere"})
    for wanted, status, code in (
        ({"phone": NUMBER}, 403, "country_not_allowed"),
        ({"phone": "+34 911 23 45 67"}, 422, "not_a_mobile"),
        ({"phone": "+34 600 00 00 00", "channel": "voice"}, 422, "no_route"),
        ({"phone": "+34 600 00 00 00"}, 201, None),
    ):
        found, answer = await shop.issue(**wanted)
        assert (found, answer.get("code")) == (status, code), answer
