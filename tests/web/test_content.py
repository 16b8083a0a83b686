"""Content against names, and what the scanner said: doubt is refused, and not scanned is never called clean."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest
from starlette.applications import Starlette
from tests.conftest import MovableClock, Outbox, Portal, browser
from tests.stand_ins.clamd import EICAR, Clamd, clamd
from tests.web import small_files as files
from tests.web.acts import BRAM, ROSA, draft, open_link, sentences, words
from tests.web.test_scanning import WatchfulScanner
from tests.web.tus import (
    TRANSFERS,
    announced,
    create,
    documents_of,
    events,
    head,
    is_refused,
    new_draft,
    patch,
    rewired,
    sha256_of,
    stored_blobs,
    uploaded,
    with_policy,
)

from zegelpost.main import Services, build_app, build_services
from zegelpost.model.document import ScanVerdict
from zegelpost.model.event import EventTag
from zegelpost.settings import Settings

MISMATCH = ("content_mismatch", "The content of this file does not fit its name (.{}).")
MACROS = ("macro_document", "This document holds macros. Save it without macros first.")


# Content against names


async def test_what_people_send_is_taken(anna: httpx2.AsyncClient) -> None:
    transfer_id = await new_draft(anna)

    for name, content in files.REAL.items():
        answer = await create(anna, transfer_id, name, len(content), content)
        assert (name, answer.status_code) == (name, 201), answer.text
        assert answer.headers["upload-sha256"] == sha256_of(content)


async def test_an_empty_document_contradicts_no_name(anna: httpx2.AsyncClient) -> None:
    transfer_id = await new_draft(anna)
    names = ("leeg.pdf", "leeg.docx", "leeg.png", "leeg.zip", "leeg.txt", "leeg.dcm")

    for name in names:
        assert (await create(anna, transfer_id, name, 0)).status_code == 201
    assert [(one["name"], one["is_complete"]) for one in await documents_of(anna, transfer_id)] == [(n, True) for n in names]


async def test_what_nobody_can_look_into_is_taken(anna: httpx2.AsyncClient) -> None:
    """Office encrypts a new document into a compound file (MS-OFFCRYPTO); the scanner says of it that it was not scanned."""
    transfer_id = await new_draft(anna)

    for extension in ("docx", "xlsx", "pptx", "ppsx"):
        await uploaded(anna, transfer_id, f"vertrouwelijk.{extension}", files.compound())


ACTIVE = {
    "program": files.program(),
    "program of Linux": b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\0\x3e\0" + bytes(44),
    "program of a Mac": b"\xcf\xfa\xed\xfe\x07\0\0\1\3\0\0\0\2\0\0\0" + bytes(40),
    "shell script": b"#!/bin/sh\nrm -r /\n",
    "batch file": b"@echo off\r\ndel *.*\r\n",
    "shortcut": files.SHORTCUT,
    "web page": files.HTML,
    "web page after a mark and lines": b"\xef\xbb\xbf\r\n\r\n" + files.HTML,
    "web page behind a comment": b"<!-- brief -->" + files.HTML,
    "web page in UTF-16": files.HTML.decode().encode("utf-16"),
    "drawing": files.SVG,
    "drawing without a head": files.SVG.partition(b"\n")[2],
    "class of Java": b"\xca\xfe\xba\xbe\0\0\0\x34" + bytes(40),
}


@pytest.mark.parametrize("kind", ACTIVE)
async def test_what_acts_when_it_is_opened_is_refused_under_every_name(anna: httpx2.AsyncClient, kind: str) -> None:
    transfer_id = await new_draft(anna)

    for extension in ("pdf", "txt", "csv", "eml", "docx", "png", "zip", "gz", "doc", "dcm", "mp3", "heic", "lzma"):
        answer = await create(anna, transfer_id, f"brief.{extension}", len(ACTIVE[kind]), ACTIVE[kind])
        assert await is_refused(answer, 415, "content_mismatch"), extension
        assert answer.json()["detail"] == MISMATCH[1].format(extension)
    assert await documents_of(anna, transfer_id) == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("brief.pdf", files.TEXT.encode()),
        ("brief.pdf", files.png()),
        ("brief.pdf", files.office("docx")),
        ("foto.jpg", files.png()),
        ("foto.png", files.JPEG),
        ("foto.tif", files.PDF),
        ("brief.txt", files.PDF),
        ("brief.csv", files.zipped({"brief.txt": files.TEXT})),
        ("brief.docx", files.PDF),
        ("brief.docx", files.TEXT.encode()),
        ("brief.docx", files.open_document("odt")),
        ("brief.docx", files.zipped({"brief.txt": files.TEXT})),
        ("brief.docx", files.office("docx")[:200]),
        ("brief.docx", b"\x01\x02\x03" + b"no compound file, and no archive either" + bytes(64)),
        ("brief.docx", files.OLD_MACROS["of Word"][1]),
        ("brief.odt", files.office("docx")),
        ("brief.doc", files.PDF),
        ("brief.rtf", files.PDF),
        ("alles.zip", files.PDF),
        ("alles.gz", files.zipped({"brief.txt": files.TEXT})),
        ("alles.7z", files.zipped({"brief.txt": files.TEXT})),
        ("film.mp4", files.PDF),
        ("foto.heic", files.PDF),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_content_that_contradicts_its_name_is_refused(anna: httpx2.AsyncClient, name: str, content: bytes) -> None:
    answer = await create(anna, transfer_id := await new_draft(anna), name, len(content), content)

    assert await is_refused(answer, 415, "content_mismatch")
    assert answer.json()["detail"] == MISMATCH[1].format(name.partition(".")[2])
    assert await documents_of(anna, transfer_id) == []


@pytest.mark.parametrize("extension", ["docx", "xlsx", "pptx", "ppsx"])
async def test_macros_under_a_name_that_denies_them_are_refused(anna: httpx2.AsyncClient, extension: str) -> None:
    transfer_id = await new_draft(anna)
    macros, kind = files.compound(), files.macro_kind(extension)
    hidden = {
        "renamed": files.with_macros(extension),
        "by their place": files.office(extension, extra={"elders/vbaProject.bin": macros}),
        "by their place, in capitals": files.office(extension, extra={"ELDERS/VBAPROJECT.BIN": macros}),
        "by what the document is": files.office(extension, kind=kind),
        "in capitals": files.office(extension, kind=kind.upper()),
        "in UTF-16": files.office(extension, kind=kind, encoding="utf-16"),
        "in character references": files.office(extension, kind="".join(f"&#{ord(letter)};" for letter in kind)),
        "by what a part is": files.office(extension, macro_part="/elders/anders.bin", extra={"elders/anders.bin": macros}),
        "perhaps, in a list too long to read": files.office(extension, kind="x" * 1_000_000),
        "behind something else": bytes(range(1, 200)) + files.with_macros(extension),
    }

    for how, content in hidden.items():
        answer = await create(anna, transfer_id, f"brief.{extension}", len(content), content)
        assert (how, answer.status_code, answer.json().get("code")) == (how, 415, MACROS[0])
        assert answer.json()["detail"] == MACROS[1]
    assert await documents_of(anna, transfer_id) == []


@pytest.mark.parametrize("which", files.OLD_MACROS)
async def test_macros_of_old_documents_are_refused(anna: httpx2.AsyncClient, which: str) -> None:
    extension, content = files.OLD_MACROS[which]

    answer = await create(anna, transfer_id := await new_draft(anna), f"brief.{extension}", len(content), content)

    assert await is_refused(answer, 415, MACROS[0])
    assert await documents_of(anna, transfer_id) == []


@pytest.mark.parametrize("extension", ["doc", "xls", "ppt"])
async def test_an_old_document_that_cannot_be_read_is_none(anna: httpx2.AsyncClient, extension: str) -> None:
    """What we cannot read, the program that opens it may: its directory is where macros are seen."""
    good = files.old_office(extension)
    lost = good[:48] + (99).to_bytes(4, "little") + good[52:]  # the directory begins where there is nothing

    for content in (lost, good[:900]):
        answer = await create(anna, await new_draft(anna), f"brief.{extension}", len(content), content)
        assert await is_refused(answer, 415, MISMATCH[0])


async def test_a_list_of_contents_that_cannot_be_read_is_no_office_document(anna: httpx2.AsyncClient) -> None:
    transfer_id = await new_draft(anna)
    good = files.office("docx")
    name = b"[Content_Types].xml"
    packed = good.index(name) + len(name)
    broken = {
        "no XML": files.zipped({"[Content_Types].xml": "Types", "word/document.xml": "<root/>"}),
        "exploding": files.zipped({
            "[Content_Types].xml": '<!DOCTYPE t [<!ENTITY a "aaaaaaaaaa">'
            + "".join(f'<!ENTITY {chr(n + 1)} "{f"&{chr(n)};" * 10}">' for n in range(97, 109))
            + ']><Types a="&m;"/>',
            "word/document.xml": "<root/>",
        }),
        "damaged": good[:packed] + b"\xff" * 20 + good[packed + 20 :],
    }  # fmt: skip

    for how, content in broken.items():
        answer = await create(anna, transfer_id, "brief.docx", len(content), content)
        assert (how, answer.status_code, answer.json().get("code")) == (how, 415, MISMATCH[0])
    assert await documents_of(anna, transfer_id) == []


async def test_what_is_refused_at_the_end_is_gone_with_every_part(anna: httpx2.AsyncClient, services: Services) -> None:
    transfer_id, content = await new_draft(anna), files.with_macros("docx")
    await uploaded(anna, transfer_id, "goed.docx", files.office("docx"))
    url = await announced(anna, len(content), "brief.docx", transfer_id)
    await patch(anna, url, 0, content[:100])
    await patch(anna, url, 100, content[100:-1])

    answer = await patch(anna, url, len(content) - 1, content[-1:], **{"Accept-Language": "nl"})

    assert await is_refused(answer, 415, MACROS[0])
    assert answer.json()["detail"] == "In dit document zitten macro's. Bewaar het eerst zonder macro's."
    assert (await head(anna, url)).status_code == 404
    assert [document["name"] for document in await documents_of(anna, transfer_id)] == ["goed.docx"]
    (refused,) = [event for event in await events(services) if event.tag == EventTag.DOCUMENT_REFUSED]
    assert (refused.transfer_id, refused.facts) == (transfer_id, {"reason": MACROS[0]})
    await services.clearing_uploads.run()
    assert len(stored_blobs(services)) == 1
    assert (await anna.post(f"{TRANSFERS}/{transfer_id}/send")).status_code == 200


async def test_people_without_script_read_why(anna_portal: Portal) -> None:
    transfer_id = await draft(anna_portal)

    for name, content, sentence in (
        ("brief.pdf", files.program(), MISMATCH[1].format("pdf")),
        ("brief.docx", files.with_macros("docx"), MACROS[1]),
    ):
        answer = await anna_portal.client.post(
            f"/transfers/{transfer_id}/documents", data={"csrf": anna_portal.csrf}, files={"documents": (name, content)}
        )
        assert sentence in words(answer)
        assert name not in words(answer)


# What the scanner said


@pytest.fixture
def scanner() -> WatchfulScanner:
    return WatchfulScanner()


@pytest.fixture
def scanning(scanner: WatchfulScanner, services: Services) -> Starlette:
    """An organisation with this scanner."""
    scanned = with_policy(services, is_scanning=True)
    return build_app(rewired(scanned, scanner=scanner), has_worker=False)


@pytest.fixture
async def program(scanning: Starlette, anna: httpx2.AsyncClient) -> AsyncIterator[httpx2.AsyncClient]:
    """Anna's program there."""
    async with browser(scanning) as client:
        client.headers["Authorization"] = anna.headers["Authorization"]
        yield client


