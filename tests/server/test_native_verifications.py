"""Phone verifications over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from placet_server.ports import Sql
from support import farend
from support.native import clock_of, native_api
from support.onecode import OneCode

MOBILE = "+44 7400 123456"


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[OneCode]:
    async with native_api(tmp_path / "data") as native:
        yield OneCode(native, tmp_path / "data")


async def start(shop: OneCode, **wanted: Any) -> tuple[int, Any]:
    """Send a code to the mobile; the message is the code alone."""
    return await shop("POST", "/v1/phone_verifications", {"phone": MOBILE, "text": "{code}", **wanted})


async def test_a_number_is_verified_once(shop: OneCode) -> None:
    """The code that reached the number verifies it; the answer tells what the number's range tells."""
    status, made = await start(shop)
    assert (status, made["status"], made["restricted"]) == (201, "pending", True)
    assert made["line"]["type"] == "mobile"
    assert made["line"]["region"] in {"GB", "GG", "JE", "IM"}
    code = await shop.carried(made)
    assert code not in str(made)
    path = f"/v1/phone_verifications/{made['id']}"
    _, pending = await shop("GET", path)
    assert (pending["status"], pending["line"], pending["tries_left"]) == ("pending", made["line"], 5)
    wrong = {"matched": False, "outcome": "mismatch", "tries_left": 4}
    assert await shop("POST", f"{path}/check", {"code": "wrong"}) == (200, wrong)
    matched = {"matched": True, "outcome": "matched", "tries_left": 4}
    assert await shop("POST", f"{path}/check", {"code": code}) == (200, matched)
    assert (await shop("POST", f"{path}/check", {"code": code}))[1]["outcome"] == "used"
    assert (await shop("GET", path))[1]["status"] == "verified"


async def test_the_number_itself_can_be_named_at_the_check(shop: OneCode) -> None:
    """In any spelling; a number that was never asked is unknown; a verification over time is expired."""
    _, made = await start(shop)
    spelled = {"phone": "07400 123 456", "country_code": 44}
    checked = await shop(
        "POST", "/v1/phone_verifications/check", {**spelled, "code": await shop.carried(made)}
    )
    assert (checked[0], checked[1]["matched"]) == (200, True)
    other = {"phone": "+447400123457", "code": "123456"}
    assert (await shop("POST", "/v1/phone_verifications/check", other))[1]["outcome"] == "unknown"
    _, made = await start(shop)
    late = {"phone": MOBILE, "code": await shop.carried(made)}
    clock_of(shop.native).advance(seconds=601)
    assert (await shop("POST", "/v1/phone_verifications/check", late))[1]["outcome"] == "expired"
    assert (await shop("GET", f"/v1/phone_verifications/{made['id']}"))[1]["status"] == "expired"


async def test_a_call_speaks_as_it_is_asked_to(shop: OneCode) -> None:
    """Language and voice reach the gateway; a code that goes again keeps its voice."""
    wanted = {"phone": MOBILE, "channel": "voice", "language": "it-IT", "gender": "male"}
    for _ in range(2):
        _, made = await shop("POST", "/v1/phone_verifications", wanted)
        said = await farend.message(shop.data, made["message_id"])
        assert (said["language"], said["gender"]) == ("it-IT", "male")
        assert said["text"].startswith("Salve.")


async def test_asking_again_sends_the_same_code(shop: OneCode) -> None:
    """While it counts the same code goes again, by another channel if asked, and does not live longer."""
    _, first = await start(shop)
    clock_of(shop.native).advance(seconds=60)
    _, again = await start(shop, channel="voice")
    assert (again["id"], again.get("repeated"), again["seconds_to_expire"]) == (first["id"], True, 540)
    assert (await farend.message(shop.data, again["message_id"]))["channel"] == "voice"
    spoken = await shop.carried(again)
    assert spoken.replace(", ", "") == await shop.carried(first)
    clock_of(shop.native).advance(seconds=600)
    _, fresh = await start(shop)
    assert fresh["id"] != first["id"]


async def test_starts_at_once_send_one_code(shop: OneCode) -> None:
    """However many ask in the same moment, one makes the code and the others send it again: no message misleads."""
    both = await asyncio.gather(*(start(shop) for _ in range(4)))
    assert [status for status, _ in both] == [201] * 4
    assert len({made["id"] for _, made in both}) == 1
    assert sorted(made.get("repeated", False) for _, made in both) == [False, True, True, True]
    last = await _last(shop)
    newest = next(made for _, made in both if made["message_id"] == last)
    code = await shop.carried(newest)
    assert {message["text"] for message in farend.messages(shop.data)} == {code}
    checked = await shop("POST", f"/v1/phone_verifications/{newest['id']}/check", {"code": code})
    assert checked[1]["outcome"] == "matched"
    after = await asyncio.gather(*(start(shop, phone="+44 7400 123457", code=f"471{n}") for n in range(3)))
    assert len({made["id"] for _, made in after}) == 3, (
        "a code of the caller's own takes the place of another"
    )


