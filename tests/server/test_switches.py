"""The switches of the faces: one table that the code reads and the documentation shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from placet_server.domain.credentialkinds import KINDS
from placet_server.domain.policies import Policies
from placet_server.domain.refusals import RefusedError
from placet_server.domain.values import Application, Caller
from placet_server.faces.switches import TABLE, Value, parse, switch
from support.settings_tables import switch_rows

DOCS = Path(__file__).parents[2] / "docs" / "settings.md"


def caller(face: str, **settings: Value) -> Caller:
    application = Application("app", "default", "Acme", Policies(), (), 0)
    return Caller(application, "credential", frozenset({"codes"}), face, settings)


def test_every_switch_is_documented_as_it_is() -> None:
    """docs/settings.md holds exactly the rows of the table; `python -m support.settings_tables` prints them."""
    lines = DOCS.read_text(encoding="utf-8").splitlines()
    section = lines[lines.index("## Switches of the faces") : lines.index("## Policies")]
    assert [line for line in section if "| `" in line] == switch_rows()


def test_every_default_can_be_set_and_no_name_is_an_option() -> None:
    """A default is a value of its type; a switch is not named like an option of its face's credentials."""
    names = [(row.face, row.name) for row in TABLE]
    assert len(names) == len(set(names))
    for row in TABLE:
        written = {True: "true", False: "false"}.get(row.default) if isinstance(row.default, bool) else None
        assert parse(row.face, {row.name: written or str(row.default)}) == {row.name: row.default}
        assert row.name not in KINDS[row.face].options
        assert row.meaning.endswith(".")
        assert switch(caller(row.face), row.name) == row.default


def test_a_credential_has_its_own_value() -> None:
    """What the operator set counts in place of the default."""
    asked = caller("authy", **parse("authy", {"verify_unconfirmed": "lenient"}))
    assert switch(asked, "verify_unconfirmed") == "lenient"


@pytest.mark.parametrize(
    ("face", "name", "value", "words"),
    [
        ("authy", "verify_unconfirmd", "lenient", "did you mean verify_unconfirmed"),
        ("authy", "nonsense", "1", "known: "),
        ("authy", "verify_unconfirmed", "loose", "takes strict|lenient"),
        ("afilnet", "returns_code", "maybe", "takes boolean"),
        ("afilnet", "tries", "11", "takes integer 1..10"),
        ("afilnet", "tries", "-1", "takes integer"),
        ("afilnet", "inner_status", "a\nb", "takes text"),
        ("octopush", "verify_unconfirmed", "strict", "The octopush face has no switch"),
    ],
)
def test_what_no_switch_takes_is_refused_with_a_hint(face: str, name: str, value: str, words: str) -> None:
    """Unknown names show the nearest one, wrong values the type."""
    with pytest.raises(RefusedError, match="invalid_request") as refused:
        parse(face, {name: value})
    assert words in refused.value.detail
