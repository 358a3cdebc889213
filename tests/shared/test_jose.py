from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwk as jose_jwk
from joserfc import jws

from placet_protocol import jose
from placet_protocol.errors import BadSignatureError, MalformedError, ProtocolError, WrongTypeError
from support.parties import DEVICE_KEY, OTHER_KEY, SERVER_KEY, SERVER_KID, fixed, private_key

TYP = "test+jwt"
PAYLOAD = b'{"a":"\xc3\xa9","n":1}'
# RFC 9449 section 6.1: the key of its examples and the thumbprint that it gives.
RFC_9449_KEY = {
    "kty": "EC",
    "crv": "P-256",
    "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
    "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
}
RFC_9449_THUMBPRINT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
# RFC 7515 appendix A.3: an ES256 document and the key that verifies it.
RFC_7515_DOCUMENT = (
    "eyJhbGciOiJFUzI1NiJ9"
    ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
)
RFC_7515_KEY = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}


def document() -> str:
    return jose.sign(SERVER_KEY, TYP, PAYLOAD, kid=SERVER_KID)


@given(st.binary(max_size=80))
def test_base64url_comes_back(data: bytes) -> None:
    """What was encoded is decoded, without padding and in the URL alphabet."""
    text = jose.b64u(data)
    assert "=" not in text
    assert "+" not in text
    assert "/" not in text
    assert jose.unb64u(text) == data


@pytest.mark.parametrize(
    "text",
    ["A", "AA=", "AA==", "A A", "AA\n", "+A", "/A", "AB", "AAB", "AA.", "ÄA", "-" * 5, "\uff21\uff21"],
)
def test_base64url_has_one_form(text: str) -> None:
    """Padding, white space, other alphabets and spare bits are refused, so a document has one spelling."""
    with pytest.raises(MalformedError):
        jose.unb64u(text)


def test_a_signed_document_opens() -> None:
    """Who knows the key gets back exactly what was signed."""
    assert jose.open(document(), SERVER_KEY.public_key(), TYP) == {"a": "é", "n": 1}


def test_the_same_payload_gives_the_same_document() -> None:
    """Signatures are deterministic (RFC 6979): no randomness is needed to sign."""
    assert document() == document()


def test_joserfc_reads_what_we_sign() -> None:
    """An independent implementation verifies our documents."""
    key = jose_jwk.ECKey.import_key(jose.public_jwk(SERVER_KEY.public_key()))
    read = jws.deserialize_compact(document(), key, algorithms=["ES256"])
    assert read.payload == PAYLOAD
    assert read.headers() == {"alg": "ES256", "typ": TYP, "kid": SERVER_KID}


def test_we_read_what_joserfc_signs() -> None:
    """We verify documents of an independent implementation."""
    key = jose_jwk.ECKey.import_key(DEVICE_KEY)
    header = {"alg": "ES256", "typ": TYP, "kid": "k"}
    text = jws.serialize_compact(header, PAYLOAD, key, algorithms=["ES256"])
    assert jose.open(text, DEVICE_KEY.public_key(), TYP) == json.loads(PAYLOAD)


def test_the_signature_check_agrees_with_rfc_7515() -> None:
    """The RFC's ES256 example carries no typ, so it is refused for its header; its signature itself holds."""
    key = jose.public_key_from_jwk(RFC_7515_KEY)
    with pytest.raises(WrongTypeError):
        jose.open(RFC_7515_DOCUMENT, key, TYP)
    assert jose._verified(jose._split(RFC_7515_DOCUMENT, 1000), key)["iss"] == "joe"


@pytest.mark.parametrize("label", [f"key {number}" for number in range(20)])
def test_thumbprints_agree_with_joserfc(label: str) -> None:
    """RFC 7638 thumbprints and JWKs are those of an independent implementation, leading zeros included."""
    key = private_key(label).public_key()
    other = jose_jwk.ECKey.import_key(key)
    assert jose.thumbprint(key) == other.thumbprint()
    assert jose.public_jwk(key) == {
        name: other.as_dict(private=False)[name] for name in ("kty", "crv", "x", "y")
    }


def test_the_thumbprint_of_rfc_9449() -> None:
    """The RFC's key has the RFC's thumbprint."""
    assert jose.thumbprint(jose.public_key_from_jwk(RFC_9449_KEY)) == RFC_9449_THUMBPRINT


