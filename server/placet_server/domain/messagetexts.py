"""What a plain message may say, and when: checked before anything is written."""

from __future__ import annotations

from typing import Final

import msgspec

from placet_protocol.errors import TextError
from placet_protocol.text import clean
from placet_server.domain.mail import MessageDraft
from placet_server.domain.refusals import RefusedError
from placet_server.domain.texts import Text
from placet_server.ports import Channel

AHEAD_MS: Final = 90 * 86_400_000
_SUBJECT_MAX: Final = 200


def checked(draft: MessageDraft, channels: tuple[Channel, ...], now: int) -> MessageDraft:
    """The draft with clean texts for its channels; raises ``invalid_text`` and ``invalid_request``."""
    if draft.send_at is not None and not now <= draft.send_at <= now + AHEAD_MS:
        raise RefusedError("invalid_request", "send_at lies in the next 90 days.")
    if draft.expires_at <= (draft.send_at or now):
        raise RefusedError("invalid_request", "The message is over before it is sent.")
    texts: dict[Channel, Text] = {}
    for channel in channels:
        text = draft.texts.get(channel)
        if text is None:
            raise RefusedError("invalid_request", f"There is no text for {channel}.")
        texts[channel] = _cleaned(text)
    return msgspec.structs.replace(draft, channels=channels, texts=texts)


def _cleaned(text: Text) -> Text:
    """A text without control characters, its subject on one line; raises ``invalid_text``."""
    try:
        body = clean(text.text.replace("\r\n", "\n"), newline=True)
        subject = None if text.subject is None else clean(text.subject)[:_SUBJECT_MAX]
    except TextError as error:
        raise RefusedError("invalid_text", f"text: {error.detail}") from None
    return Text(body, subject, text.html)
