"""Address books in Exchange on-premises, through EWS with a service account that impersonates.

Not for Exchange Online, where EWS ends on 2027-04-01. `exchangelib` takes most of a second to import and blocks: it is
imported at the first use, and works in a thread.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from zegelpost.adapters import address_book_ews_calls as calls
from zegelpost.model.address_book import AddressBookKind, BookEntry, DirectoryAccount, FeedTrouble, is_exchange_online
from zegelpost.model.contact import Card
from zegelpost.model.email_address import EmailAddress
from zegelpost.ports import AddressBookError, BookPage

T = TypeVar("T")
_SETTING: Final = "ZEGELPOST_ADDRESS_BOOK_URL"
_PATH: Final = "/EWS/Exchange.asmx"
_CONTACTS_CLASS: Final = "IPF.Contact"
# Classes below that one, of folders that Exchange fills by itself with whoever somebody ever wrote to.
_NOT_KEPT: Final = ("IPF.Contact.RecipientCache", "IPF.Contact.GalContacts", "IPF.Contact.OrganizationalContacts",
                    "IPF.Contact.MOC", "IPF.Contact.Company", "IPF.Contact.PeopleCentricConversationBuddies")  # fmt: skip


@dataclass
class _State:
    """What a cursor holds: Exchange's own state for the folders and for each of them. `at`: the folder that is being read."""

    folders_state: str = ""
    at: str = ""
    folders: dict[str, str] = field(default_factory=dict)
    queue: list[str] = field(default_factory=list)

    def to_json(self) -> str:
        return json.dumps(asdict(self))


class EwsAddressBook:
    """Reads with `ews://user:password@host/EWS/Exchange.asmx`, by NTLM or with `?auth=basic`."""

    kind = AddressBookKind.EWS
    # Its list cannot be read whole: names are looked up in it, a hundred at most at once.
    has_directory = False
    has_mailboxes = True

    def __init__(self, url: str, *, timeout_seconds: int = 60) -> None:
        parts = urlsplit(url)
        user, _, rest = parts.netloc.rpartition("@")
        name, _, password = user.partition(":")
        if parts.scheme not in {"ews", "ews+http"} or not (name and password and rest):
            raise ValueError(f"{_SETTING} must be ews://user:password@host{_PATH}")
        if is_exchange_online(parts.hostname or ""):
            raise ValueError(f"{_SETTING}: EWS in Exchange Online ends for good on 2027-04-01: use graph://…")
        scheme = "https" if parts.scheme == "ews" else "http"
        self._endpoint = f"{scheme}://{rest}{parts.path if parts.path.strip('/') else _PATH}"
        self._name, self._password = unquote(name), unquote(password)
        self._is_basic = parse_qs(parts.query).get("auth", ["ntlm"])[0] == "basic"
        self._timeout_seconds = timeout_seconds
        self._config: Any = None
        # The library's pool holds one connection, and Exchange counts what a service account has open.
        self._turn = asyncio.Lock()
        # It writes whole messages down, at DEBUG, and at ERROR when something unexpected happens: names, addresses, numbers.
        logging.getLogger("exchangelib").setLevel(logging.CRITICAL)

    async def read(self, mailbox: EmailAddress | None, cursor: str | None) -> BookPage:
        if mailbox is None:
            raise AddressBookError("EWS does not tell the whole list", trouble=FeedTrouble.OTHER, is_permanent=True)
        return await self._in_thread(lambda: self._read(mailbox, cursor))

    async def ask_after(self, subjects: Sequence[str]) -> Sequence[DirectoryAccount]:  # noqa: ARG002 - no accounts in it
        return []

    async def look_up(self, letters: str) -> Sequence[BookEntry]:
        if not letters.strip():
            return []
        return await self._in_thread(lambda: self._look_up(letters))

    async def add(self, mailbox: EmailAddress, card: Card) -> None:
        await self._in_thread(lambda: self._add(mailbox, card))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        def judged() -> T:
            try:
                return work()
            except AddressBookError:
                raise
            except Exception as error:  # noqa: BLE001 - the library raises what it likes, and its texts quote people
                raise calls.judged(error) from None

        async with self._turn:
            return await asyncio.to_thread(judged)

    def _read(self, mailbox: EmailAddress, cursor: str | None) -> BookPage:
        state = _State(**json.loads(cursor)) if cursor else _State()
        page = self._folder(mailbox, state) if state.at else self._folders(mailbox, state)
        return replace(page, cursor=state.to_json(), starts_over=cursor is None)

    def _folders(self, mailbox: EmailAddress, state: _State) -> BookPage:
        """What changed among the folders, then which of them are read next."""
        changes, state.folders_state, is_all = calls.folder_changes(self._account(mailbox), state.folders_state)
        gone: list[str] = []
        for change in changes:
            is_kept = change.folder_class.startswith(_CONTACTS_CLASS) and not change.folder_class.startswith(_NOT_KEPT)
            if is_kept and not change.is_gone:
                state.folders.setdefault(change.folder_id, "")
            elif state.folders.pop(change.folder_id, None) is not None:
                gone.append(change.folder_id)
        is_last = False
        if is_all:
            state.queue = sorted(state.folders)
            is_last = not self._next_folder(state)
        return BookPage(removed_folders=gone, cursor="", is_last=is_last)

    def _folder(self, mailbox: EmailAddress, state: _State) -> BookPage:
        folder_id = state.at
        found = calls.item_changes(self._account(mailbox), folder_id, state.folders[folder_id])
        if found is None:
            # It went away since the folders were read.
            del state.folders[folder_id]
            return BookPage(removed_folders=[folder_id], cursor="", is_last=not self._next_folder(state))
        state.folders[folder_id] = found.state
        is_last = found.is_last and not self._next_folder(state)
        return BookPage(entries=found.entries, removed=found.removed, cursor="", is_last=is_last)

    def _next_folder(self, state: _State) -> bool:
        state.at = state.queue.pop(0) if state.queue else ""
        return bool(state.at)

    def _look_up(self, letters: str) -> list[BookEntry]:
        return calls.resolved(self._configuration(), letters)

    def _add(self, mailbox: EmailAddress, card: Card) -> None:
        calls.create(self._account(mailbox), card)

    def _account(self, mailbox: EmailAddress) -> Any:
        return calls.account_of(self._configuration(), str(mailbox))

    def _configuration(self) -> Any:
        if self._config is None:
            self._config = calls.configuration(
                self._endpoint,
                self._name,
                self._password,
                is_basic=self._is_basic,
                timeout_seconds=self._timeout_seconds,
            )
        return self._config
