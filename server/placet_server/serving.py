"""The server as a process: on the fastest loop there is, ended by a signal."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from logging import WARNING

from placet_server import app
from placet_server.settings import Settings
from placet_server.system import SystemClock, SystemEntropy, settle
from placet_server.web import logging


def serve(settings: Settings, ready: Callable[[str, str], None]) -> None:
    """Serve until SIGTERM or SIGINT, then finish what has begun and return.

    ``ready`` gets the public URL and that of the address listened on. A second signal ends the process at once. Raises
    ``SettingsError`` and ``StoreUnavailableError`` before it is ready.
    """
    logging.configure()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(settings, ready))


async def _serve(settings: Settings, ready: Callable[[str, str], None]) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end(number: signal.Signals) -> None:
        loop.remove_signal_handler(number)
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, number)
    server = await app.build(settings, SystemClock(), SystemEntropy())
    try:
        await server.start()
        settle()
        ready(server.url, server.listening)
        logging.event("serving", url=server.url)
        if (file := server.carriers.kept_in) is not None:
            logging.event("no_gateway_set_so_messages_stay_in_a_file", level=WARNING, file=str(file))
        await ended.wait()
        logging.event("stopping")
    finally:
        await server.stop()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # the extra `speed` is not installed
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
