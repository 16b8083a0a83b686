"""Every page of the application, in both languages, on a telephone and at a desk, is what the product promises of a page.

The routes come from the application: a new page is looked at without anybody thinking of it, and one that nobody on the stage
gets to see fails the test.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import httpx2
import pytest
import uvicorn
from anyio.from_thread import start_blocking_portal
from playwright.sync_api import Browser, sync_playwright
from starlette.applications import Starlette
from tests.conftest import BASE_URL, CAST, PASSWORD, Outbox, browser
from tests.journeys.conftest import CHROMIUM, QUIET
from tests.journeys.people import EVERYWHERE, Watched, device
from tests.web.acts import recognise
from tests.web.intake_acts import come_in
from tests.web.permissions_stage import Stage, set_stage
from tests.web.test_permissions import Way, ids_for, ways

from zegelpost.main import Services, build_app, build_services
from zegelpost.migrations import migrate_database
from zegelpost.model.policy import Policy
from zegelpost.model.seen_outlook import OutlookKind
from zegelpost.settings import Settings
from zegelpost.web.handbook import CHAPTERS

# What answers with something else than a page of ours, or only in the middle of something, where another journey looks at it.
NO_PAGES = {
    "/account/confirm/{secret}": "goes on at once",
    "/account/reset/{secret}": "test_accounts.py",
    "/sign-in/second-factor": "test_accounts.py",
    "/sign-in/organisation": "goes on at once",
    "/sign-in/callback": "goes on at once",
    "/sign-in/join": "test_work_account.py",
    "/account/second-factor/codes": "test_accounts.py",
    "/account/second-factor/{factor_id}/remove": "test_accounts.py",
    "/i/confirm": "test_intake.py",
    "/o/device/{device_id}": "test_other_ways_in.py",
    "/addin/sign-in": "test_outlook.py",
    "/addin/pane": "test_outlook.py",
    "/addin/launchevent.html": "has no content",
    "/demo/outlook": "test_outlook.py",
    "/demo/outbox": "shows mails as they are",
    "/manual/pictures/{language}/{name}": "is a picture",
    "/addin/icons/icon-{size:int}.png": "is a picture",
    "/.well-known/microsoft-officeaddins-allowed.json": "is for Outlook",
    "/favicon.ico": "is a picture",
    "/logo/{digest}": "is a picture",
    "/healthz": "is for programs",
    "/metrics": "is for programs",
    "/webhooks/sms/{outgoing_id}": "is for providers",
}
DOWNLOADS = (
    ".json",
    ".xml",
    ".js",
    ".css",
    "/logo/{digest}",
    ".zip",
    ".pdf",
    ".csv",
    ".vcf",
    ".txt",
    ".py",
    "/documents/{document_id}",
)


@dataclass(frozen=True)
class Sight:
    """A page that somebody gets to see."""

    route: str
    path: str
    who: str


@dataclass
class Theatre:
    port: int
    sights: list[Sight]
    unseen: set[str]
    cookies: dict[str, list[dict[str, str]]]


@pytest.fixture(scope="module")
def theatre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theatre]:
    """The stage of the permission matrix, behind a port: its people sign in without a browser, and browsers get their cookies."""
    folder = tmp_path_factory.mktemp("theatre")
    environment = {"ZEGELPOST_DEMO": "1", "ZEGELPOST_BASE_URL": BASE_URL, "ZEGELPOST_DATA_DIR": str(folder)}
    # Nothing reads it here, but there are pages about it.
    environment["ZEGELPOST_ADDRESS_BOOK_URL"] = "ews://reader:secret@mail.zegelpost.example/EWS/Exchange.asmx"
    settings = Settings.from_environment(environment)
    migrate_database(settings.database_url)
    policy = Policy(staff_domains=("zegelpost.example",), requires_second_factor=False)
    with start_blocking_portal() as loop, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        services = loop.call(partial(build_services, settings, policy=policy))
        app = loop.call(partial(build_app, services, has_worker=False))
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
        serving = loop.start_task_soon(server.serve, [listener])
        yield loop.call(_theatre, app, services, int(listener.getsockname()[1]))
        server.should_exit = True
        serving.result(20)


async def _theatre(app: Starlette, services: Services, port: int) -> Theatre:
    """Who sees what, by asking for every route as everyone who may have a page there."""
    for email, name in CAST.items():
        await services.registering.create_account(email=email, name=name, password=PASSWORD)
    outbox = Outbox(services)
    stage = await set_stage(app, services, outbox)
    homes = await _more_guests(app, outbox, stage)
    for manifest in ("1.0.0.0", "0.9.0.0"):
        await services.seeing_outlooks.see(OutlookKind(manifest, "newOutlookWindows", "OfficeOnline", "1.2026.1118"))
    # What everybody may see is looked at as a stranger; administrators and auditors have more than others have.
    people = {"nobody": stage.actors["nobody"].portal.client, **stage.guests}
    people |= {name: stage.actors[name].portal.client for name in ("anna", "chris", "vera")}
    sights: list[Sight] = []
    seen: set[str] = set()
    unseen: set[str] = set()
    for way in ways(app):
        if way.method != "GET" or way.is_api or way.path in NO_PAGES or way.path.endswith(DOWNLOADS):
            continue
        # Behind a link, one handler answers for all three kinds of guests.
        name_of_page = way.path.partition("/{link_id}")[2] if way.is_guests else way.path
        kinds = set()
        for name, client in people.items():
            for path in _paths(way, stage, name, homes):
                kind = await _kind(client, path)
                kinds.add(kind)
                if kind == "text/html" and path not in {sight.path for sight in sights}:
                    sights.append(Sight(way.path, path, name))
        (seen if "text/html" in kinds else unseen).add(name_of_page)
    cookies = {
        name: [
            {"name": each.name, "value": each.value or "", "domain": "127.0.0.1", "path": each.path}
            for each in client.cookies.jar
        ]
        for name, client in people.items()
    }
    return Theatre(port, sights, unseen - seen, cookies)


def _paths(way: Way, stage: Stage, name: str, homes: dict[str, str]) -> list[str]:
    """Where this route could lead someone: a guest behind the own link, staff to what is in the worlds."""
    route = way.path
    if way.is_guests:
        home = homes.get(name)
        prefix, _, tail = route.partition("/{link_id}")
        return [home + tail] if home and home.startswith(prefix + "/") and "{" not in tail else []
    if not way.parameters:
        return [route]
    if route.startswith("/manual/"):
        return [f"/manual/{chapter}" for chapter in CHAPTERS] if route == "/manual/{chapter}" and name == "nobody" else []
    return [route.format(**ids) for ids in ids_for(way, stage.worlds["mine"])]


async def _kind(client: httpx2.AsyncClient, path: str) -> str:
    """The media type of what they get there, if they get anything."""
    answer = await client.get(path, follow_redirects=False)
    return answer.headers.get("content-type", "").partition(";")[0] if answer.status_code == 200 else ""


async def _more_guests(app: Starlette, outbox: Outbox, stage: Stage) -> dict[str, str]:
    """Where each guest's pages begin: besides who is on the stage, who was asked for documents and who came unasked."""
    asked, guus = browser(app), browser(app)
    stage.guests |= {"asked": asked, "guus": guus}
    anna = stage.actors["anna"].portal
    form = {"name": "Rosa Visser", "email": "asked@zorg.example", "mobile": "", "due_on": "2027-03-01", "language": "en"}
    words = {
        "subject": "Toetsing",
        "note": "Graag uw diploma.",
        "reference": "Z-3",
        "items": "Kopie diploma\nVOG",
        "department_id": "",
    }
    await anna.press("/requests", **(form | words))
    await stage.guests["verified"].post(f"{stage.links['verified']}/answer")
    link = await outbox.link("asked@zorg.example")
    await recognise(asked, link)
    home = await come_in(guus, outbox)
    return stage.links | {"asked": link[0], "guus": home}


