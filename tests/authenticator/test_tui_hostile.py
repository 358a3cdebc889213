"""What reaches the terminal from the app when texts are hostile: the bytes are captured on a pty."""

from __future__ import annotations

import fcntl
import os
import pty
import random
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from placet_authenticator.inbox import Arrived, Notice, Noticed, opened
from placet_authenticator.items import place_of
from placet_authenticator.records import Held, Past, Record, Token, Told
from placet_authenticator.tui.texts import one_line
from placet_authenticator.vault import QUICK, Vault
from placet_protocol.documents import Context, RelyingParty
from support import parties
from support.desks import desk, document, enrollment, entry, held
from support.persons import PASSPHRASE
from support.programs import environment

PROGRAM = str(Path(sys.executable).parent / "placet")
ATTACKS = (
    "\x1b[4242m",
    "\x1b[2J\x1b[4242;1H",
    "\x1b]0;canary-title\x07",
    "\x1b]52;c;Y2FuYXJ5\x07",
    "\x1b]8;;https://canary.example\x1b\\",
    "\x1bPcanary\x1b\\",
    "\x9b31m",
    "\x90canary\x9c",
    "\r",
    "\x08\x08",
    "\x7f",
    "\x00",
    "\u202e",
    "\u2066",
    "\u200b",
    "\u2028",
    "\ufeff",
    "\U000e0041",
    "\u00ad",
    "\ue000",
    "\t",
    "[@click=app.quit]",
    "[/b][red]",
)
DRAWING_NOTHING = re.compile(
    "[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\xad\u200b\u2028-\u202e\u2060-\u206f\ufeff\ue000\U000e0041]"
)
OWN = re.compile(
    r"\x1b(?:\[[0-9;:?<>=$]*[@-~]|\]2;(?:\(\d+\) )?Placet\x1b\\|\]22;\w*\x07|P=\d*s\x1b\\|[=>()][0-9A-B]?|[78])"
)
"""What the app itself says to a terminal: colours, cursor, modes, its own title."""


def hostile(chance: random.Random, length: int) -> str:
    text = ""
    while len(text) < length:
        text += chance.choice([*ATTACKS, "Pay ", "10 EUR ", "żółć ", "支払い", "👩‍👩‍👧 "])
    return text[:length].strip("\u200d \n") or "x"


def records(chance: random.Random) -> list[Record]:
    """A vault in which every foreign text is hostile."""
    place = enrollment(name=hostile(chance, 40), device_name=hostile(chance, 40), origin="http://127.0.0.1:9")
    now = int(time.time())

    def asked(rid: str, created: int) -> str:
        return document(
            iss=place.origin,
            rid=rid,
            iat=created,
            exp=created + 3000,
            msg=hostile(chance, 250),
            vis=tuple((hostile(chance, 60), hostile(chance, 250)) for _ in range(20)),
            rp=RelyingParty("app-1", hostile(chance, 60)),
            ctx=Context(*(hostile(chance, 120) for _ in range(3))),
        )

    made: list[Record] = [place]
    for number in range(3):
        over = asked(f"past-{number}", now - 4000)
        made.append(
            Past(f"p{number}", place.id, over, "denied", "another device", hostile(chance, 20), now * 1000)
        )
        made.append(Told(f"n{number}", place.origin, f"n{number}", "note", hostile(chance, 200), now * 1000))
        made.append(
            Token(f"t{number}", hostile(chance, 30), hostile(chance, 30), b"1" * 20, "SHA1", 6, 30, 0)
        )
    waiting = [opened(place_of(place), asked(f"rid-{number}", now)) for number in range(2)]
    made += [Held(f"h{number}", place.id, each.document, 0) for number, each in enumerate(waiting)]
    return made


class Pty:
    """A terminal that keeps every byte."""

    def __init__(self, master: int) -> None:
        self._master = master
        self.bytes = b""

    @property
    def text(self) -> str:
        return self.bytes.decode("utf-8", "strict")

    def press(self, *keys: str) -> None:
        """Press keys, and wait after each until the terminal is quiet."""
        for key in keys:
            os.write(self._master, key.encode())
            self.read_until_quiet()

    def press_until(self, key: str, *words: str) -> None:
        """Press a key, and wait until one of these was drawn after it: what is typed ahead meets the screen before."""
        begin = len(self.bytes)
        os.write(self._master, key.encode())
        self.until(*words, begin=begin)
        self.read_until_quiet()

    def until(self, *words: str, begin: int = 0) -> None:
        """Read until one of these came, in what came from that byte on."""
        end = time.monotonic() + 30
        while not any(each in self.bytes[begin:].decode("utf-8", "replace") for each in words):
            assert time.monotonic() < end, f"{words}: {self.bytes[-3000:].decode('utf-8', 'replace')}"
            self._read(0.2)

    def read_until_quiet(self, quiet: float = 0.25) -> None:
        while self._read(quiet):
            pass

    def _read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], seconds)
        if not ready:
            return False
        try:
            chunk = os.read(self._master, 65536)
        except OSError:  # Linux says EIO when the last writer has gone
            return False
        self.bytes += chunk
        return bool(chunk)


