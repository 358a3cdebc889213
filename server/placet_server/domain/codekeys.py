"""Keyed hashes by which codes are found, bound and compared; nothing in the store says for whom or what a code is."""

from __future__ import annotations

from typing import Final

from placet_server.domain.destinations import Destination
from placet_server.domain.networks import plain
from placet_server.domain.values import User, UserRef
from placet_server.ports import Sealer, Sql, Step, step

VERSION: Final = 1
"""Of the MAC of new codes; rows say which one is theirs, so another way to make it can begin at any time."""

_WITHDRAW: Final = Sql(
    "messages_withdraw_of_user",
    "UPDATE messages SET status = CASE WHEN due_at IS NULL THEN status ELSE 'expired' END, due_at = NULL,"
    " recipient = NULL, sealed = NULL WHERE id IN (SELECT message FROM codes WHERE lookup = ?)",
)
_ERASE: Final = Sql("codes_erase_of_user", "DELETE FROM codes WHERE lookup = ?")
_FORGET: Final = Sql("verified_number_forget", "DELETE FROM verified_numbers WHERE subject = ?")


def of_user(sealer: Sealer, user: UserRef) -> bytes:
    """Under what the codes of a user are found."""
    return sealer.index("code", f"{user.org} user {user.id}")


def of_destination(sealer: Sealer, org: str, destination: Destination) -> bytes:
    """Under what the codes for a destination are found, and all failures with them are counted."""
    return sealer.index("code", f"{org} {destination.address}")


def of_code(sealer: Sealer, code_id: str) -> bytes:
    """Under what failures are counted with a code that went to nobody."""
    return sealer.index("code", code_id)


def of_purpose(sealer: Sealer, purpose: str) -> bytes:
    """What binds a code to a purpose; nothing for none."""
    return sealer.index("code_purpose", purpose) if purpose else b""


def of_ip(sealer: Sealer, ip: str | None) -> bytes | None:
    """What binds a code to an IP address; None for what is no address, or the one that stands for none."""
    address = plain(ip) if ip else None
    return sealer.index("code_ip", str(address)) if address is not None and int(address) else None


def mac(
    sealer: Sealer, version: int, code_id: str, org: str, lookup: bytes, purpose: bytes, value: str
) -> bytes:
    """All that is kept of a code: its MAC together with everything that it is bound to."""
    return sealer.mac(
        f"code/{version}", code_id.encode(), org.encode(), lookup, purpose, value.encode("utf-8", "replace")
    )


def erase_steps(sealer: Sealer, user: User) -> tuple[Step, ...]:
    """The steps that erase the codes of a user and of their phone and e-mails, with the messages that carry them."""
    found = [of_user(sealer, user)]
    if user.phone is not None:
        phone = Destination("phone", f"+{user.country_code}{user.phone}")
        found.append(of_destination(sealer, user.org, phone))
    found += [of_destination(sealer, user.org, Destination("email", address)) for address in user.emails]
    return tuple(step(sql, key) for key in found for sql in (_WITHDRAW, _ERASE, _FORGET))
