from __future__ import annotations

import http_ece
import pytest
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from placet_protocol import sealing
from placet_protocol.errors import MalformedError, OutOfTurnError, UnopenableError
from placet_protocol.jose import public_key_bytes, unb64u
from support.parties import OTHER_KEY, PUSH_AUTH, PUSH_KEY, PUSH_POINT, fixed, private_key

SALT = fixed("salt", 16)
EPHEMERAL = private_key("ephemeral")
# RFC 8291 section 5 and appendix A.
RFC_8291 = {
    "plaintext": b"When I grow up, I want to be a watermelon",
    "sender": "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw",
    "receiver": "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94",
    "auth": "BTBZMqHH6r4Tts7J_aSIgg",
    "salt": "DGv6ra1nlYgDCS1FRnbzlw",
    "body": "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8w"
    "EqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN",
}
# RFC 9180 appendix A.3.1: base mode, DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-128-GCM.
RFC_9180_INFO = bytes.fromhex("4f6465206f6e2061204772656369616e2055726e")
RFC_9180_EPHEMERAL = "4995788ef4b9d6132b249ce59a77281493eb39af373d236a1fe415cb0c2d7beb"
RFC_9180_RECEIVER = "f3ce7fdae57e1a310d87f1ebbde6f328be0a99cdbcadf4d6589cf29de4b8ffd2"
RFC_9180_ENC = (
    "04a92719c6195d5085104f469a8b9814d5838ff72b60501e2c4466e5e67b325ac98536d7b61a1af4b78e5b7f951c0900be863c403ce65c9bf"
    "cb9382657222d18c4"
)
RFC_9180_PLAINTEXT = b"Beauty is truth, truth beauty"
RFC_9180_SEALED = {
    0: "5ad590bb8baa577f8619db35a36311226a896e7342a6d836d8b7bcd2f20b6c7f9076ac232e3ab2523f39513434",
    1: "fa6f037b47fc21826b610172ca9637e82d6e5801eb31cbd3748271affd4ecb06646e0329cbdf3c3cd655b28e82",
    2: "895cabfac50ce6c6eb02ffe6c048bf53b7f7be9a91fc559402cbc5b8dcaeb52b2ccc93e466c28fb55fed7a7fec",
    4: "8787491ee8df99bc99a246c4b3216d3d57ab5076e18fa27133f520703bc70ec999dd36ce042e44f0c3169a6a8f",
    255: "2ad71c85bf3f45c6eca301426289854b31448bcf8a8ccb1deef3ebd87f60848aa53c538c30a4dac71d619ee2cd",
    256: "10f179686aa2caec1758c8e554513f16472bd0a11e2a907dde0b212cbe87d74f367f8ffe5e41cd3e9962a6afb2",
}


def derived(scalar: bytes) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(scalar, "big"), ec.SECP256R1())


def sealed(plaintext: bytes = b"hello", pad_to: int = 0) -> bytes:
    return sealing.seal(plaintext, PUSH_POINT, PUSH_AUTH, ephemeral_key=EPHEMERAL, salt=SALT, pad_to=pad_to)


def test_psh_01_the_example_of_rfc_8291() -> None:
    """The RFC's keys and salt give the RFC's body, and it opens."""
    sender, receiver = derived(unb64u(str(RFC_8291["sender"]))), derived(unb64u(str(RFC_8291["receiver"])))
    auth, salt = unb64u(str(RFC_8291["auth"])), unb64u(str(RFC_8291["salt"]))
    body, plaintext = unb64u(str(RFC_8291["body"])), RFC_8291["plaintext"]
    assert isinstance(plaintext, bytes)
    point = public_key_bytes(receiver.public_key())
    assert sealing.seal(plaintext, point, auth, ephemeral_key=sender, salt=salt) == body
    assert sealing.unseal(body, receiver, auth) == plaintext


@pytest.mark.parametrize(("size", "pad_to"), [(0, 0), (1, 0), (1, 100), (100, 100), (3993, 0), (10, 3993)])
def test_psh_01_http_ece_opens_what_we_seal(size: int, pad_to: int) -> None:
    """An independent implementation reads our messages, padding removed."""
    plaintext = fixed("plaintext", size)
    body = sealed(plaintext, pad_to)
    opened = http_ece.decrypt(body, private_key=PUSH_KEY, auth_secret=PUSH_AUTH, version="aes128gcm")
    assert opened == plaintext
    assert len(body) == max(size, pad_to) + 103