@pytest.fixture
async def portal(scanning: Starlette, app: Starlette) -> AsyncIterator[Portal]:
    """Anna's browser there."""
    async with browser(scanning) as client:
        portal = Portal(client)
        await portal.sign_in("anna@zegelpost.example")
        yield portal


async def test_what_is_infected_is_refused_and_gone(
    program: httpx2.AsyncClient, scanner: WatchfulScanner, services: Services
) -> None:
    scanner.verdict = ScanVerdict.INFECTED
    transfer_id = await new_draft(program)
    url = await announced(program, len(files.PDF), "brief.pdf", transfer_id)
    await patch(program, url, 0, files.PDF[:10])

    answer = await patch(program, url, 10, files.PDF[10:])

    assert await is_refused(answer, 422, "malware_found")
    assert answer.json()["detail"] == "This file is not safe: the virus scanner found something in it."
    assert (await head(program, url)).status_code == 404
    assert await documents_of(program, transfer_id) == []
    (refused,) = [event for event in await events(services) if event.tag == EventTag.DOCUMENT_REFUSED]
    assert (refused.transfer_id, refused.facts) == (transfer_id, {"reason": "malware_found"})
    assert not [event for event in await events(services) if event.tag == EventTag.DOCUMENT_COMPLETED]
    await services.clearing_uploads.run()
    assert stored_blobs(services) == []


