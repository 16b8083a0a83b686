"""Each kind of Outlook by itself: sending, the guard, and the copy for the sent items."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from tests.journeys.outlook_desk import CLIENTS, LINK, UNASKED, address, bring_a_file, desk, draft, findings, send, shot
from tests.journeys.running import RunningDemo

# Those that have `closeAsync` (set 1.14), and those that run a guard (set 1.12).
CLOSING = {"web", "new", "mac"}
GUARDED = {"web", "new", "mac", "classic"}


@pytest.mark.parametrize("client", CLIENTS)
def test_each_client_gets_there(demo: RunningDemo, chromium: Browser, client: str, tmp_path: Path) -> None:
    email = f"{client}@zorg.example"
    with draft(demo, chromium, client, to=email) as (page, pane):
        assert findings(page) == []
        if client == "onprem":
            # No attachments, no headers, no closing. The picker works there.
            expect(pane.get_by_text("geeft bijlagen niet door")).to_be_visible()
            expect(pane.get_by_text("besluit.pdf")).to_have_count(0)
        pane.locator("#mobile-0").fill("0612345678")
        bring_a_file(pane, client, tmp_path)
        send(pane)
        # Where Outlook cannot close it, the draft is empty all the same, and people read that it may go.
        assert page.evaluate("mailbox.isClosed") == (client in CLOSING)
        expect(pane.get_by_text("Gooi het weg" if client == "onprem" else "U kunt het weggooien")).to_be_visible()
        if client in CLOSING:
            return
        assert page.evaluate("mailbox.to.length") == 0
        assert "veilig verstuurd" in page.evaluate("mailbox.body")
        assert findings(page) == []
    assert demo.find(email, LINK)


@pytest.mark.parametrize("client", sorted(UNASKED))
def test_who_is_signed_in_and_knows_the_number_clicks_twice(demo: RunningDemo, chromium: Browser, client: str) -> None:
    """Also without tokens of Outlook's own: on a desktop the window opens by itself, knows who it is, and closes."""
    email = f"bekend-{client}@zorg.example"
    with draft(demo, chromium, client, to=email) as (page, pane):
        pane.locator("#mobile-0").fill("0612345678")
        pane.locator("#keep-0").check()
        send(pane)
        page.goto(f"{demo.base_url}/demo/outlook?client={client}")
        address(page, email)
        page.locator("[data-open]").click()
        send(pane)
        assert page.evaluate("mailbox.attachments.length") == 0
    # People who close the window have the button.
    with desk(chromium) as page:
        page.goto(f"{demo.base_url}/demo/outlook?client={client}")
        with page.expect_popup() as opened:
            page.locator("[data-open]").click()
        opened.value.close()
        expect(page.frame_locator("[data-frame]").locator("[role=alert]")).to_contain_text("niet ingelogd")
        expect(page.frame_locator("[data-frame]").locator("#sign-in")).to_be_enabled()


@pytest.mark.parametrize("client", CLIENTS)
def test_the_guard_stands_in_each_client_that_has_one(demo: RunningDemo, chromium: Browser, client: str) -> None:
    with desk(chromium) as page:
        page.goto(f"{demo.base_url}/demo/outlook?client={client}")
        page.locator("[data-send]").click()
        expect(page.locator("[data-answer]")).to_contain_text("heeft een bijlage" if client in GUARDED else "Outlook verstuurt")
        assert page.evaluate("mailbox.isClosed") == (client not in GUARDED)
        if client not in GUARDED:
            return
        # Outlook that keeps silent is stopped for too.
        page.evaluate("mailbox.silent.add('subject')")
        page.fill("#outlook-to", "bram@zegelpost.example")
        page.locator("#outlook-to").blur()
        page.locator("[data-send]").click()
        expect(page.locator("[data-answer]")).to_contain_text("kon deze e-mail niet controleren")
        page.evaluate("mailbox.silent.clear()")
        page.locator("[data-send]").click()
        expect(page.locator("[data-answer]")).to_contain_text("Outlook verstuurt de e-mail aan bram@zegelpost.example")


@pytest.mark.parametrize("client", CLIENTS)
def test_a_copy_without_secrets_for_the_sent_items(demo: RunningDemo, chromium: Browser, client: str, tmp_path: Path) -> None:
    email = f"kopie-{client}@zorg.example"
    with draft(demo, chromium, client, to=email) as (page, pane):
        pane.locator("#mobile-0").fill("0612345678")
        bring_a_file(pane, client, tmp_path)
        pane.locator("#more summary").click()
        pane.locator("#reference").fill("Z-2026-7")
        pane.locator("#copy").check()
        send(pane)
        expect(pane.get_by_text("De kopie gaat alleen naar uzelf")).to_be_visible()
        expect(pane.get_by_text("Haal eerst de bijlagen weg")).to_have_count(1 if client == "onprem" else 0)
        shot(page, f"outlook-copy-{client}")
        assert findings(page) == []
        # Kept for the next time, in the mailbox.
        assert page.evaluate("mailbox.settings.keepsCopy") == "yes"
        copy = page.evaluate(
            "(({to, cc, bcc, attachments, body, isClosed}) => ({to, cc, bcc, attachments, body, isClosed}))(mailbox)"
        )
        assert [each["emailAddress"] for each in copy["to"]] == ["anna@zegelpost.example"]
        assert (copy["cc"], copy["bcc"], copy["isClosed"]) == ([], [], False)
        link = demo.find(email, LINK)
        assert link.rpartition("#")[2] not in copy["body"]
        assert "Hierbij het besluit" not in copy["body"]
        assert email in copy["body"]
        assert "Z-2026-7" in copy["body"]
        if client in GUARDED:
            # To somebody outside it does not leave.
            page.fill("#outlook-to", email)
            page.locator("#outlook-to").blur()
            page.locator("[data-send]").click()
            expect(page.locator("[data-answer]")).to_contain_text("al veilig verstuurd")
            page.fill("#outlook-to", "anna@zegelpost.example")
            page.locator("#outlook-to").blur()
        page.locator("[data-send]").click()
        expect(page.locator("[data-left]")).to_contain_text("Outlook verstuurt de e-mail aan anna@zegelpost.example")
