"""Vendors of messages on loopback, as their references describe them: each keeps what it took and answers like itself."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from aiohttp import web


class Taken(NamedTuple):
    """One call as a vendor got it: fields of query and form, JSON, header fields in small letters."""

    path: str
    query: list[tuple[str, str]]
    form: list[tuple[str, str]]
    json: Any
    headers: dict[str, str]
    body: bytes


Answer = Callable[[Taken], tuple[int, Any]]


class Vendor:
    """A vendor: where it is, and what it took."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.taken: list[Taken] = []


@asynccontextmanager
async def vendor(answer: Answer) -> AsyncIterator[Vendor]:
    """A vendor on a free port of 127.0.0.1; an answer that is text goes as text, everything else as JSON."""
    kept = Vendor("")

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        kind = request.content_type
        text = body.decode("utf-8", "replace")
        taken = Taken(
            request.rel_url.raw_path,
            parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True),
            parse_qsl(text, keep_blank_values=True) if kind == "application/x-www-form-urlencoded" else [],
            json.loads(text) if kind == "application/json" else None,
            {name.lower(): value for name, value in request.headers.items()},
            body,
        )
        kept.taken.append(taken)
        status, said = answer(taken)
        if isinstance(said, str):
            return web.Response(status=status, text=said)
        return web.json_response(said, status=status)

    app = web.Application()
    app.router.add_route("*", "/{tail:(?s:.*)}", take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    kept.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield kept
    finally:
        await runner.cleanup()


def vonage(taken: Taken) -> tuple[int, Any]:
    """Vonage SMS API: always 200, the truth is in ``messages[0].status``."""
    form = dict(taken.form)
    if (form.get("api_key"), form.get("api_secret")) != ("k3y", "s3cret-of-vendor"):
        return 200, {"message-count": "1", "messages": [{"status": "4", "error-text": "Bad Credentials"}]}
    if form["to"].endswith("99"):
        return 200, {
            "message-count": "1",
            "messages": [{"status": "1", "error-text": "Throughput Rate Exceeded"}],
        }
    if form["to"].endswith("98"):
        return 200, {"message-count": "1", "messages": [{"status": "6", "error-text": "Unroutable message"}]}
    sent = {"to": form["to"], "message-id": "0A0000000123ABCD1", "status": "0", "message-price": "0.03"}
    return 200, {"message-count": "1", "messages": [sent]}


def whatsapp(taken: Taken) -> tuple[int, Any]:
    """WhatsApp Cloud API: a bearer token, a template with the code in body and button."""
    if taken.headers.get("authorization") != "Bearer s3cret-of-vendor":
        return 401, {
            "error": {"message": "Invalid OAuth access token", "type": "OAuthException", "code": 190}
        }
    message = taken.json
    if message["to"].endswith("98"):
        return 400, {"error": {"message": "Recipient not in allowed list", "code": 131030}}
    to = {"input": message["to"], "wa_id": message["to"]}
    return 200, {"messaging_product": "whatsapp", "contacts": [to], "messages": [{"id": "wamid.HBgL"}]}


def afilnet(taken: Taken) -> tuple[int, Any]:
    """Afilnet: always 200, ``status`` says SUCCESS or ERROR."""
    form = dict(taken.form)
    if (form.get("user"), form.get("password")) != ("codes", "s3cret-of-vendor"):
        return 200, {"status": "ERROR", "error": "INCORRECT_USER_PASSWORD"}
    if (form.get("class"), form.get("method")) != ("sms", "sendsms"):
        return 200, {"status": "ERROR", "error": "INCORRECT_METHOD"}
    if form["to"].endswith("99"):
        return 200, {"status": "ERROR", "error": "NO_ROUTE_AVAILABLE"}
    return 200, {"status": "SUCCESS", "result": {"messageid": "778899", "credits": "1"}}


def octopush(taken: Taken) -> tuple[int, Any]:
    """Octopush: 201 with a ticket, or a code and a message."""
    if (taken.headers.get("api-login"), taken.headers.get("api-key")) != (
        "codes@acme.example",
        "s3cret-of-vendor",
    ):
        return 401, {"code": 101, "message": "Bad credentials."}
    to = taken.json["recipients"][0]["phone_number"]
    if to.endswith("98"):
        return 400, {"code": 106, "message": "Bad recipient."}
    return 201, {
        "sms_ticket": "sms_5fec89fe97109",
        "number_of_contacts": 1,
        "total_cost": 0.03,
        "residual_credit": 9.5,
    }
