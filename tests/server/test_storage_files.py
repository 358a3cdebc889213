from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from placet_server.ports import Sql, StoreUnavailableError
from placet_server.storage import SqliteStore, StoreRefusedError, open_store
from placet_server.storage.migrate import migrate, migrations, statements
from support.plans import OUTBOX, create
from support.storeprocess import command, environment


def modes(folder: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


async def filled(path: Path, count: int) -> None:
    store = await open_store(path)
    await asyncio.gather(*(store.write(create(f"n{number}")) for number in range(count)))
    await store.close()


async def test_dur_08_a_second_process_is_refused_with_the_holder_named(tmp_path: Path) -> None:
    """While a process has the file, every other start ends with a sentence that names it; afterwards one may start."""
    path = tmp_path / "placet.sqlite"
    process = await asyncio.create_subprocess_exec(
        *command(path, "other", 10_000_000), env=environment(), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert (await process.stdout.readline()).strip() == b"ready"
    with pytest.raises(StoreRefusedError, match=f"in use by process {process.pid}"):
        await open_store(path)
    process.kill()
    await process.communicate()
    store = await open_store(path)
    with pytest.raises(StoreRefusedError, match=f"in use by process {os.getpid()}"):
        await open_store(path)
    await store.close()


async def test_all_files_of_the_store_belong_to_their_owner_alone(tmp_path: Path) -> None:
    """Data file, its log and its lock have mode 0600, also when the data file was laxer before."""
    path = tmp_path / "placet.sqlite"
    await filled(path, 1)
    path.chmod(0o644)
    store = await open_store(path)
    await store.write(create("a"))
    found = modes(tmp_path)
    assert {"placet.sqlite", "placet.sqlite-wal", "placet.sqlite-shm", "placet.sqlite.lock"} == set(found)
    assert set(found.values()) == {0o600}
    await store.close()


def flip_header(data: bytearray) -> None:
    data[0] ^= 0xFF


def zero_page(data: bytearray) -> None:
    data[4096 * 5 : 4096 * 6] = bytes(4096)


def truncate(data: bytearray) -> None:
    del data[len(data) // 2 :]


@pytest.mark.parametrize("damage", [flip_header, zero_page, truncate])
async def test_dur_06_a_damaged_file_is_refused_at_the_start(
    tmp_path: Path, damage: Callable[[bytearray], None]
) -> None:
    """A flipped header, a zeroed page and a missing half are noticed before anything is served."""
    path = tmp_path / "placet.sqlite"
    await filled(path, 500)
    data = bytearray(path.read_bytes())
    damage(data)
    path.write_bytes(data)
    with pytest.raises(StoreRefusedError, match=r"placet\.sqlite"):
        await open_store(path)


async def test_dur_05_reads_go_on_while_there_is_no_space(tmp_path: Path) -> None:
    """With no page left writes are refused as unavailable, reads answer, and writing goes on when there is space."""
    store = await open_store(tmp_path / "placet.sqlite")
    await store.write(create("before"))
    store._writer._connection.execute("PRAGMA max_page_count = 1")
    answers = await asyncio.gather(
        *(store.write(create(f"n{n}")) for n in range(2000)), return_exceptions=True
    )
    assert isinstance(answers[-1], StoreUnavailableError)
    assert answers[-1].reason == "SQLITE_FULL"
    stored = {row[0] for row in await store.rows(OUTBOX)}
    assert stored == {"before"} | {f"n{number}" for number, answer in enumerate(answers) if answer == 0}
    store._writer._connection.execute("PRAGMA max_page_count = 1000000")
    assert await store.write(create("after")) == 0
    await store.close()


async def test_settings_of_the_connections_are_those_of_a_safe_store(tmp_path: Path) -> None:
    """Log ahead of data, full sync, foreign keys, erased deletions, no trust in the schema, a reader that cannot write."""
    store = await open_store(tmp_path / "placet.sqlite")
    writer, reader = store._writer._connection, store._reader
    wanted = {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "secure_delete": 1,
        "trusted_schema": 0,
    }
    assert {name: writer.execute(f"PRAGMA {name}").fetchone()[0] for name in wanted} == wanted
    assert reader.execute("PRAGMA query_only").fetchone() == (1,)
    assert reader.execute("PRAGMA trusted_schema").fetchone() == (0,)
    await store.close()


async def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    """An older program does not touch tables that it does not know."""
    path = tmp_path / "placet.sqlite"
    await filled(path, 1)
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO migrations VALUES (9999, '9999_later.sql')")
    connection.close()
    with pytest.raises(StoreRefusedError, match="newer version"):
        await open_store(path)


def test_a_migration_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Either all missing files are in the data file or none of their statements; the next start finishes the job."""
    path = tmp_path / "placet.sqlite"
    connection = sqlite3.connect(path, isolation_level=None)
    known = migrations()
    broken = [
        *known,
        (9000, "9000_broken.sql", "CREATE TABLE more (id TEXT);\nINSERT INTO nowhere VALUES (1);\n"),
    ]
    with monkeypatch.context() as patched:
        patched.setattr("placet_server.storage.migrate.migrations", lambda: broken)
        with pytest.raises(sqlite3.OperationalError):
            migrate(connection)
    assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    assert migrate(connection) == len(known)
    assert migrate(connection) == 0
    connection.close()


def test_migrations_are_numbered_without_gap_or_double() -> None:
    """Files run in the order of their numbers, so each number stands once and none is missing."""
    assert [number for number, _, _ in migrations()] == list(range(1, len(migrations()) + 1))


def test_statements_are_split_at_line_ends_only() -> None:
    """A semicolon inside a text or a trigger does not end a statement; an unfinished one is an error."""
    text = "-- a; b\nCREATE TABLE a (b TEXT DEFAULT ';\n');\nINSERT INTO a VALUES ('x;y');\n-- the end\n"
    assert [part.strip()[-2:] for part in statements(text)] == [");", ");"]
    with pytest.raises(ValueError, match="semicolon"):
        list(statements("SELECT 1"))


async def test_a_store_that_could_not_be_opened_leaves_no_lock(tmp_path: Path) -> None:
    """After a refused start the file can be repaired and opened in the same process."""
    path = tmp_path / "placet.sqlite"
    path.write_bytes(b"this is no database, but long enough to be taken for one" * 100)
    with pytest.raises(StoreRefusedError):
        await open_store(path)
    path.unlink()
    store: SqliteStore = await open_store(path)
    assert await store.row(Sql("one", "SELECT 1")) == (1,)
    await store.close()


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A path that cannot be opened ends in a sentence, not in a trace."""
    with pytest.raises(StoreRefusedError, match="nowhere"):
        await open_store(tmp_path / "nowhere" / "placet.sqlite")
