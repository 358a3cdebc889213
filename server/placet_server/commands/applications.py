"""The operator's commands on applications, users, devices and webhooks."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, Final

import click

from placet_server.commands.operating import Operator, Trouble, operated

_ROWS_AT_ONCE: Final = 500
_COLUMNS: Final = ("tfa_id", "country_code", "phone", "email", "name")
_NUMBERS: Final = ("tfa_id", "country_code")


@click.group()
def application() -> None:
    """Relying applications, their keys and policies."""


@application.command("add")
@operated()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    help="What its key may do; repeatable.  [default: approvals users codes]",
)
def application_add(operator: Operator, name: str, scopes: tuple[str, ...]) -> None:
    """Add an application and print its API key, this once.

    Scopes: approvals, users, codes, devices:admin, log:read, admin.
    """
    operator.show(
        operator.ask("application add", name=name, scopes=scopes or ("approvals", "users", "codes"))
    )


@application.command("list")
@operated()
def application_list(operator: Operator) -> None:
    """List all applications."""
    operator.show(operator.ask("application list"))


@application.command("show")
@operated()
@click.argument("name")
def application_show(operator: Operator, name: str) -> None:
    """Show an application with its policies, keys and webhooks."""
    operator.show(operator.ask("application show", name=name))


@application.command("set")
@operated()
@click.argument("name")
@click.argument("pairs", nargs=-1, required=True, metavar="KEY=VALUE...")
def application_set(operator: Operator, name: str, pairs: tuple[str, ...]) -> None:
    """Change policies, such as approval.ttl=120; docs/settings.md lists them all."""
    for pair in pairs:
        if "=" not in pair:
            raise click.BadArgumentUsage(f"write {pair!r} as KEY=VALUE.")
    changes = dict(pair.split("=", 1) for pair in pairs)
    operator.show(operator.ask("application set", name=name, pairs=changes))


@application.command("rotate-key")
@operated()
@click.argument("name")
@click.option("--now", "at_once", is_flag=True, help="End the old key at once instead of in 24 hours.")
def application_rotate_key(operator: Operator, *, name: str, at_once: bool) -> None:
    """Make a new API key; the old one works for 24 hours more."""
    operator.show(operator.ask("application rotate-key", name=name, at_once=at_once))


@application.command("remove")
@operated()
@click.argument("name")
def application_remove(operator: Operator, name: str) -> None:
    """End an application with its keys, credentials and webhooks."""
    operator.show(operator.ask("application remove", name=name))


@click.group()
def user() -> None:
    """The people who can be asked, each known by a tfa id."""


@user.command("add")
@operated()
@click.option("--phone", help="National number, or +48… with the country code inside.")
@click.option("--country-code", type=int, help="Country calling code, such as 48.")
@click.option("--email")
@click.option("--name", help="What the operator calls the person.")
@click.option("--tfa-id", type=int, help="Bring an existing id along.")
def user_add(operator: Operator, **fields: object) -> None:
    """Add a user by phone or e-mail; who has them already is given back."""
    operator.show(operator.ask("user add", **fields))


@user.command("import")
@operated()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def user_import(operator: Operator, file: Path) -> None:
    """Add the users of a CSV file with the columns tfa_id, country_code, phone, email, name.

    The first line names the columns; each may be left out. Ends with status 1 when any row was refused.
    """
    rows, unread = _rows(file)
    total: dict[str, Any] = {"created": 0, "known": 0, "refused": unread}
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        done = operator.ask("user import", rows=rows[start : start + _ROWS_AT_ONCE])
        total = {key: total[key] + done[key] for key in total}
    total["refused"].sort(key=lambda row: row["line"])
    operator.show(total)
    if total["refused"]:
        raise Trouble(f"{len(total['refused'])} rows were refused: correct them and import the file again.")


@user.command("list")
@operated()
@click.option("--after", help="The cursor `next` of the page before.")
@click.option("--limit", type=click.IntRange(1, 200), default=100, show_default=True)
def user_list(operator: Operator, after: str | None, limit: int) -> None:
    """List users, a page at a time."""
    operator.show(operator.ask("user list", after=after, limit=limit))


@user.command("status")
@operated()
@click.argument("tfa_id", metavar="USER", type=int)
def user_status(operator: Operator, tfa_id: int) -> None:
    """Show a user with devices and soft tokens."""
    operator.show(operator.ask("user status", tfa_id=tfa_id))


@user.command("remove")
@operated()
@click.argument("tfa_id", metavar="USER", type=int)
def user_remove(operator: Operator, tfa_id: int) -> None:
    """Erase a user with devices and soft tokens."""
    operator.show(operator.ask("user remove", tfa_id=tfa_id))


@user.command("unlock")
@operated()
@click.argument("tfa_id", metavar="USER", type=int)
def user_unlock(operator: Operator, tfa_id: int) -> None:
    """Let a user's soft tokens and recovery codes count again after too many wrong codes.

    Codes that were sent to a number or address are freed by `code unlock`.
    """
    operator.show(operator.ask("user unlock", tfa_id=tfa_id))


@click.group()
def device() -> None:
    """The devices of users."""


@device.command("list")
@operated()
@click.argument("tfa_id", metavar="USER", type=int)
def device_list(operator: Operator, tfa_id: int) -> None:
    """List the devices of a user."""
    operator.show(operator.ask("device list", tfa_id=tfa_id))


@device.command("revoke")
@operated()
@click.argument("id")
def device_revoke(operator: Operator, **arguments: str) -> None:
    """End a device at once: nothing is sent to it and nothing taken from it any more."""
    operator.show(operator.ask("device revoke", **arguments))


@click.group()
def webhook() -> None:
    """Endpoints that are told what happened."""


@webhook.command("add")
@operated()
@click.argument("application")
@click.argument("url")
def webhook_add(operator: Operator, **arguments: str) -> None:
    """Add an endpoint and print its signing secret, this once."""
    operator.show(operator.ask("webhook add", **arguments))


@webhook.command("list")
@operated()
@click.argument("application", required=False)
def webhook_list(operator: Operator, application: str | None) -> None:
    """List the endpoints of one application or of all, with what became of them.

    A disabled one has answered 410 and is told nothing more, until `webhook enable ID`.
    """
    listed = operator.ask("webhook list", application=application)
    operator.show(listed)
    if any(row["status"] == "disabled" for row in listed):
        click.echo(
            "A disabled endpoint has answered 410 and is told nothing more: `webhook test ID` asks it again,"
            " `webhook enable ID` sends to it again.",
            err=True,
        )


@webhook.command("test")
@operated()
@click.argument("id")
def webhook_test(operator: Operator, **arguments: str) -> None:
    """Send one signed test event now and print what the endpoint answered."""
    answer = operator.ask("webhook test", **arguments)
    operator.show(answer)
    if not answer["delivered"]:
        raise Trouble("The endpoint did not take the test event: it must answer 2xx.")


@webhook.command("secret")
@operated()
@click.argument("application")
@click.option(
    "--rotate", is_flag=True, help="Make a new one; it signs from now on, also what is still to be sent."
)
def webhook_secret(operator: Operator, *, application: str, rotate: bool) -> None:
    """Print the secret that signs what is sent to callback URLs of an application's requests."""
    operator.show(operator.ask("webhook secret", application=application, rotate=rotate))


