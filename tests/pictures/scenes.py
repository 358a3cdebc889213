"""What is shown on each picture: records of a vault, and the keys that lead to the screen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from textual.widgets import Input

from placet_authenticator.enrolling import Enrolled
from placet_authenticator.inbox import Connected, Lost
from placet_authenticator.records import Enrollment, Record
from placet_authenticator.tui.enroll_screen import EnrollScreen
from placet_authenticator.tui.onboarding_screen import OnboardingScreen
from support import parties
from support.apps import paste, token
from support.desks import BEGIN, Desk, enrollment, usual_vault
from support.persons import PASSPHRASE

SECOND_ORIGIN = "https://placet.shop.example"
INVITATION = f"https://placet.acme.example/e/Zk3v9Q#t={'A' * 43}&k={'A' * 43}&n=Acme%20Pay"
CODES = [
    token("Acme Pay", "ada@example.com"),
    token("Bank of Utrecht", "NL91 4300", algorithm="SHA256", period=60),
    token("GitHub", "ada"),
    token("Mail", "ada@mail.example"),
    token("Northwind", "a.lovelace@northwind.example", digits=8),
    token("", "backup server root"),
]
SINCE = BEGIN - 40 * 86_400_000
ACME = enrollment(device_name="Ada's laptop", created_at=SINCE)
SHOP = enrollment(
    id="second", origin=SECOND_ORIGIN, name="Corner Shop", device_name="Ada's laptop", created_at=SINCE
)


class Scene(NamedTuple):
    """A picture: its name, what the vault holds, and what the person does."""

    name: str
    records: Sequence[Record]
    play: Callable[[Desk], Awaitable[None]]


def keys(*pressed: str) -> Callable[[Desk], Awaitable[None]]:
    """Press these keys."""

    async def play(here: Desk) -> None:
        await here.press(*pressed)

    return play


async def first_start(here: Desk) -> None:
    """The first of the three steps."""
    await here.app.lock()  # as before there is a vault
    await here.app.push_screen(OnboardingScreen(here.app.create))


async def first_passphrase(here: Desk) -> None:
    """The second of the three steps."""
    await first_start(here)
    await here.press("enter")
    for place in ("#first", "#again"):
        here.app.screen.query_one(place, Input).value = PASSPHRASE


async def first_choice(here: Desk) -> None:
    """The last of the three steps."""
    await first_passphrase(here)
    here.app.screen.query_one("#again", Input).focus()
    await here.press("enter")


async def invited(here: Desk) -> None:
    """An invitation was pasted."""
    await here.press("e")
    await paste(here.app, here.pilot, INVITATION)
    await here.until(lambda: not here.app.screen.query_one("#enroll").disabled)
    here.app.screen.query_one("#name", Input).value = "Ada's laptop"


async def compared(here: Desk) -> None:
    """The six digits, while the other side has not confirmed them."""

    async def never(_: Enrollment) -> bool:
        await asyncio.Event().wait()
        return True

    await invited(here)
    here.app.device.confirmed = never  # type: ignore[method-assign,assignment]  # there is no server to ask
    here.app.screen.post_message(
        EnrollScreen.Redeemed(Enrolled(enrollment(active=False, check="483920"), None))
    )
    await here.pilot.pause()


async def moving(here: Desk) -> None:
    """The code of a token that goes to another authenticator, after the passphrase was typed."""
    await here.press("2", "m")
    here.app.screen.query_one("#passphrase", Input).value = PASSPHRASE
    await here.press("enter")
    await here.until(lambda: here.shows("Goes away within 2 min."))


async def adding(here: Desk) -> None:
    """A token of a site that chose a short secret."""
    await here.press("2", "a")
    await paste(
        here.app, here.pilot, "otpauth://totp/Old%20Forum:ada?secret=JBSWY3DPEHPK3PXP&issuer=Old%20Forum"
    )
    await here.until(lambda: not here.app.screen.query_one("#add").disabled)


async def typing(here: Desk) -> None:
    """A request that was read, and two of three digits."""
    await here.press("enter")
    await here.pilot.pause(1.2)  # its keys are dead in the first second
    here.hand.wait()
    await here.press("4")
    await here.press("8")


async def two_servers(here: Desk) -> None:
    """One that is connected, one that does not answer."""
    here.app.device.absorb(Connected(parties.ORIGIN, "socket", BEGIN))
    here.app.device.absorb(Connected(SECOND_ORIGIN, "socket", BEGIN))
    here.clock.now += 250_000
    here.app.device.absorb(Connected(parties.ORIGIN, "socket", BEGIN + 248_000))
    here.app.device.absorb(Lost(SECOND_ORIGIN, "the connection was refused"))
    here.app.refresh_inbox()
    await here.press("3")


async def leaving(here: Desk) -> None:
    """The question before a device is given up."""
    await two_servers(here)
    await here.press("d")


async def locked(here: Desk) -> None:
    """The lock."""
    await here.app.lock()
    await here.pilot.pause()


USUAL = usual_vault()
SCENES = (
    Scene("welcome", (), first_start),
    Scene("passphrase", (), first_passphrase),
    Scene("begin", (), first_choice),
    Scene("enrol", (), invited),
    Scene("compare", (), compared),
    Scene("inbox", USUAL, keys()),
    Scene("request", USUAL, typing),
    Scene("codes", [ACME, *CODES], keys("2", "down", "space")),
    Scene("search", [ACME, *CODES], keys("2", "slash", "a", "d", "a")),
    Scene("move-code", [ACME, *CODES], moving),
    Scene("add-code", [ACME, *CODES], adding),
    Scene("servers", [ACME, SHOP], two_servers),
    Scene("leave", [ACME, SHOP], leaving),
    Scene("help", [ACME, *CODES], keys("2", "question_mark")),
    Scene("locked", [ACME], locked),
)
