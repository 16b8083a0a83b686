"""What everyone may read, in a browser: the manual from every footer, help, the statements; and the notices that people set."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, FilePayload, expect
from tests.journeys.people import EVERYWHERE, Watched, device, sign_in
from tests.journeys.running import RunningDemo

from zegelpost.web.handbook import CHAPTERS

LINK = r"(?m)^(http://127\.0\.0\.1:\d+/o/[a-z2-7]{26}#[a-z2-7]{32})$"
WORDS = {
    "nl": {"manual": "Handleiding", "save": "Bewaar", "saved": "Uw keuze is bewaard", "wrong": "Vul een aantal dagen in"},
    "en": {"manual": "Manual", "save": "Save", "saved": "Your choice has been saved", "wrong": "number of days"},
}


@pytest.mark.parametrize(("language", "width"), EVERYWHERE)
def test_every_page_for_everyone(demo: RunningDemo, chromium: Browser, language: str, width: int) -> None:
    reader = Watched(device(chromium, language, width).new_page())
    for path in ("/manual", *(f"/manual/{chapter}" for chapter in CHAPTERS), "/help", "/privacy", "/accessibility"):
        reader.page.goto(demo.base_url + path)
        expect(reader.page.locator("h1")).to_be_visible()
        reader.look()
        broken = "[...document.images].filter((each) => each.loading !== 'lazy' && each.complete && !each.naturalWidth).length"
        assert reader.page.evaluate(broken) == 0, path
        expect(reader.page.locator("footer").get_by_role("link", name=WORDS[language]["manual"])).to_be_visible()
    reader.page.goto(demo.base_url + "/.well-known/security.txt")
    reader.page.context.close()


@pytest.mark.parametrize(("language", "width"), EVERYWHERE)
def test_told_of_the_first_download(demo: RunningDemo, chromium: Browser, tmp_path: Path, language: str, width: int) -> None:
    words, email = WORDS[language], f"bericht-{language}-{width}@zorg.example"
    document = tmp_path / "besluit.pdf"
    document.write_bytes(b"%PDF-1.4\nbesluit")
    anna = Watched(device(chromium, language, width).new_page())
    sign_in(anna.page, demo, "anna@zegelpost.example", "/account")
    anna.look()
    anna.page.locator("#first_download").check()
    anna.page.fill("#unopened_days", "veel")
    anna.page.get_by_role("button", name=words["save"], exact=True).click()
    expect(anna.page.locator("#unopened_days-error")).to_be_visible()
    anna.look()
    anna.page.fill("#unopened_days", "3")
    anna.page.get_by_role("button", name=words["save"], exact=True).click()
    expect(anna.page.get_by_text(words["saved"])).to_be_visible()
    expect(anna.page.locator("#first_download")).to_be_checked()
    anna.look()

    csrf = anna.page.locator("input[name='csrf']").first.get_attribute("value")
    assert csrf
    number = f"+316{EVERYWHERE.index((language, width)) + 1}2345678"
    form: dict[str, str | float | bool] = {
        "csrf": csrf,
        "subject": "Besluit",
        "expires_in_days": "28",
        "language": language,
        "recipient-0-name": "Rosa Visser",
        "recipient-0-email": email,
        "recipient-0-mobile": number,
    }
    made = anna.page.request.post(demo.base_url + "/transfers", form=form)
    transfer = made.url.removesuffix("/documents")
    content: FilePayload = {"name": document.name, "mimeType": "application/pdf", "buffer": document.read_bytes()}
    anna.page.request.post(f"{transfer}/documents", multipart={"csrf": csrf, "documents": content})
    anna.page.request.post(f"{transfer}/send", form={"csrf": csrf})

    rosa = device(chromium, language, width).new_page()
    rosa.goto(demo.find(email, LINK))
    rosa.locator("main form .zp-actions button").first.click()
    rosa.locator("form[action$='/code'] button").first.click()
    rosa.fill("#code", demo.wait_for("sms", number)["text"][-6:])
    rosa.locator("form[action$='/verify'] button").click()
    with rosa.expect_download() as downloading:
        rosa.locator("a[href*='/documents/']").first.click()
    assert Path(downloading.value.path()).read_bytes() == document.read_bytes()

    told = demo.find("anna@zegelpost.example", f"({transfer})")
    anna.page.goto(told)
    expect(anna.page.get_by_text(email)).to_be_visible()
    anna.look()
