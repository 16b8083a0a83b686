"""Who is switched off in the organisation's directory gets in no more, from the next reading of it on; and comes back with it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import select
from starlette.applications import Starlette
from tests.conftest import BASE_URL, PASSWORD, MovableClock, Portal, browser, make_administrator
from tests.contracts.address_book_stages import crowd
from tests.stand_ins.entra import CLIENT_ID, CLIENT_SECRET, TENANT, Entra, entra
from tests.stand_ins.graph_api import GraphApi, Misbehaviour, graph_api
from tests.stand_ins.tls import trusted
from tests.web.acts import DOCUMENT, send, words
from tests.web.test_identity import Traveller, csrf_of, user_of

from zegelpost.adapters.address_book_graph import GraphAddressBook
from zegelpost.adapters.identity_oidc import OidcProvider
from zegelpost.main import Services, build_app, build_services
from zegelpost.model.address_book import AddressBookChoices, FeedTrouble
from zegelpost.model.event import Event, EventTag
from zegelpost.model.identity import Identity
from zegelpost.model.policy import Policy
from zegelpost.model.staff_user import SignIn, SwitchedOffBy
from zegelpost.services.syncing import AddressBooks, ReadFeed

pytestmark = pytest.mark.anyio

BACK = f"{BASE_URL}/sign-in/callback"
EVE, FAY, BRAM = "eve@zegelpost.example", "fay@zegelpost.example", "bram@zegelpost.example"
PEOPLE = {
    "eve": {"oid": "oid-eve", "name": "Eve Smit", "email": EVE},
    "fay": {"oid": "oid-fay", "name": "Fay Bos", "email": FAY},
}


@dataclass
class World:
    """One tenant: `entra` proves who people are, `graph` says who there is."""

    app: Starlette
    services: Services
    entra: Entra
    graph: GraphApi
    clock: MovableClock

    def put(self, login: str, **properties: object) -> None:
        """Someone in the directory, or what changes of them."""
        known = self.graph.users.items.get(f"oid-{login}")
        whole = {"displayName": login, "mail": f"{login}@zegelpost.example", "userPrincipalName": "x", "mobilePhone": ""}
        more = {} if known else whole | {"businessPhones": [], "accountEnabled": True}
        self.graph.users.put(f"oid-{login}", **(more | properties))

    async def read(self) -> ReadFeed:
        """The next reading of the organisation's list."""
        await self.services.syncing.ask_now()
        return next(each for each in await self.services.syncing.read_due() if each.place == "directory")

    async def sign_in(self, login: str, client: httpx2.AsyncClient) -> httpx2.Response:
        return await Traveller(client, self.entra).sign_in(login)

    async def program(self, login: str) -> httpx2.AsyncClient:
        """The pane, with a token of ours for one of theirs."""
        client = browser(self.app)
        answer = await client.post("/api/v1/sign-in/provider", json={"access_token": self.entra.access_token(login)})
        client.headers["Authorization"] = f"Bearer {answer.json().get('access_token', '')}"
        return client

    async def switched_off(self, email: str) -> SwitchedOffBy | None:
        user = await user_of(self.services, email)
        assert user.is_switched_off == (user.switched_off_by is not None)
        return user.switched_off_by

    async def told(self) -> list[tuple[EventTag, object]]:
        async with self.services.database.reading() as session:
            query = select(Event).where(Event.tag.in_([EventTag.ACCOUNT_CLOSED, EventTag.ACCOUNT_REOPENED])).order_by(Event.id)
            return [(event.tag, event.facts["by"]) for event in await session.scalars(query)]


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[GraphApi]:
    with trusted(tmp_path) as context, graph_api(context) as running:
        yield running


@pytest.fixture
def tenant() -> Iterator[Entra]:
    with entra(redirect_url=BACK, people={login: dict(claims) for login, claims in PEOPLE.items()}) as running:
        yield running


@pytest.fixture
def policy(policy: Policy) -> Policy:
    return replace(policy, has_sign_in_provider=True)


