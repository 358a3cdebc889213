"""Codes of soft tokens, against the RFCs' own numbers and against foreign secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from placet_authenticator.errors import ImportFailedError, NotFoundError
from placet_authenticator.importing import otpauth, qr
from placet_authenticator.records import Token
from placet_authenticator.tokens import code, matching, named

SEEDS = {"SHA1": 20, "SHA256": 32, "SHA512": 64}
RFC_6238 = [
    (59, "94287082", "46119246", "90693936"),
    (1_111_111_109, "07081804", "68084774", "25091201"),
    (1_111_111_111, "14050471", "67062674", "99943326"),
    (1_234_567_890, "89005924", "91819424", "93441116"),
    (2_000_000_000, "69279037", "90698825", "38618901"),
    (20_000_000_000, "65353130", "77737706", "47863826"),
]


def token(**changes: object) -> Token:
    given = {
        "id": "t1",
        "issuer": "Acme",
        "account": "ann",
        "secret": b"12345678901234567890",
        "algorithm": "SHA1",
        "digits": 6,
        "period": 30,
        "created_at": 0,
    }
    return Token(**{**given, **changes})  # type: ignore[arg-type]  # a test's shorthand


def test_tot_01_the_codes_of_rfc_6238() -> None:
    """Appendix B, all three algorithms, eight digits."""
    for at, *codes in RFC_6238:
        for (algorithm, size), expected in zip(SEEDS.items(), codes, strict=True):
            secret = (b"1234567890" * 7)[:size]
            assert code(token(secret=secret, algorithm=algorithm, digits=8), at * 1000).digits == expected


def test_a_code_says_how_long_it_lasts_and_what_follows() -> None:
    """The following code is the one of the next step, to the millisecond."""
    early, late = code(token(), 59_001), code(token(), 60_000)
    assert (early.lasts_ms, late.lasts_ms) == (999, 30_000)
    assert early.following == late.digits


@pytest.mark.parametrize("period", [1, 10, 60, 3600])
def test_foreign_secrets_and_periods_are_taken(period: int) -> None:
    """80-bit secrets, which many sites hand out, and any period make codes: JBSWY3DPEHPK3PXP is the usual example."""
    made = otpauth.token(f"otpauth://totp/x?secret=JBSWY3DPEHPK3PXP&period={period}", token_id="i", now=0)
    assert len(made.secret) == 10
    assert (
        code(made, 1_700_000_000_000).digits
        == code(token(secret=made.secret, period=period), 1_700_000_000_000).digits
    )
    if period == 60:
        assert code(token(secret=made.secret, period=30), 0).digits == "282760"


def test_a_token_is_found_by_what_a_person_calls_it() -> None:
    """Label, issuer, account, id, any case, or words that only one has."""
    tokens = [
        token(),
        token(id="t2", issuer="Bank", account="ann"),
        token(id="t3", issuer="", account="Mail box"),
    ]
    assert [named(tokens, name).id for name in ("acme:ANN", "bank", "t2", "mail", "box mail")] == [
        "t1",
        "t2",
        "t2",
        "t3",
        "t3",
    ]
    with pytest.raises(NotFoundError, match="2 tokens"):
        named(tokens, "ann")
    with pytest.raises(NotFoundError, match="no token"):
        named(tokens, "zzz")
    assert matching(tokens, "") == tokens


@pytest.mark.parametrize(
    "uri",
    ["", "otpauth://hotp/x?secret=AA", "https://x/", "otpauth://totp/x?secret=0189", "otpauth://totp/x"],
)
def test_what_is_no_soft_token_is_refused(uri: str) -> None:
    """Other schemes, missing or malformed secrets end in an error for a person."""
    with pytest.raises(ImportFailedError):
        otpauth.token(uri, token_id="i", now=0)


def test_a_qr_code_is_read_from_a_picture(tmp_path: Path) -> None:
    """Also turned, inverted and as a small JPEG, as a phone's camera gives it."""
    import qrcode
    from PIL import Image, ImageOps
    from qrcode.image.pil import PilImage

    uri = "otpauth://totp/Acme:ann?secret=JBSWY3DPEHPK3PXP&issuer=Acme"
    plain = tmp_path / "plain.png"
    qrcode.make(uri, image_factory=PilImage).save(str(plain))
    picture = Image.open(plain).convert("L")
    ImageOps.invert(picture).save(tmp_path / "inverted.png")
    picture.rotate(37, expand=True, fillcolor=255).save(tmp_path / "turned.png")
    picture.resize((150, 150)).save(tmp_path / "small.jpg", quality=30)
    assert {otpauth.text_of(str(file)) for file in tmp_path.iterdir()} == {uri}


def test_pictures_that_cannot_be_used_say_why(tmp_path: Path) -> None:
    """Not a picture, no code, two codes, absurd sizes, and files that are not there."""
    import qrcode
    from PIL import Image
    from qrcode.image.pil import PilImage

    blank = Image.new("RGB", (300, 300), "white")
    blank.save(tmp_path / "blank.png")
    two = Image.new("RGB", (800, 400), "white")
    for number in (0, 1):
        two.paste(
            qrcode.make(f"code {number}", image_factory=PilImage).get_image().convert("RGB"),
            (number * 400, 0),
        )
    two.save(tmp_path / "two.png")
    (tmp_path / "text.png").write_text("hello")
    Image.new("1", (7000, 7000)).save(tmp_path / "huge.png")
    for name, reason in (("blank", "no QR"), ("two", "2 QR"), ("text", "not a picture"), ("huge", "pixels")):
        with pytest.raises(ImportFailedError, match=reason):
            qr.read(tmp_path / f"{name}.png")
    with pytest.raises(ImportFailedError, match="neither"):
        otpauth.text_of(str(tmp_path / "missing.png"))
