from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from placet_protocol.jose import b64u
from placet_server.domain.notices import Notices
from placet_server.ports import plan
from placet_server.testing import ClearSealer, SeededEntropy
from support.answering import ORIGIN, draft
from support.devicelines import Api, device_api
from support.scale import scaled

ITEMS = "/device/v1/items"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with device_api(tmp_path) as served:
        yield served


async def test_a_device_polls_acknowledges_and_is_left_in_peace(api: Api) -> None:
    """A poll brings the exact document until the device has acknowledged it."""
    device = await api.device()
    created, document = await api.world.asked()
    rid = created.approval.id
    for _ in range(2):
        assert await device.items() == {rid: {"type": "request", "document": document}}
    assert (await device.call("POST", "/device/v1/acks", {"ids": [rid], "seen": [rid]})).status == 200
    assert await device.items() == {}
    approval = await api.world.domain.approvals.get(api.world.application.id, rid, api.world.now)
    assert approval.seen_at == api.world.now


async def test_two_devices_get_the_same_bytes_under_different_seals(api: Api) -> None:
    """One document for all devices; every seal is fresh."""
    first, second = await api.device(), await api.device()
    await api.world.asked()
    assert await first.items() == await second.items()
    sealed = [(await first.call("GET", ITEMS)).json["items"][0]["sealed"] for _ in range(3)]
    assert len(set(sealed)) == 3


async def test_psh_07_a_polling_device_hears_within_its_wait(api: Api) -> None:
    """A parked poll is answered when the question comes, whatever push services do."""
    device = await api.device()
    await device.items()
    poll = asyncio.create_task(device.items(wait=30))
    await device.connected()
    created, _ = await api.world.asked()
    async with asyncio.timeout(20):
        assert list(await poll) == [created.approval.id]
    assert not api.hub.connected(device.id)


async def test_dos_10_a_second_poll_ends_the_first(api: Api) -> None:
    """A device has one parked poll."""
    device = await api.device()
    await device.items()
    first = asyncio.create_task(device.items(wait=30))
    await device.connected()
    second = asyncio.create_task(device.items(wait=30))
    async with asyncio.timeout(20):
        assert await first == {}
    await api.world.asked()
    async with asyncio.timeout(20):
        assert len(await second) == 1


async def test_psh_09_expired_requests_are_not_delivered(api: Api) -> None:
    """Of a mixed batch only the live ones arrive."""
    device = await api.device()
    live = []
    for number in range(3):
        application = await api.world.new_application(f"App {number}", approval__number="none")
        caller = api.world.caller_of(application)
        for ttl in (60, 60, 300):
            made = await api.world.domain.approvals.create(
                caller, api.world.user, draft(ttl=ttl), api.world.now
            )
            if ttl == 300:
                live.append(made.approval.id)
    api.world.clock.advance(seconds=61)
    assert sorted(await device.items()) == sorted(live)


async def test_a_polling_device_learns_that_another_one_answered(api: Api) -> None:
    """Who holds a request that ended elsewhere is told until it says that it knows; who decided is not."""
    first, second = await api.device(), await api.device()
    created, document = await api.world.asked()
    rid = created.approval.id
    for device in (first, second):
        await device.call("POST", "/device/v1/acks", {"ids": [rid]})
    answer = first.who.answer(document, "approve").encode()
    reply = await api.send("POST", "/device/v1/decisions", answer, Content_Type="application/jose")
    assert (reply.status, reply.json["status"], reply.json["approval"]) == (200, "approved", rid)
    assert await first.items() == {}
    done = {f"{rid}.ended": {"type": "done", "rid": rid, "status": "approved"}}
    assert await second.items() == done
    assert await second.items() == done
    await second.call("POST", "/device/v1/acks", {"ids": [f"{rid}.ended"]})
    assert await second.items() == {}


async def test_notices_are_items_too(api: Api) -> None:
    """A notice arrives until it is acknowledged."""
    device = await api.device()
    world = api.world
    notices = Notices(world.store, ClearSealer(), SeededEntropy("notices"))
    await world.store.write(
        plan(notices.step(world.user.id, "device.added", "A device was added.", world.now), guards=0)
    )
    items = await device.items()
    assert [item["text"] for item in items.values()] == ["A device was added."]
    await device.call("POST", "/device/v1/acks", {"ids": list(items)})
    assert await device.items() == {}


async def test_others_items_cannot_be_acknowledged_or_seen(api: Api) -> None:
    """A device of another person changes nothing by naming this person's request."""
    mine = await api.device()
    stranger = await api.device(await api.world.enrol(await api.world.new_user("5550199")))
    created, _ = await api.world.asked()
    rid = created.approval.id
    reply = await stranger.call(
        "POST", "/device/v1/acks", {"ids": [rid, f"{rid}.ended", "x"], "seen": [rid, "x"]}
    )
    assert reply.status == 200
    assert await stranger.items() == {}
    assert list(await mine.items()) == [rid]
    assert await api.world.count("acks") == 0


