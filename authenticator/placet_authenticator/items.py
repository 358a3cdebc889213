"""Opens what a server seals to one enrolment and says which event it is."""

from __future__ import annotations

from typing import Any, Final

from placet_authenticator.calls import Signer
from placet_authenticator.inbox import (
    Arrived,
    Closed,
    Distrusted,
    Event,
    Notice,
    Noticed,
    Place,
    opened,
)
from placet_authenticator.keys import from_scalar
from placet_authenticator.records import By, Enrollment, Outcome
from placet_protocol import sealing
from placet_protocol.approval import FINAL_STATES
from placet_protocol.errors import MalformedError, ProtocolError
from placet_protocol.jose import public_key_from_bytes, unb64u
from placet_protocol.strictjson import loads

PLAINTEXT_MAX: Final = 131_072
_ENDED_BY: Final[dict[Outcome, By]] = {
    "approved": "another device",
    "denied": "another device",
    "expired": "time",
    "cancelled": "the application",
    "superseded": "the application",
}


def place_of(enrollment: Enrollment) -> Place:
    """What a request must fit to be for this enrolment."""
    key = public_key_from_bytes(enrollment.server_key)
    return Place(enrollment.id, enrollment.origin, enrollment.name, enrollment.user, key)


def ended(origin: str, rid: str, status: str) -> Closed:
    """The event for a request that ended without this device. Raises ``MalformedError`` for an unknown status."""
    for outcome, by in _ENDED_BY.items():
        if outcome == status and status in FINAL_STATES:
            return Closed(origin, rid, outcome, by)
    raise MalformedError("not a final state")


class Mailbox:
    """One enrolment's side of a link: its signer, its opening key and where its requests must come from."""

    def __init__(self, enrollment: Enrollment) -> None:
        self.device: Final = enrollment.id
        self.signer: Final = Signer.of(enrollment)
        self._place = place_of(enrollment)
        self._push = from_scalar(enrollment.push_secret)
        self._auth = enrollment.push_auth

    def stream(self, enc: str, nonce: str) -> sealing.Context:
        """The opening end of a socket's stream under the challenge's nonce. Raises ``ProtocolError``."""
        return sealing.recipient(unb64u(enc), self._push, sealing.socket_info(self.device, nonce))

    def unsealed(self, sealed: str) -> bytes:
        """The plaintext of one RFC 8291 message (base64url). Raises ``ProtocolError``."""
        return sealing.unseal(unb64u(sealed), self._push, self._auth)

    def event(self, item_id: str, plaintext: bytes) -> Event:
        """What an opened item says; ``Distrusted`` when it may not be believed or shown."""
        try:
            return self._read(item_id, loads(plaintext, PLAINTEXT_MAX))
        except ProtocolError as error:
            return self.distrusted(error)

    def distrusted(self, error: ProtocolError) -> Distrusted:
        """The event for something that this enrolment cannot believe."""
        return Distrusted(self._place.origin, self.device, f"Something was not shown: {error.detail}.")

    def _read(self, item_id: str, item: dict[str, Any]) -> Event:
        match item:
            case {"type": "request", "document": str(document)}:
                return Arrived(opened(self._place, document))
            case {"type": "notice", "kind": str(kind), "text": str(text), "at": int(at)}:
                return Noticed(Notice(self._place.origin, item_id, kind, text, at))
            case {"type": "done", "rid": str(rid), "status": str(status)}:
                return ended(self._place.origin, rid, status)
        raise MalformedError("an item of an unknown kind")
