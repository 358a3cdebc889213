"""The UnityVox face: the documented samples, the order of its errors, and what a session goes through."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote, urlencode

import pytest

from placet_server.domain.codes import Outcome
from placet_server.domain.refusals import CODES
from placet_server.faces.unityvox import OUTCOMES, REFUSALS
from placet_server.testing import ManualClock
from support.otpfaces import Desk, add, desk, found
from support.transcripts import replay, untold

PATH = "/api/get-api/v1/OTP-api"
WHO = {"accountnumber": "100200", "apikey": "UVKEY1"}
TEMPLATES = {"templates": {"TPL1": "Your code is {code}", "TPL2": "Hello"}}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
NOWHERE = "11111111-2222-7333-8444-555555555555"


@pytest.fixture
async def uvox(tmp_path: Path) -> AsyncIterator[Desk]:
    """A server with the account 100200 and its two templates, on a clock that stands still."""
    async with desk(
        tmp_path, "unityvox", "100200", "UVKEY1", settings=TEMPLATES, clock=ManualClock()
    ) as made:
        yield made


async def request(uvox: Desk, **more: str) -> dict[str, Any]:
    """One request for a code."""
    fields = {**WHO, "ref_id": "TPL1", "phone_number": "13055550100", **more}
    status, told = await uvox.ask("GET", f"{PATH}?{urlencode(fields)}")
    assert status == 200
    assert isinstance(told, dict)
    return told


async def verify(uvox: Desk, session: str, code: str, **more: str) -> str:
    """The three digits that a verification is answered with."""
    fields = {**WHO, "sessionid": session, "otp_code": code, **more}
    status, told = await uvox.ask("GET", f"{PATH}/verify?{urlencode(fields)}")
    assert (status, told["sessionID"]) == (200, session)
    return str(told["code"])


async def session_and_code(uvox: Desk, **more: str) -> tuple[str, str]:
    """A new session and the code that arrived for it."""
    before = uvox.sent()
    told = await request(uvox, **more)
    text = (await uvox.arrived(before + 1))[-1]["text"]
    found = re.search(r"[0-9]{6}", text)
    assert found
    return told["sessionID"], found[0]


def test_every_outcome_and_refusal_has_a_reply() -> None:
    """The tables are total, and nothing but a match reads as success."""
    assert set(OUTCOMES) == set(get_args(Outcome))
    assert set(REFUSALS) == set(CODES)
    bad = [*REFUSALS.values(), *(said for outcome, said in OUTCOMES.items() if outcome != "matched")]
    assert not {"022", "027"} & {said.code for said in bad}


async def test_a_code_is_sent_by_template_and_matches_once(uvox: Desk) -> None:
    """022 with the number as text and a session; 027 once; then 026."""
    told = await request(uvox)
    (message,) = await uvox.arrived(1)
    assert list(told) == [
        "version",
        "code",
        "status",
        "resultstring",
        "phone_number",
        "sessionID",
        "statusmessage",
    ]
    assert (told["code"], told["phone_number"], len(told["sessionID"])) == ("022", "13055550100", 36)
    assert (message["channel"], message["to"]) == ("sms", "+13055550100")
    code = re.fullmatch(r"Your code is ([0-9]{6})", message["text"])
    assert code
    wrong = f"{(int(code[1]) + 1) % 1_000_000:06}"
    assert [await verify(uvox, told["sessionID"], each) for each in (wrong, code[1], code[1])] == [
        "025",
        "027",
        "026",
    ]


@pytest.mark.parametrize(
    ("method", "data", "headers"),
    [
        ("GET", "", {}),
        ("POST", "form", FORM),
        ("POST", "", {}),
        ("PUT", "form", FORM),
        ("POST", "json", {"Content-Type": "application/json"}),
        ("POST", "multipart", {"Content-Type": "multipart/form-data; boundary=xx"}),
    ],
)
async def test_the_documented_shapes_are_taken(
    uvox: Desk, method: str, data: str, headers: dict[str, str]
) -> None:
    """GET, a form, POST with everything in the query, PUT, JSON and multipart all send one message."""
    fields = {**WHO, "ref_id": "TPL1", "phone_number": "13055550100"}
    bodies = {
        "": "",
        "form": urlencode(fields),
        "json": json.dumps(fields),
        "multipart": "".join(
            f'--xx\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        )
        + "--xx--\r\n",
    }
    path = f"{PATH}?{urlencode(fields)}" if not data else PATH
    status, told = await uvox.ask(method, path, bodies[data], headers)
    assert (status, told["code"]) == (200, "022")
    await uvox.arrived(1)


async def test_path_and_names_are_known_in_any_case_and_the_key_in_a_header(uvox: Desk) -> None:
    """``/API/…/otp-API/``, ``AccountNumber`` and ``Api-Key`` are understood."""
    fields = urlencode({"AccountNumber": "100200", "REF_ID": "TPL1", "Phone_Number": "001 305 555-0100"})
    status, told = await uvox.ask("GET", f"/api/Get-Api/v1/otp-API/?{fields}", headers={"Api-Key": "UVKEY1"})
    assert (status, told["code"], told["phone_number"]) == (200, "022", "13055550100")


async def test_errors_come_in_the_documented_order(uvox: Desk) -> None:
    """Credentials before template before phone; the two errors that have no session carry none."""
    tried = [
        ({"apikey": "wrong", "ref_id": "no"}, "024", True),
        ({"ref_id": "no", "phone_number": "1"}, "020", False),
        ({"ref_id": "", "phone_number": "1"}, "020", False),
        ({"phone_number": "12345"}, "028", False),
        ({"phone_number": ""}, "028", False),
    ]
    for wrong, code, has_session in tried:
        told = await request(uvox, **wrong)
        assert (told["code"], "sessionID" in told, told["status"]) == (code, has_session, "error")
    status, told = await uvox.ask(
        "GET", f"{PATH}?{urlencode(WHO)}&apikey=other&ref_id=TPL1&phone_number=13055550100"
    )
    assert (status, told["code"]) == (200, "024"), "contradicting credentials are none"
    assert uvox.sent() == 0


async def test_an_empty_account_gets_021_and_a_session_of_nothing(uvox: Desk) -> None:
    """Nothing is sent without balance; the session that 021 shows verifies as 024."""
    await add(uvox.live, "unityvox", "100201", "UVKEY2", settings=TEMPLATES, balance=0)
    told = await request(uvox, accountnumber="100201", apikey="UVKEY2")
    assert (told["code"], len(told["sessionID"])) == ("021", 36)
    assert await verify(uvox, told["sessionID"], "123456", accountnumber="100201", apikey="UVKEY2") == "024"
    assert uvox.sent() == 0


async def test_sessions_are_independent_and_end_after_ten_minutes(uvox: Desk) -> None:
    """A code matches in its own session only; at 600 s it has expired; used and expired stay apart for a day."""
    (first, code1), (second, code2) = await session_and_code(uvox), await session_and_code(uvox)
    assert code1 == code2 or await verify(uvox, first, code2) == "025"
    assert await verify(uvox, first, code1) == "027"
    clock = uvox.live.clock
    assert isinstance(clock, ManualClock)
    clock.advance(seconds=600)
    assert [await verify(uvox, first, code1), await verify(uvox, second, code2)] == ["026", "023"]
    clock.advance(seconds=23 * 3600)
    assert [await verify(uvox, first, code1), await verify(uvox, second, code2)] == ["026", "023"]
    assert await verify(uvox, NOWHERE, code1) == "024"


async def test_five_wrong_codes_end_a_session(uvox: Desk) -> None:
    """The sixth try answers 023 even with the right code; a typed bracket behind the digits is forgiven before."""
    session, code = await session_and_code(uvox)
    other, other_code = await session_and_code(uvox)
    assert await verify(uvox, other, f"{other_code}]") == "027"
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    assert [await verify(uvox, session, wrong) for _ in range(5)] == ["025"] * 5
    assert await verify(uvox, session, code) in {"023", "029"}


async def test_a_session_belongs_to_its_account(uvox: Desk) -> None:
    """Another account of the same application does not know it, and spends none of its tries."""
    await add(uvox.live, "unityvox", "100209", "UVKEY9", settings=TEMPLATES)
    session, code = await session_and_code(uvox)
    assert await verify(uvox, session, code, accountnumber="100209", apikey="UVKEY9") == "024"
    assert await verify(uvox, session, code) == "027"


async def test_of_twenty_verifications_at_once_one_matches(uvox: Desk) -> None:
    """Concurrent right codes: 027 once, and nothing else says success."""
    session, code = await session_and_code(uvox)
    said = await asyncio.gather(*(verify(uvox, session, code) for _ in range(20)))
    assert said.count("027") == 1
    assert set(said) <= {"026", "027"}


async def test_too_many_requests_for_one_number_are_029(uvox: Desk) -> None:
    """The sixth message to a number within ten minutes is refused, in whatever spelling."""
    for _ in range(5):
        assert (await request(uvox))["code"] == "022"
    assert (await request(uvox, phone_number="001-305-555-0100"))["code"] == "029"
    assert (await request(uvox, phone_number="13055550199"))["code"] == "022"


async def test_a_template_without_a_place_gets_the_code_at_its_end(uvox: Desk) -> None:
    """No template can lose the code."""
    await request(uvox, ref_id="TPL2")
    (message,) = await uvox.arrived(1)
    assert re.fullmatch(r"Hello [0-9]{6}", message["text"])


async def test_hostile_paths_and_values_send_nothing(uvox: Desk) -> None:
    """Encoded slashes, other methods and hostile sessions answer JSON errors; HEAD sends no message."""
    query = urlencode({**WHO, "ref_id": "TPL1", "phone_number": "13055550100"})
    for path in ("/api/get-api/v1/OTP-api%2f", "/api/get-api/v1/OTP-api/..;/x", "/api/get-api/v2/OTP-api"):
        status, told = await uvox.ask("GET", f"{path}?{query}")
        assert (status, told["code"]) == (404, "not_found")
    async with uvox.live.http.head(f"{uvox.live.url}{PATH}?{query}") as answer:
        assert answer.status == 405
    for hostile in ("\0", "'; --", "x" * 5000, "☃"):
        _, told = await uvox.ask(
            "GET", f"{PATH}/verify?{urlencode(WHO)}&sessionid={quote(hostile)}&otp_code=1"
        )
        assert told["code"] == "024"
    assert uvox.sent() == 0


async def test_the_log_tells_what_the_server_made_of_a_call(uvox: Desk) -> None:
    """Found by the number in its one spelling: effective length, life and tries, and the three digits."""
    await uvox.live.domain.applications.set_policies(
        "acme",
        {"code.seconds": "60", "code.max_seconds": "120", "code.tries": "2", "code.max_tries": "2"},
        uvox.live.clock.now(),
    )
    await request(uvox, phone_number="001 305 555-0100")
    call = await found(uvox.live, "unityvox", "+13055550100")
    assert call.code == "022"
    assert call.detail.facts == {"length": 6, "seconds": 120, "tries": 2}


async def test_the_transcript_is_what_happens(uvox: Desk) -> None:
    """docs/api/unityvox.md shows exchanges that were replayed to the letter."""
    await add(uvox.live, "unityvox", "100201", "UVKEY2", settings=TEMPLATES, balance=0)

    async def read(values: dict[str, str]) -> None:
        found = re.search(r"[0-9]{6}", (await uvox.arrived(1))[0]["text"])
        assert found
        values["code"] = found[0]
        values["wrong"] = f"{(int(found[0]) + 1) % 1_000_000:06}"

    await replay("unityvox", uvox.live.url, doing={"read": read})
    assert untold("api/unityvox.md", ["unityvox"]) == []
