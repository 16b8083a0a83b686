"""Handling: the list of what came in, finding in it, marking it as handled, and passing it on inside the organisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.clock import Clock
from zegelpost.model.department import Department
from zegelpost.model.email_address import EmailAddress
from zegelpost.model.event import EventTag
from zegelpost.model.identifiers import RecipientId, StaffUserId, TransferId, new_identifier
from zegelpost.model.intake import Intake
from zegelpost.model.recipient import Person, Recipient, VerificationMethod
from zegelpost.model.refusals import AlreadyReceived, EmailAddressNotStaff
from zegelpost.model.staff_user import StaffUser
from zegelpost.model.transfer import LONGEST_SUBJECT, Transfer, TransferKind, TransferState, TransferText, receipt_number
from zegelpost.services.access import GUESTS_OWN, MINE, StaffActor, is_receivers, is_senders, received_transfer
from zegelpost.services.governing import Governing
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.presenting import SENDER_COLUMNS, Correspondent, Presenting, present_staff
from zegelpost.services.receiving import HeldBackDocument, held_back_documents
from zegelpost.services.recording import record
from zegelpost.services.sending import Sending

PAGE: Final = 20
# Names are sealed, so searching them means opening them one by one: a few milliseconds a hundred.
MOST_SEARCHED: Final = 2000
MOST_FOUND: Final = 100
_TIME_ZONE: Final = ZoneInfo("Europe/Amsterdam")
_NEWEST_FIRST: Final = (Transfer.sent_at.desc(), Transfer.id, Recipient.position)


class Handled(StrEnum):
    """Which part of the list to show."""

    ALL = "all"
    NEW = "new"
    OPEN = "open"
    HANDLED = "handled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What someone looks for in what came in. Days are in Dutch time, both included."""

    mailbox: str = ""
    handled: Handled = Handled.ALL
    sender: str = field(default="", repr=False)
    reference: str = field(default="", repr=False)
    first_day: date | None = None
    last_day: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedOverview:
    id: TransferId
    sender: Correspondent = field(repr=False)
    mailbox: str
    sent_at: datetime
    expires_at: datetime
    text: TransferText
    is_opened: bool
    handled_at: datetime | None


