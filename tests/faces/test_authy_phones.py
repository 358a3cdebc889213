"""Phone verifications and phone information on the Authy face."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from placet_server.domain.codes import Outcome
from placet_server.faces.authyphones import TYPES
from placet_server.faces.authyreplies import CHECKS, PHONE_CHECKS
from placet_server.ports import PhoneInfo
from placet_server.testing import ManualClock
from support.authying import FORM, Authy, authy_server

START = "/protected/json/phones/verification/start"
CHECK = "/protected/json/phones/verification/check"
STATUS = "/protected/json/phones/verification/status"
NUMBER: dict[str, Any] = {"phone_number": "201-555-0123", "country_code": "1"}
QUERY = "?phone_number=201-555-0123&country_code=1"


@pytest.fixture
async def authy(tmp_path: Path) -> AsyncIterator[Authy]:
    """A server with an Authy credential and a clock that is moved by hand."""
    async with authy_server(tmp_path, ManualClock()) as made:
        yield made


def test_every_outcome_and_type_has_its_words() -> None:
    """No outcome of a check and no type of number is without an answer; only matched is a success."""
    assert set(CHECKS) == set(PHONE_CHECKS) == set(get_args(Outcome))
    for table in (CHECKS, PHONE_CHECKS):
        assert [outcome for outcome, said in table.items() if said.status == 200] == ["matched"]
    assert {*TYPES, "unknown"} == set(get_args(get_type_hints(PhoneInfo)["type"]))


async def test_a_phone_is_verified_once(authy: Authy) -> None:
    """Start, a wrong code, the right one, and nothing is pending after it; status follows."""
    started = await authy.good("POST", START, {**NUMBER, "via": "sms"})
    assert started["message"] == "Text message sent to +1 201-555-0123."
    assert started["seconds_to_expire"] == 600
    assert isinstance(started["carrier"], str)
    assert {type(started["is_cellphone"]), type(started["is_ported"])} == {bool}
    code = await authy.code(1)
    assert len(code) == 4
    pending = await authy.good("GET", STATUS + QUERY)
    assert (pending["status"], pending["message"]) == ("pending", "Phone Verification status.")
    wrong = f"{(int(code) + 1) % 10_000:04}"
    status, answer = await authy.send("GET", f"{CHECK}{QUERY}&verification_code={wrong}")
    assert (status, answer["error_code"]) == (401, "60022")
    assert answer["message"] == "Verification code is incorrect"
    good = await authy.good("GET", f"{CHECK}{QUERY}&verification_code={code}")
    assert good["message"] == "Verification code is correct."
    for query in (QUERY, f"?uuid={started['uuid']}"):
        assert (await authy.good("GET", STATUS + query))["status"] == "verified"
    status, answer = await authy.send("GET", f"{CHECK}{QUERY}&verification_code={code}")
    assert (status, answer["error_code"]) == (404, "60023")
    assert answer["message"] == "No pending verifications for +1 201-555-0123 found."


async def test_within_ten_minutes_the_same_code_is_sent_again(authy: Authy) -> None:
    """Repeats neither change nor prolong it; after its time a new one comes."""
    await authy.good("POST", START, NUMBER)
    clock = authy.server.clock
    assert isinstance(clock, ManualClock)
    clock.advance(seconds=500)
    again = await authy.good("POST", START, {**NUMBER, "via": "call"})
    assert again["seconds_to_expire"] == 100
    assert again["message"] == "Call to +1 201-555-0123 initiated"
    assert await authy.code(1) == await authy.code(2)
    assert [message.channel for message in authy.gateway.sent] == ["sms", "voice"]
    clock.advance(seconds=101)
    assert (await authy.good("GET", STATUS + QUERY))["status"] == "expired"
    assert (await authy.bad("GET", f"{CHECK}{QUERY}&verification_code={await authy.code(1)}"))[1] == "60023"
    fresh = await authy.good("POST", START, NUMBER)
    assert fresh["seconds_to_expire"] == 600
    assert fresh["uuid"] != again["uuid"]


async def test_starts_at_once_are_one_verification(authy: Authy) -> None:
    """Impatient clients that start several times in one moment get one uuid, and every message holds the same code."""
    started = await asyncio.gather(*(authy.good("POST", START, NUMBER) for _ in range(4)))
    assert len({answer["uuid"] for answer in started}) == 1
    code = await authy.code(1)
    good = await authy.good("GET", f"{CHECK}{QUERY}&verification_code={code}")
    assert good["message"] == "Verification code is correct."
    assert {message.code for message in authy.gateway.sent} == {code}


async def test_length_locale_and_place_of_the_parameters_are_the_callers(authy: Authy) -> None:
    """Six digits on demand, Spanish words for a Spanish call, parameters in a form or behind a GET."""
    form = "phone_number=86-674-2932&country_code=84&via=call&locale=es&code_length=6"
    started = await authy.good("POST", START, form, **FORM)
    assert started["message"] == "Llamada a +84 86-674-2932 fue iniciada."
    code = await authy.code(1)
    assert len(code) == 6
    body = f"phone_number=86-674-2932&country_code=84&verification_code={code}"
    assert (await authy.good("GET", CHECK, body, **FORM))["success"] is True


@pytest.mark.parametrize(
    ("sent", "status", "code", "message"),
    [
        (
            {"phone_number": "201-555-0123"},
            400,
            "60004",
            "Invalid parameter: country_code - Parameter is required",
        ),
        (
            {"phone_number": "201-555-0123", "country_code": "xxx"},
            400,
            "60004",
            "Invalid parameter: country_code - 'xxx' is not a valid Integer",
        ),
        ({"country_code": 1}, 400, "60004", "Invalid parameter: phone_number - Parameter is required"),
        ({"country_code": 1, "phone_number": "12"}, 400, "60033", "Phone number is invalid"),
        ({"country_code": 1, "phone_number": "nope"}, 400, "60033", "Phone number is invalid"),
        (
            {**NUMBER, "code_length": "3"},
            400,
            "60004",
            "Invalid parameter: code_length - goes from 4 to 10",
        ),
        (
            {**NUMBER, "custom_code": "12345"},
            503,
            "60021",
            "Phone verification couldn't be created: custom codes are not allowed.",
        ),
        (
            {**NUMBER, "custom_message": "Hi {{code}}"},
            503,
            "60091",
            "Phone verification couldn't be created: custom messages are not allowed.",
        ),
    ],
)
async def test_what_cannot_be_started_is_said_in_authys_words(
    authy: Authy, sent: dict[str, Any], status: int, code: str, message: str
) -> None:
    """Each mistake has its status, its code and its sentence, and sends nothing."""
    got, answer = await authy.send("POST", START, sent)
    assert (got, answer["error_code"], answer["message"]) == (status, code, message)
    assert not authy.gateway.sent


async def test_custom_code_and_message_work_where_the_credential_has_them(authy: Authy) -> None:
    """The caller's own code and text leave, and a text without a place for the code is refused."""
    headers = await authy.credential("custom-key-of-acme-0001", custom_code=True, custom_message=True)
    sent = {**NUMBER, "custom_code": "ab12cd", "custom_message": "Hi {{code}}, from us"}
    status, _ = await authy.send("POST", START, sent, headers)
    assert status == 200
    message = (await authy.gateway.count(1))[0]
    assert (message.code, message.text) == ("ab12cd", "Hi ab12cd, from us")
    status, answer = await authy.send("GET", f"{CHECK}{QUERY}&verification_code=ab12cd", None, headers)
    assert status == 200, answer
    for bad in ({"custom_message": "no place"}, {"custom_code": "a b"}, {"custom_code": "123"}):
        status, answer = await authy.send("POST", START, {**NUMBER, **bad}, headers)
        assert (status, answer["error_code"]) == (400, "60004")


