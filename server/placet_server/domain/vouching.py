"""Whether a further device may join: an active device of the same person says yes, or an operator gave a reason."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec import structs

from placet_server.domain import invitations, joining
from placet_server.domain.audit import leaf
from placet_server.domain.devices import Devices
from placet_server.domain.invitations import Invitation
from placet_server.domain.refusals import RefusedError
from placet_server.domain.values import Application, ApprovalDraft, Caller, Created, Device, User, UserRef
from placet_server.ports import Store, plan, step

Ask = Callable[[Caller, UserRef, ApprovalDraft, int], Awaitable[Created]]
"""Asks a person on their active devices, as ``Approvals.create`` does."""


class Vouching:
    """The questions to active devices about further ones."""

    def __init__(self, store: Store, devices: Devices, ask: Ask) -> None:
        self._store = store
        self._devices = devices
        self._ask_person = ask

    async def answer(self, invitation: Invitation, now: int) -> str | None:
        """The state of the question to the active devices, None when it was not asked."""
        if invitation.ask is None:
            return None
        row = await self._store.row(invitations.ASKED, (invitation.ask,))
        status, expires_at = row or ("expired", 0)
        return "expired" if status == "pending" and expires_at <= now else str(status)

    async def is_needed(self, invitation: Invitation) -> bool:
        """Whether the device of an invitation may join only with the yes of an active one."""
        return not invitation.terms.authorized and await self.is_further(invitation.user_id)

    async def is_further(self, user_id: str) -> bool:
        """Whether the user has or ever had an active device."""
        active = await self._devices.count_active(user_id)
        return active > 0 or await self._store.row(invitations.JOINED, (user_id,)) is not None

    async def allowed(self, invitation: Invitation, application: Application, user: User, now: int) -> bool:
        """Whether the device may join beside active ones; raises ``device_pending`` when it must wait for a yes."""
        if not await self.is_needed(invitation):
            return invitation.terms.authorized
        answer = await self.answer(invitation, now)
        if answer is None and invitation.device is not None:
            device = await self._devices.by_id(invitation.device)
            if device is not None:
                await self.ask(invitation, application, user, device, now)
        if answer != "approved":
            raise RefusedError(
                "device_pending", "An active device of this user has to allow the new one first."
            )
        return True

    async def ask(
        self, invitation: Invitation, application: Application, user: User, device: Device, now: int
    ) -> None:
        """Ask on the active devices; when the fatigue rules forbid it now, confirming asks again."""
        policies = structs.replace(application.policies, approval_number="none")
        caller = Caller(structs.replace(application, policies=policies), "enrollment", frozenset())
        draft = joining.question(device, invitation.expires_at, now)
        try:
            created = await self._ask_person(caller, user, draft, now)
        except RefusedError:
            return
        entry = leaf(now, "enrollment.asked", user.org, invitation.id, approval=created.approval.id)
        asked = step(invitations.SET_ASK, created.approval.id, invitation.id, now)
        await self._store.write(plan(asked, leaf=entry))
