from __future__ import annotations

import re

import msgspec
import pytest
from msgspec import structs

from placet_server.domain.policies import TABLE, Policies, Policy, parse, shown
from placet_server.domain.refusals import RefusedError
from placet_server.faces import switches
from placet_server.gateways.base import objection
from placet_server.plugin import Outgoing


def _refusal(**pairs: str) -> str:
    with pytest.raises(RefusedError) as refused:
        parse({name.replace("__", "."): text for name, text in pairs.items()}, Policies())
    assert refused.value.code == "invalid_request"
    return refused.value.detail


def test_the_table_names_every_policy_once() -> None:
    """Table, fields and display speak of the same policies, with the same defaults."""
    assert [policy.field for policy in TABLE] == list(Policies.__struct_fields__)
    assert shown(Policies()) == {policy.name: policy.default for policy in TABLE}
    assert all(policy.meaning.endswith(".") for policy in TABLE)


@pytest.mark.parametrize(
    "policy", [policy for policy in TABLE if policy.type == "integer"], ids=lambda it: it.name
)
def test_whole_numbers_end_at_their_hard_limits(policy: Policy) -> None:
    """The default is within the limits; one beyond either is refused by the policy's name."""
    assert policy.minimum is not None
    assert policy.maximum is not None
    assert policy.minimum <= getattr(Policies(), policy.field) <= policy.maximum
    beyond = str(policy.minimum - 1), str(policy.maximum + 1)
    for text in (*beyond, "-1", "1.5", "ten", "", "\u0663", "1" * 40):
        with pytest.raises(RefusedError, match=re.escape(policy.name)):
            parse({policy.name: text}, Policies())


def test_values_of_every_type_are_read() -> None:
    """Booleans, number modes, words and hosts are read from text; what is not named stays."""
    pairs = {
        "enrollment.confirmation": "none",
        "enrollment.soft_token": "off",
        "approval.number": "entry:6",
        "approval.ttl": " 60 ",
        "callback.hosts": "Hooks.Example:8443, *",
    }
    policies = parse(pairs, Policies(approval_hold=900))
    assert policies == Policies(
        enrollment_confirmation="none",
        enrollment_soft_token=False,
        approval_number="entry:6",
        approval_ttl=60,
        approval_hold=900,
        callback_hosts=("hooks.example:8443", "*"),
    )


def test_an_unknown_name_is_refused_with_the_nearest_one() -> None:
    """A typing error in a name is answered with what was probably meant."""
    assert "approval.max_pending" in _refusal(approval__max_pendin="3")
    assert "did you mean" not in _refusal(zzzzzz="3")


def test_values_that_contradict_each_other_are_refused() -> None:
    """A default time beyond the longest one, and a delay beyond the lock, are refused."""
    assert "approval.max_ttl" in _refusal(approval__max_ttl="60")
    assert "limits.failures_max" in _refusal(limits__failures_max="3")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("approval.number", "entry:7"),
        ("approval.number", "entry:1"),
        ("authy.number", "3"),
        ("enrollment.confirmation", "maybe"),
        ("enrollment.soft_token", "2"),
        ("callback.hosts", "http://x.example/"),
    ],
)
def test_values_of_another_type_are_refused(name: str, text: str) -> None:
    """What is not of a policy's type is refused by the policy's name and type."""
    with pytest.raises(RefusedError, match=name):
        parse({name: text}, Policies())


@pytest.mark.parametrize(
    "sender",
    ["", "Acme", "A & B", "Acme-Shop", "13", "+447700900999", "+", "-x", ".A", "Ácme", "Acme Bank pl"],
)
def test_a_sender_that_is_set_is_one_that_gateways_take(sender: str) -> None:
    """What would keep every gateway from every message cannot be set: not as policy, not as a face's default."""
    message = Outgoing(id="1", channel="sms", to="+447700900999", text="Hi", sender=sender or None)
    taken = objection(message) is None

    def policy() -> str:
        return parse({"code.sender": sender}, Policies()).code_sender

    def default() -> object:
        return switches.parse("octopush", {"sender": sender})["sender"]

    for read in (policy, default):
        if taken:
            assert read() == sender
        else:
            with pytest.raises(RefusedError, match="takes number or up to 11 letters"):
                read()


def test_stored_policies_follow_changed_defaults() -> None:
    """Only what was set is stored, so that a better default reaches existing applications."""
    assert msgspec.json.encode(Policies()) == b"{}"
    changed = structs.replace(Policies(), approval_ttl=60)
    stored = msgspec.json.encode(changed)
    assert stored == b'{"approval_ttl":60}'
    assert msgspec.json.decode(stored, type=Policies) == changed
