"""``placet-server gateway`` and ``message``, against a running server and a closed folder."""

import json
from pathlib import Path

import pytest

from placet_server.cli import program
from support.carrying import secret
from support.programs import answer, invoked, run, serving


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with two gateways."""
    folder = tmp_path / "data"
    assert alone("init", "--data", folder)[0] == 0
    secret(folder, "k3y-of-vendor", "key")
    (folder / "placet.toml").write_text(
        '[gateway.paper]\ntype = "file"\nchannels = ["sms", "email"]\n'
        '[gateway.vendor]\ntype = "http_template"\nchannels = ["voice"]\nurl = "http://127.0.0.1:9/{secret.key}"\n'
        'secret_files = { key = "key" }\n'
    )
    return folder


def test_gateways_are_listed_tried_and_counted(data: Path) -> None:
    """Of a running server: names, types and channels in their order, what each test said, and what became of it."""
    with serving(data):
        assert [
            (each["name"], each["type"], each["channels"])
            for each in answer("gateway", "list", "--data", data)
        ] == [
            ("paper", "file", ["email", "sms"]),
            ("vendor", "http_template", ["voice"]),
        ]
        done = answer("gateway", "test", "paper", "--to", "+34 600 00 00 00", "--text", "Hi", "--data", data)
        assert (done["outcome"], done["channel"], done["to"]) == ("accepted", "sms", "+34*******00")
        done = answer("gateway", "test", "paper", "--to", "Ana@example.org", "--data", data)
        assert (done["outcome"], done["channel"], done["to"]) == ("accepted", "email", "a***@example.org")
        failed = run("gateway", "test", "vendor", "--to", "+34600000000", "--json", "--data", data)
        assert failed.status == 1
        assert json.loads(failed.out)["reason"] == "no connection"
        assert failed.err == "Error: The gateway did not take it: no connection.\n"
        paper, vendor = answer("gateway", "list", "--data", data)
        assert (paper["accepted"], vendor["later"], vendor["last_reason"]) == (2, 1, "no connection")
    lines = [json.loads(line) for line in (data / "messages.jsonl").read_text().splitlines()]
    assert [(line["to"], line["text"]) for line in lines] == [
        ("+34600000000", "Hi"),
        ("ana@example.org", "This is a test message."),
    ]


def alone(*words: str | Path) -> tuple[int, str, str]:
    """Status, output and errors of a command on a folder that no server has open."""
    done = invoked(program, *words)
    return done.exit_code, done.stdout, done.stderr


def test_what_a_command_cannot_do_is_said(data: Path) -> None:
    """One sentence on stderr and status 1."""
    for words, sentence in (
        (
            ("gateway", "test", "papr", "--to", "+34600000000"),
            "There is no gateway 'papr': did you mean paper?",
        ),
        (("gateway", "test", "paper", "--to", "hello"), "invalid_destination"),
        (
            ("gateway", "test", "paper", "--to", "+34600000000", "--channel", "voice"),
            "paper does not carry voice",
        ),
        (("message", "show", "nothing"), "There is no such message. (not_found)"),
    ):
        status, _, said = alone(*words, "--data", data)
        assert status == 1
        assert sentence in said


def test_without_messages_the_list_is_empty(data: Path) -> None:
    """A page has its cursor all the same."""
    assert json.loads(alone("message", "list", "--json", "--data", data)[1]) == {"messages": [], "next": None}


def test_a_wrong_table_stops_every_start(data: Path) -> None:
    """Server and commands name the key and end with status 3."""
    (data / "placet.toml").write_text('[gateway.paper]\ntype = "fil"\n')
    said = "Error: gateway.paper: unknown type 'fil': did you mean 'file'?\n"
    assert alone("gateway", "list", "--data", data) == (3, "", said)
    served = run("serve", "--data", data)
    assert (served.status, served.err) == (3, said)


def test_a_server_without_gateways_says_where_messages_stay(tmp_path: Path) -> None:
    """One line when it starts; with a gateway there is none."""
    data = tmp_path / "data"
    with serving(data) as running:
        running.stop()
        lines = [json.loads(line) for line in running.log.read_text().splitlines()]
    (said,) = [line for line in lines if line["event"] == "no_gateway_set_so_messages_stay_in_a_file"]
    assert (said["level"], said["file"]) == ("warning", str(data / "messages.jsonl"))
