"""Delivery reports: secret URLs, forged ones, and what a report may change."""

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from placet_server.domain.destinations import Destination
from placet_server.domain.mail import MessageInfo
from placet_server.domain.onecode import CodeDraft, Issued
from placet_server.domain.values import Caller
from placet_server.plugin import Carried, Outgoing, Report, ReportedState
from placet_server.ports import Sql, plan, step
from placet_server.testing import FaultGateway, LiveServer, RecordingGateway, live_server
from support.carrying import PHONE, eventually, secret
from support.scale import scaled
from support.twilio import SID, TOKEN, call_back, twilio

WORDS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"


class Reporting(RecordingGateway):
    """A gateway whose vendor says the state in the query."""

    def read_report(self, report: Report) -> ReportedState | None:
        """What ``state`` says."""
        state = dict(report.query).get("state")
        return state if state in {"sent", "delivered", "undelivered"} else None  # type: ignore[return-value]  # just checked


class Desk(NamedTuple):
    """A server with a code on its way, and the report URL that its gateway got."""

    server: LiveServer
    caller: Caller
    issued: Issued
    gateway: Reporting

    @property
    def url(self) -> str:
        """Where its delivery is reported."""
        url = self.gateway.sent[0].report_url
        assert url is not None
        return url

    async def info(self) -> MessageInfo:
        """How the message stands."""
        return await self.server.domain.messages.get(None, self.issued.message_id or "")

    async def call(self, url: str, method: str = "GET") -> tuple[int, Any]:
        """Status and body of a report."""
        return await self.server.call(method, url.removeprefix(self.server.url))

    async def same(self) -> tuple[Any, ...]:
        """All that a report could change."""
        store = self.server.store
        rows = await store.rows(Sql("all", "SELECT id, status, updated_at, sealed FROM messages ORDER BY id"))
        codes = await store.rows(Sql("codes", "SELECT * FROM codes ORDER BY id"))
        return tuple(rows), tuple(codes), await self.server.domain.outbox.next_due()


async def sent(server: LiveServer, gateway: Reporting) -> Desk:
    """A code that a gateway has taken."""
    await server.api_key("acme")
    caller = Caller(await server.domain.applications.named("acme"), "key", frozenset({"codes"}), "native")
    draft = CodeDraft(destination=Destination("phone", PHONE), channels=("sms",))
    issued = await server.domain.codes.issue(caller, draft, server.clock.now())
    desk = Desk(server, caller, issued, gateway)
    await eventually(desk.info, lambda info: info.status == "sent")
    return desk


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """A code on its way."""
    gateway = Reporting("g")
    async with live_server(tmp_path / "data", gateways=[gateway]) as server:
        yield await sent(server, gateway)


async def test_a_report_ends_the_message(desk: Desk) -> None:
    """204 without a body, by GET and by POST; the text is erased."""
    assert await desk.call(f"{desk.url}?state=sent", "POST") == (204, None)
    assert (await desk.info()).status == "sent"
    assert await desk.call(f"{desk.url}?state=delivered") == (204, None)
    assert (await desk.info()).status == "delivered"
    assert await desk.call(f"{desk.url}?state=undelivered") == (204, None)
    assert (await desk.info()).status == "delivered"


async def test_otp_16_forged_reports_change_nothing(desk: Desk) -> None:
    """A thousand reports with wrong secrets, other ids, other paths: the same answer to each, and nothing is written."""
    chance = random.Random(16)
    parts = urlsplit(desk.url).path.split("/")
    right = parts[5]
    before = await desk.same()
    for number in range(scaled(1_000)):
        forged = list(parts)
        kind = number % 5
        if kind == 0:
            forged[5] = "".join(chance.choices(WORDS, k=32))
        elif kind == 1:
            place = chance.randrange(32)
            forged[5] = right[:place] + chance.choice(WORDS.replace(right[place], "")) + right[place + 1 :]
        elif kind == 2:
            forged[4] = forged[4][:-1] + ("0" if forged[4][-1] != "0" else "1")
        elif kind == 3:
            forged[5] = right.swapcase()
        else:
            forged[5] = right[:-1]
        status, body = await desk.call("/".join(forged) + "?state=delivered", chance.choice(["GET", "POST"]))
        assert (status, body["code"]) == (404, "not_found"), forged
    assert await desk.same() == before


async def test_otp_16_no_report_verifies_a_code(desk: Desk) -> None:
    """Delivered or not, the code is matched by the code alone, and once."""
    await desk.call(f"{desk.url}?state=delivered")
    codes, now = desk.server.domain.codes, desk.server.clock.now()
    assert (await codes.get(desk.caller, desk.issued.id, now)).status == "live"
    wrong = "000000" if desk.issued.value != "000000" else "111111"
    assert (await codes.check(desk.caller, wrong, now, code_id=desk.issued.id)).outcome == "mismatch"
    assert (
        await codes.check(desk.caller, desk.issued.value, now, code_id=desk.issued.id)
    ).outcome == "matched"
    await desk.call(f"{desk.url}?state=delivered")
    assert (await codes.check(desk.caller, desk.issued.value, now, code_id=desk.issued.id)).outcome == "used"


