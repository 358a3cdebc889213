from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from placet_protocol import jose
from placet_protocol.canonical import hidden_hash
from placet_protocol.errors import ProtocolError
from placet_protocol.receipt import verify
from placet_server.ports import Sql
from support.answering import code_of, world


@pytest.mark.parametrize(
    ("dec", "wrong", "outcome", "reason"),
    [
        ("approve", 0, "approved", "ok"),
        ("approve", 1, "denied", "wrong_number"),
        ("deny", 0, "denied", "declined"),
    ],
)
async def test_dec_11_a_receipt_verifies_with_the_key_set_alone(
    tmp_path: Path, dec: str, wrong: int, outcome: str, reason: str
) -> None:
    """Every kind of decision gives a receipt that the offline verifier believes, and that names its audit leaf."""
    async with world(tmp_path) as w:
        phone = await w.enrol()
        created, request = await w.asked(number="entry:3")
        assert created.number is not None
        number = f"{(int(created.number) + wrong) % 1000:03d}" if dec == "approve" else None
        w.clock.advance(ms=299_999)
        await w.domain.decisions.decide(phone.answer(request, dec, number), w.now)
        signed = await w.domain.receipts.receipt(w.application.id, created.approval.id)
        verified = verify(signed, w.signer.jwks())
        assert (verified.outcome, verified.reason) == (outcome, reason)
        assert verified.decided_at == w.now // 1000
        assert verified.receipt.request == request
        hidden = hidden_hash(jose.unb64u(verified.receipt.salt), created.approval.draft.hidden)
        assert verified.request.hdh == jose.b64u(hidden)
        leaf = await w.store.row(Sql("leaf", "SELECT leaf, body FROM audit ORDER BY seq DESC LIMIT 1"))
        assert leaf is not None
        assert verified.receipt.leaf == jose.b64u(leaf[0])
        decision = hashlib.sha256(verified.receipt.decision.encode()).digest()
        assert jose.b64u(decision) in leaf[1]


async def test_dec_11_a_clock_set_back_makes_no_unbelievable_receipt(tmp_path: Path) -> None:
    """An answer that arrives before its question or device was made, by the server's clock, is dated as they are."""
    async with world(tmp_path) as w:
        created, request = await w.asked()
        w.clock.advance(seconds=10)
        phone = await w.enrol()
        w.clock.advance(seconds=-90)
        decided = await w.domain.decisions.decide(phone.answer(request, "approve"), w.now)
        assert decided.decided_at == phone.device.created_at
        signed = await w.domain.receipts.receipt(w.application.id, created.approval.id)
        assert verify(signed, w.signer.jwks()).decided_at == decided.decided_at // 1000


async def test_dec_11_a_changed_receipt_fails(tmp_path: Path) -> None:
    """With any of 50 places changed, or another key set, nothing is proven."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    async with world(tmp_path / "one") as w, world(tmp_path / "other") as other:
        phone = await w.enrol()
        created, request = await w.asked()
        await w.domain.decisions.decide(phone.answer(request, "approve"), w.now)
        signed = await w.domain.receipts.receipt(w.application.id, created.approval.id)
        for place in range(0, len(signed), len(signed) // 50):
            changed = signed[:place] + ("A" if signed[place] != "A" else "B") + signed[place + 1 :]
            with pytest.raises(ProtocolError):
                verify(changed, w.signer.jwks())
        with pytest.raises(ProtocolError):
            verify(signed, other.signer.jwks())


async def test_a_receipt_outlives_the_revocation_of_its_device(tmp_path: Path) -> None:
    """What a device decided stays proven after the device was revoked."""
    async with world(tmp_path) as w:
        phone = await w.enrol()
        created, request = await w.asked()
        await w.domain.decisions.decide(phone.answer(request, "approve"), w.now)
        await w.domain.devices.revoke(w.application.org, phone.device.id, "lost", w.now)
        signed = await w.domain.receipts.receipt(w.application.id, created.approval.id)
        assert verify(signed, w.signer.jwks()).device.did == phone.device.id


async def test_without_a_decision_there_is_no_receipt(tmp_path: Path) -> None:
    """Pending and cancelled requests have none; other applications' requests are not found."""
    async with world(tmp_path) as w:
        phone = await w.enrol()
        created, request = await w.asked()
        receipts, approval_id = w.domain.receipts, created.approval.id
        assert await code_of(receipts.receipt(w.application.id, approval_id)) == "not_decided"
        await w.domain.decisions.decide(phone.answer(request, "approve"), w.now)
        assert await code_of(receipts.receipt("another", approval_id)) == "not_found"
        assert await code_of(receipts.receipt(w.application.id, "no id")) == "not_found"
        taken_back = await w.ask()
        await w.domain.approvals.cancel(w.application.id, taken_back.approval.id, w.now)
        assert await code_of(receipts.receipt(w.application.id, taken_back.approval.id)) == "not_decided"


async def test_a_receipt_needs_the_certificate(tmp_path: Path) -> None:
    """When the user was erased with all devices, the receipt can no longer be made, and says why."""
    async with world(tmp_path) as w:
        phone = await w.enrol()
        created, request = await w.asked()
        await w.domain.decisions.decide(phone.answer(request, "approve"), w.now)
        await w.domain.users.remove(w.application.org, w.user.tfa_id, w.now)
        ids = (w.application.id, created.approval.id)
        assert await code_of(w.domain.receipts.receipt(*ids)) == "not_found"