def test_a_public_key_comes_back_from_bytes_and_jwk() -> None:
    """Both forms of a public key give the same key."""
    key = DEVICE_KEY.public_key()
    assert jose.public_key_from_bytes(jose.public_key_bytes(key)) == key
    assert jose.public_key_from_jwk({**jose.public_jwk(key), "kid": "x", "use": "sig"}) == key


def test_a_private_key_is_no_public_one() -> None:
    """A key set that holds a private key is refused: somebody published a secret."""
    with pytest.raises(MalformedError):
        jose.public_key_from_jwk({**jose.public_jwk(DEVICE_KEY.public_key()), "d": jose.b64u(fixed("d"))})


@pytest.mark.parametrize("length", [0, 1, 33, 64, 66])
def test_a_public_key_has_65_bytes(length: int) -> None:
    """Infinity, compressed and cut points are refused."""
    with pytest.raises(MalformedError):
        jose.public_key_from_bytes(b"\x04" * length)


def test_another_key_does_not_open() -> None:
    """A document opens with its own key only."""
    with pytest.raises(BadSignatureError):
        jose.open(document(), OTHER_KEY.public_key(), TYP)


def test_another_type_does_not_open() -> None:
    """A good document of one type is none of another."""
    with pytest.raises(WrongTypeError):
        jose.open(document(), SERVER_KEY.public_key(), "approval-decision+jwt")


def test_the_limit_counts_the_whole_document() -> None:
    """A document at the limit is read, one character more is not."""
    text = document()
    assert jose.open(text, SERVER_KEY.public_key(), TYP, limit=len(text))
    with pytest.raises(MalformedError):
        jose.open(text, SERVER_KEY.public_key(), TYP, limit=len(text) - 1)


def test_peek_believes_nothing_but_the_form() -> None:
    """A forged document can be looked into, to find its key; kid_of still insists on the header."""
    head, _, signature = document().split(".")
    forged = f"{head}.{jose.b64u(b'{}')}.{signature}"
    assert jose.peek(forged) == ({"alg": "ES256", "typ": TYP, "kid": SERVER_KID}, {})
    assert jose.kid_of(forged, TYP) == SERVER_KID
    with pytest.raises(WrongTypeError):
        jose.kid_of(forged, "other+jwt")


def test_an_embedded_key_is_returned_with_its_document() -> None:
    """Only the reader of enrolments takes a key from the header."""
    jwk = jose.public_jwk(DEVICE_KEY.public_key())
    text = jose.sign(DEVICE_KEY, TYP, PAYLOAD, jwk=jwk)
    assert jose.open_embedded(text, TYP) == (json.loads(PAYLOAD), jwk, DEVICE_KEY.public_key())
    with pytest.raises(WrongTypeError):
        jose.open(text, DEVICE_KEY.public_key(), TYP)
    with pytest.raises(WrongTypeError):
        jose.open_embedded(document(), TYP)


@settings(max_examples=200)
@given(st.data())
def test_dec_02_any_changed_character_invalidates_a_document(data: st.DataObject) -> None:
    """Whatever single character of a document is changed, it no longer opens."""
    text = document()
    place = data.draw(st.integers(0, len(text) - 1))
    char = data.draw(
        st.characters(min_codepoint=33, max_codepoint=126).filter(lambda char: char != text[place])
    )
    with pytest.raises(ProtocolError):
        jose.open(text[:place] + char + text[place + 1 :], SERVER_KEY.public_key(), TYP)


@settings(max_examples=200)
@given(st.text(max_size=200))
def test_any_text_is_refused_with_an_error_of_ours(text: str) -> None:
    """No input ends in another error than those of the protocol."""
    for read in (
        lambda: jose.open(text, SERVER_KEY.public_key(), TYP),
        lambda: jose.open_embedded(text, TYP),
        lambda: jose.peek(text),
    ):
        with pytest.raises(ProtocolError):
            read()


def test_a_signature_of_another_curve_is_no_es256() -> None:
    """A 64-byte signature made with secp256k1 does not verify under a P-256 key."""
    key = private_key("k1", ec.SECP256K1())
    assert len(fixed("x")) == 32
    forged = jose.sign(key, TYP, PAYLOAD, kid="k")
    with pytest.raises(BadSignatureError):
        jose.open(forged, DEVICE_KEY.public_key(), TYP)
