from __future__ import annotations

import asyncio
from pathlib import Path
from typing import get_args

import pytest

from placet_protocol import otpauth
from placet_protocol.totp import Algorithm, hotp
from placet_server.domain.refusals import RefusedError
from placet_server.domain.services import build
from placet_server.domain.softtokens import PENDING_MS
from placet_server.domain.values import NewSoftToken, Verification
from placet_server.ports import Sql, plan
from placet_server.storage import open_store
from placet_server.testing import ClearSealer, FixedBook, FixedRoutes, PlainPasswords
from support.answering import ORIGIN, World, code_of, world
from support.scale import scaled

# RFC 6238 Appendix B: time in seconds, and the code under each algorithm.
RFC_6238 = [
    (59, "94287082", "46119246", "90693936"),
    (1111111109, "07081804", "68084774", "25091201"),
    (1111111111, "14050471", "67062674", "99943326"),
    (1234567890, "89005924", "91819424", "93441116"),
    (2000000000, "69279037", "90698825", "38618901"),
    (20000000000, "65353130", "77737706", "47863826"),
]
RFC_SEEDS: dict[Algorithm, bytes] = {
    "SHA1": b"12345678901234567890",
    "SHA256": b"12345678901234567890123456789012",
    "SHA512": b"1234567890123456789012345678901234567890123456789012345678901234",
}
# RFC 4226 Appendix D, counters 0 to 9.
RFC_4226 = [
    "755224",
    "287082",
    "359152",
    "969429",
    "338314",
    "254676",
    "287922",
    "162583",
    "399871",
    "520489",
]


class Phone:
    """A soft token as the person's device has it."""

    def __init__(self, made: NewSoftToken) -> None:
        self.token = made.token
        self.seed = otpauth.parse(made.uri)

    def code(self, now: int, steps: int = 0) -> str:
        counter = now // (self.seed.period * 1000) + steps
        return hotp(self.seed.secret, counter, self.seed.digits, self.seed.algorithm)


async def _phone(w: World, *, confirmed: bool = True) -> Phone:
    return Phone(await w.domain.soft_tokens.create(w.user, "app", "Acme", w.now, confirmed=confirmed))


async def _verify(w: World, code: str) -> Verification:
    return await w.domain.soft_tokens.verify(w.caller, w.user.tfa_id, code, w.now)


def _wrong(phone: Phone, now: int) -> str:
    good = {phone.code(now, steps) for steps in (-1, 0, 1)}
    return next(code for code in (f"{n:06}" for n in range(10)) if code not in good)


@pytest.mark.parametrize("algorithm", get_args(Algorithm))
async def test_tot_01_rfc_6238_vectors_verify(tmp_path: Path, algorithm: Algorithm) -> None:
    """An imported seed of each algorithm verifies the codes of RFC 6238 Appendix B at their times."""
    async with world(tmp_path) as w:
        secret = RFC_SEEDS[algorithm]
        await w.domain.soft_tokens.create(
            w.user, "rfc", "", w.now, secret=secret, algorithm=algorithm, digits=8, confirmed=True
        )
        for seconds, *codes in RFC_6238:
            w.clock.set(seconds * 1000)
            assert await _verify(w, codes[get_args(Algorithm).index(algorithm)]) == "matched"


async def test_tot_01_rfc_4226_vectors_verify(tmp_path: Path) -> None:
    """The ten codes of RFC 4226 Appendix D verify when the counter is the time step."""
    async with world(tmp_path) as w:
        await w.domain.soft_tokens.create(w.user, "rfc", "", w.now, secret=RFC_SEEDS["SHA1"], confirmed=True)
        for counter, code in enumerate(RFC_4226):
            w.clock.set(counter * 30_000)
            assert await _verify(w, code) == "matched"


async def test_tot_02_new_seeds_have_160_bits(tmp_path: Path) -> None:
    """New seeds are 20 different bytes each time; an imported one below 128 bits is refused."""
    async with world(tmp_path) as w:
        seeds = set()
        for _ in range(scaled(1_000)):
            made = await w.domain.soft_tokens.create(w.user, "app", "Acme", w.now)
            w.clock.advance(ms=1)
            seeds.add(otpauth.parse(made.uri).secret)
        assert len(seeds) == scaled(1_000)
        assert {len(seed) for seed in seeds} == {20}
        create = w.domain.soft_tokens.create
        assert await code_of(create(w.user, "x", "", w.now, secret=bytes(15))) == "invalid_request"
        await create(w.user, "x", "", w.now, secret=bytes(16))


