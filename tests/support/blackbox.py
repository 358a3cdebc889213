"""An application and its people as programs on the other side of HTTP: they know a URL, a key and what they were told."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from placet_protocol import callproof, documents, jose
from placet_protocol.otpauth import EnrollmentUri
from placet_protocol.sealing import unseal
from placet_server.domain.values import Enrollment
from support.joining import Joiner
from support.programs import answer


class Remote:
    """A server that runs somewhere, and an application with a key of it."""

    def __init__(self, url: str, key: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self.key = key
        self.http = http

    async def call(
        self, method: str, path: str, value: object = None, **headers: str
    ) -> tuple[int, dict[str, str], Any]:
        """Status, headers and JSON of one call; a value that is text goes as a signed document."""
        kind = "application/jose" if isinstance(value, str) else "application/json"
        data = value.encode() if isinstance(value, str) else None if value is None else json.dumps(value)
        given = {"Content-Type": kind} if data is not None else {}
        given |= {name.replace("_", "-"): text for name, text in headers.items()}
        async with self.http.request(method, self.url + path, data=data, headers=given) as reply:
            body = await reply.read()
            return reply.status, dict(reply.headers), json.loads(body) if body else None

    async def native(self, method: str, path: str, value: object = None) -> Any:
        """The JSON of a call of the native API that succeeds."""
        status, _, said = await self.call(method, path, value, Authorization=f"Bearer {self.key}")
        assert status < 300, (status, said)
        return said

    async def person(self, email: str) -> Person:
        """A new user with a confirmed device."""
        user = await self.native("POST", "/v1/users", {"email": email})
        invited = await self.native("POST", f"/v1/users/{user['tfa_id']}/enrollments", {})
        person = Person(self, user["tfa_id"], invited["uri"])
        await person.join(invited["id"])
        return person


class Person:
    """A user and their device, which answers as it is told."""

    def __init__(self, remote: Remote, tfa_id: int, uri: str) -> None:
        self.remote = remote
        self.tfa_id = tfa_id
        self.joiner = Joiner()
        self.uri = EnrollmentUri.parse(uri)
        self._invitation = uri
        self._nonce = "none"
        self._counter = 0
        self.token_uri = ""
        self.check = ""

    async def join(self, enrollment: str) -> None:
        """Redeem the invitation and have the digits confirmed."""
        wish = self.joiner.wish(Enrollment(enrollment, "", "open", 0, 0, None, self._invitation))
        status, _, said = await self.remote.call("POST", f"/device/v1/enrollments/{enrollment}", wish)
        assert status == 200, said
        salt = jose.unb64u(jose.peek(said["certificate"])[1]["salt"])
        self.token_uri = self._opened(said["sealed"]).decode()
        self.check = documents.check_code(enrollment, self.joiner.jkt, self.uri.thumbprint, salt)
        await self.remote.native("POST", f"/v1/enrollments/{enrollment}/confirm", {"check": self.check})

    async def ask(self, **changes: Any) -> Any:
        """A question to this person as the application gets it."""
        question = {"tfa_id": self.tfa_id, "message": "Pay?"} | changes
        return await self.remote.native("POST", "/v1/approval_requests", question)

    async def requests(self) -> dict[str, str]:
        """The documents that wait for this device, by request id."""
        path = "/device/v1/items?wait=0"
        for _ in range(3):
            proof = callproof.proof(
                self.joiner.key,
                self.joiner.jkt,
                "GET",
                self.uri.origin + path,
                b"",
                self._nonce,
                jose.b64u(os.urandom(16)),
            )
            status, headers, said = await self.remote.call("GET", path, Placet_Proof=proof)
            self._nonce = headers.get("Placet-Nonce", self._nonce)
            if status == 200:
                items = {item["id"]: json.loads(self._opened(item["sealed"])) for item in said["items"]}
                return {each: item["document"] for each, item in items.items() if item["type"] == "request"}
        raise AssertionError(said)

    def decision(self, document: str, verb: str, number: str | None = None) -> str:
        """The signed answer to a request document."""
        self._counter += 1
        asked = jose.peek(document)[1]
        said = {
            "v": 1,
            "iss": self.joiner.jkt,
            "aud": asked["iss"],
            "jti": f"answer-{self._counter}",
            "iat": asked["iat"],
            "ctr": self._counter,
            "rid": asked["rid"],
            "non": asked["non"],
            "rqh": jose.b64u(documents.request_hash(document)),
            "dec": verb,
            "rsn": "ok" if verb == "approve" else "declined",
            "uv": "none",
            "ui": "test",
        } | ({} if number is None else {"num": number})
        return jose.sign(self.joiner.key, documents.DECISION, json.dumps(said).encode(), kid=self.joiner.jkt)

    async def answer(self, document: str, verb: str, number: str | None = None) -> tuple[int, Any]:
        """Sign and send an answer: status and what the server says."""
        status, _, said = await self.remote.call(
            "POST", "/device/v1/decisions", self.decision(document, verb, number)
        )
        return status, said

    def _opened(self, sealed: str) -> bytes:
        return unseal(jose.unb64u(sealed), self.joiner.push_key, self.joiner.auth)


@asynccontextmanager
async def remote(url: str, key: str) -> AsyncIterator[Remote]:
    """The server at a URL, over connections that end with the block."""
    async with aiohttp.ClientSession() as http:
        yield Remote(url, key, http)


async def shop(data: Path, *policies: str, webhook: str | None = None) -> tuple[str, str]:
    """The key of a new application on a running server, and the secret of its webhook."""
    made = await asyncio.to_thread(answer, "application", "add", "shop", "--data", data)
    secret = ""
    if policies:
        await asyncio.to_thread(answer, "application", "set", "shop", *policies, "--data", data)
    if webhook is not None:
        hook = await asyncio.to_thread(answer, "webhook", "add", "shop", webhook, "--data", data)
        secret = hook["secret"]
    return made["api_key"], secret
