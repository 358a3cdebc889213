from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placet_protocol import documents, jose
from placet_protocol.approval import number_digits
from placet_protocol.errors import MalformedError, MismatchError, ProtocolError, WrongAudienceError
from placet_protocol.receipt import belongs
from support import parties
from support.refused import refused_decisions, refused_enrollments

ENROLLMENTS = refused_enrollments()
DECISIONS = refused_decisions()
SERVER = parties.SERVER_KEY.public_key()
DEVICE = parties.DEVICE_KEY.public_key()


def judge(document: str) -> documents.Decision:
    """What a server does before it looks at its state."""
    decision = documents.read_decision(document, DEVICE, aud=parties.ORIGIN)
    belongs(decision, parties.request_document(), parties.request())
    return decision


def test_enr_03_a_good_enrolment_proves_its_key() -> None:
    """The reader gives the enrolment and the key that signed it."""
    enroll, key = documents.read_enroll(parties.enroll_document(), aud=parties.ORIGIN, eid=parties.ENROLLMENT)
    assert enroll == parties.enroll()
    assert key == DEVICE


def test_enr_03_there_are_enough_vectors() -> None:
    """At least forty hand-made enrolments are tried, and thirty decisions."""
    assert len(ENROLLMENTS) >= 40
    assert len(DECISIONS) >= 30


@pytest.mark.parametrize("name", ENROLLMENTS)
def test_enr_03_a_forged_enrolment_is_refused(name: str) -> None:
    """No enrolment that differs in algorithm, key, header, signature, form or purpose is taken."""
    with pytest.raises(ProtocolError):
        documents.read_enroll(ENROLLMENTS[name], aud=parties.ORIGIN, eid=parties.ENROLLMENT)


def test_dec_01_a_good_decision_is_read() -> None:
    """The reader gives what the device signed."""
    assert judge(parties.decision_document()) == parties.decision()


def test_dec_01_a_denial_needs_no_number() -> None:
    """Num may be null or absent in a denial."""
    denial = parties.decision(dec="deny", rsn="not_me", num=None)
    members = json.loads(documents.payload(denial))
    assert members.pop("num") is None
    signed = jose.sign(
        parties.DEVICE_KEY, documents.DECISION, json.dumps(members).encode(), kid=parties.DEVICE_KID
    )
    assert judge(signed) == denial


@pytest.mark.parametrize("name", DECISIONS)
def test_dec_01_a_forged_decision_is_refused(name: str) -> None:
    """No decision that differs in algorithm, header, signature, form, addressee or request is taken."""
    with pytest.raises(ProtocolError):
        judge(DECISIONS[name])


@settings(max_examples=150)
@given(st.data())
def test_dec_02_any_changed_byte_of_the_request_invalidates_the_answer(data: st.DataObject) -> None:
    """An answer fits exactly the document that was shown: one changed character, and it fits no more."""
    document = parties.request_document()
    place = data.draw(st.integers(0, len(document) - 1))
    char = data.draw(st.sampled_from(sorted(set("Aa0_.-") - {document[place]})))
    with pytest.raises(MismatchError):
        belongs(parties.decision(), document[:place] + char + document[place + 1 :], parties.request())


