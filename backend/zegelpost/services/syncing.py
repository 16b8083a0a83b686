"""Syncing: reading the address books that are due, page by page, by one worker at a time.

What a page brings and the cursor after it commit together, so whatever is cut off goes on where it was, and a page that is
read twice changes nothing the second time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import ColumnElement, and_, exists, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.address_book import (
    CLAIM_LENGTH,
    DIRECTORY,
    FEW,
    FILE,
    FIRST_RETRY,
    AddressBookChoices,
    AddressBookKind,
    AddressFeed,
    FeedTrouble,
    ListedContact,
)
from zegelpost.model.clock import Clock
from zegelpost.model.email_address import EmailAddress
from zegelpost.model.event import ActorKind, EventTag
from zegelpost.model.identifiers import FeedId, StaffUserId, new_identifier
from zegelpost.model.refusals import EmailAddressInvalid, ListInUse
from zegelpost.model.staff_user import StaffUser
from zegelpost.ports import AddressBook, AddressBookError, BookPage, CursorRefusedError
from zegelpost.process import new_writer
from zegelpost.services.following_directory import follow_directory, unnamed
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.listing_contacts import Changed, ListingContacts, PreparedPage
from zegelpost.services.recording import Subject, record
from zegelpost.services.writing_back import WritingBack

_LOG: Final = structlog.get_logger()
_LOOK_EVERY_SECONDS: Final = 15
_SIDE_BY_SIDE: Final = 4  # of the provider's own limits, which are per application, this is little
HEAD_START_SECONDS: Final = 5.0
# Of new feeds, so that a thousand people who came at once are not looked for at once.
_MOST_NEW_FEEDS: Final = 200
# Of people that a pass over the directory did not name, in one reading. Fifteen are one question to Graph.
_MOST_ASKED_AFTER: Final = 15_000
_ASKED_AT_ONCE: Final = 150
# Trouble that the next feed of the same provider would have too.
_OF_THE_PROVIDER: Final = frozenset({FeedTrouble.CREDENTIALS, FeedTrouble.CERTIFICATE, FeedTrouble.UNREACHABLE})


@dataclass(frozen=True, slots=True)
class AddressBooks:
    """What this installation reads: Exchange, a file, or both; and how long it waits between two readings."""

    exchange: AddressBook | None
    file: AddressBook | None
    every: timedelta
    # The sign-in provider whose people Exchange's list names, if there is one: then who is switched off there is here too.
    directory_issuer: str | None = None

    def by_place(self) -> Mapping[str, AddressBook]:
        """Who reads which of the organisation's own feeds."""
        books: dict[str, AddressBook] = {}
        if self.exchange is not None and self.exchange.has_directory:
            books[DIRECTORY] = self.exchange
        if self.file is not None:
            books[FILE] = self.file
        return books

    @property
    def of_people(self) -> AddressBook | None:
        return self.exchange if self.exchange is not None and self.exchange.has_mailboxes else None

    def of(self, feed: AddressFeed) -> AddressBook | None:
        return self.of_people if feed.owner_id is not None else self.by_place().get(feed.place)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFeed:
    """How reading one feed went."""

    feed_id: FeedId
    owner_id: StaffUserId | None
    place: str
    changed: Changed
    trouble: FeedTrouble | None


class _ClaimLost(Exception):
    """Another worker reads this feed now, or it was switched off; what we had in hand is not kept."""


