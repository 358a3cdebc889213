"""Each open behaviour of a face has a switch, and each switch changes what its row says."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from placet_server import faces
from placet_server.faces.switches import TABLE
from placet_server.testing import ManualClock
from support.afilnet import said
from support.authying import NEW, authy_server
from support.otpfaces import PHONE, Desk, desk

LOGIN = "demo@example.org"
OCTO = {"Content-Type": "application/json", "api-login": LOGIN, "api-key": "OCTOKEY"}
GENERATE, VALIDATE = (f"/v1/public/service/otp/{name}" for name in ("generate", "validate"))
UVOX = "/api/get-api/v1/OTP-api"


def test_every_switch_is_asked_by_its_face() -> None:
    """No row of the table is without a place that asks for it."""
    for row in TABLE:
        sources = Path(faces.__path__[0]).glob(f"{row.face}*.py")
        asked = re.compile(f"[\"']{row.name}[\"']")
        assert any(asked.search(source.read_text()) for source in sources), (row.face, row.name)


@asynccontextmanager
async def octopush(folder: Path, **settings: Any) -> AsyncIterator[Desk]:
    """An Octopush account with these switches, on a clock that stands still."""
    more = {"balance": settings.pop("balance", None), "clock": ManualClock()}
    async with desk(folder, "octopush", LOGIN, "OCTOKEY", settings=settings, **more) as made:
        yield made


async def asked(octo: Desk, path: str = GENERATE, **sent: Any) -> tuple[int, Any]:
    """One call; without parameters a call without a body."""
    return await octo.ask("POST", path, json.dumps(sent) if sent else "", OCTO)


async def test_the_numbers_of_octopushs_errors_are_switches(tmp_path: Path) -> None:
    """The five codes of generate that no document tells, and the status of a good one."""
    numbers = {"error_no_body": 301, "error_no_phone": 302, "error_bad_phone": 303, "error_no_credit": 304}
    (tmp_path / "poor").mkdir()
    async with octopush(tmp_path / "poor", balance=0, **numbers) as octo:
        told = [await asked(octo), await asked(octo, text="x"), await asked(octo, phone_number="1")]
        told.append(await asked(octo, phone_number=PHONE))
        assert [(status, answer["code"]) for status, answer in told] == [
            (400, 301),
            (400, 302),
            (400, 303),
            (402, 304),
        ]
    (tmp_path / "mute").mkdir()
    async with octopush(tmp_path / "mute", error_failed=305, generate_status="201") as octo:
        assert (await asked(octo, phone_number=PHONE))[0] == 201
        await octo.live.domain.applications.set_policies(
            "acme", {"code.channels": "voice"}, octo.live.clock.now()
        )
        assert (await asked(octo, phone_number=PHONE))[1]["code"] == 207


@pytest.mark.parametrize(("number", "words"), [("197", "OTP Request expired."), ("196", "Maximum amount")])
async def test_what_a_used_code_is_called_is_a_switch(tmp_path: Path, number: str, words: str) -> None:
    """198 unless the integration saw another of the three."""
    async with octopush(tmp_path, used_code=number) as octo:
        assert (await asked(octo, phone_number=PHONE))[0] == 200
        code = (await octo.arrived(1))[0]["text"]
        assert (await asked(octo, VALIDATE, phone_number=PHONE, code=code))[0] == 200
        status, told = await asked(octo, VALIDATE, phone_number=PHONE, code=code)
        assert (status, told["code"]) == (400, int(number))
        assert told["message"].startswith(words)


async def test_octopushs_account_defaults_are_switches(tmp_path: Path) -> None:
    """What generate leaves out is as the account was set up."""
    defaults = {
        "channel": "voice_sms",
        "sender": "Shop",
        "code_length": 9,
        "allow_digits": False,
        "allow_upper_case": True,
        "allow_lower_case": True,
        "remove_confusing_characters": True,
        "validity_period": 60,
        "max_wrong_attempts": 1,
        "voice_language": "it-IT",
        "voice_gender": "male",
    }
    async with octopush(tmp_path, **defaults, unit="credits", unlimited_balance=7) as octo:
        assert (await asked(octo, phone_number=PHONE))[0] == 200
        (message,) = await octo.arrived(1)
        assert (message["channel"], message["language"], message["gender"]) == ("voice", "it-IT", "male")
        status, told = await asked(octo, VALIDATE, phone_number=PHONE, code="?")
        assert (status, told["code"], told["remaining_number_of_attempts"]) == (400, 199, 0)
        assert (await asked(octo, phone_number=PHONE, channel="sms"))[0] == 200
        message = (await octo.arrived(2))[1]
        assert message["sender"] == "Shop"
        assert re.fullmatch("[a-km-np-zAC-HJ-NP-RT-Y]{9}", message["text"]), message["text"]
        clock = octo.live.clock
        assert isinstance(clock, ManualClock)
        clock.advance(seconds=60)
        assert (await asked(octo, VALIDATE, phone_number=PHONE, code=message["text"]))[1]["code"] == 197
        assert (await asked(octo, phone_number=PHONE, channel="sms", allow_special_chars=1))[0] == 200
        wallet = await octo.ask("GET", "/v1/public/wallet/check-balance", headers=OCTO)
        assert wallet == (200, {"amount": 7.0, "unit": "credits"})


@pytest.mark.parametrize(("confusing", "pattern"), [("12345", "[06-9]{32}"), ("0123456", r"\d{32}")])
async def test_which_characters_confuse_is_a_switch(tmp_path: Path, confusing: str, pattern: str) -> None:
    """Those of the list are left out, unless hardly any would be left to draw from."""
    async with octopush(tmp_path, confusing_characters=confusing) as octo:
        told = await asked(octo, phone_number=PHONE, code_length=32, remove_confusing_characters=True)
        assert told[0] == 200
        assert re.fullmatch(pattern, (await octo.arrived(1))[0]["text"])


async def test_unityvoxs_switches_change_what_they_say(tmp_path: Path) -> None:
    """Status of errors, type of the number, place of the code, life and tries."""
    settings = {
        "templates": {"A": "Use #PIN# now", "B": "Your code is {otp}"},
        "error_status": "400",
        "phone_number_type": "number",
        "placeholder": "#PIN#",
        "seconds": 60,
        "tries": 1,
    }
    who = {"accountnumber": "100200", "apikey": "UVKEY1"}
    clock = ManualClock()
    async with desk(tmp_path, "unityvox", "100200", "UVKEY1", settings=settings, clock=clock) as uvox:

        async def ask(path: str = UVOX, **fields: str) -> tuple[int, Any]:
            return await uvox.ask("GET", f"{path}?{urlencode(who | fields)}")

        status, told = await ask(ref_id="A", phone_number="13055550100")
        assert (status, told["phone_number"]) == (200, 13055550100)
        assert re.fullmatch("Use [0-9]{6} now", (await uvox.arrived(1))[0]["text"])
        status, wrong = await ask(f"{UVOX}/verify", sessionid=told["sessionID"], otp_code="?")
        assert (status, wrong["code"]) == (400, "025")
        assert (await ask(f"{UVOX}/verify", sessionid=told["sessionID"], otp_code="?"))[1]["code"] == "023"
        status, told = await ask(ref_id="B", phone_number="13055550100")
        text = (await uvox.arrived(2))[1]["text"]
        clock.advance(seconds=60)
        status, late = await ask(f"{UVOX}/verify", sessionid=told["sessionID"], otp_code=text[-6:])
        assert (status, late["code"]) == (400, "023")
        assert (await ask(ref_id="C"))[0] == 400


@pytest.mark.parametrize("origin", ["", "*", "https://shop.example"])
async def test_a_page_reads_answers_where_the_credential_names_its_origin(
    tmp_path: Path, origin: str
) -> None:
    """Errors as well as successes; no stranger's page, and no credential that is not known, is let in."""
    settings = {"templates": {"A": "Your code is {code}"}, "allow_origin": origin}
    async with desk(tmp_path, "unityvox", "100200", "UVKEY1", settings=settings) as uvox:
        for key, ref, told in (("UVKEY1", "A", origin), ("UVKEY1", "B", origin), ("UVKEY2", "A", "")):
            fields = {"accountnumber": "100200", "apikey": key, "ref_id": ref, "phone_number": "13055550100"}
            url = f"{uvox.live.url}{UVOX}?{urlencode(fields)}"
            async with uvox.live.http.post(url, headers={"Origin": "https://shop.example"}) as answer:
                assert answer.headers.get("Access-Control-Allow-Origin", "") == told


