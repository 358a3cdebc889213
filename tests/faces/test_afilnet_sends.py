"""Afilnet's neighbours of OTP: messages by four channels, what became of them, templates, balance and price."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_args

import pytest

from placet_server.domain.mail import MessageStatus
from placet_server.faces.afilnetmessages import STATES, money
from placet_server.testing import ManualClock
from support.afilnet import PHONE, afilnet, code, said, verified
from support.otpfaces import Desk, add

TEMPLATES = {"templates": {"1000": "Hello <name>, your code is {code}. < name > <other>"}}
NO_ROUTE = {"status": "ERROR", "error": "NO_ROUTE_AVAILABLE"}


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Desk]:
    """A server with the account of the examples, whose sends cost 0.05."""
    async with afilnet(tmp_path, price=500, settings=TEMPLATES) as made:
        yield made


def test_every_state_has_a_word_and_amounts_have_two_decimals() -> None:
    """The table of states is total; amounts in 1/10,000 show more digits only where they are needed."""
    assert set(STATES) == set(get_args(MessageStatus))
    shown = {0: "0.00", 1: "0.0001", 500: "0.05", 1234: "0.1234", 100_000: "10.00", -2500: "-0.25"}
    assert {amount: money(amount) for amount in shown} == shown


async def test_an_otp_integration_works_to_its_end(at: Desk) -> None:
    """generateotp, then the caller's own sendsms with the code in it, then verifyotp with what arrived."""
    value = await code(at, otpformat="numbers")
    sent = await said(at, "sms", "sendsms", **{"from": "Shop", "to": PHONE, "sms": f"Your code: {value}"})
    assert sent["status"] == "SUCCESS"
    assert sent["result"]["credits"] == "0.05"
    (message,) = await at.arrived(1)
    assert (message["channel"], message["to"], message["sender"]) == ("sms", f"+{PHONE}", "Shop")
    found = re.search("[0-9]{6}", message["text"])
    assert found
    assert await verified(at, found[0])
    assert (await said(at, "user", "getbalance"))["result"] == "9.95"


@pytest.mark.parametrize(
    ("method", "fields", "expected"),
    [
        (
            "sms/sendsmsfromtemplate",
            {"to": f"+{PHONE}", "idtemplate": "1000", "params": "name:Ana,code:4K9Q:2Z,unused:1"},
            {"channel": "sms", "text": "Hello Ana, your code is 4K9Q:2Z. Ana <other>"},
        ),
        ("voice/sendvoice", {"to": PHONE, "message": "hola", "language": "es"}, {"channel": "voice", "language": "es-ES"}),
        ("voice/sendvoice", {"to": PHONE, "message": "salut", "lang": "FR"}, {"channel": "voice", "language": "fr-FR"}),
        ("voice/sendvoice", {"to": PHONE, "message": "hi", "lang": "tlh"}, {"channel": "voice", "language": "en-US"}),
        (
            "email/sendemail",
            {"to": "Ana@Example.org", "subject": "Code", "email": "<p>It is <b>4K9Q2Z</b></p>"},
            {"channel": "email", "to": "ana@example.org", "text": "It is 4K9Q2Z"},
        ),
        (
            "whatsapp/sendmessage",
            {"platformid": "100", "destination": PHONE, "message": "hello"},
            {"channel": "whatsapp", "text": "hello"},
        ),
    ],
)  # fmt: skip
async def test_messages_leave_by_their_channels(
    at: Desk, method: str, fields: dict[str, str], expected: dict[str, str]
) -> None:
    """Template places, languages under both names, HTML with its text, WhatsApp: each arrives as it should."""
    told = await said(at, *method.split("/"), **fields)
    assert set(told["result"]) == {"messageid", "credits"}
    (message,) = await at.arrived(1)
    assert {name: message[name] for name in expected} == expected


async def test_what_has_no_way_is_no_route(at: Desk) -> None:
    """Malformed numbers and addresses, a country and a channel that policy forbids: one answer, nothing is sent."""
    body = {"from": "Me", "sms": "x"}
    for to in ("12", "nobody@", "34600000000,34600000001"):
        assert await said(at, "sms", "sendsms", to=to, **body) == NO_ROUTE
    assert await said(at, "email", "sendemail", to=PHONE, subject="s", email="x") == NO_ROUTE
    await at.live.domain.applications.set_policies(
        "acme", {"code.countries": "44", "code.channels": "sms"}, at.live.clock.now()
    )
    assert await said(at, "sms", "sendsms", to=PHONE, **body) == NO_ROUTE
    assert await said(at, "voice", "sendvoice", to="447700900123", message="x") == NO_ROUTE
    assert (await said(at, "sms", "sendsms", to="447700900123", **body))["status"] == "SUCCESS"
    assert at.sent() <= 1


async def test_compulsory_parameters_are_missed(at: Desk) -> None:
    """Without any one of its compulsory parameters no method sends."""
    complete: dict[str, dict[str, str]] = {
        "sms/sendsms": {"from": "Me", "to": PHONE, "sms": "x"},
        "sms/sendsmsfromtemplate": {"to": PHONE, "idtemplate": "1000"},
        "voice/sendvoice": {"to": PHONE, "message": "x"},
        "email/sendemail": {"to": "ana@example.org", "subject": "s", "email": "x"},
        "whatsapp/sendmessage": {"platformid": "1", "destination": PHONE, "message": "x"},
        "sms/getdeliverystatus": {"messages": "x"},
    }
    for method, fields in complete.items():
        for missing in fields:
            told = await said(at, *method.split("/"), **{**fields, missing: ""})
            assert told == {"status": "ERROR", "error": "MISSING_COMPULSORY_PARAM"}, (method, missing)
    assert at.sent() == 0