class Syncing:
    def __init__(
        self,
        database: Database,
        keeping_keys: KeepingKeys,
        listing: ListingContacts,
        writing_back: WritingBack,
        books: AddressBooks,
        clock: Clock,
    ) -> None:
        self._database = database
        self._keys = keeping_keys
        self._listing = listing
        self._writing_back = writing_back
        self._books = books
        self._clock = clock

    async def run(self, stop: asyncio.Event) -> None:
        """Read what is due, again and again, until told to stop; a page in hand is finished."""
        while not stop.is_set():
            try:
                await self.read_due(stop)
            except Exception as error:  # noqa: BLE001 - logged, and tried again in a moment
                _LOG.error("address_books_failed", error=type(error).__name__)
            try:
                await asyncio.wait_for(stop.wait(), _LOOK_EVERY_SECONDS)
            except TimeoutError:
                continue

    async def read_due(self, stop: asyncio.Event | None = None) -> list[ReadFeed]:
        """Read every feed that is due, a few side by side. Any number of workers may do so at once.

        One slow mailbox does not hold up all others.
        What keeps the provider itself from answering ends the round: waiting for it once for each of a thousand people would
        take hours, and a refused secret that is offered a thousand times gets locked. The next round tries the next feed. That
        is why one reader goes ahead, and the others follow when it has read a feed or is taking its time.
        """
        await self.open_feeds()
        read: list[ReadFeed] = []
        has_begun, is_over = asyncio.Event(), asyncio.Event()
        first = asyncio.create_task(self._read_one_after_another(read, stop, has_begun, is_over))
        ahead = asyncio.create_task(has_begun.wait())
        await asyncio.wait({first, ahead}, timeout=HEAD_START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        ahead.cancel()
        followers = [] if first.done() else range(_SIDE_BY_SIDE - 1)
        await asyncio.gather(first, *(self._read_one_after_another(read, stop, has_begun, is_over) for _ in followers))
        return read

    async def _read_one_after_another(
        self, read: list[ReadFeed], stop: asyncio.Event | None, has_begun: asyncio.Event, is_over: asyncio.Event
    ) -> None:
        """Read what is due until nothing is, until told to stop, or until the round `is_over`."""
        while not is_over.is_set() and (stop is None or not stop.is_set()):
            writer = new_writer()
            feed = await self._claim(writer)
            if feed is None:
                return
            outcome = await self._read(feed, writer, stop)
            read.append(outcome)
            if feed.place != FILE and outcome.trouble in _OF_THE_PROVIDER:
                is_over.set()
            has_begun.set()

    async def ask_now(self, *, owner_id: StaffUserId | None = None, is_everything: bool = False) -> None:
        """Make feeds due: all of them, those of one person, or those of the organisation."""
        which = [] if is_everything else [AddressFeed.owner_id == owner_id if owner_id else AddressFeed.owner_id.is_(None)]
        await self.open_feeds()
        async with self._database.work() as session:
            await session.execute(
                update(AddressFeed).where(*which).values(due_at=self._clock()).execution_options(synchronize_session=False)
            )

    async def take_over(self, place: str, book: AddressBook) -> Changed:
        """Read a list that somebody has just agreed to, to its end and at once; what it does not name goes.

        Raises `ListInUse` while another one is taken over, and what the book raises.
        """
        writer = new_writer()
        await self._open_feed(place, None, book.kind)
        feed = await self._claim_place(place, writer)
        if feed is None:
            raise ListInUse
        changed = Changed()
        feed.sealed_cursor = None
        await self._pages(feed, book, None, writer, changed, None, is_agreed=True)
        await self._finish(feed, writer, changed, None, is_stopped=False)
        return changed

    async def _claim_place(self, place: str, writer: str) -> AddressFeed | None:
        now = self._clock()
        is_free = or_(AddressFeed.claimed_until.is_(None), AddressFeed.claimed_until <= now)
        async with self._database.work() as session:
            return await session.scalar(
                update(AddressFeed)
                .where(AddressFeed.place == place, is_free)
                .values(claimed_by=writer, claimed_until=now + CLAIM_LENGTH, started_at=now)
                .returning(AddressFeed)
                .execution_options(synchronize_session=False, populate_existing=True)
            )

    async def open_feeds(self) -> None:
        """A feed for everyone and everything that is to be read and has none yet."""
        wanted: dict[str, tuple[StaffUserId | None, AddressBookKind]] = {
            place: (None, book.kind) for place, book in self._books.by_place().items()
        }
        async with self._database.reading() as session:
            known = set(await session.scalars(select(AddressFeed.place).where(AddressFeed.owner_id.is_(None))))
            people = self._books.of_people
            if people is not None:
                missing = select(StaffUser.id).where(
                    StaffUser.is_switched_off.is_(False), ~exists().where(AddressFeed.owner_id == StaffUser.id)
                )
                rows = await session.scalars(missing.order_by(StaffUser.created_at).limit(_MOST_NEW_FEEDS))
                wanted |= {user_id: (user_id, people.kind) for user_id in rows}
        for place, (owner_id, kind) in wanted.items():
            if place not in known:
                await self._open_feed(place, owner_id, kind)

    async def _open_feed(self, place: str, owner_id: StaffUserId | None, kind: AddressBookKind) -> None:
        try:
            async with self._database.work() as session:
                session.add(new_feed(place, owner_id, kind, self._clock()))
        except IntegrityError:
            return  # another worker was first

    async def _claim(self, writer: str) -> AddressFeed | None:
        """Take the feed that has waited longest, by one conditional update: nobody else reads it meanwhile."""
        now = self._clock()
        kinds = [book.kind for book in (self._books.exchange, self._books.file) if book is not None]
        async with self._database.work() as session:
            choices = await choices_of(session)
            is_free = or_(AddressFeed.claimed_until.is_(None), AddressFeed.claimed_until <= now)
            waiting = (
                select(AddressFeed.id)
                .where(is_free, AddressFeed.due_at <= now, AddressFeed.is_switched_on, self._is_read(choices))
                # What everyone uses first.
                .order_by(AddressFeed.owner_id.is_not(None), AddressFeed.due_at)
                .limit(1)
                .with_for_update(skip_locked=True)
            )
            if not kinds:
                return None
            return await session.scalar(
                update(AddressFeed)
                .where(AddressFeed.id == waiting.scalar_subquery(), is_free)
                .values(claimed_by=writer, claimed_until=now + CLAIM_LENGTH, started_at=now)
                .returning(AddressFeed)
                .execution_options(synchronize_session=False, populate_existing=True)
            )

    def _is_read(self, choices: AddressBookChoices) -> ColumnElement[bool]:
        """Of which feeds there is anything to read, by the set-up and by what administrators chose."""
        places = [place for place in self._books.by_place() if place != DIRECTORY or choices.reads_directory]
        read: ColumnElement[bool] = AddressFeed.place.in_(places)
        if self._books.of_people is not None and choices.reads_mailboxes:
            lives = exists().where(StaffUser.id == AddressFeed.owner_id, StaffUser.is_switched_off.is_(False))
            read = or_(read, and_(AddressFeed.owner_id.is_not(None), lives))
        return read

    async def _read(self, feed: AddressFeed, writer: str, stop: asyncio.Event | None) -> ReadFeed:
        """Read a claimed feed to its end, or as far as it goes.

        1. Page after page, each kept together with its cursor and only by whoever still holds the claim.
        2. A cursor that is refused is dropped, and everything is read anew; nothing goes until that has come to its end.
        3. New contacts go to their owner's book in Exchange, when the organisation wants that.
        4. Whatever happened is written down with the time of the next try, and the claim is given back.
        """
        book = self._books.of(feed)
        assert book is not None
        changed, trouble = Changed(), None
        try:
            mailbox = await self._mailbox(feed)
            # 1. and 2.
            await self._pages(feed, book, mailbox, writer, changed, stop)
            # 3.
            if mailbox is not None:
                await self._writing_back.run(feed, book, mailbox)
        except _ClaimLost:
            return _read_feed(feed, changed, None)
        except AddressBookError as error:
            trouble = error
        except Exception as error:  # noqa: BLE001 - one feed must not keep the others from being read
            _LOG.error("address_book_failed", feed=feed.id, error=type(error).__name__)
            trouble = AddressBookError("something of ours failed", trouble=FeedTrouble.OTHER)
        # 4.
        await self._finish(feed, writer, changed, trouble, is_stopped=stop is not None and stop.is_set())
        return _read_feed(feed, changed, trouble.trouble if trouble else None)

    async def _mailbox(self, feed: AddressFeed) -> EmailAddress | None:
        if feed.owner_id is None:
            return None
        async with self._database.reading() as session:
            user = await session.get_one(StaffUser, feed.owner_id)
        try:
            return EmailAddress.parse(user.email)
        except EmailAddressInvalid:
            raise AddressBookError("the account's address is none", trouble=FeedTrouble.MAILBOX_MISSING) from None

    async def _pages(
        self,
        feed: AddressFeed,
        book: AddressBook,
        mailbox: EmailAddress | None,
        writer: str,
        changed: Changed,
        stop: asyncio.Event | None,
        *,
        is_agreed: bool = False,
    ) -> None:
        # What one kind of provider gave means nothing to another.
        cursor = self._keys.cursor(feed.sealed_cursor, feed.id) if feed.sealed_cursor and feed.kind == book.kind else None
        is_second_try = False
        # While a page is kept the next one is asked for: waiting for the provider takes longer than all of our own work.
        ahead = asyncio.ensure_future(self._read_page(feed, book, mailbox, cursor))
        try:
            while True:
                try:
                    page, prepared = await ahead
                except CursorRefusedError:
                    if is_second_try or cursor is None:
                        raise
                    is_second_try, cursor = True, None
                    await self._start_over(feed, writer)
                    ahead = asyncio.ensure_future(self._read_page(feed, book, mailbox, cursor))
                    continue
                cursor = page.cursor
                if not page.is_last:
                    ahead = asyncio.ensure_future(self._read_page(feed, book, mailbox, cursor))
                async with self._database.work() as session:
                    feed = await self._hold(session, feed.id, writer)
                    changed += await self._keep(session, feed, book, page, prepared, is_agreed=is_agreed)
                if page.is_last:
                    break
                if stop is not None and stop.is_set():
                    return
        finally:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)
        await self._ask_after_unnamed(feed, book, writer)
        if feed.is_whole_pass:
            raise AddressBookError("most contacts would be gone", trouble=FeedTrouble.SHRUNK, is_permanent=True)

    async def _read_page(
        self, feed: AddressFeed, book: AddressBook, mailbox: EmailAddress | None, cursor: str | None
    ) -> tuple[BookPage, PreparedPage]:
        page = await book.read(mailbox, cursor)
        return page, await self._listing.prepare(feed, page, self._clock())

    async def _keep(
        self,
        session: AsyncSession,
        feed: AddressFeed,
        book: AddressBook,
        page: BookPage,
        prepared: PreparedPage,
        *,
        is_agreed: bool,
    ) -> Changed:
        if page.starts_over:
            feed.generation += 1
            feed.is_whole_pass = True
            feed.kind = book.kind
            # What the pass before this one would have taken away is no longer the question.
            feed.trouble = feed.trouble_since = None
        feed.sealed_cursor = self._keys.seal_cursor(page.cursor, feed.id)
        await session.flush()
        changed = await self._listing.keep(session, feed, prepared)
        if feed.place == DIRECTORY and self._books.directory_issuer:
            await follow_directory(session, self._books.directory_issuer, page.accounts, feed.generation, self._clock())
        if page.is_last and feed.is_whole_pass and (is_agreed or await _may_remove_unnamed(session, feed)):
            changed.removed_count += await self._listing.remove_unnamed(session, feed)
            feed.is_whole_pass = False
        return changed

    async def _ask_after_unnamed(self, feed: AddressFeed, book: AddressBook, writer: str) -> None:
        """At the end of a reading: after who joined since the pass before it, and after whom a pass did not name.

        When a cursor was lost, nobody tells who was removed meanwhile. Who the directory says nothing of is asked after again
        with the next reading.
        """
        issuer = self._books.directory_issuer
        if feed.place != DIRECTORY or issuer is None:
            return
        async with self._database.reading() as session:
            subjects = await unnamed(session, issuer, feed.generation, most=_MOST_ASKED_AFTER)
        for start in range(0, len(subjects), _ASKED_AT_ONCE):
            accounts = await book.ask_after(subjects[start : start + _ASKED_AT_ONCE])
            async with self._database.work() as session:
                held = await self._hold(session, feed.id, writer)
                await follow_directory(session, issuer, accounts, held.generation, self._clock())

    async def _start_over(self, feed: AddressFeed, writer: str) -> None:
        _LOG.info("address_book_starts_over", feed=feed.id)
        async with self._database.work() as session:
            held = await self._hold(session, feed.id, writer)
            held.sealed_cursor = None
            record(session, EventTag.ADDRESS_BOOK_RESTARTED, Subject(actor=ActorKind.SYSTEM), self._clock(), feed=feed.id)

    async def _hold(self, session: AsyncSession, feed_id: FeedId, writer: str) -> AddressFeed:
        """The feed, for as long as this unit of work takes, and longer. Raises `_ClaimLost`."""
        held = await session.scalar(
            update(AddressFeed)
            .where(AddressFeed.id == feed_id, AddressFeed.claimed_by == writer)
            .values(claimed_until=self._clock() + CLAIM_LENGTH)
            .returning(AddressFeed)
            .execution_options(synchronize_session=False, populate_existing=True)
        )
        if held is None:
            raise _ClaimLost
        return held

    async def _finish(
        self, feed: AddressFeed, writer: str, changed: Changed, error: AddressBookError | None, *, is_stopped: bool
    ) -> None:
        now = self._clock()
        async with _unless_claim_lost(), self._database.work() as session:
            held = await self._hold(session, feed.id, writer)
            held.claimed_by = held.claimed_until = None
            if error is not None:
                held.trouble_since = held.trouble_since if held.trouble == error.trouble else now
                held.trouble = error.trouble
                held.failed_count += 1
                held.due_at = now + self._pause(error, held.failed_count)
            elif not is_stopped:
                held.trouble, held.trouble_since, held.failed_count = None, None, 0
                held.finished_at = now
                held.due_at = now + self._books.every
                held.added_count, held.changed_count = changed.added_count, changed.changed_count
                held.removed_count = changed.removed_count
        _LOG.info(
            "address_book_read",
            feed=feed.id,
            trouble=error.trouble.value if error else None,
            reason=error.reason if error else None,
            added=changed.added_count,
            changed=changed.changed_count,
            removed=changed.removed_count,
        )

    def _pause(self, error: AddressBookError, failed_count: int) -> timedelta:
        """Until the next try: longer each time, at most the usual time between, and not before the provider wants it."""
        usual = self._books.every
        pause = usual if error.is_permanent else min(usual, FIRST_RETRY * 2 ** min(failed_count - 1, 10))
        return max(pause, timedelta(seconds=error.retry_after_seconds or 0))


