from __future__ import annotations

import random
from hashlib import sha256

import pytest

from placet_server.crypto.merkle import Tree, from_bytes, grown, leaf_hash, root, to_bytes


def recursive_root(entries: list[bytes]) -> bytes:
    """RFC 6962 §2.1 as it is written: split at the largest power of two below the count."""
    if not entries:
        return sha256(b"").digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    split = 1
    while split * 2 < len(entries):
        split *= 2
    return sha256(b"\x01" + recursive_root(entries[:split]) + recursive_root(entries[split:])).digest()


def test_the_frontier_gives_the_same_root_as_the_definition() -> None:
    """For every size from 0 to 130 the tree grown leaf by leaf hashes to what RFC 6962 defines."""
    entries = [f"entry {number}".encode() for number in range(130)]
    tree = Tree()
    for size in range(131):
        assert tree.size == size
        assert root(tree) == recursive_root(entries[:size])
        if size < 130:
            tree = grown(tree, [leaf_hash(entries[size])])


def test_the_root_of_a_published_tree_is_met() -> None:
    """The eight entries that certificate-transparency implementations test with hash to their published roots."""
    entries = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ]
    roots = {
        1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    }
    for size, expected in roots.items():
        tree = grown(Tree(), [leaf_hash(bytes.fromhex(entry)) for entry in entries[:size]])
        assert root(tree).hex() == expected


def test_leaves_may_come_in_any_portions() -> None:
    """Appending in batches of any sizes, with the tree stored and read back in between, changes nothing."""
    dice = random.Random(6962)
    leaves = [leaf_hash(bytes([number])) for number in range(200)]
    tree = Tree()
    while tree.size < len(leaves):
        tree = from_bytes(to_bytes(grown(tree, leaves[tree.size : tree.size + dice.randrange(1, 30)])))
    assert tree == grown(Tree(), leaves)


def test_a_tree_that_does_not_fit_its_size_is_refused() -> None:
    """A cut or padded frontier is an error, never another log."""
    data = to_bytes(grown(Tree(), [leaf_hash(b"a"), leaf_hash(b"b"), leaf_hash(b"c")]))
    for wrong in (data[:-1], data + bytes(32), data[:40], b"\x00"):
        with pytest.raises(ValueError, match="frontier"):
            from_bytes(wrong)