@pytest.fixture(scope="module")
def chromium(theatre: Theatre) -> Iterator[Browser]:
    """A browser for which the port of the base URL is the theatre's."""
    rules = f"--host-resolver-rules=MAP 127.0.0.1:{BASE_URL.rsplit(':', 1)[-1]} 127.0.0.1:{theatre.port}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, rules])
        yield browser
        browser.close()


def test_somebody_sees_every_page(theatre: Theatre) -> None:
    assert sorted(theatre.unseen) == []
    assert len(theatre.sights) > 50


@pytest.mark.parametrize(("language", "width"), EVERYWHERE)
def test_every_page(theatre: Theatre, chromium: Browser, language: str, width: int) -> None:
    for who, cookies in theatre.cookies.items():
        context = device(chromium, language, width)
        context.add_cookies(cookies)  # type: ignore[arg-type]
        watched = Watched(context.new_page())
        for sight in theatre.sights:
            if sight.who == who:
                watched.page.goto(BASE_URL + sight.path)
                assert watched.page.url == BASE_URL + sight.path
                assert watched.page.locator("html").get_attribute("lang") == language, sight
                if folder := os.environ.get("ZEGELPOST_TEST_PICTURES"):
                    name = sight.route.strip("/").replace("/", "-") or "home"
                    watched.page.screenshot(path=f"{folder}/{name}-{who}-{language}-{width}.png", full_page=True)
                watched.look()
        context.close()
