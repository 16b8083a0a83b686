"""Reading a document back from its sealed parts, from any position. Nothing leaves before it is authenticated."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from zegelpost.sealing.errors import HeaderMalformed, PartMisplaced, PartTruncated
from zegelpost.sealing.keys import MessageKey
from zegelpost.sealing.manifest import Manifest, PartEntry
from zegelpost.sealing.parts import HEADER_BYTES, PartContext, PartOpener, require_size, segments_for

ReadSealed = Callable[[int, int, int], bytes]
"""Part number, start and length in bytes of the sealed part; fewer bytes only at its end."""


class DocumentReader:
    """Opens what an opened manifest pins.

    `read` fetches sealed bytes and `size` tells how long a stored part is; both may raise what they like for a part that
    is not there (`PartMissing` is meant for that).
    """

    def __init__(self, message_key: MessageKey, manifest: Manifest, read: ReadSealed, size: Callable[[int], int]) -> None:
        self._manifest = manifest
        self._key = message_key.document_key(manifest.document_id)
        self._read = read
        self._size = size
        self._openers: dict[int, PartOpener] = {}

    @property
    def total_bytes(self) -> int:
        return self._manifest.total_bytes

    def read_range(self, start: int, stop: int) -> Iterator[bytes]:
        """Plaintext from `start` up to `stop`, in pieces of at most one segment."""
        if not 0 <= start <= stop <= self.total_bytes:
            raise ValueError("not a range of this document")
        for part in self._manifest.parts:
            part_stop = part.offset_bytes + part.length_bytes
            if part_stop <= start or part.offset_bytes >= stop:
                continue
            yield from self._read_part(part, max(start - part.offset_bytes, 0), min(stop - part.offset_bytes, part.length_bytes))

    def _read_part(self, part: PartEntry, start: int, stop: int) -> Iterator[bytes]:
        opener = self._opener(part)
        for piece in segments_for(start, stop, part.length_bytes):
            sealed = self._read(part.number, piece.sealed_start, piece.sealed_length)
            if len(sealed) != piece.sealed_length:
                raise PartTruncated
            plain = opener.open_segment(piece.number, sealed, is_last=piece.is_last)
            first, last = max(start - piece.plain_start, 0), min(stop - piece.plain_start, piece.plain_length)
            yield plain if (first, last) == (0, piece.plain_length) else plain[first:last]

    def _opener(self, part: PartEntry) -> PartOpener:
        """Check, once per part, that the stored part is the pinned one and has its size."""
        if (opener := self._openers.get(part.number)) is None:
            require_size(part.length_bytes, self._size(part.number))
            stored = self._read(part.number, 0, HEADER_BYTES)
            if len(stored) != HEADER_BYTES or stored[0] != HEADER_BYTES:
                raise HeaderMalformed
            if stored != part.header:
                raise PartMisplaced
            context = PartContext(self._manifest.transfer_id, self._manifest.document_id, part.number)
            opener = self._openers[part.number] = PartOpener(self._key, context, part.header)
        return opener
