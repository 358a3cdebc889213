from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from placet_server.delivery.webhooks import SCHEDULE, retry_at
from placet_server.testing import SeededEntropy
from support.answering import code_of, world
from support.delivering import Delivering, scripted
from support.devicelines import until
from support.receivers import receiver


@pytest.fixture
async def delivering(tmp_path: Path) -> AsyncIterator[Delivering]:
    async with world(tmp_path) as made:
        made.clock.set(time.time_ns() // 1_000_000)  # the oracle looks at the machine's clock
        yield Delivering(made)


async def test_whk_01_deliveries_verify_and_a_flipped_bit_does_not(delivering: Delivering) -> None:
    """Fifty deliveries pass the reference library under the endpoint's own secret; no changed one does."""
    async with scripted() as target, delivering.running():
        secret = await delivering.hook(target.url + "/hook")
        for number in range(50):
            await delivering.event(f"thing-{number}")
        await target.count(50)
        await until(delivering.empty)
    oracle = Webhook(secret)
    for path, headers, body in target.posts:
        assert path == "/hook"
        assert oracle.verify(body, headers)["data"]["id"].startswith("thing-")
        flipped = bytes([body[0] ^ 1]) + body[1:]
        with pytest.raises(WebhookVerificationError):
            oracle.verify(flipped, headers, json_parse=False)
    assert len({headers["webhook-id"] for _, headers, _ in target.posts}) == 50
    assert all(headers["content-type"] == "application/json" for _, headers, _ in target.posts)


async def test_whk_02_retries_keep_the_id_and_sign_a_new_time(delivering: Delivering) -> None:
    """Three failures: same id and bytes each time, a new timestamp that verifies."""
    async with scripted(500, 302, 404) as target, delivering.running() as dispatcher:
        secret = await delivering.hook(target.url)
        event_id = await delivering.event()
        for attempt, seconds in enumerate((6, 360, 2_160), start=1):
            await target.count(attempt)
            await until(partial(_attempts, delivering, attempt))
            delivering.world.clock.advance(seconds=seconds)
            dispatcher.wake()
        await target.count(4)
        await until(delivering.empty)
    ids = {headers["webhook-id"] for _, headers, _ in target.posts}
    assert ids == {event_id}
    assert len({body for _, _, body in target.posts}) == 1
    times = [int(headers["webhook-timestamp"]) for _, headers, _ in target.posts]
    assert [after - before for before, after in pairwise(times)] == [6, 360, 2_160]
    Webhook(secret).verify(target.posts[0][2], target.posts[0][1])
    assert len({headers["webhook-signature"] for _, headers, _ in target.posts}) == 4


async def _attempts(delivering: Delivering, count: int) -> bool:
    return await delivering.world.count("outbox", "attempts = ?", count) == 1


async def test_whk_03_the_schedule_has_jitter_and_an_end() -> None:
    """Each wait is the schedule's ±20 %, not always the same, and after the last there is none."""
    entropy = SeededEntropy()
    for attempts, seconds in enumerate(SCHEDULE):
        waits = [(retry_at(attempts, 0, SCHEDULE, entropy) or 0) / 1000 for _ in range(200)]
        assert all(seconds * 0.8 <= wait <= seconds * 1.2 for wait in waits)
        assert seconds == 0 or len(set(waits)) > 100
    assert retry_at(len(SCHEDULE), 0, SCHEDULE, entropy) is None


async def test_whk_03_a_failing_endpoint_is_given_up_at_the_end(delivering: Delivering) -> None:
    """After the schedule's last attempt the row is gone and others still arrive."""
    async with scripted(500, 500, 500) as target, delivering.running(schedule=(0, 0.001, 0.001)):
        await delivering.hook(target.url)
        await delivering.event("first")
        async with asyncio.timeout(20):
            while not await delivering.empty():
                delivering.world.clock.advance(seconds=1)
                await asyncio.sleep(0.01)
        assert len(target.posts) == 3
        await delivering.event("second")
        await target.count(4)


async def test_whk_04_gone_disables_the_endpoint(delivering: Delivering) -> None:
    """After 410 nothing more is sent to that endpoint, not even what waits; the audit log says so."""
    async with scripted(410) as target, scripted() as other, delivering.running():
        await delivering.hook(target.url)
        await delivering.hook(other.url)
        await delivering.event("first")
        await other.count(1)
        await until(delivering.empty)
        await delivering.event("second")
        await other.count(2)
        await until(delivering.empty)
    assert (len(target.posts), len(other.posts)) == (1, 2)
    assert await delivering.world.count("audit", "kind = 'webhook.disabled'") == 1


async def test_a_disabled_endpoint_is_listed_and_can_be_enabled(delivering: Delivering) -> None:
    """It is among the endpoints, not among those that are told; once enabled it hears what happens from then on."""
    world = delivering.world
    applications = world.domain.applications
    async with scripted(410) as target, delivering.running():
        await delivering.hook(target.url)
        await delivering.event("first")
        await until(delivering.empty)
        (gone,) = await applications.webhooks("Acme")
        assert not gone.active
        assert (await applications.by_id(gone.application)).webhooks == ()
        for _ in range(2):  # the second time nothing is left to change
            await applications.enable_webhook(gone.id, world.now)
        (back,) = await applications.webhooks("Acme")
        assert back.active
        assert (await applications.by_id(gone.application)).webhooks == (back,)
        await delivering.event("last")
        await target.count(2)
    assert [json.loads(body)["data"]["id"] for _, _, body in target.posts] == ["first", "last"]
    assert await world.count("audit", "kind = 'webhook.enabled'") == 1
    assert await code_of(applications.enable_webhook("nobody", world.now)) == "not_found"


@pytest.mark.parametrize("status", [429, 503])
async def test_whk_04_retry_after_is_kept_to(delivering: Delivering, status: int) -> None:
    """A receiver that asks for 120 s gets them; one that asks for a year gets ten hours."""
    for header, seconds in (("120", 120), ("31536000", 36_000)):
        async with scripted((status, {"Retry-After": header})) as target, delivering.running():
            await delivering.hook(target.url)
            await delivering.event()
            await target.count(1)
            await until(lambda: _attempts(delivering, 1))
            row = await delivering.world.domain.outbox.next_due()
            assert row == delivering.world.now + seconds * 1000
            for item in await delivering.world.domain.outbox.due(row, 10):
                await delivering.world.domain.outbox.done(item.id)
            for hook in await delivering.world.domain.applications.webhooks("Acme"):
                await delivering.world.domain.applications.remove_webhook(hook.id, delivering.world.now)


async def test_whk_05_what_was_not_delivered_survives_a_restart(delivering: Delivering) -> None:
    """Events of a time without a dispatcher, and of a receiver that was down, all arrive, each with its one id."""
    async with scripted() as target:
        await delivering.hook(target.url)
        first = [await delivering.event(f"a{number}") for number in range(10)]  # nobody is running
        port = int(target.url.rpartition(":")[2])
        async with delivering.running():
            await target.count(10)
            await until(delivering.empty)
    async with delivering.running():  # the receiver is down
        second = [await delivering.event(f"b{number}") for number in range(10)]
        await until(lambda: _all_tried(delivering, 10))
    delivering.world.clock.advance(seconds=600)

    async def take(request: web.Request) -> web.Response:
        seen.append(request.headers["webhook-id"])
        return web.Response(status=200)

    seen: list[str] = []
    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    async with delivering.running():
        await until(delivering.empty)
    await runner.cleanup()
    assert sorted(headers["webhook-id"] for _, headers, _ in target.posts) == sorted(first)
    assert sorted(seen) == sorted(second)


async def _all_tried(delivering: Delivering, count: int) -> bool:
    return await delivering.world.count("outbox", "attempts = 1") == count


async def test_whk_06_events_of_one_thing_arrive_in_order(delivering: Delivering) -> None:
    """With half of all attempts failing, each subject's events keep their order; a failed head holds the rest back."""
    flip = SeededEntropy("fail")
    accepted: list[str] = []

    async def moody(request: web.Request, body: bytes) -> web.Response:
        del body
        if flip.below(2):
            return web.Response(status=500)
        accepted.append(request.headers["webhook-id"])
        return web.Response(status=200)

    async with receiver(moody) as target, delivering.running(schedule=(0, *[0.001] * 60)) as dispatcher:
        await delivering.hook(target.url)
        sent: dict[str, list[str]] = {}
        for _ in range(3):
            for number in range(10):
                sent.setdefault(f"s{number}", []).append(await delivering.event(f"s{number}"))
            delivering.world.clock.advance(ms=10)
        async with asyncio.timeout(20):
            while not await delivering.empty():
                delivering.world.clock.advance(seconds=2)
                dispatcher.wake()
                await asyncio.sleep(0.01)
    assert sorted(accepted) == sorted(each for ids in sent.values() for each in ids)
    for ids in sent.values():
        assert [each for each in accepted if each in ids] == ids


async def test_whk_09_hanging_receivers_hold_up_nobody_else(delivering: Delivering) -> None:
    """While three hosts hang on every exchange, a good one gets all of its events."""
    release = asyncio.Event()

    async def hang(request: web.Request, body: bytes) -> web.Response:
        del request, body
        await release.wait()
        return web.Response(status=200)

    async with (
        scripted() as good,
        receiver(hang) as one,
        receiver(hang) as two,
        receiver(hang) as three,
        delivering.running(total=60),
    ):
        for each in (one, two, three, good):
            await delivering.hook(each.url)
        for number in range(20):
            await delivering.event(f"thing-{number}")
        await good.count(20)
        assert all(len(each.posts) <= 4 for each in (one, two, three))
        release.set()
        await until(delivering.empty)
        assert all(len(each.posts) == 20 for each in (one, two, three))


async def test_whk_11_an_events_payload_is_thin(delivering: Delivering) -> None:
    """The webhook of a decision holds ids, states and times: no message, detail or number."""
    async with scripted() as target, delivering.running():
        await delivering.hook(target.url)
        who = await delivering.world.enrol()
        created, document = await delivering.world.asked(
            message="Pay canary-99?", hidden={"note": "canary-99"}
        )
        await delivering.world.domain.decisions.decide(who.answer(document, "approve"), delivering.world.now)
        await target.count(1)
        payload = json.loads(target.posts[0][2])
    assert payload["type"] == "approval_request.approved"
    assert payload["data"]["id"] == created.approval.id
    assert b"canary" not in target.posts[0][2]
    assert set(payload) == {"type", "timestamp", "data"}


async def test_dur_04_stopping_ends_what_hangs_and_loses_nothing(delivering: Delivering) -> None:
    """A stop waits its grace for exchanges under way; what did not finish is delivered by the next process."""

    async def hang(request: web.Request, body: bytes) -> web.Response:
        del request, body
        await asyncio.sleep(30)
        return web.Response(status=200)

    async with receiver(hang) as target:
        await delivering.hook(target.url)
        async with delivering.running(grace=0.05):
            event_id = await delivering.event()
            await target.count(1)
        assert not await delivering.empty()
    items = await delivering.world.domain.outbox.due(delivering.world.now, 10)
    assert [item.id for item in items] == [event_id]


async def test_dur_10_a_lost_wake_up_is_made_good_from_the_table(delivering: Delivering) -> None:
    """Rows that nobody announced go out when the table is read next."""
    async with scripted() as target, delivering.running() as dispatcher:
        await delivering.hook(target.url)
        await delivering.event(publish=False)
        dispatcher.wake()
        await target.count(1)
        await until(delivering.empty)


async def test_push_rows_are_taken_at_once_and_deleted(delivering: Delivering) -> None:
    """A question's row reaches the pushes and is gone; a defect there is tried again later and hurts nobody else."""
    async with scripted() as target, delivering.running():
        created = await delivering.world.ask()
        await until(delivering.empty)
        assert delivering.pushes.taken == [created.approval.id]
        delivering.pushes.broken = True
        broken = await delivering.world.ask()
        await until(lambda: _attempts(delivering, 1))
        await delivering.hook(target.url)
        await delivering.event()
        await target.count(1)
        assert delivering.pushes.taken[-1] == broken.approval.id


async def test_a_removed_endpoint_gets_nothing_that_still_waited(delivering: Delivering) -> None:
    """Rows of an endpoint that was removed are dropped unsent."""
    async with scripted() as target:
        await delivering.hook(target.url)
        await delivering.event()
        hook = (await delivering.world.domain.applications.webhooks("Acme"))[0]
        await delivering.world.domain.applications.remove_webhook(hook.id, delivering.world.now)
        async with delivering.running():
            await until(delivering.empty)
        assert target.posts == []
