"""The operator's commands on credentials: what applications use on the faces of other dialects."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import click

from placet_server.commands.operating import PATH, Operator, Trouble, operated

_HOUR: Final = 3_600
_SECRET: Final = ("api_key", "password")
_NAME: Final = ("user", "account_number", "api_login")
_OPTIONS: Final = ("callback_url", "callback_method", "access_key", "signing_key", "sender", "no_voice")
_LISTED: Final = ("id", "face", "application", "name", "last4", "allow_ip", "balance", "price")
_OWN: Final = {
    "authy": ("api_key",),
    "afilnet": ("user", "password"),
    "unityvox": ("account_number", "api_key"),
    "octopush": ("api_login", "api_key"),
}
"""What names and opens an account of each face."""

Command = Callable[..., None]


@click.group()
def credential() -> None:
    """What an application uses on a face other than the native API."""


def _secrets(function: Command) -> Command:
    """The options by which a secret is given without standing in the list of processes."""

    @functools.wraps(function)
    def read(*arguments: Any, **options: Any) -> None:  # noqa: ANN401 - as click passes them
        for name in _SECRET:
            given, file = options.pop(name), options.pop(f"{name}_file")
            options[name] = _read(given, file, f"--{name.replace('_', '-')}")
        function(*arguments, **options)

    for option in (
        click.option("--password-file", type=PATH, help="File whose first line is the password."),
        click.option("--password", help="Password of the account (afilnet); - reads stdin.  [default: asks]"),
        click.option("--api-key-file", type=PATH, help="File whose first line is the key."),
        click.option(
            "--api-key", help="A key that is in use already; - reads it from stdin.  [default: a new one]"
        ),
    ):
        read = option(read)
    return read


def _settings(function: Command) -> Command:
    """The options that say how a credential behaves, gathered as ``options`` and ``switched``."""

    @functools.wraps(function)
    def read(*arguments: Any, templates: Iterable[str], switched: Iterable[str], **rest: Any) -> None:  # noqa: ANN401 - as above
        options = {name: rest.pop(name) for name in _OPTIONS}
        for name in ("access_key", "signing_key"):
            options[name] = _read(options[name], rest.pop(f"{name}_file"), f"--{name.replace('_', '-')}")
        options["templates"] = _pairs(templates, "--template", "TPL1=Your code is {code}") or None
        chosen = {name: value for name, value in options.items() if value is not None}
        function(*arguments, options=chosen, switched=_pairs(switched, "--set", "NAME=VALUE"), **rest)

    for option in (
        click.option(
            "--set",
            "switched",
            multiple=True,
            metavar="NAME=VALUE",
            help="A switch of the face; docs/settings.md lists them. Repeatable.",
        ),
        click.option(
            "--allow-ip",
            multiple=True,
            metavar="CIDR",
            help="Network from which it may be used; repeatable.  [default: any]",
        ),
        click.option("--price", help="What one message costs.  [default: 0]"),
        click.option("--balance", help="What messages may cost in all; without it nothing is counted."),
        click.option("--no-voice/--voice", default=None, help="Whether voice is switched off (octopush)."),
        click.option("--sender", help="Sender of messages (unityvox)."),
        click.option(
            "--template",
            "templates",
            multiple=True,
            metavar="ID=TEXT",
            help="A text by the id that the customer's code names (unityvox, afilnet); repeatable.",
        ),
        click.option("--signing-key-file", type=PATH, help="File whose first line is the signing key."),
        click.option("--signing-key", help="Key that signs dashboard requests (authy); - reads stdin."),
        click.option("--access-key-file", type=PATH, help="File whose first line is the access key."),
        click.option("--access-key", help="Key that names the dashboard account (authy); - reads stdin."),
        click.option(
            "--callback-method", type=click.Choice(("POST", "GET")), help="How callbacks are sent (authy)."
        ),
        click.option("--callback-url", help="Where answers of approval requests are told (authy)."),
    ):
        read = option(read)
    return read


@credential.command("add", short_help="Open a face to an application.")
@operated()
@click.option("--face", required=True, help="The API dialect: authy, afilnet, unityvox or octopush.")
@click.option("--application", required=True, help="Name of the application.")
@click.option("--user", help="User or e-mail of the account (afilnet).")
@click.option("--account-number", help="Number of the account (unityvox).")
@click.option("--api-login", help="Login of the account (octopush).")
@_secrets
@_settings
def credential_add(operator: Operator, *, face: str, application: str, **given: Any) -> None:  # noqa: ANN401 - as above
    """Open a face to an application, by what the customer's code holds already or by a new key.

    \b
    authy     [--api-key K] [--callback-url U --callback-method POST]
    afilnet   --user U [--password P]
    unityvox  --account-number N [--api-key K] --template 'TPL1=Your code is {code}'
    octopush  --api-login L [--api-key K] [--no-voice]
    """  # noqa: D301 - click reads the character
    own = _OWN.get(face, (*_NAME, *_SECRET))
    for name in (*_NAME, *_SECRET):
        if given[name] is not None and name not in own:
            words = " and ".join(f"--{each.replace('_', '-')}" for each in own)
            raise click.BadArgumentUsage(f"the {face} face takes {words}, not --{name.replace('_', '-')}.")
    if "password" in own and given["password"] is None and face in _OWN:
        given["password"] = _asked()
    name = next((given[each] for each in _NAME if each in own and given[each]), "")
    secret = next((given[each] for each in _SECRET if each in own and given[each] is not None), None)
    operator.show(
        operator.ask(
            "credential add",
            face=face,
            application=application,
            name=name,
            api_key=secret,
            options=given["options"],
            switched=given["switched"],
            allow_ip=given["allow_ip"],
            balance=given["balance"],
            price=given["price"] or "0",
        )
    )


@credential.command("list")
@operated()
@click.option("--face", help="Only this face.")
def credential_list(operator: Operator, face: str | None) -> None:
    """List credentials with their settings and balances, no secret among them."""
    rows = operator.ask("credential list", face=face)
    if not operator.as_json:
        rows = [{name: _readable(row)[name] for name in _LISTED} for row in rows]
    operator.show(rows)


@credential.command("set")
@operated()
@click.argument("id")
@click.option("--any-ip", is_flag=True, help="Allow all networks again.")
@_settings
def credential_set(operator: Operator, *, any_ip: bool, **given: Any) -> None:  # noqa: ANN401 - as above
    """Change settings, networks, price or balance; --balance +5.00 adds to what is left.

    --allow-ip replaces the list; a template with an empty text is removed.
    """
    listed = given.pop("allow_ip")
    allow_ip = listed or ([] if any_ip else None)
    changed = operator.ask("credential set", allow_ip=allow_ip, **given)
    operator.show(changed if operator.as_json else _readable(changed))


@credential.command("rotate")
@operated()
@click.argument("id")
@_secrets
@click.option("--now", "at_once", is_flag=True, help="End the old secret at once instead of in 24 hours.")
@click.option("--keep", is_flag=True, help="Let the old secret live on: the account then has several.")
@click.option("--overlap", type=click.IntRange(0), metavar="HOURS", help="How long the old one lives.")
def credential_rotate(
    operator: Operator,
    *,
    id: str,  # noqa: A002 - the argument's name on the command line
    at_once: bool,
    keep: bool,
    overlap: int | None,
    **given: Any,  # noqa: ANN401 - as above
) -> None:
    """Make a new secret, or take one that the customer chose; the old one works for 24 hours more.

    With --api-key or --password the new secret is given; people's passwords must be.
    """
    if at_once + keep + (overlap is not None) > 1:
        raise click.BadArgumentUsage("--now, --keep and --overlap exclude each other.")
    secret = given["api_key"] if given["api_key"] is not None else given["password"]
    if secret is None and any(row["id"] == id for row in operator.ask("credential list", face="afilnet")):
        secret = _asked()
    words: dict[str, Any] = {} if overlap is None else {"overlap": overlap * _HOUR}
    if at_once or keep:
        words = {"overlap": 0 if at_once else None}
    operator.show(operator.ask("credential rotate", id=id, api_key=secret, **words))


@credential.command("revoke")
@operated()
@click.argument("id")
def credential_revoke(operator: Operator, **arguments: str) -> None:
    """End a credential with all its secrets, within a second."""
    operator.show(operator.ask("credential revoke", **arguments))


def _readable(row: Mapping[str, Any]) -> dict[str, Any]:
    """A credential as a person reads it: an empty list of networks shuts nobody out."""
    return {**row, "allow_ip": row["allow_ip"] or "any"}


def _read(given: str | None, file: Path | None, option: str) -> str | None:
    if given is not None and file is not None:
        raise click.BadArgumentUsage(f"give {option} or {option}-file, not both.")
    if file is not None:
        try:
            return file.read_text(encoding="utf-8").splitlines()[0]
        except (OSError, ValueError, IndexError):
            raise Trouble(f"{file} holds no line that could be read.") from None
    return sys.stdin.readline().rstrip("\r\n") if given == "-" else given


def _asked() -> str:
    if not sys.stdin.isatty():
        raise Trouble("Give the password by --password-file, or by --password - from stdin.")
    answer: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return answer


def _pairs(texts: Iterable[str], option: str, form: str) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.BadArgumentUsage(f"write {option} {text!r} as {form}.")
        pairs[name] = value
    return pairs
