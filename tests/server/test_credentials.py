"""Credentials of faces: who presents what, how secrets change, what a send costs, and how guessing is slowed down."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest

from placet_server.crypto.passwords import WAITING_MAX, Argon2Passwords
from placet_server.domain.callers import Callers
from placet_server.domain.credentials import UNIT, Change, Credentials
from placet_server.domain.guesses import FREE, FREE_OF_SOURCE, Guesses
from placet_server.domain.refusals import RefusedError
from placet_server.domain.values import Caller
from placet_server.ports import BusyError, Sql, plan
from placet_server.system import SystemEntropy
from placet_server.testing import ClearSealer, PlainPasswords, SeededEntropy
from support.answering import World, code_of, world
from support.outrun import OutrunStore

HERE, THERE = "192.0.2.7", "198.51.100.9"
DAY = 86_400


async def known(w: World, face: str, name: str, secret: str, ip: str = HERE) -> Caller | None:
    w.domain.credentials.forget()
    return await w.domain.credentials.by_pair(face, name, secret, w.now, ip)


@pytest.mark.parametrize(
    ("face", "name", "secret"),
    [
        ("afilnet", "demo@example.org", "s3cret"),
        ("unityvox", "100200", "UVKEY1"),
        ("octopush", "demo@example.org", "OCTOKEY"),
        ("octopush", "x", "y"),
    ],
)
async def test_what_a_customer_holds_already_opens_the_face(
    tmp_path: Path, face: str, name: str, secret: str
) -> None:
    """Short keys and passwords of the old system work, with a warning; other names, secrets and faces do not."""
    async with world(tmp_path) as w:
        made = await w.domain.credentials.add(face, "Acme", secret, {"x": 1}, w.now, name=name)
        assert "guessed" in made.warnings[0]
        for spelled in (name, f" {name.upper()} "):
            caller = await known(w, face, spelled, secret)
            assert caller is not None
            assert (caller.face, caller.credential, caller.settings) == (face, made.id, {"x": 1})
        assert await known(w, face, name, secret.swapcase() + "x") is None
        assert await known(w, face, name + "x", secret) is None
        assert await w.domain.credentials.by_secret("authy", secret, w.now, HERE) is None
        again = w.domain.credentials.add(face, "Acme", secret, {}, w.now, name=name)
        assert await code_of(again) == "name_taken"


async def test_passwords_of_people_are_kept_as_slow_hashes(tmp_path: Path) -> None:
    """Neither store nor listing holds a password or its end; the right one is computed once and then remembered."""
    async with world(tmp_path) as w:
        passwords = Argon2Passwords(SystemEntropy())
        w.domain.credentials._passwords = passwords
        made = await w.domain.credentials.add("afilnet", "Acme", "correct horse", {}, w.now, name="demo")
        assert made.api_key == ""
        row = await w.store.row(Sql("sealed", "SELECT sealed, last4 FROM credential_secrets"))
        assert row is not None
        assert b"$argon2id$v=19$m=19456,t=2,p=1$" in row[0]
        assert b"horse" not in row[0]
        assert row[1] == ""
        assert await known(w, "afilnet", "demo", "correct horse") is not None
        assert await known(w, "afilnet", "demo", "correct horsf") is None
        w.domain.credentials._passwords = plain = PlainPasswords()
        assert await known(w, "afilnet", "demo", "correct horse") is not None
        assert plain.checks == 0


async def test_a_pool_of_connections_costs_one_check(tmp_path: Path) -> None:
    """After a restart many calls with the same right password wait for one computation, and none is refused."""
    async with world(tmp_path) as w:
        passwords = PlainPasswords()
        w.domain.credentials._passwords = passwords
        await w.domain.credentials.add("afilnet", "Acme", "correct horse", {}, w.now, name="demo")
        calls = (
            w.domain.credentials.by_pair("afilnet", "demo", "correct horse", w.now, HERE) for _ in range(64)
        )
        assert all(await asyncio.gather(*calls))
        assert passwords.checks == 1


async def test_too_many_passwords_at_once_are_told_to_come_back() -> None:
    """The queue before the slow hash is bounded, so that strangers cannot fill it without end."""
    passwords = Argon2Passwords(SystemEntropy())
    hashed = await passwords.hash("a")
    tries = [
        asyncio.create_task(passwords.match(str(number), (hashed,))) for number in range(WAITING_MAX + 8)
    ]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(result, BusyError) for result in results) == 8
    assert results.count(None) == WAITING_MAX
    assert await passwords.match("a", (hashed,)) == 0


async def test_a_busy_server_is_no_wrong_password(tmp_path: Path) -> None:
    """Who is told to come back has not used up a try, and is told so in words that mean it."""

    class Busy(PlainPasswords):
        async def match(self, password: str, hashes: tuple[str, ...]) -> int | None:
            del password, hashes
            raise BusyError

    async with world(tmp_path) as w:
        await w.domain.credentials.add("afilnet", "Acme", "correct horse", {}, w.now, name="demo")
        w.domain.credentials._passwords = Busy()
        for _ in range(FREE * 2):
            assert await code_of(known(w, "afilnet", "demo", "correct horse")) == "unavailable"
        w.domain.credentials._passwords = PlainPasswords()
        assert await known(w, "afilnet", "demo", "correct horse") is not None


async def test_api_02_an_unknown_account_costs_what_a_wrong_password_costs(tmp_path: Path) -> None:
    """Both go through one check with the same work; the statement that looks them up is the same, too."""
    async with world(tmp_path) as w:
        passwords = PlainPasswords()
        w.domain.credentials._passwords = passwords
        await w.domain.credentials.add("afilnet", "Acme", "correct horse", {}, w.now, name="demo")
        assert await known(w, "afilnet", "demo", "wrong") is None
        assert await known(w, "afilnet", "nobody", "wrong") is None
        assert passwords.checks == 2


@pytest.mark.parametrize(
    ("face", "name", "right"), [("afilnet", "demo", "correct horse"), ("octopush", "demo", "OCTOKEY")]
)
async def test_who_guesses_waits_and_locks_nobody_out(
    tmp_path: Path, face: str, name: str, right: str
) -> None:
    """After some wrong tries one source waits, also with the right secret; the customer's own does not."""
    async with world(tmp_path) as w:
        await w.domain.credentials.add(face, "Acme", right, {}, w.now, name=name)
        for number in range(FREE):
            assert await known(w, face, name, f"wrong{number}", THERE) is None
        assert await known(w, face, name, right, THERE) is None
        assert await known(w, face, name, right, HERE) is not None
        w.clock.advance(seconds=30)
        assert await known(w, face, name, right, THERE) is not None
        for number in range(FREE + 3):
            assert await known(w, face, name, f"wrong{number}", THERE) is None
        assert await known(w, face, name, right, THERE) is not None, "who was right once is remembered"


