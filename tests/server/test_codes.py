from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from placet_server.domain.codes import CodeDraft, Issued
from placet_server.domain.destinations import Destination, email
from placet_server.domain.shapes import Shape
from placet_server.ports import Sql, Step, step
from placet_server.storage import open_store
from support.answering import code_of, world
from support.coding import ANA, BEN, again, check, due_of, issue, wrong
from support.scale import scaled


async def test_otp_01_six_digits_by_default_and_at_least_four(tmp_path: Path) -> None:
    """Without a shape a code has six digits; four where asked for; less is made longer by policy, more cut to 32."""
    async with world(
        tmp_path, code__per_destination="1000", code__per_destination_day="1000", code__breaker="0"
    ) as w:
        assert len((await issue(w)).value) == 6
        assert len((await issue(w, shape=Shape(4))).value) == 4
        assert len((await issue(w, shape=Shape(1))).value) == 4
        assert len((await issue(w, shape=Shape(99))).value) == 32
        assert (await issue(w, value="A73HF3I")).value == "A73HF3I"
        for value in ("123", "1" * 33, "12 34", "12\n34", "١٢٣٤"):
            assert await code_of(issue(w, value=value)) == "invalid_request"


async def test_otp_02_a_code_counts_ten_minutes(tmp_path: Path) -> None:
    """Ten minutes by default, however often it is looked at; the last millisecond counts, the next does not."""
    async with world(tmp_path) as w:
        first, second = await issue(w), await issue(w, BEN)
        for _ in range(5):
            w.clock.advance(seconds=100)
            await w.domain.codes.get(w.caller, first.id, w.now)
        w.clock.advance(seconds=100, ms=-1)
        assert (await check(w, first.value, code_id=first.id)).outcome == "matched"
        w.clock.advance(ms=1)
        assert (await check(w, second.value, code_id=second.id)).outcome == "expired"
        assert (await w.domain.codes.get(w.caller, second.id, w.now)).status == "expired"


async def test_otp_02_policy_bounds_life_and_tries(tmp_path: Path) -> None:
    """What is asked beyond policy is cut to policy, and the answer says what counts."""
    async with world(tmp_path, code__max_seconds="3600", code__max_tries="7") as w:
        issued = await issue(w, seconds=10**9, tries=50)
        assert (issued.seconds, issued.tries, issued.expires_at) == (3600, 7, w.now + 3_600_000)
        assert (await issue(w, seconds=60, tries=1)).seconds == 60


async def test_otp_03_success_is_once(tmp_path: Path) -> None:
    """A right code matches once; afterwards it is used, by id and by destination, also after its end."""
    async with world(tmp_path) as w:
        issued = await issue(w)
        assert (await check(w, issued.value, code_id=issued.id)).outcome == "matched"
        for _ in range(2):
            assert (await check(w, issued.value, code_id=issued.id)).outcome == "used"
            assert (await check(w, issued.value, destination=ANA)).outcome == "used"
            w.clock.advance(seconds=86_000)
            await w.domain.codes.sweep(w.now)


@pytest.mark.parametrize(("rounds", "tries"), [(1_000, 2), (200, 20)])
async def test_otp_04_of_many_at_once_one_matches(tmp_path: Path, rounds: int, tries: int) -> None:
    """Simultaneous checks of one right code: exactly one success in each round, the others say used."""
    policies = {"code__per_destination": "1000", "code__per_destination_day": "10000", "code__breaker": "0"}
    async with world(tmp_path, **policies) as w:
        for _ in range(scaled(rounds)):
            issued = await issue(w)
            said = await asyncio.gather(*(check(w, issued.value, code_id=issued.id) for _ in range(tries)))
            assert Counter(each.outcome for each in said) == {"matched": 1, "used": tries - 1}


