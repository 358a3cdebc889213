from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from placet_protocol import otpauth
from placet_protocol.totp import hotp, step
from placet_server.ports import Sql, UnsealableError, plan
from placet_server.ports import step as sql_step
from support.answering import World, code_of, world
from support.joining import Joiner


async def _joined(w: World) -> tuple[str, bytes]:
    """A device that joined with its soft token: its id and the token's seed."""
    enrollment = await w.domain.enrollments.open(w.caller, w.user, None, "test", w.now)
    joiner = Joiner()
    redeemed = await w.domain.enrollments.redeem(enrollment.id, joiner.wish(enrollment), w.now)
    await w.domain.enrollments.confirm("default", enrollment.id, joiner.check(enrollment, redeemed), w.now)
    uri = joiner.token_uri(redeemed)
    assert uri is not None
    return redeemed.device.id, otpauth.parse(uri).secret


async def test_devices_are_found_by_id_and_key(tmp_path: Path) -> None:
    """A device is found by id, by thumbprint and among its user's; another organization does not see it."""
    async with world(tmp_path) as w:
        device = (await w.enrol()).device
        devices = w.domain.devices
        assert await devices.get("default", device.id) == device
        assert await devices.by_id(device.id) == device
        assert await devices.by_jkt(device.jkt) == device
        assert await devices.of_user(w.user.id) == (device,)
        assert await devices.count_active(w.user.id) == 1
        assert await devices.by_jkt("unknown") is None
        assert await code_of(devices.get("other", device.id)) == "not_found"
        assert await code_of(devices.get("default", "../x")) == "not_found"


async def test_enr_07_a_revoked_device_is_out_at_once(tmp_path: Path) -> None:
    """After revocation it has no requests, its queued decision and its codes are refused, and its socket hears of it."""
    async with world(tmp_path) as w:
        phone = await w.enrol()
        _, request = await w.asked()
        queued = phone.answer(request, "approve")
        revoked = await w.domain.devices.revoke("default", phone.device.id, "lost", w.now)
        assert (revoked.status, revoked.revoked_at) == ("revoked", w.now)
        assert ("device", phone.device.id) in w.bus.published
        assert await w.domain.approvals.pending_for(revoked, w.now) == []
        assert await code_of(w.domain.decisions.decide(queued, w.now)) == "invalid_decision"
        assert await w.domain.devices.count_active(w.user.id) == 0


async def test_a_revoked_device_takes_its_soft_token_along(tmp_path: Path) -> None:
    """Codes of a lost device's token count no more; those of another device still do."""
    async with world(tmp_path) as w:
        lost, seed = await _joined(w)
        _, other_seed = await _joined(w)
        await w.domain.devices.revoke("default", lost, "lost", w.now)
        verify = w.domain.soft_tokens.verify
        assert await verify(w.caller, w.user.tfa_id, hotp(seed, step(w.now)), w.now) == "mismatch"
        assert await verify(w.caller, w.user.tfa_id, hotp(other_seed, step(w.now)), w.now) == "matched"


async def test_revocation_is_told_once(tmp_path: Path) -> None:
    """Revoking many times at once gives one audit entry, one notice to the other devices, one event a webhook."""
    async with world(tmp_path) as w:
        await w.domain.applications.add_webhook("Acme", "https://hooks.example/", w.now)
        phone, tablet = await w.enrol(), await w.enrol()
        revoke = w.domain.devices.revoke
        await asyncio.gather(*(revoke("default", phone.device.id, "lost", w.now) for _ in range(10)))
        await revoke("default", phone.device.id, "again", w.now)
        assert await w.count("audit", "kind = 'device.revoked'") == 1
        (notice,) = await w.domain.notices.pending(tablet.device, w.now)
        assert notice.kind == "device.revoked"
        (item,) = await w.domain.outbox.due(w.now)
        assert item.body is not None
        assert b'"type":"device.revoked"' in item.body.payload
        assert await code_of(revoke("other", tablet.device.id, "x", w.now)) == "not_found"


async def test_a_device_revoked_before_confirmation_voids_its_enrolment(tmp_path: Path) -> None:
    """The right digits of a device that was revoked meanwhile confirm nothing."""
    async with world(tmp_path) as w:
        enrollment = await w.domain.enrollments.open(w.caller, w.user, None, None, w.now)
        joiner = Joiner()
        redeemed = await w.domain.enrollments.redeem(enrollment.id, joiner.wish(enrollment), w.now)
        await w.domain.devices.revoke("default", redeemed.device.id, "mistake", w.now)
        check = joiner.check(enrollment, redeemed)
        confirm = w.domain.enrollments.confirm("default", enrollment.id, check, w.now)
        assert await code_of(confirm) == "enrollment_ended"
        assert await w.domain.devices.count_active(w.user.id) == 0


async def test_notices_reach_each_device_until_it_acknowledges(tmp_path: Path) -> None:
    """Each device gets a notice of its time until it acknowledges it; others' acknowledgements change nothing."""
    async with world(tmp_path) as w:
        one, two = (await w.enrol()).device, (await w.enrol()).device
        stranger = (await w.enrol(await w.new_user("5550111"))).device
        w.clock.advance(ms=1)
        third = await w.enrol()
        await w.domain.devices.revoke("default", third.device.id, "test", w.now)
        w.clock.advance(ms=1)
        late = (await w.enrol()).device
        notices = w.domain.notices
        (notice,) = await notices.pending(one, w.now)
        await notices.acknowledge(stranger, [notice.id, "x"], w.now)
        await notices.acknowledge(one, [notice.id, notice.id], w.now)
        assert await notices.pending(one, w.now) == []
        assert await notices.pending(two, w.now) == [notice]
        for other in (late, stranger):
            assert notice not in await notices.pending(other, w.now)
        w.clock.advance(seconds=31 * 86400)
        assert await notices.pending(two, w.now) == []
        await notices.sweep(w.now)
        assert await w.count("notices") == await w.count("acks") == 0


async def test_key_04_a_devices_secrets_are_sealed(tmp_path: Path) -> None:
    """Name and push keys are in no column of their own."""
    async with world(tmp_path) as w:
        device = (await w.enrol()).device
        names = {row[1] for row in await w.store.rows(Sql("columns", "PRAGMA table_info(devices)"))}
        assert not names & {"name", "auth", "p256dh", "endpoint", "platform"}
        assert await w.domain.devices.by_id(device.id) == device


async def test_key_03_a_damaged_device_can_be_revoked(tmp_path: Path) -> None:
    """A device whose sealed value was changed is ended all the same, and decides nothing after that."""
    async with world(tmp_path) as w:
        phone = await w.enrol()
        _, request = await w.asked()
        damage = Sql("damage", "UPDATE devices SET sealed = ? WHERE id = ?")
        await w.store.write(plan(sql_step(damage, b"other bytes", phone.device.id)))
        revoked = await w.domain.devices.revoke("default", phone.device.id, "lost", w.now)
        assert (revoked.status, revoked.revoked_at) == ("revoked", w.now)
        assert await w.count("devices", "id = ? AND status = 'revoked'", phone.device.id) == 1
        assert await w.domain.devices.count_active(w.user.id) == 0
        with pytest.raises(UnsealableError):
            await w.domain.decisions.decide(phone.answer(request, "approve"), w.now)
