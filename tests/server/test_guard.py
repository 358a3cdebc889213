from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from placet_server.domain.codes import Issued
from placet_server.domain.destinations import Destination, email, phone
from placet_server.domain.mail import MessageDraft
from placet_server.domain.refusals import RefusedError
from placet_server.domain.texts import Text
from placet_server.ports import PhoneInfo
from placet_server.testing import FixedBook, FixedRoutes
from support.answering import World, code_of, world
from support.coding import ANA, BEN, check, issue
from support.scale import scaled

MANY = {"code__per_destination": "1000", "code__per_destination_day": "10000"}


async def _sent(w: World, numbers: list[Destination]) -> list[Issued]:
    """The codes that were taken of those for these numbers."""
    said = await asyncio.gather(*(issue(w, number) for number in numbers), return_exceptions=True)
    assert all(isinstance(each, Issued) or getattr(each, "code", "") == "too_many_codes" for each in said)
    return [each for each in said if isinstance(each, Issued)]


def _block(prefix: str, count: int) -> list[Destination]:
    return [phone(f"{prefix}{number:04d}") for number in range(count)]


async def test_otp_14_a_block_that_nobody_answers_is_held(tmp_path: Path) -> None:
    """Of very many codes to one block 50 are sent, the application is told once; a block that answers goes on."""
    async with world(tmp_path) as w:
        await w.domain.applications.add_webhook("Acme", "https://hooks.example/", w.now)
        w.application = await w.domain.applications.named("Acme")
        pumped = await _sent(w, _block("+3460012", max(200, scaled(1_000))))
        assert len(pumped) == 50
        events = [due.body.payload for due in await w.domain.outbox.due(w.now) if due.body]
        assert [b'"type":"code.prefix_held"' in event for event in events] == [True]
        assert b'"+3460012****"' in events[0]
        for number in _block("+3460099", 120):
            issued = await issue(w, number)
            if issued.id[-1] in "0123":
                assert (await check(w, issued.value, code_id=issued.id)).outcome == "matched"
        assert await code_of(issue(w, phone("+34600129999"))) == "too_many_codes"
        assert (await issue(w, phone("+34600129999"), channels=())).value


async def test_otp_14_a_hold_ends(tmp_path: Path) -> None:
    """After the hold the block is counted anew; refusals say how long it lasts; another application is not held."""
    async with world(tmp_path) as w:
        await _sent(w, _block("+3460012", 60))
        with pytest.raises(RefusedError) as refused:
            await issue(w, phone("+34600129999"))
        assert refused.value.retry_after == 3600
        other = w.caller_of(await w.new_application("Other"))
        assert await issue(w, phone("+34600129998"), caller=other)
        w.clock.advance(seconds=3600, ms=-1)
        assert await code_of(issue(w, phone("+34600129999"))) == "too_many_codes"
        w.clock.advance(ms=1)
        assert len(await _sent(w, _block("+3460012", 60))) == 50


async def test_otp_14_answers_keep_a_block_open(tmp_path: Path) -> None:
    """From ten percent of right answers on nothing is held; an hour later the count begins anew."""
    async with world(tmp_path, code__breaker="10", code__breaker_percent="10") as w:
        codes = await _sent(w, _block("+3460012", 10))
        assert (await check(w, codes[0].value, code_id=codes[0].id)).outcome == "matched"
        assert await issue(w, phone("+34600128000"))
        assert await code_of(issue(w, phone("+34600128001"))) == "too_many_codes"


async def test_otp_14_a_destination_has_a_budget_for_all(tmp_path: Path) -> None:
    """Five messages without a pause of ten minutes, 20 in a day; spelling, face and application make no difference."""
    async with world(tmp_path, code__breaker="0") as w:
        other = w.caller_of(await w.new_application("Other"), "unityvox")
        for _ in range(4):
            for caller in (w.caller, other, w.caller, other, w.caller):
                await issue(w, phone("0034 600 000 001"), caller=caller)
            for caller in (w.caller, other):
                assert await code_of(issue(w, caller=caller)) == "too_many_codes"
            assert await issue(w, BEN, channels=("voice",), purpose=str(w.now))
            w.clock.advance(seconds=600)
        with pytest.raises(RefusedError) as refused:
            await issue(w)
        assert refused.value.retry_after == 86_400 - 4 * 600
        w.clock.advance(seconds=86_400 - 4 * 600)
        assert await issue(w)


async def test_otp_14_of_sends_at_once_five_are_taken(tmp_path: Path) -> None:
    """Thirty simultaneous codes to one number: five are sent, and only they are written."""
    async with world(tmp_path) as w:
        assert len(await _sent(w, [ANA] * 30)) == 5
        assert await w.count("messages") == await w.count("codes") == 5


@pytest.mark.parametrize("policy", ["code__per_prefix", "code__per_ip", "code__per_application"])
async def test_otp_14_hours_have_budgets(tmp_path: Path, policy: str) -> None:
    """Messages in an hour are bounded by block, person's address and application where policy says so."""
    async with world(tmp_path, **{policy: "3"}) as w:
        numbers = _block("+3460012", 5)
        for number in numbers[:3]:
            await issue(w, number, ip="192.0.2.7")
        with pytest.raises(RefusedError) as refused:
            await issue(w, numbers[3], ip="::ffff:192.0.2.7")
        assert (refused.value.code, refused.value.retry_after) == ("too_many_codes", 3600)
        elsewhere = issue(w, phone("+34911000009"), ip="192.0.2.8")
        assert (
            (await code_of(elsewhere) == "too_many_codes")
            if policy == "code__per_application"
            else await elsewhere
        )
        w.clock.advance(seconds=3600)
        assert await issue(w, numbers[3], ip="192.0.2.7")


