"""Enrolments as tests move them on."""

from __future__ import annotations

from placet_server.domain.values import Caller, Enrollment, Redeemed, User
from support.answering import World
from support.joining import Joiner


def plain(w: World) -> Caller:
    """The application by a key without devices:admin."""
    return Caller(w.application, "plain", frozenset({"users", "approvals"}))


async def invite(w: World, user: User | None = None, reason: str | None = None) -> Enrollment:
    """An invitation by a plain key, or with a reason by an administrator's."""
    caller = plain(w) if reason is None else w.caller
    return await w.domain.enrollments.open(caller, user or w.user, None, reason, w.now)


async def redeem(w: World, enrollment: Enrollment, joiner: Joiner) -> Redeemed:
    """What a device gets for its signed wish."""
    return await w.domain.enrollments.redeem(enrollment.id, joiner.wish(enrollment), w.now)


async def confirm(w: World, enrollment: Enrollment, check: str) -> Enrollment:
    """The enrolment after these digits."""
    return await w.domain.enrollments.confirm("default", enrollment.id, check, w.now)


async def status_of(w: World, enrollment: Enrollment) -> str:
    """How an enrolment stands."""
    return (await w.domain.enrollments.status("default", enrollment.id, w.now)).status


async def joined(w: World, joiner: Joiner) -> Redeemed:
    """A device that joined."""
    enrollment = await invite(w, reason="first" if await w.domain.devices.count_active(w.user.id) else None)
    redeemed = await redeem(w, enrollment, joiner)
    await confirm(w, enrollment, joiner.check(enrollment, redeemed))
    return redeemed
