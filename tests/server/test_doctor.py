"""``placet-server doctor``, on a closed folder and against a running server."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from placet_server.cli import program
from support.programs import invoked, serving


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder whose master key lies elsewhere, with a mail gateway."""
    folder = tmp_path / "data"
    _answer("init", "--data", folder, "--key-file", tmp_path / "master.key")
    settings = f'key_file = "{tmp_path / "master.key"}"\n'
    mail = '[gateway.mail]\ntype = "smtp"\nhost = "127.0.0.1"\nsecurity = "none"\nfrom = "a@acme.example"\n'
    (folder / "placet.toml").write_text(settings + mail)
    return folder


def test_a_folder_in_order_has_no_problem(data: Path) -> None:
    """Nothing is said but that an application without a webhook has to ask, and the exit status is 0."""
    assert _named(data) == (0, {})
    _answer("application", "add", "shop", "--data", data)
    assert _named(data) == (0, {"no_webhook": "note"})
    assert _run("doctor", "--data", data)[1].splitlines()[-1] == "No problem was found."


def test_what_is_careless_is_named(tmp_path: Path) -> None:
    """The key beside the data, codes in a file, open networks, and a listener without TLS."""
    folder = tmp_path / "data"
    _answer("init", "--data", folder, "--public-url", "https://placet.example.com")
    (folder / "placet.toml").write_text(
        'host = "0.0.0.0"\negress_allow = ["0.0.0.0/0"]\ntrusted_proxy = ["0.0.0.0/0"]\ndemo = true\n'
    )
    folder.chmod(0o755)
    _answer("application", "add", "shop", "--data", folder)
    _answer("application", "set", "shop", "callback.hosts=*", "--data", folder)
    assert _named(folder) == (
        1,
        {
            "any_callback_host": "warning",
            "demo": "warning",
            "egress_allow": "problem",
            "file_gateway": "problem",
            "key_beside_data": "warning",
            "no_tls": "warning",
            "no_webhook": "note",
            "readable_by_others": "problem",
            "trusted_proxy": "problem",
        },
    )


def test_a_server_without_gateways_that_others_reach_is_named(tmp_path: Path) -> None:
    """Where no file is written either, codes are refused, and the doctor says so before a caller does."""
    folder = tmp_path / "data"
    _answer("init", "--data", folder, "--public-url", "https://placet.example.com")
    assert _named(folder) == (0, {"key_beside_data": "warning", "no_gateway": "warning"})


def test_faces_that_guesses_open_are_named_and_their_secrets_are_not(data: Path) -> None:
    """A short key and a chosen password without networks; with networks, or a key of our own, there is nothing to say."""
    _answer("application", "add", "shop", "--data", data)
    words = ("credential", "add", "--application", "shop", "--data", data)
    _answer(*words, "--face", "authy")
    _answer(*words, "--face", "authy", "--api-key", "sh0rtkey9", "--allow-ip", "10.0.0.0/8")
    assert _named(data) == (0, {"no_webhook": "note"})
    _answer(*words, "--face", "authy", "--api-key", "sh0rtkey8")
    assert _named(data) == (1, {"no_webhook": "note", "short_secret": "problem"})
    assert "sh0rtkey8" not in _run("doctor", "--data", data)[1]


def test_a_clock_that_went_back_is_named(data: Path) -> None:
    """What was written last is later than now."""
    _answer("application", "add", "shop", "--data", data)
    with closing(sqlite3.connect(data / "placet.db")) as store, store:
        store.execute("UPDATE audit SET at = at + 90000")
    assert _named(data) == (1, {"clock": "problem", "no_webhook": "note"})


def test_a_running_server_is_asked(data: Path) -> None:
    """What it says of itself is what the closed folder says, and texts to all countries are a warning."""
    secret = data / "sms.secret"
    secret.write_text("s3cret\n")
    secret.chmod(0o600)
    with (data / "placet.toml").open("a") as file:
        file.write(
            '[gateway.sms]\ntype = "kannel"\nurl = "http://127.0.0.1:9/s"\nusername = "u"\n'
            'password_file = "sms.secret"\n'
        )
    with serving(data):
        _answer("application", "add", "shop", "--data", data)
        assert _named(data) == (0, {"all_countries": "warning", "no_webhook": "note"})
        _answer("application", "set", "shop", "code.breaker=0", "code.countries=34", "--data", data)
        said = _named(data)
    assert said == _named(data) == (1, {"no_pumping_guard": "problem", "no_webhook": "note"})


def _named(folder: Path) -> tuple[int, dict[str, Any]]:
    """The exit status, and the level of each finding by its name."""
    status, out = _run("doctor", "--data", folder, "--json")
    said = msgspec.json.decode(out)
    assert said["healthy"] == (status == 0)
    return status, {each["name"]: each["level"] for each in said["findings"]}


def _answer(*words: str | Path) -> Any:
    """The answer of a command that succeeds."""
    status, out = _run(*words, "--json")
    assert status == 0, out
    return msgspec.json.decode(out)


def _run(*words: str | Path) -> tuple[int, str]:
    """The program in this process: its exit status and what it printed."""
    done = invoked(program, *words)
    return done.exit_code, done.output
