"""Wrapping the message key, so that only a certain secret, for a certain purpose and holder, opens it."""

from __future__ import annotations

import secrets
from enum import Enum
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from zegelpost.sealing.errors import WrapRefused
from zegelpost.sealing.keys import KEY_BYTES, MessageKey, expand, extract, labelled
from zegelpost.sealing.parts import TAG_BYTES

_VERSION: Final = 1
_NONCE_BYTES: Final = 12
_WRAP: Final = b"zegelpost/1/wrap"
_CHECK: Final = b"zegelpost/1/link-check"
WRAP_BYTES: Final = 2 + _NONCE_BYTES + KEY_BYTES + TAG_BYTES


class WrapPurpose(Enum):
    """What a wrap is for. Its number is in the wrap and is authenticated."""

    LINK = 1
    SENDER = 2
    DRAFT = 3
    GRANT = 4


def wrap_under_secret(
    message_key: MessageKey, *, purpose: WrapPurpose, secret: bytes, salt: bytes, transfer_id: str, holder_id: str, key_id: str
) -> bytes:
    """Version, purpose, nonce, and the key sealed with AES-256-GCM under a key derived from salt and secret."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    context = _context(purpose, transfer_id, holder_id, key_id)
    cipher = AESGCM(expand(extract(salt, secret), context))
    return bytes([_VERSION, purpose.value]) + nonce + cipher.encrypt(nonce, message_key.material, context)


def unwrap_under_secret(
    wrap: bytes, *, purpose: WrapPurpose, secret: bytes, salt: bytes, transfer_id: str, holder_id: str, key_id: str
) -> MessageKey:
    """The message key. Raises `WrapRefused` for whatever reason, without saying which."""
    if len(wrap) != WRAP_BYTES or wrap[:2] != bytes([_VERSION, purpose.value]):
        raise WrapRefused
    context = _context(purpose, transfer_id, holder_id, key_id)
    cipher = AESGCM(expand(extract(salt, secret), context))
    try:
        return MessageKey(cipher.decrypt(wrap[2 : 2 + _NONCE_BYTES], wrap[2 + _NONCE_BYTES :], context))
    except InvalidTag:
        raise WrapRefused from None


def link_check(salt: bytes, secret: bytes, holder_id: str) -> bytes:
    """What recognises a link secret without opening anything. From the same extraction as the wrap's key, under another label."""
    return expand(extract(salt, secret), labelled(_CHECK, holder_id))


def _context(purpose: WrapPurpose, transfer_id: str, holder_id: str, key_id: str) -> bytes:
    return labelled(_WRAP, bytes([_VERSION, purpose.value]), transfer_id, holder_id, key_id)
