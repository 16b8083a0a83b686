"""Answering safely: who opened a transfer sends something back, without an account, and it lands where it came from."""

from __future__ import annotations

import re

import httpx2
import pytest
from sqlalchemy import select
from starlette.applications import Starlette
from tests.conftest import MovableClock, Outbox, Portal, browser
from tests.web.acts import DOCUMENT, ROSA, SAM, open_link, send, words
from tests.web.tus import BYTES, VERSION, metadata, sha256_of

from zegelpost.main import Services
from zegelpost.model.document import OrphanBlob
from zegelpost.model.transfer import Transfer, TransferKind

pytestmark = pytest.mark.anyio


async def answer(guest: httpx2.AsyncClient, base: str, note: str, *names: str) -> str:
    """Answer with a note and documents; returns the page that follows."""
    begun = await guest.post(f"{base}/answer")
    assert begun.url.path == f"{base}/answer", words(begun)
    for name in names:
        added = await guest.post(f"{base}/answer/documents", files={"documents": (name, DOCUMENT)})
        assert added.status_code == 200, words(added)
    sent = await guest.post(f"{base}/answer/send", data={"note": note})
    assert sent.url.path == f"{base}/transfer", words(sent)
    return sent.text


async def received_by(portal: Portal, outbox: Outbox, email: str) -> httpx2.Response:
    """The page that the latest notice to this staff user points to."""
    notice = (await outbox.all(kind="mail", to=email))[-1]
    found = re.search(r"^http://127\.0\.0\.1:8000(/received/[a-z2-7]{26})$", notice["text"], re.MULTILINE)
    assert found, notice["text"]
    return await portal.client.get(found.group(1))


async def test_an_answer_reaches_the_sender_and_nobody_else(
    app: Starlette, anna_portal: Portal, outbox: Outbox, database_kind: str
) -> None:
    await send(anna_portal, ROSA, SAM, documents={"besluit.pdf": DOCUMENT})
    async with browser(app) as rosa, browser(app) as sam:
        base = await open_link(rosa, outbox)
        page = await answer(rosa, base, "Ik ben het er niet mee eens.", "bezwaar.pdf", "bijlage.pdf")
        assert "We have received it" in page
        notice = (await outbox.all(kind="mail", to="anna@zegelpost.example"))[-1]
        for secret in ("eens", "bezwaar", "Dossier"):
            assert secret not in notice["text"] + notice["subject"]

        received = await received_by(anna_portal, outbox, "anna@zegelpost.example")
        told = ("Re: Dossier Visser", "Ik ben het er niet mee eens.", "bezwaar.pdf", "bijlage.pdf", "Rosa Visser")
        assert [each for each in told if each not in words(received)] == []
        assert "Re: Dossier Visser" in words(await anna_portal.client.get("/received"))

        other = await open_link(sam, outbox, SAM)
        assert "eens" not in (await sam.get(f"{other}/transfer")).text
        async with browser(app) as client:
            mallory = Portal(client)
            await mallory.sign_in("mallory@zegelpost.example")
            assert (await client.get(received.url.path)).status_code == 404
            assert "Dossier" not in (await client.get("/received")).text


async def test_the_guest_sees_how_far_it_is(app: Starlette, anna_portal: Portal, outbox: Outbox) -> None:
    await send(anna_portal, documents={"besluit.pdf": DOCUMENT})
    async with browser(app) as rosa:
        base = await open_link(rosa, outbox)
        page = await answer(rosa, base, "Hierbij.", "bezwaar.pdf")
        assert "Received" in page
        assert "Take back" in page
        await received_by(anna_portal, outbox, "anna@zegelpost.example")
        page = (await rosa.get(f"{base}/transfer")).text
        assert "Opened by us" in page
        assert "Take back" not in page
        withdrawn = re.search(r'href="([^"]*/documents/[^"]*)"', page)
        assert withdrawn
        # A second answer is one of its own.
        page = await answer(rosa, base, "En nog iets.")
        assert page.count("Number") >= 2


