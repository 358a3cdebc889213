"""Soft-token pictures by URL, as Authy hosts them.

The URL itself carries the sealed provisioning URI and its end, so nothing is kept beside the token, a restart breaks no
link, and an URL that this server did not make opens nothing.
"""

from __future__ import annotations

import asyncio
import io
from typing import Final

import msgspec
from aiohttp import web
from msgspec import Struct
from PIL import Image

from placet_protocol.errors import ProtocolError
from placet_protocol.jose import b64u, unb64u
from placet_server.domain.refusals import RefusedError
from placet_server.ports import Sealer, UnsealableError
from placet_server.web.gate import Call
from placet_server.web.qr import png

PICTURE_PATH: Final = "/qr/{sealed:[A-Za-z0-9_-]{40,1200}}.png"
LIFE_MS: Final = 600_000
_PLACE: Final = ("seed", "picture", "authy")
_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class _Sealed(Struct, frozen=True, array_like=True):
    uri: str
    ends: int
    pixels: int


class Pictures:
    """Makes and serves the URLs; ``public_url`` is the server's origin."""

    def __init__(self, sealer: Sealer, public_url: str) -> None:
        self._sealer = sealer
        self._origin = public_url

    def url(self, uri: str, now: int, pixels: object = None) -> str:
        """Where the QR code of a URI can be seen for ten minutes; ``pixels`` is a wish between 150 and 1000."""
        text = str(pixels)
        wish = min(max(int(text), 150), 1000) if text.isascii() and text.isdigit() and len(text) < 6 else 0
        sealed = self._sealer.seal(*_PLACE, msgspec.msgpack.encode(_Sealed(uri, now + LIFE_MS, wish)))
        return f"{self._origin}/qr/{b64u(sealed)}.png"

    async def show(self, request: web.Request, call: Call) -> web.Response:
        """The picture; raises ``not_found`` after its time and for every URL that was not made here."""
        try:
            data = self._sealer.open(*_PLACE, unb64u(request.match_info["sealed"]))
        except (ProtocolError, UnsealableError):
            raise RefusedError("not_found", "There is no such picture.") from None
        sealed = msgspec.msgpack.decode(data, type=_Sealed)
        if call.now >= sealed.ends:
            raise RefusedError("not_found", "The picture was shown for ten minutes; ask for a new one.")
        picture = await asyncio.to_thread(_draw, sealed.uri, sealed.pixels)
        return web.Response(body=picture, content_type="image/png", headers=_HEADERS)


def _draw(uri: str, pixels: int) -> bytes:
    picture = png(uri)
    if not pixels:
        return picture
    out = io.BytesIO()
    with Image.open(io.BytesIO(picture)) as image:
        image.resize((pixels, pixels), Image.Resampling.NEAREST).save(out, "PNG")
    return out.getvalue()
