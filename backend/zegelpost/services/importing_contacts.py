"""Importing contacts: telling beforehand what a file would do to an address book, doing it, and reporting row by row."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.clock import Clock
from zegelpost.model.contact import MOST_CONTACTS, Card, Contact, ContactSource, TypedContact
from zegelpost.model.event import EventTag
from zegelpost.model.identifiers import DepartmentId
from zegelpost.model.policy import Policy
from zegelpost.model.refusals import (
    EmailAddressInvalid,
    FormRefused,
    NameMissing,
    NameTooLong,
    OrganisationTooLong,
    PhoneCountryNotAllowed,
    PhoneNumberInvalid,
    PhoneNumberNotMobile,
    Refusal,
)
from zegelpost.services.access import StaffActor
from zegelpost.services.governing import Governing
from zegelpost.services.keeping_contacts import KeepingContacts, book_of, is_in_book, lock_book
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.reading_contact_files import FileRow, read_contact_file
from zegelpost.services.recording import record


class Outcome(StrEnum):
    """What becomes of a row."""

    ADDED = "added"
    CHANGED = "changed"
    SAME = "same"  # the book has it already
    SKIPPED = "skipped"


class Reason(StrEnum):
    """Why a row is skipped, or goes in without its number."""

    UNREADABLE = "unreadable"
    EMAIL_MISSING = "email_missing"
    EMAIL_INVALID = "email_invalid"
    NAME_MISSING = "name_missing"
    NAME_TOO_LONG = "name_too_long"
    ORGANISATION_TOO_LONG = "organisation_too_long"
    TWICE = "twice"
    BOOK_FULL = "book_full"
    NUMBER_INVALID = "number_invalid"
    NUMBER_NOT_MOBILE = "number_not_mobile"
    NUMBER_ABROAD = "number_abroad"


_REASONS: Final[dict[type[Refusal], Reason]] = {
    EmailAddressInvalid: Reason.EMAIL_INVALID,
    NameMissing: Reason.NAME_MISSING,
    NameTooLong: Reason.NAME_TOO_LONG,
    OrganisationTooLong: Reason.ORGANISATION_TOO_LONG,
    PhoneNumberInvalid: Reason.NUMBER_INVALID,
    PhoneNumberNotMobile: Reason.NUMBER_NOT_MOBILE,
    PhoneCountryNotAllowed: Reason.NUMBER_ABROAD,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RowReport:
    number: int
    typed: TypedContact = field(repr=False)
    outcome: Outcome
    reason: Reason | None


@dataclass(frozen=True, slots=True)
class ImportReport:
    rows: Sequence[RowReport]

    @property
    def counts(self) -> Counter[Outcome]:
        return Counter(row.outcome for row in self.rows)

    def of(self, outcome: Outcome) -> list[RowReport]:
        return [row for row in self.rows if row.outcome == outcome]


@dataclass(frozen=True, slots=True)
class _Checked:
    """A row as far as it can be judged without looking at the book."""

    row: FileRow
    card: Card | None
    reason: Reason | None


class ImportingContacts:
    def __init__(
        self, database: Database, keeping_keys: KeepingKeys, keeping_contacts: KeepingContacts, governing: Governing, clock: Clock
    ) -> None:
        self._database = database
        self._keys = keeping_keys
        self._contacts = keeping_contacts
        self._governing = governing
        self._clock = clock

    async def preview(self, actor: StaffActor, content: bytes, department_id: str = "") -> tuple[list[FileRow], ImportReport]:
        """What is in a file and what it would do; nothing changes.

        Raises `ContactFileMissing`, `ContactFileUnreadable`, `ContactColumnsMissing`, `TooManyContacts`, and `FormRefused` for
        a department that they do not work for.
        """
        book = book_of(actor, department_id)
        rows = await asyncio.to_thread(read_contact_file, content)
        checked = await asyncio.to_thread(self._checked, rows)
        async with self._database.reading() as session:
            report, _ = await self._planned(session, actor, book, checked)
        return rows, report

    async def take_over(self, actor: StaffActor, rows: Sequence[FileRow], department_id: str = "") -> ImportReport:
        """Put the rows of a file in a book, all of them or none. They are judged anew: the book may have changed.

        Raises `FormRefused` for a department that they do not work for.
        """
        book = book_of(actor, department_id)
        checked = await asyncio.to_thread(self._checked, rows)
        async with self._database.work() as session:
            await lock_book(session, actor, book)
            report, known = await self._planned(session, actor, book, checked)
            for row, judged in zip(report.rows, checked, strict=True):
                if row.outcome in {Outcome.SAME, Outcome.SKIPPED} or judged.card is None:
                    continue
                contact = known.get(judged.card.email.comparable)
                if contact is None:
                    self._contacts.write_new(session, actor, book, judged.card, ContactSource.IMPORTED)
                else:
                    self._contacts.merge(contact, judged.card)
            counts = report.counts
            record(
                session,
                EventTag.CONTACTS_IMPORTED,
                actor.subject(),
                self._clock(),
                added_count=counts[Outcome.ADDED],
                changed_count=counts[Outcome.CHANGED],
                department=book,
            )
        return report

    def _checked(self, rows: Iterable[FileRow]) -> list[_Checked]:
        return [_Checked(row, *judge_row(row, self._governing.policy)) for row in rows]

    async def _planned(
        self, session: AsyncSession, actor: StaffActor, book: DepartmentId | None, checked: Sequence[_Checked]
    ) -> tuple[ImportReport, dict[str, Contact]]:
        """What becomes of each row, and the contacts that the book has, by address."""
        contacts = list(await session.scalars(select(Contact).where(is_in_book(actor, book))))
        cards = await asyncio.to_thread(self._keys.cards, [(contact.id, contact.sealed_card) for contact in contacts])
        known = {card.email.comparable: (contact, card) for contact, card in zip(contacts, cards, strict=True)}
        seen: set[str] = set()
        room = MOST_CONTACTS - len(contacts)
        rows: list[RowReport] = []
        for judged in checked:
            outcome, reason = _outcome(judged, known, seen, room)
            room -= outcome == Outcome.ADDED
            if judged.card is not None:
                seen.add(judged.card.email.comparable)
            typed = judged.row.typed or TypedContact()
            rows.append(RowReport(number=judged.row.number, typed=typed, outcome=outcome, reason=reason))
        return ImportReport(rows), {address: contact for address, (contact, _) in known.items()}


def judge_row(row: FileRow, policy: Policy) -> tuple[Card | None, Reason | None]:
    """A wrong number does not keep the rest out: the address and the name are worth having."""
    if row.typed is None:
        return None, Reason.UNREADABLE
    if not row.typed.email.strip():
        return None, Reason.EMAIL_MISSING
    try:
        return Card.parse(row.typed, policy), None
    except FormRefused as form:
        refused = dict(form.fields)
    number = refused.pop("mobile", None)
    if refused:
        return None, _REASONS[type(next(iter(refused.values())))]
    without = TypedContact(row.typed.name, row.typed.organisation, row.typed.email)
    return Card.parse(without, policy), _REASONS[type(number)] if number else None


def _outcome(
    judged: _Checked, known: dict[str, tuple[Contact, Card]], seen: set[str], room: int
) -> tuple[Outcome, Reason | None]:
    if judged.card is None:
        return Outcome.SKIPPED, judged.reason
    address = judged.card.email.comparable
    if address in seen:
        return Outcome.SKIPPED, Reason.TWICE
    if address not in known:
        return (Outcome.ADDED, judged.reason) if room > 0 else (Outcome.SKIPPED, Reason.BOOK_FULL)
    is_same = judged.card.onto(known[address][1]) == known[address][1]
    return (Outcome.SAME if is_same else Outcome.CHANGED), judged.reason
