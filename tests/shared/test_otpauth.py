from __future__ import annotations

import base64

import pyotp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placet_protocol import otpauth
from placet_protocol.errors import MalformedError, ProtocolError
from placet_protocol.otpauth import EnrollmentUri, SoftTokenUri
from placet_protocol.text import clean
from support.parties import SERVER_KID, TOKEN, fixed

SECRET = fixed("seed", 20)
BASE32 = base64.b32encode(SECRET).decode()
GOOD = EnrollmentUri("https://placet.example", "0190c1f0-7a2b", TOKEN, SERVER_KID, "Acme & Söhne #1")
LABELS = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=30).map(
    lambda text: clean(text).strip() if _is_clean(text) else "x"
)


def _is_clean(text: str) -> bool:
    try:
        return bool(clean(text).strip())
    except ProtocolError:
        return False


@settings(max_examples=150)
@given(
    st.binary(min_size=1, max_size=64),
    LABELS.map(lambda text: text.replace(":", "")),
    LABELS.filter(lambda text: ":" not in text and text != ""),
    st.sampled_from(["SHA1", "SHA256", "SHA512"]),
    st.sampled_from([6, 7, 8]),
    st.integers(1, 3600),
)
def test_a_soft_token_comes_back(
    secret: bytes, issuer: str, account: str, algorithm: str, digits: int, period: int
) -> None:
    """What is written is read, whatever the texts hold."""
    token = SoftTokenUri(secret, issuer.strip(), account, algorithm, digits, period)  # type: ignore[arg-type]  # drawn
    assert otpauth.parse(otpauth.format(token)) == token


def test_pyotp_reads_our_uri() -> None:
    """An independent reader understands every parameter."""
    uri = otpauth.format(SoftTokenUri(SECRET, "Acme & Co", "ada@example.org", "SHA256", 8, 60))
    read = pyotp.parse_uri(uri)
    assert isinstance(read, pyotp.TOTP)
    assert (read.byte_secret(), read.issuer, read.name) == (SECRET, "Acme & Co", "ada@example.org")
    assert (read.digits, read.interval, read.digest().name) == (8, 60, "sha256")


