"""Codes for people who have a number and an address: each channel goes where it reaches them."""

from pathlib import Path

from placet_server.domain.onecode import CodeDraft
from placet_server.domain.users import UserDraft
from placet_server.domain.values import User
from placet_server.plugin import Carried
from placet_server.testing import FaultGateway, FixedRoutes, RecordingGateway
from support.answering import World, code_of, world
from support.messaging import Post, post

REFUSED = Carried("refused", reason="unknown number")
EVA = UserDraft(country_code="48", phone="600 100 200", email="eva@example.org")


async def eva(made: World, draft: UserDraft = EVA) -> User:
    """A user with what the draft names."""
    return (await made.domain.users.create(made.caller.org, draft, made.now))[0]


async def code(desk: Post, user: User, *channels: str) -> tuple[str, str]:
    """A new code for a user by these channels: its message and the code itself."""
    made = desk.world
    draft = CodeDraft(user=user, channels=channels)  # type: ignore[arg-type]  # words of the test
    issued = await made.domain.codes.issue(made.caller, draft, made.now)
    return issued.message_id or "", issued.value


async def test_a_code_goes_on_to_the_address_where_the_number_fails(tmp_path: Path) -> None:
    """Text message, call, mail: the mail carries the same code when no gateway takes the number, and it is right."""
    phone, mail = FaultGateway("phone", [REFUSED], "sms", "voice"), RecordingGateway("mail", "email")
    async with world(tmp_path) as made, post(made, phone, mail) as desk:
        user = await eva(made)
        message_id, value = await code(desk, user, "sms", "voice", "email")
        info = await desk.until(message_id, "sent")
        assert [(each.channel, each.to) for each in phone.sent] == [
            ("sms", "+48600100200"),
            ("voice", "+48600100200"),
        ]
        (sent,) = mail.sent
        assert (sent.to, value in sent.text) == ("eva@example.org", True)
        assert (info.channel, info.to) == ("email", "e***@example.org")
        assert await desk.report(sent, "delivered")
        assert (await desk.info(message_id)).to == "e***@example.org"
        checked = await made.domain.codes.check(made.caller, value, made.now, user=user)
        assert checked.outcome == "matched"


async def test_a_code_goes_on_to_the_number_where_the_address_fails(tmp_path: Path) -> None:
    """The order is the caller's: mail first, then the text message; one that was sent is not sent again."""
    phone, mail = RecordingGateway("phone", "sms"), FaultGateway("mail", [REFUSED], "email")
    async with world(tmp_path) as made, post(made, phone, mail) as desk:
        message_id, value = await code(desk, await eva(made), "email", "sms")
        info = await desk.until(message_id, "sent")
        assert [each.to for each in mail.sent] == ["eva@example.org"]
        assert [(each.to, value in each.text) for each in phone.sent] == [("+48600100200", True)]
        assert (info.channel, info.to) == ("sms", "+48*******00")


async def test_a_restart_forgets_neither_destination(tmp_path: Path) -> None:
    """What is read from the table goes where what was handed over in memory goes."""
    async with world(tmp_path) as made:
        made.domain.guard._routes = FixedRoutes()
        draft = CodeDraft(user=await eva(made), channels=("sms", "email"))
        issued = await made.domain.codes.issue(made.caller, draft, made.now)
        (due,) = await made.domain.deliveries.due(made.now)
        assert due.id == issued.message_id
        assert [due.at(channel).address for channel in due.channels] == ["+48600100200", "eva@example.org"]


async def test_a_channel_that_may_not_go_there_is_left_out(tmp_path: Path) -> None:
    """A country that is not allowed, or a user without a number, leaves the mail; with neither the call is refused."""
    mail = RecordingGateway("mail", "email")
    async with (
        world(tmp_path, code__countries="34") as made,
        post(made, mail, RecordingGateway("phone", "sms")) as desk,
    ):
        both = await eva(made)
        nobody = await eva(made, UserDraft(email="max@example.org"))
        for user in (both, nobody):
            await desk.until((await code(desk, user, "sms", "email"))[0], "sent")
        assert [each.to for each in mail.sent] == ["eva@example.org", "max@example.org"]
        assert await code_of(code(desk, both, "sms")) == "country_not_allowed"
        assert await code_of(code(desk, nobody, "sms")) == "invalid_destination"


async def test_both_destinations_spend_their_budget(tmp_path: Path) -> None:
    """A code that may go two ways counts for both, so that neither can be flooded by way of the other."""
    async with world(tmp_path, code__per_destination="2") as made:
        made.domain.guard._routes = FixedRoutes()
        user = await eva(made)

        async def issue(*channels: str) -> None:
            draft = CodeDraft(user=user, channels=channels)  # type: ignore[arg-type]  # as above
            await made.domain.codes.issue(made.caller, draft, made.now)

        await issue("sms", "email")
        await issue("email")
        assert await code_of(issue("email")) == "too_many_codes"
        assert await code_of(issue("sms", "email")) == "too_many_codes"
        await issue("sms")
