"""The test vectors for other implementers: made from fixed keys, byte for byte the same in every run.

``PYTHONPATH=tests python -m support.vectors`` writes them to ``docs/vectors``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from placet_protocol import callproof, documents, jose, otpauth, sealing
from placet_protocol.canonical import canonical, hidden_hash
from placet_protocol.errors import TextError
from placet_protocol.text import clean, visible
from support import parties
from support.parties import fixed
from support.refused import refused_decisions, refused_enrollments

FOLDER: Final = Path(__file__).resolve().parents[2] / "docs" / "vectors"
_LONGEST: Final = 4_096
_EPHEMERAL: Final = parties.private_key("ephemeral")
_SALT: Final = fixed("salt", 16)
_TEXTS: Final = [
    ("Pay 100.00 EUR?", False),
    ("Zoe\u0308", False),
    ("1\u202f000 €", False),
    ("two\nlines", True),
    ("two\nlines", False),
    ("\U0001f468\u200d\U0001f469\u200d\U0001f467", False),
    ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", False),
    ("1\u200d2", False),
    ("Pay \u202e001 EUR", False),
    ("a\u200bb", False),
    ("\u001b[31mred", False),
    ("\ue000", False),
    ("\u0378", False),
    ("a" + "\u0301" * 10, False),
    ("\u0301a", False),
    ("\u3164", False),
    ("\u2764\ufe0f\ufe0f", False),
    ("tab\there", True),
]


def files() -> dict[str, str]:
    """Every vector file by its name, as text."""
    made = {
        "keys.json": _keys(),
        "documents.json": _documents(),
        "refused.json": _refused(),
        "sealing.json": _sealing(),
        "proofs.json": _proofs(),
        "texts.json": [_text(text, newline=newline) for text, newline in _TEXTS],
        "uris.json": _uris(),
    }
    return {name: json.dumps(value, indent=1) + "\n" for name, value in made.items()}


def _keys() -> dict[str, Any]:
    def key(private: EllipticCurvePrivateKey) -> dict[str, Any]:
        return {
            "d": jose.b64u(private.private_numbers().private_value.to_bytes(32, "big")),
            "jwk": jose.public_jwk(private.public_key()),
            "point": jose.b64u(jose.public_key_bytes(private.public_key())),
            "thumbprint": jose.thumbprint(private.public_key()),
        }

    return {
        "server": key(parties.SERVER_KEY),
        "device": key(parties.DEVICE_KEY),
        "push": {**key(parties.PUSH_KEY), "auth": jose.b64u(parties.PUSH_AUTH)},
    }


def _documents() -> dict[str, Any]:
    signed = {
        documents.ENROLL: parties.enroll_document(),
        documents.DEVICE: parties.certificate_document(),
        documents.REQUEST: parties.request_document(),
        documents.DECISION: parties.decision_document(),
        documents.RECEIPT: parties.receipt_document(),
    }
    return {
        "origin": parties.ORIGIN,
        "enrollment": parties.ENROLLMENT,
        "documents": [
            {"typ": typ, "header": jose.peek(text)[0], "payload": jose.peek(text)[1], "document": text}
            for typ, text in signed.items()
        ],
        "request_hash": jose.b64u(documents.request_hash(signed[documents.REQUEST])),
        "hidden": {
            "details": parties.HIDDEN,
            "canonical": canonical(parties.HIDDEN).decode(),
            "salt": jose.b64u(parties.HIDDEN_SALT),
            "hdh": jose.b64u(hidden_hash(parties.HIDDEN_SALT, parties.HIDDEN)),
        },
        "check": {
            "eid": parties.ENROLLMENT,
            "jkt": parties.DEVICE_KID,
            "server": parties.SERVER_KID,
            "salt": jose.b64u(parties.CHECK_SALT),
            "digits": documents.check_code(
                parties.ENROLLMENT, parties.DEVICE_KID, parties.SERVER_KID, parties.CHECK_SALT
            ),
        },
    }


def _refused() -> dict[str, Any]:
    def listed(cases: dict[str, str]) -> list[dict[str, str]]:
        return [{"why": why, "document": text} for why, text in cases.items() if len(text) <= _LONGEST]

    return {"enrollments": listed(refused_enrollments()), "decisions": listed(refused_decisions())}


def _sealing() -> dict[str, Any]:
    plaintext = json.dumps({"type": "request", "document": parties.request_document()}, separators=(",", ":"))
    info = sealing.socket_info(parties.DEVICE, "nonce-1")
    enc, stream = sealing.sender(parties.PUSH_POINT, info, _EPHEMERAL)
    return {
        "ephemeral": jose.b64u(_EPHEMERAL.private_numbers().private_value.to_bytes(32, "big")),
        "messages": [
            {
                "plaintext": text,
                "pad_to": pad_to,
                "salt": jose.b64u(_SALT),
                "body": jose.b64u(
                    sealing.seal(
                        text.encode(),
                        parties.PUSH_POINT,
                        parties.PUSH_AUTH,
                        ephemeral_key=_EPHEMERAL,
                        salt=_SALT,
                        pad_to=pad_to,
                    )
                ),
            }
            for text, pad_to in ((plaintext, 0), ('{"type":"wake"}', 256))
        ],
        "stream": {
            "device": parties.DEVICE,
            "nonce": "nonce-1",
            "info": jose.b64u(info),
            "enc": jose.b64u(enc),
            "messages": [
                {"plaintext": text, "sealed": jose.b64u(stream.seal(text.encode()))}
                for text in ("first", "second", plaintext)
            ],
        },
    }


def _proofs() -> list[dict[str, str]]:
    calls = [
        ("GET", f"{parties.ORIGIN}/device/v1/items?wait=30", ""),
        ("POST", f"{parties.ORIGIN}/device/v1/acks", '{"ids":["a"]}'),
        (callproof.SOCKET_METHOD, f"{parties.ORIGIN}/device/v1/socket", ""),
    ]
    jti = jose.b64u(fixed("proof jti", 16))
    return [
        {
            "method": method,
            "url": url,
            "body": body,
            "nonce": "nonce-1",
            "proof": callproof.proof(
                parties.DEVICE_KEY, parties.DEVICE_KID, method, url, body.encode(), "nonce-1", jti
            ),
        }
        for method, url, body in calls
    ]


def _text(text: str, *, newline: bool) -> dict[str, Any]:
    said = {"text": text, "newline": newline, "visible": visible(text, newline=newline)}
    try:
        return {**said, "clean": clean(text, newline=newline)}
    except TextError as error:
        return {**said, "refused": {"char": error.char, "place": error.place}}


def _uris() -> dict[str, Any]:
    invitation = otpauth.EnrollmentUri(
        parties.ORIGIN, parties.ENROLLMENT, parties.TOKEN, parties.SERVER_KID, "Acme & Söhne"
    )
    token = otpauth.SoftTokenUri(fixed("seed", 20), "Acme & Söhne", "ada@example.org")
    return {
        "enrollment": {
            "uri": invitation.format(),
            "origin": invitation.origin,
            "id": invitation.id,
            "token": invitation.token,
            "thumbprint": invitation.thumbprint,
            "name": invitation.name,
        },
        "soft_token": {
            "uri": otpauth.format(token),
            "secret": jose.b64u(token.secret),
            "issuer": token.issuer,
            "account": token.account,
        },
    }


def main() -> None:
    """Write the files."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
