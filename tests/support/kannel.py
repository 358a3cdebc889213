"""A whole Kannel on ports of its own: bearerbox, smsbox, a fake SMSC that prints, and one that calls us by HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from aiohttp import web

from support.ports import kept_ports
from support.system import needed

FAKESMSC = Path("/usr/lib/kannel/test/fakesmsc")
USER, PASSWORD = "otp", "s3cret-of-kannel"
_GOT = re.compile(r"Got message \d+: <(.*)>$")
_LINE = re.compile(r"(\S*) (\+?\d+) (text|ucs-2) (.*)")
_PART = re.compile(r"(\S*) (\+?\d+) udh (\S+) data (.*)")
_CONFIG = """\
group = core
admin-interface = 127.0.0.1
admin-port = {admin}
admin-password = toyadmin
smsbox-interface = 127.0.0.1
smsbox-port = {boxes}
box-allow-ip = 127.0.0.1
box-deny-ip = "*.*.*.*"
dlr-storage = internal

group = smsc
smsc = fake
smsc-id = FAKE
port = {fake}
denied-smsc-id = EXACT
connect-allow-ip = 127.0.0.1

group = smsc
smsc = http
smsc-id = EXACT
allowed-smsc-id = EXACT
system-type = kannel
smsc-username = up
smsc-password = up
send-url = "http://127.0.0.1:{exact}/up"
port = {inbound}
connect-allow-ip = 127.0.0.1
use-ssl = no

group = smsbox
smsbox-id = otpbox
bearerbox-host = 127.0.0.1
bearerbox-port = {boxes}
sendsms-interface = 127.0.0.1
sendsms-port = {sendsms}
global-sender = 13013

group = sendsms-user
username = {user}
password = {password}
concatenation = true
max-messages = 6
"""


class Got(NamedTuple):
    """One message as an SMSC got it, put together again where it came in several parts."""

    sender: str
    to: str
    coded: str
    text: str
    parts: int = 1


class Lines:
    """What a program writes, and a way to wait for it."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self._more = asyncio.Condition()

    async def add(self, line: str) -> None:
        """One more line."""
        async with self._more:
            self.all.append(line)
            self._more.notify_all()

    async def until(self, condition: Callable[[], bool], within: float = 20.0) -> None:
        """Wait until what was written makes something true."""
        async with asyncio.timeout(within), self._more:
            await self._more.wait_for(condition)


class Kannel:
    """A running Kannel: where ``sendsms`` is, and what the two SMSCs got."""

    def __init__(self, url: str, logs: Lines, exact: list[Got]) -> None:
        self.url = url
        self.exact = exact
        """What the SMSC ``EXACT`` got, byte for byte."""
        self._logs = logs

    @property
    def got(self) -> list[Got]:
        """What the fake SMSC printed; its line protocol knows no line feed, so a line without a head goes on the last."""
        found: list[Got] = []
        pieces: dict[bytes, list[bytes]] = {}
        for line in self._logs.all:
            body = _GOT.search(line)
            if body is None:
                continue
            if (head := _LINE.fullmatch(body[1])) is not None:
                found.append(Got(head[1], head[2], head[3], _text(head[3], head[4])))
            elif (part := _PART.fullmatch(body[1])) is not None:
                header = unquote_to_bytes(part[3])
                known = pieces.setdefault(header[3:4], [])
                known.append(unquote_to_bytes(part[4].replace("+", " ")))
                if len(known) == header[4]:
                    whole = b"".join(known)
                    coded = "ucs-2" if b"\0" in whole or b"\x04" in whole else "text"
                    text = whole.decode("utf-16-be" if coded == "ucs-2" else "utf-8")
                    found.append(Got(part[1], part[2], coded, text, len(known)))
            elif found:
                last = found.pop()
                found.append(last._replace(text=f"{last.text}\n{body[1]}"))
        return found

    async def exactly(self) -> str:
        """All texts that the SMSC ``EXACT`` has by now, one behind the other."""
        pieces = "".join(each.text for each in self.exact)
        return pieces.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "replace")

    async def count(self, wanted: int) -> list[Got]:
        """Wait until the fake SMSC has that many messages."""
        await self._logs.until(lambda: len(self.got) >= wanted)
        return self.got


@asynccontextmanager
async def kannel(folder: Path) -> AsyncIterator[Kannel]:
    """Kannel with its configuration in ``folder``; skipped by name, or failed under CI, where it is not installed."""
    bearerbox, smsbox, fakesmsc = _program("bearerbox"), _program("smsbox"), needed(str(FAKESMSC))
    exact: list[Got] = []
    async with contextlib.AsyncExitStack() as ending:
        exact_port = await ending.enter_async_context(_exact(exact))
        names = ("admin", "boxes", "fake", "inbound", "sendsms")
        ports = dict(zip(names, ending.enter_context(kept_ports(len(names))), strict=True))
        config = folder / "kannel.conf"
        config.write_text(_CONFIG.format(**ports, exact=exact_port, user=USER, password=PASSWORD))
        await ending.enter_async_context(_running(folder, bearerbox, str(config), port=ports["boxes"]))
        await ending.enter_async_context(_running(folder, smsbox, str(config), port=ports["sendsms"]))
        smsc = (fakesmsc, "-H", "127.0.0.1", "-r", str(ports["fake"]), "-i", "1", "-m", "1")
        hello = "48600100200 13013 text HELLO"  # it needs one message to send
        await _listening(ports["fake"])
        logs = await ending.enter_async_context(_running(folder, *smsc, hello))
        await logs.until(lambda: any("sent message 1" in line for line in logs.all))
        url = f"http://127.0.0.1:{ports['sendsms']}/cgi-bin/sendsms"
        yield Kannel(url, logs, exact)


@asynccontextmanager
async def _running(folder: Path, *command: str, port: int | None = None) -> AsyncIterator[Lines]:
    """A program until the block ends; gives the lines that it writes."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    lines = Lines()

    async def read() -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            await lines.add(line.decode("utf-8", "replace").rstrip("\n"))

    reading = asyncio.create_task(read())
    try:
        if port is not None:
            await _listening(port)
        yield lines
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await reading


@asynccontextmanager
async def _exact(got: list[Got]) -> AsyncIterator[int]:
    """An SMSC that Kannel calls by HTTP; gives its port."""

    async def take(request: web.Request) -> web.Response:
        pairs = (each.partition("=") for each in request.rel_url.raw_query_string.split("&"))
        fields = {name: unquote_to_bytes(value.replace("+", " ")) for name, _, value in pairs}
        wide = fields.get("coding") == b"2"
        text = fields.get("text", b"")
        # A part may end inside a surrogate pair; the next one goes on there.
        plain = text.decode("utf-16-be", "surrogatepass") if wide else text.decode()
        sender, to = (fields.get(name, b"").decode() for name in ("from", "to"))
        got.append(Got(sender, to, "ucs-2" if wide else "text", plain))
        return web.Response(status=202, text="0: Accepted for delivery")

    app = web.Application()
    app.router.add_get("/up", take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _program(name: str) -> str:
    """A program of the system's administrator, whose folder is not on everybody's path."""
    return shutil.which(f"/usr/sbin/{name}") or needed(name)


async def _listening(port: int, within: float = 20.0) -> None:
    async with asyncio.timeout(within):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


def _text(coded: str, text: str) -> str:
    if coded == "text":
        return text
    return unquote_to_bytes(text.replace("+", " ")).decode("utf-16-be", "replace")
