"""RFC 6962 Merkle tree that only grows: the frontier is enough to append and to tell the root."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple


class Tree(NamedTuple):
    """How many leaves there are, and the roots of the perfect subtrees they form, largest first."""

    size: int = 0
    frontier: tuple[bytes, ...] = ()


def leaf_hash(entry: bytes) -> bytes:
    """The 32-byte leaf hash of an entry (RFC 6962 §2.1)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The 32-byte hash of an inner node (RFC 6962 §2.1)."""
    return sha256(b"\x01" + left + right).digest()


def grown(tree: Tree, leaves: Iterable[bytes]) -> Tree:
    """The tree after appending these leaf hashes in order."""
    size, stack = tree.size, list(tree.frontier)
    for leaf in leaves:
        node, position = leaf, size
        while position & 1:
            node = node_hash(stack.pop(), node)
            position >>= 1
        stack.append(node)
        size += 1
    return Tree(size, tuple(stack))


def root(tree: Tree) -> bytes:
    """The 32-byte tree hash; that of no leaf is SHA-256 of nothing (RFC 6962 §2.1)."""
    if not tree.frontier:
        return sha256(b"").digest()
    *lefts, node = tree.frontier
    for left in reversed(lefts):
        node = node_hash(left, node)
    return node


def to_bytes(tree: Tree) -> bytes:
    """Eight bytes of size, then the frontier: how a tree is kept in the store."""
    return tree.size.to_bytes(8, "big") + b"".join(tree.frontier)


def from_bytes(data: bytes) -> Tree:
    """Read what ``to_bytes`` wrote; raises ``ValueError`` when size and frontier do not belong together."""
    size = int.from_bytes(data[:8], "big")
    if len(data) != 8 + 32 * size.bit_count():
        raise ValueError("the tree's frontier does not fit its size")
    return Tree(size, tuple(data[at : at + 32] for at in range(8, len(data), 32)))