@contextmanager
def on_a_pty(home: Path, secret: Path, columns: int, lines: int, **variables: str) -> Iterator[Pty]:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    env = environment(
        TERM="xterm-256color", PLACET_HOME=str(home), PLACET_PASSPHRASE_FILE=str(secret), **variables
    )
    process = subprocess.Popen(
        [PROGRAM], stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True
    )
    os.close(slave)
    try:
        terminal = Pty(master)
        yield terminal
        end = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < end:
            with suppress(OSError):  # gone meanwhile
                os.write(master, b"\x11")  # ctrl+q leaves from wherever a busy machine has brought the keys
            terminal.read_until_quiet(0.5)  # who leaves draws, and waits for a reader
        process.wait(1)
    finally:
        process.kill()
        process.wait()
        os.close(master)


@pytest.mark.parametrize(
    "variables", [{"COLORTERM": "truecolor"}, {"NO_COLOR": "1"}], ids=["colours", "none"]
)
def test_tui_01_no_hostile_byte_reaches_the_terminal(tmp_path: Path, variables: dict[str, str]) -> None:
    """Inbox, request, history, notices, codes and servers with hostile texts everywhere: only the app's own sequences.

    Every text of 300 is drawn; the attacks are spelled out.
    """
    home, secret = tmp_path / "home", tmp_path / "secret"
    with Vault.create(home / "vault.db", PASSPHRASE, profile=QUICK) as vault:
        vault.put(*records(random.Random(23)))
    secret.write_text(PASSPHRASE)
    secret.chmod(0o600)
    page_down, down, escape = "\x1b[6~", "\x1b[B", "\x1b"
    with on_a_pty(home, secret, 140, 45, **variables) as terminal:
        terminal.until("Waits for you")
        for _ in range(6):
            terminal.press_until("\r", "Back", time.strftime("%B %Y"))  # a notice says when it was told
            terminal.press(page_down, page_down, page_down)
            terminal.press_until(escape, "Waits for you")
            terminal.press(down)
        terminal.press_until("2", "to search")
        terminal.press("v")
        terminal.press_until("m", "Look around")
        terminal.press("\t")
        terminal.press_until("\r", "Goes away within")
        terminal.press("t")
        terminal.press_until(escape, "to search")
        terminal.press_until("3", "This device")
        terminal.press_until("1", "Waits for you")
    drawn = terminal.text
    assert "U+202E" in drawn
    assert "U+001B" in drawn
    rest = OWN.sub("", drawn)
    assert "\x1b" not in rest, repr(rest[max(0, rest.index("\x1b") - 40) :][:120])
    assert DRAWING_NOTHING.findall(rest.replace("\r\n", "\n")) == []
    assert not re.search(r"\x1b\[[0-9;]*4242", drawn)
    assert "\x1b[2J" not in drawn


async def test_tui_02_markup_is_text_in_every_place(tmp_path: Path) -> None:
    """Hundreds of fuzzed texts with markup, in toasts and lists too: drawn as they are, and nothing crashes."""
    chance = random.Random(2)
    parts = [
        "[",
        "]",
        "[/",
        "[@click=",
        "app.quit()",
        "[b",
        "$primary",
        "\\[",
        "[link=",
        '"',
        "'",
        "(",
        "red",
        " ",
        "x",
        "=",
    ]
    texts = ["".join(chance.choices(parts, k=chance.randint(1, 12))).strip() or "[" for _ in range(300)]
    for text in texts:
        assert one_line(text) == text
    async with desk(tmp_path / "home", [enrollment(name="[/b] [x"), held()]) as here:
        for number, text in enumerate(texts[:8]):
            new = entry(rid=f"r{number}", msg=text, rp=RelyingParty("a", text), vis=((text, text),))
            told = Noticed(Notice(parties.ORIGIN, f"n{number}", "k", text, here.clock.now))
            await here.hear(Arrived(new), told)
            assert here.toasts()[-2:] == [f"{text} asks: {text}", f"[/b] [x says: {text}"]
            await here.press("enter")
            assert type(here.app.screen).__name__ == "ApprovalScreen"
            await here.press("escape")
        assert here.app.is_running
