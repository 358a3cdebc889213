"""The application on the Authy face.

GET app/details    name, plan, what is enabled
GET app/stats      counts by month, at most twelve, oldest first, each with exactly seven members

Quirk: one client refuses a month with any other member. What is counted, and where: ``domain/usage.py``.
"""

from __future__ import annotations

import calendar
from typing import Final

from aiohttp import web

from placet_server.domain.services import Domain
from placet_server.faces.authyparts import PROTECTED, Row, number
from placet_server.faces.authyreplies import ok
from placet_server.faces.switches import switch
from placet_server.web.gate import Call

PLAN: Final = "self_hosted"
API_CALLS: Final = "api_calls"
AUTHS: Final = "auths"
CALLS: Final = "calls"
SMS: Final = "sms"
USERS: Final = "users"


class ApplicationRoutes:
    """Tells of the application itself."""

    def __init__(self, domain: Domain) -> None:
        self._domain = domain

    def rows(self) -> tuple[Row, ...]:
        """The routes of this part."""
        return (
            Row("GET", f"{PROTECTED}/app/details", self._details, "users"),
            Row("GET", f"{PROTECTED}/app/stats", self._stats, "users"),
        )

    async def _details(self, request: web.Request, call: Call) -> web.Response:
        app = {
            "name": call.by.application.name,
            "plan": PLAN,
            "sms_enabled": self._domain.guard.carries(call.by, "sms"),
            "phone_calls_enabled": self._domain.guard.carries(call.by, "voice"),
            "app_id": number(call.by.application.id),
            "onetouch_enabled": not switch(call.by, "sandbox"),
        }
        return ok(request, app=app, message="Application information.", success=True)

    async def _stats(self, request: web.Request, call: Call) -> web.Response:
        application = call.by.application.id
        months = await self._domain.usage.months(application, call.now)
        stats = [
            {
                "sms_count": month.counts[SMS],
                "calls_count": month.counts[CALLS],
                "users_count": month.counts[USERS],
                "auths_count": month.counts[AUTHS],
                "month": calendar.month_name[month.month],
                "api_calls_count": month.counts[API_CALLS],
                "year": month.year,
            }
            for month in months
        ]
        return ok(
            request,
            message="Monthly statistics.",
            count=len(stats),
            total_users=await self._domain.users.count(call.by.org),
            app_id=number(application),
            success=True,
            stats=stats,
        )
