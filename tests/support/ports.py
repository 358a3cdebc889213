"""Ports that nobody else is given, for servers that come back where they were or are told where to listen."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator


@contextlib.contextmanager
def kept_ports(count: int) -> Iterator[list[int]]:
    """Free ports of 127.0.0.1 on which servers of the block may listen, come and go.

    They are bound here without listening: Linux then gives them to who asks for this very port with SO_REUSEADDR, and
    never to who asks for any. Between two servers a connection is refused as everywhere.
    """
    with contextlib.ExitStack() as ending:
        ports = []
        for _ in range(count):
            kept = ending.enter_context(socket.socket())
            kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            kept.bind(("127.0.0.1", 0))
            ports.append(int(kept.getsockname()[1]))
        yield ports


@contextlib.contextmanager
def kept_port() -> Iterator[int]:
    """One of them."""
    with kept_ports(1) as (port,):
        yield port
