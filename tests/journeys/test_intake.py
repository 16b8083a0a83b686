"""The public page as people use it: Guus starts unasked on his telephone, Anna's department picks it up and answers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.journeys.line import Line
from tests.journeys.people import EVERYWHERE, Watched, device, sign_in
from tests.journeys.running import RunningDemo
from tests.web.small_files import with_macros

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
        "paused": "Gepauzeerd bij ",
        "arrived": "Ontvangen",
        "held": "Wij houden dit tegen",
        "let_through": "Doorlaten",
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
        "paused": "Paused at ",
        "arrived": "Received",
        "held": "We hold this back",
        "let_through": "Let it through",
        "confirmed": "The sender confirmed the e-mail address",
    },
}


MOBILE = "+31612345699"


@pytest.fixture(scope="module")
def chromium(chromium_over_the_line: Browser) -> Browser:
    return chromium_over_the_line


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


@pytest.mark.parametrize(("language", "width"), EVERYWHERE)
def test_unasked_sent_picked_up_handled(  # noqa: PLR0915 - a journey is long, and each step stands on the one before
    demo: RunningDemo, chromium: Browser, line: Line, tmp_path: Path, language: str, width: int
) -> None:
    words, email = WORDS[language], f"guus-{language}-{width}@praktijk.example"
    report = tmp_path / "melding.pdf"
    report.write_bytes(b"%PDF-1.4\n" + b"inhoud " * 400_000)
    form = tmp_path / "formulier.docx"
    form.write_bytes(with_macros("docx"))
    guus = Watched(device(chromium, language, width).new_page())
    _introduce(guus, demo, language, email)
    guus.page.fill("#note", "Er was die nacht niemand op de afdeling.")
    line.bytes_per_second = 1_500_000
    guus.page.set_input_files("#documents", report)
    row = guus.page.locator("[data-list] > li", has_text="melding.pdf")
    row.locator("[data-action=pause]").click()
    expect(row).to_contain_text(words["paused"])
    guus.look()
    line.bytes_per_second = None
    row.locator("[data-action=resume]").click()
    expect(row).to_contain_text(words["arrived"])
    guus.page.set_input_files("#documents", form)
    expect(guus.page.locator("[data-list] > li", has_text="formulier.docx")).to_contain_text(words["held"])
    guus.look()
    _shot(guus.page, f"intake-held-{language}-{width}")
    guus.page.get_by_role("button", name=words["send"], exact=True).click()
    expect(guus.page.get_by_text(words["received"])).to_be_visible(timeout=30_000)
    guus.look()
    _shot(guus.page, f"intake-sent-{language}-{width}")

    anna = Watched(device(chromium, language, width).new_page())
    sign_in(anna.page, demo, "anna@zegelpost.example", "/received")
    anna.page.get_by_role("link", name="Melding over de nachtdienst").first.click()
    expect(anna.page.get_by_text(words["confirmed"])).to_be_visible()
    anna.look()
    _shot(anna.page, f"intake-received-{language}-{width}")
    anna.page.get_by_role("link", name=words["let_through"]).click()
    expect(anna.page.locator("h1")).to_contain_text("?")
    anna.look()
    anna.page.get_by_role("button", name=words["let_through"]).click()
    expect(anna.page.locator("li.zp-document", has_text="formulier.docx")).to_be_visible()
    anna.look()
    guus.page.reload()
    expect(guus.page.get_by_text(words["picked_up"])).to_be_visible()
    with anna.page.expect_navigation():
        anna.page.get_by_role("button", name=words["mark"]).click()
    guus.page.reload()
    expect(guus.page.get_by_text(words["handled"])).to_be_visible()

    # Anna answers, and he opens that with a code on the number he gave.
    anna.page.locator("a[href*='answers=']").click()
    anna.page.fill("#note", "Dank u. Wij zoeken het uit.")
    anna.page.locator("main form .zp-actions button").last.click()
    anna.page.wait_for_url("**/documents")
    anna.page.locator("a[href$='/check']").click()
    sms_count = sum(entry["kind"] == "sms" and entry["to"] == MOBILE for entry in demo.outbox())
    anna.page.locator("form[action$='/send'] button").click()
    anna.page.wait_for_url("**done=sent")
    anna.look()
    guus.page.goto(demo.find(email, r"(?m)^(http://127\.0\.0\.1:\d+/o/[a-z2-7]{26}#[a-z2-7]{32})$"))
    guus.page.locator("main form .zp-actions button").first.click()
    guus.page.locator("form[action$='/code'] button").first.click()
    guus.page.fill("#code", demo.wait_for("sms", MOBILE, more_than=sms_count)["text"][-6:])
    guus.page.locator("form[action$='/verify'] button").click()
    expect(guus.page.get_by_text("Wij zoeken het uit.")).to_be_visible()
    guus.look()

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
