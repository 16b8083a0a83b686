"""Pictures of numbers: what is drawn is what was counted."""

from __future__ import annotations

import pytest

from zegelpost.web.bars import COLUMN, HEIGHT, bars, round_above


@pytest.mark.parametrize(
    ("most", "top"), [(0, 1), (1, 1), (2, 2), (3, 3), (7, 8), (9, 10), (11, 20), (81, 100), (101, 200), (2_000_001, 3_000_000)]
)
def test_the_upper_edge_is_a_round_number(most: int, top: int) -> None:
    assert round_above(most) == top


def test_heights_are_as_the_numbers() -> None:
    drawn = bars([(5, 0, 5), (0, 0, 0), (10, 0, 0), (2, 0, 0)])
    assert (drawn.top, drawn.width, drawn.is_empty) == (10, 4 * COLUMN, False)
    first, second, third, fourth = drawn.pieces
    assert [(each.series, each.y + each.height) for each in first] == [(1, HEIGHT), (3, HEIGHT / 2 - 1)]
    assert min(each.y for each in first) == 0
    assert list(second) == []
    assert [(each.y, each.height) for each in third] == [(0, HEIGHT)]
    assert [(each.y, each.height) for each in fourth] == [(80, 20)]
    assert [column[0].x for column in (first, third, fourth)] == [1, 1 + 2 * COLUMN, 1 + 3 * COLUMN]


def test_one_among_thousands_is_seen_and_nothing_sticks_out() -> None:
    drawn = bars([(1, 0), (9999, 1)])
    assert drawn.pieces[0][0].height == 1
    for pieces in drawn.pieces:
        for each in pieces:
            assert each.height > 0
            assert 0 <= each.y <= each.y + each.height <= HEIGHT


@pytest.mark.parametrize("columns", [[], [(0, 0), (0, 0)]])
def test_of_nothing_nothing_is_drawn(columns: list[tuple[int, int]]) -> None:
    assert bars(columns).is_empty
