"""The scanner looks along while a document arrives; what it cannot see on the stream it sees before the document is complete."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import httpx2
import pytest
from tests.conftest import browser
from tests.web.tus import announced, documents_of, new_draft, offset_of, patch, rewired, sha256_of, uploaded, with_policy

from zegelpost.main import Services, build_app
from zegelpost.model.document import ScanVerdict
from zegelpost.ports import ScannerError

CONTENT = os.urandom(6_500_000)


class WatchfulScanner:
    """Remembers what it saw, and can break off or find something."""

    def __init__(self, verdict: ScanVerdict = ScanVerdict.CLEAN, breaks_off_after: int | None = None) -> None:
        self.verdict = verdict
        self.breaks_off_after = breaks_off_after
        self.seen: list[bytearray] = []
        self.has_begun = asyncio.Event()

    async def scan(self, content: AsyncIterator[bytes | memoryview], *, length_bytes: int) -> ScanVerdict:
        seen = bytearray()
        self.seen.append(seen)
        async for piece in content:
            seen += piece
            self.has_begun.set()
            if self.breaks_off_after is not None and len(seen) > self.breaks_off_after:
                raise ScannerError("gone")
        assert len(seen) == length_bytes
        return self.verdict


@pytest.fixture
def scanner() -> WatchfulScanner:
    return WatchfulScanner()


@pytest.fixture
async def program(scanner: WatchfulScanner, services: Services, anna: httpx2.AsyncClient) -> AsyncIterator[httpx2.AsyncClient]:
    """Anna's program, at an organisation with this scanner."""
    scanning = with_policy(services, is_scanning=True)
    async with browser(build_app(rewired(scanning, scanner=scanner), has_worker=False)) as client:
        client.headers["Authorization"] = anna.headers["Authorization"]
        yield client


async def verdicts(program: httpx2.AsyncClient, transfer_id: str) -> list[str | None]:
    return [document["scan"] for document in await documents_of(program, transfer_id)]


async def test_a_document_in_one_request_is_seen_as_it_arrives(program: httpx2.AsyncClient, scanner: WatchfulScanner) -> None:
    transfer_id = await new_draft(program)
    url = await announced(program, len(CONTENT), transfer_id=transfer_id)

    async def body() -> AsyncIterator[bytes]:
        yield CONTENT[:3_000_000]
        await scanner.has_begun.wait()  # or the test hangs: the scanner sees the start before the end has left
        yield CONTENT[3_000_000:]

    answer = await patch(program, url, 0, body(), **{"Content-Length": str(len(CONTENT))})

    assert answer.headers["upload-sha256"] == sha256_of(CONTENT)
    assert scanner.seen == [CONTENT]
    assert await verdicts(program, transfer_id) == ["clean"]


async def test_a_document_in_two_requests_is_seen_whole(program: httpx2.AsyncClient, scanner: WatchfulScanner) -> None:
    transfer_id = await new_draft(program)
    url = await announced(program, len(CONTENT), transfer_id=transfer_id)
    await patch(program, url, 0, CONTENT[:1_500_000])
    await patch(program, url, 1_500_000, CONTENT[1_500_000:])

    assert scanner.seen == [CONTENT]
    assert await verdicts(program, transfer_id) == ["clean"]


async def test_what_it_finds_on_the_stream_is_removed(program: httpx2.AsyncClient, scanner: WatchfulScanner) -> None:
    scanner.verdict = ScanVerdict.INFECTED
    transfer_id = await new_draft(program)
    url = await announced(program, len(CONTENT), transfer_id=transfer_id)

    answer = await patch(program, url, 0, CONTENT)

    assert answer.json()["code"] == "malware_found"
    assert await documents_of(program, transfer_id) == []


@pytest.mark.parametrize("breaks_off_after", [0, 1_500_000, 6_400_000])
async def test_a_scanner_that_breaks_off_blocks_and_nothing_is_lost(
    program: httpx2.AsyncClient, scanner: WatchfulScanner, breaks_off_after: int
) -> None:
    scanner.breaks_off_after = breaks_off_after
    transfer_id = await new_draft(program)
    url = await announced(program, len(CONTENT), transfer_id=transfer_id)

    assert (await patch(program, url, 0, CONTENT)).status_code == 503
    assert await verdicts(program, transfer_id) == [None]

    scanner.breaks_off_after = None
    assert await offset_of(program, url) == len(CONTENT)  # asking finishes what was interrupted
    assert scanner.seen[-1] == CONTENT
    assert await verdicts(program, transfer_id) == ["clean"]


async def test_a_checksum_that_differs_ends_its_scan(program: httpx2.AsyncClient, scanner: WatchfulScanner) -> None:
    transfer_id = await new_draft(program)
    url = await announced(program, len(CONTENT), transfer_id=transfer_id)
    wrong = {"Upload-Checksum": "sha1 MDAwMDAwMDAwMDAwMDAwMDAwMDA="}

    assert (await patch(program, url, 0, CONTENT, **wrong)).status_code == 460
    assert (await patch(program, url, 0, CONTENT)).status_code == 204
    assert scanner.seen[-1] == CONTENT


async def test_many_at_once_each_get_their_own(program: httpx2.AsyncClient, scanner: WatchfulScanner) -> None:
    transfer_id = await new_draft(program)
    contents = [os.urandom(1_200_000 + number) for number in range(4)]
    await asyncio.gather(*(uploaded(program, transfer_id, f"{number}.dcm", each) for number, each in enumerate(contents)))
    assert sorted(map(bytes, scanner.seen)) == sorted(contents)
