"""The device's core against a whole server: enrolment, requests, answers, two devices, lost lines."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from placet_authenticator.deciding import NumberError, approve, deny
from placet_authenticator.enrolling import read_uri
from placet_authenticator.errors import NotFoundError, ServerRefusedError, UntrustedError
from placet_authenticator.inbox import Arrived, Closed, Connected, Notice, Noticed, Removed
from placet_authenticator.link import Link
from placet_authenticator.running import now
from placet_authenticator.tokens import code
from placet_server.testing import LiveServer, live_server
from support.persons import FAST, ask, authenticator, enrolled, following, invite, ok, state_of, until


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[LiveServer]:
    async with live_server(tmp_path / "server") as server:
        yield server


async def test_enr_04_enrolment_shows_six_digits_and_brings_codes(server: LiveServer, tmp_path: Path) -> None:
    """The device knows its digits only after the pinned key signed for its key; one QR gives push and codes."""
    key, user = await server.api_key(), await server.user()
    invitation = await invite(server, user.tfa_id, key)
    async with authenticator(tmp_path / "a") as device:
        done = await device.enroll(read_uri(invitation["uri"]), device_name="laptop")
        assert len(done.enrollment.check) == 6
        assert not done.enrollment.active
        assert await device.status(done.enrollment) == "pending"
        wrong = "000000" if done.enrollment.check != "000000" else "111111"
        path = f"/v1/enrollments/{invitation['id']}/confirm"
        assert (await server.call("POST", path, {"check": wrong}, key=key))[0] == 422
        await ok(server, "POST", path, {"check": done.enrollment.check}, key=key)
        assert await device.confirmed(done.enrollment)
        assert done.token is not None
        verify = {"code": code(done.token, now()).digits}
        answer = await ok(server, "POST", f"/v1/users/{user.tfa_id}/soft_tokens/verify", verify, key=key)
        assert answer["verified"] is True


async def test_enr_03_a_server_without_the_pinned_key_gets_no_token(
    server: LiveServer, tmp_path: Path
) -> None:
    """Nothing is kept, and the one-time token was not spent: the real invitation still works."""
    key, user = await server.api_key(), await server.user()
    uri = read_uri((await invite(server, user.tfa_id, key))["uri"])
    other = read_uri(uri.format().replace(uri.thumbprint, "A" * 42 + "E"))
    async with authenticator(tmp_path / "a") as device:
        with pytest.raises(UntrustedError, match="does not hold the key"):
            await device.enroll(other, device_name="laptop")
        assert device.enrollments == []
        await device.enroll(uri, device_name="laptop")
        with pytest.raises(ServerRefusedError) as refused:
            await device.enroll(uri, device_name="again")
        assert refused.value.code == "enrollment_ended"
        assert len(device.enrollments) == 1


async def test_dec_01_the_person_approves_exactly_what_was_shown(server: LiveServer, tmp_path: Path) -> None:
    """From the sealed item over the number to the application's view; a second process sees it in its history."""
    key, user = await server.api_key(), await server.user()
    async with authenticator(tmp_path / "a") as device:
        await enrolled(server, device, user.tfa_id, key)
        asked = await ask(server, user.tfa_id, key)
        assert await device.fetch() == []
        entry = device.find(asked["id"][:13])
        assert (entry.message, entry.fields, entry.place) == (
            "Pay 10 EUR?",
            (("Amount", "10 EUR"), ("To", "Zoe")),
            "Vienna",
        )
        assert entry.digits == 3
        for wrong in (None, "", "12", "1234", "12a", "١٢٣"):
            with pytest.raises(NumberError):
                await device.decide(entry, approve(wrong))
        ended = await device.decide(entry, approve(asked["number"]), verified="pin")
        assert (ended.outcome, ended.by) == ("approved", "this device")
        assert (await state_of(server, asked, key))["status"] == "approved"
    async with authenticator(tmp_path / "a") as again:
        assert [each.outcome for each in again.state.history] == ["approved"]
        assert again.state.pending == ()
        with pytest.raises(NotFoundError, match="has ended: approved by this device"):
            again.find(asked["id"])


