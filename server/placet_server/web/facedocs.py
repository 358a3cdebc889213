"""What the published description says of the faces' routes: a sentence a route, and what opens it.

Bodies and answers follow the documents of the services whose API a face speaks; docs/api tells them. A path in another
spelling (any letter case, a slash more or less, a query without its question mark) is described under its usual one.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

_VARIABLE: Final = re.compile(r"\{([a-z_]+):((?:[^{}]|\{[^{}]*\})+)\}")
_ANY_CASE: Final = re.compile(r"(.*)/\{api:\(\?i:([^()]*)\)/\?\}")
_REST: Final = "{rest}"


class Told(NamedTuple):
    """One route: ``keys`` names security schemes, all of which are needed; without any, ``open`` says why."""

    summary: str
    keys: tuple[str, ...] = ()
    open: str = ""


SCHEMES: Final[dict[str, dict[str, Any]]] = {
    "authyKey": {"type": "apiKey", "in": "header", "name": "X-Authy-API-Key"},
    "afilnetUser": {"type": "apiKey", "in": "query", "name": "user"},
    "afilnetPassword": {"type": "apiKey", "in": "query", "name": "password"},
    "afilnetBasic": {"type": "http", "scheme": "basic"},
    "afilnetToken": {"type": "http", "scheme": "bearer", "description": "of POST /api/jwt/token"},
    "unityvoxAccount": {"type": "apiKey", "in": "query", "name": "accountnumber"},
    "unityvoxKey": {"type": "apiKey", "in": "query", "name": "apikey"},
    "octopushLogin": {"type": "apiKey", "in": "header", "name": "api-login"},
    "octopushKey": {"type": "apiKey", "in": "header", "name": "api-key"},
}

_AUTHY: Final = ("authyKey",)
_AFILNET: Final = ("afilnetUser", "afilnetPassword")
_UNITYVOX: Final = ("unityvoxAccount", "unityvoxKey")
_OCTOPUSH: Final = ("octopushLogin", "octopushKey")
_REPORT: Final = (
    "Vendors have no key: the URL holds 192 random bits of its message, and a wrong one changes nothing."
)
_PROTECTED: Final = "/protected/{format}"
_OTP_API: Final = "/api/get-api/v1/OTP-api"
_PUBLIC: Final = "/v1/public"


def _authy(summary: str) -> Told:
    return Told(summary, _AUTHY)


TABLE: Final[dict[tuple[str, str], Told]] = {
    ("POST", f"{_PROTECTED}/users/new"): _authy("Register a user, or find the one of this phone"),
    ("GET", f"{_PROTECTED}/users/{{user}}/status"): _authy("A user and their devices"),
    ("POST", f"{_PROTECTED}/users/{{user}}/remove"): _authy("Erase a user"),
    ("POST", f"{_PROTECTED}/users/{{user}}/delete"): _authy("Erase a user (older path)"),
    ("POST", f"{_PROTECTED}/users/delete/{{user}}"): _authy("Erase a user (oldest path)"),
    ("POST", f"{_PROTECTED}/users/{{user}}/register_activity"): _authy("Note what happened to a user"),
    ("POST", f"{_PROTECTED}/users/{{user}}/update"): _authy("Change a user's e-mail"),
    ("POST", f"{_PROTECTED}/users/{{user}}/secret"): _authy("A picture of a new soft token"),
    ("GET", f"{_PROTECTED}/users/{{user}}/phone_number"): _authy("A user's number, where that is allowed"),
    ("GET", f"{_PROTECTED}/registrations/status"): _authy("Whether a user has a device"),
    ("GET", f"{_PROTECTED}/sms/{{user}}"): _authy("Send a code by text message"),
    ("GET", f"{_PROTECTED}/call/{{user}}"): _authy("Send a code by a call"),
    ("POST", f"{_PROTECTED}/email/{{user}}"): _authy("Send a code by e-mail"),
    ("GET", f"{_PROTECTED}/verify/{{token}}/{{user}}"): _authy(
        "Check a soft token's code or one that was sent"
    ),
    ("POST", f"{_PROTECTED}/phones/verification/start"): _authy("Send a code to a number"),
    ("GET", f"{_PROTECTED}/phones/verification/check"): _authy("Check the code that went to a number"),
    ("GET", f"{_PROTECTED}/phones/verification/status"): _authy("How a phone verification stands"),
    ("GET", f"{_PROTECTED}/phones/info"): _authy("Type and carrier of a number"),
    ("GET", f"{_PROTECTED}/app/details"): _authy("The application"),
    ("GET", f"{_PROTECTED}/app/stats"): _authy("Counts by month"),
    ("GET", f"{_PROTECTED}/reporting/events"): _authy("What happened, newest first"),
    ("POST", "/onetouch/{format}/users/{user}/approval_requests"): _authy("Ask a person"),
    ("GET", "/onetouch/{format}/approval_requests/{id}"): _authy("How a request stands"),
    ("GET", "/qr/{sealed}.png"): Told(
        "The picture of a soft token, for ten minutes",
        open="Browsers show it: the URL is sealed under a key of 256 bits, and one that was not made here opens nothing.",
    ),
    ("GET", "/api/http/"): Told("Any call by class and method", _AFILNET),
    ("POST", "/api/http/"): Told("Any call by class and method", _AFILNET),
    ("GET", "/api/basic/"): Told("Any call by class and method", ("afilnetBasic",)),
    ("POST", "/api/basic/"): Told("Any call by class and method", ("afilnetBasic",)),
    ("POST", "/api/jwt/token"): Told("A token for an hour", _AFILNET),
    ("GET", "/api/jwt/"): Told("Any call by class and method", ("afilnetToken",)),
    ("POST", "/api/jwt/"): Told("Any call by class and method", ("afilnetToken",)),
    ("POST", "/api/soap/"): Told("Any call as SOAP 1.1; user and password stand in the envelope", _AFILNET),
    ("GET", "/api/soap/"): Told(
        "The WSDL", open="Makers of stubs read it without credentials: a constant document without data."
    ),
    **{
        (method, path): Told(summary, _UNITYVOX)
        for path, summary in (
            (_OTP_API, "Send a code by a template"),
            (f"{_OTP_API}/verify", "Check the code of a session"),
        )
        for method in ("GET", "POST", "PUT")
    },
    ("POST", f"{_PUBLIC}/service/otp/generate"): Told("Send a code", _OCTOPUSH),
    ("PUT", f"{_PUBLIC}/service/otp/validate"): Told("Check a code", _OCTOPUSH),
    ("POST", f"{_PUBLIC}/service/otp/validate"): Told("Check a code", _OCTOPUSH),
    ("POST", f"{_PUBLIC}/sms-campaign/send"): Told("Send a text message", _OCTOPUSH),
    ("GET", f"{_PUBLIC}/wallet/check-balance"): Told("The balance", _OCTOPUSH),
    ("GET", f"{_PUBLIC}/wallet/check-credits"): Told("What the balance is good for", _OCTOPUSH),
    ("GET", "/gateway/reports/{gateway}/{id}/{secret}"): Told("What became of a message", open=_REPORT),
    ("POST", "/gateway/reports/{gateway}/{id}/{secret}"): Told("What became of a message", open=_REPORT),
}


def usual(path: str) -> str:
    """The path of a route as it is described: variables without patterns, in the one usual spelling."""
    if (found := _ANY_CASE.fullmatch(path)) is not None:
        path = f"{found[1]}/{found[2]}"
        return f"{path}/" if f"{path}/" in _PATHS else path
    path = _VARIABLE.sub(r"{\1}", path)
    if path == f"/api/http/{_REST}":
        return "/api/http/"
    return path.removeprefix("/") if path.startswith("//") else path


_PATHS: Final = frozenset(path for _, path in TABLE)


def operation(method: str, path: str) -> dict[str, Any]:
    """What is told of a face's route, one of ``TABLE``, beside tags, id and path variables."""
    told = TABLE[method, path]
    media = ["application/json"]
    if "{format}" in path:
        media.append("application/xml")
    if path == "/api/soap/":
        media = ["text/xml"]
    if path.endswith(".png"):
        media = ["image/png"]
    anything: dict[str, Any] = {"schema": {}}
    answer = {"description": told.summary, "content": dict.fromkeys(media, anything)}
    said: dict[str, Any] = {
        "summary": told.summary,
        "security": [{name: [] for name in told.keys}] if told.keys else [],
        "responses": {
            "200": answer,
            "default": {"description": "An error in the words of this API", "content": answer["content"]},
        },
    }
    if told.open:
        said["description"] = told.open
    if method != "GET":
        form = "application/x-www-form-urlencoded"
        sent = ["text/xml"] if path == "/api/soap/" else ["application/json", form, "multipart/form-data"]
        said["requestBody"] = {"required": False, "content": dict.fromkeys(sent, anything)}
    return said
