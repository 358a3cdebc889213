from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from placet_server.domain import destinations
from placet_server.domain.destinations import email
from placet_server.ports import Sql, plan, step
from placet_server.storage import open_store
from support.answering import World, code_of, world
from support.coding import ANA, BEN, again, check, issue, wrong

FACES = ("native", "authy", "afilnet", "unityvox", "octopush")
MANY = {"code__per_destination": "1000", "code__per_destination_day": "10000", "code__breaker": "0"}


async def test_otp_05_the_sixth_try_is_refused_even_if_right(tmp_path: Path) -> None:
    """Five wrong tries are mismatches that count down; then the code is exhausted, also for the right one."""
    async with world(tmp_path) as w:
        issued = await issue(w)
        said = [await check(w, wrong(issued, step), code_id=issued.id) for step in range(1, 6)]
        assert [(each.outcome, each.left) for each in said] == [
            ("mismatch", left) for left in (4, 3, 2, 1, 0)
        ]
        w.clock.advance(seconds=30)
        for value in (issued.value, wrong(issued)):
            assert (await check(w, value, code_id=issued.id)).outcome == "exhausted"
        assert (await w.domain.codes.get(w.caller, issued.id, w.now)).status == "exhausted"


async def test_otp_05_a_hundred_guesses_at_once_are_five(tmp_path: Path) -> None:
    """Of a hundred simultaneous wrong guesses exactly five are answered; the right code among them gets nothing."""
    async with world(tmp_path) as w:
        issued = await issue(w)
        guesses = [wrong(issued, step) for step in range(1, 101)] + [issued.value]
        said = Counter(
            each.outcome
            for each in await asyncio.gather(*(check(w, guess, code_id=issued.id) for guess in guesses))
        )
        assert said["mismatch"] == 5
        assert said["matched"] == 0
        assert said["exhausted"] + said["throttled"] == 96


async def test_otp_05_a_restart_gives_no_further_tries(tmp_path: Path) -> None:
    """Tries before and after a restart are five together."""
    async with world(tmp_path) as w:
        issued = await issue(w)
        for step in (1, 2, 3):
            assert (await check(w, wrong(issued, step), code_id=issued.id)).outcome == "mismatch"
    store = await open_store(tmp_path / "placet.db")
    codes = again(w, store)
    said = [
        (await codes.check(w.caller, wrong(issued, step), w.now, code_id=issued.id)).outcome
        for step in (4, 5, 6)
    ]
    assert said == ["mismatch", "mismatch", "exhausted"]
    await store.close()


async def _guess(w: World, face: str) -> str:
    """A fresh code by one face, and one wrong try of it."""
    caller = w.caller_of(w.application, face)
    issued = await issue(w, caller=caller, channels=())
    return (await check(w, wrong(issued), caller=caller, code_id=issued.id)).outcome


async def test_otp_06_new_codes_and_other_faces_reset_nothing(tmp_path: Path) -> None:
    """Failures count per destination over codes and faces: free below five, then 30 s doubling up to an hour."""
    async with world(tmp_path, **MANY) as w:
        for face in FACES[:4]:
            assert await _guess(w, face) == "mismatch"
        for seconds in (30, 60, 120, 240, 480, 960, 1920, 3600, 3600):
            assert await _guess(w, "native") == "mismatch"
            for face in FACES:
                assert await _guess(w, face) == "throttled"
            w.clock.advance(seconds=seconds, ms=-1)
            assert await _guess(w, "octopush") == "throttled"
            w.clock.advance(ms=1)
        fresh = await issue(w)
        assert (await check(w, fresh.value, code_id=fresh.id)).outcome == "matched"


async def test_otp_06_at_most_a_hundred_failures_in_a_row(tmp_path: Path) -> None:
    """Guessing on all faces for as long as one likes gets a hundred answers; only the operator opens it again."""
    async with world(tmp_path, **MANY) as w:
        mismatches = 0
        for turn in range(150):
            mismatches += await _guess(w, FACES[turn % 5]) == "mismatch"
            w.clock.advance(seconds=3600)
        assert mismatches == 100
        w.clock.advance(seconds=365 * 86_400)
        fresh = await issue(w)
        assert (await check(w, fresh.value, code_id=fresh.id)).outcome == "throttled"
        await w.domain.codes.unlock("default", ANA, w.now)
        assert (await check(w, fresh.value, code_id=fresh.id)).outcome == "matched"