def new_feed(place: str, owner_id: StaffUserId | None, kind: AddressBookKind, now: datetime) -> AddressFeed:
    return AddressFeed(id=FeedId(new_identifier()), place=place, owner_id=owner_id, kind=kind, due_at=now)


async def choices_of(session: AsyncSession) -> AddressBookChoices:
    """What administrators chose, or the defaults."""
    found = await session.get(AddressBookChoices, 1)
    return found or AddressBookChoices(id=1, reads_directory=True, reads_mailboxes=True, writes_back_since=None)


async def _may_remove_unnamed(session: AsyncSession, feed: AddressFeed) -> bool:
    """Whether so much is gone that somebody should look first: a file that was cut off looks like everybody having left."""
    if feed.owner_id is not None:
        return True
    mine = ListedContact.feed_id == feed.id
    total = await session.scalar(select(func.count()).select_from(ListedContact).where(mine)) or 0
    unnamed = await session.scalar(
        select(func.count()).select_from(ListedContact).where(mine, ListedContact.generation < feed.generation)
    )
    return total < FEW or (unnamed or 0) * 2 <= total


def _read_feed(feed: AddressFeed, changed: Changed, trouble: FeedTrouble | None) -> ReadFeed:
    return ReadFeed(feed_id=feed.id, owner_id=feed.owner_id, place=feed.place, changed=changed, trouble=trouble)


@asynccontextmanager
async def _unless_claim_lost() -> AsyncIterator[None]:
    try:
        yield
    except _ClaimLost:
        return
