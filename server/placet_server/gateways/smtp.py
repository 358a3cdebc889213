"""``smtp``: codes by e-mail, as text and, where there is one, as HTML (RFC 5321, 5322)."""

from __future__ import annotations

import asyncio
import re
import ssl
from datetime import UTC, datetime
from email.charset import QP, Charset
from email.header import Header
from email.message import Message
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from email.policy import compat32
from email.utils import format_datetime, formataddr
from pathlib import Path
from typing import Annotated, Final, Literal

import aiosmtplib
from msgspec import Meta, Struct

from placet_server.plugin import Carried, GatewayKit, Outgoing, Secret
from placet_server.ports import Channel, Clock

_POLICY: Final = compat32.clone(linesep="\r\n")
_UTF_8: Final = Charset("utf-8")
_UTF_8.body_encoding = QP
_PLAIN_ADDRESS: Final = re.compile(r"[A-Za-z0-9._+-]+@([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)", re.ASCII)
_BOTH: Final = re.compile(r"(.*)<([^<>]+@[^<>]+)>")
_PORTS: Final = {"starttls": 587, "tls": 465, "none": 25}
_GOODBYE: Final = 1.0
"""Seconds that a mail server has to answer QUIT, beside the message's own time."""


class SmtpSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """How to reach one mail server."""

    host: Annotated[str, Meta(description="Name or address of the mail server.")]
    from_: Annotated[str, Meta(description="Sender, such as `ACME <codes@acme.example>`.")]
    security: Annotated[
        Literal["starttls", "tls", "none"],
        Meta(description="`starttls`, `tls` from the first byte, or `none` (only on your own machine)."),
    ] = "starttls"
    port: Annotated[
        Annotated[int, Meta(ge=1, le=65535)] | None, Meta(description="Port; 587, 465 or 25 by `security`.")
    ] = None
    username: Annotated[str | None, Meta(description="Name to log in with.")] = None
    password: Annotated[Secret | None, Meta(description="Password to log in with.")] = None
    ca_file: Annotated[Path | None, Meta(description="PEM file of further certificate authorities.")] = None
    local_hostname: Annotated[str | None, Meta(description="Name that this server greets with.")] = None


