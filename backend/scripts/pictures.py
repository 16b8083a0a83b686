"""Make every picture of the documentation, in both languages: `make pictures`.

Starts a fresh demonstration for each language, does in it what the manual tells about, and takes a picture of each page
when it is ready. People, numbers and documents are invented. The pictures hold two dots for each of the page's, in few
colours, so that they are sharp and small.
"""

from __future__ import annotations

import io
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx2
from pictures_words import WORDS, Words
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, FloatRect, Locator, Page, expect, sync_playwright

DOCS: Final = Path(__file__).parents[1] / "docs"
CHROMIUM: Final = "/usr/bin/chromium"
DESK_WIDTH, TELEPHONE_WIDTH = 720, 390
SCALE: Final = 2  # as `PICTURE_SCALE` in `zegelpost/web/handbook.py`
COLOURS: Final = 24  # text on flat areas: more is not seen, and costs a third of the size
MARGIN: Final = 16
MOST_HEIGHT: Final = 1000  # of a page, in its own dots: a picture shows where things are, the page shows the rest
DELIVERY_SECONDS: Final = 30
START_SECONDS: Final = 120
LINK: Final = re.compile(r"^(http\S+/[or]/[a-z2-7]{26}#[a-z2-7]{32})$", re.MULTILINE)
ROSA, SAM, FATIMA = "rosa.blom@example.nl", "s.degroot@example.org", "fatima@example.com"
PASSWORD: Final = "demo-zegelpost-2026"


