"""The real clock and randomness, the hardened process, and background work."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from placet_server.background import Checkpoints, Lasting, Periodic
from placet_server.crypto.checkpoint import read_checkpoints
from placet_server.domain.audit import leaf
from placet_server.ports import StoreUnavailableError, plan
from placet_server.storage import SqliteStore, open_store
from placet_server.system import SystemClock, SystemEntropy
from placet_server.testing import START, ManualClock
from support.gated import logged

_CHILD = """
import ctypes, os, resource
from placet_server.system import harden
harden()
print(oct(os.umask(0)), resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""


def test_key_05_a_hardened_process_keeps_its_memory_to_itself() -> None:
    """Private files, no core dump, no ptrace by others: all three hold after one call."""
    done = subprocess.run([sys.executable, "-c", _CHILD], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "0o77 (0, 0) 0"


def test_clock_and_entropy_are_the_machine_s() -> None:
    """Milliseconds in UTC; bytes of the asked length; evenly drawn integers below the limit."""
    assert abs(SystemClock().now() - time.time() * 1000) < 1000
    entropy = SystemEntropy()
    assert len({entropy.bytes(16) for _ in range(100)}) == 100
    assert {entropy.below(3) for _ in range(200)} == {0, 1, 2}


async def test_periodic_work_goes_on_after_a_bad_round() -> None:
    """A defect and a full disk each cost one round, not the work; the log names them, and no text of an exception."""
    rounds = asyncio.Queue[int]()
    count = 0

    async def work(now: int) -> None:
        nonlocal count
        assert now == START
        count += 1
        rounds.put_nowait(count)
        if count == 1:
            raise StoreUnavailableError("full at place 7", "SQLITE_FULL")
        if count == 2:
            raise ValueError("defect")

    periodic = Periodic("test", ManualClock(), 0.001, work)
    periodic.start()
    async with logged() as out, asyncio.timeout(20):
        while await rounds.get() < 4:
            pass
    await periodic.stop()
    told = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [(each["event"], each.get("reason"), each.get("error")) for each in told] == [
        ("background_store_unavailable", "SQLITE_FULL", None),
        ("background_failed", None, "ValueError"),
    ]
    assert "place 7" not in out.getvalue()
    ended = count
    await asyncio.sleep(0.01)
    assert count == ended


async def test_lasting_work_is_begun_again_and_ends_when_told() -> None:
    """A defect costs a pause, not the work; stop lets it finish in its own way."""
    told, running = asyncio.Event(), asyncio.Event()
    begun, finished = 0, False

    async def run() -> None:
        nonlocal begun, finished
        begun += 1
        if begun < 3:
            raise ValueError("defect")
        running.set()
        await told.wait()
        await asyncio.sleep(0)
        finished = True

    lasting = Lasting("test", run, told.set, pause=0.001)
    lasting.start()
    async with asyncio.timeout(20):
        await running.wait()
        await lasting.stop()
    assert (begun, finished) == (3, True)


async def test_stopping_does_not_wait_for_a_pause() -> None:
    """Work that fails at once and for ever can be stopped all the same."""

    async def run() -> None:
        raise ValueError("defect")

    lasting = Lasting("test", run, lambda: None, pause=3600)
    lasting.start()
    await asyncio.sleep(0.01)
    async with asyncio.timeout(20):
        await lasting.stop()


async def _grow(store: SqliteStore, leaves: int) -> None:
    for number in range(leaves):
        await store.write(plan(guards=0, leaf=leaf(number, "test", "default", str(number))))


async def test_checkpoints_follow_leaves_and_time(tmp_path: Path) -> None:
    """One is written after so many leaves at once, or at the end of a period with any news, and none without news."""
    store = await open_store(tmp_path / "db")
    key = Ed25519PrivateKey.generate()
    path = tmp_path / "checkpoints.txt"
    checkpoints = Checkpoints(store, "log.example", key, path, leaves=5, looks=3)

    def sizes() -> list[int]:
        return (
            [c.size for c in read_checkpoints(path, "log.example", key.public_key())] if path.exists() else []
        )

    await checkpoints.look(0)
    assert sizes() == []
    await _grow(store, 2)
    await checkpoints.look(0)
    assert sizes() == [2]
    await _grow(store, 4)
    await checkpoints.look(0)
    await checkpoints.look(0)
    assert sizes() == [2]
    await checkpoints.look(0)
    assert sizes() == [2, 6]
    await _grow(store, 5)
    await checkpoints.look(0)
    assert sizes() == [2, 6, 11]
    for _ in range(10):
        await checkpoints.look(0)
    assert sizes() == [2, 6, 11]
    await store.close()


def test_no_id_is_given_twice() -> None:
    """Also where threads ask at once, and where the page that they come out of ends in between."""
    entropy = SystemEntropy()
    with ThreadPoolExecutor(8) as threads:
        drawn = [*threads.map(lambda _: [entropy.bytes(10) for _ in range(5_000)], range(8))]
    ids = [each for some in drawn for each in some]
    assert {len(each) for each in ids} == {10}
    assert len(set(ids)) == 40_000


def test_a_forked_process_gives_no_id_of_its_parent() -> None:
    """What the parent has asked for and not given yet is not the child's."""
    code = (
        "import os; from placet_server.system import SystemEntropy; made = SystemEntropy(); made.bytes(10);"
        " child = os.fork(); os.write(1, made.bytes(10).hex().encode() + b'\\n'); child and os.waitpid(child, 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    one, other = done.stdout.split()
    assert one != other
