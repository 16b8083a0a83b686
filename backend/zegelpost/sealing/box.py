"""Boxes: the one way in which small things are sealed, AES-256-GCM under a random nonce. See the format, section 4."""

from __future__ import annotations

import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from zegelpost.sealing.errors import FormatUnknown, SealBroken
from zegelpost.sealing.parts import TAG_BYTES

VERSION: Final = b"\x01"
NONCE_BYTES: Final = 12


def box_bytes(plain_bytes: int, *, head: bytes = VERSION) -> int:
    """Size of the box around `plain_bytes`."""
    return len(head) + NONCE_BYTES + plain_bytes + TAG_BYTES


def seal_box(key: bytes, plain: bytes, *, context: bytes, head: bytes = VERSION) -> bytes:
    """Head, nonce, and `plain` sealed; `context` is authenticated with it and must name the head, as each label does."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return head + nonce + AESGCM(key).encrypt(nonce, plain, context)


def open_box(key: bytes, sealed: bytes, *, context: bytes, refusal: type[SealBroken], head: bytes = VERSION) -> bytes:
    """What is in the box. Raises `FormatUnknown` for another version, and `refusal` for whatever else is wrong."""
    if len(sealed) < box_bytes(0, head=head):
        raise refusal
    if not sealed.startswith(head):
        raise refusal if sealed.startswith(VERSION) else FormatUnknown
    nonce, body = sealed[len(head) : len(head) + NONCE_BYTES], sealed[len(head) + NONCE_BYTES :]
    try:
        return AESGCM(key).decrypt(nonce, body, context)
    except InvalidTag:
        raise refusal from None
