"""Address books in Exchange Online, through Microsoft Graph: delta queries over plain HTTP with an app-only token.

Plain HTTP because the SDK is 132 MB and slow to import.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from zegelpost.adapters.address_book_graph_calls import VERSION, GoneFromGraph, GraphCalls, NotInGraph, unreadable
from zegelpost.model.address_book import AddressBookKind, BookEntry, DirectoryAccount, EntryKey
from zegelpost.model.contact import Card
from zegelpost.model.email_address import EmailAddress
from zegelpost.ports import BookPage

# How many identifiers a filter takes: https://learn.microsoft.com/graph/filter-query-parameter
_MOST_IN_FILTER: Final = 15
# What the organisation's own list is made of, in the order of reading.
DIRECTORY_LISTS: Final = ("users", "contacts")
_USER: Final = ("id", "displayName", "mail", "userPrincipalName", "mobilePhone", "businessPhones", "accountEnabled")
_ACCOUNT: Final = ("id", "accountEnabled")
_ORGANISATION_CONTACT: Final = ("id", "displayName", "companyName", "mail", "phones")
_CONTACT: Final = (
    *("id", "displayName", "companyName", "emailAddresses", "mobilePhone", "businessPhones", "homePhones"),
    "lastModifiedDateTime",
)


@dataclass
class _Stream:
    """One delta query: where it goes on, and whether by now it only tells what changed."""

    link: str = ""
    tells_changes: bool = False


@dataclass
class _State:
    """What a cursor holds. `at`: the stream that is being read; `queue`: the folders after it."""

    at: str
    streams: dict[str, _Stream] = field(default_factory=dict)
    queue: list[str] = field(default_factory=list)
    user_id: str = ""

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> _State:
        fields = json.loads(text)
        return cls(
            fields["at"],
            {name: _Stream(**stream) for name, stream in fields["streams"].items()},
            fields["queue"],
            fields["user_id"],
        )


class GraphAddressBook:
    """Reads with `graph://CLIENT_ID:SECRET@TENANT_ID`; `?api=…&login=…` name the hosts of another cloud."""

    kind = AddressBookKind.GRAPH
    has_directory = True
    has_mailboxes = True

    def __init__(self, url: str, *, timeout_seconds: float = 60) -> None:
        self._graph = GraphCalls(url, timeout_seconds)
        # One request at a time: sessions of `requests` are not made for more, and Graph allows four per mailbox.
        self._turn = asyncio.Lock()

    async def read(self, mailbox: EmailAddress | None, cursor: str | None) -> BookPage:
        async with self._turn:
            if mailbox is None:
                return await asyncio.to_thread(self._read_directory, cursor)
            return await asyncio.to_thread(self._read_mailbox, mailbox, cursor)

    async def ask_after(self, subjects: Sequence[str]) -> Sequence[DirectoryAccount]:
        async with self._turn:
            return await asyncio.to_thread(self._ask_after, subjects)

    async def look_up(self, letters: str) -> Sequence[BookEntry]:  # noqa: ARG002 - the whole list is read
        return []

    async def add(self, mailbox: EmailAddress, card: Card) -> None:
        async with self._turn:
            await asyncio.to_thread(self._add, mailbox, card)

    async def probe(self, name: str) -> None:
        """Ask for the first page of one of `DIRECTORY_LISTS`. Raises `AddressBookError`."""
        async with self._turn:
            await asyncio.to_thread(self._graph.get, f"{self._graph.api}{VERSION}/{name}/delta?$select=id")

    # The organisation's own list: users, then contacts

    def _read_directory(self, cursor: str | None) -> BookPage:
        state = _State.from_json(cursor) if cursor else _State("users", {"users": _Stream(), "contacts": _Stream()})
        name, stream = state.at, state.streams[state.at]
        fields, path = (_USER, "/users") if name == "users" else (_ORGANISATION_CONTACT, "/contacts")
        answer = self._graph.get(stream.link or f"{self._graph.api}{VERSION}{path}/delta?$select={','.join(fields)}")
        values = _values(answer)
        if stream.tells_changes:
            values = self._complete(path, fields, values)
        is_last = False
        if self._go_on(stream, answer):
            is_last = name == "contacts"
            state.at = "users" if is_last else "contacts"
        entries, removed = [], []
        for value in values:
            if "@removed" in value or value.get("accountEnabled") is False:
                removed.append(EntryKey(f"{name}/{_id(value)}"))
            else:
                entries.append(_user_entry(value) if name == "users" else _organisation_contact_entry(value))
        return BookPage(
            entries=entries,
            removed=removed,
            accounts=[told for told in map(_account, values) if told is not None] if name == "users" else [],
            cursor=state.to_json(),
            is_last=is_last,
            starts_over=cursor is None,
        )

    def _ask_after(self, subjects: Sequence[str]) -> list[DirectoryAccount]:
        """By a list first; who is not on it is asked for by name, so that nobody is gone because a list was short."""
        told: list[DirectoryAccount] = []
        for start in range(0, len(subjects), _MOST_IN_FILTER):
            some = subjects[start : start + _MOST_IN_FILTER]
            found = {_id(value): value for value in self._by_id("/users", _ACCOUNT, some)}
            told += [account for account in map(_account, found.values()) if account is not None]
            told += [account for each in some if each not in found if (account := self._asked_by_name(each)) is not None]
        return told

    def _asked_by_name(self, user_id: str) -> DirectoryAccount | None:
        try:
            return _account(self._graph.get(f"{self._graph.api}{VERSION}/users/{quote(user_id)}?$select={','.join(_ACCOUNT)}"))
        except GoneFromGraph:
            return DirectoryAccount(user_id, is_enabled=False)
        except NotInGraph:
            return None

    def _by_id(self, path: str, fields: Sequence[str], ids: Sequence[str]) -> list[Mapping[str, Any]]:
        """Those of at most `_MOST_IN_FILTER` that are there."""
        quoted = ",".join(f"'{_quoted(each)}'" for each in ids)
        return _values(self._graph.get(f"{self._graph.api}{VERSION}{path}?$select={','.join(fields)}&$filter=id in ({quoted})"))

    def _complete(self, path: str, fields: Sequence[str], values: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Of what changed, Graph promises no more than the properties that did: the others are asked for."""
        partial = [_id(value) for value in values if "@removed" not in value and any(name not in value for name in fields)]
        whole: dict[str, Mapping[str, Any]] = {}
        for start in range(0, len(partial), _MOST_IN_FILTER):
            whole |= {_id(value): value for value in self._by_id(path, fields, partial[start : start + _MOST_IN_FILTER])}
        # Who is not found went away meanwhile, and comes as removed with what changes next.
        return [
            whole.get(_id(value), value) if _id(value) in partial else value
            for value in values
            if _is_whole(value, partial, whole)
        ]

    # What someone keeps: the folders, then each of them

    def _read_mailbox(self, mailbox: EmailAddress, cursor: str | None) -> BookPage:
        state = _State.from_json(cursor) if cursor else self._opened(mailbox)
        page = self._folders(state) if state.at == "folders" else self._folder(state)
        entries, removed, removed_folders, is_last = page
        return BookPage(
            entries=entries,
            removed=removed,
            removed_folders=removed_folders,
            cursor=state.to_json(),
            is_last=is_last,
            starts_over=cursor is None,
        )

    def _opened(self, mailbox: EmailAddress) -> _State:
        user_id = self._user_id(mailbox)
        # The folder that everyone has is not named among the folders.
        default = _id(self._graph.get(f"{self._graph.api}{VERSION}/users/{quote(user_id)}/contactFolders/contacts?$select=id"))
        return _State("folders", {"folders": _Stream(), f"folder/{default}": _Stream()}, [], user_id)

    def _user_id(self, mailbox: EmailAddress) -> str:
        """By the name people sign in with, which mostly is their address, or else by the address."""
        try:
            return _id(self._graph.get(f"{self._graph.api}{VERSION}/users/{quote(str(mailbox))}?$select=id"))
        except NotInGraph:
            address = quote(str(mailbox).replace("'", "''"))
            found = _values(self._graph.get(f"{self._graph.api}{VERSION}/users?$select=id&$filter=mail eq '{address}'"))
            if not found:
                raise
            return _id(found[0])

    def _folders(self, state: _State) -> tuple[list[BookEntry], list[EntryKey], list[str], bool]:
        stream = state.streams["folders"]
        answer = self._graph.get(stream.link or f"{self._graph.api}{VERSION}/users/{quote(state.user_id)}/contactFolders/delta")
        gone: list[str] = []
        for value in _values(answer):
            name = f"folder/{_id(value)}"
            if "@removed" not in value:
                state.streams.setdefault(name, _Stream())
            elif state.streams.pop(name, None) is not None:
                gone.append(name)
        is_last = False
        if self._go_on(stream, answer):
            state.queue = sorted(name for name in state.streams if name != "folders")
            is_last = not self._next_folder(state)
        return [], [], gone, is_last

    def _folder(self, state: _State) -> tuple[list[BookEntry], list[EntryKey], list[str], bool]:
        name, stream = state.at, state.streams[state.at]
        folder_id = name.removeprefix("folder/")
        start = f"{self._graph.api}{VERSION}/users/{quote(state.user_id)}/contactFolders/{quote(folder_id)}/contacts/delta"
        try:
            answer = self._graph.get(stream.link or f"{start}?$select={','.join(_CONTACT)}")
        except NotInGraph:
            # It went away since the folders were read; if it is the mailbox that did, the folders will say so next time.
            del state.streams[name]
            return [], [], [name], not self._next_folder(state)
        is_last = self._go_on(stream, answer) and not self._next_folder(state)
        entries, removed = [], []
        for value in _values(answer):
            if "@removed" in value:
                removed.append(EntryKey(f"{name}/{_id(value)}"))
            else:
                entries.append(_contact_entry(value, name))
        return entries, removed, [], is_last

    def _next_folder(self, state: _State) -> bool:
        state.at = state.queue.pop(0) if state.queue else "folders"
        return state.at != "folders"

    def _go_on(self, stream: _Stream, answer: Mapping[str, Any]) -> bool:
        """Remember where a stream goes on; returns whether it came to its end."""
        following, end = answer.get("@odata.nextLink"), answer.get("@odata.deltaLink")
        link = following or end
        if not isinstance(link, str):
            raise unreadable("a page of Graph's does not say where to go on")
        self._graph.require_graph(link)
        stream.link = link
        if not following:
            stream.tells_changes = True
        return not following

    def _add(self, mailbox: EmailAddress, card: Card) -> None:
        body: dict[str, Any] = {
            "displayName": card.name,
            "givenName": card.name,
            "companyName": card.organisation,
            "emailAddresses": [{"name": card.name, "address": str(card.email)}],
            "mobilePhone": card.mobile.e164 if card.mobile else None,
        }
        self._graph.post(f"{self._graph.api}{VERSION}/users/{quote(self._user_id(mailbox))}/contacts", body)


