from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.sealing.sealed_document import DOCUMENT, TRANSFER, SealedDocument, open_part, random_plain, seal_part
from tests.sealing.witness import Tink

from zegelpost.sealing.document import DocumentReader
from zegelpost.sealing.errors import (
    HeaderMalformed,
    PartExtended,
    PartMisplaced,
    PartMissing,
    PartTruncated,
    SealBroken,
    SegmentAltered,
)
from zegelpost.sealing.keys import MessageKey
from zegelpost.sealing.parts import (
    FIRST_CAPACITY,
    HEADER_BYTES,
    SEGMENT_BYTES,
    SEGMENT_CAPACITY,
    TAG_BYTES,
    PartContext,
    sealed_bytes,
    segments_for,
)

KEY = MessageKey(bytes(range(32)))

SMALL, TWIN, LONG = 0, 1, 2
PIECES = [random_plain(20, 1), random_plain(20, 2), random_plain(FIRST_CAPACITY + 2 * SEGMENT_CAPACITY + 100, 3)]
BORDERS = sorted(
    {
        place + offset
        for place in (0, 20, 40, 40 + FIRST_CAPACITY, 40 + FIRST_CAPACITY + SEGMENT_CAPACITY, sum(map(len, PIECES)))
        for offset in (-1, 0, 1)
        if 0 <= place + offset <= sum(map(len, PIECES))
    }
)


@pytest.fixture(scope="module")
def untouched() -> SealedDocument:
    """Sealed once; not for changing."""
    return SealedDocument(PIECES, message_key=KEY)


@pytest.fixture
def document(untouched: SealedDocument) -> Iterator[SealedDocument]:
    """Yours to damage."""
    stored = list(untouched.stored)
    yield untouched
    untouched.stored[:] = stored


class TestReading:
    def test_every_pair_of_borders(self, untouched: SealedDocument) -> None:
        for start, stop in itertools.combinations_with_replacement(BORDERS, 2):
            assert b"".join(untouched.read(start, stop)) == untouched.plain[start:stop]
            assert b"".join(untouched.view(start, stop)) == untouched.plain[start:stop]

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.data())
    def test_any_range(self, untouched: SealedDocument, data: st.DataObject) -> None:
        stop = data.draw(st.integers(0, len(untouched.plain)))
        start = data.draw(st.integers(0, stop))
        assert b"".join(untouched.read(start, stop)) == untouched.plain[start:stop]
        assert b"".join(untouched.view(start, stop)) == untouched.plain[start:stop]

    @pytest.mark.parametrize(("start", "stop"), [(-1, 5), (5, 4), (0, sum(map(len, PIECES)) + 1)])
    def test_a_range_outside_the_document_is_misuse(self, untouched: SealedDocument, start: int, stop: int) -> None:
        with pytest.raises(ValueError, match="not a range"):
            untouched.read(start, stop)
        with pytest.raises(ValueError, match="not a range"):
            untouched.view(start, stop)

    def test_a_view_lasts_until_the_next_but_one(self, untouched: SealedDocument) -> None:
        views = untouched.reader().view_range(0, len(untouched.plain))
        previous = next(views)
        expected = bytes(previous)
        for view in views:
            assert previous == expected
            previous, expected = view, bytes(view)

    def test_pieces_are_segments(self, untouched: SealedDocument) -> None:
        assert [len(piece) for piece in untouched.read()] == [20, 20, FIRST_CAPACITY, SEGMENT_CAPACITY, SEGMENT_CAPACITY, 100]

    def test_only_what_the_range_needs_is_fetched(self, untouched: SealedDocument) -> None:
        fetched: list[tuple[int, int, int]] = []

        def read(number: int, start: int, length: int) -> bytes:
            fetched.append((number, start, length))
            return untouched.part(number)[start : start + length]

        reader = DocumentReader(KEY, untouched.manifest, read, lambda number: len(untouched.part(number)))
        start = 40 + FIRST_CAPACITY + 5
        assert b"".join(reader.read_range(start, start + 1)) == untouched.plain[start : start + 1]
        assert fetched == [(LONG, 0, HEADER_BYTES), (LONG, SEGMENT_BYTES, SEGMENT_BYTES)]

    def test_one_reader_serves_many_ranges_in_any_order(self, untouched: SealedDocument) -> None:
        reader = untouched.reader()
        for start, stop in [(30, 50), (0, 25), (100, 101), (15, 45)]:
            assert b"".join(reader.read_range(start, stop)) == untouched.plain[start:stop]

    @pytest.mark.parametrize("pieces", [[], [b""], [b"", b""], [b"", b"x", b""]])
    def test_empty_documents_and_parts(self, pieces: list[bytes]) -> None:
        assert b"".join(SealedDocument(pieces, message_key=KEY).read()) == b"".join(pieces)

    def test_tink_opens_every_part_of_a_document(self, untouched: SealedDocument) -> None:
        for number, piece in enumerate(PIECES):
            context = PartContext(TRANSFER, DOCUMENT, number)
            assert Tink(KEY.document_key(DOCUMENT)).open(untouched.part(number), context.associated_data) == piece


