"""The cast and the stage: Anna sends, Bram is her colleague, Chris administers, Rosa receives, Mallory must get nothing."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from sqlalchemy import update
from starlette.applications import Starlette
from tests.databases import database_urls

from zegelpost.main import Services, build_app, build_services
from zegelpost.migrations import migrate_database
from zegelpost.model.clock import OnTime
from zegelpost.model.policy import Policy
from zegelpost.model.staff_user import StaffUser
from zegelpost.settings import Settings

BASE_URL = "http://127.0.0.1:8000"
PASSWORD = "demo-zegelpost-2026"
CAST = {
    "anna@zegelpost.example": "Anna de Vries",
    "bram@zegelpost.example": "Bram Jansen",
    "chris@zegelpost.example": "Chris Bakker",
    "mallory@zegelpost.example": "Mallory Kwaad",
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class MovableClock:
    """A clock that only the test moves."""

    now: datetime = field(default_factory=lambda: datetime(2026, 11, 23, 12, 0, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now

    jumped: timedelta = timedelta()

    def forward(self, **length: float) -> None:
        self.now += timedelta(**length)

    def jump(self, **length: float) -> None:
        """Set the clock, while no time passes."""
        self.now += timedelta(**length)
        self.jumped += timedelta(**length)

    def on(self) -> OnTime:
        """How long the machine has been on: what nobody can set."""
        return OnTime("stage", (self.now - self.jumped).timestamp())


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def policy() -> Policy:
    return Policy(staff_domains=("zegelpost.example",), requires_second_factor=False)


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    """Only tests that ask for it run on both; the others run on SQLite."""
    return str(request.param)


@pytest.fixture
def database_url(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    kind = request.getfixturevalue("database_kind") if "database_kind" in request.fixturenames else "sqlite"
    with database_urls(kind, tmp_path) as url:
        yield url


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings.from_environment(
        {
            "ZEGELPOST_DEMO": "1",
            "ZEGELPOST_BASE_URL": BASE_URL,
            "ZEGELPOST_DATA_DIR": str(tmp_path / "data"),
            "ZEGELPOST_DATABASE_URL": database_url,
        }
    )


async def _open_accounts(services: Services) -> None:
    for email, name in CAST.items():
        await services.registering.create_account(email=email, name=name, password=PASSWORD)
    await services.database.close()


@pytest.fixture(scope="session")
def sqlite_with_cast(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once and copied for each test: migrating and hashing passwords took most of the suite's time."""
    folder = tmp_path_factory.mktemp("cast")
    environment = {"ZEGELPOST_DEMO": "1", "ZEGELPOST_BASE_URL": BASE_URL, "ZEGELPOST_DATA_DIR": str(folder)}
    settings = Settings.from_environment(environment)
    migrate_database(settings.database_url)
    asyncio.run(_open_accounts(build_services(settings, clock=MovableClock())))
    return folder / "database.sqlite3"


@pytest.fixture
def services(settings: Settings, clock: MovableClock, policy: Policy, sqlite_with_cast: Path) -> Services:
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if settings.database_url.startswith("sqlite"):
        shutil.copyfile(sqlite_with_cast, urlsplit(settings.database_url).path)
    else:
        migrate_database(settings.database_url)
    return build_services(settings, clock=clock, on_clock=clock.on, policy=policy)


@pytest.fixture
async def app(services: Services) -> AsyncIterator[Starlette]:
    """The application without its worker: tests deliver when they want to, with `deliver`."""
    await _open_accounts(services)  # nobody gets a second account
    yield build_app(services, has_worker=False)
    await services.database.close()


def browser(app: Starlette, **headers: str) -> httpx2.AsyncClient:
    """A new browser without cookies. Follows redirects, as browsers do."""
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx2.AsyncClient(
        transport=transport, base_url=BASE_URL, follow_redirects=True, headers={"Accept-Language": "en", **headers}
    )


