"""Syncing: what is read is kept with its cursor, by one worker at a time, and nothing is lost or doubled whatever happens."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, text, update
from tests.conftest import CAST, MovableClock
from tests.contracts.address_book_stages import Person, crowd
from tests.stand_ins.graph_api import GraphApi, Misbehaviour, graph_api
from tests.stand_ins.tls import trusted

from zegelpost.adapters.address_book_graph import GraphAddressBook
from zegelpost.main import Services, build_services
from zegelpost.model.address_book import (
    AddressBookChoices,
    AddressBookKind,
    AddressFeed,
    BookEntry,
    DirectoryAccount,
    EntryKey,
    FeedTrouble,
    ListedContact,
    ListedWord,
    NumberProblem,
)
from zegelpost.model.contact import Card
from zegelpost.model.email_address import EmailAddress
from zegelpost.model.event import Event, EventTag
from zegelpost.model.identifiers import StaffUserId
from zegelpost.model.policy import Policy
from zegelpost.model.staff_user import StaffUser
from zegelpost.ports import BookPage
from zegelpost.services import syncing
from zegelpost.services.syncing import AddressBooks, ReadFeed
from zegelpost.settings import Settings

pytestmark = pytest.mark.anyio

ANNA, BRAM = "anna@zegelpost.example", "bram@zegelpost.example"
ROSA = Person("rosa", "Rosa Visser", "rosa@zorg.example", "06-12 34 56 78")
SAM = Person("sam", "Sam Advocaat", "sam@advocaat.example", "020-123 45 67")
EVERY = timedelta(hours=1)


@dataclass
class World:
    services: Services
    api: GraphApi
    clock: MovableClock

    def put(self, person: Person, folder: str = "default-folder", owner: str = ANNA) -> None:
        mailbox = self.api.mailbox(owner)
        contacts = mailbox.contacts[folder] if folder in mailbox.contacts else mailbox.folder(folder)
        addresses = [{"name": person.name, "address": each} for each in person.email.split()]
        contacts.put(person.key, displayName=person.name, emailAddresses=addresses, mobilePhone=person.mobile)

    def put_user(self, person: Person) -> None:
        self.api.users.put(
            person.key,
            displayName=person.name,
            mail=person.email,
            userPrincipalName="x",
            mobilePhone=person.mobile,
            businessPhones=[],
            accountEnabled=True,
        )

    async def read(self) -> list[ReadFeed]:
        return await self.services.syncing.read_due()

    async def later(self) -> list[ReadFeed]:
        """All rounds of an hour: trouble of the provider's ends each of them."""
        self.clock.forward(hours=2)
        found: list[ReadFeed] = []
        while read := await self.read():
            found += read
        return found

    async def user_id(self, email: str) -> StaffUserId:
        async with self.services.database.reading() as session:
            return (await session.scalars(select(StaffUser.id).where(StaffUser.email == email))).one()

    async def feed(self, owner: str = "") -> AddressFeed:
        owner_id = await self.user_id(owner) if owner else None
        async with self.services.database.reading() as session:
            which = AddressFeed.owner_id == owner_id if owner_id else AddressFeed.place == "directory"
            return (await session.scalars(select(AddressFeed).where(which))).one()

    async def listed(self, owner: str = "") -> list[tuple[str, str, str | None]]:
        """Name, address and number of all that a feed lists."""
        feed = await self.feed(owner)
        async with self.services.database.reading() as session:
            rows = (
                await session.execute(select(ListedContact.id, ListedContact.sealed_card).where(ListedContact.feed_id == feed.id))
            ).all()
        cards = self.services.keeping_keys.listed_cards([(row.id, row.sealed_card) for row in rows])
        return sorted((c.card.name, str(c.card.email), c.card.mobile.e164 if c.card.mobile else None) for c in cards)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[GraphApi]:
    with trusted(tmp_path) as context, graph_api(context) as found:
        for email in CAST:
            found.mailbox(email)
        yield found


@pytest.fixture
async def world(
    settings: Settings, services: Services, clock: MovableClock, policy: Policy, api: GraphApi
) -> AsyncIterator[World]:
    from tests.conftest import _open_accounts

    books = AddressBooks(
        exchange=GraphAddressBook(api.address_book_url, timeout_seconds=2),
        file=None,
        every=EVERY,
    )
    built = build_services(settings, clock=clock, policy=policy, address_books=books)
    await _open_accounts(built)
    yield World(built, api, clock)
    await built.database.close()
    await services.database.close()


