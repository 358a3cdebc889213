"""``placet-server enroll`` with a real device on the other side."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from support.programs import DEADLINE, PROGRAM, answer, environment, run, serving

PLACET = Path(sys.executable).parent / "placet"


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A served data folder with an application and the user 7."""
    folder = tmp_path / "data"
    with serving(folder):
        answer("application", "add", "shop", "--data", folder)
        answer("user", "add", "--email", "ada@example.com", "--tfa-id", "7", "--data", folder)
        yield folder


@contextlib.contextmanager
def _inviting(data: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen(
        [PROGRAM, "enroll", "7", "--wait", "--json", "--data", data, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        assert process.stdout is not None
        yield process, msgspec.json.decode(process.stdout.readline())["uri"]
    finally:
        process.kill()
        process.communicate()


def _join(folder: Path, uri: str) -> str:
    """Enrol a device and give the six digits that it shows."""
    folder.mkdir()
    passphrase = folder / "passphrase"
    passphrase.write_text("correct horse battery staple\n")
    passphrase.chmod(0o600)
    done = subprocess.run(
        [PLACET, "enroll", "-", "--yes", "--json"],
        input=uri,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        env=environment(PLACET_HOME=str(folder / "home"), PLACET_PASSPHRASE_FILE=str(passphrase)),
        check=True,
    )
    return str(msgspec.json.decode(done.stdout)["check"])


def test_a_device_joins_by_the_digits_that_it_shows(data: Path, tmp_path: Path) -> None:
    """The invitation waits, the digits are confirmed by a second command, the device is active; then it is revoked.

    Digits are taken as the device shows them, with a space; what are not six costs no try.
    """
    with _inviting(data) as (inviting, uri):
        check = _join(tmp_path / "one", uri)
        assert inviting.stderr is not None
        assert (
            "--confirm DIGITS" in inviting.stderr.readline()
        )  # once the waiting command has seen the device
        wrong = run("enroll", "7", "--confirm", "000000" if check != "000000" else "000001", "--data", data)
        assert wrong.status == 1
        assert "2 tries are left" in wrong.err
        for typed in (check[:5], check + "1", "digits", "", "١٢٣٤٥٦"):
            assert "six digits" in run("enroll", "7", "--confirm", typed, "--data", data).err
        confirmed = answer("enroll", "7", "--confirm", f" {check[:3]} {check[3:]} ", "--data", data)
        assert confirmed["status"] == "confirmed"
        out, _ = inviting.communicate(timeout=DEADLINE)
        assert msgspec.json.decode(out)["status"] == "confirmed"
        assert inviting.returncode == 0
    (device,) = answer("device", "list", "7", "--data", data)
    assert (device["status"], device["id"]) == ("active", confirmed["device"])
    assert answer("user", "status", "7", "--data", data)["devices"] == [device]
    answer("device", "revoke", device["id"], "--data", data)
    (revoked,) = answer("device", "list", "7", "--data", data)
    assert revoked["status"] == "revoked"


def test_an_invitation_that_ends_badly_ends_the_wait_with_status_1(data: Path, tmp_path: Path) -> None:
    """After three wrong checks the waiting command says that the invitation is void."""
    with _inviting(data) as (inviting, uri):
        check = _join(tmp_path / "one", uri)
        for number in range(3):
            wrong = f"{(int(check) + 1 + number) % 1_000_000:06d}"
            assert run("enroll", "7", "--confirm", wrong, "--data", data).status == 1
        out, err = inviting.communicate(timeout=DEADLINE)
        assert msgspec.json.decode(out)["status"] == "void"
        assert "invite again" in err
        assert inviting.returncode == 1


def test_waiting_needs_a_server(tmp_path: Path) -> None:
    """Without a server no device can answer, and the command says so instead of waiting; so after one was killed."""
    data = tmp_path / "data"
    answer("init", "--data", data)
    answer("application", "add", "shop", "--data", data)
    answer("user", "add", "--email", "ada@example.com", "--tfa-id", "7", "--data", data)
    for left_behind in (False, True):
        if left_behind:
            with socket.socket(socket.AF_UNIX) as killed:
                killed.bind(str(data / "admin.sock"))
        done = run("enroll", "7", "--wait", "--data", data)
        assert done.status == 1
        assert "start it by `serve`" in done.err
