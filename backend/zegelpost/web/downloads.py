"""Handing over documents: one with ranges (RFC 9110, section 14), or all in an archive."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Final, TypeVar
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Send

from zegelpost.model.refusals import RangeNotSatisfiable
from zegelpost.server import REPLY_EXTENSION, DirectReply
from zegelpost.services.downloading import OpenDocument, archive
from zegelpost.web.translation import Language

OnWhole = Callable[[], Awaitable[None]]
_Piece = TypeVar("_Piece", bytes, memoryview)
# Eighteen digits as for lengths of uploads; Python refuses to read numbers of thousands of digits.
_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})\Z", re.ASCII)
# Nothing that was uploaded is ever shown by us, only saved; should a browser show it all the same, it may do nothing.
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-store",
}


async def document_response(request: Request, document: OpenDocument, *, on_whole: OnWhole) -> Response:
    """One document, or the range of it that was asked for. `on_whole` runs after the last byte of the whole document went out."""
    etag = f'"{document.tag}"'
    headers = {
        **_HEADERS,
        "Accept-Ranges": "bytes",
        "ETag": etag,
        "Content-Disposition": disposition(str(document.name)),
    }
    total = document.length_bytes
    start, stop, status = 0, total, 200
    asked = request.headers.get("range")
    if asked and request.headers.get("if-range", etag) == etag and (wanted := _wanted(asked, total)):
        start, stop = wanted
        status = 206
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{total}"
    headers["Content-Length"] = str(stop - start)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type="application/octet-stream")
    # A download that was broken off and resumed is whole with its last byte.
    whole = on_whole if stop == total else None
    extension = request.scope.get("extensions", {}).get(REPLY_EXTENSION)
    if extension:
        # The kernel has a piece before the next is asked for, so no piece needs memory of its own.
        return _DirectResponse(extension["reply"], _ahead(document.reader.view_range(start, stop), whole), status, headers)
    pieces = _ahead(document.reader.read_range(start, stop), whole)
    return StreamingResponse(pieces, status, headers=headers, media_type="application/octet-stream")


class _DirectResponse(StreamingResponse):
    """A document, handed to the kernel without a stop on the way (see `server.py`)."""

    def __init__(self, reply: DirectReply, pieces: AsyncIterator[memoryview], status: int, headers: dict[str, str]) -> None:
        super().__init__(pieces, status, headers=headers, media_type="application/octet-stream")
        self._pieces = pieces
        self._reply = reply

    async def stream_response(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            async for piece in self._pieces:
                await self._reply.send(piece)
        finally:
            self._reply.close()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def archive_response(documents: list[OpenDocument], name: str, *, on_whole: OnWhole) -> Response:
    """All documents as they are zipped. Its length is not known beforehand."""
    headers = {**_HEADERS, "Content-Disposition": disposition(name)}
    return StreamingResponse(_ahead(archive(documents), on_whole), headers=headers, media_type="application/zip")


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


async def _ahead(pieces: Iterator[_Piece], on_whole: OnWhole | None) -> AsyncIterator[_Piece]:
    """Unseal one piece ahead in a thread, while the one before it travels."""
    coming = asyncio.ensure_future(asyncio.to_thread(next, pieces, None))
    try:
        while (piece := await coming) is not None:
            coming = asyncio.ensure_future(asyncio.to_thread(next, pieces, None))
            yield piece
    finally:
        if not coming.done():
            await asyncio.gather(coming, return_exceptions=True)
    if on_whole is not None:
        await on_whole()


async def give_document(request: Request, reader: Any) -> Response:
    """One document for whoever may read; shared by colleagues and recipients."""
    services = request.app.state.services
    document = await services.receiving.document(reader, request.path_params["document_id"])
    opened = await services.downloading.open(reader.key, document)
    if request.method == "GET" and "range" not in request.headers:
        await services.receiving.consulted(reader, document.id)
    return await document_response(
        request, opened, on_whole=functools.partial(services.receiving.downloaded, reader, document.id)
    )


async def give_archive(request: Request, reader: Any) -> Response:
    """All documents in one file."""
    services = request.app.state.services
    documents = await services.receiving.documents(reader)
    opened = await services.downloading.open_all(reader.key, documents)
    on_whole = functools.partial(services.receiving.downloaded, reader, None)
    return await archive_response(opened, _archive_name(request), on_whole=on_whole)


def _archive_name(request: Request) -> str:
    return "documenten.zip" if request.state.language == Language.NL else "documents.zip"
