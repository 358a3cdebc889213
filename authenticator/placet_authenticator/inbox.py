"""The authenticator itself, as a pure function: what a person sees is a state, and events change it.

Nothing here knows a network, a clock, a file or a screen. Only documents that were verified under the pinned server
key enter, through ``opened``; every text in a state is safe to draw.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from msgspec import Struct
from msgspec.structs import replace

from placet_authenticator.records import By, Outcome
from placet_protocol.approval import number_digits
from placet_protocol.documents import read_request, request_hash
from placet_protocol.errors import WrongAudienceError
from placet_protocol.jose import b64u
from placet_protocol.text import visible

HISTORY: Final = 200
NOTICES: Final = 50
CLOCK_OFF: Final = 15_000
"""Beyond so many ms between a server's clock and ours, codes that are made here may be refused there."""


class Place(Struct, frozen=True):
    """The enrolment through which a request came: whose key must have signed it, for whom and on which server."""

    device: str
    origin: str
    server: str
    user: str
    server_key: EllipticCurvePublicKey


class Entry(Struct, frozen=True):
    """One verified request, as a person may be shown it. Times in ms UTC on the server's clock.

    ``digits`` is how many digits the number has that the application shows, 0 when none is asked. ``digest`` is the
    hash that an answer signs (base64url). ``fields`` are label and value in the application's order.
    """

    origin: str
    rid: str
    device: str
    server: str
    application: str
    message: str
    fields: tuple[tuple[str, str], ...]
    ip: str | None
    place: str | None
    agent: str | None
    digits: int
    created_at: int
    expires_at: int
    digest: str
    nonce: str
    document: str

    @property
    def key(self) -> tuple[str, str]:
        """Unique among all servers: a hostile server may repeat the id of another server's request."""
        return self.origin, self.rid


class Ended(Struct, frozen=True):
    """A request in the history: how it ended, by whom and when (ms UTC)."""

    entry: Entry
    outcome: Outcome
    by: By
    reason: str
    at: int


class Notice(Struct, frozen=True):
    """Something a server tells this person, e.g. that a device was added. ``at`` in ms UTC."""

    origin: str
    id: str
    kind: str
    text: str
    at: int


class Connection(Struct, frozen=True):
    """How one server is reached now; ``clock_offset`` is its clock minus ours in ms."""

    origin: str
    state: Literal["connecting", "socket", "poll", "offline"] = "connecting"
    since: int = 0
    last_contact: int | None = None
    clock_offset: int = 0
    trouble: str = ""

    @property
    def clock_is_off(self) -> bool:
        """Whether codes of this device may be refused, as far as the server can be asked now."""
        return self.state in {"socket", "poll"} and abs(self.clock_offset) > CLOCK_OFF


class Inbox(Struct, frozen=True):
    """All that is on the screen: requests newest first, history newest first, notices, and one connection a server."""

    pending: tuple[Entry, ...] = ()
    history: tuple[Ended, ...] = ()
    notices: tuple[Notice, ...] = ()
    connections: Mapping[str, Connection] = {}

    def find(self, key: tuple[str, str]) -> Entry | None:
        """The pending request of that key."""
        return next((entry for entry in self.pending if entry.key == key), None)

    def offset(self, origin: str) -> int:
        """How far that server's clock is ahead of ours, in ms."""
        connection = self.connections.get(origin)
        return connection.clock_offset if connection else 0

    def wrong_clock(self, origins: Iterable[str]) -> Connection | None:
        """Of these servers the connected one whose clock is farthest from ours; None when all are near enough."""
        known = [self.connections[origin] for origin in origins if origin in self.connections]
        off = [each for each in known if each.clock_is_off]
        return max(off, key=lambda each: abs(each.clock_offset), default=None)


class Arrived(Struct, frozen=True):
    """A verified request came in."""

    entry: Entry


class Closed(Struct, frozen=True):
    """A request ended: this device's answer was taken, another device was faster, or the application withdrew it."""

    origin: str
    rid: str
    outcome: Outcome
    by: By
    reason: str = ""


class Noticed(Struct, frozen=True):
    """A server has something to tell."""

    notice: Notice


class Connected(Struct, frozen=True):
    """A server answers, by its socket or by polling; ``server_time`` in ms UTC as the server said it."""

    origin: str
    transport: Literal["socket", "poll"]
    server_time: int


class Lost(Struct, frozen=True):
    """A server does not answer now; it is tried again by itself."""

    origin: str
    trouble: str


class Distrusted(Struct, frozen=True):
    """Something came that the pinned key, the enrolment or the text rules do not allow; it was not shown."""

    origin: str
    device: str
    trouble: str


