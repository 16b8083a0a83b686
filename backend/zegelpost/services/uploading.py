"""Uploading: documents arrive over tus and are sealed while they do. No plaintext ever touches a disk.

Each PATCH makes one part. The offset of an upload is the sum of the parts that were committed, never the length of a file.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import delete, select, update

from zegelpost.database import Database
from zegelpost.model.clock import Clock
from zegelpost.model.document import MOST_PARTS, UPLOAD_LIFETIME, Document, DocumentState, OrphanBlob, Part, Upload
from zegelpost.model.event import EventTag
from zegelpost.model.file_name import FileName
from zegelpost.model.held_back import HeldBack
from zegelpost.model.identifiers import BlobName, DocumentId, UploadId, new_identifier
from zegelpost.model.refusals import (
    ChecksumMismatch,
    DocumentHeld,
    NotFound,
    UploadExpired,
    UploadInUse,
    UploadLengthExceeded,
    UploadOffsetMismatch,
    UploadTooManyParts,
)
from zegelpost.model.transfer import Transfer
from zegelpost.ports import Blobs, Scanner
from zegelpost.process import is_gone, new_writer
from zegelpost.sealing.keys import MessageKey
from zegelpost.sealing.manifest import open_manifest
from zegelpost.sealing.parts import PartContext
from zegelpost.services.access import Sender, document_of, drafted_transfer, own_upload
from zegelpost.services.completing import Completing, remove_document
from zegelpost.services.governing import Governing
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.recording import record
from zegelpost.services.requiring_room import lock_sender, require_room
from zegelpost.services.scanning import StreamScan
from zegelpost.services.sealing_stream import Body, BodyCut, PiecewiseBody, SealedPart, seal_stream

# Short, because when another machine crashed nobody can go on before it is over; losing it costs one PATCH, never a byte that
# was acknowledged.
_WRITER_LEASE: Final = timedelta(seconds=15)
_RENEW_EVERY_SECONDS: Final = 4
_ORPHAN_AFTER: Final = timedelta(days=1)  # after the last sign of life of its writer
_DIGESTS_KEPT: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadStatus:
    """`sha256` is there once the document is complete: the receipt that the sender's program compares."""

    id: UploadId
    document_id: DocumentId
    offset_bytes: int
    length_bytes: int
    expires_at: datetime
    sha256: bytes | None = None


@dataclass(frozen=True, slots=True)
class Checksum:
    """What the client says the body of this PATCH hashes to (tus checksum extension)."""

    algorithm: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class _Writing:
    """One PATCH that has the right to write."""

    upload: Upload
    document: Document
    transfer: Transfer
    key: MessageKey
    writer: str
    blob: BlobName


