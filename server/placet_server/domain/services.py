"""The whole core in one value."""

from __future__ import annotations

from dataclasses import dataclass

from placet_server.domain.applications import Applications
from placet_server.domain.approvals import Approvals
from placet_server.domain.calllog import CallLog
from placet_server.domain.codes import Codes
from placet_server.domain.credentials import Credentials
from placet_server.domain.decisions import Decisions
from placet_server.domain.deliveries import Deliveries
from placet_server.domain.devices import Devices
from placet_server.domain.endings import Endings
from placet_server.domain.enrollments import Enrollments
from placet_server.domain.guard import Guard
from placet_server.domain.idempotency import Idempotency
from placet_server.domain.items import Items
from placet_server.domain.lookups import Lookups
from placet_server.domain.messages import Messages
from placet_server.domain.notices import Notices
from placet_server.domain.organizations import Organizations
from placet_server.domain.outbox import Outbox
from placet_server.domain.receipts import Receipts
from placet_server.domain.recovery import RecoveryCodes
from placet_server.domain.softtokens import SoftTokens
from placet_server.domain.usage import Usage
from placet_server.domain.users import Users
from placet_server.domain.verifications import PhoneVerifications
from placet_server.ports import (
    Bus,
    Entropy,
    Passwords,
    PhoneBook,
    Routes,
    Sealer,
    Signer,
    Store,
    UrlRule,
)


@dataclass(frozen=True)
class Domain:
    """Every operation that the server offers, by what it is about."""

    organizations: Organizations
    applications: Applications
    credentials: Credentials
    calls: CallLog
    users: Users
    lookups: Lookups
    devices: Devices
    enrollments: Enrollments
    soft_tokens: SoftTokens
    codes: Codes
    phone_verifications: PhoneVerifications
    recovery_codes: RecoveryCodes
    messages: Messages
    deliveries: Deliveries
    guard: Guard
    phone_book: PhoneBook
    notices: Notices
    approvals: Approvals
    decisions: Decisions
    receipts: Receipts
    items: Items
    idempotency: Idempotency
    outbox: Outbox
    usage: Usage


def build(
    store: Store,
    sealer: Sealer,
    signer: Signer,
    entropy: Entropy,
    bus: Bus,
    public_url: str,
    url_rule: UrlRule,
    passwords: Passwords,
    routes: Routes,
    phone_book: PhoneBook,
) -> Domain:
    """The core over these ports.

    ``public_url`` is the origin that documents name, without a slash at its end; ``url_rule`` says which endpoints
    may be registered; ``routes`` what carries messages.
    """
    applications = Applications(store, sealer, entropy, url_rule)
    users = Users(store, sealer, entropy, bus)
    notices = Notices(store, sealer, entropy)
    devices = Devices(store, sealer, entropy, bus, notices, applications)
    soft_tokens = SoftTokens(store, sealer, entropy, bus, notices, users)
    endings = Endings(store, sealer, entropy, bus, applications)
    approvals = Approvals(store, sealer, signer, entropy, bus, endings, public_url)
    enrollments = Enrollments(
        store,
        sealer,
        signer,
        entropy,
        bus,
        applications,
        users,
        devices,
        soft_tokens,
        notices,
        approvals.create,
        public_url,
    )
    credentials = Credentials(store, sealer, entropy, applications, passwords)
    guard = Guard(store, sealer, entropy, bus, routes, phone_book)
    deliveries = Deliveries(store, sealer, entropy, bus, applications)
    messages = Messages(store, sealer, entropy, bus, guard, credentials.charge, deliveries)
    codes = Codes(store, sealer, entropy, bus, users, notices, guard, messages)
    return Domain(
        organizations=Organizations(store),
        applications=applications,
        credentials=credentials,
        calls=CallLog(store, sealer),
        users=users,
        lookups=Lookups(store, sealer, entropy, bus),
        devices=devices,
        enrollments=enrollments,
        soft_tokens=soft_tokens,
        codes=codes,
        phone_verifications=PhoneVerifications(codes, phone_book),
        recovery_codes=RecoveryCodes(store, sealer, entropy, bus, notices),
        messages=messages,
        deliveries=deliveries,
        guard=guard,
        phone_book=phone_book,
        notices=notices,
        approvals=approvals,
        decisions=Decisions(store, sealer, entropy, bus, applications, users, devices, endings, public_url),
        receipts=Receipts(store, sealer, signer, approvals, devices, public_url),
        items=Items(store, approvals, notices),
        idempotency=Idempotency(store, sealer),
        outbox=Outbox(store, sealer),
        usage=Usage(store),
    )
