"""Whole numbers that people type, or that stand in an address."""

from __future__ import annotations


def whole_number(typed: str, *, most_digits: int) -> int | None:
    """Nothing when it is not one, or longer than anyone means: `int` takes much else, and seconds for thousands of digits."""
    is_one = typed.isascii() and typed.isdecimal() and len(typed) <= most_digits
    return int(typed) if is_one else None
