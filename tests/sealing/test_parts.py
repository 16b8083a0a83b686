from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
import tink  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st
from tests.sealing.sealed_document import open_part, random_plain, seal_part
from tests.sealing.witness import Tink

from zegelpost.sealing.errors import HeaderMalformed, PartExtended, PartTruncated, SegmentAltered
from zegelpost.sealing.keys import DocumentKey
from zegelpost.sealing.parts import (
    FIRST_CAPACITY,
    HEADER_BYTES,
    MOST_PART_BYTES,
    MOST_SEGMENTS,
    SEGMENT_BYTES,
    SEGMENT_CAPACITY,
    TAG_BYTES,
    PartContext,
    PartOpener,
    PartSealer,
    plain_bytes,
    require_size,
    sealed_bytes,
    segment,
    segment_count,
    segments_for,
)

KEY = DocumentKey(bytes(range(32)))
CONTEXT = PartContext("transfer", "document", 3)
FORMAT_PAGE = Path(__file__).parents[2] / "backend" / "docs" / "sealed-format.md"

# Where a segment begins or ends, and one byte to either side.
BORDERS = [
    0,
    1,
    *(FIRST_CAPACITY + offset for offset in (-1, 0, 1)),
    *(FIRST_CAPACITY + SEGMENT_CAPACITY + offset for offset in (-1, 0, 1)),
    5 * SEGMENT_CAPACITY + 12_345,
]


@pytest.mark.parametrize("length", BORDERS)
def test_tink_opens_what_we_seal(length: int) -> None:
    plain = random_plain(length)
    sealed = seal_part(KEY, CONTEXT, plain)

    assert len(sealed) == sealed_bytes(length)
    assert Tink(KEY).open(sealed, CONTEXT.associated_data) == plain


@pytest.mark.parametrize("length", BORDERS)
def test_we_open_what_tink_seals(length: int) -> None:
    plain = random_plain(length)
    sealed = Tink(KEY).seal(plain, CONTEXT.associated_data)

    assert plain_bytes(len(sealed)) == length
    assert open_part(KEY, CONTEXT, sealed, length) == plain


def test_tink_refuses_our_part_in_another_place() -> None:
    sealed = seal_part(KEY, CONTEXT, b"plain")
    elsewhere = PartContext("transfer", "document", 4)
    with pytest.raises(tink.TinkError):
        Tink(KEY).open(sealed, elsewhere.associated_data)


@pytest.mark.parametrize(
    "elsewhere",
    [
        PartContext("transfer", "document", 4),
        PartContext("transfer", "document2", 3),
        PartContext("transferd", "ocument", 3),
        PartContext("transfe", "rdocument", 3),
        PartContext("", "transferdocument", 3),
    ],
)
def test_a_part_opens_only_in_its_place(elsewhere: PartContext) -> None:
    with pytest.raises(SegmentAltered):
        open_part(KEY, elsewhere, seal_part(KEY, CONTEXT, b"plain"), 5)


@pytest.mark.parametrize("length", BORDERS)
def test_sealing_into_a_buffer_gives_a_part_that_opens(length: int) -> None:
    plain = random_plain(length)
    sealer = PartSealer(KEY, CONTEXT)
    out = bytearray(SEGMENT_BYTES)
    sealed, position, is_last = bytearray(sealer.header), 0, False
    while not is_last:
        piece = memoryview(plain)[position : position + sealer.next_capacity]
        position += len(piece)
        is_last = position == length
        written = sealer.seal_segment_into(piece, memoryview(out)[: len(piece) + TAG_BYTES], is_last=is_last)
        sealed += out[:written]

    assert Tink(KEY).open(bytes(sealed), CONTEXT.associated_data) == plain


def test_full_segments_fill_their_mebibyte() -> None:
    sealer = PartSealer(KEY, CONTEXT)
    first = sealer.seal_segment(bytes(sealer.next_capacity), is_last=False)
    second = sealer.seal_segment(bytes(sealer.next_capacity), is_last=True)

    assert len(sealer.header) + len(first) == len(second) == SEGMENT_BYTES


class TestSealerMisuse:
    def test_nothing_follows_the_last_segment(self) -> None:
        sealer = PartSealer(KEY, CONTEXT)
        sealer.seal_segment(b"", is_last=True)
        with pytest.raises(ValueError, match="last segment"):
            sealer.seal_segment(b"", is_last=True)

    @pytest.mark.parametrize(("length", "is_last"), [(0, False), (FIRST_CAPACITY - 1, False), (FIRST_CAPACITY + 1, True)])
    def test_every_segment_but_the_last_is_full(self, length: int, is_last: bool) -> None:
        with pytest.raises(ValueError, match="full"):
            PartSealer(KEY, CONTEXT).seal_segment(bytes(length), is_last=is_last)

    @pytest.mark.parametrize("room", [0, TAG_BYTES - 1, TAG_BYTES + 6])
    def test_a_wrong_buffer_leaves_the_sealer_as_it_was(self, room: int) -> None:
        sealer = PartSealer(KEY, CONTEXT)
        with pytest.raises(ValueError, match="one tag longer"):
            sealer.seal_segment_into(b"plain", bytearray(room), is_last=True)
        sealed = sealer.header + sealer.seal_segment(b"plain", is_last=True)
        assert open_part(KEY, CONTEXT, sealed, 5) == b"plain"

    @pytest.mark.parametrize("number", [-1, 2**32])
    def test_a_part_number_fits_its_field(self, number: int) -> None:
        with pytest.raises(ValueError, match="part number"):
            PartContext("transfer", "document", number)

    @pytest.mark.parametrize("index", [-1, MOST_SEGMENTS])
    def test_no_segment_lies_outside_the_counter(self, index: int) -> None:
        opener = PartOpener(KEY, CONTEXT, PartSealer(KEY, CONTEXT).header)
        with pytest.raises(ValueError, match="no part has such a segment"):
            opener.open_segment(index, bytes(TAG_BYTES), is_last=True)


