"""Finding contacts: in the books of people and departments, and in what address books list.

Names are sealed, so finding one means opening a whole book: some thirty microseconds a contact, off the event loop, and never
more than `MOST_OPENED` of them for one request. The organisation's list can be a hundred thousand long: of that, only those
are opened in whom a word begins as the searched one does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import structlog
from sqlalchemy import ColumnElement, Select, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.address_book import UPLOAD, AddressFeed, ListedCard, ListedContact, NumberProblem
from zegelpost.model.clock import Clock
from zegelpost.model.contact import Card, Contact, ContactSource, folded
from zegelpost.model.identifiers import ContactId, DepartmentId, FeedId
from zegelpost.model.phone_number import PhoneNumber
from zegelpost.model.refusals import NotFound
from zegelpost.ports import AddressBookError
from zegelpost.services.access import MINE, StaffActor, is_contacts_owner, is_feeds_reader, own_contact, own_listed
from zegelpost.services.governing import Governing
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.listing_contacts import ListingContacts, listed_rows
from zegelpost.services.syncing import AddressBooks

_LOG: Final = structlog.get_logger()
PAGE: Final = 50
MOST_SUGGESTED: Final = 10
# The most recently changed ones of all books that someone can see; a full book of their own and that of a department fit.
MOST_OPENED: Final = 10_000
# Whoever types does not wait longer for what Exchange has to say.
_LOOK_UP_SECONDS: Final = 3
_SHORTEST_LOOK_UP: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactOverview:
    """A contact as people see it: kept here, or listed by an address book, which only that changes."""

    id: ContactId
    card: Card
    department_id: DepartmentId | None = None
    department_name: str = ""
    source: ContactSource
    number_worked_at: datetime | None
    created_at: datetime | None
    changed_at: datetime
    number_problem: NumberProblem | None = None
    typed_number: str = ""

    @property
    def is_listed(self) -> bool:
        """Whether it comes from an address book that others keep, so that its number is a proposal."""
        return self.source in {ContactSource.EXCHANGE, ContactSource.DIRECTORY}


@dataclass(frozen=True, slots=True)
class ContactPage:
    items: Sequence[ContactOverview]
    number: int
    total_count: int

    @property
    def last(self) -> int:
        return max(1, -(-self.total_count // PAGE))


class FindingContacts:
    def __init__(
        self,
        database: Database,
        keeping_keys: KeepingKeys,
        listing: ListingContacts,
        books: AddressBooks,
        governing: Governing,
        clock: Clock,
    ) -> None:
        self._database = database
        self._keys = keeping_keys
        self._listing = listing
        self._books = books
        exchange = books.exchange
        # Asked while someone types, where the organisation's list cannot be read whole.
        self._asked = exchange if exchange is not None and not exchange.has_directory else None
        self._governing = governing
        self._clock = clock

    async def contacts(
        self, actor: StaffActor, *, letters: str = "", book: str = "", page: int = 1, count: int = PAGE
    ) -> ContactPage:
        """By name. `letters` narrows to who has them, `book` to `MINE` or to a department by its identifier.

        Without letters the organisation's list is left out: it is for searching in.
        """
        found = matching(await self.everyone(actor, letters=letters, book=book), letters)
        found.sort(key=lambda contact: (folded(contact.card.name), contact.id))
        return ContactPage(found[(page - 1) * count : page * count], page, len(found))

    async def suggest(self, actor: StaffActor, letters: str) -> list[ContactOverview]:
        """At most `MOST_SUGGESTED`: first whose name begins so, then whose number worked last; one address once."""
        if not letters.strip():
            return []
        start = folded(letters.strip())
        found, looked_up = await asyncio.gather(self.everyone(actor, letters=letters), self._looked_up(letters))
        known = {contact.card.email.comparable for contact in found}
        found = matching([*found, *(each for each in looked_up if each.card.email.comparable not in known)], letters)
        found.sort(key=lambda contact: folded(contact.card.name))
        found.sort(key=lambda contact: contact.number_worked_at.timestamp() if contact.number_worked_at else 0.0, reverse=True)
        found.sort(key=lambda contact: not folded(contact.card.name).startswith(start))
        once: dict[object, ContactOverview] = {}
        for contact in found:
            once.setdefault((contact.card.email.comparable, contact.card.mobile), contact)
        return list(once.values())[:MOST_SUGGESTED]

    async def _looked_up(self, letters: str) -> list[ContactOverview]:
        """Who in Exchange's own list fits. Without an answer in time people type on, and find what is here."""
        if self._asked is None or len(letters.strip()) < _SHORTEST_LOOK_UP:
            return []
        try:
            async with asyncio.timeout(_LOOK_UP_SECONDS):
                entries = await self._asked.look_up(letters.strip())
        except (AddressBookError, TimeoutError) as error:
            _LOG.info("look_up_failed", error=type(error).__name__)
            return []
        now = self._clock()
        return [
            _listed_overview(ContactId(""), card, ContactSource.DIRECTORY, entry.changed_at or now, None)
            for entry in entries
            for card in ListedCard.all_of(entry, self._governing.policy)
        ]

    async def known(self, actor: StaffActor, emails: Sequence[str]) -> list[ContactOverview]:
        """Per address that is in a book the contact to use: whose number worked last, else the one that changed last."""
        wanted = {email.strip().lower() for email in emails}
        best: dict[str, ContactOverview] = {}
        for contact in await self.everyone(actor, emails=sorted(wanted)):  # the latest change first
            address = contact.card.email.comparable
            if address not in wanted:
                continue
            known = best.setdefault(address, contact)
            worked, before = contact.number_worked_at, known.number_worked_at
            if worked is not None and (before is None or worked > before):
                best[address] = contact
        return list(best.values())

    async def proposed(self, actor: StaffActor, recipients: Sequence[tuple[str, PhoneNumber]]) -> dict[str, ContactOverview]:
        """By address the contact of whom the number comes from a list, and has never worked: the sender should look at it."""
        numbers = {email.strip().lower(): number for email, number in recipients}
        found = await self.known(actor, list(numbers)) if numbers else []
        return {
            contact.card.email.comparable: contact
            for contact in found
            if contact.is_listed
            and contact.number_worked_at is None
            and contact.card.mobile == numbers[contact.card.email.comparable]
        }

    async def everyone(
        self, actor: StaffActor, *, letters: str = "", emails: Sequence[str] = (), book: str = ""
    ) -> list[ContactOverview]:
        """What is kept here, opened, the latest change first; then, unless one `book` is meant, what is listed.

        Of the organisation's list only who may have the letters, and who has one of the addresses.
        """
        query = _rows().where(is_contacts_owner(actor)).order_by(Contact.changed_at.desc(), Contact.id).limit(MOST_OPENED)
        if book:
            query = query.where(Contact.department_id.is_(None) if book == MINE else Contact.department_id == book)
        async with self._database.reading() as session:
            rows = (await session.execute(query)).all()
            listed, sources = ([], {}) if book else await self._listed(session, actor, letters, emails)
        cards = await asyncio.to_thread(self._keys.cards, [(row.id, row.sealed_card) for row in rows])
        kept = [_overview(actor, row, card) for row, card in zip(rows, cards, strict=True)]
        # What people keep themselves stands in front of what is listed under the same address.
        hidden = {row.email_index for row in rows} | {row.corrects_index for row in rows}
        shown = _once([row for row in listed if row.email_index not in hidden], sources)
        opened = await asyncio.to_thread(self._keys.listed_cards, [(row.id, row.sealed_card) for row in shown])
        return kept + [
            _listed_overview(row.id, card, sources[row.feed_id], row.changed_at, row.number_worked_at)
            for row, card in zip(shown, opened, strict=True)
        ]

    async def _listed(
        self, session: AsyncSession, actor: StaffActor, letters: str, emails: Sequence[str]
    ) -> tuple[list[Any], dict[FeedId, ContactSource]]:
        """Rows of their own book in Exchange, all of them, and of the organisation's list whoever may be meant."""
        feeds = (await session.execute(select(AddressFeed.id, AddressFeed.owner_id).where(*self._shown(actor)))).all()
        sources = {feed.id: ContactSource.DIRECTORY if feed.owner_id is None else ContactSource.EXCHANGE for feed in feeds}
        own = [feed_id for feed_id, source in sources.items() if source == ContactSource.EXCHANGE]
        others = [feed_id for feed_id, source in sources.items() if source == ContactSource.DIRECTORY]
        rows: list[Any] = []
        if own:
            query = listed_rows().where(ListedContact.feed_id.in_(own)).order_by(ListedContact.changed_at.desc())
            rows += (await session.execute(query.limit(MOST_OPENED))).all()
        if others and letters:
            rows += await self._listing.candidates(session, others, letters)
        if others and emails:
            indexes = self._keys.indexes(("email", email) for email in emails)
            query = listed_rows().where(ListedContact.feed_id.in_(others), ListedContact.email_index.in_(indexes))
            rows += (await session.execute(query)).all()
        return rows, sources

    def _shown(self, actor: StaffActor) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
        """Which feeds this person sees: not what was read before, of a service that is no longer connected."""
        is_connected: ColumnElement[bool] = AddressFeed.place.in_([*self._books.by_place(), UPLOAD])
        if self._books.of_people is not None:
            is_connected = or_(is_connected, AddressFeed.owner_id.is_not(None))
        return is_feeds_reader(actor), is_connected

    async def contact(self, actor: StaffActor, contact_id: str) -> ContactOverview:
        """One contact, kept or listed. Raises `NotFound`."""
        async with self._database.reading() as session:
            try:
                contact = await own_contact(session, actor, contact_id)
            except NotFound:
                listed = await own_listed(session, actor, contact_id)
                feed = await session.get_one(AddressFeed, listed.feed_id)
                [card] = self._keys.listed_cards([(listed.id, listed.sealed_card)])
                source = ContactSource.DIRECTORY if feed.owner_id is None else ContactSource.EXCHANGE
                return _listed_overview(listed.id, card, source, listed.changed_at, listed.number_worked_at)
            row = (await session.execute(_rows().where(Contact.id == contact.id))).one()
        return _overview(actor, row, self._keys.card(row.id, row.sealed_card))

    async def listed_version(self, actor: StaffActor, contact_id: str) -> ContactOverview | None:
        """What an address book lists under the address of a contact in their own book, if it does. Raises `NotFound`."""
        async with self._database.reading() as session:
            contact = await own_contact(session, actor, contact_id)
            if contact.owner_id is None:
                return None
            feeds = (await session.execute(select(AddressFeed.id, AddressFeed.owner_id).where(*self._shown(actor)))).all()
            sources = {feed.id: ContactSource.DIRECTORY if feed.owner_id is None else ContactSource.EXCHANGE for feed in feeds}
            index = contact.corrects_index or contact.email_index
            query = listed_rows().where(ListedContact.feed_id.in_(list(sources)), ListedContact.email_index == index)
            found = _once((await session.execute(query)).all(), sources)
        if not found:
            return None
        row = found[0]
        [card] = self._keys.listed_cards([(row.id, row.sealed_card)])
        return _listed_overview(row.id, card, sources[row.feed_id], row.changed_at, row.number_worked_at)


