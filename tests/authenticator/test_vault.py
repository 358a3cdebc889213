"""The vault: what a thief, a second process, a crash or a hostile file can do to it."""

from __future__ import annotations

import base64
import os
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from placet_authenticator.errors import PassphraseError, VaultError
from placet_authenticator.records import Enrollment, Held, Token
from placet_authenticator.vault import LARGEST, QUICK, STANDARD, Vault

SECRET = bytes(range(32, 64))
SEED = b"canary-seed-20-bytes"


def enrollment(device: str = "dev_1") -> Enrollment:
    return Enrollment(
        id=device,
        origin="https://push.example",
        pinned="pin",
        server_key=b"\x04" * 65,
        name="canary-server",
        user="usr_1",
        org="default",
        device_name="laptop",
        thumbprint="tp",
        signing_secret=SECRET,
        push_secret=SECRET[::-1],
        push_auth=b"a" * 16,
        certificate="x.y.z",
        check="123456",
        active=False,
        created_at=1,
    )


def token(name: str = "tok_1") -> Token:
    return Token(name, "canary-issuer", "ann", SEED, "SHA1", 6, 30, 1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "vault.db"


def test_key_08_records_come_back_as_they_were(path: Path) -> None:
    """What was put in is there after closing and opening with the passphrase."""
    with Vault.create(path, "correct horse", profile=QUICK) as vault:
        vault.put(enrollment(), token())
    with Vault.open(path, "correct horse") as vault:
        assert vault.get(Enrollment, "dev_1") == enrollment()
        assert vault.all(Token) == [token()]
        assert vault.get(Token, "other") is None


def test_key_08_no_file_of_the_home_folder_holds_a_key_seed_or_name(path: Path) -> None:
    """The scalar, its PKCS#8 forms, the seed and every name are in no file, raw or encoded."""
    with Vault.create(path, "correct horse", profile=QUICK) as vault:
        vault.put(enrollment(), token())
        vault.put(Held("h", "dev_1", "canary-document", 5))
        vault.remove(Held("h", "dev_1", "canary-document", 5))
    key = derive_private_key(int.from_bytes(SECRET, "big"), SECP256R1())
    secrets = [SECRET, SECRET[::-1], SEED, b"canary", b"correct horse"]
    secrets += [
        key.private_bytes(form, PrivateFormat.PKCS8, NoEncryption()) for form in (Encoding.DER, Encoding.PEM)
    ]
    forms = [
        f
        for s in secrets
        for f in (s, s.hex().encode(), base64.b32encode(s).rstrip(b"="), base64.b64encode(s)[:-3])
    ]
    found = [
        (file.name, form) for file in path.parent.iterdir() for form in forms if form in file.read_bytes()
    ]
    assert found == []
    assert sorted(file.name for file in path.parent.iterdir()) == ["vault.db", "vault.db.lock"]


def test_key_08_the_folder_is_0700_and_every_file_0600(path: Path) -> None:
    """Nobody else on the machine can read or list, whatever the umask was."""
    before = os.umask(0)
    try:
        Vault.create(path, "pw", profile=QUICK).close()
    finally:
        os.umask(before)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}


def test_key_08_a_vault_that_others_can_read_is_refused(path: Path) -> None:
    """A file or folder that was opened up is not used, and the error says how to close it."""
    Vault.create(path, "pw", profile=QUICK).close()
    path.chmod(0o640)
    with pytest.raises(VaultError) as refused:
        Vault.open(path, "pw")
    assert "chmod 600" in refused.value.hint
    path.chmod(0o600)
    path.parent.chmod(0o755)
    with pytest.raises(VaultError):
        Vault.open(path, "pw")


def test_key_08_one_guess_costs_at_least_100_ms_by_default(path: Path) -> None:
    """The default profile makes a guess dear; the cost is in the file, so opening pays it too."""
    Vault.create(path, "pw", profile=STANDARD).close()
    spent = []
    for _ in range(2):
        before = time.process_time()
        with pytest.raises(PassphraseError):
            Vault.open(path, "wrong")
        spent.append(time.process_time() - before)
    assert min(spent) >= 0.1


def test_key_08_a_wrong_passphrase_opens_nothing_and_changes_nothing(path: Path) -> None:
    """The error says so, and the right passphrase still opens; composed and decomposed letters are the same."""
    Vault.create(path, "caf\N{LATIN SMALL LETTER E WITH ACUTE}", profile=QUICK).close()
    before = path.read_bytes()
    with pytest.raises(PassphraseError, match="wrong"):
        Vault.open(path, "cafe")
    assert path.read_bytes() == before
    Vault.open(path, "cafe\N{COMBINING ACUTE ACCENT}").close()


def test_key_08_after_a_change_only_the_new_passphrase_opens(path: Path) -> None:
    """Also a process that had the vault open all the while goes on working."""
    with Vault.create(path, "old", profile=QUICK) as vault, Vault.open(path, "old") as other:
        vault.put(token())
        vault.change_passphrase("new", profile=QUICK)
        other.put(token("tok_2"))
    with pytest.raises(PassphraseError):
        Vault.open(path, "old")
    with Vault.open(path, "new") as vault:
        assert [each.id for each in vault.all(Token)] == ["tok_1", "tok_2"]


