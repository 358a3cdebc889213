"""Messages on their way: routes, failover, retries, reports, restarts."""

import asyncio
from pathlib import Path

from placet_server.domain.onecode import CodeDraft
from placet_server.plugin import Carried, ExchangeError, Outgoing
from placet_server.testing import Fault, FaultGateway, RecordingBus, RecordingGateway
from support.answering import code_of, world
from support.messaging import ANA, MAIL, numbered, post
from support.scale import scaled

REFUSED = Carried("refused", reason="unknown number")
LATER = Carried("later", reason="busy")


async def test_a_code_is_carried_as_soon_as_it_is_committed(tmp_path: Path) -> None:
    """The gateway gets destination, text, sender, language, gender, what is left of its life, and a secret report URL."""
    async with world(tmp_path) as made, post(made, gateway := RecordingGateway("g")) as desk:
        issued = await desk.code(sender="ACME", language="de-DE", gender="male")
        info = await desk.until(issued.message_id, "sent")
        (message,) = gateway.sent
        assert (message.id, message.channel, message.to) == (issued.message_id, "sms", "+48600100200")
        assert (message.sender, message.language, message.gender) == ("ACME", "de-DE", "male")
        assert issued.value in message.text
        assert (message.code, message.seconds) == (issued.value, 600)
        assert message.report_url is not None
        head, secret = message.report_url.rsplit("/", 1)
        assert head == f"https://placet.example/gateway/reports/g/{message.id}"
        assert len(secret) == 32
        assert (info.channel, info.gateway, info.reference, info.attempts) == ("sms", "g", "g-1", 1)


async def test_routes_are_tried_in_the_order_of_channels_and_policy(tmp_path: Path) -> None:
    """Ordered gateways of the first channel, then those of the next; a policy names gateways and their order."""
    one, two, mail = (FaultGateway(name, [REFUSED], *channels) for name, channels in
                      (("one", ("sms",)), ("two", ("sms", "voice")), ("mail", ("email",))))  # fmt: skip
    async with world(tmp_path, route__sms="two,one") as made, post(made, one, two, mail) as desk:
        message_id = await desk.send(ANA, "sms", "voice")
        info = await desk.until(message_id, "failed")
        assert [message.channel for message in two.sent] == ["sms", "voice"]
        assert [message.channel for message in one.sent] == ["sms"]
        assert mail.sent == []
        assert info.reason == "two: unknown number"
        assert [message.text for message in two.sent] == ["Hello by sms", "Hello by voice"]
        mailed = await desk.send(MAIL)
        await desk.until(mailed, "failed")
        assert [message.to for message in mail.sent] == ["ana@example.org"]


async def test_otp_15_a_hanging_gateway_gives_way_within_ten_seconds(tmp_path: Path) -> None:
    """With the deadlines as they ship the next gateway has the message in time, and it was sent at most twice."""
    slow, good = FaultGateway("slow", ["hang"]), RecordingGateway("good")
    loop = asyncio.get_running_loop()
    async with world(tmp_path) as made, post(made, slow, good) as desk:
        begun = loop.time()
        info = await desk.until(await desk.send(), "sent", within=11)
        assert loop.time() - begun < 10
        assert (info.gateway, len(slow.sent), len(good.sent)) == ("good", 1, 1)


async def test_otp_15_no_fault_of_a_gateway_loses_a_message_or_doubles_it_more_than_once(
    tmp_path: Path,
) -> None:
    """Hang, reset, 5xx, refusal and defect in any mix: each message arrives, at most once more a failover."""
    faults: list[Fault] = [
        "hang",
        ExchangeError("reset", unsure=True),
        LATER,
        REFUSED,
        ValueError("defect"),
        "take",
    ]
    count = scaled(400)
    bad = FaultGateway("bad", [faults[number % len(faults)] for number in range(count * 3)])
    good = RecordingGateway("good")
    async with world(tmp_path) as made, post(made, bad, good, deadline=0.05, at_once=400) as desk:
        sent = [await desk.send(numbered(number)) for number in range(count)]
        infos = [await desk.until(each, "sent") for each in sent]
        reached = [message.id for message in (*bad.sent, *good.sent)]
        assert {info.id for info in infos} == set(reached)
        assert max(reached.count(each) for each in sent) <= 2


async def test_never_does_one_message_wait_for_another_one_s_gateway(tmp_path: Path) -> None:
    """With a hundred messages in a hanging gateway, another route's message goes out at once."""
    slow, good = FaultGateway("slow", ["hang"], "sms"), RecordingGateway("mail", "email")
    async with world(tmp_path) as made, post(made, slow, good, grace=0) as desk:
        for number in range(100):
            await desk.send(numbered(number))
        mailed = await desk.send(MAIL)
        await desk.until(mailed, "sent", within=7)  # theirs are given up after eight


