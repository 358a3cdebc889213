from __future__ import annotations

import asyncio
import itertools
import re
import zlib
from pathlib import Path

import pytest

from placet_server.domain.apikeys import new_api_key, read_api_key
from placet_server.domain.applications import Applications
from placet_server.domain.policies import TABLE
from placet_server.domain.refusals import RefusedError
from placet_server.ports import Sql, plan, step
from placet_server.testing import ClearSealer, SeededEntropy
from support.answering import code_of, world
from support.outrun import OutrunStore
from support.scale import scaled
from support.settings_tables import typed

KEY = re.compile(r"plk_[0-9A-Za-z]{11}_[0-9A-Za-z]{39}", re.ASCII)
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def test_api_01_keys_are_recognisable_and_checked() -> None:
    """Keys differ, have the documented form, and end in the CRC-32 of what is before."""
    entropy = SeededEntropy("keys")
    keys = [new_api_key(entropy) for _ in range(scaled(1_000))]
    assert len({key.text for key in keys}) == len({key.id for key in keys}) == scaled(1_000)
    for key in keys:
        assert KEY.fullmatch(key.text)
        number = 0
        for digit in key.text[-6:]:
            number = number * 62 + ALPHABET.index(digit)
        assert number == zlib.crc32(key.text[:-6].encode())
        assert read_api_key(key.text) == key


def test_api_01_a_mistyped_key_is_no_key() -> None:
    """Any one changed character fails the form or the checksum, without a look at the store."""
    text = new_api_key(SeededEntropy("typo")).text
    for place in range(len(text)):
        other = "A" if text[place] != "A" else "B"
        assert read_api_key(text[:place] + other + text[place + 1 :]) is None
    for odd in ("", "plk_", text + " ", text + "\n", " " + text, text.swapcase(), "ｐ" + text[1:]):
        assert read_api_key(odd) is None


async def test_api_01_a_key_is_kept_as_hash_only(tmp_path: Path) -> None:
    """Neither key nor secret is in any file of the store."""
    async with world(tmp_path) as w:
        made = await w.domain.applications.add("Shop", ("approvals",), w.now)
        rotated = await w.domain.applications.rotate_key("Shop", w.now)
        known = _files(tmp_path)
        for api_key in (made.api_key, rotated.api_key):
            key = read_api_key(api_key)
            assert key is not None
            assert key.id.encode() in known
            assert key.secret.encode() not in known


async def test_a_key_tells_who_calls(tmp_path: Path) -> None:
    """The caller has the application, the key's id and its scopes, from the store and from memory."""
    async with world(tmp_path) as w:
        made = await w.domain.applications.add("Shop", ("users", "approvals"), w.now)
        for _ in range(2):
            caller = await w.domain.applications.authenticate(made.api_key, w.now)
            assert caller is not None
            assert caller.application.name == "Shop"
            assert caller.scopes == {"users", "approvals"}
            assert caller.face == "native"
            assert made.api_key.split("_")[1] == caller.credential


async def test_a_wrong_key_is_nobody(tmp_path: Path) -> None:
    """Another secret under a known id, an unknown id and foreign text give the same: nobody."""
    async with world(tmp_path) as w:
        made = await w.domain.applications.add("Shop", ("users",), w.now)
        other = await w.domain.applications.add("Other", ("users",), w.now)
        known, stranger = read_api_key(made.api_key), read_api_key(other.api_key)
        assert known is not None
        assert stranger is not None
        crossed = _with_checksum(f"plk_{known.id}_{stranger.secret}")
        unknown = _with_checksum(f"plk_{known.id[::-1]}_{known.secret}")
        for text in (crossed, unknown, "", "x" * 10_000, "plk_\udcff", made.api_key[:-1]):
            assert await w.domain.applications.authenticate(text, w.now) is None


async def test_rotation_keeps_the_old_key_for_a_day(tmp_path: Path) -> None:
    """Both keys open during 24 hours, then only the new one; at once ends the old one now."""
    async with world(tmp_path) as w:
        applications = w.domain.applications
        old = await applications.add("Shop", ("users",), w.now)
        new = await applications.rotate_key("Shop", w.now)
        for key in (old, new):
            caller = await applications.authenticate(key.api_key, w.now)
            assert caller is not None
            assert caller.scopes == {"users"}
        w.clock.advance(seconds=24 * 3600)
        assert await applications.authenticate(old.api_key, w.now) is None
        assert await applications.authenticate(new.api_key, w.now)
        newest = await applications.rotate_key("Shop", w.now, at_once=True)
        assert await applications.authenticate(new.api_key, w.now) is None
        assert await applications.authenticate(newest.api_key, w.now)
        assert [key.last4 for key in await applications.keys("Shop")] == [newest.api_key[-4:]]


