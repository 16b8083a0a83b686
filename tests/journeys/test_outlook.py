"""The add-in in the stand-in Outlook of the demonstration: the real pane, guard, uploads and server, on each kind of client."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, FrameLocator, Page, expect
from tests.journeys.people import PASSWORD, device, sign_in
from tests.journeys.running import RunningDemo

LINK = r"(?m)^(http://127\.0\.0\.1:\d+/o/[a-z2-7]{26}#[a-z2-7]{32})$"
WORDS = {
    "nl": {"done": "Veilig verstuurd.", "sent": "al veilig verstuurd", "blocked": "heeft een bijlage", "away": "niet bereikbaar"},
    "en": {"done": "Sent securely.", "sent": "sent securely", "blocked": "has an attachment", "away": "cannot be reached"},
}


def _shot(page: Page, name: str) -> None:
    if folder := os.environ.get("ZEGELPOST_TEST_PICTURES"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


@contextmanager
def draft(
    demo: RunningDemo, chromium: Browser, client: str = "web", language: str = "nl", to: str = ""
) -> Iterator[tuple[Page, FrameLocator]]:
    """A draft with an attachment, and the pane beside it, signed in."""
    context: BrowserContext = device(chromium, language, 1280)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if "Content Security Policy" in message.text else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{demo.base_url}/demo/outlook?client={client}")
    if to:
        page.fill("#outlook-to", to)
        page.locator("#outlook-to").blur()
    page.locator("[data-open]").click()
    pane = page.frame_locator("[data-frame]")
    with page.expect_popup() as opened:
        pane.locator("#sign-in").click()
    dialog = opened.value
    dialog.fill("#email", "anna@zegelpost.example")
    dialog.fill("#password", PASSWORD)
    dialog.locator("main form button").click()
    yield page, pane
    assert complaints == []
    context.close()


def findings(page: Page) -> list[str]:
    """What axe finds in the pane, looked at as the page that it is."""
    frame = next(frame for frame in page.frames if "/addin/pane" in frame.url)
    axe = (Path(__file__).parents[2] / "backend/frontend/node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")
    frame.evaluate(axe)
    found: list[str] = frame.evaluate(
        """axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]})
           .then(({violations}) => violations.map((each) => each.id + ": " + each.nodes.map((node) => node.html).join(" ")))"""
    )
    return found


@pytest.mark.parametrize(("language", "scheme"), [("nl", "light"), ("en", "dark")])
def test_from_the_draft_to_sent(demo: RunningDemo, chromium: Browser, language: str, scheme: str) -> None:
    words, email = WORDS[language], f"rosa-outlook-{language}@zorg.example"
    with draft(demo, chromium, language=language, to=f"{email}; bram@zegelpost.example") as (page, pane):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        # The guard stops the ordinary way.
        page.locator("[data-send]").click()
        expect(page.locator("[data-answer]")).to_contain_text(words["blocked"])
        # A missing number is asked at its recipient, and nothing has been sent.
        expect(pane.locator("#mobile-0")).to_be_visible()
        pane.locator("#send").click()
        expect(pane.locator("#mobile-0-error")).to_be_visible()
        assert findings(page) == []
        _shot(page, f"outlook-{language}-{scheme}")
        page.emulate_media(forced_colors="active")
        # Buttons and fields keep an edge where colours are the reader's own.
        edge = pane.locator("#send").evaluate("(each) => getComputedStyle(each).borderTopWidth")
        assert edge != "0px"
        _shot(page, f"outlook-{language}-forced")
        page.emulate_media(forced_colors="none")
        assert not [entry for entry in demo.outbox() if entry["to"] == email]
        pane.locator("#mobile-0").fill("06 12 34 56 78")
        pane.locator("#keep-0").check()
        pane.locator("#send").click()
        expect(pane.locator("#done")).to_have_text(words["done"], timeout=20_000)
        assert findings(page) == []
        assert demo.find(email, LINK)
        # The draft is empty, marked, and does not go out again.
        state = page.evaluate(
            "(({to, cc, attachments, headers, isClosed}) => ({to, cc, attachments, headers, isClosed}))(mailbox)"
        )
        assert (state["to"], state["cc"], state["attachments"], state["isClosed"]) == ([], [], [], True)
        assert state["headers"]["x-zegelpost-transfer"]
        page.locator("[data-send]").dispatch_event("click")
        expect(page.locator("[data-answer]")).to_contain_text(words["sent"])

    # The number is known from now on: one click to open, one to send.
    with draft(demo, chromium, language=language, to=email) as (page, pane):
        expect(pane.locator("#mobile-0")).to_have_value("+31612345678")
        pane.locator("#send").click()
        expect(pane.locator("#done")).to_be_visible(timeout=20_000)


@pytest.mark.parametrize("client", ["classic", "new", "mac"])
def test_each_client_gets_there(demo: RunningDemo, chromium: Browser, client: str) -> None:
    with draft(demo, chromium, client, to=f"{client}@zorg.example") as (page, pane):
        pane.locator("#mobile-0").fill("0612345678")
        pane.locator("#send").click()
        expect(pane.locator("#done")).to_be_visible(timeout=20_000)
        # Where Outlook cannot close it, the draft is empty all the same.
        assert page.evaluate("mailbox.isClosed") == (client == "new")
        assert page.evaluate("mailbox.attachments.length") == 0


def drop(pane: FrameLocator, file: Path) -> None:
    """Let a file fall on the drop zone, as the mouse does."""
    zone = pane.locator(".zp-drop")
    zone.evaluate(
        """(each) => {
             const picker = document.createElement('input')
             Object.assign(picker, { type: 'file', id: 'from-the-desktop', className: 'zp-hidden' })
             each.after(picker)
           }"""
    )
    pane.locator("#from-the-desktop").set_input_files(file)
    zone.evaluate(
        """(each) => {
             const picker = document.getElementById('from-the-desktop')
             const dataTransfer = new DataTransfer()
             for (const file of picker.files) dataTransfer.items.add(file)
             picker.remove()
             const over = new DragEvent('dragover', { dataTransfer, bubbles: true, cancelable: true })
             if (each.dispatchEvent(over)) throw new Error('files may not be dropped here')
             each.dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }))
           }"""
    )


def test_a_gibibyte_by_the_drop_zone_over_a_line_that_drops(demo: RunningDemo, chromium: Browser, tmp_path: Path) -> None:
    big = tmp_path / "beelden.dcm"
    with big.open("wb") as file:
        file.truncate(1024**3)
    with draft(demo, chromium, to="groot@zorg.example") as (page, pane):
        pane.locator("#mobile-0").fill("0612345678")
        drop(pane, big)
        expect(pane.locator(".zp-row", has_text="beelden.dcm")).to_be_visible()
        pane.locator("#send").click()
        expect(pane.get_by_text("beelden.dcm: ").first).to_be_visible(timeout=30_000)
        expect(pane.locator("progress[aria-label='beelden.dcm']")).not_to_have_attribute("value", "0", timeout=30_000)
        assert page.evaluate("Object.values(mailbox.notices).join()") != ""
        page.context.set_offline(True)
        expect(pane.get_by_text("wacht op de verbinding").first).to_be_visible(timeout=30_000)
        page.context.set_offline(False)
        expect(pane.locator("#done")).to_be_visible(timeout=180_000)
        assert page.evaluate("Object.values(mailbox.notices).join()") == ""
    assert demo.find("groot@zorg.example", LINK)


def test_an_outlook_that_hands_over_no_attachments(demo: RunningDemo, chromium: Browser, tmp_path: Path) -> None:
    """Outlook on the web of Exchange on-premises: no attachments, no headers, no closing. The picker works there."""
    own = tmp_path / "besluit.pdf"
    own.write_bytes(b"%PDF-1.4\nbesluit")
    with draft(demo, chromium, "onprem", to="onprem@zorg.example") as (page, pane):
        expect(pane.get_by_text("geeft bijlagen niet door")).to_be_visible()
        pane.locator("#mobile-0").fill("0612345678")
        pane.locator("#files").set_input_files(own)
        pane.locator("#send").click()
        expect(pane.locator("#done")).to_be_visible(timeout=20_000)
        assert page.evaluate("mailbox.to.length") == 0
    assert demo.find("onprem@zorg.example", LINK)


def test_a_draft_in_a_shared_mailbox_goes_out_for_its_department(demo: RunningDemo, chromium: Browser) -> None:
    with draft(demo, chromium, to="gedeeld@zorg.example") as (page, pane):
        expect(pane.locator("#department")).to_have_value("")
        page.evaluate("mailbox.from = {displayName: 'Klachten', emailAddress: 'Klachten@zegelpost.example'}")
        pane.locator("#mobile-0").fill("0612345678")
        pane.locator("#send").click()
        expect(pane.locator("#done")).to_be_visible(timeout=20_000)
    mail = demo.find("gedeeld@zorg.example", r"(Klachtenafdeling)")
    assert mail


def test_a_file_that_outlook_keeps_is_replaced_by_the_file_itself(demo: RunningDemo, chromium: Browser, tmp_path: Path) -> None:
    own = tmp_path / "Besluit.pdf"
    own.write_bytes(b"%PDF-1.4\nhet besluit zelf")
    with draft(demo, chromium, to="zelf@zorg.example; bram@zegelpost.example") as (page, pane):
        pane.locator("#mobile-0").fill("0612345678")
        page.evaluate("mailbox.attachments[0].content = ''")
        pane.locator("#send").click()
        expect(pane.locator("[role=alert]").first).to_contain_text("besluit.pdf: Outlook geeft dit bestand niet")
        expect(pane.locator(".zp-row .zp-warning")).to_contain_text("Voeg het hieronder zelf toe")
        drop(pane, own)
        expect(pane.get_by_text("gaat in plaats hiervan mee")).to_be_visible()
        expect(pane.locator("[role=alert]").first).to_be_hidden()
        assert findings(page) == []
        _shot(page, "outlook-replaced")
        pane.locator("#send").click()
        expect(pane.locator("#done")).to_be_visible(timeout=20_000)
        assert page.evaluate("mailbox.attachments.length") == 0
    bram = device(chromium, "nl", 1280).new_page()
    sign_in(bram, demo, "bram@zegelpost.example", "/received")
    bram.get_by_role("link", name="Besluit in uw dossier").first.click()
    expect(bram.get_by_text("Besluit.pdf", exact=True).first).to_be_visible()
    expect(bram.get_by_text("besluit.pdf", exact=True)).to_have_count(0)
    bram.context.close()


def test_a_line_that_drops_and_a_token_that_runs_out(demo: RunningDemo, chromium: Browser, tmp_path: Path) -> None:
    big = tmp_path / "beelden.dcm"
    with big.open("wb") as file:
        file.truncate(200_000_000)
    with draft(demo, chromium, to="lijn@zorg.example") as (page, pane):
        pane.locator("#mobile-0").fill("0612345678")
        pane.locator("#files").set_input_files(big)
        page.context.set_offline(True)
        pane.locator("#send").click()
        expect(pane.locator("[role=alert]").first).to_contain_text(WORDS["nl"]["away"])
        page.context.set_offline(False)
        # Signed out everywhere meanwhile: the pane asks to sign in again, and nothing that was typed is lost.
        other = page.context.new_page()
        other.goto(demo.base_url + "/account")
        other.locator("form[action='/account/sign-out-everywhere'] button").click()
        with page.expect_popup() as opened:
            pane.locator("#send").click()
        opened.value.fill("#email", "anna@zegelpost.example")
        opened.value.fill("#password", PASSWORD)
        opened.value.locator("main form button").click()
        expect(pane.locator("#done")).to_be_visible(timeout=60_000)
    assert demo.find("lijn@zorg.example", LINK)


def test_what_became_of_it_without_leaving_outlook(demo: RunningDemo, chromium: Browser) -> None:
    with draft(demo, chromium, language="en", to="later@zorg.example") as (page, pane):
        pane.locator("#mobile-0").fill("0612345678")
        pane.locator("#send").click()
        expect(pane.locator("#done")).to_be_visible(timeout=20_000)
        pane.locator("#status summary").click()
        expect(pane.get_by_text("0 of 1 opened").first).to_be_visible()
        expect(pane.locator(".zp-people").first).to_have_text("later@zorg.example: not opened yet")
        assert findings(page) == []
        pane.get_by_role("button", name="Extend four weeks").first.click()
        expect(pane.get_by_text("Available four weeks longer.")).to_be_visible()
        pane.get_by_role("button", name="Revoke").first.click()
        expect(pane.get_by_text("Are you sure?")).to_be_visible()
        pane.get_by_role("button", name="Revoke").first.click()
        expect(pane.get_by_text("Revoked.").first).to_be_visible()
        _shot(page, "outlook-status")


def test_a_standard_text_and_no_text_of_the_mail(demo: RunningDemo, chromium: Browser) -> None:
    page = device(chromium, "nl", 1280).new_page()
    sign_in(page, demo, "anna@zegelpost.example", "/templates/new")
    page.fill("#name", "Bij een besluit")
    page.fill("#text", "U kunt bezwaar maken.")
    page.locator("main form button").last.click()
    page.context.close()
    with draft(demo, chromium, to="tekst@zorg.example; bram@zegelpost.example") as (opened, pane):
        pane.locator("#mobile-0").fill("0612345678")
        pane.locator("summary").first.click()
        pane.locator("#template").select_option(label="Bij een besluit")
        pane.locator("#note").uncheck()
        pane.locator("#reference").fill("Z-2026-1")
        pane.locator("#expiry").fill("7")
        assert findings(opened) == []
        # A number that is none is told by the server, in words, and mended without beginning anew.
        pane.locator("#mobile-0").fill("020 123 45 67")
        pane.locator("#send").click()
        expect(pane.locator("[role=alert]").first).to_contain_text("geen mobiel nummer")
        pane.locator("#mobile-0").fill("0612345678")
        pane.locator("#send").click()
        expect(pane.locator("#done")).to_be_visible(timeout=20_000)
    bram = device(chromium, "nl", 1280).new_page()
    sign_in(bram, demo, "bram@zegelpost.example", "/received")
    bram.get_by_role("link", name="Besluit in uw dossier").first.click()
    expect(bram.get_by_text("U kunt bezwaar maken.")).to_be_visible()
    expect(bram.get_by_text("Hierbij het besluit.")).to_have_count(0)
    expect(bram.get_by_text("Z-2026-1")).to_be_visible()
    bram.context.close()


def test_when_it_fails_the_draft_is_as_it_was(chromium: Browser, tmp_path: Path) -> None:
    demo = RunningDemo(tmp_path / "data")
    demo.start()
    try:
        with draft(demo, chromium, to="weg@zorg.example") as (page, pane):
            pane.locator("#mobile-0").fill("0612345678")
            # Outlook gives no bytes, as data-loss software makes it do.
            page.evaluate("mailbox.failing.add('getAttachmentContentAsync')")
            pane.locator("#send").click()
            expect(pane.locator("[role=alert]").first).to_contain_text("Outlook geeft dit bestand niet")
            page.evaluate("mailbox.failing.clear()")
            demo.kill()
            pane.locator("#send").click()
            expect(pane.locator("[role=alert]").first).to_contain_text(WORDS["nl"]["away"])
            assert page.evaluate("mailbox.attachments.length") == 1
            assert page.evaluate("mailbox.to[0].emailAddress") == "weg@zorg.example"
            assert page.evaluate("Object.keys(mailbox.headers).length") == 0
            # Back again: the same button goes on.
            demo.start()
            pane.locator("#send").click()
            expect(pane.locator("#done")).to_be_visible(timeout=30_000)
        assert demo.find("weg@zorg.example", LINK)
    finally:
        demo.stop()


def test_a_draft_that_outlook_cannot_empty_does_not_leave(demo: RunningDemo, chromium: Browser) -> None:
    with draft(demo, chromium, to="vast@zorg.example") as (page, pane):
        pane.locator("#mobile-0").fill("0612345678")
        page.evaluate("mailbox.failing.add('removeAttachmentAsync')")
        pane.locator("#send").click()
        expect(pane.get_by_text("kon het concept niet leegmaken")).to_be_visible(timeout=20_000)
        assert page.evaluate("mailbox.attachments.length") == 1
        page.locator("[data-send]").click()
        expect(page.locator("[data-answer]")).to_contain_text("al veilig verstuurd")


def test_beside_a_mail_that_came_in(demo: RunningDemo, chromium: Browser) -> None:
    page = device(chromium, "nl", 1280).new_page()
    page.goto(f"{demo.base_url}/demo/outlook?mode=read")
    page.locator("[data-open]").click()
    pane = page.frame_locator("[data-frame]")
    expect(pane.get_by_role("button", name="Antwoord Rosa Visser veilig")).to_be_visible()
    assert findings(page) == []
    sign_in(page.context.new_page(), demo, "anna@zegelpost.example")
    with page.expect_popup() as opened:
        pane.get_by_role("button", name="Vraag Rosa Visser om documenten").click()
    asked = opened.value
    expect(asked.locator("#email")).to_have_value("rosa@zorg.example")
    expect(asked.locator("#subject")).to_have_value("Vraag over mijn dossier")
    assert asked.url.endswith("/requests/new")
    with page.expect_popup() as opened:
        pane.get_by_role("button", name="Antwoord Rosa Visser veilig").click()
    expect(opened.value.locator("#recipient-0-email")).to_have_value("rosa@zorg.example")
    expect(opened.value.locator("#subject")).to_have_value("Re: Vraag over mijn dossier")
    page.context.close()