async def test_taken_back_is_erased_at_once(app: Starlette, services: Services, anna_portal: Portal, outbox: Outbox) -> None:
    await send(anna_portal, documents={"besluit.pdf": DOCUMENT})
    async with browser(app) as rosa:
        base = await open_link(rosa, outbox)
        page = await answer(rosa, base, "Vergissing.", "verkeerd.pdf")
        notice = (await outbox.all(kind="mail", to="anna@zegelpost.example"))[-1]
        found = re.search(r"/answers/([a-z2-7]{26})/withdraw", page)
        assert found
        taken = await rosa.post(f"{base}/answers/{found.group(1)}/withdraw")
        assert "You have taken it back" in words(taken)
        assert "verkeerd.pdf" not in taken.text
        again = await rosa.post(f"{base}/answers/{found.group(1)}/withdraw")
        assert again.status_code == 409
    link = re.search(r"(/received/[a-z2-7]{26})", notice["text"])
    assert link
    assert (await anna_portal.client.get(link.group(1))).status_code == 404
    async with services.database.reading() as session:
        transfer = await session.scalar(select(Transfer).where(Transfer.kind == TransferKind.ANSWER))
        assert transfer is not None
        assert (transfer.guest_wrap, transfer.sender_wrap, transfer.draft_wrap) == (None, None, None)
        assert await session.scalar(select(OrphanBlob)) is not None


async def test_opened_cannot_be_taken_back(app: Starlette, anna_portal: Portal, outbox: Outbox) -> None:
    await send(anna_portal, documents={"besluit.pdf": DOCUMENT})
    async with browser(app) as rosa:
        base = await open_link(rosa, outbox)
        found = re.search(r"/answers/([a-z2-7]{26})/withdraw", await answer(rosa, base, "Hierbij."))
        assert found
        received = await received_by(anna_portal, outbox, "anna@zegelpost.example")
        refused = await rosa.post(f"{base}/answers/{found.group(1)}/withdraw")
        assert refused.status_code == 409
        assert "has been opened already" in words(refused)
        assert (await anna_portal.client.get(received.url.path)).status_code == 200


async def test_nothing_to_send_is_told_and_what_was_typed_stays(app: Starlette, anna_portal: Portal, outbox: Outbox) -> None:
    await send(anna_portal, documents={"besluit.pdf": DOCUMENT})
    async with browser(app) as rosa:
        base = await open_link(rosa, outbox)
        await rosa.post(f"{base}/answer")
        empty = await rosa.post(f"{base}/answer/send", data={"note": "  "})
        assert empty.status_code == 422
        assert "Add a document or write a note first." in words(empty)
        long = await rosa.post(f"{base}/answer/send", data={"note": "x" * 20_001})
        assert long.status_code == 422
        assert "x" * 20_001 in long.text
        kept = await rosa.post(f"{base}/answer/send", data={"note": "Half verhaal", "keep": "1"})
        assert "Your text has been kept" in words(kept)
        assert "Half verhaal" in kept.text
        refused = await rosa.post(f"{base}/answer/documents", files={"documents": ("virus.exe", b"MZ")})
        assert "Files that end in .exe are not allowed." in words(refused)
        assert "Half verhaal" in refused.text
    assert await outbox.all(kind="mail", to="anna@zegelpost.example") == []


async def test_a_program_uploads_and_resumes_under_the_link(app: Starlette, anna_portal: Portal, outbox: Outbox) -> None:
    await send(anna_portal, documents={"besluit.pdf": DOCUMENT})
    async with browser(app) as rosa, browser(app) as stranger:
        base = await open_link(rosa, outbox)
        page = await rosa.post(f"{base}/answer")
        found = re.search(r'data-transfer-id="([a-z2-7]{26})"', page.text)
        assert found
        announced = {**VERSION, "Upload-Length": str(len(DOCUMENT)), **metadata(found.group(1), "bezwaar.pdf")}
        refused = await stranger.post(f"{base}/uploads", headers=announced)
        assert (refused.status_code, refused.json()["code"]) == (401, "verification_required")
        created = await rosa.post(f"{base}/uploads", headers=announced)
        location = created.headers["location"]
        assert location.startswith(f"http://127.0.0.1:8000{base}/uploads/")

        half = len(DOCUMENT) // 2
        for offset, piece in ((0, DOCUMENT[:half]), (half, DOCUMENT[half:])):
            at = await rosa.head(location, headers=VERSION)
            assert at.headers["upload-offset"] == str(offset)
            headers = {**VERSION, "Upload-Offset": str(offset), "Content-Type": BYTES}
            assert (await stranger.patch(location, headers=headers, content=piece)).status_code == 401
            put = await rosa.patch(location, headers=headers, content=piece)
        assert put.headers["upload-sha256"] == sha256_of(DOCUMENT)
        # Not Anna's either: what a guest has not sent is the guest's.
        assert (await anna_portal.client.delete(location, headers=VERSION)).status_code == 401
        assert (await anna_portal.client.get(f"/received/{found.group(1)}")).status_code == 404
        assert (await anna_portal.client.get(f"/transfers/{found.group(1)}")).status_code == 404


