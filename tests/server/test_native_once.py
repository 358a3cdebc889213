"""Creates under an Idempotency-Key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.native import Native, clock_of, native_api


@pytest.fixture
async def native(tmp_path: Path) -> AsyncIterator[Native]:
    async with native_api(tmp_path / "data") as found:
        yield found


async def test_the_same_create_under_one_key_happens_once(native: Native) -> None:
    """A repeated call gets the first answer and says so; another call under the key is refused; so is a bad key."""
    body = {"tfa_id": native.tfa_id, "message": "Pay?"}
    first = await native("POST", "/v1/approval_requests", body, **{"Idempotency-Key": "k-1"})
    again = await native("POST", "/v1/approval_requests", body, **{"Idempotency-Key": "k-1"})
    assert first == again
    assert len((await native("GET", "/v1/approval_requests"))[1]["items"]) == 1
    status, problem = await native(
        "POST", "/v1/approval_requests", body | {"message": "Pay more?"}, **{"Idempotency-Key": "k-1"}
    )
    assert (status, problem["code"]) == (422, "idempotency_conflict")
    other = Native(native.server, await native.server.api_key("other"), native.tfa_id)
    assert (await other("POST", "/v1/approval_requests", body, **{"Idempotency-Key": "k-1"}))[1][
        "id"
    ] != first[1]["id"]
    for bad in ("", "x" * 256, "a b"):
        assert (await native("POST", "/v1/approval_requests", body, **{"Idempotency-Key": bad}))[0] == 400, (
            bad
        )
    clock_of(native).advance(seconds=86_401)
    assert (await native("POST", "/v1/approval_requests", body, **{"Idempotency-Key": "k-1"}))[1][
        "id"
    ] != first[1]["id"]


async def test_simultaneous_creates_under_one_key_make_one_thing(native: Native) -> None:
    """Of calls at the same moment all get the same answer."""
    body = {"tfa_id": native.tfa_id, "message": "Pay?"}
    for number in range(20):
        answers = await asyncio.gather(
            *(
                native("POST", "/v1/approval_requests", body, **{"Idempotency-Key": f"race-{number}"})
                for _ in range(4)
            )
        )
        assert {answer[0] for answer in answers} == {201}
        assert len({answer[1]["id"] for answer in answers}) == 1
        await native("POST", f"/v1/approval_requests/{answers[0][1]['id']}/cancel")


async def test_answers_that_showed_a_secret_are_replayed_without_it(native: Native) -> None:
    """URI and picture of an enrolment or a soft token are in the first answer only."""
    for path, body in (
        (f"/v1/users/{native.tfa_id}/enrollments", {"qr": "svg"}),
        (f"/v1/users/{native.tfa_id}/soft_tokens", {"name": "Acme", "qr": "svg"}),
    ):
        first = await native("POST", path, body, **{"Idempotency-Key": path})
        again = await native("POST", path, body, **{"Idempotency-Key": path})
        assert (first[0], again[0]) == (201, 201)
        secret = {"uri": first[1]["uri"], "qr": first[1]["qr"]}
        assert again[1] | secret == first[1]
        assert {"uri", "qr"}.isdisjoint(again[1])
