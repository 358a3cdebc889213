"""The authenticator's app as a person finds it: on a vault with these records, driven by keys."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from textual.events import Paste
from textual.pilot import Pilot

from placet_authenticator.authenticator import Authenticator
from placet_authenticator.link import Link
from placet_authenticator.records import Record, Token
from placet_authenticator.settings import Settings
from placet_authenticator.tui.app import PlacetApp
from placet_authenticator.vault import QUICK, Vault, exists
from support.persons import FAST, PASSPHRASE
from support.snapshots import screen_text

NOW = 1_800_000_012_000
"""12 s into a step of 30 s, 12 s into one of 60 s."""


def nowhere(_: Authenticator) -> Sequence[Link]:
    """No line to any server."""
    return ()


def fast(device: Authenticator) -> Sequence[Link]:
    """Lines that lose no time."""
    origins = {each.origin for each in device.enrollments}
    return [
        Link(
            device.calls(origin),
            [each for each in device.enrollments if each.origin == origin],
            clock=lambda: NOW,
            pace=FAST,
        )
        for origin in sorted(origins)
    ]


def token(
    issuer: str,
    account: str,
    *,
    algorithm: str = "SHA1",
    digits: int = 6,
    period: int = 30,
    secret: bytes = b"",
) -> Token:
    """A soft token whose secret follows from its name."""
    name = f"{issuer}:{account}".encode()
    made = secret or (name * 20)[:20]
    return Token(
        hashlib.sha256(name).hexdigest()[:16],
        issuer,
        account,
        made,
        algorithm,
        digits,
        period,
        created_at=NOW,
    )


@asynccontextmanager
async def running(
    home: Path,
    *records: Record,
    size: tuple[int, int] = (80, 24),
    clock: Callable[[], int] = lambda: NOW,
    links: Callable[[Authenticator], Sequence[Link]] = nowhere,
) -> AsyncIterator[tuple[PlacetApp, Pilot[None]]]:
    """The app, unlocked, on the vault in ``home`` (made when there is none) that holds these records, too."""
    settings = Settings(home)
    if not exists(settings.vault):
        Vault.create(settings.vault, PASSPHRASE, profile=QUICK).close()
    with Vault.open(settings.vault, PASSPHRASE) as vault:
        vault.put(*records)
    app = PlacetApp(settings, clock=clock, links=links)
    async with app.run_test(size=size, notifications=True) as pilot:
        await app.unlock(PASSPHRASE)
        await until(pilot, lambda: app.current_mode == "inbox")
        yield app, pilot


async def until(pilot: Pilot[None], condition: Callable[[], object], seconds: float = 30) -> None:
    """Wait until something is true on the screen."""
    async with asyncio.timeout(seconds):
        while not condition():
            await pilot.pause(0.01)
    await pilot.pause()


async def paste(app: PlacetApp, pilot: Pilot[None], text: str) -> None:
    """Paste a text where the keys go."""
    assert app.focused
    app.focused.post_message(Paste(text))
    await pilot.pause()


async def shows(app: PlacetApp, pilot: Pilot[None], *words: str) -> None:
    """Wait until all these words stand on the screen, wherever their lines are broken."""
    try:
        await until(pilot, lambda: all(each in _flowing(app) for each in words))
    except TimeoutError:
        raise AssertionError(f"{words} did not come:\n{screen_text(app)}") from None


def _flowing(app: PlacetApp) -> str:
    return " ".join(screen_text(app).replace("▌", " ").split())
