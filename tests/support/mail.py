"""A real mail server on loopback that keeps what it got, and refuses as it is told."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, NamedTuple

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword


class Mail(NamedTuple):
    """One mail as the server got it: envelope, and the message as Python's own parser reads it."""

    sender: str
    recipients: list[str]
    message: EmailMessage
    raw: bytes


class MailServer:
    """Keeps mails; ``refusals`` maps a recipient, or ``data``, to the answer that it gets instead.

    A command of ``silent``, such as ``MAIL``, gets none at all; a mail whose ``DATA`` gets none is not kept.
    """

    def __init__(self) -> None:
        self.port = 0
        self.mails: list[Mail] = []
        self.refusals: dict[str, str] = {}
        self.silent: set[str] = set()
        self.logins: list[tuple[str, str]] = []

    async def handle_EHLO(  # noqa: N802 - aiosmtpd looks for these names
        self, _server: SMTP, session: Any, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """Greet."""
        await self._answering("EHLO")
        session.host_name = hostname
        return responses

    async def handle_MAIL(  # noqa: N802 - as above
        self, _server: SMTP, _session: Any, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take a sender."""
        await self._answering("MAIL")
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_QUIT(self, _server: SMTP, _session: Any, _envelope: Envelope) -> str:  # noqa: N802 - as above
        """Say goodbye."""
        await self._answering("QUIT")
        return "221 Bye"

    async def handle_RCPT(  # noqa: N802 - as above
        self, _server: SMTP, _session: Any, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take a recipient, or not."""
        await self._answering("RCPT")
        if address in self.refusals:
            return self.refusals[address]
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Any, envelope: Envelope) -> str:  # noqa: N802 - as above
        """Keep a mail."""
        await self._answering("DATA")
        if "data" in self.refusals:
            return self.refusals["data"]
        raw = envelope.original_content or b""
        parsed = message_from_bytes(raw, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        self.mails.append(Mail(envelope.mail_from or "", list(envelope.rcpt_tos), parsed, raw))
        return "250 kept"

    async def _answering(self, command: str) -> None:
        """Return, unless this command gets no answer."""
        if command in self.silent:
            await asyncio.Event().wait()

    def login(self, _server: SMTP, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        """Note a log-in; one password is good."""
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=data.password == b"mail-s3cret", handled=False)


@asynccontextmanager
async def mail_server(
    *, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None, auth: bool = False
) -> AsyncIterator[MailServer]:
    """A mail server on a free port of 127.0.0.1; with STARTTLS it takes mail over TLS only."""
    kept = MailServer()
    talks: list[SMTP] = []

    def protocol() -> SMTP:
        made = SMTP(
            kept,
            hostname="mail.test",
            tls_context=starttls,
            require_starttls=starttls is not None,
            authenticator=kept.login if auth else None,
            auth_required=auth and tls is None,  # aiosmtpd knows no TLS that was there before it
            auth_require_tls=tls is None,
            loop=asyncio.get_running_loop(),
        )
        talks.append(made)
        return made

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0, ssl=tls)
    kept.port = server.sockets[0].getsockname()[1]
    try:
        yield kept
    finally:
        server.close()
        await server.wait_closed()
        for each in talks:
            if each.transport is not None:  # who was left without an answer may not have said goodbye
                each.transport.abort()
        await asyncio.sleep(0)
