"""Twilio: text messages, WhatsApp, calls, and the status callbacks that it signs."""

import base64
from pathlib import Path
from typing import Any

import pytest
from twilio.request_validator import RequestValidator

from placet_server.domain.texts import Facts, code_texts
from placet_server.domain.words import WORDS
from placet_server.gateways.twiml import TWIML_MAX, VOICES, spoken
from placet_server.plugin import Report
from support.carrying import carriers, outgoing, secret
from support.twilio import SID, TOKEN, heard, twilio
from support.vendors import Vendor

URL = "https://placet.example/gateway/reports/t/0199a000-0000-7000-8000-000000000001/" + "s" * 32


def table(folder: Path, made: Vendor | None = None, **more: Any) -> dict[str, Any]:
    """The settings of a Twilio account."""
    return {
        "type": "twilio",
        "account_sid": SID,
        "auth_token_file": secret(folder, TOKEN, "twilio"),
        "sms_from": "+15550006789",
        "whatsapp_from": "+15550006780",
        "voice_from": "+15550006781",
        "url": made.url if made else "http://127.0.0.1:1",
        **more,
    }


async def test_a_text_message_is_what_twilio_expects(tmp_path: Path) -> None:
    """Path, Basic authentication, To, From, Body, a validity period, and the status callback."""
    async with twilio() as made, carriers(tmp_path, {"t": table(tmp_path, made)}) as found:
        carried = await found.send("t", outgoing(report_url=URL, text="Код 1 & 2\n+"))
        assert (carried.outcome, carried.reference) == ("accepted", "SM" + "f" * 32)
        (taken,) = made.taken
        assert taken.path == f"/2010-04-01/Accounts/{SID}/Messages.json"
        assert (
            taken.headers["authorization"] == "Basic " + base64.b64encode(f"{SID}:{TOKEN}".encode()).decode()
        )
        assert taken.form == [
            ("To", "+48600100200"),
            ("Body", "Код 1 & 2\n+"),
            ("From", "+15550006789"),
            ("ValidityPeriod", "600"),
            ("StatusCallback", URL),
        ]
        await found.send("t", outgoing(sender="ACME"))
        assert dict(made.taken[1].form)["From"] == "ACME"


async def test_a_messaging_service_and_an_api_key_are_used_where_set(tmp_path: Path) -> None:
    """The service stands instead of a number, the key instead of the account's token."""
    async with twilio() as made:
        more = {"messaging_service": "MG1", "api_key": "SK1", "api_secret_file": secret(tmp_path, "k", "key")}
        async with carriers(tmp_path, {"t": table(tmp_path, made, **more)}) as found:
            await found.send("t", outgoing())
        form = dict(made.taken[0].form)
        assert (form["MessagingServiceSid"], "From" in form) == ("MG1", False)
        assert made.taken[0].headers["authorization"] == "Basic " + base64.b64encode(b"SK1:k").decode()


async def test_whatsapp_goes_by_template_or_by_text(tmp_path: Path) -> None:
    """Both numbers have the prefix; a template gets the code as its first variable."""
    async with twilio() as made:
        async with carriers(tmp_path, {"t": table(tmp_path, made)}) as found:
            await found.send("t", outgoing(channel="whatsapp"))
        async with carriers(tmp_path, {"t": table(tmp_path, made, whatsapp_content="HX1")}) as found:
            await found.send("t", outgoing(channel="whatsapp"))
        plain, template = (dict(taken.form) for taken in made.taken)
        assert (plain["To"], plain["From"]) == ("whatsapp:+48600100200", "whatsapp:+15550006780")
        assert plain["Body"] == "Your code is 271828."
        assert (template["ContentSid"], template["ContentVariables"]) == ("HX1", '{"1":"271828"}')
        assert "Body" not in template


@pytest.mark.parametrize("language", sorted(WORDS))
@pytest.mark.parametrize("gender", ["female", "male"])
async def test_a_call_says_the_code_sign_by_sign_and_again(
    tmp_path: Path, language: str, gender: str
) -> None:
    """In every language and gender: the built-in text, a voice of that language, the digits apart, all of it twice."""
    facts = Facts("0271828", "ACME", 0, 600_000)
    text = code_texts(("voice",), facts, tag=language)["voice"].text
    async with twilio() as made, carriers(tmp_path, {"t": table(tmp_path, made)}) as found:
        message = outgoing(
            channel="voice", text=text, code="0271828", language=language, gender=gender, report_url=URL
        )
        assert (await found.send("t", message)).reference == "CA" + "f" * 32
    form = dict(made.taken[0].form)
    assert made.taken[0].path == f"/2010-04-01/Accounts/{SID}/Calls.json"
    assert (form["To"], form["From"], form["StatusCallback"]) == ("+48600100200", "+15550006781", URL)
    said = heard(form["Twiml"])
    assert len(form["Twiml"]) <= TWIML_MAX
    assert len(said) == 2
    assert len(set(said)) == 1
    assert said[0].signs == "0271828" * text.count("0, 2, 7, 1, 8, 2, 8")
    assert said[0].signs
    assert said[0].words == text.replace("0, 2, 7, 1, 8, 2, 8", "0 2 7 1 8 2 8")
    voice = VOICES[f"{language}.{gender}"]
    assert (said[0].voice, said[0].language) == voice
    assert said[0].language[:2] == language[:2]


