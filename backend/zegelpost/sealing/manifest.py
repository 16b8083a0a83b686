"""The sealed manifest: pins every part of a document, its size and its SHA-256.

Parts alone are not enough: whoever holds the store could drop the last one or put back an older one of the same place,
and each tag would still fit.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from zegelpost.sealing.errors import FormatUnknown, ManifestAltered, ManifestInconsistent, ManifestOutdated
from zegelpost.sealing.keys import MessageKey, labelled
from zegelpost.sealing.parts import HEADER_BYTES, TAG_BYTES

_VERSION: Final = 1
_NONCE_BYTES: Final = 12
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
            if part.number != number or part.offset_bytes != position or len(part.header) != HEADER_BYTES:
                raise ManifestInconsistent
            position += part.length_bytes
        if position != self.total_bytes or len(self.sha256) != hashlib.sha256().digest_size:
            raise ManifestInconsistent
        if len({part.header for part in self.parts}) != len(self.parts):
            raise ManifestInconsistent


def seal_manifest(message_key: MessageKey, manifest: Manifest) -> bytes:
    """Version, nonce, and the manifest sealed with AES-256-GCM; transfer and document are authenticated with it."""
    plain = _HEAD.pack(manifest.total_bytes, manifest.sha256, len(manifest.parts)) + b"".join(
        _ENTRY.pack(part.offset_bytes, part.length_bytes, part.header) for part in manifest.parts
    )
    nonce = secrets.token_bytes(_NONCE_BYTES)
    cipher = AESGCM(message_key.manifest_key(manifest.document_id))
    return bytes([_VERSION]) + nonce + cipher.encrypt(nonce, plain, _associated_data(manifest.transfer_id, manifest.document_id))


def manifest_digest(sealed: bytes) -> bytes:
    """SHA-256 of the sealed manifest. Whoever keeps it can tell the acknowledged manifest from an older one."""
    return hashlib.sha256(sealed).digest()


def open_manifest(
    message_key: MessageKey, *, transfer_id: str, document_id: str, sealed: bytes, expected_digest: bytes
) -> Manifest:
    """Open and check a manifest.

    1. It is the one that was acknowledged (`ManifestOutdated`), unless its seal does not fit at all.
    2. Its seal fits this key, transfer and document (`ManifestAltered`).
    3. Its parts add up (`ManifestInconsistent`).
    """
    if len(sealed) < 1 + _NONCE_BYTES + _HEAD.size + TAG_BYTES:
        raise ManifestAltered
    if sealed[0] != _VERSION:
        raise FormatUnknown
    nonce, body = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
    # 2. comes before 1. so that a flipped bit is called what it is; neither is skipped.
    try:
        plain = AESGCM(message_key.manifest_key(document_id)).decrypt(nonce, body, _associated_data(transfer_id, document_id))
    except InvalidTag:
        raise ManifestAltered from None
    # 1.
    if not hmac.compare_digest(manifest_digest(sealed), expected_digest):
        raise ManifestOutdated
    # 3.
    total_bytes, sha256, count = _HEAD.unpack_from(plain)
    if len(plain) != _HEAD.size + count * _ENTRY.size:
        raise ManifestInconsistent
    entries = [PartEntry(number, *_ENTRY.unpack_from(plain, _HEAD.size + number * _ENTRY.size)) for number in range(count)]
    return Manifest(transfer_id, document_id, entries, total_bytes, sha256)


def _associated_data(transfer_id: str, document_id: str) -> bytes:
    return labelled(_CONTEXT, transfer_id, document_id)
