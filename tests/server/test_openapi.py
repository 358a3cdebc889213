"""The published description is the router, and every route in it hides what belongs to others."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from placet_server.domain import destinations
from placet_server.domain.ids import new_id
from placet_server.domain.mail import MessageDraft
from placet_server.domain.onecode import CodeDraft
from placet_server.domain.refusals import CODES
from placet_server.domain.texts import Text
from placet_server.domain.users import UserDraft
from placet_server.domain.values import Application, ApprovalDraft, Caller, Device
from placet_server.ports import Sql, plan, step
from placet_server.testing import LiveServer, SeededEntropy, live_server
from placet_server.web.openapi import TYPED

NATIVE = "native"
NOBODY = "01900000-0000-7000-8000-000000000000"
NO_NUMBER = "999999999999"
SCOPES = frozenset({"approvals", "users", "codes", "devices:admin"})
LISTS = frozenset({"/v1/users", "/v1/approval_requests", "/v1/messages"})
OF_APPLICATION = frozenset({"approval_requests", "codes", "phone_verifications", "messages"})
NUMBER = destinations.phone("+44 7700 900123")
# What a call needs beyond its path to get as far as looking something up.
BODIES: dict[tuple[str, str], Any] = {
    ("post", "/v1/users"): {"email": "new@example.com"},
    ("post", "/v1/users/{tfa_id}/enrollments"): {"reason": "new phone"},
    ("post", "/v1/enrollments/{id}/confirm"): {"check": "123456"},
    ("post", "/v1/approval_requests"): {"tfa_id": 0, "message": "Pay?"},
    ("post", "/v1/users/{tfa_id}/soft_tokens"): {"name": "Ada"},
    ("post", "/v1/soft_tokens/{id}/confirm"): {"code": "123456"},
    ("post", "/v1/users/{tfa_id}/soft_tokens/verify"): {"code": "123456"},
    ("post", "/v1/users/{tfa_id}/recovery_codes/verify"): {"code": "k7m2x-9qwrt"},
    ("post", "/v1/codes"): {"tfa_id": 0, "channel": "email"},
    ("post", "/v1/codes/check"): {"tfa_id": 0, "code": "123456"},
    ("post", "/v1/codes/{id}/check"): {"code": "123456"},
    ("post", "/v1/phone_verifications"): {"phone": "+447700900123"},
    ("post", "/v1/phone_verifications/check"): {"phone": "+447700900123", "code": "123456"},
    ("post", "/v1/phone_verifications/{id}/check"): {"code": "123456"},
    ("post", "/v1/messages"): {"tfa_id": 0, "channel": "email", "text": "Hello"},
    ("patch", "/v1/applications/self/policies"): {"approval.ttl": 120},
}


async def description(server: LiveServer) -> dict[str, Any]:
    status, found = await server.call("GET", "/openapi.json")
    assert status == 200
    assert isinstance(found, dict)
    return found


def operations(found: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(method, path, each) for path, item in found["paths"].items() for method, each in item.items()]


async def test_the_description_and_the_guide_name_the_same_routes(tmp_path: Path) -> None:
    """docs/api/native.md tells of every route of /v1, and of none that is not there."""
    async with live_server(tmp_path / "data") as server:
        found = await description(server)
    described = {(method.upper(), path) for method, path, _ in operations(found)}
    listed = Path(__file__).parents[2] / "docs" / "api" / "native.md"
    routes = set(re.findall(r"`(GET|POST|PATCH|DELETE) (/[^ `?]*)", listed.read_text(encoding="utf-8")))
    assert routes <= described, "docs/api/native.md names a route that does not exist"
    native = {
        (m.upper(), p) for m, p, each in operations(found) if p.startswith("/v1/") and NATIVE in each["tags"]
    }
    assert native - routes == set(), "a route is not in docs/api/native.md"
    assert ("POST", "/device/v1/decisions") in described
    assert ("GET", "/device/v1/socket") in described


async def test_the_description_is_whole(tmp_path: Path) -> None:
    """OpenAPI 3.1: references lead somewhere, ids are unique, credentials and documented refusals are on each route."""
    async with live_server(tmp_path / "data") as server:
        found = await description(server)
    assert found["openapi"] == "3.1.0"
    for reference in re.findall(
        r'"\$ref":"#/components/schemas/([^"]+)"', json.dumps(found, separators=(",", ":"))
    ):
        assert reference in found["components"]["schemas"]
    ids = [each["operationId"] for _, _, each in operations(found)]
    assert len(ids) == len(set(ids))
    for method, path, each in operations(found):
        assert each["summary"], path
        named = set(re.findall(r"\{([a-z_]+)\}", path))
        given = {each["name"] for each in each.get("parameters", []) if each["in"] == "path"}
        assert named == given
        if not TYPED & set(each["tags"]):
            assert each["responses"].keys() == {"200", "default"}
            continue
        statuses = {int(status) for status in each["responses"]}
        assert statuses & {200, 201, 204, 101}, (method, path)
        assert {500, 503} <= statuses
        if path.startswith("/v1/"):
            assert each["security"] == [{"apiKey": []}], path
            assert {401, 403, 429} <= statuses
        if "requestBody" in each:
            assert {400, 408, 413, 415} <= statuses, (method, path)
    assert found["components"]["schemas"]["Problem"]["properties"]["code"]["enum"] == list(CODES)


async def test_without_a_key_every_native_route_is_closed(tmp_path: Path) -> None:
    """No route of /v1 does or tells anything without a key, whatever the path names."""
    async with live_server(tmp_path / "data") as server:
        user = await server.user()
        found = await description(server)
        for method, path, each in operations(found):
            if path.startswith("/v1/") and NATIVE in each["tags"]:
                answers = []
                for number in (str(user.tfa_id), NO_NUMBER):
                    target = path.replace("{tfa_id}", number).replace("{id}", NOBODY)
                    status, problem = await server.call(method.upper(), target, BODIES.get((method, path)))
                    answers.append((status, {**problem, "request_id": ""}))
                assert answers[0] == answers[1]
                assert (answers[0][0], answers[0][1]["code"]) == (401, "unauthorized"), path


class Others:
    """Everything that another organization, or another application of the same one, has."""

    def __init__(self, server: LiveServer, org: str, name: str) -> None:
        self.server = server
        self.org = org
        self.name = name
        self.ids: dict[str, str] = {}
        self.tfa_id = 0

    async def fill(self, user_tfa_id: int | None = None) -> None:
        """A user with a device, an enrolment, a soft token, an approval request, a code, a verification and a message."""
        domain, now, store = self.server.domain, self.server.clock.now(), self.server.store
        await domain.applications.add(self.name, SCOPES, now, org=self.org)
        application: Application = await domain.applications.named(self.name, org=self.org)
        caller = Caller(application, "other", SCOPES)
        if user_tfa_id is None:
            user, _ = await domain.users.create(self.org, UserDraft(email=f"{self.name}@example.com"), now)
        else:
            user = await domain.users.by_tfa_id(self.org, user_tfa_id)
        device = Device(
            new_id(now, SeededEntropy(self.name)), self.org, user.id, self.name, bytes(65), "active", 0, "cert", "Phone",
            "test", "embedded", bytes(65), bytes(16), now,
        )  # fmt: skip
        await store.write(plan(domain.devices.add_step(device)))
        made = await domain.approvals.create(caller, user, ApprovalDraft("Secret?", 300, "entry:3"), now)
        token = await domain.soft_tokens.create(user, "Ada", "Other", now)
        enrollment = await domain.enrollments.open(caller, user, None, "a reason", now)
        code = await domain.codes.issue(caller, CodeDraft(user=user, channels=("email",)), now)
        verification = await domain.phone_verifications.start(caller, NUMBER, now)
        text = MessageDraft(
            to=NUMBER, channels=("sms",), texts={"sms": Text("Secret?")}, expires_at=now + 60_000
        )
        message = await domain.messages.send(caller, text, now)
        self.tfa_id = user.tfa_id
        self.ids = {
            "devices": device.id,
            "approval_requests": made.approval.id,
            "soft_tokens": token.token.id,
            "enrollments": enrollment.id,
            "codes": code.id,
            "phone_verifications": verification.id,
            "messages": message.id,
        }

    async def counts(self) -> list[Any]:
        """What would show a side effect."""
        return [
            await self.server.store.rows(Sql(f"all_{table}", f"SELECT * FROM {table} ORDER BY 1"))
            for table in (
                "users",
                "devices",
                "approvals",
                "soft_tokens",
                "enrollments",
                "throttles",
                "notices",
                "codes",
                "recovery_codes",
                "budgets",
            )
        ]


@pytest.mark.parametrize("same_organization", [False, True], ids=["organization", "application"])
async def test_api_05_what_belongs_to_others_does_not_exist(
    tmp_path: Path, *, same_organization: bool
) -> None:
    """Every route with every id of another organization answers as with an id of nobody, and changes nothing.

    Users, their devices, enrolments and soft tokens are shared inside one organization; approval requests, codes,
    verifications and messages belong to one application.
    """
    async with live_server(tmp_path / "data") as server:
        key = await server.api_key("mine", SCOPES)
        now = server.clock.now()
        if not same_organization:
            add = Sql("org_add", "INSERT INTO organizations (id, name, created_at) VALUES (?, ?, ?)")
            await server.store.write(plan(step(add, "other", "Other", now)))
        others = Others(server, "default" if same_organization else "other", "theirs")
        await others.fill()
        found = await description(server)
        before = await others.counts()
        tried = 0
        for method, path, each in operations(found):
            if each["security"] != [{"apiKey": []}] or (path in LISTS and method == "get"):
                continue
            for kind, theirs in others.ids.items():
                own_kind = path.startswith(f"/v1/{kind}/{{id}}")
                if same_organization and not (own_kind and kind in OF_APPLICATION):
                    continue
                body = BODIES.get((method, path))
                if (
                    "{tfa_id}" not in path
                    and not (isinstance(body, dict) and "tfa_id" in body)
                    and "{id}" not in path
                ):
                    continue
                answers = []
                for number, an_id in ((others.tfa_id, theirs), (int(NO_NUMBER), NOBODY)):
                    target = path.replace("{tfa_id}", str(number)).replace("{id}", an_id)
                    sent = body | {"tfa_id": number} if isinstance(body, dict) and "tfa_id" in body else body
                    status, problem = await server.call(method.upper(), target, sent, key=key)
                    answers.append((status, {**(problem or {}), "request_id": ""}))
                assert answers[0] == answers[1], (method, path, kind)
                assert answers[0][0] == 404, (method, path, kind)
                assert answers[0][1]["code"] in {"not_found", "user_not_found"}
                tried += 1
        assert tried >= (10 if same_organization else 100)
        assert await others.counts() == before
        for path in (*sorted(LISTS), f"/v1/approval_requests?tfa_id={others.tfa_id}"):
            status, page = await server.call("GET", path, key=key)
            theirs_shown = [
                item for item in page["items"] if item.get("message") == "Secret?" or "kind" in item
            ]
            assert (status, theirs_shown) == (200, [])
            if not same_organization:
                assert page["items"] == []


async def test_an_application_of_the_organization_shares_its_people(tmp_path: Path) -> None:
    """The positive control of the matrix: inside one organization users and devices are seen by each application."""
    async with live_server(tmp_path / "data") as server:
        key = await server.api_key("mine", SCOPES)
        others = Others(server, "default", "theirs")
        await others.fill()
        for path in (
            f"/v1/users/{others.tfa_id}",
            f"/v1/users/{others.tfa_id}/devices",
            f"/v1/users/{others.tfa_id}/soft_tokens",
            f"/v1/enrollments/{others.ids['enrollments']}",
        ):
            assert (await server.call("GET", path, key=key))[0] == 200, path
        assert (await server.call("DELETE", f"/v1/devices/{others.ids['devices']}", key=key))[0] == 204
