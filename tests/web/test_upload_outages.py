"""A store that is full or out of order: an upload waits, goes on where it was, and nothing that was acknowledged is lost."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx2
import pytest
from starlette.applications import Starlette
from tests.conftest import MovableClock, Portal, browser
from tests.web.acts import add_document, draft, words
from tests.web.tus import (
    TRANSFERS,
    announced,
    blobs_of,
    create,
    documents_of,
    head,
    is_refused,
    new_draft,
    offset_of,
    patch,
    rewired,
    sha256_of,
    stored_blobs,
    uploaded,
)

from zegelpost.main import Services, build_app
from zegelpost.model.identifiers import BlobName
from zegelpost.ports import BlobError, Blobs, BlobSpaceError, BlobWriter

FIRST, REST = os.urandom(1_500_000), os.urandom(2_500_000)
FULL = BlobSpaceError("the disk is full")
OUT_OF_ORDER = BlobError("the disk refused: EIO")
EVERYTHING = frozenset({"create", "write", "commit", "read", "delete"})


@dataclass
class TroubledBlobs:
    """A store that does what it should, except for what `fails` names."""

    store: Blobs
    error: BlobError = FULL
    fails: frozenset[str] = field(default_factory=frozenset)

    def require(self, act: str) -> None:
        if act in self.fails:
            raise self.error

    def create(self, name: BlobName) -> BlobWriter:
        self.require("create")
        return TroubledWriter(self, self.store.create(name))

    def read(self, name: BlobName, start: int, length: int) -> bytes:
        self.require("read")
        return self.store.read(name, start, length)

    def read_into(self, name: BlobName, start: int, view: memoryview) -> int:
        self.require("read")
        return self.store.read_into(name, start, view)

    def size(self, name: BlobName) -> int:
        self.require("read")
        return self.store.size(name)

    def delete(self, name: BlobName) -> None:
        self.require("delete")
        self.store.delete(name)

    def names(self) -> list[BlobName]:
        return self.store.names()


@dataclass
class TroubledWriter:
    blobs: TroubledBlobs
    writer: BlobWriter
    written_bytes: int = 0

    def write(self, data: bytes | memoryview) -> None:
        if self.written_bytes > 1_000_000:  # in the middle: what came before has been written
            self.blobs.require("write")
        self.written_bytes += len(data)
        self.writer.write(data)

    def commit(self) -> None:
        self.blobs.require("commit")
        self.writer.commit()

    def abort(self) -> None:
        self.writer.abort()


@pytest.fixture
def blobs(services: Services) -> TroubledBlobs:
    return TroubledBlobs(blobs_of(services))


@pytest.fixture
async def program(blobs: TroubledBlobs, services: Services, anna: httpx2.AsyncClient) -> AsyncIterator[httpx2.AsyncClient]:
    """Anna's program, at an organisation with this store."""
    async with browser(build_app(rewired(services, blobs=blobs), has_worker=False)) as client:
        client.headers["Authorization"] = anna.headers["Authorization"]
        yield client


async def content_of(program: httpx2.AsyncClient, transfer_id: str) -> list[bytes]:
    ids = [document["id"] for document in await documents_of(program, transfer_id)]
    return [(await program.get(f"{TRANSFERS}/{transfer_id}/documents/{one}")).content for one in ids]


TROUBLES = pytest.mark.parametrize(
    ("error", "status", "code", "sentence"),
    [
        (FULL, 507, "storage_full", "There is no room left at the moment. What arrived is kept. Try again later."),
        (OUT_OF_ORDER, 503, "outage", "Something does not work on our side. Nothing was lost. Try again in a few minutes."),
    ],
    ids=["full", "out-of-order"],
)


