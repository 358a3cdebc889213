"""What Afilnet's API can do, by class and method, whichever of its four ways a call comes by."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from placet_server.domain.services import Domain
from placet_server.domain.values import Caller
from placet_server.faces import afilnetmessages as messages
from placet_server.faces import afilnetotp as otp
from placet_server.faces.afilnetparams import Sent
from placet_server.faces.afilnetreplies import Result, SaidError
from placet_server.web.gate import Call

Run = Callable[[Domain, Sent, Call], Awaitable[Result]]


class Method(NamedTuple):
    """One method: what it reads beside class, method, user, password and output, and the members of its result.

    The result of ``("result",)`` is a bare text.
    """

    params: tuple[str, ...]
    result: tuple[str, ...]
    run: Run


_SENT: Final = ("messageid", "credits")
_STATUS: Final = Method(("messages",), messages.STATUS, messages.status)

METHODS: Final[dict[str, dict[str, Method]]] = {
    "otp": {
        "generateotp": Method(
            ("type", "destination", "time", "timetype", "length", "otpformat"),
            ("status", "code"),
            lambda domain, sent, call: otp.generate(domain.codes, sent, call),
        ),
        "verifyotp": Method(
            ("destination", "code"), (), lambda domain, sent, call: otp.verify(domain.codes, sent, call)
        ),
    },
    "sms": {
        "sendsms": Method(("from", "to", "sms", "scheduledatetime"), _SENT, messages.sms),
        "sendsmsfromtemplate": Method(
            ("to", "idtemplate", "params", "scheduledatetime"), _SENT, messages.sms_from_template
        ),
        "getdeliverystatus": _STATUS,
    },
    "voice": {
        "sendvoice": Method(("to", "message", "language", "lang", "scheduledatetime"), _SENT, messages.voice),
        "getdeliverystatus": _STATUS,
    },
    "email": {
        "sendemail": Method(("subject", "to", "email", "scheduledatetime"), _SENT, messages.email),
        "getdeliverystatus": _STATUS,
    },
    "whatsapp": {
        "sendmessage": Method(("platformid", "destination", "message"), _SENT, messages.whatsapp),
    },
    "user": {"getbalance": Method((), ("result",), messages.balance)},
}


class Calls:
    """Runs calls for callers who are known."""

    def __init__(self, domain: Domain) -> None:
        self._domain = domain

    async def caller(self, user: str, password: str, now: int, ip: str) -> Caller | None:
        """Who this user is, or None."""
        return await self._domain.credentials.by_pair("afilnet", user, password, now, ip)

    async def holder(self, key: str, now: int) -> Caller | None:
        """Whose password this id names while it is good, or None."""
        return await self._domain.credentials.by_key("afilnet", key, now)

    async def run(self, sent: Sent, call: Call) -> Result:
        """The result of the named method; raises ``SaidError`` and what the core refuses."""
        methods = METHODS.get(sent.get("class").lower())
        if methods is None:
            raise SaidError("INCORRECT_CLASS")
        method = methods.get(sent.get("method").lower())
        if method is None:
            raise SaidError("INCORRECT_METHOD")
        return await method.run(self._domain, sent, call)
