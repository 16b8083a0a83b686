"""Make the pictures of the documentation from a fresh demonstration: `python backend/scripts/pictures.py http://127.0.0.1:8000`."""

from __future__ import annotations

import re
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import BrowserContext, Page, ViewportSize, expect, sync_playwright

PICTURES = Path(__file__).parents[1] / "docs/pictures"
CHROMIUM = "/usr/bin/chromium"
SIZE: ViewportSize = {"width": 1000, "height": 700}
NOTE = "Beste mevrouw Blom,\n\nHierbij stuur ik u het besluit en de bijlage.\n\nMet vriendelijke groet,\nAnna de Vries"
DELIVERY_SECONDS = 10


def main(base_url: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        send(browser.new_context(locale="nl-NL", base_url=base_url, viewport=SIZE))
        page = opened(browser.new_context(locale="nl-NL", base_url=base_url, viewport=SIZE))
        page.screenshot(path=PICTURES / "opening.png", full_page=True)
        browser.close()


def send(context: BrowserContext) -> None:
    """Anna sends Rosa two documents."""
    page = context.new_page()
    page.goto("/sign-in")
    page.fill("#email", "anna@zegelpost.example")
    page.fill("#password", "demo-zegelpost-2026")
    page.locator("main form button").click()
    expect(page.locator("form[action='/sign-out']")).to_be_visible()
    page.goto("/transfers/new")
    page.fill("#recipient-0-name", "Rosa Blom")
    page.fill("#recipient-0-email", "rosa@example.nl")
    page.fill("#recipient-0-mobile", "06 12 34 56 78")
    page.fill("#subject", "Indicatiebesluit 2026")
    page.fill("#reference", "Z-2026-0417")
    page.fill("#note", NOTE)
    page.locator("main form .zp-actions button").last.click()
    page.wait_for_url("**/documents")
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / "Besluit.pdf", Path(folder) / "Bijlage.txt"]
        paths[0].write_bytes(b"%PDF-1.4\n" + b"x" * 1_200_000)
        paths[1].write_text("Bijlage bij het besluit.\n" * 500)
        page.set_input_files("#documents", [str(path) for path in paths])
        expect(page.locator("[data-list] .zp-document--done")).to_have_count(len(paths))
    page.locator("a[href$='/check']").click()
    page.locator("form[action$='/send'] button").click()
    page.wait_for_url(re.compile(r"/transfers/[a-z2-7]{26}(\?.*)?$"))


def opened(context: BrowserContext) -> Page:
    """Rosa opens them."""
    page = context.new_page()
    page.goto(delivered(context, "mail", r"^(http\S+#[a-z2-7]{32})$"))
    page.locator("form[data-island=open] button").click()
    page.locator("form[action$='/code'] button").click()
    page.fill("#code", delivered(context, "sms", r"#(\d{6})$"))
    page.locator("form[action$='/verify'] button").click()
    page.wait_for_url("**/transfer")
    return page


def delivered(context: BrowserContext, kind: str, pattern: str) -> str:
    """What the first mail or text message says at `pattern`, once it has been delivered."""
    deadline = time.monotonic() + DELIVERY_SECONDS
    while time.monotonic() < deadline:
        for entry in context.request.get("/demo/outbox.json").json():
            if entry["kind"] == kind and (found := re.search(pattern, entry["text"], re.MULTILINE)):
                return found.group(1)
        time.sleep(0.1)
    raise SystemExit(f"no {kind} was delivered")


if __name__ == "__main__":
    main(sys.argv[1])
