"""The person's commands as a person or a script runs them: real processes, real server, exit codes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import qrcode
from qrcode.image.pil import PilImage

from placet_authenticator.records import Enrollment, Token
from placet_authenticator.vault import QUICK, Vault
from placet_server.testing import LiveServer, live_server
from support.persons import PASSPHRASE, ask, authenticator, enrolled, invite, ok, state_of

PROGRAM = str(Path(sys.executable).parent / "placet")


class Done(NamedTuple):
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its answer."""
        assert self.status == 0, self.err
        return json.loads(self.out)


class Person:
    """Runs commands on one data folder."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.passphrase = folder / "passphrase"
        self.passphrase.write_text(PASSPHRASE + "\n")
        self.passphrase.chmod(0o600)
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PLACET_")},
            "PLACET_HOME": str(self.home),
            "PLACET_PASSPHRASE_FILE": str(self.passphrase),
        }

    async def start(self, *words: str) -> asyncio.subprocess.Process:
        """Start a command."""
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            PROGRAM, *words, stdin=pipe, stdout=pipe, stderr=pipe, env=self.env
        )

    async def run(self, *words: str, stdin: str = "") -> Done:
        """Run a command to its end."""
        process = await self.start(*words)
        out, err = await asyncio.wait_for(process.communicate(stdin.encode()), 60)
        return Done(process.returncode or 0, out.decode(), err.decode())


@pytest.fixture
def person(tmp_path: Path) -> Person:
    return Person(tmp_path)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[LiveServer]:
    async with live_server(tmp_path / "server") as server:
        yield server


def quick_vault(person: Person, *tokens: Token) -> None:
    with Vault.create(person.home / "vault.db", PASSPHRASE, profile=QUICK) as vault:
        vault.put(*tokens)


def token(name: str, **changes: Any) -> Token:
    given = {
        "issuer": name,
        "account": "ann",
        "secret": b"1" * 20,
        "algorithm": "SHA1",
        "digits": 6,
        "period": 30,
    }
    return Token(id=f"id-{name}", created_at=0, **{**given, **changes})


async def test_key_08_the_whole_journey_by_commands(
    server: LiveServer, person: Person, tmp_path: Path
) -> None:
    """Enrol from a picture, list, approve, deny, code, receipt, devices, leave: no secret in any file on the way."""
    key, user = await server.api_key(), await server.user()
    invitation = await invite(server, user.tfa_id, key)
    picture = tmp_path / "qr.png"
    qrcode.make(invitation["uri"], image_factory=PilImage).get_image().save(picture)

    enrolling = await person.start("enroll", str(picture), "--name", "Ada's laptop", "--yes", "--wait")
    assert enrolling.stdout is not None
    first_line = (await asyncio.wait_for(enrolling.stdout.readline(), 30)).decode()
    check = re.sub(r"\D", "", first_line)
    assert len(check) == 6
    (row,) = (await person.run("devices", "--json")).json["devices"]
    assert (row["status"], row["check"]) == ("pending", check), "shown again to who closed the window"
    assert check in (await person.run("devices")).out
    await ok(server, "POST", f"/v1/enrollments/{invitation['id']}/confirm", {"check": check}, key=key)
    rest = (await enrolling.communicate())[0].decode()
    assert enrolling.returncode == 0
    assert "Confirmed" in rest

    with Vault.open(person.home / "vault.db", PASSPHRASE) as vault:
        (own,) = vault.all(Enrollment)
        secrets = [own.signing_secret, own.push_secret, own.push_auth, vault.all(Token)[0].secret]
    asked = await ask(server, user.tfa_id, key)
    (shown,) = (await person.run("list", "--json")).json["requests"]
    assert (shown["id"], shown["message"], shown["number_digits"]) == (asked["id"], "Pay 10 EUR?", 3)
    assert shown["visible"] == [["Amount", "10 EUR"], ["To", "Zoe"]]
    text = (await person.run("list")).out
    assert all(
        part in text for part in ("Pay 10 EUR?", "Zoe", "Vienna", "one try", shown["digest"], asked["id"])
    )

    approved = (await person.run("approve", asked["id"][:16], "--number", asked["number"], "--json")).json
    assert (approved["outcome"], approved["digest"]) == ("approved", shown["digest"])
    other = await ask(server, user.tfa_id, key)
    denied = await person.run("deny", other["id"], "--reason", "mistake")
    assert (denied.status, denied.out) == (0, "denied (mistake): Pay 10 EUR?\n")
    assert (await state_of(server, other, key))["reason"] == "mistake"

    (name,) = [each["name"] for each in (await person.run("code", "--list", "--json")).json["tokens"]]
    code = (await person.run("code", name)).out.strip()
    path = f"/v1/users/{user.tfa_id}/soft_tokens/verify"
    assert (await ok(server, "POST", path, {"code": code}, key=key))["verified"] is True

    receipt, keys = tmp_path / "receipt.json", tmp_path / "jwks.json"
    receipt.write_text(
        json.dumps(await ok(server, "GET", f"/v1/approval_requests/{asked['id']}/receipt", key=key))
    )
    keys.write_text(json.dumps((await server.call("GET", "/.well-known/jwks.json"))[1]))
    proven = (await person.run("receipt", "verify", str(receipt), "--keys", str(keys), "--json")).json
    assert (proven["outcome"], proven["id"], proven["digest"]) == ("approved", asked["id"], shown["digest"])

    (device,) = (await person.run("devices", "--json")).json["devices"]
    assert (device["status"], device["name"], device["check"]) == ("active", "Ada's laptop", None)
    canaries = [
        *secrets,
        *(secret.hex().encode() for secret in secrets),
        b"hidden-canary-4711",
        b"Pay 10",
        b"Acme",
    ]
    files = [file.read_bytes() for file in person.home.iterdir()]
    assert [canary for canary in canaries for file in files if canary in file] == []
    assert (await person.run("leave", device["device"], "--yes")).status == 0
    assert (await person.run("devices", "--json")).json == {"devices": []}


async def test_watch_streams_requests_and_their_ends(server: LiveServer, person: Person) -> None:
    """JSON lines: connection, request, how it ended; --count ends it."""
    key, user = await server.api_key(), await server.user()
    async with authenticator(person.home) as device:
        await enrolled(server, device, user.tfa_id, key)
        watching = await person.start("watch", "--json", "--count", "2")
        assert watching.stdout is not None

        async def event(kind: str) -> Any:
            async with asyncio.timeout(20):
                while (line := json.loads(await watching.stdout.readline()))["event"] != kind:  # type: ignore[union-attr]  # as above
                    pass
            return line

        assert (await event("connection"))["state"] == "socket"
        asked = await ask(server, user.tfa_id, key)
        assert (await event("request"))["id"] == asked["id"]
        await ok(server, "POST", f"/v1/approval_requests/{asked['id']}/cancel", key=key)
        assert (await event("ended"))["outcome"] == "cancelled"
        other = await ask(server, user.tfa_id, key)
        assert (await event("request"))["id"] == other["id"]
        assert await asyncio.wait_for(watching.wait(), 30) == 0
        interrupted = await person.start("watch")
        assert interrupted.stderr is not None
        assert b"socket" in await asyncio.wait_for(interrupted.stderr.readline(), 30)
        interrupted.send_signal(signal.SIGINT)
        out, err = await asyncio.wait_for(interrupted.communicate(), 30)
        assert (interrupted.returncode, err) == (0, b"")
        assert b"Pay 10 EUR?" in out


async def test_every_failure_has_its_status_and_names_the_next_step(
    server: LiveServer, person: Person
) -> None:
    """Nothing on stdout, a sentence and a hint on stderr, no traceback."""
    key, user = await server.api_key(), await server.user()
    missing = await person.run("list")
    assert (missing.status, missing.out) == (3, "")
    assert "placet enroll" in missing.err
    async with authenticator(person.home) as device:
        await enrolled(server, device, user.tfa_id, key)
    asked = await ask(server, user.tfa_id, key)
    invitation = await invite(server, user.tfa_id, key, reason="r")
    cases = [
        (("approve", "zzz"), 1, "placet list"),
        (("approve", asked["id"]), 2, "--number"),
        (("approve", asked["id"], "--number", "12"), 2, "3 digits"),
        (("deny", asked["id"], "--reason", "other"), 2, "not_me"),
        (("code", "zzz"), 1, "placet code --list"),
        (("code",), 2, "--list"),
        (("enroll", "https://x.example/nothing"), 1, "new enrolment"),
        (("enroll", "no-such-file.png"), 1, "picture"),
        (("enroll", invitation["uri"]), 2, "--yes"),
        (("leave", "zzz", "--yes"), 1, "placet devices"),
        (("token", "add", "https://x"), 1, "otpauth"),
    ]
    for words, status, hint in cases:
        done = await person.run(*words)
        assert (done.status, done.out) == (status, ""), words
        assert hint in done.err, words
        assert "Traceback" not in done.err
    wrong = await person.run(
        "approve", asked["id"], "--number", f"{(int(asked['number']) + 1) % 1000:03}", "--json"
    )
    assert (wrong.status, json.loads(wrong.out)["outcome"]) == (5, "denied")
    assert "start again" in wrong.err


async def test_a_server_that_is_away_is_said_and_codes_are_made_all_the_same(
    tmp_path: Path, person: Person
) -> None:
    """Exit status 4 for what needs the server, 0 for codes."""
    async with live_server(tmp_path / "server") as server:
        key, user = await server.api_key(), await server.user()
        async with authenticator(person.home) as device:
            await enrolled(server, device, user.tfa_id, key)
    away = await person.run("list")
    assert away.status == 4
    assert "does not answer" in away.err
    (row,) = (await person.run("devices", "--json")).json["devices"]
    assert row["status"].startswith("unknown")
    listed = (await person.run("code", "--list", "--json")).json["tokens"]
    assert re.fullmatch("[0-9a-f]{16}", listed[0]["id"]), "an id that begins with a dash reads as an option"
    assert re.fullmatch(r"\d{6}\n", (await person.run("code", listed[0]["id"])).out)


async def test_passphrases_come_from_file_or_stdin_and_a_wrong_one_opens_nothing(person: Person) -> None:
    """The wrong one ends with status 3; a change takes the old one's power."""
    quick_vault(person, token("Acme"))
    assert (await person.run("code", "acme")).status == 0
    from_stdin = await person.run("code", "acme", "--passphrase-stdin", stdin=PASSPHRASE + "\n")
    assert from_stdin.status == 0
    wrong = await person.run("code", "acme", "--passphrase-stdin", stdin="wrong\n")
    assert (wrong.status, wrong.out) == (3, "")
    assert "wrong" in wrong.err
    new = person.passphrase.with_name("new")
    new.write_text("seven c\n")
    new.chmod(0o600)
    short = await person.run("passphrase", "--new-file", str(new))
    assert (short.status, short.out) == (3, "")
    assert "at least 8 characters, this one has 7" in short.err
    assert (await person.run("code", "acme")).status == 0
    new.write_text("another one\n")
    assert (await person.run("passphrase", "--new-file", str(new))).status == 0
    assert (await person.run("code", "acme")).status == 3
    assert (await person.run("code", "acme", "--passphrase-file", str(new))).status == 0
    del person.env["PLACET_PASSPHRASE_FILE"]
    nowhere = await person.run("code", "acme")
    assert nowhere.status == 3
    assert "--passphrase-file" in nowhere.err