async def test_otp_08_a_code_is_bound_to_everything(tmp_path: Path) -> None:
    """Each of four codes, for destination, purpose and caller, matches in its own place: 4 successes, 12 refusals."""
    policies = {"code__per_destination": "1000", "code__breaker": "0", "limits__failures_delay": "20"}
    async with world(tmp_path, **policies) as w:
        other = w.caller_of(await w.new_application("Other", **policies))
        places = [
            (w.caller, ANA, "login"),
            (w.caller, ANA, "pay"),
            (w.caller, BEN, "login"),
            (other, ANA, "login"),
        ]
        codes = [
            await issue(w, to, caller=caller, purpose=purpose, channels=()) for caller, to, purpose in places
        ]
        for code in codes:
            for place, (caller, to, purpose) in enumerate(places):
                if codes[place] is not code:
                    said = await check(w, code.value, caller=caller, destination=to, purpose=purpose)
                    assert said.outcome == "mismatch"
        for code, (caller, to, purpose) in zip(codes, places, strict=True):
            said = await check(w, code.value, caller=caller, destination=to, purpose=purpose)
            assert said.outcome == "matched"


async def test_otp_08_an_id_is_nothing_without_its_owner_place_and_purpose(tmp_path: Path) -> None:
    """A foreign id does not exist, nor one with another destination; another purpose is a wrong code."""
    async with world(tmp_path) as w:
        issued = await issue(w, purpose="login")
        other = w.caller_of(await w.new_application("Other"))
        face = w.caller_of(w.application, "octopush")
        for caller in (other, face):
            said = await check(w, issued.value, caller=caller, code_id=issued.id, purpose="login")
            assert said.outcome == "unknown"
            assert await code_of(w.domain.codes.get(caller, issued.id, w.now)) == "not_found"
        assert (
            await check(w, issued.value, code_id=issued.id, destination=BEN, purpose="login")
        ).outcome == "unknown"
        assert (await check(w, issued.value, code_id=issued.id)).outcome == "mismatch"
        assert (await check(w, issued.value, code_id=issued.id, purpose="pay")).outcome == "mismatch"
        assert (
            await check(w, issued.value, code_id=issued.id, destination=ANA, purpose="login")
        ).outcome == "matched"


async def test_only_the_newest_code_is_tried(tmp_path: Path) -> None:
    """By destination the newest counts and no older one, not even when the newest is used; by id both do."""
    async with world(tmp_path) as w:
        old = await issue(w)
        w.clock.advance(ms=1)
        new = await issue(w)
        assert (await check(w, old.value, destination=ANA)).outcome == "mismatch"
        assert (await check(w, new.value, destination=ANA)).outcome == "matched"
        assert (await check(w, old.value, destination=ANA)).outcome == "used"
        assert (await check(w, old.value, code_id=old.id)).outcome == "matched"
        assert (await check(w, "1234", destination=BEN)).outcome == "unknown"
        assert (await check(w, "1234")).outcome == "unknown"
        assert (await check(w, "1234", code_id="' OR 1 --")).outcome == "unknown"


async def test_codes_of_one_millisecond_have_an_order(tmp_path: Path) -> None:
    """The newest is the one that was made last, though all were made in the same millisecond."""
    async with world(tmp_path) as w:
        made = [await issue(w, channels=(), value=f"{number:06d}") for number in range(40)]
        ids = [each.id for each in made]
        assert ids == sorted(ids)
        newest = await w.domain.codes.newest(w.caller, w.now, destination=ANA)
        assert newest is not None
        assert newest.id == ids[-1]
        assert (await check(w, "000039", destination=ANA)).outcome == "matched"


async def test_a_code_can_replace_those_before_it(tmp_path: Path) -> None:
    """With ``replaces`` the owner's live codes for the same person and purpose end, no others."""
    async with world(tmp_path) as w:
        login, pay = await issue(w), await issue(w, purpose="pay")
        new = await issue(w, replaces=True)
        assert (await check(w, login.value, code_id=login.id)).outcome == "expired"
        assert (await w.domain.codes.get(w.caller, login.id, w.now)).status == "replaced"
        assert {due.code_id for due in await w.domain.deliveries.due(w.now)} == {pay.id, new.id}
        for code, purpose in ((pay, "pay"), (new, "")):
            assert (await check(w, code.value, code_id=code.id, purpose=purpose)).outcome == "matched"


