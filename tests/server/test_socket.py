from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from placet_protocol import frames
from placet_protocol.callproof import SOCKET_METHOD
from placet_server.domain.notices import Notices
from placet_server.ports import Sql, plan, step
from placet_server.testing import ClearSealer, SeededEntropy
from placet_server.web.socket import DeviceSocket
from support.devicelines import Api, Line, device_api, until

SOCKET = "/device/v1/socket"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with device_api(tmp_path) as served:
        yield served


async def acknowledged(api: Api) -> bool:
    """Whether any acknowledgement is in the store."""
    return await api.world.count("acks") > 0


async def test_psh_07_a_connected_device_gets_the_exact_document(api: Api) -> None:
    """A question reaches an open socket by itself, and so does one that was asked before."""
    device = await api.device()
    before, first = await api.world.asked()
    async with device.line() as line:
        assert await line.item() == (before.approval.id, {"type": "request", "document": first})
        after, second = await api.world.asked()
        assert await line.item() == (after.approval.id, {"type": "request", "document": second})
        assert await line.silent()


async def test_psh_08_an_item_is_repeated_until_it_is_acknowledged(api: Api) -> None:
    """Connections that drop before the acknowledgement bring the item again; after it, never."""
    device = await api.device()
    created, _ = await api.world.asked()
    for _ in range(5):
        async with device.line() as line:
            assert (await line.item())[0] == created.approval.id
    async with device.line() as line:
        await line.item()
        await line.send(frames.Seen(created.approval.id))
        await line.send(frames.Ack(created.approval.id))
        await until(lambda: acknowledged(api))
    async with device.line() as line:
        assert await line.silent()
    approval = await api.world.domain.approvals.get(
        api.world.application.id, created.approval.id, api.world.now
    )
    assert approval.seen_at is not None


async def test_psh_09_expired_requests_do_not_come_after_reconnecting(api: Api) -> None:
    """What expired while the device was away is not sent."""
    device = await api.device()
    await api.world.ask(ttl=60)
    live = await api.world.ask(ttl=300)
    api.world.clock.advance(seconds=61)
    async with device.line() as line:
        assert (await line.item())[0] == live.approval.id
        assert await line.silent()


async def test_the_end_of_a_request_is_told_to_the_other_devices(api: Api) -> None:
    """Who did not decide hears ``done``, also for what it holds since an earlier connection; who decided does not."""
    first, second = await api.device(), await api.device()
    created, document = await api.world.asked()
    rid = created.approval.id
    async with second.line() as line:
        await line.item()
        await line.send(frames.Ack(rid))
        await until(lambda: acknowledged(api))
    async with first.line() as own, second.line() as line:
        await own.item()
        await api.world.domain.decisions.decide(first.who.answer(document, "deny"), api.world.now)
        assert await line.receive() == frames.Done(rid, "denied")
        assert await own.silent()


async def test_ends_while_a_device_was_away_are_told_when_it_comes_back(api: Api) -> None:
    """A cancelled request that the device holds is taken from its person's eyes."""
    device = await api.device()
    created = await api.world.ask()
    rid = created.approval.id
    await device.call("POST", "/device/v1/acks", {"ids": [rid]})
    await api.world.domain.approvals.cancel(api.world.application.id, rid, api.world.now)
    async with device.line() as line:
        assert await line.receive() == frames.Done(rid, "cancelled")


async def test_enr_07_revocation_closes_the_socket(api: Api) -> None:
    """An open socket of a revoked device ends at once, and says why."""
    device = await api.device()
    async with device.line() as line:
        await api.world.domain.devices.revoke("default", device.id, "lost", api.world.now)
        assert await line.receive() == frames.Error("device_revoked")
        assert (await line.ws.receive(20)).type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED}
    with pytest.raises(ConnectionError, match="device_revoked"):
        async with device.line():
            pass
    assert api.hub.count() == 0


