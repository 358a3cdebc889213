"""The demo for a person: the app opens on a real server, Acme Pay keeps asking, and each answer shows its effect."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from pathlib import Path
from typing import Any, Final, NamedTuple

from demo.acme import AcmePay
from demo.programs import PASSPHRASE, Programs
from demo.qr import draw
from demo.window import DemoApp
from placet_authenticator.settings import Settings
from placet_protocol.receipt import verify

PAUSE: Final = 6.0
"""Seconds to read what an answer did before Acme Pay asks again."""
# The fatigue rules stay on; a person who tries every answer would soon be left in peace by them.
PATIENCE: Final = ("approval.max_unapproved=100", "approval.not_me_hold=10", "approval.hold=10")


class Question(NamedTuple):
    """What Acme Pay asks, what its page says, and what each outcome does there."""

    asked: dict[str, Any]
    page: str
    to_do: str
    effects: dict[str, str]


QUESTIONS: Final = (
    Question(
        {
            "message": "Pay 1,250.00 EUR to Northwind Traders?",
            "details": {
                "visible": {"Amount": "1,250.00 EUR", "To": "Northwind Traders", "Account": "NL91 •••• 4300"},
                "hidden": {"order": "A-1042"},
            },
            "context": {"ip": "203.0.113.7", "place": "Utrecht, NL", "agent": "Firefox on Linux"},
        },
        "You are paying order A-1042.",
        "In the inbox press Enter, read the request, type the number and press Enter. Or press d to deny.",
        {"approved": "Paid. Thank you!", "denied": "Not paid; your order waits."},
    ),
    Question(
        {
            "message": "Sign in to Acme Pay from a new computer?",
            "context": {"ip": "198.51.100.23", "place": "Unknown", "agent": "curl"},
        },
        "Somebody signs in with your password. You did not, and you see no number.",
        "Press Enter on the request, then d, and say that it was not you.",
        {"approved": "Somebody is in your account!", "denied": "Nobody got in."},
    ),
    Question(
        {
            "message": "Send order A-1042 to another address?\nCanal Street 12, Utrecht",
            "details": {"visible": {"Order": "A-1042", "New address": "Canal Street 12, Utrecht"}},
            "context": {"ip": "203.0.113.7", "place": "Utrecht, NL", "agent": "Firefox on Linux"},
        },
        "You are changing the address of your order.",
        "Approve it with the number, or deny it. Meanwhile 2 shows your codes, where Enter copies one.",
        {"approved": "The address is changed.", "denied": "The address stays as it was."},
    ),
)
_SECRET_NUMBER: Final = QUESTIONS[1]
"""Its number is on the stranger's screen, not on Ada's."""


async def prepare(folder: Path, programs: Programs, acme: AcmePay, url: str) -> int:
    """An application with its webhook, and Ada with an enrolled device; returns her tfa id."""
    application = await programs.operator("application", "add", "Acme Pay")
    webhook = await programs.operator("webhook", "add", "Acme Pay", acme.webhook_url)
    await programs.operator("application", "set", "Acme Pay", *PATIENCE)
    acme.connect(url, application["api_key"], webhook["secret"])
    ada = {"name": "Ada", "country_code": 31, "phone": "6 1234 5678", "email": "ada@example.com"}
    tfa_id: int = (await acme.call("POST", "/v1/users", ada))["tfa_id"]
    enrollment = await acme.call("POST", f"/v1/users/{tfa_id}/enrollments", {})
    picture = folder / "enroll.png"
    draw(enrollment["uri"], picture)
    device = await programs.device("enroll", str(picture), "--name", "Ada's laptop", "--yes")
    await acme.call("POST", f"/v1/enrollments/{enrollment['id']}/confirm", {"check": device["check"]})
    return tfa_id


class Shop:
    """Acme Pay's side while the person uses the app."""

    def __init__(self, app: DemoApp, acme: AcmePay, tfa_id: int) -> None:
        self._app, self._acme, self._tfa_id = app, acme, tfa_id
        self.answers: list[str] = []

    async def run(self) -> None:
        """Ask one question after the other until the app ends."""
        try:
            await self._ask_on()
        except SystemExit as refused:  # the page says it; the app stays
            self._app.tell(str(refused), "", "Acme Pay cannot go on. Look around, or end the demo.")
            await asyncio.Event().wait()

    async def _ask_on(self) -> None:
        for question in itertools.cycle(QUESTIONS):
            created = await self._acme.call(
                "POST", "/v1/approval_requests", {"tfa_id": self._tfa_id, **question.asked}
            )
            number = "" if question is _SECRET_NUMBER else created["number"]
            self._app.tell(question.page, number, question.to_do)
            status, reason = await self._outcome(created["id"])
            self.answers.append(status)
            effect = question.effects.get(status, "Nothing happened: nobody answered in time.")
            proof = await self._proof(created["id"]) if status in {"approved", "denied"} else ""
            because = "The number was wrong, so it counts as denied. " if reason == "wrong_number" else ""
            self._app.tell(effect, "", f"{because}{proof}The next question comes in a moment.")
            # After "not me" nothing is asked for ten seconds: the rule that keeps a stranger from insisting.
            await asyncio.sleep(PAUSE + (10 if reason == "not_me" else 0))

    async def _outcome(self, approval: str) -> tuple[str, str]:
        while True:
            answer = await self._acme.call("GET", f"/v1/approval_requests/{approval}?wait=30")
            if answer["status"] != "pending":
                await self._acme.event(f"approval_request.{answer['status']}", approval)
                return answer["status"], answer.get("reason") or ""

    async def _proof(self, approval: str) -> str:
        receipt = (await self._acme.call("GET", f"/v1/approval_requests/{approval}/receipt"))["receipt"]
        verified = verify(receipt, (await self._acme.call("GET", "/.well-known/jwks.json"))["keys"])
        return f"Webhook and receipt are signed; checked offline, the receipt says {verified.outcome}.\n"


async def play(folder: Path) -> None:
    """Open the app on a server of its own; ends when the person quits."""
    print("Starting a server, an application and Ada's device …", flush=True)
    programs = Programs(folder)
    async with programs.serving() as url, AcmePay(lambda *_: None) as acme:
        tfa_id = await prepare(folder, programs, acme, url)
        app = DemoApp(Settings(programs.home, programs.passphrase_file), PASSPHRASE)
        shop = Shop(app, acme, tfa_id)
        asking = asyncio.create_task(shop.run())
        asking.add_done_callback(lambda _: app.exit())
        try:
            await app.run_async()
        finally:
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asking
    counted = {status: shop.answers.count(status) for status in sorted(set(shop.answers))}
    print(f"The demo is over. Answers: {json.dumps(counted)}. Server, vault and keys are gone again.")
