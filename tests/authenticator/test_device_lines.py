"""The line to the server: cut, refused, restarted, hostile; it mends itself and says how it is."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from pathlib import Path

import pytest
from aiohttp import WSMsgType, web

from placet_authenticator.calls import Calls, open_session
from placet_authenticator.deciding import approve, deny
from placet_authenticator.errors import ServerRefusedError, UnreachableError
from placet_authenticator.inbox import Arrived, Connected, Lost
from placet_authenticator.link import Link, Pace
from placet_authenticator.records import Enrollment
from placet_protocol.jose import public_key_bytes
from placet_server.testing import live_server
from support import parties
from support.lines import line
from support.persons import ask, authenticator, enrolled, following, until


async def test_psh_08_a_cut_line_is_mended_and_nothing_is_lost_or_shown_twice(tmp_path: Path) -> None:
    """Cut in the middle of things three times: each time the request of meanwhile comes, and each once."""
    async with line() as wire, live_server(tmp_path / "s", public_url=wire.url) as server:
        wire.aim(server.app.listening)
        key, user = await server.api_key(), await server.user()
        async with authenticator(tmp_path / "a") as device:
            await enrolled(server, device, user.tfa_id, key)
            async with following(device) as (_, events):
                await until(events, Connected)
                for _ in range(3):
                    wire.cut()
                    await until(events, Lost)
                    # Acme reaches the server by another way than the person.
                    body = {"tfa_id": user.tfa_id, "message": "meanwhile"}
                    headers = {"Authorization": f"Bearer {key}"}
                    url = f"{server.app.listening}/v1/approval_requests"
                    async with server.http.post(url, json=body, headers=headers) as answer:
                        assert answer.status == 201
                    wire.mend()
                    await until(events, Arrived)
            assert len(device.state.pending) == 3
            assert device.state.connections[wire.url].state in {"socket", "poll"}


@pytest.mark.parametrize(
    ("first", "second", "outcome"),
    [("approve", "approve", "approved"), ("deny", "deny", "denied"), ("approve", "deny", "approved")],
)
async def test_an_answer_that_was_taken_but_never_heard_of_is_this_devices_own(
    tmp_path: Path, first: str, second: str, outcome: str
) -> None:
    """Given again, by another process even, it is told as what it was: nobody else answered.

    Who says no to what they had approved is told that it was approved.
    """
    async with line() as wire, live_server(tmp_path / "s", public_url=wire.url) as server:
        wire.aim(server.app.listening)
        key, user = await server.api_key(), await server.user()
        async with authenticator(tmp_path / "a") as device:
            await enrolled(server, device, user.tfa_id, key)
            asked = await ask(server, user.tfa_id, key)
            answers = {"approve": approve(asked["number"]), "deny": deny()}
            await device.fetch()
            wire.loses = b"/device/v1/decisions"
            with pytest.raises(UnreachableError):
                await device.decide(device.find(asked["id"]), answers[first])
            wire.loses = None
        async with authenticator(tmp_path / "a") as device:
            await device.fetch()
            trying = device.decide(device.find(asked["id"]), answers[second])
            if first == second:
                assert (await trying).outcome == outcome
            else:
                with pytest.raises(ServerRefusedError) as refused:
                    await trying
                assert refused.value.state == outcome
            assert [(each.outcome, each.by) for each in device.state.history] == [(outcome, "this device")]


async def test_psh_07_where_sockets_do_not_pass_polling_carries_everything(tmp_path: Path) -> None:
    """A proxy that refuses upgrades: requests come by long poll, at once, and are acknowledged."""
    async with line(sockets=False) as wire, live_server(tmp_path / "s", public_url=wire.url) as server:
        wire.aim(server.app.listening)
        key, user = await server.api_key(), await server.user()
        async with authenticator(tmp_path / "a") as device:
            await enrolled(server, device, user.tfa_id, key)
            async with following(device) as (_, events):
                connected = await until(events, Connected)
                assert connected.transport == "poll"
                for _ in range(2):
                    asked = await ask(server, user.tfa_id, key)
                    assert (await until(events, Arrived)).entry.rid == asked["id"]
                wire.sockets = True
                while (await until(events, Connected)).transport != "socket":
                    pass
            assert len(device.state.pending) == 2


async def test_a_server_that_is_down_is_tried_less_and_less_often() -> None:
    """Exponential pauses with a random part, up to the longest."""
    moments: list[float] = []

    def jitter() -> float:
        moments.append(asyncio.get_running_loop().time())
        return 0.5

    async with line() as wire, open_session() as session:
        wire.cut()
        link = Link(
            Calls(session, wire.url, lambda count: b"x" * count),
            [enrollment(wire.url)],
            clock=lambda: 0,
            jitter=jitter,
            pace=Pace(first=0.02, longest=0.2),
        )
        async with link:
            for _ in range(6):
                assert isinstance(await anext(link), Lost)
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert min(gaps) < 0.2 <= gaps[-1]


async def test_a_server_that_breaks_the_rules_of_the_socket_is_not_followed() -> None:
    """Frames out of turn, unknown frames, binary, garbage and a silent close end the connection as a loss."""
    scripts: list[str | bytes] = [
        '{"type":"welcome","devices":[],"enc":[],"server_time":1}',
        '{"type":"item","did":"d","id":"i","sealed":"AAAA"}',
        '{"type":"challenge","nonce":"n"}{"x":1}',
        '{"type":"challenge"}',
        '{"type":"challenge","nonce":"n","extra":1}',
        '{"type":"ack","id":"i"}',
        "garbage",
        b"\x00",
    ]
    remaining = list(scripts)

    async def socket(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        first = remaining.pop(0)
        await (ws.send_str(first) if isinstance(first, str) else ws.send_bytes(first))
        message = await ws.receive()
        assert message.type is not WSMsgType.TEXT  # the device answers nothing of this
        return ws

    app = web.Application()
    app.router.add_get("/device/v1/socket", socket)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with open_session() as session:
            calls = Calls(session, origin, lambda count: b"x" * count)
            link = Link(calls, [enrollment(origin)], clock=lambda: 0, pace=Pace(first=0.001, longest=0.01))
            async with link, asyncio.timeout(30):
                while remaining:
                    assert isinstance(await anext(link), Lost)
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[1]", b'{"items":1}', b'{"items":[{}],"server_time":1}', b"x" * 9_000_000]
)
async def test_answers_that_are_not_placets_are_an_error_for_a_person(body: bytes) -> None:
    """Whatever a captive portal or another program answers, the command ends with a sentence."""

    async def anything(request: web.Request) -> web.Response:
        del request
        return web.Response(body=body)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", anything)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with open_session() as session:
            link = Link(
                Calls(session, origin, lambda count: b"x" * count), [enrollment(origin)], clock=lambda: 0
            )
            with pytest.raises(UnreachableError):
                await link.fetch(print)
    finally:
        with contextlib.suppress(ConnectionError):
            await runner.cleanup()


def enrollment(origin: str) -> Enrollment:
    """An enrolment with the parties' keys."""
    return Enrollment(
        id=parties.DEVICE,
        origin=origin,
        pinned=parties.SERVER_KID,
        server_key=public_key_bytes(parties.SERVER_KEY.public_key()),
        name="Placet",
        user=parties.USER,
        org="default",
        device_name="laptop",
        thumbprint=parties.DEVICE_KID,
        signing_secret=parties.DEVICE_KEY.private_numbers().private_value.to_bytes(32, "big"),
        push_secret=parties.PUSH_KEY.private_numbers().private_value.to_bytes(32, "big"),
        push_auth=parties.PUSH_AUTH,
        certificate="",
        check="123456",
        active=True,
        created_at=0,
    )