async def damaged(api: Api, table: str, column: str, value: str) -> None:
    """Change one sealed value by hand."""
    sql = Sql("damage", f"UPDATE {table} SET sealed = ? WHERE {column} = ?")
    await api.world.store.write(plan(step(sql, b"other bytes", value)))


async def test_key_03_a_damaged_request_or_notice_keeps_nothing_else_back(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    """What does not open is left out and named in the log; what else waits arrives by poll and by socket."""
    device = await api.device()
    unmade, made, good = [(await api.world.asked())[0].approval.id for _ in range(3)]
    await api.world.store.write(
        plan(step(Sql("unmade", "DELETE FROM documents WHERE approval = ?"), unmade), guards=0)
    )
    notices = Notices(api.world.store, ClearSealer(), SeededEntropy("notices"))
    rows = [notices.step(api.world.user.id, "device.added", text, api.world.now) for text in ("one", "two")]
    await api.world.store.write(plan(*rows, guards=0))
    await damaged(api, "approvals", "id", unmade)
    await damaged(api, "documents", "approval", made)
    await damaged(api, "notices", "id", str(rows[0].params[0]))
    expected = {good, str(rows[1].params[0])}
    assert set(await device.items()) == expected
    async with device.line() as line:
        assert {(await line.item())[0] for _ in expected} == expected
        assert await line.silent()
    named = {(record.msg, record.__dict__["placet_facts"]["id"]) for record in caplog.records}
    assert named >= {
        ("request damaged", unmade),
        ("request damaged", made),
        ("notice damaged", str(rows[0].params[0])),
    }


async def test_a_socket_that_cannot_be_served_ends(api: Api) -> None:
    """A device that would hear nothing more is told so; it does not wait on a dead line."""
    device = await api.device()
    async with device.line() as line:
        await damaged(api, "devices", "id", device.id)
        await api.world.asked()
        assert await line.receive() == frames.Error("internal")
    with pytest.raises(ConnectionError, match="internal"):
        async with device.line():
            pass


async def test_one_socket_serves_several_devices(api: Api) -> None:
    """Each enrolment has a stream of its own; a bad proof leaves only its own device out."""
    world = api.world
    mine = await api.device()
    other_user = await world.new_user("5550177")
    others = await api.device(await world.enrol(other_user))
    revoked = await api.device()
    await world.domain.devices.revoke("default", revoked.id, "lost", world.now)
    async with mine.line(others, revoked) as line:
        assert line.welcome.devices == (mine.id, others.id)
        assert line.welcome.server_time == world.now
        assert {each.device.id for each in (mine.who, others.who)} == set(line.streams)
        notice = await line.item()  # of the revocation, to the same person's other device
        assert notice[1]["type"] == "notice"
        asked = await world.ask(other_user)
        assert (await line.item())[0] == asked.approval.id


async def test_three_sockets_a_device_and_the_oldest_gives_way(api: Api) -> None:
    """A fourth connection replaces the first; the others keep hearing."""
    device = await api.device()
    async with (
        device.line() as first,
        device.line() as second,
        device.line() as third,
        device.line() as fourth,
    ):
        assert await first.receive() == frames.Error("replaced")
        created = await api.world.ask()
        for line in (second, third, fourth):
            assert (await line.item())[0] == created.approval.id


@pytest.mark.parametrize("method", [SOCKET_METHOD, "GET"])
@pytest.mark.parametrize("nonce", ["another nonce", None])
async def test_psh_11_proofs_for_another_socket_open_none(api: Api, method: str, nonce: str | None) -> None:
    """Only a proof over this connection's nonce, for the socket, gets a welcome."""
    device = await api.device()
    if method == SOCKET_METHOD and nonce is None:
        async with device.line() as line:
            assert line.welcome.devices == (device.id,)
        return
    async with api.session.ws_connect(api.url + SOCKET) as ws:
        line = Line(ws)
        challenge = await line.receive()
        assert isinstance(challenge, frames.Challenge)
        proof = device.proof(method, SOCKET, nonce=nonce or challenge.nonce)
        await line.send(frames.Hello((proof,)))
        answer = await line.receive()
        assert isinstance(answer, frames.Error)
        assert answer.code == ("use_nonce" if method == SOCKET_METHOD else "invalid_proof")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"type":"ack","id":"x"}', '{"type":"welcome","devices":[],"enc":[],"server_time":1}',
     '{"type":"hello","proofs":[]}', '{"type":"hello","proofs":["a"],"more":1}', "\x00", '{"type":"hello"}' * 9_000],
)  # fmt: skip
async def test_frames_out_of_form_or_turn_end_the_connection(api: Api, text: str) -> None:
    """Before the welcome nothing but one good hello is taken."""
    async with api.session.ws_connect(api.url + SOCKET) as ws:
        await ws.receive(20)
        await ws.send_str(text)
        message = await ws.receive(20)
        while message.type is aiohttp.WSMsgType.TEXT:
            assert "error" in message.data
            message = await ws.receive(20)
        assert message.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}
    assert api.hub.count() == 0