@webhook.command("enable")
@operated()
@click.argument("id")
def webhook_enable(operator: Operator, **arguments: str) -> None:
    """Send to an endpoint again that was disabled by its answer 410; what happened meanwhile is not sent."""
    operator.show(operator.ask("webhook enable", **arguments))


@webhook.command("remove")
@operated()
@click.argument("id")
def webhook_remove(operator: Operator, **arguments: str) -> None:
    """End an endpoint."""
    operator.show(operator.ask("webhook remove", **arguments))


def _rows(file: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of a file, and the refusals of those that cannot even be asked for."""
    rows: list[dict[str, Any]] = []
    unread: list[dict[str, Any]] = []
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.DictReader(text)
            for column in reader.fieldnames or ():
                if column not in _COLUMNS:
                    raise Trouble(f"{file} has a column {column!r}: name them {', '.join(_COLUMNS)}.")
            for row in reader:
                fields: dict[str, Any] = {"line": reader.line_num}
                try:
                    fields |= _fields(row)
                except ValueError as error:
                    unread.append({**fields, "code": "invalid_request", "detail": str(error)})
                else:
                    rows.append(fields)
    except UnicodeDecodeError:
        raise Trouble(f"{file} is not in UTF-8: save it as CSV in UTF-8.") from None
    except csv.Error as error:
        raise Trouble(f"{file}, line {reader.line_num}: {error}.") from None
    return rows, unread


def _fields(row: dict[str, str | None]) -> dict[str, Any]:
    """What stands in a line; raises ``ValueError``."""
    fields: dict[str, Any] = {}
    for column in _COLUMNS:
        value = (row.get(column) or "").strip()
        if value and column in _NUMBERS:
            digits = value.removeprefix("+") if column == "country_code" else value
            if not (digits.isascii() and digits.isdigit() and len(digits) <= 16):
                raise ValueError(f"{column} is no number.")
            fields[column] = int(digits)
        elif value:
            fields[column] = value
    return fields
