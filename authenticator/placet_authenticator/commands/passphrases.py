"""``passphrase``: change what opens the vault, or let the operating system keep it."""

from __future__ import annotations

from pathlib import Path

import click

from placet_authenticator import printing, settings
from placet_authenticator.running import Run, opens_vault


@click.command()
@opens_vault
@click.option(
    "--new-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File (0600) whose first line is the new passphrase; otherwise the terminal is asked twice.",
)
@click.option(
    "--store", is_flag=True, help="Only put the present passphrase into the operating system's keyring."
)
def passphrase(run: Run, new_file: Path | None, store: bool) -> None:  # noqa: FBT001  click passes flags
    """Change the passphrase of the vault, or store it in the keyring for --keyring."""
    present = settings.passphrase(run.settings)
    with run.vault(passphrase=present) as vault:
        if store:
            settings.store_in_keyring(run.settings, present)
        else:
            asked = settings.Settings(run.settings.home, passphrase_file=new_file)
            vault.change_passphrase(settings.passphrase(asked, new=True))
    done = "stored" if store else "changed"
    if run.json:
        printing.as_json({"passphrase": done})
    else:
        printing.line(
            "The keyring keeps it now; use --keyring."
            if store
            else "Changed. The old passphrase opens nothing."
        )
