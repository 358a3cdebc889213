from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from placet_protocol import documents, jose
from placet_server.domain.refusals import RefusedError
from placet_server.ports import Sql, plan, step
from support.answering import DocumentKey, code_of, draft, refused, world
from support.scale import scaled


async def test_a_device_approves_and_denies(tmp_path: Path) -> None:
    """A good decision ends the request with its reason, device, time, leaf and wake-ups."""
    async with world(tmp_path) as w:
        phone = await w.enrol()
        for dec, reason, status in (("approve", "ok", "approved"), ("deny", "mistake", "denied")):
            created, request = await w.asked()
            w.clock.advance(seconds=3)
            answer = phone.answer(request, dec, rsn=reason)
            decided = await w.domain.decisions.decide(answer, w.now)
            assert (decided.approval, decided.status, decided.reason) == (created.approval.id, status, reason)
            assert (decided.decided_at, decided.repeated) == (w.now, False)
            approval = await w.domain.approvals.get(w.application.id, created.approval.id, w.now)
            assert (approval.status, approval.reason, approval.device) == (status, reason, phone.device.id)
            assert await w.endings(created) == [f"approval.{status}"]
            assert ("approval", created.approval.id) in w.bus.published
        assert (await w.domain.users.by_id(w.user.id)).confirmed


async def test_dur_02_an_answer_and_all_that_follows_are_one_plan(tmp_path: Path) -> None:
    """Asking and answering are one plan each, so no crash parts a state from its log entry and its deliveries."""
    async with world(tmp_path) as w:
        await w.domain.applications.add_webhook("Acme", "https://acme.example/hook", w.now)
        w.application = await w.domain.applications.named("Acme")
        phone = await w.enrol()
        before = w.store.plans
        created = await w.ask()
        assert w.store.plans == before + 1
        request = await w.domain.approvals.document(created.approval.id)
        before = w.store.plans
        await w.domain.decisions.decide(phone.answer(request, "approve"), w.now)
        assert w.store.plans == before + 1
        assert await w.endings(created) == ["approval.approved"]
        assert await w.count("outbox", "kind = 'webhook' AND subject = ?", created.approval.id) == 1
        assert await w.count("decisions", "approval = ?", created.approval.id) == 1


_WRONG: list[dict[str, Any]] = [
    {"v": 2},
    {"v": "1"},
    {"v": None},
    {"iss": "A" * 43},
    {"iss": None},
    {"aud": "https://other.example"},
    {"aud": ["https://placet.example"]},
    {"aud": None},
    {"jti": 5},
    {"iat": "now"},
    {"iat": -1},
    {"ctr": "5"},
    {"ctr": 2**53},
    {"ctr": -1},
    {"ctr": None},
    {"rid": "0190aaaa-0000-7000-8000-000000000000"},
    {"rid": "x"},
    {"rid": None},
    {"non": jose.b64u(bytes(16))},
    {"non": ""},
    {"non": None},
    {"rqh": jose.b64u(bytes(32))},
    {"rqh": None},
    {"dec": "Approve"},
    {"dec": "yes"},
    {"dec": True},
    {"dec": None},
    {"rsn": "declined"},
    {"rsn": "fine"},
    {"rsn": None},
    {"uv": "face"},
    {"uv": None},
    {"ui": 1},
    {"extra": 1},
    {"num": "123"},
]


@pytest.mark.parametrize("changes", _WRONG, ids=str)
async def test_dec_01_one_wrong_member_is_no_decision(tmp_path: Path, changes: dict[str, Any]) -> None:
    """A well-signed decision with one wrong member is refused and the request stays open for the right one."""
    async with world(tmp_path) as w:
        phone = await w.enrol()
        created, request = await w.asked()
        await refused(w, phone.answer(request, "approve", **changes))
        await w.domain.decisions.decide(phone.answer(request, "approve"), w.now)
        assert await w.status(created) == "approved"


async def test_dec_01_header_and_key_are_not_the_senders_choice(tmp_path: Path) -> None:
    """Other types, keys and headers, and documents beyond 4 KB, are refused."""
    async with world(tmp_path) as w:
        phone, stranger = await w.enrol(), DocumentKey()
        _, request = await w.asked()
        payload = jose.unb64u(phone.answer(request, "approve").split(".")[1])
        kid = phone.device.jkt
        for document in (
            jose.sign(phone.key, documents.REQUEST, payload, kid=kid),
            jose.sign(phone.key, documents.DECISION, payload),
            jose.sign(stranger.private, documents.DECISION, payload, kid=kid),
            jose.sign(stranger.private, documents.DECISION, payload, kid=stranger.kid),
            jose.sign(phone.key, documents.DECISION, payload, jwk=jose.public_jwk(phone.key.public_key())),
            jose.sign(phone.key, documents.DECISION, payload + b" " * 4096, kid=kid),
            "",
            "..",
            "a.b.c",
            "é" * 50,
            request,
        ):
            await refused(w, document)


