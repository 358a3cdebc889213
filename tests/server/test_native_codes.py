"""One-time codes over HTTP, read at the far end of the ``file`` gateway."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_args

import pytest

from placet_server.domain.calllog import Sought
from placet_server.domain.texts import LANGUAGES
from placet_server.web.native_codeforms import Language
from support import farend
from support.native import clock_of, native_api
from support.onecode import OneCode


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[OneCode]:
    async with native_api(tmp_path / "data") as native:
        yield OneCode(native, tmp_path / "data")


async def test_otp_03_a_code_is_carried_and_counts_once(shop: OneCode) -> None:
    """The code is in the message and in no answer; the right one matches once, then it is used."""
    status, made = await shop.issue(phone="+44 7700 900123", channel="sms")
    assert (status, made["status"], made["tries"], made["seconds_to_expire"]) == (201, "live", 5, 600)
    assert (made["channels"], made["destination"], made["restricted"]) == (["sms"], "+44********23", True)
    carried = await farend.message(shop.data, made["message_id"])
    assert (carried["to"], carried["channel"], carried["language"]) == ("+447700900123", "sms", "en-US")
    code = carried["text"].split()[0]
    assert (len(code), code.isdigit()) == (6, True)
    matched = {"matched": True, "outcome": "matched", "tries_left": 5}
    assert await shop.check(made["id"], code) == (200, matched)
    for _ in range(2):
        status, answer = await shop.check(made["id"], code)
        assert (status, answer["matched"], answer["outcome"]) == (200, False, "used")
    assert (await shop("GET", f"/v1/codes/{made['id']}"))[1]["status"] == "matched"


async def test_otp_02_nothing_prolongs_a_code(shop: OneCode) -> None:
    """Ten minutes unless told otherwise, a day at most; reading it and wrong tries change nothing about that."""
    _, made = await shop.issue(deliver=False)
    assert made["seconds_to_expire"] == 600
    clock = clock_of(shop.native)
    for _ in range(3):
        clock.advance(seconds=200)
        await shop("GET", f"/v1/codes/{made['id']}")
        await shop.check(made["id"], "wrong")
    clock.advance(seconds=1)
    status, answer = await shop.check(made["id"], made["code"])
    assert (status, answer["matched"], answer["outcome"]) == (200, False, "expired")
    assert (await shop("GET", f"/v1/codes/{made['id']}"))[1]["status"] == "expired"
    _, longest = await shop.issue(deliver=False, seconds_to_expire=2_000_000)
    assert longest["seconds_to_expire"] == 86_400


async def test_otp_08_a_code_is_good_in_its_own_context_only(shop: OneCode) -> None:
    """Each of four codes is good under its own id, number, purpose and application alone: 16 of 64 checks match."""
    await shop.policies(**_PATIENT)
    matched = 0
    for axis in ("id", "phone", "purpose", "application"):
        contexts = [await _context(shop, axis, number) for number in range(4)]
        wrong_ones = [(made, there) for made in contexts for there in contexts if made is not there]
        for made, there in wrong_ones + [(made, made) for made in contexts]:
            status, answer = await _tried(axis, made, there)
            good = status == 200 and answer["matched"]
            assert good == (made is there), (axis, answer)
            matched += good
    assert matched == 16


_PATIENT = {"limits.failures_delay": "20", "limits.failures_max": "100"}


async def _context(shop: OneCode, axis: str, number: int) -> dict[str, Any]:
    """A code that differs from its neighbours in one thing only."""
    by, named = shop, {"phone": "+447700900300", "code": "same-4711"}
    if axis == "id":
        named = {"email": "ada@example.com"}  # codes of their own: what is bound is the id
    elif axis == "phone":
        named = {"phone": f"+44770090020{number}", "code": f"only-{number}"}
    elif axis == "purpose":
        named["purpose"] = f"purpose {number}"
    else:
        by = await shop.another(f"app-{number}")
        await by.policies(**_PATIENT)
        named["phone"] = "+447700900400"
    status, made = await by.issue(deliver=False, **named)
    assert status == 201, made
    return {"by": by, "named": named, "id": made["id"], "code": made["code"]}


async def _tried(axis: str, made: dict[str, Any], there: dict[str, Any]) -> tuple[int, Any]:
    """Check one context's code in another: under its id, for its number, for its purpose, by its application."""
    by: OneCode = (there if axis == "application" else made)["by"]
    if axis == "id":
        return await by.check(there["id"], made["code"])
    if axis == "application":
        return await by.check(made["id"], made["code"])
    if axis == "phone":
        where = {"phone": there["named"]["phone"], "code": made["code"]}
        return await by("POST", "/v1/codes/check", where)
    return await by.check(made["id"], made["code"], purpose=there["named"]["purpose"])


