"""Uploading lists: the organisation's address list from a file that an administrator hands in, told row by row beforehand.

What is in the file becomes the list: who is no longer in it goes. The file itself is not kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.address_book import MOST_UPLOADED, UPLOAD, AddressFeed, ListedContact
from zegelpost.model.clock import Clock
from zegelpost.model.contact import TypedContact
from zegelpost.model.event import EventTag
from zegelpost.model.refusals import NotFound
from zegelpost.ports import AddressBook
from zegelpost.services.access import StaffActor, require_administrator
from zegelpost.services.governing import Governing
from zegelpost.services.importing_contacts import Reason, judge_row
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.listing_contacts import Changed
from zegelpost.services.reading_contact_files import FileRow, read_contact_file
from zegelpost.services.recording import record
from zegelpost.services.syncing import Syncing

_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRow:
    """One row of the file. `is_taken` without a reason, or with one about its number, which is then kept as it is typed."""

    number: int
    typed: TypedContact = field(repr=False)
    is_taken: bool
    reason: Reason | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListReport:
    """Before: what would go. After: what changed."""

    rows: Sequence[ListRow]
    gone_count: int
    changed: Changed | None = None

    @property
    def taken(self) -> list[ListRow]:
        return [row for row in self.rows if row.is_taken]

    @property
    def skipped(self) -> list[ListRow]:
        return [row for row in self.rows if not row.is_taken]

    @property
    def without_number(self) -> list[ListRow]:
        """Taken, and no code can be sent to their number."""
        return [row for row in self.rows if row.is_taken and row.reason is not None]


class UploadingLists:
    def __init__(
        self,
        database: Database,
        keeping_keys: KeepingKeys,
        syncing: Syncing,
        book_of: Callable[[Sequence[TypedContact]], AddressBook],
        governing: Governing,
        clock: Clock,
    ) -> None:
        self._database = database
        self._keys = keeping_keys
        self._syncing = syncing
        self._book_of = book_of
        self._governing = governing
        self._clock = clock

    async def preview(self, actor: StaffActor, content: bytes) -> tuple[list[FileRow], ListReport]:
        """What is in a file and what it would do; nothing changes.

        Raises `NotFound` for who is no administrator, `ContactFileMissing`, `ContactFileUnreadable`, `ContactColumnsMissing`
        and `TooManyContacts`.
        """
        require_administrator(actor)
        rows = await asyncio.to_thread(read_contact_file, content, most=MOST_UPLOADED)
        judged = await asyncio.to_thread(self._judged, rows)
        async with self._database.reading() as session:
            gone = await self._gone_count(session, judged)
        return rows, ListReport(rows=judged, gone_count=gone)

    async def take_over(self, actor: StaffActor, rows: Sequence[FileRow]) -> ListReport:
        """Make the rows the list, which is what the preview told. Raises `NotFound`, `ListInUse`."""
        require_administrator(actor)
        judged = await asyncio.to_thread(self._judged, rows)
        taken = [row.typed for row in judged if row.is_taken]
        changed = await self._syncing.take_over(UPLOAD, self._book_of(taken))
        async with self._database.work() as session:
            feed = await self._feed(session)
            assert feed is not None
            feed.due_at = None  # nobody reads it again by itself
            record(
                session,
                EventTag.ADDRESS_BOOK_CHANGED,
                actor.subject(),
                self._clock(),
                feed=feed.id,
                added_count=changed.added_count,
                changed_count=changed.changed_count,
                removed_count=changed.removed_count,
            )
        return ListReport(rows=judged, gone_count=changed.removed_count, changed=changed)

    async def remove(self, actor: StaffActor) -> None:
        """Take the whole list away. Raises `NotFound` when there is none."""
        require_administrator(actor)
        async with self._database.work() as session:
            feed = await self._feed(session)
            if feed is None:
                raise NotFound
            mine = ListedContact.feed_id == feed.id
            count = await session.scalar(select(func.count()).select_from(ListedContact).where(mine))
            await session.execute(delete(ListedContact).where(mine).execution_options(synchronize_session=False))
            feed_id = feed.id
            await session.execute(
                delete(AddressFeed).where(AddressFeed.id == feed_id).execution_options(synchronize_session=False)
            )
            record(session, EventTag.ADDRESS_BOOK_CHANGED, actor.subject(), self._clock(), feed=feed_id, removed_count=count or 0)

    def _judged(self, rows: Sequence[FileRow]) -> list[ListRow]:
        seen: set[str] = set()
        judged = []
        for row in rows:
            card, reason = judge_row(row, self._governing.policy)
            if card is not None and card.email.comparable in seen:
                card, reason = None, Reason.TWICE
            if card is not None:
                seen.add(card.email.comparable)
            judged.append(ListRow(number=row.number, typed=row.typed or TypedContact(), is_taken=card is not None, reason=reason))
        return judged

    async def _gone_count(self, session: AsyncSession, judged: Sequence[ListRow]) -> int:
        """How many of those who are listed now the file does not name."""
        feed = await self._feed(session)
        if feed is None:
            return 0
        mine = ListedContact.feed_id == feed.id
        total = await session.scalar(select(func.count()).select_from(ListedContact).where(mine)) or 0
        addresses = [row.typed.email.strip().lower() for row in judged if row.is_taken]
        kept = 0
        for start in range(0, len(addresses), _AT_ONCE):
            indexes = self._keys.indexes(("email", address) for address in addresses[start : start + _AT_ONCE])
            named = select(func.count()).select_from(ListedContact).where(mine, ListedContact.email_index.in_(indexes))
            kept += await session.scalar(named) or 0
        return total - kept

    async def _feed(self, session: AsyncSession) -> AddressFeed | None:
        return await session.scalar(select(AddressFeed).where(AddressFeed.place == UPLOAD))
