"""The far end of the ``file`` gateway: what people got, as the server's data folder has it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

FILE = "messages.jsonl"


def messages(data: Path) -> list[dict[str, Any]]:
    """Everything that was carried so far, oldest first."""
    file = data / FILE
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


async def message(data: Path, message_id: str, seconds: float = 30) -> dict[str, Any]:
    """One message, as soon as it is there."""
    async with asyncio.timeout(seconds):
        while True:
            for each in messages(data):
                if each["id"] == message_id:
                    return each
            await asyncio.sleep(0.01)


async def text(data: Path, message_id: str) -> str:
    """What stood in a message: the code alone, where the template is ``{code}``."""
    carried: str = (await message(data, message_id))["text"]
    return carried
