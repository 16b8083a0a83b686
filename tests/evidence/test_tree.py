"""The tree: the roots and proofs of the reference implementation of Certificate Transparency, and every size up to fifty."""

from __future__ import annotations

import ast
import itertools
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zegelpost.evidence.errors import ProofWrong
from zegelpost.evidence.tree import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)
from zegelpost.verifier import zegelpost_verify

# Leaves, roots and proofs of certificate-transparency's own tests (merkle_tree_test), which other implementations share.
LEAVES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
FIRST_OF_EIGHT = [
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
]
SIX_TO_EIGHT = [
    "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
]


class Grown:
    """A tree with all its subtrees at hand."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.hashes = [leaf_hash(leaf) for leaf in leaves]

    def subtree(self, level: int, index: int) -> bytes:
        if level == 0:
            return self.hashes[index]
        return node_hash(self.subtree(level - 1, 2 * index), self.subtree(level - 1, 2 * index + 1))

    def root(self, size: int) -> bytes:
        frontier = Frontier()
        for hashed in self.hashes[:size]:
            frontier.append(hashed)
        return frontier.root()


@pytest.fixture(scope="module")
def grown() -> Grown:
    return Grown([b"%d" % number for number in range(50)])


def test_roots_are_those_of_the_reference_implementation() -> None:
    assert [Grown(LEAVES).root(size).hex() for size in range(1, 9)] == ROOTS
    assert Frontier().root() == EMPTY_ROOT


def test_proofs_are_those_of_the_reference_implementation() -> None:
    tree = Grown(LEAVES)

    assert [step.hex() for step in inclusion_proof(0, 8, tree.subtree)] == FIRST_OF_EIGHT
    assert [step.hex() for step in consistency_proof(6, 8, tree.subtree)] == SIX_TO_EIGHT
    assert consistency_proof(8, 8, tree.subtree) == []


def test_every_leaf_of_every_size_is_proved_and_nothing_else(grown: Grown) -> None:
    for size in range(1, 51):
        root = grown.root(size)
        for index in range(size):
            proof = inclusion_proof(index, size, grown.subtree)
            verify_inclusion(grown.hashes[index], index, size, proof, root)
            assert zegelpost_verify.root_by_proof(grown.hashes[index], index, size, proof) == root
            with pytest.raises(ProofWrong):
                verify_inclusion(grown.hashes[(index + 1) % 50], index, size, proof, root)
            with pytest.raises(ProofWrong):
                verify_inclusion(grown.hashes[index], index, size, [*proof, bytes(32)], root)
            if proof:
                with pytest.raises(ProofWrong):
                    verify_inclusion(grown.hashes[index], index, size, proof[:-1], root)


def test_every_size_is_proved_to_grow_from_every_earlier_one(grown: Grown) -> None:
    for old, new in itertools.combinations_with_replacement(range(1, 51), 2):
        proof = consistency_proof(old, new, grown.subtree)
        verify_consistency(old, new, proof, grown.root(old), grown.root(new))
        older, newer = (zegelpost_verify.Checkpoint("o", size, grown.root(size)) for size in (old, new))
        assert zegelpost_verify.begins_with(older, newer, proof) == (old < new)
        assert not zegelpost_verify.begins_with(older._replace(root=bytes(32)), newer, proof)
        assert not zegelpost_verify.begins_with(older, newer._replace(root=bytes(32)), proof)
        with pytest.raises(ProofWrong):
            verify_consistency(old, new, proof, leaf_hash(b"another"), grown.root(new))
        with pytest.raises(ProofWrong):
            verify_consistency(old, new, proof, grown.root(old), leaf_hash(b"another"))
        with pytest.raises(ProofWrong):
            verify_consistency(old, new, [*proof, bytes(32)], grown.root(old), grown.root(new))


@given(st.lists(st.binary(max_size=40), max_size=70), st.integers(0, 70))
@settings(deadline=None)
def test_growing_in_two_goes_is_growing_in_one_and_the_verifier_agrees(leaves: list[bytes], pause: int) -> None:
    frontier, other = Frontier(), zegelpost_verify.Tree()
    for number, leaf in enumerate(leaves):
        if number == pause:
            frontier = Frontier.from_bytes(frontier.size, frontier.to_bytes())
        frontier.append(leaf_hash(leaf))
        other.append(zegelpost_verify.leaf_hash(leaf))

    assert frontier.root() == other.root()
    assert frontier.size == other.size == len(leaves)


def test_each_perfect_subtree_is_told_once_when_it_is_complete(grown: Grown) -> None:
    frontier, told = Frontier(), {}
    for hashed in grown.hashes[:32]:
        for subtree in frontier.append(hashed):
            assert (subtree.level, subtree.index) not in told
            told[subtree.level, subtree.index] = subtree.hash

    assert len(told) == 31
    assert all(grown.subtree(level, index) == found for (level, index), found in told.items())


def test_a_frontier_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="another size"):
        Frontier.from_bytes(3, bytes(32))


def test_the_verifier_imports_nothing_but_the_standard_library() -> None:
    tree = ast.parse(Path(zegelpost_verify.__file__).read_text(encoding="utf-8"))

    found = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    found |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in found} <= sys.stdlib_module_names
