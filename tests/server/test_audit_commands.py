"""``placet-server audit``: what the log holds is stated, kept elsewhere, and compared."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from placet_server.cli import program
from placet_server.crypto.checkpoint import PART
from placet_server.crypto.merkle import from_bytes, grown, leaf_hash, to_bytes
from placet_server.domain.audit import leaf
from support.programs import invoked, serving


@pytest.fixture(params=["running", "closed"])
def data(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A data folder with some entries in its log, with a server running on it and without one."""
    folder = tmp_path / "data"
    _answer("init", "--data", folder)
    with contextlib.ExitStack() as stack:
        if request.param == "running":
            stack.enter_context(serving(folder))
        for name in ("shop", "bank", "kiosk"):
            _answer("application", "add", name, "--data", folder)
        yield folder


def test_aud_02_a_checkpoint_kept_elsewhere_confirms_the_log(data: Path, tmp_path: Path) -> None:
    """It is signed for what is there now and fits when the log has grown, with the server's key and with a pinned one."""
    kept = tmp_path / "kept"
    stated = invoked(program, "audit", "checkpoint", "--data", data)
    kept.write_text(stated.stdout)
    key = stated.stderr.removeprefix("key: ").strip()
    _answer("application", "add", "later", "--data", data)
    second = _answer("audit", "checkpoint", "--data", data)
    assert second["key"] == key
    kept.write_text(kept.read_text() + second["note"] + "\n")
    for words in ((), ("--key", key)):
        told = _answer("audit", "verify", kept, *words, "--data", data)
        assert told["good"]
        assert told["entries"] == told["confirmed"] == second["size"]
        assert told["checkpoints"] >= 2
    status, out = _run("audit", "verify", kept, "--data", data)
    assert status == 0
    assert f"the first {second['size']} are signed for" in out
    assert "Nothing kept elsewhere" not in out


def test_aud_02_a_changed_row_is_named(data: Path) -> None:
    """Whoever changes one entry in the file is told on, also while the server runs."""
    assert _answer("audit", "verify", "--data", data)["good"]
    _sql(data, "UPDATE audit SET body = replace(body, 'default', 'another') WHERE seq = 2")
    status, out = _run("audit", "verify", "--data", data)
    assert status == 1
    assert "Entry 2 was changed." in out
    status, out = _run("audit", "verify", "--data", data, "--json")
    assert status == 1
    told = msgspec.json.decode(out.splitlines()[0])
    assert (told["good"], told["wrong"]) == (False, "Entry 2 was changed.")


def test_aud_03_a_rewritten_log_contradicts_what_was_kept(data: Path, tmp_path: Path) -> None:
    """A forger who makes entries, hashes and tree fit each other is caught by the checkpoint elsewhere, and by it alone."""
    kept = tmp_path / "kept"
    kept.write_text(_answer("audit", "checkpoint", "--data", data)["note"])
    size = _answer("audit", "verify", kept, "--data", data)["entries"]
    forged = leaf(1, "application.added", "default", "somebody")
    _sql(
        data,
        "UPDATE audit SET at = 1, kind = ?, body = ?, leaf = ? WHERE seq = 2",
        forged.kind,
        forged.body,
        forged.hash,
    )
    with contextlib.closing(sqlite3.connect(data / "placet.db")) as file, file:
        leaves = [row[0] for row in file.execute("SELECT leaf FROM audit ORDER BY seq")]
        file.execute(
            "UPDATE facts SET value = ? WHERE name = 'tree'", (to_bytes(grown(from_bytes(bytes(8)), leaves)),)
        )
    (data / "checkpoints.txt").unlink(missing_ok=True)
    status, out = _run("audit", "verify", "--data", data)
    assert status == 0
    assert "Nothing kept elsewhere was given" in out
    status, out = _run("audit", "verify", kept, "--data", data)
    assert status == 1
    assert f"Entries 0 to {size - 1} are not those that a checkpoint was signed for." in out


def test_what_is_no_checkpoint_of_this_log_is_refused(tmp_path: Path) -> None:
    """A changed note, an empty file, bytes of anything and another installation's key are named, and nothing passes."""
    data, other = tmp_path / "data", tmp_path / "other"
    for folder in (data, other):
        _answer("init", "--data", folder)
    stated = _answer("audit", "checkpoint", "--data", data)
    kept = tmp_path / "kept"
    for content, sentence in (
        (stated["note"].replace("\n0\n", "\n7\n"), "no good signature"),
        (stated["note"][:-20], "Checkpoint 1 of"),
        ("", "holds no checkpoint"),
        ("\x00\x01\n\n\x02", "no checkpoint of this log"),
    ):
        kept.write_text(content)
        status, out = _run("audit", "verify", kept, "--data", data)
        assert (status, sentence in out) == (1, True), out
    kept.write_bytes(stated["note"].encode().replace(b"\n\n", b"\n\n\xff\xfe"))
    assert _run("audit", "verify", kept, "--data", data)[0] == 1
    kept.write_text(stated["note"])
    assert _run("audit", "verify", kept, "--data", data)[0] == 0
    foreign = _answer("audit", "checkpoint", "--data", other)["key"]
    assert _run("audit", "verify", kept, "--key", foreign, "--data", data)[0] == 1
    status, out = _run("audit", "verify", kept, "--key", "nonsense", "--data", data)
    assert (status, "no verifier key" in out) == (1, True)


def test_aud_05_a_long_log_is_checked_in_parts(tmp_path: Path) -> None:
    """A log that one call to the server does not get through is checked to its end, and so are checkpoints on the way."""
    data, kept = tmp_path / "data", tmp_path / "kept"
    _answer("init", "--data", data)
    _answer("application", "add", "bank", "--data", data)
    with contextlib.closing(sqlite3.connect(data / "placet.db")) as file, file:
        tree = from_bytes(file.execute("SELECT value FROM facts WHERE name = 'tree'").fetchone()[0])
        body = leaf(1, "test", "default", "thing").body
        whole = PART + 700
        rows = [(number, 1, "test", body, leaf_hash(body.encode())) for number in range(tree.size, whole)]
        file.executemany("INSERT INTO audit (seq, at, kind, body, leaf) VALUES (?, ?, ?, ?, ?)", rows)
        file.execute(
            "UPDATE facts SET value = ? WHERE name = 'tree'",
            (to_bytes(grown(tree, (row[4] for row in rows))),),
        )
    kept.write_text(_answer("audit", "checkpoint", "--data", data)["note"])
    _answer("application", "add", "shop", "--data", data)
    told = _answer("audit", "verify", kept, "--data", data)
    assert (told["good"], told["entries"], told["confirmed"]) == (True, whole + 1, whole)
    _sql(data, "UPDATE audit SET at = 2 WHERE seq = ?", PART + 300)
    status, out = _run("audit", "verify", kept, "--data", data)
    assert (status, f"Entry {PART + 300} was changed." in out) == (1, True)


def _sql(folder: Path, statement: str, *values: str | int | bytes) -> None:
    """Somebody with write access to the data file."""
    with contextlib.closing(sqlite3.connect(folder / "placet.db")) as file, file:
        assert file.execute(statement, values).rowcount == 1


def _answer(*words: str | Path) -> Any:
    """The answer of a command that succeeds."""
    done = invoked(program, *words, "--json")
    assert done.exit_code == 0, done.output
    return msgspec.json.decode(done.stdout)


def _run(*words: str | Path) -> tuple[int, str]:
    """The program in this process: its exit status and what it printed."""
    done = invoked(program, *words)
    return done.exit_code, done.output
