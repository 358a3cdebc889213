"""``placet``: the person's commands. Heavy libraries load only in the commands that use them."""

from __future__ import annotations

import gc
import math
import os
import resource
import sys
from pathlib import Path
from typing import Any, Final

import click

from placet_authenticator.commands.approvals import approve, deny, list_requests, watch
from placet_authenticator.commands.codes import code, token
from placet_authenticator.commands.enrollment import devices, enroll, leave
from placet_authenticator.commands.passphrases import passphrase
from placet_authenticator.commands.receipts import receipt
from placet_authenticator.errors import AuthenticatorError
from placet_authenticator.settings import Settings, home
from placet_protocol.text import visible

_EPILOG: Final = """\b
Exit status: 0 done; 1 no such request, token or device; 2 wrong usage;
3 vault or passphrase; 4 server not reached; 5 refused by the server;
6 something signed does not hold.

\b
The vault lies in the folder that PLACET_HOME names, or in the usual place
for a person's data. NO_COLOR=1 turns colours off."""


class _Program(click.Group):
    """Ends every command that failed with one sentence, the next step, and the error's own status."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  as in click
        try:
            return super().invoke(ctx)
        except AuthenticatorError as error:
            click.echo(click.style("placet: ", fg="red") + visible(error.detail), err=True)
            if error.hint:
                click.echo(visible(error.hint), err=True)
            ctx.exit(error.exit_code)


@click.group(
    cls=_Program,
    epilog=_EPILOG,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="placet")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Placet: approve or deny what is asked of you, and make codes.

    Without a command it opens the app. Each job of the app is a command too: start with `placet enroll URI`; then
    `placet list` shows what waits.
    """
    if os.environ.get("NO_COLOR"):
        ctx.color = False
    # A core dump would hold the vault key.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if ctx.invoked_subcommand is not None:
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        click.echo(ctx.get_help())
        ctx.exit(2)
    with app.make_context("app", [], parent=ctx) as alone:  # unlike invoke(), this reads the environment
        app.invoke(alone)


@main.command()
@click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="PLACET_PASSPHRASE_FILE",
    help="File (0600) whose first line is the passphrase; also PLACET_PASSPHRASE_FILE.",
)
@click.option("--keyring", is_flag=True, help="Take the passphrase from the operating system's keyring.")
@click.option(
    "--lock-after",
    type=click.FloatRange(min=0),
    default=5.0,
    metavar="MINUTES",
    envvar="PLACET_LOCK_AFTER",
    show_default=True,
    help="Lock after so long without key or mouse; 0 never. Also PLACET_LOCK_AFTER.",
)
def app(passphrase_file: Path | None, keyring: bool, lock_after: float) -> None:  # noqa: FBT001  click passes flags
    """Open the app, as `placet` alone does."""
    gc.disable()  # looking for garbage while everything loads is a tenth of the start; the app enables it again
    from placet_authenticator.tui.app import PlacetApp  # loads the terminal toolkit
    from placet_authenticator.tui.terminal import end_with_terminal

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("The app needs a terminal. Each of its jobs is a command: placet --help")
    choices = Settings(home(os.environ), passphrase_file, keyring=keyring)
    end_with_terminal()
    screens = PlacetApp(choices, lock_after=lock_after * 60 or math.inf)
    screens.run()
    sys.exit(screens.return_code)


for _command in (
    enroll,
    list_requests,
    watch,
    approve,
    deny,
    code,
    token,
    receipt,
    devices,
    leave,
    passphrase,
):
    main.add_command(_command)
