"""``http_template``: any vendor that takes messages over HTTP, told in settings.

The URL, header fields and body are templates; what the vendor answers is read by rules. Values are encoded for the
place where they stand, and the host of the URL is constant, so that no message decides where it goes.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Meta, Struct

from placet_server.gateways import template
from placet_server.plugin import Carried, GatewayKit, Outgoing, Report, ReportedState, Secret, WebAnswer
from placet_server.ports import Channel

_PLACEHOLDERS: Final = (
    "id", "channel", "to", "to_digits", "text", "sender", "subject", "html", "code", "language", "gender", "seconds",
    "minutes", "report_url",
)  # fmt: skip
_ORIGIN: Final = re.compile(r"https?://[^/?#{}@\s]+(?=[/?]|$)")
_BUSY: Final = frozenset({401, 403, 408, 425, 429})


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an answer must say: a JSON value with one of some texts, or a body that matches a regular expression."""

    path: str | None = None
    equals: tuple[str | int | bool, ...] = ()
    pattern: str | None = None


class ReportRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a delivery report is read: the field of query, form or JSON, and what its values mean."""

    field: str
    delivered: tuple[str | int, ...] = ()
    undelivered: tuple[str | int, ...] = ()
    sent: tuple[str | int, ...] = ()


class TemplateSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One vendor's call."""

    url: Annotated[str, Meta(description="Template of the URL; scheme and host are constant.")]
    channels: Annotated[frozenset[Channel], Meta(min_length=1, description="What the vendor carries.")]
    method: Annotated[Literal["GET", "POST", "PUT"], Meta(description="HTTP method.")] = "POST"
    headers: Annotated[dict[str, str], Meta(description="Templates of header fields.")] = {}
    query: Annotated[dict[str, str], Meta(description="Templates of query parameters.")] = {}
    form: Annotated[dict[str, str] | None, Meta(description="Templates of form fields, as the body.")] = None
    json: Annotated[dict[str, Any] | None, Meta(description="A JSON body whose texts are templates.")] = None
    xml: Annotated[str | None, Meta(description="Template of an XML body.")] = None
    unicode: Annotated[
        dict[str, str], Meta(description="Fields added where a text does not fit the GSM alphabet.")
    ] = {}
    languages: Annotated[
        dict[str, str], Meta(description='The vendor\'s names of languages: `"es-LA" = "es_MX"`.')
    ] = {}
    sender: Annotated[str | None, Meta(description="Sender where a message names none.")] = None
    secrets: Annotated[dict[str, Secret], Meta(description="Secrets, used as `{secret.NAME}`.")] = {}
    username: Annotated[str | None, Meta(description="Name for HTTP Basic authentication.")] = None
    password: Annotated[Secret | None, Meta(description="Its password.")] = None
    success: Annotated[Rule | None, Meta(description="What a 2xx must say to be a success.")] = None
    retry: Annotated[Rule | None, Meta(description="What an answer says that may succeed later.")] = None
    id: Annotated[str | None, Meta(description="JSON path of the vendor's message id.")] = None
    id_pattern: Annotated[str | None, Meta(description="Or a regular expression; its first group.")] = None
    report: Annotated[ReportRule | None, Meta(description="How delivery reports are read.")] = None


