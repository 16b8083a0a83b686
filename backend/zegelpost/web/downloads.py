"""Handing over documents: one with ranges (RFC 9110, section 14), or all in an archive."""

from __future__ import annotations

import asyncio
import functools
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import quote

import anyio
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from zegelpost.model.handed_over import Piece
from zegelpost.model.refusals import RangeNotSatisfiable
from zegelpost.server import REPLY_EXTENSION, DirectReply
from zegelpost.services.archiving import Archive
from zegelpost.services.downloading import OpenDocument
from zegelpost.services.receiving import Reader
from zegelpost.web.translation import Language

OnWhole = Callable[[], Awaitable[None]]
OnHanded = Callable[[Piece], Awaitable[None]]
_Piece = TypeVar("_Piece", bytes, memoryview)
# Eighteen digits as for lengths of uploads; Python refuses to read numbers of thousands of digits.
_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})\Z", re.ASCII)
# Nothing that was uploaded is ever shown by us, only saved; should a browser show it all the same, it may do nothing.
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-store",
}


@dataclass(frozen=True, slots=True)
class Part:
    """The bytes of a document that one answer holds."""

    start: int
    stop: int
    is_range: bool

    @property
    def length_bytes(self) -> int:
        return self.stop - self.start


def part_of(request: Request, document: OpenDocument) -> Part:
    """The range that was asked for, or the whole. Raises `RangeNotSatisfiable`."""
    total = document.length_bytes
    asked = request.headers.get("range")
    if asked and request.headers.get("if-range", _etag(document)) == _etag(document) and (wanted := _wanted(asked, total)):
        return Part(*wanted, is_range=True)
    return Part(0, total, is_range=False)


def document_response(request: Request, document: OpenDocument, part: Part, *, on_handed: OnHanded) -> Response:
    """A part of one document. `on_handed` runs once, with what was handed over, also when the line drops in the middle."""
    status = 206 if part.is_range else 200
    headers = {
        **_HEADERS,
        "Accept-Ranges": "bytes",
        "ETag": _etag(document),
        "Content-Disposition": disposition(str(document.name)),
        "Content-Length": str(part.length_bytes),
    }
    if part.is_range:
        headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{document.length_bytes}"
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type="application/octet-stream")
    return _DocumentResponse(document, part, _direct_reply(request), on_handed, status, headers)


def _etag(document: OpenDocument) -> str:
    return f'"{document.tag}"'


class _PiecesResponse(StreamingResponse, ABC):
    """Pieces of an announced length, handed to the kernel without a stop on the way where the server can (see `server.py`).

    There, no piece needs memory of its own: the kernel has it before the next is asked for.
    """

    def __init__(
        self, pieces: Iterator[Any], reply: DirectReply | None, status: int, headers: dict[str, str], media_type: str
    ) -> None:
        self._pieces = pieces
        self._reply = reply
        self._handed_bytes = 0
        super().__init__(self._travelling(), status, headers=headers, media_type=media_type)

    @abstractmethod
    async def handed_all(self) -> None:
        """Called before the answer ends, and after its last byte, so that nothing counts that was not handed over.

        When it cannot be put on record the line breaks off and somebody is alarmed; the reader has all of it, and that they
        asked for it was on record before the first byte.
        """

    async def stream_response(self, send: Send) -> None:
        if self._reply is None:
            await super().stream_response(send)
            return
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            while count := await self._reply.send(self._pieces):
                self._handed_bytes += count
            await self.handed_all()
        finally:
            self._handed_bytes = await self._reply.close()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _travelling(self) -> AsyncIterator[Any]:
        async for piece in _ahead(self._pieces):
            length = len(piece)
            yield piece
            self._handed_bytes += length
        await self.handed_all()


