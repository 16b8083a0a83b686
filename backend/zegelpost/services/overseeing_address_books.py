"""Overseeing address books: how reading them goes, in facts for their owner and for administrators, and who wants it at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, SQLColumnExpression, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.address_book import (
    DIRECTORY,
    UPLOAD,
    AddressBookChoices,
    AddressBookKind,
    AddressFeed,
    FeedTrouble,
    ListedContact,
)
from zegelpost.model.clock import Clock
from zegelpost.model.event import EventTag
from zegelpost.model.refusals import NotFound
from zegelpost.model.staff_user import StaffUser
from zegelpost.services.access import StaffActor, require_administrator
from zegelpost.services.listing_contacts import ListingContacts
from zegelpost.services.recording import record
from zegelpost.services.syncing import AddressBooks, Syncing, choices_of

# Of people in trouble, named for administrators; the numbers tell the rest.
MOST_NAMED: Final = 50
_PLAIN: Final[Mapping[str, Any]] = {"synchronize_session": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedStatus:
    """How reading one address book goes."""

    place: str
    owner_name: str = ""
    kind: AddressBookKind
    is_running: bool
    trouble: FeedTrouble | None
    trouble_since: datetime | None
    finished_at: datetime | None
    due_at: datetime | None
    added_count: int
    changed_count: int
    removed_count: int
    contact_count: int
    # In which a number stands that no code can be sent to.
    unusable_count: int


@dataclass(frozen=True, slots=True)
class OwnBook:
    """Someone's own book in Exchange. `status` is there once it was looked for."""

    is_switched_on: bool
    status: FeedStatus | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganisationBooks:
    """What is read for everyone, what administrators chose, and how it goes with the books of people."""

    has_directory: bool
    # Whether reading the directory also takes away the access of who is switched off there.
    follows_directory: bool
    has_mailboxes: bool
    has_file: bool
    reads_directory: bool
    reads_mailboxes: bool
    writes_back: bool
    lists: Sequence[FeedStatus]
    people_count: int
    people_off_count: int
    people_in_trouble: Sequence[FeedStatus]
    people_in_trouble_count: int


