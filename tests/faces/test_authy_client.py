"""The PyPI client ``authy``, unmodified, against a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pyotp
import zxingcpp
from authy import AuthyFormatException
from authy.api import AuthyApiClient
from PIL import Image

from placet_authenticator.deciding import approve
from placet_protocol import otpauth
from placet_server.ports import Clock
from placet_server.testing import ManualClock
from support.authying import KEY, Authy, authy_server
from support.persons import authenticator, enrolled


@asynccontextmanager
async def authy(folder: Path, clock: Clock | None = None) -> AsyncIterator[tuple[Authy, Any]]:
    """A server whose application ``acme`` brought its Authy key along, and the client that uses that key."""
    async with authy_server(folder, clock) as made:
        yield made, AuthyApiClient(KEY, made.server.url)


async def call(function: Any, *words: Any, **named: Any) -> Any:
    """One blocking call of the client."""
    return await asyncio.to_thread(function, *words, **named)


async def test_users_come_show_and_go(tmp_path: Path) -> None:
    """Create, create again, status and delete give what the client calls ok, and the phone says who it is."""
    async with authy(tmp_path) as (_, client):
        user = await call(client.users.create, "ada@example.com", "405-342-5699", 57)
        assert user.ok()
        assert isinstance(user.id, int)
        again = await call(client.users.create, "other@example.com", "(405) 342 5699", 57)
        assert again.id == user.id
        neighbour = await call(client.users.create, "ada@example.com", "405-342-5700", 57)
        assert neighbour.ok()
        assert neighbour.id != user.id
        status = await call(client.users.status, user.id)
        assert status.ok()
        assert status.content["status"]["phone_number"] == "XXX-XXX-5699"
        assert status.content["status"]["country_code"] == 57
        assert (await call(client.users.delete, user.id)).ok()
        gone = await call(client.users.status, user.id)
        assert not gone.ok()
        assert gone.content["error_code"] == "60026"


async def test_a_bad_user_is_refused_field_by_field(tmp_path: Path) -> None:
    """Bad e-mail and phone come back under their names, as the client's ``errors()`` shows them."""
    async with authy(tmp_path) as (_, client):
        user = await call(client.users.create, "nope", "abc-1234", 1)
        assert not user.ok()
        assert user.errors()["email"] == "is invalid"
        assert user.errors()["cellphone"] == "is invalid"
        blank = await call(client.users.create, "", "", 1)
        assert blank.errors()["cellphone"] == "is invalid and can't be blank"


