"""Numbered SQL files that bring a data file's tables up to date, all of them in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from importlib.resources import files

from sqlite_utils import Database

from placet_server.storage.errors import StoreRefusedError

_TABLE = "CREATE TABLE migrations (number BIGINT PRIMARY KEY, name TEXT NOT NULL)"


def migrations() -> list[tuple[int, str, str]]:
    """Number, name and SQL text of every migration this version knows, in order."""
    found = [
        (int(file.name.partition("_")[0]), file.name, file.read_text("utf-8"))
        for file in (files("placet_server.storage") / "migrations").iterdir()
        if file.name.endswith(".sql")
    ]
    return sorted(found)


def migrate(connection: sqlite3.Connection) -> int:
    """Run what is missing and answer how many files that were; nothing of it remains if one statement fails.

    Raises ``StoreRefusedError`` when the file holds a migration that this version does not know. The connection must
    be in autocommit mode.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        missing = _missing(connection)
        for number, name, text in missing:
            for statement in statements(text):
                connection.execute(statement)
            connection.execute("INSERT INTO migrations (number, name) VALUES (?, ?)", (number, name))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return len(missing)


def _missing(connection: sqlite3.Connection) -> list[tuple[int, str, str]]:
    if not Database(connection, execute_plugins=False)["migrations"].exists():
        connection.execute(_TABLE)
    done = {number for (number,) in connection.execute("SELECT number FROM migrations")}
    known = migrations()
    if unknown := done - {number for number, _, _ in known}:
        raise StoreRefusedError(
            f"The data file was written by a newer version (migration {max(unknown)}); start that version."
        )
    return [entry for entry in known if entry[0] not in done]


def statements(text: str) -> Iterator[str]:
    """The statements of an SQL text one by one, because ``executescript`` would commit before it starts.

    A statement ends with a semicolon at the end of a line.
    """
    statement = ""
    for line in text.splitlines(keepends=True):
        statement += line
        if line.rstrip().endswith(";") and sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if any(line.strip() and not line.lstrip().startswith("--") for line in statement.splitlines()):
        raise ValueError("the last statement has no semicolon")
