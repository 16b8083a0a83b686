"""Checkpoints (https://c2sp.org/tlog-checkpoint): the size and root of the tree, signed."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Final

from zegelpost.evidence.errors import NoteMalformed
from zegelpost.evidence.note import NoteSigner, VerifierKey, open_note
from zegelpost.evidence.tree import HASH_BYTES

_FEWEST_LINES: Final = 3


@dataclass(frozen=True, slots=True)
class Checkpoint:
    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    def signed(self, signer: NoteSigner) -> str:
        """The note. The key's name is the origin, as the specification recommends."""
        if signer.key.name != self.origin:
            raise ValueError("a checkpoint is signed in the name of its origin")
        return signer.sign(self.text())

    @classmethod
    def open(cls, note: str, key: VerifierKey) -> Checkpoint:
        """Read a note that this key signed. Raises `NoteMalformed`, `SignatureWrong`."""
        lines = open_note(note, key).removesuffix("\n").split("\n")
        if len(lines) < _FEWEST_LINES or not all(lines):
            raise NoteMalformed("this is no checkpoint")
        origin, size, encoded = lines[:3]
        try:
            root = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raise NoteMalformed("this checkpoint has no root") from None
        if not (size.isascii() and size.isdecimal()) or str(int(size)) != size or len(root) != HASH_BYTES:
            raise NoteMalformed("this checkpoint has no size or no root")
        if origin != key.name:
            raise NoteMalformed("this checkpoint is of another record")
        return cls(origin, int(size), root)
