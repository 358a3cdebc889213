"""The operator's commands on the audit log: state what it holds, and check that it still does."""

from __future__ import annotations

from base64 import b64encode
from bisect import bisect_right
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from placet_server.commands.operating import Operator, Trouble, operated

if TYPE_CHECKING:
    from placet_server.crypto.checkpoint import Checkpoint

_OWN: Final = "Nothing kept elsewhere was given: the folder's own checkpoints can be taken away by who can change the log."


@click.group()
def audit() -> None:
    """The log of all that changed: state what it holds, and check that it still does."""


@audit.command("checkpoint")
@operated()
def checkpoint(operator: Operator) -> None:
    """Print a signed statement of the log as it is now, to be kept where nobody reaches both.

    What is appended to a file (`>> FILE`) can be given to `audit verify FILE`. The log's key, on stderr, stays the same.
    """
    stated = operator.ask("audit checkpoint")
    if operator.as_json:
        operator.show(stated)
        return
    click.echo(stated["note"])
    click.echo(f"key: {stated['key']}", err=True)


@audit.command("verify")
@operated()
@click.argument(
    "files", metavar="[FILE]...", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option(
    "--key", metavar="KEY", help="The log's key, as `audit checkpoint` printed it; else the server's."
)
def verify(operator: Operator, *, files: tuple[Path, ...], key: str | None) -> None:
    """Check every entry of the log, and that checkpoints which were kept elsewhere were signed for its beginning.

    The folder's own checkpoints.txt is checked with them. Ends with status 1 and the place when something does not fit.
    """
    signed = _signed(operator, files, key)
    state: dict[str, Any] = {"entries": 0, "tree": "", "confirmed": 0, "done": False}
    while not state["done"]:
        state = operator.ask(
            "audit check",
            signed=_next(signed, state["entries"]),
            tree=state["tree"],
            confirmed=state["confirmed"],
        )
    if operator.as_json:
        told = {name: state[name] for name in ("entries", "confirmed", "wrong")}
        operator.show({"good": state["wrong"] is None, "checkpoints": len(signed), **told})
    elif state["wrong"] is None:
        click.echo(
            f"{state['entries']} entries fit together, and {len(signed)} checkpoints fit them;"
            f" the first {state['confirmed']} are signed for."
        )
    if not files:
        click.echo(_OWN, err=True)
    if state["wrong"] is not None:
        raise Trouble(state["wrong"])


def _signed(operator: Operator, files: tuple[Path, ...], key: str | None) -> list[Checkpoint]:
    """All checkpoints, smallest first, once their signatures are verified: here, and not in the server."""
    from placet_server.crypto.checkpoint import CheckpointError, read_checkpoints, read_verifier_key

    own = operator.settings.checkpoints
    signed = []
    try:
        origin, public = read_verifier_key(key or operator.ask("audit checkpoint")["key"])
        for file in (*files, *([own] if own.exists() else [])):
            found = read_checkpoints(file, origin, public)
            if not found and file != own:
                raise Trouble(f"{file} holds no checkpoint.")
            signed += found
    except CheckpointError as error:
        raise Trouble(f"{str(error)[:1].upper()}{str(error)[1:]}.") from error
    except OSError as error:
        raise Trouble(f"{error.filename} cannot be read: {error.strerror}.") from error
    return sorted(signed, key=attrgetter("size"))


def _next(signed: list[Checkpoint], entries: int) -> list[tuple[int, str]]:
    """Those that the next part of the check may reach, and the largest, which says how long the log has been."""
    from placet_server.crypto.checkpoint import PART

    begin, end = (
        bisect_right(signed, size, key=attrgetter("size")) for size in (entries, entries + PART + 250)
    )
    return [(each.size, b64encode(each.root).decode()) for each in (*signed[begin:end], *signed[-1:])]
