"""Fetching back: senders get their own documents, out of the sender copy or with the sign-in that made the draft."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.clock import Clock
from zegelpost.model.document import Document, DocumentState
from zegelpost.model.event import EventTag
from zegelpost.model.handed_over import Piece
from zegelpost.model.refusals import NotFound
from zegelpost.model.transfer import Transfer, TransferState
from zegelpost.sealing.keys import MessageKey
from zegelpost.services.access import StaffActor, document_of, own_transfer
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.recording import record


@dataclass(frozen=True, slots=True)
class OwnCopy:
    """Documents of one's own transfer, and the key that opens them."""

    transfer: Transfer
    documents: Sequence[Document]
    key: MessageKey = field(repr=False)
    is_whole: bool  # all of them, rather than one that was named


class FetchingBack:
    def __init__(self, database: Database, keeping_keys: KeepingKeys, clock: Clock) -> None:
        self._database = database
        self._keys = keeping_keys
        self._clock = clock

    async def document(self, actor: StaffActor, transfer_id: str, document_id: str) -> OwnCopy:
        """One document. Raises `NotFound`, `LinkNotReissuable` when sent link-only, `TransferExpired` after the week."""
        async with self._database.reading() as session:
            transfer = await _kept_transfer(session, actor, transfer_id)
            document = await document_of(session, transfer, document_id)
        return OwnCopy(transfer, [document], self._keys.message_key(transfer, actor.token), is_whole=False)

    async def documents(self, actor: StaffActor, transfer_id: str) -> OwnCopy:
        """All documents that have fully arrived. Raises the same."""
        async with self._database.reading() as session:
            transfer = await _kept_transfer(session, actor, transfer_id)
            documents = await session.scalars(
                select(Document)
                .where(Document.transfer_id == transfer.id, Document.state == DocumentState.COMPLETE)
                .order_by(Document.position, Document.created_at)
            )
            return OwnCopy(transfer, list(documents), self._keys.message_key(transfer, actor.token), is_whole=True)

    async def handed_over(self, actor: StaffActor, copy: OwnCopy, piece: Piece) -> None:
        """Record the download of one document when one answer held all of it; what senders fetch of their own proves nothing."""
        if piece == (0, copy.documents[0].length_bytes):
            await self.fetched(actor, copy)

    async def fetched(self, actor: StaffActor, copy: OwnCopy) -> None:
        """Record that all of it was handed over. It is the sender's own, so no recipient counts as having fetched it."""
        tag = EventTag.ARCHIVE_DOWNLOADED if copy.is_whole else EventTag.DOCUMENT_DOWNLOADED
        document_id = None if copy.is_whole else copy.documents[0].id
        async with self._database.work() as session:
            record(session, tag, actor.subject(copy.transfer, document_id=document_id), self._clock())


async def _kept_transfer(session: AsyncSession, actor: StaffActor, transfer_id: str) -> Transfer:
    transfer = await own_transfer(session, actor, transfer_id)
    if transfer.state == TransferState.ERASED:
        raise NotFound
    return transfer
