from __future__ import annotations

import json
from typing import Any

import http_ece
import pytest
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwk as jose_jwk
from joserfc import jws

from placet_protocol import callproof, documents, otpauth, sealing
from placet_protocol.errors import ProtocolError
from placet_protocol.jose import public_key_from_jwk, unb64u
from placet_protocol.receipt import belongs, verify
from placet_protocol.text import clean, visible
from support.vectors import FOLDER, files

FILES = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}


def stored(name: str) -> Any:
    return json.loads(FILES[name])


KEYS = stored("keys.json")
DOCUMENTS = stored("documents.json")
BY_TYP = {case["typ"]: case for case in DOCUMENTS["documents"]}
SERVER, DEVICE = (public_key_from_jwk(KEYS[name]["jwk"]) for name in ("server", "device"))
REFUSED = [(kind, case) for kind, cases in stored("refused.json").items() for case in cases]


def private(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(unb64u(KEYS[name]["d"]), "big"), ec.SECP256R1())


def test_the_files_are_those_that_the_protocol_makes() -> None:
    """A change of the wire cannot pass unseen: the published vectors are made again and compared byte for byte."""
    assert files() == FILES


@pytest.mark.parametrize("typ", BY_TYP)
def test_the_documents_hold_for_an_independent_reader(typ: str) -> None:
    """Joserfc verifies each published document under the published key."""
    case = BY_TYP[typ]
    by_device = typ in {documents.ENROLL, documents.DECISION}
    key = jose_jwk.ECKey.import_key(KEYS["device" if by_device else "server"]["jwk"])
    read = jws.deserialize_compact(case["document"], key, algorithms=["ES256"])
    assert read.headers() == case["header"]
    assert json.loads(read.payload or b"") == case["payload"]


def test_the_receipt_verifies_with_the_key_set_alone() -> None:
    """The published receipt proves its decision."""
    proved = verify(BY_TYP[documents.RECEIPT]["document"], [KEYS["server"]["jwk"]])
    assert proved.outcome == "approved"


def test_the_check_digits_follow_from_their_parts() -> None:
    """Both ends of the published enrolment show the same six digits."""
    check = DOCUMENTS["check"]
    digits = documents.check_code(check["eid"], check["jkt"], check["server"], unb64u(check["salt"]))
    assert digits == check["digits"]


@pytest.mark.parametrize(
    ("kind", "case"), REFUSED, ids=lambda part: part if isinstance(part, str) else part["why"]
)
def test_each_published_forgery_is_refused(kind: str, case: dict[str, str]) -> None:
    """What others are told to refuse is refused here, as it stands in the file."""
    with pytest.raises(ProtocolError):
        (enrolled if kind == "enrollments" else decided)(case["document"])


def enrolled(document: str) -> None:
    documents.read_enroll(document, aud=DOCUMENTS["origin"], eid=DOCUMENTS["enrollment"])


def decided(document: str) -> None:
    request = BY_TYP[documents.REQUEST]["document"]
    decision = documents.read_decision(document, DEVICE, aud=DOCUMENTS["origin"])
    belongs(decision, request, documents.read_request(request, SERVER, iss=DOCUMENTS["origin"]))


def test_the_good_documents_would_pass_the_same_readers() -> None:
    """The forgeries are refused for what is wrong with them, not for everything."""
    enrolled(BY_TYP[documents.ENROLL]["document"])
    decided(BY_TYP[documents.DECISION]["document"])


def test_the_sealed_messages_open_for_independent_readers() -> None:
    """http-ece opens the messages, cryptography's one-shot HPKE the stream's first one, and we the rest."""
    case, push, auth = stored("sealing.json"), private("push"), unb64u(KEYS["push"]["auth"])
    for message in case["messages"]:
        body = unb64u(message["body"])
        opened = http_ece.decrypt(body, private_key=push, auth_secret=auth, version="aes128gcm")
        assert opened.decode() == message["plaintext"]
    stream = case["stream"]
    info, enc = unb64u(stream["info"]), unb64u(stream["enc"])
    assert info == sealing.socket_info(stream["device"], stream["nonce"])
    suite = hpke.Suite(hpke.KEM.P256, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_128_GCM)
    first = stream["messages"][0]
    assert suite.decrypt(enc + unb64u(first["sealed"]), push, info=info).decode() == first["plaintext"]
    recipient = sealing.recipient(enc, push, info)
    for message in stream["messages"]:
        assert recipient.open(unb64u(message["sealed"])).decode() == message["plaintext"]


def test_the_proofs_fit_their_calls() -> None:
    """Each published proof is taken for its call and its nonce."""
    for case in stored("proofs.json"):
        read = callproof.read(
            case["proof"],
            DEVICE,
            method=case["method"],
            url=case["url"],
            body=case["body"].encode(),
            nonces=(case["nonce"],),
        )
        assert read.htm == case["method"]


def test_the_texts_and_uris_read_as_published() -> None:
    """What is clean stays, what is not is named; the URIs say what stands beside them."""
    for case in stored("texts.json"):
        assert visible(case["text"], newline=case["newline"]) == case["visible"]
        if "clean" in case:
            assert clean(case["text"], newline=case["newline"]) == case["clean"]
        else:
            assert f"\u2039{case['refused']['char']}\u203a" in case["visible"]
    uris = stored("uris.json")
    invitation = otpauth.EnrollmentUri.parse(uris["enrollment"]["uri"])
    assert (invitation.origin, invitation.id, invitation.name) == (
        uris["enrollment"]["origin"],
        uris["enrollment"]["id"],
        uris["enrollment"]["name"],
    )
    assert otpauth.parse(uris["soft_token"]["uri"]).secret == unb64u(uris["soft_token"]["secret"])
