from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from placet_server.domain.codes import CodeDraft, Issued
from placet_server.domain.refusals import RefusedError
from support.answering import World, code_of, world
from support.coding import ANA, carry, check, due_of, issue, wrong


async def _resend(w: World, issued: Issued) -> Issued:
    return await w.domain.codes.resend(w.caller, issued.id, w.now)


def _bound_draft(ip: str) -> CodeDraft:
    return CodeDraft(destination=ANA, ip=ip)


async def test_otp_09_a_resend_replaces_the_code(tmp_path: Path) -> None:
    """The new code is another one and matches, the old one is over and its message is not sent any more."""
    async with world(tmp_path) as w:
        old = await issue(w, purpose="login", language="es-ES")
        w.clock.advance(seconds=30)
        new = await _resend(w, old)
        assert (new.id != old.id, new.value != old.value, new.destination) == (True, True, ANA)
        assert [due.code for due in await w.domain.deliveries.due(w.now)] == [new.value]
        assert "su clave" in (await due_of(w, new)).texts["sms"].text
        assert (await check(w, old.value, code_id=old.id, purpose="login")).outcome == "expired"
        assert (await w.domain.codes.get(w.caller, old.id, w.now)).status == "replaced"
        assert (await check(w, new.value, destination=ANA, purpose="login")).outcome == "matched"
        await w.domain.deliveries.expire(w.now)
        first = await w.domain.messages.get(w.caller, old.message_id or "")
        assert (first.status, first.to) == ("expired", "+34*******01")


async def test_otp_09_tries_are_not_reset(tmp_path: Path) -> None:
    """Four wrong tries, a resend, one more: exhausted. An exhausted code is not sent again."""
    async with world(tmp_path) as w:
        old = await issue(w)
        for step in range(1, 5):
            await check(w, wrong(old, step), code_id=old.id)
        w.clock.advance(seconds=30)
        new = await _resend(w, old)
        assert (await check(w, wrong(new), code_id=new.id)).left == 0
        assert (await check(w, new.value, code_id=new.id)).outcome == "exhausted"
        w.clock.advance(seconds=30)
        assert await code_of(_resend(w, new)) == "not_pending"


async def test_otp_09_resends_are_thirty_seconds_apart(tmp_path: Path) -> None:
    """Before 30 s a resend is refused with the seconds to wait, and the old code still counts."""
    async with world(tmp_path) as w:
        issued = await issue(w)
        w.clock.advance(seconds=29, ms=1)
        with pytest.raises(RefusedError) as refused:
            await _resend(w, issued)
        assert (refused.value.code, refused.value.retry_after) == ("too_many_codes", 1)
        assert (await check(w, issued.value, code_id=issued.id)).outcome == "matched"
        w.clock.advance(seconds=60)
        assert await code_of(_resend(w, issued)) == "not_pending"


async def test_otp_09_the_sixth_send_is_refused(tmp_path: Path) -> None:
    """Five messages to one destination, whether new or resent, and the next has to wait; the last code stays good."""
    async with world(tmp_path) as w:
        issued = await issue(w)
        for _ in range(4):
            w.clock.advance(seconds=30)
            issued = await _resend(w, issued)
        w.clock.advance(seconds=30)
        with pytest.raises(RefusedError) as refused:
            await _resend(w, issued)
        assert (refused.value.code, refused.value.retry_after) == ("too_many_codes", 570)
        assert await code_of(issue(w)) == "too_many_codes"
        assert (await check(w, issued.value, code_id=issued.id)).outcome == "matched"


async def test_otp_09_of_resends_at_once_one_sends(tmp_path: Path) -> None:
    """Of ten simultaneous resends one makes a code, the others find the old one ended."""
    async with world(tmp_path, code__per_destination="100") as w:
        issued = await issue(w)
        w.clock.advance(seconds=30)
        said = await asyncio.gather(*(_resend(w, issued) for _ in range(10)), return_exceptions=True)
        kinds = Counter(each.code if isinstance(each, RefusedError) else "sent" for each in said)
        assert kinds == {"sent": 1, "not_pending": 9}
        assert await w.count("codes", "status = 'live'") == 1


async def test_otp_02_a_resend_prolongs_no_code(tmp_path: Path) -> None:
    """The old code ends with its resend; an expired one cannot be resent."""
    async with world(tmp_path) as w:
        issued = await issue(w)
        w.clock.advance(seconds=600)
        assert await code_of(_resend(w, issued)) == "not_pending"