async def test_acknowledging_what_was_not_sent_here_changes_nothing(api: Api) -> None:
    """A socket may acknowledge only what came over it."""
    device = await api.device()
    async with device.line() as line:
        await line.send(frames.Ack("0190c1f0-7a2b-7c3d-8e4f-5a6b7c8d9e0f"))
        await line.send(frames.Seen("0190c1f0-7a2b-7c3d-8e4f-5a6b7c8d9e0f"))
        created = await api.world.ask()
        assert (await line.item())[0] == created.approval.id
    assert await api.world.count("acks") == 0


async def test_the_socket_is_no_plain_get_and_not_for_foreign_pages(api: Api) -> None:
    """Without an upgrade 400; with another page's Origin 403; with the server's own it opens."""
    assert (await api.send("GET", SOCKET)).status == 400
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await api.session.ws_connect(api.url + SOCKET, origin="https://evil.example")
    assert refused.value.status == 403
    async with api.session.ws_connect(api.url + SOCKET, origin="https://placet.example") as ws:
        assert (await ws.receive(20)).type is aiohttp.WSMsgType.TEXT


async def test_nothing_is_compressed(api: Api) -> None:
    """permessage-deflate costs 100 KiB a device and is not agreed on when a device offers it."""
    async with api.session.ws_connect(api.url + SOCKET, compress=15) as ws:
        assert ws.compress == 0


async def test_the_end_of_the_server_says_so(api: Api) -> None:
    """Closing the hub ends every socket with ``closing``, so that devices come back."""
    device = await api.device()
    async with device.line() as line:
        api.hub.close()
        assert await line.receive() == frames.Error("closing")


async def test_dos_07_a_reader_that_does_not_read_is_cut(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the bytes waiting for a connection pass the limit it is aborted, and the server holds nothing of it."""
    made = DeviceSocket.__init__

    def small(self: DeviceSocket, *arguments: object, **options: object) -> None:
        made(self, *arguments, **(options | {"backlog_max": 2_000}))  # type: ignore[arg-type] # passed on as they came

    monkeypatch.setattr(DeviceSocket, "__init__", small)
    device = await api.device()
    async with device.line() as line:
        await api.world.ask(visible=tuple((f"Field {n}", "x" * 250) for n in range(20)))
        message = await line.ws.receive(20)
        assert message.type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}
    await until(lambda: not api.hub.connected(device.id))


async def test_dos_07_a_silent_peer_is_dead_after_missed_heartbeats(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer that answers no ping is dropped after one and a half heartbeats."""
    made = DeviceSocket.__init__

    def quick(self: DeviceSocket, *arguments: object, **options: object) -> None:
        made(self, *arguments, **(options | {"heartbeat": 0.1}))  # type: ignore[arg-type] # passed on as they came

    monkeypatch.setattr(DeviceSocket, "__init__", quick)
    device = await api.device()
    async with api.session.ws_connect(api.url + SOCKET, autoping=False) as ws:
        line = Line(ws)
        await line.greet(device)
        assert api.hub.connected(device.id)
        await until(lambda: not api.hub.connected(device.id))
