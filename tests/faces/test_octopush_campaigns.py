"""What stands beside Octopush's codes: campaigns that are sent whole or not at all, and what is left to spend."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from placet_server.domain.credentials import Change
from placet_server.testing import ManualClock
from support.otpfaces import Desk, desk

LOGIN = "demo@example.org"
HEADERS = {"Content-Type": "application/json", "api-login": LOGIN, "api-key": "OCTOKEY"}
SEND = "/v1/public/sms-campaign/send"
PEOPLE = [f"+3361122330{digit}" for digit in range(4)]


@pytest.fixture
async def octo(tmp_path: Path) -> AsyncIterator[Desk]:
    """A server with one Octopush account of balance 4.35 and a price of 0.05."""
    clock = ManualClock()
    async with desk(tmp_path, "octopush", LOGIN, "OCTOKEY", balance=43_500, price=500, clock=clock) as made:
        yield made


async def send(octo: Desk, people: list[Any], **more: Any) -> tuple[int, Any]:
    """One campaign."""
    recipients = [{"phone_number": number} for number in people]
    body = json.dumps({"recipients": recipients, "text": "hello", **more})
    return await octo.ask("POST", SEND, body, HEADERS)


async def left(octo: Desk) -> Any:
    """What the balance says."""
    return (await octo.ask("GET", "/v1/public/wallet/check-balance", headers=HEADERS))[1]["amount"]


async def test_everybody_gets_a_message_once(octo: Desk) -> None:
    """201 with one ticket, what it cost and what is left; a number that is given twice gets one message."""
    status, told = await send(octo, [PEOPLE[0], PEOPLE[1], PEOPLE[0].replace("+", "00")], sender="Shop 24!")
    assert (status, told["code"], told["message"]) == (201, 0, "success")
    assert (told["number_of_contacts"], told["total_cost"], told["residual_credit"]) == (2, 0.1, 4.25)
    messages = await octo.arrived(2)
    assert {message["to"] for message in messages} == set(PEOPLE[:2])
    assert {message["sender"] for message in messages} == {"Shop24"}
    assert await left(octo) == 4.25


@pytest.mark.parametrize(
    ("people", "answer"),
    [
        ([PEOPLE[0], "12"], (400, 117)),
        ([PEOPLE[0], None], (400, 117)),
        ([PEOPLE[0], {"a": 1}], (400, 117)),
        ([PEOPLE[0], 33611223301.5], (400, 117)),
        ([], (400, 110)),
        ([f"+336112{number:05}" for number in range(101)], (400, 100)),
    ],
)
async def test_a_campaign_with_a_bad_recipient_reaches_nobody(
    octo: Desk, people: list[Any], answer: tuple[int, int]
) -> None:
    """One recipient that cannot be understood, none, or more than 100 refuse all of it."""
    status, told = await send(octo, people)
    assert (status, told["code"]) == answer
    assert await left(octo) == 4.35
    assert octo.sent() == 0


async def test_a_campaign_beyond_a_budget_reaches_nobody(octo: Desk) -> None:
    """Where one number has had its messages, or the money ends in between, none of the others gets one."""
    for _ in range(5):
        assert (await send(octo, [PEOPLE[3]]))[0] == 201
    await octo.arrived(5)
    status, told = await send(octo, PEOPLE)
    assert (status, told["code"]) == (429, 125)
    many = [f"+336112{number:05}" for number in range(90)]  # 82 of them could be paid
    status, told = await send(octo, many)
    assert (status, told["code"]) == (402, 104)
    assert await left(octo) == 4.1
    assert (await send(octo, [PEOPLE[0]]))[0] == 201
    assert len(await octo.arrived(6)) == 6


async def test_a_simulation_checks_all_and_sends_nothing(octo: Desk) -> None:
    """``simulation_mode`` answers as if, tells the cost, and changes neither balance nor budgets."""
    for wanted in (True, "true", 1):
        for _ in range(3):
            status, told = await send(octo, PEOPLE[:2], simulation_mode=wanted)
            assert (status, told["total_cost"], told["residual_credit"]) == (201, 0.1, 4.35)
    assert (await send(octo, ["12"], simulation_mode=True))[1]["code"] == 117
    assert await left(octo) == 4.35
    assert (await send(octo, PEOPLE[:1], simulation_mode="off"))[0] == 201
    assert len(await octo.arrived(1)) == 1


async def test_a_request_id_sends_once(octo: Desk) -> None:
    """Twenty equal calls under one id are one campaign with one answer; another one under it is refused."""
    said = await asyncio.gather(*(send(octo, PEOPLE[:2], request_id="r-1") for _ in range(20)))
    assert {status for status, _ in said} == {201}
    assert len({told["sms_ticket"] for _, told in said}) == 1
    assert (await send(octo, PEOPLE[2:], request_id="r-1"))[1]["code"] == 207
    assert len(await octo.arrived(2)) == 2
    clock = octo.live.clock
    assert isinstance(clock, ManualClock)
    clock.advance(seconds=86_400)
    assert (await send(octo, PEOPLE[:2], request_id="r-1"))[0] == 201
    assert len(await octo.arrived(4)) == 4


async def test_what_is_for_later_is_not_sent_now(octo: Desk) -> None:
    """``send_at`` with or without a zone waits; the past is now; what is no time within 90 days is refused."""
    for wrong in ("soon", "2027-13-01", "2028-01-01T00:00:00Z", 10**400):
        assert (await send(octo, PEOPLE[:1], send_at=wrong))[1]["code"] == 100
    assert (await send(octo, PEOPLE[:1], send_at="2027-01-15T10:00:00+01:00"))[0] == 201
    assert (await send(octo, PEOPLE[1:2], send_at="2027-01-15 09:00:00"))[0] == 201
    assert (await send(octo, PEOPLE[2:3], send_at="2020-01-01T00:00:00Z"))[0] == 201
    assert {message["to"] for message in await octo.arrived(1)} == {PEOPLE[2]}
    page = await octo.live.domain.messages.page(None)
    assert sorted(info.status for info in page.items).count("queued") == 2


@pytest.mark.parametrize(
    ("query", "countries"),
    [
        ("", ["FR"]),
        ("?country_codes[]=FR&country_codes[]=es", ["FR", "ES"]),
        ("?country_codes=ES", ["ES"]),
        ("?country_codes=es,%20fr", ["ES", "FR"]),
        ("?country_codes[0]=IT", ["IT"]),
        ("?country_codes[]=France&country_codes[]=%C3%A9%C3%A9", ["FR"]),
    ],
)
async def test_credits_are_told_for_the_countries_that_are_asked(
    octo: Desk, query: str, countries: list[str]
) -> None:
    """Whole messages that the balance pays, counted without fractions, however the list is written."""
    status, told = await octo.ask("GET", f"/v1/public/wallet/check-credits{query}", headers=HEADERS)
    assert (status, list(told)) == (200, countries)
    assert told[countries[0]] == {"premium_sms": 87, "vocal_sms": 87, "low_cost_sms": 87, "hlr": 0}


async def test_an_overdrawn_account_has_no_credits(octo: Desk) -> None:
    """A last message may cost more than was left; what is below zero reads as no message."""
    credentials = octo.live.domain.credentials
    (credential,) = await credentials.all("octopush")
    await credentials.change(credential.id, Change(balance=200), octo.live.clock.now())
    assert (await send(octo, PEOPLE[:1]))[0] == 201
    status, told = await octo.ask("GET", "/v1/public/wallet/check-credits", headers=HEADERS)
    assert (status, told["FR"]["premium_sms"]) == (200, 0)
    assert await left(octo) == -0.03
