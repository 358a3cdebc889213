from __future__ import annotations

import pytest

from placet_server.domain import segments
from placet_server.domain.texts import LANGUAGES, TEXT_MAX, Facts, code_texts, language, render
from placet_server.domain.words import WORDS
from placet_server.ports import Channel

FACTS = Facts("123456", "Acme Pay", 0, 600_000)
ALL: tuple[Channel, ...] = ("sms", "voice", "email", "whatsapp")


@pytest.mark.parametrize("tag", LANGUAGES)
@pytest.mark.parametrize(
    "app", ["A", "Acme Pay", "Škoda Bank žluťoučký", "Ω" * 64, "x" * 64, "{code}", "€" * 64]
)
@pytest.mark.parametrize("minutes", [1, 10, 1440])
def test_otp_12_a_built_in_text_is_one_part(tag: str, app: str, minutes: int) -> None:
    """In every language, whatever the application is called, one part carries code, time and as much name as fits."""
    text = code_texts(("sms",), Facts("123456", app, 0, minutes * 60_000), tag=tag)["sms"].text
    assert segments.parts(text) == 1
    assert text.count("123456") == 1
    assert str(minutes) in text
    assert "{" not in text.replace(app, "")
    if tag not in {"el-GR", "hu-HU", "ru-RU"}:
        assert segments.is_gsm(text)


@pytest.mark.parametrize(
    ("app", "shown"),
    [
        ("Bank Łódź", "Bank Lodz"),
        ("Đorđe & Hůlka", "Dorde & Hulka"),
        ("Işık Bankası", "Isik Bankasi"),
        ("Sœur", "Soeur"),
        ("Þór", "Thor"),
        ("Macy’s – «Now»", 'Macy\'s - "Now"'),
        ("Äpfel, Çelik, Øst", "Äpfel, Çelik, Øst"),
    ],
)
def test_a_name_stays_readable_in_the_small_alphabet(app: str, shown: str) -> None:
    """Letters that the alphabet lacks stand as people write them without such keys; none goes missing."""
    text = code_texts(("sms",), Facts("123456", app, 0, 600_000), tag="pl-PL")["sms"].text
    assert text.startswith(f"123456 to kod {shown}. ")
    assert segments.is_gsm(text)


@pytest.mark.parametrize("tag", LANGUAGES)
def test_otp_12_the_last_line_binds_to_an_origin(tag: str) -> None:
    """With an origin the message ends with the line that browsers know, still in one part."""
    text = code_texts(("sms", "voice"), FACTS, tag=tag, origin="login.example.org")
    assert "Acme Pay" in text["sms"].text
    assert text["sms"].text.splitlines()[-1] == "@login.example.org #123456"
    assert segments.parts(text["sms"].text) == 1
    assert "@" not in text["voice"].text


@pytest.mark.parametrize("tag", LANGUAGES)
def test_every_language_has_words_for_every_channel(tag: str) -> None:
    """Spoken codes stand digit by digit and twice; mails have a subject without the code, text and HTML."""
    made = code_texts(ALL, FACTS, tag=tag)
    assert set(made) == set(ALL)
    assert made["voice"].text.count("1, 2, 3, 4, 5, 6") == 2
    mail = made["email"]
    assert mail.subject
    assert "123456" not in mail.subject
    assert "Acme Pay" in mail.subject
    assert "\n123456\n" in mail.text
    assert mail.html
    assert ">123456</p>" in mail.html


def test_no_language_borrows_from_another() -> None:
    """Only the two kinds of English are alike; every other language has words of its own."""
    texts = [words.mail for words in WORDS.values()]
    assert len(set(texts)) == len(LANGUAGES) == 13


def test_places_of_a_template_are_filled_in_one_pass() -> None:
    """Code, minutes left, the clock time of the end and the name are filled in; what they hold is no place."""
    facts = Facts("123456", "{code}{app}", 1_800_000_000_000, 1_800_000_000_000 + 3_599_001)
    assert (
        render("{app}|{code}|{minutes}|{hh:mm:ss}|{other}", facts) == "{code}{app}|123456|60|08:59:59|{other}"
    )


@pytest.mark.parametrize(
    ("template", "text"),
    [("Your code:", "Your code: 123456"), ("Code: ", "Code: 123456"), ("", "123456"), ("x\n", "x\n123456")],
)
def test_a_template_without_a_place_gets_the_code_at_its_end(template: str, text: str) -> None:
    """A space stands between unless there is white space already."""
    assert render(template, FACTS) == text


@pytest.mark.parametrize(
    "template", ["a" * 2000, "a" * 2000 + "{code}", "{code}" + "a" * 2000, "a" * 1220 + "{code}"]
)
def test_what_is_too_long_is_cut_around_the_code(template: str) -> None:
    """The code is never cut off or cut through."""
    text = render(template, FACTS)
    assert len(text) <= TEXT_MAX
    assert "123456" in text


def test_html_of_a_mail_says_what_the_text_says() -> None:
    """Names and templates cannot bring markup or a second header line into a mail."""
    hostile = Facts("123456", "<b>&\"'", 0, 600_000)
    made = code_texts(
        ("email",), hostile, template="<script>{code}\n{app}", subject="a\r\nBcc: x@y.zz {app}"
    )["email"]
    assert made.html
    assert made.html.startswith('<!DOCTYPE html><html lang="en-US">')
    assert "<script>" not in made.html
    assert "&lt;b&gt;&amp;" in made.html
    assert made.subject == "a Bcc: x@y.zz <b>&\"'"


@pytest.mark.parametrize(
    ("tag", "known"),
    [
        ("es-LA", "es-LA"),
        ("ES_la", "es-LA"),
        ("es", "es-ES"),
        ("pt", "pt-BR"),
        ("de-AT", "de-DE"),
        ("xx", "en-US"),
        ("", "en-US"),
    ],
)
def test_the_nearest_language_is_found(tag: str, known: str) -> None:
    """Case and underscore are repaired, a bare language is the first of its kind, an unknown one the default."""
    assert language(tag) == known


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("я" * 70, 1),
        ("я" * 71, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        ("я" * 135, 3),
    ],
)
def test_parts_are_counted_as_the_network_does(text: str, parts: int) -> None:
    """160 septets or 70 UTF-16 units in one part, 153 or 67 in each of several."""
    assert segments.parts(text) == parts


@pytest.mark.parametrize("tag", LANGUAGES)
def test_a_name_in_other_letters_is_shown(tag: str) -> None:
    """One part says whose code it is, also where the language's own words would need the small alphabet."""
    text = code_texts(("sms",), Facts("123456", "Яндекс", 0, 600_000), tag=tag)["sms"].text
    assert "Яндекс" in text
    assert "123456" in text
    assert segments.parts(text) == 1


@pytest.mark.parametrize("code", ["[" * 32, "€1{}~|\\^" * 4])
def test_a_code_of_rare_characters_fits_one_part(code: str) -> None:
    """Characters that take two places of the small alphabet are counted as two; the name gives way."""
    facts = Facts(code, "The Northwind Trading Company of Utrecht and Rotterdam", 0, 600_000)
    text = code_texts(("sms",), facts, origin="login.northwind.example")["sms"].text
    assert code in text
    assert segments.parts(text) == 1
