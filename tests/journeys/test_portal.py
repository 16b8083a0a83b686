"""The rooms of the portal besides sending: contacts, standard texts, departments and what came in, each looked at."""

from __future__ import annotations

from pathlib import Path

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
        "pass_on": "Doorsturen",
        "passed_on": "Uw collega krijgt een e-mail",
        "default": "Zet deze tekst klaar",
        "delete": "Verwijder deze standaardtekst",
        "deleted": "De standaardtekst is verwijderd.",
        "keep": "Bewaar bij contactpersonen",
        "found": "Eén gevonden",
        "search": "Zoeken",
        "change": "Wijzigen",
        "remove": "Verwijder",
        "removed": "De contactpersoon is verwijderd.",
        "to_send": "Versturen",
        "chosen": "Versturen aan gekozen contactpersonen",
        "same": "Staat er al, hetzelfde: ",
        "row": "Rij ",
    },
    "en": {
        "save": "Save",
        "preview": "See what would change",
        "take_over": "Save these contacts",
        "insert": "Insert",
        "handled": "Mark as handled",
        "add": "Add",
        "pass_on": "Pass on",
        "passed_on": "Your colleague gets an e-mail",
        "default": "Put this text in every",
        "delete": "Delete this standard text",
        "deleted": "The standard text has been deleted.",
        "keep": "Save in contacts",
        "found": "One found",
        "search": "Search",
        "change": "Change",
        "remove": "Remove",
        "removed": "The contact has been removed.",
        "to_send": "Send",
        "chosen": "Send to the chosen contacts",
        "same": "There already, the same: ",
        "row": "Row ",
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
def test_a_standard_text_that_is_there_at_once(demo: RunningDemo, chromium: Browser, language: str, width: int) -> None:
    words, name = WORDS[language], f"Altijd {language} {width}"
    desk = device(chromium, language, width)
    anna = Watched(desk.new_page())
    sign_in(anna.page, demo, "anna@zegelpost.example", "/templates/new")
    anna.page.fill("#name", name)
    anna.page.fill("#text", "Beste {naam},")
    anna.page.get_by_label(words["default"]).check()
    _press(anna.page, words["save"])
    anna.page.goto(demo.base_url + "/transfers/new")
    expect(anna.page.locator("#note")).to_have_value("Beste {naam},")
    anna.page.goto(demo.base_url + "/templates")
    anna.look()
    anna.page.get_by_role("link", name=name).click()
    anna.page.get_by_role("link", name=words["delete"]).click()
    anna.look()
    anna.page.locator("form[action$='/delete'] button").click()
    expect(anna.page.get_by_text(words["deleted"])).to_be_visible()
    desk.close()


@pytest.mark.parametrize(("language", "width"), EVERYWHERE)
def test_the_address_book_from_saving_while_sending_to_a_file_and_back(  # noqa: PLR0915 - each step stands on the one before
    demo: RunningDemo, chromium: Browser, tmp_path: Path, language: str, width: int
) -> None:
    words = WORDS[language]
    name, email = f"Kees Kaart {language} {width}", f"kees-{language}-{width}@zorg.example"
    desk = device(chromium, language, width)
    anna = Watched(desk.new_page())
    page = anna.page
    sign_in(page, demo, "anna@zegelpost.example", "/transfers/new")

    # Saved while sending.
    page.fill("#subject", "Kennismaking")
    page.fill("#recipient-0-name", name)
    page.fill("#recipient-0-email", email)
    page.fill("#recipient-0-mobile", "06-12345670")
    page.get_by_label(words["keep"]).check()
    page.locator("main form .zp-actions button").last.click()
    page.wait_for_url("**/documents")

    # Found, changed, and sent to.
    page.goto(demo.base_url + "/contacts")
    page.fill("#letters", name.upper())
    page.locator("form[action='/contacts']").get_by_role("button", name=words["search"]).click()
    expect(page.get_by_role("status")).to_contain_text(words["found"])
    anna.look()
    page.get_by_role("link", name=name, exact=True).click()
    page.get_by_role("link", name=words["change"]).click()
    page.fill("#organisation", "Thuiszorg De Brug")
    page.fill("#mobile", "020 1234567")
    _press(page, words["save"])
    expect(page.locator("#mobile-error")).to_be_visible()
    expect(page.locator("#organisation")).to_have_value("Thuiszorg De Brug")
    page.fill("#mobile", "06-12345670")
    _press(page, words["save"])
    expect(page.locator("main")).to_contain_text("Thuiszorg De Brug")
    anna.look()
    page.get_by_role("link", name=words["to_send"]).first.click()
    expect(page.locator("#recipient-0-email")).to_have_value(email)
    expect(page.locator("#recipient-0-mobile")).to_have_value("+31612345670")
    page.goto(demo.base_url + "/contacts")
    page.locator("tr", has_text=email).get_by_role("checkbox").check()
    _press(page, words["chosen"])
    expect(page.locator("#recipient-0-email")).to_have_value(email)

    # Out in both forms, and in again: nothing is new, row by row.
    for name_of_file in ("csv", "vcf"):
        page.goto(demo.base_url + "/contacts")
        with page.expect_download() as download:
            page.locator(f"a[href$='/export.{name_of_file}']").click()
        kept = tmp_path / f"adressen.{name_of_file}"
        download.value.save_as(kept)
        assert email in kept.read_text(encoding="utf-8-sig")
        page.goto(demo.base_url + "/contacts/import")
        page.set_input_files("#file", kept)
        _press(page, words["preview"])
        expect(page.locator("main")).to_contain_text(words["same"])
        row = page.locator("li", has_text=email)
        expect(row).to_contain_text(words["row"])
        anna.look()

    # Gone, after being asked once more.
    page.goto(demo.base_url + "/contacts")
    page.get_by_role("link", name=name, exact=True).click()
    page.get_by_role("link", name=words["remove"]).click()
    anna.look()
    _press(page, words["remove"])
    expect(page.get_by_text(words["removed"])).to_be_visible()
    expect(page.locator("tr", has_text=email)).to_have_count(0)
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
    with anna.page.expect_navigation():
        anna.page.locator("main form .zp-actions button").last.click()
    anna.page.goto(anna.page.url.replace("/documents", "/check"))
    anna.look()
    anna.page.locator("form[action$='/send'] button").click()

    other = device(chromium, language, width)
    bram = Watched(other.new_page())
    sign_in(bram.page, demo, "bram@zegelpost.example", "/received")
    bram.look()
    bram.page.locator("main details summary").first.click()
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
    # Inside the organisation only: what is refused is said where people look, and what was typed stays.
    bram.page.fill("#email", "rosa@zorg.example")
    _press(bram.page, words["pass_on"])
    expect(bram.page.get_by_role("alert")).to_be_in_viewport()
    expect(bram.page.locator("#email")).to_have_value("rosa@zorg.example")
    bram.look()
    bram.page.fill("#email", "chris@zegelpost.example")
    _press(bram.page, words["pass_on"])
    expect(bram.page.locator("main")).to_contain_text(words["passed_on"])

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
