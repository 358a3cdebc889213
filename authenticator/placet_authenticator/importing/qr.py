"""Reads the text of a QR code in a picture."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Final

from placet_authenticator.errors import ImportFailedError

MAX_BYTES: Final = 20_000_000
MAX_PIXELS: Final = 40_000_000
"""A photo of a good camera; a picture that claims more is not decoded at all."""


def read(path: Path) -> str:
    """The text of the one QR code in the picture.

    Raises ``ImportFailedError`` when the file is no picture, or holds no code or several.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ImportFailedError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise ImportFailedError(
            f"{path} is larger than {MAX_BYTES // 1_000_000} MB", "Cut the picture to the QR code"
        )
    return decode(data, str(path))


def decode(data: bytes, name: str = "the picture") -> str:
    """The text of the one QR code in these bytes of a PNG, JPEG or other picture; errors as in ``read``."""
    import zxingcpp  # heavy, and most commands read no picture
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is below
            picture = Image.open(io.BytesIO(data))
        if picture.width * picture.height > MAX_PIXELS:
            raise ImportFailedError(f"{name} has more pixels than a photo", "Cut the picture to the QR code")
        found = zxingcpp.read_barcodes(picture.convert("RGB"), formats=zxingcpp.BarcodeFormat.QRCode)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        raise ImportFailedError(f"{name} is not a picture that can be read", "Use a PNG or JPEG") from error
    texts: list[str] = sorted({code.text for code in found if code.valid})
    if not texts:
        raise ImportFailedError(
            f"there is no QR code in {name}", "Take the picture again, larger and sharper"
        )
    if len(texts) > 1:
        raise ImportFailedError(
            f"there are {len(texts)} QR codes in {name}", "Cut the picture to one of them"
        )
    return texts[0]
