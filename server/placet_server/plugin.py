"""What a gateway plug-in sees of the server: the message that it is to carry, and what it may use for that.

A plug-in is a distribution with an entry point of the group ``placet.gateways`` that names a ``GatewayPlugin``. The
built-in gateways know no more than this module.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Protocol, runtime_checkable

from msgspec import Struct

from placet_server.domain.segments import is_gsm
from placet_server.domain.senders import fits_phones
from placet_server.ports import Channel, Clock

_WEB_ADDRESS: Final = re.compile(r"https?://[^/?#@\\\s]+([/?][^#\s\\]*)?", re.ASCII)


class Secret:
    """A text that shows itself only when it is asked to."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"


class Outgoing(Struct, frozen=True, kw_only=True):
    """One message as a gateway gets it, for one attempt on one channel.

    ``to`` is an E.164 number or an e-mail address, ``language`` one like ``es-LA``; ``code`` is the code inside
    ``text`` where it carries one, ``seconds`` for how long it is of use. ``report_url`` is where the vendor may report
    what became of it: its secret is the message's own, the gateway's name stands before it.
    """

    id: str
    channel: Channel
    to: str
    text: str
    sender: str | None = None
    subject: str | None = None
    html: str | None = None
    language: str = "en-US"
    gender: Literal["female", "male"] = "female"
    code: str | None = None
    seconds: int | None = None
    report_url: str | None = None

    @property
    def gsm(self) -> bool:
        """Whether the text fits the GSM 7-bit alphabet (3GPP TS 23.038 §6.2.1)."""
        return is_gsm(self.text)

    @property
    def sender_fits_phones(self) -> bool:
        """Whether a channel to telephones takes the sender, or there is none."""
        return self.sender is None or fits_phones(self.sender)


Outcome = Literal["accepted", "refused", "later"]


class Carried(Struct, frozen=True, gc=False):
    """What a gateway did with a message: took it, refused it for good, or cannot take it now.

    ``reference`` is the vendor's own id. ``reason`` is a short sentence for the operator, without text or secret.
    ``unsure``: the message may have left all the same, so that another attempt may be a second message.
    """

    outcome: Outcome
    reference: str = ""
    reason: str = ""
    unsure: bool = False


class Report(NamedTuple):
    """One call to a report URL: ``url`` as the vendor was given it, with the query that it added."""

    method: str
    url: str
    query: tuple[tuple[str, str], ...]
    form: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: bytes


ReportedState = Literal["sent", "delivered", "undelivered"]


class Gateway(Protocol):
    """Carries messages to people; ``name`` is the operator's, ``channels`` what it can carry."""

    @property
    def name(self) -> str:
        """The name under which the operator configured it."""
        ...

    @property
    def channels(self) -> frozenset[Channel]:
        """The channels it can carry."""
        ...

    async def send(self, message: Outgoing) -> Carried:
        """One attempt to hand a message over; raises ``ExchangeError`` when that did not end."""
        ...

    async def close(self) -> None:
        """Let go of connections and files."""
        ...


@runtime_checkable
class LocalGateway(Protocol):
    """What a gateway is, too, that waits for nobody: it is handed many messages at once, and no time is kept for it.

    ``send`` is still needed: later attempts go one by one.
    """

    local: Literal[True]

    def take(self, messages: Sequence[Outgoing]) -> Sequence[Carried]:
        """Hand these over without waiting; what became of each, in their order."""
        ...


@runtime_checkable
class ReportReader(Protocol):
    """What a gateway is, too, whose vendor calls report URLs."""

    def read_report(self, report: Report) -> ReportedState | None:
        """What a call says, or None when it says nothing new or is not the vendor's."""
        ...


class ExchangeError(Exception):
    """An exchange with another server that did not happen or did not end; the text is a sentence without secrets.

    ``unsure``: the other side may have got what was sent.
    """

    def __init__(self, detail: str, *, unsure: bool = False) -> None:
        super().__init__(detail)
        self.unsure = unsure


def web_address(text: str) -> str:
    """A URL of the settings that the way out would take; raises ``ValueError`` with a sentence."""
    if not text.isascii() or not _WEB_ADDRESS.fullmatch(text):
        raise ValueError(
            "url starts with http:// or https:// and a host in ASCII, and holds no name, password, space or #"
        )
    return text


class WebAnswer(Protocol):
    """What a web server said."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields, whatever their case."""
        ...

    @property
    def body(self) -> bytes:
        """At most 64 KiB."""
        ...


class WayOut(Protocol):
    """The guarded HTTP client."""

    async def request(
        self, method: str, url: str, *, data: bytes | None = None, headers: Mapping[str, str]
    ) -> WebAnswer:
        """One exchange whatever its status, no redirect followed; raises ``ExchangeError``."""
        ...


class GatewayKit(NamedTuple):
    """What a gateway plug-in is given beside its settings: the way out, the clock, and the data folder."""

    way: WayOut
    clock: Clock
    data: Path


class GatewayPlugin(Protocol):
    """What an entry point of the group ``placet.gateways`` names: usually the gateway's class.

    ``settings`` is the msgspec Struct of its ``[gateway.NAME]`` table. A field ``x`` of type ``Secret`` is read from the
    private file that the operator names as ``x_file``, a field of type ``dict[str, Secret]`` from the table ``x_files``
    of such files; a ``Path`` starts at the folder of the settings file. ``type``, ``channels``, ``timeout`` and
    ``at_once`` belong to the server.
    """

    settings: type[Struct]

    def __call__(self, name: str, settings: Any, kit: GatewayKit, /) -> Gateway:  # noqa: ANN401 - an instance of ``settings``
        """A gateway; raises ``ValueError`` with a sentence when the settings cannot be used."""
        ...