async def test_num_02_a_wrong_number_denies_and_there_is_no_second_try(
    server: LiveServer, tmp_path: Path
) -> None:
    """One try: the request is over on both sides."""
    key, user = await server.api_key(), await server.user()
    async with authenticator(tmp_path / "a") as device:
        await enrolled(server, device, user.tfa_id, key)
        asked = await ask(server, user.tfa_id, key)
        await device.fetch()
        entry = device.find(asked["id"])
        ended = await device.decide(entry, approve(f"{(int(asked['number']) + 1) % 1000:03}"))
        assert (ended.outcome, ended.reason) == ("denied", "wrong_number")
        with pytest.raises(ServerRefusedError) as refused:
            await device.decide(entry, approve(asked["number"]))
        assert (refused.value.code, refused.value.state) == ("already_decided", "denied")


async def test_deny_not_me_tells_the_application_why(server: LiveServer, tmp_path: Path) -> None:
    """A denial needs no number and carries its reason."""
    key, user = await server.api_key(), await server.user()
    async with authenticator(tmp_path / "a") as device:
        await enrolled(server, device, user.tfa_id, key)
        asked = await ask(server, user.tfa_id, key)
        await device.fetch()
        await device.decide(device.find(asked["id"]), deny("not_me"))
        answer = await state_of(server, asked, key)
        assert (answer["status"], answer["reason"]) == ("denied", "not_me")


async def test_psh_07_a_connected_device_shows_a_request_within_two_seconds(
    server: LiveServer, tmp_path: Path
) -> None:
    """Over the socket, with no push service at all; the application learns that it was seen."""
    key, user = await server.api_key(), await server.user()
    async with authenticator(tmp_path / "a") as device:
        await enrolled(server, device, user.tfa_id, key)
        async with following(device) as (link, events):
            connected = await until(events, Connected)
            assert isinstance(connected, Connected)
            assert connected.transport == "socket"
            for _ in range(3):  # a machine may stand still for a moment, but not each time
                begun = time.monotonic()
                asked = await ask(server, user.tfa_id, key)
                event = await until(events, Arrived)
                assert event.entry.rid == asked["id"]
                if (took := time.monotonic() - begun) < 2:
                    break
            assert took < 2
            await link.seen([(event.entry.device, event.entry.rid)])


async def test_two_devices_the_first_answer_closes_the_request_on_the_other(
    server: LiveServer, tmp_path: Path
) -> None:
    """Connected, the other is told at once; a device that was away learns it when it returns."""
    key, user = await server.api_key(), await server.user()
    async with authenticator(tmp_path / "a") as one, authenticator(tmp_path / "b") as two:
        await enrolled(server, one, user.tfa_id, key)
        await enrolled(server, two, user.tfa_id, key, name="phone", reason="second device")
        first = await ask(server, user.tfa_id, key)
        second = await ask(server, user.tfa_id, key)
        async with following(two) as (_, events):
            await until(events, Arrived)
            await until(events, Arrived)
            await one.fetch()
            assert any("phone" in notice.text for notice in one.state.notices)
            await one.decide(one.find(first["id"]), approve(first["number"]))
            closed = await until(events, Closed)
            assert isinstance(closed, Closed)
            assert (closed.rid, closed.outcome, closed.by) == (first["id"], "approved", "another device")
        await one.decide(one.find(second["id"]), deny())
        assert [entry.rid for entry in two.state.pending] == [second["id"]]
        async with following(two) as (_, events):
            async with asyncio.timeout(30):
                while two.state.pending:
                    await until(events, Closed)
        assert {each.entry.rid: each.outcome for each in two.state.history} == {
            first["id"]: "approved",
            second["id"]: "denied",
        }


async def test_an_answer_to_what_another_device_answered_tells_the_outcome(
    server: LiveServer, tmp_path: Path
) -> None:
    """409 with the final state; the request leaves the list here as well."""
    key, user = await server.api_key(), await server.user()
    async with authenticator(tmp_path / "a") as one, authenticator(tmp_path / "b") as two:
        await enrolled(server, one, user.tfa_id, key)
        await enrolled(server, two, user.tfa_id, key, name="phone", reason="second device")
        asked = await ask(server, user.tfa_id, key)
        await one.fetch()
        await two.fetch()
        await one.decide(one.find(asked["id"]), deny())
        with pytest.raises(ServerRefusedError) as refused:
            await two.decide(two.find(asked["id"]), approve(asked["number"]))
        assert refused.value.state == "denied"
        assert two.state.pending == ()
        async with authenticator(tmp_path / "a") as again:
            assert any("phone" in notice.text for notice in again.state.notices)
        assert [(each.outcome, each.by) for each in two.state.history] == [("denied", "another device")]


