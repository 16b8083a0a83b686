"""The report of a transfer: every fact, none that is secret, for nobody but its sender, also when the transfer is over."""

from __future__ import annotations

import hashlib
import html
import json
import re
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import update
from starlette.applications import Starlette
from tests.conftest import MovableClock, Outbox, Portal, browser, signed_in
from tests.contracts.test_pdf import attachments_of, words_of
from tests.web.acts import BRAM, DOCUMENT, ROSA, SAM, draft, enter, open_link, other_than, recognise, send, words
from tests.web.tus import TRANSFERS

import zegelpost
from zegelpost.connecting import Printers
from zegelpost.main import Services, build_worker
from zegelpost.model.policy import Policy
from zegelpost.model.transfer import Transfer
from zegelpost.services.reporting import NTA_7516

VARIANTS = ("plain", "archive")
NOTE = "canary-of-the-note"
OTHER = b"een ander document\n"
LINK_ONLY = Policy(staff_domains=("zegelpost.example",), has_sender_copy=False, requires_second_factor=False)


@dataclass
class Told:
    """One transfer in every form that a report has, and what may be in none of them."""

    facts: dict[str, Any]
    forms: dict[str, str]
    secrets: list[str]


async def facts_of(anna: httpx2.AsyncClient, transfer_id: str) -> dict[str, Any]:
    answer = await anna.get(f"{TRANSFERS}/{transfer_id}/report.json")
    assert answer.status_code == 200, answer.text
    facts: dict[str, Any] = answer.json()
    return facts


async def forms_of(portal: Portal, transfer_id: str) -> dict[str, str]:
    """The text of each form of the report, as people and programs read it."""
    page = await portal.client.get(f"/transfers/{transfer_id}/report")
    facts = await portal.client.get(f"/transfers/{transfer_id}/report.json")
    assert (page.status_code, facts.status_code) == (200, 200)
    forms = {"page": html.unescape(page.text), "json": facts.text}
    for variant in VARIANTS:
        pdf = await portal.client.get(f"/transfers/{transfer_id}/report.pdf", params={"variant": variant})
        assert (pdf.status_code, pdf.headers["content-type"]) == (200, "application/pdf")
        forms[variant] = words_of(pdf.content)
        [attached] = attachments_of(pdf.content).values()
        forms[f"attached to {variant}"] = attached.decode()
    return forms


@pytest.fixture
async def told(
    app: Starlette, anna: httpx2.AsyncClient, bram: httpx2.AsyncClient, anna_portal: Portal, outbox: Outbox, clock: MovableClock
) -> Told:
    """Rosa tries a wrong code, then the right one, and fetches one document; Bram fetches all; Sam does nothing."""
    documents = {"verslag.pdf": DOCUMENT, "bijlage <b>.txt": OTHER}
    transfer_id = await send(anna_portal, ROSA, SAM, BRAM, documents=documents, note=NOTE)
    await outbox.deliver()
    async with browser(app) as rosa:
        clock.forward(minutes=5)
        path, secret = await outbox.link(ROSA.email)
        await recognise(rosa, (path, secret))
        await rosa.post(f"{path}/code")
        code = await outbox.code(ROSA.number)
        await enter(rosa, path, other_than(code))
        await enter(rosa, path, code)
        clock.forward(minutes=1)
        page = await rosa.get(f"{path}/transfer")
        first = re.findall(rf'href="({path}/documents/[a-z2-7]+)"', page.text)[0]
        assert (await rosa.get(first)).content == DOCUMENT
    clock.forward(minutes=1)
    assert (await bram.get(f"{TRANSFERS}/{transfer_id}/archive.zip")).status_code == 200
    sams_link = await outbox.link(SAM.email)
    cookies = [str(cookie.value) for cookie in rosa.cookies.jar]
    secrets = [NOTE, code, secret, sams_link[1], ROSA.number, ROSA.mobile, ROSA.number[3:], SAM.number[3:], *cookies]
    secrets += [anna.headers["authorization"].split()[1], anna_portal.csrf]
    return Told(await facts_of(anna, transfer_id), await forms_of(anna_portal, transfer_id), secrets)


