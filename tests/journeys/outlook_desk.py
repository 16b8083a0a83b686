"""The stand-in Outlook of the demonstration, with the real pane beside a draft."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, FrameLocator, Locator, Page, expect
from tests.journeys.people import PASSWORD, device
from tests.journeys.running import RunningDemo

LINK = r"(?m)^(http://127\.0\.0\.1:\d+/o/[a-z2-7]{26}#[a-z2-7]{32})$"
# Where the window to sign in opens with the pane.
UNASKED = {"classic", "mac"}
CLIENTS = ["web", "new", "classic", "mac", "onprem"]
WORDS = {
    "nl": {
        "done": "Veilig verstuurd.",
        "sent": "al veilig verstuurd",
        "blocked": "heeft een bijlage",
        "away": "niet bereikbaar",
        "saved": "bewaard op",
    },
    "en": {
        "done": "Sent securely.",
        "sent": "sent securely",
        "blocked": "has an attachment",
        "away": "cannot be reached",
        "saved": "saved on",
    },
}


def shot(page: Page, name: str) -> None:
    """A picture of the page, when somebody wants them."""
    if folder := os.environ.get("ZEGELPOST_TEST_PICTURES"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


@contextmanager
def desk(chromium: Browser, language: str = "nl") -> Iterator[Page]:
    """A page on which nothing of ours is refused by its own policy, and no script fails."""
    context: BrowserContext = device(chromium, language, 1280)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if "Content Security Policy" in message.text else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    assert complaints == []
    context.close()


@contextmanager
def draft(
    demo: RunningDemo, chromium: Browser, client: str = "web", language: str = "nl", to: str = ""
) -> Iterator[tuple[Page, FrameLocator]]:
    """A draft with an attachment, and the pane beside it, signed in."""
    with desk(chromium, language) as page:
        page.goto(f"{demo.base_url}/demo/outlook?client={client}")
        if to:
            address(page, to)
        pane = page.frame_locator("[data-frame]")
        if client in UNASKED:
            sign_in_by_the_dialog(page, page.locator("[data-open]"))
        else:
            page.locator("[data-open]").click()
            sign_in_by_the_dialog(page, pane.locator("#sign-in"))
        expect(pane.locator("#send")).to_be_visible()
        yield page, pane


def address(page: Page, to: str) -> None:
    page.fill("#outlook-to", to)
    page.locator("#outlook-to").blur()


def sign_in_by_the_dialog(page: Page, button: Locator) -> None:
    """Press what opens the dialog, and sign in there."""
    with page.expect_popup() as opened:
        button.click()
    dialog = opened.value
    dialog.fill("#email", "anna@zegelpost.example")
    dialog.fill("#password", PASSWORD)
    dialog.locator("main form button").click()


def send(pane: FrameLocator, timeout: int = 20_000) -> None:
    """Press *send securely*, and wait until it was."""
    pane.locator("#send").click()
    expect(pane.locator("#done")).to_be_visible(timeout=timeout)


def bring_a_file(pane: FrameLocator, client: str, folder: Path) -> None:
    """Where Outlook hands over no attachments, people choose the file themselves."""
    if client != "onprem":
        return
    own = folder / "besluit.pdf"
    own.write_bytes(b"%PDF-1.4\nbesluit")
    pane.locator("#files").set_input_files(own)


def findings(page: Page) -> list[str]:
    """What axe finds in the pane, looked at as the page that it is; and whether there is something to scroll sideways for."""
    frame = next(frame for frame in page.frames if "/addin/pane" in frame.url)
    axe = (Path(__file__).parents[2] / "backend/frontend/node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")
    frame.evaluate(axe)
    found: list[str] = frame.evaluate(
        """axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]})
           .then(({violations}) => violations.map((each) => each.id + ": " + each.nodes.map((node) => node.html).join(" ")))"""
    )
    if frame.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
        found.append("wider than the pane")
    return found


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
