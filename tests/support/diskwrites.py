"""Reads what a process wrote to which file, when it synced, and what it said meanwhile, from a trace of its calls.

From that it knows what a power cut at any moment would have left on the disk: what was synced, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from support.system import needed

_CALL = re.compile(
    r"^(?P<pid>\d+) +(?P<call>pwrite64|fdatasync|fsync|ftruncate|writev?|sendto|sendmsg)\((?P<fd>\d+)<(?P<path>[^>]*)>"
    r'(?:, (?P<data>"(?:\\x[0-9a-f]{2})*"))?(?:, (?P<numbers>[\d, ]+))?(?P<rest>.*)$'
)
_RESUMED = re.compile(r"^(?P<pid>\d+) +<\.\.\. (?P<call>fdatasync|fsync) resumed>")


_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_SENT = frozenset({"write", "writev", "sendto", "sendmsg"})


class Said(NamedTuple):
    """What went to standard output or a socket, and each file as a power cut at this moment would leave it."""

    line: str
    disk: dict[str, bytes]


def traced(log: Path, words: list[str]) -> list[str]:
    """The command line that runs another one and logs its disk writes, whole and in hexadecimal."""
    calls = "trace=pwrite64,fdatasync,fsync,ftruncate,write,writev,sendto,sendmsg"
    return [
        needed("strace"),
        "-f",
        "-y",
        "-xx",
        "-s",
        "70000",
        "-e",
        calls,
        "-e",
        "signal=none",
        "-o",
        str(log),
        *words,
    ]


def said(log: Path, folder: Path, before: dict[str, bytes]) -> Iterator[Said]:
    """What the traced process said, in order, with the synced content of the folder's files at that moment."""
    disk = {name: bytearray(data) for name, data in before.items()}
    pending: dict[str, list[tuple[int, bytes | None]]] = {}
    syncing: dict[str, str] = {}
    for entry in log.read_text("ascii").splitlines():
        if resumed := _RESUMED.match(entry):
            _sync(disk, pending, syncing.pop(resumed["pid"]))
            continue
        found = _CALL.match(entry)
        if found is None:
            continue
        path = Path(_bytes(found["path"]).decode())
        name = path.name
        if found["call"] in _SENT:
            if found["fd"] == "1" or str(path).startswith("socket:"):
                text = b"".join(map(_bytes, _TEXT.findall(entry[found.end("path") :])))
                yield Said(
                    text.decode("utf-8", "replace").strip(),
                    {file: bytes(data) for file, data in disk.items()},
                )
        elif path.parent != folder:
            continue
        elif found["call"] == "pwrite64":
            offset = int(found["numbers"].split(",")[1])
            pending.setdefault(name, []).append((offset, _bytes(found["data"])))
        elif found["call"] == "ftruncate":
            pending.setdefault(name, []).append((int(found["numbers"]), None))
        elif "unfinished" in found["rest"]:
            syncing[found["pid"]] = name
        else:
            _sync(disk, pending, name)


def _sync(disk: dict[str, bytearray], pending: dict[str, list[tuple[int, bytes | None]]], name: str) -> None:
    image = disk.setdefault(name, bytearray())
    for offset, data in pending.pop(name, []):
        if data is None:
            del image[offset:]
        else:
            image.extend(bytes(max(0, offset - len(image))))
            image[offset : offset + len(data)] = data


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.strip('"').replace("\\x", ""))