async def test_replacing_codes_at_once_leave_one(tmp_path: Path) -> None:
    """Of several simultaneous codes that replace each other one is live."""
    async with world(tmp_path) as w:
        codes = await asyncio.gather(*(issue(w, replaces=True) for _ in range(5)))
        said = [await w.domain.codes.get(w.caller, code.id, w.now) for code in codes]
        assert Counter(each.status for each in said) == {"live": 1, "replaced": 4}


async def test_a_users_code_goes_to_what_the_channel_reaches(tmp_path: Path) -> None:
    """For a user the first channel chooses number or address; a match confirms the user; another's code is wrong."""
    async with world(tmp_path) as w:
        issued = await issue(w, None, user=await w.domain.users.ref("default", w.user.tfa_id))
        assert issued.destination == Destination("phone", "+15550100")
        other = await w.new_user("5550199")
        assert (await check(w, issued.value, user=other)).outcome == "unknown"
        assert (await check(w, issued.value, user=w.user)).outcome == "matched"
        assert (await w.domain.users.by_id(w.user.id)).confirmed
        assert await code_of(issue(w, None, user=w.user, channels=("email",))) == "invalid_destination"


async def test_a_code_that_goes_nowhere_is_handed_out(tmp_path: Path) -> None:
    """Without channels nothing is sent and no budget moves; nobody need be named; it is checked by its id."""
    async with world(tmp_path) as w:
        for _ in range(30):
            issued = await issue(w, None, channels=())
        assert issued.message_id is None
        assert await w.count("messages") == await w.count("budgets") == 0
        assert (await check(w, issued.value, code_id=issued.id)).outcome == "matched"


async def test_otp_10_only_a_mac_is_kept(tmp_path: Path) -> None:
    """Twelve-character codes are nowhere in the files; the MAC goes when the code ends, the row a day later."""
    shape = Shape(12, upper=True)
    async with world(tmp_path) as w:
        issued = [await issue(w, channels=(), shape=shape) for _ in range(20)]
        assert (await check(w, issued[0].value, code_id=issued[0].id)).outcome == "matched"
        for name in ("placet.db", "placet.db-wal"):
            content = (tmp_path / name).read_bytes()
            assert not [code.value for code in issued if code.value.encode() in content]
        assert await w.count("codes", "mac IS NULL") == 1
        w.clock.advance(seconds=600)
        await w.domain.codes.sweep(w.now)
        assert await w.count("codes", "mac IS NOT NULL") == 0
        w.clock.advance(seconds=86_400, ms=-1)
        await w.domain.codes.sweep(w.now)
        assert (await check(w, issued[0].value, code_id=issued[0].id)).outcome == "used"
        assert (await check(w, issued[1].value, code_id=issued[1].id)).outcome == "expired"
        w.clock.advance(ms=1)
        await w.domain.codes.sweep(w.now)
        assert await w.count("codes") == 0
        assert (await check(w, issued[0].value, code_id=issued[0].id)).outcome == "unknown"