async def test_other_transfers_uploads_and_answers_are_out_of_reach(app: Starlette, anna_portal: Portal, outbox: Outbox) -> None:
    """Identifiers of another guest, of staff and of another answer, through one's own link."""
    await send(anna_portal, ROSA, SAM, documents={"besluit.pdf": DOCUMENT})
    async with browser(app) as rosa, browser(app) as sam:
        base, other = await open_link(rosa, outbox), await open_link(sam, outbox, SAM)
        theirs = re.search(r'data-transfer-id="([a-z2-7]{26})"', (await sam.post(f"{other}/answer")).text)
        await sam.post(f"{other}/answer/documents", files={"documents": ("geheim.pdf", DOCUMENT)})
        upload = re.search(r'data-upload-id="([a-z2-7]{26})"', (await sam.get(f"{other}/answer")).text)
        assert theirs
        assert upload
        await rosa.post(f"{base}/answer")
        announced = {**VERSION, "Upload-Length": "3", **metadata(theirs.group(1), "a.pdf")}
        assert (await rosa.post(f"{base}/uploads", headers=announced)).status_code == 404
        assert (await rosa.delete(f"{base}/uploads/{upload.group(1)}", headers=VERSION)).status_code == 404
        assert (await rosa.head(f"{base}/uploads/{upload.group(1)}", headers=VERSION)).status_code == 404
        assert (await rosa.post(f"{base}/answer/documents/{upload.group(1)}/remove")).status_code == 404
        assert (await anna_portal.client.head(f"/uploads/{upload.group(1)}", headers=VERSION)).status_code == 404
        assert "geheim.pdf" in (await sam.get(f"{other}/answer")).text


async def test_sending_back_outlasts_reading(app: Starlette, anna_portal: Portal, outbox: Outbox, clock: MovableClock) -> None:
    await send(anna_portal, documents={"besluit.pdf": DOCUMENT})
    async with browser(app) as rosa:
        base = await open_link(rosa, outbox)
        document = re.search(r'href="([^"]*/documents/[^"]*)"', (await rosa.get(f"{base}/transfer")).text)
        assert document
        await rosa.post(f"{base}/answer")
        clock.forward(minutes=14)
        await rosa.get(f"{base}/answer")
        clock.forward(minutes=2)
        assert DOCUMENT not in (await rosa.get(document.group(1))).content  # sending does not keep reading open
        clock.forward(minutes=74)
        assert (await rosa.get(f"{base}/answer")).url.path == f"{base}/answer"
        assert DOCUMENT not in (await rosa.get(document.group(1))).content
        clock.forward(minutes=121)
        assert (await rosa.get(f"{base}/answer")).url.path == base


async def test_revoked_ends_answering_too(app: Starlette, anna_portal: Portal, outbox: Outbox) -> None:
    transfer_id = await send(anna_portal, documents={"besluit.pdf": DOCUMENT})
    async with browser(app) as rosa:
        base = await open_link(rosa, outbox)
        await rosa.post(f"{base}/answer")
        await anna_portal.press(f"/transfers/{transfer_id}/revoke")
        refused = await rosa.post(f"{base}/answer/send", data={"note": "Toch nog iets"})
        assert "Toch nog iets" not in refused.text
        assert refused.status_code in {401, 410} or refused.url.path == base