async def test_otp_08_the_newest_code_of_a_purpose_is_meant_without_an_id(shop: OneCode) -> None:
    """By number, by e-mail and by user: the newest code of this purpose, and never an older one or that of another."""
    user = {"tfa_id": shop.native.tfa_id}
    for named in ({"phone": "+44 7700 900301"}, {"email": "ada@example.com"}, user):
        codes = [
            (await shop.issue(deliver=False, purpose=purpose, **named))[1]["code"]
            for purpose in ("login", "login", "pay")
        ]
        for code, purpose, outcome in (
            (codes[0], "login", "mismatch"),
            (codes[2], "login", "mismatch"),
            (codes[1], "login", "matched"),
            (codes[1], "login", "used"),
            (codes[2], "pay", "matched"),
        ):
            status, answer = await shop(
                "POST", "/v1/codes/check", {**named, "code": code, "purpose": purpose}
            )
            assert (status, answer["outcome"]) == (200, outcome), (named, purpose)
        unknown = {"matched": False, "outcome": "unknown", "tries_left": 0}
        assert await shop("POST", "/v1/codes/check", {**named, "code": codes[2]}) == (200, unknown)


async def test_a_code_may_be_bound_to_an_address(shop: OneCode) -> None:
    """A code for a session needs that session's address at the check, however it is spelled."""
    _, made = await shop.issue(deliver=False, recipient_ip="2001:db8::7")
    for given in ({}, {"recipient_ip": "2001:db8::8"}):
        assert (await shop.check(made["id"], made["code"], **given))[1]["outcome"] == "mismatch"
    assert (await shop.check(made["id"], made["code"], recipient_ip="2001:0DB8::0:7"))[1]["matched"] is True


async def test_otp_09_resending_ends_the_old_code(shop: OneCode) -> None:
    """A new code after 30 seconds, read at the far end; the old one is refused, used tries stay used; the 6th send waits."""
    clock = clock_of(shop.native)
    _, made = await shop.issue(phone="+447700900123", text="{code}", purpose="login")
    first = await shop.carried(made)
    assert (await shop.check(made["id"], "wrong", purpose="login"))[1]["tries_left"] == 4
    status, early = await shop("POST", f"/v1/codes/{made['id']}/resend")
    assert (status, early["code"], early["retry_after"]) == (429, "too_many_codes", 30)
    sent = [made]
    for _ in range(4):
        clock.advance(seconds=31)
        status, again = await shop("POST", f"/v1/codes/{sent[-1]['id']}/resend")
        assert (status, again["tries_left"], again["purpose"]) == (201, 4, "login"), again
        assert again["id"] != sent[-1]["id"]
        last = await shop.carried(again)
        sent.append(again)
    answer = (await shop.check(made["id"], first, purpose="login"))[1]
    assert (answer["matched"], answer["outcome"]) == (False, "expired")
    assert (await shop("GET", f"/v1/codes/{made['id']}"))[1]["status"] == "replaced"
    status, ended = await shop("POST", f"/v1/codes/{made['id']}/resend")
    assert (status, ended["code"], ended["state"]) == (409, "not_pending", "replaced")
    clock.advance(seconds=31)
    status, refused = await shop("POST", f"/v1/codes/{sent[-1]['id']}/resend")
    assert (status, refused["code"]) == (429, "too_many_codes")
    assert refused["retry_after"] > 0
    assert (await shop.check(sent[-1]["id"], last, purpose="login"))[1]["matched"] is True
    assert len(farend.messages(shop.data)) == 5


async def test_otp_11_the_code_leaves_by_its_channel_only(shop: OneCode) -> None:
    """No answer, listing or log holds a code that was sent; who asks for it instead of a message gets it once."""
    key = {"Idempotency-Key": "sent"}
    wanted = {"email": "ada@example.com", "code": "canary-47110815", "text": "{code}"}
    made = (await shop("POST", "/v1/codes", wanted, **key))[1]
    assert await shop.carried(made) == "canary-47110815"
    answers = [
        made,
        await shop("POST", "/v1/codes", wanted, **key),
        await shop("GET", f"/v1/codes/{made['id']}"),
        await shop("GET", "/v1/messages"),
        await shop("GET", f"/v1/messages/{made['message_id']}"),
        await shop.check(made["id"], "wrong-wrong"),
        await shop.check(made["id"], "canary-47110815"),
        await shop("POST", f"/v1/codes/{made['id']}/cancel"),
    ]
    assert "canary" not in json.dumps(answers)
    key = {"Idempotency-Key": "handed-out"}
    _, out = await shop("POST", "/v1/codes", {"deliver": False, "length": 12}, **key)
    _, again = await shop("POST", "/v1/codes", {"deliver": False, "length": 12}, **key)
    assert len(out["code"]) == 12
    assert again == {name: value for name, value in out.items() if name != "code"}
    assert "code" not in (await shop("GET", f"/v1/codes/{out['id']}"))[1]


