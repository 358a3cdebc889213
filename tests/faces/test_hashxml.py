"""Dictionaries as Rails writes them in XML."""

from __future__ import annotations

from xml.etree.ElementTree import fromstring

from hypothesis import given
from hypothesis import strategies as st

from placet_server.faces.hashxml import to_xml


def test_types_and_names_are_written_as_rails_does() -> None:
    """Keys are dasherised, booleans and integers carry their type, null is an empty element that says so."""
    body = {
        "user": {"id": 7},
        "error_code": "60026",
        "success": True,
        "device": None,
        "devices": ["ios", "sms"],
    }
    assert to_xml(body, root="hash").split(b"\n", 1)[1] == (
        b'<hash><user><id type="integer">7</id></user><error-code>60026</error-code>'
        b'<success type="boolean">true</success><device nil="true" />'
        b'<devices type="array"><device>ios</device><device>sms</device></devices></hash>'
    )


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=40), max_size=5))
def test_api_12_any_text_gives_well_formed_xml(details: dict[str, str]) -> None:
    """Whatever a label or value holds, the document parses and the text that XML can carry comes back."""
    root = fromstring(to_xml({"details": details}, root="hash"))
    assert len(root[0]) == len(details)
    for element, value in zip(root[0], details.values(), strict=True):
        if value.isprintable():
            assert (element.text or "") == value
