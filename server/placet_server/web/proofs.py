"""Who calls the device API: call proofs, the nonces that they need, and the memory that makes each count once."""

from __future__ import annotations

import hmac
from collections import defaultdict
from collections.abc import Container
from typing import Final

from aiohttp import web

from placet_protocol import callproof
from placet_protocol.canonical import joined
from placet_protocol.errors import ProtocolError, StaleError
from placet_protocol.jose import b64u, kid_of, public_key_from_bytes
from placet_server.domain.devices import Devices
from placet_server.domain.refusals import RefusedError
from placet_server.domain.values import Device
from placet_server.ports import Entropy

HEADER: Final = "Placet-Proof"
NONCE_HEADER: Final = "Placet-Nonce"
WINDOW_MS: Final = 60_000
CALLS_PER_WINDOW: Final = 600


class Proofs:
    """Reads call proofs.

    A nonce is a MAC over the device's thumbprint and the window of time, under a key that lives as long as the process:
    the current and the previous one are good, so the ids of proofs have to be remembered for two windows only.
    """

    def __init__(self, devices: Devices, entropy: Entropy, public_url: str) -> None:
        self._devices: Final = devices
        self._public_url: Final = public_url
        self._key: Final = entropy.bytes(32)
        self._window = 0
        self._set_back = 0  # windows by which the clock was set back since the start
        self._seen: defaultdict[str, set[str]] = defaultdict(set)
        self._seen_before: defaultdict[str, set[str]] = defaultdict(set)

    def nonce(self, kid: str, now: int) -> str:
        """The current nonce of the device with this thumbprint."""
        return self._nonce(kid, self._current(now))

    async def caller(self, request: web.Request, body: bytes, now: int) -> Device:
        """The device that proves this very call, confirmed yet or not.

        Raises ``use_nonce`` when only the nonce is old, ``device_revoked``, ``rate_limited`` beyond 600 calls a minute,
        and ``invalid_proof`` for everything else.
        """
        document = request.headers.get(HEADER)
        if document is None:
            raise RefusedError("invalid_proof", f"The call needs the header {HEADER}.")
        kid = self.kid(document)
        window = self._current(now)
        nonces = (self._nonce(kid, window), self._nonce(kid, window - 1))
        device, jti = await self.prove(document, request.method, request.raw_path, body, nonces)
        self._once(device.id, jti)
        return device

    async def prove(
        self, document: str, method: str, path: str, body: bytes, nonces: Container[str]
    ) -> tuple[Device, str]:
        """The device that signed a proof for this call, and the proof's id; raises as ``caller``."""
        device = await self._devices.by_jkt(self.kid(document))
        if device is None:
            raise _invalid()
        key = public_key_from_bytes(device.public_key)
        url = self._public_url + path
        try:
            proof = callproof.read(document, key, method=method, url=url, body=body, nonces=nonces)
        except StaleError:
            raise RefusedError("use_nonce", f"Sign again with the nonce of {NONCE_HEADER}.") from None
        except ProtocolError:
            raise _invalid() from None
        if device.status == "revoked":
            raise RefusedError("device_revoked", "This device was revoked.")
        return device, proof.jti

    @staticmethod
    def kid(document: str) -> str:
        """The key that a proof names, not yet verified; raises ``invalid_proof``."""
        try:
            return kid_of(document, callproof.PROOF, callproof.PROOF_LIMIT)
        except ProtocolError:
            raise _invalid() from None

    def _nonce(self, kid: str, window: int) -> str:
        return b64u(hmac.digest(self._key, joined((kid.encode(), str(window).encode())), "sha256")[:16])

    def _current(self, now: int) -> int:
        """The window of time; a clock that is set back neither brings an old one back nor stops the count.

        Calls may come here a little after one another, each with the time at which it arrived: one window back is
        no change of the clock.
        """
        window = now // WINDOW_MS + self._set_back
        if window < self._window - 1:
            self._set_back += self._window - window
        window = max(window, self._window)
        if window != self._window:
            self._seen_before = self._seen if window == self._window + 1 else defaultdict(set)
            self._seen = defaultdict(set)
            self._window = window
        return window

    def _once(self, device: str, jti: str) -> None:
        used = self._seen[device]
        if jti in used or jti in self._seen_before.get(device, ()):
            raise _invalid()
        if len(used) >= CALLS_PER_WINDOW:
            raise RefusedError(
                "rate_limited", "Too many calls of this device.", retry_after=WINDOW_MS // 1000
            )
        used.add(jti)


def _invalid() -> RefusedError:
    return RefusedError("invalid_proof", "The call is not proven by the key of a device.")
