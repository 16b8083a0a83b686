"""From a draft in the stand-in Outlook to a transfer that was sent: the real pane, guard, uploads and server."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect
from tests.journeys.outlook_desk import LINK, WORDS, address, draft, findings, send, shot
from tests.journeys.people import device, sign_in
from tests.journeys.running import RunningDemo


@pytest.mark.parametrize(("language", "scheme"), [("nl", "light"), ("en", "dark")])
def test_from_the_draft_to_sent(demo: RunningDemo, chromium: Browser, language: str, scheme: str) -> None:
    words, email = WORDS[language], f"rosa-outlook-{language}@zorg.example"
    with draft(demo, chromium, language=language, to=f"{email}; bram@zegelpost.example") as (page, pane):
        # Outlook's own theme counts, whatever the device's is.
        page.emulate_media(color_scheme="light" if scheme == "dark" else "dark")
        page.locator("#outlook-dark").set_checked(scheme == "dark")
        paper = pane.locator("body").evaluate("(each) => getComputedStyle(each).backgroundColor")
        assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(41, 41, 41)"}[scheme]
        # The guard stops the ordinary way.
        page.locator("[data-send]").click()
        expect(page.locator("[data-answer]")).to_contain_text(words["blocked"])
        # A missing number is asked at its recipient, and nothing has been sent.
        expect(pane.locator("#mobile-0")).to_be_visible()
        pane.locator("#send").click()
        expect(pane.locator("#mobile-0-error")).to_be_visible()
        assert findings(page) == []
        shot(page, f"outlook-{language}-{scheme}")
        page.emulate_media(forced_colors="active")
        # Buttons and fields keep an edge where colours are the reader's own.
        edge = pane.locator("#send").evaluate("(each) => getComputedStyle(each).borderTopWidth")
        assert edge != "0px"
        shot(page, f"outlook-{language}-forced")
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
        send(pane)

    # Another number is offered to be saved as well, and takes the place of the one before.
    with draft(demo, chromium, language=language, to=email) as (page, pane):
        expect(pane.locator("#keep-0")).to_be_hidden()
        pane.locator("#mobile-0").fill("06 87 65 43 21")
        pane.locator("#keep-0").check()
        send(pane)
    with draft(demo, chromium, language=language, to=email) as (page, pane):
        expect(pane.locator("#mobile-0")).to_have_value("+31687654321")
        expect(pane.locator("#mobile-0-hint")).to_contain_text(words["saved"])


def test_colleagues_outsiders_and_a_list_each_get_what_is_theirs(demo: RunningDemo, chromium: Browser) -> None:
    with draft(demo, chromium, to="bram@zegelpost.example; rosa-los@zorg.example; lijst@zegelpost.example") as (page, pane):
        # A list of our own domain may hide anyone.
        expect(pane.locator(".zp-row", has_text="lijst@zegelpost.example")).to_contain_text("Vul de mensen apart in")
        expect(pane.locator(".zp-row", has_text="bram@")).to_contain_text("zonder code")
        expect(pane.locator("input[type=tel]")).to_have_count(1)
        pane.locator("input[type=tel]").fill("0612345678")
        pane.locator("#send").click()
        expect(pane.locator("[role=alert]").first).to_contain_text("Een lijst kan niet")
        assert findings(page) == []
        # What changes in the draft shows in the pane, and what was typed there stays.
        address(page, "bram@zegelpost.example; rosa-los@zorg.example")
        expect(pane.locator(".zp-row", has_text="lijst@")).to_have_count(0)
        expect(pane.locator("[role=alert]:visible")).to_have_count(0)
        expect(pane.locator("input[type=tel]")).to_have_value("0612345678")
        send(pane)
    assert demo.find("rosa-los@zorg.example", LINK)
    assert "#" not in demo.find("bram@zegelpost.example", r"(?m)^(http\S+/received/\S+)$")


def test_a_subject_and_a_sender_that_outlook_does_not_tell_of_show_by_themselves(demo: RunningDemo, chromium: Browser) -> None:
    with draft(demo, chromium, to="stil@zorg.example") as (page, pane):
        page.fill("#outlook-subject", "Een ander onderwerp")
        page.fill("#outlook-from", "klachten@zegelpost.example")
        page.locator("#outlook-from").blur()
        expect(pane.get_by_text("Onderwerp: Een ander onderwerp")).to_be_visible()
        expect(pane.locator("#department option:checked")).to_have_text("Klachtenafdeling")
        # Whoever came in just before sending is asked about all the same.
        pane.locator("#mobile-0").fill("0612345678")
        newcomer = {"displayName": "Nieuw", "emailAddress": "nieuw@elders.example", "recipientType": "externalUser"}
        page.evaluate("(newcomer) => { mailbox.to = [...mailbox.to, newcomer] }", newcomer)
        pane.locator("#send").click()
        expect(pane.locator("#mobile-1-error")).to_have_text("Vul een mobiel nummer in.")
        expect(pane.locator("#mobile-1")).to_be_focused()
    assert not [entry for entry in demo.outbox() if entry["to"] == "stil@zorg.example"]


def test_the_others_get_it_now_and_who_has_no_number_gets_it_from_the_pane_later(demo: RunningDemo, chromium: Browser) -> None:
    rosa, sam = "rosa-nu@zorg.example", "sam-later@zorg.example"
    with draft(demo, chromium, to=f"{rosa}; {sam}") as (page, pane):
        pane.locator("#mobile-0").fill("0612345678")
        # Offered to whoever is stuck on a number, also one that the server refuses.
        expect(pane.locator("#park-1")).to_have_count(0)
        pane.locator("#mobile-1").fill("020 123 45 67")
        pane.locator("#send").click()
        expect(pane.locator("#mobile-1-error")).to_contain_text("geen mobiel nummer")
        expect(pane.locator("#mobile-1")).to_be_focused()
        expect(pane.locator("#mobile-0-error")).to_be_hidden()
        pane.locator("#park-1").check()
        assert findings(page) == []
        shot(page, "outlook-parked")
        send(pane)
        expect(pane.get_by_text(f"Nog niet verstuurd aan {sam}")).to_be_visible()
        assert demo.find(rosa, LINK)
        assert not [entry for entry in demo.outbox() if entry["to"] == sam]
        # Without leaving Outlook.
        waiting = pane.locator("#status form")
        waiting.locator("input").fill("020 123 45 67")
        waiting.locator("button").click()
        expect(waiting.locator("[role=alert]")).to_contain_text("geen mobiel nummer")
        assert findings(page) == []
        waiting.locator("input").fill("0687654321")
        waiting.locator("input").press("Enter")
        expect(pane.get_by_text(f"Verstuurd aan {sam}.", exact=True)).to_be_visible()
        expect(waiting).to_have_count(0)
        expect(pane.get_by_text("Nog niet verstuurd")).to_have_count(0)
    assert demo.find(sam, LINK)


def test_a_landline_is_called_when_the_sender_says_so(demo: RunningDemo, chromium: Browser) -> None:
    with draft(demo, chromium, to="vast@kantoor.example") as (page, pane):
        expect(pane.locator("#call-0")).to_have_count(0)
        pane.locator("#mobile-0").fill("020 123 45 67")
        pane.locator("#send").click()
        expect(pane.locator("#mobile-0-error")).to_contain_text("telefoon")
        pane.locator("#call-0").check()
        assert findings(page) == []
        shot(page, "outlook-called")
        send(pane)
    recipient = device(chromium, "nl", 390).new_page()
    recipient.goto(demo.find("vast@kantoor.example", LINK))
    recipient.locator("[data-island=open] button").click()
    expect(recipient.locator("main")).to_contain_text("Wij bellen")
    recipient.context.close()


def test_a_draft_in_a_shared_mailbox_goes_out_for_its_department(demo: RunningDemo, chromium: Browser) -> None:
    with draft(demo, chromium, to="gedeeld@zorg.example") as (page, pane):
        expect(pane.locator("#department")).to_have_value("")
        page.evaluate("mailbox.from = {displayName: 'Klachten', emailAddress: 'Klachten@zegelpost.example'}")
        pane.locator("#mobile-0").fill("0612345678")
        send(pane)
    mail = demo.find("gedeeld@zorg.example", r"(Klachtenafdeling)")
    assert mail


def test_a_standard_text_and_no_text_of_the_mail(demo: RunningDemo, chromium: Browser) -> None:
    page = device(chromium, "nl", 1280).new_page()
    sign_in(page, demo, "anna@zegelpost.example", "/templates/new")
    page.fill("#name", "Bij een besluit")
    page.fill("#text", "U kunt bezwaar maken.")
    page.locator("main form button").last.click()
    page.context.close()
    with draft(demo, chromium, to="tekst@zorg.example; bram@zegelpost.example") as (opened, pane):
        pane.locator("#mobile-0").fill("0612345678")
        pane.locator("#more summary").click()
        expect(pane.locator("#note-hint")).to_contain_text("Hierbij het besluit.")
        pane.locator("#template").select_option(label="Bij een besluit")
        pane.locator("#note").uncheck()
        pane.locator("#reference").fill("Z-2026-1")
        # Not a number of days that is allowed: said beside it, and nothing is sent.
        pane.locator("#expiry").fill("nooit")
        pane.locator("#send").click()
        expect(pane.locator("#expiry-error")).to_contain_text("1 tot en met")
        expect(pane.locator("#expiry")).to_be_focused()
        pane.locator("#expiry").fill("7")
        assert findings(opened) == []
        # A number that is none is told by the server, in words, and mended without beginning anew.
        pane.locator("#mobile-0").fill("020 123 45 67")
        pane.locator("#send").click()
        expect(pane.locator("#mobile-0-error")).to_contain_text("geen mobiel nummer")
        pane.locator("#mobile-0").fill("0612345678")
        send(pane)
    bram = device(chromium, "nl", 1280).new_page()
    sign_in(bram, demo, "bram@zegelpost.example", "/received")
    bram.get_by_role("link", name="Besluit in uw dossier").first.click()
    expect(bram.get_by_text("U kunt bezwaar maken.")).to_be_visible()
    expect(bram.get_by_text("Hierbij het besluit.")).to_have_count(0)
    expect(bram.get_by_text("Z-2026-1")).to_be_visible()
    bram.context.close()
