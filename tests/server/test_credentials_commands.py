"""``placet-server credential`` and ``log``: what the operator types, on a closed data folder and on a running server."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from placet_server.cli import program
from placet_server.desk.credentials import amount, spelled
from placet_server.domain.refusals import RefusedError
from support.programs import answer, serving

FACES = ("authy", "afilnet", "unityvox", "octopush")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder with the application ``shop``."""
    data = tmp_path / "data"
    assert typed(data, "init").exit_code == 0
    assert typed(data, "application", "add", "shop").exit_code == 0
    return data


def typed(data: Path, *words: str | Path, stdin: str | None = None) -> Result:
    """One command in this process."""
    return CliRunner().invoke(program, [*map(str, words), "--data", str(data)], input=stdin, env={})


def told(data: Path, *words: str | Path, stdin: str | None = None) -> Any:
    """The JSON answer of a command that succeeds."""
    done = typed(data, *words, "--json", stdin=stdin)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def add(face: str, *words: str | Path) -> tuple[str | Path, ...]:
    return ("credential", "add", "--face", face, "--application", "shop", *words)


def test_each_face_takes_what_its_customers_hold(folder: Path, tmp_path: Path) -> None:
    """The four commands of the documentation, with balance, price, networks and switches; no secret is listed."""
    (tmp_path / "password").write_text("s3cret CANARY\nsecond line\n")
    (tmp_path / "signing").write_text("SIGNING-CANARY\n")
    authy = told(
        folder,
        *add("authy", "--api-key", "AUTHYKEY-CANARY", "--callback-url", "https://shop.example/authy"),
        *("--callback-method", "POST", "--access-key", "ACCESS-CANARY"),
        *("--signing-key-file", tmp_path / "signing"),
    )
    assert authy["api_key"] == "AUTHYKEY-CANARY"
    afilnet = told(
        folder,
        *add("afilnet", "--user", "demo@example.org", "--password-file", tmp_path / "password"),
        *("--balance", "10.00", "--price", "0.055", "--set", "returns_code=off"),
    )
    assert set(afilnet) == {"id", "face", "application"}
    told(
        folder,
        *add("unityvox", "--account-number", "100200", "--api-key", "UVKEY1"),
        *("--template", "TPL1=Your code is {code}", "--template", "TPL2={code}"),
    )
    told(
        folder,
        *add("octopush", "--api-login", "demo@example.org", "--api-key", "-", "--no-voice"),
        *("--allow-ip", "192.0.2.0/24", "--allow-ip", "2001:db8::/64"),
        stdin="OCTOKEY\n",
    )
    rows = {row["face"]: row for row in told(folder, "credential", "list")}
    assert set(rows) == set(FACES)
    assert "CANARY" not in json.dumps(rows)
    assert rows["authy"]["settings"] == {
        "callback_url": "https://shop.example/authy",
        "callback_method": "POST",
        "access_key": "(set)",
        "signing_key": "(set)",
    }
    assert rows["afilnet"]["settings"] == {"returns_code": False}
    assert (rows["afilnet"]["balance"], rows["afilnet"]["price"]) == ("10.00", "0.0550")
    assert rows["unityvox"]["settings"]["templates"] == {"TPL1": "Your code is {code}", "TPL2": "{code}"}
    assert rows["octopush"]["settings"] == {"no_voice": True}
    assert rows["octopush"]["allow_ip"] == ["192.0.2.0/24", "2001:db8::/64"]
    text = typed(folder, "credential", "list").stdout
    assert "demo@example.org" in text
    assert "CANARY" not in text


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (add("authi"), 1, "did you mean authy?"),
        (add("authy", "--user", "x"), 2, "the authy face takes --api-key, not --user"),
        (add("afilnet", "--user", "x", "--api-key", "k"), 2, "takes --user and --password, not --api-key"),
        (add("afilnet", "--user", "x"), 1, "--password-file"),
        (add("afilnet", "--password", "x"), 1, "The user has 1 to 254"),
        (add("octopush", "--api-login", "x", "--api-key", ""), 1, "The API key has 1 to 128"),
        (add("octopush", "--api-login", "x", "--template", "A=b"), 1, "it belongs to afilnet, unityvox"),
        (add("unityvox", "--account-number", "1", "--no-voice"), 1, "it belongs to octopush"),
        (add("unityvox", "--account-number", "1", "--template", "A"), 2, "as TPL1=Your code is {code}"),
        (add("unityvox", "--account-number", "1", "--sender", "-x"), 1, "takes number or up to 11 letters"),
        (add("authy", "--set", "verify_unconfirmd=lenient"), 1, "did you mean verify_unconfirmed?"),
        (add("authy", "--set", "verify_unconfirmed=no"), 1, "takes strict|lenient"),
        (add("authy", "--allow-ip", "192.0.2.1/24"), 1, "192.0.2.0/24"),
        (add("authy", "--balance", "ten"), 1, "is no amount such as 10.00"),
        (add("authy", "--callback-url", "https://127.0.0.1/x"), 1, "127.0.0.1"),
        (add("authy", "--api-key", "x", "--api-key-file", "y"), 2, "not both"),
        (add("authy", "--api-key-file", "/nowhere"), 1, "holds no line"),
        (("credential", "rotate", "nobody"), 1, "There is no such credential"),
        (("credential", "rotate", "nobody", "--now", "--keep"), 2, "exclude each other"),
        (("credential", "set", "nobody", "--price", "1"), 1, "There is no such credential"),
        (("log", "search", "--since", "yesterday"), 1, "is no time such as"),
        (("log", "search", "--ip", "300.1.1.1"), 1, "is no network such as"),
    ],
)
def test_mistakes_are_named_with_a_way_out(
    folder: Path, words: tuple[str, ...], status: int, sentence: str
) -> None:
    """One sentence that says what to do, the right exit status, and nothing is made."""
    done = typed(folder, *words)
    assert done.exit_code == status, done.output
    assert sentence in done.output
    assert told(folder, "credential", "list") == []


