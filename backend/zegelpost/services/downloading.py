"""Downloading: documents leave, unsealed a segment at a time, alone or together in an archive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy import select
from stream_zip import ZIP_64, stream_zip

from zegelpost.database import Database
from zegelpost.model.document import Document, DocumentState, Part
from zegelpost.model.file_name import FileName
from zegelpost.model.refusals import NotFound
from zegelpost.ports import Blobs
from zegelpost.sealing.document import DocumentReader
from zegelpost.sealing.keys import MessageKey
from zegelpost.sealing.manifest import Manifest, open_manifest
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.unsealing import reader_of

_ARCHIVE_CHUNK: Final = 1024 * 1024
_STORED_BLOCK: Final = 65535  # bytes, the most that a stored block takes


@dataclass(frozen=True, slots=True)
class OpenDocument:
    """A document that can be read. Reading blocks: do it in a thread."""

    name: FileName = field(repr=False)
    manifest: Manifest = field(repr=False)
    reader: DocumentReader = field(repr=False)
    # Changes with the content, tells nothing about it.
    tag: str
    completed_at: datetime

    @property
    def length_bytes(self) -> int:
        return self.manifest.total_bytes


class Downloading:
    def __init__(self, database: Database, keeping_keys: KeepingKeys, blobs: Blobs) -> None:
        self._database = database
        self._keys = keeping_keys
        self._blobs = blobs

    async def open(self, key: MessageKey, document: Document) -> OpenDocument:
        """Open a document of a transfer that was authorised by whoever gives its key. Raises `NotFound` until it is complete."""
        if document.state != DocumentState.COMPLETE or document.sealed_manifest is None or document.manifest_digest is None:
            raise NotFound
        manifest = open_manifest(
            key,
            transfer_id=document.transfer_id,
            document_id=document.id,
            sealed=document.sealed_manifest,
            expected_digest=document.manifest_digest,
        )
        async with self._database.reading() as session:
            names = list(await session.scalars(select(Part.blob).where(Part.document_id == document.id).order_by(Part.number)))
        if len(names) != len(manifest.parts):
            raise NotFound
        assert document.completed_at is not None
        return OpenDocument(
            self._keys.document_name(key, document),
            manifest,
            reader_of(self._blobs, key, manifest, names),
            document.manifest_digest[:16].hex(),
            document.completed_at,
        )

    async def open_all(self, key: MessageKey, documents: Sequence[Document]) -> list[OpenDocument]:
        """Open all, or none: an archive that lacks a document must not look whole."""
        return [await self.open(key, document) for document in documents]


def archive(documents: Sequence[OpenDocument]) -> Iterator[bytes]:
    """A ZIP of all documents, as it is made. Stored, not compressed: most documents are compressed already.

    Names are flat and unique whatever the case, so that nothing is overwritten and nothing lands elsewhere when unpacked.
    """

    def members() -> Iterator[tuple[str, datetime, int, object, Iterable[bytes]]]:
        for name, document in zip(unique_names([d.name for d in documents]), documents, strict=True):
            # ZIP keeps local time without a zone.
            at = document.completed_at.replace(tzinfo=None)
            yield str(name), at, 0o600, ZIP_64, document.reader.read_range(0, document.length_bytes)

    return iter(
        stream_zip(
            members(),  # type: ignore[arg-type]  # its types do not export the method's type
            chunk_size=_ARCHIVE_CHUNK,
            get_compressobj=_Stored,  # type: ignore[arg-type]  # used as a compressor, typed as zlib's own
        )
    )


class _Stored:
    """A compressor that does not compress: stored blocks (RFC 1951, section 3.2.4). Twice as fast as zlib at level 0.

    A ZIP whose members are stored as they are would need their checksums before their first byte.
    """

    def compress(self, data: bytes) -> bytes:
        view = memoryview(data)
        blocks: list[bytes | memoryview] = []
        for start in range(0, len(view), _STORED_BLOCK):
            block = view[start : start + _STORED_BLOCK]
            blocks += [b"\0", len(block).to_bytes(2, "little"), (len(block) ^ 0xFFFF).to_bytes(2, "little"), block]
        return b"".join(blocks)

    def flush(self) -> bytes:
        """An empty last block."""
        return b"\x01\0\0\xff\xff"


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
