"""Approval requests over HTTP: what may be asked, what is answered."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from placet_server.domain.refusals import RefusedError
from placet_server.testing import live_server
from support.native import Native, clock_of, native_api


@pytest.fixture
async def native(tmp_path: Path) -> AsyncIterator[Native]:
    async with native_api(tmp_path / "data") as found:
        yield found


async def test_lists_come_in_pages(native: Native) -> None:
    """``next`` leads through all items once, and is null at the end."""
    for number in range(5):
        clock_of(native).advance(ms=1)
        await native("POST", "/v1/users", {"email": f"u{number}@example.com"})
        assert (await native.ask(message=f"Pay {number}?"))[0] in {201, 429}
    seen, after = [], ""
    while True:
        _, page = await native("GET", f"/v1/users?limit=2{after}")
        seen += [user["tfa_id"] for user in page["items"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert len(seen) == len(set(seen)) == 6
    _, page = await native("GET", "/v1/approval_requests?status=pending&limit=2")
    assert [item["message"] for item in page["items"]] == ["Pay 2?", "Pay 1?"]
    _, rest = await native("GET", f"/v1/approval_requests?status=pending&limit=2&after={page['next']}")
    assert ([item["message"] for item in rest["items"]], rest["next"]) == (["Pay 0?"], None)
    created = page["items"][0]["created_at"]
    later = await native("GET", "/v1/approval_requests?created_from=2030-01-01T00:00:00Z")
    assert later[1]["items"] == []
    assert len((await native("GET", f"/v1/approval_requests?created_from={created}"))[1]["items"]) == 1
    assert len((await native("GET", f"/v1/approval_requests?created_to={created}"))[1]["items"]) == 2
    assert (await native("GET", "/v1/approval_requests?created_from=2030-01-01"))[0] == 400


async def test_an_approval_request_says_what_was_asked(native: Native) -> None:
    """The answer to a create has the number and the devices, later ones do not; order of the details is kept."""
    visible = {"To": "Bob", "Amount": "12 €", "About": "rent"}
    status, made = await native.ask(
        details={"visible": visible, "hidden": {"order": [1, 2.5, None]}},
        context={"ip": "203.0.113.7", "place": "Oslo", "agent": "Firefox"},
        seconds_to_expire=60,
        number="entry:4",
        logos=[{"res": "low", "url": "https://acme.example/logo.png"}],
    )
    assert status == 201
    assert re.fullmatch(r"[0-9]{4}", made["number"])
    assert (made["status"], made["devices"]) == ("pending", 0)
    assert made["created_at"] == "2027-01-15T08:00:00.000Z"
    assert made["expires_at"] == "2027-01-15T08:01:00.000Z"
    status, thin = await native("GET", f"/v1/approval_requests/{made['id']}")
    assert (status, thin["status"], thin["tfa_id"], "details" in thin) == (
        200,
        "pending",
        native.tfa_id,
        False,
    )
    status, got = await native("GET", f"/v1/approval_requests/{made['id']}?details=true")
    assert got | thin == got
    assert got["details"] == {
        "visible": [[k, v] for k, v in visible.items()],
        "hidden": {"order": [1, 2.5, None]},
    }
    assert got["number_mode"] == "entry:4"
    assert {"number", "devices"}.isdisjoint(got)
    pairs = (await native.ask(details={"visible": [["a", "1"], ["a", "2"]]}))[1]
    assert pairs["details"]["visible"] == [["a", "1"], ["a", "2"]]
    clock_of(native).advance(seconds=60)
    assert (await native("GET", f"/v1/approval_requests/{made['id']}"))[1]["status"] == "expired"


async def test_a_question_can_be_taken_back_once(native: Native) -> None:
    """Cancelling ends a pending request; ended ones say how they ended; without a decision there is no receipt."""
    _, made = await native.ask()
    path = f"/v1/approval_requests/{made['id']}"
    assert (await native("GET", path + "/receipt"))[1]["code"] == "not_decided"
    status, ended = await native("POST", path + "/cancel")
    assert (status, ended["status"]) == (200, "cancelled")
    status, again = await native("POST", path + "/cancel")
    assert (status, again["code"], again["state"]) == (409, "not_pending", "cancelled")


async def test_a_long_poll_answers_when_the_request_ends(tmp_path: Path) -> None:
    """``wait`` gives the end within moments of it, and what is so far when the time is over."""
    async with live_server(tmp_path / "data") as server:
        native = Native(server, await server.api_key(), (await server.user()).tfa_id)
        _, made = await native.ask()
        path = f"/v1/approval_requests/{made['id']}"
        waiting = asyncio.create_task(native("GET", path + "?wait=30"))
        assert (await native("GET", path + "?wait=1"))[1]["status"] == "pending"
        assert not waiting.done()
        await native("POST", path + "/cancel")
        async with asyncio.timeout(20):
            assert (await waiting)[1]["status"] == "cancelled"
        _, short = await native.ask(seconds_to_expire=1)
        async with asyncio.timeout(20):
            expired = await native("GET", f"/v1/approval_requests/{short['id']}?wait=30")
        assert expired[1]["status"] == "expired"
        for wrong in ("wait=61", "wait=-1", "wait=1.5", "wait=", "wait=1&wait=2", "weit=1"):
            assert (await native("GET", f"{path}?{wrong}"))[0] == 400, wrong


async def test_api_10_protected_members_cannot_be_set(native: Native) -> None:
    """What the server decides cannot be given by a caller, in body or query."""
    for member in (
        "status",
        "id",
        "created_at",
        "decided_at",
        "devices",
        "reason",
        "user_id",
        "expires_at",
        "org",
    ):
        status, problem = await native.ask(**{member: "approved"})
        assert (status, problem["code"]) == (400, "invalid_request"), member
        assert member in problem["detail"]
    for member in ("confirmed", "id", "org"):
        assert (await native("POST", "/v1/users", {"email": "b@example.com", member: True}))[0] == 400
    body = {"tfa_id": native.tfa_id, "message": "Pay?"}
    assert (await native("POST", "/v1/approval_requests?message=Other", body))[0] == 400
    assert (await native("POST", "/v1/approval_requests?tfa_id=1", body))[0] == 400


UNASKABLE: dict[str, list[Any]] = {
    "seconds_to_expire": [0, -1, 86_401, 10**17, 1.5, "60", True, [60]],
    "number": ["none", "entry:2", "entry:7", "entry:", "Entry:3", "", 3, ["entry:3"]],
    "tfa_id": [0, -1, 2**53, "1", 1.0, True],
    "message": ["", " ", "x" * 257, 5, ["Pay?"]],
    "details": [
        [],
        {"visible": {"a": 1}},
        {"visible": [["a"]]},
        {"visible": {f"l{n}": "v" for n in range(21)}},
        {"visible": {"l" * 65: "v"}},
        {"shown": {}},
        {"hidden": []},
        {"hidden": {"a": "x" * 4100}},
        {"hidden": {"a": 2**53}},
    ],
    "context": [{"ip": ""}, {"ip": "x" * 65}, {"place": 5}],
    "logos": [[{"res": "huge", "url": "https://a.example/"}], [{"res": "low", "url": "file:///etc"}]],
    "callback_url": [
        "https://evil.example/x",
        "ftp://acme.example/",
        "https://u@acme.example/",
        "/xxxxxxxx",
        "https://",
    ],
}


async def test_tim_03_what_cannot_be_asked_is_refused_by_name(native: Native) -> None:
    """Values out of range, of another type or weaker than policy are 400 and name the place; nothing is made."""
    for member, values in UNASKABLE.items():
        for value in values:
            status, problem = await native.ask(**{member: value})
            assert (status, problem["code"]) == (400, "invalid_request"), (member, value)
            assert member in problem["detail"], (member, value)
    assert (await native("GET", "/v1/approval_requests"))[1]["items"] == []


async def test_texts_that_may_not_be_shown_are_refused_by_place(native: Native) -> None:
    """422 names the character and where it stands."""
    for bad in ("a\x1b[2Jb", "a\u202eb", "a\x00b", "a\u200bb", "a\u2028b", "a\ue000b", "a\rb", "\x85"):
        asked: dict[str, dict[str, Any]] = {
            "message": {"message": bad},
            "label": {"details": {"visible": {"fine": "fine", bad: "x"}}},
            "value": {"details": {"visible": [["fine", bad]]}},
            "context.place": {"context": {"place": bad}},
        }
        answers = {place: await native.ask(**changes) for place, changes in asked.items()}
        answers["name"] = await native("POST", f"/v1/users/{native.tfa_id}/soft_tokens", {"name": bad})
        for place, (status, problem) in answers.items():
            assert (status, problem["code"]) == (422, "invalid_text"), (place, bad)
            assert place in problem["detail"]
            assert "U+" in problem["detail"]


async def test_only_the_message_has_line_ends_and_texts_are_composed(native: Native) -> None:
    """A line feed is fine in the message and nowhere else; what is stored is NFC."""
    status, made = await native.ask(message="one\ntwo e\u0301")
    assert (status, made["message"]) == (201, "one\ntwo \u00e9")
    assert (await native.ask(details={"visible": {"a": "one\ntwo"}}))[0] == 422


async def test_a_caller_may_only_strengthen_policy(native: Native) -> None:
    """More digits and less time are taken, the opposite is refused with the policy's name."""
    await native.server.domain.applications.set_policies(
        "acme", {"approval.max_ttl": "120", "approval.ttl": "60"}, native.server.clock.now()
    )
    clock_of(native).advance(seconds=2)
    assert (await native.ask(number="entry:6", seconds_to_expire=120))[0] == 201
    status, problem = await native.ask(seconds_to_expire=121)
    assert (status, "approval.max_ttl is 120" in problem["detail"]) == (400, True)
    status, problem = await native.ask(number="none")
    assert (status, "entry:3" in problem["detail"]) == (400, True)


