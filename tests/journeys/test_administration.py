"""Where administrators go, from the menu, and what they judge there."""

from __future__ import annotations

import re

import httpx2
import pytest
from playwright.sync_api import Browser, expect
from tests.journeys.people import EVERYWHERE, PASSWORD, Watched, device, open_menu, sign_in
from tests.journeys.running import RunningDemo
from tests.web.acts import DOCUMENT, ROSA, form_of
from tests.web.small_files import OLD_MACROS

WORDS = {
    "nl": {
        "menu": "Beheer",
        "pages": (
            "Tegengehouden",
            "Adresboeken",
            "Afdelingen",
            "Accounts",
            "Beleid",
            "Gegevens van één persoon",
            "Bewaard op verzoek",
            "Outlook",
        ),
        "release": "Doorlaten",
        "remove": "Verwijder",
        "cancel": "Annuleer",
        "released": "Het document is doorgelaten.",
        "removed": "Het document is verwijderd.",
    },
    "en": {
        "menu": "Management",
        "pages": (
            "Held back",
            "Address books",
            "Departments",
            "Accounts",
            "Policy",
            "One person's data",
            "Kept on request",
            "Outlook",
        ),
        "release": "Let it through",
        "remove": "Remove",
        "cancel": "Cancel",
        "released": "The document has been let through.",
        "removed": "The document has been removed.",
    },
}


@pytest.mark.parametrize(("language", "width"), EVERYWHERE)
def test_every_page_of_management(demo: RunningDemo, chromium: Browser, language: str, width: int) -> None:
    context = device(chromium, language, width)
    chris = Watched(context.new_page())
    page = chris.page
    sign_in(page, demo, "chris@zegelpost.example")
    for name in WORDS[language]["pages"]:
        open_menu(page)
        page.get_by_role("navigation").get_by_role("link", name=str(WORDS[language]["menu"])).click()
        chris.look()
        page.locator("main").get_by_role("link", name=name, exact=True).click()
        expect(page.locator("h1")).to_contain_text(name)
        chris.look()
    context.close()


ACCOUNTS = {
    "nl": {
        "search": "Zoeken",
        "off": "Uitzetten",
        "on": "Aanzetten",
        "save": "Bewaar",
        "is_off": "Uitgezet",
        "auditor": "Auditor",
    },
    "en": {
        "search": "Search",
        "off": "Switch off",
        "on": "Switch on",
        "save": "Save",
        "is_off": "Switched off",
        "auditor": "Auditor",
    },
}


@pytest.mark.parametrize(("language", "width"), EVERYWHERE)
def test_running_accounts(demo: RunningDemo, chromium: Browser, language: str, width: int) -> None:
    """Find Bram, make him an auditor and take that back, switch him off and on."""
    words = ACCOUNTS[language]
    context = device(chromium, language, width)
    chris = Watched(context.new_page())
    page = chris.page
    sign_in(page, demo, "chris@zegelpost.example", "/admin/accounts")
    chris.look()
    page.fill("#letters", "bram")
    page.locator("main").get_by_role("button", name=words["search"]).click()
    expect(page.locator("tbody tr")).to_have_count(1)
    chris.look()
    page.get_by_role("link", name="Bram Jansen").click()
    chris.look()
    for is_auditor in (True, False):
        page.get_by_label(words["auditor"]).set_checked(is_auditor)
        page.get_by_role("button", name=words["save"]).click()
        expect(page.get_by_role("status")).to_be_visible()
        expect(page.get_by_label(words["auditor"])).to_be_checked(checked=is_auditor)
    page.get_by_role("button", name=words["off"]).click()
    expect(page.locator("h1")).to_contain_text(words["is_off"])
    chris.look()
    page.get_by_role("button", name=words["on"]).click()
    expect(page.locator("h1")).not_to_contain_text(words["is_off"])
    chris.look()
    context.close()


def _hand_in_macros(demo: RunningDemo, email: str) -> None:
    """Anna asks someone for documents, who sends two with macros."""
    with httpx2.Client(base_url=demo.base_url, follow_redirects=True) as anna:
        home = anna.post("/sign-in", data={"email": "anna@zegelpost.example", "password": PASSWORD}).text
        csrf = str(re.findall(r'name="csrf" value="([^"]+)"', home)[0])
        asked = {"name": "Guus", "email": email, "subject": "Formulier", "language": "en", "csrf": csrf}
        assert anna.post("/requests", data=asked).status_code == 200
    link = demo.find(email, r"(?m)^http://127\.0\.0\.1:\d+(/r/[a-z2-7]{26}#[a-z2-7]{32})$")
    path, _, secret = link.partition("#")
    extension, content = OLD_MACROS["of Word"]
    with httpx2.Client(base_url=demo.base_url, follow_redirects=True) as guus:
        guus.post(path, data={"link_secret": secret})
        guus.post(f"{path}/answer")
        for number in (1, 2):
            guus.post(f"{path}/answer/documents", files={"documents": (f"formulier {number}.{extension}", content)})
        assert guus.post(f"{path}/answer/send", data={"note": ""}).status_code == 200