async def test_otp_10_a_mac_knows_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A code that was made under an earlier version of the MAC is still checked under that version."""
    async with world(tmp_path) as w:
        old = await issue(w)
        monkeypatch.setattr("placet_server.domain.codekeys.VERSION", 2)
        new = await issue(w)
        keys = Sql("keys", "SELECT key, count(DISTINCT mac) FROM codes GROUP BY key")
        assert await w.store.rows(keys) == [(1, 1), (2, 1)]
        for code in (old, new):
            assert (await check(w, code.value, code_id=code.id)).outcome == "matched"


async def test_otp_13_channels_can_be_switched_off_and_are_labelled(tmp_path: Path) -> None:
    """Channels outside the policy are refused or left out; what others can listen to is labelled restricted."""
    async with world(tmp_path, code__channels="whatsapp,voice") as w:
        assert await code_of(issue(w)) == "channel_not_allowed"
        assert await code_of(issue(w, email("a@example.org"), channels=("email",))) == "channel_not_allowed"
        spoken = await issue(w, channels=("sms", "voice"))
        info = await w.domain.codes.get(w.caller, spoken.id, w.now)
        assert (info.channels, info.restricted) == (("voice",), True)
        written = await issue(w, channels=("whatsapp",))
        assert not (await w.domain.codes.get(w.caller, written.id, w.now)).restricted


async def test_otp_17_a_late_text_is_refused_politely(tmp_path: Path) -> None:
    """A message that arrives after eleven minutes carries an expired code; one still waiting then is not sent."""
    async with world(tmp_path) as w:
        issued = await issue(w)
        due = await due_of(w, issued)
        w.clock.advance(seconds=660)
        assert (await check(w, issued.value, code_id=issued.id)).outcome == "expired"
        assert not await w.domain.deliveries.claim(due, w.now + 1, w.now)
        assert (await w.domain.messages.get(w.caller, due.id)).status == "expired"


async def test_log_04_issue_and_every_try_have_their_entry(tmp_path: Path) -> None:
    """Issue, refusal and match append one audit entry each, none of them with the code or the destination."""
    async with world(tmp_path) as w:
        issued = await issue(w)
        await check(w, wrong(issued), code_id=issued.id)
        await check(w, issued.value, code_id=issued.id)
        rows = await w.store.rows(
            Sql("entries", "SELECT kind, body FROM audit WHERE kind LIKE 'code.%' ORDER BY seq")
        )
        assert [kind for kind, _ in rows] == ["code.issued", "code.refused", "code.matched"]
        assert not any(issued.value in body.replace(issued.id, "") or "+346" in body for _, body in rows)


@pytest.mark.parametrize("code", ["", "1", "1" * 1000, "١٢٣٤٥٦", "\udcff", "12 345", "\0"])
async def test_odd_codes_are_wrong_codes(tmp_path: Path, code: str) -> None:
    """Whatever is typed is a mismatch at most, never a crash."""
    async with world(tmp_path) as w:
        issued = await issue(w)
        assert (await check(w, code, code_id=issued.id)).outcome == "mismatch"


@pytest.mark.parametrize("field", ["text", "subject", "sender"])
async def test_api_16_control_characters_stay_out(tmp_path: Path, field: str) -> None:
    """NUL, escapes and line ends where none belong are refused before anything is sent."""
    async with world(tmp_path) as w:
        for hostile in ("a\0b", "a\x1b[2J", "a\u202eb", *(() if field == "text" else ("a\r\nBcc: b",))):
            assert await code_of(issue(w, **{field: hostile})) == "invalid_text"
        assert await w.count("messages") == 0


async def test_a_removed_user_leaves_no_code(tmp_path: Path) -> None:
    """Removal erases the codes of the user and of their number, and what was still to be sent to them."""
    async with world(tmp_path) as w:
        await issue(w, None, user=w.user)
        number = (await issue(w, None, user=w.user, channels=())).destination
        await issue(w, number)
        kept = await issue(w, BEN)
        await w.domain.users.remove("default", w.user.tfa_id, w.now)
        assert [row[0] for row in await w.store.rows(Sql("ids", "SELECT id FROM codes"))] == [kept.id]
        assert [due.code_id for due in await w.domain.deliveries.due(w.now)] == [kept.id]
        assert await w.count("messages", "sealed IS NOT NULL") == 1


async def test_idempotency_is_a_guard(tmp_path: Path) -> None:
    """A further guard that takes no row refuses the issue, and nothing of it is written."""

    def taken(_: Issued) -> Step:
        return step(Sql("never", "UPDATE users SET tfa_id = 1 WHERE id = 'nobody'"))

    async with world(tmp_path) as w:
        draft = CodeDraft(destination=ANA, channels=("sms",))
        refused = w.domain.codes.issue(w.caller, draft, w.now, extra_guard=taken)
        assert await code_of(refused) == "idempotency_conflict"
        assert await w.count("codes") == await w.count("messages") == await w.count("budgets") == 0


async def test_a_restart_forgets_no_code(tmp_path: Path) -> None:
    """A live code matches after a restart, a used one stays used."""
    async with world(tmp_path) as w:
        live, used = await issue(w), await issue(w, BEN)
        await check(w, used.value, code_id=used.id)
    store = await open_store(tmp_path / "placet.db")
    codes = again(w, store)
    assert (await codes.check(w.caller, live.value, w.now, code_id=live.id)).outcome == "matched"
    assert (await codes.check(w.caller, used.value, w.now, code_id=used.id)).outcome == "used"
    await store.close()