async def test_psh_11_a_captured_call_cannot_be_replayed(api: Api) -> None:
    """The same proof again is refused, for a poll as for anything else, in this window and the next."""
    device = await api.device()
    await device.items()
    for path, method in ((ITEMS, "GET"), ("/device/v1/self", "GET")):
        proof = device.proof(method, path)
        assert (await api.send(method, path, Placet_Proof=proof)).status == 200
        for wait in (0, 59):
            api.world.clock.advance(seconds=wait)
            again = await api.send(method, path, Placet_Proof=proof)
            assert (again.status, again.json["code"]) == (401, "invalid_proof")
    api.world.clock.advance(seconds=120)
    old = await api.send("GET", ITEMS, Placet_Proof=proof)
    assert old.status == 401


async def test_psh_11_repeats_of_one_id_give_one_answer(api: Api) -> None:
    """Concurrent repeats of one proof id have one success at most."""
    device = await api.device()
    await device.items()
    proofs = [device.proof("GET", ITEMS, jti="one-id-for-all-of-them") for _ in range(scaled(1_000))]
    replies = await asyncio.gather(*(api.send("GET", ITEMS, Placet_Proof=proof) for proof in proofs))
    assert sorted({reply.status for reply in replies}) == [200, 401]
    assert sum(reply.status == 200 for reply in replies) == 1


@pytest.mark.parametrize(
    "said",
    [
        {"method": "POST"},
        {"url": ORIGIN + "/device/v1/self"},
        {"url": ORIGIN + "/device/v1/items?wait=1"},
        {"url": "https://other.example/device/v1/items"},
        {"jti": "short"},
    ],
)
async def test_psh_11_a_proof_is_for_one_call_only(api: Api, said: dict[str, str]) -> None:
    """Another method, path, query, origin or a short id is no proof of this call."""
    device = await api.device()
    await device.items()
    reply = await api.send("GET", ITEMS, Placet_Proof=device.proof("GET", ITEMS, b"", **said))
    assert (reply.status, reply.json["code"]) == (401, "invalid_proof")


async def test_psh_11_the_body_is_part_of_the_proof(api: Api) -> None:
    """Changed acknowledgements are not taken."""
    device = await api.device()
    await device.items()
    path, body = "/device/v1/acks", json.dumps({"ids": ["a"]}).encode()
    proof = device.proof("POST", path, body)
    reply = await api.send("POST", path, json.dumps({"ids": ["b"]}).encode(), Placet_Proof=proof)
    assert (reply.status, reply.json["code"]) == (401, "invalid_proof")


async def test_psh_11_nonces_are_the_devices_own_and_live_for_two_windows(api: Api) -> None:
    """The current and the previous nonce are good, an older one, another device's and another server's are not."""
    device, other = await api.device(), await api.device()
    await device.items()
    await other.items()
    stolen = await api.send("GET", ITEMS, Placet_Proof=device.proof("GET", ITEMS, nonce=other.nonce))
    assert (stolen.status, stolen.json["code"]) == (401, "use_nonce")
    assert stolen.headers["Placet-Nonce"] == device.nonce
    nonce = device.nonce
    for seconds, status in ((60, 200), (60, 401)):
        api.world.clock.advance(seconds=seconds)
        reply = await api.send("GET", ITEMS, Placet_Proof=device.proof("GET", ITEMS, nonce=nonce))
        assert reply.status == status
        assert reply.headers["Placet-Nonce"] != nonce


async def test_psh_11_a_clock_set_back_revives_no_proof(api: Api) -> None:
    """What was used stays used when the server's clock jumps back."""
    device = await api.device()
    await device.items()
    proof = device.proof("GET", ITEMS)
    assert (await api.send("GET", ITEMS, Placet_Proof=proof)).status == 200
    api.world.clock.advance(seconds=-3600)
    assert (await api.send("GET", ITEMS, Placet_Proof=proof)).status == 401
    assert await device.items() == {}