async def test_a_template_without_a_place_of_its_own_keeps_its_letters(tmp_path: Path) -> None:
    """An empty placeholder names no place, and six digits are six whatever other codes have."""
    settings = {"templates": {"A": "Hello"}, "placeholder": ""}
    async with desk(tmp_path, "unityvox", "100200", "UVKEY1", settings=settings) as uvox:
        await uvox.live.domain.applications.set_policies("acme", {"code.length": "8"}, uvox.live.clock.now())
        query = urlencode({"accountnumber": "100200", "apikey": "UVKEY1", "ref_id": "A"})
        assert (await uvox.ask("GET", f"{UVOX}?{query}&phone_number=13055550100"))[1]["code"] == "022"
        assert re.fullmatch("Hello [0-9]{6}", (await uvox.arrived(1))[0]["text"])


async def test_authys_codes_have_the_length_and_life_of_the_switches(tmp_path: Path) -> None:
    """``token_length``, ``token_seconds`` and ``verification_length``."""
    clock = ManualClock()
    settings = {"token_length": 9, "token_seconds": 60, "verification_length": 8}
    async with authy_server(tmp_path, clock=clock, settings=settings) as authy:
        body = {"user": {"email": "a@example.com", "cellphone": "405-342-5699", "country_code": 57}}
        number = (await authy.good("POST", NEW, body))["user"]["id"]
        await authy.good("GET", f"/protected/json/sms/{number}?force=true")
        code = await authy.code(1)
        assert len(code) == 9
        clock.advance(seconds=60)
        assert await authy.bad("GET", f"/protected/json/verify/{code}/{number}") == (401, "60020")
        start = {"via": "sms", "country_code": 1, "phone_number": "201-555-0123"}
        await authy.good("POST", "/protected/json/phones/verification/start", start)
        assert len(await authy.code(2)) == 8


async def test_afilnets_word_for_no_balance_is_a_switch(tmp_path: Path) -> None:
    """A credential whose balance is not counted says what it was told to say."""
    settings = {"unlimited_balance": "a lot"}
    async with desk(tmp_path, "afilnet", LOGIN, "s3cret", settings=settings) as at:
        assert (await said(at, "user", "getbalance"))["result"] == "a lot"