async def test_people_without_script_read_that_it_is_infected(portal: Portal, scanner: WatchfulScanner) -> None:
    scanner.verdict = ScanVerdict.INFECTED
    transfer_id = await draft(portal)

    answer = await portal.client.post(
        f"/transfers/{transfer_id}/documents", data={"csrf": portal.csrf}, files={"documents": ("brief.pdf", files.PDF)}
    )

    assert "This file is not safe: the virus scanner found something in it." in words(answer)
    assert "brief.pdf" not in words(answer)


async def test_while_the_scanner_fails_nothing_is_complete_and_nothing_is_lost(
    program: httpx2.AsyncClient, scanner: WatchfulScanner, services: Services
) -> None:
    scanner.breaks_off_after = 0
    transfer_id = await new_draft(program)
    url = await announced(program, len(files.PDF), "brief.pdf", transfer_id)
    await patch(program, url, 0, files.PDF[:10])

    for again in (patch(program, url, 10, files.PDF[10:]), patch(program, url, len(files.PDF), b"")):
        answer = await again
        assert await is_refused(answer, 503, "outage")
        assert answer.headers["retry-after"] == "30"
    assert (await head(program, url)).status_code == 503
    (document,) = await documents_of(program, transfer_id)
    assert (document["scan"], document["is_complete"]) == (None, False)
    assert (await program.get(f"{TRANSFERS}/{transfer_id}/documents/{document['id']}")).status_code == 404
    assert await is_refused(await program.post(f"{TRANSFERS}/{transfer_id}/send"), 409, "uploads_unfinished")
    assert not [event for event in await events(services) if event.tag == EventTag.DOCUMENT_REFUSED]

    scanner.breaks_off_after = None
    finished = await patch(program, url, len(files.PDF), b"")
    assert finished.headers["upload-sha256"] == sha256_of(files.PDF)
    assert [one["scan"] for one in await documents_of(program, transfer_id)] == ["clean"]
    assert (await program.post(f"{TRANSFERS}/{transfer_id}/send")).status_code == 200


