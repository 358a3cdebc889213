"""Passwords that people chose: Argon2id (RFC 9106), in threads beside the loop and few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from placet_server.ports import BusyError, Entropy

HASHES_MAX: Final = 2
WAITING_MAX: Final = 32
_AT_ONCE: Final = 2
_PASSES: Final = 2
_LANES: Final = 1
_MEMORY_KIB: Final = 19_456  # with two passes 40 ms a try: more would let strangers keep the processor busy


class Argon2Passwords:
    """Hashes and checks passwords; implements ``Passwords``."""

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0
        self._nobodys = ""

    async def hash(self, password: str) -> str:
        """The PHC string of a password under a fresh salt of 16 bytes; raises ``BusyError``."""
        kdf = Argon2id(
            salt=self._entropy.bytes(16), length=32, iterations=_PASSES, lanes=_LANES, memory_cost=_MEMORY_KIB
        )
        async with self._place():
            return await asyncio.to_thread(kdf.derive_phc_encoded, _bytes(password))

    async def match(self, password: str, hashes: tuple[str, ...]) -> int | None:
        """Which of these, at most two, it is; a no costs the same work for none, one and two. Raises ``BusyError``."""
        if not self._nobodys:
            self._nobodys = await self.hash("nobody's")
        given = _bytes(password)
        async with self._place():
            for number, known in enumerate(hashes):
                if await asyncio.to_thread(_matches, given, known):
                    return number
            for _ in range(HASHES_MAX - len(hashes)):
                await asyncio.to_thread(_matches, given, self._nobodys)
        return None

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        if self._waiting >= WAITING_MAX:
            raise BusyError
        self._waiting += 1
        try:
            async with self._turn:
                yield
        finally:
            self._waiting -= 1


def _matches(password: bytes, known: str) -> bool:
    try:
        Argon2id.verify_phc_encoded(password, known)
    except InvalidKey:
        return False
    return True


def _bytes(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")
