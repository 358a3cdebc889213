from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from placet_protocol import documents, jose
from placet_server.domain.refusals import RefusedError
from placet_server.ports import Sql, plan, step
from support.answering import ORIGIN, code_of, draft, world


async def test_a_question_to_a_person_without_device_waits(tmp_path: Path) -> None:
    """A request for a user without a device is accepted, pends, and says that there is no device."""
    async with world(tmp_path) as w:
        created = await w.ask()
        assert (created.devices, created.number) == (0, None)
        assert await w.status(created) == "pending"
        assert created.approval.expires_at == w.now + 300_000
        answerer = await w.enrol()
        assert [each for each, _ in await w.domain.approvals.pending_for(answerer.device, w.now)] == [
            created.approval.id
        ]


async def test_num_01_the_number_is_in_the_answer_alone(tmp_path: Path) -> None:
    """The number has the digits that were asked and is in no document, row, audit entry or later reading."""
    async with world(tmp_path) as w:
        created, document = await w.asked(number="entry:6")
        number = created.number
        assert number is not None
        assert (len(number), number.isdigit()) == (6, True)
        request = jose.peek(document)[1]
        assert request["num"] == "entry:6"
        read_again = await w.domain.approvals.get(w.application.id, created.approval.id, w.now)
        texts = [
            str(request),
            repr(read_again),
            repr(await w.store.rows(Sql("all", "SELECT body FROM audit"))),
        ]
        assert not [text for text in texts if number in text]


async def test_hidden_details_are_a_commitment_for_devices(tmp_path: Path) -> None:
    """The document names hidden details by a salted hash; their names and values are not in it."""
    async with world(tmp_path) as w:
        _, document = await w.asked(hidden={"ledger": "canary-4711"})
        request = jose.peek(document)[1]
        assert len(jose.unb64u(request["hdh"])) == 32
        assert not [word for word in ("ledger", "canary", "4711") if word in str(request)]


async def test_every_device_gets_the_same_bytes(tmp_path: Path) -> None:
    """However many ask for it at once, a request has one document, signed once and verifiable."""
    async with world(tmp_path) as w:
        created = await w.ask()
        made = await asyncio.gather(*(w.domain.approvals.document(created.approval.id) for _ in range(20)))
        assert len(set(made)) == 1
        request = documents.read_request(made[0], w.signer.private.public_key(), iss=ORIGIN)
        assert (request.msg, request.vis) == ("Pay Bob?", (("Amount", "10 EUR"), ("To", "Bob")))
        assert (request.rp.name, request.sub) == ("Acme", w.user.id)
        assert request.exp * 1000 >= created.approval.expires_at


async def test_a_device_gets_what_is_open_and_not_acknowledged(tmp_path: Path) -> None:
    """Pending items leave out what ended, what the device holds, and what others are asked."""
    async with world(tmp_path) as w:
        phone, tablet = await w.enrol(), await w.enrol()
        other = await w.enrol(await w.new_user("5550101"))
        held, cancelled, fresh = [(await w.ask()).approval.id for _ in range(3)]
        approvals = w.domain.approvals
        await approvals.acknowledge(phone.device, [held, "no id"], w.now)
        await approvals.acknowledge(phone.device, [held], w.now)
        await approvals.acknowledge(other.device, [fresh], w.now)
        await approvals.cancel(w.application.id, cancelled, w.now)
        assert [each for each, _ in await approvals.pending_for(phone.device, w.now)] == [fresh]
        assert {each for each, _ in await approvals.pending_for(tablet.device, w.now)} == {held, fresh}
        assert await approvals.pending_for(other.device, w.now) == []
        assert await approvals.pending_for(phone.device, w.now + 300_000) == []
        assert await w.count("acks") == 1


async def test_the_first_showing_is_noted(tmp_path: Path) -> None:
    """A request is seen once, by its own user only."""
    async with world(tmp_path) as w:
        phone, other = await w.enrol(), await w.enrol(await w.new_user("5550101"))
        created = await w.ask()
        approvals, approval_id = w.domain.approvals, created.approval.id
        await approvals.seen(other.device, approval_id, w.now)
        assert (await approvals.get(w.application.id, approval_id, w.now)).seen_at is None
        await approvals.seen(phone.device, approval_id, w.now + 5)
        await approvals.seen(phone.device, approval_id, w.now + 9)
        assert (await approvals.get(w.application.id, approval_id, w.now)).seen_at == w.now + 5


async def test_a_request_is_expired_from_the_first_millisecond(tmp_path: Path) -> None:
    """Reading, polling and listing agree on the end before any sweep."""
    async with world(tmp_path) as w:
        created = await w.ask()
        approvals, end = w.domain.approvals, created.approval.expires_at
        ids = (w.application.id, created.approval.id)
        assert (await approvals.get(*ids, end - 1)).status == "pending"
        assert (await approvals.state(*ids, end - 1)).status == "pending"
        approval, state = await approvals.get(*ids, end), await approvals.state(*ids, end)
        assert (approval.status, approval.decided_at) == (state.status, state.decided_at) == ("expired", end)
        assert len((await approvals.page(w.application.id, end, status="expired")).items) == 1
        assert (await approvals.page(w.application.id, end, status="pending")).items == ()


