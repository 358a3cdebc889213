from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from placet_server.domain.refusals import RefusedError
from placet_server.domain.users import TFA_ID_MAX, TFA_ID_MIN, UserDraft, Users
from placet_server.domain.values import User
from placet_server.ports import Sql, plan, step
from placet_server.testing import ClearSealer, RecordingBus, SeededEntropy
from support.answering import World, code_of, world

ADD_ORG = Sql("add_org", "INSERT INTO organizations (id, name, created_at) VALUES (?, ?, ?)")


def _by_phone(phone: str, **changes: Any) -> UserDraft:
    return UserDraft(country_code=44, phone=phone, **changes)


async def _create(w: World, draft: UserDraft, org: str = "default") -> User:
    return (await w.domain.users.create(org, draft, w.now))[0]


class Stubborn(SeededEntropy):
    """Draws the same number several times before it goes on."""

    def __init__(self, repeats: int) -> None:
        super().__init__("stubborn")
        self._repeats = repeats

    def below(self, limit: int) -> int:
        self._repeats -= 1
        return 7 if self._repeats >= 0 else super().below(limit)


async def test_otp_07_every_spelling_of_a_phone_is_the_same_user(tmp_path: Path) -> None:
    """Creating again by another spelling gives the user that exists, and says that they are not new."""
    async with world(tmp_path) as w:
        first, new = await w.domain.users.create("default", _by_phone("020 7946 0000"), w.now)
        assert new
        for spelling in ("+44 20 7946 0000", "0044 (0) 2079460000", "2079460000"):
            assert await w.domain.users.create("default", _by_phone(spelling), w.now) == (first, False)
        assert await w.domain.users.by_tfa_id("default", first.tfa_id) == first
        assert await w.domain.users.by_id(first.id) == first


async def test_a_further_email_is_remembered(tmp_path: Path) -> None:
    """The same phone with another e-mail is the same user, who is then found by either e-mail."""
    async with world(tmp_path) as w:
        first = await _create(w, _by_phone("2079460000", email="Ada@example.com", name="Ada"))
        second = await _create(w, _by_phone("2079460000", email="countess@example.com"))
        assert second.id == first.id
        assert second.emails == ("ada@example.com", "countess@example.com")
        for email in second.emails:
            assert await _create(w, UserDraft(email=email)) == second
        assert second.name == "Ada"


async def test_a_user_by_email_gets_their_phone_later(tmp_path: Path) -> None:
    """Who is known by e-mail alone takes the phone that comes with it, once."""
    async with world(tmp_path) as w:
        first = await _create(w, UserDraft(email="ada@example.com"))
        both = await _create(w, _by_phone("2079460000", email="ada@example.com"))
        assert (both.id, both.country_code, both.phone) == (first.id, 44, "2079460000")
        assert await _create(w, _by_phone("02079460000")) == both
        assert await code_of(_create(w, _by_phone("2079469999", email="ada@example.com"))) == "user_conflict"


async def test_phone_and_email_of_two_users_conflict(tmp_path: Path) -> None:
    """A draft that hits two people changes neither."""
    async with world(tmp_path) as w:
        one = await _create(w, _by_phone("2079460001", email="one@example.com"))
        await _create(w, _by_phone("2079460002", email="two@example.com"))
        assert await code_of(_create(w, _by_phone("2079460001", email="two@example.com"))) == "user_conflict"
        assert await w.domain.users.by_id(one.id) == one


async def test_tfa_ids_are_brought_along(tmp_path: Path) -> None:
    """A given tfa id is kept, given again for the same person, and refused for another."""
    async with world(tmp_path) as w:
        ada = await _create(w, _by_phone("2079460001", tfa_id=5661166))
        assert ada.tfa_id == 5661166
        assert await _create(w, _by_phone("2079460001", tfa_id=5661166)) == ada
        assert await code_of(_create(w, _by_phone("2079460001", tfa_id=5661167))) == "user_conflict"
        assert await code_of(_create(w, _by_phone("2079460002", tfa_id=5661166))) == "user_conflict"
        for number in (0, -1, 2**53):
            assert await code_of(_create(w, _by_phone("2079460003", tfa_id=number))) == "invalid_request"


async def test_enu_02_tfa_ids_tell_nothing(tmp_path: Path) -> None:
    """50 users have 50 nine-digit ids in no order."""
    async with world(tmp_path) as w:
        numbers = [(await _create(w, _by_phone(f"20794600{n:02}"))).tfa_id for n in range(50)]
        assert len(set(numbers)) == 50
        assert all(TFA_ID_MIN <= number <= TFA_ID_MAX for number in numbers)
        rising = sum(a < b for a, b in pairwise(numbers))
        assert 10 < rising < 40


async def test_a_taken_random_tfa_id_is_drawn_again(tmp_path: Path) -> None:
    """A collision of the random id costs another draw; a source that repeats for ever is given up on."""
    async with world(tmp_path) as w:
        for repeats, phone in ((1, "2079460001"), (5, "2079460002")):
            users = Users(w.store, ClearSealer(), Stubborn(repeats), RecordingBus())
            user, new = await users.create("default", _by_phone(phone), w.now)
            assert new
            assert (user.tfa_id == TFA_ID_MIN + 7) is (repeats == 1)
        users = Users(w.store, ClearSealer(), Stubborn(1000), RecordingBus())
        assert await code_of(users.create("default", _by_phone("2079460003"), w.now)) == "unavailable"


