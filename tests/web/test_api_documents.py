"""Documents over the API: the sender's own copy, what a colleague sent, and ranges of either."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from typing import Any

import httpx2
import pytest

API = "/api/v1/transfers"
ROSA = {"name": "Rosa Visser", "email": "rosa@zorg.example", "mobile": "06-12345678"}
BRAM = {"name": "Bram Jansen", "email": "bram@zegelpost.example"}
CONTENT = b"Jaarverslag\n" * 200_000  # spans several segments


async def uploaded(program: httpx2.AsyncClient, transfer_id: str, name: str, content: bytes) -> None:
    metadata = ",".join(
        f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in (("transfer_id", transfer_id), ("filename", name))
    )
    answer = await program.post(
        "/api/v1/uploads",
        content=content,
        headers={
            "Tus-Resumable": "1.0.0",
            "Upload-Length": str(len(content)),
            "Upload-Metadata": metadata,
            "Content-Type": "application/offset+octet-stream",
        },
    )
    assert answer.status_code == 201, answer.text
    assert answer.headers["upload-sha256"] == hashlib.sha256(content).hexdigest()


async def with_documents(program: httpx2.AsyncClient, *names: str) -> dict[str, Any]:
    """A draft to Rosa and Bram with documents."""
    draft = (await program.post(API, json={"subject": "Rapport", "recipients": [ROSA, BRAM]})).json()
    for number, name in enumerate(names):
        await uploaded(program, draft["id"], name, CONTENT[number:])
    return dict((await program.get(f"{API}/{draft['id']}")).json())


async def test_documents_of_a_draft(anna: httpx2.AsyncClient) -> None:
    draft = await with_documents(anna, "verslag.txt", "bijlage.txt")
    described = [(d["name"], d["length_bytes"], d["scan"], d["is_complete"]) for d in draft["documents"]]
    assert described == [
        ("verslag.txt", len(CONTENT), "not_scanned", True),
        ("bijlage.txt", len(CONTENT) - 1, "not_scanned", True),
    ]
    first, second = (f"{API}/{draft['id']}/documents/{d['id']}" for d in draft["documents"])
    assert (await anna.delete(first)).status_code == 204
    assert (await anna.delete(first)).status_code == 404
    assert (await anna.get(first)).status_code == 404
    assert (await anna.get(second)).content == CONTENT[1:]
    assert [d["name"] for d in (await anna.get(f"{API}/{draft['id']}")).json()["documents"]] == ["bijlage.txt"]


async def test_what_was_sent_keeps_its_documents(anna: httpx2.AsyncClient) -> None:
    draft = await with_documents(anna, "verslag.txt")
    await anna.post(f"{API}/{draft['id']}/send")
    document = f"{API}/{draft['id']}/documents/{draft['documents'][0]['id']}"
    assert (await anna.delete(document)).status_code in {404, 409}
    answer = await anna.get(document)
    assert answer.content == CONTENT
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment")


async def test_fetching_ones_own_copy_counts_for_no_recipient(anna: httpx2.AsyncClient) -> None:
    draft = await with_documents(anna, "verslag.txt")
    await anna.post(f"{API}/{draft['id']}/send")
    await anna.get(f"{API}/{draft['id']}/documents/{draft['documents'][0]['id']}")
    await anna.get(f"{API}/{draft['id']}/archive.zip")
    transfer = (await anna.get(f"{API}/{draft['id']}")).json()
    assert [recipient["state"] for recipient in transfer["recipients"]] == ["waiting", "waiting"]
    assert [event["event"] for event in transfer["history"]][-2:] == ["document:downloaded", "archive:downloaded"]


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=1048570-1048580", 1048570, 1048581),
        ("bytes=2399990-", 2399990, 2400000),
        ("bytes=-5", -5, None),
    ],
)
async def test_ranges(anna: httpx2.AsyncClient, asked: str, start: int, stop: int | None) -> None:
    draft = await with_documents(anna, "verslag.txt")
    document = f"{API}/{draft['id']}/documents/{draft['documents'][0]['id']}"
    answer = await anna.get(document, headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.content == CONTENT[start:stop]
    assert answer.headers["content-range"].endswith(f"/{len(CONTENT)}")


async def test_a_range_beyond_the_end(anna: httpx2.AsyncClient) -> None:
    draft = await with_documents(anna, "verslag.txt")
    document = f"{API}/{draft['id']}/documents/{draft['documents'][0]['id']}"
    answer = await anna.get(document, headers={"Range": "bytes=2400000-"})
    assert (answer.status_code, answer.json()["code"]) == (416, "range_not_satisfiable")
    assert answer.headers["content-range"] == f"bytes */{len(CONTENT)}"


async def test_head_tells_without_bytes(anna: httpx2.AsyncClient) -> None:
    draft = await with_documents(anna, "verslag.txt")
    answer = await anna.head(f"{API}/{draft['id']}/documents/{draft['documents'][0]['id']}")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len(CONTENT))


async def test_a_colleague_fetches(anna: httpx2.AsyncClient, bram: httpx2.AsyncClient) -> None:
    draft = await with_documents(anna, "verslag.txt", "verslag.txt")
    document = f"{API}/{draft['id']}/documents/{draft['documents'][0]['id']}"
    # A draft is nobody else's business yet, also when it names them.
    assert (await bram.get(document)).status_code == 404
    assert (await bram.get(f"{API}/{draft['id']}/archive.zip")).status_code == 404
    await anna.post(f"{API}/{draft['id']}/send")
    received = (await bram.get(f"{API}/{draft['id']}")).json()
    assert [d["id"] for d in received["documents"]] == [d["id"] for d in draft["documents"]]
    assert (await bram.get(document)).content == CONTENT
    archive = await bram.get(f"{API}/{draft['id']}/archive.zip")
    assert archive.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(archive.content)) as unpacked:
        assert unpacked.namelist() == ["verslag.txt", "verslag (2).txt"]
        assert unpacked.read("verslag.txt") == CONTENT
    states = {r["email"]: r["state"] for r in (await anna.get(f"{API}/{draft['id']}")).json()["recipients"]}
    assert states == {"bram@zegelpost.example": "fetched", "rosa@zorg.example": "waiting"}


async def test_nobody_else_gets_a_byte(anna: httpx2.AsyncClient, mallory: httpx2.AsyncClient) -> None:
    annas, mallorys = await with_documents(anna, "verslag.txt"), await with_documents(mallory, "van-mij.txt")
    document = annas["documents"][0]["id"]
    for transfer in (annas, mallorys):
        for answer in (
            await mallory.get(f"{API}/{transfer['id']}/documents/{document}"),
            await mallory.delete(f"{API}/{transfer['id']}/documents/{document}"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert (await mallory.get(f"{API}/{annas['id']}/archive.zip")).status_code == 404
    assert (await anna.get(f"{API}/{annas['id']}/documents/{document}")).content == CONTENT
