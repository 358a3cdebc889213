"""``python3 dev.py demo``: ask, push, show, sign, answer, with a real server, a real device and a real application.

Without a terminal it answers for the person and ends with status 0 when every step came out as it must. In a terminal
it opens the app, and the person answers. With ``--face authy|afilnet|unityvox|octopush`` it shows an integration of that
service that changed nothing but its host.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from demo import faces
from demo.acme import AcmePay
from demo.narrate import Narrator, check
from demo.programs import Programs
from demo.qr import draw
from demo.tap import Tap

PAYMENT = {
    "message": "Pay 1,250.00 EUR to Northwind Traders?",
    "details": {
        "visible": {"Amount": "1,250.00 EUR", "To": "Northwind Traders", "Account": "NL91 •••• 4300"},
        "hidden": {"order": "A-1042"},
    },
    "context": {"ip": "203.0.113.7", "place": "Utrecht, NL", "agent": "Firefox on Linux"},
}


class Journey:
    """The main job, step by step; every claim that it prints was checked."""

    def __init__(self, folder: Path, programs: Programs, acme: AcmePay, say: Narrator) -> None:
        self._folder, self._placet, self._acme, self._say = folder, programs, acme, say
        self._tfa_id = 0

    async def prepare(self, url: str) -> None:
        """An application, a user and an enrolled device."""
        self._say.step("A server on embedded defaults: one folder, one SQLite file, loopback")
        self._say.fact(f"serving on {url}")
        self._say.step("The operator makes the application Acme Pay and its webhook")
        application = await self._placet.operator("application", "add", "acme-pay")
        webhook = await self._placet.operator("webhook", "add", "acme-pay", self._acme.webhook_url)
        self._acme.connect(url, application["api_key"], webhook["secret"])
        self._say.fact(f"API key {application['api_key'][:8]}… shown once; webhook {webhook['url']}")
        self._say.step("Acme Pay registers Ada and shows her an enrolment QR")
        ada = {"name": "Ada", "country_code": 31, "phone": "6 1234 5678", "email": "ada@example.com"}
        self._tfa_id = (await self._acme.call("POST", "/v1/users", ada))["tfa_id"]
        enrollment = await self._acme.call("POST", f"/v1/users/{self._tfa_id}/enrollments", {"qr": "svg"})
        picture = self._folder / "enroll.png"
        draw(enrollment["uri"], picture)
        self._say.step("Ada's device reads the QR picture, makes its keys and enrols")
        device = await self._placet.device("enroll", str(picture), "--name", "Ada's laptop", "--yes")
        self._say.fact(f"the device shows the check {device['check']}; Ada reads it to Acme Pay")
        await self._acme.call(
            "POST", f"/v1/enrollments/{enrollment['id']}/confirm", {"check": device["check"]}
        )
        self._say.fact("confirmed on both screens: the device is active")

    async def approve(self) -> None:
        """A payment that Ada approves, with its webhook and its receipt."""
        self._say.step("Acme Pay asks: a payment with visible and hidden details")
        created = await self._ask(PAYMENT)
        await self._show(created["id"])
        number = created["number"]
        self._say.fact(f"Acme Pay's own screen shows Ada the number {number}; no device ever receives it")
        signed = await self._placet.device("approve", created["id"], "--number", number)
        self._say.fact(f"the device signed the SHA-256 of exactly what it showed: {signed['digest']}")
        await self._outcome(created["id"], "approved")
        await self._receipt(created["id"], "approved")

    async def codes(self) -> None:
        """A soft token's code, verified once and refused the second time."""
        self._say.step(
            "Without a connection: the device's soft token makes a code, the server verifies it once"
        )
        code = (await self._placet.device("code", "acme-pay"))["code"]
        path = f"/v1/users/{self._tfa_id}/soft_tokens/verify"
        first = await self._acme.call("POST", path, {"code": code})
        again = await self._acme.call("POST", path, {"code": code})
        check(first["verified"] and not again["verified"], "a code verifies exactly once")
        self._say.fact(f"code {code}: verified; its replay: refused ({again['reason']})")

    async def one_code(self) -> None:
        """A code that a text message carries, read at the far end, verified once and refused the second time."""
        self._say.step(
            "Without the device: the server makes a code, and a text message carries it to Ada's number"
        )
        made = await self._acme.call(
            "POST", "/v1/codes", {"tfa_id": self._tfa_id, "channel": "sms", "purpose": "sign in"}
        )
        message = await self._placet.carried(made["message_id"])
        self._say.fact(f"read at the far end (messages.jsonl), to {message['to']}: {message['text']}")
        code = message["text"].split()[0]
        check(code not in json.dumps(made), "the code leaves by its channel only")
        typed = {"code": code, "purpose": "sign in"}
        first = await self._acme.call("POST", f"/v1/codes/{made['id']}/check", typed)
        again = await self._acme.call("POST", f"/v1/codes/{made['id']}/check", typed)
        check(first["matched"] and not again["matched"], "a code that was sent matches exactly once")
        self._say.fact(f"code {code}: {first['outcome']}; its replay: refused ({again['outcome']})")

    async def deny(self) -> None:
        """A login that was not Ada's."""
        self._say.step("A request that Ada denies")
        created = await self._ask({"message": "Sign in to Acme Pay from a new computer?"})
        await self._show(created["id"])
        await self._placet.device("deny", created["id"], "--reason", "mistake")
        await self._outcome(created["id"], "denied")

    async def expire(self) -> None:
        """A request that nobody answers."""
        self._say.step("A request that nobody answers")
        created = await self._ask({"message": "Change the delivery address?", "seconds_to_expire": 1})
        await self._outcome(created["id"], "expired")

    async def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        created = await self._acme.call("POST", "/v1/approval_requests", {"tfa_id": self._tfa_id, **question})
        check(created["status"] == "pending", "a new request is pending")
        return created

    async def _show(self, approval: str) -> None:
        shown = await self._placet.device("list")
        request = next(item for item in shown["requests"] if item["id"] == approval)
        self._say.fact(
            f"the device received it sealed, verified the server's signature and shows: {request['message']}"
        )
        for label, value in request["visible"]:
            print(f"        {label}: {value}")

    async def _outcome(self, approval: str, expected: str) -> None:
        answer = await self._acme.call("GET", f"/v1/approval_requests/{approval}?wait=30")
        status: str = answer["status"]
        check(status == expected, "the outcome is final")
        await self._acme.event(f"approval_request.{status}", approval)
        self._say.fact(f"long-poll and signed webhook agree: {status}" + _because(answer))

    async def _receipt(self, approval: str, outcome: str) -> None:
        self._say.step("The receipt proves it offline, with the server's public keys alone")
        receipt, keys = self._folder / "receipt.jwt", self._folder / "jwks.json"
        receipt.write_text(
            (await self._acme.call("GET", f"/v1/approval_requests/{approval}/receipt"))["receipt"]
        )
        keys.write_text(json.dumps(await self._acme.call("GET", "/.well-known/jwks.json")))
        verified = await self._placet.device("receipt", "verify", str(receipt), "--keys", str(keys))
        check(verified["outcome"] == outcome, "the receipt tells the same outcome")
        self._say.fact(f"request, decision and device certificate verify: {verified['outcome']}")


