"""Keeping contacts: the address books of people and departments, own versions of what is listed, which number worked when."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.address_book import AddressFeed, ListedContact
from zegelpost.model.clock import Clock
from zegelpost.model.contact import MOST_CONTACTS, Card, Contact, ContactSource, TypedContact, folded
from zegelpost.model.department import Department, Membership
from zegelpost.model.event import EventTag
from zegelpost.model.identifiers import ContactId, DepartmentId, new_identifier
from zegelpost.model.recipient import Recipient
from zegelpost.model.refusals import ContactExists, DepartmentNotFound, FormRefused, NotFound, TooManyContacts
from zegelpost.model.staff_user import StaffUser
from zegelpost.model.transfer import Transfer
from zegelpost.services.access import StaffActor, is_contacts_owner, is_feeds_reader, own_contact, own_listed
from zegelpost.services.governing import Governing
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.recording import record

MOST_EXPORTED: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ToKeep:
    """Someone to save while sending. Without a department in one's own book."""

    typed: TypedContact = field(repr=False)
    department_id: str = ""


class KeepingContacts:
    def __init__(self, database: Database, keeping_keys: KeepingKeys, governing: Governing, clock: Clock) -> None:
        self._database = database
        self._keys = keeping_keys
        self._governing = governing
        self._clock = clock

    async def add(self, actor: StaffActor, typed: TypedContact, department_id: str = "") -> ContactId:
        """Raises `FormRefused` for what is wrong, also for an address that the book has, and `TooManyContacts`."""
        card = Card.parse(typed, self._governing.policy)
        book = book_of(actor, department_id)
        async with self._database.work() as session:
            await lock_book(session, actor, book)
            if await self.find(session, actor, book, card) is not None:
                raise FormRefused({"email": ContactExists()})
            await require_room(session, actor, book)
            contact = self.write_new(session, actor, book, card, ContactSource.TYPED)
            record(session, EventTag.CONTACT_ADDED, actor.subject(), contact.created_at, contact=contact.id, department=book)
        return contact.id

    async def change(self, actor: StaffActor, contact_id: str, typed: TypedContact, department_id: str) -> ContactId:
        """Replace what is known, or move it to another book. Raises `NotFound`, and the same as `add`.

        What an address book lists is not changed: an own version of it is made, and stands in front of it from then on.
        """
        card = Card.parse(typed, self._governing.policy)
        book = book_of(actor, department_id)
        async with self._database.work() as session:
            await lock_book(session, actor, book)
            try:
                contact = await own_contact(session, actor, contact_id)
            except NotFound:
                listed = await own_listed(session, actor, contact_id)
                return await self._correct(session, actor, listed, book, card)
            same = await self.find(session, actor, book, card)
            if same is not None and same.id != contact.id:
                raise FormRefused({"email": ContactExists()})
            if contact.department_id != book:
                await require_room(session, actor, book)
                contact.department_id = book
                contact.owner_id = None if book else actor.user.id
            self.write(contact, card)
            record(session, EventTag.CONTACT_CHANGED, actor.subject(), contact.changed_at, contact=contact.id, department=book)
        return contact.id

    async def _correct(
        self, session: AsyncSession, actor: StaffActor, listed: ListedContact, book: DepartmentId | None, card: Card
    ) -> ContactId:
        if await self.find(session, actor, book, card) is not None:
            raise FormRefused({"email": ContactExists()})
        await require_room(session, actor, book)
        contact = self.write_new(session, actor, book, card, ContactSource.CORRECTED)
        contact.corrects_index = listed.email_index
        record(session, EventTag.CONTACT_ADDED, actor.subject(), contact.created_at, contact=contact.id, department=book)
        return contact.id

    async def reset(self, actor: StaffActor, contact_id: str) -> ContactId:
        """Take away one's own version, so that what an address book lists shows again. Returns which that is.

        Raises `NotFound`, also when nothing is listed under that address: then nothing would be left.
        """
        async with self._database.work() as session:
            contact = await own_contact(session, actor, contact_id)
            if contact.owner_id is None:
                # A department's book is everyone's; what one of them sees listed is not.
                raise NotFound
            index = contact.corrects_index or contact.email_index
            listed_id = await session.scalar(
                select(ListedContact.id)
                .join(AddressFeed, AddressFeed.id == ListedContact.feed_id)
                .where(is_feeds_reader(actor), ListedContact.email_index == index)
                .order_by(AddressFeed.owner_id.is_(None), ListedContact.number_index.is_(None), ListedContact.changed_at.desc())
                .limit(1)
            )
            if listed_id is None:
                raise NotFound
            await session.delete(contact)
            record(session, EventTag.CONTACT_REMOVED, actor.subject(), self._clock(), contact=contact.id, department=None)
        return listed_id

    async def delete(self, actor: StaffActor, contact_id: str) -> None:
        """Raises `NotFound`. What was sent to them stays."""
        async with self._database.work() as session:
            contact = await own_contact(session, actor, contact_id)
            await session.delete(contact)
            record(
                session,
                EventTag.CONTACT_REMOVED,
                actor.subject(),
                self._clock(),
                contact=contact.id,
                department=contact.department_id,
            )

    async def keep(self, actor: StaffActor, wanted: Mapping[int, ToKeep]) -> None:
        """Save while sending, by the row on the form: who is there already gets the name and number that were typed.

        Raises `FormRefused` that names each refused field as `recipients.<row>.<field>`.
        """
        async with self._database.work() as session:
            # Books in one order, so that two who save in several do not wait for each other.
            for row, each in sorted(wanted.items(), key=lambda pair: pair[1].department_id):
                try:
                    await self._keep_one(session, actor, each)
                except FormRefused as form:
                    fields = {"book" if name == "department_id" else name: refusal for name, refusal in form.fields.items()}
                    raise FormRefused({f"recipients.{row}.{name}": refusal for name, refusal in fields.items()}) from None
                except TooManyContacts as refusal:
                    raise FormRefused({f"recipients.{row}.save": refusal}) from None

    async def _keep_one(self, session: AsyncSession, actor: StaffActor, wanted: ToKeep) -> None:
        card, book = Card.parse(wanted.typed, self._governing.policy), book_of(actor, wanted.department_id)
        await lock_book(session, actor, book)
        contact = await self.find(session, actor, book, card)
        if contact is None:
            await require_room(session, actor, book)
            contact = self.write_new(session, actor, book, card, ContactSource.SENDING)
            tag = EventTag.CONTACT_ADDED
        elif self.merge(contact, card):
            tag = EventTag.CONTACT_CHANGED
        else:
            return
        record(session, tag, actor.subject(), contact.changed_at, contact=contact.id, department=book)

    async def export(self, actor: StaffActor, file_format: str) -> list[Card]:
        """All cards that are kept here and this person can see, by name, to be taken out in a file; that they were is recorded.

        What is listed is not theirs to take out.
        """
        async with self._database.reading() as session:
            rows = (
                await session.execute(
                    select(Contact.id, Contact.sealed_card)
                    .where(is_contacts_owner(actor))
                    .order_by(Contact.changed_at.desc(), Contact.id)
                    .limit(MOST_EXPORTED)
                )
            ).all()
        cards = await asyncio.to_thread(self._keys.cards, [(row.id, row.sealed_card) for row in rows])
        async with self._database.work() as session:
            record(session, EventTag.CONTACTS_EXPORTED, actor.subject(), self._clock(), count=len(cards), format=file_format)
        return sorted(cards, key=lambda card: folded(card.name))

    # Within a unit of work

    async def find(self, session: AsyncSession, actor: StaffActor, book: DepartmentId | None, card: Card) -> Contact | None:
        """Who has this address in a book."""
        index = self._keys.index("email", card.email.comparable)
        return await session.scalar(select(Contact).where(is_in_book(actor, book), Contact.email_index == index))

    def write_new(
        self, session: AsyncSession, actor: StaffActor, book: DepartmentId | None, card: Card, source: ContactSource
    ) -> Contact:
        contact = Contact(
            id=ContactId(new_identifier()),
            owner_id=None if book else actor.user.id,
            department_id=book,
            source=source,
            created_at=self._clock(),
        )
        self.write(contact, card)
        session.add(contact)
        return contact

    def write(self, contact: Contact, card: Card) -> None:
        number_index = self._keys.index("number", card.mobile.e164) if card.mobile else None
        if contact.number_index not in (number_index.all if number_index else (None,)):
            # Another number has proved nothing yet.
            contact.number_worked_at = None
        contact.number_index = number_index
        contact.email_index = self._keys.index("email", card.email.comparable)
        contact.sealed_card = self._keys.seal_card(card, contact.id)
        contact.changed_at = self._clock()

    def merge(self, contact: Contact, card: Card) -> bool:
        """Put in what is new; what is empty takes nothing away. Returns whether anything changed."""
        known = self._keys.card(contact.id, contact.sealed_card)
        merged = card.onto(known)
        if merged == known:
            return False
        self.write(contact, merged)
        return True