async def test_enu_04_unknown_ended_and_wrong_urls_look_the_same(desk: Desk) -> None:
    """The secret has at least 128 bits; whoever guesses learns neither which messages there are nor which there were."""
    gateway, message_id, right = urlsplit(desk.url).path.split("/")[3:]
    assert len(right) * 6 >= 128
    wrong = "A" * 32
    paths = [
        f"/gateway/reports/{gateway}/{message_id}/{wrong}",
        f"/gateway/reports/nobody/{message_id}/{wrong}",
        f"/gateway/reports/{gateway}/{message_id[:-4]}0000/{right}",
        f"/gateway/reports/{gateway}/{message_id}/{right}x",
        f"/gateway/reports/{gateway}/{message_id}",
        "/gateway/reports/",
        "/gateway/nothing",
    ]
    answers = [await desk.call(path) for path in paths]
    answers.append(await desk.call(f"/gateway/reports/{gateway}/{message_id}/{wrong}", "POST"))
    await desk.server.store.write(plan(step(Sql("forget", "DELETE FROM messages"), rows=None), guards=0))
    answers.append(await desk.call(urlsplit(desk.url).path))
    for status, body in answers:
        body.pop("request_id")
        assert (status, body) == (404, answers[0][1])


@pytest.mark.parametrize(
    "query",
    ["", "?state=", "?state=verified", "?state=delivered%00", "?" + "&".join(f"a{n}=1" for n in range(90))],
)
async def test_a_report_that_says_nothing_changes_nothing(desk: Desk, query: str) -> None:
    """Words that the gateway does not know are taken and forgotten."""
    before = await desk.same()
    assert (await desk.call(desk.url + query))[0] == 204
    assert await desk.same() == before


async def test_a_report_has_bounds(desk: Desk) -> None:
    """Too many fields, too large a body: refused, and nothing changes."""
    before = await desk.same()
    many = "&".join(f"a{number}=1" for number in range(200))
    assert (await desk.call(f"{desk.url}?{many}"))[0] == 400
    async with desk.server.http.post(desk.url, data=b"x" * 70_000) as reply:
        assert reply.status == 413
    assert await desk.same() == before


async def test_only_who_carries_a_message_may_say_that_it_failed(tmp_path: Path) -> None:
    """A first gateway that hung reports a failure later; the message is with the second one and stays sent."""

    class Hanging(FaultGateway, Reporting):
        pass

    first, second = Hanging("first", [Carried("later", reason="broke", unsure=True)]), Reporting("second")
    async with live_server(tmp_path / "data", gateways=[first, second]) as server:
        desk = await sent(server, first)
        assert (await desk.info()).gateway == "second"
        assert (await desk.call(f"{desk.url}?state=undelivered"))[0] == 204
        assert (await desk.info()).status == "sent"
        other = second.sent[0].report_url
        assert other is not None
        assert (await desk.call(f"{other}?state=undelivered"))[0] == 204
        assert (await desk.info()).status == "undelivered"


async def test_a_report_may_overtake_the_gateway_s_answer(tmp_path: Path) -> None:
    """A vendor that reports before it has answered is believed, and the message is not sent again."""

    class Hasty(Reporting):
        async def send(self, message: Outgoing) -> Carried:
            carried = await super().send(message)
            async with server.http.get(f"{message.report_url}?state=delivered") as reply:
                assert reply.status == 204
            return carried

    gateway = Hasty("hasty")
    async with live_server(tmp_path / "data", gateways=[gateway]) as server:
        await server.api_key("acme")
        caller = Caller(await server.domain.applications.named("acme"), "key", frozenset({"codes"}), "native")
        draft = CodeDraft(destination=Destination("phone", PHONE), channels=("sms",))
        issued = await server.domain.codes.issue(caller, draft, server.clock.now())
        desk = Desk(server, caller, issued, gateway)
        info = await eventually(desk.info, lambda seen: seen.gateway)
        assert (info.status, info.gateway, info.reference) == ("delivered", "hasty", "hasty-1")
        assert len(gateway.sent) == 1


async def test_twilio_s_callbacks_count_with_its_signature_only(tmp_path: Path) -> None:
    """The whole way: sent through the API, called back at the message's URL, forged signatures without effect."""
    async with twilio() as made:
        table = {
            "type": "twilio",
            "account_sid": SID,
            "auth_token_file": secret(tmp_path, TOKEN),
            "sms_from": "+15550006789",
            "url": made.url,
        }
        async with live_server(tmp_path / "data", gateway={"t": table}) as server:
            desk = await sent(server, Reporting("unused"))
            form = dict(made.taken[0].form)
            assert desk.issued.value in form["Body"]
            url = form["StatusCallback"]
            said = {"MessageSid": "SM" + "f" * 32, "MessageStatus": "delivered"}
            for forged in ({"token": "other"}, {"signature": ""}, {"signature": "AAAA"}):
                assert await call_back(url, said, **forged) == 204
                assert (await desk.info()).status == "sent"
            assert await call_back(url, said) == 204
            info = await desk.info()
            assert (info.status, info.reference) == ("delivered", "SM" + "f" * 32)