@pytest.mark.parametrize("way", ["get", "state", "page", "expired", "device"])
async def test_tim_01_a_request_that_was_told_to_be_expired_stays_so(tmp_path: Path, way: str) -> None:
    """Once anybody was told of the end it is written down: a clock set back reopens nothing, and no answer counts."""
    async with world(tmp_path) as w:
        phone = await w.enrol()
        created, request = await w.asked()
        approvals, app, approval_id = w.domain.approvals, w.application.id, created.approval.id
        end = created.approval.expires_at
        match way:
            case "get":
                told: str = (await approvals.get(app, approval_id, end)).status
            case "state":
                told = (await approvals.state(app, approval_id, end)).status
            case "device":
                ended = await w.domain.items.end_of(approval_id, end)
                told = "" if ended is None else ended.status
            case _:
                page = await approvals.page(app, end, status="expired" if way == "expired" else None)
                told = page.items[0].status
        assert told == "expired"
        assert await w.endings(created) == ["approval.expired"]
        w.clock.advance(seconds=-60)
        assert (await approvals.state(app, approval_id, w.now)).status == "expired"
        with pytest.raises(RefusedError) as refused:
            await w.domain.decisions.decide(phone.answer(request, "approve"), w.now)
        assert (refused.value.code, refused.value.state) == ("already_decided", "expired")


async def test_dur_05_an_expired_request_reads_so_while_nothing_can_be_written(tmp_path: Path) -> None:
    """On a disk that takes no more a request that is over is not told to be open."""
    async with world(tmp_path) as w:
        created = await w.ask()
        approvals, end = w.domain.approvals, created.approval.expires_at
        ids = (w.application.id, created.approval.id)
        w.store._writer._connection.execute("PRAGMA query_only = 1")
        assert (await approvals.get(*ids, end)).status == "expired"
        assert (await approvals.state(*ids, end)).status == "expired"
        assert (await approvals.page(w.application.id, end)).items[0].status == "expired"
        ended = await w.domain.items.end_of(created.approval.id, end)
        assert ended is not None
        assert ended.status == "expired"
        w.store._writer._connection.execute("PRAGMA query_only = 0")
        assert await w.endings(created) == []


async def test_the_sweep_writes_expiries_down(tmp_path: Path) -> None:
    """Due requests end once, with leaf and webhook row, even when somebody tampered with a sealed value."""
    async with world(tmp_path) as w:
        await w.domain.applications.add_webhook("Acme", "https://acme.example/hook", w.now)
        first, second = await w.ask(), await w.ask(ttl=600)
        tampered = Sql("tamper", "UPDATE approvals SET sealed = ? WHERE id = ?")
        third = await w.ask()
        await w.store.write(plan(step(tampered, b"x" * 40, third.approval.id)))
        assert await w.domain.approvals.sweep(first.approval.expires_at - 1) == 0
        assert await w.domain.approvals.sweep(first.approval.expires_at) == 2
        assert await w.domain.approvals.sweep(first.approval.expires_at) == 0
        assert await w.endings(first) == await w.endings(third) == ["approval.expired"]
        assert await w.endings(second) == []
        assert await w.count("outbox", "kind = 'webhook'") == 2
        assert ("approval", first.approval.id) in w.bus.published


async def test_a_question_is_taken_back_by_who_asked(tmp_path: Path) -> None:
    """Cancelling ends a pending request of the own application; later it says what the state is."""
    async with world(tmp_path) as w:
        created = await w.ask()
        other = await w.new_application("Other")
        approvals, approval_id = w.domain.approvals, created.approval.id
        assert await code_of(approvals.cancel(other.id, approval_id, w.now)) == "not_found"
        assert await code_of(approvals.get(other.id, approval_id, w.now)) == "not_found"
        assert (await approvals.cancel(w.application.id, approval_id, w.now)).status == "cancelled"
        with pytest.raises(RefusedError) as refused:
            await approvals.cancel(w.application.id, approval_id, w.now)
        assert (refused.value.code, refused.value.state) == ("not_pending", "cancelled")
        late = await w.ask()
        with pytest.raises(RefusedError) as refused:
            await approvals.cancel(w.application.id, late.approval.id, late.approval.expires_at)
        assert (refused.value.code, refused.value.state) == ("not_pending", "expired")


async def test_pages_are_newest_first_and_filtered(tmp_path: Path) -> None:
    """A list can be walked with its cursor and narrowed by status, user and time of creation."""
    async with world(tmp_path, approval__max_pending="9", approval__max_unapproved="9") as w:
        someone = await w.new_user("5550101")
        made = []
        for number in range(6):
            made.append((await w.ask(someone if number == 3 else None)).approval)
            w.clock.advance(seconds=1)
        approvals, app = w.domain.approvals, w.application.id
        await approvals.cancel(app, made[1].id, w.now)
        first = await approvals.page(app, w.now, limit=4)
        rest = await approvals.page(app, w.now, limit=4, after=first.next)
        assert [each.id for each in first.items + rest.items] == [each.id for each in reversed(made)]
        assert rest.next is None
        assert [each.id for each in (await approvals.page(app, w.now, status="cancelled")).items] == [
            made[1].id
        ]
        assert [each.id for each in (await approvals.page(app, w.now, tfa_id=someone.tfa_id)).items] == [
            made[3].id
        ]
        between = await approvals.page(
            app, w.now, created_from=made[2].created_at, created_to=made[4].created_at
        )
        assert [each.id for each in between.items] == [made[3].id, made[2].id]
        assert (await approvals.page("another", w.now)).items == ()