def test_guesses_count_per_network_and_over_names() -> None:
    """An IPv6 network of one customer is one source; one password on many names is slowed down as well."""
    guesses = Guesses()
    for number in range(FREE):
        guesses.failed(b"name", f"2001:db8::{number}", 0)
    assert guesses.wait(b"name", "2001:db8::ffff", 0) == 30_000
    assert guesses.wait(b"name", "2001:db8:0:1::1", 0) == 0
    for number in range(FREE_OF_SOURCE):
        guesses.failed(b"%d" % number, HERE, 0)
    assert guesses.wait(b"another", HERE, 0) == 30_000
    assert guesses.wait(b"another", f"::ffff:{HERE}", 0) == 30_000
    assert guesses.wait(b"another", THERE, 0) == 0


async def test_a_rotated_secret_works_beside_the_old_one_for_its_time(tmp_path: Path) -> None:
    """Old and new open the same credential until the overlap ends; then only the new one does."""
    async with world(tmp_path) as w:
        credentials = w.domain.credentials
        for face, name, old, new in (
            ("authy", "", "a" * 32, None),
            ("afilnet", "demo", "correct horse", "another horse"),
            ("unityvox", "100200", "UVKEY1", "UVKEY2"),
        ):
            made = await credentials.add(face, "Acme", old, {}, w.now, name=name)
            rotated = await credentials.rotate(made.id, new, w.now)
            fresh = new or rotated.api_key
            for secret in (old, fresh):
                caller = await known(w, face, name, secret)
                assert caller is not None
                assert caller.credential == made.id
            w.clock.advance(seconds=DAY)
            assert await known(w, face, name, old) is None
            assert await known(w, face, name, fresh) is not None
            await credentials.sweep(w.now)
            assert len((await credentials.one(made.id)).secrets) == 1