# The facts


async def test_tells_who_got_it_how_they_proved_themselves_and_what_they_fetched(told: Told) -> None:
    facts = told.facts
    transfer = facts["transfer"]
    assert (facts["organisation"], transfer["state"]) == ("Gemeente Voorbeeld", "sent")
    assert transfer["sender"] == {"name": "Anna de Vries", "email": "anna@zegelpost.example"}
    assert (transfer["subject"], transfer["reference"]) == ("Dossier Visser", "Z-1")
    assert transfer["sent"] == {"utc": "2026-11-23T12:00:00Z", "local": "2026-11-23T13:00:00+01:00"}
    assert transfer["expires"]["utc"] == "2026-12-21T12:00:00Z"
    assert facts["unreadable"] is None

    rosa, sam, bram = facts["recipients"]
    assert [(person["name"], person["mobile"], person["method"]) for person in (rosa, sam, bram)] == [
        ("Rosa Visser", "+31 •••••• 78", "sms"),
        ("Sam Smit", "+31 •••••• 21", "sms"),
        ("Bram Jansen", None, "sign_in"),
    ]
    assert (rosa["proved"]["utc"], rosa["fetched"]["utc"]) == ("2026-11-23T12:05:00Z", "2026-11-23T12:06:00Z")
    assert (sam["proved"], sam["fetched"]) == (None, None)
    assert (bram["proved"]["utc"], bram["fetched"]["utc"]) == ("2026-11-23T12:07:00Z", "2026-11-23T12:07:00Z")

    first, second = facts["documents"]
    assert (first["name"], first["length_bytes"], first["sha256"]) == (
        "verslag.pdf",
        len(DOCUMENT),
        hashlib.sha256(DOCUMENT).hexdigest(),
    )
    assert (second["length_bytes"], second["sha256"]) == (len(OTHER), hashlib.sha256(OTHER).hexdigest())
    assert [(item["recipient_number"], item["document_number"], item["first"]["utc"]) for item in facts["fetched"]] == [
        (1, 1, "2026-11-23T12:06:00Z"),
        (3, 1, "2026-11-23T12:07:00Z"),
        (3, 2, "2026-11-23T12:07:00Z"),
    ]


async def test_tells_every_event_in_order_with_both_times_and_its_standard_word(told: Told) -> None:
    events = told.facts["events"]
    moments = [event["at"]["utc"] for event in events]
    assert moments == sorted(moments)
    assert [(event["event"], event["recipient_number"]) for event in events if event["at"]["utc"] > "2026-11-23T12:04"] == [
        ("link:recognised", 1),
        ("code:requested", 1),
        ("sms:accepted", 1),
        ("code:failed", 1),
        ("code:verified", 1),
        ("document:consulted", 1),
        ("document:downloaded", 1),
        ("archive:consulted", 3),
        ("archive:downloaded", 3),
    ]
    [downloaded] = [event for event in events if event["event"] == "document:downloaded"]
    assert downloaded["at"] == {"utc": "2026-11-23T12:06:00Z", "local": "2026-11-23T13:06:00+01:00"}
    assert (downloaded["actor"], downloaded["document_number"], downloaded["nta_7516"]) == ("recipient", 1, "received")
    [archive] = [event for event in events if event["event"] == "archive:downloaded"]
    assert (archive["actor"], archive["staff_name"]) == ("staff", "Bram Jansen")
    [accepted] = [event for event in events if event["event"] == "mail:accepted" and event["recipient_number"] == 2]
    assert accepted["facts"]["purpose"] == "invitation"


