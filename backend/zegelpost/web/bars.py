"""Pictures of numbers: columns of stacked bars, as places in a drawing that the template fills in.

A drawing is stretched to the width that there is, so it holds no letters: those would be stretched too. What it says stands
around it, and all of it in the table underneath.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

# In units of the drawing, which is as high as this and as wide as it has columns.
HEIGHT: Final = 100
COLUMN: Final = 10
_BAR: Final = 8
# Between bars that are stacked, so that they part without colour too.
_GAP: Final = 1.0
_LEAST: Final = 1.0  # one among thousands is seen


@dataclass(frozen=True, slots=True)
class Piece:
    """One bar; `series` counts from 1 and gives its colour."""

    series: int
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Bars:
    """`top`: the number at the upper edge. `pieces`: per column, from the bottom up."""

    top: int
    pieces: Sequence[Sequence[Piece]]

    @property
    def is_empty(self) -> bool:
        return not any(self.pieces)

    @property
    def width(self) -> int:
        return max(1, len(self.pieces)) * COLUMN


def bars(columns: Sequence[Sequence[int]]) -> Bars:
    """Draw these columns; each has the same series, which add up."""
    top = round_above(max((sum(column) for column in columns), default=0))
    return Bars(top, [_column(number * COLUMN + (COLUMN - _BAR) / 2, column, top) for number, column in enumerate(columns)])


def _column(x: float, column: Sequence[int], top: int) -> list[Piece]:
    pieces: list[Piece] = []
    floor = float(HEIGHT)
    for series, value in enumerate(column, 1):
        if value <= 0:
            continue
        height = max(_LEAST, value / top * HEIGHT)
        # Of the bar itself and not of the scale: what is on top ends where it should.
        gap = min(_GAP, height / 2) if pieces else 0.0
        pieces.append(Piece(series, x, round(max(0.0, floor - height), 2), _BAR, round(height - gap, 2)))
        floor -= height
    return pieces


def round_above(most: int) -> int:
    """The first of 1, 2, 3, 4, 5, 6, 8, 10, 20, 30, … that is not below `most`."""
    power = 1
    while True:
        for step in (1, 2, 3, 4, 5, 6, 8):
            if step * power >= most:
                return step * power
        power *= 10
