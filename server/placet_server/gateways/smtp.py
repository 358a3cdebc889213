"""``smtp``: codes by e-mail, as text and, where there is one, as HTML (RFC 5321, 5322)."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from pathlib import Path
from typing import Annotated, Final, Literal

import aiosmtplib
from msgspec import Meta, Struct

from placet_server.plugin import Carried, GatewayKit, Outgoing, Secret
from placet_server.ports import Channel, Clock

_PORTS: Final = {"starttls": 587, "tls": 465, "none": 25}


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
        self._from: Final = _address(settings.from_)
        if (settings.username is None) != (settings.password is None):
            raise ValueError("a log-in needs both username and password_file")
        if settings.username is not None and settings.security == "none":
            raise ValueError("a password would travel in clear: set security to starttls or tls")
        self._tls: Final = ssl.create_default_context()
        if settings.ca_file is not None:
            self._tls.load_verify_locations(settings.ca_file)

    async def send(self, message: Outgoing) -> Carried:
        """One mail over a connection of its own."""
        settings = self._settings
        client = aiosmtplib.SMTP(
            hostname=settings.host,
            port=settings.port or _PORTS[settings.security],
            use_tls=settings.security == "tls",
            start_tls=settings.security == "starttls",
            tls_context=None if settings.security == "none" else self._tls,
            local_hostname=settings.local_hostname,
            timeout=None,  # the server's own deadline covers all of it
        )
        mail = self._mail(message)
        try:
            async with client:
                if settings.username is not None and settings.password is not None:
                    await client.login(settings.username, settings.password.reveal())
                _, said = await client.send_message(
                    mail, sender=self._from.addr_spec, recipients=[message.to]
                )
        except aiosmtplib.SMTPRecipientsRefused as error:
            return _judged(error.recipients[0].code if error.recipients else 450, "the recipient")
        except aiosmtplib.SMTPAuthenticationError as error:
            return Carried("later", reason=f"the mail server refused the log-in: {error.code}")
        except aiosmtplib.SMTPResponseException as error:
            return _judged(error.code, "the mail")
        except (aiosmtplib.SMTPException, OSError) as error:
            unsure = not isinstance(error, aiosmtplib.SMTPConnectError | ConnectionRefusedError)
            reason = f"no exchange with the mail server: {type(error).__name__}"
            return Carried("later", reason=reason, unsure=unsure)
        return Carried("accepted", mail["Message-ID"].strip("<>"), said[:100])

    async def close(self) -> None:
        """No connection is kept."""

    def _mail(self, message: Outgoing) -> EmailMessage:
        mail = EmailMessage(policy=SMTP)
        mail["From"] = self._sender(message.sender)
        mail["To"] = Address(addr_spec=message.to)
        mail["Subject"] = message.subject or message.text.partition("\n")[0][:60]
        mail["Date"] = format_datetime(datetime.fromtimestamp(self._clock.now() / 1000, UTC))
        mail["Message-ID"] = f"<{message.id}@{self._from.domain}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office note comes back
        mail.set_content(message.text)
        if message.html is not None:
            mail.add_alternative(message.html, subtype="html")
        return mail

    def _sender(self, wanted: str | None) -> Address:
        """The configured address, under the name that a message asks for; mail from other domains would be spam."""
        if not wanted:
            return self._from
        name, address = parseaddr(wanted) if "@" in wanted else (wanted, "")
        local, _, domain = address.rpartition("@")
        if local and domain.lower() == self._from.domain.lower():
            try:
                return Address(name or self._from.display_name, addr_spec=address)
            except ValueError:
                return self._from
        return Address(name or self._from.display_name, addr_spec=self._from.addr_spec)


def _address(text: str) -> Address:
    name, address = parseaddr(text)
    try:
        return Address(name, addr_spec=address)
    except (ValueError, IndexError):
        raise ValueError("from is no e-mail address: write ACME <codes@acme.example>") from None


def _judged(code: int, what: str) -> Carried:
    reason = f"the mail server refused {what}: {code}"
    return Carried("refused" if code >= 500 else "later", reason=reason)
