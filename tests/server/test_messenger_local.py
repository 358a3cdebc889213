"""Messages that a local gateway takes: many at once, without a task for each."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, cast

import pytest

from placet_server.gateways.base import Carrier
from placet_server.plugin import Carried, Outgoing
from placet_server.ports import Plan, StoreUnavailableError
from placet_server.testing import RecordingGateway
from support.answering import world
from support.carrying import outgoing
from support.gated import logged
from support.messaging import ANA, MAIL, numbered, post

FULL = Carried("later", reason="no room")
REFUSED = Carried("refused", reason="unknown number")


class Local(RecordingGateway):
    """A gateway that waits for nobody; it says ``said`` of each message, or does as it is told."""

    local: Literal[True] = True

    def __init__(self, *said: Carried | Exception, name: str = "local", prefix: str = "") -> None:
        super().__init__(name)
        self.prefix = prefix
        self.said = said
        self.together: list[int] = []
        self.handed = asyncio.Event()

    def take(self, messages: Sequence[Outgoing]) -> Sequence[Carried]:
        self.sent += messages
        self.handed.set()
        self.together.append(len(messages))
        for each in self.said:
            if isinstance(each, Exception):
                raise each
        said = [each for each in self.said if isinstance(each, Carried)]
        return said * len(messages) or [Carried("accepted", self.prefix + message.id) for message in messages]


@pytest.mark.parametrize("prefix", ["", "ref-"], ids=["our ids", "ids of its own"])
async def test_messages_are_handed_over_together(tmp_path: Path, prefix: str) -> None:
    """What is committed together is taken together, and noted as if it had gone one by one."""
    gateway = Local(prefix=prefix)
    async with world(tmp_path) as made, post(made, gateway) as desk:
        sent = await asyncio.gather(*(desk.send(numbered(number)) for number in range(250)))
        infos = [await desk.until(each, "sent") for each in sent]
        assert {info.gateway for info in infos} == {"local"}
        assert {info.reference for info in infos} == {prefix + each for each in sent}
        assert {(info.channel, info.attempts) for info in infos} == {("sms", 1)}
        assert sorted(message.id for message in gateway.sent) == sorted(sent)
        assert 1 < max(gateway.together) <= 100
        assert {message.report_url for message in gateway.sent} == {None}


@pytest.mark.parametrize("said", [FULL, REFUSED, ValueError("defect")], ids=["later", "refused", "defect"])
async def test_what_it_does_not_take_goes_to_the_next_one(tmp_path: Path, said: Carried | Exception) -> None:
    """It is asked once a round, and what it said counts as from any other gateway, also when it is not the first by then."""
    first, second = Local(said), RecordingGateway("second")
    async with world(tmp_path) as made, post(made, first, second) as desk:
        sent = await asyncio.gather(*(desk.send(numbered(number)) for number in range(8)))
        infos = [await desk.until(each, "sent") for each in sent]
        assert {info.gateway for info in infos} == {"second"}
        assert (len(first.sent), len(second.sent)) == (8, 8)


async def test_two_local_gateways_and_another_one_share_the_work(tmp_path: Path) -> None:
    """Of messages that are committed together each goes its own way; nobody waits for what the store takes its time for."""
    texts, mails, calls = Local(name="texts"), Local(FULL, name="mails"), RecordingGateway("calls", "voice")
    texts.channels, mails.channels = frozenset({"sms"}), frozenset({"email"})
    noting = asyncio.Event()
    async with world(tmp_path) as made:
        write = made.store.write

        async def held(plan: Plan) -> int:
            if plan.steps[0].sql.name == "messages_taken":
                await noting.wait()
            return await write(plan)

        made.domain.deliveries._store.write = held  # type: ignore[method-assign]
        async with post(made, texts, mails, calls) as desk:
            text, mail, call = await asyncio.gather(
                desk.send(numbered(1)), desk.send(MAIL), desk.send(numbered(2), "voice")
            )
            assert (await desk.until(call, "sent")).gateway == "calls"
            assert (await desk.until(mail, "queued", rounds=1)).reason == "mails: no room"
            assert (await desk.info(text)).status == "sending"
            noting.set()
            assert (await desk.until(text, "sent")).gateway == "texts"


@pytest.mark.parametrize(
    "answer", [None, "accepted", Carried("taken"), Carried("accepted", 7)],  # type: ignore[arg-type]  # as a plug-in may
    ids=["nothing", "a word", "another outcome", "a number"],
)  # fmt: skip
async def test_what_is_no_receipt_is_a_defect_of_that_message(answer: Any) -> None:
    """The others of the hand-over are carried, and by ``send`` such an answer counts the same."""

    class Odd(Local):
        async def send(self, _message: Outgoing) -> Carried:
            return cast("Carried", answer)

        def take(self, messages: Sequence[Outgoing]) -> Sequence[Carried]:
            return [answer, *super().take(messages)[1:]]

    carrier = Carrier(Odd())
    failed = ("later", "the gateway failed: TypeError", True)
    said = carrier.take([outgoing(), outgoing()])
    assert [(each.outcome, each.reason, each.unsure) for each in said] == [failed, ("accepted", "", False)]
    alone = await carrier.send(outgoing())
    assert (alone.outcome, alone.reason, alone.unsure) == failed


def test_a_stranger_s_method_of_that_name_makes_no_local_gateway() -> None:
    """Only who says so is handed messages in this way."""

    class Stranger(RecordingGateway):
        def take(self) -> None:
            raise AssertionError

    assert not Carrier(Stranger()).is_local
    assert Carrier(Local()).is_local


async def test_what_nobody_takes_is_tried_again_in_time(tmp_path: Path) -> None:
    """The only gateway has no room: the message waits with its reason and goes in a later round."""
    gateway = Local(FULL)
    async with world(tmp_path) as made, post(made, gateway, schedule=(5,)) as desk:
        message_id = await desk.send()
        assert (await desk.until(message_id, "queued", rounds=1)).reason == "local: no room"
        gateway.said = ()
        await desk.later(7)
        await desk.until(message_id, "sent")
        assert len(gateway.sent) == 2


async def test_the_application_hears_of_them(tmp_path: Path) -> None:
    """With a webhook each message has its event."""
    async with world(tmp_path) as made, post(made, Local()) as desk:
        await made.domain.applications.add_webhook("Acme", "https://acme.example/hook", made.now)
        made.application = await made.domain.applications.named("Acme")
        for each in await asyncio.gather(*(desk.send(numbered(number)) for number in range(3))):
            await desk.until(each, "sent")
        assert await desk.kinds() == ["message.sent"] * 3


async def test_a_code_that_ends_meanwhile_stays_ended(tmp_path: Path) -> None:
    """Its message was taken: by whom is known, and it counts as ended all the same."""
    taken = asyncio.Event()

    async with world(tmp_path) as made:
        write = made.store.write

        async def held(plan: Plan) -> int:
            if plan.steps[0].sql.name == "messages_taken":
                await taken.wait()
            return await write(plan)

        made.domain.deliveries._store.write = held  # type: ignore[method-assign]
        async with post(made, gateway := Local()) as desk:
            issued = await desk.code()
            await gateway.handed.wait()
            await made.domain.codes.cancel(made.caller, issued.id, made.now)
            taken.set()
        info = await desk.info(issued.message_id)
        assert (info.status, info.gateway) == ("expired", "local")


async def test_a_store_that_cannot_note_it_stops_no_other_message(tmp_path: Path) -> None:
    """The messages that were taken are due again when their claims end, and the next one goes out."""
    async with world(tmp_path) as made, logged() as lines:
        write = made.store.write
        failures = [StoreUnavailableError("The disk is full.", "full")]

        async def failing(plan: Plan) -> int:
            if plan.steps[0].sql.name == "messages_taken" and failures:
                raise failures.pop()
            return await write(plan)

        made.domain.deliveries._store.write = failing  # type: ignore[method-assign]
        async with post(made, gateway := Local()) as desk:
            first = await desk.send()
            await gateway.handed.wait()
            await desk.until(await desk.send(numbered(1)), "sent")
            assert (await desk.info(first)).status == "sending"
            await desk.later(60)
            await desk.until(first, "sent")
            assert [message.id for message in gateway.sent].count(first) == 2
    assert '"event": "messages_not_noted"' in lines.getvalue()


async def test_what_may_not_pass_reaches_no_local_gateway() -> None:
    """Each message is checked by itself; the others of the same hand-over are carried."""
    carrier = Carrier(gateway := Local())
    said = carrier.take([outgoing(), outgoing(to=f"{ANA.address} +48"), outgoing(text="two\r\nlines")])
    assert [each.outcome for each in said] == ["accepted", "refused", "accepted"]
    assert [message.text for message in gateway.sent] == [outgoing().text, "two\nlines"]
    assert (carrier.counts.accepted, carrier.counts.refused) == (2, 1)


@pytest.mark.parametrize(
    "said", [[ValueError("27182")], [Carried("accepted")] * 2], ids=["raises", "too many receipts"]
)
async def test_a_defect_of_a_local_gateway_is_for_later(said: list[Carried | Exception]) -> None:
    """It may have carried the messages, so another attempt may be a second one."""
    carrier = Carrier(Local(*said))
    answers = carrier.take([outgoing(), outgoing()])
    assert {(each.outcome, each.reason, each.unsure) for each in answers} == {
        ("later", "the gateway failed: ValueError", True)
    }
