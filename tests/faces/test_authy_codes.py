"""Codes on the Authy face: sent, ignored, bound to an action, verified together with soft tokens, bounded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pyotp
import pytest

from placet_protocol import otpauth
from placet_server.faces.authytokens import IGNORED
from placet_server.ports import Sql
from placet_server.testing import ManualClock
from support.authying import HEADER, NEW, Authy, authy_server


@pytest.fixture
async def authy(tmp_path: Path) -> AsyncIterator[Authy]:
    """A server with an Authy credential and a clock that is moved by hand."""
    async with authy_server(tmp_path, ManualClock()) as made:
        yield made


async def soft_token(authy: Authy, number: int) -> pyotp.TOTP:
    """A confirmed soft token of a user, as their authenticator has it."""
    domain, now = authy.server.domain, authy.server.clock.now()
    user = await domain.users.by_tfa_id((await domain.applications.named("acme")).org, number)
    made = await domain.soft_tokens.create(user, "Ada", "acme", now, confirmed=True)
    token = pyotp.TOTP(pyotp.random_base32())
    secret = otpauth.parse(made.uri).secret
    token.byte_secret = lambda: secret  # type: ignore[method-assign]  # the seed of the URI
    return token


def later(authy: Authy, seconds: float = 1) -> None:
    """Move the clock: what is newest is told by the time."""
    assert isinstance(authy.server.clock, ManualClock)
    authy.server.clock.advance(seconds=seconds)


def other(code: str) -> str:
    """Another code of the same length."""
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}d}"


async def test_a_code_by_text_call_and_mail_is_good_once(authy: Authy) -> None:
    """Each channel says what was started, carries seven digits, and its code verifies exactly once."""
    number = await authy.ada()
    made = authy.server.clock.now() // 1000
    for count, (method, path, message) in enumerate(
        (
            ("GET", f"/protected/json/sms/{number}?force=True", "SMS token was sent"),
            ("GET", f"/protected/json/call/{number}", "Call started..."),
            ("POST", f"/protected/json/email/{number}", "Email token was sent"),
        ),
        start=1,
    ):
        answer = await authy.good(method, path)
        assert answer["message"] == message
        assert "ignored" not in answer
        code = await authy.code(count)
        assert len(code) == 7
        assert await authy.bad("GET", f"/protected/json/verify/{other(code)}/{number}") == (401, "60020")
        verified = await authy.good("GET", f"/protected/json/verify/{code}/{number}")
        assert (verified["success"], verified["token"]) == ("true", "is valid")
        assert verified["device"]["os_type"] == "sms"
        assert (verified["device"]["registration_date"], verified["device"]["last_sync_date"]) == (made, None)
        assert await authy.bad("GET", f"/protected/json/verify/{code}/{number}") == (401, "60019")
        later(authy)
    assert [message.channel for message in authy.gateway.sent] == ["sms", "voice", "email"]
    assert answer["email"] == "ada@example.com"
    assert answer["email_id"].startswith("EM")
    assert len(answer["email_id"]) == 34
    status = await authy.good("GET", f"/protected/json/users/{number}/status")
    assert status["status"]["confirmed"] is True


async def test_the_masked_number_has_one_form_for_all_lengths(authy: Authy) -> None:
    """The country code and the last two digits show, also of a number with nine digits."""
    user = {"user": {"email": "b@example.com", "cellphone": "86-674-2932", "country_code": 84}}
    number = (await authy.good("POST", NEW, user))["user"]["id"]
    assert (await authy.good("GET", f"/protected/json/sms/{number}"))["cellphone"] == "+84-XXX-XXX-XX32"
    status = await authy.good("GET", f"/protected/json/users/{number}/status")
    assert status["status"]["phone_number"] == "XX-XXX-2932"


async def test_a_newer_code_takes_the_place_of_the_older(authy: Authy) -> None:
    """Only the newest code counts, whichever channel carried it."""
    number = await authy.ada()
    await authy.good("GET", f"/protected/json/sms/{number}")
    first = await authy.code(1)
    later(authy)
    await authy.good("GET", f"/protected/json/call/{number}")
    second = await authy.code(2)
    if first != second:
        assert (await authy.bad("GET", f"/protected/json/verify/{first}/{number}"))[0] == 401
    await authy.good("GET", f"/protected/json/verify/{second}/{number}")


async def test_a_code_dies_after_its_time(authy: Authy) -> None:
    """Ten minutes by default; then it is as wrong as any."""
    number = await authy.ada()
    await authy.good("GET", f"/protected/json/sms/{number}")
    code = await authy.code(1)
    later(authy, 600)
    assert await authy.bad("GET", f"/protected/json/verify/{code}/{number}") == (401, "60020")


async def test_a_code_for_an_action_is_good_for_that_action_only(authy: Authy) -> None:
    """Another action, or none, does not spend it; the right one does."""
    number = await authy.ada()
    await authy.good("GET", f"/protected/json/sms/{number}?action=login&action_message=Log%20in%20%26%20go")
    code = await authy.code(1)
    for query in ("", "?action=pay", "?force=true"):
        assert (await authy.bad("GET", f"/protected/json/verify/{code}/{number}{query}"))[0] == 401
    await authy.good("GET", f"/protected/json/verify/{code}/{number}?force=true&action=login")


async def test_who_holds_a_soft_token_is_nudged_and_sent_nothing_without_force(authy: Authy) -> None:
    """The answer says ignored in the documented words, the devices get one notice, and force sends all the same."""
    number = await authy.ada()
    token = await soft_token(authy, number)
    for what, channel in (("sms", "sms"), ("call", "voice")):
        answer = await authy.good("GET", f"/protected/json/{what}/{number}")
        assert answer["ignored"] is True
        assert answer["message"] == IGNORED[channel]  # type: ignore[index]  # the two channels
        assert answer["device"] is None
    rows = await authy.server.store.rows(Sql("kinds", "SELECT kind FROM notices"))
    assert [row[0] for row in rows] == ["code.wanted"]
    assert not authy.gateway.sent
    answer = await authy.good("GET", f"/protected/json/sms/{number}?force=true")
    assert "ignored" not in answer
    code = await authy.code(1)
    await authy.good("GET", f"/protected/json/verify/{code}/{number}")
    await authy.good("GET", f"/protected/json/verify/{token.at(authy.server.clock.now() // 1000)}/{number}")


async def test_a_token_that_nobody_has_confirmed_does_not_keep_codes_away(authy: Authy) -> None:
    """Whether its picture was ever scanned nobody knows: the message leaves."""
    number = await authy.ada()
    await authy.good("POST", f"/protected/json/users/{number}/secret", {"label": "Ada"})
    assert "ignored" not in await authy.good("GET", f"/protected/json/sms/{number}")
    await authy.gateway.count(1)


async def test_codes_that_were_sent_never_lock_who_also_holds_a_soft_token(authy: Authy) -> None:
    """A right code is a wrong soft token; that failure is forgiven, or the fifth text message would lock its user out."""
    number = await authy.ada()
    await soft_token(authy, number)
    for count in range(1, 8):
        await authy.good("GET", f"/protected/json/sms/{number}?force=true")
        await authy.good("GET", f"/protected/json/verify/{await authy.code(count)}/{number}")
        later(authy, 700)


async def test_otp_04_guesses_are_one_budget_over_soft_tokens_and_codes(authy: Authy) -> None:
    """After the free tries even the right code and the right soft token wait, with 429 and 60003."""
    number = await authy.ada()
    token = await soft_token(authy, number)
    await authy.good("GET", f"/protected/json/sms/{number}?force=true")
    code = await authy.code(1)
    good = {code, token.at(authy.server.clock.now() // 1000)}
    outcomes = [
        await authy.bad("GET", f"/protected/json/verify/{guess:07}/{number}")
        for guess in range(8)
        if f"{guess:07}" not in good
    ]
    assert outcomes[:4] == [(401, "60020")] * 4
    assert outcomes[-1] == (429, "60003")
    for right in good:
        assert await authy.bad("GET", f"/protected/json/verify/{right}/{number}") == (429, "60003")


async def test_otp_05_a_code_without_soft_token_dies_of_five_guesses(authy: Authy) -> None:
    """The live code has five tries of its own, then the right one is refused, too."""
    number = await authy.ada()
    await authy.good("GET", f"/protected/json/sms/{number}")
    code = await authy.code(1)
    for guess in range(5):
        wrong = f"{(int(code) + 1 + guess) % 10**7:07}"
        assert (await authy.bad("GET", f"/protected/json/verify/{wrong}/{number}"))[0] == 401
    status, _ = await authy.bad("GET", f"/protected/json/verify/{code}/{number}")
    assert status in {401, 429}


async def test_spm_01_sends_to_one_number_are_bounded(authy: Authy) -> None:
    """The sixth code in ten minutes is refused with 429, 60003 and Authy's words, and nothing leaves."""
    number = await authy.ada()
    for _ in range(5):
        await authy.good("GET", f"/protected/json/sms/{number}")
    await authy.gateway.count(5)
    status, answer = await authy.send("GET", f"/protected/json/sms/{number}")
    assert (status, answer["error_code"]) == (429, "60003")
    assert answer["message"] == "DoS protection: User has requested too many tokens in the last hour."
    headers = await authy.credential("older-key-of-acme-0001", limit_status="503")
    assert (await authy.send("GET", f"/protected/json/sms/{number}", None, headers))[0] == 503
    assert len(authy.gateway.sent) == 5


