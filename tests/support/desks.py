"""A person before the app: a made-up vault, a clock that is set by hand, and a hand whose keys take time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from textual import events
from textual.pilot import Pilot

from placet_authenticator import running
from placet_authenticator.authenticator import Authenticator, _record_id
from placet_authenticator.deciding import Answer
from placet_authenticator.inbox import Connected, Entry, Event, opened
from placet_authenticator.items import place_of
from placet_authenticator.link import Link
from placet_authenticator.records import By, Enrollment, Held, Outcome, Past, Record, Told
from placet_authenticator.settings import Settings
from placet_authenticator.tui.app import PlacetApp
from placet_authenticator.tui.messages import AnswerGiven, Heard
from placet_authenticator.vault import QUICK, Vault
from placet_protocol.documents import Context, RelyingParty
from placet_protocol.jose import public_key_bytes
from support import parties
from support.persons import FAST, PASSPHRASE
from support.snapshots import screen_text

BEGIN = (parties.BEGUN + 112) * 1000
_BARS = str.maketrans("▌█", "  ")


def nowhere(_: Authenticator) -> Sequence[Link]:
    """No line to any server."""
    return ()


def quick(device: Authenticator) -> Sequence[Link]:
    """Lines that lose no time."""
    origins = sorted({each.origin for each in device.enrollments})
    return [
        Link(
            device.calls(origin),
            [each for each in device.enrollments if each.origin == origin],
            clock=running.now,
            pace=FAST,
        )
        for origin in origins
    ]


class Hand:
    """Says when a key was pressed: each ``pace`` seconds after the one before, however fast the test is."""

    def __init__(self, pace: float = 0.2) -> None:
        self.pace = pace
        self.at = 100.0

    def __call__(self, event: events.Event) -> float:
        """The moment of an event."""
        if isinstance(event, events.Key):
            self.at += self.pace
        return self.at

    def wait(self, seconds: float = 1.5) -> None:
        """The next key comes so much later."""
        self.at += seconds


class Clock:
    """Shows the time in ms UTC that it was set to."""

    def __init__(self, now: int = BEGIN) -> None:
        self.now = now

    def __call__(self) -> int:
        """The time."""
        return self.now


class Desk(NamedTuple):
    """A running app and those who use it."""

    app: PlacetApp
    pilot: Pilot[None]
    hand: Hand
    clock: Clock

    async def press(self, *keys: str) -> None:
        """Press these keys, one after the other."""
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def mash(self, *keys: str) -> None:
        """Press these keys without looking up."""
        for key in keys:
            self.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await self.pilot.pause()

    async def hear(self, *said: Event) -> None:
        """Let a server say this."""
        for event in said:
            self.app.post_message(Heard(event))
        await self.pilot.pause()

    async def until(self, true: Callable[[], object], seconds: float = 20) -> None:
        """Wait for what the app does by itself."""
        async with asyncio.timeout(seconds):
            while not true():
                await self.pilot.pause(0.01)

    def shows(self, words: str) -> bool:
        """Whether these words are on the screen, however they are broken into lines."""
        return " ".join(words.split()) in " ".join(screen_text(self.app).translate(_BARS).split())

    def toasts(self) -> list[str]:
        """Title and words of what is shown for a while, the newest last."""
        return [f"{each.title}: {each.message}" for each in self.app._notifications]

    async def pass_seconds(self, seconds: int) -> None:
        """Let time pass on the clock."""
        self.clock.now += seconds * 1000
        await self.app._tick()
        await self.pilot.pause()


def enrollment(**changes: Any) -> Enrollment:
    """This person's device on the made-up server."""
    good: dict[str, Any] = {
        "id": parties.DEVICE,
        "origin": parties.ORIGIN,
        "pinned": parties.SERVER_KID,
        "server_key": public_key_bytes(parties.SERVER_KEY.public_key()),
        "name": "Acme",
        "user": parties.USER,
        "org": "default",
        "device_name": "laptop",
        "thumbprint": parties.DEVICE_KID,
        "signing_secret": b"\x01" * 32,
        "push_secret": b"\x02" * 32,
        "push_auth": b"\x03" * 16,
        "certificate": "",
        "check": "123456",
        "active": True,
        "created_at": 0,
    }
    return Enrollment(**good | changes)


