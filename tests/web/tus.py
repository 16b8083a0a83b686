"""A program that uploads: tus 1.0 said in one word each, for tests that look at the protocol itself."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx2
from sqlalchemy import select
from starlette.applications import Starlette
from tests.conftest import BASE_URL

from zegelpost.adapters.blobs_directory import DirectoryBlobs
from zegelpost.adapters.scanner_off import NoScanner
from zegelpost.main import Services
from zegelpost.model.event import Event
from zegelpost.ports import Blobs, Scanner
from zegelpost.services.clearing_uploads import ClearingUploads
from zegelpost.services.downloading import Downloading
from zegelpost.services.governing import Governing
from zegelpost.services.uploading import Uploading

UPLOADS = "/api/v1/uploads"
TRANSFERS = "/api/v1/transfers"
BYTES = "application/offset+octet-stream"
VERSION = {"Tus-Resumable": "1.0.0"}
ROSA = {"name": "Rosa Visser", "email": "rosa@zorg.example", "mobile": "06-12345678"}


def base64_of(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def checksum(algorithm: str, content: bytes) -> dict[str, str]:
    return {"Upload-Checksum": f"{algorithm} {base64_of(hashlib.new(algorithm, content).digest())}"}


def metadata(transfer_id: str, name: str) -> dict[str, str]:
    return {"Upload-Metadata": f"transfer_id {base64_of(transfer_id)},filename {base64_of(name)}"}


async def new_draft(program: httpx2.AsyncClient) -> str:
    answer = await program.post(TRANSFERS, json={"subject": "Dossier", "recipients": [ROSA]})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def create(
    program: httpx2.AsyncClient, transfer_id: str, name: str, length: int | str, content: bytes | None = None, **headers: str
) -> httpx2.Response:
    """Announce a document; with `content`, bytes come along."""
    fields = {**VERSION, "Upload-Length": str(length), **metadata(transfer_id, name)}
    if content is not None:
        fields["Content-Type"] = BYTES
    return await program.post(UPLOADS, headers={**fields, **headers}, content=content or b"")


async def announced(program: httpx2.AsyncClient, length: int, name: str = "beeld.dcm", transfer_id: str = "") -> str:
    """The address of a new upload, in a new draft unless one is named."""
    answer = await create(program, transfer_id or await new_draft(program), name, length)
    assert answer.status_code == 201, answer.text
    return str(answer.headers["location"])


async def patch(
    program: httpx2.AsyncClient, url: str, offset: int | str, content: bytes | AsyncIterator[bytes], **headers: str
) -> httpx2.Response:
    fields = {**VERSION, "Upload-Offset": str(offset), "Content-Type": BYTES}
    return await program.patch(url, headers={**fields, **headers}, content=content)


async def head(program: httpx2.AsyncClient, url: str) -> httpx2.Response:
    return await program.head(url, headers=VERSION)


async def offset_of(program: httpx2.AsyncClient, url: str) -> int:
    answer = await head(program, url)
    assert answer.status_code == 200, answer.status_code
    return int(answer.headers["upload-offset"])


async def uploaded(program: httpx2.AsyncClient, transfer_id: str, name: str, content: bytes) -> None:
    """A whole document."""
    answer = await create(program, transfer_id, name, len(content), content)
    assert answer.status_code == 201, answer.text
    assert answer.headers["upload-sha256"] == sha256_of(content)


async def documents_of(program: httpx2.AsyncClient, transfer_id: str) -> list[dict[str, Any]]:
    return list((await program.get(f"{TRANSFERS}/{transfer_id}")).json()["documents"])


async def is_refused(answer: httpx2.Response, status: int, code: str) -> bool:
    """Whether a program learns what stands in the way."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    return True


async def half_a_patch(
    app: Starlette, program: httpx2.AsyncClient, url: str, offset: int, length: int, pieces: Iterable[bytes], **headers: str
) -> list[Any]:
    """A PATCH whose line drops after these pieces, as an ASGI server tells the application; returns what it answered."""
    fields = {
        "Host": BASE_URL.removeprefix("http://"),
        "Authorization": program.headers["Authorization"],
        **VERSION,
        "Upload-Offset": str(offset),
        "Content-Type": BYTES,
        "Content-Length": str(length),
        **headers,
    }
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "PATCH",
        "scheme": "http",
        "path": urlsplit(url).path,
        "raw_path": urlsplit(url).path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in fields.items()],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
    }
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    answered: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        answered.append(message)

    await app(scope, receive, send)
    return answered


def directory_of(services: Services) -> Path:
    """Where the sealed bytes lie."""
    return Path(unquote(urlsplit(services.settings.blobs_url).path))


def blobs_of(services: Services) -> DirectoryBlobs:
    return DirectoryBlobs(directory_of(services))


def stored_blobs(services: Services) -> list[Path]:
    """Everything in the store, what is still being prepared included."""
    return [path for path in directory_of(services).rglob("*") if path.is_file()]


def with_policy(services: Services, **values: Any) -> Services:
    """The same installation with another policy by its settings."""
    standing = services.governing.by_settings
    return dataclasses.replace(
        services, governing=Governing(dataclasses.replace(standing.policy, **values), standing.house_style)
    )


def rewired(services: Services, *, blobs: Blobs | None = None, scanner: Scanner | None = None) -> Services:
    """The same installation with another store or scanner."""
    store = blobs or blobs_of(services)
    return dataclasses.replace(
        services,
        uploading=Uploading(
            services.database,
            services.keeping_keys,
            store,
            scanner or NoScanner(),
            services.governing,
            services.clock,
        ),
        clearing_uploads=ClearingUploads(services.database, store, services.observing_time),
        downloading=Downloading(services.database, services.keeping_keys, store),
    )


async def events(services: Services) -> list[Event]:
    async with services.database.reading() as session:
        return list(await session.scalars(select(Event).order_by(Event.id)))
