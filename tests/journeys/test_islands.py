"""The interactive parts of pages in a real browser, under the real policy, against a server that keeps what it gets.

These run apart from asynchronous tests: Playwright's synchronous API leaves its event loop behind.
"""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from jinja2 import ChoiceLoader, DictLoader
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from tests.journeys.axe import run_axe
from tests.journeys.conftest import CHROMIUM, QUIET

from zegelpost.web.rendering import WEB, Templates, create_templates
from zegelpost.web.translation import Language

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
SECRET = "abcdefghijklmnopqrstuvwxyz234567"
PAGES = {
    "island_upload.html": """{% extends "layout.html" %}{% from "macros/documents.html" import upload_area with context %}
{% block title %}Documenten{% endblock %}
{% block main %}<h1 class="utrecht-heading-1">Documenten</h1>
<div class="zp-card">{{ upload_area("t1", documents, unfinished, 50000000, ["pdf", "bin", "exe"]) }}</div>{% endblock %}""",
    "island_recipients.html": """{% extends "layout.html" %}{% from "macros/recipients.html" import recipient_rows %}
{% from "macros/forms.html" import button, csrf_field with context %}{% block title %}Ontvangers{% endblock %}
{% block main %}<h1 class="utrecht-heading-1">Nieuw</h1><form class="zp-stack" method="post">{{ csrf_field() }}
{% set nobody = {"name": "", "email": "", "mobile": "", "is_kept": false, "book": ""} %}
{{ recipient_rows([nobody], {}, ["zegelpost.example"], 3, "action", "send") }}
{{ button("Verstuur", name="action", value="send") }}</form>{% endblock %}""",
    "island_open.html": """{% extends "layout.html" %}{% from "macros/opening.html" import open_form with context %}
{% block title %}Open{% endblock %}{% block width %}zp-wrap--narrow{% endblock %}
{% block scripts %}<script src="{{ asset('open.js') }}" defer></script>{% endblock %}
{% block main %}<h1 class="utrecht-heading-1">Documenten voor u</h1>{{ open_form("/o/x1", "Open") }}{% endblock %}""",
}


@dataclass
class Stored:
    name: str
    length: int
    content: bytearray = field(default_factory=bytearray)

    def as_row(self, upload_id: str) -> dict[str, Any]:
        return {
            "id": upload_id, "name": self.name, "size_bytes": self.length,
            "offset_bytes": len(self.content), "length_bytes": self.length,
        }  # fmt: skip


class Site:
    """The pages above, uploads as tus 1.0 knows them, and a memory of what was asked."""

    def __init__(self) -> None:
        self.templates = with_pages(create_templates(site=lambda: {"organisation": "Gemeente Voorbeeld"}))
        self.uploads: dict[str, Stored] = {}
        self.forms: list[dict[str, str]] = []
        self.bytes_per_second: int | None = None
        self.methods: list[str] = []
        self.app = Starlette(
            routes=[
                Mount("/static", StaticFiles(directory=WEB / "static")),
                Route("/uploads", self.create, methods=["POST"]),
                Route("/uploads/{id}", self.one, methods=["HEAD", "PATCH", "DELETE"]),
                Route("/{name}.html", self.page, methods=["GET", "POST"]),
                Route("/o/{id:path}", self.opening, methods=["GET", "POST"]),
            ]
        )

    async def page(self, request: Request) -> Response:
        rows = [(upload, upload.as_row(upload_id)) for upload_id, upload in self.uploads.items()]
        if request.method == "POST":
            self.forms.append({key: str(value) for key, value in (await request.form()).items()})
        return self.render(
            request.path_params["name"] + ".html",
            request,
            documents=[row for upload, row in rows if len(upload.content) == upload.length],
            unfinished=[row for upload, row in rows if len(upload.content) < upload.length],
        )

    async def opening(self, request: Request) -> Response:
        if request.method == "POST":
            self.forms.append({key: str(value) for key, value in (await request.form()).items()})
        return self.render("island_open.html", request)

    def render(self, name: str, request: Request, **context: object) -> Response:
        language = Language(request.query_params.get("language", "nl"))
        page = self.templates.render(name, language, csrf="token", **context)
        return HTMLResponse(page, headers={"Content-Security-Policy": POLICY, "Cache-Control": "no-store"})

    async def create(self, request: Request) -> Response:
        self.methods.append("POST")
        if request.headers.get("x-csrf-token") != "token":
            return Response(status_code=403)
        metadata = dict(pair.split(" ") for pair in request.headers["upload-metadata"].split(","))
        name = base64.b64decode(metadata["filename"]).decode()
        if name.endswith(".exe"):
            problem = {"title": "Geweigerd", "detail": "Programma's mogen niet.", "code": "extension_not_allowed"}
            return JSONResponse(problem, 415, media_type="application/problem+json")
        upload_id = f"u{len(self.methods)}"
        self.uploads[upload_id] = Stored(name, int(request.headers["upload-length"]))
        return Response(status_code=201, headers={"Location": f"/uploads/{upload_id}"})

    async def one(self, request: Request) -> Response:
        self.methods.append(request.method)
        upload = self.uploads.get(request.path_params["id"])
        if upload is None:
            return Response(status_code=404)
        if request.method == "DELETE":
            del self.uploads[request.path_params["id"]]
            return Response(status_code=204)
        headers = {}
        if request.method == "PATCH":
            assert int(request.headers["upload-offset"]) == len(upload.content)
            try:
                async for chunk in request.stream():
                    upload.content += chunk
                    if self.bytes_per_second:
                        time.sleep(len(chunk) / self.bytes_per_second)  # noqa: ASYNC251 - one browser, one line
            except ClientDisconnect:
                return Response(status_code=499)
            if len(upload.content) == upload.length:
                headers["Upload-Sha256"] = hashlib.sha256(upload.content).hexdigest()
        headers |= {"Upload-Offset": str(len(upload.content)), "Upload-Length": str(upload.length)}
        return Response(status_code=200 if request.method == "HEAD" else 204, headers=headers)


