"""A sealed document in a store that anyone may write to."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence

from zegelpost.sealing.document import DocumentReader
from zegelpost.sealing.keys import DocumentKey, MessageKey
from zegelpost.sealing.manifest import Manifest, PartEntry, manifest_digest, open_manifest, seal_manifest
from zegelpost.sealing.parts import HEADER_BYTES, PartContext, PartOpener, PartSealer, segment, segment_count

TRANSFER = "transfer-of-anna"
DOCUMENT = "document-of-anna"


def random_plain(length: int, seed: int = 0) -> bytes:
    """Bytes that repeat from run to run, and nowhere in themselves."""
    return random.Random(seed).randbytes(length)


def seal_part(key: DocumentKey, context: PartContext, plain: bytes) -> bytes:
    sealer = PartSealer(key, context)
    sealed, position, is_last = [sealer.header], 0, False
    while not is_last:
        stop = position + sealer.next_capacity
        is_last = stop >= len(plain)
        sealed.append(sealer.seal_segment(plain[position:stop], is_last=is_last))
        position = stop
    return b"".join(sealed)


def open_part(key: DocumentKey, context: PartContext, sealed: bytes, plain_bytes: int) -> bytes:
    opener = PartOpener(key, context, sealed[:HEADER_BYTES])
    pieces = []
    for index in range(segment_count(plain_bytes)):
        place = segment(index, plain_bytes)
        body = sealed[place.sealed_start : place.sealed_start + place.sealed_length]
        pieces.append(opener.open_segment(index, body, is_last=place.is_last))
    return b"".join(pieces)


class SealedDocument:
    """What honest people sealed. `stored` is what lies in the store: change it at will."""

    def __init__(
        self,
        pieces: Sequence[bytes],
        *,
        message_key: MessageKey,
        transfer_id: str = TRANSFER,
        document_id: str = DOCUMENT,
    ) -> None:
        self.message_key = message_key
        self.transfer_id = transfer_id
        self.document_id = document_id
        self.pieces = list(pieces)
        self.plain = b"".join(pieces)
        self.stored: list[bytes | None] = [self.seal_again(number) for number in range(len(pieces))]
        entries, position = [], 0
        for number, (piece, sealed) in enumerate(zip(pieces, self.stored, strict=True)):
            assert sealed is not None
            entries.append(PartEntry(number, position, len(piece), sealed[:HEADER_BYTES]))
            position += len(piece)
        digest = hashlib.sha256(self.plain).digest()
        self.manifest = Manifest(transfer_id, document_id, entries, len(self.plain), digest)
        self.sealed_manifest = seal_manifest(message_key, self.manifest)
        self.digest = manifest_digest(self.sealed_manifest)

    def part(self, number: int) -> bytes:
        sealed = self.stored[number]
        assert sealed is not None
        return sealed

    def seal_again(self, number: int) -> bytes:
        """Another attempt at the same place, as after a lost answer: genuine in everything, but never acknowledged."""
        context = PartContext(self.transfer_id, self.document_id, number)
        return seal_part(self.message_key.document_key(self.document_id), context, self.pieces[number])

    def opened_manifest(self) -> Manifest:
        return open_manifest(
            self.message_key,
            transfer_id=self.transfer_id,
            document_id=self.document_id,
            sealed=self.sealed_manifest,
            expected_digest=self.digest,
        )

    def reader(self) -> DocumentReader:
        def read(number: int, start: int, length: int) -> bytes:
            return self.part(number)[start : start + length]

        def size(number: int) -> int | None:
            sealed = self.stored[number]
            return None if sealed is None else len(sealed)

        return DocumentReader(self.message_key, self.opened_manifest(), read, size)

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        reader = self.reader()
        return reader.read_range(start, reader.total_bytes if stop is None else stop)

    def view(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The same from buffers that are used again."""
        reader = self.reader()
        return map(bytes, reader.view_range(start, reader.total_bytes if stop is None else stop))