class Uploading:
    def __init__(
        self,
        database: Database,
        keeping_keys: KeepingKeys,
        blobs: Blobs,
        scanner: Scanner,
        governing: Governing,
        clock: Clock,
    ) -> None:
        self._database = database
        self._keys = keeping_keys
        self._blobs = blobs
        self._governing = governing
        self._clock = clock
        self._completing = Completing(database, keeping_keys, blobs, scanner, governing, clock)
        # Running digests of uploads that come in several PATCHes. Only a shortcut: another process reads the parts again.
        self._digests: OrderedDict[UploadId, tuple[int, Any]] = OrderedDict()

    async def create(self, actor: Sender, transfer_id: str, name: FileName, length_bytes: int) -> UploadStatus:
        """Announce a document. Size, count, quota and extension are refused here, before a byte travels."""
        self._governing.policy.require_document(name, length_bytes)
        now = self._clock()
        async with self._database.work() as session:
            await lock_sender(session, actor)
            transfer = await drafted_transfer(session, actor, transfer_id, lock=True)
            transfer.require_draft()
            position = await require_room(session, actor, transfer, self._governing.policy, length_bytes)
            key = self._keys.message_key(transfer, actor.holds)
            document = Document(
                id=DocumentId(new_identifier()),
                transfer_id=transfer.id,
                state=DocumentState.ARRIVING,
                position=position,
                length_bytes=length_bytes,
                created_at=now,
            )
            document.sealed_name = self._keys.seal_document_name(key, document.id, name)
            session.add(document)
            await session.flush()
            upload = Upload(
                id=UploadId(new_identifier()),
                document_id=document.id,
                transfer_id=transfer.id,
                length_bytes=length_bytes,
                offset_bytes=0,
                part_count=0,
                created_at=now,
                expires_at=now + UPLOAD_LIFETIME,
            )
            session.add(upload)
        return _status(upload)

    async def status(self, actor: Sender, upload_id: str) -> UploadStatus:
        """Where to go on. Also finishes an upload that has all its bytes but was interrupted before it was finished."""
        async with self._database.reading() as session:
            upload, document, transfer = await own_upload(session, actor, upload_id)
            key = self._keys.message_key(transfer, actor.holds)
        self._require_alive(upload, document)
        await self._require_not_held(document)
        if document.state == DocumentState.COMPLETE:
            return _status(upload, self._sha256(key, document))
        if upload.offset_bytes == upload.length_bytes and (upload.writer_until is None or upload.writer_until < self._clock()):
            return await self.receive(actor, upload_id, upload.offset_bytes, PiecewiseBody(_nothing()))
        return _status(upload)

    async def receive(
        self, actor: Sender, upload_id: str, offset_bytes: int, body: Body, checksum: Checksum | None = None
    ) -> UploadStatus:
        """Take one PATCH: seal it as one part, and finish the document when it is whole.

        1. The upload is this person's and alive, the offset is right, and nobody else is writing: one writer over all
           processes, by a lease in the database.
        2. The body is sealed into a new blob. When the line drops, what arrived is kept, unless a checksum covers the whole.
        3. Part, offset and the end of the blob's orphanhood commit together.
        4. When all bytes are there, the document is finished. Finishing twice is no error: the first answer may have been lost.
        """
        # 1.
        writing = await self._claim(actor, upload_id, offset_bytes)
        async with self._lease(writing), self._scan(writing, body) as scan:
            # 2. and 3.
            digest = await self._take_part(writing, body, checksum, scan)
            # 4.
            upload, document = writing.upload, writing.document
            await self._require_not_held(document)
            if document.state == DocumentState.COMPLETE:
                return _status(upload, self._sha256(writing.key, document))
            if upload.offset_bytes == upload.length_bytes:
                subject = actor.subject(writing.transfer, document_id=document.id)
                sha256 = digest.digest() if digest is not None else None
                return _status(
                    upload, await self._completing.complete(subject, writing.transfer, document, writing.key, sha256, scan)
                )
        return _status(upload)

    async def add_document(
        self, actor: Sender, transfer_id: str, name: FileName, length_bytes: int, body: Body, checksum: Checksum | None = None
    ) -> UploadStatus:
        """Announce a document and take bytes in one request (tus creation-with-upload, and forms without script).

        When it fails nothing stays: the client never learned the upload's address, so nobody could go on or remove it. What is
        held back did not fail.
        """
        upload = await self.create(actor, transfer_id, name, length_bytes)
        try:
            return await self.receive(actor, upload.id, 0, body, checksum)
        except DocumentHeld:
            raise
        except BaseException:
            with suppress(NotFound):  # what was refused for its content is gone already
                await asyncio.shield(self.cancel(actor, upload.id))
            raise

    async def cancel(self, actor: Sender, upload_id: str) -> None:
        """Remove an upload and its document from a draft (tus termination)."""
        async with self._database.work() as session:
            upload, document, transfer = await own_upload(session, actor, upload_id)
            transfer.require_draft()
            self._digests.pop(upload.id, None)
            await remove_document(session, document, self._clock())
            await session.execute(delete(HeldBack).where(HeldBack.document_id == document.id))
            record(session, EventTag.DOCUMENT_REMOVED, actor.subject(transfer, document_id=document.id), self._clock())

    async def remove_document(self, actor: Sender, transfer_id: str, document_id: str) -> None:
        """The same, by document."""
        async with self._database.reading() as session:
            transfer = await drafted_transfer(session, actor, transfer_id)
            document = await document_of(session, transfer, document_id)
            upload_id = await session.scalar(select(Upload.id).where(Upload.document_id == document.id))
        await self.cancel(actor, str(upload_id))

    # One PATCH

    async def _claim(self, actor: Sender, upload_id: str, offset_bytes: int) -> _Writing:
        now = self._clock()
        writer = new_writer()
        blob = BlobName(new_identifier())
        async with self._database.work() as session:
            upload, document, transfer = await own_upload(session, actor, upload_id)
            transfer.require_draft()
            self._require_alive(upload, document)
            if upload.part_count >= MOST_PARTS and upload.offset_bytes < upload.length_bytes:
                raise UploadTooManyParts(limit=MOST_PARTS)
            is_free = (Upload.writer.is_(None)) | (Upload.writer_until < now)
            if upload.writer is not None and await asyncio.to_thread(is_gone, upload.writer):
                is_free |= Upload.writer == upload.writer
            claimed = await session.scalar(
                update(Upload)
                .where(Upload.id == upload.id, Upload.offset_bytes == offset_bytes, is_free)
                .values(writer=writer, writer_until=now + _WRITER_LEASE)
                .returning(Upload.id)
                .execution_options(synchronize_session=False)
            )
            if claimed is None:
                await session.refresh(upload)
                if upload.offset_bytes != offset_bytes:
                    raise UploadOffsetMismatch(offset_bytes=upload.offset_bytes)
                raise UploadInUse
            # Written before the blob exists: a crash leaves something that the sweep finds.
            session.add(OrphanBlob(name=blob, due_at=now + _ORPHAN_AFTER))
            key = self._keys.message_key(transfer, actor.holds)
        return _Writing(upload, document, transfer, key, writer, blob)

    async def _take_part(self, writing: _Writing, body: Body, checksum: Checksum | None, scan: StreamScan | None) -> Any | None:
        """Seal the body and commit it; returns the running digest if this process has seen the document from its start."""
        upload = writing.upload
        room = upload.length_bytes - upload.offset_bytes
        if body.announced_bytes is not None and body.announced_bytes > room:
            await self._drop_blob(writing)
            raise UploadLengthExceeded
        digest = self._digest_at(upload)
        if room == 0:
            await self._drop_blob(writing)
            await _require_end(body)
            return digest
        checksum_hash = hashlib.new(checksum.algorithm) if checksum else None
        try:
            part = await seal_stream(
                body,
                key=writing.key.document_key(writing.document.id),
                context=PartContext(writing.transfer.id, writing.document.id, upload.part_count),
                blob=await asyncio.to_thread(self._blobs.create, writing.blob),
                hashers=[each for each in (digest, checksum_hash) if each is not None],
                scan=scan,
                most_bytes=room,
            )
            _require_wanted(part, checksum, checksum_hash)
        except BaseException:
            await asyncio.shield(self._drop_blob(writing))
            raise
        if part.length_bytes == 0:
            await self._drop_blob(writing)
            return None
        # The line may be gone, and with it whoever waits for us; what arrived is committed all the same.
        await asyncio.shield(self._commit_part(writing, part, digest))
        if part.is_cut:
            raise BodyCut
        return digest

    async def _commit_part(self, writing: _Writing, part: SealedPart, digest: Any | None) -> None:
        now = self._clock()
        upload = writing.upload
        is_whole = upload.offset_bytes + part.length_bytes == upload.length_bytes
        async with self._database.work() as session:
            moved = await session.scalar(
                update(Upload)
                .where(Upload.id == upload.id, Upload.writer == writing.writer, Upload.offset_bytes == upload.offset_bytes)
                .values(
                    offset_bytes=Upload.offset_bytes + part.length_bytes,
                    part_count=Upload.part_count + 1,
                    expires_at=now + UPLOAD_LIFETIME,
                    writer_until=now + _WRITER_LEASE,
                )
                .returning(Upload.id)
                .execution_options(synchronize_session=False)
            )
            if moved is None:
                # The lease was lost, to another writer or to a removal; the blob stays an orphan.
                raise UploadInUse
            session.add(
                Part(
                    document_id=writing.document.id,
                    number=upload.part_count,
                    offset_bytes=upload.offset_bytes,
                    length_bytes=part.length_bytes,
                    header=part.header,
                    blob=writing.blob,
                )
            )
            await session.execute(delete(OrphanBlob).where(OrphanBlob.name == writing.blob))
        upload.offset_bytes += part.length_bytes
        upload.part_count += 1
        upload.expires_at = now + UPLOAD_LIFETIME
        if digest is not None and not is_whole:
            self._digests[upload.id] = (upload.offset_bytes, digest)
            while len(self._digests) > _DIGESTS_KEPT:
                self._digests.popitem(last=False)

    def _digest_at(self, upload: Upload) -> Any | None:
        """The running SHA-256 up to the upload's offset, if this process has it."""
        if upload.offset_bytes == 0:
            return hashlib.sha256()
        offset_bytes, digest = self._digests.pop(upload.id, (0, None))
        return digest if offset_bytes == upload.offset_bytes else None

    @asynccontextmanager
    async def _scan(self, writing: _Writing, body: Body) -> AsyncIterator[StreamScan | None]:
        scan = self._completing.begin_scan(writing.upload, body.announced_bytes)
        try:
            yield scan
        finally:
            if scan is not None:
                await scan.stop()

    @asynccontextmanager
    async def _lease(self, writing: _Writing) -> AsyncIterator[None]:
        """Keep the right to write while at it, and give it back at the end, whatever happens."""
        renewing = asyncio.create_task(self._renew(writing))
        try:
            yield
        finally:
            renewing.cancel()
            with suppress(asyncio.CancelledError):
                await renewing
            await asyncio.shield(self._set_writer(writing, None, None))

    async def _renew(self, writing: _Writing) -> None:
        while True:
            await asyncio.sleep(_RENEW_EVERY_SECONDS)
            await self._set_writer(writing, writing.writer, self._clock() + _WRITER_LEASE)
            # Twenty gigabytes over a slow line take days; the sweep must not come before their end.
            async with self._database.work() as session:
                await session.execute(
                    update(OrphanBlob)
                    .where(OrphanBlob.name == writing.blob)
                    .values(due_at=self._clock() + _ORPHAN_AFTER)
                    .execution_options(synchronize_session=False)
                )

    async def _set_writer(self, writing: _Writing, writer: str | None, until: datetime | None) -> None:
        async with self._database.work() as session:
            await session.execute(
                update(Upload)
                .where(Upload.id == writing.upload.id, Upload.writer == writing.writer)
                .values(writer=writer, writer_until=until)
                .execution_options(synchronize_session=False)
            )

    async def _drop_blob(self, writing: _Writing) -> None:
        await asyncio.to_thread(self._blobs.delete, writing.blob)
        async with self._database.work() as session:
            await session.execute(delete(OrphanBlob).where(OrphanBlob.name == writing.blob))

    def _require_alive(self, upload: Upload, document: Document) -> None:
        if document.state == DocumentState.ARRIVING and upload.expires_at <= self._clock():
            raise UploadExpired

    async def _require_not_held(self, document: Document) -> None:
        if document.state != DocumentState.HELD:
            return
        async with self._database.reading() as session:
            reason = (await session.scalars(select(HeldBack.reason).where(HeldBack.document_id == document.id))).one()
        raise DocumentHeld(reason=reason.value)

    def _sha256(self, key: MessageKey, document: Document) -> bytes:
        assert document.sealed_manifest is not None
        assert document.manifest_digest is not None
        manifest = open_manifest(
            key,
            transfer_id=document.transfer_id,
            document_id=document.id,
            sealed=document.sealed_manifest,
            expected_digest=document.manifest_digest,
        )
        return manifest.sha256


def _require_wanted(part: SealedPart, checksum: Checksum | None, checksum_hash: Any) -> None:
    """Raise for what is discarded whole: too long, not what the checksum says, or cut before a byte arrived."""
    if part.is_too_long:
        raise UploadLengthExceeded
    if part.is_cut and (checksum is not None or part.length_bytes == 0):
        raise BodyCut
    if checksum is not None and not hmac.compare_digest(checksum_hash.digest(), checksum.digest):
        raise ChecksumMismatch


async def _require_end(body: Body) -> None:
    if await body.readinto(memoryview(bytearray(1))):
        raise UploadLengthExceeded


async def _nothing() -> AsyncIterator[bytes]:
    for piece in list[bytes]():
        yield piece


def _status(upload: Upload, sha256: bytes | None = None) -> UploadStatus:
    return UploadStatus(
        id=upload.id,
        document_id=upload.document_id,
        offset_bytes=upload.offset_bytes,
        length_bytes=upload.length_bytes,
        expires_at=upload.expires_at,
        sha256=sha256,
    )