async def _world(
    services: Services, policy: Policy, tenant: Entra, graph: GraphApi, clock: MovableClock, issuer: str | None
) -> World:
    provider = OidcProvider(
        authority=tenant.authority,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        tenant=TENANT,
        redirect_url=BACK,
        left_url=f"{BASE_URL}/sign-in",
        trust=tenant.trust,
    )
    book = GraphAddressBook(graph.address_book_url)
    books = AddressBooks(exchange=book, file=None, every=timedelta(hours=1), directory_issuer=issuer)
    built = build_services(services.settings, clock=clock, policy=policy, provider=provider, address_books=books)
    async with built.database.work() as session:
        session.add(AddressBookChoices(id=1, reads_directory=True, reads_mailboxes=False, writes_back_since=None))
    await built.registering.create_account(email=BRAM, name="Bram Jansen", password=PASSWORD)
    return World(build_app(built, has_worker=False), built, tenant, graph, clock)


@pytest.fixture
async def world(services: Services, policy: Policy, tenant: Entra, graph: GraphApi, clock: MovableClock) -> AsyncIterator[World]:
    made = await _world(services, policy, tenant, graph, clock, tenant.authority)
    for login in PEOPLE:
        made.put(login)
    yield made
    await made.services.database.close()
    await services.database.close()


