"""One whole journey with secrets that nobody else uses, and then a search for them wherever they must not be."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from placet_protocol import otpauth
from placet_protocol.jose import unb64u
from placet_protocol.totp import hotp, step
from support.blackbox import Person, Remote, remote, shop
from support.canaries import leaks
from support.http import raw
from support.programs import environment, run, serving
from support.receivers import receiver

PLACET = Path(sys.executable).parent / "placet"
EMAIL, PHONE, NAME = "canary.person@secret.example", "2079555177", "Zoë Canary"
MESSAGE, LABEL, VALUE = "Pay the canary müller?", "Canary label", "DE00 canary 4711"
HIDDEN, PASSPHRASE = "hidden-cänary-ledger-4711", "canary correct horse battery"
AUTHY_KEY = "CanaryOldAuthyKey0123456789abcdef"
_GENTLE = ("approval.max_pending=100", "approval.max_unapproved=100", "approval.number=entry:6")


class Journey(NamedTuple):
    """What happened: the secrets that were used, and the places that somebody could copy."""

    secrets: dict[str, str | bytes]
    personal: dict[str, str | bytes]
    digits: dict[str, str]
    store: dict[str, bytes]
    logs: dict[str, bytes]


def placet(home: Path, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run the person's program."""
    passphrase = home.with_name("passphrase")
    passphrase.write_text(PASSPHRASE + "\n")
    passphrase.chmod(0o600)
    variables = environment(PLACET_HOME=str(home), PLACET_PASSPHRASE_FILE=str(passphrase))
    return subprocess.run(
        [PLACET, *words], input=stdin, capture_output=True, text=True, env=variables, timeout=60, check=False
    )


async def misuse(application: Remote, secret: str) -> None:
    """Calls that are wrong in form, with a secret wherever one could stand."""
    port = urlsplit(application.url).port or 0
    for sent in (
        f"GET /protected/json/verify/{secret}/1?api_key={secret} HTTP/9.9.9\r\n\r\n",
        f"GET /x?api_key={secret}\r\n\r\n",
        f"{secret} {secret} {secret} {secret}\r\n\r\n",
        f"GET /x HTTP/1.1\r\nHost: x\r\nBad Header {secret}\r\n\r\n",
        f"GET /{secret}{'a' * 9000} HTTP/1.1\r\nHost: x\r\n\r\n",
        f"GET /v1/users/{secret}?{secret}={secret} HTTP/1.1\r\nHost: x\r\n\r\n",
        f"POST /v1/users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secret}\r\nContent-Length: x\r\n\r\n",
    ):
        with contextlib.suppress(TimeoutError, ConnectionError):
            await raw(port, sent.encode(), half_close=True)
    by = {"Authorization": f"Bearer {application.key}"}
    for method, path, body in (
        ("POST", "/v1/approval_requests", {secret: secret}),
        ("POST", "/v1/users", {"email": secret * 20}),
        ("GET", f"/v1/approval_requests/{secret}", None),
        ("GET", f"/protected/json/verify/1234567/1?api_key={secret}", None),
        ("POST", "/device/v1/decisions", secret),
    ):
        assert (await application.call(method, path, body, **by))[0] in {400, 401, 404, 422}


