"""A sandboxed credential of the Authy face: everything answers, nothing is sent, one code is valid."""

from __future__ import annotations

from pathlib import Path

from placet_server.ports import Sql
from support.authying import authy_server

NUMBER = "?phone_number=201-555-0123&country_code=1"


async def test_the_sandbox_answers_and_sends_nothing(tmp_path: Path) -> None:
    """Codes are asked for and verified by the constants, requests are refused, and no message and no code is made."""
    async with authy_server(tmp_path, settings={"sandbox": True}) as authy:
        number = await authy.ada()
        for method, path in (("GET", "sms"), ("GET", "call"), ("POST", "email")):
            answer = await authy.good(method, f"/protected/json/{path}/{number}?force=true")
            assert "ignored" not in answer
            assert await authy.bad(method, f"/protected/json/{path}/tony") == (404, "60026")
        valid = await authy.good("GET", f"/protected/json/verify/0000000/{number}?force=true")
        assert valid["token"] == "is valid"
        assert await authy.bad("GET", f"/protected/json/verify/1234567/{number}") == (401, "60020")
        assert await authy.bad("GET", "/protected/json/verify/0000000/1") == (404, "60016")
        body = {"phone_number": "201-555-0123", "country_code": 1}
        started = await authy.good("POST", "/protected/json/phones/verification/start", body)
        assert (started["carrier"], started["message"]) == (
            "Sandbox",
            "Text message sent to +1 201-555-0123.",
        )
        check = f"/protected/json/phones/verification/check{NUMBER}&verification_code="
        assert (await authy.good("GET", f"{check}0000"))["message"] == "Verification code is correct."
        assert await authy.bad("GET", f"{check}1234") == (401, "60022")
        assert (await authy.good("GET", f"/protected/json/phones/verification/status{NUMBER}"))[
            "status"
        ] == "pending"
        assert (await authy.good("GET", f"/protected/json/phones/info{NUMBER}"))["provider"] == "Sandbox"
        ask = f"/onetouch/json/users/{number}/approval_requests"
        assert await authy.bad("POST", ask, {"message": "Login?"}) == (503, "60064")
        assert (await authy.good("GET", "/protected/json/app/details"))["app"]["onetouch_enabled"] is False
        for table in ("messages", "codes", "approvals", "outbox"):
            assert await authy.server.store.rows(Sql("count", f"SELECT count(*) FROM {table}")) == [(0,)]
        assert not authy.gateway.sent


async def test_the_constants_are_worth_nothing_outside_of_the_sandbox(tmp_path: Path) -> None:
    """Another credential of the same application refuses them."""
    async with authy_server(tmp_path) as authy:
        number = await authy.ada()
        assert await authy.bad("GET", f"/protected/json/verify/0000000/{number}?force=true") == (401, "60020")
        check = f"/protected/json/phones/verification/check{NUMBER}&verification_code=0000"
        assert await authy.bad("GET", check) == (404, "60023")
