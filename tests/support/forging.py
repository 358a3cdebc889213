"""Documents that an attacker or a careless implementer would send: each must be refused by every reader."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from placet_protocol.jose import b64u, public_jwk, unb64u
from support.parties import DEVICE_KEY, OTHER_KEY, fixed, private_key

Sign = Callable[[bytes], bytes]
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def written(members: Any) -> bytes:
    """Compact JSON; bytes are left as they are, so that a case can say things no encoder would."""
    return members if isinstance(members, bytes) else json.dumps(members, separators=(",", ":")).encode()


def forge(header: Any, payload: Any, sign: Sign) -> str:
    """A compact JWS of exactly these parts."""
    signed = f"{b64u(written(header))}.{b64u(written(payload))}"
    return f"{signed}.{b64u(sign(signed.encode()))}"


def es256(key: ec.EllipticCurvePrivateKey = DEVICE_KEY) -> Sign:
    """A good signature of the key, on whatever curve it is."""
    size = (key.curve.key_size + 7) // 8
    digest = SHA384() if size == 48 else SHA256()

    def sign(message: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(message, ec.ECDSA(digest, deterministic_signing=True)))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")

    return sign


def hs256(secret: bytes) -> Sign:
    """An HMAC with a secret that is none, such as a public key."""
    return lambda message: hmac.digest(secret, message, "sha256")


def rs256(message: bytes) -> bytes:
    """A good RSA signature."""
    return rsa_key().sign(message, padding.PKCS1v15(), SHA256())


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    """A small RSA key, always the same."""
    p, q = _prime("rsa p"), _prime("rsa q")
    e, n = 65537, p * q
    d = pow(e, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPublicNumbers(e, n)
    return rsa.RSAPrivateNumbers(
        p, q, d, d % (p - 1), d % (q - 1), rsa.rsa_crt_iqmp(p, q), numbers
    ).private_key()


def _prime(label: str) -> int:
    number = int.from_bytes(fixed(label, 64), "big") | 1 << 511 | 1 << 510 | 1
    while any(pow(base, number - 1, number) != 1 for base in (2, 3, 5)) or (number - 1) % 65537 == 0:
        number += 2
    return number


def header_cases(typ: str, naming: dict[str, Any], payload: dict[str, Any]) -> dict[str, str]:
    """Every wrong header and signature over a payload that is good; ``naming`` is how the type names its key."""
    good = {"alg": "ES256", "typ": typ, **naming}
    point = DEVICE_KEY.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    pem = DEVICE_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    jwk = written(public_jwk(DEVICE_KEY.public_key()))
    fine = forge(good, payload, es256())
    head, body, signature = fine.split(".")
    raw = unb64u(signature)
    other_header = {name: value for name, value in good.items() if name != "alg"}
    return {
        "alg none without signature": forge({**good, "alg": "none"}, payload, lambda _: b""),
        "alg none with a good signature": forge({**good, "alg": "none"}, payload, es256()),
        "alg None": forge({**good, "alg": "None"}, payload, lambda _: b""),
        "alg es256 in lower case": forge({**good, "alg": "es256"}, payload, es256()),
        "alg missing": forge(other_header, payload, es256()),
        "alg null": forge({**good, "alg": None}, payload, es256()),
        "alg a list": forge({**good, "alg": ["ES256"]}, payload, es256()),
        "HS256 with the public point": forge({**good, "alg": "HS256"}, payload, hs256(point)),
        "HS256 with the public PEM": forge({**good, "alg": "HS256"}, payload, hs256(pem)),
        "HS256 with the public JWK": forge({**good, "alg": "HS256"}, payload, hs256(jwk)),
        "ES256 that is an HMAC": forge(good, payload, hs256(point)),
        "RS256": forge({**good, "alg": "RS256"}, payload, rs256),
        "ES256 that is RSA": forge(good, payload, rs256),
        "ES384": forge({**good, "alg": "ES384"}, payload, es256(private_key("p384", ec.SECP384R1()))),
        "EdDSA": forge({**good, "alg": "EdDSA"}, payload, _ed25519),
        "typ missing": forge({"alg": "ES256", **naming}, payload, es256()),
        "typ JWT": forge({**good, "typ": "JWT"}, payload, es256()),
        "typ of a proof": forge({**good, "typ": "proof+jwt"}, payload, es256()),
        "typ with a prefix": forge({**good, "typ": f"application/{typ}"}, payload, es256()),
        "typ in upper case": forge({**good, "typ": typ.upper()}, payload, es256()),
        "jku": forge({**good, "jku": "https://evil.example/jwks.json"}, payload, es256()),
        "x5u": forge({**good, "x5u": "https://evil.example/cert.pem"}, payload, es256()),
        "x5c": forge({**good, "x5c": ["MIIB"]}, payload, es256()),
        "x5t": forge({**good, "x5t": "AAAA"}, payload, es256()),
        "crit": forge({**good, "crit": ["exp"], "exp": 1}, payload, es256()),
        "unencoded payload": forge({**good, "b64": False, "crit": ["b64"]}, payload, es256()),
        "cty": forge({**good, "cty": "JWT"}, payload, es256()),
        "zip": forge({**good, "zip": "DEF"}, payload, es256()),
        "alg twice": forge(written(good)[:-1] + b',"alg":"none"}', payload, es256()),
        "typ twice": forge(b'{"typ":"JWT",' + written(good)[1:], payload, es256()),
        "header no JSON": forge(b"alg=ES256", payload, es256()),
        "header a list": forge([good], payload, es256()),
        "header empty": forge({}, payload, es256()),
        "header too long": forge(written(good)[:-1] + b" " * 600 + b"}", payload, es256()),
        "signature of another key": forge(good, payload, es256(OTHER_KEY)),
        "signature empty": f"{head}.{body}.",
        "signature zero": f"{head}.{body}.{b64u(bytes(64))}",
        "signature with r zero": f"{head}.{body}.{b64u(bytes(32) + raw[32:])}",
        "signature with s beyond the order": f"{head}.{body}.{b64u(raw[:32] + _beyond(raw[32:]))}",
        "signature in DER": forge(good, payload, lambda message: DEVICE_KEY.sign(message, _deterministic())),
        "signature cut": f"{head}.{body}.{b64u(raw[:63])}",
        "signature longer": f"{head}.{body}.{b64u(raw + b'.')}",
        "signature with a zero between its halves": f"{head}.{body}.{b64u(raw[:32] + bytes(1) + raw[32:])}",
        "signature halves exchanged": f"{head}.{body}.{b64u(raw[32:] + raw[:32])}",
        "signature over the payload alone": f"{head}.{body}.{b64u(es256()(body.encode()))}",
        "payload of another document": f"{head}.{b64u(written({**payload, 'v': 2}))}.{signature}",
        "two parts": f"{head}.{body}",
        "four parts": f"{fine}.AAAA",
        "five parts": f"{fine}.AAAA.AAAA",
        "empty": "",
        "dots": "..",
        "JSON serialization": json.dumps({"protected": head, "payload": body, "signature": signature}),
        "white space before": f" {fine}",
        "line feed after": f"{fine}\n",
        "padding": f"{head}=.{body}.{signature}",
        "padded signature": f"{fine}==",
        "spare bits in the signature": fine[:-1] + _next_letter(fine[-1]),
        "standard alphabet": f"{head}.{body}.{signature.replace('-', '+').replace('_', '/')}+",
        "beyond ASCII": f"{head}.{body}.{signature[:-1]}\uff21",
    }


def payload_cases(header: dict[str, Any], payload: dict[str, Any]) -> dict[str, str]:
    """Well signed documents whose payload has not its form."""
    text = written(payload)
    changed: dict[str, Any] = {
        "extra member": {**payload, "admin": True},
        "member twice": text[:-1] + b',"v":1}',
        "member twice by escape": text[:-1] + b',"\\u0076":1}',
        "v missing": {name: value for name, value in payload.items() if name != "v"},
        "v 2": {**payload, "v": 2},
        "v a text": {**payload, "v": "1"},
        "v true": {**payload, "v": True},
        "v a float": text.replace(b'"v":1', b'"v":1.0'),
        "iat a text": {**payload, "iat": str(payload["iat"])},
        "iat a float": {**payload, "iat": payload["iat"] + 0.5},
        "iat an exponent": text.replace(str(payload["iat"]).encode(), b"176e7"),
        "iat negative": {**payload, "iat": -1},
        "iat of 400 digits": text.replace(str(payload["iat"]).encode(), b"9" * 400),
        "iat NaN": text.replace(str(payload["iat"]).encode(), b"NaN"),
        "iat null": {**payload, "iat": None},
        "aud a list": {**payload, "aud": [payload["aud"]]},
        "aud another server": {**payload, "aud": "https://other.example"},
        "aud with a slash": {**payload, "aud": payload["aud"] + "/"},
        "aud in upper case": {**payload, "aud": payload["aud"].upper()},
        "jti empty": {**payload, "jti": ""},
        "jti with a line feed": {**payload, "jti": payload["jti"] + "\n"},
        "a list": [payload],
        "a text": b'"approve"',
        "null": b"null",
        "no JSON": b"v=1",
        "empty": b"",
        "two objects": text + text,
        "trailing comma": text[:-1] + b",}",
        "comment": text + b"//",
        "byte order mark": b"\xef\xbb\xbf" + text,
        "UTF-16": text.decode().encode("utf-16"),
        "not UTF-8": text.replace(b'"v":1', b'"v":1,"x":"\xff"'),
        "half a surrogate pair": text[:-1] + b',"x":"\\ud800"}',
        "control character": text[:-1] + b',"x":"\x01"}',
        "nested deep": text[:-1] + b',"x":' + b"[" * 5000 + b"]" * 5000 + b"}",
        "too long": text[:-1] + b',"x":"' + b"x" * 70_000 + b'"}',
    }
    missing = {
        f"{name} missing": {other: value for other, value in payload.items() if other != name}
        for name in payload
        if name not in {"v", "num"}
    }
    return {name: forge(header, said, es256()) for name, said in {**changed, **missing}.items()}


def _beyond(s: bytes) -> bytes:
    return min(int.from_bytes(s, "big") + P256_ORDER, 2**256 - 1).to_bytes(32, "big")


def _next_letter(letter: str) -> str:
    """The base64url letter that differs in the last bit, which carries nothing at the end of 64 bytes."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return alphabet[alphabet.index(letter) ^ 1]


def _deterministic() -> ec.ECDSA:
    return ec.ECDSA(SHA256(), deterministic_signing=True)


def _ed25519(message: bytes) -> bytes:
    return ed25519.Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"ed25519").digest()).sign(message)
