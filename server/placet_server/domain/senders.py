"""Who is shown as the sender of a message to a telephone: one rule for what is set, what a call names, and what leaves."""

from __future__ import annotations

import re
from typing import Final

TYPE: Final = "number or up to 11 letters"
"""What tables and refusals call the type of a setting that holds one."""
_SENDER: Final = re.compile(r"\+?[0-9]{1,15}|[A-Za-z0-9][A-Za-z0-9 .&_'-]{0,10}", re.ASCII)


def fits_phones(sender: str) -> bool:
    """Whether it is a number, or up to eleven letters, digits and spaces that begin with a letter or digit."""
    return _SENDER.fullmatch(sender) is not None
