"""What the base gives every gateway: deadline, places, checked input, clean reasons, counters."""

import asyncio
from typing import Any

import pytest

from placet_server.gateways.base import Carrier
from placet_server.plugin import Carried, ExchangeError, Outgoing, Report
from placet_server.testing import FaultGateway, RecordingGateway
from support.carrying import outgoing
from support.gated import logged


async def test_a_gateway_that_hangs_is_left_within_its_deadline() -> None:
    """The attempt ends as unsure, because the message may have left."""
    carrier = Carrier(FaultGateway("slow", ["hang"]), timeout=0.1)
    async with asyncio.timeout(10):
        carried = await carrier.send(outgoing())
    assert carried == Carried("later", "", "no answer within 0.1 s", unsure=True)
    assert carrier.counts.timeouts == carrier.counts.later == 1


async def test_the_wait_for_a_place_counts_into_the_deadline() -> None:
    """With all places taken by a hanging vendor the next message is as soon free for another gateway."""
    over = asyncio.Event()

    class Hanging(RecordingGateway):
        async def send(self, message: Outgoing) -> Carried:
            try:
                await asyncio.Event().wait()
            finally:  # a place that came free just now would be given to who has no time left
                await over.wait()
            return await super().send(message)

    carrier = Carrier(Hanging(), timeout=0.2, at_once=2)
    holding = [asyncio.create_task(carrier.send(outgoing())) for _ in range(2)]
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        waited = await asyncio.gather(*(carrier.send(outgoing()) for _ in range(4)))
    over.set()
    assert set(waited) == {Carried("later", "", "no place free within 0.2 s")}
    assert set(await asyncio.gather(*holding)) == {
        Carried("later", "", "no answer within 0.2 s", unsure=True)
    }


async def test_no_more_messages_are_under_way_than_places() -> None:
    """Concurrency is bounded by the server, not by the gateway's good will."""
    now = most = 0

    class Counting(RecordingGateway):
        async def send(self, message: Outgoing) -> Carried:
            nonlocal now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            now -= 1
            return await super().send(message)

    carrier = Carrier(Counting(), at_once=3)
    await asyncio.gather(*(carrier.send(outgoing()) for _ in range(50)))
    assert most == 3
    assert (carrier.counts.accepted, carrier.counts.in_flight) == (50, 0)


async def test_what_a_gateway_raises_ends_in_a_receipt() -> None:
    """A plug-in's defect is for later and unsure; an exchange that did not happen says what is known of it."""
    errors = [
        RuntimeError("boom +48600100200"),
        ExchangeError("no connection"),
        ExchangeError("reset", unsure=True),
    ]
    carrier = Carrier(FaultGateway("odd", [*errors]))
    assert await carrier.send(outgoing()) == Carried(
        "later", "", "the gateway failed: RuntimeError", unsure=True
    )
    assert await carrier.send(outgoing()) == Carried("later", "", "no connection")
    assert await carrier.send(outgoing()) == Carried("later", "", "reset", unsure=True)


async def test_reasons_hold_neither_message_nor_secret() -> None:
    """A vendor that repeats what it was sent, with the credentials, puts none of it into answers and logs."""
    said = "bad request: key=k3y-of-vendor to=48600100200 body=Your code is 271828. code 271828\r\n\x1b[31m"
    carrier = Carrier(FaultGateway("leaky", [Carried("refused", "id\n1", said)]), secrets=["k3y-of-vendor"])
    async with logged() as lines:
        carried = await carrier.send(outgoing())
    assert carried.reason == "bad request: key=… to=… body=… code …   [31m"
    assert carried.reference == "id 1"
    line = lines.getvalue()
    assert '"event": "message_not_taken"' in line
    for word in ("k3y-of-vendor", "271828", "48600100200", "Your code"):
        assert word not in line
        assert word not in carrier.counts.last_reason


async def test_a_gateway_rests_after_messages_without_an_answer() -> None:
    """Three in a row, and others get the first try; one answer ends that."""
    carrier = Carrier(FaultGateway("tired", ["hang", "hang", "hang", "take"]), timeout=0.05)
    for resting in (False, False, True, False):
        await carrier.send(outgoing())
        assert carrier.resting is resting


@pytest.mark.parametrize(
    "changes",
    [
        {"to": "48600100200"},
        {"to": "+48600100200 +48600100201"},
        {"to": "+48600100200\r\nX-Kannel-To: +1"},
        {"to": "+48600100200,+48600100201"},
        {"to": "+٤٨٦٠٠١٠٠٢٠٠"},
        {"to": "ana@example.org"},
        {"to": ""},
        {"sender": "ACME\r\nX: y"},
        {"sender": "13013 +48600100201 text"},
        {"sender": "far too long a name"},
        {"sender": "АСМЕ"},
        {"text": ""},
        {"text": " \n "},
        {"text": "nul \x00"},
        {"text": "carriage \r return"},
        {"text": "bell \x07"},
        {"text": "csi \x9b"},
        {"text": "half \ud800"},
        {"channel": "email", "to": "ana@example.org\nBcc: eve@example.org"},
        {"channel": "email", "to": "ana@example.org,eve@example.org"},
        {"channel": "email", "to": "<ana@example.org>"},
        {"channel": "email", "to": "ana@example.org", "subject": "a\nBcc: eve@example.org"},
        {"channel": "email", "to": "ana@example.org", "subject": "a\u2028b"},
        {"channel": "email", "to": "ana@example.org", "sender": "a\r\nBcc: eve@example.org"},
        {"channel": "email", "to": "ana@example.org", "html": "<p>\x00</p>"},
    ],
)
async def test_api_16_no_gateway_ever_sees_what_could_end_a_field(changes: dict[str, Any]) -> None:
    """Destinations that are none, several, or dressed up, and control characters anywhere, are refused for good."""
    recorded = RecordingGateway()
    carrier = Carrier(recorded)
    assert (await carrier.send(outgoing(**changes))).outcome == "refused"
    assert recorded.sent == []


async def test_line_ends_have_one_form() -> None:
    """A text with the line ends of other systems reaches the gateway with plain ones."""
    recorded = RecordingGateway()
    assert (await Carrier(recorded).send(outgoing(text="one\r\ntwo"))).outcome == "accepted"
    assert recorded.sent[0].text == "one\ntwo"


async def test_reports_are_read_safely() -> None:
    """A gateway without reports has none to read, and one whose reading fails has read nothing."""

    class Broken(RecordingGateway):
        def read_report(self, report: Report) -> None:
            raise ValueError(report)

    report = Report("GET", "https://placet.example/", (("a", "b"),), (), {}, b"")
    assert Carrier(RecordingGateway()).read_report(report) is None
    async with logged() as lines:
        assert Carrier(Broken()).read_report(report) is None
    assert "report_not_read" in lines.getvalue()


class Clinging(RecordingGateway):
    """A gateway whose clean-up waits for the other side, as that of many clients does."""

    async def send(self, message: Outgoing) -> Carried:
        """Hang, and hang again when that is ended."""
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.Event().wait()
        return await super().send(message)


async def test_otp_15_a_clean_up_that_hangs_is_left_too() -> None:
    """What a plug-in does when its time is over cannot keep the message from the next gateway."""
    carrier = Carrier(Clinging(), timeout=0.05)
    async with asyncio.timeout(2):
        carried = await carrier.send(outgoing())
    assert (carried.outcome, carried.unsure) == ("later", True)
    assert carrier.counts.timeouts == 1
