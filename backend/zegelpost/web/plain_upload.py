"""The upload area: what it shows, and documents from its plain form, sealed while they come in without a temporary file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final, Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from zegelpost.model.file_name import FileName
from zegelpost.model.identifiers import DocumentId, UploadId
from zegelpost.model.refusals import BodyTooLarge, InputInvalid
from zegelpost.services.access import Sender, StaffActor
from zegelpost.services.receiving import ReadableDocument
from zegelpost.services.sealing_stream import PiecewiseBody
from zegelpost.web.sessions import require_csrf

# Browsers without script show no progress and cannot resume, so this way is for smaller documents.
LARGEST_FORM_BYTES: Final = 100 * 1024 * 1024
_LONGEST_FIELD: Final = 10_000


class Arriving(Protocol):
    """An upload of a draft."""

    @property
    def id(self) -> UploadId: ...

    @property
    def offset_bytes(self) -> int: ...


def rows_of(
    documents: Sequence[ReadableDocument], uploads: Mapping[DocumentId, Arriving]
) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """The rows of the upload area: what has arrived, and what has not yet."""
    arrived: list[dict[str, object]] = []
    unfinished: list[dict[str, object]] = []
    for document in documents:
        upload = uploads[document.id]
        row: dict[str, object] = {"id": upload.id, "name": str(document.name)}
        if document.is_complete:
            arrived.append(row | {"size_bytes": document.length_bytes})
        else:
            unfinished.append(row | {"offset_bytes": upload.offset_bytes, "length_bytes": document.length_bytes})
    return arrived, unfinished


class _Parts:
    """What the parser calls back with, in order: pairs of a part's headers, its bytes, its end."""

    def __init__(self, boundary: bytes) -> None:
        self.seen: list[tuple[str, bytes]] = []
        self._name = b""
        self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self.parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._headers.clear,
                "on_header_field": self._on_name,
                "on_header_value": self._on_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers,
                "on_part_data": lambda data, start, end: self.seen.append(("data", data[start:end])),
                "on_part_end": lambda: self.seen.append(("end", b"")),
            },
        )

    def _on_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _on_headers(self) -> None:
        self.seen.append(("begin", self._headers.get(b"content-disposition", b"")))


async def take_documents(request: Request, actor: Sender, transfer_id: str, boundary: bytes) -> int:
    """Add every file of the form to the draft; returns how many. The field `csrf` has to come before the files."""
    declared = request.headers.get("content-length", "")
    if not boundary or not declared.isdecimal():
        raise InputInvalid(problems=["not a multipart form"])
    if int(declared) > LARGEST_FORM_BYTES:
        raise BodyTooLarge(limit_bytes=LARGEST_FORM_BYTES)
    events = _events(request, _Parts(boundary))
    is_checked, count = False, 0
    async for kind, data in events:
        if kind != "begin":
            continue
        options = {key.decode(): value.decode(errors="replace") for key, value in parse_options_header(data)[1].items()}
        if "filename" not in options:
            value = b"".join([piece async for piece in _until_end(events, _LONGEST_FIELD)]).decode(errors="replace")
            if options.get("name") == "csrf":
                _require_csrf(actor, value)
                is_checked = True
        elif options["filename"]:
            if not is_checked:
                _require_csrf(actor, "")
            await _take_one(request, actor, transfer_id, options["filename"], _until_end(events, LARGEST_FORM_BYTES))
            count += 1
    return count


def _require_csrf(actor: Sender, typed: str) -> None:
    # Guests' forms have none: their cookie belongs to one link, and requests of other sites are refused for everyone.
    if isinstance(actor, StaffActor):
        require_csrf(actor, typed)


async def _take_one(request: Request, actor: Sender, transfer_id: str, name: str, body: AsyncIterator[bytes]) -> None:
    """A form does not say how long each file is, and a length is settled before sealing: hold it, it is small, in memory."""
    content = b"".join([piece async for piece in body])

    async def whole() -> AsyncIterator[bytes]:
        yield content

    await request.app.state.services.uploading.add_document(
        actor, transfer_id, FileName.parse(name), len(content), PiecewiseBody(whole(), len(content))
    )


async def _events(request: Request, parts: _Parts) -> AsyncIterator[tuple[str, bytes]]:
    try:
        async for chunk in request.stream():
            # Megabytes at a time would keep the event loop busy.
            for start in range(0, len(chunk), 65536):
                parts.parser.write(chunk[start : start + 65536])
            for event in parts.seen:
                yield event
            parts.seen.clear()
            await asyncio.sleep(0)
    except ClientDisconnect:
        raise InputInvalid(problems=["the form was cut off"]) from None
    except FormParserError:
        raise InputInvalid(problems=["not a multipart form"]) from None


async def _until_end(events: AsyncIterator[tuple[str, bytes]], limit: int) -> AsyncIterator[bytes]:
    length = 0
    async for kind, data in events:
        if kind == "end":
            return
        length += len(data)
        if length > limit:
            raise BodyTooLarge(limit_bytes=limit)
        yield data
