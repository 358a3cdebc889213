"""The inbox as a pure function of events: what a person sees, and what must never get in."""

from __future__ import annotations

import random

import pytest
from msgspec.structs import replace

from placet_authenticator.inbox import (
    Arrived,
    Closed,
    Connected,
    Distrusted,
    Entry,
    Event,
    Inbox,
    Lost,
    Notice,
    Noticed,
    Passed,
    Place,
    Removed,
    opened,
    reduce,
)
from placet_protocol import jose
from placet_protocol.documents import REQUEST, Context, RelyingParty, payload, request_hash
from placet_protocol.errors import BadSignatureError, ProtocolError, WrongAudienceError, WrongTypeError
from placet_protocol.text import clean
from support import parties

PLACE = Place(parties.DEVICE, parties.ORIGIN, "Placet", parties.USER, parties.SERVER_KEY.public_key())
NOW = (parties.BEGUN + 120) * 1000
HOSTILE = "\x1b[2J\x1b]0;owned\x07\u202egnp.exe\u2066\x9b31m\u200b\ufeff\U000e0041 [b]x[/b]"


def entry(**changes: object) -> Entry:
    return opened(PLACE, parties.request_document(**changes))


def after(*events: Event, now: int = NOW) -> Inbox:
    state = Inbox()
    for event in events:
        state = reduce(state, event, now)
    return state


def test_psh_08_a_request_is_shown_once_however_often_it_comes() -> None:
    """Fifty copies of a request are one, also when it has ended in between."""
    state = after(*[Arrived(entry())] * 50)
    assert len(state.pending) == 1
    closed = reduce(state, Closed(parties.ORIGIN, parties.APPROVAL, "denied", "another device"), NOW)
    again = reduce(closed, Arrived(entry()), NOW)
    assert again.pending == ()
    assert len(again.history) == 1


def test_dec_01_only_the_pinned_servers_document_for_this_user_opens() -> None:
    """Another key, type, user or origin, and any changed byte, is refused."""
    said = payload(parties.request())
    others = [
        (jose.sign(parties.OTHER_KEY, REQUEST, said, kid=parties.SERVER_KID), BadSignatureError),
        (jose.sign(parties.SERVER_KEY, "device+jwt", said, kid=parties.SERVER_KID), WrongTypeError),
        (parties.request_document(sub="somebody-else"), WrongAudienceError),
        (parties.request_document(iss="https://evil.example"), WrongAudienceError),
    ]
    for document, error in others:
        with pytest.raises(error):
            opened(PLACE, document)
    good = parties.request_document()
    chance = random.Random(7)
    for _ in range(50):
        at = chance.randrange(len(good))
        with pytest.raises(ProtocolError):
            opened(PLACE, good[:at] + chr(33 + (ord(good[at]) - 32) % 94) + good[at + 1 :])


def test_dec_02_the_digest_is_that_of_exactly_the_document() -> None:
    """What will be signed is the hash of the bytes that came."""
    document = parties.request_document()
    assert opened(PLACE, document).digest == jose.b64u(request_hash(document))


def test_tui_01_no_text_of_a_request_or_notice_can_draw_anything_else() -> None:
    """Escapes, bidi and invisible characters are spelled out in every text of the state."""
    hostile = HOSTILE[:60]
    shown = entry(
        msg=hostile + "\nsecond line",
        vis=((hostile, hostile),),
        rp=RelyingParty("app-1", hostile),
        ctx=Context(ip=hostile, place=hostile, agent=hostile),
    )
    notice = Notice(parties.ORIGIN, "n1", hostile, hostile, NOW)
    state = after(
        Arrived(shown),
        Noticed(notice),
        Lost(parties.ORIGIN, hostile),
        Distrusted(parties.ORIGIN, "d", hostile),
    )
    (request,) = state.pending
    texts = [request.application, *(text for pair in request.fields for text in pair)]
    texts += [text for text in (request.ip, request.place, request.agent) if text is not None]
    texts += [each.text for each in state.notices] + [state.connections[parties.ORIGIN].trouble]
    assert [text for text in texts if clean(text) != text] == []
    assert clean(request.message, newline=True) == request.message
    assert "\u2039U+202E\u203a" in request.message
    assert "\n" in request.message
    assert len(texts) == 9


