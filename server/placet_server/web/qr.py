"""QR codes of enrolment and soft-token URIs."""

from __future__ import annotations

import asyncio
import base64
import io
from typing import Any, Literal

import qrcode
from qrcode.image.pil import PilImage
from qrcode.image.svg import SvgPathFillImage

QrForm = Literal["svg", "png", "none"]


async def picture(text: str, form: QrForm) -> str | None:
    """The QR code of a text: an SVG document, a ``data:image/png;base64,`` URL, or None.

    Drawn in a thread, because it takes some milliseconds.
    """
    if form == "none":
        return None
    if form == "svg":
        return await asyncio.to_thread(svg, text)
    return "data:image/png;base64," + base64.b64encode(await asyncio.to_thread(png, text)).decode()


def svg(text: str) -> str:
    """The QR code as an SVG document."""
    out = io.BytesIO()
    _code(text).make_image(image_factory=SvgPathFillImage).save(out)
    return out.getvalue().decode()


def png(text: str) -> bytes:
    """The QR code as a PNG file."""
    out = io.BytesIO()
    _code(text).make_image(image_factory=PilImage).save(out)
    return out.getvalue()


def _code(text: str) -> qrcode.QRCode[Any]:
    code = qrcode.QRCode(error_correction=qrcode.ERROR_CORRECT_M, border=4)
    code.add_data(text)
    return code