async def test_what_no_gateway_takes_is_tried_again_until_it_is_over(tmp_path: Path) -> None:
    """All routes come round with growing pauses; a gateway that refused for good is left out of it."""
    busy, never = FaultGateway("busy", [LATER, LATER, "take"]), FaultGateway("never", [REFUSED])
    async with world(tmp_path) as made, post(made, busy, never, schedule=(5, 10)) as desk:
        message_id = await desk.send()
        for rounds in (1, 2):
            await desk.until(message_id, "queued", rounds=rounds)
            await desk.later(13)
        info = await desk.until(message_id, "sent")
        assert (len(busy.sent), len(never.sent), info.attempts) == (3, 1, 3)


async def test_a_message_whose_time_is_over_is_not_sent(tmp_path: Path) -> None:
    """A retry that would come too late is none: the message has failed, and says why."""
    busy = FaultGateway("busy", [LATER])
    async with world(tmp_path) as made, post(made, busy) as desk:
        info = await desk.until(await desk.send(seconds=3), "failed")
        assert (info.reason, len(busy.sent)) == ("busy: busy", 1)


async def test_a_route_that_never_answers_is_given_up(tmp_path: Path) -> None:
    """It may have carried the message each time, so it gets three tries and not a dozen."""
    slow = FaultGateway("slow", ["hang"])
    async with world(tmp_path) as made, post(made, slow, deadline=0.05, schedule=(1,)) as desk:
        message_id = await desk.send()
        for rounds in (1, 2):
            await desk.until(message_id, "queued", rounds=rounds)
            await desk.later(2)
        info = await desk.until(message_id, "failed")
        assert (len(slow.sent), info.reason) == (3, "slow: no answer within 0.05 s")


async def test_a_message_is_sent_when_it_is_its_time(tmp_path: Path) -> None:
    """A scheduled message waits, wakes nobody, and goes out when the clock says so."""
    gateway = RecordingGateway()
    async with world(tmp_path) as made, post(made, gateway) as desk:
        message_id = await desk.send(MAIL, seconds=7200, send_at=made.now + 3_600_000)
        at_once = await desk.send(MAIL)
        await desk.until(at_once, "sent")
        await desk.later(3_599)
        await asyncio.sleep(0.05)
        assert (await desk.info(message_id)).status == "queued"
        await desk.later(2)
        await desk.until(message_id, "sent")
        assert len(gateway.sent) == 2


async def test_a_lost_wake_up_loses_no_message(tmp_path: Path) -> None:
    """The table is the truth: what no event told is found by looking."""
    gateway = RecordingGateway()
    async with world(tmp_path) as made, post(made, gateway, bus=RecordingBus()) as desk:
        message_id = await desk.send()
        await desk.later(30)  # the messenger that should have heard had it in hand so long
        await desk.until(message_id, "sent")


async def test_two_messengers_send_a_message_once(tmp_path: Path) -> None:
    """Who claims it sends it; the other one leaves it alone."""
    gateway = RecordingGateway("g")
    async with world(tmp_path) as made, post(made, gateway) as desk, post(made, gateway):
        made.domain.deliveries.hold(0)  # as if another process had written them: both read the rows
        sent = [await desk.send(numbered(number)) for number in range(40)]
        for each in sent:
            await desk.until(each, "sent")
        assert sorted(message.id for message in gateway.sent) == sorted(sent)


async def test_what_a_messenger_left_under_way_is_due_again(tmp_path: Path) -> None:
    """The next messenger carries at once what the last one was at: nobody else can be."""
    slow, good = FaultGateway("slow", ["hang"]), RecordingGateway("good")
    async with world(tmp_path) as made:
        async with post(made, slow, grace=0) as desk:
            message_id = await desk.send()
            await slow.count(1)
        assert (await made.domain.messages.get(None, message_id)).status == "sending"
        made.clock.advance(ms=1)
        async with post(made, good) as desk:
            await desk.until(message_id, "sent")


async def test_a_stop_lets_what_is_under_way_end(tmp_path: Path) -> None:
    """A message in a gateway's hands is noted as sent before the messenger is gone."""
    go = asyncio.Event()

    class Slow(RecordingGateway):
        async def send(self, message: Outgoing) -> Carried:
            await super().send(message)
            await go.wait()
            return Carried("accepted")

    gateway = Slow()
    async with world(tmp_path) as made:
        async with post(made, gateway) as desk:
            message_id = await desk.send()
            await gateway.count(1)
            desk.messenger.stop()
            go.set()
        assert (await made.domain.messages.get(None, message_id)).status == "sent"