async def test_api_03_at_once_ends_the_old_secret_and_keep_leaves_it(tmp_path: Path) -> None:
    """With no overlap the old one is dead with the answer; without an end several work, as accounts with three keys do."""
    async with world(tmp_path) as w:
        credentials = w.domain.credentials
        made = await credentials.add("unityvox", "Acme", "UVKEY1", {}, w.now, name="100200")
        await credentials.rotate(made.id, "UVKEY2", w.now, overlap=None)
        await credentials.rotate(made.id, "UVKEY3", w.now, overlap=None)
        w.clock.advance(seconds=400 * DAY)
        for key in ("UVKEY1", "UVKEY2", "UVKEY3"):
            assert await known(w, "unityvox", "100200", key) is not None
        assert await code_of(credentials.rotate(made.id, "UVKEY2", w.now)) == "name_taken"
        await credentials.rotate(made.id, "UVKEY4", w.now, overlap=0)
        for key in ("UVKEY1", "UVKEY2", "UVKEY3"):
            assert await known(w, "unityvox", "100200", key) is None
        assert await known(w, "unityvox", "100200", "UVKEY4") is not None
        person = await credentials.add("afilnet", "Acme", "correct horse", {}, w.now, name="demo")
        assert await code_of(credentials.rotate(person.id, "x", w.now, overlap=None)) == "invalid_request"
        assert await code_of(credentials.rotate(person.id, None, w.now)) == "invalid_request"
        assert await code_of(credentials.rotate("nobody", None, w.now)) == "not_found"
        await credentials.rotate(person.id, "another horse", w.now, overlap=0)
        assert await known(w, "afilnet", "demo", "correct horse") is None


async def test_callbacks_are_signed_by_the_key_that_the_customer_uses(tmp_path: Path) -> None:
    """Until the new key was presented once, the old one signs; from then on the new one."""
    async with world(tmp_path) as w:
        credentials = w.domain.credentials
        made = await credentials.add("authy", "Acme", "a" * 32, {}, w.now)
        assert await credentials.by_secret("authy", "a" * 32, w.now) is not None
        w.clock.advance(ms=1)
        await credentials.rotate(made.id, "b" * 32, w.now)
        assert await credentials.secret(made.id) == "a" * 32
        assert await credentials.by_secret("authy", "b" * 32, w.now) is not None
        assert await credentials.secret(made.id) == "b" * 32


async def test_api_03_a_revoked_credential_is_dead_within_a_second_everywhere(tmp_path: Path) -> None:
    """Here at once; in another process that remembers it, a second later at most. So are its tokens."""
    async with world(tmp_path) as w:
        credentials = w.domain.credentials
        made = await credentials.add("afilnet", "Acme", "correct horse", {}, w.now, name="demo")
        elsewhere = Callers(
            w.store, credentials._sealer, SystemEntropy(), w.domain.applications, PlainPasswords()
        )
        caller = await elsewhere.by_pair("afilnet", "demo", "correct horse", w.now, HERE)
        assert caller is not None
        assert await elsewhere.by_key("afilnet", caller.key, w.now) is not None
        assert await elsewhere.by_key("octopush", caller.key, w.now) is None
        await credentials.revoke(made.id, w.now)
        assert await credentials.by_pair("afilnet", "demo", "correct horse", w.now, HERE) is None
        w.clock.advance(ms=1000)
        assert await elsewhere.by_pair("afilnet", "demo", "correct horse", w.now, HERE) is None
        assert await elsewhere.by_key("afilnet", caller.key, w.now) is None
        assert not await credentials.opens("afilnet", w.now)


