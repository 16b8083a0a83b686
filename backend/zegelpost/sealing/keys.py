"""The message key and what is derived from it (HKDF with SHA-256, RFC 5869)."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from typing import Final, Self

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

KEY_BYTES: Final = 32
_MOST_FIELD_BYTES: Final = 0xFFFF

_DOCUMENT: Final = b"zegelpost/1/document"
_MANIFEST: Final = b"zegelpost/1/manifest"
_METADATA: Final = b"zegelpost/1/metadata"
_ANSWERS: Final = b"zegelpost/1/answers"
_INDEX: Final = b"zegelpost/1/index"


def labelled(*fields: bytes | str) -> bytes:
    """Join fields so that no two lists of fields give the same bytes: each is preceded by its length in two octets."""
    encoded = [part.encode() if isinstance(part, str) else part for part in fields]
    if any(len(part) > _MOST_FIELD_BYTES for part in encoded):
        raise ValueError("a field is too long to be bound")
    return b"".join(len(part).to_bytes(2, "big") + part for part in encoded)


def extract(salt: bytes, material: bytes) -> bytes:
    """HKDF-Extract (RFC 5869, section 2.2)."""
    return HKDF.extract(SHA256(), salt or bytes(KEY_BYTES), material)


def expand(pseudorandom_key: bytes, info: bytes) -> bytes:
    """HKDF-Expand to one key (RFC 5869, section 2.3)."""
    return HKDFExpand(algorithm=SHA256(), length=KEY_BYTES, info=info).derive(pseudorandom_key)


def derive(material: bytes, *, salt: bytes, info: bytes) -> bytes:
    """HKDF, extract and expand, to one key."""
    return expand(extract(salt, material), info)


@dataclass(frozen=True, slots=True)
class DocumentKey:
    """The key of one document's parts. Each part derives its own from it with its own salt."""

    material: bytes = field(repr=False)

    def __post_init__(self) -> None:
        _require_key(self.material)


@dataclass(frozen=True, slots=True)
class MessageKey:
    """The random key of one transfer. Uniform already, so keys are expanded from it without extraction."""

    material: bytes = field(repr=False)

    def __post_init__(self) -> None:
        _require_key(self.material)

    @classmethod
    def generate(cls) -> Self:
        return cls(secrets.token_bytes(KEY_BYTES))

    def document_key(self, document_id: str) -> DocumentKey:
        return DocumentKey(expand(self.material, labelled(_DOCUMENT, document_id)))

    def manifest_key(self, document_id: str) -> bytes:
        return expand(self.material, labelled(_MANIFEST, document_id))

    def answers_key(self) -> bytes:
        """The secret under which the message keys of what answers this transfer are wrapped, for the guest who sent them."""
        return expand(self.material, labelled(_ANSWERS))

    def metadata_key(self) -> bytes:
        return expand(self.material, labelled(_METADATA))


def blind_index(key: bytes, kind: str, value: str) -> bytes:
    """A keyed hash (HMAC-SHA-256) for exact search over values that are not stored."""
    return hmac.digest(key, labelled(_INDEX, kind, value), "sha256")


def _require_key(material: bytes) -> None:
    if len(material) != KEY_BYTES:
        raise ValueError("a key is 32 bytes")
