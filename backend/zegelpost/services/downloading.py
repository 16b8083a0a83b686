"""Downloading: documents are opened, to be unsealed a segment at a time while they leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select

from zegelpost.database import Database
from zegelpost.model.document import Document, DocumentState, Part
from zegelpost.model.file_name import FileName
from zegelpost.model.identifiers import BlobName, DocumentId
from zegelpost.model.refusals import NotFound
from zegelpost.ports import Blobs
from zegelpost.sealing.document import DocumentReader
from zegelpost.sealing.keys import MessageKey
from zegelpost.sealing.manifest import Manifest, open_manifest
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.unsealing import reader_of


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
        [opened] = await self.open_all(key, [document])
        return opened

    async def open_all(self, key: MessageKey, documents: Sequence[Document]) -> list[OpenDocument]:
        """Open all, or none: an archive that lacks a document must not look whole."""
        blobs: dict[DocumentId, list[BlobName]] = {document.id: [] for document in documents}
        async with self._database.reading() as session:
            parts = select(Part.document_id, Part.blob).where(Part.document_id.in_(list(blobs))).order_by(Part.number)
            for document_id, blob in await session.execute(parts):
                blobs[document_id].append(blob)
        return [self._open(key, document, blobs[document.id]) for document in documents]

    def _open(self, key: MessageKey, document: Document, blobs: list[BlobName]) -> OpenDocument:
        if document.state != DocumentState.COMPLETE or document.sealed_manifest is None or document.manifest_digest is None:
            raise NotFound
        manifest = open_manifest(
            key,
            transfer_id=document.transfer_id,
            document_id=document.id,
            sealed=document.sealed_manifest,
            expected_digest=document.manifest_digest,
        )
        if len(blobs) != len(manifest.parts):
            raise NotFound
        assert document.completed_at is not None
        return OpenDocument(
            self._keys.document_name(key, document),
            manifest,
            reader_of(self._blobs, key, manifest, blobs),
            document.manifest_digest[:16].hex(),
            document.completed_at,
        )