@pytest.mark.parametrize(
    "profile",
    [
        "3,4,107374182400",
        "3,4,1048577",
        "65,4,65536",
        "3,17,65536",
        "0,4,65536",
        "3,0,65536",
        "-1,-1,-1",
        "3,4,16",
        "",
        "x",
    ],
)
def test_key_08_a_hostile_file_cannot_demand_work(path: Path, profile: str) -> None:
    """Work factors outside the bounds are refused before any work is done."""
    Vault.create(path, "pw", profile=QUICK).close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE header SET profile = ?", (profile,))
    database.close()
    before = time.process_time()
    with pytest.raises(VaultError):
        Vault.open(path, "pw")
    assert time.process_time() - before < 1
    assert LARGEST.memory_kib == 1_048_576


def test_key_08_a_weakened_profile_does_not_open(path: Path) -> None:
    """The work factors are bound to the wrapped key: editing them makes the right passphrase wrong."""
    Vault.create(path, "pw", profile=QUICK).close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE header SET profile = '1,1,128'")
    database.close()
    with pytest.raises(PassphraseError):
        Vault.open(path, "pw")


def test_key_08_a_record_moved_to_another_place_does_not_open(path: Path) -> None:
    """Swapping two ciphertexts, renaming a record or flipping a bit fails closed."""
    with Vault.create(path, "pw", profile=QUICK) as vault:
        vault.put(token("a"), token("b"))
    with sqlite3.connect(path) as database:
        database.execute("UPDATE records SET id = 'c' WHERE id = 'a'")
    with Vault.open(path, "pw") as vault, pytest.raises(VaultError, match="changed"):
        vault.get(Token, "c")
    with database:
        database.execute("UPDATE records SET sealed = zeroblob(60) WHERE id = 'b'")
    database.close()
    with Vault.open(path, "pw") as vault, pytest.raises(VaultError, match="changed"):
        vault.get(Token, "b")


@pytest.mark.parametrize("content", [b"", b"not a database at all, but long enough to be read as one" * 40])
def test_key_08_a_file_that_is_no_vault_says_so(path: Path, content: bytes) -> None:
    """Empty and foreign files end in a plain error."""
    path.parent.mkdir(mode=0o700)
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(VaultError, match="not a vault"):
        Vault.open(path, "pw")


def test_key_08_a_second_vault_is_never_made_over_the_first(path: Path) -> None:
    """Creating where one is fails and leaves it as it was."""
    Vault.create(path, "pw", profile=QUICK).close()
    with pytest.raises(VaultError, match="already"):
        Vault.create(path, "other", profile=QUICK)
    Vault.open(path, "pw").close()


def test_dec_09_the_counter_grows_whatever_the_clock_does(path: Path) -> None:
    """A clock that goes back or stands still gives last + 1; it survives closing."""
    with Vault.create(path, "pw", profile=QUICK) as vault:
        given = [vault.next_counter(now) for now in (1000, 1000, 5, 2000)]
    with Vault.open(path, "pw") as vault:
        given.append(vault.next_counter(0))
    assert given == [1000, 1001, 1002, 2000, 2001]


RACER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from placet_authenticator.records import Token
from placet_authenticator.vault import Vault
with Vault.open(Path(sys.argv[1]), "pw") as vault:
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(40):
        print(vault.next_counter(7), flush=True)
        vault.put(Token(f"{sys.argv[2]}-{number:03}", "", "a", b"s", "SHA1", 6, 30, 1))
"""


def test_dec_09_two_processes_never_get_the_same_counter(path: Path) -> None:
    """40 counters and 40 records each, at the same time: no counter twice, no record lost, no lock error."""
    Vault.create(path, "pw", profile=QUICK).close()
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(path), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in "ab"
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    outputs: list[str] = []
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    outputs = [racer.communicate(timeout=60)[0] for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0]
    counters = [int(line) for output in outputs for line in output.split()]
    assert sorted(counters) == list(range(7, 87))
    with Vault.open(path, "pw") as vault:
        assert len(vault.all(Token)) == 80


def test_replace_happens_once(path: Path) -> None:
    """Of two who move the same record, one is told that it was gone."""
    with Vault.create(path, "pw", profile=QUICK) as vault:
        vault.put(token("a"))
        assert vault.replace(token("a"), token("b"))
        assert not vault.replace(token("a"), token("c"))
        assert [each.id for each in vault.all(Token)] == ["b"]


@pytest.mark.parametrize("round_number", range(5))
def test_key_08_of_many_who_make_the_vault_at_once_one_does(path: Path, round_number: int) -> None:
    """The others are told so, and what the winner put in stays."""
    del round_number

    def make(name: str) -> str | None:
        try:
            with Vault.create(path, f"pw {name}", profile=QUICK) as vault:
                vault.put(token(name))
        except VaultError as error:
            assert "already" in error.detail  # noqa: PT017  the winner has no error
            return None
        return name

    with ThreadPoolExecutor(8) as pool:
        winners = [name for name in pool.map(make, "abcdefgh") if name is not None]
    (winner,) = winners
    with Vault.open(path, f"pw {winner}") as vault:
        assert [each.id for each in vault.all(Token)] == [winner]
