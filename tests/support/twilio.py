"""A fake of Twilio's API on loopback: it answers like Twilio, and calls back signed like Twilio."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

import aiohttp
from twilio.request_validator import RequestValidator

from support.vendors import Taken, Vendor, vendor

SID = "AC" + "0123456789abcdef" * 2
TOKEN = "t0ken-of-twilio"
_ERRORS = {"+15005550001": (400, 21211), "+15005550009": (400, 21614), "+15005550006": (429, 20429)}


class Said(NamedTuple):
    """One ``<Say>`` as a caller would hear it: voice, language, words, and the signs that are spoken by themselves."""

    voice: str
    language: str
    words: str
    signs: str


def answer(taken: Taken) -> tuple[int, Any]:
    """201 with a sid, or Twilio's error."""
    form = dict(taken.form)
    to = form["To"].removeprefix("whatsapp:")
    if to in _ERRORS:
        status, code = _ERRORS[to]
        return status, {"code": code, "message": f"Invalid: {form['To']}", "status": status}
    call = taken.path.endswith("/Calls.json")
    return 201, {"sid": ("CA" if call else "SM") + "f" * 32, "status": "queued"}


@asynccontextmanager
async def twilio() -> AsyncIterator[Vendor]:
    """The fake on a free port."""
    async with vendor(answer) as made:
        yield made


async def call_back(
    url: str, form: dict[str, str], *, token: str = TOKEN, signature: str | None = None
) -> int:
    """Post a status callback as Twilio does, signed by Twilio's own library; gives the status of the answer."""
    signed = signature if signature is not None else RequestValidator(token).compute_signature(url, form)
    async with (
        aiohttp.ClientSession() as http,
        http.post(url, data=form, headers={"X-Twilio-Signature": signed}) as reply,
    ):
        return reply.status


def heard(twiml: str) -> list[Said]:
    """What a call says, read from its TwiML."""
    response = ET.fromstring(twiml)
    assert response.tag == "Response"
    assert {child.tag for child in response} <= {"Say", "Pause"}
    said = []
    for say in response.iter("Say"):
        signs = [each.text or "" for each in say.iter("say-as")]
        assert all(each.get("interpret-as") == "characters" for each in say.iter("say-as"))
        said.append(
            Said(say.get("voice", ""), say.get("language", ""), "".join(say.itertext()), "".join(signs))
        )
        assert all(len(sign) == 1 for sign in signs)
    return said
