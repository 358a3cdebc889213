"""Every face has an answer to every refusal of the core, and none of them can be taken for a success."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from placet_server.domain.refusals import CODES
from placet_server.domain.services import Domain
from placet_server.faces import Face
from placet_server.faces.afilnetbasic import BasicWay
from placet_server.faces.afilnetcalls import Calls
from placet_server.faces.afilnetsoap import SoapWay
from placet_server.faces.afilnetway import Way
from placet_server.faces.authy import AuthyFace
from placet_server.faces.authyqr import Pictures
from placet_server.faces.octopush import OctopushFace
from placet_server.faces.unityvox import UnityVoxFace
from placet_server.testing import ClearSealer, RecordingBus
from support.answering import world
from support.totality import Spoken, query, refusals

ORIGIN = "https://placet.example"
WHO = query(user="u", password="p", **{"class": "otp", "method": "verifyotp"})


def authy(domain: Domain) -> Face:
    return AuthyFace(domain, Pictures(ClearSealer(), ORIGIN), RecordingBus())


FACES: dict[str, tuple[Callable[[Domain], Face], str, dict[str, str]]] = {
    "authy json": (authy, "/protected/json/x", {}),
    "authy xml": (authy, "/protected/xml/x", {}),
    "authy onetouch": (authy, "/onetouch/json/x", {}),
    "afilnet": (lambda domain: Way(Calls(domain)), f"/api/http/?{WHO}", {}),
    "afilnet xml": (lambda domain: Way(Calls(domain)), f"/api/http/?{WHO}&output=xml", {}),
    "afilnet basic": (
        lambda domain: BasicWay(Calls(domain)),
        "/api/basic/?class=otp&method=verifyotp",
        {"Authorization": "Basic dTpw"},
    ),
    "unityvox": (UnityVoxFace, "/api/get-api/v1/OTP-api", {}),
    "octopush": (OctopushFace, "/v1/public/service/otp/validate", {}),
}


def succeeded(name: str, status: int, told: Any) -> bool:
    """Whether a client of the face would take an answer for a success."""
    if name.startswith("authy"):
        return status == 200 or (
            isinstance(told, dict) and (told.get("success") is True or told.get("token") == "is valid")
        )
    if name.startswith("afilnet"):
        return isinstance(told, dict) and told.get("status") == "SUCCESS"
    if name == "unityvox":
        return bool(told["status"] == "success" or told["code"] in {"022", "027"})
    return bool(status < 300 or told["code"] == 0 or told["message"] == "success")


@pytest.mark.parametrize("name", FACES)
async def test_every_refusal_has_an_answer_that_is_no_success(tmp_path: Path, name: str) -> None:
    """Well-formed in the face's own format whatever the sentence holds; 5xx only where the server cannot; never success."""
    made, target, headers = FACES[name]
    for folder in ("core", "gate"):
        (tmp_path / folder).mkdir()
    async with world(tmp_path / "core") as w:
        answers = await refusals(tmp_path / "gate", Spoken(made(w.domain), target, headers))
    assert tuple(answers) == CODES
    for code, answer in answers.items():
        media = answer.headers["content-type"]
        assert re.search(r"charset=utf-8", media, re.IGNORECASE), code
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-request-id"]
        text = answer.body.decode()
        told: Any = None
        if "xml" in media:
            root = ET.fromstring(text)
            told = {child.tag: child.text for child in root}
        else:
            told = json.loads(text)
        assert not succeeded(name, answer.status, told), (code, text)
        assert "Traceback" not in text
        assert not {"\x00", "\x1b"} & set(text), code
        if answer.status >= 500:
            assert code in {"internal", "unavailable", "no_route", "channel_not_allowed", "no_credit"}, code


def test_soap_has_the_same_tables() -> None:
    """The SOAP way differs in its envelope only: what it says comes from the tables of the others."""
    assert issubclass(SoapWay, Way)
