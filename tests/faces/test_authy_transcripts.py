"""What docs/api/authy.md shows has happened: each transcript is sent to a real server and compared to the letter."""

from __future__ import annotations

from pathlib import Path

import pytest

from placet_server.testing import ManualClock
from support.authying import KEY, Authy, authy_server
from support.transcripts import Doing, Values, replay, untold

NAMES = ("authy-users", "authy-codes", "authy-approvals", "authy-phones")


def actions(authy: Authy, clock: ManualClock) -> dict[str, Doing]:
    """What happens beside the calls."""

    async def arrived(values: Values) -> None:
        values["code"] = code = await authy.code(1)
        values["wrong"] = f"{(int(code) + 1) % 10 ** len(code):0{len(code)}d}"

    async def token(values: Values) -> None:
        domain, now = authy.server.domain, clock.now()
        org = (await domain.applications.named("acme")).org
        user = await domain.users.by_tfa_id(org, int(values["user"]))
        await domain.soft_tokens.create(user, "Ada", "acme", now, confirmed=True)

    async def late(_values: Values) -> None:
        clock.advance(seconds=300)

    return {"arrived": arrived, "token": token, "late": late}


@pytest.mark.parametrize("name", NAMES)
async def test_a_transcript_is_answered_to_the_letter(tmp_path: Path, name: str) -> None:
    """Requests as they are written give the answers that are written beside them."""
    clock = ManualClock()
    async with authy_server(tmp_path, clock) as authy:
        given = {"key": KEY}
        if name != "authy-users":
            given["user"] = str(await authy.ada())
        await replay(name, authy.server.url, given, actions(authy, clock))


def test_the_page_shows_what_was_executed() -> None:
    """Each exchange in docs/api/authy.md stands in a transcript, word for word."""
    assert untold("api/authy.md", NAMES) == []
