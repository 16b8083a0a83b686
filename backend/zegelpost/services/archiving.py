"""Archiving: all documents of a transfer as one ZIP, made while it is handed over.

Written out here (PKWARE's APPNOTE 6.3.10), because the library that did it copied every byte four times and knew the length
only at the end: people saw no progress, and a download that broke off looked whole.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from isal.isal_zlib import crc32

from zegelpost.model.file_name import FileName
from zegelpost.sealing.document import ViewMemory
from zegelpost.services.downloading import OpenDocument

_PIECE_BYTES: Final = 1024 * 1024
# Stored blocks of Deflate (RFC 1951, section 3.2.4). A member that is stored as it is would need its checksum before its first
# byte, or no program that unpacks while it reads could find its end. Not compressed: most documents are already.
_BLOCK_BYTES: Final = 65535
_BLOCK: Final = struct.Struct("<BHH")
_LAST_BLOCK: Final = _BLOCK.pack(1, 0, 0xFFFF)
_LOCAL: Final = struct.Struct("<4sHHHHHIIIHH")
_DESCRIPTOR: Final = struct.Struct("<4sIQQ")
_CENTRAL: Final = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END_64: Final = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR_64: Final = struct.Struct("<4sIQI")
_END: Final = struct.Struct("<4sHHHHIIH")
_EXTRA_LOCAL_64: Final = struct.Struct("<HHQQ")
_EXTRA_CENTRAL_64: Final = struct.Struct("<HHQQQ")
_EXTRA_TIME: Final = struct.Struct("<2sHBi")
_VERSION: Final = 45  # of the format: with 64-bit sizes
_MADE_BY: Final = 3 << 8 | _VERSION  # Unix, so that the mode below counts
_FLAGS: Final = 0x0808  # sizes and checksum follow the data; the name is UTF-8
_DEFLATE: Final = 8
_MODE: Final = 0o100600 << 16
_IN_64: Final = 0xFFFFFFFF  # look in the 64-bit field


@dataclass(frozen=True, slots=True)
class _Member:
    """A document in the archive, and where it begins."""

    document: OpenDocument
    name: bytes
    offset_bytes: int

    @property
    def packed_bytes(self) -> int:
        length = self.document.length_bytes
        return length + (-(-length // _BLOCK_BYTES)) * _BLOCK.size + len(_LAST_BLOCK)

    @property
    def times(self) -> tuple[int, int]:
        """Time and date as MS-DOS had them, in UTC: the format knows no zone."""
        at = self.document.completed_at
        return at.hour << 11 | at.minute << 5 | at.second // 2, (at.year - 1980) << 9 | at.month << 5 | at.day

    @property
    def time_extra(self) -> bytes:
        return _EXTRA_TIME.pack(b"UT", 5, 1, int(self.document.completed_at.timestamp()))

    def head(self) -> bytes:
        extra = _EXTRA_LOCAL_64.pack(1, 16, 0, 0) + self.time_extra
        sizes = (0, _IN_64, _IN_64, len(self.name), len(extra))
        return _LOCAL.pack(b"PK\x03\x04", _VERSION, _FLAGS, _DEFLATE, *self.times, *sizes) + self.name + extra

    def tail(self, checksum: int) -> bytes:
        return _DESCRIPTOR.pack(b"PK\x07\x08", checksum, self.packed_bytes, self.document.length_bytes)

    def entry(self, checksum: int) -> bytes:
        """Its line in the directory at the end."""
        sizes = (self.document.length_bytes, self.packed_bytes, self.offset_bytes)
        extra = _EXTRA_CENTRAL_64.pack(1, 24, *sizes) + self.time_extra
        fixed = (checksum, _IN_64, _IN_64, len(self.name), len(extra), 0, 0, 0, _MODE, _IN_64)
        begin = (b"PK\x01\x02", _MADE_BY, _VERSION, _FLAGS, _DEFLATE)
        return _CENTRAL.pack(*begin, *self.times, *fixed) + self.name + extra


class _Pages:
    """Two buffers that are filled in turns."""

    def __init__(self) -> None:
        self._page, self._other = memoryview(bytearray(_PIECE_BYTES)), memoryview(bytearray(_PIECE_BYTES))
        self._filled = 0

    @property
    def room(self) -> int:
        return _PIECE_BYTES - self._filled

    def turn(self) -> memoryview:
        """What is filled. The other buffer is next."""
        filled = self._page[: self._filled]
        self._page, self._other, self._filled = self._other, self._page, 0
        return filled

    def add(self, data: bytes | memoryview) -> None:
        """There must be room."""
        end = self._filled + len(data)
        self._page[self._filled : end] = data
        self._filled = end

    def put(self, data: bytes) -> Iterator[memoryview]:
        """The same for something short, after a turn when there is no room."""
        if self.room < len(data):
            yield self.turn()
        self.add(data)


def _stored(document: OpenDocument, pages: _Pages, memory: ViewMemory) -> Generator[memoryview, None, int]:
    """A document in stored blocks; returns its checksum."""
    checksum, room, left = 0, 0, document.length_bytes
    for piece in document.reader.view_range(0, left, memory):
        # Python's own takes as long as unsealing and handing over together.
        checksum = crc32(piece, checksum)
        at = 0
        while at < len(piece):
            if pages.room <= _BLOCK.size:
                yield pages.turn()
            if not room:
                room = min(left, _BLOCK_BYTES)
                pages.add(_BLOCK.pack(0, room, room ^ 0xFFFF))
            count = min(room, len(piece) - at, pages.room)
            pages.add(piece[at : at + count])
            at, room, left = at + count, room - count, left - count
    return checksum


class Archive:
    """All documents of a transfer. Names are flat and unique whatever the case, so that none lands elsewhere when unpacked."""

    def __init__(self, documents: Sequence[OpenDocument]) -> None:
        self._members: list[_Member] = []
        offset = 0
        for name, document in zip(unique_names([each.name for each in documents]), documents, strict=True):
            member = _Member(document, str(name).encode(), offset)
            self._members.append(member)
            offset += len(member.head()) + member.packed_bytes + _DESCRIPTOR.size
        self._directory_start = offset
        self._directory_bytes = sum(len(member.entry(0)) for member in self._members)
        self.length_bytes = offset + self._directory_bytes + _END_64.size + _LOCATOR_64.size + _END.size

    def pieces(self) -> Iterator[memoryview]:
        """From the first byte to the last. A piece is overwritten when the one after the next is asked for. Blocks."""
        pages, memory = _Pages(), ViewMemory()
        checksums: list[int] = []
        for member in self._members:
            yield from pages.put(member.head())
            checksum = yield from _stored(member.document, pages, memory)
            yield from pages.put(_LAST_BLOCK + member.tail(checksum))
            checksums.append(checksum)
        for member, checksum in zip(self._members, checksums, strict=True):
            yield from pages.put(member.entry(checksum))
        yield from pages.put(self._end())
        yield pages.turn()

    def _end(self) -> bytes:
        count, size, start = len(self._members), self._directory_bytes, self._directory_start
        record = _END_64.pack(b"PK\x06\x06", _END_64.size - 12, _VERSION, _VERSION, 0, 0, count, count, size, start)
        locator = _LOCATOR_64.pack(b"PK\x06\x07", 0, start + size, 1)
        return record + locator + _END.pack(b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, _IN_64, _IN_64, 0)


def unique_names(names: Sequence[FileName]) -> list[FileName]:
    """The names with ` (2)` and so on where two are the same to some file system."""
    taken: set[str] = set()
    unique: list[FileName] = []
    for name in names:
        candidate, number = name, 2
        while str(candidate).casefold() in taken:
            candidate, number = name.numbered(number), number + 1
        taken.add(str(candidate).casefold())
        unique.append(candidate)
    return unique
