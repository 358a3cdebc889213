from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from placet_protocol import documents, jose, otpauth
from placet_protocol.otpauth import EnrollmentUri
from placet_protocol.totp import hotp, step
from placet_server.domain.idempotency import Kept
from placet_server.domain.refusals import RefusedError
from placet_server.domain.values import Caller, Enrollment, Redeemed, User
from placet_server.ports import Sql, UnsealableError, plan
from placet_server.ports import step as step_of
from support.answering import ORIGIN, World, code_of, world
from support.joining import Joiner, other
from support.scale import scaled


def _plain(w: World) -> Caller:
    """The application by a key without devices:admin."""
    return Caller(w.application, "plain", frozenset({"users", "approvals"}))


async def _open(w: World, user: User | None = None, reason: str | None = None) -> Enrollment:
    caller = _plain(w) if reason is None else w.caller
    return await w.domain.enrollments.open(caller, user or w.user, None, reason, w.now)


async def _redeem(w: World, enrollment: Enrollment, joiner: Joiner) -> Redeemed:
    return await w.domain.enrollments.redeem(enrollment.id, joiner.wish(enrollment), w.now)


async def _confirm(w: World, enrollment: Enrollment, check: str) -> Enrollment:
    return await w.domain.enrollments.confirm("default", enrollment.id, check, w.now)


async def _status(w: World, enrollment: Enrollment) -> str:
    return (await w.domain.enrollments.status("default", enrollment.id, w.now)).status


async def _joined(w: World, joiner: Joiner) -> Redeemed:
    enrollment = await _open(w, reason="first" if await w.domain.devices.count_active(w.user.id) else None)
    redeemed = await _redeem(w, enrollment, joiner)
    await _confirm(w, enrollment, joiner.check(enrollment, redeemed))
    return redeemed


async def test_enr_01_tokens_cannot_be_guessed_and_are_kept_as_hash(tmp_path: Path) -> None:
    """Every invitation carries a token of its own of 32 bytes; the store has their SHA-256 alone."""
    async with world(tmp_path) as w:
        uris = []
        for _ in range(scaled(10_000)):
            enrollment = await _open(w)
            assert enrollment.uri is not None
            uris.append(EnrollmentUri.parse(enrollment.uri))
        assert len({uri.token for uri in uris}) == scaled(10_000)
        assert {uri.thumbprint for uri in uris} == {w.signer.kid}
        assert {(uri.origin, uri.name) for uri in uris} == {(ORIGIN, "Acme")}
        tokens = [jose.unb64u(uri.token) for uri in uris]
        hashes = await w.store.rows(Sql("hashes", "SELECT token_hash FROM enrollments ORDER BY id"))
        assert {found for (found,) in hashes} == {hashlib.sha256(token).digest() for token in tokens}
        kept = _files(tmp_path)
        assert not any(token in kept or jose.b64u(token).encode() in kept for token in tokens[:500])


async def test_enr_01_a_token_is_used_once_and_for_ten_minutes(tmp_path: Path) -> None:
    """A second redemption, and one at the end of the time, are refused; status reads expired from then on."""
    async with world(tmp_path) as w:
        enrollment, joiner = await _open(w), Joiner()
        assert enrollment.expires_at == w.now + 600_000
        await _redeem(w, enrollment, joiner)
        for again in (joiner, Joiner()):
            assert await code_of(_redeem(w, enrollment, again)) == "enrollment_ended"
        late = await _open(w)
        w.clock.advance(seconds=600)
        assert await code_of(_redeem(w, late, Joiner())) == "enrollment_ended"
        assert await _status(w, late) == "expired"


async def test_enr_02_of_many_keys_one_becomes_a_device(tmp_path: Path) -> None:
    """Ten keys race for one token, round after round: one device each, the others hear that it ended."""
    rounds = scaled(200)
    async with world(tmp_path) as w:
        for number in range(rounds):
            user = await w.new_user(f"5550{number:04}")
            enrollment = await _open(w, user)
            tries = await asyncio.gather(
                *(_redeem(w, enrollment, Joiner()) for _ in range(10)), return_exceptions=True
            )
            assert [each.code for each in tries if isinstance(each, RefusedError)] == ["enrollment_ended"] * 9
            assert len(await w.domain.devices.of_user(user.id)) == 1
        assert await w.count("soft_tokens") == rounds


