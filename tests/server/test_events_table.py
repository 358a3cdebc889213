from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import get_args

from placet_protocol.approval import FINAL_STATES
from placet_server.domain.mail import Reported

ROOT = Path(__file__).resolve().parents[2]
EVENT = re.compile(r"[a-z_]+\.[a-z_]+", re.ASCII)
MESSAGE_ENDS = {*get_args(Reported), "failed"}


def raised() -> set[str]:
    """The names that the server's code gives to events, those that are put together at run time spelled out."""
    found = {f"approval_request.{state}" for state in FINAL_STATES}
    found |= {f"{kind}.{end}" for kind in ("code", "message") for end in MESSAGE_ENDS}
    for path in (ROOT / "server/placet_server").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("event"):
                words = (each.value for each in node.args if isinstance(each, ast.Constant))
                found |= {word for word in words if isinstance(word, str) and EVENT.fullmatch(word)}
    return found | {"webhook.test"}


def test_every_event_is_documented() -> None:
    """docs/api/webhooks.md lists the events that the server tells, and no other."""
    lines = (ROOT / "docs/api/webhooks.md").read_text(encoding="utf-8").splitlines()
    listed = [line.split("`")[1] for line in lines if line.startswith("| `")]
    assert len(listed) == len(set(listed))
    assert set(listed) == raised()