def test_the_standard_words_are_those_of_the_page_about_events() -> None:
    text = (Path(zegelpost.__file__).parents[1] / "docs/events.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z_]+):([a-z_]+)` \|.*\| ([a-z() ]+) \|$", text, re.MULTILINE)
    subjects = {
        "transfer",
        "document",
        "archive",
        "recipient",
        "answer",
        "item",
        "request",
        "link",
        "code",
        "device",
        "mail",
        "sms",
        "call",
    }
    documented = {f"{subject}:{action}": word for subject, action, word in rows if subject in subjects}
    assert {tag.value: word.value for tag, word in NTA_7516.items()} == documented


async def test_page_says_the_same_in_both_languages(told: Told, anna_portal: Portal) -> None:
    path = f"/transfers/{told.facts['transfer']['id']}/report"
    for language, sentence, moment in (
        ("nl", "Wie heeft wat opgehaald", "23 nov 2026 13:06:00 (CET)"),
        ("en", "Who fetched what", "23 Nov 2026 13:06:00 (CET)"),
    ):
        answer = await anna_portal.client.get(path, params={"language": language})
        text = words(answer)
        assert (sentence in text, moment in text) == (True, True), text
        for fact in ("Rosa Visser", "+31 •••••• 78", "2026-11-23 12:06:00 UTC", hashlib.sha256(OTHER).hexdigest(), "Z-1"):
            assert fact in text
    overview = await anna_portal.client.get(path.removesuffix("/report"))
    assert f'href="{path}"' in overview.text


async def test_the_pdf_says_the_same_and_has_the_facts_attached(told: Told) -> None:
    for variant in VARIANTS:
        assert json.loads(told.forms[f"attached to {variant}"]) == told.facts
        text = told.forms[variant]
        pages = text.count("Page ")
        assert text.count(f"Transfer {told.facts['transfer']['id']}") == text.count("Gemeente Voorbeeld") - 1 == pages
        for fact in ("Z-1", "Rosa Visser", "+31 •••••• 78", "verslag.pdf", "Page 1 of"):
            assert fact in text
        for document in told.facts["documents"]:
            assert document["sha256"][:32] in text
            assert document["sha256"][32:] in text
        for event in told.facts["events"]:
            assert event["at"]["utc"][:19].replace("T", " ") + " UTC" in text


async def test_the_pdf_is_in_the_language_of_the_reader(anna_portal: Portal) -> None:
    transfer_id = await send(anna_portal, ROSA)
    answer = await anna_portal.client.get(f"/transfers/{transfer_id}/report.pdf", params={"language": "nl"})
    text = words_of(answer.content)
    assert ("Rapportage van een verzending" in text, "Pagina 1 van" in text) == (True, True)
    assert f'filename="rapportage-{transfer_id}.pdf"' in answer.headers["content-disposition"]


async def test_the_hour_that_comes_twice_is_told_apart(
    anna: httpx2.AsyncClient, anna_portal: Portal, clock: MovableClock
) -> None:
    clock.now = clock.now.replace(month=10, day=25, hour=0, minute=30)
    await anna_portal.sign_in("anna@zegelpost.example")
    transfer_id = await send(anna_portal, BRAM)
    clock.forward(hours=1)
    await anna_portal.press(f"/transfers/{transfer_id}/revoke")

    text = words(await anna_portal.client.get(f"/transfers/{transfer_id}/report"))

    assert "25 Oct 2026 02:30:00 (CEST)" in text
    assert "25 Oct 2026 02:30:00 (CET)" in text


# What is in none of them


async def test_no_form_holds_a_secret_a_code_a_number_or_the_note(told: Told) -> None:
    assert len([secret for secret in told.secrets if len(secret) > 5]) > 8
    for form, text in told.forms.items():
        for secret in told.secrets:
            # The page's own forms carry the token against forgery, which is no secret to whoever is signed in.
            if form == "page" and f'value="{secret}"' in text:
                continue
            assert secret not in text, (form, secret)


# For nobody but the sender