class Removed(Struct, frozen=True):
    """The server no longer knows this device: it was revoked, or the person left."""

    origin: str
    device: str


class Passed(Struct, frozen=True):
    """Time passed and nothing else."""


Event = Arrived | Closed | Noticed | Connected | Lost | Distrusted | Removed | Passed


def opened(place: Place, document: str) -> Entry:
    """The request in a document that this place's server signed for this place's user.

    Raises ``ProtocolError`` for any other document. Its age is not judged here: a request that is over is dropped by
    ``reduce``.
    """
    request = read_request(document, place.server_key, iss=place.origin)
    if request.sub != place.user:
        raise WrongAudienceError("the request is for somebody else")
    context = request.ctx
    return Entry(
        origin=place.origin,
        rid=request.rid,
        device=place.device,
        server=visible(place.server),
        application=visible(request.rp.name),
        message=visible(request.msg, newline=True),
        fields=tuple((visible(label), visible(value)) for label, value in request.vis),
        ip=_shown(context.ip),
        place=_shown(context.place),
        agent=_shown(context.agent),
        digits=number_digits(request.num),
        created_at=request.iat * 1000,
        expires_at=request.exp * 1000,
        digest=b64u(request_hash(document)),
        nonce=request.non,
        document=document,
    )


def reduce(state: Inbox, event: Event, now: int) -> Inbox:
    """The state after an event at ``now`` (ms UTC on this device); requests whose time is over move to the history."""
    return _expire(_applied(state, event, now), now)


def _applied(state: Inbox, event: Event, now: int) -> Inbox:
    match event:
        case Arrived():
            return _arrived(state, event.entry)
        case Closed():
            entry = state.find((event.origin, event.rid))
            return (
                state if entry is None else _moved(state, entry, event.outcome, event.by, event.reason, now)
            )
        case Noticed():
            return _noticed(state, event.notice)
        case Connected():
            return _connected(state, event, now)
        case Lost():
            return _lost(state, event, now)
        case Distrusted():
            notice_id = f"{event.device} {event.trouble}"
            return _noticed(state, Notice(event.origin, notice_id, "distrusted", event.trouble, now))
        case Removed():
            return _removed(state, event, now)
        case Passed():
            return state


def _shown(text: str | None) -> str | None:
    return None if text is None else visible(text)


def _arrived(state: Inbox, entry: Entry) -> Inbox:
    if state.find(entry.key) or any(ended.entry.key == entry.key for ended in state.history):
        return state
    newest_first = sorted((entry, *state.pending), key=lambda each: (-each.created_at, each.rid))
    return replace(state, pending=tuple(newest_first))


def _noticed(state: Inbox, notice: Notice) -> Inbox:
    if any((known.origin, known.id) == (notice.origin, notice.id) for known in state.notices):
        return state
    shown = replace(notice, text=visible(notice.text), kind=visible(notice.kind))
    return replace(state, notices=(shown, *state.notices)[:NOTICES])


def _connected(state: Inbox, event: Connected, now: int) -> Inbox:
    known = state.connections.get(event.origin)
    since = known.since if known and known.state == event.transport else now
    connection = Connection(event.origin, event.transport, since, now, event.server_time - now)
    return _with_connection(state, connection)


def _lost(state: Inbox, event: Lost, now: int) -> Inbox:
    known = state.connections.get(event.origin) or Connection(event.origin, since=now)
    since = known.since if known.state == "offline" else now
    return _with_connection(
        state, replace(known, state="offline", since=since, trouble=visible(event.trouble))
    )


def _removed(state: Inbox, event: Removed, now: int) -> Inbox:
    for entry in state.pending:
        if (entry.origin, entry.device) == (event.origin, event.device):
            state = _moved(state, entry, "failed", "the server", "device_removed", now)
    text = "This device was removed from the server."
    return _noticed(state, Notice(event.origin, f"{event.device} removed", "removed", text, now))


def _expire(state: Inbox, now: int) -> Inbox:
    for entry in state.pending:
        if entry.expires_at <= now + state.offset(entry.origin):
            state = _moved(state, entry, "expired", "time", "", now)
    return state


def _moved(state: Inbox, entry: Entry, outcome: Outcome, by: By, reason: str, now: int) -> Inbox:
    ended = Ended(entry, outcome, by, visible(reason), now)
    return replace(
        state,
        pending=tuple(each for each in state.pending if each.key != entry.key),
        history=(ended, *state.history)[:HISTORY],
    )


def _with_connection(state: Inbox, connection: Connection) -> Inbox:
    return replace(state, connections={**state.connections, connection.origin: connection})