def shown(*people: Person) -> list[tuple[str, str, str | None]]:
    numbers = {"06-12 34 56 78": "+31612345678"}
    return sorted((each.name, each.email, numbers.get(each.mobile) or _e164(each.mobile)) for each in people)


def _e164(typed: str) -> str | None:
    return f"+316{typed[3:]}" if typed.startswith("06-") else None


async def test_everyones_book_and_the_organisations_are_read(world: World, database_kind: str) -> None:
    world.put(ROSA)
    world.put(SAM, "zaken")
    world.put(replace(ROSA, name="Van Bram"), owner=BRAM)
    for person in crowd(120):
        world.put_user(person)

    read = await world.read()

    assert {each.trouble for each in read} == {None}
    assert len(read) == 1 + len(CAST)
    assert await world.listed(ANNA) == shown(ROSA, SAM)
    assert await world.listed(BRAM) == shown(replace(ROSA, name="Van Bram"))
    assert await world.listed() == shown(*crowd(120))
    assert await world.read() == [], "nothing is due"
    feed = await world.feed()
    assert (feed.added_count, feed.changed_count, feed.removed_count) == (120, 0, 0)
    assert feed.finished_at == world.clock()
    assert feed.claimed_by is None


async def test_increments_bring_only_what_changed(world: World, database_kind: str) -> None:
    for person in crowd(60):
        world.put_user(person)
    await world.read()
    changed = replace(crowd(1)[0], name="Nieuwe Naam", mobile="06-87654321")
    world.put_user(changed)
    world.api.users.remove("k1")
    world.put_user(ROSA)
    world.api.requests.clear()

    await world.later()

    assert await world.listed() == shown(changed, *crowd(58, start=2), ROSA)
    feed = await world.feed()
    assert (feed.added_count, feed.changed_count, feed.removed_count) == (1, 1, 1)
    assert len(world.api.requested("/users/delta")) == 1


async def test_what_did_not_change_keeps_its_identifier(world: World) -> None:
    world.put(ROSA)
    await world.read()
    before = await ids(world)
    world.put(replace(ROSA, name="Rosa Visser-Bos"))
    await world.later()
    assert await ids(world) == before
    assert await world.listed(ANNA) == shown(replace(ROSA, name="Rosa Visser-Bos"))


async def ids(world: World) -> list[str]:
    async with world.services.database.reading() as session:
        return sorted(await session.scalars(select(ListedContact.id)))


async def test_one_entry_with_several_addresses_is_several_contacts(world: World, database_kind: str) -> None:
    world.put(replace(ROSA, email="rosa@zorg.example ROSA@zorg.example r.visser@zorg.example not-an-address"))
    await world.read()
    assert [email for _, email, _ in await world.listed(ANNA)] == ["r.visser@zorg.example", "rosa@zorg.example"]
    world.put(replace(ROSA, email="r.visser@zorg.example"))
    await world.later()
    assert [email for _, email, _ in await world.listed(ANNA)] == ["r.visser@zorg.example"]


@pytest.mark.parametrize(
    ("typed", "e164", "problem"),
    [
        ("06-12 34 56 78", "+31612345678", None),
        ("+31 (0)6 12345678", "+31612345678", None),
        ("0031612345678", "+31612345678", None),
        ("\u202d+31 6 12345678\u202c", "+31612345678", None),
        ("020-123 45 67", None, NumberProblem.NOT_MOBILE),
        ("+7 912 345 67 89", None, NumberProblem.ABROAD),
        ("06-12345678 (prive)", None, NumberProblem.INVALID),
        ("bel het secretariaat", None, NumberProblem.INVALID),
        ("", None, None),
    ],
)
async def test_numbers_become_usable_or_say_why_not(
    world: World, typed: str, e164: str | None, problem: NumberProblem | None
) -> None:
    world.put(replace(ROSA, mobile=typed))
    await world.read()
    assert (await world.listed(ANNA))[0][2] == e164
    async with world.services.database.reading() as session:
        row = (await session.scalars(select(ListedContact))).one()
    assert row.number_problem == problem
    [card] = world.services.keeping_keys.listed_cards([(row.id, row.sealed_card)])
    assert card.typed_number == (typed if problem else "")


