"""Pieces of a document: joined where they touch, and never more than there were."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zegelpost.model.handed_over import MOST_PIECES, Piece, joined


@pytest.mark.parametrize(
    ("kept", "piece", "expected"),
    [
        ([], (0, 5), [(0, 5)]),
        ([], (0, 0), [(0, 0)]),
        ([(0, 5)], (5, 9), [(0, 9)]),
        ([(0, 5)], (6, 9), [(0, 5), (6, 9)]),
        ([(0, 5), (6, 9)], (4, 7), [(0, 9)]),
        ([(2, 5)], (0, 9), [(0, 9)]),
        ([(0, 9)], (2, 5), [(0, 9)]),
        ([[0, 5]], (5, 9), [(0, 9)]),  # as JSON gives it back
    ],
)
def test_joined(kept: list[Piece], piece: Piece, expected: list[Piece]) -> None:
    assert joined(kept, piece) == expected


PIECES = st.tuples(st.integers(0, 60), st.integers(1, 10)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(st.lists(PIECES, min_size=1, max_size=30))
def test_the_same_bytes_whatever_the_order(pieces: list[Piece]) -> None:
    kept: list[Piece] = []
    for piece in pieces:
        kept = joined(kept, piece)

    assert {byte for piece in kept for byte in range(*piece)} == {byte for piece in pieces for byte in range(*piece)}
    assert all(first[1] < second[0] for first, second in itertools.pairwise(kept))


def test_what_is_forgotten_counts_for_less_and_never_for_more() -> None:
    kept: list[Piece] = []
    for number in range(MOST_PIECES + 50):
        kept = joined(kept, (2 * number, 2 * number + 1))
    assert len(kept) == MOST_PIECES
    assert all(stop - start == 1 for start, stop in kept)