async def test_unknown_users_are_told_in_each_routes_own_words(authy: Authy) -> None:
    """Ids of nobody and ids that are no numbers: 60026, but 60016 on verify."""
    for number in ("tony", "1", "0", "99999999999999999999"):
        for method, what in (("GET", "sms"), ("GET", "call"), ("POST", "email")):
            assert await authy.bad(method, f"/protected/json/{what}/{number}") == (404, "60026")
        status, answer = await authy.send("GET", f"/protected/json/verify/1234567/{number}")
        assert (status, answer["error_code"], answer["message"]) == (404, "60016", "User doesn't exist")


async def test_the_language_follows_the_locale(authy: Authy) -> None:
    """Spanish where there is Spanish, English for what nobody speaks, and 404 where the credential wants that."""
    number = await authy.ada()
    for count, (locale, language) in enumerate(
        (("es", "es-ES"), ("tlh", "en-US"), ("pt-BR", "pt-BR"), ("ES_la", "es-LA")), start=1
    ):
        await authy.good("GET", f"/protected/json/sms/{number}?locale={locale}")
        assert (await authy.gateway.count(count))[count - 1].language == language
    headers = await authy.credential("strict-key-of-acme-0001", unknown_locale="refused")
    status, answer = await authy.send("GET", f"/protected/json/sms/{number}?locale=tlh", None, headers)
    assert (status, answer["error_code"]) == (404, "60004")


