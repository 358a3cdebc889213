from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placet_protocol import frames
from placet_protocol.errors import MalformedError, ProtocolError
from placet_protocol.frames import Ack, Challenge, Done, Error, Hello, Item, Seen, Welcome

FROM_SERVER: list[frames.Frame] = [
    Challenge("n"),
    Welcome(("d1", "d2"), ("e1", "e2"), 1_760_000_000_000),
    Welcome((), (), 0),
    Item("d1", "i", "c2VhbGVk"),
    Done("r", "denied"),
    Error("use_nonce"),
]
FROM_DEVICE: list[frames.Frame] = [Hello(("a.b.c",)), Ack("i"), Seen("r")]


@pytest.mark.parametrize("frame", FROM_SERVER, ids=repr)
def test_the_device_reads_the_servers_frames(frame: frames.Frame) -> None:
    """A frame comes back as it was sent; the server itself does not take it."""
    assert frames.decode(frames.encode(frame), "device") == frame
    with pytest.raises(MalformedError):
        frames.decode(frames.encode(frame), "server")


@pytest.mark.parametrize("frame", FROM_DEVICE, ids=repr)
def test_the_server_reads_the_devices_frames(frame: frames.Frame) -> None:
    """A frame comes back as it was sent; a device does not take it."""
    assert frames.decode(frames.encode(frame), "server") == frame
    with pytest.raises(MalformedError):
        frames.decode(frames.encode(frame), "device")


def test_the_wire_form_of_a_frame() -> None:
    """A frame is one JSON object whose type names it."""
    assert json.loads(frames.encode(Ack("i"))) == {"type": "ack", "id": "i"}


@pytest.mark.parametrize(
    ("role", "text"),
    [
        ("server", ""),
        ("server", "[]"),
        ("server", "{}"),
        ("server", '{"type":"ack"}'),
        ("server", '{"type":"ack","id":1}'),
        ("server", '{"type":"ack","id":""}'),
        ("server", '{"type":"ack","id":"i","x":1}'),
        ("server", '{"type":"ack","id":"i","id":"j"}'),
        ("server", '{"type":"ack","type":"seen","id":"i"}'),
        ("server", '{"type":"Ack","id":"i"}'),
        ("server", '{"type":["ack"],"id":"i"}'),
        ("server", '{"type":"hello","proofs":[]}'),
        ("server", '{"type":"hello","proofs":"a"}'),
        ("server", json.dumps({"type": "hello", "proofs": ["a"] * 17})),
        ("server", json.dumps({"type": "hello", "proofs": ["a" * 4097]})),
        ("server", json.dumps({"type": "ack", "id": "i" * 70_000})),
        ("server", '{"type":"ack","id":"\ud800"}'),
        ("device", '{"type":"welcome","devices":["d"],"enc":[],"server_time":1}'),
        ("device", '{"type":"welcome","devices":["d","d"],"enc":["e","e"],"server_time":1}'),
        ("device", '{"type":"welcome","devices":[],"enc":[],"server_time":"1"}'),
        ("device", '{"type":"done","rid":"r","status":"pending"}'),
        ("device", '{"type":"done","rid":"r","status":"maybe"}'),
    ],
)
def test_other_frames_are_malformed(role: frames.Role, text: str) -> None:
    """What is not exactly a frame of the other end is refused."""
    with pytest.raises(MalformedError):
        frames.decode(text, role)


@settings(max_examples=150)
@given(st.text(max_size=60), st.sampled_from(["server", "device"]))
def test_any_text_is_refused_with_an_error_of_ours(text: str, role: frames.Role) -> None:
    """No input ends in another error than those of the protocol."""
    with pytest.raises(ProtocolError):
        frames.decode(text, role)