async def test_the_number_is_spelled_as_the_switches_say(authy: Authy) -> None:
    """The bare form of 60023 and the period of a call are the credential's choice."""
    headers = await authy.credential("bare-key-of-acme-000001", no_pending="bare", call_period=True)
    _, answer = await authy.send("GET", f"{CHECK}{QUERY}&verification_code=1234", None, headers)
    assert answer["message"] == "No pending verifications for 201-555-0123 found."
    _, answer = await authy.send("POST", START, {**NUMBER, "via": "call"}, headers)
    assert answer["message"] == "Call to +1 201-555-0123 initiated."


async def test_a_verification_dies_of_guesses(authy: Authy) -> None:
    """After its tries nothing is pending any more, and the right code does not help."""
    await authy.good("POST", START, NUMBER)
    code = int(await authy.code(1))
    seen = [
        await authy.bad("GET", f"{CHECK}{QUERY}&verification_code={(code + 1 + guess) % 10_000:04}")
        for guess in range(5)
    ]
    assert seen == [(401, "60022")] * 5
    status, answer_code = await authy.bad("GET", f"{CHECK}{QUERY}&verification_code={code:04}")
    assert (status, answer_code) in {(404, "60023"), (429, "60003")}


async def test_phone_information_has_the_form_that_a_client_compares(authy: Authy) -> None:
    """Message, type, provider and ported are of the documented types; nothing is sent."""
    info = await authy.good("GET", "/protected/json/phones/info?phone_number=7754615609&country_code=1")
    assert re.fullmatch(r"Phone number information as of \d+-\d+-\d+ \d+:\d+:\d+ UTC", info["message"])
    assert info["type"] in set(TYPES.values())
    assert isinstance(info["provider"], str)
    assert info["ported"] is False
    mobile = await authy.good("GET", "/protected/json/phones/info?phone_number=179-449-1095&country_code=49")
    assert mobile["type"] == "cellphone"
    assert await authy.bad("GET", "/protected/json/phones/info?phone_number=1&country_code=1") == (
        400,
        "60033",
    )
    assert not authy.gateway.sent


async def test_a_range_that_does_not_tell_is_what_the_credential_says(authy: Authy) -> None:
    """North American numbers count as cellphones unless a switch says otherwise; a landline elsewhere never does."""
    numbers = {
        "unclear": "phone_number=7754615609&country_code=1",
        "landline": "phone_number=30901820&country_code=49",
    }

    async def said(**key: str) -> dict[str, tuple[str, bool]]:
        return {
            name: (
                (await authy.good("GET", f"/protected/json/phones/info?{query}", **key))["type"],
                (await authy.good("POST", f"{START}?{query}&via=call", **key))["is_cellphone"],
            )
            for name, query in numbers.items()
        }

    assert await said() == {"unclear": ("cellphone", True), "landline": ("landline", False)}
    other = await authy.credential("unclear-key-of-acme-0001", unclear_range="unknown")
    assert await said(**other) == {"unclear": ("unknown", False), "landline": ("landline", False)}


async def test_unknown_verifications_are_not_found(authy: Authy) -> None:
    """By uuid or by number, in the words of status."""
    for query in (QUERY, "?uuid=nope", "?uuid=0199a000-0000-7000-8000-000000000001"):
        status, answer = await authy.send("GET", STATUS + query)
        assert (status, answer["error_code"], answer["message"]) == (
            404,
            "60023",
            "Phone verification not found",
        )
