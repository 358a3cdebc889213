"""The secrets that sign deliveries: whose they are, new ones, and damaged ones."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from placet_server.ports import Sql, plan, step
from support.answering import world
from support.delivering import Delivering, scripted
from support.devicelines import until


@pytest.fixture
async def delivering(tmp_path: Path) -> AsyncIterator[Delivering]:
    async with world(tmp_path) as made:
        made.clock.set(time.time_ns() // 1_000_000)  # the oracle looks at the machine's clock
        yield Delivering(made)


async def _attempts(delivering: Delivering, count: int) -> bool:
    return await delivering.world.count("outbox", "attempts = ?", count) == 1


async def test_callback_urls_are_signed_with_the_applications_secret(delivering: Delivering) -> None:
    """A request's own callback URL gets the same event, signed whether the application has webhooks or not."""
    async with scripted() as hook, scripted() as callback, delivering.running():
        own = (await delivering.world.domain.applications.named("Acme")).secret or ""
        await delivering.event(callback=callback.url + "/once")
        await callback.count(1)
        secret = await delivering.hook(hook.url)
        event_id = await delivering.event(callback=callback.url + "/once")
        await callback.count(2)
        await hook.count(1)
        for signed_by, (_, headers, body) in zip(
            (own, own, secret), (*callback.posts, hook.posts[0]), strict=True
        ):
            Webhook(signed_by).verify(body, headers)
        assert callback.posts[1][1]["webhook-id"] == hook.posts[0][1]["webhook-id"] == event_id


async def test_key_03_a_damaged_row_stops_no_other(delivering: Delivering) -> None:
    """A row whose seal was changed is given up; what else waits in the table is delivered, also behind it in its line."""
    async with scripted() as target:
        await delivering.hook(target.url)
        damaged = await delivering.event("one", publish=False)
        others = {
            await delivering.event("one", publish=False),
            await delivering.event("two", publish=False),
        }
        change = Sql("damage", "UPDATE outbox SET sealed = ? WHERE id = ?")
        assert await delivering.world.store.write(plan(step(change, b"other bytes", damaged))) == 0
        async with delivering.running():
            await until(delivering.empty)
        assert {headers["webhook-id"] for _, headers, _ in target.posts} == others


async def test_a_new_secret_signs_what_still_waits(delivering: Delivering) -> None:
    """What waits for a callback URL while the application's secret is replaced goes out under the new one."""
    applications, world = delivering.world.domain.applications, delivering.world
    async with scripted() as callback:
        await delivering.event(callback=callback.url, publish=False)
        before = (await applications.named("Acme")).secret
        secret = (await applications.rotate_secret("Acme", world.now)).secret
        assert secret is not None
        assert secret != before
        async with delivering.running():
            await callback.count(1)
        _, headers, body = callback.posts[0]
        Webhook(secret).verify(body, headers)
    assert await world.count("audit", "kind = 'application.secret_rotated'") == 1


async def test_key_03_nothing_is_sent_unsigned(
    delivering: Delivering, caplog: pytest.LogCaptureFixture
) -> None:
    """While the application's secret is damaged its callback waits; the operator's new secret sends it on."""
    applications, world = delivering.world.domain.applications, delivering.world
    damage = Sql("damage", "UPDATE applications SET sealed = ?")
    await world.store.write(plan(step(damage, b"other bytes")))
    applications.forget()
    async with scripted() as callback, delivering.running() as dispatcher:
        await delivering.event(callback=callback.url)
        await until(partial(_attempts, delivering, 1))
        assert "webhook secret damaged" in caplog.messages
        assert callback.posts == []
        secret = (await applications.rotate_secret("Acme", world.now)).secret
        assert secret is not None
        world.clock.advance(seconds=6)
        dispatcher.wake()
        await callback.count(1)
        _, headers, body = callback.posts[0]
        Webhook(secret).verify(body, headers)


async def test_key_03_a_damaged_webhook_stops_no_revocation(
    delivering: Delivering, caplog: pytest.LogCaptureFixture
) -> None:
    """A device is revoked, for good, and told to the other endpoints; the damaged one is skipped and named."""
    applications, world = delivering.world.domain.applications, delivering.world
    phone = await world.enrol()
    async with scripted() as bad, scripted() as good, delivering.running():
        await delivering.hook(bad.url)
        (damaged,) = await applications.webhooks("Acme")
        await delivering.hook(good.url)
        damage = Sql("damage", "UPDATE webhooks SET sealed = ? WHERE id = ?")
        await world.store.write(plan(step(damage, b"other bytes", damaged.id)))
        applications.forget()
        revoked = await world.domain.devices.revoke(world.application.org, phone.device.id, "lost", world.now)
        assert revoked.status == "revoked"
        await good.count(1)
        await until(delivering.empty)
        assert json.loads(good.posts[0][2])["type"] == "device.revoked"
        assert bad.posts == []
    assert await world.count("devices", "id = ? AND status = 'revoked'", phone.device.id) == 1
    assert "webhook secret damaged" in caplog.messages
    assert {hook.id: hook.secret is None for hook in await applications.webhooks("Acme")}[damaged.id]