@contextmanager
def demonstration() -> Iterator[str]:
    """The address of a fresh demonstration, which ends with the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    base_url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ZEGELPOST_")}
        command = [sys.executable, "-c", "from zegelpost.cli import main; main()", "demo", "--data-dir", folder]
        process = subprocess.Popen(
            command, env={**environment, "PORT": str(port)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            deadline = time.monotonic() + START_SECONDS
            while not _answers(base_url):
                if time.monotonic() > deadline or process.poll() is not None:
                    raise SystemExit("the demonstration did not start")
                time.sleep(0.1)
            yield base_url
        finally:
            process.terminate()
            process.wait()


def _answers(base_url: str) -> bool:
    try:
        return httpx2.get(f"{base_url}/healthz").status_code == httpx2.codes.OK
    except httpx2.HTTPError:
        return False


@dataclass
class Studio:
    """One language's demonstration, with people in it, and a camera."""

    browser: Browser
    base_url: str
    language: str
    words: Words
    seen_links: set[str] = field(default_factory=set)

    def device(self, width: int) -> BrowserContext:
        return self.browser.new_context(
            locale={"nl": "nl-NL", "en": "en-GB"}[self.language],
            base_url=self.base_url,
            viewport={"width": width, "height": 800},
            device_scale_factor=SCALE,
            reduced_motion="reduce",
        )

    def shoot(self, page: Page, name: str, *, since: Locator | None = None, upto: Locator | None = None) -> None:
        """The page's main part, on a telephone under its header; from the top of `since` to the end of `upto`."""
        page.wait_for_load_state("networkidle")
        page.evaluate("document.querySelectorAll('.zp-demo').forEach((bar) => bar.remove())")
        # Boxes are told from the top of the window, and pictures taken from that of the page.
        page.evaluate("window.scrollTo(0, 0)")
        is_telephone = page.viewport_size is not None and page.viewport_size["width"] == TELEPHONE_WIDTH
        main = page.locator("main").bounding_box()
        assert main is not None
        first = since.bounding_box() if since else None
        last = (upto or page.locator("main > :last-child")).bounding_box()
        assert last is not None
        top = first["y"] - MARGIN if first else 0 if is_telephone else main["y"]
        bottom = last["y"] + last["height"] + MARGIN
        height = min(round(bottom) - round(top), MOST_HEIGHT)
        clip: FloatRect = {"x": main["x"], "y": round(top), "width": main["width"], "height": height}
        save(page.screenshot(full_page=True, clip=clip), DOCS / "manual/pictures" / self.language / f"{name}.png")

    def mail_link(self, to: str) -> str:
        """The newest link mailed to this address that was not used yet."""
        for _ in _while_delivering():
            for entry in reversed(self._outbox()):
                found = LINK.search(entry["text"]) if entry["to"] == to else None
                if found and found.group(1) not in self.seen_links:
                    self.seen_links.add(found.group(1))
                    return found.group(1)
        raise SystemExit(f"no link was delivered to {to}")

    def code(self, *, sent_before: int) -> str:
        for _ in _while_delivering():
            messages = [entry for entry in self._outbox() if entry["kind"] == "sms"]
            if len(messages) > sent_before and (found := re.search(r"#(\d{6})$", messages[-1]["text"])):
                return found.group(1)
        raise SystemExit("no code was delivered")

    def sms_count(self) -> int:
        return sum(entry["kind"] == "sms" for entry in self._outbox())

    def _outbox(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = httpx2.get(f"{self.base_url}/demo/outbox.json").json()
        return entries


def _while_delivering() -> Iterator[None]:
    deadline = time.monotonic() + DELIVERY_SECONDS
    while time.monotonic() < deadline:
        yield
        time.sleep(0.1)


def save(png: bytes, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(path, optimize=True)


def part(page: Page, title_id: str) -> Locator:
    """A card of the page, by the identifier of its title."""
    return page.locator(f"section[aria-labelledby={title_id}]")


def sign_in(page: Page, email: str) -> None:
    page.goto("/sign-in")
    page.fill("#email", email)
    page.fill("#password", PASSWORD)
    page.locator("main form button").click()
    expect(page.locator("form[action='/sign-out']")).to_be_visible()


def add(page: Page, documents: dict[str, int]) -> None:
    """Upload documents of these names and sizes in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        for name, size_bytes in documents.items():
            (Path(folder) / name).write_bytes(b"%PDF-1.4\n" + b"x" * size_bytes)
        page.set_input_files("#documents", [str(Path(folder) / name) for name in documents])
        expect(page.locator("[data-list] .zp-document--done")).to_have_count(len(documents))


def keep_contacts(studio: Studio, anna: Page) -> None:
    for name, organisation, email, mobile in studio.words.contacts:
        anna.goto("/contacts/new")
        for field_name, text in (("name", name), ("organisation", organisation), ("email", email), ("mobile", mobile)):
            anna.fill(f"#{field_name}", text)
        anna.locator("main form .zp-actions button").first.click()
        anna.wait_for_url(re.compile(r"/contacts(?!/new)"))


def fill_in(page: Page, words: Words, recipient: tuple[str, str, str], subject: str, reference: str, note: str) -> None:
    page.goto("/transfers/new")
    for part, text in zip(("name", "email", "mobile"), recipient, strict=True):
        page.fill(f"#recipient-0-{part}", text)
    page.keyboard.press("Escape")
    page.fill("#subject", subject)
    page.fill("#reference", reference)
    page.fill("#note", note)
    page.fill("#expires_in_days", words.days)


def send(studio: Studio, anna: Page) -> str:
    """The transfer of the manual, from form to sent; returns its path."""
    words = studio.words
    fill_in(anna, words, ("Rosa Blom", ROSA, "06 12 34 56 78"), words.subject, "Z-2026-0417", words.note)
    studio.shoot(anna, "new-transfer", upto=anna.locator("#subject"))
    anna.locator("main form .zp-actions button").last.click()
    anna.wait_for_url("**/documents")
    add(anna, words.documents)
    studio.shoot(anna, "documents")
    anna.locator("a[href$='/check']").click()
    studio.shoot(anna, "check", upto=part(anna, "preview"))
    anna.locator("form[action$='/send'] button").click()
    anna.wait_for_url(re.compile(r"/transfers/[a-z2-7]{26}\?"))
    return anna.url.split("?")[0]


def send_others(studio: Studio, anna: Page) -> None:
    for recipient, subject, reference in studio.words.others:
        fill_in(anna, studio.words, recipient, subject, reference, studio.words.note)
        anna.locator("main form .zp-actions button").last.click()
        anna.locator("a[href$='/check']").click()
        anna.locator("form[action$='/send'] button").click()
        anna.wait_for_url(re.compile(r"/transfers/[a-z2-7]{26}\?"))


def let_in(studio: Studio, page: Page, link: str, *, has_pictures: bool = False) -> None:
    """From the link to what is behind it, with a code."""
    page.goto(link)
    if has_pictures:
        studio.shoot(page, "link")
    page.locator("form[data-island=open] button").click()
    before = studio.sms_count()
    page.locator("form[action$='/code'] button").click()
    code = studio.code(sent_before=before)
    if has_pictures:
        page.fill("#code", f"{code[:3]}")
        studio.shoot(page, "code")
    page.fill("#code", code)
    page.locator("form[action$='/verify'] button").click()
    page.wait_for_url(re.compile(r"/(transfer|answer)$"))


def open_and_answer(studio: Studio) -> None:
    """Rosa reads on her telephone, fetches a document and sends something back."""
    context = studio.device(TELEPHONE_WIDTH)
    rosa = context.new_page()
    link = studio.mail_link(ROSA)
    let_in(studio, rosa, link, has_pictures=True)
    studio.shoot(rosa, "opened")
    with rosa.expect_download() as download:
        rosa.locator("a[download]").first.click()
    download.value.path()
    rosa.locator("form[action$='/answer'] button").click()
    add(rosa, {studio.words.answer_document: 410_000})
    rosa.fill("#note", studio.words.answer)
    rosa.locator("form[action$='/answer/send'] button").first.click()
    rosa.wait_for_url("**/transfer?done=sent")
    # For the file that presents the project, wider and in one language.
    if studio.language == "nl":
        wide = studio.browser.new_context(
            locale="nl-NL",
            base_url=studio.base_url,
            viewport={"width": 1000, "height": 700},
            storage_state=context.storage_state(),
        ).new_page()
        wide.goto(rosa.url.split("?")[0])
        save(wide.screenshot(full_page=True), DOCS / "pictures/opening.png")


def ask(studio: Studio, anna: Page) -> str:
    """Anna asks Fatima for documents; returns the request's path."""
    words = studio.words
    anna.goto("/requests/new")
    for name, text in (
        ("name", "Fatima El Amrani"),
        ("email", FATIMA),
        ("mobile", "06 87 65 43 21"),
        ("subject", words.request_subject),
        ("reference", "Z-2026-0522"),
        ("note", words.request_note),
        ("items", "\n".join(words.items)),
    ):
        anna.fill(f"#{name}", text)
    anna.fill("#due_on", f"{time.localtime().tm_year + 1}-02-01")
    studio.shoot(anna, "request-form", since=part(anna, "question-title"), upto=anna.locator("#due_on"))
    anna.locator("main form .zp-actions button").last.click()
    anna.wait_for_url(re.compile(r"/requests/[a-z2-7]{26}\?"))
    return anna.url.split("?")[0]


def send_in(studio: Studio) -> None:
    """Fatima sends a part of what was asked."""
    fatima = studio.device(TELEPHONE_WIDTH).new_page()
    let_in(studio, fatima, studio.mail_link(FATIMA))
    add(fatima, {studio.words.item_document: 890_000})
    fatima.get_by_label(studio.words.items[0]).check()
    studio.shoot(fatima, "answer", since=part(fatima, "add-documents"), upto=fatima.locator("form fieldset"))
    fatima.locator("form[action$='/answer/send'] button").first.click()
    fatima.wait_for_url("**/transfer?done=sent")


def start_unasked(studio: Studio) -> None:
    """Where somebody starts whom nobody asked."""
    page = studio.device(TELEPHONE_WIDTH).new_page()
    page.goto("/i")
    studio.shoot(page, "intake")


def send_from_outlook(studio: Studio) -> None:
    """A draft in the stand-in Outlook, with the pane beside it."""
    page = studio.device(DESK_WIDTH).new_page()
    page.goto("/demo/outlook")
    page.locator("[data-open]").click()
    pane = page.frame_locator("[data-frame]")
    with page.expect_popup() as opened:
        pane.locator("#sign-in").click()
    opened.value.fill("#email", "anna@zegelpost.example")
    opened.value.fill("#password", PASSWORD)
    opened.value.locator("main form button").click()
    expect(pane.locator("#mobile-0")).to_be_visible()
    # Of the demonstration, not of an Outlook.
    for each in (".zp-outlook__trouble", "div:has(> [data-attach])"):
        page.locator(each).evaluate("(each) => { each.hidden = true }")
    studio.shoot(page, "outlook", since=page.locator("[data-outlook]"), upto=page.locator("[data-outlook]"))


def take_pictures(studio: Studio) -> None:
    anna = studio.device(DESK_WIDTH).new_page()
    sign_in(anna, "anna@zegelpost.example")
    anna.goto("/account")
    studio.shoot(anna, "account", upto=part(anna, "factors"))
    keep_contacts(studio, anna)
    transfer = send(studio, anna)
    open_and_answer(studio)
    send_others(studio, anna)
    request = ask(studio, anna)
    send_in(studio)
    anna.goto(request)
    studio.shoot(anna, "request")
    for name in ("sent", "received", "contacts"):
        anna.goto(f"/{name}")
        studio.shoot(anna, name)
    anna.goto(transfer)
    studio.shoot(anna, "transfer", upto=part(anna, "recipients"))
    anna.goto("/received")
    anna.locator("tbody a", has_text=studio.words.subject).click()
    studio.shoot(anna, "received-transfer", upto=part(anna, "thread"))
    anna.goto(f"{transfer}/report")
    studio.shoot(anna, "report", upto=part(anna, "transfer").locator(".zp-data__item").nth(4))
    anna.goto("/departments")
    anna.locator("tbody a").first.click()
    studio.shoot(anna, "department", upto=part(anna, "members"))
    anna.goto("/transfers/new")
    anna.locator("#recipient-0-name").press_sequentially(studio.words.letters)
    expect(anna.locator("[role=option]").first).to_be_visible()
    studio.shoot(anna, "suggestions", upto=part(anna, "recipients-title"))
    start_unasked(studio)
    send_from_outlook(studio)


def main() -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for language, words in WORDS.items():
            with demonstration() as base_url:
                take_pictures(Studio(browser, base_url, language, words))
        browser.close()


if __name__ == "__main__":
    main()
