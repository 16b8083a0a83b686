"""People who stay away long: asked whether they are there, and after the end nothing of what they typed is lost."""

from __future__ import annotations

import re
from contextlib import closing

import httpx2
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect
from tests.journeys.outlook_desk import shot
from tests.journeys.people import EVERYWHERE, PASSWORD, Watched, device, sign_in
from tests.journeys.running import RunningDemo

WORDS = {
    "nl": {
        "there": "Ik ben er nog",
        "out": "U bent uitgelogd",
        "again": "Opnieuw inloggen",
        "go_on": "Verder",
        "not_yet": "U bent nog niet ingelogd.",
        "other": "Er is nu iemand anders ingelogd",
        "closed": "Dit is dichtgegaan",
        "closed_yet": "De link is nog niet opnieuw geopend.",
        "received": "Wij hebben het ontvangen",
    },
    "en": {
        "there": "I am still here",
        "out": "You are signed out",
        "again": "Sign in again",
        "go_on": "Go on",
        "not_yet": "You are not signed in yet.",
        "other": "Someone else is signed in now",
        "closed": "This was closed, to be safe",
        "closed_yet": "The link has not been opened again yet.",
        "received": "We have received it",
    },
}
LINK = r"(?m)^(http://127\.0\.0\.1:\d+/[or]/[a-z2-7]{26}#[a-z2-7]{32})$"
TEXT = "U kunt bezwaar maken bij de gemeente."


def away(page: Page, minutes: float) -> None:
    """Nothing is touched for so long, by the clock of the browser."""
    page.clock.fast_forward(int(minutes * 60_000))


def writing(demo: RunningDemo, context: BrowserContext) -> tuple[Watched, Locator]:
    """Anna before a form to fill in, by a clock that can be moved; and what asks whether she is there."""
    page = context.new_page()
    page.clock.install()
    watched = Watched(page)
    sign_in(page, demo, "anna@zegelpost.example", "/templates/new")
    return watched, page.locator("dialog[data-staying]")


@pytest.mark.parametrize(("language", "width"), EVERYWHERE)
def test_people_are_asked_in_time(demo: RunningDemo, chromium: Browser, language: str, width: int) -> None:
    words, context = WORDS[language], device(chromium, language, width)
    watched, dialog = writing(demo, context)
    page = watched.page
    # Typing is being there, which the server is told.
    with page.expect_response("**/stay"):
        page.fill("#name", "Bezwaar")
        away(page, 2)

    # Asked in time, and answered.
    away(page, 118)
    expect(dialog.get_by_role("button", name=words["there"])).to_be_focused()
    watched.look()
    shot(page, f"staying-soon-{language}-{width}")
    with page.expect_response("**/stay") as stayed:
        page.keyboard.press("Escape")
    assert stayed.value.status == 200
    expect(dialog).to_be_hidden()

    # Nobody is asked who has just typed.
    away(page, 100)
    with page.expect_response("**/stay"):
        page.fill("#text", TEXT)
        away(page, 2)
    away(page, 100)
    expect(dialog).to_be_hidden()
    assert watched.complaints == []
    context.close()


@pytest.mark.parametrize(("language", "width"), EVERYWHERE)
def test_nothing_that_was_typed_is_lost(demo: RunningDemo, chromium: Browser, language: str, width: int) -> None:
    words, context, name = WORDS[language], device(chromium, language, width), f"Bezwaar {language} {width}"
    watched, dialog = writing(demo, context)
    page = watched.page
    with page.expect_response("**/stay"):
        page.fill("#name", name)
        page.fill("#text", TEXT)
        away(page, 2)

    # Ended meanwhile, in another tab.
    other = context.new_page()
    other.goto(demo.base_url)
    other.locator("form[action='/sign-out'] button").click()
    other.wait_for_url("**/sign-in**")
    away(page, 2)
    page.bring_to_front()
    page.locator("main form button").last.click()
    expect(dialog).to_contain_text(words["out"])
    watched.look()
    shot(page, f"staying-out-{language}-{width}")
    dialog.get_by_role("button", name=words["go_on"]).click()
    expect(dialog.get_by_role("status").filter(visible=True)).to_have_text(words["not_yet"])
    sign_in(other, demo, "bram@zegelpost.example")
    dialog.get_by_role("button", name=words["go_on"]).click()
    expect(dialog).to_contain_text(words["other"])
    watched.look()
    other.locator("form[action='/sign-out'] button").click()
    other.wait_for_url("**/sign-in**")
    dialog.get_by_role("button", name=words["go_on"]).click()
    with context.expect_page() as opened:
        dialog.get_by_role("link", name=words["again"]).click()
    sign_in(opened.value, demo, "anna@zegelpost.example")
    page.bring_to_front()
    if dialog.is_visible():
        dialog.get_by_role("button", name=words["go_on"]).click()
    expect(dialog).to_be_hidden()
    expect(page.locator("#text")).to_have_value(TEXT)
    page.locator("main form button").last.click()
    expect(page.get_by_text(name)).to_be_visible()
    assert watched.complaints == []
    context.close()