async def test_templates_belong_to_the_credential(at: Desk) -> None:
    """An unknown template id, and that of another account, are NOT_ACCESS_TO_TEMPLATE."""
    await add(at.live, "afilnet", "other@example.org", "an0ther-one", settings={"templates": {"2000": "x"}})
    for fields in (
        {"idtemplate": "2000"},
        {"idtemplate": "1000", "user": "other@example.org", "password": "an0ther-one"},
    ):
        told = await said(at, "sms", "sendsmsfromtemplate", to=PHONE, **fields)
        assert told == {"status": "ERROR", "error": "NOT_ACCESS_TO_TEMPLATE"}


async def test_delivery_status_tells_of_own_messages_alone(at: Desk) -> None:
    """Known ids in the order asked, each with a state; foreign and malformed ids are left out."""
    ids = []
    for number in range(2):
        told = await said(at, "sms", "sendsms", **{"from": "Me", "to": f"3460000000{number}", "sms": "x"})
        ids.append(told["result"]["messageid"])
    await at.arrived(2)
    async with asyncio.timeout(20):
        while True:
            told = await said(at, "sms", "getdeliverystatus", messages=f"{ids[1]}, nope,{ids[0]}")
            if {each["deliverystatus"] for each in told["result"]} != {"PENDING"}:
                break
            await asyncio.sleep(0.01)
    assert [each["messageid"] for each in told["result"]] == [ids[1], ids[0]]
    assert all(set(each) == {"messageid", "sms", "deliverydate", "deliverystatus"} for each in told["result"])
    await add(at.live, "afilnet", "other@example.org", "an0ther-one")
    theirs: dict[str, Any] = {"user": "other@example.org", "password": "an0ther-one"}
    told = await said(at, "voice", "getdeliverystatus", messages=ids[0], **theirs)
    assert told == {"status": "SUCCESS", "result": []}


async def test_scheduled_messages_wait_for_their_time(at: Desk) -> None:
    """A time ahead (UTC) is kept, a past one is now; what is no time is refused rather than sent at once."""
    clock = at.live.clock
    assert isinstance(clock, ManualClock)
    body = {"from": "Me", "to": PHONE, "sms": "x"}
    told = await said(at, "sms", "sendsms", scheduledatetime="2027-01-15 09:00:00", **body)
    waiting = told["result"]["messageid"]
    told = await said(at, "sms", "sendsms", scheduledatetime="2020-01-01 00:00:00", **body)
    assert told["status"] == "SUCCESS"
    await at.arrived(1)
    for bad in ("tomorrow", "2027-13-01 00:00:00", "2037-01-01 00:00:00"):
        told = await said(at, "sms", "sendsms", scheduledatetime=bad, **body)
        assert told == {"status": "ERROR", "error": "INCORRECT_FORMAT"}
    told = await said(at, "sms", "getdeliverystatus", messages=waiting)
    assert told["result"][0]["deliverystatus"] == "PENDING"
    assert at.sent() == 1


async def test_an_empty_balance_sends_nothing_but_codes_are_made(at: Desk) -> None:
    """NO_CREDITS on sends; generateotp costs nothing; the balance is never overdrawn by more than one price."""
    await add(at.live, "afilnet", "poor@example.org", "p00r-one", balance=700, price=500)
    who = {"user": "poor@example.org", "password": "p00r-one"}
    body = {"from": "Me", "to": PHONE, "sms": "x"}
    answers = [await said(at, "sms", "sendsms", **who, **body) for _ in range(3)]
    assert [each.get("error") for each in answers] == [None, None, "NO_CREDITS"]
    assert (await said(at, "user", "getbalance", **who))["result"] == "-0.03"
    assert await code(at, **who)


async def test_an_account_that_is_not_counted_tells_a_large_balance(at: Desk) -> None:
    """Without a balance nothing is counted, and clients that compare see enough; a switch says how much."""
    await add(at.live, "afilnet", "free@example.org", "fr33-one")
    who = {"user": "free@example.org", "password": "fr33-one"}
    assert (await said(at, "user", "getbalance", **who))["result"] == "999999.99"
    told = await said(at, "sms", "sendsms", **who, **{"from": "Me", "to": PHONE, "sms": "x"})
    assert told["result"]["credits"] == "0.00"


async def test_the_sixth_message_in_ten_minutes_is_no_credits(at: Desk) -> None:
    """The budget of a destination holds on sends, in every spelling; codes are generated all the same."""
    for number in range(6):
        to = (PHONE, f"+{PHONE}", f"00{PHONE}")[number % 3]
        told = await said(at, "sms", "sendsms", **{"from": "Me", "to": to, "sms": "x"})
        assert told.get("error") == ("NO_CREDITS" if number == 5 else None)
    assert await code(at)
    assert (await said(at, "user", "getbalance"))["result"] == "9.75"


async def test_refused_addresses_look_like_wrong_credentials(at: Desk) -> None:
    """An address that is not on the list gets the same answer with a right and with a wrong password, or the switch's."""
    for user, settings, error in [
        ("far@example.org", {}, "INCORRECT_USER_PASSWORD"),
        ("farther@example.org", {"refused_ip": "IP_NOT_ALLOWED"}, "IP_NOT_ALLOWED"),
    ]:
        await add(at.live, "afilnet", user, "far-0ff-one", allow_ip=("203.0.113.0/24",), settings=settings)
        told = await said(at, "user", "getbalance", user=user, password="far-0ff-one")
        assert told == {"status": "ERROR", "error": error}
    assert (await said(at, "user", "getbalance", user=user, password="wr0ng-one"))[
        "error"
    ] == "INCORRECT_USER_PASSWORD"