@pytest.mark.parametrize("others", ["user", "state", "application"])
async def test_dos_06_a_rare_request_is_found_in_bounded_bites(tmp_path: Path, others: str) -> None:
    """One behind 20,200 of another user, state or application: three pages, and others get their turns meanwhile."""
    async with world(tmp_path) as w:
        oldest, someone = await w.ask(), await w.new_user("5550101")
        w.clock.advance(seconds=1)
        many = Sql(
            "many",
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20200)"
            " INSERT INTO approvals (id, org, application, user_id, tfa_id, status, created_at, expires_at, sealed)"
            " SELECT substr(printf('%012x', ? + i / 4), 1, 8) || '-' || substr(printf('%012x', ? + i / 4), 9, 4)"
            " || printf('-7000-8000-%012x', i), 'default', ?, '', ?, 'denied', ?, ?, x'00' FROM n",
        )
        application = "another" if others == "application" else w.application.id
        await w.store.write(
            plan(step(many, w.now, w.now, application, someone.tfa_id, w.now, w.now), guards=0)
        )
        page_of = partial(
            w.domain.approvals.page,
            w.application.id,
            w.now,
            tfa_id=w.user.tfa_id if others == "user" else None,
            status="pending" if others == "state" else None,
        )
        turns, ending = [0], asyncio.Event()
        counting = asyncio.create_task(_count(turns, ending))
        first = await page_of()
        second = await page_of(after=first.next)
        third = await page_of(after=second.next)
        ending.set()
        await counting
        assert first.items == second.items == ()
        assert [each.id for each in third.items] == [oldest.approval.id]
        assert third.next is None
        assert turns[0] >= 30


async def _count(turns: list[int], ending: asyncio.Event) -> None:
    """Count how often the loop came round until the end."""
    while not ending.is_set():
        await asyncio.sleep(0)
        turns[0] += 1


async def test_num_03_a_call_cannot_ask_for_less_of_a_number(tmp_path: Path) -> None:
    """Policy says how many digits at least, for each face its own; a call may ask for more."""
    async with world(tmp_path, approval__number="entry:3", authy__number="entry:2") as w:
        for number in ("none", "entry:2", "entry:7", "", "entry:03", "entry:\uff13"):
            assert await code_of(w.ask(number=number)) == "invalid_request"
        assert len((await w.ask(number="entry:3")).number or "") == 3
        assert len((await w.ask(number="entry:5")).number or "") == 5
        authy = w.caller_of(w.application, "authy")
        create = w.domain.approvals.create
        assert await code_of(create(authy, w.user, draft(number="none"), w.now)) == "invalid_request"
        assert len((await create(authy, w.user, draft(number="entry:2"), w.now)).number or "") == 2
        assert await w.count("approvals") == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"message": ""},
        {"message": "x" * 257},
        {"visible": (("a", "b"),) * 21},
        {"visible": (("l" * 65, "b"),)},
        {"visible": (("l", "v" * 257),)},
        {"place": "p" * 257},
        {"ttl": 0},
        {"ttl": 30 * 86_400 + 1},
        {"hidden": {"n": 2**60}},
        {"hidden": {"n": float("nan")}},
    ],
)
async def test_what_could_not_be_signed_is_refused_at_once(tmp_path: Path, changes: dict[str, Any]) -> None:
    """A question that would not fit its document never pends, and does not count against the person."""
    async with world(tmp_path) as w:
        assert await code_of(w.ask(**changes)) == "invalid_request"
        assert await w.count("approvals") == await w.count("pressure") == 0


async def test_a_further_guard_decides_with_the_question(tmp_path: Path) -> None:
    """When the caller's own guard takes no row nothing at all is written; otherwise it is written with the rest."""
    once = Sql("once", "INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING")
    async with world(tmp_path) as w:

        async def ask() -> str:
            created = await w.domain.approvals.create(
                w.caller, w.user, draft(), w.now, lambda new: step(once, "key", new.approval.id.encode())
            )
            return created.approval.id

        answers = await asyncio.gather(*(ask() for _ in range(10)), return_exceptions=True)
        made = [each for each in answers if isinstance(each, str)]
        assert [each.code for each in answers if isinstance(each, RefusedError)] == [
            "idempotency_conflict"
        ] * 9
        row = await w.store.row(Sql("kept", "SELECT value FROM facts WHERE name = 'key'"))
        assert row is not None
        assert [row[0].decode()] == made
        assert await w.count("approvals") == 1