class TemplateGateway:
    """Makes the call that the settings describe."""

    settings = TemplateSettings

    def __init__(self, name: str, settings: TemplateSettings, kit: GatewayKit) -> None:
        self.name = name
        self.channels: Final = settings.channels
        self._settings: Final = settings
        self._way: Final = kit.way
        _checked(settings)

    async def send(self, message: Outgoing) -> Carried:
        """2xx that satisfies ``success`` is accepted; 5xx, 429, refused access and ``retry`` are for later."""
        try:
            url, headers, data = self._made(message)
        except template.UnfitValueError as error:
            return Carried("refused", reason=str(error))
        answer = await self._way.request(self._settings.method, url, data=data, headers=headers)
        return self._judged(answer)

    def read_report(self, report: Report) -> ReportedState | None:
        """What the configured field says."""
        rule = self._settings.report
        if rule is None:
            return None
        said = dict(report.query).get(rule.field) or dict(report.form).get(rule.field)
        if said is None:
            said = _at(_json(report.body), rule.field)
        states: tuple[tuple[ReportedState, tuple[str | int, ...]], ...] = (
            ("delivered", rule.delivered),
            ("undelivered", rule.undelivered),
            ("sent", rule.sent),
        )
        return next((state for state, texts in states if said is not None and said in map(str, texts)), None)

    async def close(self) -> None:
        """The way out is the server's."""

    def _made(self, message: Outgoing) -> tuple[str, dict[str, str], bytes | None]:
        settings, values = self._settings, self._values(message)
        more = {} if message.gsm else settings.unicode
        headers = {
            name: template.fill(text, values, template.for_header) for name, text in settings.headers.items()
        }
        if settings.username is not None and settings.password is not None:
            pair = f"{settings.username}:{settings.password.reveal()}".encode()
            headers["Authorization"] = "Basic " + base64.b64encode(pair).decode()
        query, data = dict(settings.query), None
        if settings.form is not None:
            data = _urlencoded(template.fields(settings.form | more, values)).encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        elif settings.json is not None:
            data = msgspec.json.encode(template.tree(settings.json | more, values))
            headers["Content-Type"] = "application/json"
        elif settings.xml is not None:
            data = template.fill(settings.xml, values, template.for_xml).encode()
            headers.setdefault("Content-Type", "text/xml; charset=utf-8")
        else:
            query |= more
        url = template.fill(settings.url, values, template.for_url)
        if query:
            url += ("&" if "?" in url else "?") + _urlencoded(template.fields(query, values))
        return url, headers, data

    def _values(self, message: Outgoing) -> dict[str, str | None]:
        settings, seconds = self._settings, message.seconds
        return {
            "id": message.id,
            "channel": message.channel,
            "to": message.to,
            "to_digits": message.to.removeprefix("+"),
            "text": message.text,
            "sender": message.sender or settings.sender,
            "subject": message.subject,
            "html": message.html,
            "code": message.code,
            "language": settings.languages.get(message.language, message.language),
            "gender": message.gender,
            "seconds": None if seconds is None else str(seconds),
            "minutes": None if seconds is None else str(max(1, -(-seconds // 60))),
            "report_url": message.report_url,
            **{f"secret.{name}": secret.reveal() for name, secret in settings.secrets.items()},
        }

    def _judged(self, answer: WebAnswer) -> Carried:
        settings, said = self._settings, _json(answer.body)
        text = answer.body.decode("utf-8", "replace")
        fine = 200 <= answer.status < 300
        if fine and (settings.success is None or _holds(settings.success, said, text)):
            return Carried("accepted", self._reference(said, text))
        # Uncut: half a secret would not be found when its words are taken out.
        reason = f"the vendor answered {answer.status}: {' '.join(text.split())}"
        again = settings.retry is not None and _holds(settings.retry, said, text)
        if again or answer.status >= 500 or answer.status in _BUSY or 300 <= answer.status < 400:
            return Carried("later", reason=reason)
        return Carried("refused", reason=reason)

    def _reference(self, said: object, text: str) -> str:
        if self._settings.id is not None:
            return _at(said, self._settings.id) or ""
        if self._settings.id_pattern is not None and (found := re.search(self._settings.id_pattern, text)):
            return found[1]
        return ""


def _checked(settings: TemplateSettings) -> None:
    if not _ORIGIN.match(settings.url):
        raise ValueError(
            "url starts with a constant http(s)://host: placeholders stand in its path and query only"
        )
    if sum(body is not None for body in (settings.form, settings.json, settings.xml)) > 1:
        raise ValueError("a call has one body: give form, json or xml")
    if settings.method == "GET" and (settings.form or settings.json or settings.xml):
        raise ValueError("a GET has no body: put the fields into query")
    if (settings.username is None) != (settings.password is None):
        raise ValueError("Basic authentication needs both username and password_file")
    known = (*_PLACEHOLDERS, *(f"secret.{name}" for name in settings.secrets))
    for each in (settings.url, settings.xml or ""):
        template.check(each, known)
    for table in (settings.headers, settings.query, settings.form, settings.json, settings.unicode):
        for each in template.texts(table or {}):
            template.check(each, known)
    _checked_patterns(settings)


def _checked_patterns(settings: TemplateSettings) -> None:
    rules = [rule.pattern for rule in (settings.success, settings.retry) if rule is not None]
    for pattern in (*rules, settings.id_pattern):
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
    if settings.id_pattern is not None and re.compile(settings.id_pattern).groups != 1:
        raise ValueError("id_pattern needs one group, around the id")


def _urlencoded(fields: Mapping[str, str]) -> str:
    return urlencode(fields, quote_via=quote, safe="")


def _holds(rule: Rule, said: object, text: str) -> bool:
    if rule.pattern is not None:
        return re.search(rule.pattern, text) is not None
    found = _at(said, rule.path or "")
    return found is not None and (not rule.equals or found in map(_plain, rule.equals))


def _at(value: object, path: str) -> str | None:
    """The text at ``a.0.b`` of a JSON value: numbers and booleans as they are written in JSON."""
    for name in path.split("."):
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isascii() and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return None if value is None or isinstance(value, dict | list) else _plain(value)


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _json(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
