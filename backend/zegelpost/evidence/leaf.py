"""Leaves: what of an event goes into the tree, and what stays outside so that it can be erased (sections 2 and 3)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

VERSION: Final = 1
SALT_BYTES: Final = 32


def plain_json(value: Any) -> str:
    """JSON that can be written in one way only (section 1)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def personal_part(*, staff: str | None, recipient: str | None, facts: Mapping[str, str | int | bool | None]) -> str:
    """Who it was, and the facts of it."""
    return plain_json({"facts": facts, "recipient": recipient, "staff": staff})


def commitment(salt: bytes, personal: str) -> bytes:
    """What of the personal part is in the leaf. Without the salt it tells nothing."""
    if len(salt) != SALT_BYTES:
        raise ValueError("a salt of another length")
    return sha256(salt + personal.encode("ascii")).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    position: int
    event: int
    at: datetime
    tag: str
    actor: str
    transfer: str | None
    document: str | None
    personal: bytes  # the commitment

    def text(self) -> str:
        """To the byte what is hashed; ASCII."""
        return plain_json(
            {
                "actor": self.actor,
                "at": moment(self.at),
                "document": self.document,
                "event": self.event,
                "personal": self.personal.hex(),
                "position": self.position,
                "tag": self.tag,
                "transfer": self.transfer,
                "v": VERSION,
            }
        )


def positions_in(text: str) -> list[int]:
    """Places as an event `person:erased` names them: `3-7,9`. What is not written so names none."""
    found: list[int] = []
    for piece in filter(None, text.split(",")):
        first, _, last = piece.partition("-")
        if not (first.isascii() and first.isdecimal() and (not last or (last.isascii() and last.isdecimal()))):
            return []
        found += range(int(first), int(last or first) + 1)
    return found
