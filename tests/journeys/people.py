"""People in a browser: what every journey does, and looking at a page the way the product promises it looks."""

from __future__ import annotations

from dataclasses import dataclass, field

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect
from tests.journeys.axe import run_axe
from tests.journeys.running import RunningDemo

PASSWORD = "demo-zegelpost-2026"
# Every language on a telephone and at a desk.
EVERYWHERE = [("nl", 390), ("en", 1280), ("nl", 1280), ("en", 390)]


@dataclass
class Watched:
    """A page whose console is listened to, and which is looked at for accessibility wherever the journey says so."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _on_console(self, message: ConsoleMessage) -> None:
        # A refused form answers 4xx, and Chromium notes that; anything else on the console is ours to explain.
        if message.type in {"error", "warning"} and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def look(self) -> None:
        """No accessibility findings, nothing to scroll sideways for, nothing on the console."""
        found = run_axe(self.page)
        assert found == [], (self.page.url, found)
        assert not self.page.evaluate("document.documentElement.scrollWidth > window.innerWidth"), self.page.url
        assert self.complaints == []


def device(chromium: Browser, language: str, width: int, *, has_script: bool = True) -> BrowserContext:
    """A telephone or a desk, in a language."""
    return chromium.new_context(
        locale={"nl": "nl-NL", "en": "en-GB"}[language],
        viewport={"width": width, "height": 800},
        java_script_enabled=has_script,
        accept_downloads=True,
    )


def open_menu(page: Page) -> None:
    """On a telephone the places of the portal are behind "Menu"; at a desk they are in sight."""
    opener = page.locator("nav.zp-nav summary")
    if opener.is_visible():
        opener.click()


def sign_in(page: Page, demo: RunningDemo, email: str, path: str = "/") -> None:
    """Sign in on the way to `path`."""
    page.goto(demo.base_url + path)
    page.fill("#email", email)
    page.fill("#password", PASSWORD)
    page.locator("main form button").click()
    expect(page.locator("form[action='/sign-out']")).to_be_visible()
