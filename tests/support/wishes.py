"""Requests as a client means them, and how they become bytes: what mutations are made of."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Literal
from urllib.parse import parse_qsl, quote

from support.transcripts import FOLDER, exchanges

Kind = Literal["none", "json", "form", "multipart", "xml", "raw"]
Pairs = list[tuple[str, str]]

KINDS: tuple[Kind, ...] = ("json", "form", "multipart", "xml")
_BOUNDARY = "bnd7f3a"
_MEDIA = {
    "json": "application/json",
    "form": "application/x-www-form-urlencoded",
    "multipart": f"multipart/form-data; boundary={_BOUNDARY}",
    "xml": "application/xml",
}


class Raw(str):
    """A text that goes into a query or form as it is."""

    __slots__ = ()


class Wish:
    """One request in parts: what a mutation changes. ``body`` is what JSON can say, or bytes where ``kind`` is raw."""

    def __init__(
        self,
        method: str,
        path: str,
        query: Pairs | None = None,
        headers: Pairs | None = None,
        kind: Kind = "none",
        body: Any = None,
    ) -> None:
        self.method = method
        self.path = path
        self.query = list(query or [])
        self.headers = list(headers or [])
        self.kind: Kind = kind
        self.body = body
        self.after: Callable[[bytes], bytes] = lambda data: data
        """What is done to the body's bytes before they are framed."""
        self.chunked = False

    def copy(self) -> Wish:
        """The same, to be changed."""
        return Wish(
            self.method, self.path, self.query, self.headers, self.kind, json.loads(json.dumps(self.body))
            if self.kind not in {"raw", "none"}
            else self.body,
        )  # fmt: skip

    def fields(self) -> Pairs:
        """The body as a form has it."""
        return list(_flat(self.body)) if isinstance(self.body, dict) else []

    def encoded(self) -> bytes:
        """The whole request, its body framed as it is long."""
        data = self.after(_bytes(self))
        target = self.path + ("?" + _query(self.query) if self.query else "")
        lines = [f"{self.method} {target} HTTP/1.1", "Host: placet.test"]
        given = {name.lower() for name, _ in self.headers}
        if self.kind in _MEDIA and "content-type" not in given:
            lines.append(f"Content-Type: {_MEDIA[self.kind]}")
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.chunked and data:
            lines.append("Transfer-Encoding: chunked")
            half = max(1, len(data) // 2)
            chunks = (data[:half], data[half:]) if len(data) > 1 else (data,)
            data = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
        elif data or self.method not in {"GET", "HEAD"}:
            lines.append(f"Content-Length: {len(data)}")
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + data


def _bytes(wish: Wish) -> bytes:
    match wish.kind:
        case "none":
            return b""
        case "raw":
            return bytes(wish.body)
        case "json":
            return json.dumps(wish.body).encode()
        case "form":
            return _query(wish.fields()).encode("utf-8", "surrogateescape")
        case "multipart":
            parts = [
                f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
                for name, value in wish.fields()
            ]
            return ("".join(parts) + f"--{_BOUNDARY}--\r\n").encode("utf-8", "surrogatepass")
        case "xml":
            return f"<hash>{''.join(_xml(wish.body))}</hash>".encode("utf-8", "surrogatepass")


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}[{key}]" if name else str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _flat(inner, f"{name}[]")
    else:
        yield name, value if isinstance(value, str) else json.dumps(value)


def _xml(value: Any) -> Iterator[str]:
    for name, inner in value.items() if isinstance(value, dict) else ():
        yield f"<{name}>"
        yield from _xml(inner) if isinstance(inner, dict) else [str(inner).replace("&", "&amp;")]
        yield f"</{name}>"


def _query(pairs: Pairs) -> str:
    shown = []
    for name, value in pairs:
        left = name if isinstance(name, Raw) else quote(name, safe="[]", errors="surrogatepass")
        right = value if isinstance(value, Raw) else quote(value, safe="@", errors="surrogatepass")
        shown.append(f"{left}={right}")
    return "&".join(shown)


def of_transcripts(values: dict[str, str]) -> list[Wish]:
    """Every request of every transcript, its places filled from ``values``, or with their own names."""
    found = []
    for file in sorted(FOLDER.glob("*.http")):
        for exchange in exchanges(file):
            text = exchange.request
            for name in {part.partition("}}")[0] for part in text.split("{{")[1:]}:
                text = text.replace(
                    f"{{{{{name}}}}}", values.get(f"{file.stem}.{name}", values.get(name, name))
                )
            found.append(_read(text))
    return found


def _read(text: str) -> Wish:
    head, _, body = text.partition("\n\n")
    start, *lines = head.splitlines()
    method, target, *_ = start.split(" ")
    path, _, query = target.partition("?")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    media = next((value for name, value in headers if name.lower() == "content-type"), "")
    kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
    wish = Wish(method, path, parse_qsl(query, keep_blank_values=True), kept)
    if not body:
        return wish
    wish.kind, wish.body = "raw", body.encode()
    if "json" in media and body.startswith("{"):
        wish.kind, wish.body = "json", json.loads(body)
    elif "form-urlencoded" in media:
        wish.kind, wish.body = "form", dict(parse_qsl(body, keep_blank_values=True))
    return wish
