from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
from pathlib import Path

import pytest

from placet_server.storage import open_store
from support.auditing import check_log
from support.diskwrites import said, traced
from support.plans import ENTRIES, OUTBOX, TAKEN
from support.storeprocess import command, environment, finished
from support.system import needed

KILLS = 4
TRACED = 60
CUTS = 10


async def whole(path: Path) -> set[str]:
    """The names that a store holds, after proving that each has its outbox row and its log entry."""
    store = await open_store(path)
    names = {lookup.decode() for (lookup,) in await store.rows(TAKEN)}
    assert {row[0] for row in await store.rows(OUTBOX)} == names
    assert len(await store.rows(ENTRIES)) == len(names)
    assert await check_log(store, []) is None
    await store.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()
    return names


def acknowledged(lines: list[str]) -> set[str]:
    return {line.removeprefix("ack ") for line in lines if line.startswith("ack ") and line.endswith(".")}


def reasons(lines: list[str]) -> set[str]:
    """What the store said why it took no plan."""
    return {line.split()[2] for line in lines if line.startswith("no ")}


def prepared(folder: Path) -> Path:
    """A store with its tables, made by a process that ended well."""
    path = folder / "placet.sqlite"
    assert finished(command(path, "before", 1)) == ["ready", "ack before-000000."]
    return path


def killed(words: list[str], after: int) -> list[str]:
    """What a process had said when it was killed, some time after that many lines."""
    with subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(after)]
        process.send_signal(signal.SIGKILL)
        return lines + process.stdout.read().splitlines()


async def test_dur_02_a_kill_at_any_moment_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """After kill -9 in full writing every acknowledged plan is there, whole, and the next start needs no repair."""
    path, promised, dice = tmp_path / "placet.sqlite", set[str](), random.Random(2)
    for kill in range(KILLS):
        lines = killed(command(path, f"k{kill}", 1_000_000), after=dice.randrange(2, 400))
        promised |= acknowledged(lines)
        assert promised <= await whole(path)
    assert len(promised) > KILLS


def test_dur_01_an_answer_comes_only_after_its_write_is_synced(tmp_path: Path) -> None:
    """At the moment of every acknowledgement its name stands in synced bytes of the write-ahead log."""
    needed("strace")
    path, log = prepared(tmp_path), tmp_path / "trace"
    before = {path.name: path.read_bytes()}
    assert len(acknowledged(finished(traced(log, command(path, "t", TRACED))))) == TRACED
    unsynced = []
    for line, disk in said(log, tmp_path, before):
        name = line.removeprefix("ack ").encode()
        if line.startswith("ack ") and not any(name in image for image in disk.values()):
            unsynced.append(line)
    assert unsynced == []


async def test_dur_03_a_power_cut_after_an_answer_loses_nothing(tmp_path: Path) -> None:
    """Files rebuilt from synced bytes alone, at several moments, open and hold everything acknowledged before."""
    needed("strace")
    path, log = prepared(tmp_path), tmp_path / "trace"
    before = {path.name: path.read_bytes()}
    finished(traced(log, command(path, "t", TRACED)))
    answers = [moment for moment in said(log, tmp_path, before) if moment.line.startswith("ack ")]
    assert len(answers) == TRACED
    for cut in range(0, TRACED, TRACED // CUTS):
        folder = tmp_path / f"cut-{cut}"
        os.mkdir(folder)  # noqa: PTH102 - asynchronous tests use no pathlib
        for name, data in answers[cut].disk.items():
            (folder / name).write_bytes(data)
        assert acknowledged([answer.line for answer in answers[: cut + 1]]) <= await whole(folder / path.name)


@pytest.mark.parametrize("nth", [3, 6, 9])
async def test_dur_13_a_failed_sync_is_never_acknowledged_and_stops_the_writer(
    tmp_path: Path, nth: int
) -> None:
    """When the disk fails one sync, that batch and all later ones are refused; after a restart the rest is there."""
    path, log = prepared(tmp_path), tmp_path / "trace"
    fault = ["-e", f"inject=fdatasync:error=EIO:when={nth}"]
    words = traced(log, command(path, "t", TRACED))
    lines = finished([*words[:1], *fault, *words[1:]])
    answers = [line.split()[0] for line in lines[1:]]
    assert len(answers) == TRACED
    assert "ack" not in answers[answers.index("no") :]
    assert reasons(lines) == {"SQLITE_IOERR_FSYNC"}
    assert acknowledged(lines) <= await whole(path)


async def test_dur_05_a_full_disk_refuses_and_recovers(tmp_path: Path) -> None:
    """While the disk has no space writes are refused; when space returns the same process goes on by itself."""
    path, log = prepared(tmp_path), tmp_path / "trace"
    fault = ["-e", "inject=pwrite64:error=ENOSPC:when=60..75"]
    words = traced(log, command(path, "t", TRACED * 4))
    lines = finished([*words[:1], *fault, *words[1:]])
    answers = [line.split()[0] for line in lines[1:]]
    assert answers[0] == answers[-1] == "ack"
    assert reasons(lines) == {"SQLITE_FULL"}
    assert acknowledged(lines) <= await whole(path)