async def test_a_cancelled_code_is_over_and_unsent(tmp_path: Path) -> None:
    """Cancelling ends a live code once, and what was not sent yet is not sent."""
    async with world(tmp_path) as w:
        issued = await issue(w)
        due = await due_of(w, issued)
        info = await w.domain.codes.cancel(w.caller, issued.id, w.now)
        assert (info.status, info.message_status) == ("cancelled", "expired")
        assert not await w.domain.deliveries.claim(due, w.now + 1, w.now)
        assert (await check(w, issued.value, code_id=issued.id)).outcome == "expired"
        assert await code_of(w.domain.codes.cancel(w.caller, issued.id, w.now)) == "not_pending"
        sent = await issue(w)
        await carry(w, await due_of(w, sent))
        assert (await w.domain.codes.cancel(w.caller, sent.id, w.now)).message_status == "sent"


async def test_cancel_and_match_never_both_win(tmp_path: Path) -> None:
    """A right code and a cancellation at the same time leave one of the two states."""
    async with world(tmp_path, code__per_destination="100", code__breaker="0") as w:
        for turn in range(20):
            issued = await issue(w, channels=())
            calls = [
                check(w, issued.value, code_id=issued.id),
                w.domain.codes.cancel(w.caller, issued.id, w.now),
            ]
            said = await asyncio.gather(*(calls[::-1] if turn % 2 else calls), return_exceptions=True)
            status = (await w.domain.codes.get(w.caller, issued.id, w.now)).status
            matched = any(getattr(each, "outcome", "") == "matched" for each in said)
            assert status == ("matched" if matched else "cancelled")


@pytest.mark.parametrize(
    ("face", "strict", "ip", "outcome"),
    [
        ("native", "off", "192.0.2.7", "matched"),
        ("native", "off", "::ffff:192.0.2.7", "matched"),
        ("native", "off", "192.0.2.8", "mismatch"),
        ("native", "off", None, "mismatch"),
        ("native", "off", "nonsense", "mismatch"),
        ("octopush", "off", "192.0.2.7", "matched"),
        ("octopush", "off", "192.0.2.8", "mismatch"),
        ("octopush", "off", None, "matched"),
        ("octopush", "on", None, "mismatch"),
    ],
)
async def test_a_code_can_be_bound_to_an_address(
    tmp_path: Path, face: str, strict: str, ip: str | None, outcome: str
) -> None:
    """Another address is a wrong try, an absent one too, but for faces whose clients cannot say it."""
    async with world(tmp_path, code__strict_ip=strict) as w:
        caller = w.caller_of(w.application, face)
        issued = await issue(w, caller=caller, ip="198.51.100.1", channels=())
        assert (await check(w, issued.value, caller=caller, code_id=issued.id, ip=ip)).outcome == "matched"
        bound = await w.domain.codes.issue(caller, _bound_draft("192.0.2.7"), w.now)
        assert (await check(w, bound.value, caller=caller, code_id=bound.id, ip=ip)).outcome == outcome


async def test_no_address_binds_nothing(tmp_path: Path) -> None:
    """An empty, unspecified or unreadable address is none; a resend keeps the binding."""
    async with world(tmp_path) as w:
        for ip in ("", "0.0.0.0", "::", "somewhere"):  # noqa: S104 - as clients say nothing
            issued = await w.domain.codes.issue(w.caller, _bound_draft(ip), w.now)
            assert (await check(w, issued.value, code_id=issued.id)).outcome == "matched"
        bound = await w.domain.codes.issue(w.caller, _bound_draft("2001:db8::7"), w.now)
        w.clock.advance(seconds=30)
        again = await _resend(w, bound)
        assert (await check(w, again.value, code_id=again.id)).outcome == "mismatch"
        assert (await check(w, again.value, code_id=again.id, ip="2001:DB8:0::7")).outcome == "matched"


async def test_what_is_forbidden_meanwhile_is_not_sent_again(tmp_path: Path) -> None:
    """A resend asks the guard as the first code did: for the country now, and for each channel."""
    async with world(tmp_path) as w:
        old = await issue(w, channels=("sms", "voice"))
        w.clock.advance(seconds=30)
        w.application = await w.domain.applications.set_policies("Acme", {"code.channels": "voice"}, w.now)
        new = await _resend(w, old)
        assert new.channels == ("voice",)
        w.clock.advance(seconds=30)
        w.application = await w.domain.applications.set_policies("Acme", {"code.countries": "+44"}, w.now)
        assert await code_of(_resend(w, new)) == "country_not_allowed"
        assert (await w.domain.codes.get(w.caller, new.id, w.now)).status == "live"


async def test_a_number_that_must_be_verified_by_now_is_not_sent_to_again(tmp_path: Path) -> None:
    """The policy holds for a resend of a user's code, too; a code for a plain number goes on."""
    async with world(tmp_path) as w:
        users, plain = await issue(w, None, user=w.user), await issue(w)
        w.clock.advance(seconds=30)
        await w.domain.applications.set_policies("Acme", {"code.verified_numbers": "true"}, w.now)
        w.application = await w.domain.applications.named("Acme")
        assert await code_of(_resend(w, users)) == "channel_not_allowed"
        assert (await _resend(w, plain)).channels == ("sms",)
