"""The sealed manifest: pins every part of a document, its size and its SHA-256.

Parts alone are not enough: whoever holds the store could drop the last one or put back an older one of the same place,
and each tag would still fit.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from zegelpost.sealing.box import open_box, seal_box
from zegelpost.sealing.errors import ManifestAltered, ManifestInconsistent, ManifestOutdated
from zegelpost.sealing.keys import MessageKey, labelled
from zegelpost.sealing.parts import HEADER_BYTES, is_header

_CONTEXT: Final = b"zegelpost/1/manifest"
_HEAD: Final = struct.Struct(">Q32sI")  # total bytes, SHA-256, number of parts
_ENTRY: Final = struct.Struct(f">QQ{HEADER_BYTES}s")  # offset, length, header


@dataclass(frozen=True, slots=True)
class PartEntry:
    """One part as the manifest pins it; sizes in bytes of plaintext."""

    number: int
    offset_bytes: int
    length_bytes: int
    header: bytes


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a document consists of. Consistent by construction; raises `ManifestInconsistent` otherwise."""

    transfer_id: str
    document_id: str
    parts: Sequence[PartEntry]
    total_bytes: int
    sha256: bytes

    def __post_init__(self) -> None:
        position = 0
        for number, part in enumerate(self.parts):
            if part.number != number or part.offset_bytes != position or part.length_bytes < 0 or not is_header(part.header):
                raise ManifestInconsistent
            position += part.length_bytes
        if position != self.total_bytes or len(self.sha256) != hashlib.sha256().digest_size:
            raise ManifestInconsistent
        if len({part.header for part in self.parts}) != len(self.parts):
            raise ManifestInconsistent


def seal_manifest(message_key: MessageKey, manifest: Manifest) -> bytes:
    """A box with the manifest; transfer and document are authenticated with it."""
    plain = _HEAD.pack(manifest.total_bytes, manifest.sha256, len(manifest.parts)) + b"".join(
        _ENTRY.pack(part.offset_bytes, part.length_bytes, part.header) for part in manifest.parts
    )
    context = labelled(_CONTEXT, manifest.transfer_id, manifest.document_id)
    return seal_box(message_key.manifest_key(manifest.document_id), plain, context=context)


def manifest_digest(sealed: bytes) -> bytes:
    """SHA-256 of the sealed manifest. Whoever keeps it can tell the acknowledged manifest from an older one."""
    return hashlib.sha256(sealed).digest()


def open_manifest(
    message_key: MessageKey, *, transfer_id: str, document_id: str, sealed: bytes, expected_digest: bytes
) -> Manifest:
    """Open and check a manifest.

    1. Its seal fits this key, transfer and document (`ManifestAltered`, `FormatUnknown`).
    2. It is the one that was acknowledged (`ManifestOutdated`). Second, so that a flipped bit is called what it is.
    3. Its parts add up (`ManifestInconsistent`).
    """
    # 1.
    context = labelled(_CONTEXT, transfer_id, document_id)
    plain = open_box(message_key.manifest_key(document_id), sealed, context=context, refusal=ManifestAltered)
    # 2.
    if not hmac.compare_digest(manifest_digest(sealed), expected_digest):
        raise ManifestOutdated
    # 3.
    if len(plain) < _HEAD.size:
        raise ManifestInconsistent
    total_bytes, sha256, count = _HEAD.unpack_from(plain)
    if len(plain) != _HEAD.size + count * _ENTRY.size:
        raise ManifestInconsistent
    entries = [PartEntry(number, *entry) for number, entry in enumerate(_ENTRY.iter_unpack(plain[_HEAD.size :]))]
    return Manifest(transfer_id, document_id, entries, total_bytes, sha256)
