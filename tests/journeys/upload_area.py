"""Anna at the upload area, and Rosa who opens what she sent: what the journeys of uploading have in common."""

from __future__ import annotations

import hashlib
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, Request, expect
from tests.journeys.line import Line
from tests.journeys.people import PASSWORD, Watched
from tests.journeys.running import RunningDemo

LINK = re.compile(r"^http://127\.0\.0\.1:\d+/o/[a-z2-7]{26}#[a-z2-7]{32}$", re.MULTILINE)
MEGABYTE = 1_000_000
WORDS = {
    "nl": {
        "done": "Ontvangen",
        "uploading": "Bezig: ",
        "waiting": "Wacht",
        "paused": "Gepauzeerd bij ",
        "unfinished": "Nog niet klaar. Kies hetzelfde bestand om verder te gaan.",
        "offline": "Geen verbinding. Het uploaden gaat straks vanzelf verder.",
        "exe": "Bestanden die eindigen op .exe zijn niet toegestaan.",
        "large": "Dit bestand is te groot: maximaal 20 GB.",
        "folder": "Een map kan niet mee.",
        "fake": "De inhoud van dit bestand past niet bij de naam (.pdf).",
        "signed_out": "U bent uitgelogd.",
        "changed": "Dit bestand is gewijzigd of weg.",
        "on_its_way": "Sommige documenten zijn nog onderweg.",
        "left_over": "Nog niet alle documenten zijn binnen.",
    },
    "en": {
        "done": "Received",
        "uploading": "Uploading: ",
        "waiting": "Waiting",
        "paused": "Paused at ",
        "unfinished": "Not finished. Choose the same file to go on.",
        "offline": "No connection. Uploading goes on by itself.",
        "exe": "Files that end in .exe are not allowed.",
        "large": "This file is too large: 20 GB at most.",
        "folder": "A folder cannot be sent.",
        "fake": "The content of this file does not fit its name (.pdf).",
        "signed_out": "You are signed out.",
        "changed": "This file has changed or is gone.",
        "on_its_way": "Some documents are still on their way.",
        "left_over": "Not all documents have arrived yet.",
    },
}


@dataclass
class Anna:
    """Anna with a draft before her, on the page where documents are added."""

    demo: RunningDemo
    page: Page
    words: dict[str, str]
    to: str
    mobile: str
    requests: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.watched = Watched(self.page)
        self.page.on("request", self._on_request)
        self.page.on("dialog", lambda dialog: dialog.accept())
        self.page.goto(self.demo.base_url + "/sign-in")
        self.sign_in(self.page)
        self.page.goto(self.demo.base_url + "/transfers/new")
        self.page.fill("#subject", "Beelden")
        self.page.fill("#recipient-0-name", "Rosa")
        self.page.fill("#recipient-0-email", self.to)
        self.page.fill("#recipient-0-mobile", self.mobile)
        self.page.locator("main form .zp-actions button").last.click()
        self.page.wait_for_url("**/documents")

    def _on_request(self, request: Request) -> None:
        if "/uploads" in request.url:
            self.requests.append(request)

    def sign_in(self, page: Page) -> None:
        page.fill("#email", "anna@zegelpost.example")
        page.fill("#password", PASSWORD)
        page.locator("main form button").click()
        expect(page.locator("form[action='/sign-out']")).to_be_visible()

    def choose(self, *paths: Path) -> None:
        self.page.set_input_files("#documents", list(paths))

    def drag(self, *paths: Path) -> None:
        """As from a folder on the desktop, by the browser's own events."""
        zone = self.page.locator("[data-drop]")
        box = zone.bounding_box()
        assert box
        session = self.page.context.new_cdp_session(self.page)
        for kind in ("dragEnter", "dragOver", "drop"):
            data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
            at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + 20}
            session.send("Input.dispatchDragEvent", {"type": kind, **at, "data": data})
            expect(zone).to_have_class(re.compile(r"zp-drop--over" if kind == "dragOver" else r"zp-drop"))
        expect(zone).not_to_have_class(re.compile(r"zp-drop--over"))

    def row(self, name: str) -> Locator:
        return self.page.locator("[data-list] > li", has_text=name)

    def press(self, name: str, action: str) -> None:
        self.row(name).locator(f"[data-action={action}]").click()

    def sees(self, name: str, word: str) -> None:
        expect(self.row(name)).to_contain_text(self.words[word], timeout=20_000)

    def percent(self, name: str) -> float:
        return float(self.row(name).locator("progress").evaluate("bar => bar.value"))

    def wait_for_percent(self, name: str, percent: float) -> None:
        until(lambda: self.percent(name) >= percent, self.page)

    def send(self) -> None:
        self.page.locator("a[href$='/check']").click()
        self.page.wait_for_url("**/check")
        self.page.locator("form[action$='/send'] button").click()
        self.page.wait_for_url("**done=sent")

    def offsets(self) -> list[int]:
        return [int(each.headers["upload-offset"]) for each in self.requests if each.method == "PATCH"]


def until(is_so: Callable[[], bool], page: Page, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        page.wait_for_timeout(30)


def image(path: Path, megabytes: int, seed: int = 0) -> Path:
    """As a scanner writes them: a preamble, and noise that nothing can shrink."""
    path.write_bytes(bytes(128) + b"DICM" + random.Random(seed).randbytes(megabytes * MEGABYTE))
    return path


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def rosa_opens(anna: Anna, chromium: Browser) -> Page:
    """Link, code, documents."""
    demo = anna.demo
    found = LINK.search(demo.wait_for("mail", anna.to)["text"])
    assert found
    page = chromium.new_context(accept_downloads=True).new_page()
    page.goto(found.group())
    page.locator("[data-island=open] button").click()
    page.locator("main form .zp-actions button, main form button").first.click()
    code = re.search(r"#(\d{6})$", demo.wait_for("sms", "+31" + anna.mobile[1:])["text"])
    assert code
    page.fill("#code", code.group(1))
    page.locator("form:has(#code) button").first.click()
    expect(page.locator("a[download]").first).to_be_visible()
    return page


def download(page: Page, name: str) -> Path:
    with page.expect_download() as arriving:
        page.locator("li", has_text=name).locator("a[download]").click()
    return Path(arriving.value.path())


def until_quiet(line: Line, page: Page) -> None:
    """Until what was under way has gone over the line, or is given up."""
    before = -1
    while before != line.sent_bytes:
        before = line.sent_bytes
        page.wait_for_timeout(150)