async def test_a_soft_token_is_seen_scanned_and_verified_once(tmp_path: Path) -> None:
    """The hosted QR gives a secret whose code is valid once; its replay and a wrong code are not."""
    clock = ManualClock()
    async with authy(tmp_path, clock) as (made, client):
        user = await call(client.users.create, "ada@example.com", "405-342-5699", 57)
        shown = await call(client.users.generate_qr, user.id, size=300, label="Ada")
        assert shown.ok()
        async with aiohttp.ClientSession() as http, http.get(shown.content["qr_code"]) as answer:
            assert answer.status == 200
            assert answer.headers["Cache-Control"] == "no-store"
            (tmp_path / "qr.png").write_bytes(await answer.read())
        with Image.open(tmp_path / "qr.png") as picture:
            assert picture.size == (300, 300)
            uri = zxingcpp.read_barcodes(picture.convert("RGB"))[0].text
        token = otpauth.parse(uri)
        secret = pyotp.TOTP(pyotp.random_base32())
        secret.byte_secret = lambda: token.secret  # type: ignore[method-assign]  # the seed of the picture
        code = secret.at(clock.now() // 1000)
        verified = await call(client.tokens.verify, user.id, code)
        assert verified.ok()
        assert verified.content["success"] == "true"
        replayed = await call(client.tokens.verify, user.id, code)
        assert not replayed.ok()
        assert replayed.content["error_code"] == "60019"
        wrong = await call(client.tokens.verify, user.id, f"{(int(code) + 1) % 1_000_000:06}")
        assert not wrong.ok()
        assert wrong.content["error_code"] == "60020"
        clock.advance(seconds=601)
        async with aiohttp.ClientSession() as http, http.get(shown.content["qr_code"]) as late:
            assert late.status == 404
        status = await call(client.users.status, user.id)
        assert status.content["status"]["confirmed"] is True
        assert made.server.url in shown.content["qr_code"]


async def test_an_approval_request_is_asked_answered_and_seen(tmp_path: Path) -> None:
    """The person's answer by their device is what the client reads as the status."""
    async with authy(tmp_path) as (made, client), authenticator(tmp_path) as device:
        server = made.server
        key = await server.api_key("enrolling")
        user = await call(client.users.create, "ada@example.com", "405-342-5699", 57)
        await enrolled(server, device, user.id, key)
        details = {"Account Number": "981", "Loc": "Café"}
        logos = [{"res": "default", "url": "https://example.com/d.png"}]
        asked = await call(
            client.one_touch.send_request,
            user.id,
            "Login?",
            seconds_to_expire=120,
            details=details,
            hidden_details={"ip": "1.2.3.4"},
            logos=logos,
        )
        assert asked.ok()
        pending = await call(client.one_touch.get_approval_status, asked.get_uuid())
        assert pending.content["approval_request"]["status"] == "pending"
        await device.fetch()
        shown = device.find(asked.get_uuid())
        assert (shown.message, shown.digits) == ("Login?", 0)
        assert shown.fields == (("Account Number", "981"), ("Loc", "Café"))
        await device.decide(shown, approve())
        approved = await call(client.one_touch.get_approval_status, asked.get_uuid())
        assert approved.content["approval_request"]["status"] == "approved"
        assert approved.content["approval_request"]["hidden_details"] == {"ip": "1.2.3.4"}


async def test_unknown_things_and_bad_keys_are_errors_in_authys_words(tmp_path: Path) -> None:
    """Unknown users and requests and a wrong key give the documented codes; the client's own checks still work."""
    async with authy(tmp_path) as (made, client):
        for method in (client.users.status, client.users.delete):
            answer = await call(method, "tony")
            assert answer.content["message"] == "User not found."
        unknown = await call(client.tokens.verify, 0, "1234567")
        assert unknown.content["error_code"] == "60016"
        lost = await call(client.one_touch.get_approval_status, "u-1")
        assert lost.content["error_code"] == "60049"
        stranger = AuthyApiClient("wrong", made.server.url)
        refused = await call(stranger.users.status, 1)
        assert refused.content["error_code"] == "60001"
        assert refused.content["message"] == "Invalid API key"
        try:
            await call(client.tokens.verify, 1, "12")
        except AuthyFormatException:
            return
        raise AssertionError("the client takes any token")


async def test_codes_are_requested_verified_and_ignored(tmp_path: Path) -> None:
    """Text message and call with every option the client sends; a soft token makes it say ignored."""
    async with authy(tmp_path) as (made, client):
        user = await call(client.users.create, "ada@example.com", "405-342-5699", 57)
        sms = await call(client.users.request_sms, user.id)
        assert sms.ok()
        assert not sms.ignored()
        options = {"force": True, "action": "login", "action_message": "Log in & go"}
        assert (await call(client.users.request_sms, user.id, options)).ok()
        bound = await made.code(2)
        assert not (await call(client.tokens.verify, user.id, bound)).ok()
        assert (await call(client.tokens.verify, user.id, bound, {"action": "login"})).ok()
        assert (await call(client.users.request_call, user.id, {"force": "true"})).ok()
        assert (await call(client.tokens.verify, user.id, await made.code(3), {"force": False})).ok()
        domain, now = made.server.domain, made.server.clock.now()
        org = (await domain.applications.named("acme")).org
        await domain.soft_tokens.create(
            await domain.users.by_tfa_id(org, user.id), "Ada", "acme", now, confirmed=True
        )
        ignored = await call(client.users.request_sms, user.id)
        assert ignored.ok()
        assert ignored.ignored()
        assert (await call(client.users.request_call, user.id)).ignored()
        assert not (await call(client.users.request_sms, user.id, {"force": True})).ignored()


async def test_phones_are_verified_and_looked_up(tmp_path: Path) -> None:
    """Start, check and info, and the errors that the client's own suite expects."""
    async with authy(tmp_path) as (made, client):
        start, check = client.phones.verification_start, client.phones.verification_check
        started = await call(start, "775-461-5609", 1, via="sms", locale="es", code_length=6)
        assert started.ok()
        assert "Text message sent to +1 775-461-5609" in started["message"]
        code = await made.code(1)
        assert len(code) == 6
        wrong = await call(check, "775-461-5609", 1, "000000" if code != "000000" else "000001")
        assert wrong.errors()["message"] == "Verification code is incorrect"
        assert (await call(check, "775-461-5609", 1, code)).ok()
        assert (await call(client.phones.info, "7754615609", 1)).ok()
        bad = await call(client.phones.info, "1", 1)
        assert bad.errors()["message"] == "Phone number is invalid"


async def test_the_application_and_its_numbers_are_told(tmp_path: Path) -> None:
    """Details, statistics that count what was done, and the registration of a user."""
    async with authy(tmp_path) as (made, client):
        user = await call(client.users.create, "ada@example.com", "405-342-5699", 57)
        await call(client.users.request_sms, user.id)
        await call(client.tokens.verify, user.id, await made.code(1))
        app = await call(client.apps.fetch)
        assert app.ok()
        assert app["app"]["name"] == "acme"
        stats = await call(client.stats.fetch)
        assert stats.ok()
        (month,) = stats["stats"]
        assert (month["sms_count"], month["auths_count"], month["users_count"]) == (1, 1, 1)
        assert month["api_calls_count"] == 5
        assert stats["total_users"] == 1
        pending = await call(client.users.registration_status, user.id)
        assert pending.content["message"]["request_status"] == "pending"
        assert (await call(client.users.registration_status, "u-9")).errors()
