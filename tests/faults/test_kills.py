"""kill -9 in full work, seen from outside: what was answered stays, and every view tells the same."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from standardwebhooks import Webhook

from placet_protocol import jose
from placet_protocol.receipt import verify
from placet_server.storage import open_store
from support.auditing import check_log
from support.blackbox import Person, Remote, remote, shop
from support.devicelines import until
from support.ports import kept_port
from support.programs import serving
from support.receivers import Receiver, receiver
from support.scale import scaled

PEOPLE = 6
KILLS = max(4, scaled(20))
ANSWERS = scaled(10_000)
_EGRESS = ("--egress-allow", "127.0.0.0/8")
_GENTLE = ("approval.max_pending=100", "approval.max_unapproved=100", "approval.number=none")


class History:
    """What the server acknowledged: requests that it took, and how they ended."""

    def __init__(self) -> None:
        self.created: set[str] = set()
        self.ended: dict[str, str] = {}
        self._goal = 0
        self.reached = asyncio.Event()

    def expect(self, more: int) -> None:
        """Set ``reached`` after so many further acknowledgements."""
        self._goal = len(self.created) + len(self.ended) + more
        self.reached.clear()

    def note(self) -> None:
        """Look whether enough was acknowledged."""
        if len(self.created) + len(self.ended) >= self._goal:
            self.reached.set()


async def life(person: Person, history: History, chance: random.Random) -> None:
    """Ask this person and answer for them, again and again, until the server is gone."""
    try:
        while True:
            made = await person.ask(details={"hidden": {"n": len(history.created)}})
            history.created.add(made["id"])
            history.note()
            for rid, document in (await person.requests()).items():
                if chance.random() < 0.2:
                    ended = await person.remote.native("POST", f"/v1/approval_requests/{rid}/cancel")
                else:
                    status, ended = await person.answer(document, chance.choice(["approve", "deny"]))
                    assert status == 200, ended
                assert rid not in history.ended
                history.ended[rid] = ended["status"]
                history.note()
    except (aiohttp.ClientError, ConnectionError, json.JSONDecodeError):
        return


async def whole(path: Path) -> dict[str, str]:
    """The state of every request in a store that nobody has open, after proving that nothing of it is half there."""
    store = await open_store(path)
    assert await check_log(store, []) is None
    await store.close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        states = dict(db.execute("SELECT id, status FROM approvals"))
        endings = defaultdict(list)
        for kind, body in db.execute(
            "SELECT kind, body FROM audit WHERE kind LIKE 'approval.%' ORDER BY seq"
        ):
            endings[json.loads(body)["subject"]].append((kind, json.loads(body)["facts"].get("decision")))
        decisions = {
            rid: jose.b64u(digest) for rid, digest in db.execute("SELECT approval, digest FROM decisions")
        }
        pushes = {row[0] for row in db.execute("SELECT subject FROM outbox WHERE kind = 'push'")}
        waiting = Counter(row[0] for row in db.execute("SELECT subject FROM outbox WHERE kind = 'webhook'"))
    assert set(endings) == set(states)
    assert pushes <= set(states)
    assert max(waiting.values(), default=0) <= 1
    for rid, status in states.items():
        wanted: list[tuple[str, str | None]] = [("approval.created", None)]
        if status != "pending":
            wanted.append((f"approval.{status}", decisions.get(rid)))
        assert endings[rid] == wanted
        assert (rid in decisions) == (status in {"approved", "denied"})
    return states


def heard(told: Receiver, secret: str) -> dict[str, set[tuple[str, str]]]:
    """Event id and state by request, of every webhook that came; each must be signed."""
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for _, headers, body in told.posts:
        said = Webhook(secret).verify(body, headers)
        if said["type"].startswith("approval_request."):
            assert said["type"] == f"approval_request.{said['data']['status']}"
            found[said["data"]["id"]].add((headers["webhook-id"], said["data"]["status"]))
    return found


async def agreed(application: Remote, rid: str, status: str, keys: list[dict[str, Any]]) -> None:
    """Poll and receipt say what the store says."""
    polled = await application.native("GET", f"/v1/approval_requests/{rid}")
    assert polled["status"] == status
    if status in {"approved", "denied"}:
        receipt = await application.native("GET", f"/v1/approval_requests/{rid}/receipt")
        proved = verify(receipt["receipt"], keys)
        assert (proved.request.rid, proved.outcome) == (rid, status)


@pytest.fixture
def port() -> Iterator[int]:
    with kept_port() as kept:
        yield kept


async def test_dur_02_dec_12_kills_lose_nothing_acknowledged_and_all_views_agree(
    tmp_path: Path, port: int
) -> None:
    """After kill -9 again and again under load everything acknowledged is there, whole, and all views agree.

    Whole is a request with its log entries, its decision and its deliveries; the views are poll, webhook, receipt, log.
    """
    data, chance, history = tmp_path / "data", random.Random(2), History()
    words = (*_EGRESS, "--port", str(port))
    with serving(data, *words) as first:
        first.stop()
    async with receiver() as told, remote(first.url, "") as application:
        people: list[Person] = []
        secret = ""
        for _ in range(KILLS):
            with serving(data, *words) as server:
                if not people:
                    application.key, secret = await shop(data, *_GENTLE, webhook=told.url + "/hook")
                    people = [await application.person(f"p{number}@example.org") for number in range(PEOPLE)]
                history.expect(chance.randrange(2, 2 * ANSWERS // KILLS))
                lives = [asyncio.create_task(life(person, history, chance)) for person in people]
                await asyncio.wait_for(history.reached.wait(), 120)
                server.process.kill()
                await asyncio.to_thread(server.process.wait)
                await asyncio.gather(*lives)
            states = await whole(data / "placet.db")
            assert history.created <= set(states)
            assert {rid: states[rid] for rid in history.ended} == history.ended
        assert len(history.ended) > KILLS

        with serving(data, *words):
            over = {rid: status for rid, status in states.items() if status != "pending"}
            await until(lambda: set(over) <= set(heard(told, secret)), within=60)
            _, _, jwks = await application.call("GET", "/.well-known/jwks.json")
            for rid, status in states.items():
                await agreed(application, rid, status, jwks["keys"])
        events = heard(told, secret)
        assert {rid: {status for _, status in said} for rid, said in events.items()} == {
            rid: {status} for rid, status in over.items()
        }
        assert all(len({event for event, _ in said}) == 1 for said in events.values())
        assert await whole(data / "placet.db") == states
