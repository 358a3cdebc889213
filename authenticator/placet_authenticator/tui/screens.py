"""Which screen does which job. Each is loaded when it is first shown, and gets what it stands on as arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.screen import Screen

if TYPE_CHECKING:
    from placet_authenticator.inbox import Ended, Entry, Notice
    from placet_authenticator.tui.app import PlacetApp


def opening(_: PlacetApp) -> Screen[Any]:
    """What is shown while the vault opens with a passphrase that nobody types."""
    from placet_authenticator.tui.opening_screen import OpeningScreen

    return OpeningScreen()


def unlock(app: PlacetApp) -> Screen[Any]:
    """Asks for the passphrase of the vault that there is."""
    from placet_authenticator.tui.unlock_screen import UnlockScreen

    return UnlockScreen(app.unlock)


def onboarding(app: PlacetApp) -> Screen[Any]:
    """The first start: there is no vault yet."""
    from placet_authenticator.tui.onboarding_screen import OnboardingScreen

    return OnboardingScreen(app.create)


def inbox(app: PlacetApp) -> Screen[Any]:
    """What waits for an answer, and what was answered."""
    from placet_authenticator.tui.inbox_screen import InboxScreen

    return InboxScreen(app.device)


def approval(app: PlacetApp, entry: Entry) -> Screen[Any]:
    """One request, whole, and the answer to it."""
    from placet_authenticator.tui.approval_screen import ApprovalScreen

    return ApprovalScreen(entry, app.moment_of)


def past(_: PlacetApp, ended: Ended) -> Screen[Any]:
    """One request of the history."""
    from placet_authenticator.tui.past_screen import PastScreen

    return PastScreen(ended, signed=ended.by == "this device")


def notice(_: PlacetApp, told: Notice, server: str) -> Screen[Any]:
    """Something that a server told."""
    from placet_authenticator.tui.notice_screen import NoticeScreen

    return NoticeScreen(told, server)


def codes(app: PlacetApp) -> Screen[Any]:
    """Codes of soft tokens."""
    from placet_authenticator.tui.clipboard import Clipboard
    from placet_authenticator.tui.tokens_screen import TokensScreen

    return TokensScreen(app.device, Clipboard(app), app.clock)


def servers(app: PlacetApp) -> Screen[Any]:
    """Servers on which this is a device, and how each is reached."""
    from placet_authenticator.tui.servers_screen import ServersScreen

    return ServersScreen(app.device, app.clock, app.refresh_inbox)


def enroll(app: PlacetApp) -> Screen[Any]:
    """Become a device on a server."""
    from placet_authenticator.tui.enroll_screen import EnrollScreen

    return EnrollScreen(app.device, app.refresh_inbox)


def help_(app: PlacetApp) -> Screen[Any]:
    """The keys of the screen below."""
    from placet_authenticator.tui.help_screen import HelpScreen

    return HelpScreen(app.screen.active_bindings)