def document(**changes: Any) -> str:
    """A request as the made-up server signs it."""
    return parties.request_document(**changes)


def entry(**changes: Any) -> Entry:
    """The same, opened."""
    return opened(place_of(enrollment()), document(**changes))


def held(**changes: Any) -> Held:
    """A request that waits in the vault."""
    waiting = entry(**changes)
    return Held(_record_id(*waiting.key), parties.DEVICE, waiting.document, BEGIN)


def past(outcome: Outcome, by: By, minutes: int, reason: str = "", **changes: Any) -> Past:
    """A request that ended so many minutes ago."""
    over = entry(**{"rid": f"past-{minutes}", **changes})
    at = BEGIN - minutes * 60_000
    return Past(_record_id(*over.key), parties.DEVICE, over.document, outcome, by, reason, at)


def usual_vault() -> list[Record]:
    """What a person may have: two requests that wait, some history, a notice."""
    shop = RelyingParty("app-2", "Corner Shop")
    bank = RelyingParty("app-3", "First Bank of Nowhere")
    return [
        enrollment(),
        held(ctx=Context("192.0.2.7", "Vienna, Austria", "Firefox 132 on Linux")),
        held(
            rid="0190c1f1-ffff",
            rp=bank,
            iat=parties.BEGUN + 20,
            exp=parties.BEGUN + 170,
            msg="Transfer 12,500.00 € to Nordwind Immobilien GmbH?\nRent for October, reference 2025-10-4711",
        ),
        past("approved", "this device", 3, "ok", msg="Sign in to the staff portal?"),
        past(
            "denied", "another device", 31, "not_me", rp=shop, msg="Log in from a new browser in Reykjavik?"
        ),
        past("expired", "time", 60, msg="Pay 9.99 € to Kiosk?"),
        past("approved", "another device", 1500, "ok", rp=shop, msg="Pay 42.00 € for order 1007?"),
        past("cancelled", "the application", 1600, rp=bank, msg="Change your address?"),
        Told(
            "n1",
            parties.ORIGIN,
            "n1",
            "device_added",
            'The device "phone" was added for you.',
            BEGIN - 600_000,
        ),
    ]


@asynccontextmanager
async def desk(
    home: Path,
    records: Sequence[Record] = (),
    *,
    size: tuple[int, int] = (80, 24),
    connected: bool = True,
    links: Callable[[Authenticator], Sequence[Link]] = nowhere,
    clock: Callable[[], int] | None = None,
) -> AsyncIterator[Desk]:
    """The app on a vault with these records, unlocked; no server is followed unless ``links`` says so."""
    settings = Settings(home)
    if not settings.vault.exists():
        with Vault.create(settings.vault, PASSPHRASE, profile=QUICK) as vault:
            vault.put(*records)
    hand, hands = Hand(), Clock()
    app = PlacetApp(settings, clock=clock or hands, links=links, moment_of=hand)
    async with asyncio.timeout(60), app.run_test(size=size) as pilot:
        await app.unlock(PASSPHRASE)
        await pilot.pause()
        here = Desk(app, pilot, hand, hands)
        if connected:
            await here.hear(Connected(parties.ORIGIN, "socket", hands.now))
        yield here


async def look(here: Desk) -> None:
    """Open the request under the cursor and wait until keys are alive."""
    await here.press("enter")
    here.hand.wait()


def answers_kept(monkeypatch: pytest.MonkeyPatch) -> list[Answer]:
    """Answers as they leave the screen; none is sent."""
    answers: list[Answer] = []

    async def note(_: object, message: AnswerGiven) -> None:
        answers.append(message.answer)

    monkeypatch.setattr("placet_authenticator.tui.app.PlacetApp._answer", note)
    return answers
