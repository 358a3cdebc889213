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
from placet_server.ports import Sql, UnsealableError, plan
from placet_server.ports import step as step_of
from support.answering import ORIGIN, code_of, world
from support.enrolling import confirm, invite, joined, redeem, status_of
from support.joining import Joiner, other
from support.scale import scaled


async def test_enr_01_tokens_cannot_be_guessed_and_are_kept_as_hash(tmp_path: Path) -> None:
    """Every invitation carries a token of its own of 32 bytes; the store has their SHA-256 alone."""
    async with world(tmp_path) as w:
        uris = []
        for _ in range(scaled(10_000)):
            enrollment = await invite(w)
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
    """Another redemption, and one at the end of the time, are refused; status reads expired from then on."""
    async with world(tmp_path) as w:
        enrollment, joiner = await invite(w), Joiner()
        assert enrollment.expires_at == w.now + 600_000
        await redeem(w, enrollment, joiner)
        thief = Joiner()
        thief.push_key, thief.auth = joiner.push_key, joiner.auth
        for again in (Joiner(), thief):
            assert await code_of(redeem(w, enrollment, again)) == "enrollment_ended"
        late = await invite(w)
        w.clock.advance(seconds=600)
        assert await code_of(redeem(w, late, Joiner())) == "enrollment_ended"
        assert await status_of(w, late) == "expired"


async def test_tim_01_an_expired_invitation_stays_so(tmp_path: Path) -> None:
    """Once somebody was told that it is over, no clock that is set back opens it again."""
    async with world(tmp_path) as w:
        for told in (status_of, redeem):
            enrollment, joiner = await invite(w), Joiner()
            w.clock.advance(seconds=600)
            if told is redeem:
                assert await code_of(redeem(w, enrollment, joiner)) == "enrollment_ended"
            else:
                assert await status_of(w, enrollment) == "expired"
            w.clock.advance(seconds=-60)
            assert await status_of(w, enrollment) == "expired"
            assert await code_of(redeem(w, enrollment, joiner)) == "enrollment_ended"


