"""Afilnet's codes: what they look like, how long they live, once and by whom they are taken."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from placet_server.testing import ManualClock
from support.afilnet import PASSWORD, PHONE, afilnet, code, said, verified, wrong
from support.canaries import leaks
from support.gated import logged
from support.otpfaces import Desk, add


def clock(at: Desk) -> ManualClock:
    """The clock of the server."""
    found = at.live.clock
    assert isinstance(found, ManualClock)
    return found


@pytest.mark.parametrize(
    ("fields", "form"),
    [
        ({}, "[0-9A-Z]{6}"),
        ({"otpformat": "all", "length": "7"}, "[0-9A-Z]{7}"),
        ({"otpformat": "numbers"}, "[0-9]{6}"),
        ({"otpformat": "letters", "length": "32"}, "[A-Z]{32}"),
        ({"length": "1"}, "[0-9A-Z]{4}"),
        ({"length": "999"}, "[0-9A-Z]{32}"),
        ({"length": "many", "time": "soon"}, "[0-9A-Z]{6}"),
        ({"length": "-7", "time": "0"}, "[0-9A-Z]{6}"),
    ],
)
async def test_codes_have_the_asked_form(tmp_path: Path, fields: dict[str, str], form: str) -> None:
    """Format and length are honoured within 4 to 32; what is no number falls back to the default."""
    async with afilnet(tmp_path) as at:
        assert re.fullmatch(form, await code(at, **fields))


async def test_type_number_is_mobile_and_emails_work(tmp_path: Path) -> None:
    """The spelling of their own example, and an address in other letters, both verify."""
    async with afilnet(tmp_path) as at:
        value = await code(at, type="number")
        assert await verified(at, value)
        value = await code(at, "Ana@Example.org")
        assert await verified(at, value, "ana@example.ORG.")


async def test_otp_03_a_code_is_taken_once(tmp_path: Path) -> None:
    """The first right try succeeds; further ones never do, whatever else is tried between."""
    async with afilnet(tmp_path) as at:
        value = await code(at)
        assert not await verified(at, wrong(value))
        assert [await verified(at, value) for _ in range(3)] == [True, False, False]


async def test_otp_04_of_twenty_at_once_one_succeeds(tmp_path: Path) -> None:
    """Concurrent right tries: exactly one success."""
    async with afilnet(tmp_path) as at:
        value = await code(at)
        said_ = await asyncio.gather(*(verified(at, value) for _ in range(20)))
        assert said_.count(True) == 1


async def test_otp_05_five_wrong_tries_end_a_code(tmp_path: Path) -> None:
    """The sixth try fails although it is right, also when the throttle would let it pass."""
    async with afilnet(tmp_path) as at:
        value = await code(at)
        for _ in range(5):
            assert not await verified(at, wrong(value))
        assert not await verified(at, value)
        clock(at).advance(seconds=3600)
        assert not await verified(at, value)


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({}, 86_400),
        ({"time": "10", "timetype": "minutes"}, 600),
        ({"time": "2", "timetype": "Hours"}, 7200),
        ({"time": "10", "timetype": "years"}, 86_400),
        ({"time": "99999999", "timetype": "years"}, 86_400),
    ],
)
async def test_codes_live_as_long_as_asked_up_to_policy(
    tmp_path: Path, fields: dict[str, str], seconds: int
) -> None:
    """A code is good until its last millisecond and not after; ten years are cut to code.max_seconds."""
    async with afilnet(tmp_path) as at:
        first, second = await code(at, **fields), await code(at, "34600000001", **fields)
        clock(at).advance(ms=seconds * 1000 - 2)
        assert await verified(at, first)
        clock(at).advance(ms=2)
        assert not await verified(at, second, "34600000001")


async def test_a_longer_policy_lets_codes_live_longer(tmp_path: Path) -> None:
    """With code.max_seconds raised, three months are three months of thirty days."""
    async with afilnet(tmp_path) as at:
        await at.live.domain.applications.set_policies(
            "acme", {"code.max_seconds": "10000000"}, clock(at).now()
        )
        value = await code(at, time="3", timetype="months")
        clock(at).advance(seconds=90 * 86_400 - 1)
        assert await verified(at, value)


async def test_a_new_code_replaces_the_old_one_of_its_destination_alone(tmp_path: Path) -> None:
    """The older code is dead, that of another destination lives."""
    async with afilnet(tmp_path) as at:
        old, other = await code(at), await code(at, "34600000001")
        new = await code(at)
        assert [await verified(at, old), await verified(at, new)] == [False, True]
        assert await verified(at, other, "34600000001")


async def test_a_credential_may_let_codes_live_side_by_side(tmp_path: Path) -> None:
    """With replaces off the codes of a destination are each taken once; a wrong try counts against all of them."""
    async with afilnet(tmp_path, settings={"replaces": False}) as at:
        first, second, third = [await code(at) for _ in range(3)]
        tries = [await verified(at, value) for value in (second, first, third, first, second, third)]
        assert tries == [True] * 3 + [False] * 3
        clock(at).advance(seconds=86_400)
        values = [await code(at) for _ in range(2)]
        tries = [await verified(at, wrong(values[0])) for _ in range(4)]
        assert tries == [False] * 4
        assert not await verified(at, values[0]), "five failures of the destination, not five of each code"


async def test_of_codes_made_at_once_one_is_good(tmp_path: Path) -> None:
    """Ten concurrent requests of one destination leave exactly one live code, and that one verifies."""
    async with afilnet(tmp_path, settings={"tries": 10}) as at:
        fields = {"type": "mobile", "destination": PHONE, "length": "12"}
        answers = await asyncio.gather(*(said(at, "otp", "generateotp", **fields) for _ in range(10)))
        good = 0
        for answer in answers:
            good += await verified(at, answer["result"]["code"])
            clock(at).advance(seconds=3600)
        assert good == 1


async def test_a_code_belongs_to_its_account(tmp_path: Path) -> None:
    """Another account of the same application neither takes it nor spends its tries nor replaces it."""
    async with afilnet(tmp_path) as at:
        await add(at.live, "afilnet", "other@example.org", "an0ther-one")
        value = await code(at)
        theirs: dict[str, Any] = {"user": "other@example.org", "password": "an0ther-one"}
        assert not await verified(at, value, **theirs)
        await code(at, **theirs)
        assert await verified(at, value)


async def test_otp_06_guessing_is_throttled_and_a_fresh_code_is_still_made(tmp_path: Path) -> None:
    """New codes do not reset the failures: tries are refused unheard, and generating goes on."""
    async with afilnet(tmp_path) as at:
        heard = 0
        for _ in range(8):
            value = await code(at)
            for _ in range(5):
                before = await newest_left(at)
                assert not await verified(at, wrong(value))
                heard += before != await newest_left(at)
        assert 5 <= heard < 40
        value = await code(at)
        assert not await verified(at, value), "throttled: even the right code waits"
        clock(at).advance(seconds=3600)
        value = await code(at)
        assert await verified(at, value)


async def newest_left(at: Desk) -> int | None:
    """Tries left of the newest code."""
    from placet_server.domain.destinations import phone

    caller = await at.live.domain.credentials.by_pair(
        "afilnet", "demo@example.org", PASSWORD, clock(at).now()
    )
    assert caller is not None
    info = await at.live.domain.codes.newest(caller, clock(at).now(), destination=phone(PHONE))
    return None if info is None else info.left


async def test_otp_07_twenty_spellings_are_one_destination(tmp_path: Path) -> None:
    """A number in any dress replaces, verifies and is throttled as one; so is an address."""
    phones = [
        "34600000000", "+34600000000", "0034600000000", "+34 600 000 000", "34-600-000-000", "(34) 600000000",
        "+34.600.000.000", "34 0600 000 000", "\uff13\uff14\uff16\uff10\uff10\uff10\uff10\uff10\uff10\uff10\uff10",
        "00 34 600 00 00 00", "+34\t600000000", "34/600000000",
    ]  # fmt: skip
    emails = [
        "ana@b\u00fccher.example", "Ana@B\u00dcCHER.example", "ANA@xn--bcher-kva.example", "ana@b\u00fccher.example.",
        " ana@b\u00fccher.EXAMPLE ", "\uff41na@b\u00fccher.example", "ana@bu\u0308cher.example",
        "ana@XN--BCHER-KVA.example.",
    ]  # fmt: skip
    async with afilnet(tmp_path) as at:
        for spellings in (phones, emails):
            for index, spelling in enumerate(spellings):
                value = await code(at, spelling)
                assert await verified(at, value, spellings[index - 1]), (spelling, spellings[index - 1])
        for spelling in phones[:5]:
            value = await code(at, spelling)
            assert not await verified(at, wrong(value), spelling)
        value = await code(at, phones[6])
        assert not await verified(at, value, phones[7]), (
            "five failures under five spellings throttle the sixth"
        )


def files(folder: Path) -> dict[str, bytes]:
    """Everything that a server left."""
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


async def test_otp_11_the_code_is_told_to_its_caller_alone(tmp_path: Path) -> None:
    """Neither logs nor the API log nor any file of the server hold it, its destination or the password."""
    async with logged() as lines, afilnet(tmp_path) as at:
        value = await code(at, "canary.person@example.org", length="20")
        assert not await verified(at, wrong(value), "canary.person@example.org")
        told = await said(at, "otp", "generateotp", type="email", destination="canary.person@example.org")
        assert value not in str(told)
        await said(at, "otp", "verifyotp", destination="canary.person@example.org", code=value)
        await asyncio.sleep(0.7)  # the API log is written half a second after the answers
        secrets = {"code": value, "person": "canary.person", "password": "s3cret-canary"}
        await at.ask("GET", f"/api/http/?class=otp&method=x&user=u&password=s3cret-canary&code={value}")
        await asyncio.sleep(0.7)
        log = lines.getvalue().encode()
    assert list(leaks(secrets, {"log": log, **files(tmp_path)})) == []


async def test_otp_11_a_credential_may_have_codes_sent_instead(tmp_path: Path) -> None:
    """With returns_code off the answer holds no code: it arrives at the number, or at the address."""
    async with afilnet(tmp_path, settings={"returns_code": False}) as at:
        for kind, destination in [("mobile", PHONE), ("email", "ana@example.org")]:
            told = await said(at, "otp", "generateotp", type=kind, destination=destination, length="8")
            assert told == {"status": "SUCCESS", "result": {"status": "SUCCESS"}}
        first, second = sorted(await at.arrived(2), key=lambda message: str(message["channel"]))
        assert [first["channel"], second["channel"]] == ["email", "sms"]
        for message, destination in [(first, "ana@example.org"), (second, PHONE)]:
            found = re.search(r"\b[0-9A-Z]{8}\b", message["text"])
            assert found
            assert await verified(at, found[0], destination)


async def test_switches_change_what_the_reference_leaves_open(tmp_path: Path) -> None:
    """Defaults of parameters, tries, the inner status and the empty result follow the credential."""
    settings = {
        "time": 2, "timetype": "minutes", "length": 9, "otpformat": "numbers", "tries": 1, "inner_status": "OK",
        "empty_result": "list", "output": "json",
    }  # fmt: skip
    async with afilnet(tmp_path, settings=settings) as at:
        told = await said(at, "otp", "generateotp", type="mobile", destination=PHONE)
        assert told["result"]["status"] == "OK"
        assert re.fullmatch("[0-9]{9}", told["result"]["code"])
        told = await said(at, "otp", "verifyotp", destination=PHONE, code=told["result"]["code"])
        assert told == {"status": "SUCCESS", "result": []}
        value = await code(at)
        assert not await verified(at, wrong(value))
        assert not await verified(at, value), "one try was all it had"
        value = await code(at, "34600000002")
        clock(at).advance(seconds=120)
        assert not await verified(at, value, "34600000002")
