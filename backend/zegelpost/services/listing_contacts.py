"""Listing contacts: what a page of an address book becomes in the database, and finding in it.

Names are sealed. So that one person can be found among a hundred thousand without opening them all, each listed contact of
the organisation has keyed hashes of how its words begin: with three letters, and with six. The threat model says what a
stolen database tells by these.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Self, TypeVar

from sqlalchemy import ColumnElement, bindparam, case, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import insert_thousands
from zegelpost.model.address_book import AddressFeed, EntryKey, ListedCard, ListedContact, ListedWord
from zegelpost.model.contact import Card, folded
from zegelpost.model.identifiers import ContactId, FeedId, neighbouring_identifiers
from zegelpost.ports import BookPage
from zegelpost.services.governing import Governing
from zegelpost.services.keeping_keys import KeepingKeys

# The most that one search opens: some thirty microseconds each.
MOST_CANDIDATES: Final = 3000
SHORTEST_SEARCH: Final = 3
_BEGINNINGS: Final = (SHORTEST_SEARCH, 6)
_BEGINNING_BYTES: Final = 8
_MOST_WORDS: Final = 24
_WORD: Final = re.compile(r"\w+")
# Below the smallest bound of parameters in a statement that any SQLite has.
_AT_ONCE: Final = 500
T = TypeVar("T")


@dataclass(slots=True)
class Changed:
    """How many contacts a page, or a pass, brought and took."""

    added_count: int = 0
    changed_count: int = 0
    removed_count: int = 0

    def __iadd__(self, other: Changed) -> Self:
        self.added_count += other.added_count
        self.changed_count += other.changed_count
        self.removed_count += other.removed_count
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One address of one entry, as far as it can be made without looking at what is there."""

    entry_digest: bytes
    folder_digest: bytes
    email_index: bytes
    number_index: bytes | None
    content_digest: bytes
    card: ListedCard = field(repr=False)
    changed_at: datetime
    beginnings: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class PreparedPage:
    """A page with everything computed that takes long, so that the unit of work is short."""

    rows: Sequence[_Row]
    entry_digests: Sequence[bytes]
    removed_digests: Sequence[bytes]
    removed_folders: Sequence[bytes]


