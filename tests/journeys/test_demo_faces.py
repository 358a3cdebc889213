"""The demos of foreign integrations, run as a person runs them."""

from __future__ import annotations

import asyncio
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest

from placet_server.domain.credentialkinds import KINDS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("face", KINDS)
async def test_an_integration_of_another_service_works_on_a_changed_host(face: str) -> None:
    """``demo --face`` ends with 0 after every step came out, and prints no code or secret in what the log kept."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "demo", "--face", face, cwd=ROOT, stdout=PIPE, stderr=STDOUT
    )
    out = (await asyncio.wait_for(process.communicate(), 120))[0].decode()
    assert process.returncode == 0, out
    assert f"An integration of {face} works by changing its host." in out
    logged = out.partition("The operator's log shows the calls")[2]
    codes = set(re.findall(r"(?:sms|voice) to \S+: .*?(\d{6,8})\b", out))
    assert not [code for code in codes if code in logged]
    assert "UVKEY1" not in logged
    assert "OCTOKEY" not in logged
    assert "s3cret" not in logged