# What Mallory may do to the store: each is one way, and each has its name.


def flip(number: int, position: int) -> Callable[[SealedDocument], None]:
    def damage(document: SealedDocument) -> None:
        part = bytearray(document.part(number))
        part[position] ^= 0x10
        document.stored[number] = bytes(part)

    return damage


def cut(number: int, length: int) -> Callable[[SealedDocument], None]:
    def damage(document: SealedDocument) -> None:
        document.stored[number] = document.part(number)[:length]

    return damage


def append(number: int, tail: bytes) -> Callable[[SealedDocument], None]:
    def damage(document: SealedDocument) -> None:
        document.stored[number] = document.part(number) + tail

    return damage


def drop(number: int) -> Callable[[SealedDocument], None]:
    def damage(document: SealedDocument) -> None:
        document.stored[number] = None

    return damage


def swap(left: int, right: int) -> Callable[[SealedDocument], None]:
    def damage(document: SealedDocument) -> None:
        document.stored[left], document.stored[right] = document.stored[right], document.stored[left]

    return damage


def duplicate(document: SealedDocument) -> None:
    document.stored[TWIN] = document.stored[SMALL]


def replay(number: int) -> Callable[[SealedDocument], None]:
    """An older attempt at the same place: the same content, genuine tags, never acknowledged."""

    def damage(document: SealedDocument) -> None:
        document.stored[number] = document.seal_again(number)

    return damage


def under_pinned_header(other: Callable[[SealedDocument], bytes], number: int) -> Callable[[SealedDocument], None]:
    """Mallory knows that headers are compared and keeps the right one."""

    def damage(document: SealedDocument) -> None:
        document.stored[number] = document.part(number)[:HEADER_BYTES] + other(document)[HEADER_BYTES:]

    return damage


def of_another_document(document: SealedDocument) -> bytes:
    other = SealedDocument(document.pieces[:2], message_key=document.message_key, document_id="document-of-bram")
    return other.part(SMALL)


def of_another_transfer(document: SealedDocument) -> bytes:
    other = SealedDocument(document.pieces[:2], message_key=document.message_key, transfer_id="transfer-of-bram")
    return other.part(SMALL)


def of_another_key(document: SealedDocument) -> bytes:
    return SealedDocument(document.pieces[:2], message_key=MessageKey(bytes(32))).part(SMALL)


def put_first(other: Callable[[SealedDocument], bytes]) -> Callable[[SealedDocument], None]:
    def damage(document: SealedDocument) -> None:
        document.stored[SMALL] = other(document)

    return damage


def swap_segments(document: SealedDocument) -> None:
    part, middle = document.part(LONG), SEGMENT_BYTES
    document.stored[LONG] = part[:middle] + part[2 * middle : 3 * middle] + part[middle : 2 * middle] + part[3 * middle :]


def repeat_segment(document: SealedDocument) -> None:
    part, middle = document.part(LONG), SEGMENT_BYTES
    document.stored[LONG] = part[: 2 * middle] + part[middle : 2 * middle] + part[3 * middle :]