def test_every_language_has_two_voices_of_its_own() -> None:
    """No gender is silently the other one, and no voice serves two entries."""
    assert set(VOICES) == {f"{language}.{gender}" for language in WORDS for gender in ("female", "male")}
    assert len({voice.voice for voice in VOICES.values()}) == len(VOICES)


@pytest.mark.parametrize(
    ("text", "code", "words", "signs"),
    [
        ("Your code is 12.", "12", "Your code is 1 2.", "12"),
        ("12. Again: 12.", "12", "1 2. Again: 1 2.", "1212"),
        ('Dein <Code> & "Zeichen" ist A&<', "A&<", 'Dein <Code> & "Zeichen" ist A & <', "A&<"),
        ("No code here.", None, "No code here.", ""),
        ("Another text.", "99", "Another text.", ""),
        ("</Say><Dial>+1900</Dial><Say>", None, "</Say><Dial>+1900</Dial><Say>", ""),
    ],
)
def test_api_16_a_text_is_never_markup(text: str, code: str | None, words: str, signs: str) -> None:
    """Whatever stands in a text is spoken and dials nobody."""
    (said,) = heard(spoken(text, code, "Polly.Amy", "en-GB", 1))
    assert (said.words, said.signs) == (words, signs)


def test_a_long_call_is_said_less_often() -> None:
    """Twilio takes 4,000 characters; a long code is rather said once, and in one piece, than not at all."""
    code = "7a" * 16
    for before, apart in (("x" * 900, 32), ("x" * 3_000, 1)):
        document = spoken(f"Code {before}: {code}", code, "Polly.Amy", "en-GB", 5)
        assert len(document) <= TWIML_MAX
        assert document.count("<say-as") == apart
        assert document.count("<Say ") == 1


async def test_a_voice_can_be_replaced(tmp_path: Path) -> None:
    """The setting names another one for a language and gender."""
    async with twilio() as made:
        more = {"voices": {"el-GR.male": "Google.el-GR-Other"}, "repeats": 1}
        async with carriers(tmp_path, {"t": table(tmp_path, made, **more)}) as found:
            await found.send("t", outgoing(channel="voice", language="el-GR", gender="male"))
    (said,) = heard(dict(made.taken[0].form)["Twiml"])
    assert (said.voice, said.language) == ("Google.el-GR-Other", "el-GR")


@pytest.mark.parametrize(
    ("to", "outcome", "reason"),
    [
        ("+15005550001", "refused", "Twilio answered 400, code 21211"),
        ("+15005550009", "refused", "Twilio answered 400, code 21614"),
        ("+15005550006", "later", "Twilio answered 429, code 20429"),
    ],
)
async def test_what_twilio_refuses(tmp_path: Path, to: str, outcome: str, reason: str) -> None:
    """A bad number is for good, too much at a time is not; only Twilio's code is passed on, not its sentence."""
    async with twilio() as made, carriers(tmp_path, {"t": table(tmp_path, made)}) as found:
        carried = await found.send("t", outgoing(to=to))
    assert (carried.outcome, carried.reason) == (outcome, reason)


async def test_a_channel_without_a_number_is_not_carried(tmp_path: Path) -> None:
    """Numbers decide what the account can do here."""
    bare = {name: value for name, value in table(tmp_path).items() if not name.endswith("_from")}
    async with carriers(tmp_path, {"t": bare | {"voice_from": "+1555"}}) as found:
        assert [found.gateways(channel) for channel in ("sms", "voice", "whatsapp", "email")] == [
            (),
            ("t",),
            (),
            (),
        ]


@pytest.mark.parametrize(
    ("form", "state"),
    [
        ({"MessageStatus": "queued"}, None),
        ({"MessageStatus": "sent"}, "sent"),
        ({"MessageStatus": "delivered"}, "delivered"),
        ({"MessageStatus": "read"}, "delivered"),
        ({"MessageStatus": "undelivered", "ErrorCode": "30003"}, "undelivered"),
        ({"MessageStatus": "failed"}, "undelivered"),
        ({"CallStatus": "completed"}, "delivered"),
        ({"CallStatus": "no-answer"}, "undelivered"),
        ({"CallStatus": "ringing"}, None),
        ({}, None),
    ],
)
async def test_status_callbacks_count_with_twilio_s_signature_only(
    tmp_path: Path, form: dict[str, str], state: str | None
) -> None:
    """Signed by Twilio's own library they say what they say; with any other signature, nothing."""
    form = {"MessageSid": "SM1", "To": "+48600100200", "Body": "ü & b"} | form
    signed = RequestValidator(TOKEN).compute_signature(URL, form)
    async with carriers(tmp_path, {"t": table(tmp_path)}) as found:

        def read(url: str, fields: dict[str, str], signature: str | None) -> str | None:
            headers = {} if signature is None else {"X-Twilio-Signature": signature}
            return found.read_report("t", Report("POST", url, (), tuple(fields.items()), headers, b""))

        assert read(URL, form, signed) == state
        assert read(URL, dict(reversed(form.items())), signed) == state
        with_port = RequestValidator(TOKEN).compute_signature(URL.replace(".example/", ".example:443/"), form)
        assert read(URL, form, with_port) == state
        for other in (
            read(URL, form, None),
            read(URL, form, ""),
            read(URL, form, signed[:-2] + "A="),
            read(URL, form, "ü"),
            read(URL, form, RequestValidator("other").compute_signature(URL, form)),
            read(URL + "?a=b", form, signed),
            read(URL, form | {"MessageStatus": "delivered", "x": "y"}, signed),
        ):
            assert other is None
