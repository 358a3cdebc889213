"""The two programs as a person and an operator start them: the server, and the device's commands."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent
PASSPHRASE = "correct horse battery staple"  # noqa: S105  of a vault that is gone when the demo ends


class Programs:
    """Both programs on one folder: ``DIR/server`` is the server's data, ``DIR/device`` the person's vault."""

    def __init__(self, folder: Path) -> None:
        self.server_data = folder / "server"
        self.home = folder / "device"
        self._log = folder / "server.log"
        self.passphrase_file = folder / "passphrase"
        self.passphrase_file.write_text(f"{PASSPHRASE}\n")
        self.passphrase_file.chmod(0o600)
        # The demo's webhook receiver is on this machine, which the server refuses unless the operator allows it.
        self._env = {
            **os.environ,
            "PLACET_EGRESS_ALLOW": "127.0.0.0/8",
            "PLACET_HOME": str(self.home),
            "PLACET_PASSPHRASE_FILE": str(self.passphrase_file),
        }

    @contextlib.asynccontextmanager
    async def serving(self, public_url: str | None = None) -> AsyncIterator[str]:
        """Run the server on a port of the loopback address; gives that address once the server says it is ready.

        Devices are told ``public_url``, or that address.
        """
        port = str(_free_port())
        url = f"http://127.0.0.1:{port}"
        words = ("serve", "--data", str(self.server_data), "--port", port, "--public-url", public_url or url)
        process = await self._start("placet-server", *words, log=True)
        try:
            assert process.stdout
            if not await process.stdout.readline():
                raise SystemExit(f"The server did not start:\n{self._log.read_text()}")
            yield url
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            await process.wait()

    async def operator(self, *words: str) -> dict[str, Any]:
        """One operator's command against the running server, as JSON."""
        return await self._json("placet-server", [*words, "--data", str(self.server_data)])

    async def carried(self, message_id: str, seconds: float = 10) -> dict[str, Any]:
        """What a message said at its far end, as soon as it is there: without a gateway, messages go into a file."""
        file = self.server_data / "messages.jsonl"
        async with asyncio.timeout(seconds):
            while True:
                for line in file.read_text().splitlines() if file.exists() else []:
                    message: dict[str, Any] = json.loads(line)
                    if message["id"] == message_id:
                        return message
                await asyncio.sleep(0.05)

    async def device(self, *words: str) -> dict[str, Any]:
        """One of the person's commands, as JSON."""
        return await self._json("placet", words)

    async def _json(self, program: str, words: Sequence[str]) -> dict[str, Any]:
        process = await self._start(program, *words, "--json")
        out, _ = await process.communicate()
        if process.returncode:
            raise SystemExit(f"{program} {' '.join(words[:2])} ended with status {process.returncode}.")
        answer: dict[str, Any] = json.loads(out)
        return answer

    async def _start(self, program: str, *words: str, log: bool = False) -> Process:
        with self._log.open("a") as file:
            errors = file if log else None
            return await asyncio.create_subprocess_exec(
                BIN / program, *words, stdout=PIPE, stderr=errors, env=self._env
            )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
