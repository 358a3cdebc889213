"""Paths as foreign clients write them."""

from __future__ import annotations

from aiohttp import web


class Slashed(web.DynamicResource):
    """A path with variables that is the same with a slash behind it, as Rails reads it."""

    def _match(self, path: str) -> dict[str, str] | None:
        found = super()._match(path)
        return super()._match(path[:-1]) if found is None and path.endswith("/") else found


def any_case(path: str, below: str = "") -> str:
    """A route for the same path in any letter case, with a slash behind it or without.

    ``below`` is a beginning in its usual spelling: routes below a prefix that is served by a rest of its own need it.
    """
    return f"{below}/{{api:(?i:{path.strip('/')})/?}}"