def cut_out_segment(document: SealedDocument) -> None:
    part, middle = document.part(LONG), SEGMENT_BYTES
    document.stored[LONG] = part[:middle] + part[2 * middle :]


SMALL_SEALED = sealed_bytes(20)
LONG_SEALED = sealed_bytes(len(PIECES[LONG]))
HOSTILE = {
    "dropped first part": (drop(SMALL), PartMissing),
    "dropped last part": (drop(LONG), PartMissing),
    "swapped parts of one size": (swap(SMALL, TWIN), PartMisplaced),
    "swapped parts of two sizes": (swap(TWIN, LONG), PartMisplaced),
    "duplicated part": (duplicate, PartMisplaced),
    "replayed orphan": (replay(SMALL), PartMisplaced),
    "replayed orphan of many segments": (replay(LONG), PartMisplaced),
    "replayed orphan under the pinned header": (
        under_pinned_header(lambda document: document.seal_again(SMALL), SMALL),
        SegmentAltered,
    ),
    "part of another document": (put_first(of_another_document), PartMisplaced),
    "part of another transfer": (put_first(of_another_transfer), PartMisplaced),
    "part under another key": (put_first(of_another_key), PartMisplaced),
    "body of another document": (under_pinned_header(of_another_document, SMALL), SegmentAltered),
    "body of another transfer": (under_pinned_header(of_another_transfer, SMALL), SegmentAltered),
    "body of another part": (under_pinned_header(lambda document: document.part(TWIN), SMALL), SegmentAltered),
    "cut by one byte": (cut(SMALL, SMALL_SEALED - 1), PartTruncated),
    "cut to its header": (cut(SMALL, HEADER_BYTES), PartTruncated),
    "cut within its header": (cut(SMALL, HEADER_BYTES - 1), PartTruncated),
    "cut to nothing": (cut(SMALL, 0), PartTruncated),
    "cut by its last segment": (cut(LONG, 3 * SEGMENT_BYTES), PartTruncated),
    "cut to its first segment": (cut(LONG, SEGMENT_BYTES), PartTruncated),
    "cut by a byte at the far end": (cut(LONG, LONG_SEALED - 1), PartTruncated),
    "appended byte": (append(SMALL, b"\x00"), PartExtended),
    "appended empty segment": (append(LONG, bytes(TAG_BYTES)), PartExtended),
    "appended part": (append(SMALL, bytes(SMALL_SEALED)), PartExtended),
    "flipped bit in the header's length": (flip(SMALL, 0), HeaderMalformed),
    "flipped bit in the salt": (flip(SMALL, 1), PartMisplaced),
    "flipped bit in the nonce prefix": (flip(SMALL, HEADER_BYTES - 1), PartMisplaced),
    "flipped bit in the first byte": (flip(SMALL, HEADER_BYTES), SegmentAltered),
    "flipped bit in the tag": (flip(SMALL, SMALL_SEALED - 1), SegmentAltered),
    "flipped bit in a middle segment": (flip(LONG, SEGMENT_BYTES + 7), SegmentAltered),
    "flipped bit in the last segment": (flip(LONG, LONG_SEALED - 1), SegmentAltered),
    "swapped segments": (swap_segments, SegmentAltered),
    "repeated segment": (repeat_segment, SegmentAltered),
    "segment cut out": (cut_out_segment, PartTruncated),
}