def test_credentials_are_changed_rotated_and_revoked(folder: Path) -> None:
    """Settings and balance change in place; a rotation says the new secret once; templates merge."""
    made = told(
        folder, *add("unityvox", "--account-number", "1", "--api-key", "UVKEY1", "--template", "A={code}")
    )
    assert "guessed" in made["warning"]
    changed = told(
        folder,
        *("credential", "set", made["id"], "--template", "B=x {code}", "--template", "A=", "--balance", "1"),
    )
    assert changed["settings"]["templates"] == {"B": "x {code}"}
    assert changed["balance"] == "1.00"
    changed = told(folder, "credential", "set", made["id"], "--balance", "+0.5", "--allow-ip", "192.0.2.1")
    assert (changed["balance"], changed["allow_ip"]) == ("1.50", ["192.0.2.1/32"])
    changed = told(folder, "credential", "set", made["id"], "--price", "0.01")
    assert (changed["allow_ip"], changed["price"]) == (["192.0.2.1/32"], "0.01")
    assert told(folder, "credential", "set", made["id"], "--any-ip")["allow_ip"] == []
    rotated = told(folder, "credential", "rotate", made["id"])
    assert len(rotated["api_key"]) >= 32
    (row,) = told(folder, "credential", "list")
    assert [secret["expires_at"] is None for secret in row["secrets"]] == [True, False]
    told(folder, "credential", "rotate", made["id"], "--now")
    (row,) = told(folder, "credential", "list")
    assert len(row["secrets"]) == 1
    person = told(folder, *add("afilnet", "--user", "x", "--password", "correct horse"))
    assert typed(folder, "credential", "rotate", person["id"]).exit_code == 1
    told(folder, "credential", "rotate", person["id"], "--password", "another horse", "--overlap", "1")
    told(folder, "credential", "revoke", person["id"])
    assert [row["face"] for row in told(folder, "credential", "list")] == ["unityvox"]


def test_a_credential_without_networks_reads_as_open_to_any(folder: Path) -> None:
    """A person is told `any`, not that no address may; programs get the empty list."""
    told(folder, *add("octopush", "--api-login", "a@b.example", "--allow-ip", "192.0.2.0/24"))
    (row,) = told(folder, "credential", "list")
    assert "192.0.2.0/24" in typed(folder, "credential", "list").stdout
    opened = typed(folder, "credential", "set", row["id"], "--any-ip").stdout
    assert ["allow_ip", "any"] in [line.split() for line in opened.splitlines()]
    head, line = (text.split() for text in typed(folder, "credential", "list").stdout.splitlines())
    assert line[head.index("allow_ip")] == "any"
    assert told(folder, "credential", "list")[0]["allow_ip"] == []


def test_calls_are_found_on_a_running_server(folder: Path) -> None:
    """A table for people, everything as JSON, pages by cursor; the same command on the closed folder later."""
    told(folder, *add("authy", "--api-key", "AUTHYKEY-CANARY"))
    with serving(folder) as server:
        connection = HTTPConnection(server.url.rpartition("//")[2].rstrip(")"))
        for _ in range(3):
            target = (
                "/protected/json/app/details?user_ip=1.2.3.4%1b%5B2J%0a%E2%80%AE%C2%9B&token=TOKEN-CANARY"
            )
            connection.request("GET", target, headers={"X-Authy-API-Key": "AUTHYKEY-CANARY"})
            said = connection.getresponse()
            said.read()
            assert said.status == 200
        connection.close()
        found = answer("log", "search", "--face", "authy", "--ip", "127.0.0.0/8", "--data", folder)
        assert server.stop() == 0
    later = told(folder, "log", "search", "--face", "authy", "--application", "shop")
    assert len(later["calls"]) == 3
    assert len(found["calls"]) <= 3
    row = later["calls"][0]
    assert row["application"] == "shop"
    hostile = "1.2.3.4\x1b[2J\n\u202e\x9b"
    assert row["detail"]["parameters"] == {"format": "json", "user_ip": hostile, "token": "***"}
    for words in ((), ("--json",)):
        shown = typed(folder, "log", "search", "--face", "authy", *words).output.rstrip("\n")
        assert shown.isascii()
        assert shown.replace("\n", "").isprintable()
    assert row["detail"]["answer"]["message"]
    assert "CANARY" not in json.dumps(later)
    page = told(folder, "log", "search", "--face", "authy", "--limit", "2")
    rest = told(folder, "log", "search", "--face", "authy", "--after", page["next"])
    assert [call["request_id"] for call in page["calls"] + rest["calls"]] == [
        call["request_id"] for call in later["calls"]
    ]
    table = typed(folder, "log", "search", "--status", "200", "--limit", "2")
    assert "/protected/{format}/app/details" in table.stdout
    assert "more: --after" in table.output


@pytest.mark.parametrize(
    ("text", "units"), [("10.00", 100_000), ("0", 0), ("-0.0001", -1), ("1e2", 1_000_000), (" 7 ", 70_000)]
)
def test_amounts_are_exact(text: str, units: int) -> None:
    """Money has four decimal places and no rounding."""
    assert amount(text) == units
    assert amount(spelled(units) or "") == units


@pytest.mark.parametrize("text", ["", "1,5", "0.00001", "nan", "inf", "1e12", "0x1", "١"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    """Nothing is rounded or guessed."""
    with pytest.raises(RefusedError, match="amount"):
        amount(text)
