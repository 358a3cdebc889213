"""What a call says, as TwiML: the text with its code spoken sign by sign, several times over."""

from __future__ import annotations

from typing import Final, NamedTuple
from xml.etree import ElementTree as ET

TWIML_MAX: Final = 4_000
"""Longest TwiML in characters that Twilio takes inside a call."""


class Voice(NamedTuple):
    """A voice of Twilio's ``<Say>`` and the language that it speaks."""

    voice: str
    language: str


VOICES: Final[dict[str, Voice]] = {
    "en-US.female": Voice("Polly.Joanna", "en-US"),
    "en-US.male": Voice("Polly.Matthew", "en-US"),
    "en-GB.female": Voice("Polly.Amy", "en-GB"),
    "en-GB.male": Voice("Polly.Brian", "en-GB"),
    "el-GR.female": Voice("Google.el-GR-Standard-B", "el-GR"),
    "el-GR.male": Voice("Google.el-GR-Chirp3-HD-Charon", "el-GR"),
    "pl-PL.female": Voice("Polly.Ewa", "pl-PL"),
    "pl-PL.male": Voice("Polly.Jacek", "pl-PL"),
    "hu-HU.female": Voice("Google.hu-HU-Standard-B", "hu-HU"),
    "hu-HU.male": Voice("Google.hu-HU-Chirp3-HD-Charon", "hu-HU"),
    "sv-SE.female": Voice("Polly.Astrid", "sv-SE"),
    "sv-SE.male": Voice("Google.sv-SE-Standard-D", "sv-SE"),
    "de-DE.female": Voice("Polly.Marlene", "de-DE"),
    "de-DE.male": Voice("Polly.Hans", "de-DE"),
    "es-ES.female": Voice("Polly.Conchita", "es-ES"),
    "es-ES.male": Voice("Polly.Enrique", "es-ES"),
    "es-LA.female": Voice("Polly.Mia", "es-MX"),
    "es-LA.male": Voice("Polly.Miguel", "es-US"),
    "fr-FR.female": Voice("Polly.Celine", "fr-FR"),
    "fr-FR.male": Voice("Polly.Mathieu", "fr-FR"),
    "it-IT.female": Voice("Polly.Carla", "it-IT"),
    "it-IT.male": Voice("Polly.Giorgio", "it-IT"),
    "pt-BR.female": Voice("Polly.Vitoria", "pt-BR"),
    "pt-BR.male": Voice("Polly.Ricardo", "pt-BR"),
    "ru-RU.female": Voice("Polly.Tatyana", "ru-RU"),
    "ru-RU.male": Voice("Polly.Maxim", "ru-RU"),
}
"""Twilio's voices by language and gender: those of Amazon Polly, and of Google where Polly has none."""


def spoken(text: str, code: str | None, voice: str, language: str, repeats: int) -> str:
    """A TwiML document that says the text ``repeats`` times, each sign of the code by itself with a pause behind it.

    It has at most 4,000 characters: of a text that is too long for that it says less often, and in the end once with the
    signs of the code in one piece.
    """
    for times in range(repeats, 0, -1):
        document = _document(text, code, voice, language, times, apart=True)
        if len(document) <= TWIML_MAX:
            return document
    return _document(text, code, voice, language, 1, apart=False)


def _document(text: str, code: str | None, voice: str, language: str, repeats: int, *, apart: bool) -> str:
    response = ET.Element("Response")
    ET.SubElement(response, "Pause", length="1")
    for turn in range(repeats):
        if turn:
            ET.SubElement(response, "Pause", length="1")
        _fill(ET.SubElement(response, "Say", voice=voice, language=language), text, code, apart=apart)
    return '<?xml version="1.0" encoding="UTF-8"?>' + ET.tostring(response, encoding="unicode")


def _fill(say: ET.Element, text: str, code: str | None, *, apart: bool) -> None:
    """Put a text into an element, the code in it spelled wherever it stands."""
    # A text for speech may have the signs apart already; pauses by commas differ from voice to voice.
    spaced = ", ".join(code or "")
    between = text.split(spaced if spaced and spaced in text else code) if code else [text]
    say.text = between[0]
    for after in between[1:]:
        last = say
        for piece in (code or "") if apart else (code,):
            ET.SubElement(say, "say-as", {"interpret-as": "characters"}).text = piece
            last = ET.SubElement(say, "break", time="400ms")
            # Some of Google's voices do without the tags: then no sign joins the next to a number.
            last.tail = " "
        last.tail = after