async def test_api_03_a_key_removed_elsewhere_is_dead_within_a_second(tmp_path: Path) -> None:
    """A key that another process deletes opens nothing a second later, although it was remembered."""
    async with world(tmp_path) as w:
        made = await w.domain.applications.add("Shop", ("users",), w.now)
        assert await w.domain.applications.authenticate(made.api_key, w.now)
        await w.store.write(plan(step(Sql("delete_keys", "DELETE FROM api_keys")), guards=0))
        w.clock.advance(ms=1000)
        assert await w.domain.applications.authenticate(made.api_key, w.now) is None


async def test_a_removed_application_opens_nothing(tmp_path: Path) -> None:
    """With the application go its keys, credentials and webhooks; its name is free again."""
    async with world(tmp_path) as w:
        applications = w.domain.applications
        made = await applications.add("Shop", ("users",), w.now)
        await applications.add_webhook("Shop", "https://hooks.example/x", w.now)
        credential = await w.domain.credentials.add("authy", "Shop", None, {}, w.now)
        await applications.authenticate(made.api_key, w.now)
        await applications.remove("Shop", w.now)
        w.domain.credentials.forget()
        assert await applications.authenticate(made.api_key, w.now) is None
        assert await w.domain.credentials.by_secret("authy", credential.api_key, w.now) is None
        assert await w.count("webhooks") == 0
        assert await code_of(applications.named("Shop")) == "not_found"
        await applications.add("Shop", ("users",), w.now)


async def test_names_are_unique_and_can_be_shown(tmp_path: Path) -> None:
    """A second application of a name, and names that may not be shown to a person, are refused."""
    async with world(tmp_path) as w:
        add = w.domain.applications.add
        await add("Café", (), w.now)
        assert await code_of(add("Café", (), w.now)) == "name_taken"
        assert await code_of(add("Evil\u202e", (), w.now)) == "invalid_text"
        for name in ("", "  ", " x", "x" * 65):
            assert await code_of(add(name, (), w.now)) == "invalid_request"
        assert await code_of(add("Other", ("root",), w.now)) == "invalid_request"


async def test_changed_policies_are_seen_at_once(tmp_path: Path) -> None:
    """A key that was used before works under new policies with its next call."""
    async with world(tmp_path) as w:
        applications = w.domain.applications
        made = await applications.add("Shop", ("users",), w.now)
        await applications.authenticate(made.api_key, w.now)
        await applications.set_policies("Shop", {"approval.ttl": "42"}, w.now)
        caller = await applications.authenticate(made.api_key, w.now)
        assert caller is not None
        assert caller.application.policies.approval_ttl == 42
        assert (await applications.by_id(made.id)).policies.approval_ttl == 42
        assert (
            await code_of(applications.set_policies("Shop", {"approval.tll": "1"}, w.now))
            == "invalid_request"
        )


async def test_every_policy_can_be_set_again_and_again(tmp_path: Path) -> None:
    """Each policy takes its own default and another value in turn, whatever was set before."""
    async with world(tmp_path) as w:
        applications = w.domain.applications
        await applications.add("Shop", ("users",), w.now)
        for _ in range(2):
            for policy in TABLE:
                text = typed(policy.default)
                async with asyncio.timeout(20):
                    changed = await applications.set_policies("Shop", {policy.name: text}, w.now)
                assert getattr(changed.policies, policy.field) == policy.default
            async with asyncio.timeout(20):
                await applications.set_policies("Shop", {"code.lines": "mobile"}, w.now)


async def test_policies_that_others_keep_changing_are_given_up(tmp_path: Path) -> None:
    """Who loses some races gets all changes together; who loses every one hears so after a while, and nothing is written."""
    async with world(tmp_path) as w:
        seconds = itertools.count(100)

        async def faster() -> None:
            await w.domain.applications.set_policies("Acme", {"approval.ttl": str(next(seconds))}, w.now)

        def outrun(times: int | None) -> Applications:
            store = OutrunStore(w.store, "application_set_policies", faster, times)
            return Applications(store, ClearSealer(), SeededEntropy("slow"), lambda _: None)

        changed = await outrun(5).set_policies("Acme", {"code.length": "8"}, w.now)
        assert (changed.policies.approval_ttl, changed.policies.code_length) == (104, 8)
        before = await w.count("audit", "body LIKE '%code.length%'")
        async with asyncio.timeout(60):
            with pytest.raises(RefusedError) as refused:
                await outrun(None).set_policies("Acme", {"code.length": "9"}, w.now)
        assert (refused.value.code, refused.value.retry_after) == ("unavailable", 1)
        assert (await w.domain.applications.named("Acme")).policies.code_length == 8
        assert await w.count("audit", "body LIKE '%code.length%'") == before == 1