NUMBERS = {
    "nl": {
        "sent": "Verzendingen",
        "period": "Laatste 91 dagen",
        "show": "Tonen",
        "file": "Voor een rekenblad (csv)",
        "refused": "Kies een eerste dag",
        "name": "cijfers-",
    },
    "en": {
        "sent": "Transfers sent",
        "period": "Last 91 days",
        "show": "Show",
        "file": "For a spreadsheet (CSV)",
        "refused": "Choose a first day",
        "name": "numbers-",
    },
}


@pytest.mark.parametrize(("language", "width"), EVERYWHERE)
def test_the_numbers(demo: RunningDemo, chromium: Browser, language: str, width: int) -> None:
    """From the page with what was sent to a department's year, a file of it, and a period that cannot be."""
    words = NUMBERS[language]
    _send_something(demo)
    context = device(chromium, language, width)
    chris = Watched(context.new_page())
    page = chris.page
    sign_in(page, demo, "chris@zegelpost.example", "/admin")
    pictures = page.get_by_role("img")
    expect(pictures.first).to_be_visible()
    chris.look()
    shown = page.locator("main dl > div", has_text=words["sent"]).locator("dd").first
    expect(shown).not_to_have_text("0")
    for table in page.locator("details.zp-bars__table").all():
        table.locator("summary").click()
        expect(table.locator("tbody tr").first).to_be_visible()
    chris.look()
    page.get_by_role("link", name=words["period"]).click()
    expect(page.get_by_role("link", name=words["period"])).to_have_attribute("aria-current", "true")
    page.locator("#department").select_option(label="Inspectie Zorg")
    page.get_by_role("button", name=words["show"]).click()
    expect(page.locator("#department option:checked")).to_have_text("Inspectie Zorg")
    expect(page.get_by_role("link", name=words["period"])).to_have_attribute("aria-current", "true")
    chris.look()
    with page.expect_download() as download:
        page.get_by_role("link", name=words["file"]).click()
    assert download.value.suggested_filename.startswith(words["name"])
    page.fill("#first_day", "2020-01-01")
    page.get_by_role("button", name=words["show"]).click()
    expect(page.get_by_role("alert")).to_contain_text(words["refused"])
    expect(page.locator("#first_day")).to_have_value("2020-01-01")
    chris.look()
    context.close()


def _send_something(demo: RunningDemo) -> None:
    with httpx2.Client(base_url=demo.base_url, follow_redirects=True) as anna:
        home = anna.post("/sign-in", data={"email": "anna@zegelpost.example", "password": PASSWORD}).text
        csrf = {"csrf": str(re.findall(r'name="csrf" value="([^"]+)"', home)[0])}
        drafted = anna.post("/transfers", data=form_of(ROSA) | csrf)
        transfer = drafted.url.path.removesuffix("/documents")
        files = {"documents": ("brief.pdf", DOCUMENT * 1000)}
        assert anna.post(f"{transfer}/documents", data=csrf, files=files).status_code == 200
        assert anna.post(f"{transfer}/send", data=csrf).url.path == transfer


@pytest.mark.parametrize(("language", "width"), EVERYWHERE)
def test_judging_what_is_held_back(demo: RunningDemo, chromium: Browser, language: str, width: int) -> None:
    words, email = WORDS[language], f"guus-{language}-{width}@praktijk.example"
    _hand_in_macros(demo, email)
    context = device(chromium, language, width)
    chris = Watched(context.new_page())
    page = chris.page
    sign_in(page, demo, "chris@zegelpost.example", "/admin/quarantine")
    rows = page.locator("tbody tr", has_text=email)
    expect(rows).to_have_count(2)
    chris.look()
    # Whoever thinks better of it has done nothing.
    rows.first.get_by_role("link", name=str(words["remove"])).click()
    expect(page.locator("main")).to_contain_text(email)
    expect(page.locator("main")).not_to_contain_text("formulier")
    chris.look()
    page.get_by_role("link", name=str(words["cancel"])).click()
    expect(rows).to_have_count(2)
    for verb, done, left in (("release", "released", 1), ("remove", "removed", 0)):
        rows.first.get_by_role("link", name=str(words[verb])).click()
        chris.look()
        page.get_by_role("button", name=str(words[verb])).click()
        expect(page.locator("main")).to_contain_text(str(words[done]))
        expect(rows).to_have_count(left)
        chris.look()
    demo.wait_for("mail", email, more_than=3)  # the request, the receipt, and both verdicts
    context.close()