CHANGES = [
    {"aud": "https://other.example"},
    {"aud": None},
    {"eid": "0190c1f0-7a2b-7c3d-8e4f-5a6b7c8d9e0f"},
    {"v": 2},
    {"v": None},
    {"tkn": "short"},
    {"tkn": None},
    {"name": ""},
    {"name": "x" * 65},
    {"name": 7},
    {"platform": None},
    {"jti": None},
    {"iat": "now"},
    {"push": None},
    {"push": {"endpoint": "embedded", "p256dh": "x", "auth": "y"}},
    {"push": {"endpoint": "http://push.example/", "p256dh": "A" * 87, "auth": "A" * 22}},
    {"extra": 1},
]


@pytest.mark.parametrize("changes", CHANGES, ids=str)
async def test_enr_03_a_wrong_member_makes_no_device(tmp_path: Path, changes: dict[str, object]) -> None:
    """Another audience, enrolment, version, type, a missing or unknown member: refused, and the token stays good."""
    async with world(tmp_path) as w:
        enrollment, joiner = await _open(w), Joiner()
        wish = joiner.wish(enrollment, **changes)
        assert await code_of(w.domain.enrollments.redeem(enrollment.id, wish, w.now)) == "enrollment_refused"
        assert await w.count("devices") == 0
        await _redeem(w, enrollment, joiner)


async def test_enr_03_a_key_must_be_proven(tmp_path: Path) -> None:
    """A signature by another key than the header's, another typ, and every mutated character are refused."""
    async with world(tmp_path) as w:
        enrollment, joiner, thief = await _open(w), Joiner(), Joiner()
        said = joiner.wish(enrollment).split(".")
        stolen = jose.sign(
            thief.key, documents.ENROLL, jose.unb64u(said[1]), jwk=jose.public_jwk(joiner.key.public_key())
        )
        other_typ = jose.sign(
            joiner.key, documents.DECISION, jose.unb64u(said[1]), jwk=jose.public_jwk(joiner.key.public_key())
        )
        documents_ = [stolen, other_typ, "", "a.b.c", "\udcff", ".".join(said[:2]) + "."]
        document = ".".join(said)
        for place in range(0, len(document), 29):
            changed = "A" if document[place] != "A" else "B"
            documents_.append(document[:place] + changed + document[place + 1 :])
        for bad in documents_:
            code = await code_of(w.domain.enrollments.redeem(enrollment.id, bad, w.now))
            assert code == "enrollment_refused"
        assert await w.count("devices") == 0
        assert await _status(w, enrollment) == "open"


async def test_five_bad_tokens_void_an_enrolment(tmp_path: Path) -> None:
    """The fifth wrong token ends the enrolment for the right one too, also when they come at once."""
    async with world(tmp_path) as w:
        enrollment, joiner = await _open(w), Joiner()
        bad = joiner.wish(enrollment, tkn=jose.b64u(bytes(32)))
        codes = await asyncio.gather(
            *(code_of(w.domain.enrollments.redeem(enrollment.id, bad, w.now)) for _ in range(12))
        )
        assert sorted(codes) == ["enrollment_ended"] * 7 + ["enrollment_refused"] * 5
        assert await _status(w, enrollment) == "void"
        assert await code_of(_redeem(w, enrollment, joiner)) == "enrollment_ended"


async def test_enr_04_a_device_gets_nothing_before_its_digits_are_confirmed(tmp_path: Path) -> None:
    """Until the six digits are confirmed a device has no requests, no good codes and no say; then it has all."""
    async with world(tmp_path) as w:
        enrollment, joiner = await _open(w), Joiner()
        redeemed = await _redeem(w, enrollment, joiner)
        created, _ = await w.asked()
        assert created.devices == 0
        assert redeemed.device.status == "pending"
        assert await w.domain.approvals.pending_for(redeemed.device, w.now) == []
        uri = joiner.token_uri(redeemed)
        assert uri is not None
        seed = otpauth.parse(uri)
        assert seed.issuer == "Acme"
        verify = w.domain.soft_tokens.verify
        assert await verify(w.caller, w.user.tfa_id, hotp(seed.secret, step(w.now)), w.now) == "no_token"
        confirmed = await _confirm(w, enrollment, joiner.check(enrollment, redeemed))
        assert (confirmed.status, confirmed.device) == ("confirmed", redeemed.device.id)
        device = await w.domain.devices.get("default", redeemed.device.id)
        assert device.status == "active"
        assert [rid for rid, _ in await w.domain.approvals.pending_for(device, w.now)] == [
            created.approval.id
        ]
        assert await verify(w.caller, w.user.tfa_id, hotp(seed.secret, step(w.now)), w.now) == "matched"
        assert (await w.domain.users.by_id(w.user.id)).confirmed
        assert {("enrollment", enrollment.id), ("device", device.id)} <= set(w.bus.published)