async def test_tokens_are_added_from_a_picture_or_stdin_and_removed(person: Person, tmp_path: Path) -> None:
    """The seed need not stand on a command line, where every process can read it."""
    quick_vault(person)
    picture = tmp_path / "qr.png"
    qrcode.make("otpauth://totp/Bank:ann?secret=JBSWY3DPEHPK3PXP", image_factory=PilImage).get_image().save(
        picture
    )
    assert (await person.run("token", "add", str(picture), "--json")).json["name"] == "Bank:ann"
    added = await person.run(
        "token", "add", "-", stdin="otpauth://totp/Mail:ann?secret=JBSWY3DPEHPK3PXP&digits=8\n"
    )
    assert added.status == 0
    assert len((await person.run("code", "mail")).out.strip()) == 8
    odd = await person.run("token", "add", "-", stdin="otpauth://totp/--list:ann?secret=JBSWY3DPEHPK3PXP\n")
    told = shlex.split(odd.out.partition("Its codes: placet ")[2])
    assert re.fullmatch(r"\d{6}\n", (await person.run(*told)).out), "what is told to type works as it stands"
    for name in ("bank", "--list"):
        assert (await person.run("token", "remove", "--", name)).status == 0
    names = [each["name"] for each in (await person.run("code", "--list", "--json")).json["tokens"]]
    assert names == ["Mail:ann"]


async def test_dec_11_a_changed_receipt_does_not_hold(person: Person, tmp_path: Path) -> None:
    """Offline, without a vault: status 0 for the good one and 6 for any other."""
    from support import parties

    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": parties.JWKS}))
    good = parties.receipt_document()
    for text, status in ((good, 0), (good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBB"), 6), ("x", 6)):
        file = tmp_path / "receipt"
        file.write_text(text)
        done = await person.run("receipt", "verify", str(file), "--keys", str(keys))
        assert (done.status, "Traceback" in done.err) == (status, False)
    assert not person.home.exists()
    keys.write_text("{}")
    assert (await person.run("receipt", "verify", str(file), "--keys", str(keys))).status == 1


async def test_every_command_explains_itself(person: Person) -> None:
    """Help needs no vault and says what is asked and what comes back."""
    commands = ["enroll", "list", "watch", "approve", "deny", "code", "token", "token add", "token remove"]
    commands += ["receipt", "receipt verify", "devices", "leave", "passphrase", ""]
    for command in commands:
        done = await person.run(*command.split(), "--help")
        assert (done.status, done.err) == (0, "")
        assert "Usage: placet" in done.out
        if command and command not in {"token", "receipt"}:
            assert "--json" in done.out
    assert not person.home.exists()
