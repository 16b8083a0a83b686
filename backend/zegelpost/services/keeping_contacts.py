"""Keeping contacts: the address books of staff users and departments, and what sending teaches about their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.clock import Clock
from zegelpost.model.contact import MOST_CONTACTS, Card, Contact, ContactSource
from zegelpost.model.identifiers import ContactId, DepartmentId, new_identifier
from zegelpost.model.recipient import Recipient
from zegelpost.model.refusals import ContactExists, DepartmentNotFound, FormRefused, Refusal, TooManyContacts
from zegelpost.model.transfer import Transfer
from zegelpost.services.access import StaffActor, is_contacts_owner, own_contact
from zegelpost.services.keeping_keys import KeepingKeys

MOST_SUGGESTED: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactOverview:
    id: ContactId
    card: Card
    department_id: str
    department_name: str
    number_worked_at: datetime | None


class RowOutcome(StrEnum):
    ADDED = "added"
    CHANGED = "changed"
    SAME = "same"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedContact:
    """One contact as typed or as it stands in a file, nothing checked yet."""

    name: str = field(default="", repr=False)
    organisation: str = field(default="", repr=False)
    email: str = field(default="", repr=False)
    mobile: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class ImportedRow:
    """What became of one row of a file; `refusals` say why it was skipped, or which of its parts was left out."""

    number: int
    label: str = field(repr=False)
    outcome: RowOutcome
    refusals: Sequence[Refusal] = ()


class KeepingContacts:
    def __init__(self, database: Database, keeping_keys: KeepingKeys, clock: Clock) -> None:
        self._database = database
        self._keys = keeping_keys
        self._clock = clock

    async def contacts(self, actor: StaffActor, *, letters: str = "", book: str | None = None) -> list[ContactOverview]:
        """All contacts of this person and their departments by name, or those with `letters` in them.

        `book`: an empty text for one's own, or a department's identifier.
        """
        letters = letters.strip().casefold()
        query = select(Contact).where(is_contacts_owner(actor))
        if book is not None:
            query = query.where(Contact.department_id == book if book else Contact.department_id.is_(None))
        async with self._database.reading() as session:
            found = [self._overview(actor, contact) for contact in await session.scalars(query)]
        return sorted(
            (each for each in found if not letters or each.card.matches(letters)), key=lambda each: each.card.name.casefold()
        )

    async def suggestions(self, actor: StaffActor, letters: str) -> list[ContactOverview]:
        """A few that fit what is being typed; who begins with it comes first. Nothing for a single letter."""
        letters = letters.strip().casefold()
        if len(letters) < 2:  # noqa: PLR2004
            return []
        found = await self.contacts(actor, letters=letters)
        unique = list({each.card.email.comparable: each for each in reversed(found)}.values())
        unique.sort(key=lambda each: (not each.card.name.casefold().startswith(letters), each.card.name.casefold()))
        return unique[:MOST_SUGGESTED]

    async def contact(self, actor: StaffActor, contact_id: str) -> ContactOverview:
        """One contact. Raises `NotFound`."""
        async with self._database.reading() as session:
            return self._overview(actor, await own_contact(session, actor, contact_id))

    async def add(
        self, actor: StaffActor, card: Card, department_id: str = "", source: ContactSource = ContactSource.TYPED
    ) -> ContactId:
        """Raises `ContactExists`, `DepartmentNotFound`, `TooManyContacts`."""
        async with self._database.work() as session:
            await self._require_room(session, actor, department_id, 1)
            if await self._at(session, actor, card, department_id) is not None:
                raise FormRefused({"email": ContactExists()})
            return self._add(session, actor, card, department_id, source)

    async def change(self, actor: StaffActor, contact_id: str, card: Card, department_id: str) -> None:
        """Replace what is known, or move it to another book. Raises the same."""
        async with self._database.work() as session:
            contact = await own_contact(session, actor, contact_id)
            if (contact.department_id or "") != department_id:
                await self._require_room(session, actor, department_id, 1)
            other = await self._at(session, actor, card, department_id)
            if other is not None and other.id != contact.id:
                raise FormRefused({"email": ContactExists()})
            _own(contact, actor, department_id)
            self._write(contact, card)

    async def delete(self, actor: StaffActor, contact_id: str) -> None:
        async with self._database.work() as session:
            await session.delete(await own_contact(session, actor, contact_id))

    async def save(self, actor: StaffActor, cards: Sequence[Card], department_id: str = "") -> None:
        """Keep whom one sends to: new ones are added, and a number that was typed now replaces an older one."""
        async with self._database.work() as session:
            await self._require_room(session, actor, department_id, len(cards))
            for card in cards:
                contact = await self._at(session, actor, card, department_id)
                if contact is None:
                    self._add(session, actor, card, department_id, ContactSource.SENDING)
                else:
                    known = self._keys.card(contact)
                    self._write(contact, Card(card.name, known.organisation, card.email, card.mobile or known.mobile))

    async def take_in(self, actor: StaffActor, rows: Sequence[TypedContact], department_id: str = "") -> list[ImportedRow]:
        """Add the rows of a file, or change who is there already; says of each row what became of it.

        A number that cannot get text messages is left out, and the rest of the row is kept.
        """
        report: list[ImportedRow] = []
        async with self._database.work() as session:
            await self._require_room(session, actor, department_id, len(rows))
            for number, row in enumerate(rows, 1):
                report.append(await self._take_in(session, actor, number, row, department_id))
        return report

    async def _take_in(
        self, session: AsyncSession, actor: StaffActor, number: int, row: TypedContact, department_id: str
    ) -> ImportedRow:
        label = row.name.strip() or row.email.strip()
        refusals: list[Refusal] = []
        name = row.name if row.name.strip() else row.email.partition("@")[0]
        fields = {"name": name, "organisation": row.organisation, "email": row.email}
        try:
            card = Card.parse(**fields, mobile=row.mobile)
        except FormRefused as refused:
            refusals = list(refused.fields.values())
            if set(refused.fields) != {"mobile"}:
                return ImportedRow(number, label, RowOutcome.SKIPPED, refusals)
            card = Card.parse(**fields, mobile="")
        contact = await self._at(session, actor, card, department_id)
        if contact is None:
            self._add(session, actor, card, department_id, ContactSource.IMPORTED)
            await session.flush()
            return ImportedRow(number, label, RowOutcome.ADDED, refusals)
        known = self._keys.card(contact)
        merged = Card(card.name, card.organisation or known.organisation, card.email, card.mobile or known.mobile)
        if merged == known:
            return ImportedRow(number, label, RowOutcome.SAME, refusals)
        self._write(contact, merged)
        return ImportedRow(number, label, RowOutcome.CHANGED, refusals)

    async def _require_room(self, session: AsyncSession, actor: StaffActor, department_id: str, count: int) -> None:
        if department_id and department_id not in actor.departments:
            raise FormRefused({"department_id": DepartmentNotFound()})
        there = await session.scalar(select(func.count()).select_from(Contact).where(_in_book(actor, department_id)))
        if (there or 0) + count > MOST_CONTACTS:
            raise TooManyContacts(limit=MOST_CONTACTS)

    async def _at(self, session: AsyncSession, actor: StaffActor, card: Card, department_id: str) -> Contact | None:
        index = self._keys.index("email", card.email.comparable)
        found: Any = await session.scalar(
            select(Contact).where(_in_book(actor, department_id), Contact.email_index == index).with_for_update()
        )
        contact: Contact | None = found
        return contact

    def _add(self, session: AsyncSession, actor: StaffActor, card: Card, department_id: str, source: ContactSource) -> ContactId:
        contact = Contact(id=ContactId(new_identifier()), source=source, created_at=self._clock())
        _own(contact, actor, department_id)
        self._write(contact, card)
        session.add(contact)
        return contact.id

    def _write(self, contact: Contact, card: Card) -> None:
        number_index = self._keys.index("number", card.mobile.e164) if card.mobile else None
        if contact.number_index != number_index:
            contact.number_worked_at = None
        contact.number_index = number_index
        contact.email_index = self._keys.index("email", card.email.comparable)
        contact.sealed_card = self._keys.seal_card(card, contact.id)
        contact.changed_at = self._clock()

    def _overview(self, actor: StaffActor, contact: Contact) -> ContactOverview:
        return ContactOverview(
            id=contact.id,
            card=self._keys.card(contact),
            department_id=contact.department_id or "",
            department_name=actor.departments[contact.department_id].name if contact.department_id else "",
            number_worked_at=contact.number_worked_at,
        )


async def number_worked(session: AsyncSession, transfer: Transfer, recipient: Recipient, now: datetime) -> None:
    """A code came right: remember it at the contact that the sender, or their department, has of this person and number."""
    is_senders_book = (
        Contact.department_id == transfer.department_id if transfer.department_id else Contact.owner_id == transfer.sender_id
    )
    await session.execute(
        update(Contact)
        .where(is_senders_book, Contact.email_index == recipient.email_index, Contact.number_index == recipient.number_index)
        .values(number_worked_at=now)
        .execution_options(synchronize_session=False)
    )


def _in_book(actor: StaffActor, department_id: str) -> ColumnElement[bool]:
    return Contact.department_id == department_id if department_id else Contact.owner_id == actor.user.id


def _own(contact: Contact, actor: StaffActor, department_id: str) -> None:
    contact.department_id = DepartmentId(department_id) if department_id else None
    contact.owner_id = None if department_id else actor.user.id