def _once(rows: Iterable[Any], sources: dict[FeedId, ContactSource]) -> list[Any]:
    """One for each address and number: with a number first, then of their own book, then what changed last."""

    def rank(row: Any) -> tuple[bool, bool, datetime]:
        return row.number_index is not None, sources[row.feed_id] == ContactSource.EXCHANGE, row.changed_at

    once: dict[tuple[bytes, bytes | None], Any] = {}
    has_number: set[bytes] = set()
    for row in sorted(rows, key=rank, reverse=True):
        if row.number_index is not None:
            has_number.add(row.email_index)
        elif row.email_index in has_number:
            continue
        once.setdefault((row.email_index, row.number_index), row)
    return list(once.values())


def matching(contacts: Iterable[ContactOverview], letters: str) -> list[ContactOverview]:
    """Those in whose name, organisation or address each of the words occurs, or in whose number the digits.

    Capitals and marks on letters make no difference.
    """
    words = folded(letters).split()
    return [contact for contact in contacts if not words or _has(contact.card, words)]


def _has(card: Card, words: Sequence[str]) -> bool:
    text = folded(f"{card.name}\n{card.organisation}\n{card.email}")
    if all(word in text for word in words):
        return True
    digits = "".join(filter(str.isdigit, "".join(words)))
    return len(digits) > 3 and card.mobile is not None and digits.removeprefix("0") in card.mobile.e164  # noqa: PLR2004


def _overview(actor: StaffActor, row: Any, card: Card) -> ContactOverview:
    return ContactOverview(
        id=row.id,
        card=card,
        department_id=row.department_id,
        department_name=actor.departments[row.department_id].name if row.department_id else "",
        source=row.source,
        number_worked_at=row.number_worked_at,
        created_at=row.created_at,
        changed_at=row.changed_at,
    )


def _listed_overview(
    listed_id: ContactId, listed: ListedCard, source: ContactSource, changed_at: datetime, number_worked_at: datetime | None
) -> ContactOverview:
    return ContactOverview(
        id=listed_id,
        card=listed.card,
        source=source,
        number_worked_at=number_worked_at,
        created_at=None,
        changed_at=changed_at,
        number_problem=listed.number_problem,
        typed_number=listed.typed_number,
    )


def _rows() -> Select[*tuple[Any, ...]]:
    """Columns instead of objects: opening thousands for one keystroke is not slowed down by what is never changed."""
    return select(
        Contact.id,
        Contact.sealed_card,
        Contact.department_id,
        Contact.source,
        Contact.email_index,
        Contact.corrects_index,
        Contact.number_worked_at,
        Contact.created_at,
        Contact.changed_at,
    )
