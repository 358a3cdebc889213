"""Text messages through a real Kannel, read at its SMSCs."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from placet_server.domain.destinations import Destination
from placet_server.domain.mail import MessageDraft
from placet_server.domain.onecode import CodeDraft
from placet_server.domain.segments import parts
from placet_server.domain.texts import Text
from placet_server.domain.values import Caller
from placet_server.domain.words import WORDS
from placet_server.testing import FaultGateway, live_server
from support.carrying import PHONE, carriers, eventually, outgoing, secret
from support.kannel import PASSWORD, USER, Kannel, kannel

ANA = Destination("phone", PHONE)
LONG = "Dein Code: 271828. " * 20
HOSTILE_TEXTS = [
    "line\n13013 +48600100201 text EVIL",
    "&to=%2B48600100201&text=x",
    "%0d%0aX-Kannel-To: +48600100201",
    "\\r\\nX-Kannel-To: +48600100201",
    "</ud><da><number>+48600100201</number></da>",
    "%d %A %p ${to} {to}",
    "@£$¥èéùìòÇ€[]{}~^|\\",
    "ﬀ １２３４５６ \u200b\u202e",
    "e\u0301 \u2028 next",
    "🙂" * 40,
    "Ω" * 161,
    "'; DROP TABLE messages; --",
    "\ufeff271828",
]
"""Each is carried as it stands, to one number."""
HOSTILE_FIELDS: list[dict[str, Any]] = [
    {"to": f"{PHONE} +48600100201"},
    {"to": f"{PHONE}%20+48600100201"},
    {"to": f"{PHONE}\r\nX-Kannel-To: +48600100201"},
    {"to": f"{PHONE}\x00"},
    {"sender": "ACME\r\nX-Kannel-To: +48600100201"},
    {"sender": "1 +48600100201 text"},
    {"sender": "ACME\x00"},
    {"sender": "ÄCME"},
    {"text": "nul \x00 text"},
    {"text": "escape \x1b text"},
    {"text": "half \udc00"},
]
"""None of these reaches Kannel."""


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Kannel]:
    """A Kannel of this test's own."""
    async with kannel(tmp_path) as made:
        yield made


def table(folder: Path, made: Kannel, **more: Any) -> dict[str, Any]:
    """The settings for it."""
    password = secret(folder, PASSWORD, "kannel")
    return {"type": "kannel", "url": made.url, "username": USER, "password_file": password, **more}


def caller_of(application: Any) -> Caller:
    """An application by its key."""
    return Caller(application, "key", frozenset({"codes"}), "native")


def covers(wanted: str, got: str) -> bool:
    """Whether as much has come as is wanted."""
    return len(got) >= len(wanted)


async def test_texts_arrive_as_they_are(tmp_path: Path, running: Kannel) -> None:
    """GSM and other alphabets, one part and several, with sender and without."""
    async with carriers(tmp_path, {"k": table(tmp_path, running, sender="ACME")}) as found:
        texts = ["Your code is 271828.", "Ваш код: 271828", "€ [x] é", LONG, "Код " * 50]
        for text in texts:
            assert (await found.send("k", outgoing(text=text))).outcome == "accepted"
        await found.send("k", outgoing(text="named", sender="+48123"))
        got = await running.count(6)
    assert [each.text for each in got] == [*texts, "named"]
    assert [each.parts for each in got] == [parts(text) for text in (*texts, "named")]
    assert [each.coded for each in got[:2]] == ["text", "ucs-2"]
    assert {each.to for each in got} == {PHONE}
    assert [each.sender for each in got] == ["ACME"] * 5 + ["+48123"]


async def test_api_16_no_text_adds_fields_or_recipients(tmp_path: Path, running: Kannel) -> None:
    """A hostile text arrives byte for byte as one message to one number; a hostile number or sender not at all."""
    async with carriers(
        tmp_path, {"exact": table(tmp_path, running, smsc="EXACT"), "fake": table(tmp_path, running)}
    ) as found:
        wanted = ""
        for text in HOSTILE_TEXTS:
            assert (await found.send("exact", outgoing(text=text, sender="ACME"))).outcome == "accepted", text
            wanted += text  # one by one, since Kannel keeps no order
            assert await eventually(running.exactly, partial(covers, wanted)) == wanted
        for fields in HOSTILE_FIELDS:
            for name in ("exact", "fake"):
                assert (await found.send(name, outgoing(**fields))).outcome == "refused", fields
        await found.send("fake", outgoing(text="the end"))
        assert [each.text for each in await running.count(1)] == ["the end"]
        assert await running.exactly() == wanted
    assert {(each.sender, each.to) for each in running.exact} == {("ACME", PHONE)}


