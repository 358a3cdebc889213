"""What docs/api/afilnet.md shows is what a real server says."""

from __future__ import annotations

from pathlib import Path

from support.afilnet import afilnet
from support.transcripts import replay, untold


async def test_the_transcripts_are_what_happens(tmp_path: Path) -> None:
    """Every request of both transcripts gets its answer to the letter."""
    async with afilnet(tmp_path / "one", price=500) as at:

        async def arrived(values: dict[str, str]) -> None:
            (message,) = await at.arrived(1)
            assert message["text"] == f"Your code is {values['code']}"

        await replay("afilnet", at.live.url, doing={"arrived": arrived})
    async with afilnet(tmp_path / "two") as at:
        await replay("afilnet_ways", at.live.url)


def test_the_page_shows_nothing_else() -> None:
    """Every exchange of the page stands in a transcript, word for word."""
    assert untold("api/afilnet.md", ["afilnet", "afilnet_ways"]) == []
