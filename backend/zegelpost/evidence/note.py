"""Signed notes (https://c2sp.org/signed-note) with Ed25519, and the keys that they are checked with."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from zegelpost.evidence.errors import NoteMalformed, SignatureWrong

_ED25519: Final = b"\x01"
_KEY_ID_BYTES: Final = 4
_PUBLIC_BYTES: Final = 32
_NAME: Final = re.compile(r"[^\s+]+")
_MOST_CHARACTERS: Final = 100_000
_MOST_SIGNATURES: Final = 100


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with the name under which it signs."""

    name: str
    public: bytes

    @property
    def id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:_KEY_ID_BYTES]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read the form of Go's `note` package. Raises `NoteMalformed`."""
        name, _, rest = text.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        packed = _decode(encoded)
        if not _NAME.fullmatch(name) or packed[:1] != _ED25519 or len(packed) != 1 + _PUBLIC_BYTES:
            raise NoteMalformed("this is no verifier key")
        key = cls(name, packed[1:])
        if key.id.hex() != key_id:
            raise NoteMalformed("the verifier key is damaged")
        return key


class NoteSigner:
    """Signs in one name. `seed` is the private key of RFC 8032, section 5.1.5: 32 random bytes."""

    def __init__(self, name: str, seed: bytes) -> None:
        if not _NAME.fullmatch(name):
            raise ValueError("a key's name has no spaces and no plus")
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.key = VerifierKey(name, self._private.public_key().public_bytes_raw())

    def sign(self, text: str) -> str:
        """The note of this text, which ends in a newline."""
        if not text.endswith("\n"):
            raise ValueError("a note's text ends in a newline")
        signature = base64.b64encode(self.key.id + self._private.sign(text.encode())).decode()
        return f"{text}\n— {self.key.name} {signature}\n"


def open_note(note: str, key: VerifierKey) -> str:
    """The text that this key signed. Raises `NoteMalformed`, `SignatureWrong`; signatures of other keys are ignored."""
    if len(note) > _MOST_CHARACTERS or any(c < " " and c != "\n" for c in note):
        raise NoteMalformed("this is no signed note")
    text, separator, signatures = note.rpartition("\n\n")
    lines = signatures.split("\n")
    if not separator or not text or lines[-1] or not 1 < len(lines) <= _MOST_SIGNATURES:
        raise NoteMalformed("this is no signed note")
    text += "\n"
    ours = [signature for name, signature in map(_signature, lines[:-1]) if (name, signature[:4]) == (key.name, key.id)]
    if not ours:
        raise SignatureWrong("it is not signed with this key")
    try:
        for signature in ours:
            Ed25519PublicKey.from_public_bytes(key.public).verify(signature[_KEY_ID_BYTES:], text.encode())
    except InvalidSignature:
        raise SignatureWrong("the signature does not fit the text") from None
    return text


def _signature(line: str) -> tuple[str, bytes]:
    """Name, and key ID with signature."""
    mark, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    signature = _decode(encoded)
    if mark != "—" or not _NAME.fullmatch(name) or len(signature) <= _KEY_ID_BYTES:
        raise NoteMalformed("a line under the note is no signature")
    return name, signature


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteMalformed("this is no base64") from None
