"""What Outlook itself loads: the pages that name Office's own script. Here a stand-in answers under that script's address."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, Route, expect
from tests.journeys.people import device
from tests.journeys.running import RunningDemo

from zegelpost.web.addin_pages import OFFICE_SCRIPT

# What the event runtime gives a guard: a mail to someone outside with an attachment. Nothing of a page is used.
RUNTIME = """
window.handlers = {};
const answers = (value) => ({ getAsync: (...args) => args.at(-1)({ status: "succeeded", value }) });
const to = [{ displayName: "Rosa", emailAddress: "rosa@zorg.example", recipientType: "externalUser" }];
const files = [{ id: "1", name: "besluit.pdf", size: 5, isInline: false, attachmentType: "file" }];
const item = {
  to: answers(to), cc: answers([]), bcc: answers([]), subject: answers("Besluit"), body: answers("Hierbij"),
  getAttachmentsAsync: (done) => done({ status: "succeeded", value: files }),
  internetHeaders: { getAsync: (names, done) => done({ status: "succeeded", value: {} }) },
};
window.Office = {
  actions: { associate: (name, handler) => { window.handlers[name] = handler; } },
  AsyncResultStatus: { Succeeded: "succeeded" }, CoercionType: { Text: "text" },
  MailboxEnums: { RecipientType: { DistributionList: "distributionList" }, AttachmentType: { Cloud: "cloud" } },
  context: { displayLanguage: "nl-NL", mailbox: { item } },
};
"""


@contextmanager
def loaded(demo: RunningDemo, chromium: Browser, path: str, office: str) -> Iterator[Page]:
    """A page of ours with this in the place of Office's script, and nothing refused by its own policy."""
    context = device(chromium, "nl", 390)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(content_type="text/javascript", body=office)

    page.route(re.compile(r"^https://"), answer)
    page.goto(demo.base_url + path)
    yield page
    assert (asked, complaints) == ([OFFICE_SCRIPT], [])
    context.close()


def test_the_event_runtime_runs_the_guard(demo: RunningDemo, chromium: Browser) -> None:
    with loaded(demo, chromium, "/addin/launchevent.html", RUNTIME) as page:
        answer = page.evaluate("new Promise((completed) => handlers.onMessageSendHandler({ completed }))")
        assert answer["allowEvent"] is False
        assert "besluit.pdf" in answer["errorMessage"] or "bijlage" in answer["errorMessage"]
        assert page.context.cookies() == []


def test_the_pane_as_outlook_loads_it(demo: RunningDemo, chromium: Browser) -> None:
    context = device(chromium, "nl", 390)
    stand_in = context.request.get(demo.base_url + "/demo/outlook").text()
    found = re.search(r'src="(/static/[^"]*outlook-[^"]*\.js)"', stand_in)
    assert found
    script = context.request.get(demo.base_url + found.group(1)).text()
    context.close()
    with loaded(demo, chromium, "/addin/pane", script) as page:
        expect(page.locator("#sign-in")).to_be_visible()
        assert page.context.cookies() == []
