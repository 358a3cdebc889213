"""Requests in a real terminal with real keys, against a whole server."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from placet_authenticator.deciding import deny
from placet_authenticator.tui.approval_screen import READ_SECONDS
from placet_server.testing import LiveServer, live_server
from support.persons import PASSPHRASE, ask, authenticator, enrolled, state_of
from support.tmux import Terminal, terminal

PLACET = Path(sys.executable).parent / "placet"
HAND = 0.15
"""Seconds between two keys of a hand; what comes faster than 10 ms is taken for a paste."""


def typed(window: Terminal, number: str) -> None:
    """Type a number as a hand does, and Enter."""
    for key in (*number, "Enter"):
        time.sleep(HAND)
        window.press_and_see(key)


def wrong(number: str) -> str:
    return "000" if number != "000" else "111"


class Table:
    """A person at a terminal, with an application that asks them; waiting leaves the server its turn."""

    def __init__(self, server: LiveServer, window: Terminal, tfa_id: int, key: str) -> None:
        self.server = server
        self.window = window
        self.tfa_id = tfa_id
        self.key = key

    async def ask(self, message: str) -> Any:
        return await ask(self.server, self.tfa_id, self.key, message=message)

    async def shows(self, *words: str) -> None:
        await asyncio.to_thread(self.window.shows, *words)

    async def press(self, *keys: str) -> None:
        await asyncio.to_thread(self.window.press, *keys)

    async def type(self, number: str) -> None:
        await asyncio.to_thread(typed, self.window, number)

    async def look(self, message: str) -> None:
        """Open the request and wait until keys are alive."""
        await self.shows(message)
        await self.press("Enter")
        await self.shows("There is one try")

    async def status(self, request: Any) -> tuple[str, str]:
        state = await state_of(self.server, request, self.key)
        return state["status"], state.get("reason") or ""


@asynccontextmanager
async def table(server: LiveServer, folder: Path) -> AsyncIterator[Table]:
    """An enrolled person before the running app."""
    key, user = await server.api_key(), await server.user()
    async with authenticator(folder / "mine") as device:
        await enrolled(server, device, user.tfa_id, key)
    secret = folder / "passphrase"
    secret.write_text(PASSPHRASE)
    secret.chmod(0o600)
    home = str(folder / "mine")
    with terminal(folder, [PLACET], PLACET_HOME=home, PLACET_PASSPHRASE_FILE=str(secret)) as window:
        here = Table(server, window, user.tfa_id, key)
        await here.shows("connected", "Nothing waits for you.")
        yield here
        await here.press("q")
        await here.shows("ended 0")


async def test_a_person_answers_with_real_keys(tmp_path: Path) -> None:
    """The right number approves, a wrong one denies, a paste does nothing, and any size of window serves."""
    async with live_server(tmp_path / "server") as server, table(server, tmp_path) as here:
        first = await here.ask("Pay 1 EUR?")
        await here.look("Pay 1 EUR?")
        assert here.window.tmux("display-message", "-p", "#{pane_title}").strip() == "(1) Placet"
        await here.type(first["number"])
        await here.shows("Approved by this device", "Nothing waits for you.")
        assert await here.status(first) == ("approved", "ok")
        assert here.window.tmux("display-message", "-p", "#{pane_title}").strip() == "Placet"

        second = await here.ask("Pay 2 EUR?")
        await here.look("Pay 2 EUR?")
        await here.type(wrong(second["number"]))
        await here.shows("Denied by this device", "number was wrong")
        assert await here.status(second) == ("denied", "wrong_number")

        third = await here.ask("Pay 3 EUR?")
        await here.look("Pay 3 EUR?")
        here.window.tmux("set-buffer", f"{third['number']}\n")
        for bracketed in (["-p"], []):
            here.window.tmux("paste-buffer", *bracketed)
            await here.shows("pasting is switched off")
            for key in ("Enter", "BSpace"):
                await asyncio.sleep(HAND)
                await here.press(key)
            await here.shows("There is one try")
        assert (await here.status(third))[0] == "pending"
        for columns, lines in ((60, 16), (140, 45)):
            here.window.tmux("resize-window", "-x", str(columns), "-y", str(lines))
            await here.shows(
                "Pay 3 EUR?", "Type the 3 digits", "[_][_][_]" if lines == 16 else "╭───╮ ╭───╮ ╭───╮"
            )
        await here.press("d")
        await here.shows("I did not start this")
        await asyncio.sleep(READ_SECONDS)
        await here.press("n")
        await here.shows("Denied by this device as not started by you")
        assert await here.status(third) == ("denied", "not_me")


async def test_another_device_answers_and_the_line_comes_back(tmp_path: Path) -> None:
    """An answer given elsewhere closes the request and says so; a server that went away is found again."""
    folder = tmp_path / "server"
    async with AsyncExitStack() as first:
        server = await first.enter_async_context(live_server(folder))
        async with table(server, tmp_path) as here:
            request = await here.ask("Pay 4 EUR?")
            await here.look("Pay 4 EUR?")
            async with authenticator(tmp_path / "other") as other:
                await enrolled(server, other, here.tfa_id, here.key, "phone", reason="second device")
                await other.fetch()
                await other.decide(other.find(request["id"]), deny("mistake"))
            await here.shows("Denied by another device", "Nothing waits for you.")
            await here.ask("Pay 5 EUR?")
            await here.look("Pay 5 EUR?")
            await first.aclose()
            await here.shows("an answer cannot be sent now")
            await here.press("Escape")
            await here.shows("cannot be reached", "r tries now")
            async with live_server(folder) as here.server:
                await here.press("r")
                await here.shows("● acme connected", "Pay 5 EUR?")
                await here.press("Enter")
                await here.shows("There is one try")
                await here.press("Escape")
                await here.shows("Waits for you")
                await here.ask("Pay 6 EUR?")
                await here.shows("Pay 6 EUR?", "1 Inbox  2")
