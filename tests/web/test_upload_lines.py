"""Uploads over real lines to a real server: the short way from the socket to the seal has to behave like the ordinary one."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import re
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx2
import pytest
import uvicorn
from starlette.applications import Starlette
from tests.conftest import BASE_URL, signed_in

from zegelpost.server import server_options

FIRST = 1024 * 1024 - 16 - 40  # plaintext of a part's first segment
FULL = 1024 * 1024 - 16


@dataclass
class Line:
    """One connection, spoken to byte by byte."""

    port: int
    token: str

    async def open(self) -> Line:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()

    def head(self, method: str, url: str, **headers: str) -> bytes:
        path = url.removeprefix(BASE_URL)
        fields = {"Host": BASE_URL.removeprefix("http://"), "Authorization": f"Bearer {self.token}", "Tus-Resumable": "1.0.0"}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def patch(self, url: str, offset: int, length: int, **headers: str) -> bytes:
        return self.head(
            "PATCH",
            url,
            Upload_Offset=str(offset),
            Content_Type="application/offset+octet-stream",
            Content_Length=str(length),
            **headers,
        )

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, dict[str, str]]:
        raw = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 20)
        first, *fields = raw.decode().strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in fields)}
        await self.reader.readexactly(int(headers.get("content-length", "0")))
        return int(first.split()[1]), headers


@pytest.fixture
async def port(app: Starlette) -> AsyncIterator[int]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(16)
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", **server_options()))
        task = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started:  # noqa: ASYNC110 - uvicorn tells in no other way
            await asyncio.sleep(0.01)
        yield listening.getsockname()[1]
        server.should_exit = True
        await task


@pytest.fixture
async def anna_line(app: Starlette, port: int) -> AsyncIterator[Line]:
    program = await signed_in(app, "anna@zegelpost.example")
    line = await Line(port, program.headers["Authorization"].removeprefix("Bearer ")).open()
    yield line
    await line.close()
    await program.aclose()


async def begin(anna: httpx2.AsyncClient, length: int) -> str:
    body = {"subject": "Meting", "recipients": [{"name": "Rosa", "email": "rosa@example.nl", "mobile": "0612345678"}]}
    transfer_id = (await anna.post("/api/v1/transfers", json=body)).json()["id"]
    pairs = {"transfer_id": transfer_id, "filename": "beeld.dcm"}
    metadata = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in pairs.items())
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(length), "Upload-Metadata": metadata}
    made = await anna.post("/api/v1/uploads", headers=headers)
    assert made.status_code == 201, made.text
    return str(made.headers["location"])


def receipt(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("size", [1, 300_000, FIRST - 1, FIRST, FIRST + 1, FIRST + FULL, FIRST + FULL + 1, 5_000_000])
async def test_one_line_carries_upload_after_upload(anna: httpx2.AsyncClient, anna_line: Line, size: int) -> None:
    for _ in range(2):
        content = os.urandom(size)
        url = await begin(anna, size)
        await anna_line.send(anna_line.patch(url, 0, size) + content)
        status, headers = await anna_line.answer()
        assert (status, headers.get("upload-sha256"), headers.get("upload-offset")) == (204, receipt(content), str(size))


async def test_headers_and_body_in_drips(anna: httpx2.AsyncClient, anna_line: Line) -> None:
    content = os.urandom(400_000)
    url = await begin(anna, len(content))
    request = anna_line.patch(url, 0, len(content)) + content
    for start in (0, 50, 400, 401, 70_000, 70_001, 300_000):
        end = next((e for e in (50, 400, 401, 70_000, 70_001, 300_000) if e > start), len(request))
        await anna_line.send(request[start:end])
        await asyncio.sleep(0.02)
    status, headers = await anna_line.answer()
    assert (status, headers["upload-sha256"]) == (204, receipt(content))


async def test_the_next_request_may_follow_at_once(anna: httpx2.AsyncClient, anna_line: Line) -> None:
    content = os.urandom(600_000)
    url = await begin(anna, len(content))
    await anna_line.send(anna_line.patch(url, 0, len(content)) + content + anna_line.head("HEAD", url))
    assert (await anna_line.answer())[0] == 204
    raw = await asyncio.wait_for(anna_line.reader.readuntil(b"\r\n\r\n"), 20)
    assert raw.startswith(b"HTTP/1.1 200")
    assert f"upload-sha256: {receipt(content)}".encode() in raw.lower()


async def test_expect_100_continue(anna: httpx2.AsyncClient, anna_line: Line) -> None:
    content = os.urandom(500_000)
    url = await begin(anna, len(content))
    await anna_line.send(anna_line.patch(url, 0, len(content), Expect="100-continue"))
    assert await asyncio.wait_for(anna_line.reader.readuntil(b"\r\n\r\n"), 20) == b"HTTP/1.1 100 Continue\r\n\r\n"
    await anna_line.send(content)
    assert (await anna_line.answer())[0] == 204


async def test_a_refused_body_passes_by_and_the_line_lives_on(anna: httpx2.AsyncClient, anna_line: Line) -> None:
    content = os.urandom(2_000_000)
    url = await begin(anna, len(content))
    await anna_line.send(anna_line.patch(url, 7, len(content)) + content)
    assert (await anna_line.answer())[0] == 409
    await anna_line.send(anna_line.patch(url, 0, len(content)) + content)
    assert (await anna_line.answer())[1]["upload-sha256"] == receipt(content)


@pytest.mark.parametrize("arrived", [1, 100_000, FIRST, FIRST + 1, 3_000_000])
async def test_a_cut_line_keeps_what_arrived(anna: httpx2.AsyncClient, anna_line: Line, arrived: int) -> None:
    content = os.urandom(4_000_000)
    url = await begin(anna, len(content))
    await anna_line.send(anna_line.patch(url, 0, len(content)) + content[:arrived])
    await asyncio.sleep(0.1)
    await anna_line.close()
    offset = 0
    for _ in range(200):
        headers = (await anna.head(url, headers={"Tus-Resumable": "1.0.0"})).headers
        if (offset := int(headers["upload-offset"])) == arrived:
            break
        await asyncio.sleep(0.05)
    assert offset == arrived
    await anna_line.open()
    status = 423
    while status == 423:  # the cut one is just giving back its lease
        await anna_line.send(anna_line.patch(url, offset, len(content) - offset) + content[offset:])
        status, answer = await anna_line.answer()
    assert (status, answer["upload-sha256"]) == (204, receipt(content))


async def test_chunked_bodies_take_the_ordinary_way(anna: httpx2.AsyncClient, anna_line: Line) -> None:
    content = os.urandom(700_000)
    url = await begin(anna, len(content))
    request = anna_line.patch(url, 0, 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in re.findall(rb"(?s).{1,65536}", content))
    await anna_line.send(request + chunks + b"0\r\n\r\n")
    assert (await anna_line.answer())[1]["upload-sha256"] == receipt(content)


async def test_more_than_announced_is_refused_and_nothing_is_lost(anna: httpx2.AsyncClient, anna_line: Line) -> None:
    content = os.urandom(1_500_000)
    url = await begin(anna, len(content))
    await anna_line.send(anna_line.patch(url, 0, 300_000) + content[:300_000])
    assert (await anna_line.answer())[1]["upload-offset"] == "300000"
    await anna_line.send(anna_line.patch(url, 300_000, 1_500_000) + content)
    assert (await anna_line.answer())[0] == 413
    await anna_line.send(anna_line.patch(url, 300_000, 1_200_000) + content[300_000:])
    assert (await anna_line.answer())[1]["upload-sha256"] == receipt(content)


async def test_two_writers_at_one_offset_have_one_winner(
    anna: httpx2.AsyncClient, anna_line: Line, port: int, database_kind: str
) -> None:
    content = os.urandom(1_200_000)
    url = await begin(anna, len(content))
    other = await Line(port, anna_line.token).open()
    for line in (anna_line, other):
        await line.send(line.patch(url, 0, len(content)) + content)
    statuses = sorted([(await anna_line.answer())[0], (await other.answer())[0]])
    await other.close()
    assert statuses in ([204, 409], [204, 423]), database_kind