class TestHostileStore:
    @pytest.mark.parametrize("way", [SealedDocument.read, SealedDocument.view], ids=["pieces", "views"])
    @pytest.mark.parametrize("name", HOSTILE)
    def test_each_tampering_is_refused_by_its_name(
        self, document: SealedDocument, name: str, way: Callable[[SealedDocument], Iterator[bytes]]
    ) -> None:
        damage, refusal = HOSTILE[name]
        damage(document)

        pieces: list[bytes] = []
        with pytest.raises(SealBroken) as refused:
            pieces.extend(way(document))
        received = b"".join(pieces)
        assert type(refused.value) is refusal
        # What left before the refusal is genuine and in its place.
        assert document.plain.startswith(received)
        assert len(received) < len(document.plain)

    @pytest.mark.parametrize("name", HOSTILE)
    def test_reading_from_the_middle_is_no_way_around(self, document: SealedDocument, name: str) -> None:
        before = list(document.stored)
        damage, _ = HOSTILE[name]
        damage(document)

        for number in [number for number, part in enumerate(document.stored) if part != before[number]]:
            piece = PIECES[number]
            places = [place.plain_start for place in segments_for(0, len(piece), len(piece))]
            reads = [read_byte(document, document.manifest.parts[number].offset_bytes + place) for place in places]
            # A genuine segment next to a damaged one still opens, and rightly so.
            assert all(isinstance(read, SealBroken) or read == piece[place] for place, read in zip(places, reads, strict=True))
            assert any(isinstance(read, SealBroken) for read in reads)

    def test_every_flipped_byte_of_a_part_is_refused(self, document: SealedDocument) -> None:
        for position in range(SMALL_SEALED):
            flip(SMALL, position)(document)
            with pytest.raises(HeaderMalformed if position == 0 else PartMisplaced if position < 40 else SegmentAltered):
                list(document.read(0, 20))
            flip(SMALL, position)(document)
        assert b"".join(document.read(0, 20)) == PIECES[SMALL]

    def test_every_length_but_the_right_one_is_refused(self, document: SealedDocument) -> None:
        whole = document.part(SMALL)
        for length in range(2 * SMALL_SEALED):
            document.stored[SMALL] = (whole + whole)[:length]
            if length != SMALL_SEALED:
                with pytest.raises(PartTruncated if length < SMALL_SEALED else PartExtended):
                    list(document.read(0, 20))

    @pytest.mark.parametrize(("lie", "refusal"), [(-1, PartTruncated), (1, PartExtended)])
    def test_a_store_that_lies_about_what_it_read_is_refused(
        self, untouched: SealedDocument, lie: int, refusal: type[SealBroken]
    ) -> None:
        def read(number: int, start: int, length: int) -> bytes:
            return untouched.part(number)[start : start + (length if length == HEADER_BYTES else length + lie)]

        reader = DocumentReader(KEY, untouched.manifest, read, lambda number: len(untouched.part(number)))
        with pytest.raises(refusal):
            list(reader.read_range(60, 61))
        with pytest.raises(refusal):
            list(reader.view_range(60, 61))

    def test_parts_are_not_checked_by_the_key_alone(self, document: SealedDocument) -> None:
        """The replayed orphan is genuine to whoever does not ask the manifest; that is why there is one."""
        replay(SMALL)(document)
        context = PartContext(TRANSFER, DOCUMENT, SMALL)
        assert open_part(KEY.document_key(DOCUMENT), context, document.part(SMALL), 20) == PIECES[SMALL]
        with pytest.raises(PartMisplaced):
            list(document.read())

    def test_another_message_key_opens_nothing(self, untouched: SealedDocument) -> None:
        reader = DocumentReader(
            MessageKey(bytes(32)),
            untouched.manifest,
            lambda number, start, length: untouched.part(number)[start : start + length],
            lambda number: len(untouched.part(number)),
        )
        with pytest.raises(SegmentAltered):
            list(reader.read_range(0, 1))


def read_byte(document: SealedDocument, position: int) -> int | SealBroken:
    try:
        (byte,) = b"".join(document.read(position, position + 1))
    except SealBroken as refused:
        return refused
    return byte


def test_a_part_sealed_for_the_same_place_twice_differs_everywhere() -> None:
    context = PartContext(TRANSFER, DOCUMENT, 0)
    left, right = (seal_part(KEY.document_key(DOCUMENT), context, bytes(1_000)) for _ in range(2))
    assert left[1:HEADER_BYTES] != right[1:HEADER_BYTES]
    assert left[HEADER_BYTES:] != right[HEADER_BYTES:]
