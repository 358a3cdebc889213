"""One person's day at one terminal, by keys alone: from the first start to a code, the lock and a theme.

To watch it: ``PLACET_WATCH=1 python3 dev.py test tests/authenticator/test_tui_tmux_journey.py -s`` says how to attach.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from placet_authenticator import preferences
from placet_authenticator.importing import otpauth
from placet_authenticator.records import Enrollment, Token
from placet_authenticator.settings import Settings
from placet_authenticator.tui.approval_screen import READ_SECONDS
from placet_authenticator.vault import Vault
from placet_protocol.totp import hotp, step
from placet_server.testing import LiveServer, live_server
from support.persons import PASSPHRASE, ask, invite, ok, state_of
from support.qrcodes import drawn, zxing
from support.tmux import Terminal, terminal

PLACET = Path(sys.executable).parent / "placet"
HAND = 0.15
"""Seconds between two keys of a hand."""
WATCHED = float(os.environ.get("PLACET_WATCH") or 0)
"""Seconds that each screen stays for who watches."""


class Person:
    """Hands and eyes at a terminal; the server has its turn meanwhile."""

    def __init__(self, window: Terminal) -> None:
        self.window = window

    async def sees(self, *words: str) -> str:
        """Wait for these words; the whole screen."""
        await asyncio.to_thread(self.window.shows, *words)
        await asyncio.sleep(WATCHED)
        return self.window.screen()

    async def press(self, *keys: str) -> None:
        """Press keys as a hand does."""
        for key in keys:
            await asyncio.sleep(HAND)
            await asyncio.to_thread(self.window.press, key)

    async def type(self, number: str) -> None:
        """Type a number and look at each digit; then Enter."""
        for key in (*number, "Enter"):
            await asyncio.sleep(HAND)
            await asyncio.to_thread(self.window.press_and_see, key)

    async def paste(self, text: str) -> None:
        """Paste a text as terminals do."""
        self.window.tmux("set-buffer", "-b", "pasted", text)
        self.window.tmux("paste-buffer", "-p", "-d", "-b", "pasted")

    async def copied(self) -> str:
        """What the app put on the clipboard, once it is there."""
        await asyncio.to_thread(self.window.until, lambda: self.window.tmux("show-buffer").strip())
        return self.window.tmux("show-buffer").strip()


class Shop(NamedTuple):
    """The application that asks."""

    server: LiveServer
    tfa_id: int
    key: str

    async def asks(self, message: str) -> Any:
        """A new request, as the shop gets it."""
        return await ask(self.server, self.tfa_id, self.key, message=message)

    async def hears(self, request: Any) -> tuple[str, str]:
        """Status and reason, as the shop reads them."""
        state = await state_of(self.server, request, self.key)
        return state["status"], state["reason"]


def codes_now(token: Token) -> set[str]:
    """The token's codes around this second, by the standard."""
    now = step(int(time.time() * 1000), token.period)
    return {
        hotp(token.secret, now + at, token.digits, token.algorithm)  # type: ignore[arg-type]  # one of three names
        for at in (-1, 0, 1)
    }


async def first_start(ada: Person) -> None:
    """Three screens, then the way to a server."""
    await ada.sees("1 of 3", "Welcome to Placet")
    await ada.press("Enter")
    await ada.sees("2 of 3")
    for _ in range(2):
        ada.window.type(PASSPHRASE)
        await ada.press("Enter")
    await ada.sees("3 of 3", "Look around first")
    await ada.press("Enter")
    await ada.sees("Paste the text that the application shows")


async def enrol(ada: Person, shop: Shop, home: Path) -> Token:
    """Paste the invitation, compare six digits; gives the soft token that came with it."""
    invitation = await invite(shop.server, shop.tfa_id, shop.key)
    await ada.paste(invitation["uri"])
    await ada.sees("wants to be able to ask")
    await ada.press("Enter")
    await ada.sees("Compare these six digits", "Waiting for the confirmation")
    with Vault.open(Settings(home).vault, PASSPHRASE) as vault:
        check = {"check": vault.all(Enrollment)[0].check}
        token = vault.all(Token)[0]
    await ok(shop.server, "POST", f"/v1/enrollments/{invitation['id']}/confirm", check, key=shop.key)
    await ada.sees("✓ Enrolled", "Its codes are under Codes")
    await ada.press("Enter")
    await ada.sees("Nothing waits for you.", "connected")
    return token