async def test_enr_04_three_wrong_checks_void_an_enrolment(tmp_path: Path) -> None:
    """The third wrong check ends enrolment and device; the right digits come too late."""
    async with world(tmp_path) as w:
        enrollment, joiner = await _open(w), Joiner()
        redeemed = await _redeem(w, enrollment, joiner)
        check = joiner.check(enrollment, redeemed)
        for left in (2, 1):
            with pytest.raises(RefusedError, match=f"{left} tries are left"):
                await _confirm(w, enrollment, other(check))
        assert await code_of(_confirm(w, enrollment, other(check))) == "wrong_check"
        assert await code_of(_confirm(w, enrollment, check)) == "enrollment_ended"
        assert await _status(w, enrollment) == "void"
        assert (await w.domain.devices.get("default", redeemed.device.id)).status == "revoked"
        assert await w.count("soft_tokens") == 0


async def test_enr_04_checks_at_once_are_no_more_checks(tmp_path: Path) -> None:
    """Of twenty simultaneous wrong checks three are answered as such; the right one after them finds it void."""
    async with world(tmp_path) as w:
        enrollment, joiner = await _open(w), Joiner()
        check = joiner.check(enrollment, await _redeem(w, enrollment, joiner))
        wrong = [_confirm(w, enrollment, other(check)) for _ in range(20)]
        answers = await asyncio.gather(*wrong, _confirm(w, enrollment, check), return_exceptions=True)
        codes = [each.code for each in answers if isinstance(each, RefusedError)]
        assert codes.count("wrong_check") == 3
        assert codes.count("enrollment_ended") == 18


async def test_enr_04_confirming_too_early_or_too_late_costs_no_try(tmp_path: Path) -> None:
    """Before a device has redeemed, after the time, twice, and in another organization nothing is confirmed."""
    async with world(tmp_path) as w:
        enrollment, joiner = await _open(w), Joiner()
        assert await code_of(_confirm(w, enrollment, "123456")) == "device_pending"
        check = joiner.check(enrollment, await _redeem(w, enrollment, joiner))
        foreign = w.domain.enrollments.confirm("other", enrollment.id, check, w.now)
        assert await code_of(foreign) == "not_found"
        w.clock.advance(seconds=600)
        assert await code_of(_confirm(w, enrollment, check)) == "enrollment_ended"
        fresh, joiner = await _open(w), Joiner()
        check = joiner.check(fresh, await _redeem(w, fresh, joiner))
        await _confirm(w, fresh, check)
        assert await code_of(_confirm(w, fresh, check)) == "enrollment_ended"


async def test_enr_04_policy_can_do_without_the_digits(tmp_path: Path) -> None:
    """With enrollment.confirmation none the first device is active at once, a further one is not."""
    async with world(tmp_path, enrollment__confirmation="none") as w:
        enrollment = await _open(w)
        redeemed = await _redeem(w, enrollment, Joiner())
        assert redeemed.device.status == "active"
        assert await _status(w, enrollment) == "confirmed"
        second = await _open(w)
        assert (await _redeem(w, second, Joiner())).device.status == "pending"
        third = await _open(w, reason="second phone")
        assert (await _redeem(w, third, Joiner())).device.status == "active"


