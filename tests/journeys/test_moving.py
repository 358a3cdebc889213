"""Pages "moving from X", followed to the letter, and then what the customer's own code does on the new host."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest
from authy.api import AuthyApiClient

from support.programs import answer, environment, serving
from support.system import needed

PAGES = Path(__file__).resolve().parents[2] / "docs" / "moving"
KEY = "d57d919d11e6b221c9bf6f7c882028f9"
_BLOCK = re.compile(r"(?ms)^( *)```(csv|sh)\n(.*?)^\1```$")
_FILE = re.compile(r"This is `([a-z]+\.csv)`:\n\s*```csv")


def last(folder: Path, count: int) -> str:
    """The digits in the newest of so many messages, once they arrived."""
    file = folder / "messages.jsonl"
    until = time.monotonic() + 20
    while not file.exists() or len(lines := file.read_text().splitlines()) < count:
        assert time.monotonic() < until
        time.sleep(0.02)
    found = re.search(r"[0-9]{6,}", json.loads(lines[-1])["text"])
    assert found
    return found[0]


def asked(url: str, data: bytes | None = None, method: str | None = None, **headers: str) -> Any:
    """The JSON of one call."""
    given = {name.replace("_", "-"): text for name, text in headers.items()}
    with urlopen(Request(url, data, given, method=method)) as got:  # noqa: S310 - a server of this test
        return json.load(got)


def authy(url: str, folder: Path) -> None:
    """An id that was in the customer's database is sent a code and verified by the PyPI client, unmodified."""
    client = AuthyApiClient(KEY, url)
    status = client.users.status(5661166)
    assert status.ok(), status.content
    assert status.content["status"]["phone_number"] == "XXX-XXX-0123"
    assert client.users.create("ada@example.com", "201-555-0123", 1).id == 5661166
    assert client.users.request_sms(5661167, {"force": True}).ok()
    assert client.tokens.verify(5661167, last(folder, 1)).ok()
    assert client.one_touch.send_request(5661166, "Login?").ok()


def afilnet(url: str, folder: Path) -> None:
    """A code is generated and verified by the two calls of their samples."""
    del folder
    who = {"class": "otp", "user": "you@example.com", "password": KEY, "destination": "34600000000"}
    query = urlencode(who | {"method": "generateotp", "type": "mobile"})
    code = asked(f"{url}/api/http/?{query}")["result"]["code"]
    query = urlencode(who | {"method": "verifyotp", "code": code})
    assert asked(f"{url}/api/http/?{query}")["status"] == "SUCCESS"


def unityvox(url: str, folder: Path) -> None:
    """A code is sent by the second template and matches."""
    who = {"accountnumber": "100200", "apikey": KEY}
    api = f"{url}/api/get-api/v1/OTP-api"
    sent = asked(f"{api}?{urlencode(who | {'ref_id': 'TPL2', 'phone_number': '13055550100'})}")
    assert sent["code"] == "022"
    query = urlencode(who | {"sessionid": sent["sessionID"], "otp_code": last(folder, 1)})
    assert asked(f"{api}/verify?{query}")["code"] == "027"


def octopush(url: str, folder: Path) -> None:
    """A code is sent and validated."""
    api = f"{url}/v1/public/service/otp"
    headers = {"api_login": "you@example.com", "api_key": KEY, "Content_Type": "application/json"}
    phone = {"phone_number": "+33611223344"}
    assert asked(f"{api}/generate", json.dumps(phone).encode(), **headers)["code"] == 0
    typed = json.dumps(phone | {"code": last(folder, 1)}).encode()
    assert asked(f"{api}/validate", typed, "PUT", **headers) == {"code": 0, "message": "success"}


@pytest.mark.parametrize("used", [authy, afilnet, unityvox, octopush], ids=lambda used: used.__name__)
def test_who_follows_the_page_has_moved(used: Callable[[str, Path], None], tmp_path: Path) -> None:
    """Users first, then keys; every command succeeds, and what the customer holds already opens the new host."""
    page = (PAGES / f"{used.__name__}.md").read_text()
    assert page.index("**Users.**") < page.index("credential add") < page.index("**The host.**")
    blocks = [(kind, dedent(text)) for _, kind, text in _BLOCK.findall(page)]
    (file,) = _FILE.findall(page)
    (tmp_path / file).write_text(next(text for kind, text in blocks if kind == "csv"))
    (tmp_path / "key.txt").write_text(f"{KEY}\n")
    script = "set -eu\n" + "".join(text for kind, text in blocks if kind == "sh")
    data = tmp_path / "placet-data"
    path = f"{Path(sys.executable).parent}:{environment()['PATH']}"
    with serving(data) as server:
        done = subprocess.run(
            [needed("sh"), "-c", script],
            cwd=tmp_path,
            env=environment(PATH=path),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        used(server.url, data)
        until = time.monotonic() + 20
        while len(rows := answer("log", "search", "--data", data, "--face", used.__name__)["calls"]) < 2:
            assert time.monotonic() < until
        assert KEY not in json.dumps(rows)
