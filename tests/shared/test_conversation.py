from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placet_protocol.conversation import Conversation
from placet_protocol.errors import OutOfTurnError
from placet_protocol.frames import (
    Ack,
    Challenge,
    Done,
    Error,
    Frame,
    Hello,
    Item,
    Role,
    Seen,
    ServerFrame,
    Welcome,
)

CHALLENGE, HELLO, WELCOME = Challenge("n"), Hello(("p", "q")), Welcome(("d",), ("e",), 1)
ITEM, DONE, ACK, SEEN, ERROR = Item("d", "i", "s"), Done("r", "denied"), Ack("i"), Seen("r"), Error("c")
ALL: list[Frame] = [CHALLENGE, HELLO, WELCOME, ITEM, DONE, ACK, SEEN, ERROR]

# What was said before, and the frames that may come next; everything else is out of turn.
TURNS: list[tuple[list[Frame], list[Frame]]] = [
    ([], [CHALLENGE, ERROR]),
    ([CHALLENGE], [HELLO, ERROR]),
    ([CHALLENGE, HELLO], [WELCOME, ERROR]),
    ([CHALLENGE, HELLO, WELCOME], [ITEM, DONE, ACK, SEEN, ERROR]),
    ([CHALLENGE, HELLO, WELCOME, ITEM, ACK, SEEN, DONE], [ITEM, DONE, ACK, SEEN, ERROR]),
    ([ERROR], []),
    ([CHALLENGE, ERROR], []),
    ([CHALLENGE, HELLO, WELCOME, ERROR], []),
]


def take(conversation: Conversation, role: Role, frame: Frame) -> None:
    """Tell one end of a frame, whoever sends frames of that kind."""
    if isinstance(frame, ServerFrame) == (role == "server"):
        conversation.sent(frame)
    else:
        conversation.received(frame)


def after(said: list[Frame], role: Role) -> Conversation:
    conversation = Conversation(role)
    for frame in said:
        take(conversation, role, frame)
    return conversation


@pytest.mark.parametrize("role", ["server", "device"])
@pytest.mark.parametrize(("said", "allowed"), TURNS)
def test_only_the_tables_frames_may_come_next(role: Role, said: list[Frame], allowed: list[Frame]) -> None:
    """Both ends agree, after each beginning, on every frame that may follow."""
    for frame in ALL:
        conversation = after(said, role)
        if frame in allowed:
            take(conversation, role, frame)
        else:
            with pytest.raises(OutOfTurnError):
                take(conversation, role, frame)


@pytest.mark.parametrize("role", ["server", "device"])
def test_nobody_speaks_for_the_other_end(role: Role) -> None:
    """A server does not send hello, ack or seen; a device does not send challenge, welcome, item or done."""
    conversation = after([CHALLENGE, HELLO, WELCOME], role)
    for frame in ALL:
        speak = (
            conversation.received
            if isinstance(frame, ServerFrame) == (role == "server")
            else conversation.sent
        )
        with pytest.raises(OutOfTurnError):
            speak(frame)


@pytest.mark.parametrize("role", ["server", "device"])
def test_items_are_for_welcomed_devices(role: Role) -> None:
    """An item for a device whose proof was not good is out of turn."""
    conversation = after([CHALLENGE, HELLO, WELCOME], role)
    with pytest.raises(OutOfTurnError):
        take(conversation, role, Item("other", "i", "s"))


def test_no_more_devices_are_welcomed_than_said_hello() -> None:
    """One proof cannot bring two devices."""
    conversation = after([CHALLENGE, Hello(("p",))], "device")
    with pytest.raises(OutOfTurnError):
        conversation.received(Welcome(("d1", "d2"), ("e1", "e2"), 1))


def test_a_frame_out_of_turn_changes_nothing() -> None:
    """After a refused frame the conversation stands where it stood."""
    conversation = after([CHALLENGE], "server")
    with pytest.raises(OutOfTurnError):
        conversation.received(ACK)
    assert conversation.phase == "challenged"
    conversation.received(HELLO)
    conversation.sent(WELCOME)
    conversation.sent(ITEM)


@settings(max_examples=150)
@given(st.lists(st.sampled_from(ALL), max_size=12))
def test_both_ends_always_agree(frames: list[Frame]) -> None:
    """Whatever is said in whatever order, server and device take and refuse the same frames."""
    server, device = Conversation("server"), Conversation("device")
    for frame in frames:
        verdicts = []
        for role, end in (("server", server), ("device", device)):
            try:
                take(end, role, frame)  # type: ignore[arg-type]  # the two literals
                verdicts.append(True)
            except OutOfTurnError:
                verdicts.append(False)
        assert verdicts[0] == verdicts[1]
        assert server.phase == device.phase
