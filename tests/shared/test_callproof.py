from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placet_protocol import callproof, jose
from placet_protocol.errors import (
    BadSignatureError,
    MalformedError,
    ProtocolError,
    StaleError,
    WrongAudienceError,
)
from support.parties import DEVICE_KEY, DEVICE_KID, OTHER_KEY, decision_document

URL = "https://placet.example/device/v1/acks?x=1"
BODY = b'{"ids":["a"]}'
JTI = "AAAAAAAAAAAAAAAAAAAAAA"
PROOF = callproof.proof(DEVICE_KEY, DEVICE_KID, "POST", URL, BODY, "nonce-1", JTI)


def read(document: str = PROOF, **changes: Any) -> callproof.Proof:
    call: dict[str, Any] = {
        "method": "POST",
        "url": URL,
        "body": BODY,
        "nonces": ("nonce-0", "nonce-1"),
        **changes,
    }
    return callproof.read(document, DEVICE_KEY.public_key(), **call)


def test_a_proof_fits_its_call() -> None:
    """Method, URL, body and a current nonce: the proof is taken, and its jti handed out to be remembered."""
    assert read().jti == JTI


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "GET"},
        {"method": "post"},
        {"url": URL + "&y=2"},
        {"url": "https://placet.example/device/v1/acks"},
        {"url": "http://placet.example/device/v1/acks?x=1"},
        {"url": "https://other.example/device/v1/acks?x=1"},
        {"body": b""},
        {"body": BODY + b" "},
    ],
    ids=repr,
)
def test_a_proof_fits_no_other_call(changes: dict[str, Any]) -> None:
    """A proof that was caught on its way cannot be used for anything else."""
    with pytest.raises(WrongAudienceError):
        read(**changes)


@pytest.mark.parametrize("nonces", [(), ("nonce-2",), {"NONCE-1"}])
def test_a_proof_without_a_current_nonce_is_stale(nonces: object) -> None:
    """The device learns that it must ask for a nonce: everything else about the proof was good."""
    with pytest.raises(StaleError):
        read(nonces=nonces)


def test_a_stale_nonce_is_told_only_to_the_key_itself() -> None:
    """A forged proof is a bad signature whatever its nonce is."""
    forged = callproof.proof(OTHER_KEY, DEVICE_KID, "POST", URL, BODY, "old", JTI)
    with pytest.raises(BadSignatureError):
        read(forged)


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2},
        {"v": None},
        {"htm": 1},
        {"htu": None},
        {"bh": ""},
        {"jti": "short"},
        {"jti": "x" * 65},
        {"extra": 1},
    ],
    ids=repr,
)
def test_a_proof_of_another_form_is_refused(changes: dict[str, object]) -> None:
    """Members of wrong type, wrong length or unknown name are malformed."""
    members = {**json.loads(jose.unb64u(PROOF.split(".")[1])), **changes}
    signed = jose.sign(DEVICE_KEY, callproof.PROOF, json.dumps(members).encode(), kid=DEVICE_KID)
    with pytest.raises(MalformedError):
        read(signed)


def test_a_proof_says_its_version() -> None:
    """A payload without v is malformed."""
    members = json.loads(jose.unb64u(PROOF.split(".")[1]))
    del members["v"]
    signed = jose.sign(DEVICE_KEY, callproof.PROOF, json.dumps(members).encode(), kid=DEVICE_KID)
    with pytest.raises(MalformedError):
        read(signed)


def test_another_document_is_no_proof() -> None:
    """A decision of the same device proves no call."""
    with pytest.raises(ProtocolError):
        read(decision_document())


@settings(max_examples=100)
@given(st.integers(0, len(PROOF) - 1), st.sampled_from("Aa0_.-"))
def test_any_changed_character_of_a_proof_is_refused(place: int, char: str) -> None:
    """No single change of a proof leaves it good."""
    changed = PROOF[:place] + char + PROOF[place + 1 :]
    if changed == PROOF:
        assert read(changed).jti == JTI
    else:
        with pytest.raises(ProtocolError):
            read(changed)
