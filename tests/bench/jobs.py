"""What is measured: how each job's requests are made, and the floor that its ratio to bare aiohttp must reach."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.load import load, request
from placet_protocol.totp import hotp, step
from placet_server import app
from placet_server.domain import destinations
from placet_server.domain.onecode import CodeDraft
from placet_server.domain.organizations import DEFAULT_ORG
from placet_server.domain.users import UserDraft, Users
from placet_server.ports import plan
from placet_server.settings import Settings
from placet_server.system import SystemClock, SystemEntropy

PERIOD = 30
DAY = 86_400
QUESTION: dict[str, Any] = {
    "message": "Pay 1,250.00 EUR to Northwind Traders?",
    "details": {
        "visible": {"Amount": "1,250.00 EUR", "To": "Northwind Traders"},
        "hidden": {"order": "A-1042"},
    },
    "context": {"ip": "203.0.113.7", "place": "Utrecht", "agent": "Firefox on Linux"},
    "seconds_to_expire": 300,
}


class Person(NamedTuple):
    """A user of the bench and the seed of their soft token."""

    tfa_id: int
    secret: bytes


class Sent(NamedTuple):
    """A code that was carried before the measuring began."""

    id: str
    code: str


class Job(NamedTuple):
    """One kind of request; ``requests(count)`` are fresh ones, each good once."""

    name: str
    floor: float
    requests: Callable[[int], list[bytes]]
    expected: int
    needle: bytes


class Subject:
    """An application with its key and people, made before the server under measure starts."""

    def __init__(self, key: str, authy_key: str, people: Sequence[Person], sent: Sequence[Sent]) -> None:
        self._auth = f"Bearer {key}"
        self._authy_key = authy_key
        self._people = people
        self._sent = list(sent)
        self._numbers = itertools.count(len(sent))
        self._asked = 0
        self._last_step = dict.fromkeys(range(len(people)), 0)
        self._approval = ""

    async def ask_once(self, port: int) -> None:
        """Make the request that the polls ask for."""
        asked = await load(port, self.creations(1), connections=1, expected=201)
        self._approval = json.loads(asked.kept.split(b"\r\n\r\n", 1)[1])["id"]

    def jobs(self) -> list[Job]:
        """Every job, in the order of the report."""
        return [
            Job("approval_create", 0.25, self.creations, 201, b'"pending"'),
            Job("authy_create", 0.22, self.authy_creations, 200, b'"success":true'),
            Job("totp_verify", 0.40, self.verifications, 200, b'"verified":true'),
            Job("status_poll", 0.55, self.polls, 200, b'"pending"'),
            Job("code_issue", 0.25, self.codes, 201, b'"live"'),
            Job("code_check", 0.25, self.checks, 200, b'"matched":true'),
        ]

    def creations(self, count: int) -> list[bytes]:
        """A question to the next person each; nobody is asked more often than the fatigue rules allow."""
        made = []
        for _ in range(count):
            person = self._people[self._asked % len(self._people)]
            self._asked += 1
            body = json.dumps({"tfa_id": person.tfa_id, **QUESTION}).encode()
            made.append(request("POST", "/v1/approval_requests", body, Authorization=self._auth))
        return made

    def authy_creations(self, count: int) -> list[bytes]:
        """The same question as its JSON clients ask it by the Authy face."""
        question = {
            "message": QUESTION["message"],
            "details": QUESTION["details"]["visible"],
            "hidden_details": QUESTION["details"]["hidden"],
            "logos": [],
            "seconds_to_expire": QUESTION["seconds_to_expire"],
        }
        body = json.dumps(question).encode()
        made = []
        for _ in range(count):
            person = self._people[self._asked % len(self._people)]
            self._asked += 1
            path = f"/onetouch/json/users/{person.tfa_id}/approval_requests"
            made.append(request("POST", path, body, X_Authy_API_Key=self._authy_key))
        return made

    def verifications(self, count: int) -> list[bytes]:
        """A code each that was never used and is in time: of this step or the next."""
        now = step(SystemClock().now(), PERIOD)
        made: list[bytes] = []
        for place, last in self._last_step.items():
            if len(made) == count:
                break
            wanted = max(last + 1, now)  # still good should the next step begin during the round
            if wanted > now + 1:
                continue
            self._last_step[place] = wanted
            person = self._people[place]
            body = json.dumps({"code": hotp(person.secret, wanted, 6, "SHA1")}).encode()
            path = f"/v1/users/{person.tfa_id}/soft_tokens/verify"
            made.append(request("POST", path, body, Authorization=self._auth))
        if len(made) < count:
            raise SystemExit(f"only {len(made)} unused codes are left; make more people")
        return made

    def polls(self, count: int) -> list[bytes]:
        """The same pending request, asked for again and again."""
        return [request("GET", f"/v1/approval_requests/{self._approval}", Authorization=self._auth)] * count

    def codes(self, count: int) -> list[bytes]:
        """A code by text message to a number each that got none before."""
        made = []
        for _ in range(count):
            body = json.dumps({"phone": number(next(self._numbers)), "channel": "sms", "purpose": "login"})
            made.append(request("POST", "/v1/codes", body.encode(), Authorization=self._auth))
        return made

    def checks(self, count: int) -> list[bytes]:
        """The right code each, which was carried and not checked yet."""
        taken, self._sent = self._sent[:count], self._sent[count:]
        if len(taken) < count:
            raise SystemExit(f"only {len(taken)} unchecked codes are left; make more of them")
        made = []
        for sent in taken:
            body = json.dumps({"code": sent.code, "purpose": "login"}).encode()
            made.append(request("POST", f"/v1/codes/{sent.id}/check", body, Authorization=self._auth))
        return made


def number(place: int) -> str:
    """A telephone number; neighbours are far apart, as those of real people are."""
    return f"+447{place % 100_000:05d}{place // 100_000:04d}"


async def prepare(folder: Path, people: int, codes: int = 0) -> Subject:
    """Make the application, its people and carried codes in a data folder, by the server's own operations."""
    clock = SystemClock()
    server = await app.build(Settings(data=folder, port=0), clock, SystemEntropy())
    key = await server.domain.applications.add("bench", ("approvals", "users", "codes"), clock.now())
    # The fatigue rules stay on; the bench asks each of its people more than once.
    authy = await server.domain.credentials.add("authy", "bench", None, {}, clock.now())
    limits = {"approval.max_pending": "100", "approval.max_unapproved": "100"}
    await server.domain.applications.set_policies("bench", limits, clock.now())

    async def person(place: int) -> Person:
        user, _ = await server.domain.users.create(
            DEFAULT_ORG, UserDraft(email=f"p{place}@example.com"), clock.now()
        )
        secret = place.to_bytes(20, "big")
        await server.domain.soft_tokens.create(
            user, "bench", "bench", clock.now(), secret=secret, confirmed=True
        )
        await server.store.write(plan(Users.confirm_step(user.id)))  # as anyone who has used a code before
        return Person(user.tfa_id, secret)

    made: list[Person] = []
    for start in range(0, people, 500):
        made += await asyncio.gather(*(person(place) for place in range(start, min(people, start + 500))))
    sent = await _carried(server, key.api_key, codes) if codes else []
    await server.stop()
    return Subject(key.api_key, authy.api_key, made, sent)


async def _carried(server: app.App, api_key: str, count: int) -> list[Sent]:
    """So many codes, each read by its person by now."""
    codes, deliveries, clock = server.domain.codes, server.domain.deliveries, server.clock
    caller = await server.domain.applications.authenticate(api_key, clock.now())
    assert caller is not None

    async def one(place: int) -> Sent:
        draft = CodeDraft(
            destination=destinations.phone(number(place)),
            value=f"{place:06d}",
            seconds=DAY,
            purpose="login",
            channels=("sms",),
        )
        return Sent((await codes.issue(caller, draft, clock.now())).id, f"{place:06d}")

    await server.start()
    made: list[Sent] = []
    for start in range(0, count, 500):
        made += await asyncio.gather(*(one(place) for place in range(start, min(count, start + 500))))
    while await deliveries.next_due() is not None:  # noqa: ASYNC110 - nothing tells when the last one is carried
        await asyncio.sleep(0.1)
    return made
