"""What can be wrong with a document, a message or a text, as a tree.

::

    ProtocolError
    ├── MalformedError        not the documented form: encoding, JSON, members, types, sizes, lengths
    │   └── TextError         a character that a person must not be shown
    ├── WrongTypeError        another kind of document, another algorithm, or a header that may not be there
    ├── BadSignatureError     the signature is not that key's over those bytes
    ├── WrongAudienceError    made by or for somebody else
    ├── StaleError            the nonce is not a current one
    ├── MismatchError         good by themselves, but these documents do not belong together
    ├── UnopenableError       a sealed message does not open with this key
    └── OutOfTurnError        a socket frame that may not come now
"""

from __future__ import annotations

from typing import Final


class ProtocolError(Exception):
    """Something from the other end cannot be taken. ``detail`` is a sentence without secrets."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail: Final = detail


class MalformedError(ProtocolError):
    """The input does not have the documented form."""


class TextError(MalformedError):
    """A text holds a character that may not be shown: ``char`` as ``U+202E``, ``place`` counted from 1."""

    def __init__(self, char: str, place: int) -> None:
        super().__init__(f"character {place} is {char}, which may not be shown to a person")
        self.char: Final = char
        self.place: Final = place


class WrongTypeError(ProtocolError):
    """The document is of another type, or its header asks for what is not allowed."""


class BadSignatureError(ProtocolError):
    """The signature is not that key's over those bytes."""


class WrongAudienceError(ProtocolError):
    """The document was made by or for another party, call or enrolment."""


class StaleError(ProtocolError):
    """The call proof carries no current nonce: get a fresh one and sign again."""


class MismatchError(ProtocolError):
    """Each document is good, but together they do not prove what is claimed."""


class UnopenableError(ProtocolError):
    """A sealed message was changed, cut or sealed to another key."""


class OutOfTurnError(ProtocolError):
    """The conversation does not allow this frame now."""
