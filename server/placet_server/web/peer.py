"""From which address a request comes, when some of the way is our own proxy."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from aiohttp import web

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Peers:
    """Reads the caller's address: the socket's peer, or behind listed proxies what they say.

    That is the right-most address in ``X-Forwarded-For`` that is none of theirs. Headers of anybody else are not
    believed.
    """

    def __init__(self, trusted: Iterable[str]) -> None:
        self._trusted: list[Network] = [ipaddress.ip_network(network) for network in trusted]

    def address(self, request: web.Request) -> str:
        """The address as text; IPv4 inside IPv6 is given as IPv4, a local socket as the empty text."""
        peer = request.remote or ""
        if self._trusted and self._is_trusted(peer):
            for part in reversed(",".join(request.headers.getall("X-Forwarded-For", ())).split(",")):
                hop = part.strip()
                if not _is_address(hop):
                    break
                peer = hop
                if not self._is_trusted(hop):
                    break
        return peer.removeprefix("::ffff:") if "." in peer else peer

    def _is_trusted(self, text: str) -> bool:
        if not _is_address(text):
            return False
        address = ipaddress.ip_address(text)
        if isinstance(address, ipaddress.IPv6Address):
            address = address.ipv4_mapped or address
        return any(address in network for network in self._trusted)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