@pytest.mark.parametrize("path", ["report.json", "report.pdf", "report.pdf?variant=archive"])
async def test_only_the_sender_gets_it(
    anna_portal: Portal, mallory: httpx2.AsyncClient, bram: httpx2.AsyncClient, client: httpx2.AsyncClient, path: str
) -> None:
    transfer_id = await send(anna_portal, ROSA, BRAM)
    for other in (mallory, bram):
        absent = await other.get(f"{TRANSFERS}/{'a' * 26}/{path}")
        answer = await other.get(f"{TRANSFERS}/{transfer_id}/{path}")
        assert (answer.status_code, answer.json()) == (404, absent.json())
    assert (await client.get(f"{TRANSFERS}/{transfer_id}/{path}")).status_code == 401


@pytest.mark.parametrize("path", ["report", "report.json", "report.pdf"])
async def test_in_the_portal_too(app: Starlette, anna_portal: Portal, path: str) -> None:
    transfer_id = await send(anna_portal, ROSA, BRAM)
    for email in ("mallory@zegelpost.example", BRAM.email):
        async with browser(app) as other:
            await Portal(other).sign_in(email)
            assert (await other.get(f"/transfers/{transfer_id}/{path}")).status_code == 404
    async with browser(app) as nobody:
        assert (await nobody.get(f"/transfers/{transfer_id}/{path}")).url.path == "/sign-in"


async def test_a_draft_has_none(anna: httpx2.AsyncClient, anna_portal: Portal) -> None:
    transfer_id = await draft(anna_portal, ROSA)
    answer = await anna.get(f"{TRANSFERS}/{transfer_id}/report.json")
    assert (answer.status_code, answer.json()["code"]) == (409, "transfer_not_sent")
    assert (await anna_portal.client.get(f"/transfers/{transfer_id}/report")).status_code == 409


# When it is over


@pytest.mark.parametrize(("how", "is_readable"), [("revoked", True), ("expired", True), ("erased", False)])
async def test_is_still_there_when_the_transfer_is_over(
    app: Starlette, services: Services, anna_portal: Portal, outbox: Outbox, clock: MovableClock, how: str, *, is_readable: bool
) -> None:
    transfer_id = await send(anna_portal, ROSA, documents={"a.pdf": DOCUMENT})
    async with browser(app) as rosa:
        path = await open_link(rosa, outbox)
        assert (await rosa.get(f"{path}/archive.zip")).status_code == 200
    if how == "revoked":
        await anna_portal.press(f"/transfers/{transfer_id}/revoke")
    else:
        clock.forward(days=29)
        await build_worker(services).sweep()
    if how == "erased":
        clock.forward(days=60)  # the week's keys are gone too
        await build_worker(services).sweep()
    await anna_portal.sign_in("anna@zegelpost.example")
    anna = await signed_in(app, "anna@zegelpost.example")

    facts = await facts_of(anna, transfer_id)
    await anna.aclose()

    assert facts["transfer"]["state"] == how
    assert (facts["unreadable"], facts["transfer"]["subject"] is not None) == (None if is_readable else "erased", is_readable)
    assert facts["recipients"][0]["name"] == "Rosa Visser"
    [document] = facts["documents"]
    assert (document["length_bytes"], document["name"] is not None, document["sha256"] is not None) == (
        len(DOCUMENT),
        is_readable,
        is_readable,
    )
    assert len(facts["fetched"]) == 1
    assert f"transfer:{how}" in [event["event"] for event in facts["events"]]
    page = words(await anna_portal.client.get(f"/transfers/{transfer_id}/report"))
    assert ("The transfer was erased: the key that opens them was destroyed." in page) is not is_readable