async def test_webhooks_have_secrets_of_their_own(tmp_path: Path) -> None:
    """Each endpoint signs with its own whsec_ secret, is listed, and can be removed."""
    async with world(tmp_path) as w:
        applications = w.domain.applications
        one = await applications.add_webhook("Acme", "https://hooks.example/1", w.now)
        w.clock.advance(ms=1)
        two = await applications.add_webhook("Acme", "http://127.0.0.1:9/2?x=1", w.now)
        assert one.secret != two.secret
        assert one.secret is not None
        assert one.secret.startswith("whsec_")
        assert await applications.webhooks("Acme") == (one, two)
        await applications.remove_webhook(one.id, w.now)
        assert await applications.webhooks("Acme") == (two,)
        assert await code_of(applications.remove_webhook(one.id, w.now)) == "not_found"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example",
        "ftp://hooks.example/",
        "https://",
        "https://user@hooks.example/",
        "https://u:p@hooks.example/",
        "https://hooks.example/#x",
        "https://hooks.example:0/",
        "https://hooks.example:99999/",
        "https://hooks.example/ x",
        "https://hooks.example/\r\nX: y",
        "https://bücher.example/",
        "https://[::1/",
        "https://hooks.example/" + "x" * 2048,
    ],
)
async def test_what_is_no_webhook_url_is_refused(tmp_path: Path, url: str) -> None:
    """Only plain absolute http(s) URLs are kept as endpoints."""
    async with world(tmp_path) as w:
        assert await code_of(w.domain.applications.add_webhook("Acme", url, w.now)) == "invalid_request"


async def test_credentials_open_their_face_only(tmp_path: Path) -> None:
    """A brought-along key opens the face that it was added for, with its settings, until it is revoked."""
    async with world(tmp_path) as w:
        credentials = w.domain.credentials
        brought = "d57d919d11e6b221c9bf6f7c882028f9"
        made = await credentials.add("authy", "Acme", brought, {"callback_url": "https://x.example/"}, w.now)
        assert made.api_key == brought
        for _ in range(2):
            caller = await credentials.by_secret("authy", brought, w.now)
            assert caller is not None
            assert (caller.application.name, caller.face) == ("Acme", "authy")
            assert caller.settings == {"callback_url": "https://x.example/"}
            assert "devices:admin" not in caller.scopes
        assert await credentials.by_secret("octopush", brought, w.now) is None
        assert await credentials.by_secret("authy", brought + "0", w.now) is None
        assert await credentials.secret(made.id) == brought
        assert [known.last4 for known in await credentials.all("authy")] == ["28f9"]
        assert await code_of(credentials.add("authy", "Acme", brought, {}, w.now)) == "name_taken"
        await credentials.revoke(made.id, w.now)
        assert await credentials.by_secret("authy", brought, w.now) is None
        assert await credentials.secret(made.id) is None
        assert await code_of(credentials.revoke(made.id, w.now)) == "not_found"


async def test_credentials_that_can_be_guessed_are_refused(tmp_path: Path) -> None:
    """Empty keys, odd characters, unknown faces and applications are refused; short keys are taken with a warning."""
    async with world(tmp_path) as w:
        add = w.domain.credentials.add
        for secret in ("", " padded", "with space in the middle", "x" * 200, "ümlaut-ümlaut-ümlaut"):
            assert await code_of(add("authy", "Acme", secret, {}, w.now)) == "invalid_request"
        assert (await add("authy", "Acme", "short", {}, w.now)).warnings
        assert await code_of(add("nonsense", "Acme", None, {}, w.now)) == "invalid_request"
        assert await code_of(add("authy", "Nobody", None, {}, w.now)) == "not_found"


async def test_aud_01_each_change_has_its_entry(tmp_path: Path) -> None:
    """Whatever changes an application appends one audit entry; what is refused appends none."""
    async with world(tmp_path) as w:
        before = await w.count("audit")
        await w.domain.applications.add("Shop", ("users",), w.now)
        with pytest.raises(RefusedError):
            await w.domain.applications.add("Shop", ("users",), w.now)
        await w.domain.applications.rotate_key("Shop", w.now)
        await w.domain.applications.add_webhook("Shop", "https://hooks.example/", w.now)
        await w.domain.applications.remove("Shop", w.now)
        assert await w.count("audit") == before + 4


def _with_checksum(stem: str) -> str:
    number, digits = zlib.crc32(stem.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = ALPHABET[digit] + digits
    return stem + digits


def _files(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())
