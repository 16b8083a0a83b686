"""What people see of address books that others keep: finding, own versions, whose number it is, and how reading goes."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from starlette.applications import Starlette
from tests.conftest import CAST, MovableClock, Portal, _open_accounts, browser, make_administrator, signed_in
from tests.contracts.address_book_stages import Person
from tests.services.test_syncing import EVERY, World
from tests.stand_ins.ews_server import Card as EwsCard
from tests.stand_ins.ews_server import ews_server
from tests.stand_ins.graph_api import GraphApi, graph_api
from tests.stand_ins.tls import trusted

from zegelpost.adapters.address_book_ews import EwsAddressBook
from zegelpost.adapters.address_book_graph import GraphAddressBook
from zegelpost.main import Services, build_app, build_services
from zegelpost.model.address_book import ListedContact
from zegelpost.model.event import Event, EventTag
from zegelpost.model.policy import Policy
from zegelpost.model.recipient import Recipient
from zegelpost.model.secret import SecretToken
from zegelpost.model.staff_user import StaffUser
from zegelpost.model.transfer import Transfer
from zegelpost.ports import AddressBook
from zegelpost.services.access import StaffActor
from zegelpost.services.keeping_contacts import number_worked
from zegelpost.services.syncing import AddressBooks, ReadFeed
from zegelpost.settings import Settings

pytestmark = pytest.mark.anyio

ANNA, BRAM, CHRIS = "anna@zegelpost.example", "bram@zegelpost.example", "chris@zegelpost.example"
ROSA = Person("rosa", "Rosa Visser", "rosa@zorg.example", "06-12 34 56 78")
SAM = Person("sam", "Sam Advocaat", "sam@advocaat.example", "020-123 45 67")


@pytest.fixture
def api(tmp_path: Path) -> Iterator[GraphApi]:
    with trusted(tmp_path) as context, graph_api(context) as found:
        for email in CAST:
            found.mailbox(email)
        yield found


def books_of(exchange: AddressBook) -> AddressBooks:
    return AddressBooks(exchange=exchange, file=None, every=EVERY)


@pytest.fixture
async def world(
    settings: Settings, services: Services, clock: MovableClock, policy: Policy, api: GraphApi
) -> AsyncIterator[World]:
    books = books_of(GraphAddressBook(api.address_book_url))
    built = build_services(settings, clock=clock, policy=policy, address_books=books)
    await _open_accounts(built)
    await make_administrator(built)
    yield World(built, api, clock)
    await built.database.close()
    await services.database.close()


@pytest.fixture
def app(world: World) -> Starlette:
    return build_app(world.services, has_worker=False)


@pytest.fixture
async def chris_portal(app: Starlette) -> AsyncIterator[Portal]:
    async with browser(app) as client:
        portal = Portal(client)
        await portal.sign_in(CHRIS)
        yield portal


@pytest.fixture
async def bram_portal(app: Starlette) -> AsyncIterator[Portal]:
    async with browser(app) as client:
        portal = Portal(client)
        await portal.sign_in(BRAM)
        yield portal


async def later(world: World, *portals: Portal) -> list[ReadFeed]:
    """The next reading, while people go on working and so stay signed in."""
    for _ in range(5):
        world.clock.forward(minutes=15)
        for portal in portals:
            await portal.client.get("/")
    return await world.services.syncing.read_due()


async def found(portal: Portal, letters: str) -> str:
    return (await portal.press("/contacts", letters=letters)).text


async def contact_id(portal: Portal, letters: str) -> str:
    match = re.search(r'href="/contacts/([0-9a-z]{26})"', await found(portal, letters))
    assert match, letters
    return match.group(1)


async def test_own_book_is_found_by_its_owner_alone(world: World, anna_portal: Portal, bram_portal: Portal) -> None:
    world.put(ROSA)
    await world.read()

    assert "Rosa Visser" in (await anna_portal.client.get("/contacts")).text
    assert "Rosa Visser" in await found(anna_portal, "visser")
    assert "Rosa Visser" not in await found(bram_portal, "visser")
    listed = await contact_id(anna_portal, "visser")
    assert (await bram_portal.client.get(f"/contacts/{listed}")).status_code == 404
    assert (await bram_portal.press(f"/contacts/{listed}/edit", name="X", email="x@zorg.example")).status_code == 404


async def test_the_organisations_list_is_found_by_everyone_by_letters(
    world: World, anna_portal: Portal, bram_portal: Portal, database_kind: str
) -> None:
    world.put_user(replace(ROSA, name="Renée van der Visser"))
    world.put_user(SAM)
    await world.read()

    for portal in (anna_portal, bram_portal):
        assert "Renée van der Visser" not in (await portal.client.get("/contacts")).text
        for letters in ("renee", "Vis", "visser van", "rosa@zorg.example", "zorg"):
            text = await found(portal, letters)
            assert "Renée van der Visser" in text, letters
            assert "Sam Advocaat" not in text, letters


async def test_a_number_is_a_proposal_with_its_source_and_date(world: World, anna_portal: Portal) -> None:
    world.put(ROSA)
    world.put(SAM)
    await world.read()

    page = (await anna_portal.client.get(f"/contacts/{await contact_id(anna_portal, 'visser')}")).text
    assert "As it was on 23 November 2026" in page
    assert "My contacts in Exchange" in page
    assert "Check the number before you use it" in page
    suggestions = (await anna_portal.press("/contacts/suggestions", letters="rosa")).json()["contacts"]
    assert suggestions[0]["mobile"] == "+31612345678"
    assert "Exchange" in suggestions[0]["proposed"]
    page = (await anna_portal.client.get(f"/contacts/{await contact_id(anna_portal, 'advocaat')}")).text
    assert "020-123 45 67" in page
    assert "that is not a mobile number" in page


async def test_the_sender_sees_before_sending_where_a_number_is_from(world: World, app: Starlette, anna_portal: Portal) -> None:
    world.put(ROSA)
    await world.read()
    program = await signed_in(app, ANNA)
    for mobile, is_told in (("06 12345678", True), ("06 87654321", False)):
        recipients = [{"name": "Rosa", "email": "rosa@zorg.example", "mobile": mobile}]
        body = {"subject": "S", "reference": "", "note": "N", "recipients": recipients}
        transfer = (await program.post("/api/v1/transfers", json=body)).json()["id"]
        page = (await anna_portal.client.get(f"/transfers/{transfer}/check")).text
        assert ("From your contacts in Exchange" in page) == is_told
    await program.aclose()


async def test_an_own_version_stands_in_front_and_can_be_reset(world: World, anna_portal: Portal, bram_portal: Portal) -> None:
    world.put_user(ROSA)
    await world.read()
    listed = await contact_id(anna_portal, "visser")

    answer = await anna_portal.press(
        f"/contacts/{listed}/edit", name="Rosa (werk)", email="r.visser@zorg.example", mobile="06-87654321"
    )
    own = answer.url.path.removeprefix("/contacts/")

    assert own != listed
    assert "your own version" in answer.text
    assert "What the address book says" in answer.text
    world.put_user(replace(ROSA, name="Rosa Visser-Bos"))
    await later(world, anna_portal, bram_portal)
    assert "Rosa Visser-Bos" not in await found(anna_portal, "rosa")
    assert "Rosa (werk)" in await found(anna_portal, "rosa")
    assert "Rosa Visser-Bos" in await found(bram_portal, "rosa")
    assert (await bram_portal.press(f"/contacts/{own}/reset")).status_code == 404

    answer = await anna_portal.press(f"/contacts/{own}/reset")
    assert answer.url.path == f"/contacts/{listed}"
    assert "Rosa Visser-Bos" in answer.text
    assert "Rosa (werk)" not in await found(anna_portal, "rosa")
    # Nothing of one's own is left to reset, and nothing that is listed can be removed.
    assert (await anna_portal.press(f"/contacts/{listed}/reset")).status_code == 404
    assert (await anna_portal.press(f"/contacts/{listed}/remove")).status_code == 404


async def test_a_contact_that_nobody_lists_cannot_be_reset_away(world: World, anna_portal: Portal) -> None:
    await world.read()
    answer = await anna_portal.press("/contacts/new", name="Nina", email="nina@zorg.example")
    own = answer.url.path.removeprefix("/contacts/")

    assert "Reset to the address book" not in answer.text
    assert (await anna_portal.press(f"/contacts/{own}/reset")).status_code == 404
    assert "Nina" in await found(anna_portal, "nina")


async def test_one_address_in_several_books_is_shown_once_with_a_number(world: World, anna_portal: Portal) -> None:
    world.put(replace(ROSA, mobile=""))
    world.put(replace(ROSA, key="rosa-2", mobile=""), "zaken")
    world.put_user(replace(ROSA, name="Rosa Visser van Zorg"))
    await world.read()

    text = await found(anna_portal, "rosa")
    assert text.count('name="contact"') == 1
    assert "+31612345678" in text or "+31 6 12345678" in text


async def test_what_is_no_longer_connected_is_not_shown(
    world: World, settings: Settings, policy: Policy, clock: MovableClock
) -> None:
    world.put(ROSA)
    world.put_user(SAM)
    await world.read()
    without = build_services(settings, clock=clock, policy=policy)
    async with browser(build_app(without, has_worker=False)) as client:
        portal = Portal(client)
        await portal.sign_in(ANNA)
        assert "Rosa Visser" not in (await client.get("/contacts")).text
        assert "Sam Advocaat" not in await found(portal, "advocaat")
        assert (await portal.press("/contacts/suggestions", letters="rosa")).json() == {"contacts": []}
    await without.database.close()


async def test_the_add_in_finds_whom_the_lists_have(world: World, app: Starlette) -> None:
    world.put_user(ROSA)
    await world.read()
    program = await signed_in(app, BRAM)
    [contact] = (await program.post("/api/v1/contacts/lookup", json={"emails": ["ROSA@zorg.example", "x@y.example"]})).json()[
        "contacts"
    ]
    assert (contact["mobile"], contact["source"]) == ("+31612345678", "directory")
    assert contact["changed_at"].startswith("2026-11-23")
    changed = (await program.patch(f"/api/v1/contacts/{contact['id']}", json={"name": "Rosa B."})).json()
    assert (changed["name"], changed["source"], changed["mobile"]) == ("Rosa B.", "corrected", "+31612345678")
    await program.aclose()


async def test_switching_off_forgets_and_on_reads_anew(world: World, anna_portal: Portal, database_kind: str) -> None:
    world.put(ROSA)
    await world.read()

    answer = await anna_portal.press("/contacts/exchange/switch", is_on="0")
    assert "has been removed" in answer.text
    assert await world.listed(ANNA) == []
    assert "Rosa Visser" not in await found(anna_portal, "visser")
    await later(world, anna_portal)
    assert await world.listed(ANNA) == []

    await anna_portal.press("/contacts/exchange/switch", is_on="1")
    await world.read()
    assert "Rosa Visser" in await found(anna_portal, "visser")
    async with world.services.database.reading() as session:
        facts = [row.facts for row in await session.scalars(select(Event).where(Event.tag == EventTag.ADDRESS_BOOK_SWITCHED))]
    assert sorted(facts, key=str) == [{"is_on": False}, {"is_on": True}]


async def test_switched_off_while_it_is_read_nothing_is_kept(
    world: World, anna_portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put(ROSA)
    await world.services.syncing.open_feeds()
    syncing = world.services.syncing
    prepare = syncing._listing.prepare

    async def switched(*given: Any) -> object:
        prepared = await prepare(*given)
        await world.services.overseeing_address_books.switch(await actor_of(world, ANNA), is_on=False)
        return prepared

    monkeypatch.setattr(syncing._listing, "prepare", switched)
    await world.read()
    assert await world.listed(ANNA) == []


async def actor_of(world: World, email: str) -> StaffActor:
    async with world.services.database.reading() as session:
        user = (await session.scalars(select(StaffUser).where(StaffUser.email == email))).one()
    return StaffActor(user, SecretToken.generate())


async def test_trouble_is_told_in_words_to_owner_and_administrator(
    world: World, anna_portal: Portal, chris_portal: Portal
) -> None:
    world.put(ROSA)
    await world.read()
    page = (await anna_portal.client.get("/contacts/exchange")).text
    assert "Up to date" in page
    assert "1 new, 0 changed, 0 gone" in page
    world.api.revoke_secret()
    await later(world, anna_portal, chris_portal)
    for _ in CAST:
        await world.read()

    page = (await anna_portal.client.get("/contacts/exchange")).text
    assert "Your administrator can mend this" in page
    assert "What was read before stays" in page
    page = (await chris_portal.client.get("/admin/address-books")).text
    assert "The secret or the password is refused" in page
    assert "Anna de Vries" in page
    assert "Rosa" not in page


async def test_administrators_choose_for_everyone(world: World, anna_portal: Portal, chris_portal: Portal) -> None:
    world.put(ROSA)
    world.put_user(SAM)
    await world.read()

    await chris_portal.press("/admin/address-books", writes_back="1")

    assert await world.listed(ANNA) == []
    assert await world.listed() == []
    assert (await anna_portal.client.get("/contacts/exchange")).status_code == 404
    assert "/contacts/exchange" not in (await anna_portal.client.get("/contacts")).text
    assert await later(world, anna_portal, chris_portal) == []
    await chris_portal.press("/admin/address-books", reads_directory="1", reads_mailboxes="1")
    await world.read()
    assert len(await world.listed(ANNA)) == len(await world.listed()) == 1


async def test_an_administrator_agrees_that_most_of_a_list_goes(world: World, chris_portal: Portal) -> None:
    for number in range(40):
        world.put_user(Person(f"k{number}", f"P{number}", f"p{number}@zorg.example"))
    await world.read()
    for number in range(30):
        world.api.users.remove(f"k{number}")
    world.api.lose_cursors()
    await later(world, chris_portal)
    assert len(await world.listed()) == 40
    page = (await chris_portal.client.get("/admin/address-books")).text
    assert "more than half of the contacts would be gone" in page

    answer = await chris_portal.press("/admin/address-books/agree", place="directory")

    assert "has been removed" in answer.text
    assert len(await world.listed()) == 10
    assert (await chris_portal.press("/admin/address-books/agree", place="directory")).status_code == 404
    await later(world, chris_portal)
    assert len(await world.listed()) == 10
    assert (await world.feed()).trouble is None


@pytest.mark.parametrize("path", ["/admin/address-books", "/admin/address-books/agree", "/admin/address-books/read"])
async def test_only_administrators_see_and_choose(world: World, anna_portal: Portal, path: str) -> None:
    world.put_user(SAM)
    await world.read()
    assert (await anna_portal.press(path, place="directory")).status_code == 404
    if path == "/admin/address-books":
        assert (await anna_portal.client.get(path)).status_code == 404
    assert len(await world.listed()) == 1


async def test_read_now_makes_it_due(world: World, anna_portal: Portal, chris_portal: Portal) -> None:
    await world.read()
    assert await world.read() == []
    await anna_portal.press("/contacts/exchange/read")
    assert len(await world.read()) == 1
    await chris_portal.press("/admin/address-books/read")
    assert len(await world.read()) == 1 + len(CAST)


async def test_a_number_that_worked_is_remembered_of_ones_own_book_alone(world: World) -> None:
    world.put(ROSA)
    world.put(ROSA, owner=BRAM)
    world.put_user(ROSA)
    await world.read()
    keys = world.services.keeping_keys
    recipient = Recipient(email_index=keys.index("email", "rosa@zorg.example"), number_index=keys.index("number", "+31612345678"))
    transfer = Transfer(sender_id=await world.user_id(ANNA))
    async with world.services.database.work() as session:
        await number_worked(session, transfer, recipient, world.clock())
    own = await world.feed(ANNA)
    async with world.services.database.reading() as session:
        worked = list(await session.scalars(select(ListedContact.feed_id).where(ListedContact.number_worked_at.is_not(None))))
    assert worked == [own.id]


async def test_without_exchange_there_is_nothing_to_switch(
    settings: Settings, services: Services, clock: MovableClock, policy: Policy
) -> None:
    await _open_accounts(services)
    await make_administrator(services)
    async with browser(build_app(services, has_worker=False)) as client:
        portal = Portal(client)
        await portal.sign_in(CHRIS)
        assert (await client.get("/contacts/exchange")).status_code == 404
        assert "No address book is connected" in (await client.get("/admin/address-books")).text
    await services.database.close()


async def test_exchange_of_our_own_is_asked_while_someone_types(
    settings: Settings, services: Services, clock: MovableClock, policy: Policy
) -> None:
    with ews_server() as server:
        server.directory = [EwsCard("Rosa Visser", ["rosa@zorg.example"], {"mobile": "06-12 34 56 78"}, "Zorg")]
        for email in CAST:
            server.mailbox(email)
        books = books_of(EwsAddressBook(server.address_book_url))
        built = build_services(settings, clock=clock, policy=policy, address_books=books)
        await _open_accounts(built)
        async with browser(build_app(built, has_worker=False)) as client:
            portal = Portal(client)
            await portal.sign_in(ANNA)
            answer = (await portal.press("/contacts/suggestions", letters="ros")).json()["contacts"]
            assert [(each["name"], each["mobile"]) for each in answer] == [("Rosa Visser", "+31612345678")]
            # Down: people type on.
            server.password = "another"
            assert (await portal.press("/contacts/suggestions", letters="ros")).json() == {"contacts": []}
        await built.database.close()
        await services.database.close()