async def number_worked(session: AsyncSession, transfer: Transfer, recipient: Recipient, now: datetime) -> None:
    """Someone entered the code that was sent to this recipient's number: their contacts remember.

    Only in the book that the transfer belongs to: else colleagues would learn of someone's own transfers, and who left a
    department of what it sends.
    """
    if recipient.number_index is None:
        return
    books: list[ColumnElement[bool]] = []
    if transfer.department_id is not None:
        books.append(Contact.department_id == transfer.department_id)
        still_there = exists().where(Membership.department_id == transfer.department_id, Membership.user_id == transfer.sender_id)
        books.append(and_(Contact.owner_id == transfer.sender_id, still_there))
    elif transfer.sender_id is not None:
        books.append(Contact.owner_id == transfer.sender_id)
    if not books:
        return
    await session.execute(
        update(Contact)
        .where(or_(*books), Contact.email_index == recipient.email_index, Contact.number_index == recipient.number_index)
        .values(number_worked_at=now)
        .execution_options(synchronize_session=False)
    )
    # In the organisation's list it would tell everyone who writes to whom.
    own_feed = select(AddressFeed.id).where(AddressFeed.owner_id == transfer.sender_id).scalar_subquery()
    await session.execute(
        update(ListedContact)
        .where(
            ListedContact.feed_id == own_feed,
            ListedContact.email_index == recipient.email_index,
            ListedContact.number_index == recipient.number_index,
        )
        .values(number_worked_at=now)
        .execution_options(synchronize_session=False)
    )


def book_of(actor: StaffActor, department_id: str) -> DepartmentId | None:
    """The book of a department of theirs; without one, their own. Raises `FormRefused`."""
    if not department_id:
        return None
    if department_id not in actor.departments:
        raise FormRefused({"department_id": DepartmentNotFound()})
    return DepartmentId(department_id)


def is_in_book(actor: StaffActor, book: DepartmentId | None) -> ColumnElement[bool]:
    return Contact.department_id == book if book else Contact.owner_id == actor.user.id


async def lock_book(session: AsyncSession, actor: StaffActor, book: DepartmentId | None) -> None:
    """One at a time, so that two who save the same address at once make one contact of it."""
    # Not against what only refers to the row, such as events.
    if book:
        await session.get_one(Department, book, with_for_update={"key_share": True})
    else:
        await session.get_one(StaffUser, actor.user.id, with_for_update={"key_share": True})


async def require_room(session: AsyncSession, actor: StaffActor, book: DepartmentId | None) -> None:
    count = await session.scalar(select(func.count()).select_from(Contact).where(is_in_book(actor, book)))
    if (count or 0) >= MOST_CONTACTS:
        raise TooManyContacts(limit=MOST_CONTACTS)
