"""A file request as people do it: Anna asks, Rosa sends on her telephone, Anna judges; and an answer to what was opened."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.journeys.people import EVERYWHERE, Watched, device, sign_in
from tests.journeys.running import RunningDemo

LINK = re.compile(r"^(http://127\.0\.0\.1:\d+/[or]/[a-z2-7]{26}#[a-z2-7]{32})$", re.MULTILINE)
WORDS = {
    "nl": {
        "ask": "Verzoek versturen",
        "close": "Sluiten",
        "closed": "Dit verzoek is gesloten.",
        "partly": "Deels beantwoord",
        "send": "Versturen",
        "received": "Wij hebben het ontvangen",
        "again": "Opnieuw vragen",
        "ask_again": "Vraag opnieuw",
        "add": "Iets toevoegen",
        "approve": "Goedkeuren",
        "approved": "Goedgekeurd",
        "opened": "Door ons bekeken",
        "wait": "Sommige documenten zijn nog onderweg",
        "answer": "Veilig antwoorden",
    },
    "en": {
        "ask": "Send the request",
        "close": "Close",
        "closed": "This request has been closed.",
        "partly": "Partly answered",
        "send": "Send",
        "received": "We have received it",
        "again": "Ask for it again",
        "ask_again": "Ask again",
        "add": "Add something",
        "approve": "Approve",
        "approved": "Approved",
        "opened": "Opened by us",
        "wait": "Some documents are still on their way",
        "answer": "Answer safely",
    },
}


def _shot(page: Page, name: str) -> None:
    if folder := os.environ.get("ZEGELPOST_TEST_PICTURES"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def _link(demo: RunningDemo, to: str, *, after: str = "") -> str:
    """The latest link mailed to this address, once it is another than `after`; receipts bring none."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        links = [
            found.group(1) for entry in demo.outbox() if entry["to"] == to and (found := LINK.search(entry["text"])) is not None
        ]
        if links and links[-1] != after:
            return links[-1]
        time.sleep(0.1)
    raise AssertionError(f"no link for {to}")


def _go_on(page: Page) -> None:
    page.locator("main form .zp-actions button").first.click()


@pytest.mark.parametrize(("language", "width"), EVERYWHERE)
def test_asked_sent_returned_approved(  # noqa: PLR0915 - a journey is long, and each step stands on the one before
    demo: RunningDemo, chromium: Browser, tmp_path: Path, language: str, width: int
) -> None:
    words = WORDS[language]
    email = f"rosa-{language}-{width}@zorg.example"
    diploma = tmp_path / "diploma.pdf"
    diploma.write_bytes(b"%PDF-1.4\n" + b"inhoud " * 300_000)
    second = tmp_path / "diploma beide kanten.pdf"
    second.write_bytes(b"%PDF-1.4\n" + b"beter " * 1000)

    staff = device(chromium, language, width)
    anna = Watched(staff.new_page())
    sign_in(anna.page, demo, "anna@zegelpost.example", "/requests")
    anna.look()
    anna.page.goto(demo.base_url + "/requests/new")
    anna.look()
    anna.page.get_by_role("button", name=words["ask"]).click()
    expect(anna.page.locator("#name-error")).to_be_visible()
    anna.look()
    anna.page.fill("#name", "Rosa Visser")
    anna.page.fill("#email", email)
    anna.page.fill("#subject", "Toetsing vakbekwaamheid")
    anna.page.fill("#note", "Beste mevrouw Visser,\n\nWij toetsen of u mag werken als verpleegkundige.")
    anna.page.fill("#items", "Kopie diploma\nVerklaring omtrent gedrag")
    anna.page.fill("#due_on", "2027-03-01")
    _shot(anna.page, f"request-form-{width}")
    anna.page.get_by_role("button", name=words["ask"]).click()
    expect(anna.page.locator("h1")).to_have_text("Toetsing vakbekwaamheid")
    anna.look()
    request_page = anna.page.url.split("?")[0]

    # Rosa: link, button, one page with everything.
    outsider = device(chromium, language, width)
    rosa = Watched(outsider.new_page())
    first = _link(demo, email)
    rosa.page.goto(first)
    rosa.look()
    _shot(rosa.page, f"request-landing-{width}")
    _go_on(rosa.page)
    expect(rosa.page.locator("h1")).to_have_text("Toetsing vakbekwaamheid")
    rosa.look()
    rosa.page.fill("#note", "Hierbij mijn diploma. De verklaring volgt.")
    # Sending while a document travels waits for it, and then goes by itself.
    rosa.page.set_input_files("#documents", diploma)
    rosa.page.get_by_label("Kopie diploma").check()
    _shot(rosa.page, f"request-answer-{width}")
    rosa.page.get_by_role("button", name=words["send"], exact=True).click()
    expect(rosa.page.get_by_text(words["received"])).to_be_visible()
    rosa.look()
    _shot(rosa.page, f"request-sent-{width}")

    # Anna reads it, and asks for one of them again.
    anna.page.goto(request_page)
    expect(anna.page.get_by_text(words["partly"])).to_be_visible()
    anna.page.locator("a[href^='/received/']").first.click()
    expect(anna.page.get_by_text("De verklaring volgt.")).to_be_visible()
    anna.look()
    _shot(anna.page, f"request-received-{width}")
    anna.page.goto(request_page)
    anna.page.get_by_text(words["again"]).first.click()
    anna.page.locator("textarea[name='reason']").first.fill("De achterkant ontbreekt.")
    anna.page.get_by_role("button", name=words["ask_again"]).first.click()
    expect(anna.page.get_by_text("De achterkant ontbreekt.")).to_be_visible()
    anna.look()
    _shot(anna.page, f"request-returned-{width}")

    rosa.page.goto(_link(demo, email, after=first))
    _go_on(rosa.page)
    expect(rosa.page.get_by_text("De achterkant ontbreekt.")).to_be_visible()
    expect(rosa.page.get_by_text(words["opened"])).to_be_visible()
    rosa.look()
    _shot(rosa.page, f"request-again-{width}")
    rosa.page.get_by_role("button", name=words["add"]).click()
    rosa.page.set_input_files("#documents", second)
    rosa.page.get_by_label("Kopie diploma").check()
    rosa.page.get_by_role("button", name=words["send"], exact=True).click()
    expect(rosa.page.get_by_text(words["received"])).to_be_visible()

    anna.page.goto(request_page)
    anna.page.get_by_role("button", name=words["approve"]).first.click()
    expect(anna.page.get_by_text(words["approved"], exact=True).first).to_be_visible()
    anna.look()
    with anna.page.expect_navigation():
        anna.page.get_by_role("button", name=words["close"], exact=True).click()
    anna.look()
    rosa.page.reload()
    expect(rosa.page.locator("main")).to_contain_text(words["closed"])
    rosa.look()
    staff.close()
    outsider.close()


