"""``placet-server serve`` as a process: how it starts, what it leaks, how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import stat
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import msgspec
import pytest

from support.programs import DEADLINE, PROGRAM, answer, environment, run, serving


def _get(url: str, context: ssl.SSLContext | None = None) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=10, context=context) as said:  # noqa: S310 - our own server
            return said.status, said.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_an_empty_folder_is_initialised_and_served(tmp_path: Path) -> None:
    """One command gives a running server: healthy, ready, with private files and a private operator's socket."""
    data = tmp_path / "data"
    with serving(data) as server:
        assert _get(server.url + "/healthz") == (200, b'{"status":"ok"}')
        assert _get(server.url + "/readyz")[0] == 200
        assert _get(server.url + "/v1/users/1")[0] == 401
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
        assert {
            file.name: stat.S_IMODE(file.stat().st_mode) & 0o077 for file in data.iterdir()
        } == dict.fromkeys((file.name for file in data.iterdir()), 0)
        assert stat.S_IMODE((data / "admin.sock").stat().st_mode) == 0o600
        made = answer("application", "add", "shop", "--data", data)
        assert server.stop() == 0
    assert not (data / "admin.sock").exists()
    assert answer("application", "list", "--data", data)[0]["id"] == made["id"]
    lines = [msgspec.json.decode(line) for line in server.log.read_text().splitlines()]
    events = [line["event"] for line in lines if line["logger"] == "placet"]
    assert events == ["serving", "no_gateway_set_so_messages_stay_in_a_file", "stopping"]


def test_the_audit_log_is_signed_outside_the_store(tmp_path: Path) -> None:
    """A moment after a change, checkpoints.txt holds a signed statement of the log."""
    data = tmp_path / "data"
    with serving(data):
        answer("application", "add", "shop", "--data", data)
        ends = time.monotonic() + DEADLINE
        while not (data / "checkpoints.txt").exists() and time.monotonic() < ends:
            time.sleep(0.05)
        text = (data / "checkpoints.txt").read_text()
        assert text.startswith("127.0.0.1:")
        assert "\N{EM DASH} 127.0.0.1:" in text


def test_a_server_left_by_kill_is_replaced(tmp_path: Path) -> None:
    """After SIGKILL nothing hinders the next start, and commands work without a server though its socket is left."""
    data = tmp_path / "data"
    with serving(data) as server:
        made = answer("application", "add", "shop", "--data", data)
        server.process.kill()
        server.process.wait()
    assert (data / "admin.sock").exists()
    assert answer("application", "list", "--data", data)[0]["id"] == made["id"]
    with serving(data, "--port", str(urlsplit(server.url).port)) as again:
        assert again.url == server.url
        assert _get(again.url + "/readyz")[0] == 200
        assert again.stop() == 0


def test_a_second_server_on_the_same_data_refuses(tmp_path: Path) -> None:
    """Only one process has a data folder; the other one says who."""
    data = tmp_path / "data"
    with serving(data) as server:
        second = run("serve", "--data", data, "--port", "0")
        assert second.status == 3
        assert f"in use by process {server.process.pid}" in second.err
        assert second.out == ""
        assert _get(server.url + "/healthz")[0] == 200


def test_a_taken_address_is_named(tmp_path: Path) -> None:
    """A start on a port that somebody else has ends with the way out, and the folder can take it."""
    data = tmp_path / "data"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("serve", "--data", data, "--port", str(taken.getsockname()[1]))
    assert done.status == 3
    assert "choose another by --port" in done.err
    assert "Traceback" not in done.err
    with serving(data) as server:
        assert (
            "listening on" not in server.url
        )  # its public URL is its own, not that of who had the first port


@pytest.mark.parametrize("spoiled", ["missing", "other", "short", "folder"])
def test_key_02_a_wrong_master_key_is_refused_at_the_start(tmp_path: Path, spoiled: str) -> None:
    """Without the very key of the store the server never answers a request, and never makes a new key."""
    data = tmp_path / "data"
    key = data / "master.key"
    answer("init", "--data", data)
    right = key.read_bytes()
    key.unlink()
    if spoiled == "folder":
        key.mkdir()
    elif spoiled != "missing":
        key.write_bytes(os.urandom(32) if spoiled == "other" else right[:31])
        key.chmod(0o600)
    for words in (("serve", "--port", "0"), ("application", "list")):
        done = run(*words, "--data", data)
        assert done.status == 3
        assert "master key" in done.err.lower()
        assert done.out == ""
    assert key.exists() == (spoiled != "missing")
    if spoiled == "folder":
        key.rmdir()
    key.write_bytes(right)
    key.chmod(0o600)
    assert answer("application", "list", "--data", data) == []


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_key_05_a_key_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    """The key file must be its owner's alone, wherever it lies; the sentence says what to do."""
    data, key = tmp_path / "data", tmp_path / "key"
    answer("init", "--data", data, "--key-file", key)
    assert not (data / "master.key").exists()
    key.chmod(mode)
    done = run("serve", "--data", data, "--key-file", key, "--port", "0")
    assert done.status == 3
    assert "chmod 0600" in done.err
    key.chmod(0o600)
    with serving(data, "--key-file", str(key)) as server:
        assert server.stop() == 0


