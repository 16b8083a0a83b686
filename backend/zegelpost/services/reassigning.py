"""Reassigning: what someone who was switched off sent and received goes to a colleague or a department.

An administrator decides and sees numbers only. Message keys are not bound to the sender, who can change; a colleague's are
bound to one recipient, so whoever takes over is a recipient of their own, with a wrap of their own. Only the server opens
and wraps, for a moment: nothing of it reaches the page. Drafts stay behind: they are nobody's but their maker's.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database, insert_all
from zegelpost.model.clock import Clock
from zegelpost.model.department import Department
from zegelpost.model.email_address import EmailAddress
from zegelpost.model.event import Event, EventTag
from zegelpost.model.identifiers import DepartmentId, RecipientId, StaffUserId, TransferId, new_identifier
from zegelpost.model.intake import Intake
from zegelpost.model.recipient import Person, Recipient, VerificationMethod
from zegelpost.model.refusals import AccountStillOn, NotFound, ReceiverIsOneself, ReceiverUnknown, TransferExpired
from zegelpost.model.staff_user import StaffUser
from zegelpost.model.transfer import Transfer, TransferKind, TransferState
from zegelpost.services.access import StaffActor, account_of_another, account_of_anyone
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.recording import Subject, fact, record

# In one unit of work, so that others get their turn and a long hand-over that broke off goes on where it was.
BATCH: Final = 200


@dataclass(frozen=True, slots=True)
class Holdings:
    """How much of each kind; never what."""

    sent_count: int
    request_count: int
    received_count: int

    @property
    def is_empty(self) -> bool:
        return not (self.sent_count or self.request_count or self.received_count)


@dataclass(frozen=True, slots=True)
class Receiver:
    """Who takes over."""

    name: str = field(repr=False)
    email: EmailAddress = field(repr=False)
    user_id: StaffUserId | None
    department_id: DepartmentId | None

    @property
    def facts(self) -> dict[str, str]:
        return {"department": self.department_id} if self.department_id else {"to": str(self.user_id)}


class Reassigning:
    def __init__(self, database: Database, keeping_keys: KeepingKeys, clock: Clock, *, batch: int = BATCH) -> None:
        self._database = database
        self._batch = batch
        self._keys = keeping_keys
        self._clock = clock

    async def holdings(self, actor: StaffActor, user_id: str) -> Holdings:
        """How much someone has that can be handed over. Raises `NotFound`."""
        async with self._database.reading() as session:
            giver = await account_of_anyone(session, actor, user_id)
            kinds = select(Transfer.kind, func.count()).where(_is_sent_by(giver)).group_by(Transfer.kind)
            sent = {row[0]: row[1] for row in await session.execute(kinds)}
            received = await session.scalar(self._received(giver).with_only_columns(func.count()))
            return Holdings(sent.get(TransferKind.SENDING, 0), sent.get(TransferKind.REQUEST, 0), received or 0)

    async def receiver(self, actor: StaffActor, user_id: str, typed_email: str) -> Receiver:
        """Who has this address, and may take over from this person.

        Raises `NotFound`, `OwnAccount`, `AccountStillOn`, `EmailAddressInvalid`, `ReceiverUnknown` and `ReceiverIsOneself`.
        """
        async with self._database.work() as session:
            giver = await self._giver(session, actor, user_id)
            return await self._receiver(session, actor, giver, typed_email)

    async def reassign(self, actor: StaffActor, user_id: str, typed_email: str) -> Holdings:
        """Hand over everything but drafts; returns how much. Doing it again goes on with what was left. Raises as `receiver`.

        1. An administrator, about someone else who is switched off, to someone who is there: looked at again for each batch.
        2. What they sent and asked for becomes the colleague's, or the department's.
        3. What they received also gets the new recipient, with a wrap of the message key that is bound to them.
        4. Each transfer has it on record, and both sides have.
        """
        sent_count = await self._all_sent(actor, user_id, typed_email, TransferKind.SENDING)
        request_count = await self._all_sent(actor, user_id, typed_email, TransferKind.REQUEST)
        received_count = await self._all_received(actor, user_id, typed_email)
        moved = Holdings(sent_count, request_count, received_count)
        if not moved.is_empty:
            async with self._database.work() as session:
                giver = await self._giver(session, actor, user_id)
                receiver = await self._receiver(session, actor, giver, typed_email)
                counts = {"sent": sent_count, "requests": request_count, "received": received_count}
                now, subject = self._clock(), actor.subject()
                record(session, EventTag.ACCOUNT_RELIEVED, subject, now, account=giver.id, **receiver.facts, **counts)
                taker = {"department": receiver.department_id} if receiver.department_id else {"account": receiver.user_id}
                record(session, EventTag.ACCOUNT_ENTRUSTED, subject, now, **taker, **{"from": giver.id}, **counts)
        return moved

    async def _giver(self, session: AsyncSession, actor: StaffActor, user_id: str) -> StaffUser:
        giver = await account_of_another(session, actor, user_id)
        if not giver.is_switched_off:
            raise AccountStillOn
        return giver

    async def _receiver(self, session: AsyncSession, actor: StaffActor, giver: StaffUser, typed_email: str) -> Receiver:
        """Never who decides about it, nor a department of theirs: administering gives nothing to read."""
        address = EmailAddress.parse(typed_email)
        department = await session.scalar(
            select(Department).where(Department.email == address.comparable, Department.closed_at.is_(None))
        )
        if department is not None:
            if department.id in actor.departments:
                raise ReceiverIsOneself
            return Receiver(department.name, EmailAddress.parse(department.email), None, department.id)
        user = await session.scalar(select(StaffUser).where(StaffUser.email == address.comparable))
        if user is None or user.is_switched_off or user.id == giver.id:
            raise ReceiverUnknown
        if user.id == actor.user.id:
            raise ReceiverIsOneself
        return Receiver(user.name, EmailAddress.parse(user.email), user.id, None)

    # What they sent

    async def _all_sent(self, actor: StaffActor, user_id: str, typed_email: str, kind: TransferKind) -> int:
        total = 0
        while True:
            async with self._database.work() as session:
                giver = await self._giver(session, actor, user_id)
                receiver = await self._receiver(session, actor, giver, typed_email)
                mine = select(Transfer.id).where(_is_sent_by(giver), Transfer.kind == kind).order_by(Transfer.id)
                ids = list(await session.scalars(mine.limit(self._batch).with_for_update()))
                # A department's keeps who sent it; a colleague's would otherwise still be the other's.
                values: dict[str, Any] = (
                    {"department_id": receiver.department_id} if receiver.department_id else {"sender_id": receiver.user_id}
                )
                await session.execute(update(Transfer).where(Transfer.id.in_(ids)).values(**values))
                facts = {"account": giver.id, **receiver.facts}
                subjects = [_subject(actor, transfer_id) for transfer_id in ids]
                now = self._clock()
                rows = [fact(EventTag.TRANSFER_REASSIGNED, subject, now, **facts) for subject in subjects]
                await insert_all(session, Event.__table__, rows)
            total += len(ids)
            if len(ids) < self._batch:
                return total

    # What they received

    async def _all_received(self, actor: StaffActor, user_id: str, typed_email: str) -> int:
        total, after = 0, ""
        while True:
            async with self._database.work() as session:
                giver = await self._giver(session, actor, user_id)
                receiver = await self._receiver(session, actor, giver, typed_email)
                query = self._received(giver).where(Recipient.id > after).order_by(Recipient.id).limit(self._batch)
                found = [(row[0], row[1]) for row in await session.execute(query)]
                for transfer, recipient in found:
                    total += await self._take_over(session, actor, giver, receiver, transfer, recipient)
            if len(found) < self._batch:
                return total
            after = found[-1][1].id

    async def _take_over(
        self,
        session: AsyncSession,
        actor: StaffActor,
        giver: StaffUser,
        receiver: Receiver,
        transfer: Transfer,
        recipient: Recipient,
    ) -> bool:
        """Whether there was still something to take over; whoever had it ceases to, also when their account is on again."""
        keys = self._keys.within(session)
        # The row of the transfer is what everyone who adds a recipient, or shuts one out, waits for.
        await session.get_one(Transfer, transfer.id, with_for_update=True)
        await session.refresh(recipient)
        if transfer.state != TransferState.SENT or recipient.blocked_at is not None:
            return False
        try:
            key = keys.colleague_key(transfer, recipient)
        except (NotFound, TransferExpired):
            return False
        recipient.account_until = giver.created_at
        index = keys.index("email", receiver.email.comparable)
        everyone = list(await session.scalars(select(Recipient).where(Recipient.transfer_id == transfer.id)))
        if any(each.email_index in index.all and each.blocked_at is None for each in everyone):
            return True
        new = Recipient(
            id=RecipientId(new_identifier()),
            transfer_id=transfer.id,
            position=max(each.position for each in everyone) + 1,
            method=VerificationMethod.SIGN_IN,
            department_id=receiver.department_id,
            email_index=index,
            # What was done is done, whoever looks at it now.
            handled_at=recipient.handled_at,
            handled_by_id=recipient.handled_by_id,
        )
        new.sealed_person = keys.seal_person(Person(receiver.name, receiver.email, None), new.id)
        keys.wrap_for_colleague(key, transfer, new)
        session.add(new)
        await session.flush()
        await self._carry_intake(session, receiver, transfer)
        subject = _subject(actor, transfer.id, new.id)
        record(session, EventTag.TRANSFER_REASSIGNED, subject, self._clock(), account=giver.id, **receiver.facts)
        return True

    async def _carry_intake(self, session: AsyncSession, receiver: Receiver, answer: Transfer) -> None:
        """What a guest who started unasked adds later goes to whoever took over, too."""
        begun = await session.get(Transfer, answer.answers_id) if answer.answers_id else None
        if begun is None or begun.kind != TransferKind.INTAKE or begun.department_id is not None:
            return
        if receiver.department_id is not None:
            begun.department_id = receiver.department_id
            return
        intake = await session.get_one(Intake, begun.id)
        intake.sealed_colleague = self._keys.seal_intake_colleague(str(receiver.email), begun.id)

    def _received(self, giver: StaffUser) -> Select[Transfer, Recipient]:
        """As `access.is_receivers` has it of someone who is signed in, of their own post alone."""
        return (
            select(Transfer, Recipient)
            .join(Recipient, Recipient.transfer_id == Transfer.id)
            .where(
                Recipient.method == VerificationMethod.SIGN_IN,
                Recipient.email_index == self._keys.index("email", giver.email),
                Recipient.department_id.is_(None),
                or_(Recipient.account_until.is_(None), Recipient.account_until > giver.created_at),
                Recipient.blocked_at.is_(None),
                Recipient.staff_wrap.is_not(None),
                Transfer.state == TransferState.SENT,
                Transfer.expires_at > self._clock(),
            )
        )


def _subject(actor: StaffActor, transfer_id: TransferId, recipient_id: RecipientId | None = None) -> Subject:
    return replace(actor.subject(recipient_id=recipient_id), transfer_id=transfer_id)


def _is_sent_by(giver: StaffUser) -> ColumnElement[bool]:
    """Sent or asked by themselves. What they sent for a department is the department's already."""
    return and_(
        Transfer.sender_id == giver.id,
        Transfer.department_id.is_(None),
        Transfer.kind.in_((TransferKind.SENDING, TransferKind.REQUEST)),
        Transfer.state != TransferState.DRAFT,
    )
