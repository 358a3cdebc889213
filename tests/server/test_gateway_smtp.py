"""Codes by e-mail, read at a real mail server."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest

from support.carrying import carriers, outgoing, secret
from support.mail import MailServer, mail_server
from support.tls import certificate


def to_ana(**changes: Any) -> Any:
    """A code on its way by e-mail."""
    return outgoing(**({"channel": "email", "to": "ana@example.org", "subject": "Your code"} | changes))


def table(server: MailServer, **more: Any) -> dict[str, Any]:
    """The settings for a mail server."""
    return {
        "type": "smtp",
        "host": "127.0.0.1",
        "port": server.port,
        "security": "none",
        "from": "ACME <codes@acme.example>",
        **more,
    }


def served(pem: Path) -> ssl.SSLContext:
    """TLS with a certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    return context


async def test_a_mail_has_text_html_and_everything_a_mail_has(tmp_path: Path) -> None:
    """Text and HTML as alternatives, one recipient, our sender in envelope and head, a date, an id of ours."""
    async with mail_server() as server, carriers(tmp_path, {"mail": table(server)}) as found:
        text, html = "Dein Code ist 271828 – gültig 10 Minuten.\n\nACME", "<p>Dein Code ist <b>271828</b></p>"
        carried = await found.send("mail", to_ana(text=text, html=html, subject="Code für ACME"))
    assert carried.outcome == "accepted"
    (mail,) = server.mails
    assert (mail.sender, mail.recipients) == ("codes@acme.example", ["ana@example.org"])
    head = mail.message
    assert (str(head["From"]), str(head["To"])) == ("ACME <codes@acme.example>", "ana@example.org")
    assert str(head["Subject"]) == "Code für ACME"
    assert str(head["Date"]) == "Fri, 15 Jan 2027 08:00:00 +0000"
    assert str(head["Message-ID"]) == f"<{carried.reference}>"
    assert carried.reference.endswith("@acme.example")
    assert str(head["Auto-Submitted"]) == "auto-generated"
    bodies = {part.get_content_type(): part.get_content() for part in head.iter_parts()}
    assert {kind: body.replace("\r\n", "\n") for kind, body in bodies.items()} == {
        "text/plain": text,
        "text/html": html,
    }


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        (None, "ACME <codes@acme.example>"),
        ("Zoo", "Zoo <codes@acme.example>"),
        ("Café, Bar <x>", '"Café, Bar <x>" <codes@acme.example>'),
        ("otp@acme.example", "ACME <otp@acme.example>"),
        ("Zoo <otp@ACME.example>", "Zoo <otp@ACME.example>"),
        ("ceo@bank.example", "ACME <codes@acme.example>"),
        ("Bank <ceo@bank.example>", "Bank <codes@acme.example>"),
    ],
)
async def test_a_message_chooses_the_name_but_not_another_s_domain(
    tmp_path: Path, wanted: str | None, shown: str
) -> None:
    """The name of the sender is the application's; the address stays in the domain that the operator set."""
    async with mail_server() as server, carriers(tmp_path, {"mail": table(server)}) as found:
        assert (await found.send("mail", to_ana(sender=wanted))).outcome == "accepted"
    assert str(server.mails[0].message["From"]) == shown
    assert server.mails[0].sender == "codes@acme.example"


@pytest.mark.parametrize(
    ("place", "said", "outcome"),
    [
        ("ana@example.org", "550 5.1.1 no such user", "refused"),
        ("ana@example.org", "451 4.7.1 greylisted", "later"),
        ("data", "554 5.7.1 spam: Your code is 271828.", "refused"),
        ("data", "452 4.3.1 disk full", "later"),
    ],
)
async def test_5xx_is_for_good_and_4xx_for_later(tmp_path: Path, place: str, said: str, outcome: str) -> None:
    """What the mail server says decides whether another try makes sense; its words are not passed on."""
    async with mail_server() as server, carriers(tmp_path, {"mail": table(server)}) as found:
        server.refusals[place] = said
        carried = await found.send("mail", to_ana())
    assert (carried.outcome, carried.unsure) == (outcome, False)
    assert said[:3] in carried.reason
    assert "271828" not in carried.reason


async def test_a_mail_server_that_is_not_there_is_for_later(tmp_path: Path) -> None:
    """Nothing listens: another gateway can have the message, and it was surely not sent."""
    async with mail_server() as server:
        pass
    async with carriers(tmp_path, {"mail": table(server)}) as found:
        carried = await found.send("mail", to_ana())
    assert (carried.outcome, carried.unsure) == ("later", False)


@pytest.mark.parametrize("command", ["EHLO", "MAIL", "RCPT", "DATA"])
async def test_otp_15_a_mail_server_that_hangs_holds_no_message(tmp_path: Path, command: str) -> None:
    """Whatever it leaves without an answer, the attempt is over by the deadline, and the next one has its place."""
    async with mail_server() as server:
        settings = table(server, timeout=1, at_once=1)
        async with carriers(tmp_path, {"mail": settings}) as found, asyncio.timeout(20):
            server.silent.add(command)
            hung = [await found.send("mail", to_ana()) for _ in range(2)]
            server.silent.clear()
            well = await found.send("mail", to_ana())
    assert [each.reason for each in hung] == ["no answer within 1 s"] * 2
    assert (well.outcome, len(server.mails)) == ("accepted", 1)