def with_pages(templates: Templates) -> Templates:
    for environment in templates.environments.values():
        assert environment.loader
        environment.loader = ChoiceLoader([environment.loader, DictLoader(PAGES)])
    return templates


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def address(site: Site) -> Iterator[str]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(site.app, log_level="critical", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started:
        assert thread.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A phone-sized page; the test fails when the policy blocked something or a script broke."""
    complaints: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            complaints.append(message.text)

    context = browser.new_context(viewport={"width": 390, "height": 844}, base_url=address)
    page = context.new_page()
    page.set_default_timeout(10_000)
    page.on("console", listen)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert complaints == []


def content(path: Path, size: int, seed: int = 1) -> Path:
    path.write_bytes(bytes((index * 31 + seed) % 251 for index in range(1000)) * (size // 1000))
    return path


def choose(page: Page, *paths: Path) -> None:
    page.get_by_label("Kies bestanden").set_input_files(list(paths))


def only(site: Site) -> Stored:
    (stored,) = site.uploads.values()
    return stored


def test_documents_arrive_and_refusals_are_told(page: Page, site: Site, tmp_path: Path) -> None:
    page.goto("/island_upload.html")
    good, bad = content(tmp_path / "Besluit.pdf", 200_000), content(tmp_path / "scan.exe", 1_000)
    choose(page, good, bad, content(tmp_path / "notitie.docx", 1_000))

    rows = page.get_by_role("listitem").filter(has=page.get_by_role("button", name=re.compile("Verwijder")))
    expect(rows.filter(has_text="Besluit.pdf")).to_contain_text("200 kB")
    expect(rows.filter(has_text="Besluit.pdf")).to_contain_text("Ontvangen")
    expect(rows.filter(has_text="scan.exe")).to_contain_text("Programma's mogen niet.")
    expect(rows.filter(has_text="notitie.docx")).to_contain_text("Bestanden die eindigen op .docx")
    assert bytes(only(site).content) == good.read_bytes()
    assert run_axe(page) == []

    page.get_by_role("button", name="Verwijder Besluit.pdf").click()
    expect(page.locator(".zp-document__name", has_text="Besluit.pdf")).to_have_count(0)
    assert site.uploads == {}


def test_the_end_is_announced_once(page: Page, tmp_path: Path) -> None:
    page.goto("/island_upload.html")
    choose(page, content(tmp_path / "Besluit.pdf", 1_000))
    expect(page.locator("[data-live]")).to_have_text("Besluit.pdf is ontvangen.")


def test_pausing_and_going_on(page: Page, site: Site, tmp_path: Path) -> None:
    site.bytes_per_second = 2_000_000
    page.goto("/island_upload.html")
    file = content(tmp_path / "MRI.bin", 6_000_000)
    choose(page, file)
    expect(page.get_by_role("progressbar", name="MRI.bin")).to_be_visible()
    page.wait_for_timeout(500)
    page.get_by_role("button", name="Pauzeer MRI.bin").press("Enter")
    expect(page.get_by_text("Gepauzeerd bij")).to_be_visible()
    expect(page.get_by_role("button", name="Ga verder MRI.bin")).to_be_focused()
    assert run_axe(page) == []
    page.wait_for_timeout(300)
    arrived = len(only(site).content)
    assert 0 < arrived < 6_000_000

    site.bytes_per_second = None
    page.get_by_role("button", name="Ga verder MRI.bin").press("Enter")
    expect(page.get_by_text("Ontvangen", exact=True)).to_be_visible()
    assert bytes(only(site).content) == file.read_bytes()
    assert site.methods.count("POST") == 1


def test_going_on_after_a_reload(page: Page, site: Site, tmp_path: Path) -> None:
    site.bytes_per_second = 2_000_000
    page.goto("/island_upload.html")
    file = content(tmp_path / "MRI.bin", 6_000_000)
    choose(page, file)
    page.wait_for_timeout(700)
    page.reload()
    expect(page.get_by_text("Kies hetzelfde bestand om verder te gaan")).to_be_visible()

    site.bytes_per_second = None
    choose(page, file)
    expect(page.get_by_text("Ontvangen", exact=True)).to_be_visible()
    expect(page.locator(".zp-document__name")).to_have_count(1)
    assert bytes(only(site).content) == file.read_bytes()
    assert site.methods.count("POST") == 1

    page.reload()
    page.get_by_role("button", name="Verwijder MRI.bin").click()
    expect(page.locator(".zp-document__name")).to_have_count(0)
    assert site.uploads == {}


def test_going_on_when_the_connection_returns(page: Page, site: Site, tmp_path: Path) -> None:
    site.bytes_per_second = 2_000_000
    page.goto("/island_upload.html")
    file = content(tmp_path / "MRI.bin", 6_000_000)
    choose(page, file)
    page.wait_for_timeout(500)
    # The browser's switch does not cut what is under way, only what begins after it.
    page.get_by_role("button", name="Pauzeer MRI.bin").click()
    page.context.set_offline(True)
    page.get_by_role("button", name="Ga verder MRI.bin").click()
    expect(page.get_by_text("Geen verbinding.")).to_be_visible()
    site.bytes_per_second = None
    page.context.set_offline(False)
    expect(page.get_by_text("Ontvangen", exact=True)).to_be_visible()
    assert bytes(only(site).content) == file.read_bytes()
    assert site.methods.count("POST") == 1


def test_recipients_come_and_go_without_gaps(page: Page, site: Site) -> None:
    page.goto("/island_recipients.html")
    add = page.get_by_role("button", name="Voeg een ontvanger toe")
    page.get_by_label("Naam").fill("Rosa")
    add.click()
    expect(page.get_by_label("Naam").nth(1)).to_be_focused()
    page.keyboard.type("Guus")
    add.click()
    page.get_by_label("Naam").nth(2).fill("Mallory")
    page.get_by_label("E-mailadres").nth(2).fill("m@example.nl")
    expect(add).to_be_hidden()
    assert run_axe(page) == []

    page.get_by_role("button", name="Verwijder ontvanger").nth(1).click()
    expect(page.get_by_role("group", name="Ontvanger 2")).to_be_visible()
    expect(page.get_by_role("button", name="Verwijder m@example.nl")).to_be_visible()
    page.get_by_label("Naam").first.press("Enter")
    page.wait_for_load_state("networkidle")
    (form,) = site.forms
    assert form["action"] == "send"
    assert [form["recipient-0-name"], form["recipient-1-name"]] == ["Rosa", "Mallory"]
    assert "recipient-2-name" not in form


def test_a_colleague_needs_no_number(page: Page) -> None:
    page.goto("/island_recipients.html")
    hint = page.get_by_text("Dit is een collega")
    expect(hint).to_be_hidden()
    page.get_by_label("E-mailadres").fill("bram@ZEGELPOST.example")
    expect(hint).to_be_visible()
    page.get_by_label("E-mailadres").fill("bram@zegelpost.example.evil.example")
    expect(hint).to_be_hidden()


@pytest.mark.parametrize("separator", ["#", "%23", "%2523"])
def test_opening_fills_in_but_never_submits(page: Page, site: Site, separator: str) -> None:
    page.goto(f"/o/x1{separator}{SECRET}")
    box = page.get_by_label("Code uit de e-mail")
    expect(box).to_be_hidden()
    expect(page).to_have_url(re.compile(r"/o/x1$"))
    assert run_axe(page) == []
    page.wait_for_timeout(300)
    assert site.forms == []

    page.get_by_role("link", name="English").click()
    expect(page).to_have_url(re.compile(r"/o/x1\?language=en$"))
    page.get_by_role("button", name="Open").click()
    page.wait_for_load_state("networkidle")
    assert [form["link_secret"] for form in site.forms] == [SECRET]


def test_a_link_that_lost_its_secret_asks_for_the_code(page: Page, site: Site) -> None:
    page.goto("/o/x1")
    page.get_by_label("Code uit de e-mail").fill("ABCD-efgh")
    page.get_by_role("button", name="Open").click()
    page.wait_for_load_state("networkidle")
    assert [form["link_secret"] for form in site.forms] == ["ABCD-efgh"]


def test_another_link_pasted_into_the_address_bar_counts(page: Page) -> None:
    page.goto("/o/x1")
    page.goto(f"/o/x1#{SECRET}")
    expect(page.get_by_label("Code uit de e-mail")).to_be_hidden()
    expect(page).to_have_url(re.compile(r"/o/x1$"))


def test_without_script_everything_is_a_form(browser: Browser, address: str) -> None:
    context = browser.new_context(java_script_enabled=False, base_url=address)
    page = context.new_page()
    page.goto("/island_upload.html")
    expect(page.get_by_label("Bestanden", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Voeg toe")).to_be_visible()
    page.goto("/island_recipients.html")
    expect(page.get_by_role("button", name="Voeg een ontvanger toe")).to_have_attribute("type", "submit")
    page.goto("/o/x1")
    expect(page.get_by_label("Code uit de e-mail")).to_be_visible()
    context.close()