async def test_a_channel_that_is_off_says_so_with_the_status_of_the_switch(authy: Authy) -> None:
    """Without calls in the policy, call is 60006; app/details tells it before."""
    number = await authy.ada()
    application = authy.server.domain.applications
    await application.set_policies("acme", {"code.channels": "sms"}, authy.server.clock.now())
    status, answer = await authy.send("GET", f"/protected/json/call/{number}?force=true")
    assert (status, answer["error_code"]) == (503, "60006")
    assert answer["message"] == "Phone calls are not enabled on this account"
    headers = await authy.credential("forbidding-key-acme-0001", disabled_status="403")
    assert (await authy.send("GET", f"/protected/json/call/{number}?force=true", None, headers))[0] == 403
    app = (await authy.good("GET", "/protected/json/app/details"))["app"]
    assert (app["sms_enabled"], app["phone_calls_enabled"]) == (True, False)


async def test_api_13_head_sends_nothing(authy: Authy) -> None:
    """Only the declared methods do something: HEAD, OPTIONS, PUT and others of a sending path are 405 without effect."""
    number = await authy.ada()
    for method in ("OPTIONS", "PUT", "POST", "DELETE"):
        status, _ = await authy.send(method, f"/protected/json/sms/{number}")
        assert status == 405, method
    async with authy.server.http.head(
        f"{authy.server.url}/protected/json/sms/{number}",
        headers=HEADER,
    ) as answer:
        assert answer.status == 405
    assert (await authy.server.store.rows(Sql("messages", "SELECT count(*) FROM messages")))[0][0] == 0


async def test_another_credentials_code_is_not_good_here(authy: Authy) -> None:
    """A code belongs to the credential that had it sent."""
    number = await authy.ada()
    headers = await authy.credential("other-key-of-acme-00001")
    await authy.good("GET", f"/protected/json/sms/{number}")
    code = await authy.code(1)
    status, answer = await authy.send("GET", f"/protected/json/verify/{code}/{number}", None, headers)
    assert (status, answer["error_code"]) == (401, "60020")
    await authy.good("GET", f"/protected/json/verify/{code}/{number}")