async def test_enr_05_a_second_device_waits_for_the_first_ones_yes(tmp_path: Path) -> None:
    """With a plain key the right digits are not enough: the active device is asked and told, and its yes allows."""
    async with world(tmp_path) as w:
        phone = await w.enrol()
        enrollment, joiner = await _open(w), Joiner("tablet")
        redeemed = await _redeem(w, enrollment, joiner)
        check = joiner.check(enrollment, redeemed)
        for digits in (check, other(check), other(check), other(check)):
            assert await code_of(_confirm(w, enrollment, digits)) == "device_pending"
        (notice,) = await w.domain.notices.pending(phone.device, w.now)
        assert (notice.kind, "tablet" in notice.text) == ("device.requested", True)
        ((_, request),) = await w.domain.approvals.pending_for(phone.device, w.now)
        assert jose.peek(request)[1]["vis"] == [["Device", "tablet"], ["Platform", "test"]]
        await w.domain.decisions.decide(phone.answer(request, "approve"), w.now)
        w.clock.advance(ms=1)
        assert (await _confirm(w, enrollment, check)).status == "confirmed"
        assert await w.domain.devices.count_active(w.user.id) == 2
        kinds = [each.kind for each in await w.domain.notices.pending(phone.device, w.now)]
        assert kinds == ["device.requested", "device.added"]
        tablet = await w.domain.devices.get("default", redeemed.device.id)
        assert await w.domain.notices.pending(tablet, w.now) == []


async def test_enr_05_the_question_of_a_device_is_not_superseded(tmp_path: Path) -> None:
    """A face that makes room for new requests leaves the question about the further device where it is."""
    async with world(tmp_path) as w:
        await w.enrol()
        await _redeem(w, await _open(w), Joiner("tablet"))
        asked = [await w.ask(supersede=True) for _ in range(3)]
        (question,) = await w.store.rows(Sql("asked", "SELECT ask FROM enrollments WHERE ask IS NOT NULL"))
        question_state = await w.domain.approvals.state(w.caller.application.id, question[0], w.now)
        assert question_state.status == "pending"
        assert [await w.status(each) for each in asked] == ["superseded", "pending", "pending"]


async def test_enr_05_a_no_ends_the_enrolment(tmp_path: Path) -> None:
    """When the active device denies, or the question expires, enrolment and new device end."""
    async with world(tmp_path) as w:
        phone = await w.enrol()
        enrollment, joiner = await _open(w), Joiner()
        redeemed = await _redeem(w, enrollment, joiner)
        ((_, request),) = await w.domain.approvals.pending_for(phone.device, w.now)
        await w.domain.decisions.decide(phone.answer(request, "deny"), w.now)
        assert await _status(w, enrollment) == "void"
        check = joiner.check(enrollment, redeemed)
        assert await code_of(_confirm(w, enrollment, check)) == "enrollment_ended"
        assert (await w.domain.devices.get("default", redeemed.device.id)).status == "revoked"


async def test_enr_05_the_question_can_be_asked_late(tmp_path: Path) -> None:
    """When the fatigue rules forbid the question at first, confirming asks it once they allow it."""
    async with world(tmp_path) as w:
        phone = await w.enrol()
        busy = [await w.ask() for _ in range(3)]
        enrollment, joiner = await _open(w), Joiner()
        redeemed = await _redeem(w, enrollment, joiner)
        check = joiner.check(enrollment, redeemed)
        assert await code_of(_confirm(w, enrollment, check)) == "device_pending"
        assert len(await w.domain.approvals.pending_for(phone.device, w.now)) == 3
        for created in busy:
            await w.domain.approvals.cancel(w.application.id, created.approval.id, w.now)
        assert await code_of(_confirm(w, enrollment, check)) == "device_pending"
        ((_, request),) = await w.domain.approvals.pending_for(phone.device, w.now)
        await w.domain.decisions.decide(phone.answer(request, "approve"), w.now)
        assert (await _confirm(w, enrollment, check)).status == "confirmed"


async def test_enr_05_an_administrator_needs_a_reason(tmp_path: Path) -> None:
    """With devices:admin a further device needs no yes but a reason, which the audit log keeps."""
    async with world(tmp_path) as w:
        phone = await w.enrol()
        opened = w.domain.enrollments.open(w.caller, w.user, None, None, w.now)
        assert await code_of(opened) == "reason_required"
        enrollment, joiner = await _open(w, reason="new phone, ticket 17"), Joiner("tablet")
        redeemed = await _redeem(w, enrollment, joiner)
        assert await w.domain.approvals.pending_for(phone.device, w.now) == []
        w.clock.advance(ms=1)
        assert (await _confirm(w, enrollment, joiner.check(enrollment, redeemed))).status == "confirmed"
        assert await w.count("audit", "kind = 'enrollment.opened' AND body LIKE '%ticket 17%'") == 1
        kinds = [each.kind for each in await w.domain.notices.pending(phone.device, w.now)]
        assert kinds == ["device.requested", "device.added"]


