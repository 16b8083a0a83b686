"""Documents on their way to the kernel without a stop: real sockets, slow readers, readers that leave."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import httpx2
import pytest
from tests.web.test_upload_lines import FIRST, FULL, Line, anna_line, port  # noqa: F401 - fixtures
from tests.web.tus import TRANSFERS, directory_of, documents_of, events, new_draft, uploaded

from zegelpost.main import Services
from zegelpost.model.event import EventTag


async def document(anna: httpx2.AsyncClient, content: bytes) -> str:
    """The path of a document with this content."""
    transfer_id = await new_draft(anna)
    await uploaded(anna, transfer_id, "beeld.dcm", content)
    return f"{TRANSFERS}/{transfer_id}/documents/{(await documents_of(anna, transfer_id))[0]['id']}"


async def fetched(line: Line, path: str, **headers: str) -> tuple[bytes, bytes]:
    await line.send(line.head("GET", path, **headers))
    head = await asyncio.wait_for(line.reader.readuntil(b"\r\n\r\n"), 20)
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return head, await asyncio.wait_for(line.reader.readexactly(length), 20)


async def is_downloaded(services: Services) -> bool:
    return any(event.tag == EventTag.DOCUMENT_DOWNLOADED for event in await events(services))


@pytest.mark.parametrize("size", [0, 1, FIRST, FIRST + 1, FIRST + FULL, 3 * FULL, 7_000_000])
async def test_one_line_carries_download_after_download(anna: httpx2.AsyncClient, anna_line: Line, size: int) -> None:  # noqa: F811
    content = os.urandom(size)
    path = await document(anna, content)
    for _ in range(2):
        head, body = await fetched(anna_line, path)
        assert head.startswith(b"HTTP/1.1 200 ")
        assert body == content


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 1), (FIRST - 1, FIRST + 1), (FIRST + 5, FIRST + FULL + 7), (4_999_999, 5_000_000)]
)
async def test_ranges_are_what_was_asked_for(anna: httpx2.AsyncClient, anna_line: Line, start: int, stop: int) -> None:  # noqa: F811
    content = os.urandom(5_000_000)
    head, body = await fetched(anna_line, await document(anna, content), Range=f"bytes={start}-{stop - 1}")
    assert head.startswith(b"HTTP/1.1 206 ")
    assert body == content[start:stop]


async def test_who_reads_slowly_gets_the_same_bytes(anna: httpx2.AsyncClient, anna_line: Line) -> None:  # noqa: F811
    """Buffers are used again while earlier bytes still wait in the kernel."""
    content = os.urandom(12_000_000)
    path = await document(anna, content)
    await anna_line.send(anna_line.head("GET", path))
    await anna_line.reader.readuntil(b"\r\n\r\n")
    body = bytearray()
    while len(body) < len(content):
        body += await asyncio.wait_for(anna_line.reader.read(300_000), 20)
        await asyncio.sleep(0.005)
    assert body == content


async def test_who_leaves_halfway_has_not_downloaded(anna: httpx2.AsyncClient, anna_line: Line, services: Services) -> None:  # noqa: F811
    path = await document(anna, os.urandom(30_000_000))
    await anna_line.send(anna_line.head("GET", path))
    await anna_line.reader.readexactly(1_000_000)
    anna_line.writer.transport.abort()
    await asyncio.sleep(0.5)
    assert not await is_downloaded(services)
    assert (await anna.get("/api/v1/me")).status_code == 200


async def test_an_altered_document_breaks_off(anna: httpx2.AsyncClient, anna_line: Line, services: Services) -> None:  # noqa: F811
    content = os.urandom(5_000_000)
    path = await document(anna, content)
    (blob,) = [each for each in directory_of(services).rglob("*") if each.is_file()]
    _flip(blob, 3_500_000)
    await anna_line.send(anna_line.head("GET", path))
    await anna_line.reader.readuntil(b"\r\n\r\n")

    body = await asyncio.wait_for(anna_line.reader.read(-1), 20)

    assert len(body) < 3_500_000
    assert content.startswith(body)
    assert not await is_downloaded(services)


def _flip(path: Path, position: int) -> None:
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