async def approve_and_deny(ada: Person, shop: Shop) -> None:
    """One request is approved by its number, one was started by somebody else."""
    first = await shop.asks("Pay 1 EUR?")
    await ada.sees("Pay 1 EUR?", "1 Inbox  1")
    await ada.press("Enter")
    await ada.sees("There is one try")
    await ada.type(first["number"])
    await ada.sees("Approved by this device", "Nothing waits for you.")
    assert await shop.hears(first) == ("approved", "ok")
    second = await shop.asks("Sign in from a new computer?")
    await ada.sees("Sign in from a new computer?", "1 Inbox  1")
    await ada.press("Enter")
    await ada.sees("There is one try")
    await ada.press("d")
    await ada.sees("Why do you deny it?")
    await asyncio.sleep(READ_SECONDS)
    await ada.press("n")
    await ada.sees("Denied by this device", "Nothing waits for you.")
    assert await shop.hears(second) == ("denied", "not_me")


async def copy_and_move(ada: Person, token: Token, picture: Path) -> None:
    """The code is on the clipboard; its QR code on the screen makes the same token elsewhere."""
    await ada.press("2")
    await ada.sees("••• •••")
    await ada.press("Enter")
    assert await ada.copied() in codes_now(token)
    await ada.press("m")
    await ada.sees("Passphrase")
    ada.window.type(PASSPHRASE)
    await ada.press("Enter")
    await ada.sees("Scan it with")
    ada.window.until(lambda: zxing(drawn(ada.window.screen(), picture)))
    moved = otpauth.token(zxing(picture), token_id="moved", now=0)
    assert (moved.secret, moved.account) == (token.secret, token.account)
    await ada.press("Escape")
    await ada.sees("••• •••")


async def lock_and_unlock(ada: Person) -> None:
    """Neither screen nor clipboard has anything of the vault; all of it is there afterwards."""
    await ada.press("C-l")
    assert not re.search(r"•••|1 Inbox", await ada.sees("Placet is locked"))
    ada.window.until(lambda: not ada.window.tmux("show-buffer").strip())
    ada.window.type(PASSPHRASE)
    await ada.press("Enter")
    await ada.sees("Earlier", "Sign in from a new", "Pay 1 EUR?", "connected")


async def choose_light(ada: Person, home: Path) -> None:
    """By the palette; it is kept for the next start."""
    await ada.press("C-p")
    await ada.sees("Search for commands")
    ada.window.type("theme")
    await ada.sees("Dark, light or high contrast")
    await ada.press("Enter")
    await ada.sees("Search for themes")
    ada.window.type("light")
    await ada.press("Enter")
    ada.window.until(lambda: preferences.load(home).theme == "placet-light")


@pytest.mark.slow
async def test_a_day_at_the_terminal(tmp_path: Path) -> None:
    """First start, enrolment, approval, denial, a code copied and moved, lock, unlock, theme: one run, real keys."""
    async with live_server(tmp_path / "server") as server:
        key, user = await server.api_key(), await server.user()
        shop, home = Shop(server, user.tfa_id, key), tmp_path / "home"
        with terminal(tmp_path, [PLACET], PLACET_HOME=str(home)) as window:
            if WATCHED:
                print(f"\nWatch: tmux -S {tmp_path / 'tmux'} attach -r")
                await asyncio.sleep(10)
            ada = Person(window)
            await first_start(ada)
            token = await enrol(ada, shop, home)
            await approve_and_deny(ada, shop)
            await copy_and_move(ada, token, tmp_path / "pane.png")
            await lock_and_unlock(ada)
            await choose_light(ada, home)
            await ada.press("q")
            await ada.sees("ended 0")
