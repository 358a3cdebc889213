"""Proves of any face that it has an answer to every refusal of the core, by letting it answer each over a socket."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, get_args
from urllib.parse import quote

from aiohttp import web

from placet_server.domain.refusals import Code, RefusedError
from placet_server.faces import Face
from placet_server.web.gate import Call
from support.gated import Gated, gated
from support.http import Answer, raw, request

HOSTILE = "<a href='&x;'>\r\nX: y\x00\x1b[2J\u202e\ud800 🙂 ]]>"
"""What no answer may be broken by."""


class Spoken(NamedTuple):
    """A face, and a path and query under which it takes a call; ``headers`` likewise."""

    face: Face
    target: str
    headers: Mapping[str, str] = {}


async def refusals(folder: Path, spoken: Spoken, detail: str = HOSTILE) -> dict[Code, Answer]:
    """The face's answer to each refusal, whose sentence is ``detail`` and whose waiting time is 7 s."""
    path, _, query = spoken.target.partition("?")
    now: Code = "internal"

    async def refuse(_request: web.Request, _call: Call) -> web.Response:
        raise RefusedError(now, detail, retry_after=7)

    def serve(served: Gated) -> None:
        served.gate.add(served.router, "GET", path, refuse, face=spoken.face)

    answers: dict[Code, Answer] = {}
    async with gated(folder, serve) as served:
        for code in get_args(Code):
            now = code
            answer = await raw(
                served.port, request("GET", f"{path}?{query}" if query else path, b"", **spoken.headers)
            )
            assert answer is not None, code
            answers[code] = answer
    return answers


def query(**pairs: str) -> str:
    """These as a query."""
    return "&".join(f"{name}={quote(value)}" for name, value in pairs.items())
