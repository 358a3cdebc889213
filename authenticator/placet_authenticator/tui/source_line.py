"""One line for what a person brings: the text of a URI, or a picture of a QR code pasted or dropped as a path."""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import unquote, urlsplit

from textual import work
from textual.message import Message
from textual.widgets import Input

from placet_authenticator.errors import ImportFailedError
from placet_authenticator.importing.otpauth import text_of
from placet_authenticator.tui.texts import said
from placet_protocol.otpauth import URI_LIMIT

PAUSE: Final = 0.15
"""Seconds without a key press after which the line is read."""
# A pasted URI is foreign text: nothing in it may move the cursor or turn the direction of writing.
DRAWABLE: Final = r"[^\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]*"


class SourceLine(Input):
    """Takes a URI or a path, where ``secrets`` says so also a secret alone.

    Posts ``Emptied`` at each change, then ``Read`` or ``Failed``.
    """

    class Emptied(Message):
        """What was read before counts no more."""

    class Read(Message):
        """The line is a URI or secret, or names a picture with this text in its QR code."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text: Final = text

    class Failed(Message):
        """The line is of no use; ``trouble`` says why, safe to draw."""

        def __init__(self, trouble: str) -> None:
            super().__init__()
            self.trouble: Final = trouble

    def __init__(self, placeholder: str, *, id: str, secrets: bool = False) -> None:  # noqa: A002  as all widgets
        super().__init__(placeholder=placeholder, id=id, restrict=DRAWABLE, max_length=URI_LIMIT)
        self._secrets = secrets

    def watch_value(self, value: str) -> None:
        """Read what is there now, once no more keys come."""
        self.post_message(self.Emptied())
        self._read(value.strip())

    @work(exclusive=True, group="source")
    async def _read(self, text: str) -> None:
        await asyncio.sleep(PAUSE)
        if not text:
            return
        try:
            found = await asyncio.to_thread(text_of, _plain(text), secrets=self._secrets)
        except ImportFailedError as error:
            self.post_message(self.Failed(said(error)))
        else:
            self.post_message(self.Read(found))


def _plain(text: str) -> str:
    """What was meant: terminals quote and escape files that are dropped on them, and people quote URIs as in a shell."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1]
    if text.startswith("file://"):
        return unquote(urlsplit(text).path)
    if "://" in text:
        return text
    return text.replace("\\ ", " ")