@pytest.mark.parametrize(("language", "width"), EVERYWHERE)
@pytest.mark.parametrize("who", ["anna", "chris"])
def test_the_menu(demo: RunningDemo, chromium: Browser, language: str, width: int, who: str) -> None:
    """One row on a telephone, which opens; everything in sight at a desk."""
    context = device(chromium, language, width)
    someone = Watched(context.new_page())
    page = someone.page
    sign_in(page, demo, f"{who}@zegelpost.example")
    places = page.locator("nav.zp-nav ul a")
    expect(places).to_have_count(7)
    if width < 400:
        box = page.locator("nav.zp-nav").bounding_box()
        assert box
        assert box["height"] < 64
        expect(places.first).not_to_be_visible()
        page.locator("nav.zp-nav summary").focus()
        page.keyboard.press("Enter")
        someone.look()
    for place in places.all():
        expect(place).to_be_visible()
    page.locator("nav.zp-nav a[href='/sent']").click()
    expect(page.locator("nav.zp-nav [aria-current=page]")).to_have_attribute("href", "/sent")
    someone.look()
    context.close()


def test_an_administrator_with_departments_has_all_places_on_one_line(demo: RunningDemo, chromium: Browser) -> None:
    """Dutch has the longest words. A long name is cut off sooner than that it takes a line of its own."""
    context = device(chromium, "nl", 1280)
    page = context.new_page()
    sign_in(page, demo, "chris@zegelpost.example", "/departments")
    page.locator("tbody a").first.click()
    page.locator("form[action$='/members'] input[type=email]").fill("chris@zegelpost.example")
    page.locator("form[action$='/members'] button").first.click()
    for path in ("/", "/account", "/admin"):
        page.goto(demo.base_url + path)
        expect(page.locator("nav.zp-nav ul a")).to_have_count(8)
        for name in ("Chris Bakker", "Christina van der Hoeven-Oosterwijk tot Nieuwlande en Broekhuizen"):
            page.locator("nav.zp-nav form a").evaluate("(each, name) => { each.textContent = name }", name)
            box = page.locator("nav.zp-nav").bounding_box()
            assert box
            assert box["height"] < 64, path
            assert not page.evaluate("document.documentElement.scrollWidth > window.innerWidth"), path
    # As it was, for who comes after.
    page.goto(demo.base_url + "/departments")
    page.locator("tbody a").first.click()
    page.locator("tr, li", has_text="Chris Bakker").last.locator("form[action$='/remove'] button").click()
    expect(page.locator("nav.zp-nav ul a")).to_have_count(7)
    context.close()


def test_the_menu_opens_without_script(demo: RunningDemo, chromium: Browser) -> None:
    context = device(chromium, "nl", 390, has_script=False)
    page = context.new_page()
    sign_in(page, demo, "anna@zegelpost.example")
    open_menu(page)
    page.locator("nav.zp-nav a[href='/received']").click()
    expect(page.locator("h1")).to_contain_text("Ontvangen")
    context.close()


POLICY = {
    "nl": {
        "page": "Grootte, soorten en termijnen",
        "change": "Wijzigen Grootte, soorten en termijnen",
        "save": "Bewaar",
        "back": "Terug naar standaard",
        "refused": "Dit kan niet langer zijn dan de langste termijn: 365 dagen.",
    },
    "en": {
        "page": "Sizes, kinds and periods",
        "change": "Change Sizes, kinds and periods",
        "save": "Save",
        "back": "Back to the default",
        "refused": "This cannot be more than the longest period, 365 days.",
    },
}


@pytest.mark.parametrize(("language", "width"), EVERYWHERE)
def test_changing_the_policy(demo: RunningDemo, chromium: Browser, language: str, width: int) -> None:
    """A period that cannot be, then one that can, and back to the default."""
    words = POLICY[language]
    context = device(chromium, language, width)
    chris = Watched(context.new_page())
    page = chris.page
    sign_in(page, demo, "chris@zegelpost.example", "/admin/policy")
    chris.look()
    page.get_by_role("link", name=words["change"]).click()
    expect(page.locator("h1")).to_have_text(words["page"])
    chris.look()
    page.fill("#default_expiry_days", "400")
    page.get_by_role("button", name=words["save"]).click()
    expect(page.locator("#default_expiry_days-error")).to_contain_text(words["refused"])
    expect(page.locator("#default_expiry_days")).to_have_value("400")
    chris.look()
    page.fill("#default_expiry_days", "14")
    page.get_by_role("button", name=words["save"]).click()
    expect(page.get_by_role("status")).to_be_visible()
    chris.look()
    page.get_by_role("button", name=words["back"]).click()
    expect(page.get_by_role("button", name=words["back"])).to_have_count(0)
    for group in ("recipients", "staff", "organisation", "texts"):
        page.goto(f"{demo.base_url}/admin/policy/{group}")
        chris.look()
    context.close()
