"""Wrapping the message key, so that only a certain secret, for a certain purpose and holder, opens it."""

from __future__ import annotations

from enum import Enum
from typing import Final

from zegelpost.sealing.box import VERSION, box_bytes, open_box, seal_box
from zegelpost.sealing.errors import WrapRefused
from zegelpost.sealing.keys import KEY_BYTES, MessageKey, expand, extract, labelled

_WRAP: Final = b"zegelpost/1/wrap"
_CHECK: Final = b"zegelpost/1/link-check"
_LEAST_SECRET_BYTES: Final = 16  # anything shorter was chosen by a person, not by a generator


class WrapPurpose(Enum):
    """What a wrap is for. Its number is in the wrap and is authenticated."""

    LINK = 1
    SENDER = 2
    DRAFT = 3
    GRANT = 4
    ANSWER = 5

    @property
    def head(self) -> bytes:
        """The wrap's first bytes: version and purpose."""
        return VERSION + bytes([self.value])


WRAP_BYTES: Final = box_bytes(KEY_BYTES, head=WrapPurpose.LINK.head)


def wrap_under_secret(
    message_key: MessageKey, *, purpose: WrapPurpose, secret: bytes, salt: bytes, transfer_id: str, holder_id: str, key_id: str
) -> bytes:
    """A box with the message key, under a key derived from salt and secret.

    The secret must come from a generator: this derivation is fast, so it does not protect a password.
    """
    if len(secret) < _LEAST_SECRET_BYTES:
        raise ValueError("too short to be a random secret")
    context = _context(purpose, transfer_id, holder_id, key_id)
    return seal_box(expand(extract(salt, secret), context), message_key.material, context=context, head=purpose.head)


def unwrap_under_secret(
    wrap: bytes, *, purpose: WrapPurpose, secret: bytes, salt: bytes, transfer_id: str, holder_id: str, key_id: str
) -> MessageKey:
    """The message key. Raises `WrapRefused` for whatever reason, without saying which."""
    if len(wrap) != WRAP_BYTES or not wrap.startswith(purpose.head):
        raise WrapRefused
    context = _context(purpose, transfer_id, holder_id, key_id)
    key = expand(extract(salt, secret), context)
    return MessageKey(open_box(key, wrap, context=context, refusal=WrapRefused, head=purpose.head))


def link_check(salt: bytes, secret: bytes, holder_id: str) -> bytes:
    """What recognises a link secret without opening anything. From the same extraction as the wrap's key, under another label."""
    return expand(extract(salt, secret), labelled(_CHECK, holder_id))


def _context(purpose: WrapPurpose, transfer_id: str, holder_id: str, key_id: str) -> bytes:
    return labelled(_WRAP, purpose.head, transfer_id, holder_id, key_id)