@pytest.mark.parametrize("size", [1, 100, 3993])
def test_psh_01_we_open_what_http_ece_seals(size: int) -> None:
    """We read messages of an independent implementation."""
    plaintext = fixed("plaintext", size)
    body = http_ece.encrypt(
        plaintext, private_key=EPHEMERAL, dh=PUSH_POINT, auth_secret=PUSH_AUTH, version="aes128gcm"
    )
    assert sealing.unseal(body, PUSH_KEY, PUSH_AUTH) == plaintext


def test_psh_01_the_largest_web_push_message_fills_4096_bytes() -> None:
    """Padding hides the length of everything that a push service takes."""
    assert len(sealed(b"x", sealing.WEB_PUSH_PLAINTEXT_MAX)) == 4096
    assert len(sealed(bytes(sealing.WEB_PUSH_PLAINTEXT_MAX))) == 4096


@settings(max_examples=40)
@given(st.binary(max_size=300), st.integers(0, 200))
def test_a_sealed_message_comes_back(plaintext: bytes, pad_to: int) -> None:
    """Padding is removed, also from a plaintext that ends in zeros or twos."""
    assert sealing.unseal(sealed(plaintext, pad_to), PUSH_KEY, PUSH_AUTH) == plaintext
    assert (
        sealing.unseal(sealed(plaintext + b"\x00\x02\x00", pad_to), PUSH_KEY, PUSH_AUTH)
        == plaintext + b"\0\2\0"
    )


@pytest.mark.parametrize("size", [3994, 4096, 40_000, 200_000])
def test_own_paths_seal_at_any_size(size: int) -> None:
    """A message beyond the push services' limit is still one record."""
    plaintext = fixed("long", size)
    assert sealing.unseal(sealed(plaintext), PUSH_KEY, PUSH_AUTH) == plaintext