async def test_a_clock_that_was_far_ahead_locks_no_device_out(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After it was set right, windows go on: nonces end and the calls of a minute are those of that minute."""
    monkeypatch.setattr("placet_server.web.proofs.CALLS_PER_WINDOW", 5)
    device = await api.device()
    api.world.clock.advance(seconds=365 * 86_400)
    await device.items()
    api.world.clock.advance(seconds=-365 * 86_400)
    nonce = device.nonce
    for _ in range(4):
        for _ in range(3):
            assert (await device.call("GET", "/device/v1/self")).status == 200
        api.world.clock.advance(seconds=60)
    old = await api.send("GET", ITEMS, Placet_Proof=device.proof("GET", ITEMS, nonce=nonce))
    assert (old.status, old.json["code"]) == (401, "use_nonce")


async def test_calls_without_any_good_proof_are_refused_alike(api: Api) -> None:
    """No proof, garbage, and an unknown device's proof get the same code."""
    device = await api.device()
    ghost = await api.device()
    await device.items()
    foreign = await api.device()
    foreign.who.device = ghost.who.device  # signs with a key that is not the named device's
    for headers in (
        {},
        {"Placet_Proof": "x"},
        {"Placet_Proof": "a.b.c"},
        {"Placet_Proof": foreign.proof("GET", ITEMS)},
    ):
        reply = await api.send("GET", ITEMS, b"", **headers)
        assert (reply.status, reply.json["code"]) == (401, "invalid_proof")


async def test_a_device_calls_six_hundred_times_a_minute_at_most(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The memory of proofs is bounded for each device and window."""
    monkeypatch.setattr("placet_server.web.proofs.CALLS_PER_WINDOW", 5)
    device, other = await api.device(), await api.device()
    codes = [(await device.call("GET", "/device/v1/self")).status for _ in range(6)]
    assert codes == [200] * 5 + [429]
    assert (await other.call("GET", "/device/v1/self")).status == 200
    api.world.clock.advance(seconds=60)
    assert (await device.call("GET", "/device/v1/self")).status == 200


async def test_enr_07_a_revoked_device_gets_nothing(api: Api) -> None:
    """Polls answer 401, a parked poll at once; a device can also revoke itself."""
    device, other = await api.device(), await api.device()
    await device.items()
    poll = asyncio.create_task(device.call("GET", f"{ITEMS}?wait=30"))
    await device.connected()
    await api.world.domain.devices.revoke("default", device.id, "lost", api.world.now)
    async with asyncio.timeout(20):
        parked = await poll
    assert (parked.status, parked.json["code"]) == (401, "device_revoked")
    again = await device.call("GET", ITEMS)
    assert (again.status, again.json["code"]) == (401, "device_revoked")
    left = await other.call("POST", "/device/v1/leave")
    assert (left.status, left.json["status"]) == (200, "revoked")
    assert (await other.call("GET", "/device/v1/self")).json["code"] == "device_revoked"


async def test_a_device_learns_its_own_state(api: Api) -> None:
    """``self`` names the device and its status."""
    device = await api.device()
    reply = await device.call("GET", "/device/v1/self")
    assert {"id": device.id, "name": "phone", "status": "active"}.items() <= reply.json.items()


@pytest.mark.parametrize(
    ("path", "body", "media", "status"),
    [
        ("/device/v1/decisions", b"x", "application/jose", 400),
        ("/device/v1/decisions", b"\xff\xfe", "application/jose", 400),
        ("/device/v1/decisions", b"a.b.c", "application/jose", 400),
        ("/device/v1/decisions", b"", "application/jose", 400),
        ("/device/v1/decisions", b"x" * 70_000, "application/jose", 413),
        ("/device/v1/decisions", b"{}", "application/json", 415),
        ("/device/v1/enrollments/0190c1f0-7a2b-7c3d-8e4f-5a6b7c8d9e0f", b"a.b.c", "application/jose", None),
        ("/device/v1/enrollments/nonsense", b"a.b.c", "application/jose", 404),
        ("/device/v1/nothing", b"", "application/jose", 404),
        ("/device/v1/items", b"", "application/jose", 405),
    ],
)
async def test_malformed_documents_are_the_callers_mistake(
    api: Api, path: str, body: bytes, media: str, status: int | None
) -> None:
    """Whatever is posted, the answer is a 4xx problem with a stable code."""
    reply = await api.send("POST", path, body, Content_Type=media)
    assert 400 <= reply.status < 500
    assert status in {None, reply.status}
    assert reply.json["code"]
    assert reply.headers["X-Request-Id"]


@pytest.mark.parametrize("query", ["?wait=61", "?wait=-1", "?wait=x", "?wait=1&wait=2", "?other=1"])
async def test_the_wait_of_a_poll_is_strict(api: Api, query: str) -> None:
    """Only whole seconds from 0 to 60, given once."""
    device = await api.device()
    assert (await device.call("GET", ITEMS + query)).status == 400


@pytest.mark.parametrize("value", [{"ids": "x"}, {"ids": ["x"] * 101}, {"other": []}, ["x"], {"ids": [""]}])
async def test_malformed_acknowledgements_are_refused(api: Api, value: object) -> None:
    """Wrong shapes and more than a hundred ids are 400."""
    device = await api.device()
    assert (await device.call("POST", "/device/v1/acks", value)).status == 400


async def test_psh_06_a_foreign_endpoint_that_may_not_be_called_is_refused(api: Api) -> None:
    """An enrolment naming an inner address as push endpoint is refused before its token is looked at."""
    payload = b64u(json.dumps({"push": {"endpoint": "https://10.0.0.1/push"}}).encode())
    document = f"{b64u(b'{}')}.{payload}.{b64u(bytes(64))}".encode()
    path = "/device/v1/enrollments/0190c1f0-7a2b-7c3d-8e4f-5a6b7c8d9e0f"
    reply = await api.send("POST", path, document, Content_Type="application/jose")
    assert (reply.status, reply.json["code"]) == (400, "enrollment_refused")
    assert "public address" in reply.json["detail"]
