from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placet_protocol.errors import TextError
from placet_protocol.text import clean, visible

ZWJ, ZWNJ, VS16 = "\u200d", "\u200c", "\ufe0f"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Pay 100.00 EUR to Bob? (ref. #7/8) <b>&amp;[b]",
        "Überweise 100,00 € an Zoë \u2013 „jetzt“…",
        "Оплатить 100 ₽?",
        "支払いますか\uff1f",
        "ادفع \u0661\u0660\u0660 ريال",
        "שלם 100 ש״ח",
        "ชำระเงิน ๑๐๐ บาท",
        "\u0915\u094d\u200d\u0937",  # Devanagari: joiner after a virama
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian: non-joiner inside a word
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # family
        "\U0001f469\U0001f3fd\u200d\U0001f4bb",  # with a skin tone
        "\u2764\ufe0f\u200d\U0001f525",  # after a variation selector
        "\U0001f3f3\ufe0f\u200d\U0001f308",  # rainbow flag
        "\U0001f642\u200d\u2194\ufe0f",  # shaking head
        "1\ufe0f\u20e3",  # keycap
        "\U0001f1e6\U0001f1f9",  # regional indicators
        "e\u0323\u0302 e\u0301\u0323\u0302",
    ],
    ids=ascii,
)
def test_texts_of_people_are_clean(text: str) -> None:
    """All scripts, symbols and emoji are shown; nothing changes but to NFC."""
    assert clean(text) == unicodedata.normalize("NFC", text)
    assert visible(text) == clean(text)


@pytest.mark.parametrize(
    "char",
    [
        *(chr(code) for code in (*range(0x20), 0x7F, *range(0x80, 0xA0))),
        *"\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",  # bidi
        *"\u200b\u2060\u2061\u2062\u2063\u2064\ufeff\u00ad\u180e",  # zero width
        *"\u2028\u2029\u0085",  # line and paragraph separators
        *"\u206a\u206b\u206c\u206d\u206e\u206f\ufff9\ufffa\ufffb",  # deprecated format, annotation
        *"\ue000\uf8ff\U000f0000\U0010fffd",  # private use
        *"\u0378\ufdd0\ufffe\uffff\U0001fffe\U0010ffff",  # unassigned, noncharacters
        *"\ud800\udbff\udc00\udfff",  # surrogates
        *"\U000e0001\U000e0020\U000e0061\U000e007f",  # tags
        *"\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\U0001d159",  # letters that show nothing
        *"\u200c\u200d\ufe0f\u180b\U000e0100",  # joiners and selectors with nothing to join or select
        *"\u0301\u0488\u20dd",  # a mark alone would stand on what is drawn before the text
    ],
    ids=ascii,
)
def test_a_forbidden_character_is_named_with_its_place(char: str) -> None:
    """The refusal names code point and place; shown all the same, the character is spelled out."""
    name = f"U+{ord(char):04X}"
    with pytest.raises(TextError) as refused:
        clean(char + "b")
    assert (refused.value.char, refused.value.place) == (name, 1)
    assert name in refused.value.detail
    assert visible(char + "b") == f"\u2039{name}\u203ab"


@pytest.mark.parametrize("char", [*"\x1b\x07\x9b\u202e\u200b\ufeff\ue000\u2028"], ids=ascii)
def test_places_count_characters_of_the_normal_form(char: str) -> None:
    """A place is where the reader of the text counts it, from 1."""
    with pytest.raises(TextError) as refused:
        clean(f"Zoe\u0308 {char}x")
    assert refused.value.place == 5


@pytest.mark.parametrize(
    ("text", "bad"),
    [
        (f"a{ZWJ}", "U+200D"),
        (f"{ZWJ}a", "U+200D"),
        (f"a{ZWJ} b", "U+200D"),
        (f"1{ZWJ}2", "U+200D"),
        (f"a{ZWJ}{ZWJ}b", "U+200D"),
        (f"a{ZWNJ}{ZWJ}b", "U+200C"),
        (f"a{ZWNJ}.", "U+200C"),
        (f"a{ZWJ}\u3164", "U+200D"),
        (f"{VS16}", "U+FE0F"),
        (f"a {VS16}", "U+FE0F"),
        (f"\u2764{VS16}{VS16}", "U+FE0F"),
        ("a" + "\u0301" * 10, "U+0301"),
        ("a\n\u0301", "U+0301"),
    ],
    ids=ascii,
)
def test_joiners_selectors_and_marks_stay_in_their_place(text: str, bad: str) -> None:
    """They are allowed where they do something for a reader, not as hidden payload or stacked ink."""
    with pytest.raises(TextError) as refused:
        clean(text, newline=True)
    assert refused.value.char == bad


def test_a_line_feed_is_allowed_where_said() -> None:
    """The message may have lines; labels, values and names may not."""
    assert clean("a\nb", newline=True) == "a\nb"
    assert visible("ä\nb", newline=True) == "ä\nb"
    assert visible("a\nb") == "a\u2039U+000A\u203ab"
    with pytest.raises(TextError):
        clean("a\nb")
    with pytest.raises(TextError):
        clean("a\r\nb", newline=True)


@pytest.mark.parametrize("space", [*"\u00a0\u1680\u2003\u202f\u205f\u3000"], ids=ascii)
def test_every_space_becomes_the_plain_one(space: str) -> None:
    """A French amount with a narrow no-break space is as good as one with a space, and looks the same."""
    assert clean(f"1{space}000 €") == "1 000 €"
    assert visible(f"1{space}000 €") == "1 000 €"


def test_texts_are_composed() -> None:
    """Two ways to write one text give one text."""
    assert clean("Zoe\u0308") == clean("Zo\u00eb") == "Zo\u00eb"


@settings(max_examples=400)
@given(
    st.text(st.characters() | st.sampled_from("\u200c\u200d\ufe0f\u0301\u0338\u202e\x1b<\u2039a\U0001f469")),
    st.booleans(),
)
def test_tui_01_what_is_made_visible_is_clean(text: str, newline: bool) -> None:  # noqa: FBT001 - drawn
    """Whatever comes in, what is drawn is printable, in NFC, and accepted by the strict rule."""
    shown = visible(text, newline=newline)
    assert clean(shown, newline=newline) == shown
    assert visible(shown, newline=newline) == shown
    assert unicodedata.is_normalized("NFC", shown)
    assert shown.replace("\n", "").replace(ZWJ, "").replace(ZWNJ, "").isprintable()
    assert newline or "\n" not in shown


@settings(max_examples=400)
@given(st.text(st.characters() | st.sampled_from("\u200c\u200d\ufe0f\u0301a\u00e9")))
def test_a_text_is_clean_or_made_visible(text: str) -> None:
    """Both functions agree on every text: what one refuses, the other changes."""
    shown = visible(text)
    try:
        strict = clean(text)
    except TextError as error:
        strict = shown if f"\u2039{error.char}\u203a" in shown else ""
    assert strict == shown