@TROUBLES
@pytest.mark.parametrize("fails", [{"create"}, {"write"}, {"commit"}, {"write", "delete"}, EVERYTHING], ids=sorted)
async def test_a_part_that_finds_no_place_is_told_and_the_upload_goes_on_later(
    program: httpx2.AsyncClient,
    blobs: TroubledBlobs,
    services: Services,
    clock: MovableClock,
    fails: set[str],
    error: BlobError,
    status: int,
    code: str,
    sentence: str,
) -> None:
    transfer_id = await new_draft(program)
    url = await announced(program, len(FIRST) + len(REST), transfer_id=transfer_id)
    assert (await patch(program, url, 0, FIRST)).status_code == 204

    blobs.error, blobs.fails = error, frozenset(fails)
    for _ in range(2):
        refused = await patch(program, url, len(FIRST), REST)
        assert await is_refused(refused, status, code)
        assert refused.json()["detail"] == sentence
        assert ("retry-after" in refused.headers) is (status == 503)
        assert await offset_of(program, url) == len(FIRST)
    if "delete" not in fails:
        assert len(stored_blobs(services)) == 1

    blobs.fails = frozenset()
    assert (await patch(program, url, len(FIRST), REST)).headers["upload-sha256"] == sha256_of(FIRST + REST)
    assert await content_of(program, transfer_id) == [FIRST + REST]
    clock.forward(days=2)
    await services.clearing_uploads.run()
    assert len(stored_blobs(services)) == 2  # whatever was left lying is gone, and nothing else


@TROUBLES
async def test_a_document_that_cannot_be_looked_at_is_finished_later(
    program: httpx2.AsyncClient, blobs: TroubledBlobs, error: BlobError, status: int, code: str, sentence: str
) -> None:
    """All bytes are there and acknowledged; only the end of the work was not possible."""
    transfer_id = await new_draft(program)
    url = await announced(program, len(FIRST), transfer_id=transfer_id)

    blobs.error, blobs.fails = error, frozenset({"read"})
    assert await is_refused(await patch(program, url, 0, FIRST), status, code)
    assert (await head(program, url)).status_code == status
    assert [document["is_complete"] for document in await documents_of(program, transfer_id)] == [False]
    assert await is_refused(await program.post(f"{TRANSFERS}/{transfer_id}/send"), 409, "uploads_unfinished")

    blobs.fails = frozenset()
    finished = await head(program, url)
    assert (finished.headers["upload-offset"], finished.headers["upload-sha256"]) == (str(len(FIRST)), sha256_of(FIRST))
    assert await content_of(program, transfer_id) == [FIRST]


@TROUBLES
async def test_bytes_that_came_along_with_the_announcement_leave_nothing_half(
    program: httpx2.AsyncClient, blobs: TroubledBlobs, services: Services, error: BlobError, status: int, code: str, sentence: str
) -> None:
    transfer_id = await new_draft(program)

    blobs.error, blobs.fails = error, frozenset({"write"})
    assert await is_refused(await create(program, transfer_id, "beeld.dcm", len(REST), REST), status, code)
    assert await documents_of(program, transfer_id) == []
    assert stored_blobs(services) == []

    blobs.fails = frozenset()
    await uploaded(program, transfer_id, "beeld.dcm", REST)
    assert await content_of(program, transfer_id) == [REST]


@TROUBLES
async def test_people_read_it_on_a_page(
    app: Starlette, services: Services, blobs: TroubledBlobs, error: BlobError, status: int, code: str, sentence: str
) -> None:
    async with browser(build_app(rewired(services, blobs=blobs), has_worker=False)) as client:
        portal = Portal(client)
        await portal.sign_in("anna@zegelpost.example")
        transfer_id = await draft(portal)
        blobs.error, blobs.fails = error, frozenset({"create"})

        answer = await client.post(
            f"/transfers/{transfer_id}/documents", data={"csrf": portal.csrf}, files={"documents": ("beeld.dcm", b"abcd")}
        )
        assert answer.status_code == status
        assert sentence in words(answer)

        blobs.fails = frozenset()
        await add_document(portal, transfer_id, "beeld.dcm", b"abcd")
