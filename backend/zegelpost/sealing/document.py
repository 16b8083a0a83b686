"""Reading a document back from its sealed parts, from any position. Nothing leaves before it is authenticated."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TypeVar

from zegelpost.sealing.errors import HeaderMalformed, PartExtended, PartMisplaced, PartMissing, PartTruncated
from zegelpost.sealing.keys import MessageKey
from zegelpost.sealing.manifest import Manifest, PartEntry
from zegelpost.sealing.parts import (
    HEADER_BYTES,
    SEGMENT_BYTES,
    PartContext,
    PartOpener,
    SegmentSlice,
    is_header,
    require_size,
    segments_for,
)

ReadSealed = Callable[[int, int, int], bytes]
"""Part number, start and length in bytes of the sealed part; fewer bytes only at its end."""

ReadSealedInto = Callable[[int, int, memoryview], int]
"""The same into a buffer; returns how many bytes came."""

SizeSealed = Callable[[int], int | None]
"""Part number to the bytes stored for it; None when the store does not have the part."""


_Piece = TypeVar("_Piece", bytes, memoryview)
_OpenSegment = Callable[[PartEntry, PartOpener, SegmentSlice], _Piece]


class DocumentReader:
    """Opens what an opened manifest pins."""

    def __init__(
        self,
        message_key: MessageKey,
        manifest: Manifest,
        read: ReadSealed,
        size: SizeSealed,
        read_into: ReadSealedInto | None = None,
    ) -> None:
        self._manifest = manifest
        self._key = message_key.document_key(manifest.document_id)
        self._read = read
        self._size = size
        self._read_into = read_into or self._copy_into
        # Only the part that is being read: a document may have thousands of parts, and reading goes forward.
        self._open_part: tuple[int, PartOpener] | None = None

    @property
    def total_bytes(self) -> int:
        return self._manifest.total_bytes

    def read_range(self, start: int, stop: int) -> Iterator[bytes]:
        """Plaintext from `start` up to `stop`, in pieces of at most one segment.

        For each part the range touches:
        1. The part is there, its header is the pinned one, and its size is what the pinned length needs.
        2. Each segment arrives whole and opens under the pinned header; only then does its plaintext leave.

        A refusal can come after earlier pieces have left. The caller must then break off so that whoever receives can
        tell: the pieces so far are genuine, but they are not the document.
        """
        self._require_range(start, stop)
        return self._pieces(start, stop, self._open_segment)

    def view_range(self, start: int, stop: int) -> Iterator[memoryview]:
        """The same without new memory for each piece: a piece is overwritten when the one after the next is asked for."""
        self._require_range(start, stop)
        sealed = memoryview(bytearray(SEGMENT_BYTES))
        plain = itertools.cycle([memoryview(bytearray(SEGMENT_BYTES)), memoryview(bytearray(SEGMENT_BYTES))])

        def open_segment(part: PartEntry, opener: PartOpener, piece: SegmentSlice) -> memoryview:
            ciphertext, out = sealed[: piece.sealed_length], next(plain)[: piece.plain_length]
            if self._read_into(part.number, piece.sealed_start, ciphertext) != piece.sealed_length:
                raise PartTruncated
            opener.open_segment_into(piece.number, ciphertext, out, is_last=piece.is_last)
            return out

        return self._pieces(start, stop, open_segment)

    def _require_range(self, start: int, stop: int) -> None:
        if not 0 <= start <= stop <= self.total_bytes:
            raise ValueError("not a range of this document")

    def _pieces(self, start: int, stop: int, open_segment: _OpenSegment[_Piece]) -> Iterator[_Piece]:
        for part in self._manifest.parts:
            first = max(start - part.offset_bytes, 0)
            last = min(stop - part.offset_bytes, part.length_bytes)
            if first < last:
                yield from self._read_part(part, first, last, open_segment)

    def _read_part(self, part: PartEntry, start: int, stop: int, open_segment: _OpenSegment[_Piece]) -> Iterator[_Piece]:
        opener = self._opener(part)  # 1.
        for piece in segments_for(start, stop, part.length_bytes):
            plain = open_segment(part, opener, piece)  # 2.
            first, last = max(start - piece.plain_start, 0), min(stop - piece.plain_start, piece.plain_length)
            yield plain if (first, last) == (0, piece.plain_length) else plain[first:last]

    def _open_segment(self, part: PartEntry, opener: PartOpener, piece: SegmentSlice) -> bytes:
        sealed = self._read(part.number, piece.sealed_start, piece.sealed_length)
        if len(sealed) != piece.sealed_length:
            raise PartTruncated if len(sealed) < piece.sealed_length else PartExtended
        return opener.open_segment(piece.number, sealed, is_last=piece.is_last)

    def _copy_into(self, number: int, start: int, view: memoryview) -> int:
        data = self._read(number, start, len(view))
        view[: len(data)] = data
        return len(data)

    def _opener(self, part: PartEntry) -> PartOpener:
        """Check that the stored part is the pinned one. The header comes before the size, so that a swap is called a swap."""
        held = self._open_part
        if held is not None and held[0] == part.number:
            return held[1]
        stored_bytes = self._size(part.number)
        if stored_bytes is None:
            raise PartMissing
        stored_header = self._read(part.number, 0, HEADER_BYTES)
        if len(stored_header) < HEADER_BYTES:
            raise PartTruncated
        if not is_header(stored_header):
            raise HeaderMalformed
        if stored_header != part.header:
            raise PartMisplaced
        require_size(part.length_bytes, stored_bytes)
        context = PartContext(self._manifest.transfer_id, self._manifest.document_id, part.number)
        opener = PartOpener(self._key, context, part.header)
        self._open_part = (part.number, opener)
        return opener