async def test_enr_02_of_many_keys_one_becomes_a_device(tmp_path: Path) -> None:
    """Ten keys race for one token, round after round: one device each, the others hear that it ended."""
    rounds = scaled(200)
    async with world(tmp_path) as w:
        for number in range(rounds):
            user = await w.new_user(f"5550{number:04}")
            enrollment = await invite(w, user)
            tries = await asyncio.gather(
                *(redeem(w, enrollment, Joiner()) for _ in range(10)), return_exceptions=True
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
        enrollment, joiner = await invite(w), Joiner()
        wish = joiner.wish(enrollment, **changes)
        assert await code_of(w.domain.enrollments.redeem(enrollment.id, wish, w.now)) == "enrollment_refused"
        assert await w.count("devices") == 0
        await redeem(w, enrollment, joiner)


async def test_enr_03_a_key_must_be_proven(tmp_path: Path) -> None:
    """A signature by another key than the header's, another typ, and every mutated character are refused."""
    async with world(tmp_path) as w:
        enrollment, joiner, thief = await invite(w), Joiner(), Joiner()
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
        assert await status_of(w, enrollment) == "open"


async def test_five_bad_tokens_void_an_enrolment(tmp_path: Path) -> None:
    """The fifth wrong token ends the enrolment for the right one too, also when they come at once."""
    async with world(tmp_path) as w:
        enrollment, joiner = await invite(w), Joiner()
        bad = joiner.wish(enrollment, tkn=jose.b64u(bytes(32)))
        codes = await asyncio.gather(
            *(code_of(w.domain.enrollments.redeem(enrollment.id, bad, w.now)) for _ in range(12))
        )
        assert sorted(codes) == ["enrollment_ended"] * 7 + ["enrollment_refused"] * 5
        assert await status_of(w, enrollment) == "void"
        assert await code_of(redeem(w, enrollment, joiner)) == "enrollment_ended"


async def test_enr_04_a_device_gets_nothing_before_its_digits_are_confirmed(tmp_path: Path) -> None:
    """Until the six digits are confirmed a device has no requests, no good codes and no say; then it has all."""
    async with world(tmp_path) as w:
        enrollment, joiner = await invite(w), Joiner()
        redeemed = await redeem(w, enrollment, joiner)
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
        confirmed = await confirm(w, enrollment, joiner.check(enrollment, redeemed))
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
        enrollment, joiner = await invite(w), Joiner()
        redeemed = await redeem(w, enrollment, joiner)
        check = joiner.check(enrollment, redeemed)
        for left in ("2 tries are left", "1 try is left"):
            with pytest.raises(RefusedError, match=left):
                await confirm(w, enrollment, other(check))
        assert await code_of(confirm(w, enrollment, other(check))) == "wrong_check"
        assert await code_of(confirm(w, enrollment, check)) == "enrollment_ended"
        assert await status_of(w, enrollment) == "void"
        assert (await w.domain.devices.get("default", redeemed.device.id)).status == "revoked"
        assert await w.count("soft_tokens") == 0


async def test_enr_04_checks_at_once_are_no_more_checks(tmp_path: Path) -> None:
    """Of twenty simultaneous wrong checks three are answered as such; the right one after them finds it void."""
    async with world(tmp_path) as w:
        enrollment, joiner = await invite(w), Joiner()
        check = joiner.check(enrollment, await redeem(w, enrollment, joiner))
        wrong = [confirm(w, enrollment, other(check)) for _ in range(20)]
        answers = await asyncio.gather(*wrong, confirm(w, enrollment, check), return_exceptions=True)
        codes = [each.code for each in answers if isinstance(each, RefusedError)]
        assert codes.count("wrong_check") == 3
        assert codes.count("enrollment_ended") == 18


async def test_enr_04_confirming_too_early_or_too_late_costs_no_try(tmp_path: Path) -> None:
    """Before a device has redeemed, after the time, twice, and in another organization nothing is confirmed."""
    async with world(tmp_path) as w:
        enrollment, joiner = await invite(w), Joiner()
        assert await code_of(confirm(w, enrollment, "123456")) == "device_pending"
        check = joiner.check(enrollment, await redeem(w, enrollment, joiner))
        foreign = w.domain.enrollments.confirm("other", enrollment.id, check, w.now)
        assert await code_of(foreign) == "not_found"
        w.clock.advance(seconds=600)
        assert await code_of(confirm(w, enrollment, check)) == "enrollment_ended"
        fresh, joiner = await invite(w), Joiner()
        check = joiner.check(fresh, await redeem(w, fresh, joiner))
        await confirm(w, fresh, check)
        assert await code_of(confirm(w, fresh, check)) == "enrollment_ended"


async def test_enr_04_policy_can_do_without_the_digits(tmp_path: Path) -> None:
    """With enrollment.confirmation none the first device is active at once, a further one is not."""
    async with world(tmp_path, enrollment__confirmation="none") as w:
        enrollment = await invite(w)
        redeemed = await redeem(w, enrollment, Joiner())
        assert redeemed.device.status == "active"
        assert await status_of(w, enrollment) == "confirmed"
        second = await invite(w)
        assert (await redeem(w, second, Joiner())).device.status == "pending"
        third = await invite(w, reason="second phone")
        assert (await redeem(w, third, Joiner())).device.status == "active"


async def test_enr_06_a_key_belongs_to_one_device(tmp_path: Path) -> None:
    """A key that is a device's, even a revoked one's, is refused for anybody; the token stays good for another key."""
    async with world(tmp_path) as w:
        joiner, stranger = Joiner(), await w.new_user("5550303")
        redeemed = await joined(w, joiner)
        await w.domain.devices.revoke("default", redeemed.device.id, "lost", w.now)
        enrollment = await invite(w, stranger)
        with pytest.raises(RefusedError) as refused:
            await redeem(w, enrollment, joiner)
        assert refused.value.code == "enrollment_refused"
        assert str(w.user.tfa_id) not in refused.value.detail
        await redeem(w, enrollment, Joiner())


async def test_the_certificate_speaks_for_the_server(tmp_path: Path) -> None:
    """The certificate verifies under the pinned key and names device, user, organization, key and enrolment."""
    async with world(tmp_path) as w:
        enrollment, joiner = await invite(w), Joiner()
        redeemed = await redeem(w, enrollment, joiner)
        key = w.signer.private.public_key()
        certificate = documents.read_device_certificate(redeemed.certificate, key, iss=ORIGIN)
        assert (certificate.did, certificate.sub) == (redeemed.device.id, w.user.id)
        assert (certificate.org, certificate.eid) == ("default", enrollment.id)
        assert certificate.cnf.jkt == joiner.jkt
        again = await redeem(w, await invite(w), Joiner())
        assert jose.peek(again.certificate)[1]["salt"] != certificate.salt


async def test_policy_can_leave_the_soft_token_out(tmp_path: Path) -> None:
    """Without enrollment.soft_token nothing is sealed and no token kept; nor for a user who has three."""
    async with world(tmp_path, enrollment__soft_token="no") as w:
        assert (await redeem(w, await invite(w), Joiner())).sealed is None
        assert await w.count("soft_tokens") == 0
        w.application = await w.domain.applications.set_policies(
            "Acme", {"enrollment.soft_token": "yes"}, w.now
        )
        for _ in range(3):
            await w.domain.soft_tokens.create(w.user, "app", "Acme", w.now, confirmed=True)
        assert (await redeem(w, await invite(w), Joiner())).sealed is None


async def test_a_names_foreign_text_is_made_visible(tmp_path: Path) -> None:
    """What a device calls itself cannot draw over what others are shown."""
    async with world(tmp_path) as w:
        redeemed = await redeem(w, await invite(w), Joiner("ev\u202eil\x1b[2J"))
        assert redeemed.device.name == "ev\u2039U+202E\u203ail\u2039U+001B\u203a[2J"


async def test_the_application_hears_of_a_confirmed_enrolment(tmp_path: Path) -> None:
    """One enrollment.confirmed event waits for the application's webhook, thin and without check or token."""
    async with world(tmp_path) as w:
        await w.domain.applications.add_webhook("Acme", "https://hooks.example/", w.now)
        redeemed = await joined(w, Joiner())
        (item,) = await w.domain.outbox.due(w.now)
        assert item.body is not None
        payload = item.body.payload.decode()
        assert '"type":"enrollment.confirmed"' in payload
        assert redeemed.device.id in payload
        assert ("outbox", item.id) in w.bus.published


async def test_the_sweep_ends_what_nobody_confirmed(tmp_path: Path) -> None:
    """Expired enrolments are written down as such, and their devices and tokens end."""
    async with world(tmp_path) as w:
        left = await invite(w)
        redeemed = await redeem(w, await invite(w), Joiner())
        await joined(w, Joiner())
        w.clock.advance(seconds=600)
        assert await w.domain.enrollments.sweep(w.now) == 2
        assert await w.domain.enrollments.sweep(w.now) == 0
        assert await w.count("enrollments", "id = ? AND status = 'expired'", left.id) == 1
        assert (await w.domain.devices.get("default", redeemed.device.id)).status == "revoked"
        assert await w.count("soft_tokens", "status = 'pending'") == 0


async def test_key_03_a_damaged_enrolment_stops_no_sweep(tmp_path: Path) -> None:
    """An enrolment whose seal was changed opens nowhere, and expires like the others."""
    async with world(tmp_path) as w:
        damaged = await invite(w)
        await invite(w)
        damage = Sql("damage", "UPDATE enrollments SET sealed = ? WHERE id = ?")
        await w.store.write(plan(step_of(damage, b"x" * 40, damaged.id)))
        with pytest.raises(UnsealableError):
            await status_of(w, damaged)
        w.clock.advance(seconds=600)
        assert await w.domain.enrollments.sweep(w.now) == 2
        assert await w.count("enrollments", "status = 'expired'") == 2


async def test_enu_01_the_id_of_an_invitation_cannot_be_guessed(tmp_path: Path) -> None:
    """Who knows one id, and the millisecond of another, knows none of the other's 74 bits besides."""
    async with world(tmp_path) as w:
        ids = [int((await invite(w)).id.replace("-", ""), 16) for _ in range(100)]
    differ = 0
    for number in ids[1:]:
        differ |= number ^ ids[0]
    assert {number >> 80 for number in ids} == {ids[0] >> 80}
    assert differ == 0xFFF << 64 | (1 << 62) - 1


async def test_an_unknown_enrolment_is_not_found(tmp_path: Path) -> None:
    """Unknown, malformed and foreign ids give not_found everywhere."""
    async with world(tmp_path) as w:
        enrollment = await invite(w)
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