class OverseeingAddressBooks:
    def __init__(self, database: Database, syncing: Syncing, listing: ListingContacts, books: AddressBooks, clock: Clock) -> None:
        self._database = database
        self._syncing = syncing
        self._listing = listing
        self._books = books
        self._clock = clock

    # For everyone

    async def has_lists(self) -> bool:
        """Whether there is a list of the organisation to search in."""
        if self._books.by_place():
            return True
        async with self._database.reading() as session:
            uploaded = select(AddressFeed.id).where(AddressFeed.place == UPLOAD, AddressFeed.finished_at.is_not(None))
            return await session.scalar(uploaded) is not None

    async def own(self, actor: StaffActor) -> OwnBook | None:
        """Nothing where no books of people are read."""
        if self._books.of_people is None:
            return None
        async with self._database.reading() as session:
            if not (await choices_of(session)).reads_mailboxes:
                return None
            feed = await session.scalar(select(AddressFeed).where(AddressFeed.owner_id == actor.user.id))
            if feed is None:
                return OwnBook(is_switched_on=True, status=None)
            return OwnBook(feed.is_switched_on, (await self._statuses(session, [feed]))[0])

    async def switch(self, actor: StaffActor, *, is_on: bool) -> None:
        """Off means that what was read is forgotten here, and nothing is read. Raises `NotFound` where nothing is read."""
        if await self.own(actor) is None:
            raise NotFound
        await self._syncing.open_feeds()
        async with self._database.work() as session:
            which = AddressFeed.owner_id == actor.user.id
            if not is_on:
                await self._forget(session, which)
            values = {"is_switched_on": is_on, "due_at": self._clock()}
            await session.execute(update(AddressFeed).where(which).values(values), execution_options=_PLAIN)
            record(session, EventTag.ADDRESS_BOOK_SWITCHED, actor.subject(), self._clock(), is_on=is_on)

    async def read_soon(self, actor: StaffActor) -> None:
        """A worker reads their own book within a minute. Raises `NotFound` where nothing is read."""
        if await self.own(actor) is None:
            raise NotFound
        await self._syncing.ask_now(owner_id=actor.user.id)

    # For administrators

    async def organisation(self, actor: StaffActor) -> OrganisationBooks:
        """Raises `NotFound` for who is no administrator. Of people it tells whose book is in trouble, and nothing in it."""
        require_administrator(actor)
        has_people, places = self._books.of_people is not None, self._books.by_place()
        is_person, is_in_trouble = AddressFeed.owner_id.is_not(None), AddressFeed.trouble.is_not(None)
        async with self._database.reading() as session:
            choices = await choices_of(session)
            feeds = await session.scalars(select(AddressFeed).where(AddressFeed.owner_id.is_(None)).order_by(AddressFeed.place))
            lists = await self._statuses(session, [feed for feed in feeds if feed.place in {*places, UPLOAD}])
            troubled = [is_person, is_in_trouble, AddressFeed.is_switched_on]
            people = await session.scalars(
                select(AddressFeed).where(*troubled).order_by(AddressFeed.trouble_since).limit(MOST_NAMED)
            )
            return OrganisationBooks(
                has_directory=DIRECTORY in places,
                follows_directory=self._books.directory_issuer is not None,
                has_mailboxes=has_people,
                has_file=self._books.file is not None,
                reads_directory=choices.reads_directory,
                reads_mailboxes=choices.reads_mailboxes,
                writes_back=choices.writes_back_since is not None,
                lists=lists,
                people_count=await _count(session, is_person, AddressFeed.is_switched_on),
                people_off_count=await _count(session, is_person, AddressFeed.is_switched_on.is_(False)),
                people_in_trouble=await self._statuses(session, list(people)),
                people_in_trouble_count=await _count(session, *troubled),
            )

    async def choose(self, actor: StaffActor, *, reads_directory: bool, reads_mailboxes: bool, writes_back: bool) -> None:
        """For the whole organisation. What is not to be read any more is forgotten. Raises `NotFound`."""
        require_administrator(actor)
        now = self._clock()
        async with self._database.work() as session:
            choices = await session.get(AddressBookChoices, 1, with_for_update=True)
            if choices is None:
                choices = AddressBookChoices(id=1)
                session.add(choices)
            choices.reads_directory, choices.reads_mailboxes = reads_directory, reads_mailboxes
            # What people made before nobody had agreed to hand over.
            choices.writes_back_since = (choices.writes_back_since or now) if writes_back else None
            if not reads_directory:
                await self._forget(session, AddressFeed.place == DIRECTORY)
            if not reads_mailboxes:
                await self._forget(session, AddressFeed.owner_id.is_not(None))
            record(
                session,
                EventTag.ADDRESS_BOOK_CHANGED,
                actor.subject(),
                now,
                reads_directory=reads_directory,
                reads_mailboxes=reads_mailboxes,
                writes_back=writes_back,
            )
        await self._syncing.ask_now(is_everything=True)

    async def agree(self, actor: StaffActor, place: str) -> None:
        """That most of a list goes, as the last pass over it would have it. Raises `NotFound` when nothing waits for that."""
        require_administrator(actor)
        async with self._database.work() as session:
            feed = await session.scalar(
                select(AddressFeed)
                .where(
                    AddressFeed.place == place,
                    AddressFeed.owner_id.is_(None),
                    AddressFeed.trouble == FeedTrouble.SHRUNK,
                    # Whoever reads it now may have named only half.
                    AddressFeed.claimed_by.is_(None),
                )
                .with_for_update()
            )
            if feed is None:
                raise NotFound
            count = await self._listing.remove_unnamed(session, feed)
            feed.is_whole_pass = False
            feed.trouble = feed.trouble_since = None
            feed.failed_count, feed.removed_count = 0, count
            record(session, EventTag.ADDRESS_BOOK_CHANGED, actor.subject(), self._clock(), feed=feed.id, removed_count=count)

    async def read_lists_soon(self, actor: StaffActor) -> None:
        """A worker reads everything within a minute. Raises `NotFound`."""
        require_administrator(actor)
        await self._syncing.ask_now(is_everything=True)

    async def _forget(self, session: AsyncSession, *which: ColumnElement[bool]) -> None:
        feeds = select(AddressFeed.id).where(*which)
        await session.execute(delete(ListedContact).where(ListedContact.feed_id.in_(feeds)), execution_options=_PLAIN)
        await session.execute(
            update(AddressFeed)
            .where(*which)
            .values(
                sealed_cursor=None,
                is_whole_pass=False,
                # Whoever reads it at this moment keeps nothing of what they have in hand.
                claimed_by=None,
                claimed_until=None,
                trouble=None,
                trouble_since=None,
                finished_at=None,
                failed_count=0,
                added_count=0,
                changed_count=0,
                removed_count=0,
            ),
            execution_options=_PLAIN,
        )

    async def _statuses(self, session: AsyncSession, feeds: Sequence[AddressFeed]) -> list[FeedStatus]:
        ids = [feed.id for feed in feeds]
        counts = {
            row.feed_id: row
            for row in await session.execute(
                select(
                    ListedContact.feed_id,
                    func.count().label("contacts"),
                    func.count(ListedContact.number_problem).label("unusable"),
                )
                .where(ListedContact.feed_id.in_(ids))
                .group_by(ListedContact.feed_id)
            )
        }
        owners = [feed.owner_id for feed in feeds if feed.owner_id is not None]
        rows = await session.execute(select(StaffUser.id, StaffUser.name).where(StaffUser.id.in_(owners)))
        names = {row.id: row.name for row in rows}
        now = self._clock()
        return [
            FeedStatus(
                place=feed.place,
                owner_name=names[feed.owner_id] if feed.owner_id is not None else "",
                kind=feed.kind,
                is_running=feed.claimed_until is not None and feed.claimed_until > now,
                trouble=feed.trouble,
                trouble_since=feed.trouble_since,
                finished_at=feed.finished_at,
                due_at=feed.due_at,
                added_count=feed.added_count,
                changed_count=feed.changed_count,
                removed_count=feed.removed_count,
                contact_count=counts[feed.id].contacts if feed.id in counts else 0,
                unusable_count=counts[feed.id].unusable if feed.id in counts else 0,
            )
            for feed in feeds
        ]


async def _count(session: AsyncSession, *which: SQLColumnExpression[bool]) -> int:
    return await session.scalar(select(func.count()).select_from(AddressFeed).where(*which)) or 0