async def test_otp_13_channels_can_be_switched_off_and_are_labelled(shop: OneCode) -> None:
    """What others can listen to says so; a channel that policy does not name is refused, with its name."""
    for channel, restricted in (("sms", True), ("voice", True), ("whatsapp", False), (None, False)):
        wanted = {"deliver": False} if channel is None else {"phone": "+447700900123", "channel": channel}
        _, made = await shop.issue(**wanted)
        assert made["restricted"] is restricted, channel
        assert (await shop("GET", f"/v1/codes/{made['id']}"))[1]["restricted"] is restricted
    assert (await shop.issue(email="ada@example.com"))[1]["restricted"] is True
    await shop.policies(**{"code.channels": "whatsapp"})
    for wanted in (
        {"phone": "+447700900123", "channel": "sms"},
        {"email": "ada@example.com", "channel": "email"},
    ):
        status, refused = await shop.issue(**wanted)
        assert (status, refused["code"]) == (403, "channel_not_allowed")
        assert "whatsapp" in refused["detail"]
    assert (await shop.issue(phone="+447700900123"))[1]["channels"] == ["whatsapp"]


async def test_a_code_has_the_shape_that_was_asked_for(shop: OneCode) -> None:
    """Length 4 to 32, any mix of four kinds of characters, confusing ones left out, or a code of the caller's own."""
    for wanted, allowed in (
        ({"length": 4}, "0123456789"),
        ({"length": 32, "alphabet": ["upper"]}, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        ({"length": 32, "alphabet": ["special", "digits"]}, "!#$%&?@0123456789"),
        ({"length": 32, "unconfusing": True}, "34679"),
        ({"alphabet": ["lower"]}, "abcdefghijklmnopqrstuvwxyz"),
    ):
        status, made = await shop.issue(deliver=False, **wanted)
        assert (status, len(made["code"])) == (201, wanted.get("length", 6))
        assert set(made["code"]) <= set(allowed)
        assert (await shop.check(made["id"], made["code"]))[1]["matched"] is True
    _, own = await shop.issue(deliver=False, code="Mine!4")
    assert own["code"] == "Mine!4"
    assert (await shop.check(own["id"], "mine!4"))[1]["outcome"] == "mismatch"


async def test_a_message_is_worded_as_it_was_asked_for(shop: OneCode) -> None:
    """Template, sender, voice and language reach the gateway; the first channel that reaches the person is used."""
    template = "{app} {code} {minutes} {hh:mm:ss}"
    wanted = {
        "text": template,
        "sender": "Acme",
        "language": "es-LA",
        "gender": "male",
        "seconds_to_expire": 120,
    }
    _, made = await shop.issue(phone="+34600000000", channels=["email", "voice"], code="4711", **wanted)
    carried = await farend.message(shop.data, made["message_id"])
    assert (carried["channel"], carried["sender"]) == ("voice", "Acme")
    assert (carried["language"], carried["gender"]) == ("es-LA", "male")
    assert carried["text"] == "acme 4, 7, 1, 1 2 08:02:00"
    assert set(get_args(Language)) == set(LANGUAGES)
    person = {"country_code": 34, "phone": "600000001", "email": "eva@example.com"}
    eva = (await shop("POST", "/v1/users", person))[1]["tfa_id"]
    for channel, to in (("sms", "+34600000001"), ("email", "eva@example.com")):
        _, made = await shop.issue(tfa_id=eva, channel=channel)
        assert (await farend.message(shop.data, made["message_id"]))["to"] == to


async def test_cancelling_ends_a_code(shop: OneCode) -> None:
    """A cancelled code is never right; what ended cannot be cancelled again."""
    _, made = await shop.issue(deliver=False)
    status, ended = await shop("POST", f"/v1/codes/{made['id']}/cancel")
    assert (status, ended["status"]) == (200, "cancelled")
    assert (await shop.check(made["id"], made["code"]))[1]["matched"] is False
    status, refused = await shop("POST", f"/v1/codes/{made['id']}/cancel")
    assert (status, refused["code"], refused["state"]) == (409, "not_pending", "cancelled")


async def test_api_07_a_create_under_one_key_sends_once(shop: OneCode) -> None:
    """The same call again gives the same code and sends nothing; another call under the key is refused."""
    wanted = {"phone": "+447700900123", "text": "{code}"}
    key = {"Idempotency-Key": "k-1"}
    first = await shop("POST", "/v1/codes", wanted, **key)
    assert [await shop("POST", "/v1/codes", wanted, **key) for _ in range(3)] == [first] * 3
    status, refused = await shop("POST", "/v1/codes", wanted | {"length": 8}, **key)
    assert (status, refused["code"]) == (422, "idempotency_conflict")
    await shop.carried(first[1])
    assert len(farend.messages(shop.data)) == 1


async def test_a_call_tells_the_api_log_whom_it_was_about(shop: OneCode) -> None:
    """An operator finds the calls about a number in any spelling, how a check came out, and what was less than asked."""
    server = shop.native.server
    _, made = await shop.issue(phone="+44 7700 900123", seconds_to_expire=1_000_000)
    await shop("POST", "/v1/codes/check", {"phone": "0044 7700 900123", "code": "wrong"})
    sought = Sought(destination="+447700900123")
    async with asyncio.timeout(30):
        while len((found := await server.domain.calls.search(sought, None, 9)).items) < 2:  # noqa: ASYNC110 - rows follow answers unannounced
            await asyncio.sleep(0.05)
    check, issue = found.items
    assert (check.code, check.subject, issue.subject) == ("mismatch", made["id"], made["id"])
    assert issue.detail.facts == {"seconds_to_expire": 86_400, "tries": 5}
