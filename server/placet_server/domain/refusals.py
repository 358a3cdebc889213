"""Every reason for which the core says no, under its stable code. Faces and the native API map all of them."""

from __future__ import annotations

from typing import Final, Literal, get_args

Code = Literal[
    "invalid_request",  # the input does not have the documented form; detail names the place
    "invalid_text",  # a text holds a character that may not be shown to a person; detail names it
    "unauthorized",  # no or wrong credential
    "forbidden",  # the credential may not do this; detail names the scope
    "not_found",  # no such thing for this caller
    "user_not_found",
    "user_conflict",  # phone and e-mail belong to two users, or the tfa id is taken
    "name_taken",
    "enrollment_ended",  # used, expired or void
    "enrollment_refused",  # the device's document or token is not good
    "wrong_check",  # the six digits do not match; detail says how many tries are left
    "reason_required",  # adding a further device needs devices:admin and a reason
    "invalid_decision",  # one uniform answer to every decision that is not good
    "already_decided",  # somebody or something was faster; state says what
    "not_pending",  # the request has ended already
    "not_decided",  # no receipt: nobody decided
    "invalid_proof",  # call proof missing, stale or wrong
    "use_nonce",  # call proof without a current nonce
    "device_revoked",
    "device_pending",  # not confirmed yet
    "on_hold",  # fatigue rules: too many requests unanswered or denied; retry_after says how long
    "too_many_pending",
    "throttled",  # too many failures for this subject
    "rate_limited",
    "ip_not_allowed",  # the credential may not be used from this address
    "invalid_destination",  # no telephone number or e-mail address that codes could go to
    "country_not_allowed",  # the application sends nothing to this country
    "channel_not_allowed",  # the application does not use this channel
    "not_a_mobile",  # a text message to a line that takes none
    "no_route",  # no gateway carries what was asked for
    "no_credit",  # the credential's balance is used up
    "too_many_codes",  # the budget for sends to this destination, prefix or address is used up; retry_after says how long
    "idempotency_conflict",  # same key, other body
    "too_large",
    "unsupported_media_type",
    "method_not_allowed",
    "timeout",  # the body did not arrive in time
    "unavailable",  # the store cannot write now
    "internal",  # a defect; nothing was approved or verified
]
CODES: Final[tuple[str, ...]] = get_args(Code)


class RefusedError(Exception):
    """An operation that ended in a documented no.

    ``detail`` is a sentence that a person can act on and holds no secret; ``retry_after`` is in seconds; ``state`` is
    the final state of an approval request where the code is ``already_decided`` or ``not_pending``.
    """

    def __init__(
        self, code: Code, detail: str, *, retry_after: int | None = None, state: str | None = None
    ) -> None:
        super().__init__(code, detail)
        self.code: Final = code
        self.detail: Final = detail
        self.retry_after: Final = retry_after
        self.state: Final = state
