"""Messages in a file."""

from __future__ import annotations

import resource
from pathlib import Path

import msgspec

from placet_server.gateways.file import FileGateway, FileSettings
from placet_server.plugin import GatewayKit
from placet_server.testing import ManualClock
from support.carrying import outgoing


async def test_a_line_that_a_full_disk_cut_is_not_accepted(tmp_path: Path) -> None:
    """The message is tried again, and what is written once there is room begins a line of its own."""
    path = tmp_path / "messages.jsonl"
    kit = GatewayKit(None, ManualClock(), tmp_path)  # type: ignore[arg-type]  # it calls nobody
    gateway = FileGateway("file", FileSettings(path), kit)
    assert (await gateway.send(outgoing(id="first"))).outcome == "accepted"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, hard))
    try:
        cut = await gateway.send(outgoing(id="cut"))
        full = await gateway.send(outgoing(id="full"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [(each.outcome, each.unsure) for each in (cut, full)] == [("later", False), ("later", False)]
    assert (await gateway.send(outgoing(id="again"))).outcome == "accepted"
    await gateway.close()
    first, _, again = path.read_bytes().splitlines()
    assert [msgspec.json.decode(line)["id"] for line in (first, again)] == ["first", "again"]


async def test_of_many_lines_a_full_disk_takes_the_first(tmp_path: Path) -> None:
    """Handed over together, those whose lines are whole are accepted, and the next line begins anew where one was cut."""
    path = tmp_path / "messages.jsonl"
    kit = GatewayKit(None, ManualClock(), tmp_path)  # type: ignore[arg-type]  # it calls nobody
    gateway = FileGateway("file", FileSettings(path), kit)
    assert [each.outcome for each in gateway.take([outgoing(id="0")] * 2)] == ["accepted"] * 2
    line = path.stat().st_size // 2
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    said = []
    try:
        for room in (2 * line, 2 * line + 9):  # up to the end of a line, and into one
            resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + room, hard))
            said.append([each.outcome for each in gateway.take([outgoing(id=str(n)) for n in range(4)])])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert said == [["accepted", "accepted", "later", "later"]] * 2
    assert (await gateway.send(outgoing(id="9"))).outcome == "accepted"
    await gateway.close()
    lines = path.read_bytes().splitlines()
    whole = [msgspec.json.decode(each)["id"] for each in lines if each.endswith(b"}")]
    assert (whole, len(lines)) == (["0", "0", "0", "1", "0", "1", "9"], 8)