async def signed_in(app: Starlette, email: str) -> httpx2.AsyncClient:
    """A program with an access token."""
    client = browser(app)
    answer = await client.post("/api/v1/sign-in", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    return client


@pytest.fixture
async def client(app: Starlette) -> AsyncIterator[httpx2.AsyncClient]:
    """Nobody in particular."""
    async with browser(app) as nobody:
        yield nobody


@pytest.fixture
async def anna(app: Starlette) -> AsyncIterator[httpx2.AsyncClient]:
    """Anna's program."""
    program = await signed_in(app, "anna@zegelpost.example")
    yield program
    await program.aclose()


@pytest.fixture
async def bram(app: Starlette) -> AsyncIterator[httpx2.AsyncClient]:
    program = await signed_in(app, "bram@zegelpost.example")
    yield program
    await program.aclose()


@pytest.fixture
async def mallory(app: Starlette) -> AsyncIterator[httpx2.AsyncClient]:
    program = await signed_in(app, "mallory@zegelpost.example")
    yield program
    await program.aclose()


@dataclass
class Portal:
    """A staff user's browser."""

    client: httpx2.AsyncClient
    csrf: str = ""

    async def sign_in(self, email: str) -> None:
        answer = await self.client.post("/sign-in", data={"email": email, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        found = re.search(r'name="csrf" value="([^"]+)"', answer.text)
        assert found
        self.csrf = found.group(1)

    async def press(self, path: str, **fields: str) -> httpx2.Response:
        """Send a form of a page of ours."""
        return await self.client.post(path, data={"csrf": self.csrf, **fields})


@pytest.fixture
async def anna_portal(app: Starlette) -> AsyncIterator[Portal]:
    async with browser(app) as client:
        portal = Portal(client)
        await portal.sign_in("anna@zegelpost.example")
        yield portal


async def make_administrator(services: Services, email: str = "chris@zegelpost.example") -> None:
    """Pages show it from the next request on."""
    async with services.database.work() as session:
        await session.execute(update(StaffUser).where(StaffUser.email == email).values(is_administrator=True))


async def make_auditor(services: Services, email: str) -> None:
    """As above."""
    async with services.database.work() as session:
        await session.execute(update(StaffUser).where(StaffUser.email == email).values(is_auditor=True))


@pytest.fixture
async def chris_portal(app: Starlette, services: Services) -> AsyncIterator[Portal]:
    """An administrator, who works for no department."""
    await make_administrator(services)
    async with browser(app) as client:
        portal = Portal(client)
        await portal.sign_in("chris@zegelpost.example")
        yield portal


@dataclass
class Outbox:
    """Delivers what waits, and reads what left."""

    services: Services

    async def deliver(self) -> None:
        while await self.services.dispatching.dispatch():
            pass

    async def all(self, *, kind: str | None = None, to: str | None = None) -> list[dict[str, Any]]:
        await self.deliver()
        assert self.services.demo_outbox is not None
        return [
            entry
            for entry in self.services.demo_outbox.entries()
            if (kind is None or entry["kind"] == kind) and (to is None or entry["to"] == to)
        ]

    async def link(self, to: str) -> tuple[str, str]:
        """Path and secret of the latest link mailed to this address."""
        mail = (await self.all(kind="mail", to=to))[-1]
        found = re.search(r"^http://127\.0\.0\.1:8000(/[ori]/[a-z2-7]{26})#([a-z2-7]{32})$", mail["text"], re.MULTILINE)
        assert found, mail["text"]
        return found.group(1), found.group(2)

    async def code(self, to: str) -> str:
        """The latest code sent to this number."""
        sms = (await self.all(kind="sms", to=to))[-1]
        found = re.search(r"#(\d{6})$", sms["text"])
        assert found, sms["text"]
        return found.group(1)


@pytest.fixture
def outbox(services: Services) -> Outbox:
    return Outbox(services)
