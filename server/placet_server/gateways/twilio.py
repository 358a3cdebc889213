"""``twilio``: SMS, WhatsApp and voice through Twilio's API of 2010-04-01.

    POST /2010-04-01/Accounts/{sid}/Messages.json   To, From | MessagingServiceSid, Body, StatusCallback, ValidityPeriod
    POST /2010-04-01/Accounts/{sid}/Calls.json      To, From, Twiml, StatusCallback        Basic authentication
    -> 201 {"sid": "SM…", "status": "queued"} | 4xx {"code": 21211, "message": "…"}

WhatsApp numbers are ``whatsapp:+34…`` on both sides. The status callback is a form post whose ``X-Twilio-Signature`` is
the base64 of HMAC-SHA1 under the auth token over the URL and, sorted by name, each name and value of the form.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Annotated, Final
from urllib.parse import SplitResult, quote, urlencode, urlsplit

import msgspec
from msgspec import Meta, Struct

from placet_server.gateways.twiml import VOICES, spoken
from placet_server.plugin import Carried, GatewayKit, Outgoing, Report, ReportedState, Secret, web_address
from placet_server.ports import Channel

_BUSY: Final = frozenset({401, 403, 404, 408, 429})
_VALIDITY_MAX: Final = 14_400
_MESSAGE_STATES: Final[dict[str, ReportedState]] = {
    "sent": "sent",
    "delivered": "delivered",
    "read": "delivered",
    "undelivered": "undelivered",
    "failed": "undelivered",
}
_CALL_STATES: Final[dict[str, ReportedState]] = {
    "completed": "delivered",
    "busy": "undelivered",
    "no-answer": "undelivered",
    "failed": "undelivered",
    "canceled": "undelivered",
}


class TwilioSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Twilio account; a channel without its number is not carried."""

    account_sid: Annotated[str, Meta(pattern="^AC[0-9a-zA-Z]{32}$", description="The account, `AC…`.")]
    auth_token: Annotated[
        Secret, Meta(description="Its auth token: also what status callbacks are signed with.")
    ]
    api_key: Annotated[
        str | None, Meta(description="An API key `SK…` to call with instead of the token.")
    ] = None
    api_secret: Annotated[Secret | None, Meta(description="The secret of `api_key`.")] = None
    sms_from: Annotated[str | None, Meta(description="Number or sender id of text messages.")] = None
    messaging_service: Annotated[
        str | None, Meta(description="Messaging service `MG…` instead of a number.")
    ] = None
    whatsapp_from: Annotated[str | None, Meta(description="WhatsApp number, `+…`.")] = None
    whatsapp_content: Annotated[
        str | None,
        Meta(description="Approved template `HX…` whose variable 1 is the code; else the text is sent."),
    ] = None
    voice_from: Annotated[str | None, Meta(description="Number that calls.")] = None
    repeats: Annotated[int, Meta(ge=1, le=5, description="How often a call says its text.")] = 2
    voices: Annotated[
        dict[str, str], Meta(description='Other voices, by language and gender: `"el-GR.male" = "Google…"`.')
    ] = {}
    url: Annotated[str, Meta(description="Origin of the API.")] = "https://api.twilio.com"


class _Answer(Struct):
    sid: str = ""
    code: int | None = None