@pytest.mark.parametrize(
    "url",
    [
        "https://10.0.0.1/hook",
        "https://[::ffff:169.254.169.254]/latest",
        "https://[fd00::1]/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://192.168.1.1:22/",
        "http://8.8.8.8/plain",
        "https://acme.example\\@10.0.0.1/",
    ],
)
async def test_ssr_01_what_would_not_be_called_is_refused_when_it_is_named(native: Native, url: str) -> None:
    """Webhooks and callbacks to forbidden addresses are refused at save, even where policy allows any host."""
    applications, now = native.server.domain.applications, native.server.clock.now
    await applications.set_policies("acme", {"callback.hosts": "*"}, now())
    clock_of(native).advance(seconds=2)
    status, problem = await native.ask(callback_url=url)
    assert (status, problem["code"]) == (400, "invalid_request")
    with pytest.raises(RefusedError) as refused:
        await applications.add_webhook("acme", url, now())
    assert refused.value.code == "invalid_request"
    assert (await native.ask(callback_url="http://127.0.0.1:9/allowed"))[0] == 201


async def test_a_callback_goes_to_registered_hosts_only(native: Native) -> None:
    """The host is that of a webhook of the application, or policy names it."""
    applications, now = native.server.domain.applications, native.server.clock.now
    await applications.add_webhook("acme", "https://hooks.acme.example/placet", now())
    clock_of(native).advance(seconds=2)
    assert (await native.ask(callback_url="https://hooks.acme.example/other"))[0] == 201
    assert (await native.ask(callback_url="https://hooks.acme.example:8443/other"))[0] == 400
    assert (await native.ask(callback_url="https://hooks.acme.example.evil.example/"))[0] == 400
    await applications.set_policies("acme", {"callback.hosts": "other.example"}, now())
    clock_of(native).advance(seconds=2)
    assert (await native.ask(callback_url="https://other.example/x"))[0] == 201
