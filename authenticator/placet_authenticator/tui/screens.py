"""Which screen does which job. Each is loaded when it is first shown, and gets what it stands on as arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.screen import Screen

if TYPE_CHECKING:
    from placet_authenticator.inbox import Ended, Entry, Notice
    from placet_authenticator.records import Token
    from placet_authenticator.tui.host import Host


def opening(_: Host) -> Screen[Any]:
    """What is shown while the vault opens with a passphrase that nobody types."""
    from placet_authenticator.tui.opening_screen import OpeningScreen

    return OpeningScreen()


def unlock(host: Host) -> Screen[Any]:
    """Asks for the passphrase of the vault that there is."""
    from placet_authenticator.tui.unlock_screen import UnlockScreen

    return UnlockScreen(host.unlock)


def ask_again(shown: Screen[Any]) -> None:
    """Let a screen that took the passphrase take it once more."""
    from placet_authenticator.tui.unlock_screen import UnlockScreen

    if isinstance(shown, UnlockScreen):
        shown.ask_again()


def onboarding(host: Host) -> Screen[Any]:
    """The first start: there is no vault yet."""
    from placet_authenticator.tui.onboarding_screen import OnboardingScreen

    return OnboardingScreen(host.create)


def inbox(host: Host) -> Screen[Any]:
    """What waits for an answer, and what was answered."""
    from placet_authenticator.tui.inbox_screen import InboxScreen

    return InboxScreen(host.device)


def approval(host: Host, entry: Entry) -> Screen[Any]:
    """One request, whole, and the answer to it."""
    from placet_authenticator.tui.approval_screen import ApprovalScreen

    return ApprovalScreen(entry, host.moment_of)


def past(_: Host, ended: Ended) -> Screen[Any]:
    """One request of the history."""
    from placet_authenticator.tui.past_screen import PastScreen

    return PastScreen(ended, signed=ended.by == "this device")


def notice(_: Host, told: Notice, server: str) -> Screen[Any]:
    """Something that a server told."""
    from placet_authenticator.tui.notice_screen import NoticeScreen

    return NoticeScreen(told, server)


def codes(host: Host) -> Screen[Any]:
    """Codes of soft tokens."""
    from placet_authenticator.tui.tokens_screen import TokensScreen

    return TokensScreen(host.device, host.copies, host.clock)


def transfer(host: Host, token: Token) -> Screen[Any]:
    """A soft token's secret, for another authenticator."""
    from placet_authenticator.tui.transfer_screen import TransferScreen

    return TransferScreen(token, host.prove if host.attended else None, host.copies)


def servers(host: Host) -> Screen[Any]:
    """Servers on which this is a device, and how each is reached."""
    from placet_authenticator.tui.servers_screen import ServersScreen

    return ServersScreen(host.device, host.clock, host.refresh_inbox)


def enroll(host: Host) -> Screen[Any]:
    """Become a device on a server."""
    from placet_authenticator.tui.enroll_screen import EnrollScreen

    return EnrollScreen(host.device, host.refresh_inbox)


def help_(below: Screen[Any]) -> Screen[Any]:
    """The keys of the screen below."""
    from placet_authenticator.tui.help_screen import HelpScreen

    return HelpScreen(below.active_bindings)