def test_key_05_nothing_secret_is_in_the_process_list(tmp_path: Path) -> None:
    """Arguments and environment of the server hold no key, and its memory is closed to other processes."""
    data = tmp_path / "data"
    with serving(data) as server:
        secret = answer("application", "add", "shop", "--data", data)["api_key"]
        master = (data / "master.key").read_bytes()
        process = Path("/proc") / str(server.process.pid)
        for name in ("cmdline", "environ"):
            try:
                text = (process / name).read_bytes()
            except PermissionError:  # not dumpable, and this test does not run as root
                continue
            for form in (master, master.hex().encode(), secret.encode()):
                assert form not in text
        limits = (process / "limits").read_text().splitlines()
        (core,) = [line for line in limits if line.startswith("Max core file size")]
        assert core.split()[4:6] == ["0", "0"]
        assert stat.S_ISREG((process / "mem").stat().st_mode)
        assert (
            process / "mem"
        ).stat().st_uid == 0  # the kernel gives the files of what is not dumpable to root


def test_key_05_a_crash_leaves_no_core(tmp_path: Path) -> None:
    """SIGSEGV ends the server without writing its memory anywhere."""
    data = tmp_path / "data"
    with serving(data) as server:
        server.process.send_signal(signal.SIGSEGV)
        assert server.process.wait(DEADLINE) == -signal.SIGSEGV
    assert list(tmp_path.rglob("*core*")) == []


async def test_dur_04_sigterm_finishes_what_has_begun(tmp_path: Path) -> None:
    """Slow calls in flight get their answers, new connections are refused, waiting ones end at once, status is 0."""
    data = tmp_path / "data"
    with serving(data) as server:
        key = (await asyncio.to_thread(answer, "application", "add", "shop", "--data", data))["api_key"]
        place = urlsplit(server.url)
        lines = [await asyncio.open_connection(place.hostname, place.port) for _ in range(20)]
        body = b'{"email":"ada@example.com"}'
        head = (
            f"POST /v1/users HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode()
        for _, writer in lines:
            writer.write(head + body)
            await writer.drain()
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as http:
            async with http.post(server.url + "/v1/users", json={"email": "bob@example.com"}) as made:
                user = (await made.json())["tfa_id"]
            async with http.post(f"{server.url}/v1/users/{user}/enrollments") as made:
                enrollment = (await made.json())["id"]
            waiting = asyncio.create_task(http.get(f"{server.url}/v1/enrollments/{enrollment}?wait=60"))
            await asyncio.sleep(0.1)
            # What is answered behind it says that it has begun.
            async with http.get(f"{server.url}/v1/enrollments/{enrollment}") as made:
                assert (await made.json())["status"] == "open"
            started = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            for reader, writer in lines:
                said = await reader.readuntil(b"\r\n")
                assert said.split()[1] in {b"200", b"201"}
                writer.close()
            async with await waiting as polled:
                assert (await polled.json())["status"] == "open"
        assert await asyncio.to_thread(server.process.wait, DEADLINE) == 0
        assert time.monotonic() - started < 10
        with pytest.raises(ConnectionError):
            await asyncio.open_connection(place.hostname, place.port)
    assert "Traceback" not in server.log.read_text()


def test_tls_is_served_with_the_given_certificate(tmp_path: Path) -> None:
    """With a certificate the URL is https, and plain http is no way in."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    with serving(tmp_path / "data", "--tls-cert", str(cert), "--tls-key", str(key)) as server:
        assert server.url.startswith("https://127.0.0.1:")
        trusting = ssl.create_default_context(cafile=str(cert))
        assert _get(server.url + "/healthz", trusting)[0] == 200
        with pytest.raises(OSError):  # noqa: PT011 - how a broken handshake is told differs
            _get(server.url.replace("https", "http") + "/healthz")
    wrong = run("serve", "--data", tmp_path / "other", "--tls-cert", key, "--tls-key", cert, "--port", "0")
    assert wrong.status == 3
    assert "Cannot use" in wrong.err


def test_settings_come_from_file_and_environment(tmp_path: Path) -> None:
    """A server can be set up without any option."""
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (data / "placet.toml").write_text(
        'public_url = "https://placet.example.com"\ntrusted_proxy = ["127.0.0.1/32"]\n'
    )
    process = subprocess.Popen(
        [PROGRAM, "serve", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(PLACET_DATA=str(data), PLACET_PORT="0", PLACET_HOST="0.0.0.0"),  # noqa: S104 - behind a proxy
    )
    assert process.stdout is not None
    with process.stdout:
        ready = msgspec.json.decode(process.stdout.readline())
    process.terminate()
    assert process.wait(DEADLINE) == 0
    assert ready["url"] == "https://placet.example.com"
    assert ready["listening"].startswith("http://0.0.0.0:")
