"""Becoming a device by the screens: text or picture, six digits to compare, and what became of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import qrcode
from textual.pilot import Pilot
from textual.widgets import Button, ContentSwitcher, Digits

from placet_authenticator.tui.app import PlacetApp
from placet_server.testing import LiveServer, live_server
from support.apps import fast, paste, running, shows, until
from support.persons import invite, ok
from support.snapshots import screen_text


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[LiveServer]:
    """A whole server."""
    async with live_server(tmp_path / "server") as server:
        yield server


def step(app: PlacetApp) -> str | None:
    """Which of the three steps is shown."""
    found = app.screen.query(ContentSwitcher)
    return found.first().current if found else None


async def begin(app: PlacetApp, pilot: Pilot[None], source: str) -> None:
    """Open the screen and bring the invitation."""
    await pilot.press("e")
    await paste(app, pilot, source)
    await until(pilot, lambda: not app.screen.query_one("#enroll", Button).disabled)


async def confirm(server: LiveServer, invitation: Any, check: str, key: str) -> int:
    """Type six digits into the application."""
    path = f"/v1/enrollments/{invitation['id']}/confirm"
    return (await server.call("POST", path, {"check": check}, key=key))[0]


async def test_enr_04_a_picture_enrols_and_the_digits_are_large(server: LiveServer, tmp_path: Path) -> None:
    """Who invites is shown before anything is sent; digits as the vault has them; then codes and a live line."""
    key, user = await server.api_key(), await server.user()
    invitation = await invite(server, user.tfa_id, key)
    picture = tmp_path / "qr.png"
    with picture.open("wb") as file:
        qrcode.make(invitation["uri"]).save(file)
    async with running(tmp_path / "home", links=fast) as (app, pilot):
        await begin(app, pilot, str(picture))
        await shows(app, pilot, f"acme at {server.url} wants to be able to ask you.")
        assert app.device.enrollments == []
        await pilot.press("enter")
        await until(pilot, lambda: step(app) == "compare")
        (enrollment,) = app.device.enrollments
        check = enrollment.check
        assert app.screen.query_one(Digits).value == f"{check[:3]} {check[3:]}"
        await shows(app, pilot, "Waiting for the confirmation")
        assert await confirm(server, invitation, check, key) == 200
        await until(pilot, lambda: step(app) == "end")
        await shows(app, pilot, "✓ Enrolled")
        await shows(app, pilot, "also without a connection")
        await pilot.press("enter")
        await until(
            pilot,
            lambda: (
                server.url in app.inbox.connections and app.inbox.connections[server.url].state == "socket"
            ),
        )
        await pilot.press("2")
        await shows(app, pilot, "acme")


async def test_an_enrolment_goes_on_without_being_watched(server: LiveServer, tmp_path: Path) -> None:
    """Whoever does not wait finds the digits with the server; confirmed, the device is active."""
    key, user = await server.api_key(), await server.user()
    invitation = await invite(server, user.tfa_id, key)
    async with running(tmp_path / "home", links=fast) as (app, pilot):
        await begin(app, pilot, invitation["uri"])
        await pilot.press("enter")
        await until(pilot, lambda: step(app) == "compare")
        await pilot.press("enter", "3")
        check = app.device.enrollments[0].check
        await shows(app, pilot, f"compare {check[:3]} {check[3:]}")
        assert await confirm(server, invitation, check, key) == 200
        await shows(app, pilot, "● connected")
        await pilot.press("r")
        await until(pilot, lambda: "Not confirmed" not in screen_text(app))


async def test_an_enrolment_that_is_turned_down_leaves_nothing(server: LiveServer, tmp_path: Path) -> None:
    """Digits that differ three times end it: no key and no code of it stays on the device."""
    key, user = await server.api_key(), await server.user()
    invitation = await invite(server, user.tfa_id, key)
    async with running(tmp_path / "home") as (app, pilot):
        await begin(app, pilot, invitation["uri"])
        await pilot.press("enter")
        await until(pilot, lambda: step(app) == "compare")
        wrong = "000000" if app.device.enrollments[0].check != "000000" else "111111"
        for _ in range(3):
            await confirm(server, invitation, wrong, key)
        await until(pilot, lambda: step(app) == "end")
        await shows(app, pilot, "✗ Turned down")
        assert app.device.enrollments == []
        assert app.device.tokens() == []


async def test_an_invitation_that_was_used_is_refused_in_words(server: LiveServer, tmp_path: Path) -> None:
    """The first step stays, with what the server said; another invitation can be pasted."""
    key, user = await server.api_key(), await server.user()
    invitation = await invite(server, user.tfa_id, key)
    async with running(tmp_path / "a") as (app, pilot):
        await begin(app, pilot, invitation["uri"])
        await pilot.press("enter")
        await until(pilot, lambda: step(app) == "compare")
    async with running(tmp_path / "b") as (app, pilot):
        await begin(app, pilot, invitation["uri"])
        await pilot.press("enter")
        await until(pilot, lambda: app.screen.query_one("#found").has_class("-trouble"))
        assert step(app) == "offer"
        assert app.device.enrollments == []
        fresh = await ok(
            server,
            "POST",
            f"/v1/users/{(await server.user('eve@example.com')).tfa_id}/enrollments",
            {},
            key=key,
        )
        app.screen.query_one("#source").focus()
        await pilot.press("ctrl+u")
        await paste(app, pilot, fresh["uri"])
        await until(pilot, lambda: not app.screen.query_one("#enroll", Button).disabled)


@pytest.mark.parametrize(
    "typed", ["https://example.com/", "otpauth://totp/x?secret=GEZDGNBVGY3TQOJQ", "no such file"]
)
async def test_what_is_no_invitation_is_explained(tmp_path: Path, typed: str) -> None:
    """Nothing can be sent, and the next step is named."""
    async with running(tmp_path) as (app, pilot):
        await pilot.press("e")
        await paste(app, pilot, typed)
        await until(pilot, lambda: app.screen.query_one("#found").has_class("-trouble"))
        assert app.screen.query_one("#enroll", Button).disabled
        await pilot.press("enter")
        assert step(app) == "offer"
