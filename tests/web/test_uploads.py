"""Uploads: what arrives is kept, what was acknowledged is never lost, and whoever goes on goes on at the right place."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx2
import pytest
from sqlalchemy import select
from starlette.applications import Starlette
from tests.conftest import BASE_URL, MovableClock, browser, signed_in
from tests.web.tus import (
    TRANSFERS,
    UPLOADS,
    VERSION,
    announced,
    base64_of,
    checksum,
    create,
    documents_of,
    events,
    half_a_patch,
    head,
    is_refused,
    new_draft,
    offset_of,
    patch,
    sha256_of,
    stored_blobs,
    uploaded,
)

from zegelpost.main import Services, build_app, build_services
from zegelpost.model.document import OrphanBlob
from zegelpost.model.event import EventTag
from zegelpost.model.policy import Policy
from zegelpost.services import uploading as uploading_service
from zegelpost.settings import Settings

SEGMENT = 1024 * 1024 - 16


async def content_of(anna: httpx2.AsyncClient, transfer_id: str) -> list[bytes]:
    """Every document of the transfer, as its sender gets it back."""
    ids = [document["id"] for document in await documents_of(anna, transfer_id)]
    return [(await anna.get(f"{TRANSFERS}/{transfer_id}/documents/{one}")).content for one in ids]


async def sign_in_again(app: Starlette, program: httpx2.AsyncClient) -> None:
    """Days have passed, and no token lives that long."""
    fresh = await signed_in(app, "anna@zegelpost.example")
    program.headers["Authorization"] = fresh.headers["Authorization"]
    await fresh.aclose()


# The protocol


async def test_what_is_supported_is_told_to_anyone(client: httpx2.AsyncClient) -> None:
    answer = await client.options(UPLOADS)

    assert answer.status_code == 204
    assert answer.headers["tus-version"] == "1.0.0"
    assert answer.headers["tus-extension"] == "creation,creation-with-upload,checksum,termination,expiration"
    assert answer.headers["tus-checksum-algorithm"] == "sha1,sha256"


async def test_announce_then_send(database_kind: str, anna: httpx2.AsyncClient) -> None:
    transfer_id, content = await new_draft(anna), os.urandom(3_000_000)

    made = await create(anna, transfer_id, "beeld.dcm", len(content))
    assert (made.status_code, made.headers["upload-offset"], made.headers["tus-resumable"]) == (201, "0", "1.0.0")
    assert made.headers["location"].startswith(f"{BASE_URL}{UPLOADS}/")

    url = made.headers["location"]
    for start, end in ((0, 1), (1, 700_000), (700_000, 700_000 + 2 * SEGMENT), (700_000 + 2 * SEGMENT, len(content))):
        assert await offset_of(anna, url) == start
        sent = await patch(anna, url, start, content[start:end])
        assert (sent.status_code, sent.headers["upload-offset"]) == (204, str(end))
        assert ("upload-sha256" in sent.headers) is (end == len(content))
    assert sent.headers["upload-sha256"] == sha256_of(content)

    finished = await head(anna, url)
    assert finished.headers["upload-offset"] == finished.headers["upload-length"] == str(len(content))
    assert finished.headers["upload-sha256"] == sha256_of(content)
    assert finished.headers["cache-control"] == "no-store"
    assert await content_of(anna, transfer_id) == [content]


async def test_bytes_may_come_along_with_the_announcement(anna: httpx2.AsyncClient) -> None:
    transfer_id, content = await new_draft(anna), os.urandom(300_000)

    whole = await create(anna, transfer_id, "heel.dcm", len(content), content)
    assert (whole.status_code, whole.headers["upload-sha256"]) == (201, sha256_of(content))

    begun = await create(anna, transfer_id, "half.dcm", len(content), content[:100_000], **checksum("sha1", content[:100_000]))
    assert (begun.status_code, begun.headers["upload-offset"]) == (201, "100000")
    assert "upload-sha256" not in begun.headers
    rest = await patch(anna, begun.headers["location"], 100_000, content[100_000:])
    assert rest.headers["upload-sha256"] == sha256_of(content)
    assert await content_of(anna, transfer_id) == [content, content]


async def test_an_empty_document_is_a_document(anna: httpx2.AsyncClient) -> None:
    transfer_id = await new_draft(anna)

    made = await create(anna, transfer_id, "leeg.txt", 0)

    assert (made.status_code, made.headers["upload-sha256"]) == (201, sha256_of(b""))
    assert (await head(anna, made.headers["location"])).headers["upload-sha256"] == sha256_of(b"")
    assert await content_of(anna, transfer_id) == [b""]
    assert (await anna.post(f"{TRANSFERS}/{transfer_id}/send")).status_code == 200


async def test_an_upload_says_when_it_will_be_removed_and_each_part_moves_that_on(
    app: Starlette, anna: httpx2.AsyncClient, clock: MovableClock
) -> None:
    url = await announced(anna, 20)
    first = parsedate_to_datetime((await head(anna, url)).headers["upload-expires"])
    assert (first - clock.now).days == 7

    clock.forward(days=6)
    await sign_in_again(app, anna)
    second = parsedate_to_datetime((await patch(anna, url, 0, b"\0" * 10)).headers["upload-expires"])
    assert (second - first).days == 6

    clock.forward(days=7, seconds=1)
    await sign_in_again(app, anna)
    assert (await head(anna, url)).status_code == 410
    assert await is_refused(await patch(anna, url, 10, b"\0" * 10), 410, "upload_expired")


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
async def test_a_part_that_arrived_damaged_is_discarded_whole(
    anna: httpx2.AsyncClient, algorithm: str, services: Services
) -> None:
    content = os.urandom(2_500_000)
    url = await announced(anna, len(content))
    assert (await patch(anna, url, 0, content[:1000], **checksum(algorithm, content[:1000]))).status_code == 204

    damaged = content[1000:-1] + bytes([content[-1] ^ 1])
    answer = await patch(anna, url, 1000, damaged, **checksum(algorithm, content[1000:]))

    assert await is_refused(answer, 460, "checksum_mismatch")
    assert await offset_of(anna, url) == 1000
    assert len(stored_blobs(services)) == 1
    good = await patch(anna, url, 1000, content[1000:], **checksum(algorithm, content[1000:]))
    assert good.headers["upload-sha256"] == sha256_of(content)


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        ("md5 1B2M2Y8AsgTpgAmY7PhCfg==", 400, "checksum_algorithm_unsupported"),
        ("SHA1 2jmj7l5rSw0yVb/vlWAYkK/YBwk=", 400, "checksum_algorithm_unsupported"),
        ("", 400, "checksum_algorithm_unsupported"),
        ("sha1", 460, "checksum_mismatch"),
        ("sha1 !!", 460, "checksum_mismatch"),
        ("sha1 2jmj7l5rSw0yVb/vlWAYkK/YBw==", 460, "checksum_mismatch"),
        ("sha256 2jmj7l5rSw0yVb/vlWAYkK/YBwk=", 460, "checksum_mismatch"),
    ],
)
async def test_a_checksum_that_is_none_takes_no_byte_and_leaves_no_upload(
    anna: httpx2.AsyncClient, header: str, status: int, code: str
) -> None:
    transfer_id = await new_draft(anna)
    url = await announced(anna, 10, transfer_id=transfer_id)

    assert await is_refused(await patch(anna, url, 0, b"0123456789", **{"Upload-Checksum": header}), status, code)
    assert await offset_of(anna, url) == 0
    along = await create(anna, transfer_id, "x.dcm", 3, b"abc", **{"Upload-Checksum": header})
    assert await is_refused(along, status, code)
    assert len(await documents_of(anna, transfer_id)) == 1


async def test_an_empty_part_moves_nothing_and_its_checksum_counts(anna: httpx2.AsyncClient) -> None:
    url = await announced(anna, 10)

    for algorithm in ("sha1", "sha256"):
        assert (await patch(anna, url, 0, b"", **checksum(algorithm, b""))).status_code == 204
        assert await is_refused(await patch(anna, url, 0, b"", **checksum(algorithm, b"x")), 460, "checksum_mismatch")
    assert (await patch(anna, url, 0, b"")).headers["upload-offset"] == "0"
    assert (await patch(anna, url, 0, b"0123456789")).headers["upload-sha256"] == sha256_of(b"0123456789")


async def test_removing_an_upload_removes_its_document_and_its_bytes(anna: httpx2.AsyncClient, services: Services) -> None:
    transfer_id = await new_draft(anna)
    half, whole = await announced(anna, 20, transfer_id=transfer_id), await announced(anna, 4, transfer_id=transfer_id)
    await patch(anna, half, 0, b"\0" * 10)
    await patch(anna, whole, 0, b"\0" * 4)
    assert len(stored_blobs(services)) == 2

    for url in (half, whole):
        removed = await anna.delete(url, headers=VERSION)
        assert (removed.status_code, removed.headers["tus-resumable"]) == (204, "1.0.0")
        assert (await head(anna, url)).status_code == 404
        assert await is_refused(await patch(anna, url, 0, b""), 404, "not_found")
        assert await is_refused(await anna.delete(url, headers=VERSION), 404, "not_found")
    assert await documents_of(anna, transfer_id) == []
    await services.clearing_uploads.run()
    assert stored_blobs(services) == []
    assert [event.tag for event in await events(services)].count(EventTag.DOCUMENT_REMOVED) == 2


async def test_more_than_was_announced_is_refused_and_nothing_is_lost(anna: httpx2.AsyncClient, services: Services) -> None:
    content = os.urandom(1_500_000)
    url = await announced(anna, len(content))
    await patch(anna, url, 0, content[:300_000])

    for surplus in (b"x", os.urandom(2_500_000)):
        assert await is_refused(await patch(anna, url, 300_000, content[300_000:] + surplus), 413, "upload_length_exceeded")
        assert await offset_of(anna, url) == 300_000
        assert len(stored_blobs(services)) == 1
    assert (await patch(anna, url, 300_000, content[300_000:])).headers["upload-sha256"] == sha256_of(content)


async def test_after_the_end_an_empty_part_says_that_it_is_whole_and_bytes_are_refused(anna: httpx2.AsyncClient) -> None:
    for content in (b"", b"0123456789"):
        url = (await create(anna, await new_draft(anna), "a.dcm", len(content), content)).headers["location"]

        again = await patch(anna, url, len(content), b"")
        assert (again.status_code, again.headers.get("upload-sha256")) == (204, sha256_of(content))
        assert await is_refused(await patch(anna, url, len(content), b"x"), 413, "upload_length_exceeded")
        assert await is_refused(await patch(anna, url, len(content) + 1, b"x"), 409, "upload_offset_mismatch")
        assert (await head(anna, url)).headers["upload-sha256"] == sha256_of(content)


async def test_at_another_offset_the_right_one_is_told(anna: httpx2.AsyncClient) -> None:
    url = await announced(anna, 10)
    await patch(anna, url, 0, b"0123")

    for wrong in (0, 3, 5, 10, 999_999_999_999_999_999):
        answer = await patch(anna, url, wrong, b"xxx")
        assert await is_refused(answer, 409, "upload_offset_mismatch")
        assert answer.headers["upload-offset"] == "4"
    assert (await patch(anna, url, 4, b"456789")).headers["upload-sha256"] == sha256_of(b"0123456789")


async def test_bytes_of_another_type_are_refused(anna: httpx2.AsyncClient) -> None:
    url = await announced(anna, 3)

    for kind in ("application/octet-stream", "text/plain", f"{'application/offset+octet-stream'}; charset=utf-8", ""):
        answer = await patch(anna, url, 0, b"abc", **{"Content-Type": kind})
        assert await is_refused(answer, 415, "upload_content_type_wrong")
    assert await offset_of(anna, url) == 0


@pytest.mark.parametrize("version", ["0.2.2", "1.0", "1.0.1", "2.0.0", "", None])
async def test_another_version_of_the_protocol_is_refused_and_ours_is_told(anna: httpx2.AsyncClient, version: str | None) -> None:
    transfer_id = await new_draft(anna)
    url = await announced(anna, 3, transfer_id=transfer_id)
    spoken = {"Tus-Resumable": version} if version is not None else {}
    others = {"Upload-Length": "3", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    pairs = {"Upload-Metadata": f"transfer_id {base64_of(transfer_id)},filename {base64_of('a.dcm')}"}

    for method, where in (("POST", UPLOADS), ("HEAD", url), ("PATCH", url), ("DELETE", url)):
        answer = await anna.request(
            method, where, headers={**others, **pairs, **spoken}, content=b"abc" if method == "PATCH" else b""
        )
        assert (method, answer.status_code, answer.headers.get("tus-version")) == (method, 412, "1.0.0")
    assert await offset_of(anna, url) == 0
    assert len(await documents_of(anna, transfer_id)) == 1


async def test_an_upload_is_nobody_elses(
    anna: httpx2.AsyncClient, mallory: httpx2.AsyncClient, client: httpx2.AsyncClient
) -> None:
    transfer_id = await new_draft(anna)
    url = await announced(anna, 10, transfer_id=transfer_id)
    absent = f"{UPLOADS}/{'a' * 26}"

    assert (await head(mallory, url)).status_code == 404
    for tried in (patch(mallory, url, 0, b"x"), mallory.delete(url, headers=VERSION), create(mallory, transfer_id, "x.dcm", 1)):
        assert await is_refused(await tried, 404, "not_found")
    assert (await patch(mallory, url, 0, b"x")).json() == (await patch(mallory, absent, 0, b"x")).json()
    for tried in (patch(client, url, 0, b"x"), client.delete(url, headers=VERSION), create(client, transfer_id, "x.dcm", 1)):
        assert await is_refused(await tried, 401, "sign_in_required")
    assert await offset_of(anna, url) == 0


async def test_a_sent_transfer_takes_no_more(anna: httpx2.AsyncClient) -> None:
    transfer_id = await new_draft(anna)
    url = await announced(anna, 4, transfer_id=transfer_id)
    assert await is_refused(await anna.post(f"{TRANSFERS}/{transfer_id}/send"), 409, "uploads_unfinished")
    await patch(anna, url, 0, b"\0" * 4)
    assert (await anna.post(f"{TRANSFERS}/{transfer_id}/send")).status_code == 200

    for late in (patch(anna, url, 4, b""), create(anna, transfer_id, "b.dcm", 4), anna.delete(url, headers=VERSION)):
        assert await is_refused(await late, 409, "transfer_not_draft")
    assert await content_of(anna, transfer_id) == [b"\0" * 4]


# Lines that drop, and processes that end


@pytest.mark.parametrize("arrived", [0, 1, 1000, SEGMENT - 40, SEGMENT - 39, 2 * SEGMENT, 2_999_999])
async def test_a_cut_line_keeps_what_arrived(app: Starlette, anna: httpx2.AsyncClient, arrived: int) -> None:
    content = os.urandom(3_000_000)
    url = await announced(anna, len(content))
    pieces = [content[start : min(start + 65536, arrived)] for start in range(0, arrived, 65536)]

    answered = await half_a_patch(app, anna, url, 0, len(content), pieces)

    assert not answered or answered[0]["status"] == 408
    assert await offset_of(anna, url) == arrived
    assert (await patch(anna, url, arrived, content[arrived:])).headers["upload-sha256"] == sha256_of(content)


async def test_a_cut_line_is_no_error_of_ours(
    app: Starlette, anna: httpx2.AsyncClient, capfd: pytest.CaptureFixture[str]
) -> None:
    url = await announced(anna, 10)
    capfd.readouterr()

    await half_a_patch(app, anna, url, 0, 10, [b"0123"])

    output = capfd.readouterr()
    assert "unexpected" not in output.out + output.err


async def test_what_a_checksum_covers_arrives_whole_or_not_at_all(app: Starlette, anna: httpx2.AsyncClient) -> None:
    content = os.urandom(3_000_000)
    url = await announced(anna, len(content))
    await patch(anna, url, 0, content[:1000])

    await half_a_patch(app, anna, url, 1000, 2_999_000, [content[1000:2_000_000]], **checksum("sha256", content[1000:]))

    assert await offset_of(anna, url) == 1000
    assert (await patch(anna, url, 1000, content[1000:])).headers["upload-sha256"] == sha256_of(content)


async def test_another_process_takes_over(
    database_kind: str, anna: httpx2.AsyncClient, settings: Settings, clock: MovableClock, policy: Policy
) -> None:
    content = os.urandom(4_000_000)
    transfer_id = await new_draft(anna)
    url = await announced(anna, len(content), transfer_id=transfer_id)
    await patch(anna, url, 0, content[:1_500_000])
    other_services = build_services(settings, clock=clock, policy=policy)

    async with browser(build_app(other_services, has_worker=False), Authorization=anna.headers["Authorization"]) as other:
        # To and fro, so that each has seen only some of it.
        assert await offset_of(other, url) == 1_500_000
        await patch(other, url, 1_500_000, content[1_500_000:2_000_000])
        await patch(anna, url, 2_000_000, content[2_000_000:3_000_000])
        finished = await patch(other, url, 3_000_000, content[3_000_000:])
        assert finished.headers["upload-sha256"] == sha256_of(content)
        assert await content_of(other, transfer_id) == [content]
    await other_services.database.close()


async def test_two_parts_at_one_offset_have_exactly_one_winner(
    database_kind: str, anna: httpx2.AsyncClient, settings: Settings, clock: MovableClock, policy: Policy
) -> None:
    other_services = build_services(settings, clock=clock, policy=policy)
    transfer_id = await new_draft(anna)
    async with browser(build_app(other_services, has_worker=False), Authorization=anna.headers["Authorization"]) as other:
        url = await announced(anna, 15 * 20_000, transfer_id=transfer_id)
        kept = b""
        for turn in range(15):
            tried = [bytes([turn, who]) * 10_000 for who in range(4)]
            answers = await asyncio.gather(
                *(patch(program, url, len(kept), tried[who]) for who, program in enumerate([anna, other, anna, other]))
            )
            statuses = [answer.status_code for answer in answers]
            assert statuses.count(204) == 1, statuses
            assert set(statuses) <= {204, 409, 423}, statuses
            kept += tried[statuses.index(204)]
    assert await content_of(anna, transfer_id) == [kept]
    await other_services.database.close()


async def test_who_is_still_writing_keeps_the_place(anna: httpx2.AsyncClient) -> None:
    url = await announced(anna, 10)
    may_end, has_begun = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"01234"
        has_begun.set()
        await may_end.wait()
        yield b"56789"

    writing = asyncio.create_task(patch(anna, url, 0, slow()))
    await has_begun.wait()
    assert await is_refused(await patch(anna, url, 0, b"xxxxx"), 423, "upload_in_use")
    assert await offset_of(anna, url) == 0
    may_end.set()
    assert (await writing).headers["upload-sha256"] == sha256_of(b"0123456789")


async def test_removing_it_while_it_arrives_wins(anna: httpx2.AsyncClient, services: Services, clock: MovableClock) -> None:
    transfer_id = await new_draft(anna)
    url = await announced(anna, 10, transfer_id=transfer_id)
    may_end, has_begun = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"01234"
        has_begun.set()
        await may_end.wait()
        yield b"56789"

    writing = asyncio.create_task(patch(anna, url, 0, slow()))
    await has_begun.wait()
    assert (await anna.delete(url, headers=VERSION)).status_code == 204
    may_end.set()

    assert (await writing).status_code in {404, 423}
    assert await documents_of(anna, transfer_id) == []
    clock.forward(days=2)
    await services.clearing_uploads.run()
    assert stored_blobs(services) == []


# What nobody finishes


async def test_an_upload_that_was_left_is_swept_with_its_parts(
    app: Starlette, anna: httpx2.AsyncClient, services: Services, clock: MovableClock
) -> None:
    transfer_id = await new_draft(anna)
    left = await announced(anna, 30, transfer_id=transfer_id)
    for start in (0, 10):
        await patch(anna, left, start, b"\0" * 10)
    clock.forward(days=4)
    await sign_in_again(app, anna)
    await uploaded(anna, transfer_id, "heel.dcm", b"\0" * 5)
    young = await announced(anna, 30, transfer_id=transfer_id)
    await patch(anna, young, 0, b"\0" * 10)
    assert len(stored_blobs(services)) == 4

    assert (await services.clearing_uploads.run()).upload_count == 0
    clock.forward(days=3, seconds=1)
    await sign_in_again(app, anna)
    swept = await services.clearing_uploads.run()

    assert (swept.upload_count, swept.blob_count) == (1, 2)
    assert [document["length_bytes"] for document in await documents_of(anna, transfer_id)] == [5, 30]
    assert await offset_of(anna, young) == 10
    assert len(stored_blobs(services)) == 2
    assert (await head(anna, left)).status_code == 404


async def test_a_part_that_was_broken_off_by_a_cancelled_request_leaves_nothing(
    anna: httpx2.AsyncClient, services: Services
) -> None:
    content = os.urandom(3_000_000)
    url = await announced(anna, len(content))
    has_begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield content[:2_500_000]
        has_begun.set()
        await asyncio.Event().wait()

    writing = asyncio.create_task(patch(anna, url, 0, endless()))
    await has_begun.wait()
    assert len(stored_blobs(services)) == 1
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing

    assert stored_blobs(services) == []
    assert (await patch(anna, url, 0, content)).headers["upload-sha256"] == sha256_of(content)


async def signs_of_life(services: Services, now: datetime) -> None:
    """Wait until the writer of the only part has said, at this time, that it goes on."""
    async with asyncio.timeout(60):
        due_at = None
        while due_at is None or due_at <= now + timedelta(hours=23):
            await asyncio.sleep(0.01)
            async with services.database.reading() as session:
                due_at = await session.scalar(select(OrphanBlob.due_at))


async def test_a_part_that_takes_days_is_not_swept_while_it_arrives(
    anna: httpx2.AsyncClient, services: Services, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploading_service, "_RENEW_EVERY_SECONDS", 0.01)
    content = os.urandom(20)
    url = await announced(anna, len(content))

    async def slow() -> AsyncIterator[bytes]:
        yield content[:10]
        for _ in range(3):
            clock.forward(hours=20)
            await signs_of_life(services, clock.now)
            await services.clearing_uploads.run()
        yield content[10:]

    assert (await patch(anna, url, 0, slow())).headers["upload-sha256"] == sha256_of(content)
    clock.forward(days=2)
    await services.clearing_uploads.run()
    assert len(stored_blobs(services)) == 1


async def test_a_body_that_announces_too_much_is_refused_before_it_comes(anna: httpx2.AsyncClient, services: Services) -> None:
    url = await announced(anna, 20)

    async def never() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    answer = await asyncio.wait_for(patch(anna, url, 0, never(), **{"Content-Length": "21"}), 60)

    assert await is_refused(answer, 413, "upload_length_exceeded")
    assert stored_blobs(services) == []
    assert (await patch(anna, url, 0, bytes(20))).status_code == 204