@settings(max_examples=scaled(1_000), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
async def test_dec_02_any_changed_field_invalidates_the_answer(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """An answer to a document that differs in one byte or one field from the sent one is refused."""
    async with world(tmp_path_factory.mktemp("dec02")) as w:
        phone = await w.enrol()
        _, request = await w.asked()
        members = jose.peek(request)[1]
        if data.draw(st.booleans()):
            place = data.draw(st.integers(0, 10_000)) % len(request)
            letters = data.draw(st.permutations("ABCxyz019-_."))  # keys differ each time, draws must not
            other = letters[0] if letters[0] != request[place] else letters[1]
            changed = request[:place] + other + request[place + 1 :]
        else:
            name = data.draw(st.sampled_from(["msg", "vis", "hdh", "exp", "iat", "rp", "sub", "num", "ctx"]))
            values = {
                "msg": "Pay Eve?",
                "vis": [["Amount", "9999 EUR"], ["To", "Bob"]],
                "hdh": jose.b64u(bytes(32)),
                "exp": members["exp"] + 1,
                "iat": members["iat"] - 1,
                "rp": {"id": members["rp"]["id"], "name": "Acme Inc"},
                "sub": "someone",
                "num": "entry:2",
                "ctx": {"ip": "192.0.2.1"},
            }
            changed = w.signer.sign(documents.REQUEST, msgspec.json.encode(members | {name: values[name]}))
        rqh = jose.b64u(documents.request_hash(changed))
        await refused(w, phone.answer(request, "approve", rqh=rqh))


async def test_dec_03_the_same_document_again_gets_the_same_answer(tmp_path: Path) -> None:
    """Posted again and again, one after the other and at once, a decision makes one event and one webhook row."""
    async with world(tmp_path) as w:
        await w.domain.applications.add_webhook("Acme", "https://acme.example/hook", w.now)
        phone = await w.enrol()
        _, request = await w.asked()
        answer = phone.answer(request, "approve")
        decide = w.domain.decisions.decide
        together = await asyncio.gather(*(decide(answer, w.now) for _ in range(scaled(500))))
        w.clock.advance(seconds=600)
        later = [await decide(answer, w.now) for _ in range(scaled(500))]
        assert [each.repeated for each in together + later].count(False) == 1
        assert (
            len({(each.approval, each.status, each.reason, each.decided_at) for each in together + later})
            == 1
        )
        assert await w.count("audit", "kind = 'approval.approved'") == 1
        assert await w.count("outbox", "kind = 'webhook'") == 1


async def test_dec_03_a_decision_is_good_for_its_own_request_alone(tmp_path: Path) -> None:
    """With members of another request, or by a device of another user, no answer fits: a cross matrix of five."""
    async with world(tmp_path) as w:
        users = [w.user] + [await w.new_user(f"555010{number}") for number in range(1, 5)]
        phones = [await w.enrol(user) for user in users]
        requests = [(await w.asked(user))[1] for user in users]
        for mine, phone in enumerate(phones):
            for asked, request in enumerate(requests):
                if mine != asked:
                    await refused(w, phone.answer(request, "approve"))
                    here = jose.peek(requests[mine])[1]
                    for name in ("rid", "non"):
                        await refused(w, phone.answer(request, "approve", **{name: here[name]}))


async def test_dec_03_another_servers_request_is_not_answered_here(tmp_path: Path) -> None:
    """A decision made for another origin is refused although key, request and hash are right."""
    async with world(tmp_path) as w:
        phone = await w.enrol()
        _, request = await w.asked()
        await refused(w, phone.answer(request, "approve", aud="https://placet.example:8443"))


async def test_a_request_that_never_left_cannot_be_answered(tmp_path: Path) -> None:
    """Without a stored document nobody can have seen the request, so no answer is taken."""
    async with world(tmp_path) as w:
        phone = await w.enrol()
        _, request = await w.asked()
        forget = Sql("forget", "DELETE FROM documents")
        await w.store.write(plan(step(forget)))
        await refused(w, phone.answer(request, "approve"))


@pytest.mark.parametrize("column", ["approvals", "documents"])
async def test_an_edited_row_approves_nothing(tmp_path: Path, column: str) -> None:
    """When a sealed value no longer opens in its place the decision is refused."""
    async with world(tmp_path) as w:
        phone = await w.enrol()
        _, request = await w.asked()
        edit = Sql("edit", f"UPDATE {column} SET sealed = ?")
        await w.store.write(plan(step(edit, b"12345678 something else")))
        await refused(w, phone.answer(request, "approve"))


async def test_dec_08_a_revoked_device_decides_nothing(tmp_path: Path) -> None:
    """After a revocation even a decision that was signed before is refused with the uniform error."""
    async with world(tmp_path) as w:
        phone = await w.enrol()
        _, request = await w.asked()
        answer = phone.answer(request, "approve")
        await w.domain.devices.revoke(w.application.org, phone.device.id, "lost", w.now)
        await refused(w, answer)


async def test_dec_08_a_revoked_device_learns_nothing(tmp_path: Path) -> None:
    """After a revocation not even the outcome of its own earlier decisions is told to the device."""
    async with world(tmp_path) as w:
        phone = await w.enrol()
        _, request = await w.asked()
        answer = phone.answer(request, "approve")
        await w.domain.decisions.decide(answer, w.now)
        await w.domain.devices.revoke(w.application.org, phone.device.id, "lost", w.now)
        assert await code_of(w.domain.decisions.decide(answer, w.now)) == "invalid_decision"
        assert (
            await code_of(w.domain.decisions.decide(phone.answer(request, "deny"), w.now))
            == "invalid_decision"
        )


async def test_dec_09_a_counter_that_does_not_grow_is_refused_and_told(tmp_path: Path) -> None:
    """Equal and lower counters are refused; each leaves a leaf and a webhook row of a suspected clone."""
    async with world(tmp_path) as w:
        await w.domain.applications.add_webhook("Acme", "https://acme.example/hook", w.now)
        phone = await w.enrol()
        _, first = await w.asked()
        _, second = await w.asked()
        decide = w.domain.decisions.decide
        await decide(phone.answer(first, "approve", ctr=1000), w.now)
        for counter in (1000, 999, 0):
            assert (
                await code_of(decide(phone.answer(second, "approve", ctr=counter), w.now))
                == "invalid_decision"
            )
        assert await w.count("audit", "kind = 'device.clone_suspected'") == 3
        assert await w.count("outbox", "subject = ?", phone.device.id) == 3
        assert await w.count("decisions") == 1
        assert (await decide(phone.answer(second, "approve", ctr=1001), w.now)).status == "approved"


async def test_dec_09_a_stolen_key_leaves_a_handful_of_traces(tmp_path: Path) -> None:
    """A counter repeated without end leaves six traces and then three a minute, and the person can still say no."""
    async with world(tmp_path) as w:
        await w.domain.applications.add_webhook("Acme", "https://acme.example/hook", w.now)
        phone, other = await w.enrol(), await w.enrol()
        _, first = await w.asked()
        _, second = await w.asked()
        decide = w.domain.decisions.decide
        await decide(phone.answer(first, "approve", ctr=1000), w.now)
        repeats = [code_of(decide(phone.answer(second, "approve", ctr=999), w.now)) for _ in range(100)]
        codes = await asyncio.gather(*repeats)
        assert (codes.count("invalid_decision"), codes.count("rate_limited")) == (6, 94)
        assert await w.count("audit", "kind = 'device.clone_suspected'") == 6
        assert await w.count("outbox", "subject = ?", phone.device.id) == 6
        with pytest.raises(RefusedError, match="rate_limited") as limited:
            await decide(phone.answer(second, "approve", ctr=999), w.now)
        assert limited.value.retry_after == 20
        w.clock.advance(seconds=20)
        assert await code_of(decide(phone.answer(second, "approve", ctr=999), w.now)) == "invalid_decision"
        assert await code_of(decide(phone.answer(second, "approve", ctr=999), w.now)) == "rate_limited"
        assert await code_of(decide(other.answer(second, "approve", ctr=0), w.now)) == "invalid_decision"
        assert (await decide(phone.answer(second, "deny", ctr=1001), w.now)).status == "denied"


def _fits(name: str, value: object) -> bool:
    """Whether the value may stand in that member of an approval."""
    if name in {"ctr", "iat"}:
        return type(value) is int and value >= 0
    if name in {"jti", "ui"}:
        return isinstance(value, str) and len(value) <= 64
    return value == {"dec": "approve", "rsn": "ok", "v": 1}.get(name, object())


async def test_dec_10_fuzzed_payloads_never_approve(tmp_path: Path) -> None:
    """Well-signed payloads with values and members changed at random approve nothing."""
    chance = random.Random(10)
    junk = [
        None,
        True,
        False,
        0,
        1,
        -1,
        1.5,
        "",
        "approve",
        "ok",
        "x" * 300,
        [],
        ["approve"],
        {},
        {"dec": "approve"},
    ]
    async with world(tmp_path) as w:
        phone = await w.enrol()
        created, request = await w.asked(number="entry:3")
        for _ in range(scaled(10_000)):
            members = phone.members(request, "approve", created.number)
            for name in chance.sample(sorted(members), chance.randint(1, 3)):
                if chance.random() < 0.3:
                    del members[name]
                else:
                    members[name] = chance.choice([each for each in junk if not _fits(name, each)])
            await refused(w, phone.sign(members))


async def test_an_answer_outlives_its_application(tmp_path: Path) -> None:
    """When the application was removed while the person thought, the decision is kept all the same."""
    async with world(tmp_path) as w:
        phone = await w.enrol()
        await w.domain.approvals.create(
            w.caller, w.user, draft(callback_url="https://acme.example/cb"), w.now
        )
        _, request = await w.asked()
        await w.domain.applications.remove("Acme", w.now)
        decided = await w.domain.decisions.decide(phone.answer(request, "deny", rsn="not_me"), w.now)
        assert decided.status == "denied"
