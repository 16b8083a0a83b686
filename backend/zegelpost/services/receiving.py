"""Receiving: reading a transfer and fetching its documents, as a recipient or as a colleague who signed in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.clock import Clock
from zegelpost.model.document import Document, DocumentState, ScanVerdict
from zegelpost.model.event import EventTag
from zegelpost.model.file_name import FileName
from zegelpost.model.handed_over import Piece
from zegelpost.model.held_back import HeldBack, HoldOutcome, HoldReason
from zegelpost.model.identifiers import DocumentId, TransferId
from zegelpost.model.recipient import Grant, Recipient
from zegelpost.model.secret import SecretToken
from zegelpost.model.staff_user import StaffUser
from zegelpost.model.template import fill_in
from zegelpost.model.transfer import Transfer, TransferText
from zegelpost.sealing.keys import MessageKey
from zegelpost.services.access import StaffActor, document_of, granted, received_transfer
from zegelpost.services.handing_over import has_all, is_asked_anew
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.noticing import Noticing
from zegelpost.services.presenting import Presenting
from zegelpost.services.recording import Subject, record


@dataclass(frozen=True, slots=True)
class ReadableDocument:
    """A document as people see it."""

    id: DocumentId
    name: FileName = field(repr=False)
    length_bytes: int
    scan_verdict: ScanVerdict | None
    is_complete: bool = True


@dataclass(frozen=True, slots=True)
class HeldBackDocument:
    """A guest's document that was held back, why, and what came of it. `judged_by` is a colleague's name, once someone judged."""

    id: DocumentId
    name: FileName = field(repr=False)
    length_bytes: int
    reason: HoldReason
    outcome: HoldOutcome | None
    judged_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadableTransfer:
    """An opened transfer."""

    id: TransferId
    sender_name: str
    sender_email: str
    is_guest: bool
    sent_at: datetime
    expires_at: datetime
    text: TransferText
    documents: Sequence[ReadableDocument]
    language: str


@dataclass(frozen=True, slots=True)
class Reader:
    """Someone who may read one transfer now, and the key that lets them."""

    transfer: Transfer
    recipient: Recipient
    key: MessageKey = field(repr=False)
    subject: Subject

    @property
    def id(self) -> str:
        """Whose download it is: of those who work for a department each has their own."""
        return self.subject.staff_user_id or self.recipient.id

    def about(self, document_id: DocumentId | None) -> Subject:
        """Who read what, for the record."""
        return replace(self.subject, transfer_id=self.transfer.id, recipient_id=self.recipient.id, document_id=document_id)


class Receiving:
    def __init__(
        self, database: Database, keeping_keys: KeepingKeys, presenting: Presenting, noticing: Noticing, clock: Clock
    ) -> None:
        self._database = database
        self._keys = keeping_keys
        self._presenting = presenting
        self._noticing = noticing
        self._clock = clock

    async def by_grant(self, link_id: str, cookie: SecretToken | None) -> Reader:
        """A verified recipient. Raises what stands in the way; keeps the grant from running idle."""
        now = self._clock()
        async with self._database.reading() as session:
            actor = await granted(session, link_id, cookie, now)
            assert cookie is not None
            key = self._keys.grant_key(actor.transfer.id, actor.grant, cookie)
        async with self._database.work() as session:
            await session.execute(update(Grant).where(Grant.digest == actor.grant.digest).values(last_used_at=now))
        return Reader(actor.transfer, actor.recipient, key, actor.subject())

    async def by_sign_in(self, actor: StaffActor, transfer_id: str) -> Reader:
        """A colleague who is a recipient. Raises `NotFound` to everyone else."""
        now = self._clock()
        async with self._database.reading() as session:
            transfer, recipient = await received_transfer(
                session, actor, self._keys.index("email", actor.user.email), transfer_id, now
            )
            key = self._keys.colleague_key(transfer, recipient)
        return Reader(transfer, recipient, key, actor.subject(transfer, recipient_id=recipient.id))

    async def read(self, reader: Reader) -> ReadableTransfer:
        """Note and documents; the first time counts as opened."""
        now = self._clock()
        async with self._database.work() as session:
            await session.execute(
                update(Recipient).where(Recipient.id == reader.recipient.id, Recipient.opened_at.is_(None)).values(opened_at=now)
            )
            sender = await self._presenting.sender_of(session, reader.transfer)
            documents = await readable_documents(session, self._keys, reader.key, reader.transfer)
        transfer = reader.transfer
        assert transfer.sent_at is not None
        assert transfer.expires_at is not None
        return ReadableTransfer(
            id=transfer.id,
            sender_name=sender.name,
            sender_email=sender.email,
            is_guest=sender.is_guest,
            sent_at=transfer.sent_at,
            expires_at=transfer.expires_at,
            text=fill_in(self._keys.text(reader.key, transfer), self._keys.person(reader.recipient).name),
            documents=documents,
            language=transfer.language,
        )

    async def document(self, reader: Reader, document_id: str) -> Document:
        """A document of the transfer this reader may read. Raises `NotFound`."""
        async with self._database.reading() as session:
            return await document_of(session, reader.transfer, document_id)

    async def documents(self, reader: Reader) -> list[Document]:
        """All documents, for the archive."""
        async with self._database.reading() as session:
            return await _complete_documents(session, reader.transfer)

    async def consulted(self, reader: Reader, document: Document, *, is_piece: bool) -> None:
        """Record that a document was asked for, whether or not all of it arrives. Going on with a download is asking once."""
        now = self._clock()
        async with self._database.work() as session:
            if not is_piece or await is_asked_anew(session, document, reader.id, now):
                record(session, EventTag.DOCUMENT_CONSULTED, reader.about(document.id), now)

    async def handed_over(self, reader: Reader, document: Document, piece: Piece) -> None:
        """Remember what of a document was handed over, and record the download once that is all; only this counts as fetched."""
        now = self._clock()
        async with self._database.work() as session:
            if await has_all(session, document, reader.id, piece, now):
                await self._record_fetched(session, EventTag.DOCUMENT_DOWNLOADED, reader, document.id, now)

    async def archive_consulted(self, reader: Reader) -> None:
        """Record that all documents were asked for in one file, whether or not all of it arrives."""
        async with self._database.work() as session:
            record(session, EventTag.ARCHIVE_CONSULTED, reader.about(None), self._clock())

    async def archive_downloaded(self, reader: Reader) -> None:
        """Record that the last byte of the archive was handed over; it has no ranges, so that is all of it."""
        async with self._database.work() as session:
            await self._record_fetched(session, EventTag.ARCHIVE_DOWNLOADED, reader, None, self._clock())

    async def _record_fetched(
        self, session: AsyncSession, tag: EventTag, reader: Reader, document_id: DocumentId | None, now: datetime
    ) -> None:
        record(session, tag, reader.about(document_id), now)
        first = await session.scalar(
            update(Recipient)
            .where(Recipient.id == reader.recipient.id, Recipient.fetched_at.is_(None))
            .values(fetched_at=now)
            .returning(Recipient.id)
            .execution_options(synchronize_session=False)
        )
        if first is not None:
            await self._noticing.first_download(session, reader.transfer, reader.recipient)


async def readable_documents(
    session: AsyncSession, keeping_keys: KeepingKeys, key: MessageKey, transfer: Transfer, *, with_arriving: bool = False
) -> list[ReadableDocument]:
    """The documents of a transfer with their names opened."""
    query = select(Document).where(Document.transfer_id == transfer.id).order_by(Document.position, Document.created_at)
    return readable(keeping_keys, key, (await session.scalars(query)).all(), with_arriving=with_arriving)


def readable(
    keeping_keys: KeepingKeys, key: MessageKey, documents: Sequence[Document], *, with_arriving: bool = False
) -> list[ReadableDocument]:
    """These documents of one transfer with their names opened, without what is held back."""
    return [
        ReadableDocument(
            document.id,
            keeping_keys.document_name(key, document),
            document.length_bytes,
            document.scan_verdict,
            document.state == DocumentState.COMPLETE,
        )
        for document in documents
        if document.state == DocumentState.COMPLETE or (with_arriving and document.state == DocumentState.ARRIVING)
    ]


async def _complete_documents(session: AsyncSession, transfer: Transfer) -> list[Document]:
    query = (
        select(Document)
        .where(Document.transfer_id == transfer.id, Document.state == DocumentState.COMPLETE)
        .order_by(Document.position, Document.created_at)
    )
    return list(await session.scalars(query))


async def held_back_documents(
    session: AsyncSession, keys: KeepingKeys, key: MessageKey, transfer: Transfer
) -> list[HeldBackDocument]:
    """What of a guest was not let through at once, oldest first."""
    found = await session.execute(
        select(HeldBack, StaffUser.name)
        .outerjoin(StaffUser, StaffUser.id == HeldBack.judged_by_id)
        .where(HeldBack.transfer_id == transfer.id)
        .order_by(HeldBack.at, HeldBack.id)
    )
    return [
        HeldBackDocument(
            held.document_id, keys.held_back_name(key, held), held.length_bytes, held.reason, held.outcome, name or ""
        )
        for held, name in found.all()
    ]