@pytest.mark.parametrize(
    "changes",
    [
        {"msg": "Pay 900.00 € to Zoë?"},
        {"vis": (("Amount", "900.00 €"), ("To", "Zoë Müller"))},
        {"vis": (("To", "Zoë Müller"), ("Amount", "100.00 €"))},
        {"hdh": jose.b64u(parties.fixed("other hidden"))},
        {"exp": parties.BEGUN + 401},
        {"rp": documents.RelyingParty("app-1", "Acme Pax")},
        {"ctx": documents.Context(ip="192.0.2.8", place="Vienna")},
        {"num": "entry:4"},
        {"sub": "somebody"},
        {"non": jose.b64u(parties.fixed("other nonce", 16))},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_dec_02_any_changed_field_invalidates_the_answer(changes: dict[str, object]) -> None:
    """A request that says anything else, well signed by the server, is not the one that was answered."""
    other = parties.request_document(**changes)
    with pytest.raises(MismatchError):
        belongs(parties.decision(), other, documents.read_request(other, SERVER, iss=parties.ORIGIN))


@settings(max_examples=150)
@given(
    st.dictionaries(
        st.sampled_from(sorted(json.loads(documents.payload(parties.decision())))),
        st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.lists(st.integers(), max_size=2),
        min_size=1,
        max_size=3,
    )
)
def test_dec_10_a_well_signed_payload_of_wrong_form_never_approves(changes: dict[str, object]) -> None:
    """Whatever a device signs in place of the right values, it is refused, or is the right value after all."""
    members = {**json.loads(documents.payload(parties.decision())), **changes}
    signed = jose.sign(
        parties.DEVICE_KEY, documents.DECISION, json.dumps(members).encode(), kid=parties.DEVICE_KID
    )
    try:
        decision = judge(signed)
    except ProtocolError:
        return
    same = {name: getattr(decision, name) for name in ("iss", "aud", "rid", "non", "rqh", "dec", "rsn")}
    assert same == {name: getattr(parties.decision(), name) for name in same}


def test_the_servers_documents_are_read() -> None:
    """Request, certificate and receipt come back as they were signed."""
    assert documents.read_request(parties.request_document(), SERVER, iss=parties.ORIGIN) == parties.request()
    read = documents.read_device_certificate(parties.certificate_document(), SERVER, iss=parties.ORIGIN)
    assert read == parties.certificate()
    assert read.cnf.public_key() == DEVICE
    receipt = documents.read_receipt(parties.receipt_document(), SERVER, iss=parties.ORIGIN)
    assert receipt.request == parties.request_document()


def test_a_document_of_one_type_is_none_of_another() -> None:
    """Each typ has its own reader, and none reads another's documents."""
    signed = {
        documents.DEVICE: parties.certificate_document(),
        documents.REQUEST: parties.request_document(),
        documents.DECISION: parties.decision_document(),
        documents.RECEIPT: parties.receipt_document(),
    }
    readers: dict[str, Callable[[str], object]] = {
        documents.DEVICE: lambda text: documents.read_device_certificate(text, SERVER, iss=None),
        documents.REQUEST: lambda text: documents.read_request(text, SERVER, iss=None),
        documents.DECISION: lambda text: documents.read_decision(text, DEVICE, aud=parties.ORIGIN),
        documents.RECEIPT: lambda text: documents.read_receipt(text, SERVER, iss=None),
    }
    for typ, text in signed.items():
        for other, read in readers.items():
            if typ == other:
                read(text)
            else:
                with pytest.raises(ProtocolError):
                    read(text)


def test_documents_of_another_server_are_refused() -> None:
    """Iss is compared with the origin that the caller pinned, aud with the reader's own."""
    elsewhere = "https://elsewhere.example"
    with pytest.raises(WrongAudienceError):
        documents.read_request(parties.request_document(), SERVER, iss=elsewhere)
    with pytest.raises(WrongAudienceError):
        documents.read_device_certificate(parties.certificate_document(), SERVER, iss=elsewhere)
    with pytest.raises(WrongAudienceError):
        documents.read_receipt(parties.receipt_document(), SERVER, iss=elsewhere)
    with pytest.raises(WrongAudienceError):
        documents.read_decision(parties.decision_document(), DEVICE, aud=elsewhere)
    with pytest.raises(WrongAudienceError):
        documents.read_enroll(parties.enroll_document(), aud=parties.ORIGIN, eid="another")


@pytest.mark.parametrize(
    "changes",
    [
        {"msg": ""},
        {"msg": "x" * 257},
        {"vis": (("a", "b"),) * 21},
        {"vis": (("x" * 65, "b"),)},
        {"vis": (("a", "x" * 257),)},
        {"num": "entry:1"},
        {"num": "entry:7"},
        {"num": "entry:3\n"},
        {"num": "select:3"},
        {"non": "short"},
        {"iat": -1},
        {"exp": parties.BEGUN},
        {"rp": documents.RelyingParty("app 1", "Acme")},
        {"rp": documents.RelyingParty("app-1", "")},
        {"ctx": documents.Context(place="x" * 257)},
    ],
    ids=repr,
)
def test_nothing_out_of_bounds_is_signed(changes: dict[str, object]) -> None:
    """A writer refuses what a reader would."""
    with pytest.raises(MalformedError):
        documents.payload(parties.request(**changes))


def test_a_request_at_its_limits_is_read() -> None:
    """The longest message, labels and values of four-byte characters fit the readers' limits."""
    largest = parties.request(
        msg="\U0001f600" * 256, vis=(("\U0001f600" * 64, "\U0001f600" * 256),) * 20, num="none"
    )
    signed = jose.sign(
        parties.SERVER_KEY, documents.REQUEST, documents.payload(largest), kid=parties.SERVER_KID
    )
    assert documents.read_request(signed, SERVER, iss=parties.ORIGIN) == largest


def test_a_certificate_whose_thumbprint_is_of_another_key_is_refused() -> None:
    """Jkt and jwk in cnf must be of one key."""
    confirmation = documents.confirmation(parties.OTHER_KEY.public_key())
    with pytest.raises(MismatchError):
        documents.Confirmation(parties.DEVICE_KID, confirmation.jwk)
    members = json.loads(documents.payload(parties.certificate()))
    members["cnf"]["jkt"] = confirmation.jkt
    signed = jose.sign(
        parties.SERVER_KEY, documents.DEVICE, msgspec.json.encode(members), kid=parties.SERVER_KID
    )
    with pytest.raises(MismatchError):
        documents.read_device_certificate(signed, SERVER, iss=None)


def test_enr_04_check_digits_depend_on_every_part() -> None:
    """Six digits of SHA-256 over the length-prefixed parts; exchanging or shifting any of them changes the input."""
    eid, jkt, kid, salt = "e", "j", "k", bytes(16)
    said = b"".join(len(part).to_bytes(4, "big") + part for part in (b"e", b"j", b"k", salt))
    number = int.from_bytes(hashlib.sha256(said).digest()[:8], "big") % 1_000_000
    assert documents.check_code(eid, jkt, kid, salt) == f"{number:06}"
    others = {
        documents.check_code("ej", "", kid, salt),
        documents.check_code("j", "e", kid, salt),
        documents.check_code(eid, jkt, "l", salt),
        documents.check_code(eid, jkt, kid, bytes(15) + b"\1"),
    }
    assert documents.check_code(eid, jkt, kid, salt) not in others
    assert all(len(code) == 6 and code.isdigit() for code in others)


def test_the_request_hash_is_over_the_text_as_received() -> None:
    """Rqh is SHA-256 of the document's ASCII bytes, nothing decoded and nothing re-encoded."""
    document = parties.request_document()
    assert documents.request_hash(document) == hashlib.sha256(document.encode("ascii")).digest()


@pytest.mark.parametrize(("mode", "digits"), [("none", 0), ("entry:2", 2), ("entry:6", 6)])
def test_num_01_number_modes_are_read(mode: str, digits: int) -> None:
    """A mode says how many digits the person types."""
    assert number_digits(mode) == digits
