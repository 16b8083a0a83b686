"""Uploads as the OpenAPI document describes them. The routes themselves are those of `uploads.py`, for any audience."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from zegelpost.model import refusals as r
from zegelpost.model.refusals import Refusal
from zegelpost.web.openapi import Answer, Header, Operation

_NUMBER: Final = "^[0-9]{1,18}$"
_VERSION: Final = Header(name="Tus-Resumable", description="Of tus.", pattern=r"^1\.0\.0$", is_required=True)
_LENGTH: Final = Header(name="Upload-Length", description="Bytes of the whole document.", pattern=_NUMBER, is_required=True)
_AT: Final = Header(name="Upload-Offset", description="Where these bytes begin.", pattern=_NUMBER, is_required=True)
_METADATA: Final = Header(
    name="Upload-Metadata",
    description="`transfer_id` and `filename`: each a space and its value in base64, a comma between.",
    is_required=True,
)
_CHECKSUM: Final = Header(
    name="Upload-Checksum", description="`sha1` or `sha256`, a space, and the digest of this body in base64."
)
_OFFSET: Final = {"Upload-Offset": "Bytes that are safe here.", "Upload-Expires": "When an upload that is left will be removed."}
_FINISHED: Final = {**_OFFSET, "Upload-Sha256": "Of the whole document, in hexadecimal, once it has fully arrived."}
_BYTES: Final = "application/offset+octet-stream"
_WRITING: Final[Sequence[type[Refusal]]] = (
    r.NotFound, r.TusVersionUnsupported, r.TransferNotDraft, r.UploadInUse, r.UploadLengthExceeded, r.UploadTooManyParts,
    r.ChecksumMismatch, r.ChecksumAlgorithmUnsupported, r.ContentMismatch, r.MacroDocument, r.MalwareFound, r.StorageFull,
    r.UploadOffsetMismatch, r.UploadExpired, r.TransferExpired,
)  # fmt: skip
_CREATING: Final[Sequence[type[Refusal]]] = (
    r.UploadLengthMissing, r.UploadLengthInvalid, r.UploadMetadataInvalid, r.FileNameInvalid, r.ExtensionMissing,
    r.ExtensionNotAllowed, r.DocumentTooLarge, r.TransferTooLarge, r.QuotaExceeded, r.TooManyDocuments,
)  # fmt: skip


def upload_operations() -> list[Operation]:
    capabilities = Answer(status=204, description="Version and extensions of tus.", headers={"Tus-Extension": "What we support."})
    one = "/uploads/{upload_id}"
    return [
        Operation(
            method="OPTIONS",
            path="/uploads",
            name="describe_uploads",
            summary="What of tus 1.0 is supported.",
            is_open=True,
            answers=[capabilities],
        ),
        Operation(
            method="POST",
            path="/uploads",
            name="create_upload",
            summary="Announce a document of a draft (tus creation); bytes may come along.",
            body=_BYTES,
            is_body_optional=True,
            headers=[_VERSION, _LENGTH, _METADATA, _CHECKSUM],
            answers=[
                Answer(status=201, description="Made.", headers={"Location": "Address of the upload.", **_FINISHED}),
            ],
            refusals=[*_CREATING, *_WRITING],
        ),
        Operation(
            method="OPTIONS",
            path=one,
            name="describe_upload",
            summary="What of tus 1.0 is supported.",
            is_open=True,
            answers=[capabilities],
        ),
        Operation(
            method="HEAD",
            path=one,
            name="resume_upload",
            summary="How much has arrived, to go on from there.",
            headers=[_VERSION],
            answers=[Answer(description="Where it stands.", headers={**_FINISHED, "Upload-Length": "Of the whole."})],
            refusals=[r.NotFound, r.TusVersionUnsupported, r.UploadExpired],
        ),
        Operation(
            method="PATCH",
            path=one,
            name="continue_upload",
            summary="Send bytes from the offset on. When the line drops, what arrived is kept.",
            body=_BYTES,
            headers=[_VERSION, _AT, _CHECKSUM],
            answers=[Answer(status=204, description="Arrived.", headers=_FINISHED)],
            refusals=[r.UploadContentTypeWrong, r.UploadOffsetInvalid, *_WRITING],
        ),
        Operation(
            method="DELETE",
            path=one,
            name="cancel_upload",
            summary="Remove an upload and its document from a draft (tus termination).",
            headers=[_VERSION],
            answers=[Answer(status=204, description="Removed.")],
            refusals=[r.NotFound, r.TusVersionUnsupported, r.TransferNotDraft],
        ),
    ]
