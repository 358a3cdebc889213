"""``/v1/applications/self/policies``: what ``application set`` does, for keys with scope ``admin``."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from placet_server.domain.applications import Applications
from placet_server.domain.policies import Setting, shown
from placet_server.faces import Face
from placet_server.web.gate import Call, Doc, Gate
from placet_server.web.wire import json_body, reply

PATH: Final = "/v1/applications/self/policies"

PolicyValues = dict[str, Setting]
PolicyChanges = dict[str, str | int | bool | list[str]]


def mount(gate: Gate, router: web.UrlDispatcher, face: Face, applications: Applications) -> None:
    """Serve the policies of the calling application."""

    async def show(_request: web.Request, call: Call) -> web.Response:
        return reply(200, shown(call.by.application.policies))

    async def change(request: web.Request, call: Call) -> web.Response:
        changes = await json_body(request, PolicyChanges)
        texts = {name: _text(value) for name, value in changes.items()}
        changed = await applications.set_policies(call.by.application.name, texts, call.now)
        call.note(changed=",".join(texts))
        return reply(200, shown(changed.policies))

    gate.add(
        router,
        "GET",
        PATH,
        show,
        face=face,
        scope="admin",
        doc=Doc("The application's policies by their names", PolicyValues),
    )
    gate.add(
        router,
        "PATCH",
        PATH,
        change,
        face=face,
        scope="admin",
        doc=Doc("Change policies; what is not named stays", PolicyValues, body=PolicyChanges),
    )


def _text(value: str | int | bool | list[str]) -> str:  # noqa: FBT001 - JSON's own types
    """A JSON value as the operator would write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(value) if isinstance(value, list) else str(value)
