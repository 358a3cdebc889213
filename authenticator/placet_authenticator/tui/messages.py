"""What has happened, as workers and screens say it and the app hears it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual.message import Message
from textual.message_pump import MessagePump

from placet_authenticator.errors import AuthenticatorError
from placet_authenticator.inbox import Ended, Entry, Event, Notice
from placet_authenticator.records import Token

if TYPE_CHECKING:
    from placet_authenticator.deciding import Answer


class Heard(Message):
    """A server said something. ``absorbed`` tells whether it was kept: only then may it be acknowledged."""

    def __init__(self, event: Event) -> None:
        super().__init__()
        self.event = event
        self.absorbed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()


class RequestArrived(Message):
    """A new request waits."""

    def __init__(self, entry: Entry) -> None:
        super().__init__()
        self.entry = entry


class RequestEnded(Message):
    """A request waits no more: answered here or elsewhere, withdrawn, or its time is over."""

    def __init__(self, ended: Ended) -> None:
        super().__init__()
        self.ended = ended


class RequestOpened(Message):
    """The person chose a request to look at."""

    def __init__(self, entry: Entry) -> None:
        super().__init__()
        self.entry = entry


class PastOpened(Message):
    """The person chose a request of the history."""

    def __init__(self, ended: Ended) -> None:
        super().__init__()
        self.ended = ended


class NoticeOpened(Message):
    """The person chose something that a server told."""

    def __init__(self, notice: Notice, server: str) -> None:
        super().__init__()
        self.notice = notice
        self.server = server


class NoticeCame(Message):
    """A server has something to tell."""

    def __init__(self, notice: Notice) -> None:
        super().__init__()
        self.notice = notice


class AnswerGiven(Message):
    """The person answered; ``asker`` gets ``AnswerFailed`` if the answer does not get through."""

    def __init__(self, asker: MessagePump, entry: Entry, answer: Answer) -> None:
        super().__init__()
        self.asker = asker
        self.entry = entry
        self.answer = answer


class AnswerFailed(Message):
    """An answer did not get through, or was not taken."""

    def __init__(self, entry: Entry, error: AuthenticatorError) -> None:
        super().__init__()
        self.entry = entry
        self.error = error


class TransferWanted(Message):
    """The person wants to take a soft token to another authenticator."""

    def __init__(self, token: Token) -> None:
        super().__init__()
        self.token = token
