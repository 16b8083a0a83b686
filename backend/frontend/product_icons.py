"""Draw `manifest/icons/icon-<size>.png` from `icon.svg`: run by hand, with Chromium, when the drawing changes."""

# ruff: noqa: INP001 - a script beside the drawing's build, not a package

from __future__ import annotations

import os
from pathlib import Path

from playwright.sync_api import sync_playwright

ICONS = Path(__file__).parents[2] / "manifest/icons"
SIZES = (16, 32, 64, 80, 128)
# No network, and no sandbox only because this may run as root in a container.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def main() -> None:
    drawing = (ICONS / "icon.svg").read_text(encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=list(ARGUMENTS)
        )
        page = browser.new_page()
        for size in SIZES:
            page.set_content(f"<style>body{{margin:0}}svg{{display:block;width:{size}px;height:{size}px}}</style>{drawing}")
            page.locator("svg").screenshot(path=ICONS / f"icon-{size}.png", omit_background=True)
        browser.close()


if __name__ == "__main__":
    main()
