"""QR codes for terminals: two modules in each character, one above the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from placet_authenticator.errors import ExportFailedError

QUIET: Final = 4
"""Light modules around a code, as ISO/IEC 18004 wants them."""
QUIET_LEAST: Final = 1
"""What readers of screens still take, where a terminal has no room for more."""
BLOCKS: Final = {(True, True): "█", (True, False): "▀", (False, True): "▄", (False, False): " "}
"""What a character draws for (upper is light, lower is light): light is ink, so that the text alone is the code, too."""

Matrix = Sequence[Sequence[bool]]


def matrix(text: str) -> Matrix:
    """The smallest QR code of this text, row by row, True where it is dark; no quiet zone.

    Raises ``ExportFailedError`` when the text is longer than any code.
    """
    from qrcode.constants import ERROR_CORRECT_L  # slow to load, and seldom wanted
    from qrcode.exceptions import DataOverflowError
    from qrcode.main import QRCode

    # The lowest correction: a screen is neither torn nor dirty, and a smaller code fits more terminals.
    code = QRCode(error_correction=ERROR_CORRECT_L, border=0)
    code.add_data(text)
    try:
        code.make(fit=True)
    except (DataOverflowError, ValueError) as error:
        raise ExportFailedError("it is too long for a QR code", "Take the text of it instead") from error
    return [[bool(module) for module in row] for row in code.get_matrix()]


def quiet_zone(code: Matrix, columns: int, rows: int) -> int | None:
    """How many modules of quiet zone fit around the code in so much of a terminal; None when it does not fit."""
    room = (min(columns, 2 * rows) - len(code)) // 2
    return None if room < QUIET_LEAST else min(room, QUIET)


def lines(code: Matrix, quiet: int = QUIET) -> list[str]:
    """The code and its quiet zone in block characters, light ones inked: to be drawn in white on black."""
    width = len(code) + 2 * quiet
    blank = [True] * width
    light = [blank] * quiet
    light += [[True] * quiet + [not dark for dark in row] + [True] * quiet for row in code]
    light += [blank] * quiet
    if len(light) % 2:
        light.append(blank)
    return [
        "".join(BLOCKS[pair] for pair in zip(*light[row : row + 2], strict=True))
        for row in range(0, len(light), 2)
    ]