def test_without_script_too(demo: RunningDemo, chromium: Browser, tmp_path: Path) -> None:
    document = tmp_path / "verklaring.pdf"
    document.write_bytes(b"%PDF-1.4\nverklaring")
    staff = device(chromium, "nl", 390, has_script=False)
    anna = staff.new_page()
    sign_in(anna, demo, "anna@zegelpost.example", "/requests/new")
    anna.fill("#name", "Sam Smit")
    anna.fill("#email", "sam-plain@advocaat.example")
    anna.fill("#subject", "Volmacht")
    anna.get_by_role("button", name="Verzoek versturen").click()

    outsider = device(chromium, "nl", 390, has_script=False)
    sam = outsider.new_page()
    address, _, secret = _link(demo, "sam-plain@advocaat.example").partition("#")
    sam.goto(address)
    sam.fill("#link_secret", secret)
    _go_on(sam)
    sam.set_input_files("#documents-plain", document)
    sam.get_by_role("button", name="Voeg toe").click()
    expect(sam.get_by_text("verklaring.pdf").first).to_be_visible()
    sam.fill("#note", "Dit is alles.")
    sam.get_by_role("button", name="Versturen", exact=True).click()
    expect(sam.get_by_text("Wij hebben het ontvangen")).to_be_visible()
    sam.get_by_role("button", name="Terugnemen").click()
    expect(sam.get_by_text("Door u teruggenomen")).to_be_visible()
    staff.close()
    outsider.close()


@pytest.mark.parametrize(("language", "width"), EVERYWHERE)
def test_answering_what_was_opened(demo: RunningDemo, chromium: Browser, tmp_path: Path, language: str, width: int) -> None:
    words = WORDS[language]
    email = f"rosa-answers-{language}-{width}@zorg.example"
    staff = device(chromium, language, width)
    anna = staff.new_page()
    sign_in(anna, demo, "anna@zegelpost.example", "/requests/new")
    csrf = anna.locator("input[name='csrf']").first.get_attribute("value")
    assert csrf
    number = f"+316{EVERYWHERE.index((language, width)) + 1}2345678"
    form: dict[str, str | float | bool] = {
        "csrf": csrf,
        "subject": "Besluit",
        "reference": "Z-9",
        "note": "Lees dit besluit.",
        "expires_in_days": "28",
        "language": language,
        "recipient-0-name": "Rosa Visser",
        "recipient-0-email": email,
        "recipient-0-mobile": number,
    }
    draft = anna.request.post(demo.base_url + "/transfers", form=form)
    transfer = re.search(r"/transfers/([a-z2-7]{26})", draft.url)
    assert transfer
    anna.request.post(f"{demo.base_url}/transfers/{transfer.group(1)}/send", form={"csrf": csrf})

    outsider = device(chromium, language, width)
    rosa = Watched(outsider.new_page())
    rosa.page.goto(_link(demo, email))
    _go_on(rosa.page)
    _go_on(rosa.page)
    code = re.search(r"#(\d{6})$", demo.wait_for("sms", number)["text"])
    assert code
    rosa.page.fill("#code", code.group(1))
    _go_on(rosa.page)
    expect(rosa.page.get_by_text("Lees dit besluit.")).to_be_visible()
    rosa.look()
    _shot(rosa.page, f"opened-{width}")
    rosa.page.get_by_role("button", name=words["answer"]).click()
    rosa.look()
    objection = tmp_path / "bezwaar.pdf"
    objection.write_bytes(b"%PDF-1.4\nbezwaar")
    rosa.page.set_input_files("#documents", objection)
    rosa.page.fill("#note", "Ik maak bezwaar.")
    _shot(rosa.page, f"answer-{width}")
    rosa.page.get_by_role("button", name=words["send"], exact=True).click()
    expect(rosa.page.get_by_text(words["received"])).to_be_visible()
    rosa.look()
    anna.goto(demo.base_url + "/received")
    anna.get_by_role("link", name="Re: Besluit").first.click()
    expect(anna.get_by_text("Ik maak bezwaar.")).to_be_visible()
    staff.close()
    outsider.close()