def test_we_read_pyotps_uri() -> None:
    """What an independent writer leaves out has the usual defaults."""
    uri = pyotp.TOTP(BASE32, name="ada@example.org", issuer="Acme Pay").provisioning_uri()
    assert otpauth.parse(uri) == SoftTokenUri(SECRET, "Acme Pay", "ada@example.org")


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        (f"otpauth://totp/ada?secret={BASE32}", SoftTokenUri(SECRET, "", "ada")),
        (f"OTPAUTH://TOTP/ada?SECRET={BASE32.lower()}", SoftTokenUri(SECRET, "", "ada")),
        (f"  otpauth://totp/ada?secret={BASE32[:4]}%20{BASE32[4:]}\n", SoftTokenUri(SECRET, "", "ada")),
        (f"otpauth://totp/ada?secret={BASE32[:4]}-{BASE32[4:]}", SoftTokenUri(SECRET, "", "ada")),
        ("otpauth://totp/ada?secret=MFRGG%3D%3D%3D", SoftTokenUri(b"abc", "", "ada")),
        ("otpauth://totp/ada?secret=MFRGG", SoftTokenUri(b"abc", "", "ada")),
        (f"otpauth://totp/Acme:ada?secret={BASE32}", SoftTokenUri(SECRET, "Acme", "ada")),
        (f"otpauth://totp/Acme%3A%20ada?secret={BASE32}", SoftTokenUri(SECRET, "Acme", "ada")),
        (f"otpauth://totp/Old:ada?secret={BASE32}&issuer=New", SoftTokenUri(SECRET, "New", "ada")),
        (f"otpauth://totp/ada?secret={BASE32}&issuer=A%20B", SoftTokenUri(SECRET, "A B", "ada")),
        (f"otpauth://totp/ada?secret={BASE32}&issuer=A+B", SoftTokenUri(SECRET, "A B", "ada")),
        (f"otpauth://totp/ada?secret={BASE32}&algorithm=sha256", SoftTokenUri(SECRET, "", "ada", "SHA256")),
        (f"otpauth://totp/ada?secret={BASE32}&algorithm=SHA-512", SoftTokenUri(SECRET, "", "ada", "SHA512")),
        (f"otpauth://totp/ada?secret={BASE32}&algorithm=HmacSHA1", SoftTokenUri(SECRET, "", "ada")),
        (
            f"otpauth://totp/ada?secret={BASE32}&digits=8&period=60",
            SoftTokenUri(SECRET, "", "ada", "SHA1", 8, 60),
        ),
        (
            f"otpauth://totp/ada?secret={BASE32}&image=https%3A%2F%2Fx&lock=false",
            SoftTokenUri(SECRET, "", "ada"),
        ),
        (f"otpauth://totp/a:b:c?secret={BASE32}", SoftTokenUri(SECRET, "a", "b:c")),
    ],
)
def test_uris_are_read_as_they_are_meant(uri: str, expected: SoftTokenUri) -> None:
    """Services write these URIs in many ways; all of them name one token."""
    assert otpauth.parse(uri) == expected


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "otpauth://totp/ada",
        "otpauth://totp/ada?secret=",
        "otpauth://totp/ada?secret=not-base32!",
        "otpauth://totp/ada?secret=M",
        f"otpauth://totp/?secret={BASE32}",
        f"otpauth://hotp/ada?secret={BASE32}&counter=1",
        f"otpauth-migration://offline?data={BASE32}",
        f"https://totp/ada?secret={BASE32}",
        f"otpauth://totp/ada?secret={BASE32}&secret={BASE32}",
        f"otpauth://totp/ada?secret={BASE32}&algorithm=MD5",
        f"otpauth://totp/ada?secret={BASE32}&digits=5",
        f"otpauth://totp/ada?secret={BASE32}&digits=9",
        f"otpauth://totp/ada?secret={BASE32}&digits=six",
        f"otpauth://totp/ada?secret={BASE32}&digits=-6",
        f"otpauth://totp/ada?secret={BASE32}&period=0",
        f"otpauth://totp/ada?secret={BASE32}&period=9999",
        f"otpauth://totp/ada?secret={BASE32}&period=\u0663\u0660",
        f"otpauth://totp/ada?secret={BASE32}&issuer=%ff",
        f"otpauth://totp/{'a' * 300}?secret={BASE32}",
        f"otpauth://totp/ada?secret={'A' * 3000}",
        f"otpauth://totp/ada\x1b[2J?secret={BASE32}",
        "otpauth://[totp/ada?secret=MFRGG",
    ],
)
def test_other_uris_are_no_soft_tokens(uri: str) -> None:
    """What cannot make codes is refused with the reason."""
    with pytest.raises(MalformedError):
        otpauth.parse(uri)


@pytest.mark.parametrize(
    "token",
    [
        SoftTokenUri(b"", "", "ada"),
        SoftTokenUri(SECRET, "", ""),
        SoftTokenUri(SECRET, "a:b", "ada"),
        SoftTokenUri(SECRET, "Acme\u202e", "ada"),
        SoftTokenUri(SECRET, "", "ada\n"),
        SoftTokenUri(SECRET, "", "ada", "SHA1", 5),
        SoftTokenUri(SECRET, "", "ada", "SHA1", 6, 0),
    ],
    ids=repr,
)
def test_nothing_out_of_form_is_written(token: SoftTokenUri) -> None:
    """A QR code that we make can be read by every app."""
    with pytest.raises(MalformedError):
        otpauth.format(token)


def test_an_enrolment_comes_back() -> None:
    """The invitation in a QR code is read as it was written."""
    uri = GOOD.format()
    assert uri == (
        f"https://placet.example/e/0190c1f0-7a2b#t={TOKEN}&k={SERVER_KID}&n=Acme%20%26%20S%C3%B6hne%20%231"
    )
    assert EnrollmentUri.parse(uri) == GOOD
    assert EnrollmentUri.parse(f"  {uri}\n") == GOOD


