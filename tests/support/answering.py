"""A whole core on real SQLite, and devices that answer by hand: what the tests of questions and answers stand on."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from placet_protocol import documents, jose
from placet_server.domain.ids import new_id
from placet_server.domain.refusals import RefusedError
from placet_server.domain.services import Domain, build
from placet_server.domain.users import UserDraft
from placet_server.domain.values import Application, ApprovalDraft, Caller, Created, Device, User
from placet_server.ports import Sql, plan, step
from placet_server.storage import SqliteStore, open_store
from placet_server.testing import (
    ClearSealer,
    FixedBook,
    FixedRoutes,
    ManualClock,
    PlainPasswords,
    RecordingBus,
    SeededEntropy,
)

ORIGIN = "https://placet.example"


class DocumentKey:
    """The server's signing key for one test; it implements ``Signer``."""

    def __init__(self) -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())

    @property
    def kid(self) -> str:
        return jose.thumbprint(self.private.public_key())

    def sign(self, typ: str, payload: bytes) -> str:
        return jose.sign(self.private, typ, payload, kid=self.kid)

    def jwks(self) -> list[dict[str, Any]]:
        return [jose.public_jwk(self.private.public_key()) | {"kid": self.kid}]


class Answerer:
    """A device's key and counter: signs decisions, good ones and others."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, device: Device, counter: int = 1) -> None:
        self.key = key
        self.device = device
        self.counter = counter

    def members(
        self, request: str, verb: str, number: str | None = None, /, **changes: Any
    ) -> dict[str, Any]:
        """The members of a decision on this request document, with some changed; None leaves a member out."""
        self.counter += 1
        asked = jose.peek(request)[1]
        members = {
            "v": 1,
            "iss": self.device.jkt,
            "aud": asked["iss"],
            "jti": f"answer-{self.counter}",
            "iat": asked["iat"],
            "ctr": self.counter,
            "rid": asked["rid"],
            "non": asked["non"],
            "rqh": jose.b64u(hashlib.sha256(request.encode()).digest()),
            "dec": verb,
            "rsn": "ok" if verb == "approve" else "declined",
            "num": number,
            "uv": "none",
            "ui": "test",
        } | changes
        return {name: value for name, value in members.items() if value is not None}

    def sign(self, members: dict[str, Any]) -> str:
        """Any members as a decision document under this device's key."""
        return jose.sign(self.key, documents.DECISION, msgspec.json.encode(members), kid=self.device.jkt)

    def answer(self, request: str, verb: str, number: str | None = None, /, **changes: Any) -> str:
        """A signed decision on this request document."""
        return self.sign(self.members(request, verb, number, **changes))