async def test_otp_15_a_mail_that_was_taken_is_not_sent_again(tmp_path: Path) -> None:
    """The mail server hangs behind its 250: the mail is sent, so no other gateway gets it."""
    async with mail_server() as server:
        server.silent.add("QUIT")
        async with carriers(tmp_path, {"mail": table(server, timeout=1)}) as found:
            carried = await found.send("mail", to_ana())
    assert (carried.outcome, len(server.mails)) == ("accepted", 1)


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_mail_travels_over_tls_behind_a_login(tmp_path: Path, security: str) -> None:
    """The certificate is verified before the password is said; both spellings of TLS work."""
    pem = certificate(tmp_path)
    way = {security: served(pem)}
    login = {"username": "codes", "password_file": secret(tmp_path, "mail-s3cret"), "ca_file": str(pem)}
    async with mail_server(**way, auth=True) as server:
        good = table(server, security=security, **login)
        async with carriers(tmp_path, {"mail": good}) as found:
            assert (await found.send("mail", to_ana())).outcome == "accepted"
        assert (len(server.mails), server.logins) == (1, [("codes", "mail-s3cret")])
        bad = good | {"password_file": secret(tmp_path, "wr0ng-s3cret", "wrong")}
        async with carriers(tmp_path, {"mail": bad}) as found:
            carried = await found.send("mail", to_ana())
        assert (carried.outcome, carried.reason) == ("later", "the mail server refused the log-in: 535")
        del good["ca_file"]
        said = len(server.logins)
        async with carriers(tmp_path, {"mail": good}) as found:
            carried = await found.send("mail", to_ana())
        assert (carried.outcome, carried.unsure) == ("later", False)
        assert (len(server.mails), len(server.logins)) == (1, said)


async def test_a_mail_server_without_tls_gets_nothing_where_tls_is_set(tmp_path: Path) -> None:
    """STARTTLS that a server does not offer, or that somebody strips, ends the attempt before any mail."""
    async with (
        mail_server() as server,
        carriers(tmp_path, {"mail": table(server, security="starttls")}) as found,
    ):
        carried = await found.send("mail", to_ana())
    assert (carried.outcome, carried.unsure, server.mails) == ("later", False, [])


HOSTILE: list[dict[str, Any]] = [
    {"text": "code\r\n.\r\nMAIL FROM:<eve@example.org>\r\nRCPT TO:<eve@example.org>\r\nDATA\r\nhi"},
    {"text": "code\n.\nQUIT\n"},
    {"text": "Bcc: eve@example.org\n\nbody"},
    {"text": "x" * 2_000},
    {"html": "<p>\n.\n</p>\nBcc: eve@example.org"},
    {"html": "<script>" + "y" * 3_000},
    {"subject": "Code, for: <you> =?utf-8?q?x?="},
    {"subject": "=?utf-8?b?DQpCY2M6IGV2ZUBleGFtcGxlLm9yZw==?="},
    {"subject": "Ünï\u202ecode " * 12},
    {"sender": "Eve <eve@example.org>, Mallory <m@example.org>"},
    {"sender": 'a" <eve@example.org> "'},
    {"sender": "=?utf-8?q?=0D=0ABcc:_eve@example.org?="},
    {"sender": "Bcc: eve@example.org"},
    {"sender": "@acme.example"},
    {"sender": "eve@example.org@acme.example"},
]
"""Each is carried as one mail to one person."""
REFUSED: list[dict[str, Any]] = [
    {"to": "ana@example.org\r\nRCPT TO:<eve@example.org>"},
    {"to": "ana@example.org, eve@example.org"},
    {"to": "ana@example.org> <eve@example.org"},
    {"to": "ana@example.org\x00"},
    {"to": '"ana eve"@example.org'},
    {"subject": "Code\r\nBcc: eve@example.org"},
    {"subject": "Code\nBcc: eve@example.org"},
    {"subject": "Code\x00"},
    {"sender": "ACME\nBcc: eve@example.org"},
    {"text": "nul \x00"},
    {"text": "lone \r return"},
]
"""None of these reaches the mail server."""


async def test_api_16_no_mail_gets_headers_or_recipients_from_its_texts(tmp_path: Path) -> None:
    """Whatever stands in text, HTML, subject or sender: one mail, one recipient, our address, no field of theirs."""
    async with mail_server() as server, carriers(tmp_path, {"mail": table(server)}) as found:
        for number, hostile in enumerate(HOSTILE, 1):
            assert (await found.send("mail", to_ana(**hostile))).outcome == "accepted", hostile
            assert len(server.mails) == number, hostile
        for hostile in REFUSED:
            assert (await found.send("mail", to_ana(**hostile))).outcome == "refused", hostile
    assert len(server.mails) == len(HOSTILE)
    for mail, hostile in zip(server.mails, HOSTILE, strict=True):
        assert (mail.sender, mail.recipients) == ("codes@acme.example", ["ana@example.org"])
        head = mail.message
        names = [name.lower() for name in head]
        assert set(names) <= {
            "from", "to", "subject", "date", "message-id", "auto-submitted", "mime-version", "content-type",
            "content-transfer-encoding",
        }  # fmt: skip
        assert len(names) == len(set(names)), hostile
        assert [address.addr_spec for address in head["From"].addresses] == ["codes@acme.example"], hostile
        assert [address.addr_spec for address in head["To"].addresses] == ["ana@example.org"]
        body = head.get_body(("plain",))
        assert body is not None
        sent = to_ana(**hostile)
        assert body.get_content().split() == sent.text.split()
        if "subject" in hostile:
            assert "\n" not in str(head["Subject"])