CALLED = {
    ScanVerdict.CLEAN: ("Checked for viruses: nothing found", "Gecontroleerd op virussen: niets gevonden"),
    ScanVerdict.NOT_SCANNED: ("Not checked for viruses", "Niet gecontroleerd op virussen"),
}


@pytest.mark.parametrize("verdict", CALLED)
async def test_everybody_sees_whether_a_document_was_looked_at(
    portal: Portal,
    program: httpx2.AsyncClient,
    bram: httpx2.AsyncClient,
    scanning: Starlette,
    scanner: WatchfulScanner,
    outbox: Outbox,
    verdict: ScanVerdict,
) -> None:
    """`NOT_SCANNED` also when the organisation has a scanner: nobody can look into what is encrypted."""
    scanner.verdict = verdict
    other = next(one for one in CALLED if one != verdict)
    transfer_id = await draft(portal, ROSA, BRAM, documents={"brief.docx": files.compound()})
    pages = [f"/transfers/{transfer_id}/check"]

    async def is_told(reader: httpx2.AsyncClient, path: str) -> None:
        for number, language in enumerate(("en", "nl")):
            answer = await reader.get(path, headers={"Accept-Language": language})
            assert answer.status_code == 200
            assert words(answer).count(CALLED[verdict][number]) == 1, (path, language)
            assert CALLED[other][number] not in words(answer)

    await is_told(portal.client, f"/transfers/{transfer_id}/check")
    answer = await portal.press(f"/transfers/{transfer_id}/send")
    assert answer.url.path == pages[0].removesuffix("/check"), sentences(answer)
    await is_told(portal.client, f"/transfers/{transfer_id}")
    assert [one["scan"] for one in await documents_of(program, transfer_id)] == [verdict.value]
    assert [one["scan"] for one in await documents_of(bram, transfer_id)] == [verdict.value]
    async with browser(scanning) as rosa, browser(scanning) as brams_browser:
        await is_told(rosa, f"{await open_link(rosa, outbox)}/transfer")
        await Portal(brams_browser).sign_in("bram@zegelpost.example")
        await is_told(brams_browser, f"/received/{transfer_id}")