def _is_whole(value: Mapping[str, Any], partial: Sequence[str], whole: Mapping[str, Any]) -> bool:
    return _id(value) not in partial or _id(value) in whole


def _values(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    values = answer.get("value")
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise unreadable("a page of Graph's has no list")
    return values


def _id(value: Mapping[str, Any]) -> str:
    found = value.get("id")
    if not isinstance(found, str) or not found:
        raise unreadable("something of Graph's has no identifier")
    return found


def _quoted(text: str) -> str:
    return quote(text.replace("'", "''"))


def _text(value: Mapping[str, Any], name: str) -> str:
    found = value.get(name)
    return found if isinstance(found, str) else ""


def _texts(value: Mapping[str, Any], name: str) -> Iterator[str]:
    found = value.get(name)
    yield from (each for each in found if isinstance(each, str)) if isinstance(found, list) else ()


def _parts(value: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    found = value.get(name)
    yield from (each for each in found if isinstance(each, dict)) if isinstance(found, list) else ()


def _account(value: Mapping[str, Any]) -> DirectoryAccount | None:
    """Nothing where it says nothing of it. The identifier is the `oid` of tokens."""
    is_enabled = False if "@removed" in value else value.get("accountEnabled")
    return DirectoryAccount(_id(value), is_enabled) if isinstance(is_enabled, bool) else None


def _user_entry(value: Mapping[str, Any]) -> BookEntry:
    return BookEntry(
        key=EntryKey(f"users/{_id(value)}"),
        folder="users",
        name=_text(value, "displayName"),
        emails=[_text(value, "mail") or _text(value, "userPrincipalName")],
        numbers=[_text(value, "mobilePhone"), *_texts(value, "businessPhones")],
    )


def _organisation_contact_entry(value: Mapping[str, Any]) -> BookEntry:
    phones = sorted(_parts(value, "phones"), key=lambda phone: phone.get("type") != "mobile")
    return BookEntry(
        key=EntryKey(f"contacts/{_id(value)}"),
        folder="contacts",
        name=_text(value, "displayName"),
        organisation=_text(value, "companyName"),
        emails=[_text(value, "mail")],
        numbers=[_text(phone, "number") for phone in phones],
    )


def _contact_entry(value: Mapping[str, Any], folder: str) -> BookEntry:
    changed_at: datetime | None = None
    try:
        changed_at = datetime.fromisoformat(_text(value, "lastModifiedDateTime")).astimezone(UTC)
    except ValueError:
        changed_at = None
    return BookEntry(
        key=EntryKey(f"{folder}/{_id(value)}"),
        folder=folder,
        name=_text(value, "displayName"),
        organisation=_text(value, "companyName"),
        emails=[_text(each, "address") for each in _parts(value, "emailAddresses")],
        numbers=[_text(value, "mobilePhone"), *_texts(value, "businessPhones"), *_texts(value, "homePhones")],
        changed_at=changed_at,
    )