class World:
    """One server core with an application and a user who has no device yet."""

    def __init__(self, store: SqliteStore, domain: Domain, bus: RecordingBus, signer: DocumentKey) -> None:
        self.store = store
        self.domain = domain
        self.bus = bus
        self.signer = signer
        self.clock = ManualClock()
        self.entropy = SeededEntropy("devices")
        self.application: Application
        self.user: User

    @property
    def now(self) -> int:
        """The time of the test's clock."""
        return self.clock.now()

    @property
    def caller(self) -> Caller:
        """The application by its key, with everything allowed."""
        return self.caller_of(self.application)

    @staticmethod
    def caller_of(application: Application, face: str = "native") -> Caller:
        return Caller(application, "key", frozenset({"approvals", "users", "devices:admin"}), face)

    async def new_application(self, name: str, **policies: str) -> Application:
        applications = self.domain.applications
        await applications.add(name, ("approvals",), self.now)
        pairs = {policy.replace("__", "."): value for policy, value in policies.items()}
        return await applications.set_policies(name, pairs, self.now)

    async def new_user(self, phone: str) -> User:
        draft = UserDraft(country_code=1, phone=phone)
        return (await self.domain.users.create(self.application.org, draft, self.now))[0]

    async def enrol(self, user: User | None = None) -> Answerer:
        """A new active device of a user, as an enrolment leaves it."""
        user, key = user or self.user, ec.generate_private_key(ec.SECP256R1())
        public = key.public_key()
        device_id = new_id(self.now, self.entropy)
        certificate = documents.DeviceCertificate(
            iss=ORIGIN,
            did=device_id,
            sub=user.id,
            org=user.org,
            cnf=documents.confirmation(public),
            eid=device_id,
            salt=jose.b64u(bytes(16)),
            nbf=self.now // 1000,
        )
        device = Device(
            id=device_id,
            org=user.org,
            user_id=user.id,
            jkt=jose.thumbprint(public),
            public_key=jose.public_key_bytes(public),
            status="active",
            ctr=0,
            certificate=self.signer.sign(documents.DEVICE, documents.payload(certificate)),
            name="phone",
            platform="test",
            endpoint="embedded",
            p256dh=jose.public_key_bytes(public),
            auth=bytes(16),
            created_at=self.now,
        )
        assert await self.store.write(plan(self.domain.devices.add_step(device))) == 0
        return Answerer(key, device)

    async def ask(self, user: User | None = None, **changes: Any) -> Created:
        """A question to the user, by default without a number and for 300 s."""
        return await self.domain.approvals.create(self.caller, user or self.user, draft(**changes), self.now)

    async def asked(self, user: User | None = None, **changes: Any) -> tuple[Created, str]:
        """A question and its document."""
        created = await self.ask(user, **changes)
        return created, await self.domain.approvals.document(created.approval.id)

    async def calm(self) -> None:
        """Forget how many questions were asked, so that the fatigue rules allow more."""
        await self.store.write(plan(step(Sql("calm", "DELETE FROM pressure")), guards=0))

    async def status(self, created: Created) -> str:
        state = await self.domain.approvals.state(created.approval.application, created.approval.id, self.now)
        return state.status

    async def count(self, table: str, where: str = "1 = 1", *params: str | int) -> int:
        row = await self.store.row(Sql("count", f"SELECT count(*) FROM {table} WHERE {where}"), params)
        assert row is not None
        return int(row[0])

    async def endings(self, created: Created) -> list[str]:
        """The kinds of the audit entries that ended a request."""
        sql = Sql("kinds", "SELECT kind, body FROM audit WHERE kind LIKE 'approval.%' ORDER BY seq")
        return [
            kind
            for kind, body in await self.store.rows(sql)
            if created.approval.id in body and kind != "approval.created"
        ]


def draft(**changes: Any) -> ApprovalDraft:
    """A payment to confirm."""
    facts: dict[str, Any] = {
        "message": "Pay Bob?",
        "ttl": 300,
        "number": "none",
        "visible": (("Amount", "10 EUR"), ("To", "Bob")),
        "hidden": {"transaction": 17},
    }
    return ApprovalDraft(**(facts | changes))


@asynccontextmanager
async def world(path: Path, **policies: str) -> AsyncIterator[World]:
    """A core in ``path``; policies with ``__`` for the dot, no number by default."""
    store, bus, signer = await open_store(path / "placet.db"), RecordingBus(), DocumentKey()
    domain = build(
        store,
        ClearSealer(),
        signer,
        SeededEntropy(),
        bus,
        ORIGIN,
        lambda _: None,
        PlainPasswords(),
        FixedRoutes(),
        FixedBook(),
    )
    made = World(store, domain, bus, signer)
    await domain.organizations.ensure_default(made.now)
    made.application = await made.new_application("Acme", **({"approval__number": "none"} | policies))
    made.user = await made.new_user("5550100")
    try:
        yield made
    finally:
        await store.close()


async def code_of(awaited: Any) -> str:
    """The code with which an operation is refused; fails when it is not."""
    try:
        value = await awaited
    except RefusedError as error:
        return error.code
    raise AssertionError(f"was not refused but gave {value!r}")


async def refused(w: World, document: str) -> None:
    """Fail unless a decision is refused with the one uniform error and nothing has been decided in this world."""
    assert await code_of(w.domain.decisions.decide(document, w.now)) == "invalid_decision"
    assert await w.count("decisions") == 0
    assert await w.count("approvals", "status <> 'pending'") == 0
