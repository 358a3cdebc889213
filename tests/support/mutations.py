"""What can be wrong with a request: mutations that keep it framed as HTTP says, and some that do not."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from typing import Any

from support.wishes import KINDS, Raw, Wish

ODD_TEXTS = (
    "", " ", "0", "-1", "1.5", "1e999", "9" * 400, "x" * 3000, "\x00", "a\x00b", "\r\nX-Injected: 1", "\r\nBcc: a@b.example",
    "\u202egnp.exe", "\u200b", "é", "\ufdfa", "１２３４５６", "\ud800", "null", "NaN", "true", "[]", "{}", "' OR 1=1--",
    "<b>&\"'</b>", "{code}", "{otp}{otp}", "%s%n", "../../etc/passwd", "${jndi:ldap://127.0.0.1/a}", "\x1b]52;c;eA==\x07",
)  # fmt: skip
ODD_VALUES: tuple[Any, ...] = (
    *ODD_TEXTS, None, True, False, 0, -1, 2**53, 10**18, 10**30, 1.5, 1e308, [], {}, [[]], [None], {"a": {"b": {"c": {}}}},
    ["x"] * 300, {"status": "approved"}, {"": ""},
)  # fmt: skip
ODD_MEDIA = (
    "", "text/plain", "application/json; charset=klingon", "application/json; charset=utf-16", "text/xml; charset=utf-7",
    "multipart/form-data", "multipart/form-data; boundary=" + "b" * 200, "application/x-www-form-urlencoded; charset=latin-1",
    "application/xml", "application/jose", "multipart/form-data; boundary=bnd7f3a", "application/json", "*/*", 'a/b; c="',
)  # fmt: skip
ODD_HEADERS = (
    ("X-Forwarded-For", "203.0.113.9"), ("X-HTTP-Method-Override", "DELETE"), ("Accept", "\xff"), ("Range", "bytes=0-1"),
    ("Expect", "100-continue"), ("Expect", "200-ok"), ("Content-Encoding", "gzip"), ("Content-Encoding", "identity"),
    ("Idempotency-Key", "k" * 256), ("Idempotency-Key", "k1"), ("Placet-Proof", "a.b.c"), ("Origin", "https://evil.example"),
    ("Upgrade", "websocket"), ("Connection", "close"), ("Connection", "Upgrade"), ("Cookie", "a=b; " * 200), ("User-Agent", "\x7f" * 9),
    ("Authorization", "Basic !!!"), ("Authorization", "Bearer " + "x" * 500), ("Authorization", "Basic Og=="), ("Accept-Encoding", "br"),
    ("X-Request-Id", "spoofed"), ("If-None-Match", "*"), ("Host", "other.example"), ("X" * 200, "1"),
)  # fmt: skip
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "get", "M-SEARCH")
SEGMENTS = (
    "%2e%2e", "..", "%2f", "%00", ";a=b", "//", "%0d%0a", "%EF%BC%97", "%ff", "%25%32%66", "x" * 3000, ".json", "%23", "é", "'",
)  # fmt: skip
BOMB = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">'
    '<!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;">]><hash><message>&d;&d;&d;</message></hash>'
)
DOCUMENTS: tuple[bytes, ...] = (
    BOMB.encode(),
    b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><hash><message>&e;</message></hash>',
    b"<a" * 2000, b"<a>" * 2000, b"[" * 20_000, b'{"a":' * 2000, b'{"message":1' + b"0" * 5000 + b"}", b"\xff\xfe{}",
    b"\xef\xbb\xbf{}", b"null", b"[]", b'"text"', b"{", b"--bnd7f3a\r\nbroken", b"--bnd7f3a--\r\n", b"\x00" * 64, b"a[b=1&a[b]=2&a=3",
    b"&" * 500, b"=" * 500, b"a=%zz&b=%ff", gzip.compress(bytes(100_000)), b"x" * 65_536, b"x" * 65_537, b" ",
    b'{"message":"\\ud800"}', b'{"message":NaN}', b"user[email]=a&user=b", b"{}{}",
)  # fmt: skip

Change = Callable[[random.Random, Wish], None]


def _method(chance: random.Random, wish: Wish) -> None:
    wish.method = chance.choice(METHODS)


def _path(chance: random.Random, wish: Wish) -> None:
    parts = wish.path.split("/")
    place = chance.randrange(1, len(parts)) if len(parts) > 1 else 0
    match chance.randrange(6):
        case 0:
            parts[place] = chance.choice(SEGMENTS)
        case 1:
            parts[place] += chance.choice(SEGMENTS)
        case 2:
            parts.insert(place, chance.choice(("", ".", "..", "x")))
        case 3:
            parts[place] = chance.choice(
                (parts[place].upper(), "".join(f"%{ord(c) % 256:02x}" for c in parts[place]))
            )
        case 4:
            parts[place] = chance.choice(
                (
                    "0",
                    "-7",
                    "99999999999999999999",
                    "7.5",
                    "null",
                    "１２",
                    "00000000-0000-7000-8000-000000000000",
                )
            )
        case _:
            parts.append("")
    wish.path = "/".join(parts)


def _query(chance: random.Random, wish: Wish) -> None:
    _change_pairs(chance, wish.query)


def _body(chance: random.Random, wish: Wish) -> None:
    if not isinstance(wish.body, dict):
        wish.kind, wish.body = "raw", chance.choice(DOCUMENTS)
        return
    into = chance.choice([wish.body, *(inner for inner in wish.body.values() if isinstance(inner, dict))])
    names = list(into)
    name = chance.choice(names) if names else "message"
    match chance.randrange(6):
        case 0 | 1:
            into[name] = chance.choice(ODD_VALUES)
        case 2:
            into.pop(name, None)
        case 3:
            into[
                chance.choice(("status", "approved", "unknown", "", "constructor", "__proto__", "tfa_id"))
            ] = chance.choice(ODD_VALUES)
        case 4:
            into[name.swapcase()] = into.get(name)
        case _:
            value: Any = {}
            for _ in range(chance.choice((5, 31, 40, 200))):
                value = {"a": value}
            into[name] = value


def _kind(chance: random.Random, wish: Wish) -> None:
    if isinstance(wish.body, dict):
        wish.kind = chance.choice(KINDS)
        wish.headers = [pair for pair in wish.headers if pair[0].lower() != "content-type"]
    else:  # parameters of the query in a body
        wish.kind, wish.body, wish.query = chance.choice(KINDS), dict(wish.query), []


def _both(chance: random.Random, wish: Wish) -> None:
    """A parameter in query and body, with one value or with two."""
    pairs = wish.query or wish.fields() or [("user", "x")]
    name, value = chance.choice(pairs)
    other = value if chance.random() < 0.5 else chance.choice(ODD_TEXTS)
    if chance.random() < 0.5 and isinstance(wish.body, dict):
        wish.body.setdefault(name, other)
    wish.query.append((name, other))


def _document(chance: random.Random, wish: Wish) -> None:
    wish.kind, wish.body = "raw", chance.choice(DOCUMENTS)


def _bytes(chance: random.Random, wish: Wish) -> None:
    seed = chance.random()

    def spoiled(data: bytes) -> bytes:
        own = random.Random(seed)
        found = bytearray(data or b"x")
        for _ in range(own.randint(1, 4)):
            place = own.randrange(len(found)) if found else 0
            match own.randrange(3):
                case 0:
                    found[place : place + 1] = bytes([own.randrange(256)])
                case 1:
                    del found[place : place + own.randint(1, 8)]
                case _:
                    found[place:place] = own.randbytes(own.randint(1, 8))
        return bytes(found)

    wish.after = spoiled


def _media(chance: random.Random, wish: Wish) -> None:
    wish.headers = [pair for pair in wish.headers if pair[0].lower() != "content-type"]
    wish.headers.append(("Content-Type", chance.choice(ODD_MEDIA)))


def _header(chance: random.Random, wish: Wish) -> None:
    wish.headers.append(chance.choice(ODD_HEADERS))


def _credential(chance: random.Random, wish: Wish) -> None:
    """Drop, double, change or empty what says who calls, wherever it stands."""
    names = {"user", "password", "api_key", "apikey", "accountnumber"}
    places: list[tuple[list[tuple[str, str]], int]] = [
        (pairs, place) for pairs in (wish.headers, wish.query) for place, (name, _) in enumerate(pairs)
        if name.lower() in names | {"authorization", "api-login", "api-key", "x-authy-api-key"}
    ]  # fmt: skip
    if not places:
        if isinstance(wish.body, dict) and (inside := sorted(names & wish.body.keys())):
            wish.body[chance.choice(inside)] = chance.choice(ODD_VALUES)
        return
    pairs, place = chance.choice(places)
    name, value = pairs[place]
    match chance.randrange(4):
        case 0:
            del pairs[place]
        case 1:
            pairs.append((name, value))
        case 2:
            pairs.append((name, value[::-1]))
        case _:
            cut = chance.randrange(len(value) + 1)
            pairs[place] = (name, value[:cut])


def _chunked(_chance: random.Random, wish: Wish) -> None:
    wish.chunked = True


CHANGES: tuple[Change, ...] = (
    _method, _path, _path, _query, _query, _query, _body, _body, _body, _kind, _kind, _both, _document, _bytes, _media, _header,
    _header, _credential, _chunked,
)  # fmt: skip


def changed(chance: random.Random, wish: Wish) -> bytes:
    """The bytes of a request with one to three things wrong with it, framed as HTTP says."""
    made = wish.copy()
    for _ in range(chance.choice((0, 1, 1, 1, 2, 2, 3))):
        chance.choice(CHANGES)(chance, made)
    return made.encoded()


def misframed(chance: random.Random, wish: Wish) -> bytes:
    """The bytes of a request that is cut, spoilt, too long or too short: nobody can tell what was meant."""
    sent = bytearray(wish.copy().encoded())
    match chance.randrange(7):
        case 0:
            del sent[chance.randrange(len(sent)) :]
        case 1:
            end = sent.index(b"\r\n\r\n")
            sent[end:end] = b"\r\nContent-Length: " + chance.choice(
                (b"7", b"999999", b"-1", b"1e3", b"0x5", b"99999999999999999999")
            )
        case 2:
            end = sent.index(b"\r\n\r\n")
            sent[end:end] = b"\r\nTransfer-Encoding: " + chance.choice(
                (b"chunked", b"gzip, chunked", b"chunked, chunked", b"xchunked")
            )
        case 3:
            sent = bytearray(sent.replace(b"\r\n", b"\n"))
        case 4:
            sent = bytearray(
                sent.replace(
                    b"HTTP/1.1", chance.choice((b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9.9.9", b"", b"http/1.1")), 1
                )
            )
        case 5:
            sent = bytearray(
                sent.replace(
                    b" /",
                    chance.choice((b" http://other.example/", b" *", b" ", b"  /", b" \\", b" /\x00")),
                    1,
                )
            )
        case _:
            for _ in range(chance.randint(1, 6)):
                place = chance.randrange(len(sent))
                if chance.random() < 0.5:
                    sent[place] = chance.randrange(256)
                else:
                    sent[place:place] = chance.randbytes(chance.randint(1, 6))
    return bytes(sent)


def _change_pairs(chance: random.Random, pairs: list[tuple[str, str]]) -> None:
    place = chance.randrange(len(pairs)) if pairs else 0
    name, value = pairs[place] if pairs else ("class", "otp")
    match chance.randrange(9):
        case 0 | 1:
            pairs[place : place + 1] = [(name, chance.choice(ODD_TEXTS))]
        case 2:
            pairs.append((name, chance.choice((value, value + "0", ""))))
        case 3:
            del pairs[place : place + 1]
        case 4:
            pairs.append(
                (
                    chance.choice(
                        (
                            f"{name}[]",
                            f"{name}[a]",
                            f"{name}[",
                            f"[{name}]",
                            "a[b][c][d][e][f][g]",
                            name.upper(),
                        )
                    ),
                    "1",
                )
            )
        case 5:
            pairs.append(
                (
                    Raw(chance.choice(("a", "%ff", "%zz", "%00"))),
                    Raw(chance.choice(("%ed%a0%80", "%", "%c0%ae", "a=b=c", "%F0%9F%98%80"))),
                )
            )
        case 6:
            pairs.extend((f"p{number}", "1") for number in range(chance.choice((21, 51, 199, 250))))
        case 7:
            pairs[place : place + 1] = [(name, json.dumps(chance.choice(ODD_VALUES)))]
        case _:
            chance.shuffle(pairs)
