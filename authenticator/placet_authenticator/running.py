"""What each command stands on: its choices, the open vault, and the clock."""

from __future__ import annotations

import asyncio
import functools
import os
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from msgspec import Struct

from placet_authenticator import settings
from placet_authenticator.errors import VaultError
from placet_authenticator.settings import Settings

if TYPE_CHECKING:
    from placet_authenticator.authenticator import Authenticator
    from placet_authenticator.deciding import Verified
    from placet_authenticator.vault import Vault

T = TypeVar("T")
Command = Callable[..., None]
Job = Callable[["Authenticator"], Coroutine[Any, Any, T]]


class Run(Struct, frozen=True):
    """One run of one command."""

    settings: Settings
    json: bool

    def vault(self, *, create: bool = False, passphrase: str | None = None) -> Vault:
        """The open vault; ``create`` makes one when there is none. Raises ``VaultError``."""
        from placet_authenticator.vault import Vault, exists  # loads SQLite and the ciphers

        path = self.settings.vault
        if exists(path):
            return Vault.open(path, passphrase or settings.passphrase(self.settings))
        if create:
            return Vault.create(path, settings.passphrase(self.settings, new=True))
        raise VaultError(f"there is no vault at {path}", "Start with: placet enroll URI")

    def text_of(self, argument: str, *, secrets: bool = False) -> str:
        """The text behind an argument that is a URI, a picture of a QR code, or - for a line of standard input.

        With ``secrets`` a secret alone is taken, too. Raises ``ImportFailedError``.
        """
        from placet_authenticator.importing.otpauth import text_of  # loads the URI readers

        if argument != "-":
            return text_of(argument, secrets=secrets)
        if self.settings.passphrase_stdin:
            raise click.UsageError("Standard input cannot give both the URI and the passphrase.")
        return text_of(sys.stdin.readline(8192).strip(), secrets=secrets)

    def verified(self) -> Verified:
        """How this run knew its person: by what gave the passphrase."""
        if self.settings.passphrase_stdin:
            return "none"
        if self.settings.keyring:
            return "os"
        return "none" if self.settings.passphrase_file else "pin"

    def with_authenticator(self, job: Job[T], *, create: bool = False) -> T:
        """Run a job with the open vault and a network session."""
        with self.vault(create=create) as vault:
            return asyncio.run(_with_session(vault, job))


def now() -> int:
    """The time in ms UTC."""
    return time.time_ns() // 1_000_000


async def _with_session(vault: Vault, job: Job[T]) -> T:
    from placet_authenticator.authenticator import Authenticator  # loads the HTTP client
    from placet_authenticator.calls import open_session

    async with open_session() as session:
        return await job(Authenticator(vault, session, clock=now))


def opens_vault(command: Command) -> Command:
    """Give a command the options for its vault and ``--json``, and a ``Run`` as its first argument."""

    @click.option(
        "--passphrase-file",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="PLACET_PASSPHRASE_FILE",
        help="File (0600) whose first line is the passphrase; also PLACET_PASSPHRASE_FILE.",
    )
    @click.option("--passphrase-stdin", is_flag=True, help="Read the passphrase from standard input.")
    @click.option("--keyring", is_flag=True, help="Take the passphrase from the operating system's keyring.")
    @click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
    @functools.wraps(command)
    def wrapper(
        *args: Any,  # noqa: ANN401  what click collected
        passphrase_file: Path | None,
        passphrase_stdin: bool,
        keyring: bool,
        as_json: bool,
        **kwargs: Any,  # noqa: ANN401  as above
    ) -> None:
        choices = Settings(settings.home(os.environ), passphrase_file, passphrase_stdin, keyring)
        command(Run(choices, as_json), *args, **kwargs)

    return wrapper
