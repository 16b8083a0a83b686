"""The upload area as people use it: many files, a line that drops, a server that dies, and never a byte lost."""

from __future__ import annotations

import hashlib
import os
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, Request, expect, sync_playwright
from tests.journeys.conftest import CHROMIUM, QUIET
from tests.journeys.line import Line
from tests.journeys.running import RunningDemo
from tests.journeys.test_send_and_open import Watched

PASSWORD = "demo-zegelpost-2026"
LINK = re.compile(r"^http://127\.0\.0\.1:\d+/o/[a-z2-7]{26}#[a-z2-7]{32}$", re.MULTILINE)
MEGABYTE = 1_000_000
# What the browser and the operating system had taken in, and the line had not carried, when it broke.
IN_FLIGHT = 8 * MEGABYTE
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


@pytest.fixture(scope="module")
def line(demo: RunningDemo) -> Iterator[Line]:
    line = Line(demo.port)
    yield line
    line.close()


@pytest.fixture(scope="module")
def chromium(demo: RunningDemo, line: Line) -> Iterator[Browser]:
    """A browser that reaches the server over the line; addresses stay what the server thinks they are."""
    over_the_line = f"--host-resolver-rules=MAP 127.0.0.1:{demo.port} 127.0.0.1:{line.port}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, over_the_line])
        yield browser
        browser.close()


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
        _until(lambda: self.percent(name) >= percent, self.page)

    def send(self) -> None:
        self.page.locator("a[href$='/check']").click()
        self.page.wait_for_url("**/check")
        self.page.locator("form[action$='/send'] button").click()
        self.page.wait_for_url("**done=sent")

    def offsets(self) -> list[int]:
        return [int(each.headers["upload-offset"]) for each in self.requests if each.method == "PATCH"]


@pytest.fixture
def anna_in(demo: RunningDemo, chromium: Browser, line: Line, request: pytest.FixtureRequest) -> Iterator[Callable[..., Anna]]:
    """Anna in a language and at a width; afterwards nothing may stand on her console."""
    made: list[Anna] = []

    def open_page(language: str, width: int) -> Anna:
        locale = {"nl": "nl-NL", "en": "en-GB"}[language]
        context = chromium.new_context(locale=locale, viewport={"width": width, "height": 800})
        number = random.randrange(10**7)
        made.append(Anna(demo, context.new_page(), WORDS[language], f"rosa-{number}@example.nl", f"061{number:07d}"))
        return made[-1]

    line.bytes_per_second = None
    yield open_page
    for anna in made:
        assert anna.watched.complaints == []
        anna.page.context.close()
    line.mend()


