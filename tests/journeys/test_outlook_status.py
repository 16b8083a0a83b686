"""In Outlook afterwards: what became of what was sent, and what can be done beside a mail that came in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from tests.journeys.outlook_desk import CLIENTS, LINK, bring_a_file, desk, draft, findings, send, shot
from tests.journeys.people import device, sign_in
from tests.journeys.running import RunningDemo


def fetch(demo: RunningDemo, chromium: Browser, email: str, number: str) -> None:
    """Open the link, prove who you are, and take the document."""
    page = device(chromium, "en", 390).new_page()
    page.goto(demo.find(email, LINK))
    page.locator("[data-island=open] button").click()
    page.get_by_role("button", name="Send me the code").click()
    found = re.search(r"#(\d{6})$", demo.wait_for("sms", number)["text"])
    assert found
    page.fill("#code", found.group(1))
    page.get_by_role("button", name="Open the documents").click()
    with page.expect_download() as download:
        page.locator("a[download]").first.click()
    assert download.value.path().read_bytes()
    page.context.close()


@pytest.mark.parametrize("client", CLIENTS)
def test_who_opened_what_remind_extend_report_and_revoke(
    demo: RunningDemo, chromium: Browser, client: str, tmp_path: Path
) -> None:
    rosa, sam = f"rosa-{client}@zorg.example", f"sam-{client}@zorg.example"
    number = f"+3161234567{CLIENTS.index(client)}"
    with draft(demo, chromium, client, "en", to=f"{rosa}; {sam}") as (page, pane):
        pane.locator("#mobile-0").fill(number)
        pane.locator("#mobile-1").fill("0687654321")
        bring_a_file(pane, client, tmp_path)
        send(pane)
        fetch(demo, chromium, rosa, number)
        pane.locator("#status summary").click()
        row = pane.locator("#status .zp-row").first
        expect(row.get_by_text("1 of 2 opened")).to_be_visible()
        expect(row.locator("li").first).to_contain_text(f"{rosa}: fetched")
        expect(row.locator("li").nth(1)).to_have_text(f"{sam}: not opened yet")
        assert findings(page) == []
        row.get_by_role("button", name="Report").click()
        expect(row.get_by_text("besluit.pdf: fetched")).to_be_visible()
        expect(row.get_by_text("besluit.pdf: not fetched yet")).to_be_visible()
        assert findings(page) == []
        shot(page, f"outlook-status-{client}")
        row.get_by_role("button", name="Remind").click()
        expect(pane.get_by_text("Reminder sent.")).to_be_visible()
        assert demo.wait_for("mail", sam, more_than=1)
        until = row.get_by_text("available until").inner_text()
        row.get_by_role("button", name="Extend four weeks").click()
        expect(pane.locator("#status [role=status]")).to_contain_text("Available until")
        expect(row.get_by_text("available until")).not_to_have_text(until)
        # Asked once more, and one can go back.
        row.get_by_role("button", name="Withdraw").click()
        expect(row.get_by_text("Are you sure?")).to_be_visible()
        row.get_by_role("button", name="Cancel").click()
        row.get_by_role("button", name="Withdraw").click()
        row.get_by_role("button", name="Yes, withdraw").click()
        expect(pane.locator("#status [role=status]")).to_have_text("Withdrawn.")
        expect(row.get_by_text("Withdrawn.")).to_be_visible()
        expect(row.get_by_role("button", name="Remind")).to_have_count(0)


def test_the_whole_report_and_the_portal_open_in_the_browser(demo: RunningDemo, chromium: Browser) -> None:
    with draft(demo, chromium, to="rapport@zorg.example") as (page, pane):
        pane.locator("#mobile-0").fill("0612345678")
        send(pane)
        pane.locator("#status summary").click()
        row = pane.locator("#status .zp-row").first
        row.get_by_role("button", name="Rapportage").click()
        for name, ending in (("Hele rapportage en PDF", "/report"), ("Bekijk in Zegelpost", "")):
            with page.expect_popup() as opened:
                row.get_by_role("button", name=name).click()
            expect(opened.value).to_have_url(re.compile(rf"/transfers/[a-z2-7]{{26}}{ending}$"))


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


def test_a_notice_of_ours_opens_for_whoever_is_signed_in(demo: RunningDemo, chromium: Browser) -> None:
    with draft(demo, chromium, to="bram@zegelpost.example") as (_, pane):
        send(pane)
    address = demo.find("bram@zegelpost.example", r"(?m)^(http\S+/received/[a-z2-7]{26})$")
    with desk(chromium) as page:
        sign_in(page, demo, "bram@zegelpost.example")
        page.goto(f"{demo.base_url}/demo/outlook?mode=notice")
        page.locator("[data-open]").click()
        pane = page.frame_locator("[data-frame]")
        with page.expect_popup() as opened:
            pane.get_by_role("button", name="Open in Zegelpost").click()
        expect(opened.value).to_have_url(address)
        expect(opened.value.get_by_text("besluit.pdf").first).to_be_visible()
        # Nothing else is offered: it came from a machine.
        expect(pane.get_by_role("button", name="Vraag")).to_have_count(0)
        assert findings(page) == []
