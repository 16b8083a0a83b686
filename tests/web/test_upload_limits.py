"""Uploads within limits: what is too much is refused before a byte travels, and lies about lengths take nothing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx2
import pytest
from tests.conftest import MovableClock, browser
from tests.web.test_upload_lines import Line, anna_line, port  # noqa: F401 - fixtures
from tests.web.tus import (
    BYTES,
    ROSA,
    TRANSFERS,
    UPLOADS,
    VERSION,
    announced,
    create,
    documents_of,
    events,
    head,
    is_refused,
    metadata,
    new_draft,
    offset_of,
    patch,
    sha256_of,
    stored_blobs,
)

from zegelpost.main import Services, build_app, build_services
from zegelpost.model.policy import GIGABYTE, Policy
from zegelpost.services import uploading as uploading_service
from zegelpost.settings import Settings


@pytest.fixture
def policy() -> Policy:
    """An organisation with little room. Announcing costs none, so the limits may be as large as real ones."""
    return Policy(
        staff_domains=("zegelpost.example",),
        requires_second_factor=False,
        largest_document_bytes=2 * GIGABYTE,
        largest_transfer_bytes=5 * GIGABYTE,
        quota_bytes=8 * GIGABYTE,
        most_documents=4,
    )


async def content_of(program: httpx2.AsyncClient, transfer_id: str) -> list[bytes]:
    ids = [document["id"] for document in await documents_of(program, transfer_id)]
    return [(await program.get(f"{TRANSFERS}/{transfer_id}/documents/{one}")).content for one in ids]


# Refused before a byte travels


@pytest.mark.parametrize(
    ("name", "length", "status", "code", "english", "dutch"),
    [
        (
            "programma.exe",
            10,
            415,
            "extension_not_allowed",
            "Files that end in .exe are not allowed.",
            "Bestanden die eindigen op .exe zijn niet toegestaan.",
        ),
        (
            "film.mp4",
            2 * GIGABYTE + 1,
            413,
            "document_too_large",
            "This file is too large: 2 GB at most.",
            "Dit bestand is te groot: hoogstens 2 GB.",
        ),
        (
            "film.mp4",
            2 * GIGABYTE,
            413,
            "transfer_too_large",
            "All files together are too large: 5 GB at most.",
            "Alle bestanden samen zijn te groot: hoogstens 5 GB.",
        ),
    ],
)
async def test_too_much_is_refused_with_a_sentence_before_a_byte_travels(
    anna: httpx2.AsyncClient, services: Services, name: str, length: int, status: int, code: str, english: str, dutch: str
) -> None:
    transfer_id = await new_draft(anna)
    for _ in range(2):
        await announced(anna, 2 * GIGABYTE, transfer_id=transfer_id)
    is_read = False

    async def body() -> AsyncIterator[bytes]:
        nonlocal is_read
        is_read = True
        yield b"0123456789"

    for language, sentence in (("en", english), ("nl", dutch)):
        headers = {**VERSION, **metadata(transfer_id, name), "Upload-Length": str(length), "Content-Type": BYTES}
        answer = await anna.post(UPLOADS, headers={**headers, "Accept-Language": language}, content=body())
        assert await is_refused(answer, status, code)
        assert answer.json()["detail"] == sentence
    assert not is_read
    assert len(await documents_of(anna, transfer_id)) == 2
    assert stored_blobs(services) == []


async def test_a_document_may_be_as_large_as_the_policy_says_and_no_byte_larger(anna: httpx2.AsyncClient) -> None:
    transfer_id = await new_draft(anna)

    assert await is_refused(await create(anna, transfer_id, "film.mp4", 2 * GIGABYTE + 1), 413, "document_too_large")
    assert (await create(anna, transfer_id, "film.mp4", 2 * GIGABYTE)).status_code == 201


async def test_documents_together_fill_a_transfer_to_the_last_byte_and_removing_one_makes_room(anna: httpx2.AsyncClient) -> None:
    transfer_id = await new_draft(anna)
    for length in (2 * GIGABYTE, 2 * GIGABYTE, GIGABYTE - 1):
        last = await announced(anna, length, transfer_id=transfer_id)

    assert await is_refused(await create(anna, transfer_id, "film.mp4", 2), 413, "transfer_too_large")
    assert (await create(anna, transfer_id, "film.mp4", 1)).status_code == 201
    await anna.delete(last, headers=VERSION)
    assert (await create(anna, transfer_id, "film.mp4", GIGABYTE - 1)).status_code == 201


async def test_a_sender_has_a_quota_over_all_transfers_that_is_nobody_elses(
    anna: httpx2.AsyncClient, mallory: httpx2.AsyncClient
) -> None:
    for length in (2 * GIGABYTE, 2 * GIGABYTE, 2 * GIGABYTE):
        last = await announced(anna, length)
    transfer_id = await new_draft(anna)
    await announced(anna, GIGABYTE, transfer_id=transfer_id)

    refused = await create(anna, transfer_id, "film.mp4", GIGABYTE + 1)
    assert await is_refused(refused, 413, "quota_exceeded")
    assert refused.json()["detail"] == "Your space is full: 8 GB at most. Withdraw old transfers first."
    assert (await create(mallory, await new_draft(mallory), "film.mp4", GIGABYTE + 1)).status_code == 201
    await anna.delete(last, headers=VERSION)
    assert (await create(anna, transfer_id, "film.mp4", GIGABYTE + 1)).status_code == 201


async def test_a_transfer_holds_so_many_documents_and_removing_one_makes_room(anna: httpx2.AsyncClient) -> None:
    transfer_id = await new_draft(anna)
    for _ in range(4):
        last = await announced(anna, 1, transfer_id=transfer_id)

    refused = await create(anna, transfer_id, "vijf.dcm", 1)
    assert await is_refused(refused, 422, "too_many_documents")
    assert refused.json()["detail"] == "There are too many documents: 4 at most."
    assert (await create(anna, await new_draft(anna), "vijf.dcm", 1)).status_code == 201
    await anna.delete(last, headers=VERSION)
    assert (await create(anna, transfer_id, "vijf.dcm", 1)).status_code == 201


async def test_of_many_that_are_announced_at_once_only_what_fits_is_taken(
    database_kind: str, anna: httpx2.AsyncClient, settings: Settings, clock: MovableClock, policy: Policy
) -> None:
    other_services = build_services(settings, clock=clock, policy=policy)
    async with browser(build_app(other_services, has_worker=False), Authorization=anna.headers["Authorization"]) as other:
        transfer_id = await new_draft(anna)
        tried = (create(program, transfer_id, "film.mp4", GIGABYTE) for program in [anna, other] * 4)
        by_count = [answer.status_code for answer in await asyncio.gather(*tried)]
        assert sorted(by_count) == [201] * 4 + [422] * 4

        # Four gigabytes of the quota are left, and each has a transfer of its own.
        drafts = [await new_draft(anna) for _ in range(6)]
        tried = (create(program, one, "film.mp4", GIGABYTE) for program, one in zip([anna, other] * 3, drafts, strict=True))
        by_quota = [answer.status_code for answer in await asyncio.gather(*tried)]
        assert sorted(by_quota) == [201] * 4 + [413] * 2
    await other_services.database.close()


# Lengths and offsets that are none


NO_NUMBERS = (b"", b"-1", b"-0", b"+5", b"5.0", b"1e3", b"0x10", b"1_000", b"5 5", b"5,5", b"vijf", b"5\xb2", b"\xd9\xa5")


async def test_a_length_that_is_none_makes_no_document(anna: httpx2.AsyncClient) -> None:
    transfer_id = await new_draft(anna)
    headers = {name.encode(): value.encode() for name, value in {**VERSION, **metadata(transfer_id, "beeld.dcm")}.items()}
    no_lengths = [{b"Upload-Length": text} for text in (*NO_NUMBERS, b"0" * 18 + b"5", b"9" * 19, b"9" * 5000)]

    for no_length in no_lengths:
        assert await is_refused(await anna.post(UPLOADS, headers=headers | no_length), 400, "upload_length_invalid"), no_length
    for none_yet in ({}, {b"Upload-Defer-Length": b"1"}):
        assert await is_refused(await anna.post(UPLOADS, headers=headers | none_yet), 411, "upload_length_missing")
    huge = {b"Upload-Length": b"9" * 18}
    assert await is_refused(await anna.post(UPLOADS, headers=headers | huge), 413, "document_too_large")
    assert await documents_of(anna, transfer_id) == []


async def test_an_offset_that_is_none_takes_no_byte(anna: httpx2.AsyncClient) -> None:
    url = await announced(anna, 3)
    headers = {b"Tus-Resumable": b"1.0.0", b"Content-Type": BYTES.encode()}
    no_offsets = [{}, *({b"Upload-Offset": text} for text in (*NO_NUMBERS, b"0" * 19, b"9" * 5000))]

    for no_offset in no_offsets:
        answer = await anna.patch(url, headers=headers | no_offset, content=b"abc")
        assert await is_refused(answer, 400, "upload_offset_invalid"), no_offset
    assert await offset_of(anna, url) == 0


async def test_zeros_in_front_change_no_number(anna: httpx2.AsyncClient) -> None:
    made = await create(anna, await new_draft(anna), "beeld.dcm", "000000000000000003")
    assert (await head(anna, made.headers["location"])).headers["upload-length"] == "3"
    sent = await patch(anna, made.headers["location"], "000000000000000000", b"abc")
    assert sent.headers["upload-sha256"] == sha256_of(b"abc")


async def test_an_announced_length_cannot_be_changed(anna: httpx2.AsyncClient) -> None:
    url = await announced(anna, 10)

    for length in ("4", "11", "999999999999"):
        await patch(anna, url, 0, b"", **{"Upload-Length": length})
        assert (await head(anna, url)).headers["upload-length"] == "10"
    assert await is_refused(await patch(anna, url, 0, b"0123456789A", **{"Upload-Length": "11"}), 413, "upload_length_exceeded")
    short = await patch(anna, url, 0, b"0123", **{"Upload-Length": "4"})
    assert (short.headers["upload-offset"], "upload-sha256" in short.headers) == ("4", False)


async def test_more_bytes_than_announced_along_with_the_announcement_leave_nothing(
    anna: httpx2.AsyncClient, services: Services
) -> None:
    transfer_id = await new_draft(anna)

    for length in (0, 10, 1_500_000):
        answer = await create(anna, transfer_id, "beeld.dcm", length, os.urandom(length + 1))
        assert await is_refused(answer, 413, "upload_length_exceeded")
    assert await documents_of(anna, transfer_id) == []
    assert stored_blobs(services) == []


LIES = (
    b"Content-Length: -5",
    b"Content-Length: 5x",
    b"Content-Length: 0x400000",
    b"Content-Length: 99999999999999999999999999",
    b"Content-Length: 5\r\nContent-Length: 400000",
    b"Content-Length: 400000\r\nContent-Length: 5",
    b"Content-Length: 400000\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nContent-Length: 400000",
    b"Transfer-Encoding: chunked, identity\r\nContent-Length: 400000",
)


async def test_a_body_of_two_lengths_or_of_none_is_not_taken(
    anna: httpx2.AsyncClient,
    anna_line: Line,  # noqa: F811 - fixture
) -> None:
    """What two readers could read in two ways is how requests are smuggled past a proxy (RFC 9112, section 11.2)."""
    url = await announced(anna, 400_000)

    for lie in LIES:
        await anna_line.close()
        await anna_line.open()
        await anna_line.send(anna_line.patch(url, 0, 77).replace(b"Content-Length: 77", lie) + bytes(1000))
        assert (await anna_line.answer())[0] == 400, lie
        assert await anna_line.reader.read() == b"", lie  # the server has hung up
        assert await offset_of(anna, url) == 0


@pytest.mark.parametrize("told", [5, 300_000])
async def test_of_a_body_never_more_than_its_length_tells_is_taken(
    anna: httpx2.AsyncClient,
    port: int,  # noqa: F811 - fixture
    told: int,
) -> None:
    content = os.urandom(400_000)
    url = await announced(anna, len(content))
    line = await Line(port, anna.headers["Authorization"].removeprefix("Bearer ")).open()
    with suppress(ConnectionError, asyncio.IncompleteReadError):  # the rest is no request, so the server hangs up
        await line.send(line.patch(url, 0, told) + content)
        assert (await line.answer())[0] in {204, 400}
    line.writer.transport.abort()

    rest = await patch(anna, url, kept := await offset_of(anna, url), content[kept:])
    while rest.status_code in {409, 423}:  # the one that was broken off is just committing what it has
        rest = await patch(anna, url, kept := await offset_of(anna, url), content[kept:])
    assert kept in {0, told}
    assert rest.headers["upload-sha256"] == sha256_of(content)


async def test_a_body_that_says_it_is_endless_is_refused_as_soon_as_it_is_too_long(
    anna: httpx2.AsyncClient,
    anna_line: Line,  # noqa: F811 - fixture
    services: Services,
) -> None:
    url = await announced(anna, 1_000_000)
    await anna_line.send(anna_line.patch(url, 0, 10**18) + bytes(2_200_000))

    assert (await anna_line.answer())[0] == 413
    assert await offset_of(anna, url) == 0
    assert stored_blobs(services) == []


# Floods


async def test_a_flood_of_small_parts_ends_and_what_arrived_stays(
    anna: httpx2.AsyncClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploading_service, "MOST_PARTS", 5)
    transfer_id = await new_draft(anna)
    flood, whole = [await announced(anna, 6, transfer_id=transfer_id) for _ in range(2)]
    for start in range(5):
        assert (await patch(anna, flood, start, b"x")).status_code == 204

    for _ in range(2):
        refused = await patch(anna, flood, 5, b"x")
        assert await is_refused(refused, 413, "upload_too_many_parts")
        assert refused.json()["detail"] == "The file arrived in too many small parts."
        assert await offset_of(anna, flood) == 5
    assert len(stored_blobs(services)) == 5

    # The last part that is allowed may be the end, and then asking again is no part.
    for start in range(4):
        await patch(anna, whole, start, b"012345"[start : start + 1])
    for offset, rest in ((4, b"45"), (6, b"")):
        assert (await patch(anna, whole, offset, rest)).headers["upload-sha256"] == sha256_of(b"012345")
    assert (await anna.delete(flood, headers=VERSION)).status_code == 204
    assert await content_of(anna, transfer_id) == [b"012345"]


async def test_empty_parts_are_no_parts(anna: httpx2.AsyncClient, services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploading_service, "MOST_PARTS", 2)
    url = await announced(anna, 2)

    for _ in range(10):
        assert (await patch(anna, url, 0, b"")).headers["upload-offset"] == "0"
    assert stored_blobs(services) == []
    assert (await patch(anna, url, 0, b"ab")).headers["upload-sha256"] == sha256_of(b"ab")


# Uploads of others, and of transfers that take no more


async def test_an_upload_is_not_even_there_for_others(
    anna: httpx2.AsyncClient, bram: httpx2.AsyncClient, mallory: httpx2.AsyncClient, services: Services
) -> None:
    """Bram is a colleague, and even a recipient; a draft is none of his business, and neither is what is sent."""
    bram_too = {"name": "Bram Jansen", "email": "bram@zegelpost.example"}
    made = await anna.post(TRANSFERS, json={"subject": "Dossier", "recipients": [ROSA, bram_too]})
    transfer_id = str(made.json()["id"])
    url = await announced(anna, 4, transfer_id=transfer_id)
    await patch(anna, url, 0, b"ab")
    before = len(await events(services))

    async def nobody_else_gets_in() -> None:
        absent = (await patch(mallory, f"{UPLOADS}/{'a' * 26}", 2, b"cd")).json()
        for other in (bram, mallory):
            seen = await head(other, url)
            assert (seen.status_code, seen.content) == (404, b"")
            assert not {"upload-offset", "upload-length", "upload-expires"} & set(seen.headers)
            for tried in (
                patch(other, url, 2, b"cd"),
                other.delete(url, headers=VERSION),
                create(other, transfer_id, "x.dcm", 1),
            ):
                answer = await tried
                assert await is_refused(answer, 404, "not_found")
                assert answer.json() == absent

    await nobody_else_gets_in()
    assert await offset_of(anna, url) == 2
    assert len(await events(services)) == before
    await patch(anna, url, 2, b"cd")
    assert (await anna.post(f"{TRANSFERS}/{transfer_id}/send")).status_code == 200
    await nobody_else_gets_in()
    assert await content_of(anna, transfer_id) == [b"abcd"]


@pytest.mark.parametrize("is_revoked", [False, True])
async def test_what_was_sent_takes_no_more_and_gives_nothing_up(
    anna: httpx2.AsyncClient, services: Services, *, is_revoked: bool
) -> None:
    transfer_id = await new_draft(anna)
    url = (await create(anna, transfer_id, "beeld.dcm", 4, b"abcd")).headers["location"]
    assert (await anna.post(f"{TRANSFERS}/{transfer_id}/send")).status_code == 200
    if is_revoked:
        assert (await anna.post(f"{TRANSFERS}/{transfer_id}/revoke")).status_code == 200

    for late in (
        patch(anna, url, 4, b""),
        patch(anna, url, 0, b"x"),
        create(anna, transfer_id, "b.dcm", 4),
        create(anna, transfer_id, "b.dcm", 4, b"abcd"),
        anna.delete(url, headers=VERSION),
    ):
        assert await is_refused(await late, 409, "transfer_not_draft")
    assert [document["length_bytes"] for document in await documents_of(anna, transfer_id)] == [4]
    assert len(stored_blobs(services)) == 1