class TestWithoutSenderCopy:
    @pytest.fixture
    def policy(self) -> Policy:
        return LINK_ONLY

    async def test_what_only_the_link_opens_is_missing_and_the_report_says_why(
        self, anna: httpx2.AsyncClient, anna_portal: Portal
    ) -> None:
        transfer_id = await send(anna_portal, ROSA, documents={"a.pdf": DOCUMENT})

        facts = await facts_of(anna, transfer_id)

        assert facts["unreadable"] == "link_only"
        assert (facts["transfer"]["subject"], facts["transfer"]["reference"]) == (None, None)
        [document] = facts["documents"]
        assert (document["name"], document["sha256"], document["length_bytes"]) == (None, None, len(DOCUMENT))
        assert facts["recipients"][0]["email"] == ROSA.email
        page = words(await anna_portal.client.get(f"/transfers/{transfer_id}/report"))
        assert "Only the recipients' links open this transfer: we cannot read it ourselves." in page


async def test_a_key_that_someone_replaced_is_told_and_not_hidden(
    anna: httpx2.AsyncClient, anna_portal: Portal, services: Services
) -> None:
    transfer_id, other_id = [await send(anna_portal, ROSA, documents={"a.pdf": DOCUMENT}) for _ in range(2)]
    async with services.database.work() as session:
        other = await session.get_one(Transfer, other_id)
        await session.execute(update(Transfer).where(Transfer.id == transfer_id).values(sender_wrap=other.sender_wrap))

    facts = await facts_of(anna, transfer_id)

    assert (facts["unreadable"], facts["documents"][0]["name"]) == ("key_refused", None)


@pytest.fixture
def secret() -> Iterator[Path]:
    """A file of the server's, in a folder with a short name: its whole address has to fit a subject and a name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "secret.svg")
        path.write_text("<svg xmlns='http://www.w3.org/2000/svg'><text y='9'>canary-file</text></svg>", "utf-8")
        yield path


async def test_names_neither_become_markup_nor_fetch_anything(anna_portal: Portal, secret: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
        name = f'</title></style></td><img src="{url}"><link rel=attachment href={url}>'
        file = f'<img src="{secret.as_uri()}">'
        reference = f'"}} @import url({url}); {{page}} <meta name="pdfkit-allow" content="/">'
        form = {"subject": f"{name}{file}", "reference": reference, "recipient-0-name": name, "recipient-1-name": file}
        transfer_id = await send(anna_portal, ROSA, SAM, documents={f"{name}.pdf": DOCUMENT}, **form)

        forms = await forms_of(anna_portal, transfer_id)

        with pytest.raises(BlockingIOError):
            listener.accept()
    page = await anna_portal.client.get(f"/transfers/{transfer_id}/report")
    assert ("<img" in page.text, '<meta name="pdfkit' in page.text) == (False, False)
    assert "&lt;img src=" in page.text
    for variant in VARIANTS:
        assert "canary-file" not in forms[variant]
        assert "</title></style>" in forms[variant].replace(" ", "")


class TestWithoutPdf:
    @pytest.fixture
    def services(self, services: Services) -> Services:
        return replace(services, printers=Printers(quick=None, archival=None))

    async def test_the_page_works_and_the_pdf_says_that_it_cannot_be_made(
        self, anna: httpx2.AsyncClient, anna_portal: Portal
    ) -> None:
        transfer_id = await send(anna_portal, ROSA)
        page = await anna_portal.client.get(f"/transfers/{transfer_id}/report")
        assert "No PDF can be made here: the program for it is not installed." in words(page)
        assert "report.pdf" not in page.text
        assert (await facts_of(anna, transfer_id))["transfer"]["id"] == transfer_id
        for variant in VARIANTS:
            answer = await anna.get(f"{TRANSFERS}/{transfer_id}/report.pdf", params={"variant": variant})
            assert (answer.status_code, answer.json()["code"]) == (501, "pdf_not_available")
            refused = await anna_portal.client.get(f"/transfers/{transfer_id}/report.pdf", params={"variant": variant})
            assert (refused.status_code, "Use the report's page." in words(refused)) == (501, True)