async def test_psh_08_a_line_that_breaks_before_the_ack_repeats_and_shows_once(
    server: LiveServer, tmp_path: Path
) -> None:
    """Five links that die before the item was handled: it comes each time, is one request, and stops after the ack."""
    key, user = await server.api_key(), await server.user()
    async with authenticator(tmp_path / "a") as device:
        await enrolled(server, device, user.tfa_id, key)
        asked = await ask(server, user.tfa_id, key)
        calls = device.calls(device.enrollments[0].origin)
        for _ in range(5):
            async with Link(calls, device.enrollments, clock=now, pace=FAST) as link:
                while not isinstance(event := await anext(link), Arrived):
                    pass
                device.absorb(event)  # and the line breaks before anybody comes back for more
        assert [entry.rid for entry in device.state.pending] == [asked["id"]]
        async with following(device) as (_, events):
            await until(events, Arrived)
        await device.fetch()
        async with Link(calls, device.enrollments, clock=now, pace=FAST) as link:
            assert isinstance(await anext(link), Connected)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await anext(link)


async def test_a_second_process_knows_what_the_first_acknowledged(server: LiveServer, tmp_path: Path) -> None:
    """An acknowledged request is on disk, and one window sees what another answered."""
    key, user = await server.api_key(), await server.user()
    async with authenticator(tmp_path / "a") as one:
        await enrolled(server, one, user.tfa_id, key)
        asked = await ask(server, user.tfa_id, key)
        await one.fetch()
        async with authenticator(tmp_path / "a") as other:
            await other.fetch()
            await other.decide(other.find(asked["id"]), approve(asked["number"]))
        assert one.find(asked["id"]).rid == asked["id"]
        await one.fetch()
        assert one.state.pending == ()
        assert [(each.outcome, each.by) for each in one.state.history] == [("approved", "this device")]


async def test_enr_07_a_revoked_device_is_told_and_shows_nothing_more(
    server: LiveServer, tmp_path: Path
) -> None:
    """An open link ends with the news; what waited is failed, and keys stay until the person leaves."""
    key, user = await server.api_key(), await server.user()
    async with authenticator(tmp_path / "a") as device:
        did = await enrolled(server, device, user.tfa_id, key)
        await ask(server, user.tfa_id, key)
        async with following(device) as (_, events):
            await until(events, Arrived)
            await ok(server, "DELETE", f"/v1/devices/{did}", key=key)
            await until(events, Removed)
        assert device.state.pending == ()
        assert await device.status(device.enrollments[0]) == "revoked"


async def test_leaving_erases_keys_requests_and_codes_here(server: LiveServer, tmp_path: Path) -> None:
    """The server revokes the device; nothing of it stays in the vault."""
    key, user = await server.api_key(), await server.user()
    async with authenticator(tmp_path / "a") as device:
        did = await enrolled(server, device, user.tfa_id, key)
        await ask(server, user.tfa_id, key)
        await device.fetch()
        await device.leave(device.enrollments[0])
        assert (device.enrollments, device.tokens(), device.state.pending) == ([], [], ())
        assert list(device.vault._db["records"].rows_where("kind != 'counter'")) == []
        listed = await ok(server, "GET", f"/v1/users/{user.tfa_id}/devices", key=key)
        assert [(each["id"], each["status"]) for each in listed["items"]] == [(did, "revoked")]


async def test_notices_are_kept_the_newest_fifty(tmp_path: Path) -> None:
    """What a server told stays after a restart, and a talkative server fills no disk."""
    async with authenticator(tmp_path / "a") as device:
        for number in range(60):
            device.absorb(
                Noticed(Notice("https://a.example", f"n{number}", "info", f"text {number}", number))
            )
    async with authenticator(tmp_path / "a") as again:
        assert [each.at for each in again.state.notices] == list(range(59, 9, -1))