def test_enr_08_the_token_is_in_the_fragment() -> None:
    """What a browser or proxy would log or send on does not hold the token."""
    assert TOKEN not in GOOD.format().split("#", maxsplit=1)[0]


REST = f"/e/x#t={TOKEN}&k={SERVER_KID}&n=Acme"


@pytest.mark.parametrize(
    ("start", "origin"),
    [
        ("https://placet.example", "https://placet.example"),
        ("https://placet.example:443", "https://placet.example"),
        ("https://placet.example:8443", "https://placet.example:8443"),
        ("HTTPS://Placet.Example", "https://placet.example"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.9.9.9", "http://127.9.9.9"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("https://[2001:db8::1]", "https://[2001:db8::1]"),
    ],
)
def test_origins_have_one_form(start: str, origin: str) -> None:
    """The origin of a URI is the one that documents name; plain http stays on this machine."""
    assert EnrollmentUri.parse(start + REST).origin == origin
    assert otpauth.origin(origin) == origin


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "http://placet.example" + REST,
        "http://127.0.0.1.evil.example" + REST,
        "http://localhost.evil.example" + REST,
        "http://10.0.0.1" + REST,
        "ftp://placet.example" + REST,
        "javascript:alert(1)" + REST,
        "https://" + REST,
        "https://user@placet.example" + REST,
        "https://user:password@placet.example" + REST,
        "https://placet.example:99999" + REST,
        "https://placet.example:x" + REST,
        "https://[::1" + REST,
        "https://pläcet.example" + REST,
        "https://placet.example?x=1" + REST,
        f"https://placet.example/e/x?y=1#t={TOKEN}&k={SERVER_KID}&n=Acme",
        f"https://placet.example/f/x#t={TOKEN}&k={SERVER_KID}&n=Acme",
        f"https://placet.example/e/#t={TOKEN}&k={SERVER_KID}&n=Acme",
        f"https://placet.example/e/../x#t={TOKEN}&k={SERVER_KID}&n=Acme",
        f"https://placet.example/e/x/y#t={TOKEN}&k={SERVER_KID}&n=Acme",
        f"https://placet.example/e/x#t={TOKEN}&k={SERVER_KID}",
        f"https://placet.example/e/x#t={TOKEN}&n=Acme",
        f"https://placet.example/e/x#k={SERVER_KID}&n=Acme",
        f"https://placet.example/e/x#t={TOKEN}&t={TOKEN}&k={SERVER_KID}&n=Acme",
        f"https://placet.example/e/x#t={TOKEN}&k={SERVER_KID}&n=Acme&x=1",
        f"https://placet.example/e/x#t={TOKEN}=&k={SERVER_KID}&n=Acme",
        f"https://placet.example/e/x#t={TOKEN[:22]}&k={SERVER_KID}&n=Acme",
        f"https://placet.example/e/x#t={TOKEN}&k=AAAA&n=Acme",
        f"https://placet.example/e/x#t={TOKEN}&k={SERVER_KID}&n=",
        f"https://placet.example/e/x#t={TOKEN}&k={SERVER_KID}&n={'x' * 65}",
        f"https://placet.example/e/x#t={TOKEN}&k={SERVER_KID}&n=%E2%80%AEemcA",
        f"https://placet.example/e/x#t={TOKEN}&k={SERVER_KID}&n=%ff",
        "https://placet.example" + REST + "\x00",
        "otpauth://totp/ada?secret=MFRGG",
    ],
)
def test_other_uris_are_no_enrolments(uri: str) -> None:
    """Nothing but the documented form leads a device anywhere."""
    with pytest.raises(MalformedError):
        EnrollmentUri.parse(uri)


@settings(max_examples=150)
@given(st.text(max_size=80))
def test_any_text_is_refused_with_an_error_of_ours(text: str) -> None:
    """No input ends in another error than those of the protocol."""
    for uri in (text, "https://" + text, "otpauth://totp/" + text, "https://a/e/x#" + text):
        for read in (EnrollmentUri.parse, otpauth.parse, otpauth.origin):
            try:
                read(uri)
            except ProtocolError:
                continue
