"""Paths as foreign clients write them."""

from __future__ import annotations


def any_case(path: str, below: str = "") -> str:
    """A route for the same path in any letter case, with a slash behind it or without.

    ``below`` is a beginning in its usual spelling: routes below a prefix that is served by a rest of its own need it.
    """
    return f"{below}/{{api:(?i:{path.strip('/')})/?}}"