@pytest.fixture
async def eve(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    """Her browser, signed in, after a first reading of the directory."""
    async with browser(world.app) as client:
        assert (await world.sign_in("eve", client)).status_code == 200
        await world.read()
        yield client


@pytest.mark.parametrize("how", ["switched off", "to the bin", "removed"])
async def test_switched_off_there_is_out_here_everywhere_and_at_once(
    database_kind: str, world: World, eve: httpx2.AsyncClient, how: str
) -> None:
    pane = await world.program("eve")
    assert (await pane.get("/api/v1/me")).status_code == 200
    code = re.search(r'data-code="([\w-]{40,})"', (await eve.get("/addin/sign-in")).text)
    assert code
    async with browser(world.app) as fay:
        await world.sign_in("fay", fay)
        if how == "switched off":
            world.put("eve", accountEnabled=False)
        else:
            world.graph.users.remove("oid-eve", "changed" if how == "to the bin" else "deleted")
        assert (await eve.get("/sent")).url.path == "/sent"
        await world.read()
        assert (await eve.get("/sent")).url.path == "/sign-in"
        assert (await pane.get("/api/v1/me")).status_code == 401
        assert (await pane.post("/api/v1/sign-in/code", json={"code": code[1]})).status_code == 401
        # A token of Entra's that is still good proves who she is, and no more.
        exchanged = await pane.post("/api/v1/sign-in/provider", json={"access_token": world.entra.access_token("eve")})
        assert (exchanged.status_code, exchanged.json()["code"]) == (403, "account_switched_off")
        assert "switched off" in words(await world.sign_in("eve", eve))
        assert (await fay.get("/sent")).url.path == "/sent"
    async with world.services.database.reading() as session:
        eves = await user_of(world.services, EVE)
        assert list(await session.scalars(select(SignIn).where(SignIn.user_id == eves.id))) == []
    assert (await world.switched_off(EVE), await world.switched_off(FAY)) == (SwitchedOffBy.DIRECTORY, None)
    # Reading on tells nothing twice.
    await world.read()
    assert await world.told() == [(EventTag.ACCOUNT_CLOSED, "directory")]


async def test_switched_on_there_is_in_here_again(database_kind: str, world: World, eve: httpx2.AsyncClient) -> None:
    world.put("eve", accountEnabled=False)
    await world.read()
    world.put("eve", accountEnabled=True)
    assert (await world.sign_in("eve", eve)).status_code == 403
    await world.read()
    # What ended does not come back; she signs in anew.
    assert (await eve.get("/sent")).url.path == "/sign-in"
    assert (await world.sign_in("eve", eve)).status_code == 200
    assert await world.told() == [(EventTag.ACCOUNT_CLOSED, "directory"), (EventTag.ACCOUNT_REOPENED, "directory")]


async def test_whom_an_administrator_switched_off_the_directory_does_not_let_in(
    database_kind: str, world: World, eve: httpx2.AsyncClient
) -> None:
    async def administrator_says(*, is_off: bool) -> None:
        async with world.services.database.work() as session:
            user = await session.merge(await user_of(world.services, EVE))
            (user.switch_off if is_off else user.switch_on)(SwitchedOffBy.ADMINISTRATOR)

    await administrator_says(is_off=True)
    for is_enabled in (False, True):
        world.put("eve", accountEnabled=is_enabled)
        await world.read()
        assert await world.switched_off(EVE) == SwitchedOffBy.ADMINISTRATOR
    await administrator_says(is_off=False)
    assert await world.switched_off(EVE) is None
    # The directory first, and then an administrator too.
    world.put("eve", accountEnabled=False)
    await world.read()
    assert await world.switched_off(EVE) == SwitchedOffBy.DIRECTORY
    await administrator_says(is_off=True)
    world.put("eve", accountEnabled=True)
    await world.read()
    assert await world.switched_off(EVE) == SwitchedOffBy.ADMINISTRATOR
    assert (await world.sign_in("eve", eve)).status_code == 403


async def test_what_they_sent_for_a_department_stays_with_it(world: World, eve: httpx2.AsyncClient) -> None:
    await make_administrator(world.services, BRAM)
    async with browser(world.app) as client:
        bram = Portal(client)
        await bram.sign_in(BRAM)
        form = {"name": "Klachten", "sender_name": "Klachten", "email": "klachten@zegelpost.example", "manager": BRAM}
        department = (await bram.press("/departments", **form)).url.path.rsplit("/", 1)[-1]
        await bram.press(f"/departments/{department}/members", email=EVE, role="member")
        portal = Portal(eve, csrf_of(await eve.get("/sent")))
        sent = await send(portal, documents={"besluit.pdf": DOCUMENT}, department_id=department)
        world.put("eve", accountEnabled=False)
        await world.read()
        assert "besluit.pdf" in words(await client.get(f"/transfers/{sent}"))
        extended = await bram.press(f"/transfers/{sent}/extend", days="60")
        assert "Extended (Bram Jansen)" in words(extended)


async def test_administrators_see_that_the_list_also_ends_access(world: World, eve: httpx2.AsyncClient) -> None:
    await make_administrator(world.services, BRAM)
    async with browser(world.app) as client:
        bram = Portal(client)
        await bram.sign_in(BRAM)
        assert "also loses access here" in words(await client.get("/admin/address-books"))
        world.put("eve", accountEnabled=False)
        warned = words(await bram.press("/admin/address-books"))
        assert "may stay signed in here" in warned
        assert await world.services.syncing.read_due() == []
        # And from then on again, also after who was switched off meanwhile.
        assert "may stay signed in" not in words(await bram.press("/admin/address-books", reads_directory="1"))
        await world.read()
    assert (await eve.get("/sent")).url.path == "/sign-in"


# What says nothing of anyone


class OnePage(asyncio.Event):
    """A worker is told to stop while it has the first page in hand."""

    looked_count = 0

    def is_set(self) -> bool:
        self.looked_count += 1
        return self.looked_count > 1


@pytest.mark.parametrize(
    "outage", [Misbehaviour(is_half=True), Misbehaviour(503), Misbehaviour(), Misbehaviour(body=b"{}")], ids=str
)
async def test_half_a_page_switches_nobody_off(world: World, eve: httpx2.AsyncClient, outage: Misbehaviour) -> None:
    world.graph.lose_cursors()
    world.graph.page_size = 3
    for person in crowd(20):
        world.graph.users.put(person.key, displayName=person.name, mail=person.email, accountEnabled=True)
    # The first page of a whole new pass, and then trouble.
    world.graph.misbehave(replace(outage, skip=2))
    assert (await world.read()).trouble is not None
    assert (await eve.get("/sent")).url.path == "/sent"
    world.clock.forward(minutes=30)
    assert (await world.read()).trouble is None
    assert (await eve.get("/sent")).url.path == "/sent"
    assert await world.told() == []


async def test_a_pass_that_is_stopped_half_way_says_nothing_of_who_comes_later(world: World, eve: httpx2.AsyncClient) -> None:
    world.graph.lose_cursors()
    world.graph.page_size = 1
    world.put("abe")
    # Eve comes last.
    world.put("eve", mobilePhone="06-12345678")
    await world.services.syncing.ask_now()
    for _ in range(3):
        [read] = await world.services.syncing.read_due(OnePage())
        assert read.trouble is None
        assert (await eve.get("/sent")).url.path == "/sent"
    assert not [path for _, path in world.graph.requests if "oid-eve" in path]
    await world.services.syncing.read_due()
    assert await world.told() == []


async def test_whom_a_whole_list_leaves_out_is_asked_after_by_name(
    database_kind: str, world: World, eve: httpx2.AsyncClient
) -> None:
    # Gone while nobody was told of changes; and someone whom the list leaves out, though the directory has them.
    async with browser(world.app) as fay:
        await world.sign_in("fay", fay)
        await world.read()
        world.graph.lose_cursors()
        world.graph.users.remove("oid-eve")
        world.graph.users.journal = [each for each in world.graph.users.journal if each[0] != "oid-fay"]
        await world.read()
        assert (await eve.get("/sent")).url.path == "/sign-in"
        assert (await fay.get("/sent")).url.path == "/sent"
    assert await world.told() == [(EventTag.ACCOUNT_CLOSED, "directory")]
    # And once is enough.
    world.graph.requests.clear()
    await world.read()
    assert not [path for _, path in world.graph.requests if "oid-" in path]


async def test_asking_that_fails_is_done_again(world: World, eve: httpx2.AsyncClient) -> None:
    world.graph.lose_cursors()
    world.graph.users.remove("oid-eve")
    world.graph.users.journal.clear()
    # After the two lists.
    world.graph.misbehave(Misbehaviour(403, "Authorization_RequestDenied", skip=3))
    assert (await world.read()).trouble == FeedTrouble.PERMISSION
    assert (await eve.get("/sent")).url.path == "/sent"
    assert (await world.read()).trouble is None
    assert (await eve.get("/sent")).url.path == "/sign-in"


async def test_who_joins_after_they_were_switched_off_is_asked_after(world: World) -> None:
    world.put("eve", accountEnabled=False)
    await world.read()
    async with browser(world.app) as late:
        # As with a window that stood open: Entra let her in just before.
        await world.sign_in("eve", late)
        assert (await late.get("/sent")).url.path == "/sent"
        await world.read()
        assert (await late.get("/sent")).url.path == "/sign-in"


async def test_of_another_provider_nobody_is_switched_off(world: World, eve: httpx2.AsyncClient) -> None:
    async with world.services.database.work() as session:
        joined = (await session.scalars(select(Identity))).one()
        joined.issuer = "https://login.example.nl/realms/post"
    world.put("eve", accountEnabled=False)
    await world.read()
    assert (await eve.get("/sent")).url.path == "/sent"
    assert await world.told() == []


async def test_who_never_joined_is_not_the_directorys(world: World, eve: httpx2.AsyncClient) -> None:
    world.put("bram", accountEnabled=False)
    await world.read()
    async with browser(world.app) as client:
        await Portal(client).sign_in(BRAM)
    assert await world.told() == []


async def test_a_list_of_another_tenant_is_a_list_and_no_more(
    services: Services, policy: Policy, tenant: Entra, graph: GraphApi, clock: MovableClock
) -> None:
    world = await _world(services, policy, tenant, graph, clock, None)
    world.put("eve")
    async with browser(world.app) as client:
        await world.sign_in("eve", client)
        world.put("eve", accountEnabled=False)
        await world.read()
        assert (await client.get("/sent")).url.path == "/sent"
    await world.services.database.close()
    await services.database.close()
