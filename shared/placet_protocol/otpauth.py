"""The two URIs that QR codes carry: soft tokens (``otpauth://totp/…``) and enrolments (``https://…/e/…``).

Reading soft tokens is lenient, since every service writes them differently; writing is strict.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from typing import Final, get_args
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from msgspec import Struct

from placet_protocol.approval import NAME_MAX
from placet_protocol.errors import MalformedError
from placet_protocol.jose import unb64u
from placet_protocol.text import clean
from placet_protocol.totp import Algorithm

URI_LIMIT: Final = 2_048
_SECRET_MAX: Final = 256
_LABEL_MAX: Final = 256
_PERIOD_MAX: Final = 3_600
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PORTS: Final = {"https": 443, "http": 80}


class SoftTokenUri(Struct, frozen=True):
    """A TOTP secret with its parameters; ``period`` in seconds. ``issuer`` and ``account`` are foreign text."""

    secret: bytes
    issuer: str
    account: str
    algorithm: Algorithm = "SHA1"
    digits: int = 6
    period: int = 30


class EnrollmentUri(Struct, frozen=True):
    """An invitation for a device: where, which one, its one-time token, the server key to pin, and who invites."""

    origin: str
    id: str
    token: str
    thumbprint: str
    name: str

    @classmethod
    def parse(cls, uri: str) -> EnrollmentUri:
        """The invitation in ``https://ORIGIN/e/ID#t=TOKEN&k=THUMBPRINT&n=NAME``; raises ``MalformedError``.

        Plain http is taken for loopback hosts alone.
        """
        uri = _bounded(uri)
        parts = _split(uri)
        members = _pairs(parts.fragment)
        identifier = parts.path.removeprefix("/e/")
        if parts.query or parts.path == identifier or members.keys() != {"t", "k", "n"}:
            raise MalformedError("an enrolment URI is https://ORIGIN/e/ID#t=TOKEN&k=THUMBPRINT&n=NAME")
        found = cls(origin(uri), identifier, members["t"], members["k"], members["n"])
        found._check()
        return found

    def format(self) -> str:
        """The URI of this invitation; raises ``MalformedError`` when a part has not its form."""
        self._check()
        name = quote(self.name, safe="")
        return f"{self.origin}/e/{self.id}#t={self.token}&k={self.thumbprint}&n={name}"

    def _check(self) -> None:
        if self.origin != origin(self.origin):
            raise MalformedError(
                "an origin is scheme and host in lower case, and a port where it is not the usual one"
            )
        if _ID.fullmatch(self.id) is None:
            raise MalformedError("not an enrolment id")
        if len(unb64u(self.token)) != 32 or len(unb64u(self.thumbprint)) != 32:
            raise MalformedError("token and thumbprint are 32 bytes each")
        if not 0 < len(clean(self.name)) <= NAME_MAX or self.name != clean(self.name):
            raise MalformedError(f"the name has 1 to {NAME_MAX} characters")


def origin(url: str) -> str:
    """Scheme, host and port of a server's URL in the one form that documents use, as ``https://auth.example:8443``.

    Raises ``MalformedError`` for URLs with user or password, and for plain http to other than loopback hosts.
    """
    parts = _split(url)
    try:
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise MalformedError("the port is no number from 0 to 65535") from error
    if not host or "@" in parts.netloc or not url.isascii() or not url.isprintable() or " " in url:
        raise MalformedError("not the URL of a server")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        raise MalformedError("a server is reached by https, or by http on this machine alone")
    bracketed = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{bracketed}" + ("" if port in {None, _PORTS[parts.scheme]} else f":{port}")


def parse(uri: str) -> SoftTokenUri:
    """The soft token in an ``otpauth://totp/`` URI; raises ``MalformedError`` naming what cannot be used.

    Taken as meant: any case, spaces, hyphens and padding in the secret, ``HmacSHA1`` and ``SHA-1``, an issuer in the
    label or the query, unknown parameters. Defaults: SHA1, 6 digits, 30 s.
    """
    uri = _bounded(uri)
    parts = _split(uri)
    if parts.scheme != "otpauth" or parts.netloc.lower() != "totp":
        raise MalformedError("not an otpauth://totp/ URI")
    query = {name.lower(): value for name, value in _pairs(parts.query).items()}
    label = unquote(parts.path.removeprefix("/"))
    prefix, colon, account = label.partition(":")
    issuer = query.get("issuer") or (prefix if colon else "")
    found = SoftTokenUri(
        _secret(query.get("secret", "")),
        issuer.strip(),
        (account if colon else label).strip(),
        _algorithm(query.get("algorithm", "SHA1")),
        _number(query.get("digits", "6"), "digits"),
        _number(query.get("period", "30"), "period"),
    )
    _check_token(found)
    return found


def format(token: SoftTokenUri) -> str:  # noqa: A001 - reads as otpauth.format, the counterpart of otpauth.parse
    """The URI of a soft token, every parameter written out; raises ``MalformedError`` when one is out of bounds."""
    _check_token(token)
    if clean(token.issuer) != token.issuer or clean(token.account) != token.account or ":" in token.issuer:
        raise MalformedError("issuer and account are clean text, without a colon in the issuer")
    label = quote(f"{token.issuer}:{token.account}" if token.issuer else token.account, safe=":@")
    issuer = f"&issuer={quote(token.issuer, safe='')}" if token.issuer else ""
    secret = base64.b32encode(token.secret).decode("ascii").rstrip("=")
    return (
        f"otpauth://totp/{label}?secret={secret}{issuer}"
        f"&algorithm={token.algorithm}&digits={token.digits}&period={token.period}"
    )


def _bounded(uri: str) -> str:
    uri = uri.strip()
    if len(uri) > URI_LIMIT or not uri.isprintable():
        raise MalformedError(f"a URI is at most {URI_LIMIT} printable characters")
    return uri


def _split(uri: str) -> SplitResult:
    try:
        return urlsplit(uri)
    except ValueError as error:
        raise MalformedError("not a URI") from error


def _pairs(text: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=32)
    except ValueError as error:
        raise MalformedError("the parameters are not readable") from error
    if len(dict(pairs)) != len(pairs):
        raise MalformedError("a parameter is given twice")
    return dict(pairs)


def _secret(text: str) -> bytes:
    letters = re.sub(r"[\s=-]", "", text).upper()
    try:
        return base64.b32decode(letters + "=" * (-len(letters) % 8))
    except binascii.Error as error:
        raise MalformedError("the secret is not base32") from error


def _algorithm(text: str) -> Algorithm:
    name = text.upper().removeprefix("HMAC").replace("-", "")
    for algorithm in get_args(Algorithm):
        if name == algorithm:
            return algorithm  # type: ignore[no-any-return]  # get_args of the literal
    raise MalformedError("the algorithm is SHA1, SHA256 or SHA512")


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 4):
        raise MalformedError(f"{name} is no number")
    return int(text)


def _check_token(token: SoftTokenUri) -> None:
    if not 0 < len(token.secret) <= _SECRET_MAX:
        raise MalformedError(f"the secret has 1 to {_SECRET_MAX} bytes")
    if not 6 <= token.digits <= 8 or not 0 < token.period <= _PERIOD_MAX:
        raise MalformedError(f"a code has 6 to 8 digits and lives 1 to {_PERIOD_MAX} seconds")
    if not token.account or len(token.issuer) > _LABEL_MAX or len(token.account) > _LABEL_MAX:
        raise MalformedError(f"the account has 1 to {_LABEL_MAX} characters, the issuer at most as many")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