class _DocumentResponse(_PiecesResponse):
    """A document, or a part of it."""

    def __init__(
        self,
        document: OpenDocument,
        part: Part,
        reply: DirectReply | None,
        on_handed: OnHanded,
        status: int,
        headers: dict[str, str],
    ) -> None:
        read = document.reader.view_range if reply else document.reader.read_range
        self._start = part.start
        self._on_handed = on_handed
        self._is_told = False
        super().__init__(read(part.start, part.stop), reply, status, headers, "application/octet-stream")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            if self._handed_bytes:
                await self.handed_all()

    async def handed_all(self) -> None:
        """Also of what was handed over when the line drops in the middle."""
        if self._is_told:
            return
        self._is_told = True
        # Who hangs up cancels this request; what they got is a fact all the same.
        with anyio.CancelScope(shield=True):
            await self._on_handed((self._start, self._start + self._handed_bytes))


class _ArchiveResponse(_PiecesResponse):
    """All documents as they are zipped."""

    def __init__(self, archive: Archive, reply: DirectReply | None, on_whole: OnWhole, headers: dict[str, str]) -> None:
        self._on_whole = on_whole
        pieces: Iterator[Any] = archive.pieces() if reply else map(bytes, archive.pieces())
        super().__init__(pieces, reply, 200, headers, "application/zip")

    async def handed_all(self) -> None:
        await self._on_whole()


def archive_response(request: Request, documents: list[OpenDocument], name: str, *, on_whole: OnWhole) -> Response:
    """All documents in one file. `on_whole` runs after the last byte."""
    archive = Archive(documents)
    headers = {**_HEADERS, "Content-Disposition": disposition(name), "Content-Length": str(archive.length_bytes)}
    if request.method == "HEAD":
        return Response(headers=headers, media_type="application/zip")
    return _ArchiveResponse(archive, _direct_reply(request), on_whole, headers)


def _direct_reply(request: Request) -> DirectReply | None:
    extension = request.scope.get("extensions", {}).get(REPLY_EXTENSION)
    return extension["reply"] if extension else None


def disposition(name: str) -> str:
    """`attachment` with the name for all browsers (RFC 6266, RFC 8187)."""
    plain = "".join(c if " " <= c <= "~" and c not in '"\\%' else "_" for c in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _wanted(header: str, total: int) -> tuple[int, int] | None:
    """The one range asked for, or nothing for what we answer with the whole: several ranges, or none that we understand.

    Raises `RangeNotSatisfiable` for a range beyond the end.
    """
    match = _RANGE.match(header.strip())
    if match is None or match.group(0) == "bytes=-":
        return None
    first, last = match.group(1), match.group(2)
    if not first:
        start, stop = max(0, total - int(last)), total
    else:
        start, stop = int(first), min(int(last) + 1, total) if last else total
        if last and int(last) < int(first):
            return None
    if start >= total or start >= stop:
        raise RangeNotSatisfiable(length_bytes=total)
    return start, stop


async def _ahead(pieces: Iterator[_Piece]) -> AsyncIterator[_Piece]:
    """Unseal one piece ahead in a thread, while the one before it travels."""
    coming = asyncio.ensure_future(asyncio.to_thread(next, pieces, None))
    try:
        while (piece := await coming) is not None:
            coming = asyncio.ensure_future(asyncio.to_thread(next, pieces, None))
            yield piece
    finally:
        if not coming.done():
            await asyncio.gather(coming, return_exceptions=True)


async def give_document(request: Request, reader: Reader) -> Response:
    """One document for whoever may read; shared by colleagues and recipients."""
    services = request.app.state.services
    document = await services.receiving.document(reader, request.path_params["document_id"])
    opened = await services.downloading.open(reader.key, document)
    part = part_of(request, opened)
    if request.method == "GET":
        await services.receiving.consulted(reader, document, is_piece=part.is_range)
    on_handed = functools.partial(services.receiving.handed_over, reader, document)
    return document_response(request, opened, part, on_handed=on_handed)


async def give_archive(request: Request, reader: Reader) -> Response:
    """All documents in one file."""
    services = request.app.state.services
    documents = await services.receiving.documents(reader)
    opened = await services.downloading.open_all(reader.key, documents)
    if request.method == "GET":
        await services.receiving.archive_consulted(reader)
    on_whole = functools.partial(services.receiving.archive_downloaded, reader)
    return archive_response(request, opened, _archive_name(request), on_whole=on_whole)


def _archive_name(request: Request) -> str:
    return "documenten.zip" if request.state.language == Language.NL else "documents.zip"
