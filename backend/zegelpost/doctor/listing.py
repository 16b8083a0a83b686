"""Address books: whether Exchange takes our credentials, whether the file can be read, and how the last readings went."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from zegelpost.adapters.address_book_csv import CsvAddressBook
from zegelpost.adapters.address_book_ews import EwsAddressBook
from zegelpost.adapters.address_book_graph import DIRECTORY_LISTS, GraphAddressBook
from zegelpost.database import Database
from zegelpost.doctor.findings import Examination, Finding, fine, note, wrong
from zegelpost.model.address_book import AddressFeed, FeedTrouble
from zegelpost.ports import AddressBookError

_SECONDS: Final = 10
_PERMISSIONS: Final = {"users": "User.Read.All", "contacts": "OrgContact.Read.All"}
# Who mends it, in the operator's words. Of people's own books, `PERMISSION` and `MAILBOX_MISSING` concern them alone.
_REMEDIES: Final = {
    FeedTrouble.CREDENTIALS: "renew the secret, or correct ZEGELPOST_ADDRESS_BOOK_URL",
    FeedTrouble.PERMISSION: "give the app registration or service account its permissions; see address-books.md",
    FeedTrouble.WRITE_PERMISSION: "give Contacts.ReadWrite, or switch putting contacts in Exchange off",
    FeedTrouble.MAILBOX_MISSING: "see whether these people have a mailbox, under the address of their account",
    FeedTrouble.BUSY: "nothing: it is tried again when the service allows it",
    FeedTrouble.UNREACHABLE: "let this server reach it, or see whether it is down",
    FeedTrouble.CERTIFICATE: "correct the host name, or trust its authority with REQUESTS_CA_BUNDLE",
    FeedTrouble.UNREADABLE: "see what stands between: a proxy, or a page that asks to sign in",
    FeedTrouble.FILE_MISSING: "put the file at ZEGELPOST_ADDRESS_BOOK_CSV, readable for the user that runs Zegelpost",
    FeedTrouble.FILE_UNREADABLE: "export it again as CSV with headings, or as vCard",
    FeedTrouble.SHRUNK: "an administrator decides: Address books, in the portal",
    FeedTrouble.OTHER: "see the log, and report what it says",
}


async def address_books(examination: Examination) -> AsyncIterator[Finding]:
    """Ask Exchange who we are, look into the file, and then at what the workers wrote down."""
    settings = examination.settings
    url, path = settings.address_book_url, settings.address_book_csv
    if url is None and path is None:
        yield fine("people keep their own contacts; no other address book is read")
        return
    if url is not None and url.startswith("graph:"):
        graph = GraphAddressBook(url, timeout_seconds=_SECONDS)
        for name in DIRECTORY_LISTS:
            yield await _tried(partial(graph.probe, name), f"Graph shows the organisation's {name}", _PERMISSIONS[name])
    elif url is not None:
        ews = EwsAddressBook(url, timeout_seconds=_SECONDS)
        yield await _tried(lambda: ews.look_up("zegelpost"), "Exchange takes the service account")
        if url.startswith("ews+http:"):
            yield note("ZEGELPOST_ADDRESS_BOOK_URL has no TLS", "only for a stand-in on this machine")
    if path is not None:
        # What is in it was judged by whoever read it last; see below.
        book = CsvAddressBook(path, lambda _: [])
        yield await _tried(lambda: book.read(None, None), f"{path} can be opened")
    async for finding in _readings(examination):
        yield finding


async def _tried(work: Callable[[], Awaitable[Any]], well: str, permission: str = "") -> Finding:
    try:
        await work()
    except AddressBookError as error:
        remedy = _REMEDIES[error.trouble]
        if error.trouble == FeedTrouble.PERMISSION and permission:
            remedy = f"give the app registration the application permission {permission}, with an administrator's consent"
        return note(error.reason, remedy) if error.trouble == FeedTrouble.BUSY else wrong(error.reason, remedy)
    return fine(well)


async def _readings(examination: Examination) -> AsyncIterator[Finding]:
    """What the workers wrote down. A person without a mailbox is no alarm; a list of the organisation that fails is one."""
    database = Database(examination.settings.database_url)
    is_own = AddressFeed.owner_id.is_(None)
    try:
        async with database.reading() as session:
            rows = (
                await session.execute(
                    select(is_own, AddressFeed.trouble, func.count(), func.min(AddressFeed.trouble_since))
                    .where(AddressFeed.is_switched_on)
                    .group_by(is_own, AddressFeed.trouble)
                )
            ).all()
    except (SQLAlchemyError, OSError):
        yield note("how the last readings went is not known: the database has none yet", "see the line on the database")
        return
    finally:
        await asyncio.shield(database.close())
    for is_organisations, trouble, count, since in sorted(rows, key=lambda row: (not row[0], row[1] or "")):
        whose = "list of the organisation" if is_organisations else "book of people"
        if trouble is None:
            yield fine(f"{whose}: {count} without trouble")
            continue
        said = f"{whose}: {count} with {trouble.value.replace('_', ' ')}, since {since:%Y-%m-%d %H:%M} UTC"
        is_alarm = is_organisations and trouble != FeedTrouble.BUSY
        yield wrong(said, _REMEDIES[trouble]) if is_alarm else note(said, _REMEDIES[trouble])