async def test_otp_14_texts_without_a_code_have_a_bound_by_block(tmp_path: Path) -> None:
    """A hundred plain texts an hour go to one block, fewer where code.per_prefix says so; codes count for themselves."""
    async with world(tmp_path) as w:
        said = [await _text(w, number) for number in _block("+3460012", 101)]
        assert said == [None] * 100 + ["too_many_codes"]
        assert await _text(w, phone("+34600130000")) is None
        assert await issue(w, phone("+34600129999"))
        w.clock.advance(seconds=3600)
        assert await _text(w, phone("+34600129998")) is None
    async with world(_new(tmp_path, "few"), code__per_prefix="2") as w:
        assert [await _text(w, number) for number in _block("+3460012", 3)] == [None, None, "too_many_codes"]
    async with world(_new(tmp_path, "any"), code__texts_per_prefix="0") as w:
        assert {await _text(w, number) for number in _block("+3460012", 110)} == {None}


def _new(folder: Path, name: str) -> Path:
    (made := folder / name).mkdir()
    return made


async def _text(w: World, to: Destination) -> str | None:
    """Why a plain text is refused, None when it is taken."""
    draft = MessageDraft(to=to, channels=("sms",), texts={"sms": Text("Hi")}, expires_at=w.now + 60_000)
    try:
        await w.domain.messages.send(w.caller, draft, w.now)
    except RefusedError as error:
        return error.code
    return None


async def test_otp_14_only_allowed_countries_are_reached(tmp_path: Path) -> None:
    """With a list of country codes others are refused; e-mails have no country."""
    async with world(tmp_path, code__countries="34,+44") as w:
        assert await issue(w)
        assert await issue(w, email("a@example.org"), channels=("email",))
        assert await code_of(issue(w, phone("+12015550123"))) == "country_not_allowed"
        assert await issue(w, phone("+12015550123"), channels=())


async def test_otp_14_a_landline_gets_no_text_where_policy_says_so(tmp_path: Path) -> None:
    """Numbers known to be no mobiles get voice only, or nothing; unknown ones are believed."""
    async with world(tmp_path, code__lines="mobile") as w:
        w.domain.guard._book = FixedBook(n34911000002=PhoneInfo("landline"), n34600000001=PhoneInfo("mobile"))
        assert await issue(w)
        assert await issue(w, phone("+34600000005"))
        assert await code_of(issue(w, BEN)) == "not_a_mobile"
        spoken = await issue(w, BEN, channels=("sms", "voice"))
        assert (await w.domain.codes.get(w.caller, spoken.id, w.now)).channels == ("voice",)


async def test_a_channel_without_gateway_is_no_route(tmp_path: Path) -> None:
    """Channels that nothing carries are left out; when none is left the call says so, and writes nothing."""
    async with world(tmp_path, route__sms="missing") as w:
        assert await code_of(issue(w)) == "no_route"
        w.domain.guard._routes = FixedRoutes(("recorded",), "voice")
        assert await code_of(issue(w, channels=("whatsapp",))) == "no_route"
        spoken = await issue(w, channels=("whatsapp", "voice"))
        assert (await w.domain.codes.get(w.caller, spoken.id, w.now)).channels == ("voice",)
        assert await code_of(issue(w, channels=("email",))) == "channel_not_allowed"
        assert await code_of(issue(w, email("a@example.org"))) == "channel_not_allowed"
        assert await w.count("codes") == 1


async def test_counters_are_erased_when_they_count_nothing(tmp_path: Path) -> None:
    """A day after the last message no counter is left, a running one stays."""
    async with world(tmp_path) as w:
        await issue(w)
        w.clock.advance(seconds=86_000)
        await issue(w, BEN)
        w.clock.advance(seconds=400)
        await w.domain.guard.sweep(w.now)
        assert await w.count("budgets") == 2
        w.clock.advance(seconds=86_400)
        await w.domain.guard.sweep(w.now)
        assert await w.count("budgets") == 0


async def test_a_balance_pays_for_what_is_sent(tmp_path: Path) -> None:
    """Each message costs the price until the balance is used up; a refused one costs nothing, nor does a code alone."""
    async with world(tmp_path, code__per_destination="2") as w:
        credentials = w.domain.credentials
        await credentials.add("authy", "Acme", "k" * 32, {}, w.now, balance=25_000, price=10_000)
        caller = await credentials.by_secret("authy", "k" * 32, w.now)
        assert caller is not None
        said = await asyncio.gather(*(issue(w, caller=caller) for _ in range(5)), return_exceptions=True)
        assert [getattr(each, "code", "sent") for each in said].count("too_many_codes") == 3
        assert await credentials.balance(caller) == 5_000
        assert await issue(w, BEN, caller=caller)
        assert await code_of(issue(w, BEN, caller=caller)) == "no_credit"
        assert await w.count("budgets", "spent = 2 AND day_spent = 2") == 1
        assert await issue(w, BEN, caller=caller, channels=())
