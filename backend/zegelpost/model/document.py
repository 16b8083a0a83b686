"""Documents: named things in a transfer, as people see them, and the uploads and parts that bring them in."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from zegelpost.model.base import DIGEST, IDENTIFIER, Base, text_of
from zegelpost.model.identifiers import BlobName, DocumentId, TransferId, UploadId

UPLOAD_LIFETIME: Final = timedelta(days=7)  # after the last part that arrived
MOST_PARTS: Final = 10_000  # of one document; keeps the manifest and the bookkeeping of a hostile client small


class DocumentState(StrEnum):
    ARRIVING = "arriving"
    COMPLETE = "complete"
    HELD = "held"  # all there, and given to nobody: see `HeldBack`


IS_ARRIVING: Final = "state = 'arriving'"


class ScanVerdict(StrEnum):
    """What the malware scanner said. `NOT_SCANNED` is its own answer: it is never shown as clean."""

    CLEAN = "clean"
    INFECTED = "infected"
    NOT_SCANNED = "not_scanned"


class Document(Base):
    __tablename__ = "document"
    # The few that are on their way, for the sweep.
    __table_args__ = (
        Index("ix_document_arriving", "created_at", sqlite_where=text(IS_ARRIVING), postgresql_where=text(IS_ARRIVING)),
    )

    id: Mapped[DocumentId] = mapped_column(IDENTIFIER, primary_key=True)
    transfer_id: Mapped[TransferId] = mapped_column(ForeignKey("transfer.id"), index=True)
    state: Mapped[DocumentState] = mapped_column(text_of(DocumentState), default=DocumentState.ARRIVING)
    position: Mapped[int]
    sealed_name: Mapped[bytes] = mapped_column(LargeBinary)
    length_bytes: Mapped[int] = mapped_column(BigInteger)
    sealed_manifest: Mapped[bytes | None] = mapped_column(LargeBinary)
    # Pins the one manifest that was acknowledged: an older one put back would be refused.
    manifest_digest: Mapped[bytes | None] = mapped_column(DIGEST)
    scan_verdict: Mapped[ScanVerdict | None] = mapped_column(text_of(ScanVerdict))
    created_at: Mapped[datetime]
    completed_at: Mapped[datetime | None]


class Upload(Base):
    """The tus resource through which one document arrives. Its offset is the sum of its committed parts."""

    __tablename__ = "upload"

    id: Mapped[UploadId] = mapped_column(IDENTIFIER, primary_key=True)
    document_id: Mapped[DocumentId] = mapped_column(ForeignKey("document.id"), unique=True)
    transfer_id: Mapped[TransferId] = mapped_column(ForeignKey("transfer.id"), index=True)
    length_bytes: Mapped[int] = mapped_column(BigInteger)
    offset_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    part_count: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    # Who writes now: one PATCH at a time, over all web processes. The lease outlives no crash.
    writer: Mapped[str | None] = mapped_column(IDENTIFIER)
    writer_until: Mapped[datetime | None]


class Part(Base):
    """What one PATCH sealed."""

    __tablename__ = "part"
    __table_args__ = (UniqueConstraint("blob"),)

    document_id: Mapped[DocumentId] = mapped_column(ForeignKey("document.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    offset_bytes: Mapped[int] = mapped_column(BigInteger)
    length_bytes: Mapped[int] = mapped_column(BigInteger)
    header: Mapped[bytes] = mapped_column(LargeBinary(40))
    blob: Mapped[BlobName] = mapped_column(IDENTIFIER)


class OrphanBlob(Base):
    """A blob whose row is gone or never came; the sweep removes its bytes. Written before the blob, removed with the part."""

    __tablename__ = "orphan_blob"

    name: Mapped[BlobName] = mapped_column(IDENTIFIER, primary_key=True)
    due_at: Mapped[datetime] = mapped_column(index=True)
