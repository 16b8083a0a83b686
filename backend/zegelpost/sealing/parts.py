"""Parts: what one PATCH sealed, in Tink's streaming AEAD `AES256_GCM_HKDF_1MB`, byte for byte.

Format: https://developers.google.com/tink/streaming-aead/aes_gcm_hkdf_streaming. A part is a header (its length, a salt and
a nonce prefix) and segments of 1 MiB, the first one shorter by the header, the last one as short as it has to be.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from zegelpost.sealing.errors import HeaderMalformed, PartExtended, PartTruncated, SegmentAltered
from zegelpost.sealing.keys import KEY_BYTES, DocumentKey, derive, labelled

SEGMENT_BYTES: Final = 1024 * 1024
TAG_BYTES: Final = 16
_SALT_BYTES: Final = KEY_BYTES
_PREFIX_BYTES: Final = 7
_COUNTER_BYTES: Final = 4
HEADER_BYTES: Final = 1 + _SALT_BYTES + _PREFIX_BYTES
SEGMENT_CAPACITY: Final = SEGMENT_BYTES - TAG_BYTES
FIRST_CAPACITY: Final = SEGMENT_CAPACITY - HEADER_BYTES
MOST_SEGMENTS: Final = 2 ** (8 * _COUNTER_BYTES)
MOST_PART_BYTES: Final = MOST_SEGMENTS * SEGMENT_CAPACITY - HEADER_BYTES
_MOST_PARTS: Final = 2**32
_CONTEXT: Final = b"zegelpost/1/part"


@dataclass(frozen=True, slots=True)
class PartContext:
    """Where a part belongs. Authenticated with every segment, so that no part can stand in for another."""

    transfer_id: str
    document_id: str
    part_number: int

    def __post_init__(self) -> None:
        if not 0 <= self.part_number < _MOST_PARTS:
            raise ValueError("not a part number")

    @property
    def associated_data(self) -> bytes:
        return labelled(_CONTEXT, self.transfer_id, self.document_id, self.part_number.to_bytes(4, "big"))


class SegmentSlice(NamedTuple):
    """One segment: its number, where it lies in the sealed part, and where its plaintext lies in the part."""

    number: int
    sealed_start: int
    sealed_length: int
    plain_start: int
    plain_length: int
    is_last: bool


def segment_count(plain_bytes: int) -> int:
    """Segments of a part; an empty part still has one."""
    if not 0 <= plain_bytes <= MOST_PART_BYTES:
        raise ValueError("no part has this size")
    if plain_bytes <= FIRST_CAPACITY:
        return 1
    return 1 + -(-(plain_bytes - FIRST_CAPACITY) // SEGMENT_CAPACITY)


def sealed_bytes(plain_bytes: int) -> int:
    """Size of the sealed part, header included."""
    return HEADER_BYTES + plain_bytes + segment_count(plain_bytes) * TAG_BYTES


def plain_bytes(sealed: int) -> int:
    """Size of the plaintext in a sealed part of `sealed` bytes. Raises `PartTruncated` where no part has that size."""
    # A sealed segment is never just a tag, except the only one of an empty part.
    count = max(-(-sealed // SEGMENT_BYTES), 1)
    plain = sealed - HEADER_BYTES - count * TAG_BYTES
    if plain < 0 or sealed_bytes(plain) != sealed:
        raise PartTruncated
    return plain


def capacity(index: int) -> int:
    """Plaintext bytes that segment `index` can hold."""
    return SEGMENT_CAPACITY if index else FIRST_CAPACITY


def segment(index: int, plain_bytes: int) -> SegmentSlice:
    """Segment `index` of a part of `plain_bytes`."""
    last = segment_count(plain_bytes) - 1
    if not 0 <= index <= last:
        raise ValueError("no such segment")
    plain_start = 0 if index == 0 else FIRST_CAPACITY + (index - 1) * SEGMENT_CAPACITY
    plain_length = min(capacity(index), plain_bytes - plain_start)
    sealed_start = HEADER_BYTES if index == 0 else index * SEGMENT_BYTES
    return SegmentSlice(index, sealed_start, plain_length + TAG_BYTES, plain_start, plain_length, index == last)


def segments_for(start: int, stop: int, plain_bytes: int) -> list[SegmentSlice]:
    """The segments that hold plaintext `start` to `stop` of a part."""
    if not 0 <= start < stop <= plain_bytes:
        raise ValueError("not a range of this part")
    return [segment(index, plain_bytes) for index in range(_index_of(start), _index_of(stop - 1) + 1)]


def _index_of(position: int) -> int:
    return 0 if position < FIRST_CAPACITY else 1 + (position - FIRST_CAPACITY) // SEGMENT_CAPACITY


def is_header(header: bytes) -> bool:
    """Whether these bytes have a header's form: 40 of them, and the first says so."""
    return len(header) == HEADER_BYTES and header[0] == HEADER_BYTES


