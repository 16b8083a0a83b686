"""Secrets that do not show themselves in logs and tracebacks."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Self


@dataclass(frozen=True, slots=True)
class SecretToken:
    """A random bearer secret (256 bits) that lives with its holder; we keep only its digest.

    Used for staff sign-ins, API access tokens and the cookies of recipients.
    """

    value: str = field(repr=False)

    @classmethod
    def generate(cls) -> Self:
        return cls(secrets.token_urlsafe(32))

    @property
    def digest(self) -> bytes:
        """SHA-256 of the token: what the database stores, useless without the token itself."""
        return hashlib.sha256(self.value.encode()).digest()

    @property
    def key_material(self) -> bytes:
        """Bytes for key derivation; domain-separated from `digest`, which is public to the database."""
        return hashlib.sha512(b"zegelpost token key\x00" + self.value.encode()).digest()
