"""What reaches the terminal when texts are hostile: the bytes are captured on a pty."""

from __future__ import annotations

import os
import pty
import random
import re
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from placet_authenticator.authenticator import _record_id
from placet_authenticator.inbox import opened
from placet_authenticator.items import place_of
from placet_authenticator.printing import cells, wrapped
from placet_authenticator.records import Enrollment, Held, Token
from placet_authenticator.vault import QUICK, Vault
from placet_protocol.documents import Context, RelyingParty
from placet_protocol.jose import public_key_bytes
from placet_protocol.text import visible
from support import parties
from support.persons import PASSPHRASE

PROGRAM = str(Path(sys.executable).parent / "placet")
ORIGIN = "http://127.0.0.1:9"  # nobody listens there; nothing leaves this machine
ATTACKS = [
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x1b]52;c;ZXZpbA==\x07",
    "\x1bP+q\x1b\\",
    "\x9b31m",
    "\x90\x9c",
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
    "[/b][red]",
    "\t",
]
FORBIDDEN = set("".join(ATTACKS[:18])) - set("[2J]0;title52;c;ZXZpbA==P+q\\31m") | {"\t"}


def hostile(chance: random.Random, length: int) -> str:
    text = ""
    while len(text) < length:
        text += chance.choice([*ATTACKS, "Pay ", "10 EUR ", "żółć ", "支払い", "👩‍👩‍👧 "])
    return text[:length].strip("\u200d ") or "x"


def enrollment(chance: random.Random) -> Enrollment:
    return Enrollment(
        id=parties.DEVICE,
        origin=ORIGIN,
        pinned=parties.SERVER_KID,
        server_key=public_key_bytes(parties.SERVER_KEY.public_key()),
        name=hostile(chance, 40),
        user=parties.USER,
        org="default",
        device_name=hostile(chance, 40),
        thumbprint=parties.DEVICE_KID,
        signing_secret=b"\x01" * 32,
        push_secret=b"\x02" * 32,
        push_auth=b"\x03" * 16,
        certificate="",
        check="123456",
        active=True,
        created_at=0,
    )


def held(place: Enrollment, **changes: Any) -> Held:
    now = int(time.time())
    document = parties.request_document(iss=ORIGIN, iat=now, exp=now + 3000, **changes)
    return Held(_record_id(*opened(place_of(place), document).key), place.id, document, now * 1000)


def fill(home: Path, chance: random.Random) -> int:
    """A vault with hostile requests and tokens; returns how many texts there are."""
    place = enrollment(chance)
    requests = [
        held(
            place,
            rid=f"rid-{number}",
            msg=hostile(chance, 250),
            vis=tuple((hostile(chance, 30), hostile(chance, 250)) for _ in range(20)),
            rp=RelyingParty("app-1", hostile(chance, 40)),
            ctx=Context(*(hostile(chance, 60) for _ in range(3))),
        )
        for number in range(6)
    ]
    tokens = [
        Token(f"t{number}", hostile(chance, 30), hostile(chance, 30), b"1" * 20, "SHA1", 6, 30, 0)
        for number in range(20)
    ]
    with Vault.create(home / "vault.db", PASSPHRASE, profile=QUICK) as vault:
        vault.put(place, *requests, *tokens)
    return len(requests) * 45 + len(tokens) * 2


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    file = tmp_path / "pass"
    file.write_text(PASSPHRASE)
    file.chmod(0o600)
    return file


def on_a_pty(home: Path, passphrase: Path, *words: str, **env: str) -> str:
    """Everything that a terminal would get from a command, stderr included."""
    master, slave = pty.openpty()
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PLACET_")}
    variables |= {
        "PLACET_HOME": str(home),
        "PLACET_PASSPHRASE_FILE": str(passphrase),
        "TERM": "xterm-256color",
    }
    process = subprocess.Popen(
        [PROGRAM, *words], stdin=slave, stdout=slave, stderr=slave, env=variables | env
    )
    os.close(slave)
    data = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        ready, _, _ = select.select([master], [], [], 0.2)
        if ready:
            try:
                chunk = os.read(master, 65536)
            except OSError:  # Linux says EIO when the last writer has gone
                break
            data += chunk
    os.close(master)
    process.wait(10)
    return data.decode("utf-8", "strict")


@pytest.mark.parametrize(
    ("words", "env"),
    [(["list"], {}), (["list"], {"NO_COLOR": "1"}), (["code", "--list"], {}), (["devices"], {})],
)
def test_tui_01_no_hostile_byte_reaches_the_terminal(
    tmp_path: Path, words: list[str], env: dict[str, str], passphrase: Path
) -> None:
    """Hundreds of hostile texts: nothing of them but printable characters, and the attack is spelled out."""
    assert fill(tmp_path / "home", random.Random(11)) > 300
    shown = on_a_pty(tmp_path / "home", passphrase, *words, **env)
    plain = shown.replace("\r\n", "\n")
    for own in ("\x1b[1m", "\x1b[31m", "\x1b[0m") if not env else ():
        plain = plain.replace(own, "")
    assert sorted(FORBIDDEN & set(plain)) == []
    assert not any(ord(char) < 32 for char in plain.replace("\n", ""))
    if words != ["devices"]:
        assert "U+202E" in plain
        assert "U+001B" in plain


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_tui_03_every_detail_is_printed_whole_and_none_poses_as_another(
    tmp_path: Path, passphrase: Path, columns: int
) -> None:
    """20 fields of full length: no word is missing at any width, and only real labels stand where labels do."""
    fields = [(f"Label{n:02}", " ".join(f"w{n:02}x{k:02}" for k in range(36))) for n in range(20)]
    message = "Pay?\nDigest        forged\nAnswer        " + " " * 100 + "forged as well"
    place = enrollment(random.Random(1))
    with Vault.create(tmp_path / "home" / "vault.db", PASSPHRASE, profile=QUICK) as vault:
        vault.put(
            place, held(place, msg=message, vis=tuple(fields), rp=RelyingParty("app-1", "Digest      forged"))
        )
    shown = on_a_pty(tmp_path / "home", passphrase, "list", NO_COLOR="1", COLUMNS=str(columns))
    lines = shown.split("\r\n")
    words = [word for line in lines for word in line.split() if re.fullmatch(r"w\d\dx\d\d", word)]
    assert words == [word for _, value in fields for word in value.split()]
    assert [line for line in lines if cells(line) > columns and line.startswith("  ")] == []
    heads = [line[2:].split("  ")[0] for line in lines if line.startswith("  ") and line[2:3] != " "]
    assert heads.count("Digest") == heads.count("Answer") == 1
    assert [head for head in heads if "Label" in head] == [f"· {label}" for label, _ in fields]


def test_tui_03_wrapping_parts_no_letter_from_its_marks() -> None:
    """Pieces fit, joined they are the text, and each piece is clean text by itself."""
    text = "e\u0323\u0302" * 9 + "\U0001f469\u200d\U0001f469\u200d\U0001f467" * 9 + "\u652f\u6255" * 9
    for room in range(8, 30):
        pieces = wrapped(text, room)
        assert "".join(pieces) == text
        assert all("U+" not in visible(piece) for piece in pieces)
        assert all(cells(piece) <= room for piece in pieces)
