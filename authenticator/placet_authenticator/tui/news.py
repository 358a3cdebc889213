"""What is new between two states of the inbox."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from placet_authenticator.tui.messages import NoticeCame, RequestArrived, RequestEnded

if TYPE_CHECKING:
    from placet_authenticator.inbox import Inbox


def news(before: Inbox, after: Inbox) -> Iterator[NoticeCame | RequestArrived | RequestEnded]:
    """Notices that came, requests that came, and requests that wait no more."""
    for notice in after.notices:
        if notice not in before.notices:
            yield NoticeCame(notice)
    if before.pending == after.pending and before.history == after.history:
        return
    waited = {entry.key for entry in before.pending}
    past = {each.entry.key for each in before.history}
    for entry in after.pending:
        if entry.key not in waited | past:
            yield RequestArrived(entry)
    for each in after.history:
        if each.entry.key in waited:
            yield RequestEnded(each)
