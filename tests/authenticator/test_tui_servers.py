"""Servers and devices on the screen: how each is reached, and how to leave."""

from __future__ import annotations

from pathlib import Path

from placet_authenticator.inbox import Connected, Lost
from placet_server.testing import LiveServer, live_server
from support.apps import NOW, fast, running, shows
from support.persons import authenticator, enrolled


async def joined(folder: Path, server: LiveServer) -> None:
    """A vault in ``folder`` that is a confirmed device of the server."""
    key, user = await server.api_key(), await server.user()
    async with authenticator(folder) as device:
        await enrolled(server, device, user.tfa_id, key, name="Ada's laptop")


async def test_each_server_shows_how_it_is_reached(tmp_path: Path) -> None:
    """Connected, last heard, offline and why; and what this device is called there."""
    async with live_server(tmp_path / "server") as server:
        await joined(tmp_path / "home", server)
        async with running(tmp_path / "home") as (app, pilot):
            await pilot.press("3")
            await shows(app, pilot, "◌ connecting")
            app.device.absorb(Connected(server.url, "socket", NOW - 4_000))
            app.refresh_inbox()
            await shows(app, pilot, "● connected")
            await shows(app, pilot, "This device: Ada's laptop")
            app.device.absorb(Lost(server.url, "the name is not known"))
            app.refresh_inbox()
            await shows(app, pilot, "○ offline")
            await shows(app, pilot, "the name is not known")


async def test_leaving_asks_first_and_erases_all_of_it(tmp_path: Path) -> None:
    """Escape stays; the other answer tells the server and takes keys and code away."""
    async with live_server(tmp_path / "server") as server:
        await joined(tmp_path / "home", server)
        async with running(tmp_path / "home", links=fast) as (app, pilot):
            device = app.device.enrollments[0].id
            await pilot.press("3", "d", "escape")
            assert len(app.device.enrollments) == 1
            assert len(app.device.tokens()) == 1
            await pilot.press("d", "right", "enter")
            await shows(app, pilot, "No server yet")
            assert app.device.tokens() == []
            kept = await server.domain.devices.by_id(device)
            assert kept is None or kept.status == "revoked"


async def test_a_server_that_is_gone_can_be_forgotten(tmp_path: Path) -> None:
    """It cannot be told; the person decides whether to forget it here alone."""
    async with live_server(tmp_path / "server") as server:
        await joined(tmp_path / "home", server)
    async with running(tmp_path / "home") as (app, pilot):
        await pilot.press("3", "d", "right", "enter")
        await shows(app, pilot, "could not be told")
        assert len(app.device.enrollments) == 1
        await pilot.press("right", "enter")
        await shows(app, pilot, "No server yet")
        assert app.device.enrollments == []
