"""Mutated requests to every face of one running server: whatever is sent, what the faces promise stays true."""

from __future__ import annotations

import asyncio
import os
import random
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from support import faceforms, mutations
from support.canaries import leaks
from support.fuzzroom import Room, furnished
from support.http import Answer, exchange
from support.ports import kept_port
from support.programs import serving
from support.scale import FULL, scaled

SEED = os.environ.get("PLACET_FUZZ_SEED") or (
    random.Random().randrange(10**9) if os.environ.get(FULL) == "1" else "7"
)
"""``PLACET_FUZZ_SEED=…`` repeats a run that failed."""
ONLY = os.environ.get("PLACET_FUZZ_ONLY")
"""``PLACET_FUZZ_ONLY=N`` sends request N of a run alone."""
AT_ONCE = 8
SECONDS = 20.0
COUNT = 10_000
FACES = {"native", "device", "authy", "afilnet", "unityvox", "octopush", "gateway"}
INSIDE = re.compile(rb"Traceback|\.py\b|sqlite|/site-packages|placet_server|Error\(|NoneType")


class Case(NamedTuple):
    """One request, what came back, and whether it had to be answered."""

    number: int
    sent: bytes
    framed: bool
    answer: Answer | None


class Outcome(NamedTuple):
    """Everything that a run left behind."""

    room: Room
    cases: list[Case]
    late: list[Case]
    rows: dict[str, tuple[str, str, int]]
    messages: tuple[int, int]
    places: dict[str, bytes]


def request_of(room: Room, number: int) -> tuple[bytes, bool]:
    """The bytes of one request of a run, and whether they are framed as HTTP says."""
    chance = random.Random(f"{SEED}/{number}")
    wish = chance.choice(chance.choice(room.wishes))
    if chance.random() < 0.15:
        return mutations.misframed(chance, wish), False
    return mutations.changed(chance, wish), True


async def driven(room: Room, port: int) -> tuple[list[Case], list[Case]]:
    """Send every request, some at once; those that got no answer in time come second."""
    numbers = iter([int(ONLY)] if ONLY else range(scaled(COUNT)))
    cases: list[Case] = []
    late: list[Case] = []

    async def drive() -> None:
        for number in numbers:
            sent, framed = request_of(room, number)
            try:
                answer = await exchange(port, sent, half_close=not framed, seconds=SECONDS)
                cases.append(Case(number, sent, framed, answer))
            except TimeoutError:
                late.append(Case(number, sent, framed, None))

    await asyncio.gather(*(drive() for _ in range(AT_ONCE)))
    return cases, late


def table(data: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{data / 'placet.db'}?mode=ro", uri=True)) as db:
        return db.execute(sql).fetchall()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with kept_port() as kept:
        yield kept


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory, port: int) -> Outcome:
    """One run; its seed is shown with every failure."""
    print(f"PLACET_FUZZ_SEED={SEED}")
    data = tmp_path_factory.mktemp("fuzz") / "data"
    room = asyncio.run(furnished(data, port))
    (before,) = table(data, "SELECT count(*) FROM messages")[0]
    with serving(data, "--port", str(port)) as server:
        cases, late = asyncio.run(driven(room, port))
        assert server.stop() == 0
        assert server.process.stdout is not None
        places = {"stdout": server.process.stdout.read().encode(), "stderr": server.log.read_bytes()}
    (after,) = table(data, "SELECT count(*) FROM messages")[0]
    rows = {
        str(request_id): (str(face), str(route), int(str(status)))
        for request_id, face, route, status in table(data, "SELECT id, face, route, status FROM api_log")
    }
    exempt = {"master.key", "messages.jsonl"}  # the key, and the far end of every message
    places |= {
        file.name: file.read_bytes() for file in data.iterdir() if file.is_file() and file.name not in exempt
    }
    return Outcome(room, cases, late, rows, (int(str(before)), int(str(after))), places)


def test_api_14_no_request_makes_the_server_fail(outcome: Outcome) -> None:
    """No answer is 5xx, none shows the program's inside, and the log tells of no defect."""
    failed = [
        (case.number, case.sent, case.answer)
        for case in outcome.cases
        if case.answer and case.answer.status >= 500
    ]
    assert failed == [], SEED
    shown = [case for case in outcome.cases if case.answer and INSIDE.search(case.answer.body)]
    assert shown == [], SEED
    log = outcome.places["stderr"]
    for word in (b"Traceback", b"request_failed", b"_failed", b"never retrieved", b"Unhandled", b"Warning"):
        assert word not in log, SEED


def test_dos_04_every_request_is_answered(outcome: Outcome) -> None:
    """What is framed as HTTP says gets an answer; what is not gets one, too, or its connection ends."""
    assert outcome.late == [], SEED
    assert [case for case in outcome.cases if case.framed and case.answer is None] == [], SEED


def test_every_answer_is_of_the_form_of_its_face(outcome: Outcome) -> None:
    """Each answer has its row in the API log with its status, and the form of the face that the row names."""
    seen = set()
    for case in outcome.cases:
        if case.answer is None or case.answer.status == 101:
            continue
        request_id = case.answer.headers["x-request-id"]
        if request_id not in outcome.rows:  # no HTTP request at all: it came to no face
            assert case.answer.status in {400, 404}, (SEED, case)
            said = faceforms.read("native", case.answer) or {"code": "not_found"}  # HEAD has no body
            assert said["code"] in {"invalid_request", "not_found"}
            continue
        face, _, status = outcome.rows[request_id]
        assert status == case.answer.status, (SEED, case)
        faceforms.read(face, case.answer)
        seen.add(face)
    assert ONLY or seen == FACES


def test_nothing_is_sent_but_what_an_answer_tells(outcome: Outcome) -> None:
    """Messages are as many as answers claim; only a caller who hung up may have missed one."""
    claimed = unheard = 0
    for case in outcome.cases:
        if case.answer is None:
            unheard += 1
        elif (row := outcome.rows.get(case.answer.headers.get("x-request-id", ""))) is not None:
            claimed += faceforms.sent(row[0], row[1], case.answer)
    before, after = outcome.messages
    assert claimed <= after - before <= claimed + unheard, SEED
    assert ONLY or claimed > 0


def test_no_wrong_code_is_right(outcome: Outcome) -> None:
    """Nobody typed a right code and nobody approved: no answer says otherwise."""
    for case in outcome.cases:
        if case.answer is not None and (row := outcome.rows.get(case.answer.headers.get("x-request-id", ""))):
            assert not faceforms.verified(row[0], row[1], case.answer), (SEED, case)


def test_log_01_no_secret_stays_behind(outcome: Outcome) -> None:
    """No key, password, typed code or text stands in an output, a log or a file of the store, in any usual writing."""
    assert all(len(outcome.places[name]) > 100 for name in ("stderr", "placet.db"))
    assert list(leaks(outcome.room.secrets, outcome.places)) == [], SEED
