"""The Octopush face: its tolerance, the order of its errors, and what a request goes through."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_args

import pytest
from apprise import Apprise
from apprise.plugins.octopush import NotifyOctopush
from hypothesis import given
from hypothesis import strategies as st

from placet_server.domain.codes import Outcome
from placet_server.domain.ids import is_id, new_id
from placet_server.domain.refusals import CODES
from placet_server.faces import octopushwords as words
from placet_server.faces.octopush import id_of, token_of
from placet_server.faces.octopushreplies import OUTCOMES, REFUSALS
from placet_server.testing import ManualClock, SeededEntropy
from support.otpfaces import PHONE, Desk, add, desk, found
from support.transcripts import replay, untold

LOGIN = "demo@example.org"
HEADERS = {"Content-Type": "application/json", "api-login": LOGIN, "api-key": "OCTOKEY"}
GENERATE = "/v1/public/service/otp/generate"
VALIDATE = "/v1/public/service/otp/validate"


@pytest.fixture
async def octo(tmp_path: Path) -> AsyncIterator[Desk]:
    """A server with one Octopush account of balance 10.00, on a clock that stands still."""
    async with desk(tmp_path, "octopush", LOGIN, "OCTOKEY", balance=100_000, clock=ManualClock()) as made:
        yield made


async def generate(octo: Desk, headers: dict[str, str] | None = None, **sent: Any) -> tuple[int, Any]:
    """One request for a code."""
    return await octo.ask("POST", GENERATE, json.dumps({"phone_number": PHONE, **sent}), headers or HEADERS)


async def validate(octo: Desk, headers: dict[str, str] | None = None, **sent: Any) -> tuple[int, int]:
    """Status and number of one validation."""
    status, told = await octo.ask("PUT", VALIDATE, json.dumps(sent), headers or HEADERS)
    return status, told["code"]


async def token_and_code(octo: Desk, **sent: Any) -> tuple[str, str]:
    """A new request and the code that arrived for it; the text is the code alone."""
    before = octo.sent()
    clock = octo.live.clock
    assert isinstance(clock, ManualClock)
    clock.advance(ms=1)  # ids tell older from newer by the millisecond
    status, told = await generate(octo, **sent)
    assert (status, told["code"], told["message"]) == (200, 0, "success")
    return told["otp_request_token"], (await octo.arrived(before + 1))[-1]["text"]


def wrong(code: str) -> str:
    """Another code of the same length."""
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}}"


def test_every_outcome_and_refusal_has_a_reply() -> None:
    """The tables are total, and nothing but a match reads as success."""
    assert set(OUTCOMES) == set(get_args(Outcome))
    assert set(REFUSALS) == set(CODES)
    bad = [*REFUSALS.values(), *(said for outcome, said in OUTCOMES.items() if outcome != "matched")]
    assert all(said.code > 0 and said.status >= 400 for said in bad)


@given(st.integers(0, 2**48 - 1), st.integers())
def test_a_token_is_its_codes_id(now: int, seed: int) -> None:
    """Every id gives a token of 24 characters, and the token gives the id back."""
    code_id = new_id(now, SeededEntropy(seed))
    token = token_of(code_id)
    assert re.fullmatch("otp_[0-9a-z]{24}", token)
    assert id_of(token) == code_id


@given(st.text(max_size=40))
def test_what_is_no_token_names_no_code(text: str) -> None:
    """Any text is answered by None or by something of the form of an id."""
    found = id_of(text)
    assert found is None or is_id(found)


@pytest.mark.parametrize(
    ("sent", "pattern"),
    [
        ({}, r"[0-9]{6}"),
        ({"code_length": "8 chars"}, r"[0-9]{8}"),
        ({"code_length": 99}, r"[0-9]{32}"),
        ({"code_length": 1}, r"[0-9]{4}"),
        ({"code_length": None}, r"[0-9]{6}"),
        ({"allow_digits": "no", "allow_upper_case": "ON", "code_length": 32}, r"[A-Z]{32}"),
        ({"allow_digits": 0, "allow_lower_case": 1, "code_length": 32.0}, r"[a-z]{32}"),
        ({"allow_digits": False, "allow_special_chars": True}, r"[!#$%&?@]{6}"),
        ({"allow_digits": False}, r"[0-9]{6}"),
        (
            {"remove_confusing_characters": True, "allow_upper_case": True, "code_length": 32},
            r"[3-4679A-Z]{32}",
        ),
        ({"text": "Your code: "}, r"Your code: [0-9]{6}"),
        ({"text": "Code {code}, bye"}, r"Code [0-9]{6}, bye"),
        ({"text": "x" * 5000}, r"x+ [0-9]{6}"),
        ({"text": "Until {hh:mm:ss}: {code}", "validity_period": 300}, r"Until 08:05:00: [0-9]{6}"),
    ],
)
async def test_every_parameter_is_understood_as_well_as_can_be(
    octo: Desk, sent: dict[str, Any], pattern: str
) -> None:
    """Lengths, alphabets and texts in any type reach the person in the shape that was meant."""
    _, text = await token_and_code(octo, **sent)
    assert re.fullmatch(pattern, text)
    assert len(text) <= words.TEXT_MAX


@pytest.mark.parametrize(
    ("sent", "channel", "language", "gender"),
    [
        ({"channel": "voice_sms"}, "voice", "en-US", "female"),
        ({"channel": "SMS_VOICE", "voice_language": "es_la", "voice_gender": "M"}, "voice", "es-LA", "male"),
        ({"channel": "vocal_sms", "voice_language": "pt", "voice_gender": 7}, "voice", "pt-BR", "female"),
        ({"channel": "pigeon"}, "sms", "en-US", "female"),
        ({"channel": ["voice"]}, "sms", "en-US", "female"),
    ],
)
async def test_channels_languages_and_genders_have_many_names(
    octo: Desk, sent: dict[str, Any], channel: str, language: str, gender: str
) -> None:
    """Both generations of channel names, repaired languages and genders arrive at the gateway."""
    assert (await generate(octo, **sent))[0] == 200
    (message,) = await octo.arrived(1)
    assert (message["channel"], message["language"], message["gender"]) == (channel, language, gender)


def test_all_thirteen_languages_are_known_by_themselves() -> None:
    """Each of them in any case is itself; the bare language is the first of its kind; others are the default."""
    for name in words.LANGUAGES:
        assert words.language(name.upper().replace("-", "_"), "sv-SE") == name
        assert words.language(name[:2], "sv-SE").startswith(name[:2])
    assert words.language("tlh", "sv-SE") == words.language(None, "sv-SE") == "sv-SE"


@pytest.mark.parametrize(
    "sent",
    [
        '{"phone_number":"+33611223344"}',
        '{"phone_number":33611223344}',
        '{"phone_number":33611223344.0,"code_length":NaN,"validity_period":1e999}',
        '{"phone_number":"+33611223344","phone_number":"+33611223344","text":"\\ud800 {code}"}',
        '{"phone_number":" (0033) 6-11.22 33 44 "}',
        "phone_number=%2B33611223344&code_length=6",
    ],
)
async def test_bodies_and_numbers_in_any_dress_reach_the_same_person(octo: Desk, sent: str) -> None:
    """JSON or form, number or text, spaces and zeros: one telephone."""
    status, told = await octo.ask("POST", GENERATE, sent, HEADERS)
    assert (status, told["code"]) == (200, 0)
    assert (await octo.arrived(1))[0]["to"] == PHONE


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ("", 400, 100),
        ("[]", 400, 100),
        ("{", 400, 100),
        ("{}", 400, 110),
        ('{"text":"x"}', 400, 110),
        ('{"phone_number":null}', 400, 110),
        ('{"phone_number":{"a":1}}', 400, 110),
        ('{"phone_number":"12345"}', 400, 117),
        ('{"phone_number":33611223344.5}', 400, 117),
        ('{"phone_number":"+33611223344","phone_number":"+33611223345"}', 400, 117),
        ("phone_number=%2B33611223344&phone_number=%2B33611223345", 400, 117),
        ('{"phone_number":"+333333333333333333"}', 400, 117),
    ],
)
async def test_only_a_missing_body_or_number_refuses(octo: Desk, body: str, status: int, code: int) -> None:
    """100, 110 and 117 are all that generate says about its input, and nothing is sent then."""
    assert (await octo.ask("POST", GENERATE, body, HEADERS))[0] == status
    assert (await octo.ask("POST", GENERATE, body, HEADERS))[1]["code"] == code
    assert octo.sent() == 0


@pytest.mark.parametrize(
    ("query", "body"),
    [
        (
            "code_length=5&channel=voice_sms",
            '{"phone_number":"+33611223344","code_length":8,"channel":"sms"}',
        ),
        ("", '{"phone_number":"+33611223344","code_length":5,"code_length":"8","code_length":null}'),
        ("", "phone_number=%2B33611223344&code_length=5&code_length=8"),
        ("phone_number=%2B33611223344", "code_length=8&text[a]=b&code_length[]=5&[x]=1&text=a&text="),
        ("phone_number=%2B33611223344&code_length=5&code_length=8", '{"phone_number":"+33611223344"}'),
    ],
)
async def test_of_two_values_the_bodys_last_counts(octo: Desk, query: str, body: str) -> None:
    """What contradicts itself, or does not nest, is repaired or left out, and the code is sent all the same."""
    status, told = await octo.ask("POST", f"{GENERATE}?{query}", body, HEADERS)
    assert (status, told["code"]) == (200, 0)
    (message,) = await octo.arrived(1)
    assert (message["to"], message["channel"]) == (PHONE, "sms")
    assert re.fullmatch("[0-9]{8}", message["text"])


async def test_where_a_code_goes_and_whether_it_is_right_is_not_guessed(octo: Desk) -> None:
    """Two telephone numbers, in query and body or in recipients, send nothing; validate takes no two codes."""
    one, other = '{"phone_number":"+33611223344"}', "?phone_number=%2B33611223345"
    status, told = await octo.ask("POST", GENERATE + other, one, HEADERS)
    assert (status, told["code"]) == (400, 117)
    for recipients in ('[{"phone_number":"+33611223344","phone_number":"+33611223345"}]', "[]"):
        body = f'{{"text":"a","recipients":[{one}],"recipients":{recipients}}}'
        assert (await octo.ask("POST", "/v1/public/sms-campaign/send", body, HEADERS))[1]["code"] == 117
    assert octo.sent() == 0
    token, code = await token_and_code(octo)
    for path, body in (
        (VALIDATE, f'{{"otp_request_token":"{token}","code":"{wrong(code)}","code":"{code}"}}'),
        (f"{VALIDATE}?code={wrong(code)}", f'{{"otp_request_token":"{token}","code":"{code}"}}'),
    ):
        status, told = await octo.ask("PUT", path, body, HEADERS)
        assert (status, told["code"]) == (400, 100)
    assert await validate(octo, otp_request_token=token, code=code) == (200, 0)


async def test_credentials_come_by_headers_or_basic_and_are_asked_first(octo: Desk) -> None:
    """Either pair opens the face; without or with wrong ones it is 401 whatever the body says."""
    basic = {"Authorization": "Basic " + base64.b64encode(f"{LOGIN}:OCTOKEY".encode()).decode()}
    assert (await generate(octo, basic))[0] == 200
    for bad in ({"api-login": LOGIN, "api-key": "x"}, {"api-key": "OCTOKEY"}, {"Authorization": "Basic !"}):
        status, told = await octo.ask("POST", GENERATE, "nonsense", bad)
        assert (status, told) == (401, {"code": 101, "message": "Unauthorized."})


async def test_validation_goes_through_the_documented_states(octo: Desk) -> None:
    """199 with what is left, 196 even with the right code, 197 after its time, 198 once used or unknown."""
    token, code = await token_and_code(octo)
    told = [
        await octo.ask(
            "PUT", VALIDATE, json.dumps({"otp_request_token": token, "code": wrong(code)}), HEADERS
        )
        for _ in range(3)
    ]
    assert [(status, said["code"], said["remaining_number_of_attempts"]) for status, said in told] == [
        (400, 199, 2),
        (400, 199, 1),
        (400, 199, 0),
    ]
    assert await validate(octo, otp_request_token=token, code=code) == (400, 196)
    token, code = await token_and_code(octo, validity_period=60)
    clock = octo.live.clock
    assert isinstance(clock, ManualClock)
    clock.advance(seconds=60)
    assert await validate(octo, otp_request_token=token, code=code) == (400, 197)
    token, code = await token_and_code(octo)
    assert await validate(octo, otp_request_token=token, code=f" {code} ") == (200, 0)
    assert await validate(octo, otp_request_token=token, code=code) == (400, 198)
    assert await validate(octo, otp_request_token="otp_" + "0" * 24, code=code) == (400, 198)
    assert await validate(octo, otp_request_token=token, code=code, phone_number="+33600000000") == (400, 198)


async def test_by_number_only_the_newest_counts_and_nothing_falls_back(octo: Desk) -> None:
    """Two requests for one number: the older one is good by its token only."""
    old_token, old = await token_and_code(octo, max_wrong_attempts=9)
    new_token, new = await token_and_code(octo, max_wrong_attempts=9)
    if old != new:
        assert (await validate(octo, phone_number=PHONE, code=old))[1] == 199
    assert await validate(octo, otp_request_token=old_token, code=old) == (200, 0)
    assert await validate(octo, phone_number="0033611223344", code=new) == (200, 0)
    assert await validate(octo, phone_number=PHONE, code=new) == (400, 198)
    assert new_token != old_token


async def test_with_both_the_token_decides(octo: Desk) -> None:
    """An older request is validated by its token beside its own number, and no other; its code is none of the newer."""
    old_token, old = await token_and_code(octo)
    other = "+33600000000"
    assert await validate(octo, otp_request_token=old_token, phone_number=other, code=old) == (400, 198)
    assert await validate(octo, otp_request_token=old_token, phone_number="12", code=old) == (400, 198)
    new_token, new = await token_and_code(octo, code_length=8)
    assert await validate(octo, otp_request_token=old_token, phone_number=PHONE, code=old) == (200, 0)
    assert await validate(octo, otp_request_token=new_token, phone_number=PHONE, code=old) == (400, 199)
    assert await validate(octo, otp_request_token=new_token, phone_number=PHONE, code=new) == (200, 0)


async def test_a_bound_address_is_compared_when_it_is_told(octo: Desk) -> None:
    """Another address is a wrong attempt, none is let through unless policy asks for it."""
    token, code = await token_and_code(octo, recipient_ip="203.0.113.7")
    assert (await validate(octo, otp_request_token=token, code=code, recipient_ip="203.0.113.8"))[1] == 199
    assert await validate(octo, otp_request_token=token, code=code, recipient_ip="203.0.113.7") == (200, 0)
    token, code = await token_and_code(octo, recipient_ip="2001:db8::1")
    assert await validate(octo, otp_request_token=token, code=code) == (200, 0)
    policy = {"code.strict_ip": "true"}
    await octo.live.domain.applications.set_policies("acme", policy, octo.live.clock.now())
    token, code = await token_and_code(octo, recipient_ip="203.0.113.7")
    assert (await validate(octo, otp_request_token=token, code=code))[1] == 199


async def test_paths_are_known_in_any_case_and_with_a_slash_behind(octo: Desk) -> None:
    """Letter case and a trailing slash make no other path; what is missing is said before what is unknown."""
    body = json.dumps({"phone_number": PHONE})
    for path in (f"{GENERATE}/", GENERATE.upper()):
        assert (await octo.ask("POST", path, body, HEADERS))[1]["code"] == 0
    assert (await validate(octo)) == (400, 194)
    assert (await validate(octo, otp_request_token="x")) == (400, 195)
    assert (await octo.ask("PUT", VALIDATE, "", HEADERS))[1]["code"] == 100


async def test_voice_credit_and_accounts_are_kept_apart(octo: Desk) -> None:
    """207 without voice, 104 without credit, 198 for another account's token."""
    await add(octo.live, "octopush", "poor@example.org", "OCTOKEY2", balance=0)
    await add(octo.live, "octopush", "nov@example.org", "OCTOKEY3", settings={"no_voice": True})
    poor = HEADERS | {"api-login": "poor@example.org", "api-key": "OCTOKEY2"}
    mute = HEADERS | {"api-login": "nov@example.org", "api-key": "OCTOKEY3"}
    assert await generate(octo, poor) == (402, {"code": 104, "message": "Not enough credit."})
    assert (await generate(octo, mute, channel="voice"))[1]["code"] == 207
    assert (await generate(octo, mute))[0] == 200
    await octo.arrived(1)
    token, code = await token_and_code(octo)
    assert await validate(octo, mute, otp_request_token=token, code=code) == (400, 198)
    assert await validate(octo, otp_request_token=token, code=code) == (200, 0)


