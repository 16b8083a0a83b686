"""Sealing short texts and payloads: subjects, notes, names, what waits in the outbox."""

from __future__ import annotations

import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from zegelpost.sealing.errors import FormatUnknown, TextAltered
from zegelpost.sealing.keys import expand, labelled
from zegelpost.sealing.parts import TAG_BYTES

_VERSION: Final = 1
_NONCE_BYTES: Final = 12
_CONTEXT: Final = b"zegelpost/1/text"


def seal_bytes(key: bytes, context: str, plain: bytes) -> bytes:
    """Version, nonce, and the payload sealed with AES-256-GCM. `context` names the place and is bound to it.

    The key is narrowed to the context first, so that random nonces stay far from their bound however much one key seals.
    """
    nonce = secrets.token_bytes(_NONCE_BYTES)
    bound = labelled(_CONTEXT, context)
    return bytes([_VERSION]) + nonce + AESGCM(expand(key, bound)).encrypt(nonce, plain, bound)


def open_bytes(key: bytes, context: str, sealed: bytes) -> bytes:
    """The payload. Raises `TextAltered` when it was changed, moved to another place, or sealed under another key."""
    if len(sealed) < 1 + _NONCE_BYTES + TAG_BYTES:
        raise TextAltered
    if sealed[0] != _VERSION:
        raise FormatUnknown
    bound = labelled(_CONTEXT, context)
    try:
        return AESGCM(expand(key, bound)).decrypt(sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :], bound)
    except InvalidTag:
        raise TextAltered from None


def seal_text(key: bytes, context: str, text: str) -> bytes:
    """As `seal_bytes`, of UTF-8."""
    return seal_bytes(key, context, text.encode())


def open_text(key: bytes, context: str, sealed: bytes) -> str:
    """As `open_bytes`, of UTF-8."""
    return open_bytes(key, context, sealed).decode()