def require_size(plain_bytes: int, stored_bytes: int) -> None:
    """Raise `PartTruncated` or `PartExtended` unless the stored size is the one that the plaintext needs."""
    needed = sealed_bytes(plain_bytes)
    if stored_bytes < needed:
        raise PartTruncated
    if stored_bytes > needed:
        raise PartExtended


class PartSealer:
    """Seals one part, segment after segment. The header is fresh and random, so nothing is ever sealed twice under one nonce."""

    def __init__(self, key: DocumentKey, context: PartContext) -> None:
        salt = secrets.token_bytes(_SALT_BYTES)
        self._prefix = secrets.token_bytes(_PREFIX_BYTES)
        self.header = bytes([HEADER_BYTES]) + salt + self._prefix
        self._cipher = AESGCM(derive(key.material, salt=salt, info=context.associated_data))
        self._next = 0
        self._is_closed = False

    @property
    def next_capacity(self) -> int:
        """Plaintext bytes that the next segment holds; every segment but the last must be full."""
        return capacity(self._next)

    def seal_segment(self, plaintext: bytes | bytearray | memoryview, *, is_last: bool) -> bytes:
        """Seal the next segment."""
        return self._cipher.encrypt(self._take_nonce(len(plaintext), is_last=is_last), plaintext, None)

    def seal_segment_into(self, plaintext: bytes | bytearray | memoryview, out: bytearray | memoryview, *, is_last: bool) -> int:
        """Seal the next segment into `out`, one tag longer and elsewhere in memory; returns the bytes written."""
        if len(out) != len(plaintext) + TAG_BYTES:
            raise ValueError("the output is one tag longer than the plaintext")
        return self._cipher.encrypt_into(self._take_nonce(len(plaintext), is_last=is_last), plaintext, None, out)

    def _take_nonce(self, length: int, *, is_last: bool) -> bytes:
        if self._is_closed:
            raise ValueError("the last segment was sealed already")
        if length > self.next_capacity or (not is_last and length != self.next_capacity):
            raise ValueError("every segment but the last is full, and none is fuller")
        if self._next >= MOST_SEGMENTS:
            raise ValueError("the part is too long")
        nonce = _nonce(self._prefix, self._next, is_last=is_last)
        self._next += 1
        self._is_closed = is_last
        return nonce


class PartOpener:
    """Opens segments of one part in any order. The header is the one that the manifest pins, not the one found in the store."""

    def __init__(self, key: DocumentKey, context: PartContext, header: bytes) -> None:
        if not is_header(header):
            raise HeaderMalformed
        salt = header[1 : 1 + _SALT_BYTES]
        self._prefix = header[1 + _SALT_BYTES :]
        self._cipher = AESGCM(derive(key.material, salt=salt, info=context.associated_data))

    def open_segment(self, index: int, ciphertext: bytes | memoryview, *, is_last: bool) -> bytes:
        """The segment's plaintext. Raises `SegmentAltered` before any of it is visible."""
        if not 0 <= index < MOST_SEGMENTS:
            raise ValueError("no part has such a segment")
        try:
            return self._cipher.decrypt(_nonce(self._prefix, index, is_last=is_last), ciphertext, None)
        except InvalidTag:
            raise SegmentAltered from None

    def open_segment_into(self, index: int, ciphertext: memoryview, out: memoryview, *, is_last: bool) -> None:
        """The same into `out`, one tag shorter and elsewhere in memory. When it raises, `out` holds nothing to be used."""
        if not 0 <= index < MOST_SEGMENTS:
            raise ValueError("no part has such a segment")
        try:
            self._cipher.decrypt_into(_nonce(self._prefix, index, is_last=is_last), ciphertext, None, out)
        except InvalidTag:
            raise SegmentAltered from None


def _nonce(prefix: bytes, index: int, *, is_last: bool) -> bytes:
    return prefix + index.to_bytes(_COUNTER_BYTES, "big") + (b"\x01" if is_last else b"\x00")
