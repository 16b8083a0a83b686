"""The public page as people use it: Guus starts unasked on his telephone, Anna's department picks it up and answers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.journeys.people import Watched, device, sign_in
from tests.journeys.running import RunningDemo

CODE = r"\b(\d{6})\b"
WORDS = {
    "nl": {
        "next": "Volgende",
        "department": "Klachtenafdeling",
        "employee": "Een medewerker van wie ik het e-mailadres weet",
        "add": "Voeg toe",
        "send": "Versturen",
        "received": "Wij hebben het ontvangen",
        "picked_up": "Door ons bekeken",
        "handled": "Afgehandeld",
        "mark": "Markeer als afgehandeld",
        "confirmed": "De afzender heeft het e-mailadres bevestigd",
    },
    "en": {
        "next": "Next",
        "department": "Klachtenafdeling",
        "employee": "An employee whose e-mail address I know",
        "add": "Add",
        "send": "Send",
        "received": "We have received it",
        "picked_up": "Opened by us",
        "handled": "Handled",
        "mark": "Mark as handled",
        "confirmed": "The sender confirmed the e-mail address",
    },
}


def _shot(page: Page, name: str) -> None:
    if folder := os.environ.get("ZEGELPOST_TEST_PICTURES"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def _introduce(watched: Watched, demo: RunningDemo, language: str, email: str, *, has_script: bool = True) -> None:
    """From the public page to adding documents."""
    page, words = watched.page, WORDS[language]

    def look() -> None:
        if has_script:
            watched.look()

    page.goto(demo.base_url + "/i")
    look()
    _shot(page, f"intake-start-{language}")
    page.get_by_role("link", name=words["next"]).click()
    look()
    page.get_by_role("button", name=words["next"]).click()
    expect(page.locator("#name-error")).to_be_visible()
    look()
    page.get_by_label(words["department"]).check()
    page.fill("#name", "Guus Gast")
    page.fill("#email", email)
    page.fill("#mobile", "06 12 34 56 99")
    page.fill("#subject", "Melding over de nachtdienst")
    _shot(page, f"intake-form-{language}")
    page.get_by_role("button", name=words["next"]).click()
    expect(page.locator("#code")).to_be_visible(timeout=30_000)
    look()
    code = demo.find(email, CODE)
    page.fill("#code", "000 000" if code != "000000" else "111 111")
    page.get_by_role("button", name=words["next"]).click()
    expect(page.locator("#code-error")).to_be_visible()
    look()
    _shot(page, f"intake-code-{language}")
    page.fill("#code", code)
    page.get_by_role("button", name=words["next"]).click()
    expect(page.locator("h1")).to_have_text("Melding over de nachtdienst")
    look()


@pytest.mark.parametrize(("language", "width"), [("nl", 390), ("en", 1280)])
def test_unasked_sent_picked_up_handled(demo: RunningDemo, chromium: Browser, tmp_path: Path, language: str, width: int) -> None:
    words, email = WORDS[language], f"guus-{language}@praktijk.example"
    report = tmp_path / "melding.pdf"
    report.write_bytes(b"%PDF-1.4\n" + b"inhoud " * 200_000)
    guus = Watched(device(chromium, language, width).new_page())
    _introduce(guus, demo, language, email)
    guus.page.fill("#note", "Er was die nacht niemand op de afdeling.")
    guus.page.set_input_files("#documents", report)
    guus.page.get_by_role("button", name=words["send"], exact=True).click()
    expect(guus.page.get_by_text(words["received"])).to_be_visible(timeout=30_000)
    guus.look()
    _shot(guus.page, f"intake-sent-{language}")

    anna = Watched(device(chromium, language, width).new_page())
    sign_in(anna.page, demo, "anna@zegelpost.example", "/received")
    anna.page.get_by_role("link", name="Melding over de nachtdienst").first.click()
    expect(anna.page.get_by_text(words["confirmed"])).to_be_visible()
    anna.look()
    _shot(anna.page, f"intake-received-{language}")
    guus.page.reload()
    expect(guus.page.get_by_text(words["picked_up"])).to_be_visible()
    anna.page.get_by_role("button", name=words["mark"]).click()
    guus.page.reload()
    expect(guus.page.get_by_text(words["handled"])).to_be_visible()

    # Another day, on another device, by the link from the mail.
    elsewhere = Watched(device(chromium, language, width).new_page())
    elsewhere.page.goto(demo.find(email, r"(?m)^(http://127\.0\.0\.1:\d+/i/[a-z2-7]{26}#[a-z2-7]{32})$"))
    elsewhere.look()
    elsewhere.page.locator("main form .zp-actions button").first.click()
    expect(elsewhere.page.get_by_text("melding.pdf")).to_be_visible()
    elsewhere.look()


@pytest.mark.parametrize("language", ["nl", "en"])
def test_it_works_without_script(demo: RunningDemo, chromium: Browser, tmp_path: Path, language: str) -> None:
    report = tmp_path / "melding.pdf"
    report.write_bytes(b"%PDF-1.4\nkort")
    guus = Watched(device(chromium, language, 390, has_script=False).new_page())
    _introduce(guus, demo, language, f"zonder-{language}@praktijk.example", has_script=False)
    guus.page.set_input_files("#documents-plain", report)
    guus.page.get_by_role("button", name=WORDS[language]["add"], exact=True).click()
    expect(guus.page.get_by_text("melding.pdf").first).to_be_visible()
    guus.page.get_by_role("button", name=WORDS[language]["send"], exact=True).click()
    expect(guus.page.get_by_text(WORDS[language]["received"])).to_be_visible()
