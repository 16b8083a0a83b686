"""The handbook: every page for everyone in both languages, nothing in it that leads nowhere, and the statements true."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from starlette.applications import Starlette
from tests.conftest import MovableClock, Outbox, Portal, browser
from tests.web.acts import DOCUMENT, ROSA, open_link, recognise, send, words

from zegelpost.main import Services, build_app, build_services
from zegelpost.model.policy import Policy
from zegelpost.model.transfer import Transfer, week_of
from zegelpost.settings import Settings
from zegelpost.web.handbook import CHAPTERS, PICTURE_SCALE, docs_folder, section_id
from zegelpost.web.handbook_facts import facts_of_policy
from zegelpost.web.translation import DOMAIN, LOCALE, Language, read_catalog

DOCS = docs_folder()
STATEMENTS = ("/help", "/privacy", "/accessibility")
PAGES = ["/manual", *(f"/manual/{name}" for name in CHAPTERS), *STATEMENTS]
FOOTER = ["/i", "/help", "/manual", "/privacy", "/accessibility"]
LARGEST_PICTURE_BYTES = 60_000
CONTACT = "mailto:security@example.nl"


@pytest.fixture
def reachable_settings(settings: Settings) -> Settings:
    """An installation with somebody who reads about weaknesses."""
    return replace(settings, security_contact=CONTACT)


@pytest.fixture
async def reachable(
    services: Services, reachable_settings: Settings, clock: MovableClock, policy: Policy
) -> AsyncIterator[httpx2.AsyncClient]:
    others = build_services(reachable_settings, clock=clock, policy=policy)
    async with browser(build_app(others, has_worker=False)) as client:
        yield client
    await others.database.close()


def links(page: httpx2.Response) -> list[str]:
    return re.findall(r'<a [^>]*href="([^"]+)"', page.text.partition("<main")[2].partition("</main>")[0])


def footer_links(page: httpx2.Response) -> list[str]:
    return re.findall(r'<a href="([^"]+)"', page.text.partition("<footer")[2])


@pytest.mark.parametrize("language", ["nl", "en"])
@pytest.mark.parametrize("path", PAGES)
async def test_everyone_can_read_every_page(client: httpx2.AsyncClient, path: str, language: str) -> None:
    page = await client.get(path, headers={"Accept-Language": language})

    assert page.status_code == 200
    assert str(page.url).endswith(path)
    assert f'<html lang="{language}"' in page.text
    assert len(re.findall(r"<h1", page.text)) == 1
    assert len(words(page)) > 300
    # Nothing that was meant to be filled in, or to become markup, is left.
    assert not re.search(r"\{\{|\{%|%\}|\*\*|\]\(|&lt;|\\", page.text.partition("<main")[2])


async def test_both_languages_tell_the_same(client: httpx2.AsyncClient) -> None:
    handbook = client._transport.app.state.services.handbook  # type: ignore[attr-defined]
    for shelf in ("manual", "pages"):
        names = {path.name for path in (DOCS / shelf / "nl").iterdir()}
        assert names == {path.name for path in (DOCS / shelf / "en").iterdir()}
    assert {path.stem for path in (DOCS / "manual/nl").glob("*.md")} == set(CHAPTERS)
    for name in CHAPTERS:
        dutch, english = handbook.chapter(name, Language.NL), handbook.chapter(name, Language.EN)
        assert len(dutch.sections) == len(english.sections), name
        assert dutch.title != english.title
        for shown in (dutch, english):
            assert len({section.id for section in shown.sections}) == len(shown.sections), name
    for name in ("help", "privacy", "accessibility"):
        dutch, english = handbook.page(name, Language.NL), handbook.page(name, Language.EN)
        assert len(dutch.sections) == len(english.sections), name
        assert dutch.body.count("<li") == english.body.count("<li"), name


@pytest.mark.parametrize("language", ["nl", "en"])
async def test_every_link_and_picture_leads_somewhere(client: httpx2.AsyncClient, language: str) -> None:
    client.headers["Accept-Language"] = language
    for path in PAGES:
        page = await client.get(path)
        for link in links(page):
            target, _, place = link.partition("#")
            if target.startswith("https://"):
                continue
            there = await client.get(target or path)
            assert there.status_code == 200, f"{path} → {link}"
            assert not place or f'id="{place}"' in there.text, f"{path} → {link}"
        for source, alternative in re.findall(r'<img [^>]*?src="([^"]+)" alt="([^"]*)"', page.text):
            picture = await client.get(source)
            assert picture.headers["content-type"] == "image/png", source
            assert source.startswith(f"/manual/pictures/{language}/")
            assert len(alternative) > 15, source


def test_every_picture_is_there_used_and_small() -> None:
    for language in ("nl", "en"):
        texts = [path.read_text() for shelf in ("manual", "pages") for path in (DOCS / shelf / language).glob("*.md")]
        named = {name for text in texts for name in re.findall(r"\]\([./\w]*/pictures/(?:nl|en)/([\w-]+\.png)\)", text)}
        assert not any(f"/pictures/{other}/" in text for text in texts for other in {"nl", "en"} - {language})
        pictures = {path.name: path for path in (DOCS / "manual/pictures" / language).iterdir()}
        assert named == set(pictures)
        for path in pictures.values():
            assert path.stat().st_size < LARGEST_PICTURE_BYTES, path
            width, height = struct.unpack(">II", path.read_bytes()[16:24])
            assert width % PICTURE_SCALE == height % PICTURE_SCALE == 0, path
    assert (DOCS / "pictures/opening.png").stat().st_size < LARGEST_PICTURE_BYTES


def test_buttons_are_called_what_they_are_called() -> None:
    """`ui("…")` gives the words on the screen; a text that is on no screen any more would stay English without notice."""
    known = {
        text for message in read_catalog(LOCALE / f"nl/LC_MESSAGES/{DOMAIN}.po") for text in [message.id] if isinstance(text, str)
    }
    for path in DOCS.rglob("*.md"):
        named = re.findall(r'ui\("([^"]+)"\)', path.read_text())
        assert [text for text in named if text not in known] == [], path


async def test_whoever_is_signed_in_keeps_the_menu(anna_portal: Portal, client: httpx2.AsyncClient) -> None:
    for path in PAGES:
        assert 'action="/sign-out"' in (await anna_portal.client.get(path)).text, path
    assert 'action="/sign-out"' not in (await client.get("/manual")).text


@pytest.mark.parametrize(
    "path",
    [
        "/manual/nowhere",
        "/manual/..%2fpages%2fhelp",
        "/manual/pictures/nl/nowhere.png",
        "/manual/pictures/de/link.png",
        "/manual/pictures/nl/..%2f..%2fnl%2fsending.md",
        "/manual/pictures/nl/%2e%2e",
    ],
)
async def test_nothing_else_can_be_read(client: httpx2.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 404


async def test_names_of_the_installation_are_text_and_no_markup(services: Services, clock: MovableClock, policy: Policy) -> None:
    hostile = replace(
        services.settings, organisation="*Zorg* [hier](https://evil.example) <b>& `x`\n# Kop", help_phone="<070>_1_"
    )
    others = build_services(hostile, clock=clock, policy=policy)
    async with browser(build_app(others, has_worker=False)) as client:
        page = await client.get("/help")
    await others.database.close()

    assert "*Zorg* [hier](https://evil.example) <b>& `x` # Kop" in words(page)
    assert "<070>_1_" in words(page)
    assert "https://evil.example" not in links(page)


async def test_pages_tell_the_limits_that_count_here(services: Services, clock: MovableClock) -> None:
    policy = Policy(default_expiry_days=17, longest_expiry_days=55, is_scanning=True, has_sender_copy=False)
    others = build_services(services.settings, clock=clock, policy=policy)
    async with browser(build_app(others, has_worker=False)) as client:
        privacy, documents = words(await client.get("/privacy")), words(await client.get("/manual/documents"))
        following_up = words(await client.get("/manual/following-up"))
    await others.database.close()

    assert "usually for 17 days" in privacy
    assert "up to 55 days" in privacy
    assert "A virus scanner" in privacy
    assert "We keep a key for the sender" not in privacy
    assert "Each document is checked" in documents
    assert "without a sender's copy" in following_up


@pytest.mark.parametrize("weekday", range(7))
async def test_the_key_is_gone_when_the_privacy_page_says_so(
    services: Services, anna_portal: Portal, clock: MovableClock, weekday: int
) -> None:
    clock.now = datetime(2026, 11, 23, 0, 0, tzinfo=UTC) + timedelta(days=weekday)
    await anna_portal.sign_in("anna@zegelpost.example")
    transfer_id = await send(anna_portal, documents={"Besluit.pdf": DOCUMENT}, expires_in_days="7")
    promised = facts_of_policy(services.policy, Language.EN)["destroyed_within_days"]
    assert isinstance(promised, int)
    async with services.database.reading() as session:
        expires_at = (await session.get_one(Transfer, transfer_id)).expires_at
    assert expires_at is not None

    clock.now = expires_at + timedelta(days=promised)
    destroyed = (await services.erasing.run()).destroyed_weeks

    assert week_of(expires_at) in destroyed
    assert f"Within {promised} days" in words(await anna_portal.client.get("/privacy"))


# The footer


async def test_the_footer_is_on_every_kind_of_page(
    app: Starlette, client: httpx2.AsyncClient, anna_portal: Portal, outbox: Outbox
) -> None:
    transfer_id = await send(anna_portal, documents={"Besluit.pdf": DOCUMENT})
    staff = ["/", "/transfers/new", "/sent", "/received", "/requests", "/contacts", "/departments", "/account"]
    staff += [f"/transfers/{transfer_id}", f"/transfers/{transfer_id}/report", f"/transfers/{transfer_id}/revoke"]
    pages = [await anna_portal.client.get(path) for path in staff]
    pages += [await client.get(path) for path in (*PAGES, "/sign-in", "/account/new", "/account/forgot", "/demo/outbox")]
    async with browser(app) as rosa:
        link = await outbox.link(ROSA.email)
        pages.append(await rosa.get(link[0]))
        pages.append(await rosa.post(link[0], data={"link_secret": "a" * 32}))
        pages.append(await recognise(rosa, link))
        path = await open_link(rosa, outbox)
        pages.append(await rosa.get(f"{path}/transfer"))
        pages.append(await rosa.post(f"{path}/answer"))
        pages.append(await rosa.post(f"{path}/leave"))
    pages.append(await client.get("/nowhere"))

    for page in pages:
        assert footer_links(page) == FOOTER, page.url
        footer = page.text.partition("<footer")[2]
        assert "Gemeente Voorbeeld" in footer, page.url
        assert "Call us: 014 000" in footer, page.url
        # What was typed, and the secret that a link held, would be lost with the page.
        is_handbook = page.url.path in PAGES
        assert ('target="_blank"' in footer) != is_handbook, page.url


async def test_an_installation_without_a_name_claims_none(services: Services, clock: MovableClock, policy: Policy) -> None:
    others = build_services(replace(services.settings, organisation="Zegelpost", help_phone=None), clock=clock, policy=policy)
    async with browser(build_app(others, has_worker=False)) as client:
        footer = (await client.get("/sign-in")).text.partition("<footer")[2]
        help_page = words(await client.get("/help"))
    await others.database.close()

    assert "<p>" not in footer
    assert "None" not in help_page


# Weaknesses


async def test_security_txt_says_who_reads_it_and_until_when(reachable: httpx2.AsyncClient, clock: MovableClock) -> None:
    answer = await reachable.get("/.well-known/security.txt")
    fields = dict(line.split(": ", 1) for line in answer.text.splitlines())

    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert list(fields) == ["Contact", "Expires", "Preferred-Languages", "Canonical", "Policy"]
    assert fields["Contact"] == CONTACT
    assert fields["Preferred-Languages"] == "nl, en"
    assert fields["Canonical"] == "http://127.0.0.1:8000/.well-known/security.txt"
    expires_at = datetime.fromisoformat(fields["Expires"])
    assert expires_at.tzinfo is not None
    assert timedelta(days=90) < expires_at - clock() < timedelta(days=365)

    policy = await reachable.get(fields["Policy"])
    assert policy.status_code == 200
    assert CONTACT in links(policy)
    assert f">{CONTACT.removeprefix('mailto:')}</a>" in policy.text
    old = await reachable.get("/security.txt")
    assert old.history[0].status_code == 308
    assert old.text == answer.text
    assert "/security" in links(await reachable.get("/privacy"))


async def test_without_somebody_who_reads_it_there_is_no_security_txt(
    services: Services, settings: Settings, clock: MovableClock, policy: Policy
) -> None:
    others = build_services(replace(settings, security_contact=None), clock=clock, policy=policy)
    client = browser(build_app(others, has_worker=False))
    for path in ("/.well-known/security.txt", "/security.txt", "/security"):
        assert (await client.get(path)).status_code == 404
    assert "/security" not in links(await client.get("/privacy"))
    await client.aclose()
    await others.database.close()


# Installing


def test_an_installed_product_has_its_handbook(tmp_path: Path) -> None:
    clone = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=clone, check=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        packed = {name.removeprefix("zegelpost/docs/") for name in wheel.namelist() if name.startswith("zegelpost/docs/")}
    here = {path.relative_to(DOCS).as_posix() for shelf in ("manual", "pages") for path in (DOCS / shelf).rglob("*.*")}

    assert packed == here


def test_sections_have_readable_addresses() -> None:
    assert section_id("Wie mag dit zien?") == "wie-mag-dit-zien"
    assert section_id("“Eén” bericht: snel") == "een-bericht-snel"
