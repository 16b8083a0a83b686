"""Unsealing: read a document back from the store."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator

from zegelpost.model.identifiers import BlobName
from zegelpost.ports import BlobMissingError, Blobs
from zegelpost.sealing.document import DocumentReader
from zegelpost.sealing.keys import MessageKey
from zegelpost.sealing.manifest import Manifest


def reader_of(blobs: Blobs, key: MessageKey, manifest: Manifest, names: list[BlobName]) -> DocumentReader:
    """Read a document from the store; `names` are its parts' blobs in order. Reading blocks: do it in a thread."""
    return DocumentReader(
        key,
        manifest,
        lambda number, start, length: blobs.read(names[number], start, length),
        lambda number: _stored_bytes(blobs, names[number]),
        lambda number, start, view: blobs.read_into(names[number], start, view),
    )


async def pieces_of(reader: DocumentReader) -> AsyncIterator[bytes]:
    """The whole document, a segment at a time."""
    pieces = reader.read_range(0, reader.total_bytes)
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece


def sha256_of(reader: DocumentReader) -> bytes:
    """Read everything again. Blocks."""
    digest = hashlib.sha256()
    for piece in reader.read_range(0, reader.total_bytes):
        digest.update(piece)
    return digest.digest()


def _stored_bytes(blobs: Blobs, name: BlobName) -> int | None:
    """A part that the store lost is the document's breach, to be called so, and no outage that passes."""
    try:
        return blobs.size(name)
    except BlobMissingError:
        return None
