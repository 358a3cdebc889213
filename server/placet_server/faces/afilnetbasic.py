"""Afilnet by HTTP Basic: the calls of ``/api/http/`` without ``user`` and ``password``.

    GET|POST /api/basic/?class=…&method=…      Authorization: Basic base64(user:password)
    401      WWW-Authenticate: Basic realm="api"      MISSING_USER without the header, INCORRECT_USER_PASSWORD

The challenge is what makes .NET's ``HttpClientHandler.Credentials`` send the header at all.
"""

from __future__ import annotations

from aiohttp import web

from placet_server.faces import afilnetparams as params
from placet_server.faces.afilnetparams import Sent
from placet_server.faces.afilnetreplies import SaidError
from placet_server.faces.afilnetway import Way, present


class BasicWay(Way):
    """Reads the header alone."""

    challenge = 'Basic realm="api"'

    def presented(self, request: web.Request, sent: Sent) -> tuple[str, str]:
        """User and password of the header; parameters that say otherwise contradict it."""
        user, password = present(*(params.basic(request) or ("", "")))
        if sent.get("user") not in {"", user} or sent.get("password") not in {"", password}:
            raise SaidError("INCORRECT_USER_PASSWORD")
        return user, password
