"""``placet-server``: start the server, and the operator's commands against it or against its closed data folder."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from placet_server.commands import applications, audit, credentials, doctor, log, messages, printing
from placet_server.commands.operating import PATH, Operator, Trouble, operated
from placet_server.system import harden

_POLL_SECONDS: Final = 0.5
_EPILOG: Final = """\b
Exit status: 0 done; 1 refused, the sentence on stderr says why; 2 wrong usage;
3 the settings, the key or the data folder cannot be used.

Every option of `serve` can also be set as PLACET_… in the environment or in a TOML file."""


@click.group(
    epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="placet")
def program() -> None:
    """Placet: approvals on a person's own device. The operator's commands.

    They talk to the running server of a data folder, or open the folder themselves when none runs.
    """


@program.command(short_help="Make a data folder with its keys and its store.")
@operated(serving=True)
@click.option("--public-url", help="Origin under which applications and devices reach the server.")
@click.option("--host", hidden=True)
@click.option("--port", type=int, hidden=True)
def init(operator: Operator) -> None:
    """Make a data folder: its master key, its signing keys, its store.

    The public URL is fixed here: devices pin it.
    """
    import asyncio

    from placet_server import app  # everything

    url = asyncio.run(app.make(operator.settings))
    operator.show({"data": str(operator.settings.data), "public_url": url})


@program.command(short_help="Run the server in the foreground.")
@operated(serving=True)
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on; 0 takes a free one.  [default: 8080]")
@click.option("--public-url", help="For a data folder that is still empty: its public URL.")
@click.option(
    "--trusted-proxy", multiple=True, metavar="CIDR", help="Network whose X-Forwarded-For is believed."
)
@click.option("--tls-cert", type=PATH, help="PEM file with the certificate chain.")
@click.option("--tls-key", type=PATH, help="PEM file with its private key.")
@click.option("--egress-allow", multiple=True, metavar="CIDR", help="Own network that webhooks may reach.")
@click.option("--egress-ca-file", type=PATH, help="Further certificate authorities for outgoing calls.")
@click.option("--strangers-per-minute", type=int, help="Refused calls of one address.  [default: 60; 0: any]")
@click.option("--keep-log", type=int, help="Days for which calls stay in the API log.  [default: 90]")
@click.option("--keep-approvals", type=int, help="Days for which approval requests stay.  [default: 365]")
@click.option("--keep-enrollments", type=int, help="Days for unused enrolments.  [default: 30]")
@click.option("--keep-acks", type=int, help="Days for what devices hold.  [default: 90]")
@click.option("--demo", is_flag=True, default=None, help="Keep messages in a file where no gateway is set.")
def serve(operator: Operator) -> None:
    """Run the server in the foreground until SIGTERM or SIGINT; an empty data folder is initialised first.

    Prints one line with its URL when it is ready. Logs are JSON lines on stderr.
    """
    from placet_server import serving  # everything

    def ready(url: str, listening: str) -> None:
        if operator.as_json:
            operator.show({"url": url, "listening": listening})
        else:
            click.echo(url if url == listening else f"{url} (listening on {listening})")

    serving.serve(operator.settings, ready)


@program.command(short_help="Invite a device of a user.")
@operated()
@click.argument("tfa_id", metavar="USER", type=int)
@click.option("--application", "name", help="Which application invites, when there are several.")
@click.option(
    "--reason", default="added by the operator", show_default=True, help="Kept for a further device."
)
@click.option("--wait", is_flag=True, help="Stay until the device is active, or the invitation has ended.")
@click.option(
    "--confirm", "check", metavar="DIGITS", help="Instead: confirm the device that shows these six digits."
)
@click.option("--png", type=PATH, help="Also write the QR code as a picture.")
@click.option("--svg", type=PATH, help="Also write the QR code as a drawing.")
def enroll(
    operator: Operator,
    *,
    tfa_id: int,
    name: str | None,
    reason: str,
    wait: bool,
    check: str | None,
    png: Path | None,
    svg: Path | None,
) -> None:
    """Invite a device of a user: print the enrolment URI and its QR code, this once.

    The device then shows six digits; confirm them by `enroll USER --confirm DIGITS`, or at the prompt of --wait.
    With --json and --wait there are two lines: the invitation and how it ended.
    """
    if check is not None:
        operator.show(operator.ask("enrollment confirm", tfa_id=tfa_id, check=check))
        return
    if wait and not operator.has_server():
        raise Trouble("No server runs on this data folder, so no device can answer: start it by `serve`.")
    opened = operator.ask("enrollment open", tfa_id=tfa_id, application=name, reason=reason)
    if png is not None or svg is not None:
        from placet_server.web import qr  # the web framework: only for a picture

        if png is not None:
            printing.write_private(png, qr.png(opened["uri"]))
        if svg is not None:
            printing.write_private(svg, qr.svg(opened["uri"]).encode())
    operator.show(opened)
    if not operator.as_json:
        click.echo(printing.blocks(opened["uri"]))
    if wait:
        ended = _waited(operator, opened)
        operator.show(ended)
        if ended["status"] != "confirmed":
            raise Trouble(f"The invitation is {ended['status']}: invite again by `enroll {tfa_id}`.")


for _group in (
    applications.application,
    credentials.credential,
    applications.user,
    applications.device,
    applications.webhook,
    log.log,
    messages.gateway,
    messages.message,
    messages.code,
    audit.audit,
    doctor.doctor,
):
    program.add_command(_group)


def main() -> NoReturn:
    """The program's entry point."""
    harden()
    program(prog_name="placet-server")
    raise SystemExit(0)


def _waited(operator: Operator, opened: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
    asked = False
    while True:
        now = operator.ask("enrollment status", tfa_id=opened["tfa_id"], id=opened["id"])
        if now["status"] in {"confirmed", "void", "expired"}:
            return now
        if now["status"] == "redeemed" and sys.stdin.isatty() and not operator.as_json:
            check = click.prompt("Six digits that the device shows", err=True)
            try:
                return operator.ask(
                    "enrollment confirm", tfa_id=opened["tfa_id"], id=opened["id"], check=check
                )
            except Trouble as error:
                error.show()
        elif now["status"] == "redeemed" and not asked:
            asked = True
            click.echo(
                f"A device answered: confirm it by `enroll {opened['tfa_id']} --confirm DIGITS`.", err=True
            )
        time.sleep(_POLL_SECONDS)
