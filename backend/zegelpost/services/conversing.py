"""Conversing: what a guest sees of their side of it: what they were asked, what they sent, and what became of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.document import Upload
from zegelpost.model.file_request import FileRequest, ItemState, RequestItem
from zegelpost.model.identifiers import DocumentId, ItemId, TransferId
from zegelpost.model.recipient import Person, Recipient
from zegelpost.model.template import fill_in
from zegelpost.model.transfer import Transfer, TransferKind, TransferState, TransferText, receipt_number
from zegelpost.services.access import GuestActor
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.presenting import Presenting
from zegelpost.services.receiving import HeldBackDocument, ReadableDocument, held_back_documents, readable_documents


class AnswerState(StrEnum):
    """How far what a guest sent has come, as the guest sees it."""

    DRAFT = "draft"
    RECEIVED = "received"
    PICKED_UP = "picked_up"
    HANDLED = "handled"
    WITHDRAWN = "withdrawn"
    GONE = "gone"  # no longer kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One time that a guest sent something. Note and documents are missing once it was taken back or is no longer kept."""

    id: TransferId
    number: str
    state: AnswerState
    sent_at: datetime | None
    note: str = field(repr=False)
    documents: Sequence[ReadableDocument] = field(default=(), repr=False)
    held_back: Sequence[HeldBackDocument] = field(default=(), repr=False)
    uploads: dict[DocumentId, Upload] = field(default_factory=dict, repr=False)  # of a draft, by document


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedItem:
    id: ItemId
    name: str = field(repr=False)
    state: ItemState
    reason: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a guest answers to: who asks, and what they wrote."""

    kind: TransferKind
    sender_name: str
    sender_email: str
    sent_at: datetime
    expires_at: datetime
    text: TransferText


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """What a guest sees besides what they were sent: what was asked, and what they sent."""

    kind: TransferKind
    guest: Person = field(repr=False)
    request: FileRequest | None
    items: Sequence[AskedItem]
    draft: Answer | None
    answers: Sequence[Answer]

    @property
    def is_open(self) -> bool:
        """Whether something can be added."""
        return self.request is None or self.request.closed_at is None


class Conversing:
    def __init__(self, database: Database, keeping_keys: KeepingKeys, presenting: Presenting) -> None:
        self._database = database
        self._keys = keeping_keys
        self._presenting = presenting

    async def asked(self, guest: GuestActor) -> Asked:
        """What this guest answers to."""
        async with self._database.reading() as session:
            sender = await self._presenting.sender_of(session, guest.transfer)
        assert guest.transfer.sent_at is not None
        assert guest.transfer.expires_at is not None
        return Asked(
            kind=guest.transfer.kind,
            sender_name=sender.name,
            sender_email=sender.email,
            sent_at=guest.transfer.sent_at,
            expires_at=guest.transfer.expires_at,
            text=fill_in(self._keys.text(guest.key, guest.transfer), self._keys.person(guest.recipient).name),
        )

    async def conversation(self, guest: GuestActor) -> Conversation:
        """What was asked and what was sent."""
        async with self._database.reading() as session:
            request = await session.get(FileRequest, guest.transfer.id)
            items = await session.scalars(
                select(RequestItem).where(RequestItem.transfer_id == guest.transfer.id).order_by(RequestItem.position)
            )
            found = await session.scalars(
                select(Transfer)
                .where(Transfer.guest_id == guest.recipient.id, Transfer.answers_id == guest.transfer.id)
                .order_by(Transfer.created_at.desc())
            )
            answers = [await self._answer(session, guest, transfer) for transfer in found]
        return Conversation(
            kind=guest.transfer.kind,
            guest=self._keys.person(guest.recipient),
            request=request,
            items=[
                AskedItem(
                    id=item.id,
                    name=self._keys.open_line(guest.key, name_place(item), item.sealed_name),
                    state=item.state,
                    reason=self._keys.open_line(guest.key, reason_place(item), item.sealed_reason) if item.sealed_reason else "",
                )
                for item in items
            ],
            draft=next((answer for answer in answers if answer.state == AnswerState.DRAFT), None),
            answers=[answer for answer in answers if answer.state != AnswerState.DRAFT],
        )

    async def _answer(self, session: AsyncSession, guest: GuestActor, transfer: Transfer) -> Answer:
        receivers = list(await session.scalars(select(Recipient).where(Recipient.transfer_id == transfer.id)))
        state = _state(transfer, receivers)
        documents: list[ReadableDocument] = []
        uploads: dict[DocumentId, Upload] = {}
        held_back: Sequence[HeldBackDocument] = ()
        note = ""
        if transfer.guest_wrap is not None and state != AnswerState.WITHDRAWN:
            key = self._keys.answer_key(transfer, guest.key)
            note = self._keys.text(key, transfer).note
            documents = await readable_documents(session, self._keys, key, transfer, with_arriving=True)
            held_back = await held_back_documents(session, self._keys, key, transfer)
        if state == AnswerState.DRAFT:
            found = await session.scalars(select(Upload).where(Upload.transfer_id == transfer.id))
            uploads = {upload.document_id: upload for upload in found}
        return Answer(
            id=transfer.id,
            number=receipt_number(transfer.id),
            state=state,
            sent_at=transfer.sent_at,
            note=note,
            documents=documents,
            held_back=held_back,
            uploads=uploads,
        )


def name_place(item: RequestItem) -> str:
    return f"transfer/{item.transfer_id}/item/{item.id}/name"


def reason_place(item: RequestItem) -> str:
    return f"transfer/{item.transfer_id}/item/{item.id}/reason"


def _state(transfer: Transfer, receivers: Sequence[Recipient]) -> AnswerState:
    if transfer.state == TransferState.DRAFT:
        return AnswerState.DRAFT
    if transfer.revoked_at is not None:
        return AnswerState.WITHDRAWN
    if any(receiver.handled_at is not None for receiver in receivers):
        return AnswerState.HANDLED
    if any(receiver.opened_at is not None for receiver in receivers):
        return AnswerState.PICKED_UP
    return AnswerState.RECEIVED if transfer.state == TransferState.SENT else AnswerState.GONE