@settings(max_examples=300)
@given(st.data())
def test_any_changed_bit_of_a_sealed_message_is_refused(data: st.DataObject) -> None:
    """Salt, key, record and tag: one changed bit, and it does not open. On the record size nothing else depends."""
    body = sealed()
    place = data.draw(st.integers(0, len(body) - 1).filter(lambda place: not 16 <= place < 20))
    changed = bytearray(body)
    changed[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(UnopenableError):
        sealing.unseal(bytes(changed), PUSH_KEY, PUSH_AUTH)


@pytest.mark.parametrize("length", [0, 1, 16, 20, 21, 85, 86, 87, 102, 103])
def test_a_cut_message_is_refused(length: int) -> None:
    """No prefix of a message opens or ends in another error."""
    with pytest.raises(UnopenableError):
        sealing.unseal(sealed()[:length], PUSH_KEY, PUSH_AUTH)


def test_a_message_for_somebody_else_is_refused() -> None:
    """Another key or another auth secret does not open it."""
    with pytest.raises(UnopenableError):
        sealing.unseal(sealed(), OTHER_KEY, PUSH_AUTH)
    with pytest.raises(UnopenableError):
        sealing.unseal(sealed(), PUSH_KEY, bytes(16))


def test_a_record_size_below_the_record_is_refused() -> None:
    """A body of several records is none of ours."""
    body = bytearray(sealed(bytes(200)))
    body[16:20] = (100).to_bytes(4, "big")
    with pytest.raises(UnopenableError):
        sealing.unseal(bytes(body), PUSH_KEY, PUSH_AUTH)


def test_a_record_that_is_not_the_last_is_refused() -> None:
    """The delimiter of a record that others follow (1) is not taken for an end (2)."""
    body = http_ece.encrypt(
        b"x" * 50, private_key=EPHEMERAL, dh=PUSH_POINT, auth_secret=PUSH_AUTH, version="aes128gcm", rs=40
    )
    first = body[: 86 + 40]
    with pytest.raises(UnopenableError):
        sealing.unseal(first, PUSH_KEY, PUSH_AUTH)


@pytest.mark.parametrize(("auth", "salt"), [(bytes(15), bytes(16)), (bytes(16), bytes(12))])
def test_sealing_asks_for_whole_secrets(auth: bytes, salt: bytes) -> None:
    """Auth and salt of other lengths are refused before anything is sealed."""
    with pytest.raises(MalformedError):
        sealing.seal(b"x", PUSH_POINT, auth, ephemeral_key=EPHEMERAL, salt=salt)


def test_the_stream_of_rfc_9180() -> None:
    """RFC 9180 A.3.1: keys and info of the RFC give its enc and its ciphertexts at sequence 0, 1, 2, 4, 255, 256."""
    receiver = derived(bytes.fromhex(RFC_9180_RECEIVER))
    enc, sender = sealing.sender(
        public_key_bytes(receiver.public_key()), RFC_9180_INFO, derived(bytes.fromhex(RFC_9180_EPHEMERAL))
    )
    assert enc.hex() == RFC_9180_ENC
    recipient = sealing.recipient(enc, receiver, RFC_9180_INFO)
    for sequence in range(257):
        aad = f"Count-{sequence}".encode()
        message = sender.seal(RFC_9180_PLAINTEXT, aad)
        assert message.hex() == RFC_9180_SEALED.get(sequence, message.hex())
        assert recipient.open(message, aad) == RFC_9180_PLAINTEXT


def test_cryptography_opens_the_first_message_of_our_stream() -> None:
    """The one-shot HPKE of another implementation agrees, in both directions, on sequence 0."""
    suite = hpke.Suite(hpke.KEM.P256, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_128_GCM)
    enc, sender = sealing.sender(PUSH_POINT, b"info", EPHEMERAL)
    assert suite.decrypt(enc + sender.seal(b"first"), PUSH_KEY, info=b"info") == b"first"
    made = suite.encrypt(b"theirs", PUSH_KEY.public_key(), info=b"info")
    assert sealing.recipient(made[:65], PUSH_KEY, b"info").open(made[65:]) == b"theirs"


def test_a_stream_opens_in_order_only() -> None:
    """A message that is repeated, left out, exchanged or changed does not open; the right one still does."""
    enc, sender = sealing.sender(PUSH_POINT, b"info", EPHEMERAL)
    recipient = sealing.recipient(enc, PUSH_KEY, b"info")
    first, second = sender.seal(b"1"), sender.seal(b"2", b"aad")
    for wrong in (second, first[:-1], first + b"x", b"", bytes(17)):
        with pytest.raises(UnopenableError):
            recipient.open(wrong)
    assert recipient.open(first) == b"1"
    for wrong, aad in ((first, b""), (second, b""), (second, b"other")):
        with pytest.raises(UnopenableError):
            recipient.open(wrong, aad)
    assert recipient.open(second, b"aad") == b"2"


def test_a_stream_is_bound_to_device_and_connection() -> None:
    """Another device's key, another info or another enc opens nothing."""
    enc, sender = sealing.sender(PUSH_POINT, sealing.socket_info("did", "nonce"), EPHEMERAL)
    message = sender.seal(b"x")
    other_enc, _ = sealing.sender(PUSH_POINT, b"", OTHER_KEY)
    for recipient in (
        sealing.recipient(enc, OTHER_KEY, sealing.socket_info("did", "nonce")),
        sealing.recipient(enc, PUSH_KEY, sealing.socket_info("did", "other")),
        sealing.recipient(enc, PUSH_KEY, sealing.socket_info("didn", "once")),
        sealing.recipient(other_enc, PUSH_KEY, sealing.socket_info("did", "nonce")),
    ):
        with pytest.raises(UnopenableError):
            recipient.open(message)
    with pytest.raises(UnopenableError):
        sealing.recipient(enc[:64] + b"\0", PUSH_KEY, b"")


def test_each_end_of_a_stream_has_one_direction() -> None:
    """Both ends sealing would use a nonce twice, so the recipient cannot seal nor the sender open."""
    enc, sender = sealing.sender(PUSH_POINT, b"", EPHEMERAL)
    with pytest.raises(OutOfTurnError):
        sender.open(b"x" * 20)
    with pytest.raises(OutOfTurnError):
        sealing.recipient(enc, PUSH_KEY, b"").seal(b"x")