def test_signing_in_anew_in_another_tab_goes_for_this_one_too(demo: RunningDemo, chromium: Browser) -> None:
    """Its form was made for the sign-in of before, and nobody noticed that it ended."""
    context = device(chromium, "nl", 1280)
    page, other = context.new_page(), context.new_page()
    sign_in(page, demo, "anna@zegelpost.example", "/templates/new")
    page.fill("#name", "Bezwaar na opnieuw inloggen")
    page.fill("#text", TEXT)
    other.goto(demo.base_url)
    other.locator("form[action='/sign-out'] button").click()
    other.wait_for_url("**/sign-in**")
    sign_in(other, demo, "anna@zegelpost.example")
    page.bring_to_front()

    page.locator("main form button").last.click()

    expect(page.get_by_text("Bezwaar na opnieuw inloggen")).to_be_visible()
    context.close()


@pytest.mark.parametrize(("language", "width"), EVERYWHERE)
def test_nor_what_a_guest_typed(demo: RunningDemo, chromium: Browser, language: str, width: int) -> None:
    words, context, email = WORDS[language], device(chromium, language, width), f"rosa-{language}-{width}@zorg.example"
    asked_to_send(demo, email, language)
    page = context.new_page()
    page.clock.install()
    watched = Watched(page)
    page.goto(demo.find(email, LINK))
    page.locator("[data-island=open] button").click()
    page.wait_for_url("**/answer")
    page.fill("#note", TEXT)
    [cookie] = [each for each in context.cookies() if "open" in each["name"]]
    context.clear_cookies(name=cookie["name"])
    away(page, 180)

    # Seen without pressing anything.
    dialog = page.locator("dialog[data-staying]")
    expect(dialog).to_contain_text(words["closed"])
    watched.look()
    shot(page, f"staying-guest-{language}-{width}")
    dialog.get_by_role("button", name=words["go_on"]).click()
    expect(dialog.get_by_role("status").filter(visible=True)).to_have_text(words["closed_yet"])
    # Opened again, in another tab.
    context.add_cookies([{"name": cookie["name"], "value": cookie["value"], "url": demo.base_url}])
    dialog.get_by_role("button", name=words["go_on"]).click()
    expect(dialog).to_be_hidden()
    expect(page.locator("#note")).to_have_value(TEXT)
    page.locator("form[action$='/answer/send'] button").first.click()
    expect(page.locator("main")).to_contain_text(words["received"])
    assert watched.complaints == []
    context.close()


def program(demo: RunningDemo) -> httpx2.Client:
    """Anna's, with a token."""
    client = httpx2.Client(base_url=f"{demo.base_url}/api/v1")
    token = client.post("/sign-in", json={"email": "anna@zegelpost.example", "password": PASSWORD}).json()["access_token"]
    client.headers["Authorization"] = f"Bearer {token}"
    return client


def asked_to_send(demo: RunningDemo, email: str, language: str) -> None:
    """By Anna, without a number: the link alone opens it."""
    with closing(program(demo)) as anna:
        made = anna.post("/file-requests", json={"name": "Rosa", "email": email, "subject": "Stukken", "language": language})
        assert made.status_code == 201, made.text


def test_who_reads_is_asked_too(demo: RunningDemo, chromium: Browser) -> None:
    """Rosa reads what came by link and code."""
    rosa = {"name": "Rosa", "email": "leest@zorg.example", "mobile": "+31612340991"}
    with closing(program(demo)) as anna:
        made = anna.post("/transfers", json={"subject": "Bericht", "note": "Tekst", "recipients": [rosa], "language": "nl"})
        assert anna.post(f"/transfers/{made.json()['id']}/send").status_code == 200
    page = device(chromium, "nl", 390).new_page()
    page.clock.install()
    watched = Watched(page)
    page.goto(demo.find(rosa["email"], LINK))
    page.locator("[data-island=open] button").click()
    page.locator("main form button").first.click()
    code = re.search(r"#(\d{6})$", demo.wait_for("sms", rosa["mobile"])["text"])
    assert code
    page.fill("#code", code[1])
    page.locator("main form button").first.click()
    page.wait_for_url("**/transfer")
    with page.expect_response("**/transfer/stay"):
        page.locator("h1").click()
        away(page, 2)
    away(page, 13)
    dialog = page.locator("dialog[data-staying]")
    expect(dialog).to_contain_text("Een download die loopt, gaat door.")
    watched.look()
    shot(page, "staying-reading")
    with page.expect_response("**/transfer/stay"):
        dialog.get_by_role("button", name=WORDS["nl"]["there"]).click()
    expect(dialog).to_be_hidden()
    page.context.clear_cookies()
    away(page, 15)
    expect(dialog).to_contain_text("Open de link uit uw e-mail nog een keer.")
    watched.look()
    page.context.close()
