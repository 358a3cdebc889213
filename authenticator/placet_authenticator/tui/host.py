"""The app as its screens see it: what they show, and what they may ask it for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from textual import events

    from placet_authenticator.authenticator import Authenticator
    from placet_authenticator.inbox import Inbox
    from placet_authenticator.tui.clipboard import Clipboard


class Host(Protocol):
    """Screens stand on this and not on the app, which stands on them. ``inbox`` and ``now`` may be watched."""

    @property
    def clock(self) -> Callable[[], int]:
        """Gives the time in ms UTC."""

    @property
    def moment_of(self) -> Callable[[events.Event], float]:
        """Gives the seconds at which a key was pressed, on a clock that only goes forward."""

    @property
    def copies(self) -> Clipboard:
        """Where codes are copied to."""

    @property
    def inbox(self) -> Inbox:
        """What the person sees of all servers."""

    @property
    def now(self) -> int:
        """The time in ms UTC, moved on each second."""

    @property
    def locked(self) -> bool:
        """Whether the vault is closed."""

    @property
    def attended(self) -> bool:
        """Whether a person typed the passphrase that opened the vault."""

    @property
    def current_mode(self) -> str:
        """The place that is shown: ``inbox``, ``codes``, ``servers`` or ``entrance``."""

    @property
    def device(self) -> Authenticator:
        """The open authenticator; only screens that are shown while it is open may ask."""

    async def unlock(self, passphrase: str) -> None:
        """Open the vault and show the inbox. Raises ``PassphraseError`` and ``VaultError``."""

    async def create(self, passphrase: str) -> None:
        """Make the vault and show the inbox. Raises ``VaultError`` if there is one already."""

    async def prove(self, passphrase: str) -> None:
        """Raise ``PassphraseError`` unless this is the vault's passphrase; the vault stays open either way."""

    def refresh_inbox(self) -> None:
        """Show what the authenticator knows now; to be called after an enrolment or a leave."""

    def follow(self) -> None:
        """Connect to all servers anew, at once."""
