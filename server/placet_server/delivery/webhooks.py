"""One attempt to tell an application's server, signed as Standard Webhooks 1.0.0 wants it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple

from standardwebhooks import Webhook

from placet_server.delivery.egress import Answer, Egress, EgressError
from placet_server.domain.outbox import Exchange, WebhookBody
from placet_server.ports import Entropy

SCHEDULE: Final = (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 36_000)
"""Seconds before each attempt, counted from the one before: the last is made some 28 hours after the first."""
_JITTER: Final = 5  # a fifth, both ways


class Attempt(NamedTuple):
    """What became of one attempt.

    ``status`` is 0 when there was no answer, ``detail`` is for the operator, ``retry_after`` is in ms where the receiver
    asked for it.
    """

    outcome: Literal["delivered", "failed", "gone"]
    status: int
    detail: str
    retry_after: int | None = None


class WebhookSender:
    """Signs and posts events."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress

    async def send(self, body: WebhookBody, secret: str, now: int) -> Attempt:
        """One attempt at ``now`` (ms UTC), which also is the signed timestamp; the id stays that of the event.

        Only 2xx is success; a redirect is a failure like any other. 410 means that the endpoint wants no more.
        """
        at = datetime.fromtimestamp(now // 1000, UTC)
        headers = {
            "Content-Type": "application/json",
            "webhook-id": body.event_id,
            "webhook-timestamp": str(now // 1000),
            "webhook-signature": Webhook(secret).sign(body.event_id, at, body.payload.decode()),
        }
        return await self.exchange(Exchange("POST", body.url, headers, body.payload), now)

    async def exchange(self, said: Exchange, now: int) -> Attempt:
        """One attempt at ``now`` (ms UTC) with what somebody else has signed; only 2xx is success."""
        try:
            answer = await self._egress.request(
                said.method, said.url, data=said.body, headers=said.headers, query=said.query
            )
        except EgressError as error:
            return Attempt("failed", 0, f"{error.reason}: {error}")
        return _judged(answer, now)


def retry_at(attempts: int, now: int, schedule: tuple[float, ...], entropy: Entropy) -> int | None:
    """When to try again after ``attempts`` failures, in ms UTC, ±20 %; None when it is time to give up."""
    if attempts >= len(schedule):
        return None
    wait = round(schedule[attempts] * 1000)
    spread = wait // _JITTER
    return now + wait + (entropy.below(2 * spread + 1) - spread)


def _judged(answer: Answer, now: int) -> Attempt:
    detail = f"the receiver answered {answer.status}"
    if 200 <= answer.status < 300:
        return Attempt("delivered", answer.status, detail)
    if answer.status == 410:
        return Attempt("gone", answer.status, detail)
    wait = answer.retry_after(now) if answer.status in {429, 503} else None
    return Attempt("failed", answer.status, detail, wait)
