"""``code`` and ``token``: soft tokens and what they say now."""

from __future__ import annotations

import os
import shlex

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
    """Add and remove soft tokens; `placet code` prints their codes."""


@token.command()
@opens_vault
@click.argument("source", metavar="URI|IMAGE")
def add(run: Run, source: str) -> None:
    """Add a soft token from an otpauth URI, a picture of its QR code, or - for a URI on standard input.

    Secrets of any length, SHA1, SHA256 and SHA512, 6 to 8 digits and any period are taken.
    """
    from placet_authenticator.importing import otpauth

    made = otpauth.token(run.text_of(source), token_id=os.urandom(8).hex(), now=now())
    with run.vault(create=True) as vault:
        vault.put(made)
    if run.json:
        printing.as_json({"id": made.id, "name": made.label})
    else:
        printing.line(f"Added {made.label}. Its codes: placet code {shlex.quote(made.label)}")


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


def _list(run: Run, known: list[Token]) -> None:
    if run.json:
        rows = [
            {
                "id": each.id,
                "name": each.label,
                "algorithm": each.algorithm,
                "digits": each.digits,
                "period": each.period,
                "device": each.device,
            }
            for each in known
        ]
        printing.as_json({"tokens": rows})
    elif known:
        rows_shown = [
            [each.label, each.id, each.algorithm, str(each.digits), f"{each.period} s"] for each in known
        ]
        printing.table(("name", "id", "algorithm", "digits", "period"), rows_shown)
    else:
        printing.line("There are no tokens. Add one: placet token add URI")
