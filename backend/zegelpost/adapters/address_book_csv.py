"""A list of the whole organisation in a file, such as a nightly export of a directory: read anew when it changed."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from zegelpost.model.address_book import FILE, UPLOAD, AddressBookKind, BookEntry, DirectoryAccount, EntryKey, FeedTrouble
from zegelpost.model.contact import Card, TypedContact
from zegelpost.model.email_address import EmailAddress
from zegelpost.model.refusals import Refusal
from zegelpost.ports import AddressBookError, BookPage

LARGEST_FILE_BYTES: Final = 200 * 1024 * 1024
_PAGE: Final = 500
Reader = Callable[[bytes], Sequence[TypedContact]]


class _List:
    """What files of people have in common: nobody's own, read whole, and nothing to put in."""

    kind = AddressBookKind.FILE
    has_directory = True
    has_mailboxes = False

    async def ask_after(self, subjects: Sequence[str]) -> Sequence[DirectoryAccount]:  # noqa: ARG002 - no accounts in it
        return []

    async def look_up(self, letters: str) -> Sequence[BookEntry]:  # noqa: ARG002 - the whole list is read
        return []

    async def add(self, mailbox: EmailAddress, card: Card) -> None:  # noqa: ARG002 - the port's signature
        raise AddressBookError("a file takes no contacts", trouble=FeedTrouble.WRITE_PERMISSION, is_permanent=True)


class CsvAddressBook(_List):
    """A file that others put in its place. `read_rows` knows the formats, and raises a `Refusal`."""

    def __init__(self, source: Path, read_rows: Reader) -> None:
        self._source = source
        self._read_rows = read_rows
        # What was read last, so that the pages of one pass need not read the file again.
        self._digest = ""
        self._entries: Sequence[BookEntry] = ()

    async def read(self, mailbox: EmailAddress | None, cursor: str | None) -> BookPage:
        if mailbox is not None:
            raise AddressBookError("a file is nobody's own book", trouble=FeedTrouble.MAILBOX_MISSING, is_permanent=True)
        return await asyncio.to_thread(self._read, cursor)

    def _read(self, cursor: str | None) -> BookPage:
        self._refresh()
        state = json.loads(cursor) if cursor else {}
        # Another file than the one we were in is read from its beginning.
        is_same = state.get("digest") == self._digest
        start = int(state["row"]) if is_same else 0
        end = min(start + _PAGE, len(self._entries))
        return BookPage(
            entries=self._entries[start:end],
            cursor=json.dumps({"digest": self._digest, "row": end}),
            is_last=end == len(self._entries),
            starts_over=not is_same,
        )

    def _refresh(self) -> None:
        content = self._content()
        digest = hashlib.sha256(content).hexdigest()
        if digest == self._digest:
            return
        try:
            rows = self._read_rows(content)
        except Refusal as refusal:
            reason = f"the file cannot be read ({refusal.code})"
            raise AddressBookError(reason, trouble=FeedTrouble.FILE_UNREADABLE, is_permanent=True) from None
        self._entries, self._digest = list(_entries(rows)), digest

    def _content(self) -> bytes:
        try:
            if self._source.stat().st_size > LARGEST_FILE_BYTES:
                raise AddressBookError("the file is too large", trouble=FeedTrouble.FILE_UNREADABLE, is_permanent=True)
            return self._source.read_bytes()
        except OSError as error:
            reason = f"the file cannot be opened ({error.strerror})"
            raise AddressBookError(reason, trouble=FeedTrouble.FILE_MISSING, is_permanent=True) from None


class UploadedAddressBook(_List):
    """Rows that somebody handed in a moment ago: one pass that names all of them. Nothing of the file is kept."""

    def __init__(self, rows: Sequence[TypedContact]) -> None:
        self._entries = _entries(rows, UPLOAD)

    async def read(self, mailbox: EmailAddress | None, cursor: str | None) -> BookPage:
        if mailbox is not None:
            raise AddressBookError("a file is nobody's own book", trouble=FeedTrouble.MAILBOX_MISSING, is_permanent=True)
        start = int(cursor) if cursor else 0
        end = min(start + _PAGE, len(self._entries))
        return BookPage(
            entries=self._entries[start:end], cursor=str(end), is_last=end == len(self._entries), starts_over=cursor is None
        )


def _entries(rows: Sequence[TypedContact], folder: str = FILE) -> list[BookEntry]:
    """Rows by their address; the second of several with one address is another entry, in the file's order."""
    times: Counter[str] = Counter()
    entries = []
    for row in rows:
        address = row.email.strip().lower()
        if not address:
            continue
        times[address] += 1
        entries.append(
            BookEntry(
                key=EntryKey(f"{folder}/{times[address]}/{address}"),
                folder=folder,
                name=row.name,
                organisation=row.organisation,
                emails=[row.email],
                numbers=[row.mobile],
            )
        )
    return entries
