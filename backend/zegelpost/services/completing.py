"""Completing: a document that has all its bytes is looked at, scanned and pinned by its manifest."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Final

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.clock import Clock
from zegelpost.model.document import Document, DocumentState, OrphanBlob, Part, ScanVerdict, Upload
from zegelpost.model.event import ActorKind, EventTag
from zegelpost.model.held_back import HeldBack, HoldReason
from zegelpost.model.identifiers import HeldBackId, new_identifier
from zegelpost.model.refusals import ContentMismatch, DocumentHeld, MacroDocument, MalwareFound, Refusal, UploadInUse
from zegelpost.model.transfer import Transfer
from zegelpost.ports import Blobs, Scanner
from zegelpost.sealing.document import DocumentReader
from zegelpost.sealing.keys import MessageKey
from zegelpost.sealing.manifest import Manifest, PartEntry, manifest_digest, seal_manifest
from zegelpost.services.governing import Governing
from zegelpost.services.inspecting import inspect
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.recording import Subject, record
from zegelpost.services.scanning import StreamScan
from zegelpost.services.unsealing import pieces_of, reader_of, sha256_of

_UNKNOWN_SHA256: Final = bytes(32)  # in a manifest that only serves to read the parts


class Completing:
    def __init__(
        self, database: Database, keeping_keys: KeepingKeys, blobs: Blobs, scanner: Scanner, governing: Governing, clock: Clock
    ) -> None:
        self._database = database
        self._keys = keeping_keys
        self._blobs = blobs
        self._scanner = scanner
        self._governing = governing
        self._clock = clock

    def begin_scan(self, upload: Upload, announced_bytes: int | None) -> StreamScan | None:
        """Let the scanner look along, when this request brings the whole document and there is a scanner."""
        if not self._governing.policy.is_scanning or upload.offset_bytes or announced_bytes != upload.length_bytes:
            return None
        return StreamScan(self._scanner, upload.length_bytes)

    async def complete(
        self,
        subject: Subject,
        transfer: Transfer,
        document: Document,
        key: MessageKey,
        digest: bytes | None,
        scan: StreamScan | None,
    ) -> bytes:
        """Seal the manifest and call the document complete; returns the SHA-256 of its plaintext.

        1. The SHA-256 of the whole, from the stream or by reading the parts again.
        2. The content fits the name, and holds no macros that the name denies.
        3. The scanner has seen it, on the stream or by reading the parts again, or the organisation has none. An outage leaves
           everything for another try.
        4. Manifest, its digest, verdict and event commit together.

        What 2. and 3. refuse is removed at once. A guest's document with macros or malware is completed all the same and then
        held back, for someone of ours to judge: raises `DocumentHeld`. Macros do not spare a document the scanner.
        """
        async with self._database.reading() as session:
            parts = list(await session.scalars(select(Part).where(Part.document_id == document.id).order_by(Part.number)))
        entries = [PartEntry(part.number, part.offset_bytes, part.length_bytes, part.header) for part in parts]
        provisional = Manifest(transfer.id, document.id, entries, document.length_bytes, _UNKNOWN_SHA256)
        reader = reader_of(self._blobs, key, provisional, [part.blob for part in parts])
        # 1.
        sha256 = digest if digest is not None else await asyncio.to_thread(sha256_of, reader)
        # 2. and 3.
        try:
            verdict, reason = await self._look_at(document, key, reader, scan, may_hold=subject.actor == ActorKind.GUEST)
        except (ContentMismatch, MacroDocument, MalwareFound) as refusal:
            await self._refuse(subject, document, refusal)
            raise
        # 4.
        now = self._clock()
        sealed = seal_manifest(key, Manifest(transfer.id, document.id, entries, document.length_bytes, sha256))
        async with self._database.work() as session:
            completed = await session.scalar(
                update(Document)
                .where(Document.id == document.id, Document.state == DocumentState.ARRIVING)
                .values(
                    state=DocumentState.HELD if reason else DocumentState.COMPLETE,
                    sealed_manifest=sealed,
                    manifest_digest=manifest_digest(sealed),
                    scan_verdict=verdict,
                    completed_at=now,
                )
                .returning(Document.id)
                .execution_options(synchronize_session=False)
            )
            if completed is None:
                raise UploadInUse
            if reason is None:
                record(session, EventTag.DOCUMENT_COMPLETED, subject, now)
            else:
                session.add(_held(document, reason, now))
                record(session, EventTag.DOCUMENT_QUARANTINED, subject, now, reason=reason.value)
        if reason is not None:
            raise DocumentHeld(reason=reason.value)
        return sha256

    async def _look_at(
        self, document: Document, key: MessageKey, reader: DocumentReader, scan: StreamScan | None, *, may_hold: bool
    ) -> tuple[ScanVerdict, HoldReason | None]:
        """What the scanner says, and why it is to be held back, if it is and may be."""
        reason: HoldReason | None = None
        try:
            await asyncio.to_thread(inspect, self._keys.document_name(key, document), reader)
        except MacroDocument:
            if not may_hold:
                raise
            reason = HoldReason.MACROS
        verdict = await (scan.verdict() if scan else self._scan_again(reader))
        if verdict == ScanVerdict.INFECTED:
            if not may_hold:
                raise MalwareFound
            reason = HoldReason.MALWARE
        return verdict, reason

    async def _scan_again(self, reader: DocumentReader) -> ScanVerdict:
        if not self._governing.policy.is_scanning:
            return ScanVerdict.NOT_SCANNED
        return await self._scanner.scan(pieces_of(reader), length_bytes=reader.total_bytes)

    async def _refuse(self, subject: Subject, document: Document, refusal: Refusal) -> None:
        now = self._clock()
        async with self._database.work() as session:
            await remove_document(session, document, now)
            record(session, EventTag.DOCUMENT_REFUSED, subject, now, reason=refusal.code)


async def remove_document(session: AsyncSession, document: Document, now: datetime) -> None:
    """Drop a document of a draft with its upload and parts; the sealed bytes are left to the sweep."""
    # First, so that no part can come after those that are looked up.
    await session.execute(delete(Upload).where(Upload.document_id == document.id))
    for blob in await session.scalars(select(Part.blob).where(Part.document_id == document.id)):
        session.add(OrphanBlob(name=blob, due_at=now))
    await session.execute(delete(Part).where(Part.document_id == document.id))
    await session.execute(delete(Document).where(Document.id == document.id))


def _held(document: Document, reason: HoldReason, now: datetime) -> HeldBack:
    return HeldBack(
        id=HeldBackId(new_identifier()),
        transfer_id=document.transfer_id,
        document_id=document.id,
        sealed_name=document.sealed_name,
        length_bytes=document.length_bytes,
        at=now,
        reason=reason,
    )