async def test_a_refused_cursor_reads_everything_anew_and_loses_nobody(world: World, database_kind: str) -> None:
    for person in crowd(120):
        world.put_user(person)
    await world.read()
    before = await ids(world)
    world.api.users.remove("k7")
    world.api.lose_cursors()

    await world.later()

    assert await world.listed() == shown(*[each for each in crowd(120) if each.key != "k7"])
    assert len(set(before) - set(await ids(world))) == 1
    async with world.services.database.reading() as session:
        tags = list(await session.scalars(select(Event.tag).where(Event.tag == EventTag.ADDRESS_BOOK_RESTARTED)))
    assert len(tags) == 1 + len(CAST)


@pytest.mark.parametrize(
    "outage",
    [
        Misbehaviour(skip=1),
        Misbehaviour(is_half=True, skip=2),
        Misbehaviour(503, skip=1),
        Misbehaviour(429, "x", {"Retry-After": "30"}, skip=1),
        Misbehaviour(500, skip=3),
        Misbehaviour(body=b"<html>", skip=1),
        Misbehaviour(410, "syncStateNotFound", skip=2),
        Misbehaviour(delay_seconds=3, skip=1),
    ],
    ids=["cut", "half", "503", "429", "500", "garbage", "410", "late"],
)
async def test_after_an_outage_in_the_middle_nobody_is_lost_or_doubled(world: World, outage: Misbehaviour) -> None:
    world.api.page_size = 20
    for person in crowd(100):
        world.put_user(person)
    world.api.misbehave(outage)
    await world.read()
    for _ in range(6):
        await world.later()
    assert await world.listed() == shown(*crowd(100))
    feed = await world.feed()
    assert (feed.trouble, feed.failed_count) == (None, 0)


async def test_what_was_cut_off_goes_on_where_it_was(world: World) -> None:
    world.api.page_size = 10
    for person in crowd(100):
        world.put_user(person)
    world.api.misbehave(Misbehaviour(500, skip=5))
    await world.read()
    assert len(await world.listed()) == 50
    feed = await world.feed()
    assert feed.trouble == FeedTrouble.UNREACHABLE
    world.api.requests.clear()
    await world.later()
    assert len(await world.listed()) == 100
    # Five pages of users that were left, and one of contacts.
    lists = [*world.api.requested("/v1.0/users/delta"), *world.api.requested("/v1.0/contacts/delta")]
    assert len(lists) == 6