async def _last(shop: OneCode) -> str:
    """The message of the only verification that is under way, as the store has it."""
    row = await shop.native.server.store.row(Sql("last", "SELECT message FROM codes"))
    assert row is not None
    return str(row[0])


async def test_api_07_a_verification_under_one_key_sends_once(shop: OneCode) -> None:
    """The same call under a key gives its first answer; without the key the message goes again."""
    key = {"Idempotency-Key": "k-1"}
    wanted = {"phone": MOBILE, "text": "{code}"}
    first = await shop("POST", "/v1/phone_verifications", wanted, **key)
    assert first == await shop("POST", "/v1/phone_verifications", wanted, **key)
    clock_of(shop.native).advance(ms=1)
    again = await shop("POST", "/v1/phone_verifications", wanted)
    await shop.carried(first[1])
    await shop.carried(again[1])
    assert len(farend.messages(shop.data)) == 2


async def test_a_code_is_no_verification_and_a_verification_no_code(shop: OneCode) -> None:
    """Neither is found, or right, in the other's place."""
    _, code = await shop.issue(phone=MOBILE, text="{code}")
    _, made = await start(shop)
    assert (await shop("GET", f"/v1/phone_verifications/{code['id']}"))[0] == 404
    assert (await shop("POST", f"/v1/phone_verifications/{code['id']}/check", {"code": "1234"}))[0] == 404
    text = await shop.carried(made)
    assert (await shop("POST", "/v1/codes/check", {"phone": MOBILE, "code": text}))[1]["matched"] is False
    assert (await shop.check(made["id"], text))[1]["matched"] is False


async def test_no_code_is_made_to_look_like_a_verification(shop: OneCode) -> None:
    """The name under which verifications are shown is no purpose of a code; what went to nobody's number is none."""
    _, made = await start(shop)
    _, seen = await shop("GET", f"/v1/codes/{made['id']}")
    for wanted in ({"deliver": False}, {"email": "ada@example.com"}, {"phone": MOBILE}):
        status, problem = await shop.issue(**wanted, purpose=seen["purpose"])
        assert (status, problem["code"]) == (400, "invalid_request")
        _, other = await shop.issue(**wanted)
        path = f"/v1/phone_verifications/{other['id']}"
        assert (await shop("GET", path))[0] == 404
        assert (await shop("POST", f"{path}/check", {"code": "123456"}))[0] == 404


async def test_otp_13_a_number_is_verified_before_it_is_a_factor(shop: OneCode) -> None:
    """With code.verified_numbers a user's number gets codes only after it matched; e-mails and plain numbers as ever."""
    _, user = await shop(
        "POST", "/v1/users", {"phone": "7400 123456", "country_code": 44, "email": "a@x.org"}
    )
    named = {"tfa_id": user["tfa_id"]}
    assert (await shop.issue(**named))[0] == 201
    await shop.policies(**{"code.verified_numbers": "true"})
    status, problem = await shop.issue(**named)
    assert (status, problem["code"]) == (403, "channel_not_allowed")
    assert "phone verification" in problem["detail"]
    assert (await shop.issue(**named, channel="email"))[0] == 201
    _, plain = await shop.issue(phone=MOBILE, text="{code}")
    assert (await shop.check(plain["id"], await shop.carried(plain)))[1]["matched"]
    assert (await shop.issue(**named))[0] == 403
    _, made = await start(shop)
    path = f"/v1/phone_verifications/{made['id']}/check"
    assert not (await shop("POST", path, {"code": "wrong"}))[1]["matched"]
    assert (await shop.issue(**named))[0] == 403
    assert (await shop("POST", path, {"code": await shop.carried(made)}))[1]["matched"]
    assert (await shop.issue(**named))[0] == 201
    assert (await shop("DELETE", f"/v1/users/{user['tfa_id']}"))[0] == 204
    _, again = await shop("POST", "/v1/users", {"phone": MOBILE.removeprefix("+44 "), "country_code": 44})
    assert (await shop.issue(tfa_id=again["tfa_id"]))[0] == 403