def _because(answer: dict[str, Any]) -> str:
    return f" ({answer['reason']})" if answer.get("reason") not in {None, "ok"} else ""


async def main(face: str | None) -> None:
    """Run the whole journey, or that of a face, in a folder of its own, and leave nothing behind."""
    with tempfile.TemporaryDirectory(prefix="placet-demo-") as name:
        folder = Path(name)
        if face is not None:
            await faces.show(face, folder)
            return
        if sys.stdin.isatty() and sys.stdout.isatty():
            from demo.terminal import play  # loads the terminal toolkit

            await play(folder)
            return
        say = Narrator()
        programs = Programs(folder)
        async with Tap(say.wire) as tap, programs.serving(tap.origin) as url, AcmePay(say.wire) as acme:
            tap.server = url
            journey = Journey(folder, programs, acme, say)
            await journey.prepare(url)
            await journey.approve()
            await journey.codes()
            await journey.one_code()
            await journey.deny()
            await journey.expire()
        say.done("Every step came out as it must.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python3 dev.py demo", description="See Placet at work.")
    parser.add_argument(
        "--face", choices=faces.FACES, help="an integration of that service on a changed host"
    )
    try:
        asyncio.run(main(parser.parse_args().face))
    except (KeyboardInterrupt, EOFError):
        sys.exit(130)
