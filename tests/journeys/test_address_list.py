"""The organisation's list: an administrator hands in a file, reads what would happen, agrees, and a colleague finds someone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect
from tests.journeys.people import EVERYWHERE, Watched, device, sign_in
from tests.journeys.running import RunningDemo

FILE = """Naam;Organisatie;E-mailadres;Mobiel nummer
Rosa van der Lijst;Zorggroep Noord;rosa.lijst@zorg.example;06-12 34 56 78
Sam van der Lijst;Advocatenkantoor Zuid;sam.lijst@advocaat.example;020-123 45 67
Zonder Adres;Zorggroep Noord;;06-12 34 56 79
"""
WORDS = {
    "nl": {
        "upload": "Upload een",
        "see": "Bekijk wat er verandert",
        "skipped": "Er is geen e-mailadres.",
        "number": "Zonder het nummer: dat is geen mobiel nummer.",
        "take": "Maak dit de lijst van de organisatie",
        "done": "Lijst overgenomen",
        "wrong": "Kies eerst een bestand.",
        "remove": "Verwijder deze lijst",
        "removed": "De geüploade lijst is verwijderd.",
        "problem": "dat is geen mobiel nummer",
    },
    "en": {
        "upload": "Upload a",
        "see": "See what would change",
        "skipped": "There is no e-mail address.",
        "number": "Without the number: it is not a mobile number.",
        "take": "Make this the organisation's list",
        "done": "List taken over",
        "wrong": "Choose a file first.",
        "remove": "Remove this list",
        "removed": "The list that was uploaded has been removed.",
        "problem": "that is not a mobile number",
    },
}


@pytest.mark.parametrize(("language", "width"), EVERYWHERE)
def test_a_list_from_a_file(demo: RunningDemo, chromium: Browser, language: str, width: int) -> None:
    words = WORDS[language]
    chris = Watched(device(chromium, language, width).new_page())
    sign_in(chris.page, demo, "chris@zegelpost.example", "/admin/address-books")
    chris.look()
    chris.page.get_by_role("link", name=words["upload"]).click()
    chris.page.get_by_role("button", name=words["see"]).click()
    expect(chris.page.locator("#file-error")).to_contain_text(words["wrong"])
    chris.look()
    chris.page.set_input_files("#file", {"name": "lijst.csv", "mimeType": "text/csv", "buffer": FILE.encode()})
    chris.page.get_by_role("button", name=words["see"]).click()
    expect(chris.page.locator("main")).to_contain_text(words["skipped"])
    expect(chris.page.locator("main")).to_contain_text(words["number"])
    chris.look()
    chris.page.get_by_role("button", name=words["take"]).click()
    expect(chris.page.get_by_role("heading", name=words["done"])).to_be_visible()
    chris.look()

    anna = Watched(device(chromium, language, width).new_page())
    sign_in(anna.page, demo, "anna@zegelpost.example", "/contacts")
    anna.page.fill("#letters", "lijst")
    anna.page.keyboard.press("Enter")
    expect(anna.page.locator("main")).to_contain_text("rosa.lijst@zorg.example")
    expect(anna.page.locator("main")).to_contain_text(words["problem"])
    anna.look()

    chris.page.goto(demo.base_url + "/admin/address-books")
    chris.look()
    chris.page.get_by_role("button", name=words["remove"]).click()
    expect(chris.page.locator("main")).to_contain_text(words["removed"])