@pytest.mark.parametrize("steps", range(-3, 4))
async def test_tot_03_one_step_each_side_is_taken(tmp_path: Path, steps: int) -> None:
    """The codes of the step before, this and the next one verify, those further away do not."""
    async with world(tmp_path) as w:
        phone = await _phone(w)
        expected = "matched" if abs(steps) <= 1 else "mismatch"
        assert await _verify(w, phone.code(w.now, steps)) == expected


async def test_tot_04_a_step_counts_once_and_never_backwards(tmp_path: Path) -> None:
    """A used code, and the code of an older step after a newer one, are answered as used."""
    async with world(tmp_path) as w:
        phone = await _phone(w)
        assert await _verify(w, phone.code(w.now)) == "matched"
        assert await _verify(w, phone.code(w.now)) == "used"
        assert await _verify(w, phone.code(w.now, -1)) == "used"
        assert await _verify(w, phone.code(w.now, 1)) == "matched"
        w.clock.advance(seconds=30)
        assert await _verify(w, phone.code(w.now)) == "used"


async def test_tot_04_the_first_code_is_spent(tmp_path: Path) -> None:
    """The code that confirms a token cannot be used to log in, whichever call confirmed it."""
    async with world(tmp_path) as w:
        tokens = w.domain.soft_tokens
        phone = await _phone(w, confirmed=False)
        code = phone.code(w.now)
        assert await tokens.confirm(w.caller, w.user.tfa_id, phone.token.id, code, w.now) == "matched"
        assert await _verify(w, code) == "used"
        assert [token.status for token in await tokens.of_user(w.user, w.now)] == ["confirmed"]
        other = await _phone(w, confirmed=False)
        assert await _verify(w, other.code(w.now)) == "matched"
        assert await _verify(w, other.code(w.now)) == "used"
        assert (await w.domain.users.by_id(w.user.id)).confirmed


async def test_tot_05_of_many_at_once_one_counts(tmp_path: Path) -> None:
    """Twenty simultaneous verifications of one good code: one success, in each round; nobody is throttled."""
    async with world(tmp_path) as w:
        phone = await _phone(w)
        for _ in range(scaled(1_000)):
            code = phone.code(w.now)
            answers = await asyncio.gather(*(_verify(w, code) for _ in range(20)))
            assert sorted(answers) == ["matched"] + ["used"] * 19
            w.clock.advance(seconds=30)


async def test_tot_08_failures_delay_from_the_fifth(tmp_path: Path) -> None:
    """Four wrong codes cost nothing; from the fifth every try waits, 30 s doubling to an hour, right codes too."""
    async with world(tmp_path) as w:
        phone = await _phone(w)
        for _ in range(4):
            assert await _verify(w, _wrong(phone, w.now)) == "mismatch"
        for seconds in (30, 60, 120, 240, 480, 960, 1920, 3600, 3600):
            assert await _verify(w, _wrong(phone, w.now)) == "mismatch"
            assert await _verify(w, phone.code(w.now)) == "throttled"
            w.clock.advance(seconds=seconds, ms=-1)
            assert await _verify(w, phone.code(w.now)) == "throttled"
            w.clock.advance(ms=1)
        assert await _verify(w, phone.code(w.now)) == "matched"


async def test_tot_08_a_success_forgets_failures(tmp_path: Path) -> None:
    """After a good code four further wrong ones cost nothing again."""
    async with world(tmp_path) as w:
        phone = await _phone(w)
        for _ in range(3):
            for _ in range(4):
                assert await _verify(w, _wrong(phone, w.now)) == "mismatch"
            assert await _verify(w, phone.code(w.now)) == "matched"
            assert await w.count("throttles") == 0
            w.clock.advance(seconds=60)


async def test_tot_08_guesses_at_once_are_no_more_guesses(tmp_path: Path) -> None:
    """Of 60 simultaneous guesses five are answered; the right code at their end gets nothing, nor after a restart."""
    async with world(tmp_path) as w:
        phone = await _phone(w)
        wrong, right = _wrong(phone, w.now), phone.code(w.now)
        answers = await asyncio.gather(*(_verify(w, code) for code in [wrong] * 60 + [right]))
        assert answers.count("mismatch") == 5
        assert answers.count("throttled") == 56
        assert answers[-1] == "throttled"
    store = await open_store(tmp_path / "placet.db")
    domain = build(
        store,
        ClearSealer(),
        w.signer,
        w.entropy,
        w.bus,
        ORIGIN,
        lambda _: None,
        PlainPasswords(),
        FixedRoutes(),
        FixedBook(),
    )
    tokens = domain.soft_tokens
    assert await tokens.verify(w.caller, w.user.tfa_id, phone.code(w.now), w.now) == "throttled"
    await store.close()