@pytest.mark.parametrize("header", [b"", bytes(HEADER_BYTES), bytes([HEADER_BYTES]) * 39, bytes([HEADER_BYTES]) * 41])
def test_a_header_has_one_form(header: bytes) -> None:
    with pytest.raises(HeaderMalformed):
        PartOpener(KEY, CONTEXT, header)


def test_a_segment_opens_only_at_its_index_and_with_its_flag() -> None:
    sealer = PartSealer(KEY, CONTEXT)
    first = sealer.seal_segment(bytes(FIRST_CAPACITY), is_last=False)
    last = sealer.seal_segment(b"end", is_last=True)
    opener = PartOpener(KEY, CONTEXT, sealer.header)

    assert opener.open_segment(1, last, is_last=True) == b"end"
    for index, sealed, is_last in [(1, first, False), (0, first, True), (0, last, True), (1, last, False), (2, last, True)]:
        with pytest.raises(SegmentAltered):
            opener.open_segment(index, sealed, is_last=is_last)


class TestSizes:
    @given(st.one_of(st.integers(0, 10 * SEGMENT_BYTES), st.integers(0, MOST_PART_BYTES)))
    def test_sizes_are_each_others_inverse(self, length: int) -> None:
        assert plain_bytes(sealed_bytes(length)) == length
        require_size(length, sealed_bytes(length))
        with pytest.raises(PartTruncated):
            require_size(length, sealed_bytes(length) - 1)
        with pytest.raises(PartExtended):
            require_size(length, sealed_bytes(length) + 1)

    @pytest.mark.parametrize("sealed", [0, 1, 40, 55, SEGMENT_BYTES + 1, SEGMENT_BYTES + TAG_BYTES, 2 * SEGMENT_BYTES + 1])
    def test_no_part_has_this_size(self, sealed: int) -> None:
        with pytest.raises(PartTruncated):
            plain_bytes(sealed)

    def test_the_longest_part_uses_every_counter_value(self) -> None:
        assert segment_count(MOST_PART_BYTES) == MOST_SEGMENTS
        for length in (-1, MOST_PART_BYTES + 1):
            with pytest.raises(ValueError, match="no part has this size"):
                segment_count(length)

    @given(st.data())
    def test_segments_cover_a_range_and_no_more(self, data: st.DataObject) -> None:
        length = data.draw(st.integers(1, 6 * SEGMENT_BYTES))
        start = data.draw(st.integers(0, length - 1))
        stop = data.draw(st.integers(start + 1, length))
        found = segments_for(start, stop, length)

        assert found[0].plain_start <= start < found[0].plain_start + found[0].plain_length
        assert found[-1].plain_start < stop <= found[-1].plain_start + found[-1].plain_length
        for left, right in itertools.pairwise(found):
            assert right.number == left.number + 1
            assert right.plain_start == left.plain_start + left.plain_length
            assert right.sealed_start == left.sealed_start + left.sealed_length
        assert [piece.is_last for piece in found] == [piece.number == segment_count(length) - 1 for piece in found]
        if found[-1].is_last:
            assert found[-1].sealed_start + found[-1].sealed_length == sealed_bytes(length)

    @pytest.mark.parametrize(("start", "stop"), [(-1, 1), (0, 0), (3, 2), (0, 6), (5, 6)])
    def test_a_range_lies_in_its_part(self, start: int, stop: int) -> None:
        with pytest.raises(ValueError, match="range"):
            segments_for(start, stop, 5)

    @pytest.mark.parametrize("index", [-1, 1])
    def test_a_part_has_only_its_segments(self, index: int) -> None:
        with pytest.raises(ValueError, match="no such segment"):
            segment(index, 5)

    def test_the_format_page_states_the_true_sizes(self) -> None:
        _, _, table = FORMAT_PAGE.read_text().partition("| Plaintext bytes | Segments | Sealed bytes |")
        rows = re.findall(r"^\| ([\d ]+) \| ([\d ]+) \| ([\d ]+) \|$", table, flags=re.MULTILINE)
        stated = [tuple(int(cell.replace(" ", "")) for cell in row) for row in rows]

        assert {plain for plain, _, _ in stated} >= set(BORDERS[:-1]) - {FIRST_CAPACITY + SEGMENT_CAPACITY - 1}
        assert stated == [(plain, segment_count(plain), sealed_bytes(plain)) for plain, _, _ in stated]
        assert f"| {MOST_PART_BYTES:,} |".replace(",", " ") in FORMAT_PAGE.read_text()
