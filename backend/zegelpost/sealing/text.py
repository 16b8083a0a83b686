"""Sealing short texts and payloads: subjects, notes, names, what waits in the outbox."""

from __future__ import annotations

from typing import Final

from zegelpost.sealing.box import open_box, seal_box
from zegelpost.sealing.errors import TextAltered
from zegelpost.sealing.keys import expand, labelled

_CONTEXT: Final = b"zegelpost/1/text"


def seal_bytes(key: bytes, context: str, plain: bytes) -> bytes:
    """A box with the payload. `context` names the place, for instance `transfer/<id>/subject`, and is bound to it.

    The key (32 bytes) is narrowed to the context first, so that random nonces stay far from their bound however much one
    key seals.
    """
    bound = labelled(_CONTEXT, context)
    return seal_box(expand(key, bound), plain, context=bound)


def open_bytes(key: bytes, context: str, sealed: bytes) -> bytes:
    """The payload. Raises `TextAltered` when it was changed, moved to another place, or sealed under another key."""
    bound = labelled(_CONTEXT, context)
    return open_box(expand(key, bound), sealed, context=bound, refusal=TextAltered)


def seal_text(key: bytes, context: str, text: str) -> bytes:
    """As `seal_bytes`, of UTF-8."""
    return seal_bytes(key, context, text.encode())


def open_text(key: bytes, context: str, sealed: bytes) -> str:
    """As `open_bytes`, of UTF-8."""
    return open_bytes(key, context, sealed).decode()