async def answered(person: Person) -> dict[str, str]:
    """A question with everything in it, its answer, and a code: the digits that were typed."""
    details = {"visible": {LABEL: VALUE}, "hidden": {"ledger": HIDDEN}}
    made = await person.ask(message=MESSAGE, details=details)
    status, said = await person.answer((await person.requests())[made["id"]], "approve", made["number"])
    assert (status, said["status"]) == (200, "approved")
    token = otpauth.parse(person.token_uri)
    code = hotp(token.secret, step(time.time_ns() // 1_000_000, token.period), token.digits, token.algorithm)
    path = f"/v1/users/{person.tfa_id}/soft_tokens/verify"
    assert (await person.remote.native("POST", path, {"code": code}))["verified"] is True
    status, _, said = await person.remote.call(
        "GET", f"/protected/json/verify/{code}/{person.tfa_id}?api_key={AUTHY_KEY}"
    )
    assert status == 401, said  # the right key; the code was used
    return {"number": made["number"], "code": code}


async def by_program(application: Remote, home: Path) -> tuple[dict[str, str], dict[str, bytes]]:
    """The same with the person's own program: the digits, the invitation's token, and what was printed."""
    user = await application.native("POST", "/v1/users", {"email": "other@secret.example"})
    invited = await application.native("POST", f"/v1/users/{user['tfa_id']}/enrollments", {})
    done = [await asyncio.to_thread(placet, home, "enroll", "-", "--yes", "--json", stdin=invited["uri"])]
    assert done[0].returncode == 0, done[0].stderr
    check = json.loads(done[0].stdout.splitlines()[0])["check"]
    await application.native("POST", f"/v1/enrollments/{invited['id']}/confirm", {"check": check})
    asked = {"tfa_id": user["tfa_id"], "message": MESSAGE, "details": {"hidden": {"ledger": HIDDEN}}}
    made = await application.native("POST", "/v1/approval_requests", asked)
    done.append(await asyncio.to_thread(placet, home, "list"))
    done.append(await asyncio.to_thread(placet, home, "approve", made["id"], "--number", made["number"]))
    assert done[-1].returncode == 0, done[-1].stderr
    return {"other number": made["number"]}, {
        f"placet {number}": (each.stdout + each.stderr).encode() for number, each in enumerate(done)
    }


def copied(data: Path) -> dict[str, bytes]:
    """Every file of the data folder but the master key."""
    return {
        file.name: file.read_bytes()
        for file in data.iterdir()
        if file.is_file() and file.name != "master.key"
    }


def table(data: Path, name: str) -> bytes:
    """All rows of a table as text."""
    with closing(sqlite3.connect(data / "placet.db")) as db:
        return "\n".join(map(repr, db.execute(f"SELECT * FROM {name}"))).encode()


async def journey(folder: Path) -> Journey:
    """Use every secret once, well and badly, and gather what is left behind."""
    data = folder / "data"
    async with receiver() as told:
        with serving(data, "--egress-allow", "127.0.0.0/8") as server:
            key, hook = await shop(data, *_GENTLE, webhook=told.url + "/hook")
            words = ("credential", "add", "--face", "authy", "--application", "shop", "--api-key", "-")
            assert run(*words, "--data", data, stdin=AUTHY_KEY + "\n").status == 0
            async with remote(server.url, key) as application:
                whole = {"email": EMAIL, "country_code": 44, "phone": PHONE, "name": NAME}
                await application.native("POST", "/v1/users", whole)
                person = await application.person(EMAIL)
                digits = await answered(person)
                more, printed = await by_program(application, folder / "home")
                seed = otpauth.parse(person.token_uri).secret
                for secret in (
                    key,
                    AUTHY_KEY,
                    hook,
                    person.uri.token,
                    PASSPHRASE.replace(" ", ""),
                    seed.hex(),
                ):
                    await misuse(application, secret)
                await told.count(2)
                store = {f"running {name}": content for name, content in copied(data).items()}
            for number, shown in enumerate(("application show shop", "webhook list shop", "credential list")):
                done = run(*shown.split(), "--data", data)
                assert done.status == 0, done.err
                printed[f"placet-server {number}"] = (done.out + done.err).encode()
            assert server.stop() == 0
            assert server.process.stdout is not None
            printed["stdout"] = server.process.stdout.read().encode()
            printed["stderr"] = server.log.read_bytes()
    logs = printed | {name: table(data, name) for name in ("api_log", "audit")}
    logs["checkpoints"] = (data / "checkpoints.txt").read_bytes()
    assert all(len(logs[name]) > 100 for name in ("stderr", "api_log", "audit", "checkpoints"))
    secrets: dict[str, str | bytes] = {
        "API key": key,
        "secret of the API key": key.rpartition("_")[2],
        "Authy key": AUTHY_KEY,
        "webhook secret": hook.removeprefix("whsec_"),
        "seed": seed,
        "seed in base32": person.token_uri.partition("secret=")[2].partition("&")[0],
        "enrolment token": person.uri.token,
        "enrolment token's bytes": unb64u(person.uri.token),
        "push secret": person.joiner.auth,
        "hidden detail": HIDDEN,
        "passphrase": PASSPHRASE,
    }
    personal: dict[str, str | bytes] = {
        "e-mail": EMAIL,
        "phone": PHONE,
        "name": NAME,
        "message": MESSAGE,
        "label": LABEL,
        "value": VALUE,
    }
    return Journey(secrets, personal, digits | more, store | copied(data), logs)


@pytest.fixture(scope="module")
def travelled(tmp_path_factory: pytest.TempPathFactory) -> Journey:
    return asyncio.run(journey(tmp_path_factory.mktemp("journey")))


def test_key_04_a_stolen_store_reveals_no_secret_and_no_person(travelled: Journey) -> None:
    """In no file of the data folder, running or closed, stands a secret or a personal text in any usual writing."""
    assert any(name.endswith("-wal") and content for name, content in travelled.store.items())
    assert list(leaks(travelled.secrets | travelled.personal, travelled.store)) == []


def test_log_01_nothing_that_is_printed_or_logged_holds_a_secret(travelled: Journey) -> None:
    """After calls good and bad, malformed request lines too, no output, log or log table holds a secret or a number."""
    assert list(leaks(travelled.secrets, travelled.logs)) == []
    for name, digits in travelled.digits.items():
        found = [
            place for place, text in travelled.logs.items() if re.search(rb"\b%b\b" % digits.encode(), text)
        ]
        assert found == [], name


def test_log_01_the_servers_own_logs_hold_no_personal_text(travelled: Journey) -> None:
    """What the person's program shows is theirs; the server writes none of it down outside its seals."""
    places = {name: text for name, text in travelled.logs.items() if not name.startswith("placet ")}
    assert list(leaks(travelled.personal, places)) == []


@pytest.mark.parametrize("way", ["as it is", "in base64", "in hexadecimal"])
def test_the_search_finds_what_it_looks_for(way: str) -> None:
    """A secret inside a longer text is found however that text is written."""
    text = f"left {EMAIL} right".encode()
    content = {"as it is": text, "in base64": base64.b64encode(text), "in hexadecimal": text.hex().encode()}[
        way
    ]
    assert list(leaks({"e-mail": EMAIL}, {"there": content}))
