"""One run of an operator's command: its settings, where it is carried out, how its answer is shown."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from placet_server.commands import printing
from placet_server.desk.socket import ask
from placet_server.domain.refusals import RefusedError
from placet_server.ports import StoreUnavailableError
from placet_server.settings import Settings, SettingsError, load

PATH: Final = click.Path(path_type=Path)


class Trouble(click.ClickException):
    """Ends the program with one sentence on stderr: the command was refused."""

    exit_code = 1


class Unusable(Trouble):
    """Ends the program with one sentence on stderr: settings, key or data folder cannot be used."""

    exit_code = 3


class Operator:
    """One run of a command: its settings, where it is carried out, how its answer is shown."""

    def __init__(self, settings: Settings, *, as_json: bool) -> None:
        self.settings = settings
        self.as_json = as_json

    def ask(self, command: str, **arguments: Any) -> Any:  # noqa: ANN401 - JSON
        """The answer of the running server, or of the data folder when none runs."""
        try:
            if self.settings.admin_socket.exists():
                try:
                    return ask(self.settings.admin_socket, command, arguments)
                except ConnectionRefusedError:
                    pass  # left behind by a server that was killed
            return self._alone(command, arguments)
        except RefusedError as error:
            raise Trouble(f"{error.detail} ({error.code})") from error
        except (ConnectionError, TimeoutError) as error:
            raise Unusable(f"The server at {self.settings.data} did not answer: {error}.") from error

    def has_server(self) -> bool:
        """Whether a server runs on the data folder; one that was killed has left its socket behind."""
        try:
            ask(self.settings.admin_socket, "application list", {})
        except (ConnectionError, TimeoutError, FileNotFoundError):
            return False
        except RefusedError:
            pass  # it answers
        return True

    def show(self, answer: Any) -> None:  # noqa: ANN401 - JSON
        """Print an answer: one line of JSON, or text for a person."""
        if self.as_json:
            click.echo(msgspec.json.encode(answer))
        else:
            click.echo(printing.text(answer))

    def _alone(self, command: str, arguments: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
        import asyncio

        from placet_server import app  # everything: only when no server can be asked

        return asyncio.run(app.run_alone(self.settings, command, arguments))


def operated(*, serving: bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options that all share, and an ``Operator`` as its first argument."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def command(
            *, data: Path | None, config: Path | None, key_file: Path | None, as_json: bool, **rest: object
        ) -> None:
            flags: dict[str, Any] = {"data": data, "key_file": key_file}
            if serving:
                names = [name for name in Settings.__struct_fields__ if name in rest]
                flags |= {name: rest.pop(name) for name in names}
            try:
                settings = load(flags, os.environ, config)
                function(Operator(settings, as_json=as_json), **rest)
            except SettingsError as error:
                raise Unusable(str(error)) from error
            except StoreUnavailableError as error:
                raise Unusable(str(error)) from error

        for option in (
            click.option("--json", "as_json", is_flag=True, help="Print one line of JSON."),
            click.option("--key-file", type=PATH, help="The master key, when it is not in the data folder."),
            click.option(
                "--config", type=PATH, help="Settings file (TOML); else placet.toml in the data folder."
            ),
            click.option("--data", type=PATH, help="The data folder.  [default: placet-data]"),
        ):
            command = option(command)
        return command

    return decorate
