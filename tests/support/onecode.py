"""One application's one-time codes, and the far end of the gateway that carries them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support import farend
from support.native import Native


class OneCode:
    """The calls of one application about codes; ``data`` is the server's folder."""

    def __init__(self, native: Native, data: Path, name: str = "acme") -> None:
        self.native = native
        self.data = data
        self._name = name

    async def __call__(self, method: str, path: str, json: object = None, **headers: str) -> tuple[int, Any]:
        return await self.native(method, path, json, **headers)

    async def issue(self, **wanted: Any) -> tuple[int, Any]:
        """Make a code; ``by`` is sent whole, and the text is the code alone unless told otherwise."""
        return await self("POST", "/v1/codes", wanted)

    async def check(self, code_id: str, code: str, **more: Any) -> tuple[int, Any]:
        """Check what a person typed."""
        return await self("POST", f"/v1/codes/{code_id}/check", {"code": code, **more})

    async def carried(self, made: dict[str, Any]) -> str:
        """The text that reached the person: the code alone, where the template is ``{code}``."""
        return str((await farend.message(self.data, made["message_id"]))["text"])

    async def policies(self, **pairs: str) -> None:
        """Set policies of the application."""
        server = self.native.server
        await server.domain.applications.set_policies(self._name, pairs, server.clock.now())

    async def another(self, name: str) -> OneCode:
        """The same server by the key of another application."""
        server = self.native.server
        return OneCode(Native(server, await server.api_key(name), self.native.tfa_id), self.data, name)
