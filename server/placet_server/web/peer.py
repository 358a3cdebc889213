"""From which address a request comes, when some of the way is our own proxy."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from aiohttp import web

from placet_server.domain.networks import Network, plain

PEER: Final = web.RequestKey("peer", str)
"""Where the gate keeps the caller's address while a request is served."""


class Peers:
    """Reads the caller's address: the socket's peer, or behind listed proxies what they say.

    That is the right-most address in ``X-Forwarded-For`` that is none of theirs. Headers of anybody else are not
    believed.
    """

    def __init__(self, trusted: Iterable[str], *, bare: bool = False) -> None:
        self._trusted: list[Network] = [ipaddress.ip_network(network) for network in trusted]
        self.bare: Final = bare
        """Whether the server's own socket is plain http beyond this machine: proxies alone may come by it."""

    def address(self, request: web.Request) -> str:
        """The address as text; IPv4 inside IPv6 is given as IPv4, a local socket as the empty text."""
        peer = request.remote or ""
        if self._trusted and self._is_trusted(peer):
            for part in reversed(",".join(request.headers.getall("X-Forwarded-For", ())).split(",")):
                hop = part.strip()
                if plain(hop) is None:
                    break
                peer = hop
                if not self._is_trusted(hop):
                    break
        return _spelled(peer)

    def encrypted(self, request: web.Request) -> bool:
        """Whether a request to a bare socket came by a listed proxy that does not say that it took it in clear."""
        said = ",".join(request.headers.getall("X-Forwarded-Proto", ("https",))).rpartition(",")[2]
        return self._is_trusted(request.remote or "") and said.strip().lower() == "https"

    def _is_trusted(self, text: str) -> bool:
        address = plain(text)
        return address is not None and any(address in network for network in self._trusted)


@lru_cache(4096)
def _spelled(peer: str) -> str:
    address = plain(peer)
    return "" if address is None else str(address)