class ListingContacts:
    def __init__(self, keeping_keys: KeepingKeys, governing: Governing) -> None:
        self._keys = keeping_keys
        self._governing = governing

    async def prepare(self, feed: AddressFeed, page: BookPage, now: datetime) -> PreparedPage:
        """Numbers in E.164, digests and words. A hundred microseconds and more for each entry, so off the event loop."""
        return await asyncio.to_thread(self._prepare, feed, page, now)

    def _prepare(self, feed: AddressFeed, page: BookPage, now: datetime) -> PreparedPage:
        entries = {entry.key: entry for entry in page.entries}  # later counts
        digests = dict(zip(entries, self._entry_digests(feed.id, entries), strict=True))
        folders = sorted({entry.folder for entry in entries.values()} | set(page.removed_folders))
        folder_digests = dict(
            zip(folders, self._keys.feed_digests((f"feed/{feed.id}/folder", each) for each in folders), strict=True)
        )
        known: dict[str, bytes] = {}
        rows = [
            self._row(feed, card, known, digests[entry.key], folder_digests[entry.folder], min(entry.changed_at or now, now))
            for entry in entries.values()
            for card in ListedCard.all_of(entry, self._governing.policy)
        ]
        return PreparedPage(
            rows=rows,
            entry_digests=list(digests.values()),
            removed_digests=self._entry_digests(feed.id, page.removed),
            removed_folders=[folder_digests[folder] for folder in page.removed_folders],
        )

    def _entry_digests(self, feed_id: FeedId, keys: Iterable[EntryKey]) -> list[bytes]:
        return self._keys.feed_digests((f"feed/{feed_id}/entry", key) for key in keys)

    def _row(
        self, feed: AddressFeed, card: ListedCard, known: dict[str, bytes], entry: bytes, folder: bytes, changed_at: datetime
    ) -> _Row:
        mobile = card.card.mobile
        email, *more = self._keys.indexes([("email", card.card.email.comparable), *([("number", mobile.e164)] if mobile else [])])
        [content] = self._keys.feed_digests([(f"feed/{feed.id}/content", card.to_json())])
        return _Row(
            entry_digest=entry,
            folder_digest=folder,
            email_index=email,
            number_index=more[0] if more else None,
            content_digest=content,
            card=card,
            changed_at=changed_at,
            # Books of people are small enough to open whole.
            beginnings=self._beginnings(words_of(card.card), known) if feed.owner_id is None else (),
        )

    def beginnings(self, card: Card) -> list[bytes]:
        """What a contact of the organisation's list is found by."""
        return self._beginnings(words_of(card), {})

    def _beginnings(self, words: Iterable[str], known: dict[str, bytes]) -> list[bytes]:
        """`known` are those of the page so far: most words of an organisation come again and again."""
        starts = dict.fromkeys(word[:length] for word in words for length in _BEGINNINGS if len(word) >= length)
        new = [start for start in starts if start not in known]
        indexes = self._keys.indexes(("listed-word", start) for start in new)
        known |= {start: index[:_BEGINNING_BYTES] for start, index in zip(new, indexes, strict=True)}
        return [known[start] for start in starts]

    # Within a unit of work

    async def keep(self, session: AsyncSession, feed: AddressFeed, page: PreparedPage) -> Changed:
        """Put a page in. What an entry no longer has goes; what did not change is only marked as seen.

        1. What was removed goes first, so that what moved to another folder stays.
        2. The entries that are there already keep their identifiers, by entry and address.
        3. Addresses that an entry no longer has go.
        """
        changed = Changed()
        # 1.
        for column, gone in (
            (ListedContact.entry_digest, page.removed_digests),
            (ListedContact.folder_digest, page.removed_folders),
        ):
            for digests in _pieces(gone):
                changed.removed_count += await _remove(session, ListedContact.feed_id == feed.id, column.in_(digests))
        # 2.
        known = await self._known(session, feed, page.entry_digests)
        new_rows: list[_Row] = []
        other: list[tuple[ContactId, _Row]] = []
        seen: list[ContactId] = []
        for row in page.rows:
            found = known.pop((row.entry_digest, row.email_index), None)
            if found is None:
                new_rows.append(row)
            elif found.content_digest != row.content_digest or found.folder_digest != row.folder_digest:
                other.append((found.id, row))
            elif found.generation != feed.generation:
                seen.append(found.id)
        new = [(ContactId(each), row) for each, row in zip(neighbouring_identifiers(len(new_rows)), new_rows, strict=True)]
        await self._insert(session, feed, new)
        await self._update(session, feed, other)
        for ids in _pieces(seen):
            await session.execute(
                update(ListedContact).where(ListedContact.id.in_(ids)).values(generation=feed.generation),
                execution_options=_PLAIN,
            )
        # 3.
        for ids in _pieces([found.id for found in known.values()]):
            changed.removed_count += await _remove(session, ListedContact.id.in_(ids))
        changed.added_count += len(new)
        changed.changed_count += len(other)
        return changed

    async def _known(
        self, session: AsyncSession, feed: AddressFeed, entry_digests: Sequence[bytes]
    ) -> dict[tuple[bytes, bytes], Any]:
        known: dict[tuple[bytes, bytes], Any] = {}
        for digests in _pieces(entry_digests):
            rows = await session.execute(
                select(
                    ListedContact.id,
                    ListedContact.entry_digest,
                    ListedContact.email_index,
                    ListedContact.content_digest,
                    ListedContact.folder_digest,
                    ListedContact.generation,
                ).where(ListedContact.feed_id == feed.id, ListedContact.entry_digest.in_(digests))
            )
            known |= {(row.entry_digest, row.email_index): row for row in rows}
        return known

    async def _insert(self, session: AsyncSession, feed: AddressFeed, new: Sequence[tuple[ContactId, _Row]]) -> None:
        if not new:
            return
        sealed = self._keys.seal_listed((listed_id, row.card) for listed_id, row in new)
        await insert_thousands(
            session,
            _CONTACTS,
            [
                {"id": listed_id, "feed_id": feed.id, "generation": feed.generation, "number_worked_at": None}
                | _values(row, card)
                for (listed_id, row), card in zip(new, sealed, strict=True)
            ],
        )
        await _insert_words(session, new)

    async def _update(self, session: AsyncSession, feed: AddressFeed, other: Sequence[tuple[ContactId, _Row]]) -> None:
        if not other:
            return
        sealed = self._keys.seal_listed((listed_id, row.card) for listed_id, row in other)
        rows = [
            {f"new_{name}": value for name, value in _values(row, card).items()} | {"listed_id": listed_id}
            for (listed_id, row), card in zip(other, sealed, strict=True)
        ]
        new = {
            name: bindparam(name, type_=_CONTACTS.c[name.removeprefix("new_")].type) for name in rows[0] if name != "listed_id"
        }
        is_same_number = _CONTACTS.c.number_index.is_not_distinct_from(new["new_number_index"])
        await session.execute(
            update(_CONTACTS)
            .where(_CONTACTS.c.id == bindparam("listed_id"))
            .values(
                generation=feed.generation,
                # Another number has proved nothing yet.
                number_worked_at=case((is_same_number, _CONTACTS.c.number_worked_at), else_=None),
                **{name.removeprefix("new_"): value for name, value in new.items()},
            ),
            rows,
        )
        for ids in _pieces([listed_id for listed_id, _ in other]):
            await session.execute(delete(ListedWord).where(ListedWord.listed_id.in_(ids)), execution_options=_PLAIN)
        await _insert_words(session, other)

    async def remove_unnamed(self, session: AsyncSession, feed: AddressFeed) -> int:
        """At the end of a pass that named everything: what it did not name is gone."""
        return await _remove(session, ListedContact.feed_id == feed.id, ListedContact.generation < feed.generation)

    # Finding

    async def candidates(self, session: AsyncSession, feeds: Sequence[FeedId], letters: str) -> Sequence[Any]:
        """Rows in which each of the words may occur at the beginning of one, at most `MOST_CANDIDATES`.

        None when no word is long enough to look for.
        """
        words = [word for word in _WORD.findall(folded(letters)) if len(word) >= SHORTEST_SEARCH]
        if not words or not feeds:
            return []
        query = listed_rows().where(ListedContact.feed_id.in_(feeds))
        for word in words[:_MOST_WORDS]:
            longest = max(length for length in _BEGINNINGS if len(word) >= length)
            beginning = self._keys.index("listed-word", word[:longest]).cut(_BEGINNING_BYTES)
            query = query.where(ListedContact.id.in_(select(ListedWord.listed_id).where(ListedWord.beginning == beginning)))
        return (await session.execute(query.limit(MOST_CANDIDATES))).all()