async def test_a_page_that_could_not_be_kept_leaves_the_cursor_where_it_was(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.api.page_size = 10
    for person in crowd(30):
        world.put_user(person)
    syncing = world.services.syncing
    kept = syncing._listing.keep
    count = 0

    async def failing(*given: object) -> object:
        nonlocal count
        count += 1
        result = await kept(*given)  # type: ignore[arg-type]
        if count == 2:
            raise RuntimeError("the disk is full of rosa@zorg.example")
        return result

    monkeypatch.setattr(syncing._listing, "keep", failing)
    await world.read()
    assert len(await world.listed()) == 10
    await world.later()
    assert await world.listed() == shown(*crowd(30))


async def test_a_busy_service_is_left_alone_as_long_as_it_asks(world: World) -> None:
    world.api.misbehave(Misbehaviour(429, "x", {"Retry-After": "600"}))
    await world.read()
    feed = await world.feed()
    assert feed.trouble == FeedTrouble.BUSY
    assert feed.due_at == world.clock() + timedelta(seconds=600)
    world.clock.forward(seconds=590)
    assert await world.read() == []
    world.clock.forward(seconds=20)
    assert [each.trouble for each in await world.read()] == [None]


async def test_trouble_is_tried_again_less_and_less_often(world: World) -> None:
    pauses = []
    for _ in range(8):
        world.api.misbehave(Misbehaviour(500))
        await world.services.syncing.ask_now()
        await world.read()
        feed = await world.feed()
        assert feed.due_at is not None
        pauses.append((feed.due_at - world.clock()).total_seconds() / 60)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert feed.trouble_since == world.clock()


async def test_a_revoked_secret_is_told_and_the_contacts_stay(world: World) -> None:
    world.put(ROSA)
    await world.read()
    world.api.revoke_secret()
    await world.later()
    feed = await world.feed(ANNA)
    assert feed.trouble == FeedTrouble.CREDENTIALS
    assert feed.finished_at is not None
    assert await world.listed(ANNA) == shown(ROSA)


async def test_a_certificate_that_is_wrong_for_a_while_loses_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for person in crowd(60):
        world.put_user(person)
    await world.read()
    world.put_user(ROSA)
    with monkeypatch.context() as patch:
        patch.delenv("REQUESTS_CA_BUNDLE")
        await world.later()
        assert (await world.feed()).trouble == FeedTrouble.CERTIFICATE
        assert await world.listed() == shown(*crowd(60))
    await world.later()
    assert (await world.feed()).trouble is None
    assert await world.listed() == shown(*crowd(60), ROSA)


async def test_a_service_that_is_down_and_comes_back_loses_nobody(world: World) -> None:
    for person in crowd(60):
        world.put_user(person)
    await world.read()
    world.put_user(ROSA)
    for how in (Misbehaviour(503), Misbehaviour(), Misbehaviour(is_half=True)):
        world.api.misbehave(how)
        await world.services.syncing.ask_now()
        await world.read()
        assert (await world.feed()).trouble is not None
        assert len(await world.listed()) == 60
    await world.later()
    assert await world.listed() == shown(*crowd(60), ROSA)


async def test_a_refused_secret_is_offered_once_in_a_round(world: World) -> None:
    """Whoever offers it a thousand times is locked out."""
    await world.services.syncing.open_feeds()
    world.api.revoke_secret()

    assert [each.trouble for each in await world.read()] == [FeedTrouble.CREDENTIALS]
    assert world.api.requested("/token") == ["/token"]
    assert (await world.feed()).trouble == FeedTrouble.CREDENTIALS


async def test_someone_without_a_mailbox_does_not_hold_up_the_others(world: World) -> None:
    del world.api.mailboxes[ANNA]
    world.put(ROSA, owner=BRAM)
    read = await world.read()
    assert {each.trouble for each in read} == {None, FeedTrouble.MAILBOX_MISSING}
    assert await world.listed(BRAM) == shown(ROSA)


async def test_two_workers_never_read_one_book_at_once(world: World, database_kind: str) -> None:
    for person in crowd(60):
        world.put_user(person)
    await world.services.syncing.open_feeds()

    both = await asyncio.gather(*(world.services.syncing.read_due() for _ in range(4)))

    feeds = [each.feed_id for read in both for each in read]
    assert len(feeds) == len(set(feeds)) == 1 + len(CAST)
    assert await world.listed() == shown(*crowd(60))


async def test_whoever_lost_the_claim_keeps_nothing(world: World, database_kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for person in crowd(30):
        world.put_user(person)
    book = world.services.syncing._books.exchange
    assert book is not None
    read = book.read

    async def slow(*given: object) -> BookPage:
        page = await read(*given)  # type: ignore[arg-type]
        async with world.services.database.work() as session:
            await session.execute(update(AddressFeed).values(claimed_by="somebody-else"))
        return page

    monkeypatch.setattr(book, "read", slow)
    await world.read()

    assert await world.listed() == []
    feed = await world.feed()
    assert feed.claimed_by == "somebody-else"
    assert feed.sealed_cursor is None


async def test_a_claim_of_a_worker_that_died_runs_out(world: World) -> None:
    await world.services.syncing.open_feeds()
    until = world.clock() + timedelta(minutes=5)
    async with world.services.database.work() as session:
        await session.execute(update(AddressFeed).values(claimed_by="dead", claimed_until=until))
    assert await world.read() == []
    world.clock.forward(minutes=5)
    assert len(await world.read()) == 1 + len(CAST)


async def test_whose_account_is_switched_off_is_not_read(world: World) -> None:
    async with world.services.database.work() as session:
        await session.execute(update(StaffUser).where(StaffUser.email == ANNA).values(is_switched_off=True))
    assert await world.user_id(ANNA) not in {each.owner_id for each in await world.read()}


async def test_most_of_a_list_gone_waits_for_an_administrator(world: World, database_kind: str) -> None:
    for person in crowd(40):
        world.put_user(person)
    await world.read()
    for person in crowd(30):
        world.api.users.remove(person.key)
    world.api.lose_cursors()

    await world.later()

    assert (await world.feed()).trouble == FeedTrouble.SHRUNK
    assert await world.listed() == shown(*crowd(40))
    # Back again: nothing was wrong after all.
    for person in crowd(30):
        world.put_user(person)
    world.api.lose_cursors()
    await world.later()
    assert (await world.feed()).trouble is None
    assert await world.listed() == shown(*crowd(40))


async def test_nothing_personal_in_logs_and_nothing_readable_in_the_database(
    world: World, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG, logger="zegelpost")
    world.put(ROSA)
    world.put_user(replace(ROSA, key="secret-user-key"))
    await world.read()
    world.api.misbehave(Misbehaviour(403))
    await world.later()
    everything = caplog.text + capsys.readouterr().out
    async with world.services.database.reading() as session:
        for table in ("address_feed", "listed_contact", "listed_word", "event"):
            rows = (await session.execute(text(f"SELECT * FROM {table}"))).all()
            assert rows or table == "event"
            everything += repr(rows)
    for secret in ("rosa", "Rosa", "zorg.example", "612345678", "secret-user-key", "user-of-", "graph", "s3cr"):
        assert secret not in everything.replace("'graph'", "").replace("address_book", ""), secret


async def test_words_find_in_the_organisations_list_alone(world: World, database_kind: str) -> None:
    world.put(ROSA)
    world.put_user(SAM)
    await world.read()
    async with world.services.database.reading() as session:
        count = await session.scalar(select(func.count()).select_from(ListedWord))
    # sam; adv, advoca from the name, the address adds no other words: advocaat, example (exa, exampl).
    assert count == 5
    await world.later()
    world.api.users.remove("sam")
    await world.later()
    async with world.services.database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(ListedWord)) == 0


async def test_new_contacts_are_copied_once_when_the_organisation_wants_that(world: World, database_kind: str) -> None:
    user_id = await world.user_id(ANNA)
    await add_contact(world, user_id, "oud@zorg.example")
    world.clock.forward(minutes=1)
    async with world.services.database.work() as session:
        session.add(AddressBookChoices(id=1, reads_directory=True, reads_mailboxes=True, writes_back_since=world.clock()))
    world.clock.forward(minutes=1)
    await add_contact(world, user_id, "nieuw@zorg.example")
    world.put(replace(ROSA, email="bekend@zorg.example"))
    await add_contact(world, user_id, "bekend@zorg.example")
    # The answer to the first try is lost after it was taken.
    world.api.misbehave(Misbehaviour(is_accepted=True, skip=100))

    for _ in range(3):
        await world.later()

    made = [each for each in world.api.mailboxes[ANNA].contacts["default-folder"].items.values() if "displayName" in each]
    addresses = sorted(each["emailAddresses"][0]["address"] for each in made)
    assert addresses == ["bekend@zorg.example", "nieuw@zorg.example"]


async def test_a_copy_whose_answer_was_lost_is_not_made_again(world: World) -> None:
    user_id = await world.user_id(ANNA)
    async with world.services.database.work() as session:
        session.add(AddressBookChoices(id=1, reads_directory=True, reads_mailboxes=True, writes_back_since=world.clock()))
    await world.read()
    await add_contact(world, user_id, "nieuw@zorg.example")
    await world.services.syncing.ask_now(owner_id=user_id)
    # Folders, the folder itself, whose mailbox it is, and then the making of it.
    world.api.misbehave(Misbehaviour(is_accepted=True, skip=3))
    [read] = await world.read()
    assert read.trouble == FeedTrouble.UNREACHABLE
    for _ in range(3):
        await world.later()
    assert len(world.api.mailboxes[ANNA].contacts["default-folder"].items) == 1


async def test_a_contact_that_exchange_does_not_want_keeps_no_other_out(world: World) -> None:
    user_id = await world.user_id(ANNA)
    async with world.services.database.work() as session:
        session.add(AddressBookChoices(id=1, reads_directory=True, reads_mailboxes=True, writes_back_since=world.clock()))
    await world.read()
    await add_contact(world, user_id, "vreemd@zorg.example")
    world.clock.forward(seconds=1)
    await add_contact(world, user_id, "gewoon@zorg.example")
    await world.services.syncing.ask_now(owner_id=user_id)
    world.api.misbehave(Misbehaviour(400, "ErrorInvalidProperty", skip=3))

    [read] = await world.read()

    assert read.trouble is None
    made = world.api.mailboxes[ANNA].contacts["default-folder"].items.values()
    assert [each["emailAddresses"][0]["address"] for each in made] == ["gewoon@zorg.example"]


async def test_not_being_allowed_to_write_is_told_apart(world: World) -> None:
    user_id = await world.user_id(ANNA)
    async with world.services.database.work() as session:
        session.add(AddressBookChoices(id=1, reads_directory=True, reads_mailboxes=True, writes_back_since=world.clock()))
    await add_contact(world, user_id, "nieuw@zorg.example")
    world.api.may_write = False
    await world.read()
    assert (await world.feed(ANNA)).trouble == FeedTrouble.WRITE_PERMISSION


async def add_contact(world: World, user_id: StaffUserId, email: str) -> None:
    from zegelpost.model.contact import TypedContact
    from zegelpost.model.secret import SecretToken
    from zegelpost.services.access import StaffActor

    async with world.services.database.reading() as session:
        user = await session.get_one(StaffUser, user_id)
    actor = StaffActor(user, SecretToken.generate())
    await world.services.keeping_contacts.add(actor, TypedContact(email.partition("@")[0], "", email, ""))


class SlowForOne:
    """People's books that answer at once, but for one of them."""

    kind = AddressBookKind.GRAPH
    has_directory = False
    has_mailboxes = True

    def __init__(self, slow: str) -> None:
        self.slow = slow
        self.answered = asyncio.Event()
        self.asked: list[str] = []

    async def read(self, mailbox: EmailAddress | None, cursor: str | None) -> BookPage:
        self.asked.append(str(mailbox))
        if str(mailbox) == self.slow:
            await self.answered.wait()
        return BookPage(entries=[], cursor="x", is_last=True, starts_over=cursor is None)

    async def ask_after(self, subjects: Sequence[str]) -> Sequence[DirectoryAccount]:  # noqa: ARG002 - the port's signature
        return []

    async def look_up(self, letters: str) -> Sequence[BookEntry]:  # noqa: ARG002 - the port's signature
        return []

    async def add(self, mailbox: EmailAddress, card: Card) -> None:
        raise AssertionError(f"{card} is written to {mailbox} while it is only read")


async def test_one_slow_mailbox_does_not_hold_up_the_others(
    world: World, settings: Settings, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syncing, "HEAD_START_SECONDS", 0.05)
    book = SlowForOne(ANNA)
    built = build_services(settings, clock=clock, address_books=AddressBooks(exchange=book, file=None, every=EVERY))
    # Hers is the first that is due.
    await built.syncing.open_feeds()
    async with built.database.work() as session:
        user = (await session.scalars(select(StaffUser.id).where(StaffUser.email == ANNA))).one()
        hers = AddressFeed.owner_id == user
        await session.execute(update(AddressFeed).where(hers).values(due_at=clock() - timedelta(hours=1)))
    reading = asyncio.create_task(built.syncing.read_due())
    while len(book.asked) < len(CAST):  # noqa: ASYNC110 - the others are read meanwhile
        await asyncio.sleep(0.01)
    assert book.asked[0] == ANNA
    assert not reading.done()

    book.answered.set()
    read = await reading
    assert len(read) == len(CAST)
    assert {each.trouble for each in read} == {None}
    await built.database.close()


class InTwoPages(SlowForOne):
    """The organisation's list, in two pages; tells when it was asked for the second."""

    has_directory = True
    has_mailboxes = False

    def __init__(self) -> None:
        super().__init__("")
        self.was_asked_on = asyncio.Event()

    async def read(self, mailbox: EmailAddress | None, cursor: str | None) -> BookPage:  # noqa: ARG002 - nobody's own
        if cursor is None:
            return BookPage(entries=[_entry(ROSA)], cursor="second", is_last=False, starts_over=True)
        self.was_asked_on.set()
        return BookPage(entries=[_entry(SAM)], cursor="after", is_last=True, starts_over=False)


def _entry(person: Person) -> BookEntry:
    return BookEntry(
        key=EntryKey(person.key), folder="users", name=person.name, organisation="", emails=[person.email], numbers=[]
    )


async def test_the_next_page_is_asked_for_while_one_is_being_kept(world: World, settings: Settings, clock: MovableClock) -> None:
    book = InTwoPages()
    built = build_services(settings, clock=clock, address_books=AddressBooks(exchange=book, file=None, every=EVERY))
    await built.syncing.open_feeds()
    kept, may_go_on = built.syncing._listing.keep, asyncio.Event()

    async def waiting(*given: object) -> object:
        await may_go_on.wait()
        return await kept(*given)  # type: ignore[arg-type]

    built.syncing._listing.keep = waiting  # type: ignore[method-assign, assignment]
    reading = asyncio.create_task(built.syncing.read_due())
    await asyncio.wait_for(book.was_asked_on.wait(), 10)
    assert await world.listed() == []

    may_go_on.set()
    [read] = await reading
    assert (read.trouble, read.changed.added_count) == (None, 2)
    await built.database.close()
