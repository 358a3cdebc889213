from __future__ import annotations

import random
from pathlib import Path

import pytest

from placet_server.domain.refusals import RefusedError
from support.answering import refused, world
from support.scale import scaled


async def test_num_02_one_wrong_number_ends_it(tmp_path: Path) -> None:
    """A wrong number denies for good; the right one afterwards comes too late."""
    async with world(tmp_path) as w:
        phone = await w.enrol()
        created, request = await w.asked(number="entry:3")
        assert created.number is not None
        wrong = f"{(int(created.number) + 1) % 1000:03d}"
        decided = await w.domain.decisions.decide(phone.answer(request, "approve", wrong), w.now)
        assert (decided.status, decided.reason) == ("denied", "wrong_number")
        with pytest.raises(RefusedError) as late:
            await w.domain.decisions.decide(phone.answer(request, "approve", created.number), w.now)
        assert (late.value.code, late.value.state) == ("already_decided", "denied")


async def test_num_02_the_number_of_one_request_is_wrong_for_another(tmp_path: Path) -> None:
    """Of two questions at the same moment, the number of A typed on B denies B and leaves A open."""
    async with world(tmp_path) as w:
        phone = await w.enrol()
        own, _ = await w.asked(number="entry:6")
        foreign, request = await w.asked(number="entry:6")
        assert own.number != foreign.number
        await w.domain.decisions.decide(phone.answer(request, "approve", own.number), w.now)
        assert (await w.status(own), await w.status(foreign)) == ("pending", "denied")


async def test_num_02_guessing_succeeds_by_chance_alone(tmp_path: Path) -> None:
    """Of all guesses at two digits no more hit than one in a hundred explains."""
    chance, guesses = random.Random(2), scaled(2_000)
    limits = {"approval__max_unapproved": "100", "approval__max_pending": "100", "approval__window": "10"}
    async with world(tmp_path, **limits) as w:
        phone, hits = await w.enrol(), 0
        for _ in range(guesses):
            w.clock.advance(seconds=11)
            _, request = await w.asked(number="entry:2")
            guess = f"{chance.randrange(100):02d}"
            decided = await w.domain.decisions.decide(phone.answer(request, "approve", guess), w.now)
            hits += decided.status == "approved"
        assert hits <= max(5, guesses * 1.5 / 100)


@pytest.mark.parametrize(
    "number",
    [
        None,
        "",
        "12",
        "1234",
        "12a",
        "\uff11\uff12\uff13",
        " 123",
        "123\n",
        "+12",
        123,
        123.0,
        True,
        [],
        ["123"],
        {"num": "123"},
        "none",
    ],
    ids=repr,
)
async def test_num_03_an_approval_without_the_number_is_none(tmp_path: Path, number: object) -> None:
    """Where a number is asked, a missing or misshaped one approves nothing and uses up nothing."""
    async with world(tmp_path) as w:
        phone = await w.enrol()
        created, request = await w.asked(number="entry:3")
        members = phone.members(request, "approve")
        await refused(w, phone.sign(members | ({} if number is None else {"num": number})))
        await refused(w, phone.sign(members | {"num": number, "ctr": phone.counter + 5}))
        phone.counter += 10
        decided = await w.domain.decisions.decide(phone.answer(request, "approve", created.number), w.now)
        assert decided.status == "approved"


async def test_a_denial_needs_no_number(tmp_path: Path) -> None:
    """Whoever denies need not have the application's screen before them."""
    async with world(tmp_path) as w:
        phone = await w.enrol()
        _, request = await w.asked(number="entry:3")
        decided = await w.domain.decisions.decide(phone.answer(request, "deny"), w.now)
        assert (decided.status, decided.reason) == ("denied", "declined")
