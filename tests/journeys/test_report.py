"""The report as a sender meets it: from the transfer to the page, and from there to both PDFs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Browser, expect
from tests.contracts.test_pdf import attachments_of, cells_of
from tests.journeys.people import EVERYWHERE, PASSWORD, Watched, device, sign_in
from tests.journeys.running import RunningDemo

WORDS = {
    "nl": {"report": "Rapportage: wie heeft", "quick": "PDF", "archive": "PDF voor het archief"},
    "en": {"report": "Report: who fetched", "quick": "PDF", "archive": "PDF for the archive"},
}
SAID = {"nl": "Rapportage van een verzending", "en": "Report of a transfer"}


def _sent(demo: RunningDemo, language: str) -> str:
    """A transfer of Anna's with names that are long and names that are hostile."""
    with httpx2.Client(base_url=f"{demo.base_url}/api/v1") as program:
        answer = program.post("/sign-in", json={"email": "anna@zegelpost.example", "password": PASSWORD}).json()
        program.headers["Authorization"] = f"Bearer {answer['access_token']}"
        recipients = [
            {"name": name, "email": f"persoon{number}@{'een-lange-naam-' * number}zorg.example", "mobile": "06 12 34 56 78"}
            for number, name in enumerate(["Rosa Visser", "Ongebrokenlangeachternaam" * 4, "<img src=x onerror=alert(1)>"])
        ]
        form = {"subject": "Dossier Visser", "reference": "Z-1", "note": "Beste Rosa", "recipients": recipients}
        transfer_id: str = program.post("/transfers", json={**form, "language": language}).raise_for_status().json()["id"]
        program.post(f"/transfers/{transfer_id}/send").raise_for_status()
    return transfer_id


@pytest.mark.parametrize(("language", "width"), EVERYWHERE)
def test_from_the_transfer_to_paper(demo: RunningDemo, chromium: Browser, tmp_path: Path, language: str, width: int) -> None:
    words = WORDS[language]
    context = device(chromium, language, width)
    anna = Watched(context.new_page())
    page = anna.page
    sign_in(page, demo, "anna@zegelpost.example", "/sent")
    page.goto(f"{demo.base_url}/transfers/{_sent(demo, language)}")
    with page.expect_navigation():
        page.get_by_role("link", name=words["report"]).click()
    expect(page.locator("h1")).to_be_visible()
    anna.look()
    if folder := os.environ.get("ZEGELPOST_TEST_PICTURES"):
        page.screenshot(path=f"{folder}/report-{language}-{width}.png", full_page=True)
    transfer_id = page.url.split("/")[-2]
    for name, is_exact in ((words["quick"], True), (words["archive"], False)):
        with page.expect_download() as waiting:
            page.get_by_role("link", name=name, exact=is_exact).click()
        file = tmp_path / waiting.value.suggested_filename
        waiting.value.save_as(file)
        assert file.suffix == ".pdf"
        text = cells_of(file.read_bytes())
        assert (SAID[language] in text, transfer_id in text) == (True, True)
        [attached] = attachments_of(file.read_bytes()).values()
        assert transfer_id.encode() in attached
        pictures = subprocess.run(["pdftoppm", "-r", "20", "-png", file, tmp_path / "page"], capture_output=True, check=True)
        assert pictures.stderr == b""
    context.close()
