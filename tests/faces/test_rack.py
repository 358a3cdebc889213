"""How foreign form fields nest."""

from __future__ import annotations

import pytest

from placet_server.faces.rack import NestingError, as_list, flag, nested, repaired


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([("message", "hi")], {"message": "hi"}),
        ([("user[email]", "a"), ("user[country_code]", "1")], {"user": {"email": "a", "country_code": "1"}}),
        (
            [("details[Account Number]", "981"), ("details[Loc]", "x")],
            {"details": {"Account Number": "981", "Loc": "x"}},
        ),
        ([("events[]", "a"), ("events[]", "b")], {"events": ["a", "b"]}),
        (
            [("logos[][res]", "low"), ("logos[][url]", "u"), ("logos[][res]", "high"), ("logos[][url]", "v")],
            {"logos": [{"res": "low", "url": "u"}, {"res": "high", "url": "v"}]},
        ),
        (
            [("logos[0][res]", "low"), ("logos[0][url]", "u"), ("logos[1][res]", "high")],
            {"logos": {"0": {"res": "low", "url": "u"}, "1": {"res": "high"}}},
        ),
        ([("a", "1"), ("a", "1")], {"a": "1"}),
    ],
)
def test_fields_nest_as_rack_nests_them(pairs: list[tuple[str, str]], expected: object) -> None:
    """Hashes, lists, lists of hashes and indexed lists come out as the Rails server would see them."""
    assert nested(pairs) == expected


@pytest.mark.parametrize(
    "pairs",
    [
        [("a", "1"), ("a", "2")],
        [("a", "1"), ("a[b]", "2")],
        [("a[b]", "1"), ("a[]", "2")],
        [("a[b", "1")],
        [("[a]", "1")],
        [("a" + "[b]" * 6, "1")],
        [(f"a{n}", "1") for n in range(201)],
    ],
)
def test_contradictions_and_bombs_are_refused(pairs: list[tuple[str, str]]) -> None:
    """A name used in two ways, a malformed name, too deep or too many: an error, never a guess."""
    with pytest.raises(NestingError):
        nested(pairs)


def test_a_tolerant_dialect_takes_the_last_and_leaves_out_what_does_not_nest() -> None:
    """Lists keep all of their items; too many fields are an error all the same."""
    assert repaired([("a", "1"), ("[b]", "x"), ("c[]", "1"), ("a[d]", "y"), ("c[]", "2"), ("a", "3")]) == {
        "a": "3",
        "c": ["1", "2"],
    }
    with pytest.raises(NestingError):
        repaired([(f"a{n}", "1") for n in range(201)])


def test_lists_are_read_however_they_were_written() -> None:
    """``name[]`` and ``name[0]`` give the same list, by number and not by spelling; anything else none."""
    assert as_list({"10": "b", "9": "a"}) == ["a", "b"]
    assert as_list(["a"]) == ["a"]
    assert as_list({}) == as_list("x") == as_list({"k": 1}) == []


def test_flags_are_read_in_every_spelling_of_the_clients() -> None:
    """true, True, 1 and the JSON boolean say yes; all else says no."""
    assert all(flag(value) for value in ("true", "True", "1", 1, True))
    assert not any(flag(value) for value in ("false", "False", "0", "", None, "yes"))
