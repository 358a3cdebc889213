from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from placet_protocol import documents, jose
from placet_protocol.canonical import hidden_hash
from placet_protocol.errors import BadSignatureError, MismatchError, ProtocolError
from placet_protocol.receipt import Verified, verify
from support import parties
from support.parties import BEGUN, JWKS, OTHER_KEY, SERVER_KEY, SERVER_KID

RECEIPT = parties.receipt_document()


def receipt(**changes: Any) -> str:
    return parties.receipt_document(**changes)


def signed_by(key: Any, typ: str, document: Any) -> str:
    return jose.sign(key, typ, documents.payload(document), kid=jose.thumbprint(key.public_key()))


def test_dec_11_a_receipt_proves_the_decision() -> None:
    """With the key set alone one learns what was asked, who answered what, and what came of it."""
    proved = verify(RECEIPT, JWKS)
    assert isinstance(proved, Verified)
    assert (proved.outcome, proved.reason, proved.decided_at) == ("approved", "ok", BEGUN + 131)
    assert proved.request == parties.request()
    assert proved.decision == parties.decision()
    assert proved.device == parties.certificate()


def test_dec_11_the_hidden_details_can_be_shown() -> None:
    """The salt in the receipt opens the commitment of the request to whoever holds the details."""
    proved = verify(RECEIPT, JWKS)
    salt = jose.unb64u(proved.receipt.salt)
    assert jose.b64u(hidden_hash(salt, parties.HIDDEN)) == proved.request.hdh
    assert jose.b64u(hidden_hash(salt, {**parties.HIDDEN, "risk": 0.5})) != proved.request.hdh


def test_dec_11_the_verifier_says_what_rests_on_the_servers_word() -> None:
    """Arrival and number are in no device's signature; the notes say so."""
    assert any("number matched" in note for note in verify(RECEIPT, JWKS).notes)
    wrong = receipt(outcome="denied", reason="wrong_number")
    assert any("number did not match" in note for note in verify(wrong, JWKS).notes)
    asked = parties.request_document(num="none")
    plain = receipt(request=asked, decision=parties.decision_document(asked, num=None))
    assert not any("number" in note for note in verify(plain, JWKS).notes)