async def test_enr_05_a_reason_without_the_scope_allows_nothing(tmp_path: Path) -> None:
    """A plain key that gives a reason still waits for the active device."""
    async with world(tmp_path) as w:
        await w.enrol()
        enrollment = await w.domain.enrollments.open(_plain(w), w.user, None, "because", w.now)
        joiner = Joiner()
        redeemed = await _redeem(w, enrollment, joiner)
        check = joiner.check(enrollment, redeemed)
        assert await code_of(_confirm(w, enrollment, check)) == "device_pending"


async def test_enr_05_two_first_devices_at_once_are_one(tmp_path: Path) -> None:
    """Two enrolments of a user without devices, confirmed at once: one gets through, the other has to ask it."""
    async with world(tmp_path) as w:
        pairs = []
        for _ in range(2):
            enrollment, joiner = await _open(w), Joiner()
            pairs.append((enrollment, joiner.check(enrollment, await _redeem(w, enrollment, joiner))))
        answers = await asyncio.gather(*(_confirm(w, *pair) for pair in pairs), return_exceptions=True)
        assert [each.code for each in answers if isinstance(each, RefusedError)] == ["device_pending"]
        assert await w.domain.devices.count_active(w.user.id) == 1


async def test_enr_05_who_may_revoke_may_not_put_a_device_in_its_place(tmp_path: Path) -> None:
    """When the person's device is revoked, a plain key invites no other one, and finishes none that it invited before."""
    async with world(tmp_path) as w:
        first, early, joiner = await _joined(w, Joiner()), await _open(w), Joiner()
        await w.domain.devices.revoke("default", first.device.id, "application", w.now)
        assert await code_of(_open(w)) == "forbidden"
        redeemed = await _redeem(w, early, joiner)
        assert await code_of(_confirm(w, early, joiner.check(early, redeemed))) == "device_pending"
        assert await w.domain.devices.count_active(w.user.id) == 0
        opened = w.domain.enrollments.open(w.caller, w.user, None, None, w.now)
        assert await code_of(opened) == "reason_required"
        again, joiner = await _open(w, reason="phone lost, ticket 18"), Joiner()
        redeemed = await _redeem(w, again, joiner)
        assert (await _confirm(w, again, joiner.check(again, redeemed))).status == "confirmed"


async def test_enr_05_a_policy_without_digits_is_no_way_around_that(tmp_path: Path) -> None:
    """With enrollment.confirmation none, an invitation from before the revocation makes no device active by itself."""
    async with world(tmp_path, enrollment__confirmation="none") as w:
        joined = await _redeem(w, await _open(w), Joiner())
        assert joined.device.status == "active"
        early = await _open(w)
        await w.domain.devices.revoke("default", joined.device.id, "application", w.now)
        late = await _redeem(w, early, Joiner())
        assert late.device.status == "pending"


async def test_enr_06_a_key_belongs_to_one_device(tmp_path: Path) -> None:
    """A key that is a device's, even a revoked one's, is refused for anybody; the token stays good for another key."""
    async with world(tmp_path) as w:
        joiner, stranger = Joiner(), await w.new_user("5550303")
        redeemed = await _joined(w, joiner)
        await w.domain.devices.revoke("default", redeemed.device.id, "lost", w.now)
        enrollment = await _open(w, stranger)
        with pytest.raises(RefusedError) as refused:
            await _redeem(w, enrollment, joiner)
        assert refused.value.code == "enrollment_refused"
        assert str(w.user.tfa_id) not in refused.value.detail
        await _redeem(w, enrollment, Joiner())


async def test_the_certificate_speaks_for_the_server(tmp_path: Path) -> None:
    """The certificate verifies under the pinned key and names device, user, organization, key and enrolment."""
    async with world(tmp_path) as w:
        enrollment, joiner = await _open(w), Joiner()
        redeemed = await _redeem(w, enrollment, joiner)
        key = w.signer.private.public_key()
        certificate = documents.read_device_certificate(redeemed.certificate, key, iss=ORIGIN)
        assert (certificate.did, certificate.sub) == (redeemed.device.id, w.user.id)
        assert (certificate.org, certificate.eid) == ("default", enrollment.id)
        assert certificate.cnf.jkt == joiner.jkt
        again = await _redeem(w, await _open(w), Joiner())
        assert jose.peek(again.certificate)[1]["salt"] != certificate.salt


