"""One-time codes as each face issues and checks them: made for a spelling of a number, tried, and what was said."""

from __future__ import annotations

from typing import Any, Literal

from support.described import ACCOUNT, KEY, NAME, OCTO_KEY, PASSWORD, UV_KEY, Faces
from support.http import Answer
from support.wishes import Wish

Said = Literal["right", "wrong", "throttled"]
FIVE = ("native", "authy", "afilnet", "unityvox", "octopush")
PHONE = "+447700900123"


class Guesser:
    """Asks for codes of one number by any face, and tries some."""

    def __init__(self, made: Faces) -> None:
        self.made = made
        self.codes = 0
        self._handle: dict[str, str] = {}
        self._spelled: dict[str, str] = {}

    async def issue(self, face: str, spelling: str = PHONE) -> str:
        """A fresh code by a face; it is what arrived, or what the answer told."""
        self.made.clock.advance(ms=1)  # which of two is newer shows in their times
        self._spelled[face] = spelling
        answer = await self.made.call(self._asking(face, spelling))
        assert answer.status < 300, (face, answer.body)
        said = answer.json()
        self._handle[face] = str(
            said.get("id") or said.get("sessionID") or said.get("otp_request_token") or ""
        )
        if face == "afilnet":
            assert said["status"] == "SUCCESS", said
            return str(said["result"]["code"])
        self.codes += 1
        sent = (await self.made.gateway.count(self.codes))[self.codes - 1]
        assert sent.to == PHONE
        assert sent.code is not None
        return sent.code

    async def check(self, face: str, value: str, spelling: str | None = None) -> Said:
        """What a face says of a code; ``wrong`` is every way to say no but for the one that asks to wait."""
        answer = await self.made.call(self._checking(face, value, spelling or self._spelled[face]))
        said = answer.json()
        if self._is_right(face, said):
            assert answer.status == 200
            return "right"
        return "throttled" if self._waits(face, answer, said) else "wrong"

    async def guess(self, face: str, spelling: str = PHONE) -> Said:
        """A fresh code, and another one tried."""
        value = await self.issue(face, spelling)
        return await self.check(face, other(value), spelling)

    def _asking(self, face: str, spelling: str) -> Wish:
        head = self._head(face)
        match face:
            case "native":
                return Wish("POST", "/v1/codes", None, head, "json", {"phone": spelling, "channel": "sms"})
            case "authy":
                number = {
                    "via": "sms",
                    "country_code": "44",
                    "phone_number": _national(spelling),
                    "code_length": "6",
                }
                return Wish("POST", "/protected/json/phones/verification/start", None, head, "form", number)
            case "afilnet":
                asked = {
                    "class": "otp",
                    "method": "generateotp",
                    "type": "mobile",
                    "destination": spelling,
                    "otpformat": "numbers",
                }
                return Wish("GET", "/api/http/", [*self._who(face), *asked.items()])
            case "unityvox":
                asked = {"ref_id": "TPL1", "phone_number": spelling}
                return Wish("GET", "/api/get-api/v1/OTP-api", [*self._who(face), *asked.items()])
            case _:
                body = {"phone_number": spelling, "text": "{code}"}
                return Wish("POST", "/v1/public/service/otp/generate", None, head, "json", body)

    def _checking(self, face: str, value: str, spelling: str) -> Wish:
        head, handle = self._head(face), self._handle[face]
        match face:
            case "native":
                return Wish("POST", f"/v1/codes/{handle}/check", None, head, "json", {"code": value})
            case "authy":
                tried = [
                    ("country_code", "44"),
                    ("phone_number", _national(spelling)),
                    ("verification_code", value),
                ]
                return Wish("GET", "/protected/json/phones/verification/check", tried, head)
            case "afilnet":
                sent = {"class": "otp", "method": "verifyotp", "destination": spelling, "code": value}
                return Wish("GET", "/api/http/", [*self._who(face), *sent.items()])
            case "unityvox":
                sent = {"sessionid": handle, "otp_code": value}
                return Wish(
                    "POST", "/api/get-api/v1/OTP-api/verify", None, None, "form", dict(self._who(face)) | sent
                )
            case _:
                body: dict[str, Any] = {"phone_number": spelling, "code": value}
                return Wish("PUT", "/v1/public/service/otp/validate", None, head, "json", body)

    def _head(self, face: str) -> list[tuple[str, str]]:
        return {
            "native": [("Authorization", f"Bearer {self.made.key}")],
            "authy": [("X-Authy-API-Key", KEY)],
            "octopush": [("api-login", NAME), ("api-key", OCTO_KEY)],
        }.get(face, [])

    @staticmethod
    def _who(face: str) -> list[tuple[str, str]]:
        if face == "afilnet":
            return [("user", NAME), ("password", PASSWORD)]
        return [("accountnumber", ACCOUNT), ("apikey", UV_KEY)]

    @staticmethod
    def _is_right(face: str, said: dict[str, Any]) -> bool:
        return {
            "native": said.get("matched") is True,
            "authy": said.get("success") is True,
            "afilnet": said.get("status") == "SUCCESS",
            "unityvox": said.get("code") == "027",
            "octopush": said.get("code") == 0,
        }[face]

    @staticmethod
    def _waits(face: str, answer: Answer, said: dict[str, Any]) -> bool:
        # Afilnet has no words for it: all that is not right is CODE_NOT_FOUND.
        return answer.status == 429 or (face == "unityvox" and said["code"] == "029")


def other(value: str) -> str:
    """A code of the same form that is not this one."""
    return value[:-1] + str((int(value[-1]) + 1) % 10)


def _national(spelling: str) -> str:
    """What stands beside the country code on the Authy face."""
    text = spelling.strip()
    for prefix in ("+44", "0044", "44"):
        if text.startswith(prefix):
            return text.removeprefix(prefix)
    return text
