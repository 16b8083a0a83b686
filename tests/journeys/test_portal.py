"""The rooms of the portal besides sending: contacts, standard texts, departments and what came in, each looked at."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.journeys.people import EVERYWHERE, Watched, device, sign_in
from tests.journeys.running import RunningDemo

FILE = b"Naam;E-mailadres;Mobiel\nZoe Kok;zoe@zorg.example;0612345679\nKapot;geen;\nBel Maat;bel@zorg.example;0201234567\n"
WORDS = {
    "nl": {
        "save": "Bewaar",
        "preview": "Bekijk wat er verandert",
        "take_over": "Deze contactpersonen bewaren",
        "insert": "Voeg in",
        "handled": "Markeer als afgehandeld",
        "add": "Voeg toe",
    },
    "en": {
        "save": "Save",
        "preview": "See what would change",
        "take_over": "Save these contacts",
        "insert": "Insert",
        "handled": "Mark as handled",
        "add": "Add",
    },
}


def _press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).first.click()


@pytest.mark.parametrize(("language", "width"), EVERYWHERE)
def test_contacts_and_standard_texts_help_to_send(demo: RunningDemo, chromium: Browser, language: str, width: int) -> None:
    words = WORDS[language]
    name, email = f"Rosa {language.upper()}{width}", f"rosa-{language}-{width}@zorg.example"
    desk = device(chromium, language, width)
    anna = Watched(desk.new_page())
    sign_in(anna.page, demo, "anna@zegelpost.example", "/contacts/new")
    anna.look()
    anna.page.fill("#name", name)
    anna.page.fill("#email", email)
    anna.page.fill("#mobile", "020 1234567")
    _press(anna.page, words["save"])
    expect(anna.page.locator("#mobile-error")).to_be_visible()
    anna.look()
    anna.page.fill("#mobile", "06-12345678")
    _press(anna.page, words["save"])
    expect(anna.page.get_by_text(email)).to_be_visible()
    anna.look()
    anna.page.goto(demo.base_url + "/contacts/import")
    anna.look()
    anna.page.set_input_files(
        "#file", {"name": "adressen.csv", "mimeType": "text/csv", "buffer": FILE.replace(b"@", f"@{language}{width}.".encode())}
    )
    _press(anna.page, words["preview"])
    expect(anna.page.get_by_text("Kapot")).to_be_visible()
    anna.look()
    _press(anna.page, words["take_over"])
    expect(anna.page.get_by_text("Kapot")).to_be_visible()
    anna.look()

    anna.page.goto(demo.base_url + "/templates/new")
    anna.page.fill("#name", f"Besluit {language} {width}")
    anna.page.fill("#text", "Beste {naam}, uw {bsn}")
    _press(anna.page, words["save"])
    expect(anna.page.locator("#text-error")).to_be_visible()
    anna.look()
    anna.page.fill("#text", "Beste {naam},\n\nHierbij ons besluit.")
    _press(anna.page, words["save"])
    anna.look()

    # A name, an arrow and Enter fill in a recipient; one choice fills in the note.
    anna.page.goto(demo.base_url + "/transfers/new")
    anna.page.locator("#recipient-0-name").press_sequentially(name, delay=30)
    expect(anna.page.get_by_role("option").first).to_contain_text(name)
    anna.page.keyboard.press("ArrowDown")
    anna.page.keyboard.press("Enter")
    expect(anna.page.locator("#recipient-0-email")).to_have_value(email)
    expect(anna.page.locator("#recipient-0-mobile")).to_have_value("+31612345678")
    anna.page.fill("#subject", "Besluit")
    anna.page.select_option("#template", label=f"Besluit {language} {width}")
    _press(anna.page, words["insert"])
    expect(anna.page.locator("#note")).to_have_value("Beste {naam},\n\nHierbij ons besluit.")
    expect(anna.page.locator("#recipient-0-email")).to_have_value(email)
    anna.look()
    desk.close()


@pytest.mark.parametrize(("language", "width"), EVERYWHERE)
def test_a_department_receives_and_handles(demo: RunningDemo, chromium: Browser, language: str, width: int) -> None:
    words = WORDS[language]
    subject = f"Klacht over wachttijd {language} {width}"
    desk = device(chromium, language, width)
    anna = Watched(desk.new_page())
    sign_in(anna.page, demo, "anna@zegelpost.example", "/transfers/new")
    anna.page.fill("#recipient-0-name", "Klachten")
    anna.page.fill("#recipient-0-email", "klachten@zegelpost.example")
    anna.page.fill("#subject", subject)
    anna.page.fill("#note", "Graag oppakken.")
    anna.page.locator("main form .zp-actions button").last.click()
    anna.page.goto(anna.page.url.replace("/documents", "/check"))
    anna.look()
    anna.page.locator("form[action$='/send'] button").click()

    other = device(chromium, language, width)
    bram = Watched(other.new_page())
    sign_in(bram.page, demo, "bram@zegelpost.example", "/received")
    bram.look()
    bram.page.locator("details summary").first.click()
    bram.page.fill("#sender", "vries")
    bram.page.locator("form[action='/received'] button").click()
    expect(bram.page.get_by_role("link", name=subject)).to_be_visible()
    bram.look()
    bram.page.get_by_role("link", name=subject).click()
    expect(bram.page.get_by_text("Graag oppakken.")).to_be_visible()
    bram.look()
    _press(bram.page, words["handled"])
    expect(bram.page.get_by_text("Bram Jansen").first).to_be_visible()
    bram.look()

    bram.page.goto(demo.base_url + "/departments")
    bram.look()
    bram.page.get_by_role("link", name="Inspectie Zorg").click()
    bram.page.fill("#member-email", "niemand@zegelpost.example")
    _press(bram.page, words["add"])
    expect(bram.page.locator("#member-email-error")).to_be_visible()
    bram.look()
    desk.close()
    other.close()


@pytest.mark.parametrize(("language", "width"), EVERYWHERE)
def test_administrators_and_accounts(demo: RunningDemo, chromium: Browser, language: str, width: int) -> None:
    desk = device(chromium, language, width)
    chris = Watched(desk.new_page())
    sign_in(chris.page, demo, "chris@zegelpost.example", "/departments/new")
    chris.look()
    chris.page.locator("main form button").last.click()
    expect(chris.page.locator("#name-error")).to_be_visible()
    chris.look()
    chris.page.goto(demo.base_url + "/departments")
    chris.page.get_by_role("link", name="Klachtenafdeling").click()
    chris.look()
    for path in ("/account", "/templates", "/contacts", "/sent"):
        chris.page.goto(demo.base_url + path)
        chris.look()
    desk.close()
