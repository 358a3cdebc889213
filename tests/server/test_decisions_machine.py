from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from placet_protocol.approval import Event, next_state
from placet_server.domain.refusals import RefusedError
from placet_server.domain.values import Approval, Created, Decided
from support.answering import draft, world
from support.scale import scaled

T = TypeVar("T")
MAX_PENDING = 3


class Lives(RuleBasedStateMachine):
    """Requests live as the protocol's transition table says, whatever is done to them in whatever order."""

    created: Bundle[int] = Bundle("created")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.asked: list[tuple[Created, str]] = []
        self.model: list[Any] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @initialize()
    def begin(self) -> None:
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.w = self.run(
            self.stack.enter_async_context(
                world(folder, approval__max_unapproved="100", approval__window="10")
            )
        )
        self.phone = self.run(self.w.enrol())

    def teardown(self) -> None:
        self.run(self.stack.aclose())
        self.runner.close()

    def pending(self) -> list[int]:
        return [number for number, state in enumerate(self.model) if state == "pending"]

    def happened(self, number: int, event: Event) -> bool:
        """Move the model; whether the event had any effect."""
        after = next_state(self.model[number], event)
        if after is not None:
            self.model[number] = after
        return after is not None

    def wait(self, ms: int) -> None:
        self.w.clock.advance(ms=ms)
        for number in self.pending():
            if self.asked[number][0].approval.expires_at <= self.w.now:
                self.happened(number, "expire")

    @rule(target=created, ttl=st.integers(1, 60), supersede=st.booleans())
    def ask(self, ttl: int, *, supersede: bool) -> int:
        self.wait(ms=1)  # ids are ordered by the millisecond
        full = len(self.pending()) >= MAX_PENDING
        work = self.w.domain.approvals.create(
            self.w.caller, self.w.user, draft(ttl=ttl, supersede=supersede), self.w.now
        )
        if full and not supersede:
            with pytest.raises(RefusedError, match="too_many_pending"):
                self.run(work)
            return len(self.asked) - 1
        made = self.run(work)
        if full:
            self.happened(min(self.pending()), "supersede")
        self.asked.append((made, self.run(self.w.domain.approvals.document(made.approval.id))))
        self.model.append("pending")
        return len(self.asked) - 1

    @rule(number=created, dec=st.sampled_from(["approve", "deny"]))
    def decide(self, number: int, dec: Event) -> None:
        answer = self.phone.answer(self.asked[number][1], dec)
        self.ends(number, dec, self.w.domain.decisions.decide(answer, self.w.now))

    @rule(number=created)
    def cancel(self, number: int) -> None:
        ids = (self.w.application.id, self.asked[number][0].approval.id)
        self.ends(number, "cancel", self.w.domain.approvals.cancel(*ids, self.w.now))

    def ends(self, number: int, event: Event, work: Coroutine[Any, Any, Decided | Approval]) -> None:
        """The event has its effect, or is refused with the state that was final before."""
        if self.happened(number, event):
            assert self.run(work).status == self.model[number]
        else:
            with pytest.raises(RefusedError, match=r"already_decided|not_pending") as refused:
                self.run(work)
            assert refused.value.state == self.model[number]

    @rule(seconds=st.integers(0, 40))
    def sleep(self, seconds: int) -> None:
        self.wait(seconds * 1000)

    @rule()
    def sweep(self) -> None:
        self.run(self.w.domain.approvals.sweep(self.w.now))

    @invariant()
    def store_and_model_agree(self) -> None:
        for (made, _), state in zip(self.asked, self.model, strict=True):
            assert self.run(self.w.status(made)) == state
            assert len(self.run(self.w.endings(made))) <= 1


TestDec07 = Lives.TestCase
TestDec07.__doc__ = "DEC-07: nothing but the transition table happens; final states never change."
TestDec07.settings = settings(
    max_examples=scaled(200), stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
)
