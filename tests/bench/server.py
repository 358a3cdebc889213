"""The server under measure: everything on, in a process of its own.

Prints its port when it takes requests and, for each line that it reads, the plans and commits of its store so far.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from urllib.parse import urlsplit

from placet_server import app
from placet_server.settings import Settings
from placet_server.system import SystemClock, SystemEntropy, settle

with contextlib.suppress(ImportError):
    import uvloop

    uvloop.install()


async def serve(folder: Path) -> None:
    """Serve until standard input ends."""
    server = await app.build(Settings(data=folder, port=0), SystemClock(), SystemEntropy())
    await server.start()
    settle()
    print(urlsplit(server.listening).port, flush=True)
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps({"plans": server.store.plans, "commits": server.store.commits}), flush=True)
    await server.stop()


asyncio.run(serve(Path(sys.argv[1])))
