"""Answering: guests send documents and a note back, by the link of what they were sent or asked, without an account.

Each time is a transfer of its own, sealed under its own key. The guest's link opens those keys too, so that they see what
they sent; the other recipients' links do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.clock import Clock
from zegelpost.model.department import Department
from zegelpost.model.document import Document, DocumentState
from zegelpost.model.event import EventTag
from zegelpost.model.file_request import FileRequest, ItemState, RequestItem
from zegelpost.model.held_back import HeldBack, HoldReason
from zegelpost.model.identifiers import DepartmentId, RecipientId, TransferId, new_identifier
from zegelpost.model.intake import WAITS_FOR_ACCOUNT
from zegelpost.model.outgoing import Purpose
from zegelpost.model.recipient import Grant, Person, Recipient, VerificationMethod
from zegelpost.model.refusals import AnswerPickedUp, DepartmentClosed, FormRefused, NoteTooLong, TransferNotSent
from zegelpost.model.secret import SecretToken
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
from zegelpost.services.conversing import Conversing
from zegelpost.services.erasing import erase
from zegelpost.services.governing import Governing
from zegelpost.services.holding import is_held
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.limiting_tries import Limit, count_try
from zegelpost.services.notifying import Notifying
from zegelpost.services.presenting import Correspondent, Presenting
from zegelpost.services.recording import record
from zegelpost.services.requiring_content import require_content

_DAY: Final = timedelta(days=1)
_ANSWERS_PER_INTAKE: Final = 10
_ANSWERS_PER_MAILBOX: Final = 20


class Answering:
    def __init__(
        self,
        database: Database,
        keeping_keys: KeepingKeys,
        notifying: Notifying,
        presenting: Presenting,
        conversing: Conversing,
        governing: Governing,
        base_url: str,
        clock: Clock,
    ) -> None:
        self._database = database
        self._keys = keeping_keys
        self._notifying = notifying
        self._presenting = presenting
        self._conversing = conversing
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
        conversation = await self._conversing.conversation(guest)
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
