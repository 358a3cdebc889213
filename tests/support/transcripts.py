"""Executed transcripts: ``*.http`` files with requests and the exact answers of a real server.

    ### What happens, in a sentence.
    @approve
    GET /onetouch/json/approval_requests/{{uuid}}
    X-Authy-API-Key: {{key}}

    a body, if any

    HTTP/1.1 200
    Content-Type: application/json; charset=utf-8

    {"approval_request":{"status":"approved","uuid":"{{uuid}}","created_at":"{{created}}"},"success":true}

``{{name}}`` is a value that was given, or that an earlier answer showed; in an answer an unknown name stands for any text
and gets its value there. ``@name`` does something first, by a function of the test. Headers that are not named may be
any; everything else is compared to the letter. Host and Content-Length are added.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from support.http import raw

FOLDER = Path(__file__).parents[1] / "faces" / "transcripts"
DOCS = Path(__file__).parents[2] / "docs"
_STATUS = re.compile(r"(?m)^HTTP/1\.1 (\d{3})$")
_PLACE = re.compile(r"\{\{(\w+)\}\}")
_FENCE = re.compile(r"(?ms)^```http\n(.*?)^```$")

Values = dict[str, str]
Doing = Callable[[Values], Awaitable[None]]


class Exchange(NamedTuple):
    """One request and its answer as they are written; ``text`` is all of it."""

    title: str
    before: tuple[str, ...]
    request: str
    status: int
    answer: str
    text: str


def exchanges(file: Path) -> list[Exchange]:
    """What a transcript tells, in order."""
    parts = re.split(r"(?m)^### ", file.read_text())
    assert not parts[0].strip(), f"{file.name} does not begin with ### "
    return [_exchange(part) for part in parts[1:]]


async def replay(
    name: str, url: str, given: Mapping[str, str] | None = None, doing: Mapping[str, Doing] | None = None
) -> Values:
    """Send every request of ``transcripts/NAME.http`` and compare every answer; returns all values that were seen."""
    values = dict(given or {})
    port = urlsplit(url).port
    assert port is not None
    for exchange in exchanges(FOLDER / f"{name}.http"):
        for action in exchange.before:
            await (doing or {})[action](values)
        answer = await raw(port, _sent(_filled(exchange.request, values), urlsplit(url).netloc))
        assert answer is not None, exchange.title
        assert answer.status == exchange.status, (exchange.title, answer.body)
        headers, _, body = f"\n{exchange.answer}".partition("\n\n")
        for line in filter(None, headers.splitlines()):
            header, _, expected = line.partition(": ")
            _match(expected, answer.headers.get(header.lower(), ""), values, f"{exchange.title} {header}")
        _match(body.strip("\n"), answer.body.decode(), values, exchange.title)
    return values


def untold(document: str, names: Iterable[str]) -> list[str]:
    """The ``http`` blocks of a page under ``docs`` that stand in no transcript of these names, word for word."""
    told = {_neat(exchange.text) for name in names for exchange in exchanges(FOLDER / f"{name}.http")}
    blocks = _FENCE.findall((DOCS / document).read_text())
    assert blocks, f"{document} shows no transcript"
    parts = [_neat(part) for block in blocks for part in re.split(r"(?m)^### ", block) if part.strip()]
    return [part for part in parts if part not in told]


def _exchange(part: str) -> Exchange:
    title, _, rest = part.partition("\n")
    lines = rest.splitlines()
    before = tuple(line[1:].strip() for line in lines if line.startswith("@"))
    text = "\n".join(line for line in lines if not line.startswith("@"))
    found = _STATUS.search(text)
    assert found, f"no answer to: {title}"
    request, answer = text[: found.start()].strip("\n"), text[found.end() :].removeprefix("\n")
    return Exchange(title, before, request, int(found[1]), answer, part)


def _neat(text: str) -> str:
    return "\n".join(line for line in text.strip().splitlines() if not line.startswith("@"))


def _filled(text: str, values: Values) -> str:
    return _PLACE.sub(lambda found: values[found[1]], text)


def _sent(request: str, host: str) -> bytes:
    head, _, body = request.partition("\n\n")
    start, *headers = head.splitlines()
    data = body.encode()
    headers = [f"Host: {host}", *headers, "Connection: close"]
    if data:
        headers.append(f"Content-Length: {len(data)}")
    return "\r\n".join((f"{start} HTTP/1.1", *headers, "", "")).encode() + data


def _match(expected: str, got: str, values: Values, where: str) -> None:
    pattern, at, names = "", 0, set[str]()
    for place in _PLACE.finditer(expected):
        pattern += re.escape(expected[at : place.start()])
        name = place[1]
        if name in values:
            pattern += re.escape(values[name])
        elif name in names:
            pattern += f"(?P={name})"
        else:
            names.add(name)
            pattern += f"(?P<{name}>.+?)"
        at = place.end()
    found = re.fullmatch(pattern + re.escape(expected[at:]), got, re.DOTALL)
    assert found, f"{where}\nexpected {expected}\ngot      {got}"
    values.update(found.groupdict())
