"""Signing in with the work account: at a real provider in the portal, and inside Outlook, which gives the pane a token itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect
from tests.journeys.outlook_desk import LINK, findings
from tests.journeys.people import EVERYWHERE, PASSWORD, Watched, device
from tests.journeys.running import RunningDemo
from tests.stand_ins import oidc_provider as certified
from tests.stand_ins.entra import CLIENT_ID, CLIENT_SECRET, Entra, entra
from tests.stand_ins.oidc_provider import RunningProvider, oidc_provider

PEOPLE: dict[str, dict[str, Any]] = {
    "eve": {"name": "Eve Smit", "email": "eve@zegelpost.example", "email_verified": True, "oid": "oid-eve"},
    "anna": {"name": "Anna de Vries", "email": "anna@zegelpost.example", "email_verified": True, "oid": "oid-anna"},
}


def settings_for(authority: str, client_id: str, secret: str, authority_file: Path) -> dict[str, str]:
    return {
        "ZEGELPOST_OIDC_AUTHORITY": authority,
        "ZEGELPOST_OIDC_CLIENT_ID": client_id,
        "ZEGELPOST_OIDC_CLIENT_SECRET": secret,
        "SSL_CERT_FILE": str(authority_file),
    }


@pytest.fixture
def at_provider(tmp_path: Path) -> Iterator[RunningDemo]:
    demo = RunningDemo(tmp_path / "data")
    back, left = f"{demo.base_url}/sign-in/callback", f"{demo.base_url}/sign-in"
    with oidc_provider(tmp_path, redirect_url=back, left_url=left, people=PEOPLE) as provider:
        demo.environment = settings_of(provider)
        demo.start()
        yield demo
        demo.stop()


def settings_of(provider: RunningProvider) -> dict[str, str]:
    return settings_for(provider.authority, certified.CLIENT_ID, certified.CLIENT_SECRET, provider.authority_file)


def trusting(chromium: Browser, language: str, width: int) -> BrowserContext:
    """A browser that does not mind the certificate of the tests."""
    return chromium.new_context(
        locale={"nl": "nl-NL", "en": "en-GB"}[language],
        viewport={"width": width, "height": 800},
        ignore_https_errors=True,
    )


def through_the_provider(page: Page, login: str) -> None:
    """Its own two pages: who are you, and may they know."""
    page.locator("a[href^='/sign-in/organisation']").click()
    page.fill("input[name=login]", login)
    page.fill("input[name=password]", "any")
    page.locator("button[type=submit]").click()
    page.locator("button[type=submit]").click()


def test_to_the_provider_and_back_and_out_again(at_provider: RunningDemo, chromium: Browser) -> None:
    for language, width in EVERYWHERE[:2]:
        context = trusting(chromium, language, width)
        watched = Watched(context.new_page())
        page = watched.page
        page.goto(f"{at_provider.base_url}/contacts")
        watched.look()
        through_the_provider(page, "eve")
        expect(page).to_have_url(f"{at_provider.base_url}/contacts")
        page.goto(f"{at_provider.base_url}/account")
        watched.look()
        page.locator("form[action='/sign-out'] button").click()
        watched.look()
        # And out there, which its own page asks about.
        page.locator("main a.utrecht-button").first.click()
        page.locator("button[type=submit]").first.click()
        expect(page).to_have_url(f"{at_provider.base_url}/sign-in")
        context.close()


def test_an_account_that_was_there_is_joined_by_its_owner(at_provider: RunningDemo, chromium: Browser) -> None:
    context = trusting(chromium, "nl", 390)
    watched = Watched(context.new_page())
    page = watched.page
    page.goto(f"{at_provider.base_url}/sent")
    through_the_provider(page, "anna")
    expect(page).to_have_url(f"{at_provider.base_url}/sign-in/join")
    watched.look()
    page.locator("main a.utrecht-button").click()
    page.fill("#email", "anna@zegelpost.example")
    page.fill("#password", PASSWORD)
    page.locator("main form button").click()
    expect(page).to_have_url(f"{at_provider.base_url}/sign-in/join")
    watched.look()
    page.locator("main form button").click()
    expect(page).to_have_url(f"{at_provider.base_url}/sent")
    context.close()


# Inside Outlook


@pytest.fixture
def tenant_demo(tmp_path: Path) -> Iterator[tuple[Entra, RunningDemo]]:
    demo = RunningDemo(tmp_path / "data")
    with entra(redirect_url=f"{demo.base_url}/sign-in/callback", people=PEOPLE) as tenant:
        authority_file = tmp_path / "authority.pem"
        authority_file.write_bytes(tenant.authority_pem)
        demo.environment = settings_for(tenant.authority, CLIENT_ID, CLIENT_SECRET, authority_file)
        demo.start()
        yield tenant, demo
        demo.stop()


def draft(context: BrowserContext, demo: RunningDemo, issuer: Any) -> Page:
    """A draft in an Outlook that can sign in by itself, with the pane open."""
    page = context.new_page()
    page.expose_function("zegelpostIssuer", lambda asked: issuer(json.loads(asked)))
    page.goto(f"{demo.base_url}/demo/outlook?client=new")
    page.fill("#outlook-to", "rosa-genest@zorg.example")
    page.locator("#outlook-to").blur()
    page.locator("[data-open]").click()
    return page


def test_outlook_signs_in_by_itself_or_the_window_does(tenant_demo: tuple[Entra, RunningDemo], chromium: Browser) -> None:
    tenant, demo = tenant_demo
    tenant.at_the_keyboard = "eve"
    asked: list[dict[str, Any]] = []

    def eve(question: dict[str, Any]) -> str:
        asked.append(question)
        return json.dumps({"id_token": tenant.access_token("eve", scp=None), "access_token": tenant.access_token("eve")})

    context = trusting(chromium, "nl", 1280)
    complaints: list[str] = []
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.on("console", lambda message: complaints.append(message.text) if "Content Security" in message.text else None)
    # The first time nobody is known by that token: the window opens the account, with the same work account.
    page = draft(context, demo, eve)
    pane = page.frame_locator("[data-frame]")
    with page.expect_popup() as opened:
        pane.locator("#sign-in").click()
    opened.value.locator("a[href^='/sign-in/organisation']").click()
    expect(pane.locator("#mobile-0")).to_be_visible(timeout=20_000)
    page.close()

    # From then on there is nothing to press: one click opens the pane, and it is the one to write in.
    asked.clear()
    page = draft(context, demo, eve)
    pane = page.frame_locator("[data-frame]")
    expect(pane.locator("#mobile-0")).to_be_visible(timeout=20_000)
    assert [(each["clientId"], each["scope"], each["isQuiet"]) for each in asked] == [
        (CLIENT_ID, f"api://{CLIENT_ID}/access_as_user", True)
    ]
    frame = next(frame for frame in page.frames if "/addin/pane" in frame.url)
    # In memory only.
    kept = frame.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
    assert "eyJ" not in kept
    assert findings(page) == []
    pane.locator("#mobile-0").fill("0612345678")
    pane.locator("#keep-0").check()
    pane.locator("#send").click()
    expect(pane.locator("#done")).to_be_visible(timeout=20_000)
    assert demo.find("rosa-genest@zorg.example", LINK)
    page.close()

    # The number is known now: one click opened the pane, and one sends.
    page = draft(context, demo, eve)
    pane = page.frame_locator("[data-frame]")
    pane.locator("#send").click()
    expect(pane.locator("#done")).to_be_visible(timeout=20_000)
    page.close()

    # A host that says it can and does not, and a token that is somebody else's: the button, as before.
    answers = ["DISABLED", json.dumps({"id_token": "x.e30.x", "access_token": tenant.access_token("eve", oid="oid-mallory")})]
    for answer in answers:
        page = draft(context, demo, lambda _, answer=answer: answer)
        expect(page.frame_locator("[data-frame]").locator("#sign-in")).to_be_visible(timeout=20_000)
        page.close()
    assert complaints == []
    context.close()


def test_what_signs_in_is_fetched_only_where_outlook_can(tenant_demo: tuple[Entra, RunningDemo], chromium: Browser) -> None:
    _, demo = tenant_demo
    fetched: list[str] = []

    def see(route: Route) -> None:
        fetched.append(route.request.url)
        route.continue_()

    for has_issuer in (False, True):
        fetched.clear()
        context = device(chromium, "en", 1280)
        context.route(re.compile(r"/static/dist/.*\.js"), see)
        page = context.new_page()
        if has_issuer:
            page.expose_function("zegelpostIssuer", lambda _: "USER_INTERACTION_REQUIRED")
        page.goto(f"{demo.base_url}/demo/outlook?client=new")
        page.locator("[data-open]").click()
        expect(page.frame_locator("[data-frame]").locator("#sign-in")).to_be_visible(timeout=20_000)
        assert any("/nested-" in url for url in fetched) == has_issuer
        context.close()