async def test_enu_03_organizations_share_nothing(tmp_path: Path) -> None:
    """The same phone under two organizations is two users with unrelated ids and handles."""
    async with world(tmp_path) as w:
        await w.store.write(plan(step(ADD_ORG, "other", "other", w.now)))
        here = await _create(w, _by_phone("2079460000"))
        there = await _create(w, _by_phone("2079460000"), "other")
        assert here.tfa_id != there.tfa_id
        handles = await w.store.rows(
            Sql("handles", "SELECT DISTINCT handle FROM handles WHERE user_id IN (?, ?)"), (here.id, there.id)
        )
        assert len(handles) == 2
        assert await code_of(w.domain.users.by_tfa_id("other", here.tfa_id)) == "user_not_found"
        assert await code_of(w.domain.users.remove("other", here.tfa_id, w.now)) == "user_not_found"


async def test_creating_at_once_gives_one_user(tmp_path: Path) -> None:
    """Of 30 simultaneous creates of one phone exactly one makes the user; all get the same."""
    async with world(tmp_path) as w:
        made = await asyncio.gather(
            *(w.domain.users.create("default", _by_phone("2079460000"), w.now) for _ in range(30))
        )
        assert [new for _, new in made].count(True) == 1
        assert len({user.id for user, _ in made}) == 1


async def test_further_emails_at_once_are_all_kept(tmp_path: Path) -> None:
    """Eight simultaneous creates with eight e-mails leave one user with eight e-mails."""
    async with world(tmp_path) as w:
        await _create(w, _by_phone("2079460000"))
        await asyncio.gather(
            *(_create(w, _by_phone("2079460000", email=f"a{n}@example.com")) for n in range(8))
        )
        assert len((await _create(w, _by_phone("2079460000"))).emails) == 8


async def test_two_people_with_one_new_email_at_once(tmp_path: Path) -> None:
    """When two users take the same new e-mail at once, one of them has it afterwards and the other is refused."""
    async with world(tmp_path) as w:
        for phone in ("2079460001", "2079460002"):
            await _create(w, _by_phone(phone))
        tries = await asyncio.gather(
            *(_create(w, _by_phone(phone, email="x@example.com")) for phone in ("2079460001", "2079460002")),
            return_exceptions=True,
        )
        refused = [each.code for each in tries if isinstance(each, RefusedError)]
        assert refused == ["user_conflict"]
        assert (
            await w.count("handles", "handle IS NOT NULL") == 4
        )  # three phones, the world's user included, one e-mail


@pytest.mark.parametrize(
    ("draft", "code"),
    [
        (UserDraft(), "invalid_request"),
        (UserDraft(name="Ada"), "invalid_request"),
        (UserDraft(phone="2079460000"), "invalid_request"),
        (UserDraft(country_code=44, phone="x"), "invalid_request"),
        (UserDraft(email="x"), "invalid_request"),
        (UserDraft(email="a@example.com", name="x" * 65), "invalid_request"),
        (UserDraft(email="a@example.com", name="A\u202eda"), "invalid_text"),
        (UserDraft(email="a@example.com", name="A\nda"), "invalid_text"),
    ],
)
async def test_what_is_no_user_is_refused(tmp_path: Path, draft: UserDraft, code: str) -> None:
    """Without a handle, with a malformed one, or with a name that may not be shown nobody is created."""
    async with world(tmp_path) as w:
        before = await w.count("users")
        assert await code_of(_create(w, draft)) == code
        assert await w.count("users") == before


async def test_pages_go_through_all_users_once(tmp_path: Path) -> None:
    """Following the cursor gives every user once, oldest first, and ends."""
    async with world(tmp_path) as w:
        made = [w.user.id]
        for n in range(6):
            w.clock.advance(ms=1)
            made.append((await _create(w, _by_phone(f"207946000{n}"))).id)
        seen, after = [], None
        while True:
            page = await w.domain.users.page("default", after, 3)
            seen += [user.id for user in page.items]
            if page.next is None:
                break
            after = page.next
        assert seen == made


async def test_key_09_a_removed_user_leaves_no_factor(tmp_path: Path) -> None:
    """With a user go handles, devices, soft tokens, notices and marks; the sockets of their devices hear of it."""
    async with world(tmp_path) as w:
        phone = await w.enrol()
        await w.domain.soft_tokens.create(w.user, "app", "Acme", w.now, confirmed=True)
        await w.domain.enrollments.open(w.caller, w.user, None, "lost", w.now)
        _, request = await w.asked()
        rid = (await w.domain.approvals.pending_for(phone.device, w.now))[0][0]
        await w.domain.approvals.acknowledge(phone.device, [rid], w.now)
        await w.domain.users.remove("default", w.user.tfa_id, w.now)
        for table in (
            "users",
            "handles",
            "devices",
            "soft_tokens",
            "enrollments",
            "notices",
            "acks",
            "pressure",
        ):
            assert await w.count(table) == 0, table
        assert ("device", phone.device.id) in w.bus.published
        assert await code_of(w.domain.users.remove("default", w.user.tfa_id, w.now)) == "user_not_found"
        assert (
            await code_of(w.domain.decisions.decide(phone.answer(request, "approve"), w.now))
            == "invalid_decision"
        )
        back = await w.new_user("5550100")
        assert back.id != w.user.id
