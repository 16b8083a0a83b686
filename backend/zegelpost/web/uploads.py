"""Uploads over tus 1.0 (https://tus.io/protocols/resumable-upload) with creation, checksum, termination and expiration."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from email.utils import format_datetime
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from zegelpost.model.file_name import FileName
from zegelpost.model.refusals import (
    ChecksumAlgorithmUnsupported,
    ChecksumMismatch,
    TusVersionUnsupported,
    UploadContentTypeWrong,
    UploadLengthInvalid,
    UploadLengthMissing,
    UploadMetadataInvalid,
    UploadOffsetInvalid,
)
from zegelpost.server import BODY_EXTENSION, DirectBody
from zegelpost.services.access import Sender
from zegelpost.services.sealing_stream import Body, BodyCut, PiecewiseBody
from zegelpost.services.uploading import Checksum, UploadStatus

Authenticate = Callable[[Request], Awaitable[Sender]]
VERSION: Final = "1.0.0"
_ALGORITHMS: Final = ("sha1", "sha256")
_CONTENT_TYPE: Final = "application/offset+octet-stream"
_MOST_DIGITS: Final = 18  # more is no length of anything
# A line that says nothing for this long is taken for cut: what arrived is kept, and the client may go on elsewhere.
_SILENCE_SECONDS: Final = 60


def upload_routes(prefix: str, authenticate: Authenticate) -> list[Route]:
    """The tus resources under `prefix`, for whoever `authenticate` lets in."""

    async def options(_: Request) -> Response:
        return Response(
            status_code=204,
            headers={
                "Tus-Resumable": VERSION,
                "Tus-Version": VERSION,
                "Tus-Extension": "creation,creation-with-upload,checksum,termination,expiration",
                "Tus-Checksum-Algorithm": ",".join(_ALGORITHMS),
            },
        )

    async def create(request: Request) -> Response:
        actor = await authenticate(request)
        _require_version(request)
        length = _length(request)
        transfer_id, name = _metadata(request)
        checksum = _checksum(request)
        uploading = request.app.state.services.uploading
        status: UploadStatus
        if request.headers.get("content-type") == _CONTENT_TYPE or length == 0:
            try:
                status = await uploading.add_document(actor, transfer_id, name, length, _body(request), checksum)
            except BodyCut:
                return _cut()
        else:
            status = await uploading.create(actor, transfer_id, name, length)
        base = request.app.state.services.settings.base_url
        # Where it was asked for: a guest's uploads are under their link.
        location = f"{base}{request.scope['path']}/{status.id}"
        return Response(status_code=201, headers={"Location": location, **_headers(status)})

    async def head(request: Request) -> Response:
        actor = await authenticate(request)
        _require_version(request)
        status = await request.app.state.services.uploading.status(actor, request.path_params["upload_id"])
        return Response(headers={"Upload-Length": str(status.length_bytes), **_headers(status)})

    async def patch(request: Request) -> Response:
        actor = await authenticate(request)
        _require_version(request)
        if request.headers.get("content-type") != _CONTENT_TYPE:
            raise UploadContentTypeWrong
        offset = _number(request.headers.get("upload-offset"), UploadOffsetInvalid)
        uploading, upload_id = request.app.state.services.uploading, request.path_params["upload_id"]
        try:
            status = await uploading.receive(actor, upload_id, offset, _body(request), _checksum(request))
        except BodyCut:
            return _cut()
        return Response(status_code=204, headers=_headers(status))

    async def cancel(request: Request) -> Response:
        actor = await authenticate(request)
        _require_version(request)
        await request.app.state.services.uploading.cancel(actor, request.path_params["upload_id"])
        return Response(status_code=204, headers={"Tus-Resumable": VERSION})

    one = f"{prefix}/{{upload_id}}"
    return [
        Route(prefix, options, methods=["OPTIONS"]),
        Route(prefix, create, methods=["POST"]),
        Route(one, options, methods=["OPTIONS"]),
        Route(one, _HeadOnly(head), methods=["HEAD"]),
        Route(one, patch, methods=["PATCH"]),
        Route(one, cancel, methods=["DELETE"]),
    ]


class _HeadOnly:
    """A class, because Starlette adds HEAD to function routes only together with GET."""

    def __init__(self, handler: Callable[[Request], Awaitable[Response]]) -> None:
        self._handler = handler

    async def __call__(self, scope: object, receive: object, send: object) -> None:
        response = await self._handler(Request(scope, receive, send))  # type: ignore[arg-type]
        await response(scope, receive, send)  # type: ignore[arg-type]


def _body(request: Request) -> Body:
    """The body, straight from the socket where the server offers that (see `server.py`), else as ASGI brings it."""
    extension = request.scope.get("extensions", {}).get(BODY_EXTENSION)
    return _PatientBody(extension["body"]) if extension else PiecewiseBody(_pieces(request), _content_length(request))


class _PatientBody:
    """Waits for a silent line as long as the ordinary way does."""

    def __init__(self, direct: DirectBody) -> None:
        self._direct = direct
        self.announced_bytes: int | None = direct.length_bytes

    async def readinto(self, view: memoryview) -> int:
        return await self._direct.readinto(view, silence_seconds=_SILENCE_SECONDS)


def _content_length(request: Request) -> int | None:
    length = request.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else None


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes; a dropped or silent line becomes `BodyCut`."""
    stream = request.stream()
    while True:
        try:
            piece = await asyncio.wait_for(anext(stream), _SILENCE_SECONDS)
        except StopAsyncIteration:
            return
        except (ClientDisconnect, TimeoutError):
            raise BodyCut from None
        if piece:
            yield piece