class TwilioGateway:
    """Hands messages and calls to Twilio and reads its status callbacks, the signed ones only."""

    settings = TwilioSettings

    def __init__(self, name: str, settings: TwilioSettings, kit: GatewayKit) -> None:
        self.name = name
        self._settings: Final = settings
        self._way: Final = kit.way
        origin = web_address(settings.url).rstrip("/")
        self._account: Final = f"{origin}/2010-04-01/Accounts/{settings.account_sid}"
        carried: dict[Channel, str | None] = {
            "sms": settings.sms_from or settings.messaging_service,
            "whatsapp": settings.whatsapp_from,
            "voice": settings.voice_from,
        }
        self.channels: Final = frozenset(channel for channel, number in carried.items() if number)
        if not self.channels:
            raise ValueError("give at least one of sms_from, messaging_service, whatsapp_from and voice_from")
        if (settings.api_key is None) != (settings.api_secret is None):
            raise ValueError("an API key needs both api_key and api_secret_file")
        for key in settings.voices:
            if key not in VOICES:
                raise ValueError(f"voices knows no {key!r}: write language and gender like el-GR.male")
        user, secret = settings.api_key or settings.account_sid, settings.api_secret or settings.auth_token
        basic = base64.b64encode(f"{user}:{secret.reveal()}".encode()).decode()
        self._headers: Final = {
            "Authorization": f"Basic {basic}",
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }

    async def send(self, message: Outgoing) -> Carried:
        """2xx with a sid is ``accepted``; 4xx is for good, but for access and pace; the rest is for later."""
        what = "Calls" if message.channel == "voice" else "Messages"
        url = f"{self._account}/{what}.json"
        form = self._call(message) if message.channel == "voice" else self._message(message)
        if message.report_url:
            form["StatusCallback"] = message.report_url
        answer = await self._way.request(
            "POST", url, data=urlencode(form, quote_via=quote).encode(), headers=self._headers
        )
        said = _decoded(answer.body)
        if 200 <= answer.status < 300 and said.sid:
            return Carried("accepted", said.sid)
        reason = f"Twilio answered {answer.status}" + (f", code {said.code}" if said.code else "")
        if 400 <= answer.status < 500 and answer.status not in _BUSY:
            return Carried("refused", reason=reason)
        return Carried("later", reason=reason)

    def read_report(self, report: Report) -> ReportedState | None:
        """The state in ``MessageStatus`` or ``CallStatus`` of a post that Twilio signed."""
        given = next(
            (text for name, text in report.headers.items() if name.lower() == "x-twilio-signature"), ""
        )
        token = self._settings.auth_token.reveal()
        if not any(
            hmac.compare_digest(signature(token, url, report.form), given.encode("utf-8", "replace"))
            for url in _spellings(report.url)
        ):
            return None
        form = dict(report.form)
        return _MESSAGE_STATES.get(form.get("MessageStatus", "")) or _CALL_STATES.get(
            form.get("CallStatus", "")
        )

    async def close(self) -> None:
        """The way out is the server's."""

    def _message(self, message: Outgoing) -> dict[str, str]:
        settings = self._settings
        if message.channel == "whatsapp":
            form = {"To": f"whatsapp:{message.to}", "From": f"whatsapp:{settings.whatsapp_from}"}
            if settings.whatsapp_content and message.code is not None:
                variables = msgspec.json.encode({"1": message.code}).decode()
                return form | {"ContentSid": settings.whatsapp_content, "ContentVariables": variables}
            return form | {"Body": message.text}
        form = {"To": message.to, "Body": message.text}
        if settings.messaging_service and not message.sender:
            form["MessagingServiceSid"] = settings.messaging_service
        else:
            form["From"] = message.sender or settings.sms_from or ""
        if message.seconds is not None:
            form["ValidityPeriod"] = str(min(max(message.seconds, 1), _VALIDITY_MAX))
        return form

    def _call(self, message: Outgoing) -> dict[str, str]:
        settings = self._settings
        key = f"{message.language}.{message.gender}"
        known = VOICES.get(key) or VOICES["en-US.female"]
        voice = settings.voices.get(key, known.voice)
        twiml = spoken(message.text, message.code, voice, known.language, settings.repeats)
        return {"To": message.to, "From": settings.voice_from or "", "Twiml": twiml}


def signature(token: str, url: str, form: Iterable[tuple[str, str]]) -> bytes:
    """The value of ``X-Twilio-Signature`` for a form post (Twilio, “Webhooks security”)."""
    values: dict[str, set[str]] = {}
    for name, value in form:
        values.setdefault(name, set()).add(value)
    text = url + "".join(name + value for name in sorted(values) for value in sorted(values[name]))
    return base64.b64encode(hmac.digest(token.encode(), text.encode("utf-8", "replace"), hashlib.sha1))


def _spellings(url: str) -> tuple[str, ...]:
    """A URL with and without the port that its scheme means: Twilio signs either."""
    parts = urlsplit(url)
    usual: Mapping[str, int] = {"https": 443, "http": 80}
    if parts.port is None:
        return url, _with_netloc(parts, f"{parts.netloc}:{usual.get(parts.scheme, 443)}")
    return url, _with_netloc(parts, parts.netloc.rpartition(":")[0])


def _with_netloc(parts: SplitResult, netloc: str) -> str:
    return parts._replace(netloc=netloc).geturl()


def _decoded(body: bytes) -> _Answer:
    try:
        return msgspec.json.decode(body, type=_Answer)
    except msgspec.DecodeError:
        return _Answer()
