"""``code`` and ``token``: soft tokens and what they say now."""

from __future__ import annotations

import os
import sys

import click

from placet_authenticator import printing
from placet_authenticator.records import Token
from placet_authenticator.running import Run, now, opens_vault


@click.command()
@opens_vault
@click.argument("name", required=False)
@click.option("--list", "as_list", is_flag=True, help="Show the names of all tokens, without codes.")
def code(run: Run, name: str | None, as_list: bool) -> None:  # noqa: FBT001  click passes flags
    """Print the current code of a soft token.

    NAME is its label, issuer, account or id, or words that only one label holds. Needs no network.
    """
    from placet_authenticator import tokens  # loads pyotp

    if (name is None) != as_list:
        raise click.UsageError("Give either NAME or --list.")
    with run.vault() as vault:
        known = sorted(vault.all(Token), key=lambda token: (token.label.casefold(), token.id))
    if name is None:
        _list(run, known)
        return
    token = tokens.named(known, name)
    made = tokens.code(token, now())
    if run.json:
        printing.as_json(
            {
                "id": token.id,
                "name": token.label,
                "code": made.digits,
                "lasts_ms": made.lasts_ms,
                "following": made.following,
            }
        )
    else:
        printing.line(made.digits)


@click.group()
def token() -> None:
    """Add, show, move and remove soft tokens; `placet code` prints their codes."""


@token.command()
@opens_vault
@click.argument("source", metavar="URI|IMAGE|SECRET")
@click.option("--name", help="What a secret alone is for, as in GitHub:ada; asked for where it is missing.")
def add(run: Run, source: str, name: str | None) -> None:
    """Add a soft token from an otpauth URI, a picture of its QR code, a secret, or - for a line of standard input.

    Secrets of any length, SHA1, SHA256 and SHA512, 6 to 8 digits and any period are taken from a URI. A SECRET alone, as
    sites show it beside the QR code (base32, 80 bits or more), makes the usual codes: SHA1, 6 digits, 30 seconds.
    """
    from placet_authenticator.importing import otpauth

    text = run.text_of(source, secrets=True)
    secret = otpauth.secret_alone(text)
    token_id = os.urandom(8).hex()
    if secret is not None:
        made = otpauth.named(secret, name or _asked_name(), token_id=token_id, now=now())
    elif name is not None:
        raise click.UsageError("--name is for a secret alone; a URI has its own name.")
    else:
        made = otpauth.token(text, token_id=token_id, now=now())
    with run.vault(create=True) as vault:
        vault.put(made)
    if run.json:
        printing.as_json({"id": made.id, "name": made.label})
    else:
        printing.line(f"Added {made.label}. Its codes: placet code {printing.argument(made.label)}")


@token.command()
@opens_vault
@click.argument("name")
@click.option(
    "--qr", "as_qr", is_flag=True, help="Draw its QR code, for the camera of another authenticator."
)
@click.option("--uri", "as_uri", is_flag=True, help="Print its otpauth URI, secret included.")
def show(run: Run, name: str, as_qr: bool, as_uri: bool) -> None:  # noqa: FBT001  click passes flags
    """Show what is known of a soft token. NAME is as for `placet code`.

    Its secret is shown with --qr or --uri only: whoever sees it can make the same codes, from then on.
    """
    from placet_authenticator import tokens  # loads pyotp
    from placet_authenticator.exporting import otpauth, qr

    if as_qr and as_uri:
        raise click.UsageError("Give either --qr or --uri.")
    with run.vault() as vault:
        found = tokens.named(vault.all(Token), name)
    if run.json:
        printing.as_json(_facts(found) | ({"uri": otpauth.uri(found)} if as_qr or as_uri else {}))
    elif as_uri:
        printing.line(otpauth.uri(found))
    elif as_qr:
        printing.blocks(qr.lines(qr.matrix(otpauth.uri(found))))
    else:
        origin = "an enrolment" if found.device else "added by hand"
        printing.fields(
            [
                ("Name", found.label),
                ("Id", found.id),
                ("Codes", f"{found.digits} digits, new every {found.period} s, {found.algorithm}"),
                ("Secret", f"{len(found.secret) * 8} bits"),
                ("From", origin),
            ],
            indent=0,
        )


@token.command()
@opens_vault
@click.argument("name")
def remove(run: Run, name: str) -> None:
    """Erase a soft token. NAME is as for `placet code`; its secret cannot be brought back."""
    from placet_authenticator import tokens  # loads pyotp

    with run.vault() as vault:
        found = tokens.named(vault.all(Token), name)
        vault.remove(found)
    if run.json:
        printing.as_json({"id": found.id, "name": found.label})
    else:
        printing.line(f"Removed {found.label}.")


def _asked_name() -> str:
    if not sys.stdin.isatty():
        raise click.UsageError(
            "A secret alone has no name, and nobody is here to give it one: add --name NAME."
        )
    name: str = click.prompt("Name, as in GitHub:ada", err=True)
    return name


def _facts(token: Token) -> dict[str, str | int | None]:
    """A token for programs, without its secret."""
    return {
        "id": token.id,
        "name": token.label,
        "algorithm": token.algorithm,
        "digits": token.digits,
        "period": token.period,
        "device": token.device,
    }


def _list(run: Run, known: list[Token]) -> None:
    if run.json:
        printing.as_json({"tokens": [_facts(each) for each in known]})
    elif known:
        rows_shown = [
            [each.label, each.id, each.algorithm, str(each.digits), f"{each.period} s"] for each in known
        ]
        printing.table(("name", "id", "algorithm", "digits", "period"), rows_shown)
    else:
        printing.line("There are no tokens. Add one: placet token add URI")