async def test_an_organisation_without_a_scanner_says_so_where_documents_are_added(
    anna_portal: Portal, portal: Portal, anna: httpx2.AsyncClient, program: httpx2.AsyncClient
) -> None:
    for who, reader, is_scanning in ((anna_portal, anna, False), (portal, program, True)):
        transfer_id = await draft(who, documents={"brief.pdf": files.PDF})
        for language, sentence in (
            ("en", "Documents are not checked for viruses here."),
            ("nl", "Documenten worden hier niet op virussen gecontroleerd."),
        ):
            page = await who.client.get(f"/transfers/{transfer_id}/documents", headers={"Accept-Language": language})
            assert (sentence in words(page)) is not is_scanning
        assert (await reader.get("/api/v1/policy")).json()["is_scanning"] is is_scanning
        assert [one["scan"] for one in await documents_of(reader, transfer_id)] == ["clean" if is_scanning else "not_scanned"]


# A real clamd


@pytest.fixture
def running_clamd() -> Iterator[Clamd]:
    # Socket paths may hold no more than 107 characters, and pytest's folders are deep.
    with tempfile.TemporaryDirectory(prefix="zegelpost-clamd-") as name, clamd(Path(name)) as running:
        yield running


async def test_a_real_scanner_finds_what_hides_in_an_archive(
    anna: httpx2.AsyncClient, running_clamd: Clamd, settings: Settings, clock: MovableClock
) -> None:
    configured = dataclasses.replace(settings, clamd_url=running_clamd.url)
    services = build_services(configured, clock=clock)
    infected = files.zipped({"map/brief.txt": files.TEXT, "map/diep.zip": files.zipped({"virus.com": EICAR})})
    async with browser(build_app(services, has_worker=False), Authorization=anna.headers["Authorization"]) as program:
        transfer_id = await new_draft(program)

        at_once = await create(program, transfer_id, "alles.zip", len(infected), infected)
        assert await is_refused(at_once, 422, "malware_found")
        url = await announced(program, len(infected), "alles.zip", transfer_id)
        await patch(program, url, 0, infected[:50])
        assert await is_refused(await patch(program, url, 50, infected[50:]), 422, "malware_found")
        await uploaded(program, transfer_id, "schoon.zip", files.zipped({"brief.txt": files.TEXT}))
        described = [(one["name"], one["scan"]) for one in await documents_of(program, transfer_id)]
        assert described == [("schoon.zip", "clean")]

        url = await announced(program, len(infected), "later.zip", transfer_id)
        running_clamd.stop()
        assert await is_refused(await patch(program, url, 0, infected), 503, "outage")
        assert await is_refused(await program.post(f"{TRANSFERS}/{transfer_id}/send"), 409, "uploads_unfinished")
    await services.database.close()
