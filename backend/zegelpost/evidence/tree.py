"""The Merkle tree of RFC 9162, section 2.1: hashing, growing, and proofs of inclusion and of consistency."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import compare_digest
from typing import Final

from zegelpost.evidence.errors import ProofWrong

EMPTY_ROOT: Final = sha256(b"").digest()
HASH_BYTES: Final = 32

# The hash over the 2**level leaves that begin at index * 2**level.
SubtreeHash = Callable[[int, int], bytes]


def leaf_hash(leaf: bytes) -> bytes:
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Subtree:
    """A perfect subtree: over the 2**level leaves that begin at index * 2**level."""

    level: int
    index: int
    hash: bytes


@dataclass(slots=True)
class Frontier:
    """As much of a tree as growing takes: the hashes of its largest perfect subtrees, from left to right."""

    size: int = 0
    hashes: list[bytes] = field(default_factory=list)

    @classmethod
    def from_bytes(cls, size: int, packed: bytes) -> Frontier:
        """Raise `ValueError` when that many leaves do not have that many subtrees."""
        if len(packed) != size.bit_count() * HASH_BYTES:
            raise ValueError("this frontier belongs to a tree of another size")
        return cls(size, [packed[at : at + HASH_BYTES] for at in range(0, len(packed), HASH_BYTES)])

    def to_bytes(self) -> bytes:
        return b"".join(self.hashes)

    def append(self, hash_of_leaf: bytes) -> Iterator[Subtree]:
        """Grow by one leaf; yields the perfect subtrees that it completes, the leaf itself not among them."""
        index, level, size = self.size, 0, self.size
        self.hashes.append(hash_of_leaf)
        self.size += 1
        completed = []
        while size & 1:
            right = self.hashes.pop()
            self.hashes[-1] = node_hash(self.hashes[-1], right)
            size >>= 1
            index >>= 1
            level += 1
            completed.append(Subtree(level, index, self.hashes[-1]))
        return iter(completed)

    def root(self) -> bytes:
        if not self.hashes:
            return EMPTY_ROOT
        root = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            root = node_hash(left, root)
        return root


def _split(size: int) -> int:
    """The largest power of two below `size`, which is over 1."""
    return 1 << ((size - 1).bit_length() - 1)


def range_hash(start: int, end: int, subtree: SubtreeHash) -> bytes:
    """The hash over leaves from `start` up to `end`, which lie as one node in a tree."""
    size = end - start
    if size & (size - 1) == 0:
        level = size.bit_length() - 1
        return subtree(level, start >> level)
    middle = start + _split(size)
    return node_hash(range_hash(start, middle, subtree), range_hash(middle, end, subtree))


def inclusion_proof(index: int, size: int, subtree: SubtreeHash) -> list[bytes]:
    """PATH of section 2.1.3.1, from the leaf's sibling up to the root's child."""
    if not 0 <= index < size:
        raise ValueError("no such leaf")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(range_hash(middle, end, subtree))
            end = middle
        else:
            path.append(range_hash(start, middle, subtree))
            start = middle
    return path[::-1]


def verify_inclusion(hash_of_leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Section 2.1.3.2. Raises `ProofWrong` unless the leaf is at `index` in the tree of that size and root."""
    if not 0 <= index < size:
        raise ProofWrong("there is no such position in a tree of that size")
    place, last, found = index, size - 1, hash_of_leaf
    for step in proof:
        if last == 0:
            raise ProofWrong("the proof is too long")
        if place & 1 or place == last:
            found = node_hash(step, found)
            while not place & 1 and place:
                place >>= 1
                last >>= 1
        else:
            found = node_hash(found, step)
        place >>= 1
        last >>= 1
    if last != 0:
        raise ProofWrong("the proof is too short")
    if not compare_digest(found, root):
        raise ProofWrong("the proof does not lead to the root")


def consistency_proof(old: int, new: int, subtree: SubtreeHash) -> list[bytes]:
    """PROOF of section 2.1.4.1: that the tree of `new` leaves begins with that of `old`."""
    if not 0 < old <= new:
        raise ValueError("no such tree")
    path: list[bytes] = []
    start, end, is_whole = 0, new, True
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(range_hash(middle, end, subtree))
            end = middle
        else:
            path.append(range_hash(start, middle, subtree))
            start, is_whole = middle, False
    if not is_whole:
        path.append(range_hash(start, end, subtree))
    return path[::-1]


def verify_consistency(  # noqa: C901 - the standard's algorithm, step by step
    old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes
) -> None:
    """Section 2.1.4.2. Raises `ProofWrong` unless the newer tree begins with the older."""
    if not 0 < old <= new:
        raise ProofWrong("there is no such tree")
    steps = list(proof)
    if old & (old - 1) == 0:
        steps.insert(0, old_root)
    if old == new:
        if proof or not compare_digest(old_root, new_root):
            raise ProofWrong("two trees of one size differ")
        return
    if not steps:
        raise ProofWrong("the proof is too short")
    place, last = old - 1, new - 1
    while place & 1:
        place >>= 1
        last >>= 1
    older = newer = steps[0]
    for step in steps[1:]:
        if last == 0:
            raise ProofWrong("the proof is too long")
        if place & 1 or place == last:
            older, newer = node_hash(step, older), node_hash(step, newer)
            while not place & 1 and place:
                place >>= 1
                last >>= 1
        else:
            newer = node_hash(newer, step)
        place >>= 1
        last >>= 1
    if last != 0 or not compare_digest(older, old_root) or not compare_digest(newer, new_root):
        raise ProofWrong("the newer tree does not begin with the older")
