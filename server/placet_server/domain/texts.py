"""What a message says: templates filled in, by channel and language."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from html import escape
from typing import Final

from msgspec import Struct

from placet_server.domain.segments import ONE_GSM, ONE_UCS2, folded, is_gsm, size
from placet_server.domain.words import WORDS
from placet_server.ports import Channel

LANGUAGES: Final = tuple(WORDS)
DEFAULT_LANGUAGE: Final = "en-US"
TEXT_MAX: Final = 1224
"""Characters of a text message, eight GSM parts."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SHORT: Final = "{app}: {code}"
_NAME_MIN: Final = 8
"""Characters of a name below which nobody knows who is meant."""
_PLACE: Final = re.compile(r"\{(code|minutes|hh:mm:ss|app)\}")


class Text(Struct, frozen=True, array_like=True, omit_defaults=True):
    """What one channel carries; e-mails have a subject and perhaps HTML beside the text."""

    text: str
    subject: str | None = None
    html: str | None = None


class Facts(Struct, frozen=True):
    """What places in a template stand for; times in ms UTC."""

    code: str
    app: str
    now: int
    expires_at: int


@lru_cache(256)
def language(tag: str, default: str = DEFAULT_LANGUAGE) -> str:
    """The nearest language that there are words for: ``ES_la`` is es-LA, ``fr`` is fr-FR; else the default."""
    wanted = tag.strip().replace("_", "-").lower()
    for known in LANGUAGES:
        if known.lower() == wanted:
            return known
    short = wanted.partition("-")[0]
    return next((known for known in LANGUAGES if known.partition("-")[0] == short), default)


def render(template: str, facts: Facts, *, spoken: bool = False) -> str:
    """A template with its places filled: ``{code}``, ``{minutes}`` left, ``{hh:mm:ss}`` of the end in UTC, ``{app}``.

    Without ``{code}`` the code follows at the end. Spoken, its characters stand apart. What is longer than 1,224
    characters is cut so that the code stays.
    """
    code = ", ".join(facts.code) if spoken else facts.code
    if "{code}" not in template:
        template += "{code}" if template[-1:].isspace() or not template else " {code}"
    text = _filled(template, code, facts.app, facts)
    if len(text) <= TEXT_MAX:
        return text
    cut = text[:TEXT_MAX]
    return cut if code in cut else f"{text[: TEXT_MAX - len(code) - 1]} {code}"


def code_texts(
    channels: tuple[Channel, ...],
    facts: Facts,
    *,
    tag: str = DEFAULT_LANGUAGE,
    template: str | None = None,
    subject: str | None = None,
    origin: str = "",
) -> dict[Channel, Text]:
    """The texts of a code for these channels: of the caller's template, or of the language's own words.

    With ``origin`` a text message ends with the line ``@origin #code`` (WICG origin-bound one-time codes).
    """
    words = WORDS[tag]
    last = f"\n@{origin} #{facts.code}" if origin else ""
    made: dict[Channel, Text] = {}
    for channel in channels:
        if channel == "voice":
            made[channel] = Text(render(template or words.speech, facts, spoken=True))
        elif channel == "email":
            body = render(template or words.mail, facts)
            title = _filled(subject or words.subject, facts.code, facts.app, facts)
            made[channel] = Text(body, " ".join(title.split()), html(body, facts.code, tag))
        elif channel == "sms":
            text = _one_part(words.text, facts, last) if template is None else render(template, facts) + last
            made[channel] = Text(text)
        else:
            made[channel] = Text(render(template or words.text, facts))
    return made


def html(body: str, code: str, tag: str = "") -> str:
    """A plain HTML page of an e-mail's text in the language of the tag, its code large where it stands alone."""
    paragraphs = []
    for paragraph in body.split("\n\n"):
        style = ' style="font:bold 28px monospace;letter-spacing:4px"' if paragraph == code else ""
        paragraphs.append(f"<p{style}>{escape(paragraph).replace(chr(10), '<br>')}</p>")
    language = f' lang="{escape(tag)}"' if tag else ""
    return f"<!DOCTYPE html><html{language}><body>{''.join(paragraphs)}</body></html>"


def _one_part(template: str, facts: Facts, last: str) -> str:
    """The text in one part: the application's name gives way, and where there is no room for words, they do."""
    template, app = _fitted(template, facts.app, size(facts.code + last)[0] + len(_minutes(facts)))
    return _filled(template, facts.code, app, facts) + last


@lru_cache(1024)
def _fitted(template: str, app: str, others: int) -> tuple[str, str]:
    """A template and as much of a name as fit beside so many other characters; the name may cost no second alphabet."""
    fixed = _PLACE.sub("", template)
    gsm = is_gsm(fixed)
    if gsm and folded(app).strip():
        app = folded(app)
    elif gsm:  # a name in other letters: better it alone in their alphabet than words without a name
        template, gsm, fixed = _SHORT, False, _PLACE.sub("", _SHORT)
    one = ONE_GSM if gsm else ONE_UCS2
    room = one - size(fixed)[0] - others
    if room < min(len(app), _NAME_MIN):
        template, room = _SHORT, one - len(_PLACE.sub("", _SHORT)) - others
    while app and size(app)[0] > room:
        app = app[:-1]
    return template, app.strip()


def _filled(template: str, code: str, app: str, facts: Facts) -> str:
    """One pass, so that nothing filled in is taken for a place."""

    def place(match: re.Match[str]) -> str:
        if match[1] == "code":
            return code
        if match[1] == "app":
            return app
        return (
            _minutes(facts)
            if match[1] == "minutes"
            else f"{_EPOCH + timedelta(milliseconds=facts.expires_at):%H:%M:%S}"
        )

    return _PLACE.sub(place, template)


def _minutes(facts: Facts) -> str:
    return str(max(1, -(-(facts.expires_at - facts.now) // 60_000)))
