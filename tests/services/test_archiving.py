"""Archives: made by us, so that other programs have to be able to read them."""

from __future__ import annotations

import io
import os
import subprocess
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from zegelpost.model.file_name import FileName
from zegelpost.sealing.document import ViewMemory
from zegelpost.services.archiving import Archive
from zegelpost.services.downloading import OpenDocument

BLOCK = 65535  # the most that a stored block holds
PIECE = 1024 * 1024
SIZES = [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, PIECE - 3, PIECE, 3_000_001]


@dataclass
class Reader:
    """Hands out pieces of an odd size, and overwrites each as a document's reader may."""

    content: bytes
    piece_bytes: int = 700_001

    def view_range(self, start: int, stop: int, _memory: ViewMemory) -> Iterator[memoryview]:
        buffers = [bytearray(self.piece_bytes), bytearray(self.piece_bytes)]
        for number, begin in enumerate(range(start, stop, self.piece_bytes)):
            piece = self.content[begin : min(begin + self.piece_bytes, stop)]
            buffers[number % 2][: len(piece)] = piece
            yield memoryview(buffers[number % 2])[: len(piece)]


@dataclass
class Document:
    name: FileName
    reader: Reader
    completed_at: datetime = datetime(2026, 11, 23, 13, 5, 8, tzinfo=UTC)

    @property
    def length_bytes(self) -> int:
        return len(self.reader.content)


def archived(*contents: bytes) -> bytes:
    documents = [Document(FileName.parse(f"é{number}.dcm"), Reader(content)) for number, content in enumerate(contents)]
    archive = Archive(cast("list[OpenDocument]", documents))
    made = b"".join(bytes(piece) for piece in archive.pieces())
    assert len(made) == archive.length_bytes  # as it was announced before the first byte
    return made


@pytest.mark.parametrize("size", SIZES)
def test_a_document_of_every_size_comes_out_as_it_went_in(size: int) -> None:
    content = os.urandom(size)
    with zipfile.ZipFile(io.BytesIO(archived(content))) as unpacked:
        assert unpacked.testzip() is None
        (member,) = unpacked.infolist()
        assert unpacked.read(member) == content
        assert (member.filename, member.date_time) == ("é0.dcm", (2026, 11, 23, 13, 5, 8))


def test_all_together_and_none() -> None:
    contents = [os.urandom(size) for size in SIZES]
    with zipfile.ZipFile(io.BytesIO(archived(*contents))) as unpacked:
        assert [unpacked.read(name) for name in unpacked.namelist()] == contents
    with zipfile.ZipFile(io.BytesIO(archived())) as unpacked:
        assert unpacked.namelist() == []


def test_info_zip_reads_it(tmp_path: Path) -> None:
    (tmp_path / "documenten.zip").write_bytes(archived(*(os.urandom(size) for size in SIZES)))
    told = subprocess.run(["unzip", "-t", "documenten.zip"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "No errors detected" in told.stdout


def test_who_unpacks_while_reading_finds_each_end() -> None:
    content = os.urandom(3_000_001)
    made = archived(content)
    name_bytes, extra_bytes = int.from_bytes(made[26:28], "little"), int.from_bytes(made[28:30], "little")
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    assert unpacker.decompress(made[30 + name_bytes + extra_bytes :]) == content
    assert unpacker.eof
    descriptor = unpacker.unused_data[:24]
    assert descriptor[:4] == b"PK\x07\x08"
    assert int.from_bytes(descriptor[4:8], "little") == zlib.crc32(content)
    assert int.from_bytes(descriptor[16:24], "little") == len(content)