async def test_of_twenty_validations_at_once_one_succeeds(octo: Desk) -> None:
    """Concurrent right codes: success once."""
    token, code = await token_and_code(octo)
    said = await asyncio.gather(*(validate(octo, otp_request_token=token, code=code) for _ in range(20)))
    assert said.count((200, 0)) == 1
    assert set(said) <= {(200, 0), (400, 198)}


async def test_apprise_sends_its_plain_message(octo: Desk) -> None:
    """The PyPI client, unmodified but for its address, reports success and its text arrives."""
    sender = NotifyOctopush(api_login=LOGIN, api_key="OCTOKEY", targets=[PHONE], sender="MySender")
    sender.notify_url = f"{octo.live.url}/v1/public/sms-campaign/send"
    client = Apprise()
    client.add(sender)
    assert await client.async_notify(body="hello from a machine")
    (message,) = await octo.arrived(1)
    assert (message["to"], message["text"], message["sender"]) == (PHONE, "hello from a machine", "MySender")


async def test_the_wallet_tells_what_is_left(octo: Desk) -> None:
    """Balance in money, credits in messages by country."""
    await add(octo.live, "octopush", "paid@example.org", "OCTOKEY5", balance=20_000, price=500)
    paid = {"api-login": "paid@example.org", "api-key": "OCTOKEY5"}
    assert (await generate(octo, HEADERS | paid))[0] == 200
    assert await octo.ask("GET", "/v1/public/wallet/check-balance", headers=paid) == (
        200,
        {"amount": 1.95, "unit": "euros"},
    )
    status, told = await octo.ask("GET", "/v1/public/wallet/check-credits?country_codes[]=FR", headers=paid)
    assert (status, told["FR"]["premium_sms"]) == (200, 39)


async def test_the_log_tells_what_the_server_made_of_a_call(octo: Desk) -> None:
    """Found by the number in its one spelling: effective length, life and tries, the channel, and the face's number."""
    status, _ = await generate(
        octo, phone_number="0033 6 11 22 33 44", code_length=99, validity_period=10**7, max_wrong_attempts=99
    )
    assert status == 200
    call = await found(octo.live, "octopush", PHONE)
    assert call.code == "0"
    assert call.detail.facts == {"channel": "sms", "length": 32, "seconds": 86_400, "tries": 10}
    assert call.subject is not None
    assert is_id(call.subject)


async def test_the_transcript_is_what_happens(octo: Desk) -> None:
    """docs/api/octopush.md shows exchanges that were replayed to the letter."""

    async def read(values: dict[str, str]) -> None:
        values["code"] = (await octo.arrived(1))[0]["text"]
        values["wrong"] = wrong(values["code"])

    await replay("octopush", octo.live.url, doing={"read": read})
    assert untold("api/octopush.md", ["octopush"]) == []