async def test_otp_15_a_late_report_of_a_gateway_that_hung_stops_further_tries(tmp_path: Path) -> None:
    """A gateway that delivered without an answer says so later; the message is delivered and not sent again."""
    slow = FaultGateway("slow", ["hang"])
    async with world(tmp_path) as made, post(made, slow, deadline=0.05) as desk:
        message_id = await desk.send()
        await desk.until(message_id, "queued", rounds=1)
        assert await desk.report(slow.sent[0], "delivered")
        await desk.later(30)
        await desk.until(message_id, "delivered")
        await asyncio.sleep(0.05)
        assert len(slow.sent) == 1


async def test_otp_15_a_gateway_that_acknowledges_twice_changes_nothing(tmp_path: Path) -> None:
    """A second report of a delivery, or a worse one after it, leaves the message delivered and tells nobody."""
    gateway = RecordingGateway()
    async with world(tmp_path) as made, post(made, gateway) as desk:
        await made.domain.applications.add_webhook("Acme", "https://acme.example/hook", made.now)
        made.application = await made.domain.applications.named("Acme")
        message_id = await desk.send()
        await desk.until(message_id, "sent")
        made.clock.advance(ms=1)  # events of one millisecond have no order
        for state in ("delivered", "delivered", "undelivered", "sent"):
            assert await desk.report(gateway.sent[0], state)
        assert (await desk.info(message_id)).status == "delivered"
        assert await desk.kinds() == ["message.sent", "message.delivered"]


async def test_otp_17_a_code_that_arrives_too_late_is_refused_politely(tmp_path: Path) -> None:
    """A gateway holds a message for eleven minutes; its code has expired, says so, and no report brings it back."""
    gateway = RecordingGateway()
    async with world(tmp_path) as made, post(made, gateway) as desk:
        issued = await desk.code()
        await desk.until(issued.message_id, "sent")
        await desk.later(660)
        for _ in range(2):
            checked = await made.domain.codes.check(made.caller, issued.value, made.now, code_id=issued.id)
            assert checked.outcome == "expired"
            await desk.report(gateway.sent[0], "delivered")


async def test_a_code_that_ended_is_not_sent_any_more(tmp_path: Path) -> None:
    """Cancelled while no gateway took it, its message goes nowhere."""
    busy = FaultGateway("busy", [LATER, "take"])
    async with world(tmp_path) as made, post(made, busy) as desk:
        issued = await desk.code()
        await desk.until(issued.message_id, "queued", rounds=1)
        await made.domain.codes.cancel(made.caller, issued.id, made.now)
        await desk.later(60)
        await asyncio.sleep(0.05)
        assert len(busy.sent) == 1


async def test_the_text_is_erased_at_the_end(tmp_path: Path) -> None:
    """A message that has failed or was delivered leaves neither destination nor text behind."""
    good, bad = RecordingGateway("good", "sms"), FaultGateway("bad", [REFUSED], "email")
    async with world(tmp_path) as made, post(made, good, bad) as desk:
        failed, sent = await desk.send(MAIL), await desk.send()
        await desk.until(failed, "failed")
        await desk.until(sent, "sent")
        await desk.report(good.sent[0], "delivered")
        assert await made.count("messages", "sealed IS NOT NULL") == 0


async def test_without_a_route_a_code_is_refused_at_once(tmp_path: Path) -> None:
    """Only that no gateway carries the channel is known before the answer, and then nothing is kept."""
    async with world(tmp_path, route__sms="gone") as made:
        draft = CodeDraft(destination=ANA, channels=("sms",))
        assert await code_of(made.domain.codes.issue(made.caller, draft, made.now)) == "no_route"
        assert await made.count("messages") == 0


async def test_a_message_of_a_removed_application_goes_nowhere(tmp_path: Path) -> None:
    """What it left in the table ends, and is not sent."""
    gateway = RecordingGateway()
    async with world(tmp_path) as made:
        async with post(made, gateway, bus=RecordingBus()) as desk:
            message_id = await desk.send()
            await made.domain.applications.remove("Acme", made.now)
            await desk.later(30)
            await desk.until(message_id, "failed")
        assert gateway.sent == []


async def test_a_code_that_ends_while_a_gateway_hangs_goes_to_no_other(tmp_path: Path) -> None:
    """Cancelled under way, or reported as delivered after all: the next gateway does not get the message."""
    slow, good = FaultGateway("slow", ["hang"]), RecordingGateway("good")
    async with world(tmp_path) as made, post(made, slow, good, deadline=0.3) as desk:
        issued = await desk.code()
        reported = await desk.send(numbered(1))
        await slow.count(2)
        await made.domain.codes.cancel(made.caller, issued.id, made.now)
        await desk.report(next(each for each in slow.sent if each.id == reported), "delivered")
        await desk.idle()
        assert (await desk.info(issued.message_id)).status == "expired"
        assert (await desk.info(reported)).status == "delivered"
        assert good.sent == []