@dataclass(frozen=True, slots=True)
class ReceivedPage:
    items: Sequence[ReceivedOverview]
    number: int
    total_count: int

    @property
    def last(self) -> int:
        return max(1, -(-self.total_count // PAGE))


@dataclass(frozen=True, slots=True)
class Related:
    """Another transfer of the same conversation, and where it opens."""

    href: str
    subject: str = field(repr=False)
    at: datetime
    is_ours: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What an answer of ours begins with."""

    subject: str = field(repr=False)
    reference: str = field(repr=False)
    name: str = field(repr=False)
    email: str = field(repr=False)
    mobile: str = field(repr=False)
    department_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What staff know about a transfer that came in, besides its content."""

    number: str
    mailbox: str
    handled_at: datetime | None
    handled_by: str
    # When a guest who started unasked showed that the mailbox is theirs.
    email_confirmed_at: datetime | None
    held_back: Sequence[HeldBackDocument]
    thread: Sequence[Related]


class Handling:
    def __init__(
        self,
        database: Database,
        keeping_keys: KeepingKeys,
        presenting: Presenting,
        sending: Sending,
        governing: Governing,
        clock: Clock,
    ) -> None:
        self._database = database
        self._keys = keeping_keys
        self._presenting = presenting
        self._sending = sending
        self._governing = governing
        self._clock = clock

    async def received(self, actor: StaffActor, wanted: Wanted, *, page: int = 1, count: int = PAGE) -> ReceivedPage:
        """What can be opened now, newest first."""
        # Who they are and how many, in one go: to find them takes longer than all the rest.
        chosen = self._chosen(actor, wanted, Recipient.id, func.count().over().label("total"))
        async with self._database.reading() as session:
            rows = (await session.execute(chosen.limit(count).offset((page - 1) * count))).all()
            if not rows and page > 1:  # beyond the end, where nothing tells how many there are
                first = (await session.execute(chosen.limit(1))).first()
                return ReceivedPage([], page, first.total if first else 0)
            overviews = await self._overviews(session, actor, [row.id for row in rows])
            return ReceivedPage(overviews, page, rows[0].total if rows else 0)

    async def find(self, actor: StaffActor, wanted: Wanted) -> list[ReceivedOverview]:
        """At most `MOST_FOUND` of the newest `MOST_SEARCHED` whose sender's name or address has these letters in it."""
        letters = wanted.sender.strip().casefold()
        async with self._database.reading() as session:
            if not letters:
                newest = self._chosen(actor, wanted, Recipient.id).limit(MOST_FOUND)
                return await self._overviews(session, actor, (await session.scalars(newest)).all())
            # Columns instead of objects: of most of them, nothing but the sender's name is looked at.
            newest = self._chosen(actor, wanted, *SENDER_COLUMNS, Recipient.id.label("recipient_id")).limit(MOST_SEARCHED)
            rows = (await session.execute(newest)).all()
            senders = await self._presenting.senders_of(session, rows)
            found = [row.recipient_id for row in rows if _has(senders[row.id], letters)]
            return await self._overviews(session, actor, found[:MOST_FOUND])

    async def standing(self, actor: StaffActor, transfer_id: str) -> Standing:
        """Who handled it, and the conversation that it belongs to. Raises `NotFound`."""
        async with self._database.reading() as session:
            transfer, recipient = await self._own(session, actor, transfer_id)
            handler = await session.get(StaffUser, recipient.handled_by_id) if recipient.handled_by_id else None
            intake = await session.get(Intake, transfer.answers_id) if transfer.answers_id else None
            key = self._keys.colleague_key(transfer, recipient)
            return Standing(
                number=receipt_number(transfer.id),
                mailbox=_mailbox(actor, recipient),
                handled_at=recipient.handled_at,
                handled_by=handler.name if handler else "",
                email_confirmed_at=intake.email_confirmed_at if intake else None,
                held_back=await held_back_documents(session, self._keys, key, transfer),
                thread=await self._thread(session, actor, transfer),
            )

    async def question(self, actor: StaffActor, transfer_id: str) -> Question:
        """To whom and about what to answer. Raises `NotFound`."""
        async with self._database.reading() as session:
            transfer, recipient = await self._own(session, actor, transfer_id)
            text = self._keys.text(self._keys.colleague_key(transfer, recipient), transfer)
            sender = await self._presenting.sender_of(session, transfer)
            guest = await session.get(Recipient, transfer.guest_id) if transfer.guest_id else None
        mobile = self._keys.person(guest).mobile if guest else None
        subject = text.subject if text.subject.startswith("Re: ") else f"Re: {text.subject}"
        return Question(
            subject=subject[:LONGEST_SUBJECT],
            reference=text.reference,
            name=sender.name,
            email=sender.email,
            mobile=mobile.e164 if mobile else "",
            department_id=recipient.department_id or "",
        )

    async def set_handled(self, actor: StaffActor, transfer_id: str, *, is_handled: bool) -> None:
        """For a department: for all who work for it."""
        now = self._clock()
        async with self._database.work() as session:
            transfer, found = await self._own(session, actor, transfer_id)
            recipient = await session.get_one(Recipient, found.id, with_for_update=True)
            if (recipient.handled_at is not None) == is_handled:
                return
            recipient.handled_at = now if is_handled else None
            recipient.handled_by_id = StaffUserId(actor.user.id) if is_handled else None
            tag = EventTag.TRANSFER_HANDLED if is_handled else EventTag.TRANSFER_REOPENED
            record(session, tag, actor.subject(transfer, recipient_id=recipient.id), now)

    async def forward(self, actor: StaffActor, transfer_id: str, typed_email: str) -> Person:
        """Let a colleague or a department read it too; returns who. It never leaves the organisation.

        Raises `EmailAddressInvalid`, `EmailAddressNotStaff`, `AlreadyReceived`.
        """
        email = EmailAddress.parse(typed_email)
        if not self._governing.policy.is_staff_address(email):
            raise EmailAddressNotStaff
        now = self._clock()
        async with self._database.work() as session:
            found, mine = await self._own(session, actor, transfer_id)
            transfer = await session.get_one(Transfer, found.id, with_for_update=True)
            recipients = list(await session.scalars(select(Recipient).where(Recipient.transfer_id == transfer.id)))
            index = self._keys.index("email", email.comparable)
            if any(each.email_index in index.all and each.blocked_at is None for each in recipients):
                raise AlreadyReceived
            key = self._keys.colleague_key(transfer, mine)
            recipient = await self._added(session, transfer, email, index, position=len(recipients))
            sender = present_staff(actor.user)
            # What an outsider sent is in the outsider's language; the colleague has one of their own.
            person = self._keys.person(recipient)
            colleague, _ = await self._presenting.colleague(session, Correspondent(person.name, str(email)))
            self._sending.invite_colleague(session, sender, transfer, recipient, key, language=colleague.language)
            record(session, EventTag.TRANSFER_FORWARDED, actor.subject(transfer, recipient_id=recipient.id), now)
            return person

    async def _added(
        self, session: AsyncSession, transfer: Transfer, email: EmailAddress, index: bytes, *, position: int
    ) -> Recipient:
        department = await session.scalar(
            select(Department).where(Department.email == email.comparable, Department.closed_at.is_(None))
        )
        user = await session.scalar(select(StaffUser).where(StaffUser.email == email.comparable))
        name = department.name if department else user.name if user else str(email)
        recipient = Recipient(
            id=RecipientId(new_identifier()),
            transfer_id=transfer.id,
            position=position,
            method=VerificationMethod.SIGN_IN,
            department_id=department.id if department else None,
            email_index=index,
        )
        recipient.sealed_person = self._keys.seal_person(Person(name, email, None), recipient.id)
        session.add(recipient)
        await session.flush()
        return recipient

    async def _own(self, session: AsyncSession, actor: StaffActor, transfer_id: str) -> tuple[Transfer, Recipient]:
        return await received_transfer(session, actor, self._keys.index("email", actor.user.email), transfer_id, self._clock())

    def _chosen(self, actor: StaffActor, wanted: Wanted, *columns: Any) -> Select[Any]:
        """Columns of all that can be opened now and is wanted, newest first."""
        index = self._keys.index("email", actor.user.email)
        conditions: list[ColumnElement[bool] | Any] = [
            is_receivers(actor, index),
            Recipient.blocked_at.is_(None),
            # Goes with the erasing: of the years before, transfers need not be looked at.
            Recipient.staff_wrap.is_not(None),
            Transfer.state == TransferState.SENT,
            Transfer.expires_at > self._clock(),
        ]
        if wanted.mailbox:
            is_mine = wanted.mailbox == MINE
            conditions.append(Recipient.department_id.is_(None) if is_mine else Recipient.department_id == wanted.mailbox)
        if wanted.handled == Handled.HANDLED:
            conditions.append(Recipient.handled_at.is_not(None))
        elif wanted.handled != Handled.ALL:
            conditions.append(Recipient.handled_at.is_(None))
        if wanted.handled == Handled.NEW:
            conditions.append(Recipient.opened_at.is_(None))
        if reference := " ".join(wanted.reference.split()):
            conditions.append(Transfer.reference_index == self._keys.index("reference", reference.casefold()))
        if wanted.first_day:
            conditions.append(Transfer.sent_at >= _midnight(wanted.first_day))
        if wanted.last_day:
            conditions.append(Transfer.sent_at < _midnight(wanted.last_day + timedelta(days=1)))
        return (
            select(*columns)
            .select_from(Transfer)
            .join(Recipient, Recipient.transfer_id == Transfer.id)
            .where(*conditions)
            .order_by(*_NEWEST_FIRST)
        )

    async def _overviews(self, session: AsyncSession, actor: StaffActor, ids: Sequence[RecipientId]) -> list[ReceivedOverview]:
        """Of these recipients, who are theirs, newest first."""
        rows = (
            await session.execute(
                select(Transfer, Recipient)
                .join(Recipient, Recipient.transfer_id == Transfer.id)
                .where(Recipient.id.in_(ids))
                .order_by(*_NEWEST_FIRST)
            )
        ).all()
        senders = await self._presenting.senders_of(session, [transfer for transfer, _ in rows])
        keys = self._keys.within(session)
        return [self._overview(keys, actor, *row, senders[row[0].id]) for row in rows]

    def _overview(
        self, keys: KeepingKeys, actor: StaffActor, transfer: Transfer, recipient: Recipient, sender: Correspondent
    ) -> ReceivedOverview:
        assert transfer.sent_at is not None
        assert transfer.expires_at is not None
        return ReceivedOverview(
            id=transfer.id,
            sender=sender,
            mailbox=_mailbox(actor, recipient),
            sent_at=transfer.sent_at,
            expires_at=transfer.expires_at,
            text=keys.text(keys.colleague_key(transfer, recipient), transfer),
            is_opened=recipient.opened_at is not None,
            handled_at=recipient.handled_at,
        )

    async def _thread(self, session: AsyncSession, actor: StaffActor, transfer: Transfer) -> list[Related]:
        """What it answers and what answers it, as far as this person may see those, oldest first."""
        root = transfer.answers_id or transfer.id
        mine = await session.scalars(
            select(Transfer)
            .where(
                (Transfer.id == root) | (Transfer.answers_id.in_([root, transfer.id])),
                Transfer.kind.not_in(GUESTS_OWN),
                Transfer.sent_at.is_not(None),
                Transfer.state != TransferState.ERASED,
                is_senders(actor),
            )
            .order_by(Transfer.sent_at)
        )
        related = [
            Related(_own_page(each), self._keys.text(self._keys.sender_key(each), each).subject, each.sent_at, is_ours=True)
            for each in mine
            if each.id != transfer.id and each.sender_wrap is not None and each.sent_at is not None
        ]
        index = self._keys.index("email", actor.user.email)
        theirs = await session.execute(
            select(Transfer, Recipient)
            .join(Recipient, Recipient.transfer_id == Transfer.id)
            .where(
                Transfer.answers_id == root,
                # Of the same guest only: what others answered to the same transfer is another conversation.
                Transfer.guest_id == transfer.guest_id if transfer.guest_id else Transfer.guest_id.is_(None),
                Transfer.id != transfer.id,
                Transfer.state == TransferState.SENT,
                Transfer.expires_at > self._clock(),
                Recipient.blocked_at.is_(None),
                is_receivers(actor, index),
            )
        )
        for each, recipient in theirs.all():
            if each.sent_at is not None:
                text = self._keys.text(self._keys.colleague_key(each, recipient), each)
                related.append(Related(f"/received/{each.id}", text.subject, each.sent_at, is_ours=False))
        return sorted(related, key=lambda each: each.at)


def _own_page(transfer: Transfer) -> str:
    return f"/{'requests' if transfer.kind == TransferKind.REQUEST else 'transfers'}/{transfer.id}"


def _has(sender: Correspondent, letters: str) -> bool:
    return letters in f"{sender.name}\n{sender.email}".casefold()


def _mailbox(actor: StaffActor, recipient: Recipient) -> str:
    """The department that it came to; empty for one's own."""
    return actor.departments[recipient.department_id].name if recipient.department_id else ""


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, _TIME_ZONE)
