"""Afilnet by SOAP 1.1: one operation a method, one text element a parameter.

    GET  /api/soap/?wsdl     the description, from which PHP, Java and .NET make their stubs
    POST /api/soap/          <soap:Body><generateotp><user>…</user><password>…</password><type>mobile</type>…
    200  <generateotpResponse><status>SUCCESS</status><result><status>…</status><code>…</code></result></…>
    200  <generateotpResponse><status>ERROR</status><error>INCORRECT_TYPE</error></generateotpResponse>
    400  <soap:Fault>        what is no SOAP, has a document type or entities, or names no operation of ours

Logical errors stay in the body. SOAP 1.1 §6.2 wants 500 for every fault; here 5xx means that the server failed, and the
stubs read a fault from any status.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple
from xml.etree.ElementTree import Element, ParseError, SubElement, register_namespace

from aiohttp import web
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring
from multidict import CIMultiDict

from placet_server.domain.refusals import RefusedError
from placet_server.faces import afilnetreplies as replies
from placet_server.faces.afilnetcalls import METHODS, Calls
from placet_server.faces.afilnetparams import Sent, gathered
from placet_server.faces.afilnetway import Way
from placet_server.faces.afilnetwsdl import NAMESPACE, wsdl
from placet_server.faces.hashxml import xml_text
from placet_server.web.gate import Call
from placet_server.web.problems import HEADERS
from placet_server.web.wire import body

ENVELOPE: Final = "http://schemas.xmlsoap.org/soap/envelope/"
_HEADERS: Final = CIMultiDict(HEADERS)
_HEADERS["Content-Type"] = "text/xml; charset=utf-8"
_OPERATION: Final = web.RequestKey("afilnet_operation", str)
_FAULT: Final = web.RequestKey("afilnet_fault", str)

register_namespace("soap", ENVELOPE)
register_namespace("api", NAMESPACE)


class Operation(NamedTuple):
    """A method under the name that it has here."""

    class_name: str
    method: str


def _operations() -> dict[str, Operation]:
    found: dict[str, Operation] = {}
    for class_name, methods in METHODS.items():
        for method in methods:
            alone = sum(method in others for others in METHODS.values()) == 1
            found[method if alone else f"{class_name}_{method}"] = Operation(class_name, method)
    return found


OPERATIONS: Final = _operations()
"""By their names: a method's own, with its class before it where several classes have one of the name."""


class SoapWay(Way):
    """Reads calls from envelopes and answers in them."""

    def __init__(self, calls: Calls, public_url: str) -> None:
        super().__init__(calls)
        methods = {name: METHODS[found.class_name][found.method] for name, found in OPERATIONS.items()}
        self._wsdl = wsdl(methods, f"{public_url}/api/soap/")

    async def read(self, request: web.Request) -> Sent:
        """The parameters of the operation in the envelope; raises ``invalid_request`` where there is none."""
        if request.method == "GET":
            return Sent({})
        called = _called(await body(request))
        name = called.tag.rpartition("}")[2]
        if name not in OPERATIONS:
            raise RefusedError("invalid_request", "The description names no such operation.")
        request[_OPERATION] = name
        found = OPERATIONS[name]
        pairs = [(child.tag.rpartition("}")[2], child.text or "") for child in called]
        return gathered(pairs).with_values(**{"class": found.class_name, "method": found.method})

    def refusal(self, request: web.Request, refused: RefusedError, request_id: str) -> web.StreamResponse:
        """Logical errors in the operation's answer, everything else as a fault."""
        if _OPERATION not in request:
            request[_FAULT] = refused.detail
        return super().refusal(request, refused, request_id)

    def answer(self, request: web.Request, envelope: dict[str, Any], status: int = 200) -> web.StreamResponse:
        """An envelope in an envelope."""
        if status == 200 and _OPERATION in request:
            said = Element(f"{{{NAMESPACE}}}{request[_OPERATION]}Response")
            replies.add(said, envelope)
        else:
            status = 400 if status == 200 else status
            said = _fault(envelope["error"], request.get(_FAULT, "The call failed."), server=status >= 500)
        root = Element(f"{{{ENVELOPE}}}Envelope")
        SubElement(root, f"{{{ENVELOPE}}}Body").append(said)
        return web.Response(status=status, body=replies.document(root), headers=_HEADERS)

    async def describe(self, _request: web.Request, _call: Call) -> web.StreamResponse:
        """The WSDL."""
        return web.Response(body=self._wsdl, headers=_HEADERS)


class DescriptionWay(SoapWay):
    """Lets everybody read the WSDL, as a stub's maker must."""

    async def authenticate(self, request: web.Request, now: int) -> None:
        """Nobody."""
        del request, now


def _called(data: bytes) -> Element:
    """The operation's element; raises ``invalid_request``."""
    try:
        root = fromstring(data, forbid_dtd=True)
    except DefusedXmlException:
        raise RefusedError("invalid_request", "Document types and entities are not read.") from None
    except (ParseError, ValueError, LookupError):
        raise RefusedError("invalid_request", "The body is no well-formed XML.") from None
    said = root.find(f"{{{ENVELOPE}}}Body") if root.tag == f"{{{ENVELOPE}}}Envelope" else None
    if said is None or len(said) == 0:
        raise RefusedError("invalid_request", "The body is no SOAP 1.1 envelope with a call.")
    called: Element = said[0]
    return called


def _fault(error: str, text: str, *, server: bool) -> Element:
    fault = Element(f"{{{ENVELOPE}}}Fault")
    SubElement(fault, "faultcode").text = "soap:Server" if server else "soap:Client"
    SubElement(fault, "faultstring").text = xml_text(text)
    SubElement(SubElement(fault, "detail"), "error").text = error
    return fault
