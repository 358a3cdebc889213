"""How a device joins: a one-time invitation, proof of its key, six digits compared by people, an active device's yes.

::

    open ──redeem──▶ redeemed ──confirm──▶ confirmed
      └────────┬────────┴── 5 bad tokens, 3 wrong checks, an active device's no ──▶ void
               └── ten minutes ──▶ expired

Until it is confirmed, a device gets nothing, answers nothing, and its soft token's codes prove nothing. Every move is
one plan whose guard names the state it was decided in: of many at once one gets through, and who loses starts again
from what is true then.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Final

from msgspec import structs

from placet_protocol import documents
from placet_protocol.jose import b64u
from placet_protocol.otpauth import EnrollmentUri
from placet_server.domain import invitations, joining, outbox
from placet_server.domain.applications import Applications
from placet_server.domain.audit import leaf
from placet_server.domain.devices import Devices
from placet_server.domain.ids import is_id, new_id
from placet_server.domain.invitations import Invitation, Terms, ended
from placet_server.domain.notices import Notices
from placet_server.domain.refusals import RefusedError
from placet_server.domain.softtokens import SoftTokens
from placet_server.domain.users import Users
from placet_server.domain.values import (
    Application,
    Caller,
    Device,
    Enrollment,
    Redeemed,
    User,
)
from placet_server.domain.vouching import Ask, Vouching
from placet_server.ports import Bus, Entropy, Sealer, Signer, Step, Store, plan, step

_LAPS: Final = 16
_AT_ONCE: Final = 100


class Enrollments:
    """Invitations for devices, and what becomes of them."""

    def __init__(
        self,
        store: Store,
        sealer: Sealer,
        signer: Signer,
        entropy: Entropy,
        bus: Bus,
        applications: Applications,
        users: Users,
        devices: Devices,
        soft_tokens: SoftTokens,
        notices: Notices,
        ask: Ask,
        public_url: str,
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._signer = signer
        self._entropy = entropy
        self._bus = bus
        self._applications = applications
        self._users = users
        self._devices = devices
        self._soft_tokens = soft_tokens
        self._notices = notices
        self._vouching = Vouching(store, devices, ask)
        self._public_url = public_url

    async def open(
        self,
        caller: Caller,
        user: User,
        name: str | None,
        reason: str | None,
        now: int,
        extra_guard: Callable[[Enrollment], Step] | None = None,
    ) -> Enrollment:
        """Invite one device; ``uri`` in the answer holds the one-time token and is shown nowhere else.

        ``name`` is who invites, the application's name unless given. While the user has an active device a further
        one needs that device's yes, or scope ``devices:admin`` and a ``reason``, which goes into the audit log; when
        all devices are gone, the scope alone allows it: else who may revoke could put their own device in the place of
        the person's. Raises ``reason_required``, ``forbidden``, ``user_not_found`` and ``idempotency_conflict``.
        """
        may = "devices:admin" in caller.scopes
        if not (may and reason) and await self._vouching.is_further(user.id):
            if may:
                raise RefusedError("reason_required", "The user has or had a device: say why one is added.")
            if not await self._devices.count_active(user.id):
                raise RefusedError(
                    "forbidden", "All devices of the user are gone: a new one needs scope devices:admin."
                )
        enrollment_id = new_id(now, self._entropy)
        token = self._entropy.bytes(32)
        invited_by = name or caller.application.name
        uri = EnrollmentUri(
            self._public_url, enrollment_id, b64u(token), self._signer.kid, invited_by
        ).format()
        ends = now + caller.application.policies.enrollment_ttl * 1000
        enrollment = Enrollment(enrollment_id, user.id, "open", now, ends, None, uri)
        sealed = invitations.sealed(self._sealer, enrollment_id, Terms(may and bool(reason), reason))
        guards = [
            step(
                invitations.OPEN,
                *(enrollment_id, user.org, caller.application.id, hashlib.sha256(token).digest()),
                *(now, ends, sealed, user.id),
            )
        ]
        if extra_guard is not None:
            guards.append(extra_guard(enrollment))
        facts = {"application": caller.application.id, "user": user.id} | (
            {"reason": reason} if reason else {}
        )
        entry = leaf(now, "enrollment.opened", user.org, enrollment_id, **facts)
        failed = await self._store.write(plan(*guards, guards=len(guards), leaf=entry))
        if failed == 1:
            raise RefusedError("user_not_found", "There is no such user.")
        if failed:
            raise RefusedError("idempotency_conflict", "A call with this Idempotency-Key was just taken.")
        return enrollment

    async def status(self, org: str, enrollment_id: str, now: int) -> Enrollment:
        """How far an enrolment is; raises ``not_found``."""
        return (await self._settled(org, enrollment_id, now)).as_of(now)

    async def redeem(self, enrollment_id: str, document: str, now: int) -> Redeemed:
        """Take a device's signed wish to join; of many devices with one token only one gets an answer.

        The same device gets the same answer again while the invitation lives, since its first may have been lost on the
        way. Raises ``not_found``, ``enrollment_ended`` (used by another, expired, void), and ``enrollment_refused`` for a
        document or token that is not good and for a key that is a device's already; five bad tokens void the enrolment.
        """
        invitation = await self._read(enrollment_id)
        if await self._lapsed(invitation, now) or invitation.status != "open":
            return await self._again(invitation, document, now)
        wish, key = joining.read(document, self._public_url, enrollment_id)
        if not joining.has_token(wish, invitation):
            await self._bad_token(invitation, now)
        application, user = await self._parties(invitation)
        # The salt is drawn after the device has committed to its key and leaves only with the winner's certificate:
        # nobody can search for a key that gives the digits of another.
        salt = self._entropy.bytes(16)
        device = joining.device(
            invitation, wish, key, new_id(now, self._entropy), salt, self._signer, self._public_url, now
        )
        check = documents.check_code(enrollment_id, device.jkt, self._signer.kid, salt)
        terms = structs.replace(invitation.terms, check=check)
        sealed_terms = invitations.sealed(self._sealer, enrollment_id, terms)
        steps, sealed_uri = [], None
        if application.policies.enrollment_soft_token:
            issued = await self._soft_tokens.issue(user, device.id, application.name, now)
            if issued is not None:
                steps.append(issued[0])
                sealed_uri = joining.sealed_to(device, issued[1], self._entropy)
        if await self._devices.count_active(user.id):
            text = f"The device “{device.name}” asks to be added to your account."
            notice = self._notices.step(user.id, "device.requested", text, now)
            steps += [notice, self._notices.spare(device.id, notice, now)]
        failed = await self._store.write(
            plan(
                step(invitations.REDEEM, device.id, sealed_terms, enrollment_id, now),
                self._devices.add_step(device),
                *steps,
                guards=2,
                leaf=leaf(
                    now, "enrollment.redeemed", user.org, enrollment_id, device=device.id, jkt=device.jkt
                ),
            )
        )
        if failed == 1:
            return await self._again(await self._read(enrollment_id), document, now)
        if failed:
            raise RefusedError("enrollment_refused", "This key belongs to a device already: make a new one.")
        self._changed(enrollment_id, user.id)
        active = await self._advance(enrollment_id, application, user, device, now)
        if active:
            device = structs.replace(device, status="active")
        return Redeemed(device, device.certificate, sealed_uri)

    async def confirm(self, org: str, enrollment_id: str, check: str, now: int) -> Enrollment:
        """Take the six digits that the new device shows; the right ones make it active.

        Raises ``not_found``, ``enrollment_ended``, ``device_pending`` while no device has redeemed it or an active
        device has not said yes, and ``wrong_check``; the third wrong one voids the enrolment.
        """
        for _ in range(_LAPS):
            invitation = await self._settled(org, enrollment_id, now)
            status = invitation.as_of(now).status
            if status == "open":
                raise RefusedError("device_pending", "No device has used this enrolment yet.")
            if status != "redeemed":
                raise ended()
            application, user = await self._parties(invitation)
            allowed = await self._vouching.allowed(invitation, application, user, now)
            right = hmac.compare_digest(
                (invitation.terms.check or "").encode(), check[:16].encode("utf-8", "replace")
            )
            if right and await self._confirmed(invitation, application, user, now, allowed=allowed):
                return (await self._read(enrollment_id)).as_of(now)
            if not right and await self._wrong_check(invitation, now):
                left = invitations.CHECKS_MAX - 1 - invitation.check_tries
                tries = "1 try is left" if left == 1 else f"{left} tries are left"
                detail = f"{tries}." if left else "The enrolment is void: start again."
                raise RefusedError("wrong_check", f"These are not the digits that the device shows. {detail}")
        raise RefusedError("unavailable", "Too much happens to this enrolment at once; try again.")

    async def sweep(self, now: int) -> int:
        """Write down that enrolments have expired and end their devices, at most 100; how many there were."""
        due = await self._store.rows(invitations.DUE, (now, _AT_ONCE))
        for row in due:
            # What is sealed is not needed here, and what does not open must not stop the others.
            invitation = invitations.with_terms(row, Terms(authorized=False))
            await self._end(invitation, step(invitations.EXPIRE, invitation.id, now), "expired", now)
        return len(due)

    async def _again(self, invitation: Invitation, document: str, now: int) -> Redeemed:
        """The answer to the device that has redeemed an invitation; raises ``enrollment_ended`` for everybody else."""
        device = None if invitation.device is None else await self._devices.by_id(invitation.device)
        if (
            device is None
            or device.status == "revoked"
            or invitation.status not in {"redeemed", "confirmed"}
            or invitation.expires_at <= now
            or not joining.is_from(document, self._public_url, invitation, device)
        ):
            raise ended()
        application, user = await self._parties(invitation)
        # Who answered the first time may have died before it came to this. Asking anew is left to the confirmation.
        if device.status == "pending" and not await self._vouching.is_needed(invitation):
            await self._advance(invitation.id, application, user, device, now)
            device = await self._devices.by_id(device.id) or device
        uri = await self._soft_tokens.issued(user, device.id)
        sealed_uri = None if uri is None else joining.sealed_to(device, uri, self._entropy)
        return Redeemed(device, device.certificate, sealed_uri)

    async def _lapsed(self, invitation: Invitation, now: int) -> bool:
        """Whether the time is over; if so that is written down before it is told, and no clock set back undoes it."""
        lapsed = invitation.status in {"open", "redeemed"} and invitation.expires_at <= now
        if lapsed:
            await self._end(invitation, step(invitations.EXPIRE, invitation.id, now), "expired", now)
        return lapsed

    async def _read(self, enrollment_id: str) -> Invitation:
        row = await self._store.row(invitations.BY_ID, (enrollment_id,)) if is_id(enrollment_id) else None
        if row is None:
            raise RefusedError("not_found", "There is no such enrolment.")
        return invitations.opened(self._sealer, row)

    async def _settled(self, org: str, enrollment_id: str, now: int) -> Invitation:
        """The enrolment after the answer of the active device, if that was a no."""
        invitation = await self._read(enrollment_id)
        if invitation.org != org:
            raise RefusedError("not_found", "There is no such enrolment.")
        if await self._lapsed(invitation, now):
            return await self._read(enrollment_id)
        going_on = {None, "pending", "approved"}
        if invitation.status != "redeemed" or await self._vouching.answer(invitation, now) in going_on:
            return invitation
        await self._end(invitation, step(invitations.VOID, invitation.id), "void", now)
        return await self._read(enrollment_id)

    async def _parties(self, invitation: Invitation) -> tuple[Application, User]:
        try:
            return await self._applications.by_id(invitation.application), await self._users.by_id(
                invitation.user_id
            )
        except RefusedError:
            raise ended() from None

    async def _bad_token(self, invitation: Invitation, now: int) -> None:
        entry = leaf(now, "enrollment.bad_token", invitation.org, invitation.id)
        if await self._store.write(
            plan(step(invitations.BAD_TOKEN, invitations.BAD_TOKENS_MAX, invitation.id, now), leaf=entry)
        ):
            raise ended()
        self._bus.publish("enrollment", invitation.id)
        raise RefusedError("enrollment_refused", "The token is not the one of this enrolment.")

    async def _advance(
        self, enrollment_id: str, application: Application, user: User, device: Device, now: int
    ) -> bool:
        """What follows a redemption by itself: the question to active devices, or, by policy, the confirmation."""
        invitation = await self._read(enrollment_id)
        if await self._vouching.is_needed(invitation):
            await self._vouching.ask(invitation, application, user, device, now)
            return False
        if application.policies.enrollment_confirmation == "required":
            return False
        allowed = invitation.terms.authorized
        return await self._confirmed(invitation, application, user, now, allowed=allowed)

    async def _confirmed(
        self, invitation: Invitation, application: Application, user: User, now: int, *, allowed: bool
    ) -> bool:
        """Make the device active; False when something else was faster."""
        assert invitation.device is not None
        device = await self._devices.by_id(invitation.device)
        if device is None:
            raise ended()
        text = f"The device “{device.name}” was added to your account."
        notice = self._notices.step(user.id, "device.added", text, now)
        data = {
            "id": invitation.id,
            "tfa_id": user.tfa_id,
            "status": "confirmed",
            "device": invitation.device,
        }
        written = plan(
            step(invitations.CONFIRM, invitation.id, invitation.check_tries, now),
            step(invitations.ACTIVATE, invitation.device, int(allowed)),
            *self._soft_tokens.allow_steps(user, invitation.device),
            Users.confirm_step(user.id),
            notice,
            self._notices.spare(device.id, notice, now),
            *outbox.event(
                self._sealer, self._entropy, application, "enrollment.confirmed", invitation.id, data, now
            ),
            guards=2,
            leaf=leaf(now, "enrollment.confirmed", invitation.org, invitation.id, device=invitation.device),
        )
        if await self._store.write(written):
            return False
        self._changed(invitation.id, user.id)
        self._bus.publish("device", invitation.device)
        outbox.announce(self._bus, written)
        return True

    async def _wrong_check(self, invitation: Invitation, now: int) -> bool:
        """Count a wrong check before it is answered; False when something else was faster."""
        last = invitation.check_tries + 1 >= invitations.CHECKS_MAX
        status = "void" if last else "redeemed"
        wrong = step(invitations.WRONG_CHECK, status, invitation.id, invitation.check_tries, now)
        return await self._end(invitation, wrong, "void" if last else "wrong_check", now, ends=last)

    async def _end(
        self, invitation: Invitation, guard: Step, word: str, now: int, *, ends: bool = True
    ) -> bool:
        """Write a turn for the worse, with the end of the device that waited for it; False when it was not so."""
        steps = []
        if ends and invitation.device is not None:
            steps.append(step(invitations.END_DEVICE, now, invitation.device))
            steps.append(step(invitations.DROP_TOKEN, invitation.user_id, invitation.device))
        entry = leaf(now, f"enrollment.{word}", invitation.org, invitation.id)
        if await self._store.write(plan(guard, *steps, leaf=entry)):
            return False
        self._changed(invitation.id, invitation.user_id)
        if steps and invitation.device is not None:
            self._bus.publish("device", invitation.device)
        return True

    def _changed(self, enrollment_id: str, user_id: str) -> None:
        self._bus.publish("enrollment", enrollment_id)
        self._bus.publish("user", user_id)
