"""The app in a real terminal, driven by real keys."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from placet_authenticator.settings import Settings
from placet_authenticator.vault import QUICK, Vault
from placet_protocol.totp import hotp, step
from support.apps import token
from support.persons import PASSPHRASE
from support.programs import environment
from support.tmux import Terminal, terminal

PLACET = Path(sys.executable).parent / "placet"
ROOT = Path(__file__).resolve().parents[2]
ACME = token("Acme Pay", "ada@example.com")


def codes_near(now: float) -> set[str]:
    """The codes of the steps around this second."""
    return {hotp(ACME.secret, step(int(now * 1000), 30) + at, 6, "SHA1") for at in (-1, 0, 1)}


def unlock(window: Terminal) -> None:
    """Type the passphrase."""
    window.shows("Placet is locked")
    window.type(PASSPHRASE)
    window.press("Enter")
    window.shows("1 Inbox", "e Enrol")


def test_a_code_is_copied_to_the_terminal_and_leaves_it_with_the_lock(tmp_path: Path) -> None:
    """Unlock, go to the codes, copy: tmux has the digits. Lock: neither screen nor clipboard has them any more."""
    settings = Settings(tmp_path)
    with Vault.create(settings.vault, PASSPHRASE, profile=QUICK) as vault:
        vault.put(ACME)
    with terminal(tmp_path, [PLACET], PLACET_HOME=str(tmp_path)) as window:
        unlock(window)
        window.press("2")
        window.shows("ada@example.com", "••• •••")
        window.press("Enter")
        window.until(lambda: window.tmux("show-buffer").strip().isdigit())
        copied = window.tmux("show-buffer").strip()
        assert copied in codes_near(time.time())
        assert f"{copied[:3]} {copied[3:]}" not in window.screen()
        window.press("C-l")
        window.shows("Placet is locked")
        assert "ada@example.com" not in window.screen()
        window.until(lambda: window.tmux("show-buffer").strip() == "")
        unlock(window)
        window.press("q")
        window.shows("ended 0")


@pytest.mark.slow
def test_the_demo_in_a_terminal_is_the_app_and_leaves_nothing(tmp_path: Path) -> None:
    """A request comes, the number of Acme Pay's page approves it, the effect is shown; quitting cleans up."""
    demo = [sys.executable, "-m", "demo"]
    with terminal(tmp_path, ["env", "-C", str(ROOT), *demo], TMPDIR=str(tmp_path)) as window:
        window.shows("Pay 1,250.00 EUR", "Your number:", "● Acme Pay connected")
        number = re.search(r"Your number:\s+((?:\d ?)+)", window.screen())
        assert number
        window.press("Enter")
        window.shows("There is one try")
        for digit in number[1].split():
            window.press_and_see(digit)
            time.sleep(0.15)  # a hand's pace: faster keys are taken for a paste
        window.press("Enter")
        window.shows("Paid. Thank you!", "the receipt says approved")
        assert "polling" not in window.screen()
        window.press("q")
        window.shows("The demo is over", "ended 0")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("placet-demo")] == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of a hang-up")
def test_the_app_ends_with_a_terminal_that_signals_nobody(tmp_path: Path) -> None:
    """In a session of its own, as under nohup, a closed terminal leaves nothing that runs on."""
    master, slave = pty.openpty()
    env = environment(TERM="xterm-256color", PLACET_HOME=str(tmp_path))
    process = subprocess.Popen(
        [PLACET], stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True
    )
    os.close(slave)
    try:
        drawn = b""
        while b"Placet" not in drawn:
            drawn += os.read(master, 65536)
        os.close(master)
        assert process.wait(30) == 128 + signal.SIGHUP
    finally:
        process.kill()
        process.wait()
