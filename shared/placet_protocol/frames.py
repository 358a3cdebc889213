"""What travels on the device socket: frozen structs and their JSON text, told apart by ``type``."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from placet_protocol.approval import FinalState
from placet_protocol.errors import MalformedError
from placet_protocol.strictjson import loads, typed

Role = Literal["server", "device"]
"""Which end one is."""

PROOFS_MAX: Final = 16
"""Enrolments that one socket serves."""
FRAME_LIMITS: Final[dict[Role, int]] = {"server": 65_536, "device": 262_144}
"""Bytes of the longest frame that each end takes."""

Text = Annotated[str, Meta(min_length=1, max_length=128)]


class Challenge(Struct, frozen=True, forbid_unknown_fields=True, tag="challenge"):
    """Server, first: prove your keys over this nonce."""

    nonce: Text


class Hello(Struct, frozen=True, forbid_unknown_fields=True, tag="hello"):
    """Device: one call proof per enrolment, method ``SOCKET``, the socket's http(s) URL, an empty body."""

    proofs: Annotated[
        tuple[Annotated[str, Meta(max_length=4096)], ...], Meta(min_length=1, max_length=PROOFS_MAX)
    ]


class Welcome(Struct, frozen=True, forbid_unknown_fields=True, tag="welcome"):
    """Server: the devices that are served, and for each, in the same order, the ``enc`` (base64url) of its stream.

    ``server_time`` is in ms UTC. A device whose proof was not good is left out.
    """

    devices: Annotated[tuple[Text, ...], Meta(max_length=PROOFS_MAX)]
    enc: Annotated[tuple[Text, ...], Meta(max_length=PROOFS_MAX)]
    server_time: int

    def __post_init__(self) -> None:
        if len(self.devices) != len(self.enc) or len(set(self.devices)) != len(self.devices):
            raise MalformedError("each device has one enc")


class Item(Struct, frozen=True, forbid_unknown_fields=True, tag="item"):
    """Server: one message for a device, sealed by its stream (base64url); sent again until it is acknowledged."""

    did: Text
    id: Text
    sealed: str


class Ack(Struct, frozen=True, forbid_unknown_fields=True, tag="ack"):
    """Device: the item is safe, do not send it again."""

    id: Text


class Seen(Struct, frozen=True, forbid_unknown_fields=True, tag="seen"):
    """Device: a person was shown this request."""

    rid: Text


class Done(Struct, frozen=True, forbid_unknown_fields=True, tag="done"):
    """Server: a request has ended, here or elsewhere."""

    rid: Text
    status: FinalState


class Error(Struct, frozen=True, forbid_unknown_fields=True, tag="error"):
    """Server, last: why it closes."""

    code: Text


ServerFrame = Challenge | Welcome | Item | Done | Error
DeviceFrame = Hello | Ack | Seen
Frame = ServerFrame | DeviceFrame


def encode(frame: Frame) -> str:
    """The text of a frame."""
    return msgspec.json.encode(frame).decode()


def decode(text: str, role: Role) -> Frame:
    """The frame that came in at the end ``role``: a server takes what devices send, a device what the server sends.

    Raises ``MalformedError``.
    """
    try:
        members = loads(text.encode("utf-8"), FRAME_LIMITS[role])
    except UnicodeEncodeError as error:
        raise MalformedError("not text in UTF-8") from error
    kind: Any = DeviceFrame if role == "server" else ServerFrame
    frame: Frame = typed(members, kind)
    return frame