async def test_a_wrong_password_is_for_later_and_stays_secret(tmp_path: Path, running: Kannel) -> None:
    """Another gateway can have the message; the reason names the status alone."""
    wrong = table(tmp_path, running) | {"password_file": secret(tmp_path, "wr0ng-s3cret", "wrong")}
    async with carriers(tmp_path, {"k": wrong}) as found:
        carried = await found.send("k", outgoing())
    assert (carried.outcome, carried.reason) == (
        "later",
        "Kannel answered 403: Authorization failed for sendsms",
    )


async def test_a_kannel_that_is_not_there_is_for_later(tmp_path: Path) -> None:
    """Nothing listens: surely nothing was sent."""
    made = Kannel("http://127.0.0.1:9/cgi-bin/sendsms", None, [])  # type: ignore[arg-type]  # nobody reads its lines
    async with carriers(tmp_path, {"k": table(tmp_path, made)}) as found:
        carried = await found.send("k", outgoing())
    assert (carried.outcome, carried.unsure) == ("later", False)


async def test_otp_12_a_code_is_one_part_and_may_end_with_its_origin(tmp_path: Path, running: Kannel) -> None:
    """In all languages the built-in text is one part at the SMSC; with an origin its last line binds the code to it."""
    gateway = {"k": table(tmp_path, running)}
    async with live_server(tmp_path / "data", gateway=gateway) as server:
        await server.api_key("acme")
        values: dict[str, str] = {}
        for block, origin in enumerate(("", "login.acme.example")):
            policies = {"code.origin": origin} if origin else {"code.seconds": "600"}
            application = await server.domain.applications.set_policies("acme", policies, server.clock.now())
            for number, language in enumerate(WORDS):
                to = Destination("phone", f"+48601{block}00{number:03}")
                draft = CodeDraft(destination=to, channels=("sms",), language=language)
                issued = await server.domain.codes.issue(caller_of(application), draft, server.clock.now())
                values[to.address] = issued.value
        for each in await running.count(2 * len(WORDS)):
            value = values[each.to]
            assert value in each.text.partition("\n")[0]
            if each.to.startswith("+486010"):
                assert (each.parts, "@" in each.text) == (1, False), each
            else:
                assert each.text.rpartition("\n")[2] == f"@login.acme.example #{value}"
                assert each.parts == 1 or each.coded == "ucs-2", each


async def test_kannel_reports_the_delivery(tmp_path: Path, running: Kannel) -> None:
    """Its report comes to the message's own URL, and the message is delivered."""
    async with live_server(tmp_path / "data", gateway={"k": table(tmp_path, running)}) as server:
        await server.api_key("acme")
        application = await server.domain.applications.named("acme")
        now = server.clock.now()
        draft = MessageDraft(to=ANA, channels=("sms",), texts={"sms": Text("Hello")}, expires_at=now + 60_000)
        info = await server.domain.messages.send(caller_of(application), draft, now)
        info = await eventually(
            lambda: server.domain.messages.get(None, info.id), lambda seen: seen.status == "delivered"
        )
        assert (info.gateway, info.channel) == ("k", "sms")


async def test_otp_15_with_a_hanging_first_gateway_each_code_reaches_the_smsc_once(
    tmp_path: Path, running: Kannel
) -> None:
    """The second route is a real Kannel: every accepted request arrives there, exactly once."""
    slow = FaultGateway("slow", ["hang"], "sms")
    gateway = {"k": table(tmp_path, running)}
    async with live_server(tmp_path / "data", gateway=gateway, gateways=[slow]) as server:
        await server.api_key("acme")
        application = await server.domain.applications.named("acme")
        ids = []
        for number in range(20):
            to = Destination("phone", f"+486001{number:02}000")
            now = server.clock.now()
            draft = MessageDraft(to=to, channels=("sms",), texts={"sms": Text("Hi")}, expires_at=now + 60_000)
            ids.append((await server.domain.messages.send(caller_of(application), draft, now)).id)
        got = await running.count(20)
        assert len({each.to for each in got}) == 20
        assert len(slow.sent) == 20
        for each in ids:
            info = await eventually(
                partial(server.domain.messages.get, None, each), lambda seen: seen.gateway
            )
            assert info.gateway == "k"
        assert len(running.got) == 20