def _until(is_so: Callable[[], bool], page: Page, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        page.wait_for_timeout(30)


def _image(path: Path, megabytes: int, seed: int = 0) -> Path:
    """As a scanner writes them: a preamble, and noise that nothing can shrink."""
    path.write_bytes(bytes(128) + b"DICM" + random.Random(seed).randbytes(megabytes * MEGABYTE))
    return path


def _sha(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _rosa_opens(anna: Anna, chromium: Browser) -> Page:
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


def _download(page: Page, name: str) -> Path:
    with page.expect_download() as download:
        page.locator("li", has_text=name).locator("a[download]").click()
    return Path(download.value.path())


@pytest.mark.parametrize(("language", "width"), [("nl", 390), ("en", 1280)])
def test_many_at_once_and_every_state(
    anna_in: Callable[..., Anna], chromium: Browser, line: Line, tmp_path: Path, language: str, width: int
) -> None:
    anna = anna_in(language, width)
    program, fake, large = tmp_path / "setup.exe", tmp_path / "geen.pdf", tmp_path / "groot.zip"
    program.write_bytes(b"MZ" + bytes(100))
    fake.write_bytes(b"MZ" + bytes(1000))
    with large.open("wb") as file:
        file.truncate(20_000 * MEGABYTE + 1)  # a hole: it takes no room
    letters = [tmp_path / f"brief {number}.txt" for number in range(6)]
    for letter in letters:
        letter.write_text(f"Beste Rosa, dit is {letter.name}.\n" * 50)
    scan, second, third = (_image(tmp_path / f"scan {n}.dcm", 12, n) for n in range(3))
    folder = tmp_path / "Beelden.zip"
    folder.mkdir()

    # Refusals stand at their row, in a sentence, and hold nothing up.
    anna.choose(program, letters[0], fake, large, *letters[1:4])
    anna.sees("setup.exe", "exe")
    anna.sees("groot.zip", "large")
    anna.sees("geen.pdf", "fake")
    for letter in letters[:4]:
        anna.sees(letter.name, "done")

    # Dragged, with a folder among them, which is told. What travels moves, what waits says so.
    line.bytes_per_second = 4 * MEGABYTE
    anna.drag(*letters[4:], folder, scan, second, third)
    for letter in letters[4:]:
        anna.sees(letter.name, "done")
    anna.sees(folder.name, "folder")
    anna.sees(third.name, "waiting")
    anna.wait_for_percent(second.name, 2)
    anna.press(second.name, "pause")
    anna.sees(second.name, "paused")
    before = anna.percent(scan.name)
    anna.wait_for_percent(scan.name, before + 5)
    anna.sees(scan.name, "uploading")
    anna.watched.look()
    _picture(anna, f"states-{width}")

    # Taken back while it travels, while it rests, and when it is done: the server has forgotten it too.
    for name in (scan.name, second.name, letters[0].name, program.name, fake.name, large.name, folder.name):
        anna.press(name, "remove")
        expect(anna.row(name)).to_have_count(0)
    line.bytes_per_second = None
    anna.sees(third.name, "done")
    kept = [third.name, *(letter.name for letter in letters[1:])]
    anna.page.reload()
    expect(anna.page.locator("[data-list] > li")).to_have_count(len(kept))
    for name in kept:
        anna.sees(name, "done")
    anna.send()
    rosa = _rosa_opens(anna, chromium)
    expect(rosa.locator("a[download]:not([href$='.zip'])")).to_have_count(len(kept))
    assert _download(rosa, letters[5].name).read_bytes() == letters[5].read_bytes()


def _picture(anna: Anna, name: str) -> None:
    """Kept when `ZEGELPOST_TEST_PICTURES` names a folder, to look at."""
    if folder := os.environ.get("ZEGELPOST_TEST_PICTURES"):
        anna.page.screenshot(path=Path(folder) / f"uploading-{name}.png", full_page=True)


def test_paused_halfway_the_bytes_are_the_same(
    anna_in: Callable[..., Anna], chromium: Browser, line: Line, tmp_path: Path
) -> None:
    anna = anna_in("en", 1280)
    scan = _image(tmp_path / "MRI.dcm", 60)
    line.bytes_per_second = 30 * MEGABYTE
    anna.choose(scan)
    anna.wait_for_percent(scan.name, 30)
    anna.press(scan.name, "pause")
    anna.sees(scan.name, "paused")
    _until_quiet(line, anna.page)
    at_rest = line.sent_bytes
    anna.page.wait_for_timeout(300)
    assert line.sent_bytes == at_rest
    assert 15 < anna.percent(scan.name) < 85

    line.bytes_per_second = None
    anna.press(scan.name, "resume")
    anna.sees(scan.name, "done")
    assert anna.offsets()[0] == 0
    assert len(anna.offsets()) == 2
    assert anna.offsets()[1] > 15 * MEGABYTE
    anna.send()
    assert _sha(_download(_rosa_opens(anna, chromium), scan.name)) == _sha(scan)


def _until_quiet(line: Line, page: Page) -> None:
    """Until what was under way has gone over the line, or is given up."""
    before = -1
    while before != line.sent_bytes:
        before = line.sent_bytes
        page.wait_for_timeout(150)


def test_after_a_reload_the_same_file_goes_on(
    anna_in: Callable[..., Anna], chromium: Browser, line: Line, tmp_path: Path
) -> None:
    anna = anna_in("nl", 390)
    scan = _image(tmp_path / "MRI.dcm", 40)
    (tmp_path / "ander").mkdir()
    other = _image(tmp_path / "ander" / "MRI.dcm", 2, seed=7)
    line.bytes_per_second = 15 * MEGABYTE
    start = line.sent_bytes
    anna.choose(scan)
    anna.wait_for_percent(scan.name, 50)
    anna.page.reload()
    expect(anna.page.locator("[data-list] > li")).to_have_count(1)
    anna.sees("MRI.dcm", "unfinished")
    anna.watched.look()
    _picture(anna, "reloaded")
    _until_quiet(line, anna.page)
    anna.page.goto(anna.page.url.replace("/documents", "/check"))
    expect(anna.page.locator("main")).to_contain_text(anna.words["left_over"])
    anna.watched.look()
    anna.page.go_back()

    # Another file of that name is another document.
    line.bytes_per_second = None
    anna.choose(other)
    expect(anna.page.locator("[data-list] > li")).to_have_count(2)
    expect(anna.row("MRI.dcm").filter(has_text="2 MB")).to_contain_text(anna.words["done"])
    expect(anna.row("MRI.dcm").filter(has_text="40 MB")).to_contain_text(anna.words["unfinished"])

    anna.requests.clear()
    anna.choose(scan)
    expect(anna.page.locator("[data-list] > li")).to_have_count(2)
    expect(anna.row("MRI.dcm").filter(has_text="40 MB")).to_contain_text(anna.words["done"], timeout=20_000)
    expect(anna.page.locator("[data-list] > li")).to_have_count(2)
    assert anna.offsets()[0] > 15 * MEGABYTE
    assert line.sent_bytes - start < scan.stat().st_size + other.stat().st_size + IN_FLIGHT
    anna.send()
    rosa = _rosa_opens(anna, chromium)
    got = {_sha(_download(rosa, size)) for size in ("40 MB", "2 MB")}
    assert got == {_sha(scan), _sha(other)}


def test_a_lost_line_and_a_dead_server_pass_by_themselves(
    anna_in: Callable[..., Anna], chromium: Browser, line: Line, tmp_path: Path
) -> None:
    anna = anna_in("nl", 390)
    scan = _image(tmp_path / "MRI.dcm", 50)
    line.bytes_per_second = 12 * MEGABYTE
    anna.choose(scan)

    # The line breaks; the browser does not know.
    anna.wait_for_percent(scan.name, 20)
    line.cut()
    anna.sees(scan.name, "offline")
    anna.watched.look()
    line.mend()
    anna.sees(scan.name, "uploading")
    at_first = anna.offsets()[-1]
    assert at_first > 5 * MEGABYTE
    # What is shown is what is there: never more than arrived and is under way.
    assert anna.percent(scan.name) / 100 * scan.stat().st_size <= at_first + line.bytes_per_second

    # The server dies without a goodbye. What it acknowledged is still there; what it had not, goes again.
    anna.wait_for_percent(scan.name, 50)
    anna.demo.kill()
    anna.sees(scan.name, "offline")
    anna.demo.start()
    anna.sees(scan.name, "uploading")
    assert anna.offsets()[-1] >= at_first

    # The browser knows: aeroplane mode.
    anna.wait_for_percent(scan.name, 60)
    anna.page.context.set_offline(True)
    line.cut()
    anna.sees(scan.name, "offline")
    _picture(anna, "offline")
    line.mend()
    line.bytes_per_second = None
    anna.page.context.set_offline(False)
    anna.sees(scan.name, "done")
    assert [each.method for each in anna.requests].count("POST") == 1
    anna.send()
    assert _sha(_download(_rosa_opens(anna, chromium), scan.name)) == _sha(scan)


def test_going_on_waits_until_all_is_there(anna_in: Callable[..., Anna], line: Line, tmp_path: Path) -> None:
    anna = anna_in("nl", 390)
    scan, second = _image(tmp_path / "MRI.dcm", 9), _image(tmp_path / "CT.dcm", 9, seed=3)
    line.bytes_per_second = 5 * MEGABYTE
    anna.choose(scan, second)
    anna.wait_for_percent(second.name, 3)
    anna.press(second.name, "pause")
    onward, why = anna.page.locator("a[href$='/check']"), anna.page.locator("[data-why]")
    onward.click()
    expect(why).to_contain_text(anna.words["on_its_way"])
    anna.watched.look()
    _picture(anna, "on-its-way")
    # One is there, the other rests: nobody is sent on without it.
    anna.sees(scan.name, "done")
    expect(why).to_contain_text(anna.words["left_over"])
    onward.click()
    assert anna.page.url.endswith("/documents")
    anna.watched.look()

    line.bytes_per_second = 10 * MEGABYTE
    anna.press(second.name, "resume")
    onward.click()
    expect(why).to_contain_text(anna.words["on_its_way"])
    anna.page.wait_for_url("**/check")
    expect(anna.page.locator("main")).to_contain_text("CT.dcm")
    # What was typed is still there.
    expect(anna.page.locator("main")).to_contain_text("Beelden")
    anna.page.locator("form[action$='/send'] button").click()
    anna.page.wait_for_url("**done=sent")


def test_nothing_is_lost_when_the_sign_in_ends(anna_in: Callable[..., Anna], line: Line, tmp_path: Path) -> None:
    anna = anna_in("nl", 390)
    scan = _image(tmp_path / "MRI.dcm", 12)
    line.bytes_per_second = 6 * MEGABYTE
    anna.choose(scan)
    anna.wait_for_percent(scan.name, 30)
    anna.press(scan.name, "pause")
    _until_quiet(line, anna.page)
    elsewhere = anna.page.context.new_page()
    elsewhere.goto(anna.demo.base_url)
    elsewhere.locator("form[action='/sign-out'] button").click()
    elsewhere.wait_for_url("**/sign-in*")
    anna.page.bring_to_front()
    anna.press(scan.name, "resume")
    anna.sees(scan.name, "signed_out")
    anna.watched.look()
    _picture(anna, "signed-out")
    anna.sign_in(elsewhere)
    # What a browser says to a page that is looked at again; without a screen it never says it.
    anna.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    anna.sees(scan.name, "done")
    assert anna.offsets()[-1] > 2 * MEGABYTE
    anna.send()


def test_a_file_that_changes_under_way_is_told(anna_in: Callable[..., Anna], line: Line, tmp_path: Path) -> None:
    anna = anna_in("nl", 390)
    scan = _image(tmp_path / "MRI.dcm", 12)
    line.bytes_per_second = 4 * MEGABYTE
    anna.choose(scan)
    anna.wait_for_percent(scan.name, 30)
    anna.press(scan.name, "pause")
    _until_quiet(line, anna.page)
    _image(scan, 11, seed=9)
    anna.press(scan.name, "resume")
    anna.sees(scan.name, "changed")
    _picture(anna, "changed")
    anna.press(scan.name, "remove")
    expect(anna.row(scan.name)).to_have_count(0)
    line.bytes_per_second = None
    anna.choose(scan)
    anna.sees(scan.name, "done")
    anna.page.reload()
    expect(anna.page.locator("[data-list] > li")).to_have_count(1)