async def test_tot_08_a_hundred_failures_lock(tmp_path: Path) -> None:
    """After as many failures in a row as policy allows no waiting helps; a newly confirmed device ends the lock."""
    async with world(tmp_path, limits__failures_max="8") as w:
        phone = await _phone(w)
        for _ in range(8):
            assert await _verify(w, _wrong(phone, w.now)) == "mismatch"
            w.clock.advance(seconds=3600)
        w.clock.advance(seconds=365 * 86400)
        assert await _verify(w, phone.code(w.now)) == "throttled"


async def test_tot_08_the_operator_frees_a_locked_user(tmp_path: Path) -> None:
    """After an unlock codes and recovery codes count at once, the log tells of it, and other users stay as they were."""
    async with world(tmp_path, limits__failures_max="2", limits__failures_delay="2") as w:
        phone, other = await _phone(w), await w.new_user("5550177")
        recovery = w.domain.recovery_codes
        codes = await recovery.make(w.caller, w.user, w.now)
        others = await recovery.make(w.caller, other, w.now)
        for user in (w.user, other):
            for _ in range(2):
                assert await recovery.spend(w.caller, user, "wrong", w.now) == "mismatch"
        for _ in range(2):
            assert await _verify(w, _wrong(phone, w.now)) == "mismatch"
        assert await _verify(w, phone.code(w.now)) == "throttled"
        assert await w.domain.soft_tokens.wait(w.caller, w.user.tfa_id, w.now) == 3600
        await w.domain.soft_tokens.unlock(w.user, w.now)
        assert await _verify(w, phone.code(w.now)) == "matched"
        assert await recovery.spend(w.caller, w.user, codes[0], w.now) == "matched"
        assert await recovery.spend(w.caller, other, others[0], w.now) == "throttled"
        assert await w.count("audit", "kind = 'user.unlocked'") == 1


async def test_tot_08_user_and_application_are_told(tmp_path: Path) -> None:
    """The fifth failure puts one notice and one user.held event out, without code or number; others put none."""
    async with world(tmp_path) as w:
        await w.domain.applications.add_webhook("Acme", "https://hooks.example/", w.now)
        w.application = await w.domain.applications.named("Acme")
        device = (await w.enrol()).device
        phone = await _phone(w)
        for _ in range(4):
            await _verify(w, _wrong(phone, w.now))
        assert await w.count("outbox") == 0
        await asyncio.gather(*(_verify(w, _wrong(phone, w.now)) for _ in range(10)))
        (item,) = await w.domain.outbox.due(w.now)
        assert item.body is not None
        assert b'"type":"user.held"' in item.body.payload
        assert ("outbox", item.id) in w.bus.published
        (notice,) = await w.domain.notices.pending(device, w.now)
        assert (notice.kind, notice.text) == (
            "codes.guessed",
            "5 wrong codes in a row were tried for your account.",
        )


async def test_tot_09_the_seed_is_shown_once(tmp_path: Path) -> None:
    """No other answer and no part of the audit log holds the seed; in the store it is sealed."""
    async with world(tmp_path) as w:
        made = await w.domain.soft_tokens.create(w.user, "app", "Acme", w.now, confirmed=True)
        seed = otpauth.parse(made.uri).secret
        listed = await w.domain.soft_tokens.of_user(w.user, w.now)
        assert listed == (made.token,)
        assert "secret" not in type(made.token).__struct_fields__
        rows = await w.store.rows(Sql("bodies", "SELECT body FROM audit"))
        assert not any(seed.hex() in body or made.uri[-20:] in body for (body,) in rows)


async def test_tot_10_a_moving_clock_opens_no_used_code(tmp_path: Path) -> None:
    """Walking the clock back 90 s and on again never makes a used code good."""
    async with world(tmp_path) as w:
        phone = await _phone(w)
        used = []
        for seconds in (0, 30, -90, 30, 30, 30, 60):
            w.clock.advance(seconds=seconds)
            code = phone.code(w.now)
            if await _verify(w, code) == "matched":
                used.append(code)
            for old in used:
                assert await _verify(w, old) != "matched"
            w.clock.advance(seconds=0)
        assert len(used) == len(set(used)) >= 3


