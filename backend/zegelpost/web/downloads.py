"""Handing over documents: one with ranges (RFC 9110, section 14), or all in an archive."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from zegelpost.model.refusals import RangeNotSatisfiable
from zegelpost.services.downloading import OpenDocument, archive

OnWhole = Callable[[], Awaitable[None]]
_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)\Z")
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
    pieces = document.reader.read_range(start, stop)
    # A download that was broken off and resumed is whole with its last byte.
    whole = on_whole if stop == total else None
    return StreamingResponse(_ahead(pieces, whole), status, headers=headers, media_type="application/octet-stream")


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


async def _ahead(pieces: Iterator[bytes], on_whole: OnWhole | None) -> AsyncIterator[bytes]:
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
