"""Codes on their way while the server is killed: what was answered arrives, and counts once."""

import asyncio
import os
import re
import signal
from collections.abc import Iterator
from functools import partial
from operator import le
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from support.blackbox import Remote, remote, shop
from support.carrying import eventually
from support.ports import kept_port
from support.programs import answer, serving
from support.vendors import Taken, vendor

CODES = 40
KILLS = 3


async def ask(far: Remote, number: int, kept: dict[str, str]) -> None:
    """Ask for a code until the server has answered, or is gone."""
    body = {"phone": f"+4860{number:03}0000", "channel": "sms", "text": "Code {code}"}
    try:
        made = await far.native("POST", "/v1/codes", body)
    except (aiohttp.ClientError, OSError):
        return
    kept[body["phone"]] = made["id"]


@pytest.fixture
def port() -> Iterator[int]:
    with kept_port() as kept:
        yield kept


async def test_dur_02_every_answered_code_arrives_though_the_server_is_killed(
    tmp_path: Path, port: int
) -> None:
    """Killed in full work several times: each code that was answered reaches the vendor, at most once more a kill."""
    texts: dict[str, list[str]] = {}

    def take(taken: Taken) -> tuple[int, Any]:
        form = dict(taken.form)
        texts.setdefault(form["to"], []).append(form["text"])
        return 200, ""

    data, config, url, key = tmp_path / "data", tmp_path / "placet.toml", "", ""
    kept: dict[str, str] = {}
    async with vendor(take) as made:
        config.write_text(
            f'[gateway.v]\ntype = "http_template"\nchannels = ["sms"]\nurl = "{made.url}"\ntimeout = 3\n'
            'form = { to = "{to}", text = "{text}" }\n'
        )
        for kill in range(KILLS + 1):
            with serving(data, "--config", str(config), "--port", str(port)) as running:
                if not url:
                    url = running.url
                    key, _ = await shop(data)
                async with remote(url, key) as far:
                    numbers = range(kill * CODES, (kill + 1) * CODES)
                    asked = [asyncio.create_task(ask(far, number, kept)) for number in numbers]
                    if kill < KILLS:
                        await eventually(partial(_count, kept), partial(le, len(kept) + CODES // 2))
                        os.kill(running.process.pid, signal.SIGKILL)
                        running.process.wait()
                        await asyncio.gather(*asked)
                        continue
                    await asyncio.gather(*asked)
                    await eventually(partial(_count, texts), lambda _: set(kept) <= set(texts), within=30)
                    await _all_sent(data)
                    for phone, code_id in kept.items():
                        assert len(texts[phone]) <= 1 + KILLS
                        assert len(set(texts[phone])) == 1
                        (code,) = re.findall(r"Code (\d{6})", texts[phone][0])
                        for outcome in ("matched", "used"):
                            said = await far.native("POST", f"/v1/codes/{code_id}/check", {"code": code})
                            assert said["outcome"] == outcome, said
    assert len(kept) >= CODES + KILLS * CODES // 2


async def _count(kept: dict[str, Any]) -> int:
    return len(kept)


async def _all_sent(data: Path) -> None:
    """Wait until no message is on its way any more."""

    async def states() -> set[str]:
        page = await asyncio.to_thread(answer, "message", "list", "--limit", "200", "--data", data)
        return {message["status"] for message in page["messages"]}

    assert await eventually(states, lambda seen: seen == {"sent"}) == {"sent"}