async def test_pending_tokens_end_after_an_hour(tmp_path: Path) -> None:
    """A token that nobody confirmed gives nothing after its hour and is erased by the sweep."""
    async with world(tmp_path) as w:
        phone = await _phone(w, confirmed=False)
        w.clock.advance(ms=PENDING_MS)
        assert await _verify(w, phone.code(w.now)) == "no_token"
        confirm = w.domain.soft_tokens.confirm
        assert await confirm(w.caller, w.user.tfa_id, phone.token.id, phone.code(w.now), w.now) == "no_token"
        assert await w.domain.soft_tokens.of_user(w.user, w.now) == ()
        await w.domain.soft_tokens.sweep(w.now)
        assert await w.count("soft_tokens") == 0


async def test_a_code_is_compared_with_three_tokens_at_most(tmp_path: Path) -> None:
    """A fourth confirmed token is refused; repeated pending ones replace each other instead of piling up."""
    async with world(tmp_path) as w:
        for _ in range(10):
            w.clock.advance(ms=1)
            newest = await _phone(w, confirmed=False)
        assert await w.count("soft_tokens") == 2
        assert await _verify(w, newest.code(w.now)) == "matched"
        for _ in range(2):
            await _phone(w)
        create = w.domain.soft_tokens.create(w.user, "app", "Acme", w.now)
        assert await code_of(create) == "invalid_request"


async def test_a_removed_token_counts_no_more(tmp_path: Path) -> None:
    """Removal is immediate and inside the organization; an unknown or foreign id is not found."""
    async with world(tmp_path) as w:
        phone = await _phone(w)
        tokens = w.domain.soft_tokens
        assert await code_of(tokens.remove("other", phone.token.id, w.now)) == "not_found"
        assert await tokens.owner("default", phone.token.id) == w.user.id
        await tokens.remove("default", phone.token.id, w.now)
        assert await _verify(w, phone.code(w.now)) == "no_token"
        assert await code_of(tokens.remove("default", phone.token.id, w.now)) == "not_found"
        assert await code_of(tokens.remove("default", "' OR 1", w.now)) == "not_found"


async def test_one_users_code_is_nobody_elses(tmp_path: Path) -> None:
    """A good code of one user is wrong for another, and their failures are counted apart."""
    async with world(tmp_path) as w:
        phone = await _phone(w)
        other = await w.new_user("5550101")
        await w.domain.soft_tokens.create(other, "app", "Acme", w.now, confirmed=True)
        verify = w.domain.soft_tokens.verify
        for _ in range(5):
            assert await verify(w.caller, other.tfa_id, phone.code(w.now), w.now) == "mismatch"
        assert await verify(w.caller, other.tfa_id, phone.code(w.now), w.now) == "throttled"
        assert await _verify(w, phone.code(w.now)) == "matched"


@pytest.mark.parametrize("code", ["", "12345", "1234567", "٠١٢٣٤٥", "\udcff", "0" * 10_000, "12 345"])
async def test_odd_codes_are_wrong_codes(tmp_path: Path, code: str) -> None:
    """Whatever is typed is a mismatch at most, never a crash."""
    async with world(tmp_path) as w:
        await _phone(w)
        assert await _verify(w, code) == "mismatch"


async def test_log_04_every_try_has_its_entry(tmp_path: Path) -> None:
    """One good and two wrong codes append three audit entries."""
    async with world(tmp_path) as w:
        phone = await _phone(w)
        before = await w.count("audit")
        for code in (_wrong(phone, w.now), _wrong(phone, w.now), phone.code(w.now)):
            await _verify(w, code)
        assert await w.count("audit") == before + 3
        assert await w.count("audit", "kind = 'soft_token.refused'") == 2


async def test_a_token_for_a_user_who_was_erased_meanwhile_is_refused(tmp_path: Path) -> None:
    """Between reading a user and writing their token they may be erased: that is said, and no defect."""
    async with world(tmp_path) as w:
        await w.domain.users.remove(w.user.org, w.user.tfa_id, w.now)
        with pytest.raises(RefusedError) as refused:
            await w.domain.soft_tokens.create(w.user, "app", "Acme", w.now)
        assert refused.value.code == "user_not_found"


async def test_nobody_is_told_of_what_happens_after_a_user_was_erased(tmp_path: Path) -> None:
    """A notice or a nudge that comes too late is left out; the change that it belongs to is written."""
    async with world(tmp_path) as w:
        await w.domain.users.remove(w.user.org, w.user.tfa_id, w.now)
        assert not await w.domain.notices.nudge(w.user.id, "nudge", "Look at your device.", w.now)
        late = w.domain.notices.step(w.user.id, "codes.guessed", "Wrong codes were tried.", w.now)
        assert await w.store.write(plan(late, guards=0)) == 0
        assert await w.store.rows(Sql("notices", "SELECT id FROM notices")) == []