class SmtpGateway:
    """Hands mails to a mail server: 5xx refuses for good, 4xx and whatever breaks is for later."""

    settings = SmtpSettings
    channels: frozenset[Channel] = frozenset({"email"})

    def __init__(self, name: str, settings: SmtpSettings, kit: GatewayKit) -> None:
        self.name = name
        self._settings: Final = settings
        self._clock: Final[Clock] = kit.clock
        self._leaving: Final[set[asyncio.Task[None]]] = set()
        self._from: Final = _address(settings.from_)
        if (settings.username is None) != (settings.password is None):
            raise ValueError("a log-in needs both username and password_file")
        if settings.username is not None and settings.security == "none":
            raise ValueError("a password would travel in clear: set security to starttls or tls")
        self._tls: Final = ssl.create_default_context()
        if settings.ca_file is not None:
            self._tls.load_verify_locations(settings.ca_file)

    async def send(self, message: Outgoing) -> Carried:
        """One mail over a connection of its own; what the mail server does after its 250 changes nothing."""
        settings = self._settings
        client = self._client()
        message_id = f"{message.id}@{self._from[1].rpartition('@')[2]}"
        mail = self._mail(message, message_id)
        handed = False
        try:
            await client.connect()
            if settings.username is not None and settings.password is not None:
                await client.login(settings.username, settings.password.reveal())
            handed = True
            _, said = await client.sendmail(self._from[1], [message.to], mail)
        except aiosmtplib.SMTPRecipientsRefused as error:
            return _judged(error.recipients[0].code if error.recipients else 450, "the recipient")
        except aiosmtplib.SMTPAuthenticationError as error:
            return Carried("later", reason=f"the mail server refused the log-in: {error.code}")
        except aiosmtplib.SMTPResponseException as error:
            return _judged(error.code, "the mail")
        except (aiosmtplib.SMTPException, OSError) as error:
            reason = f"no exchange with the mail server: {type(error).__name__}"
            return Carried("later", reason=reason, unsure=handed)
        finally:
            self._leave(client)
        return Carried("accepted", message_id, said[:100])

    async def close(self) -> None:
        """No connection is kept; those that are just being left end within a second."""
        await asyncio.gather(*self._leaving)

    def _client(self) -> aiosmtplib.SMTP:
        settings = self._settings
        return aiosmtplib.SMTP(
            hostname=settings.host,
            port=settings.port or _PORTS[settings.security],
            use_tls=settings.security == "tls",
            start_tls=settings.security == "starttls",
            tls_context=None if settings.security == "none" else self._tls,
            local_hostname=settings.local_hostname,
            timeout=None,  # the server's own deadline covers all of it
        )

    def _leave(self, client: aiosmtplib.SMTP) -> None:
        """Say QUIT (RFC 5321 §4.1.1.10) behind the attempt's back.

        The client's own ``async with`` waits for the answer, even when the deadline has ended the attempt: a mail server
        that hangs would hold the message for ever.
        """
        if client.is_connected:
            task = asyncio.create_task(_goodbye(client))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    def _mail(self, message: Outgoing, message_id: str) -> bytes:
        name, address = self._sender(message.sender)
        body = _part(message.text, "plain")
        mail: Message = body if message.html is None else MIMEMultipart("alternative")
        if message.html is not None:
            mail.attach(body)
            mail.attach(_part(message.html, "html"))
        mail["From"] = formataddr((_words(name), address))
        mail["To"] = message.to
        mail["Subject"] = _words(message.subject or message.text.partition("\n")[0][:60])
        mail["Date"] = format_datetime(datetime.fromtimestamp(self._clock.now() / 1000, UTC))
        mail["Message-ID"] = f"<{message_id}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office note comes back
        return mail.as_bytes(policy=_POLICY)

    def _sender(self, wanted: str | None) -> tuple[str, str]:
        """The configured address, under the name that a message asks for; mail from other domains would be spam."""
        own_name, own_address = self._from
        if not wanted:
            return self._from
        name, address = _split(wanted)
        plain = _PLAIN_ADDRESS.fullmatch(address)
        if plain and plain[1].lower() == own_address.rpartition("@")[2].lower():
            return name or own_name, address
        return name or own_name, own_address


async def _goodbye(client: aiosmtplib.SMTP) -> None:
    try:
        async with asyncio.timeout(_GOODBYE):
            await client.quit()
    except (aiosmtplib.SMTPException, OSError, TimeoutError):
        pass  # it is left all the same
    finally:
        client.close()


def _part(text: str, subtype: str) -> MIMENonMultipart:
    part = MIMENonMultipart("text", subtype)
    part.set_payload(text, _UTF_8)
    return part


def _words(text: str) -> str:
    """A text as a header field takes it (RFC 2047).

    ``EmailMessage`` would decode encoded words inside the text, and write out the line ends that they hold: CPython 3.11.
    """
    return text if text.isascii() and "=?" not in text else Header(text, "utf-8", maxlinelen=64).encode()


def _address(text: str) -> tuple[str, str]:
    name, address = _split(text)
    if not _PLAIN_ADDRESS.fullmatch(address):
        raise ValueError("from is no e-mail address: write ACME <codes@acme.example>")
    return name, address


def _split(text: str) -> tuple[str, str]:
    """Name and address of ``NAME <address>``, of an address alone, or of a name alone."""
    if (both := _BOTH.fullmatch(text.strip())) is not None:
        return both[1].strip().strip('"'), both[2]
    return ("", text.strip()) if _PLAIN_ADDRESS.fullmatch(text.strip()) else (text, "")


def _judged(code: int, what: str) -> Carried:
    reason = f"the mail server refused {what}: {code}"
    return Carried("refused" if code >= 500 else "later", reason=reason)