def listed_rows() -> Any:
    """Columns instead of objects, as for contacts."""
    return select(
        ListedContact.id,
        ListedContact.feed_id,
        ListedContact.sealed_card,
        ListedContact.email_index,
        ListedContact.number_index,
        ListedContact.number_worked_at,
        ListedContact.changed_at,
    )


def words_of(card: Card) -> list[str]:
    """What a listed contact can be found by."""
    text = folded(f"{card.name} {card.organisation} {card.email.local} {card.email.domain}")
    return list(dict.fromkeys(_WORD.findall(text.replace("_", " "))))[:_MOST_WORDS]


# The tables themselves: what the mapper makes of a dozen words for each contact took a third of a first pass.
_CONTACTS: Final[Any] = ListedContact.__table__
_WORDS: Final[Any] = ListedWord.__table__
# Nothing in the session holds these rows, so there is nothing to bring up to date.
_PLAIN: Final[Mapping[str, Any]] = {"synchronize_session": False}


def _values(row: _Row, sealed_card: bytes) -> dict[str, Any]:
    return {
        "entry_digest": row.entry_digest,
        "folder_digest": row.folder_digest,
        "content_digest": row.content_digest,
        "email_index": row.email_index,
        "number_index": row.number_index,
        "number_problem": row.card.number_problem,
        "sealed_card": sealed_card,
        "changed_at": row.changed_at,
    }


async def _insert_words(session: AsyncSession, rows: Sequence[tuple[ContactId, _Row]]) -> None:
    await insert_thousands(
        session, _WORDS, [{"beginning": each, "listed_id": listed_id} for listed_id, row in rows for each in row.beginnings]
    )


async def _remove(session: AsyncSession, *which: ColumnElement[bool]) -> int:
    result: Any = await session.execute(delete(ListedContact).where(*which), execution_options=_PLAIN)
    return int(result.rowcount)


def _pieces(values: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), _AT_ONCE):
        yield values[start : start + _AT_ONCE]
