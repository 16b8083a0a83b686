"""The main job as people do it: Anna sends from the portal, Rosa opens with link and code, Bram reads as a colleague."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, Page, expect
from tests.journeys.people import EVERYWHERE, PASSWORD, Watched, device, sign_in
from tests.journeys.running import RunningDemo

LINK = re.compile(r"^(http://127\.0\.0\.1:\d+/o/[a-z2-7]{26})#([a-z2-7]{32})$", re.MULTILINE)
EXPIRES = {
    "nl": re.compile(r"Verloopt op .+ \(.*(weken|week|dagen|dag).*\)"),
    "en": re.compile(r"Expires on .+ \(.*(weeks|week|days|day).*\)"),
}
WORDS = {
    "nl": {
        "not_mobile": "Dit is geen mobiel nummer",
        "send": "Verstuur veilig",
        "sent": "Uw verzending is verstuurd",
        "ends_in": "eindigt op 78",
        "send_code": "Stuur mij de code",
        "open": "Open de documenten",
        "wrong": "Deze code klopt niet",
        "not_scanned": "Niet gecontroleerd op virussen",
        "new_link": "Nieuwe link",
        "withdraw": "Intrekken",
        "withdrawn": "ingetrokken",
        "help": "Vraag de afzender om hulp",
        "helped": "Er komt hulp",
    },
    "en": {
        "not_mobile": "This is not a mobile number",
        "send": "Send securely",
        "sent": "Your transfer has been sent",
        "ends_in": "ends in 78",
        "send_code": "Send me the code",
        "open": "Open the documents",
        "wrong": "This code is not right",
        "not_scanned": "Not checked for viruses",
        "new_link": "New link",
        "withdraw": "Withdraw",
        "withdrawn": "withdrawn",
        "help": "Ask the sender for help",
        "helped": "Help is on its way",
    },
}


def _go_on(page: Page) -> None:
    page.locator("main form .zp-actions button").last.click()


def _link(demo: RunningDemo, to: str, *, more_than: int = 0) -> tuple[str, str, dict[str, Any]]:
    mail = demo.wait_for("mail", to, more_than=more_than)
    found = LINK.search(mail["text"])
    assert found, mail["text"]
    return found.group(1), found.group(2), mail


def _code(demo: RunningDemo, number: str, *, more_than: int = 0) -> str:
    sms = demo.wait_for("sms", number, more_than=more_than)
    found = re.search(r"#(\d{6})$", sms["text"])
    assert found, sms["text"]
    return found.group(1)


def _count(demo: RunningDemo, kind: str, to: str) -> int:
    return sum(entry["kind"] == kind and entry["to"] == to for entry in demo.outbox())


@pytest.mark.parametrize(("language", "width"), EVERYWHERE)
def test_from_draft_to_identical_bytes(  # noqa: PLR0915 - a journey is long, and each step stands on the one before
    demo: RunningDemo, chromium: Browser, tmp_path: Path, language: str, width: int
) -> None:
    words = WORDS[language]
    number = f"+31612{width:04d}78" if language == "nl" else f"+31613{width:04d}78"
    rosa_email = f"rosa-{language}-{width}@example.nl"
    decision = tmp_path / "Besluit één.pdf"
    decision.write_bytes(b"%PDF-1.4\n" + b"inhoud " * 40_000)
    letter = tmp_path / "brief.txt"
    letter.write_text("Beste Rosa\n" * 100)
    fake = tmp_path / "geen.pdf"
    fake.write_bytes(b"MZ" + bytes(600))

    staff = device(chromium, language, width)
    anna = Watched(staff.new_page())
    anna.page.goto(demo.base_url + "/sign-in")
    anna.look()
    sign_in(anna.page, demo, "anna@zegelpost.example")
    anna.look()

    # What and to whom: a landline is told at its field, and what was typed stays.
    anna.page.goto(demo.base_url + "/transfers/new")
    anna.look()
    anna.page.fill("#subject", "Indicatiebesluit 2026")
    anna.page.fill("#reference", "Z-2026-0417")
    anna.page.fill("#note", "Beste Rosa,\nhierbij het besluit.")
    anna.page.fill("#recipient-0-name", "Rosa Blom")
    anna.page.fill("#recipient-0-email", rosa_email)
    anna.page.fill("#recipient-0-mobile", "020 123 45 67")
    anna.page.locator("button[name=add_recipient]").click()
    anna.page.fill("#recipient-1-name", "Bram Jansen")
    anna.page.fill("#recipient-1-email", "bram@zegelpost.example")
    _go_on(anna.page)
    expect(anna.page.locator("#recipient-0-mobile-error")).to_contain_text(words["not_mobile"])
    expect(anna.page.locator("#subject")).to_have_value("Indicatiebesluit 2026")
    anna.look()
    anna.page.fill("#recipient-0-mobile", number.replace("+31", "0"))
    _go_on(anna.page)

    # Documents: several at once; one whose content is not what its name says is refused.
    anna.page.wait_for_url("**/documents")
    anna.page.set_input_files("#documents", [decision, letter, fake])
    expect(anna.page.locator("[data-list] .zp-document--done")).to_have_count(2)
    expect(anna.page.locator("[data-list] .zp-document--refused, [data-list] [data-icon=failed]:visible").first).to_be_visible()
    anna.look()
    anna.page.locator("[data-list] li", has_text="geen.pdf").locator("[data-action=remove]").click()
    expect(anna.page.locator("[data-list] li", has_text="geen.pdf")).to_have_count(0)

    # Check and send.
    anna.page.locator("a[href$='/check']").click()
    expect(anna.page.locator("main")).to_contain_text("Besluit één.pdf")
    anna.look()
    anna.page.get_by_role("button", name=words["send"]).click()
    expect(anna.page.locator("main")).to_contain_text(words["sent"])
    anna.look()
    transfer_url = anna.page.url.split("?")[0]

    # Rosa opens: nothing happens until she presses, and then only to her telephone.
    address, secret, mail = _link(demo, rosa_email)
    assert "Z-2026-0417" not in mail["text"] + mail["html"] + mail["subject"]
    rosa = Watched(device(chromium, language, width).new_page())
    rosa.page.goto(f"{address}#{secret}")
    expect(rosa.page.locator("[data-island=open] button")).to_be_visible()
    expect(rosa.page.locator("[data-press]")).to_be_visible()
    assert secret not in rosa.page.url
    rosa.look()
    rosa.page.locator("[data-island=open] button").click()
    expect(rosa.page.locator("main")).to_contain_text(words["ends_in"])
    rosa.look()
    assert _count(demo, "sms", number) == 0
    rosa.page.get_by_role("button", name=words["send_code"]).click()
    code = _code(demo, number)
    expect(rosa.page.locator("#code")).to_have_attribute("autocomplete", "one-time-code")
    rosa.page.fill("#code", "000000" if code != "000000" else "111111")
    rosa.page.get_by_role("button", name=words["open"]).click()
    expect(rosa.page.locator("#code-error")).to_contain_text(words["wrong"])
    rosa.look()
    rosa.page.fill("#code", f"{code[:3]} {code[3:]}")
    rosa.page.get_by_role("button", name=words["open"]).click()
    expect(rosa.page.locator("main")).to_contain_text("hierbij het besluit")
    expect(rosa.page.locator(".zp-expiry")).to_contain_text(EXPIRES[language])
    expect(rosa.page.locator("main")).to_contain_text(words["not_scanned"])
    rosa.look()

    # One document, byte for byte; all of them as an archive with safe names.
    with rosa.page.expect_download() as download:
        rosa.page.locator("a[download]", has_text="Besluit één.pdf").click()
    assert download.value.suggested_filename == "Besluit één.pdf"
    assert Path(download.value.path()).read_bytes() == decision.read_bytes()
    with rosa.page.expect_download() as download:
        rosa.page.locator("a[href$='/archive.zip']").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert sorted(archive.namelist()) == ["Besluit één.pdf", "brief.txt"]
        assert archive.read("brief.txt") == letter.read_bytes()

    # Bram is a colleague: he signs in and reads.
    bram = Watched(device(chromium, language, width).new_page())
    sign_in(bram.page, demo, "bram@zegelpost.example", f"/received/{transfer_url.rsplit('/', 1)[1]}")
    expect(bram.page.locator("main")).to_contain_text("hierbij het besluit")
    bram.look()

    # Anna sees who did what, and takes it back: whoever is reading is cut off.
    anna.page.goto(transfer_url)
    for summary in anna.page.locator("main summary").all():
        summary.click()
    anna.look()
    anna.page.goto(transfer_url + "/revoke")
    anna.look()
    with anna.page.expect_navigation():
        anna.page.locator("main form button", has_text=words["withdraw"]).click()
    anna.look()
    rosa.page.goto(f"{address}#{secret}")
    rosa.page.locator("[data-island=open] button").click()
    expect(rosa.page.locator("main")).to_contain_text(words["withdrawn"])
    rosa.look()
    rosa.page.get_by_role("button", name=words["help"]).click()
    expect(rosa.page.locator("h1")).to_contain_text(words["helped"])
    rosa.look()
    for path in ("/sent", "/received", "/demo/outbox", "/nowhere"):
        anna.page.goto(demo.base_url + path)
        anna.look()


def _send_note(demo: RunningDemo, to: str, mobile: str) -> str:
    """Anna sends a note by form; returns the path of the transfer."""
    with httpx2.Client(base_url=demo.base_url, follow_redirects=True) as anna:
        home = anna.post("/sign-in", data={"email": "anna@zegelpost.example", "password": PASSWORD}).text
        csrf = str(re.findall(r'name="csrf" value="([^"]+)"', home)[0])
        typed = {"subject": "Bericht", "note": "Alleen tekst", "expires_in_days": "7", "language": "nl"}
        typed |= {"recipient-0-name": "Rosa", "recipient-0-email": to, "recipient-0-mobile": mobile, "csrf": csrf}
        path = str(anna.post("/transfers", data=typed).url).split("/transfers/")[1].split("/")[0]
        assert "done=sent" in str(anna.post(f"/transfers/{path}/send", data={"csrf": csrf}).url)
    return f"/transfers/{path}"


@pytest.mark.parametrize("mangled", ["{a}#{s}", "{a}%23{s}", "{a}%2523{s}"])
def test_link_survives_mail_gateways(demo: RunningDemo, chromium: Browser, mangled: str) -> None:
    to = f"gateway-{len(mangled)}@example.nl"
    _send_note(demo, to, "0612345678")
    address, secret, _ = _link(demo, to)
    rosa = Watched(device(chromium, "nl", 390).new_page())
    rosa.page.goto(mangled.format(a=address, s=secret))
    assert secret not in rosa.page.url
    rosa.page.locator("[data-island=open] button").click()
    expect(rosa.page.locator("main")).to_contain_text("eindigt op 78")
    assert rosa.complaints == []


@pytest.mark.parametrize("language", ["nl", "en"])
def test_without_script_and_with_a_cut_link(demo: RunningDemo, chromium: Browser, tmp_path: Path, language: str) -> None:
    words = WORDS[language]
    to, number = f"plain-{language}@example.nl", {"nl": "+31612340178", "en": "+31612340278"}[language]
    anna = device(chromium, language, 390, has_script=False).new_page()
    sign_in(anna, demo, "anna@zegelpost.example")
    anna.goto(demo.base_url + "/transfers/new")
    anna.fill("#subject", "Zonder script")
    anna.fill("#recipient-0-name", "Rosa")
    anna.fill("#recipient-0-email", to)
    anna.fill("#recipient-0-mobile", number)
    _go_on(anna)
    paper = tmp_path / "papier.txt"
    paper.write_text("Zonder script verstuurd.\n" * 50)
    anna.set_input_files("#documents-plain", paper)
    anna.locator("[data-plain] button").click()
    expect(anna.locator("[data-list]")).to_contain_text("papier.txt")
    anna.locator("a[href$='/check']").click()
    anna.get_by_role("button", name=words["send"]).click()
    expect(anna.locator("main")).to_contain_text(words["sent"])

    address, _, mail = _link(demo, to)
    printed = re.search(r"^([a-z2-7]{4}(-[a-z2-7]{4}){7})$", mail["text"], re.MULTILINE)
    assert printed
    rosa = device(chromium, language, 390, has_script=False).new_page()
    rosa.goto(address)
    expect(rosa.locator("[data-press]")).to_be_hidden()
    rosa.fill("#link_secret", printed.group(1).upper())
    rosa.locator("[data-island=open] button").click()
    rosa.get_by_role("button", name=words["send_code"]).click()
    rosa.fill("#code", _code(demo, number))
    rosa.get_by_role("button", name=words["open"]).click()
    with rosa.expect_download() as download:
        rosa.locator("a[download]", has_text="papier.txt").click()
    assert Path(download.value.path()).read_bytes() == paper.read_bytes()


def test_a_scanner_that_runs_all_script_changes_nothing(demo: RunningDemo, chromium: Browser) -> None:
    path = _send_note(demo, "scanned@example.nl", "0612340378")
    address, secret, _ = _link(demo, "scanned@example.nl")
    scanner = device(chromium, "en", 1280).new_page()
    for _ in range(2):
        scanner.goto(f"{address}#{secret}")
        scanner.wait_for_timeout(3000)
    assert _count(demo, "sms", "+31612340378") == 0
    with httpx2.Client(base_url=demo.base_url, follow_redirects=True, headers={"Accept-Language": "en"}) as anna:
        anna.post("/sign-in", data={"email": "anna@zegelpost.example", "password": PASSWORD})
        assert "Link opened" not in anna.get(path).text
    rosa = device(chromium, "en", 1280).new_page()
    rosa.goto(f"{address}#{secret}")
    rosa.locator("[data-island=open] button").click()
    expect(rosa.locator("main")).to_contain_text("ends in 78")