async def test_otp_06_success_forgets_failures(tmp_path: Path) -> None:
    """After a right code four further wrong ones cost nothing again; nobody else was touched."""
    async with world(tmp_path, **MANY) as w:
        for _ in range(3):
            for _ in range(4):
                assert await _guess(w, "native") == "mismatch"
            issued = await issue(w)
            assert (await check(w, issued.value, code_id=issued.id)).outcome == "matched"
            assert await w.count("throttles") == 0
        for _ in range(5):
            await _guess(w, "native")
        ben = await issue(w, BEN)
        assert (await check(w, ben.value, code_id=ben.id)).outcome == "matched"


async def test_otp_06_person_and_application_are_told(tmp_path: Path) -> None:
    """The fifth failure puts out one notice and one code.held event, without code or number; others put none."""
    async with world(tmp_path, **MANY) as w:
        await w.domain.applications.add_webhook("Acme", "https://hooks.example/", w.now)
        w.application = await w.domain.applications.named("Acme")
        device = (await w.enrol()).device
        number = destinations.of_user(w.user, "phone")
        w.bus.published.clear()
        for _ in range(4):
            issued = await issue(w, number, channels=())
            await check(w, wrong(issued), code_id=issued.id)
        assert await w.count("outbox") == 0
        issued = await issue(w, number, channels=())
        await asyncio.gather(*(check(w, wrong(issued), code_id=issued.id) for _ in range(5)))
        (item,) = await w.domain.outbox.due(w.now)
        assert item.body is not None
        assert b'"type":"code.held"' in item.body.payload
        assert b"5550100" not in item.body.payload
        assert ("outbox", item.id) in w.bus.published
        assert ("user", w.user.id) in w.bus.published
        (notice,) = await w.domain.notices.pending(device, w.now)
        assert (notice.kind, notice.text) == (
            "codes.guessed",
            "5 wrong codes in a row were tried for your account.",
        )


async def test_otp_07_spellings_share_one_bucket(tmp_path: Path) -> None:
    """Failures under five spellings of a number, or of an address, are five failures of one."""
    async with world(tmp_path) as w:
        for spellings in (
            [
                destinations.phone(text)
                for text in ("+447700900123", "0044 7700 900123", "+44 (0)7700-900123", "４４7700900123")
            ],
            [
                email(text)
                for text in ("Ada@Example.org", "ada@example.org.", " ADA@EXAMPLE.ORG", "ada@example.org")
            ],
        ):
            channels = () if spellings[0].kind == "phone" else ("email",)
            for destination in (*spellings, spellings[0]):
                issued = await issue(w, destination, channels=channels)
                assert (await check(w, wrong(issued), destination=destination)).outcome == "mismatch"
            assert (await check(w, issued.value, destination=spellings[1])).outcome == "throttled"
        assert await w.count("throttles") == 2


async def test_a_throttle_hides_whether_the_code_was_right(tmp_path: Path) -> None:
    """While throttled right and wrong codes get the same answer, and neither is spent."""
    async with world(tmp_path, **MANY) as w:
        for _ in range(5):
            await _guess(w, "native")
        issued = await issue(w)
        right, other = (
            await check(w, issued.value, code_id=issued.id),
            await check(w, wrong(issued), code_id=issued.id),
        )
        assert right == other
        assert right.outcome == "throttled"
        w.clock.advance(seconds=30)
        assert (await check(w, issued.value, code_id=issued.id)).outcome == "matched"


async def test_a_sealed_row_of_another_place_is_no_code(tmp_path: Path) -> None:
    """A MAC that was copied to another row does not match there."""
    async with world(tmp_path) as w:
        mine, other = await issue(w), await issue(w, BEN)
        copy = Sql("copy", "UPDATE codes SET mac = (SELECT mac FROM codes WHERE id = ?) WHERE id = ?")
        await w.store.write(plan(step(copy, mine.id, other.id), guards=0))
        assert (await check(w, mine.value, code_id=other.id)).outcome == "mismatch"
        assert await code_of(w.domain.codes.get(w.caller, "0", w.now)) == "not_found"
