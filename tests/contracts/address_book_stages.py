"""Every address book with its other end: what is put there, and how to make it misbehave."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.stand_ins.ews_server import Card as EwsCard
from tests.stand_ins.ews_server import EwsServer, EwsTrouble, ews_server
from tests.stand_ins.graph_api import Collection, GraphApi, Misbehaviour, graph_api
from tests.stand_ins.tls import trusted

from zegelpost.adapters.address_book_csv import CsvAddressBook
from zegelpost.adapters.address_book_ews import EwsAddressBook
from zegelpost.adapters.address_book_graph import GraphAddressBook
from zegelpost.model.contact import TypedContact
from zegelpost.model.email_address import EmailAddress
from zegelpost.ports import AddressBook, BookPage
from zegelpost.services.reading_contact_files import read_contact_file

ANNA = EmailAddress.parse("anna@zegelpost.example")
STAGES = ("graph-directory", "graph-mailbox", "ews-mailbox", "csv")
# What can go wrong on the way; what the other end did before does not matter to reading.
# On a machine that is busy with other tests, an answer that nobody holds up takes its time too.
_PATIENCE_SECONDS = 3
_LATE_SECONDS = 30
OUTAGES = ("down", "cut", "half", "garbage", "busy", "failing", "late", "elsewhere")


@dataclass(frozen=True)
class Person:
    """Someone as people put them in an address book."""

    key: str
    name: str
    email: str
    mobile: str = ""
    phone: str = ""


class Stage(Protocol):
    book: AddressBook
    mailbox: EmailAddress | None
    has_folders: bool

    def put(self, person: Person, folder: str = "contacts") -> None: ...
    def remove(self, key: str, folder: str = "contacts") -> None: ...
    def tell_twice(self) -> None: ...


class ServiceStage(Stage, Protocol):
    """One with a server at the other end, which can be in trouble and keeps state of its own."""

    def remove_folder(self, folder: str) -> None: ...
    def fail(self, outage: str, *, skip: int = 0) -> None: ...
    def lose_cursors(self) -> None: ...


@dataclass
class GraphStage:
    api: GraphApi
    is_directory: bool
    book: AddressBook = field(init=False)
    mailbox: EmailAddress | None = field(init=False)
    has_folders: bool = field(init=False)

    def __post_init__(self) -> None:
        self.book = GraphAddressBook(self.api.address_book_url, timeout_seconds=_PATIENCE_SECONDS)
        self.mailbox = None if self.is_directory else ANNA
        self.has_folders = not self.is_directory
        self.api.mailbox(str(ANNA))
        self.api.page_size = 7

    def _collection(self, folder: str) -> Collection:
        if self.is_directory:
            return self.api.users
        mailbox = self.api.mailbox(str(ANNA))
        return mailbox.contacts["default-folder"] if folder == "contacts" else mailbox.folder(folder)

    def put(self, person: Person, folder: str = "contacts") -> None:
        common = {"displayName": person.name, "mobilePhone": person.mobile, "businessPhones": [person.phone]}
        if self.is_directory:
            upn = f"{person.key}@example.onmicrosoft.com"
            more = {"mail": person.email, "userPrincipalName": upn, "accountEnabled": True}
        else:
            more = {
                "emailAddresses": [{"name": person.name, "address": person.email}],
                "lastModifiedDateTime": "2026-11-03T09:30:00Z",
                "companyName": "Zorggroep Noord",
            }
        self._collection(folder).put(person.key, **common, **more)

    def remove(self, key: str, folder: str = "contacts") -> None:
        self._collection(folder).remove(key)

    def remove_folder(self, folder: str) -> None:
        self.api.mailbox(str(ANNA)).remove_folder(folder)

    def fail(self, outage: str, *, skip: int = 0) -> None:
        self.api.misbehave(
            {
                "down": Misbehaviour(503, "serviceNotAvailable", skip=skip),
                "cut": Misbehaviour(skip=skip),
                "half": Misbehaviour(is_half=True, skip=skip),
                "garbage": Misbehaviour(body=b"<html>Sign in</html>", skip=skip),
                "busy": Misbehaviour(429, "TooManyRequests", {"Retry-After": "17"}, skip=skip),
                "failing": Misbehaviour(500, "InternalServerError", skip=skip),
                "late": Misbehaviour(delay_seconds=_LATE_SECONDS, skip=skip),
                "elsewhere": Misbehaviour(302, headers={"Location": "http://169.254.169.254/"}, skip=skip),
            }[outage]
        )

    def lose_cursors(self) -> None:
        self.api.lose_cursors()

    def tell_twice(self) -> None:
        self.api.tells_twice = True


@dataclass
class EwsStage:
    server: EwsServer
    book: AddressBook = field(init=False)
    mailbox: EmailAddress | None = ANNA
    has_folders: bool = True

    def __post_init__(self) -> None:
        self.book = EwsAddressBook(self.server.address_book_url, timeout_seconds=_PATIENCE_SECONDS)
        self.server.mailbox(str(ANNA)).folder("suggestions", "IPF.Contact.RecipientCache").put(
            "x", EwsCard("Somebody", ["somebody@zorg.example"])
        )
        self.server.page_size = 7

    def put(self, person: Person, folder: str = "contacts") -> None:
        phones = {"mobile": person.mobile, "business": person.phone}
        card = EwsCard(person.name, [person.email], phones, "Zorggroep Noord")
        self.server.mailbox(str(ANNA)).folder(folder).put(person.key, card)

    def remove(self, key: str, folder: str = "contacts") -> None:
        self.server.mailbox(str(ANNA)).folder(folder).remove(key)

    def remove_folder(self, folder: str) -> None:
        self.server.mailbox(str(ANNA)).remove_folder(folder)

    def fail(self, outage: str, *, skip: int = 0) -> None:
        self.server.misbehave(
            {
                "down": EwsTrouble(status=503, skip=skip),
                "cut": EwsTrouble(skip=skip),
                "half": EwsTrouble(is_half=True, skip=skip),
                "garbage": EwsTrouble(body=b"<html>Sign in</html>", skip=skip),
                "busy": EwsTrouble("ErrorServerBusy", is_fault=True, back_off_milliseconds=17_000, skip=skip),
                "failing": EwsTrouble(status=500, skip=skip),
                "late": EwsTrouble(delay_seconds=_LATE_SECONDS, skip=skip),
                "elsewhere": EwsTrouble(status=302, headers={"Location": "http://169.254.169.254/"}, skip=skip),
            }[outage]
        )

    def lose_cursors(self) -> None:
        self.server.epoch += 1

    def tell_twice(self) -> None:
        self.server.tells_twice = True


@dataclass
class CsvStage:
    path: Path
    people: dict[str, Person] = field(default_factory=dict)
    book: AddressBook = field(init=False)
    mailbox: EmailAddress | None = None
    has_folders: bool = False
    is_twice: bool = False

    def __post_init__(self) -> None:
        self.book = CsvAddressBook(self.path, rows_of)
        self._write()

    def _write(self) -> None:
        text = io.StringIO()
        writer = csv.writer(text, delimiter=";")
        writer.writerow(["Naam", "Organisatie", "E-mailadres", "Mobiel", "Telefoon"])
        people = list(self.people.values())
        writer.writerows([each.name, "Zorggroep Noord", each.email, each.mobile, each.phone] for each in people)
        self.path.write_text(text.getvalue(), encoding="utf-8-sig")

    def put(self, person: Person, folder: str = "contacts") -> None:  # noqa: ARG002 - it has none
        self.people[person.key] = person
        self._write()

    def remove(self, key: str, folder: str = "contacts") -> None:  # noqa: ARG002
        del self.people[key]
        self._write()

    def tell_twice(self) -> None:
        """A file tells each row once."""


def rows_of(content: bytes) -> Sequence[TypedContact]:
    return [row.typed for row in read_contact_file(content, most=100_000) if row.typed is not None]


@contextmanager
def stage_of(kind: str, folder: Path) -> Iterator[GraphStage | EwsStage | CsvStage]:
    if kind == "csv":
        yield CsvStage(folder / "contacts.csv")
    elif kind == "ews-mailbox":
        with ews_server() as server:
            yield EwsStage(server)
    else:
        with trusted(folder) as context, graph_api(context) as api:
            yield GraphStage(api, is_directory=kind == "graph-directory")


@dataclass
class Mirror:
    """What someone who keeps to the port's promise has after each page."""

    known: dict[str, tuple[str, str, tuple[str, ...], tuple[str, ...]]] = field(default_factory=dict)
    cursor: str | None = None
    seen: set[str] | None = None
    page_count: int = 0
    told_count: int = 0

    def take(self, page: BookPage) -> None:
        if page.starts_over:
            self.seen = set()
        for folder in page.removed_folders:
            self.known = {key: each for key, each in self.known.items() if each[0] != folder}
        for key in page.removed:
            self.known.pop(key, None)
        for entry in page.entries:
            numbers = tuple(number for number in entry.numbers if number)
            self.known[entry.key] = (entry.folder, entry.name, tuple(entry.emails), numbers)
            if self.seen is not None:
                self.seen.add(entry.key)
        if page.is_last and self.seen is not None:
            self.known = {key: each for key, each in self.known.items() if key in self.seen}
            self.seen = None
        self.cursor = page.cursor
        self.page_count += 1
        self.told_count += len(page.entries) + len(page.removed)

    async def read(self, stage: Stage) -> None:
        """To the end, counting from now."""
        self.page_count = self.told_count = 0
        while True:
            page = await stage.book.read(stage.mailbox, self.cursor)
            self.take(page)
            if page.is_last:
                return

    def people(self) -> list[tuple[str, str, tuple[str, ...]]]:
        return sorted((name, emails[0], numbers) for _, name, emails, numbers in self.known.values())


def told(*people: Person) -> list[tuple[str, str, tuple[str, ...]]]:
    return sorted((each.name, each.email, tuple(n for n in (each.mobile, each.phone) if n)) for each in people)


def crowd(count: int, start: int = 0) -> list[Person]:
    return [Person(f"k{n}", f"Persoon {n:05}", f"p{n}@zorg.example", f"06-{10_000_000 + n}") for n in range(start, start + count)]
