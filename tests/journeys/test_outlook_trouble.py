"""What goes wrong between Outlook, the line and the server, and what it means for the draft."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, Route, expect
from tests.journeys.outlook_desk import LINK, WORDS, draft, drop, findings, send, shot, sign_in_by_the_dialog
from tests.journeys.people import device, sign_in
from tests.journeys.running import RunningDemo


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


def test_pause_go_on_and_stop(demo: RunningDemo, chromium: Browser, tmp_path: Path) -> None:
    big = tmp_path / "film.mp4"
    with big.open("wb") as file:
        file.truncate(400_000_000)
    with draft(demo, chromium, to="rust@zorg.example") as (page, pane):
        pane.locator("#mobile-0").fill("0612345678")
        pane.locator("#files").set_input_files(big)
        pane.locator("#send").click()
        bar = pane.locator("progress[aria-label='film.mp4']")
        expect(bar).to_be_visible(timeout=30_000)
        pane.locator("#pause").click()
        expect(pane.get_by_text("film.mp4: staat stil")).to_be_visible()
        assert findings(page) == []
        shot(page, "outlook-paused")
        stands = bar.evaluate("(each) => each.value")
        page.wait_for_timeout(700)
        assert bar.evaluate("(each) => each.value") == stands
        # Nothing can be changed meanwhile.
        assert pane.locator("#mobile-0").evaluate("(each) => each.closest('[inert]') !== null")
        pane.get_by_role("button", name="Ga door").click()
        expect(pane.get_by_text("film.mp4: staat stil")).to_have_count(0)
        pane.locator("#stop").click()
        expect(pane.locator("[role=alert]").first).to_contain_text("Er is niets verstuurd")
        assert page.evaluate("[mailbox.attachments.length, mailbox.to.length, Object.keys(mailbox.headers).length]") == [1, 1, 0]
        assert page.evaluate("Object.values(mailbox.notices).join()") == ""
        # What is taken out now does not go along.
        pane.get_by_role("button", name="Verwijder film.mp4").click()
        send(pane, timeout=60_000)
    assert demo.find("rust@zorg.example", LINK)
    recipient = device(chromium, "nl", 1280).new_page()
    sign_in(recipient, demo, "anna@zegelpost.example", "/sent")
    recipient.get_by_role("link", name="Besluit in uw dossier").first.click()
    expect(recipient.get_by_text("besluit.pdf").first).to_be_visible()
    expect(recipient.get_by_text("film.mp4")).to_have_count(0)
    recipient.context.close()


def test_a_sending_of_which_the_answer_gets_lost_is_not_done_twice(demo: RunningDemo, chromium: Browser) -> None:
    def lose(route: Route) -> None:
        route.fetch()
        route.abort()

    with draft(demo, chromium, to="kwijt@zorg.example") as (page, pane):
        pane.locator("#mobile-0").fill("0612345678")
        page.route("**/api/v1/transfers/*/send", lose, times=1)
        pane.locator("#send").click()
        expect(pane.locator("[role=alert]").first).to_contain_text(WORDS["nl"]["away"])
        assert page.evaluate("mailbox.attachments.length") == 1
        send(pane)
        assert page.evaluate("mailbox.attachments.length") == 0
    assert demo.find("kwijt@zorg.example", LINK)
    assert len([entry for entry in demo.outbox() if entry["to"] == "kwijt@zorg.example"]) == 1


def test_an_outlook_that_fails_is_told_with_a_line_for_the_help_desk(demo: RunningDemo, chromium: Browser) -> None:
    with draft(demo, chromium, "mac", to="stuk@zorg.example") as (page, pane):
        pane.locator("#mobile-0").fill("0612345678")
        page.evaluate("mailbox.failing.add('body')")
        pane.locator("#send").click()
        expect(pane.locator("[role=alert]").first).to_contain_text("Outlook gaf geen antwoord")
        expect(pane.get_by_text("StandIn Mac 1.0.0, text: failed")).to_be_visible()
        assert findings(page) == []
        page.evaluate("mailbox.failing.clear()")
        send(pane)


def test_an_outlook_that_is_slow_gets_there(demo: RunningDemo, chromium: Browser) -> None:
    with draft(demo, chromium, "new", to="traag@zorg.example") as (page, pane):
        pane.locator("#mobile-0").fill("0612345678")
        page.evaluate("mailbox.delayMs = 300")
        send(pane, timeout=60_000)
        assert page.evaluate("mailbox.attachments.length") == 0


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
        shot(page, "outlook-replaced")
        send(pane)
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
        sign_in_by_the_dialog(page, pane.locator("#send"))
        expect(pane.locator("#done")).to_be_visible(timeout=60_000)
    assert demo.find("lijn@zorg.example", LINK)


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
