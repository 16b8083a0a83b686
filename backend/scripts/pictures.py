"""Make the pictures of the documentation from a fresh demonstration: `python backend/scripts/pictures.py http://127.0.0.1:8000`."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import BrowserContext, Page, sync_playwright

PICTURES = Path(__file__).parents[1] / "docs/pictures"
CHROMIUM = "/usr/bin/chromium"
NOTE = "Beste mevrouw Blom,\n\nHierbij stuur ik u het besluit en de bijlagen.\n\nMet vriendelijke groet,\nAnna de Vries"


def main(base_url: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        size = {"width": 1000, "height": 700}
        staff = browser.new_context(locale="nl-NL", base_url=base_url, viewport=size)  # type: ignore[arg-type]
        outsider = browser.new_context(locale="nl-NL", base_url=base_url, viewport=size)  # type: ignore[arg-type]
        send(staff)
        page = opened(outsider)
        page.screenshot(path=PICTURES / "opening.png", full_page=True)
        browser.close()


def send(context: BrowserContext) -> None:
    """Anna sends Rosa two documents."""
    page = context.new_page()
    page.goto("/sign-in")
    page.fill("#email", "anna@zegelpost.example")
    page.fill("#password", "demo-zegelpost-2026")
    page.click("main button")
    page.goto("/transfers/new")
    page.fill("#recipient-0-name", "Rosa Blom")
    page.fill("#recipient-0-email", "rosa@example.nl")
    page.fill("#recipient-0-mobile", "06 12 34 56 78")
    page.fill("#subject", "Indicatiebesluit 2026")
    page.fill("#reference", "Z-2026-0417")
    page.fill("#note", NOTE)
    page.click('button[value="documents"], main .zp-actions >> nth=-1 >> button')
    page.wait_for_url("**/documents")
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / "Besluit.pdf", Path(folder) / "Bijlage.txt"]
        paths[0].write_bytes(b"%PDF-1.4\n" + b"x" * 1_200_000)
        paths[1].write_text("Bijlage bij het besluit.\n" * 500)
        page.set_input_files("#documents", [str(path) for path in paths])
        page.wait_for_timeout(3000)
    page.goto(page.url.replace("/documents", "/check"))
    page.click('form[action$="/send"] button')


def opened(context: BrowserContext) -> Page:
    """Rosa opens them."""
    page = context.new_page()
    page.wait_for_timeout(2000)
    mail = [each for each in posted(context) if each["to"] == "rosa@example.nl"][-1]
    link = re.search(r"^(http\S+#\S+)$", mail["text"], re.MULTILINE)
    assert link
    page.goto(link.group(1))
    page.click("form[data-island=open] button")
    page.click('form[action$="/code"] button')
    page.wait_for_timeout(2000)
    code = re.search(r"#(\d{6})", [each for each in posted(context) if each["kind"] == "sms"][-1]["text"])
    assert code
    page.fill("#code", code.group(1))
    page.click('form[action$="/verify"] button')
    page.wait_for_load_state()
    return page


def posted(context: BrowserContext) -> list[dict[str, str]]:
    return list(context.request.get("/demo/outbox.json").json())


if __name__ == "__main__":
    main(sys.argv[1])