@pytest.mark.parametrize("seed", range(10))
def test_dec_11_any_flipped_byte_is_detected(seed: int) -> None:
    """Two hundred places a run, over the whole length: whatever byte is flipped, nothing is proved."""
    data = RECEIPT.encode()
    for place in range(seed, len(data), max(1, len(data) // 20)):
        for bit in (0, 1, 5, 7):
            changed = data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]
            with pytest.raises(ProtocolError):
                verify(changed.decode("latin-1"), JWKS)


@pytest.mark.parametrize("member", ["request", "decision", "device"])
def test_dec_11_any_flipped_byte_inside_is_detected(member: str) -> None:
    """A server that re-signs a receipt around a changed document proves nothing."""
    inner: str = getattr(verify(RECEIPT, JWKS).receipt, member)
    for place in range(0, len(inner), max(1, len(inner) // 40)):
        changed = inner[:place] + ("A" if inner[place] != "A" else "B") + inner[place + 1 :]
        with pytest.raises(ProtocolError):
            verify(receipt(**{member: changed}), JWKS)


@pytest.mark.parametrize("jwks", [[], [jose.public_jwk(OTHER_KEY.public_key())]])
def test_dec_11_only_pinned_keys_count(jwks: list[dict[str, Any]]) -> None:
    """Without the server's key in the set there is no proof."""
    with pytest.raises(BadSignatureError):
        verify(RECEIPT, jwks)


def test_dec_11_a_kid_in_the_set_is_not_believed() -> None:
    """Keys are named by their own thumbprint: the right one is found whatever the set calls it, and calls others."""
    posing = {**jose.public_jwk(OTHER_KEY.public_key()), "kid": SERVER_KID}
    for name in ("another", jose.thumbprint(OTHER_KEY.public_key()), None):
        right = {**JWKS[0], "kid": name}
        assert verify(RECEIPT, [posing, right]) == verify(RECEIPT, [right, posing]) == verify(RECEIPT, JWKS)
    with pytest.raises(BadSignatureError, match="not in the key set"):
        verify(RECEIPT, [posing])


def test_dec_11_keys_of_before_and_after_a_roll_over_count_together() -> None:
    """A receipt signed by a new key carries documents of the retired one."""
    members = json.loads(documents.payload(verify(RECEIPT, JWKS).receipt))
    again = jose.sign(
        OTHER_KEY,
        documents.RECEIPT,
        json.dumps(members).encode(),
        kid=jose.thumbprint(OTHER_KEY.public_key()),
    )
    with pytest.raises(BadSignatureError):
        verify(again, JWKS)
    retired = {
        **JWKS[0],
        "kid": SERVER_KID,
        "use": "sig",
        "alg": "ES256",
        "status": "retired",
        "iat": 1,
        "exp": 2,
    }
    log_key = {"kty": "OKP", "crv": "Ed25519", "x": jose.b64u(bytes(32)), "kid": "log"}
    assert verify(again, [log_key, jose.public_jwk(OTHER_KEY.public_key()), retired]).outcome == "approved"


ASKED = parties.request_document()
PLAIN = parties.request_document(num="none")


@pytest.mark.parametrize(
    "changes",
    [
        {"outcome": "denied"},
        {"outcome": "denied", "reason": "declined"},
        {"reason": "declined"},
        {"reason": "wrong_number"},
        {"decision": parties.decision_document(dec="deny", rsn="declined", num=None)},
        {"decision": parties.decision_document(dec="deny", rsn="declined", num=None), "outcome": "denied"},
        {
            "decision": parties.decision_document(dec="deny", rsn="declined", num=None),
            "outcome": "denied",
            "reason": "mistake",
        },
        {
            "decision": parties.decision_document(dec="deny", rsn="declined", num=None),
            "outcome": "denied",
            "reason": "wrong_number",
        },
        {"decision": parties.decision_document(num=None)},
        {"decision": parties.decision_document(num="42")},
        {"decision": parties.decision_document(rid="another")},
        {"decision": parties.decision_document(non=jose.b64u(bytes(16)))},
        {"decision": parties.decision_document(rqh=jose.b64u(bytes(32)))},
        {"decision": parties.decision_document(aud="https://other.example")},
        {
            "decision": signed_by(
                OTHER_KEY, documents.DECISION, parties.decision(iss=jose.thumbprint(OTHER_KEY.public_key()))
            )
        },
        {"request": parties.request_document(msg="Pay 1.00 € to Zoë?")},
        {"request": parties.request_document(iss="https://other.example")},
        {"request": signed_by(OTHER_KEY, documents.REQUEST, parties.request())},
        {"rid": "another"},
        {"iss": "https://other.example"},
        {"device": parties.certificate_document(sub="somebody")},
        {"device": parties.certificate_document(iss="https://other.example")},
        {"device": parties.certificate_document(nbf=BEGUN + 132)},
        {"device": parties.certificate_document(cnf=documents.confirmation(OTHER_KEY.public_key()))},
        {"device": signed_by(OTHER_KEY, documents.DEVICE, parties.certificate())},
        {"device": parties.request_document()},
        {
            "request": PLAIN,
            "decision": parties.decision_document(PLAIN, num=None),
            "outcome": "denied",
            "reason": "wrong_number",
        },
        {"decided_at": BEGUN + 99},
        {"decided_at": BEGUN + 400},
    ],
    ids=", ".join,
)
def test_dec_11_documents_that_do_not_belong_together_prove_nothing(changes: dict[str, Any]) -> None:
    """Even a server's own signature around the wrong documents, outcome or dates is refused."""
    with pytest.raises(ProtocolError):
        verify(receipt(**changes), JWKS)


def test_dec_11_a_decision_names_the_certified_key() -> None:
    """A device that signs under another key's name is not the one of the certificate."""
    other = jose.thumbprint(OTHER_KEY.public_key())
    said = documents.payload(parties.decision(iss=other))
    disguised = jose.sign(parties.DEVICE_KEY, documents.DECISION, said, kid=other)
    with pytest.raises(MismatchError, match="iss"):
        verify(receipt(decision=disguised), JWKS)


@pytest.mark.parametrize("rsn", ["declined", "mistake", "not_me"])
def test_dec_11_a_denial_is_proved_with_its_reason(rsn: str) -> None:
    """Each reason of a denial is the device's own signed word."""
    denied = parties.decision_document(dec="deny", rsn=rsn, num=None)
    proved = verify(receipt(decision=denied, outcome="denied", reason=rsn), JWKS)
    assert (proved.outcome, proved.reason) == ("denied", rsn)


def test_dec_11_a_swapped_decision_names_what_does_not_agree() -> None:
    """The refusal tells an auditor which link is broken."""
    with pytest.raises(MismatchError, match="rqh"):
        verify(receipt(decision=parties.decision_document(rqh=jose.b64u(bytes(32)))), JWKS)


def test_dec_11_the_longest_request_has_a_receipt() -> None:
    """A request at all its limits, in four-byte characters, is proved as any other."""
    asked = parties.request_document(
        msg="\U0001f600" * 256, vis=(("\U0001f600" * 64, "\U0001f600" * 256),) * 20, num="none"
    )
    proved = verify(receipt(request=asked, decision=parties.decision_document(asked, num=None)), JWKS)
    assert len(proved.request.vis) == 20


def test_dec_11_the_verifier_needs_no_network() -> None:
    """Loading and running the verifier touches no socket: it works where there is no interface at all."""
    program = (
        "import json, sys; from placet_protocol.receipt import verify; said = json.load(sys.stdin);"
        "print(verify(said['receipt'], said['keys']).outcome, 'socket' in sys.modules, 'ssl' in sys.modules)"
    )
    said = json.dumps({"receipt": RECEIPT, "keys": JWKS})
    run = subprocess.run(
        [sys.executable, "-c", program], input=said, capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["approved", "False", "False"]


def test_the_key_of_the_server_is_the_fixed_one() -> None:
    """The fixtures pin the key that signs."""
    assert jose.thumbprint(SERVER_KEY.public_key()) == SERVER_KID
