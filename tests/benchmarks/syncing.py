"""How fast an address book of the organisation is kept: everything once, then what changed in it; and found in."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select
from tests.databases import database_urls

from zegelpost.main import Services, build_services
from zegelpost.migrations import migrate_database
from zegelpost.model.address_book import AddressBookKind, BookEntry, DirectoryAccount, EntryKey, FeedTrouble
from zegelpost.model.contact import Card
from zegelpost.model.email_address import EmailAddress
from zegelpost.model.secret import SecretToken
from zegelpost.model.staff_user import StaffUser
from zegelpost.ports import AddressBookError, BookPage
from zegelpost.services.access import StaffActor
from zegelpost.services.syncing import AddressBooks
from zegelpost.settings import Settings

_PAGE = 500


class Crowd:
    """An organisation's list that answers at once, in pages as large as Graph's: what Exchange takes is not ours to measure."""

    kind = AddressBookKind.GRAPH
    has_directory = True
    has_mailboxes = False

    def __init__(self, count: int) -> None:
        self.count = count
        self.changed: Sequence[int] = ()
        self.generation = 0

    async def read(self, mailbox: EmailAddress | None, cursor: str | None) -> BookPage:
        assert mailbox is None
        # Whether everything was told before, and where to go on in what is being told.
        is_known, start = json.loads(cursor) if cursor else (False, 0)
        told = self.changed if is_known else range(self.count)
        page, end = told[start : start + _PAGE], start + _PAGE
        is_last = end >= len(told)
        return BookPage(
            entries=[self._entry(number) for number in page],
            cursor=json.dumps((True, 0) if is_last else (is_known, end)),
            is_last=is_last,
            starts_over=cursor is None,
        )

    def _entry(self, number: int) -> BookEntry:
        return BookEntry(
            key=EntryKey(f"users/{number}"),
            folder="users",
            name=f"Voornaam{number % 997} van Achternaam{number % 4999}",
            organisation=f"Zorggroep {number % 300}",
            emails=[f"p{number}@zorg{number % 300}.example"],
            numbers=[f"06-{10_000_000 + number + self.generation}"],
        )

    async def ask_after(self, subjects: Sequence[str]) -> Sequence[DirectoryAccount]:  # noqa: ARG002 - the port's signature
        return []

    async def look_up(self, letters: str) -> Sequence[BookEntry]:  # noqa: ARG002 - the port's signature
        return []  # the whole list is read, so it is here already

    async def add(self, mailbox: EmailAddress, card: Card) -> None:  # noqa: ARG002 - the port's signature
        raise AddressBookError("nobody's own book", trouble=FeedTrouble.OTHER)


@dataclass(frozen=True)
class Kept:
    """Seconds, and contacts a second."""

    first_seconds: float
    first_rate: float
    change_seconds: float
    idle_seconds: float
    find_seconds: float


def kept_a_second(kind: str, count: int) -> Kept:
    """A first pass over so many, an increment of one in a hundred, one of nothing, and a search."""
    with tempfile.TemporaryDirectory() as folder, database_urls(kind, Path(folder), is_durable=True) as url:
        settings = Settings.from_environment(
            {
                "ZEGELPOST_DEMO": "1",
                "ZEGELPOST_BASE_URL": "http://127.0.0.1:8000",
                "ZEGELPOST_DATA_DIR": f"{folder}/data",
                "ZEGELPOST_DATABASE_URL": url,
            }
        )
        settings.data_dir.mkdir()
        migrate_database(settings.database_url)
        return asyncio.run(_measure(settings, count))


async def _measure(settings: Settings, count: int) -> Kept:
    crowd = Crowd(count)
    services = build_services(settings, address_books=AddressBooks(exchange=crowd, file=None, every=timedelta(hours=1)))
    email = "anna@zegelpost.example"
    await services.registering.create_account(email=email, name="Anna", password="demo-zegelpost-2026")
    first = await _timed_reading(services, count)
    crowd.changed, crowd.generation = range(0, count, 100), 1
    change = await _timed_reading(services, len(crowd.changed))
    crowd.changed = ()
    idle = await _timed_reading(services, 0)
    async with services.database.reading() as session:
        user = (await session.scalars(select(StaffUser).where(StaffUser.email == email))).one()
    start = time.perf_counter()
    found = await services.finding_contacts.suggest(StaffActor(user, SecretToken.generate()), "achternaam77")
    find = time.perf_counter() - start
    assert found
    await services.database.close()
    return Kept(first, count / first, change, idle, find)


async def _timed_reading(services: Services, expected: int) -> float:
    await services.syncing.ask_now()
    start = time.perf_counter()
    [read] = await services.syncing.read_due()
    seconds = time.perf_counter() - start
    assert read.trouble is None
    assert read.changed.added_count + read.changed.changed_count == expected
    return seconds
