"""From which addresses a credential may be used: lists of networks, whatever form an address arrives in."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from placet_server.domain.refusals import RefusedError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

LISTED_MAX: Final = 100
_MAPPED: Final = ipaddress.IPv6Network("::ffff:0:0/96")
_HOST_BITS: Final = 64  # what one IPv6 customer gets, at least


def networks(texts: Iterable[str]) -> tuple[str, ...]:
    """Networks or single addresses in their one form; raises ``invalid_request`` naming what is none."""
    found = tuple(dict.fromkeys(str(network(text)) for text in texts))
    if len(found) > LISTED_MAX:
        raise RefusedError("invalid_request", f"A list holds at most {LISTED_MAX} networks.")
    return found


def allowed(address: str, listed: tuple[str, ...]) -> bool:
    """Whether an address lies in one of the networks; an empty list allows all, and no address lies in none."""
    if not listed:
        return True
    known = plain(address)
    return known is not None and any(known in each for each in _opened(listed))


def source(address: str) -> str:
    """What one caller can hardly have many of: an IPv4 address, or the /64 that an IPv6 address lies in."""
    known = plain(address)
    if isinstance(known, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Address(int(known) >> _HOST_BITS << _HOST_BITS))
    return "" if known is None else str(known)


def network(text: str) -> Network:
    """A network or single address, IPv4 inside IPv6 as IPv4; raises ``invalid_request`` naming what is meant."""
    try:
        found = ipaddress.ip_network(text.strip())
    except ValueError as error:
        raise RefusedError(
            "invalid_request", f"{_said(text)} is no network such as {_meant(text)}."
        ) from error
    if isinstance(found, ipaddress.IPv6Network) and found.subnet_of(_MAPPED):
        return ipaddress.IPv4Network((found.network_address.packed[12:], found.prefixlen - 96))
    return found


@lru_cache(4096)
def plain(address: str) -> Address | None:
    """The address itself, IPv4 inside IPv6 as IPv4 and without a zone; None for what is no address."""
    try:
        known = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if isinstance(known, ipaddress.IPv6Address):
        return known.ipv4_mapped or known
    return known


@lru_cache(1024)
def _opened(listed: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(network(text) for text in listed)


def _said(text: str) -> str:
    return repr(text[:64])


def _meant(text: str) -> str:
    """The network that a text with host bits probably means."""
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        return "192.0.2.0/24 or 2001:db8::/64"
