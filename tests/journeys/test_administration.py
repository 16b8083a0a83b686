"""Where administrators go, from the menu, and what is there when nothing has happened yet."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect
from tests.journeys.people import EVERYWHERE, Watched, device, sign_in
from tests.journeys.running import RunningDemo

WORDS = {
    "nl": {"menu": "Beheer", "pages": ("Tegengehouden", "Adresboeken", "Afdelingen", "Outlook")},
    "en": {"menu": "Management", "pages": ("Held back", "Address books", "Departments", "Outlook")},
}


@pytest.mark.parametrize(("language", "width"), EVERYWHERE)
def test_every_page_of_management(demo: RunningDemo, chromium: Browser, language: str, width: int) -> None:
    context = device(chromium, language, width)
    chris = Watched(context.new_page())
    page = chris.page
    sign_in(page, demo, "chris@zegelpost.example")
    for name in WORDS[language]["pages"]:
        page.get_by_role("navigation").get_by_role("link", name=str(WORDS[language]["menu"])).click()
        chris.look()
        page.locator("main").get_by_role("link", name=name, exact=True).click()
        expect(page.locator("h1")).to_contain_text(name)
        chris.look()
    context.close()