async def test_policy_can_leave_the_soft_token_out(tmp_path: Path) -> None:
    """Without enrollment.soft_token nothing is sealed and no token kept; nor for a user who has three."""
    async with world(tmp_path, enrollment__soft_token="no") as w:
        assert (await _redeem(w, await _open(w), Joiner())).sealed is None
        assert await w.count("soft_tokens") == 0
        w.application = await w.domain.applications.set_policies(
            "Acme", {"enrollment.soft_token": "yes"}, w.now
        )
        for _ in range(3):
            await w.domain.soft_tokens.create(w.user, "app", "Acme", w.now, confirmed=True)
        assert (await _redeem(w, await _open(w), Joiner())).sealed is None


async def test_a_names_foreign_text_is_made_visible(tmp_path: Path) -> None:
    """What a device calls itself cannot draw over what others are shown."""
    async with world(tmp_path) as w:
        redeemed = await _redeem(w, await _open(w), Joiner("ev\u202eil\x1b[2J"))
        assert redeemed.device.name == "ev\u2039U+202E\u203ail\u2039U+001B\u203a[2J"


async def test_the_application_hears_of_a_confirmed_enrolment(tmp_path: Path) -> None:
    """One enrollment.confirmed event waits for the application's webhook, thin and without check or token."""
    async with world(tmp_path) as w:
        await w.domain.applications.add_webhook("Acme", "https://hooks.example/", w.now)
        redeemed = await _joined(w, Joiner())
        (item,) = await w.domain.outbox.due(w.now)
        assert item.body is not None
        payload = item.body.payload.decode()
        assert '"type":"enrollment.confirmed"' in payload
        assert redeemed.device.id in payload
        assert ("outbox", item.id) in w.bus.published


async def test_the_sweep_ends_what_nobody_confirmed(tmp_path: Path) -> None:
    """Expired enrolments are written down as such, and their devices and tokens end."""
    async with world(tmp_path) as w:
        left = await _open(w)
        redeemed = await _redeem(w, await _open(w), Joiner())
        await _joined(w, Joiner())
        w.clock.advance(seconds=600)
        assert await w.domain.enrollments.sweep(w.now) == 2
        assert await w.domain.enrollments.sweep(w.now) == 0
        assert await w.count("enrollments", "id = ? AND status = 'expired'", left.id) == 1
        assert (await w.domain.devices.get("default", redeemed.device.id)).status == "revoked"
        assert await w.count("soft_tokens", "status = 'pending'") == 0


async def test_key_03_a_damaged_enrolment_stops_no_sweep(tmp_path: Path) -> None:
    """An enrolment whose seal was changed opens nowhere, and expires like the others."""
    async with world(tmp_path) as w:
        damaged = await _open(w)
        await _open(w)
        damage = Sql("damage", "UPDATE enrollments SET sealed = ? WHERE id = ?")
        await w.store.write(plan(step_of(damage, b"x" * 40, damaged.id)))
        with pytest.raises(UnsealableError):
            await _status(w, damaged)
        w.clock.advance(seconds=600)
        assert await w.domain.enrollments.sweep(w.now) == 2
        assert await w.count("enrollments", "status = 'expired'") == 2


async def test_an_unknown_enrolment_is_not_found(tmp_path: Path) -> None:
    """Unknown, malformed and foreign ids give not_found everywhere."""
    async with world(tmp_path) as w:
        enrollment = await _open(w)
        for odd in ("0190c1f0-7a2b-7c3d-8e4f-5a6b7c8d9e0f", "", "x", "../" * 9):
            assert await code_of(w.domain.enrollments.redeem(odd, "", w.now)) == "not_found"
            assert await code_of(w.domain.enrollments.status("default", odd, w.now)) == "not_found"
        assert await code_of(w.domain.enrollments.status("other", enrollment.id, w.now)) == "not_found"


async def test_the_extra_guard_makes_a_repeated_create_one(tmp_path: Path) -> None:
    """When the further guard takes no row, no enrolment is opened."""
    async with world(tmp_path) as w:
        guard = w.domain.idempotency.guard(w.caller, "key", b"f", Kept(201, b"{}"), w.now)
        open_ = w.domain.enrollments.open
        await open_(w.caller, w.user, None, "r", w.now, lambda _: guard)
        assert (
            await code_of(open_(w.caller, w.user, None, "r", w.now, lambda _: guard))
            == "idempotency_conflict"
        )
        assert await w.count("enrollments") == 1


def _files(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())
