"""The operator's commands on the API log."""

from __future__ import annotations

import json
from typing import Any, Final

import click

from placet_server.commands.operating import Operator, operated

_SHOWN: Final = (
    "at",
    "ip",
    "face",
    "method",
    "route",
    "status",
    "code",
    "application",
    "took_us",
    "request_id",
)
_PAGE_MAX: Final = 200


@click.group()
def log() -> None:
    """Who called what, when, from where, with which result."""


@log.command("search")
@operated()
@click.option(
    "--since", metavar="TIME", help="From this time on, such as 2026-11-21T20:00:00Z or 2026-11-21."
)
@click.option("--until", metavar="TIME", help="Before this time.")
@click.option("--ip", metavar="CIDR", help="From this address or network.")
@click.option("--face", help="native, device, authy, afilnet, unityvox or octopush.")
@click.option("--method", help="HTTP method.")
@click.option(
    "--route", metavar="TEXT", help="Calls whose route holds this text, such as /verify or otp/generateotp."
)
@click.option("--status", type=int, help="HTTP status.")
@click.option(
    "--code", help="Our word for a refusal, or the code that the caller saw, such as no_credit or 104."
)
@click.option("--request", "request_id", help="X-Request-Id of the answer.")
@click.option("--application", help="Name of the application.")
@click.option("--credential", help="Id of the credential or native key.")
@click.option("--user", type=int, metavar="TFA_ID", help="Calls about this user.")
@click.option("--destination", help="Calls about this telephone number or e-mail address.")
@click.option("--after", help="The cursor `next` of the page before.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
def log_search(operator: Operator, *, limit: int, after: str | None, **sought: Any) -> None:  # noqa: ANN401 - as click passes them
    """Show calls, newest first; --json tells parameters, answer and effective values, too."""
    calls: list[dict[str, Any]] = []
    wanted = {name: value for name, value in sought.items() if value is not None}
    while True:
        page = operator.ask("log search", after=after, limit=min(limit - len(calls), _PAGE_MAX), **wanted)
        calls += page["calls"]
        after = page["next"]
        if after is None or len(calls) >= limit:
            break
    if operator.as_json:
        # ASCII only: what strangers sent must not reach the terminal as control or bidirectional characters.
        click.echo(json.dumps({"calls": calls, "next": after}, separators=(",", ":")))
        return
    operator.show([{name: call[name] for name in _SHOWN} for call in calls])
    if after is not None:
        click.echo(f"more: --after {after}", err=True)