def test_another_devices_answer_closes_the_request_here_and_says_who() -> None:
    """The request leaves the list and the history tells the outcome."""
    state = after(Arrived(entry()), Closed(parties.ORIGIN, parties.APPROVAL, "approved", "another device"))
    assert state.pending == ()
    assert [(each.outcome, each.by) for each in state.history] == [("approved", "another device")]


def test_another_server_cannot_end_or_hide_a_request_by_its_id() -> None:
    """Requests are told apart by server and id together."""
    evil = replace(entry(), origin="https://evil.example")
    state = after(
        Arrived(evil), Arrived(entry()), Closed("https://evil.example", parties.APPROVAL, "cancelled", "time")
    )
    assert [each.origin for each in state.pending] == [parties.ORIGIN]


def test_a_final_outcome_is_not_changed_by_a_later_one() -> None:
    """The first end counts, on the device as on the server."""
    state = after(
        Arrived(entry()),
        Closed(parties.ORIGIN, parties.APPROVAL, "denied", "this device", "not_me"),
        Closed(parties.ORIGIN, parties.APPROVAL, "approved", "another device"),
    )
    assert [(each.outcome, each.reason) for each in state.history] == [("denied", "not_me")]


def test_psh_09_a_request_expires_on_the_servers_clock() -> None:
    """A device whose clock is an hour off shows it exactly as long as the server takes an answer."""
    hour = 3_600_000
    ends = entry().expires_at
    for offset in (-hour, 0, hour):
        state = after(Connected(parties.ORIGIN, "socket", NOW + offset), Arrived(entry()), now=NOW)
        state = reduce(Inbox(), Connected(parties.ORIGIN, "socket", NOW), NOW - offset)
        state = reduce(state, Arrived(entry()), NOW - offset)
        assert len(reduce(state, Passed(), ends - offset - 1).pending) == 1
        expired = reduce(state, Passed(), ends - offset)
        assert expired.pending == ()
        assert [(each.outcome, each.by) for each in expired.history] == [("expired", "time")]


def test_a_request_that_is_over_when_it_comes_is_not_offered() -> None:
    """Nobody is asked a question that takes no answer any more."""
    state = after(Arrived(entry()), now=entry().expires_at + 5)
    assert state.pending == ()


def test_requests_are_newest_first() -> None:
    """Whatever the order of arrival."""
    entries = [entry(rid=f"r{age}", iat=parties.BEGUN + age) for age in (5, 90, 40)]
    assert [each.rid for each in after(*map(Arrived, entries)).pending] == ["r90", "r40", "r5"]


def test_a_removed_device_has_nothing_left_to_answer() -> None:
    """Its requests end as failed, those of other devices stay."""
    other = replace(entry(rid="other"), device="dev-2")
    state = after(Arrived(entry()), Arrived(other), Removed(parties.ORIGIN, parties.DEVICE))
    assert [each.rid for each in state.pending] == ["other"]
    assert [each.outcome for each in state.history] == ["failed"]
    assert [each.kind for each in state.notices] == ["removed"]


def test_a_connection_remembers_its_last_contact_through_a_loss() -> None:
    """Offline since when, and last heard when, are both known."""
    state = reduce(Inbox(), Connected(parties.ORIGIN, "socket", NOW), NOW)
    state = reduce(state, Lost(parties.ORIGIN, "no route"), NOW + 5)
    state = reduce(state, Lost(parties.ORIGIN, "no route"), NOW + 9)
    connection = state.connections[parties.ORIGIN]
    assert (connection.state, connection.since, connection.last_contact) == ("offline", NOW + 5, NOW)


def test_tui_05_a_state_holds_no_hidden_detail() -> None:
    """The document commits to hidden details by a hash; nothing else of them is there."""
    assert "ledger" not in repr(after(Arrived(entry())))
