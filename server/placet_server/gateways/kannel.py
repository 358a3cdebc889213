"""``kannel``: text messages through Kannel's ``sendsms`` (Kannel 1.4 user guide, ch. 6).

    POST /cgi-bin/sendsms
    X-Kannel-Username: …   X-Kannel-Password: …   X-Kannel-To: +34600000000   X-Kannel-From: ACME
    X-Kannel-Coding: 0|2   X-Kannel-DLR-Url: …    X-Kannel-DLR-Mask: 19       X-Kannel-Validity: 10 (minutes)
    Content-Type: text/plain; charset=UTF-8

    text                                      202  0: Accepted for delivery

The header form keeps password and text out of the URL, which Kannel and proxies log; and spaces in ``to`` of the query
form mean several recipients.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from placet_server.plugin import Carried, GatewayKit, Outgoing, Report, ReportedState, Secret, web_address
from placet_server.ports import Channel

_MASK: Final = 1 | 2 | 16
_STATES: Final[dict[str, ReportedState]] = {"1": "delivered", "2": "undelivered", "16": "undelivered"}
_BUSY: Final = frozenset({401, 403, 404, 408, 429})


class KannelSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to reach one smsbox."""

    url: Annotated[
        str, Meta(description="The smsbox's `sendsms`, such as `http://127.0.0.1:13013/cgi-bin/sendsms`.")
    ]
    username: Annotated[str, Meta(description="Name of the `sendsms-user`.")]
    password: Annotated[Secret, Meta(description="Its password.")]
    sender: Annotated[str | None, Meta(description="Sender where a message names none.")] = None
    smsc: Annotated[str | None, Meta(description="Id of the SMSC to use, where Kannel has several.")] = None
    reports: Annotated[bool, Meta(description="Whether to ask for delivery reports.")] = True


class KannelGateway:
    """Hands short messages to Kannel and reads its delivery reports."""

    settings = KannelSettings
    channels: frozenset[Channel] = frozenset({"sms"})

    def __init__(self, name: str, settings: KannelSettings, kit: GatewayKit) -> None:
        self.name = name
        self._settings: Final = settings
        self._url: Final = web_address(settings.url)
        self._way: Final = kit.way

    async def send(self, message: Outgoing) -> Carried:
        """Kannel's 202 is ``accepted`` (it cuts long texts into parts itself); 4xx is for good, but for access."""
        answer = await self._way.request(
            "POST", self._url, data=message.text.encode(), headers=self._headers(message)
        )
        said = answer.body.decode("utf-8", "replace").strip()
        if answer.status in {200, 202} and said[:1] in {"0", "3"}:
            return Carried("accepted")
        reason = f"Kannel answered {answer.status}: {said}"
        if 400 <= answer.status < 500 and answer.status not in _BUSY:
            return Carried("refused", reason=reason)
        return Carried("later", reason=reason)

    def read_report(self, report: Report) -> ReportedState | None:
        """The state in ``type``: 1 delivered, 2 and 16 not; buffering and acceptance say nothing new."""
        return _STATES.get(dict(report.query).get("type", ""))

    async def close(self) -> None:
        """The way out is the server's."""

    def _headers(self, message: Outgoing) -> dict[str, str]:
        settings = self._settings
        sender = message.sender or settings.sender
        headers = {
            "Content-Type": "text/plain; charset=UTF-8",
            "X-Kannel-Username": settings.username,
            "X-Kannel-Password": settings.password.reveal(),
            "X-Kannel-To": message.to,
            "X-Kannel-Coding": "0" if message.gsm else "2",
        }
        if sender:
            headers["X-Kannel-From"] = sender
        if settings.smsc:
            headers["X-Kannel-SMSC"] = settings.smsc
        if message.seconds is not None:
            headers["X-Kannel-Validity"] = str(max(1, -(-message.seconds // 60)))
        if settings.reports and message.report_url:
            headers["X-Kannel-DLR-Mask"] = str(_MASK)
            headers["X-Kannel-DLR-Url"] = f"{message.report_url}?type=%d"
        return headers
