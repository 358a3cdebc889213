"""The operator's commands on gateways, messages and codes."""

from __future__ import annotations

from typing import get_args

import click

from placet_server.commands.operating import Operator, Trouble, operated
from placet_server.ports import Channel


@click.group()
def gateway() -> None:
    """What carries codes to people; docs/gateways.md says how to set one up."""


@gateway.command("list")
@operated()
def gateway_list(operator: Operator) -> None:
    """List the gateways in their order, with what became of their messages."""
    operator.show(operator.ask("gateway list"))


@gateway.command("test")
@operated()
@click.argument("name")
@click.option("--to", required=True, help="A number such as +34600000000, or an e-mail address.")
@click.option("--channel", type=click.Choice(get_args(Channel)), help="By which of its channels.")
@click.option("--text", help="What to say.  [default: This is a test message.]")
def gateway_test(operator: Operator, **arguments: str | None) -> None:
    """Send one test message through a gateway now and print what it said.

    Ends with status 1 unless the gateway took it.
    """
    answer = operator.ask("gateway test", **arguments)
    operator.show(answer)
    if answer["outcome"] != "accepted":
        raise Trouble(f"The gateway did not take it: {answer['reason']}.")


@click.group()
def message() -> None:
    """Messages on their way to people, never with their texts."""


@message.command("list")
@operated()
@click.option("--after", help="The cursor `next` of the page before.")
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True)
def message_list(operator: Operator, after: str | None, limit: int) -> None:
    """List messages, newest first, destinations masked."""
    operator.show(operator.ask("message list", after=after, limit=limit))


@message.command("show")
@operated()
@click.argument("id")
def message_show(operator: Operator, **arguments: str) -> None:
    """Show how a message stands."""
    operator.show(operator.ask("message show", **arguments))


@click.group()
def code() -> None:
    """One-time codes; docs/codes.md says how they count."""


@code.command("unlock")
@operated()
@click.argument("to")
def code_unlock(operator: Operator, to: str) -> None:
    """Let codes to a number or address count again after too many wrong ones."""
    operator.show(operator.ask("code unlock", to=to))
