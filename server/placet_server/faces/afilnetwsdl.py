"""The WSDL 1.1 description of the SOAP way: document/literal, wrapped, every parameter an optional text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from xml.sax.saxutils import quoteattr

from placet_server.faces.afilnetcalls import METHODS, Method

NAMESPACE: Final = "urn:afilnet-api"
_PREFIXES: Final = (
    'xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/"'
    ' xmlns:xsd="http://www.w3.org/2001/XMLSchema"'
)
_CREDENTIALS: Final = ("user", "password")
_LISTED: Final = METHODS["sms"]["getdeliverystatus"].result


def wsdl(operations: Mapping[str, Method], address: str) -> bytes:
    """The description of these operations at this address."""
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<definitions name="Afilnet" targetNamespace="{NAMESPACE}" xmlns:tns="{NAMESPACE}" {_PREFIXES}>',
        f'<types><xsd:schema targetNamespace="{NAMESPACE}">',
    ]
    for name, method in operations.items():
        lines += [_element(name, _texts(*_CREDENTIALS, *method.params))]
        said = _text("status") + _result(method) + _text("error")
        lines += [_element(f"{name}Response", said)]
    lines.append("</xsd:schema></types>")
    for name in operations:
        lines += [
            f'<message name="{each}"><part name="parameters" element="tns:{each}"/></message>'
            for each in (name, f"{name}Response")
        ]
    lines.append('<portType name="AfilnetPort">')
    lines += [
        f'<operation name="{name}"><input message="tns:{name}"/><output message="tns:{name}Response"/></operation>'
        for name in operations
    ]
    lines.append(
        '</portType><binding name="AfilnetBinding" type="tns:AfilnetPort">'
        '<soap:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>'
    )
    body = '<soap:body use="literal"/>'
    lines += [
        f'<operation name="{name}"><soap:operation soapAction="{NAMESPACE}#{name}"/>'
        f"<input>{body}</input><output>{body}</output></operation>"
        for name in operations
    ]
    lines.append(
        '</binding><service name="Afilnet"><port name="AfilnetPort" binding="tns:AfilnetBinding">'
        f"<soap:address location={quoteattr(address)}/></port></service></definitions>"
    )
    return "\n".join(lines).encode()


def _element(name: str, members: str) -> str:
    return f'<xsd:element name="{name}"><xsd:complexType><xsd:sequence>{members}</xsd:sequence></xsd:complexType></xsd:element>'


def _text(name: str) -> str:
    return f'<xsd:element name="{name}" type="xsd:string" minOccurs="0"/>'


def _texts(*names: str) -> str:
    return "".join(_text(name) for name in names)


def _result(method: Method) -> str:
    """A bare text, members, or a list of members."""
    if method.result == ("result",):
        return _text("result")
    members = _texts(*method.result)
    if method.result == _LISTED:
        members = (
            '<xsd:element name="item" minOccurs="0" maxOccurs="unbounded"><xsd:complexType>'
            f"<xsd:sequence>{members}</xsd:sequence></xsd:complexType></xsd:element>"
        )
    return (
        '<xsd:element name="result" minOccurs="0"><xsd:complexType>'
        f"<xsd:sequence>{members}</xsd:sequence></xsd:complexType></xsd:element>"
    )
