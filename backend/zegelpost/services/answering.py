"""Answering: guests send documents and a note back, by the link of what they were sent or asked, without an account.

Each time is a transfer of its own, sealed under its own key. The guest's link opens those keys too, so that they see what
they sent; the other recipients' links do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.clock import Clock
from zegelpost.model.department import Department
from zegelpost.model.document import Document, DocumentState, Upload
from zegelpost.model.event import EventTag
from zegelpost.model.file_request import FileRequest, ItemState, RequestItem
from zegelpost.model.held_back import HeldBack, HoldReason
from zegelpost.model.identifiers import DepartmentId, DocumentId, ItemId, RecipientId, TransferId, new_identifier
from zegelpost.model.intake import WAITS_FOR_ACCOUNT
from zegelpost.model.outgoing import Purpose
from zegelpost.model.recipient import Grant, Person, Recipient, VerificationMethod
from zegelpost.model.refusals import AnswerPickedUp, DepartmentClosed, FormRefused, NoteTooLong, TransferNotSent
from zegelpost.model.secret import SecretToken
from zegelpost.model.template import fill_in
from zegelpost.model.transfer import (
    LONGEST_NOTE,
    LONGEST_SUBJECT,
    Transfer,
    TransferKind,
    TransferState,
    TransferText,
    receipt_number,
)
from zegelpost.services.access import GuestActor, granted, own_answer
from zegelpost.services.erasing import erase
from zegelpost.services.governing import Governing
from zegelpost.services.holding import is_held
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.limiting_tries import Limit, count_try
from zegelpost.services.notifying import Notifying
from zegelpost.services.presenting import Correspondent, Presenting
from zegelpost.services.receiving import HeldBackDocument, ReadableDocument, held_back_documents, readable_documents
from zegelpost.services.recording import record
from zegelpost.services.requiring_content import require_content

_DAY: Final = timedelta(days=1)
_ANSWERS_PER_INTAKE: Final = 10
_ANSWERS_PER_MAILBOX: Final = 20


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


class Answering:
    def __init__(
        self,
        database: Database,
        keeping_keys: KeepingKeys,
        notifying: Notifying,
        presenting: Presenting,
        governing: Governing,
        base_url: str,
        clock: Clock,
    ) -> None:
        self._database = database
        self._keys = keeping_keys
        self._notifying = notifying
        self._presenting = presenting
        self._governing = governing
        self._base_url = base_url
        self._clock = clock

    async def guest(self, link_id: str, cookie: SecretToken | None) -> GuestActor:
        """A verified recipient, as someone who sends. Raises what stands in the way; keeps the grant from running idle."""
        now = self._clock()
        async with self._database.reading() as session:
            actor = await granted(session, link_id, cookie, now, is_sending=True)
            assert cookie is not None
            key = self._keys.grant_key(actor.transfer.id, actor.grant, cookie)
        async with self._database.work() as session:
            await session.execute(update(Grant).where(Grant.digest == actor.grant.digest).values(last_sending_at=now))
        return GuestActor(actor.recipient, actor.transfer, key)

    async def adding_guest(self, link_id: str, cookie: SecretToken | None) -> GuestActor:
        """A guest who may add something now. Raises `RequestClosed` besides."""
        guest = await self.guest(link_id, cookie)
        async with self._database.reading() as session:
            await _require_open(session, guest)
        return guest

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

    async def begin(self, guest: GuestActor) -> TransferId:
        """The draft of the next answer: the one that was left, or a new one. Raises `RequestClosed`."""
        now = self._clock()
        async with self._database.work() as session:
            await _require_open(session, guest)
            # Locked, so that two taps make one draft.
            await session.get_one(Recipient, guest.recipient.id, with_for_update=True)
            left = await session.scalar(
                select(Transfer.id).where(
                    Transfer.guest_id == guest.recipient.id,
                    Transfer.answers_id == guest.transfer.id,
                    Transfer.state == TransferState.DRAFT,
                )
            )
            if left is not None:
                return left
            transfer = Transfer(
                id=TransferId(new_identifier()),
                kind=TransferKind.ANSWER,
                state=TransferState.DRAFT,
                answers_id=guest.transfer.id,
                guest_id=guest.recipient.id,
                language=guest.transfer.language,
                has_sender_copy=False,
                expires_in_days=self._governing.policy.default_expiry_days,
                created_at=now,
            )
            key = self._keys.new_answer_key(transfer, guest.key, now)
            self._keys.seal_text(key, transfer, self._text_of_answer(guest))
            session.add(transfer)
            await session.flush()
            record(session, EventTag.TRANSFER_CREATED, guest.subject(transfer), now)
        return transfer.id

    async def begin_first(self, guest: GuestActor) -> bool:
        """Make a draft right away for who comes to send and has not sent anything yet; returns whether there is one."""
        if guest.transfer.kind == TransferKind.SENDING:
            return False
        conversation = await self.conversation(guest)
        if not conversation.is_open or conversation.answers:
            return conversation.draft is not None and conversation.is_open
        await self.begin(guest)
        return True

    async def keep_note(self, guest: GuestActor, transfer_id: str, note: str) -> None:
        """Keep what was typed with the draft. Raises `FormRefused` when it is too long."""
        async with self._database.work() as session:
            transfer = await own_answer(session, guest, transfer_id, lock=True)
            transfer.require_draft()
            self._write_note(guest, transfer, note)

    async def send(self, guest: GuestActor, transfer_id: str, note: str, item_ids: Sequence[str] = ()) -> TransferId:
        """Give it to whoever we answer to. State, key, notices and events commit together or not at all.

        1. It is this guest's and still a draft, and there is still something to answer to and someone to receive it. Whoever
           was not asked may not send without end: every time is a notice to somebody.
        2. It is complete: documents that have fully arrived, or a note.
        3. The key is wrapped for whoever receives it, in the week in which it expires, and stays wrapped for the guest.
        4. The items that the guest names count as sent.
        5. The receiver gets a notice, the guest a receipt.
        """
        now = self._clock()
        async with self._database.work() as session:
            # 1.
            await _require_open(session, guest)
            transfer = await own_answer(session, guest, transfer_id, lock=True)
            transfer.require_draft()
            await _require_receiver(session, guest.transfer)
            if guest.transfer.kind == TransferKind.INTAKE:
                await count_try(session, self._limits(guest), now)
            key = self._keys.answer_key(transfer, guest.key)
            # 2.
            self._write_note(guest, transfer, note)
            await require_content(session, transfer, self._keys.text(key, transfer))
            # 3.
            transfer.sent_at = now
            transfer.expires_at = now + timedelta(days=transfer.expires_in_days)
            self._keys.seal_for_sending(key, transfer, transfer.expires_at)
            self._keys.wrap_for_guest(key, transfer, guest.key)
            transfer.state = TransferState.SENT
            to = await self._presenting.sender_of(session, guest.transfer)
            ours, department_id = to, guest.transfer.department_id
            if guest.transfer.kind == TransferKind.INTAKE and department_id is None:
                ours, department_id = await self._presenting.colleague(session, to)
            receiver = self._receiver(ours, department_id, transfer)
            if guest.transfer.kind == TransferKind.INTAKE and department_id is None:
                receiver.account_until = now + WAITS_FOR_ACCOUNT
            session.add(receiver)
            await session.flush()
            self._keys.wrap_for_colleague(key, transfer, receiver)
            # 4.
            await _mark_sent(session, guest, item_ids)
            # 5.
            states = list(await session.scalars(select(Document.state).where(Document.transfer_id == transfer.id)))
            held = list(await session.scalars(select(HeldBack.reason).where(HeldBack.transfer_id == transfer.id)))
            self._notify(session, guest, transfer, receiver, ours, to, states.count(DocumentState.COMPLETE), held)
            record(session, EventTag.TRANSFER_SENT, guest.subject(transfer), now, recipient_count=1)
            record(session, EventTag.ANSWER_RECEIVED, guest.subject(), now, answer=transfer.id)
        return transfer.id

    async def withdraw(self, guest: GuestActor, transfer_id: str) -> None:
        """Take back what nobody has opened yet; it is erased at once. Raises `AnswerPickedUp`, `TransferNotSent`."""
        now = self._clock()
        async with self._database.work() as session:
            transfer = await own_answer(session, guest, transfer_id, lock=True)
            if transfer.state != TransferState.SENT:
                raise TransferNotSent
            receivers = await session.scalars(select(Recipient).where(Recipient.transfer_id == transfer.id).with_for_update())
            for receiver in receivers:
                if receiver.opened_at is not None:
                    raise AnswerPickedUp
                await self._notifying.withdraw(session, receiver, Purpose.ANSWER_RECEIVED)
            if await is_held(session, self._keys, transfer, now):
                # For everyone it is taken back; a legal hold keeps it until it is lifted.
                transfer.state = TransferState.REVOKED
            else:
                await erase(session, transfer, now)
            transfer.revoked_at = now
            record(session, EventTag.TRANSFER_REVOKED, guest.subject(transfer), now)
            record(session, EventTag.ANSWER_REVOKED, guest.subject(), now, answer=transfer.id)

    def _limits(self, guest: GuestActor) -> list[Limit]:
        return [
            Limit("intake-answers", guest.transfer.id, _ANSWERS_PER_INTAKE, _DAY),
            Limit("intake-sender", guest.recipient.email_index.hex(), _ANSWERS_PER_MAILBOX, _DAY),
        ]

    def _text_of_answer(self, guest: GuestActor) -> TransferText:
        asked = self._keys.text(guest.key, guest.transfer)
        subject = asked.subject if asked.subject.startswith("Re: ") else f"Re: {asked.subject}"
        if guest.transfer.kind == TransferKind.INTAKE:
            subject = asked.subject
        return TransferText(subject[:LONGEST_SUBJECT], asked.reference, "")

    def _write_note(self, guest: GuestActor, transfer: Transfer, note: str) -> None:
        note = note.replace("\r\n", "\n").strip()
        if len(note) > LONGEST_NOTE:
            raise FormRefused({"note": NoteTooLong(limit=LONGEST_NOTE)})
        key = self._keys.answer_key(transfer, guest.key)
        self._keys.seal_text(key, transfer, replace(self._keys.text(key, transfer), note=note))

    def _receiver(self, to: Correspondent, department_id: DepartmentId | None, answer: Transfer) -> Recipient:
        """Who of ours gets it: the department, or the staff user, whom it answers."""
        receiver = Recipient(
            id=RecipientId(new_identifier()),
            transfer_id=answer.id,
            position=0,
            method=VerificationMethod.SIGN_IN,
            department_id=department_id,
            email_index=self._keys.index("email", to.address.comparable),
        )
        receiver.sealed_person = self._keys.seal_person(Person(to.name, to.address, None), receiver.id)
        return receiver

    def _notify(
        self,
        session: AsyncSession,
        guest: GuestActor,
        transfer: Transfer,
        receiver: Recipient,
        ours: Correspondent,
        to: Correspondent,
        document_count: int,
        held: Sequence[HoldReason],
    ) -> None:
        """Tell the receiver, as `ours` call them, and give the guest a receipt that names whom they wrote `to`."""
        held_count = len(held)
        person = self._keys.person(guest.recipient)
        number = receipt_number(transfer.id)
        self._notifying.queue_mail(
            session,
            Purpose.ANSWER_RECEIVED,
            ours.address,
            ours.language,
            transfer=transfer,
            recipient=receiver,
            link=f"{self._base_url}/received/{transfer.id}",
            name=ours.name,
            # Whoever starts unasked calls themselves anything, also a web address; their mailbox at least was confirmed.
            sender_name="" if guest.transfer.kind == TransferKind.INTAKE else person.name,
            sender_email=str(person.email),
            expires_at=transfer.expires_at,
            number=number,
            document_count=document_count,
            held_count=held_count,
            has_macros=HoldReason.MACROS in held,
            has_malware=HoldReason.MALWARE in held,
        )
        self._notifying.queue_mail(
            session,
            Purpose.ANSWER_RECEIPT,
            person.email,
            transfer.language,
            transfer=guest.transfer,
            recipient=guest.recipient,
            name=person.name,
            sender_name=to.name,
            sent_at=transfer.sent_at,
            number=number,
            document_count=document_count,
            held_count=held_count,
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


async def _require_open(session: AsyncSession, guest: GuestActor) -> None:
    request = await session.get(FileRequest, guest.transfer.id)
    if request is not None:
        request.require_open()


async def _require_receiver(session: AsyncSession, asked: Transfer) -> None:
    """Raise `DepartmentClosed` for post that nobody would ever read. Locked, so that it does not close in between."""
    if asked.department_id is None:
        return
    department = await session.get_one(Department, asked.department_id, with_for_update=True)
    if department.closed_at is not None:
        raise DepartmentClosed


async def _mark_sent(session: AsyncSession, guest: GuestActor, item_ids: Sequence[str]) -> None:
    """What the guest says is in it. Accepted items stay accepted; identifiers of other requests match nothing."""
    await session.execute(
        update(RequestItem)
        .where(
            RequestItem.transfer_id == guest.transfer.id,
            RequestItem.id.in_(item_ids),
            RequestItem.state != ItemState.ACCEPTED,
        )
        .values(state=ItemState.SENT, sealed_reason=None)
        .execution_options(synchronize_session=False)
    )
