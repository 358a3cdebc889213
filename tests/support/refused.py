"""Enrolments and decisions that must be refused, by name: the tests' tables and the files for other implementers."""

from __future__ import annotations

import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from placet_protocol import documents
from placet_protocol.jose import b64u, public_jwk, public_key_bytes, unb64u
from support.forging import es256, forge, header_cases, hs256, payload_cases, rs256, rsa_key, written
from support.parties import DEVICE_KEY, DEVICE_KID, OTHER_KEY, decision, enroll, fixed, private_key


def members(document: Any) -> dict[str, Any]:
    """The payload of a document as plain members."""
    said: dict[str, Any] = json.loads(documents.payload(document))
    return said


def refused_enrollments() -> dict[str, str]:
    """Documents that must make no device for ``parties.ORIGIN`` and ``parties.ENROLLMENT``."""
    payload = members(enroll())
    jwk = public_jwk(DEVICE_KEY.public_key())
    good = {"alg": "ES256", "typ": documents.ENROLL, "jwk": jwk}
    return (
        {
            f"header: {name}": case
            for name, case in header_cases(documents.ENROLL, {"jwk": jwk}, payload).items()
        }
        | {f"payload: {name}": case for name, case in payload_cases(good, payload).items()}
        | {f"key: {name}": case for name, case in _keys(good, payload, jwk).items()}
        | {f"payload: {name}": forge(good, case, es256()) for name, case in _enrollments(payload).items()}
    )


def refused_decisions() -> dict[str, str]:
    """Documents that must decide nothing for ``parties.request_document()`` under the device's key."""
    payload = members(decision())
    good = {"alg": "ES256", "typ": documents.DECISION, "kid": DEVICE_KID}
    named = {"kid": DEVICE_KID}
    headers: dict[str, Any] = {
        "kid missing": {"alg": "ES256", "typ": documents.DECISION},
        "kid of another key": {**good, "kid": b64u(fixed("kid"))},
        "kid a number": {**good, "kid": 1},
        "kid empty": {**good, "kid": ""},
        "jwk beside kid": {**good, "jwk": public_jwk(DEVICE_KEY.public_key())},
        "jwk in place of kid": {
            "alg": "ES256",
            "typ": documents.DECISION,
            "jwk": public_jwk(DEVICE_KEY.public_key()),
        },
        "kid twice": written(good)[:-1] + b',"kid":"x"}',
    }
    attacker = forge(
        {"alg": "ES256", "typ": documents.DECISION, "jwk": public_jwk(OTHER_KEY.public_key())},
        payload,
        es256(OTHER_KEY),
    )
    return (
        {f"header: {name}": case for name, case in header_cases(documents.DECISION, named, payload).items()}
        | {f"header: {name}": forge(head, payload, es256()) for name, head in headers.items()}
        | {"header: jwk of an attacker": attacker}
        | {f"payload: {name}": case for name, case in payload_cases(good, payload).items()}
        | {f"payload: {name}": forge(good, case, es256()) for name, case in _decisions(payload).items()}
    )


def _keys(good: dict[str, Any], payload: dict[str, Any], jwk: dict[str, Any]) -> dict[str, str]:
    """Enrolments whose embedded key is none."""
    p384, secp256k1 = private_key("p384", ec.SECP384R1()), private_key("k1", ec.SECP256K1())
    rsa_jwk = {
        "kty": "RSA",
        "n": b64u(rsa_key().public_key().public_numbers().n.to_bytes(128, "big")),
        "e": "AQAB",
    }
    x, y = jwk["x"], jwk["y"]
    point = public_key_bytes(DEVICE_KEY.public_key())
    off = (int.from_bytes(unb64u(y), "big") ^ 1).to_bytes(32, "big")
    spare = x[:-1] + ("B" if x[-1] == "A" else chr(ord(x[-1]) + 1))
    wrong: dict[str, Any] = {
        "point off the curve": {**jwk, "y": b64u(off)},
        "point zero": {**jwk, "x": b64u(bytes(32)), "y": b64u(bytes(32))},
        "coordinates exchanged": {**jwk, "x": y, "y": x},
        "coordinate beyond the field": {**jwk, "x": b64u(b"\xff" * 32)},
        "coordinate with a leading zero": {**jwk, "x": b64u(b"\0" + unb64u(x))},
        "coordinate short": {**jwk, "x": b64u(unb64u(x)[:31])},
        "coordinate empty": {**jwk, "x": ""},
        "coordinate padded": {**jwk, "x": x + "="},
        "coordinate with spare bits": {**jwk, "x": spare},
        "coordinate a number": {**jwk, "x": 1},
        "coordinate null": {**jwk, "y": None},
        "private key": {**jwk, "d": b64u(fixed("d"))},
        "extra member": {**jwk, "kid": DEVICE_KID},
        "use": {**jwk, "use": "sig"},
        "y missing": {name: value for name, value in jwk.items() if name != "y"},
        "kty missing": {name: value for name, value in jwk.items() if name != "kty"},
        "kty oct": {"kty": "oct", "k": b64u(point)},
        "kty OKP": {"kty": "OKP", "crv": "Ed25519", "x": x},
        "kty RSA": rsa_jwk,
        "crv P-384 over this point": {**jwk, "crv": "P-384"},
        "crv secp256k1 over this point": {**jwk, "crv": "secp256k1"},
        "crv in lower case": {**jwk, "crv": "p-256"},
        "a text": json.dumps(jwk),
        "a list": [jwk],
        "null": None,
        "empty": {},
    }
    cases = {name: forge({**good, "jwk": key}, payload, es256()) for name, key in wrong.items()}
    return cases | {
        "missing": forge({"alg": "ES256", "typ": documents.ENROLL}, payload, es256()),
        "kid in its place": forge(
            {"alg": "ES256", "typ": documents.ENROLL, "kid": DEVICE_KID}, payload, es256()
        ),
        "kid beside": forge({**good, "kid": DEVICE_KID}, payload, es256()),
        "of somebody else": forge({**good, "jwk": public_jwk(OTHER_KEY.public_key())}, payload, es256()),
        "P-384": forge({**good, "alg": "ES384", "jwk": _foreign(p384, "P-384")}, payload, es256(p384)),
        "P-384 as ES256": forge({**good, "jwk": _foreign(p384, "P-384")}, payload, es256(p384)),
        "secp256k1": forge(
            {**good, "alg": "ES256K", "jwk": _foreign(secp256k1, "secp256k1")}, payload, es256(secp256k1)
        ),
        "secp256k1 as P-256": forge({**good, "jwk": _foreign(secp256k1, "P-256")}, payload, es256(secp256k1)),
        "RSA": forge({**good, "alg": "RS256", "jwk": rsa_jwk}, payload, rs256),
        "RSA as ES256": forge({**good, "jwk": rsa_jwk}, payload, rs256),
        "shared secret": forge(
            {**good, "alg": "HS256", "jwk": {"kty": "oct", "k": "AAAA"}}, payload, hs256(b"\0\0\0")
        ),
    }


