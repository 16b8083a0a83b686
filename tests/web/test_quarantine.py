"""What the scanner or the inspection objects to in a guest's document: kept sealed apart, given to nobody, judged by people."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx2
import pytest
from sqlalchemy import func, select
from starlette.applications import Starlette
from tests.conftest import MovableClock, Outbox, Portal, browser, make_administrator
from tests.web.acts import DOCUMENT, words
from tests.web.intake_acts import GUUS, come_in, open_department
from tests.web.small_files import OLD_MACROS, with_macros
from tests.web.tus import rewired, with_policy

from zegelpost.main import Services, build_app
from zegelpost.model.document import Document, DocumentState, Part, ScanVerdict
from zegelpost.model.event import Event, EventTag
from zegelpost.model.held_back import HeldBack
from zegelpost.model.policy import Policy
from zegelpost.model.transfer import Transfer

pytestmark = pytest.mark.anyio

MACROS = with_macros("docx")
FORMS = {"factuur.pdf": DOCUMENT, "formulier.docx": MACROS}


class _Scanner:
    """Finds malware in what begins with these bytes."""

    def __init__(self, finds: bytes) -> None:
        self.finds = finds
        self.seen_count = 0

    async def scan(self, content: AsyncIterator[bytes | memoryview], *, length_bytes: int) -> ScanVerdict:  # noqa: ARG002
        seen = b"".join([bytes(piece) async for piece in content])
        self.seen_count += 1
        return ScanVerdict.INFECTED if seen.startswith(self.finds) else ScanVerdict.CLEAN


@pytest.fixture
def policy(policy: Policy) -> Policy:
    return replace(policy, has_intake=True)


@pytest.fixture
def scanner() -> _Scanner:
    return _Scanner(b"%PDF")


@pytest.fixture
def scanning_app(app: Starlette, services: Services, scanner: _Scanner) -> Starlette:
    scanning = with_policy(services, is_scanning=True)
    return build_app(rewired(scanning, scanner=scanner), has_worker=False)


async def _send(app: Starlette, outbox: Outbox, documents: dict[str, bytes], **fields: str) -> tuple[str, httpx2.Response]:
    """Guus sends these unasked; returns where staff read it, and what he saw in between."""
    async with browser(app) as guest:
        base = await come_in(guest, outbox, **fields)
        await guest.post(f"{base}/answer")
        for name, content in documents.items():
            await guest.post(f"{base}/answer/documents", files={"documents": (name, content)})
        seen = await guest.get(f"{base}/answer")
        done = await guest.post(f"{base}/answer/send", data={"note": ""})
        assert "We have received it" in words(done)
    notice = [each for each in await outbox.all(kind="mail") if "/received/" in each["text"]][-1]
    found = re.search(r"(/received/[a-z2-7]{26})", notice["text"])
    assert found
    return found.group(1), seen


async def _documents(services: Services) -> dict[str, str]:
    """Of those that were held, the identifier by the reason."""
    async with services.database.reading() as session:
        return {held.reason.value: held.document_id for held in await session.scalars(select(HeldBack))}


async def test_both_sides_are_told_what_is_held_back_and_why(
    scanning_app: Starlette, services: Services, anna_portal: Portal, outbox: Outbox, database_kind: str
) -> None:
    received, seen = await _send(scanning_app, outbox, FORMS | {"brief.txt": b"Goedendag"})
    for told in ("We hold this back", "factuur.pdf", "found something dangerous", "formulier.docx", "It holds macros"):
        assert told in words(seen)
    for to, told in ((GUUS, "2 documents are held back"), ("anna@zegelpost.example", "2 documenten houden wij tegen")):
        mails = [each["text"] for each in await outbox.all(kind="mail", to=to)]
        assert any(told in mail and ": 1 document." in mail for mail in mails)
    page = words(await anna_portal.client.get(received))
    for told in ("Held back", "factuur.pdf", "found something dangerous", "formulier.docx", "It holds macros", "One document"):
        assert told in page
    async with services.database.reading() as session:
        states = sorted(await session.scalars(select(Document.state)))
        tags = list(await session.scalars(select(Event.tag).where(Event.tag.startswith("document:")).order_by(Event.id)))
    assert states == [DocumentState.COMPLETE, DocumentState.HELD, DocumentState.HELD]
    assert tags == [EventTag.DOCUMENT_QUARANTINED, EventTag.DOCUMENT_QUARANTINED, EventTag.DOCUMENT_COMPLETED]


async def test_nobody_gets_at_it_while_it_waits(
    scanning_app: Starlette, services: Services, anna_portal: Portal, anna: httpx2.AsyncClient, outbox: Outbox
) -> None:
    received, _ = await _send(scanning_app, outbox, FORMS | {"brief.txt": b"Goedendag"})
    transfer_id = received.rsplit("/", 1)[-1]
    held = await _documents(services)
    page = await anna_portal.client.get(received)
    for document_id in held.values():
        assert f"/documents/{document_id}" not in page.text
        assert (await anna_portal.client.get(f"{received}/documents/{document_id}")).status_code == 404
        assert (await anna.get(f"/api/v1/transfers/{transfer_id}/documents/{document_id}")).status_code == 404
    archive = (await anna_portal.client.get(f"{received}/archive.zip")).content
    assert b"brief.txt" in archive
    assert b"factuur.pdf" not in archive
    assert b"formulier.docx" not in archive
    # Passing on passes the wall on too.
    await anna_portal.press(f"{received}/forward", email="bram@zegelpost.example")
    async with browser(scanning_app) as client:
        bram = Portal(client)
        await bram.sign_in("bram@zegelpost.example")
        assert "Nobody can open this" in words(await client.get(received))
        assert (await client.get(f"{received}/documents/{held['macros']}")).status_code == 404


async def test_who_received_macros_lets_them_through(
    scanning_app: Starlette, services: Services, anna_portal: Portal, outbox: Outbox, database_kind: str, scanner: _Scanner
) -> None:
    received, _ = await _send(scanning_app, outbox, {"formulier.docx": MACROS})
    assert scanner.seen_count == 1  # macros do not spare it the scanner
    document = (await _documents(services))["macros"]
    done = await anna_portal.press(f"{received}/held/{document}/release")
    assert "has been let through" in words(done)
    assert "Let through by Anna" in words(done)
    assert (await anna_portal.client.get(f"{received}/documents/{document}")).content == MACROS
    for verdict in ("release", "remove"):
        late = await anna_portal.press(f"{received}/held/{document}/{verdict}")
        assert (late.status_code, "a moment ago" in words(late)) == (409, True)
    assert (await anna_portal.client.get(f"{received}/documents/{document}")).content == MACROS


async def test_who_received_it_removes_it_and_its_name_stays(
    scanning_app: Starlette, services: Services, anna_portal: Portal, outbox: Outbox, database_kind: str
) -> None:
    received, _ = await _send(scanning_app, outbox, FORMS)
    for document in (await _documents(services)).values():
        assert "has been removed" in words(await anna_portal.press(f"{received}/held/{document}/remove"))
    page = words(await anna_portal.client.get(received))
    assert "factuur.pdf" in page
    assert "Removed by Anna" in page
    async with services.database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(Document)) == 0
        assert await session.scalar(select(func.count()).select_from(Part)) == 0
        facts = list(await session.scalars(select(Event.facts).where(Event.tag == EventTag.DOCUMENT_DISCARDED)))
    assert sorted(each["reason"] for each in facts) == ["macros", "malware"]


async def test_malware_passes_by_an_administrator_only_who_sees_no_content(
    scanning_app: Starlette, services: Services, anna_portal: Portal, chris_portal: Portal, outbox: Outbox, database_kind: str
) -> None:
    department = await open_department(services)
    received, _ = await _send(scanning_app, outbox, {"factuur.pdf": DOCUMENT}, to=department, colleague="")
    document = (await _documents(services))["malware"]
    page = await anna_portal.client.get(received)
    assert "Only an administrator can let it through" in words(page)
    assert f"/held/{document}/release" not in page.text
    refused = await anna_portal.press(f"{received}/held/{document}/release")
    assert (refused.status_code, "Only an administrator" in words(refused)) == (403, True)
    assert (await anna_portal.client.get(f"{received}/documents/{document}")).status_code == 404

    number = re.search(r"number: ([A-Z2-7]{4}-[A-Z2-7]{4})", words(page))
    assert number
    listed = await chris_portal.client.get("/admin/quarantine")
    assert number.group(1) in words(listed)
    assert GUUS in words(listed)
    for secret in ("factuur", "nachtdienst", "Guus Gast", "Z-9"):
        assert secret not in listed.text
    assert (await chris_portal.client.get(received)).status_code == 404
    assert "let through" in words(await chris_portal.press(f"/admin/quarantine/{document}/release"))
    assert "Nothing is held back" in words(await chris_portal.client.get("/admin/quarantine"))
    assert (await chris_portal.press(f"/admin/quarantine/{document}/remove")).status_code == 409
    assert (await chris_portal.client.get(f"{received}/documents/{document}")).status_code == 404

    shown = words(await anna_portal.client.get(received))
    assert "Let through by Chris" in shown
    # What the scanner objected to is never called clean.
    assert "The virus scanner objects. An administrator let it through." in shown
    assert "nothing found" not in shown
    assert (await anna_portal.client.get(f"{received}/documents/{document}")).content == DOCUMENT


async def test_the_list_of_the_administrator_exists_for_nobody_else(
    scanning_app: Starlette, services: Services, anna_portal: Portal, outbox: Outbox
) -> None:
    await _send(scanning_app, outbox, FORMS)
    assert (await anna_portal.client.get("/admin/quarantine")).status_code == 404
    assert "/admin" not in (await anna_portal.client.get("/")).text
    assert (await anna_portal.client.get("/admin")).status_code == 404
    for document in (await _documents(services)).values():
        for verdict in ("release", "remove"):
            assert (await anna_portal.press(f"/admin/quarantine/{document}/{verdict}")).status_code == 404
    async with services.database.reading() as session:
        assert set(await session.scalars(select(Document.state))) == {DocumentState.HELD}


async def test_a_stranger_judges_nothing(
    scanning_app: Starlette, services: Services, chris_portal: Portal, outbox: Outbox, app: Starlette
) -> None:
    received, _ = await _send(scanning_app, outbox, FORMS)
    async with browser(app) as client:
        bram = Portal(client)
        await bram.sign_in("bram@zegelpost.example")
        for document in (await _documents(services)).values():
            for verdict in ("release", "remove"):
                # An administrator too: their own page is the way, where nothing opens.
                assert (await bram.press(f"{received}/held/{document}/{verdict}")).status_code == 404
                assert (await chris_portal.press(f"{received}/held/{document}/{verdict}")).status_code == 404


async def test_the_guest_takes_it_out_before_sending(
    scanning_app: Starlette, services: Services, outbox: Outbox, database_kind: str
) -> None:
    async with browser(scanning_app) as guest:
        base = await come_in(guest, outbox)
        await guest.post(f"{base}/answer")
        refused = await guest.post(f"{base}/answer/documents", files={"documents": ("formulier.docx", MACROS)})
        assert (refused.status_code, "We hold this back: it may be dangerous" in words(refused)) == (422, True)
        removal = re.search(rf'action="({base}/answer/documents/[a-z2-7]{{26}}/remove)"', refused.text)
        assert removal
        assert "formulier.docx" not in words(await guest.post(removal.group(1)))
        empty = await guest.post(f"{base}/answer/send", data={"note": ""})
        assert empty.status_code == 422
    async with services.database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(HeldBack)) == 0
        assert await session.scalar(select(func.count()).select_from(Part)) == 0


async def test_it_is_erased_with_the_rest(
    scanning_app: Starlette, services: Services, anna_portal: Portal, chris_portal: Portal, outbox: Outbox
) -> None:
    async with browser(scanning_app) as guest:
        base = await come_in(guest, outbox)
        await guest.post(f"{base}/answer")
        await guest.post(f"{base}/answer/documents", files={"documents": ("factuur.pdf", DOCUMENT)})
        await guest.post(f"{base}/answer/send", data={"note": ""})
        async with services.database.reading() as session:
            answer = (await session.scalars(select(Transfer.id).where(Transfer.kind == "answer"))).one()
        assert "You have taken it back" in words(await guest.post(f"{base}/answers/{answer}/withdraw"))
    document = (await _documents(services))["malware"]
    assert "Nothing is held back" in words(await chris_portal.client.get("/admin/quarantine"))
    assert (await chris_portal.press(f"/admin/quarantine/{document}/release")).status_code == 404
    async with services.database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(Part)) == 0


async def test_administrators_hear_of_malware_at_most_once_an_hour(
    scanning_app: Starlette, services: Services, chris_portal: Portal, outbox: Outbox, clock: MovableClock, database_kind: str
) -> None:
    async def told() -> list[str]:
        return [each["text"] for each in await outbox.all(kind="mail", to="chris@zegelpost.example")]

    await _send(scanning_app, outbox, {"formulier.docx": MACROS})
    assert await services.judging_held.tell_waiting() == 0  # who received it judges that
    await _send(scanning_app, outbox, FORMS, email="een@praktijk.example")
    assert await services.judging_held.tell_waiting() == 1
    [first] = await told()
    assert "in een document van buiten" in first
    assert "http://127.0.0.1:8000/admin/quarantine" in first.split("\n")
    for secret in ("factuur", "nachtdienst", "Guus", "praktijk"):
        assert secret not in first
    await _send(scanning_app, outbox, FORMS, email="twee@praktijk.example")
    await _send(scanning_app, outbox, FORMS, email="drie@praktijk.example")
    assert await services.judging_held.tell_waiting() == 0
    assert len(await told()) == 1

    clock.forward(hours=1)
    assert await services.judging_held.tell_waiting() == 2
    assert "in 3 documenten van buiten" in (await told())[-1]
    clock.forward(hours=1)
    assert await services.judging_held.tell_waiting() == 0
    assert len(await told()) == 2


async def test_nobody_is_marked_as_told_while_there_is_no_administrator(
    scanning_app: Starlette, services: Services, outbox: Outbox
) -> None:
    await _send(scanning_app, outbox, FORMS)
    assert await services.judging_held.tell_waiting() == 0
    await make_administrator(services)
    assert await services.judging_held.tell_waiting() == 1
    assert len(await outbox.all(kind="mail", to="chris@zegelpost.example")) == 1


async def test_everyone_hears_what_came_of_it(
    scanning_app: Starlette, services: Services, anna_portal: Portal, chris_portal: Portal, outbox: Outbox, database_kind: str
) -> None:
    """But whoever judged it, who saw it on the page."""

    async def mails(to: str) -> list[str]:
        return [each["text"] for each in await outbox.all(kind="mail", to=to)]

    received, _ = await _send(scanning_app, outbox, FORMS)
    [notice] = await mails("anna@zegelpost.example")
    assert "U kunt zelf beslissen over een document met macro's." in notice
    assert "beslist een beheerder" in notice
    await anna_portal.press(f"{received}/forward", email="bram@zegelpost.example")
    held = await _documents(services)
    await outbox.deliver()

    await anna_portal.press(f"{received}/held/{held['macros']}/release")
    assert len(await mails("anna@zegelpost.example")) == 1
    bram = (await mails("bram@zegelpost.example"))[-1]
    assert "doorgelaten door Anna de Vries" in bram
    assert f"http://127.0.0.1:8000{received}" in bram.split("\n")
    assert "let it through" in (await mails(GUUS))[-1]
    assert "Anna" not in (await mails(GUUS))[-1]

    await chris_portal.press(f"/admin/quarantine/{held['malware']}/remove")
    for colleague in ("anna", "bram"):
        assert "verwijderd door Chris Bakker" in (await mails(f"{colleague}@zegelpost.example"))[-1]
    assert "Check your computer for viruses" in (await mails(GUUS))[-1]
    for mail in (bram, *await mails(GUUS)):
        assert "factuur" not in mail
        assert "formulier" not in mail


async def test_judging_asks_once_more(
    scanning_app: Starlette, services: Services, anna_portal: Portal, chris_portal: Portal, outbox: Outbox
) -> None:
    received, _ = await _send(scanning_app, outbox, FORMS)
    held = await _documents(services)
    page = (await anna_portal.client.get(received)).text
    listed = (await chris_portal.client.get("/admin/quarantine")).text
    for verb, asked in (("release", "Let this document through?"), ("remove", "Remove this document?")):
        one, any_ = f"{received}/held/{held['macros']}/{verb}", f"/admin/quarantine/{held['malware']}/{verb}"
        assert f'href="{one}"' in page
        assert f'href="{any_}"' in listed
        mine, theirs = await anna_portal.client.get(one), await chris_portal.client.get(any_)
        assert asked in words(mine)
        assert "formulier.docx" in words(mine)
        assert asked in words(theirs)
        assert GUUS in words(theirs)
        assert "factuur" not in theirs.text
        for answer, action in ((mine, one), (theirs, any_)):
            assert f'method="post" action="{action}"' in answer.text
    assert await _documents(services) == held
    async with services.database.reading() as session:
        assert set(await session.scalars(select(HeldBack.outcome))) == {None}
    # Whoever comes late is brought back to what has become of it.
    await anna_portal.press(f"{received}/held/{held['macros']}/remove")
    late = await anna_portal.client.get(f"{received}/held/{held['macros']}/release")
    assert (late.url.path, "Removed by Anna" in words(late)) == (received, True)
    await chris_portal.press(f"/admin/quarantine/{held['malware']}/remove")
    assert (await chris_portal.client.get(f"/admin/quarantine/{held['malware']}/release")).status_code == 404


async def test_old_documents_with_macros_are_held_too(scanning_app: Starlette, anna_portal: Portal, outbox: Outbox) -> None:
    extension, content = OLD_MACROS["of Excel"]
    received, seen = await _send(scanning_app, outbox, {f"oud.{extension}": content})
    assert "It holds macros" in words(seen)
    assert "oud.xls" in words(await anna_portal.client.get(received))


async def test_a_program_learns_it_from_the_upload_too(scanning_app: Starlette, outbox: Outbox) -> None:
    """Asking once more, after an answer that was lost, gives the same."""
    async with browser(scanning_app) as guest:
        base = await come_in(guest, outbox)
        begun = await guest.post(f"{base}/answer")
        draft = re.search(r'data-transfer-id="([a-z2-7]{26})"', begun.text)
        assert draft
        url = await _announced(guest, base, draft.group(1))
        headers = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
        answer = await guest.patch(url, headers=headers, content=DOCUMENT)
        assert (answer.status_code, answer.json()["code"], answer.json()["reason"]) == (422, "document_held", "malware")
        assert (await guest.head(url, headers={"Tus-Resumable": "1.0.0"})).status_code == 422
        assert (await guest.delete(url, headers={"Tus-Resumable": "1.0.0"})).status_code == 204


async def _announced(guest: httpx2.AsyncClient, base: str, transfer_id: str) -> str:
    def word(text: str) -> str:
        return b64encode(text.encode()).decode()

    made = await guest.post(
        f"{base}/uploads",
        headers={
            "Tus-Resumable": "1.0.0",
            "Upload-Length": str(len(DOCUMENT)),
            "Upload-Metadata": f"transfer_id {word(transfer_id)},filename {word('factuur.pdf')}",
        },
    )
    assert made.status_code == 201
    return made.headers["location"]