async def test_a_send_is_paid_by_a_guard_that_holds_under_races(tmp_path: Path) -> None:
    """Of many sends at once as many are written as the balance pays for; the last may go below zero, none after it."""
    async with world(tmp_path) as w:
        credentials = w.domain.credentials
        await credentials.add(
            "octopush", "Acme", "OCTOKEY", {}, w.now, name="demo", balance=UNIT, price=UNIT * 3 // 10
        )
        caller = await known(w, "octopush", "demo", "OCTOKEY")
        assert caller is not None
        assert await credentials.balance(caller) == UNIT

        async def send() -> bool:
            paid = credentials.charge(caller)
            assert paid is not None
            return await w.store.write(plan(paid)) == 0

        assert sum(await asyncio.gather(*(send() for _ in range(20)))) == 4
        assert await credentials.balance(caller) == UNIT - 4 * (UNIT * 3 // 10)
        made = (await credentials.all("octopush"))[0]
        await credentials.change(made.id, Change(top_up=UNIT), w.now)
        assert await send()


async def test_a_price_of_nothing_still_needs_a_balance(tmp_path: Path) -> None:
    """Balance 0 refuses even where a message costs nothing; without a balance nothing is counted."""
    async with world(tmp_path) as w:
        credentials = w.domain.credentials
        poor = await credentials.add("unityvox", "Acme", "UVKEY2", {}, w.now, name="100201", balance=0)
        free = await credentials.add("unityvox", "Acme", "UVKEY1", {}, w.now, name="100200")
        caller = await known(w, "unityvox", "100201", "UVKEY2")
        assert caller is not None
        paid = credentials.charge(caller)
        assert paid is not None
        assert await w.store.write(plan(paid)) == 1
        other = await known(w, "unityvox", "100200", "UVKEY1")
        assert other is not None
        assert credentials.charge(other) is None
        assert await credentials.balance(other) is None
        assert {poor.id, free.id} == {row.id for row in await credentials.all()}


async def test_changes_are_kept_and_entered_in_the_audit_log(tmp_path: Path) -> None:
    """Settings, networks and price change in one step each; what is refused changes nothing and leaves no entry."""
    async with world(tmp_path) as w:
        credentials = w.domain.credentials
        made = await credentials.add("octopush", "Acme", "OCTOKEY", {"no_voice": True}, w.now, name="demo")
        before = await w.count("audit")
        change = Change(settings={"sender": "ACME"}, networks=("::ffff:192.0.2.0/120",), price=5, balance=-3)
        changed = await credentials.change(made.id, change, w.now)
        assert changed.settings == {"no_voice": True, "sender": "ACME"}
        assert (changed.networks, changed.price, changed.balance) == (("192.0.2.0/24",), 5, -3)
        caller = await known(w, "octopush", "demo", "OCTOKEY")
        assert caller is not None
        assert caller.networks == ("192.0.2.0/24",)
        assert await w.count("audit") == before + 1
        for wrong in (Change(networks=("192.0.2.1/24",)), Change(price=-1), Change(balance=10**16)):
            assert await code_of(credentials.change(made.id, wrong, w.now)) == "invalid_request"
        assert await code_of(credentials.change("nobody", Change(), w.now)) == "not_found"
        assert await w.count("audit") == before + 1


async def test_a_credential_that_others_keep_changing_is_given_up(tmp_path: Path) -> None:
    """Who loses some races gets all changes together; who loses every one hears so, and its money was not counted."""
    async with world(tmp_path) as w:
        made = await w.domain.credentials.add(
            "octopush", "Acme", "OCTOKEY", {}, w.now, name="demo", balance=5
        )
        senders = itertools.count(1)

        async def faster() -> None:
            change = Change(settings={"sender": f"ACME{next(senders)}"})
            await w.domain.credentials.change(made.id, change, w.now)

        def outrun(times: int | None) -> Credentials:
            store = OutrunStore(w.store, "credential_change", faster, times)
            entropy = SeededEntropy("slow")
            return Credentials(store, ClearSealer(), entropy, w.domain.applications, PlainPasswords())

        changed = await outrun(5).change(made.id, Change(settings={"no_voice": True}, top_up=2), w.now)
        assert (changed.settings, changed.balance) == ({"sender": "ACME5", "no_voice": True}, 7)
        async with asyncio.timeout(10):
            with pytest.raises(RefusedError) as refused:
                await outrun(None).change(made.id, Change(top_up=100), w.now)
        assert (refused.value.code, refused.value.retry_after) == ("unavailable", 1)
        assert (await w.domain.credentials.one(made.id)).balance == 7


async def test_keys_that_sign_are_shown_to_nobody(tmp_path: Path) -> None:
    """Access and signing keys can be seen to be set, and not what they are."""
    async with world(tmp_path) as w:
        settings = {"access_key": "ACCESS-CANARY", "signing_key": "SIGNING-CANARY", "callback_method": "POST"}
        await w.domain.credentials.add("authy", "Acme", None, settings, w.now)
        shown = (await w.domain.credentials.all("authy"))[0]
        assert shown.settings == {
            "access_key": "(set)",
            "signing_key": "(set)",
            "callback_method": "POST",
        }
