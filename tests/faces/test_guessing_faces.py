"""Guessing one person's codes: all faces and all spellings of a number are one account of wrong tries."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from placet_protocol.jose import public_key_bytes
from placet_server.domain import destinations
from placet_server.domain.ids import new_id
from placet_server.domain.values import Device
from placet_server.ports import Sql, plan, step
from placet_server.system import SystemEntropy
from support.described import Faces, faces
from support.guessing import FIVE, PHONE, Guesser, other
from support.joining import Joiner

MANY = {
    "code__per_destination": "1000",
    "code__per_destination_day": "10000",
    "code__breaker": "0",
    "code__resend_after": "0",
}
SPELLINGS = {
    "native": ("+447700900123", "+44 7700 900123", "0044 7700-900123", "+44 (0)7700 900123"),
    "authy": ("+447700900123", "+4407700900123", "+44 7700 900 123", "+447700-900-123"),
    "afilnet": ("447700900123", "00447700900123", "+44 7700 900123", "+44(0)7700900123"),
    "unityvox": ("447700900123", "+44 7700 900123", "00447700900123", "44-7700-900123"),
    "octopush": ("+447700900123", "0044 7700 900123", "+44.7700.900123", " +447700900123 "),
}
FAILURES = Sql("failures", "SELECT failures FROM throttles ORDER BY failures")


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Faces]:
    async with faces(tmp_path / "data", **MANY) as found:
        yield found


async def failures(made: Faces) -> list[int]:
    """What is counted against anybody."""
    return [int(row[0]) for row in await made.live.store.rows(FAILURES)]


@pytest.mark.parametrize("face", FIVE)
async def test_otp_03_a_code_is_right_once_on_each_face(made: Faces, face: str) -> None:
    """The first check succeeds; the same code again never does, however often it is tried."""
    guesser = Guesser(made)
    value = await guesser.issue(face)
    assert await guesser.check(face, other(value)) == "wrong"
    said = [await guesser.check(face, value) for _ in range(3)]
    assert said[0] == "right"
    assert "right" not in said[1:]


async def test_otp_03_a_code_is_right_on_its_own_face_only(made: Faces) -> None:
    """A code that one face issued is not good where another one checks, though person and number are the same."""
    guesser = Guesser(made)
    values = {face: await guesser.issue(face) for face in FIVE}
    for face in FIVE:
        foreign = next(value for name, value in values.items() if name != face and value != values[face])
        assert await guesser.check(face, foreign) != "right", face
    made.clock.advance(seconds=31)
    assert await guesser.check("native", values["native"]) == "right"


async def test_otp_06_a_hundred_guesses_are_all_that_five_faces_answer(made: Faces) -> None:
    """Fresh codes, changing faces and a patient clock: after 100 failures nothing is compared; the owner was told."""
    live, now = made.live, made.clock.now()
    await live.domain.applications.add_webhook("acme", "http://127.0.0.1:9/none", now)
    user = await live.domain.users.by_tfa_id("default", int(made.values["user"]))
    owner = Joiner()
    device = Device(
        new_id(now, SystemEntropy()), "default", user.id, owner.jkt, public_key_bytes(owner.key.public_key()), "active", 0, "cert",
        "Phone", "test", "embedded", bytes(65), bytes(16), now,
    )  # fmt: skip
    await live.store.write(plan(live.domain.devices.add_step(device)))
    guesser = Guesser(made)
    said: Counter[str] = Counter()
    for turn in range(105):
        said[await guesser.guess(FIVE[turn % 5])] += 1
        made.clock.advance(seconds=3_600)
    assert said["right"] == 0
    assert await failures(made) == [100]
    for face in FIVE:
        value = await guesser.issue(face)
        assert await guesser.check(face, value) != "right", face
    assert await failures(made) == [100]
    notices = await live.domain.notices.pending(device, made.clock.now())
    assert {notice.kind for notice in notices} == {"codes.guessed"}
    items = await live.domain.outbox.due(made.clock.now() + 10**9, 10_000)
    held = [str(item.body and item.body.payload) for item in items]
    assert sum('"type":"code.held"' in payload for payload in held) >= 1
    assert not any("7700900123" in payload for payload in held)


async def test_otp_06_a_wait_on_one_face_is_a_wait_on_all(made: Faces) -> None:
    """Five failures on one face: the right code waits 30 seconds on every other, and counts then."""
    guesser = Guesser(made)
    for _ in range(5):
        await guesser.guess("unityvox")
    for face in FIVE:
        value = await guesser.issue(face)
        assert await guesser.check(face, value) != "right", face
    assert await failures(made) == [5]
    value = await guesser.issue("octopush")
    made.clock.advance(seconds=30)
    assert await guesser.check("octopush", value) == "right"
    assert await failures(made) == []


async def test_otp_07_twenty_spellings_on_five_faces_are_one_account(made: Faces) -> None:
    """However a number is written and wherever: its messages reach one recipient and its failures are one count."""
    guesser = Guesser(made)
    tried = 0
    for number in range(4):
        for face in FIVE:
            await guesser.guess(face, SPELLINGS[face][number])
            tried += 1
            made.clock.advance(seconds=3_600)
            assert await failures(made) == [tried], (face, SPELLINGS[face][number])
    assert tried == 20
    assert {message.to for message in made.gateway.sent} == {PHONE}


async def test_otp_09_one_number_gets_five_messages_from_all_faces_together(tmp_path: Path) -> None:
    """The budget of a destination is shared by faces and spellings; a sixth message is refused by whichever face asks."""
    async with faces(tmp_path / "data") as made:
        guesser = Guesser(made)
        for face in ("native", "authy", "unityvox", "octopush"):
            await guesser.issue(face, SPELLINGS[face][1])
        await guesser.issue("unityvox", SPELLINGS["unityvox"][2])
        await made.gateway.count(5)
        for face in ("native", "authy", "unityvox", "octopush"):
            answer = await made.call(guesser._asking(face, SPELLINGS[face][3]))
            told = answer.json()
            assert answer.status == 429 or told.get("code") == "029", (face, told)
        assert len(made.gateway.sent) == 5


async def test_unlocking_frees_a_number_on_every_face(made: Faces) -> None:
    """What the operator forgets is forgotten everywhere."""
    guesser = Guesser(made)
    value = await guesser.issue("native")
    set_failures = Sql("locked", "INSERT INTO throttles SELECT subject, 100, 0, 0 FROM codes LIMIT 1")
    await made.live.store.write(plan(step(set_failures)))
    assert await guesser.check("native", value) == "throttled"
    await made.live.domain.codes.unlock("default", destinations.phone(PHONE), made.clock.now())
    for face in FIVE:
        assert await guesser.check(face, await guesser.issue(face)) == "right"
