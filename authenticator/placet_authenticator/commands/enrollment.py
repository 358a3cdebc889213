"""``enroll``, ``devices``, ``leave``: on which servers this person can be asked."""

from __future__ import annotations

import platform
import sys
from typing import TYPE_CHECKING

import click

from placet_authenticator import printing
from placet_authenticator.errors import AuthenticatorError, UntrustedError
from placet_authenticator.running import Run, opens_vault
from placet_protocol.text import visible

if TYPE_CHECKING:
    from placet_authenticator.authenticator import Authenticator
    from placet_authenticator.enrolling import Enrolled


@click.command()
@opens_vault
@click.argument("source", metavar="URI|IMAGE")
@click.option(
    "--name", help="What this device is called on your other devices.  [default: this machine's name]"
)
@click.option("--yes", is_flag=True, help="Do not ask whether this is the right server.")
@click.option("--wait", is_flag=True, help="Stay until the six digits were confirmed.")
def enroll(run: Run, source: str, name: str | None, yes: bool, wait: bool) -> None:  # noqa: FBT001  click passes flags
    """Make this a device of yours on a server.

    URI is the enrolment's text, IMAGE a picture of its QR code, - reads the URI from standard input. Two keys are made
    here and never leave this machine. Compare the six digits with those that the application shows, or tell it yours.
    """
    from placet_authenticator import enrolling  # loads the HTTP client

    uri = enrolling.read_uri(run.text_of(source))
    if not yes:
        _confirm(f"Enrol on {uri.origin}, which calls itself {uri.name}?", "--yes")

    async def job(device: Authenticator) -> tuple[Enrolled, bool]:
        enrolled = await device.enroll(uri, device_name=name or platform.node() or "terminal")
        active = enrolled.enrollment.active
        if not run.json:
            printing.line(f"{enrolled.enrollment.check[:3]} {enrolled.enrollment.check[3:]}", bold=True)
            printing.line(
                "These six digits must be the ones that the application sees. "
                + ("" if active else "Confirm them there.")
            )
            if enrolled.token:
                printing.line(f"Codes: placet code {printing.argument(enrolled.token.label)}")
        if wait and not active:
            active = await device.confirmed(enrolled.enrollment)
            if not active:
                raise UntrustedError("the enrolment was turned down", "Ask for a new one")
        return enrolled, active

    enrolled, active = run.with_authenticator(job, create=True)
    if run.json:
        printing.as_json(
            {
                "device": enrolled.enrollment.id,
                "origin": enrolled.enrollment.origin,
                "server": enrolled.enrollment.name,
                "name": enrolled.enrollment.device_name,
                "check": enrolled.enrollment.check,
                "active": active,
                "token": enrolled.token.label if enrolled.token else None,
            }
        )
    elif wait:
        printing.line("Confirmed: requests will come to this device.")


@click.command()
@opens_vault
def devices(run: Run) -> None:
    """Show the servers that this machine is a device of, and what each says now.

    One that is not confirmed yet is shown with the six digits to compare.
    """

    async def job(device: Authenticator) -> list[dict[str, str | None]]:
        rows = []
        for each in device.enrollments:
            try:
                status = await device.status(each)
            except AuthenticatorError as trouble:
                status = f"unknown: {trouble.detail}"
            rows.append(
                {
                    "device": each.id,
                    "server": each.name,
                    "origin": each.origin,
                    "name": each.device_name,
                    "status": status,
                    "check": each.check if status == "pending" else None,
                    "enrolled_at": printing.timestamp(each.created_at),
                }
            )
        return rows

    rows = run.with_authenticator(job)
    if run.json:
        printing.as_json({"devices": rows})
    elif rows:
        shown = ("device", "server", "origin", "name", "status", "check")
        printing.table(shown, [[row[column] or "" for column in shown] for row in rows])
    else:
        printing.line("This vault is on no server yet. Start with: placet enroll URI")


@click.command()
@opens_vault
@click.argument("device_id", metavar="DEVICE")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--forget", is_flag=True, help="Erase it here without telling the server: for one that is gone for good."
)
def leave(run: Run, device_id: str, yes: bool, forget: bool) -> None:  # noqa: FBT001  click passes flags
    """Stop being a device of a server.

    DEVICE is the id that `placet devices` shows (or its beginning), or the server's name. Keys, requests, history and
    the soft token of that server are erased here.
    """

    async def job(device: Authenticator) -> dict[str, str]:
        enrollment = device.device(device_id)
        if not yes:
            _confirm(f"Leave {enrollment.origin} and erase its keys here?", "--yes")
        await device.leave(enrollment, tell=not forget)
        return {"device": enrollment.id, "origin": enrollment.origin, "status": "left"}

    left = run.with_authenticator(job)
    if run.json:
        printing.as_json(left)
    else:
        printing.line(f"Left {left['origin']}.")


def _confirm(question: str, option: str) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError(f"{visible(question)} Nobody is here to answer: add {option}.")
    click.confirm(visible(question), abort=True, err=True)