def _foreign(key: ec.EllipticCurvePrivateKey, crv: str) -> dict[str, str]:
    numbers, size = key.public_key().public_numbers(), (key.curve.key_size + 7) // 8
    return {
        "kty": "EC",
        "crv": crv,
        "x": b64u(numbers.x.to_bytes(size, "big")),
        "y": b64u(numbers.y.to_bytes(size, "big")),
    }


def _enrollments(good: dict[str, Any]) -> dict[str, Any]:
    push = good["push"]
    point = unb64u(push["p256dh"])

    def pushed(**changes: Any) -> dict[str, Any]:
        return {**good, "push": {**push, **changes}}

    return {
        "eid of another enrolment": {**good, "eid": "0190c1f0-7a2b-7c3d-8e4f-5a6b7c8d9e10"},
        "eid with a slash": {**good, "eid": "../" + good["eid"]},
        "tkn short": {**good, "tkn": good["tkn"][:22]},
        "tkn padded": {**good, "tkn": good["tkn"] + "="},
        "tkn a list": {**good, "tkn": [good["tkn"]]},
        "name empty": {**good, "name": ""},
        "name of 65 characters": {**good, "name": "x" * 65},
        "platform a number": {**good, "platform": 7},
        "push null": {**good, "push": None},
        "push a list": {**good, "push": [push]},
        "push with an extra member": pushed(extra=1),
        "push key off the curve": pushed(p256dh=b64u(point[:64] + bytes([point[64] ^ 1]))),
        "push key compressed": pushed(p256dh=b64u(bytes([2 + point[64] % 2]) + point[1:33])),
        "push key hybrid": pushed(p256dh=b64u(bytes([6 + point[64] % 2]) + point[1:])),
        "auth of 15 bytes": pushed(auth=b64u(bytes(15))),
        "auth with spare bits": pushed(auth="AAAAAAAAAAAAAAAAAAAAAB"),
        "endpoint over http": pushed(endpoint="http://push.example/1"),
        "endpoint of another scheme": pushed(endpoint="file:///etc/passwd"),
        "endpoint empty": pushed(endpoint=""),
    }


def _decisions(good: dict[str, Any]) -> dict[str, Any]:
    wrong: dict[str, list[Any]] = {
        "iss": [b64u(fixed("somebody")), "", good["iss"] + "A"],
        "rid": ["0190c1f1-0102-7304-8506-0708090a0b0d", "", None, 7],
        "non": [b64u(fixed("other nonce", 16)), "", good["non"][:-1], good["non"] + "="],
        "rqh": [b64u(fixed("other hash")), "", None, good["rqh"][:-1]],
        "dec": ["approved", "Approve", "APPROVE", "yes", "", None, True, 1, ["approve"], "approve ", "deny"],
        "rsn": ["declined", "not_me", "mistake", "OK", "", None],
        "num": ["1", "1234567", "12a", "\uff11\uff12\uff13", "-12", "1 2", " 42", "12\n", 42, ["042"], ""],
        "uv": ["face", "", None, True],
        "ui": [None, 1, "x" * 65],
        "ctr": [-1, 1.5, "1", True, None, 2**53],
    }
    return {f"{name} {value!r}": {**good, name: value} for name, values in wrong.items() for value in values}
