"""Reading a document back from its sealed parts, from any position. Nothing leaves before it is authenticated."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Final

from zegelpost.sealing.errors import HeaderMalformed, PartExtended, PartMisplaced, PartMissing, PartTruncated
from zegelpost.sealing.keys import MessageKey
from zegelpost.sealing.manifest import Manifest, PartEntry
from zegelpost.sealing.parts import (
    HEADER_BYTES,
    SEGMENT_BYTES,
    PartContext,
    PartOpener,
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


_VIEW_BYTES: Final = 2 * SEGMENT_BYTES  # fewer hops between threads and fewer calls of the kernel


class ViewMemory:
    """Where views are unsealed. Whoever reads documents one after the other needs one: new memory costs the kernel time."""

    def __init__(self) -> None:
        self.sealed = memoryview(bytearray(SEGMENT_BYTES))
        self.views = [memoryview(bytearray(_VIEW_BYTES)), memoryview(bytearray(_VIEW_BYTES))]


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
        return self._pieces(start, stop)

    def view_range(self, start: int, stop: int, memory: ViewMemory | None = None) -> Iterator[memoryview]:
        """The same in larger pieces and without new memory: a piece is overwritten when the one after the next is asked for."""
        self._require_range(start, stop)
        return self._views(start, stop, memory or ViewMemory())

    def _require_range(self, start: int, stop: int) -> None:
        if not 0 <= start <= stop <= self.total_bytes:
            raise ValueError("not a range of this document")

    def _touched(self, start: int, stop: int) -> Iterator[tuple[PartEntry, int, int]]:
        """The parts that hold the range, and which of their bytes do."""
        for part in self._manifest.parts:
            first = max(start - part.offset_bytes, 0)
            last = min(stop - part.offset_bytes, part.length_bytes)
            if first < last:
                yield part, first, last

    def _pieces(self, start: int, stop: int) -> Iterator[bytes]:
        for part, first, last in self._touched(start, stop):
            opener = self._opener(part)  # 1.
            for piece in segments_for(first, last, part.length_bytes):
                # 2.
                sealed = self._read(part.number, piece.sealed_start, piece.sealed_length)
                if len(sealed) != piece.sealed_length:
                    raise PartTruncated if len(sealed) < piece.sealed_length else PartExtended
                plain = opener.open_segment(piece.number, sealed, is_last=piece.is_last)
                head, tail = max(first - piece.plain_start, 0), min(last - piece.plain_start, piece.plain_length)
                yield plain if (head, tail) == (0, piece.plain_length) else plain[head:tail]

    def _views(self, start: int, stop: int, memory: ViewMemory) -> Iterator[memoryview]:
        """Segments side by side in a buffer. Only the first of all loses bytes at its head, only the last at its tail."""
        sealed = memory.sealed
        buffers = itertools.cycle(memory.views)
        buffer, begin, end, surplus = next(buffers), 0, 0, 0
        for part, first, last in self._touched(start, stop):
            opener = self._opener(part)  # 1.
            for piece in segments_for(first, last, part.length_bytes):
                if end + piece.plain_length > _VIEW_BYTES:
                    yield buffer[begin:end]
                    buffer, begin, end = next(buffers), 0, 0
                # 2.
                ciphertext = sealed[: piece.sealed_length]
                if self._read_into(part.number, piece.sealed_start, ciphertext) != piece.sealed_length:
                    raise PartTruncated
                opener.open_segment_into(piece.number, ciphertext, buffer[end : end + piece.plain_length], is_last=piece.is_last)
                begin += max(first - piece.plain_start, 0)
                end += piece.plain_length
                surplus = max(piece.plain_start + piece.plain_length - last, 0)
        if begin < end - surplus:
            yield buffer[begin : end - surplus]

    def _copy_into(self, number: int, start: int, view: memoryview) -> int:
        data = self._read(number, start, len(view))
        if len(data) > len(view):
            raise PartExtended
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