def _cut() -> Response:
    """Read by nobody when the line dropped, but by a client that fell silent: it asks for the offset and goes on."""
    return Response(status_code=408, headers={"Tus-Resumable": VERSION, "Connection": "close"})


def _headers(status: UploadStatus) -> dict[str, str]:
    headers = {
        "Tus-Resumable": VERSION,
        "Upload-Offset": str(status.offset_bytes),
        "Upload-Expires": format_datetime(status.expires_at, usegmt=True),
        "Cache-Control": "no-store",
    }
    if status.sha256 is not None:
        headers["Upload-Sha256"] = status.sha256.hex()
        del headers["Upload-Expires"]
    return headers


def _require_version(request: Request) -> None:
    if request.headers.get("tus-resumable") != VERSION:
        raise TusVersionUnsupported


def _number(text: str | None, refusal: type[UploadLengthInvalid | UploadOffsetInvalid]) -> int:
    # `isdecimal` alone would let other scripts' digits through, and a sign is none of these.
    if text is None or not text.isascii() or not text.isdecimal() or len(text) > _MOST_DIGITS:
        raise refusal
    return int(text)


def _length(request: Request) -> int:
    text = request.headers.get("upload-length")
    if text is None:
        # Deferred lengths are not offered: size and quota are settled before a byte travels.
        raise UploadLengthMissing
    return _number(text, UploadLengthInvalid)


def _metadata(request: Request) -> tuple[str, FileName]:
    """`transfer_id` and `filename` from Upload-Metadata: pairs of key and base64, with commas between."""
    pairs: dict[str, str] = {}
    try:
        for pair in request.headers.get("upload-metadata", "").split(","):
            key, _, value = pair.strip().partition(" ")
            pairs[key] = base64.b64decode(value.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise UploadMetadataInvalid from None
    if "transfer_id" not in pairs or "filename" not in pairs:
        raise UploadMetadataInvalid
    return pairs["transfer_id"], FileName.parse(pairs["filename"])


def _checksum(request: Request) -> Checksum | None:
    header = request.headers.get("upload-checksum")
    if header is None:
        return None
    algorithm, _, encoded = header.partition(" ")
    if algorithm not in _ALGORITHMS:
        raise ChecksumAlgorithmUnsupported
    try:
        digest = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise ChecksumMismatch from None
    if len(digest) != hashlib.new(algorithm).digest_size:
        raise ChecksumMismatch
    return Checksum(algorithm, digest)
