"""Second factors: what a staff user shows besides the password."""

from __future__ import annotations

import re
import secrets
from base64 import b32encode
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import JSON, BigInteger, ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from zegelpost.model.base import BLIND, DIGEST, IDENTIFIER, Base
from zegelpost.model.identifiers import FactorId, StaffUserId
from zegelpost.model.refusals import NameMissing, NameTooLong

MOST_FACTORS: Final = 10  # of one person; bounds the tries that one typed code stands for
LONGEST_FACTOR_NAME: Final = 60
STEP_SECONDS: Final = 30  # RFC 6238, section 4.1
RECOVERY_CODE_COUNT: Final = 10
_RECOVERY_CODE_BYTES: Final = 10  # 80 bits
_NOT_IN_CODES: Final = re.compile(r"[\s-]")


class FactorKind(StrEnum):
    """How the second factor was shown; the fact of an event."""

    PASSKEY = "passkey"
    APP = "app"
    RECOVERY_CODE = "recovery_code"
    PROVIDER = "provider"  # whatever the organisation's sign-in provider asks for, which is its affair


class AuthenticatorApp(Base):
    """A secret shared with an app that shows six digits, new ones every half minute (TOTP, RFC 6238)."""

    __tablename__ = "authenticator_app"

    id: Mapped[FactorId] = mapped_column(IDENTIFIER, primary_key=True)
    user_id: Mapped[StaffUserId] = mapped_column(ForeignKey("staff_user.id"), index=True)
    name: Mapped[str] = mapped_column(String(LONGEST_FACTOR_NAME))
    sealed_secret: Mapped[bytes] = mapped_column(LargeBinary)
    # The latest step that was let in. RFC 6238, section 5.2: a code is accepted once.
    last_step: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class Passkey(Base):
    """A key pair in a telephone, computer or security key (WebAuthn). We hold the public half only."""

    __tablename__ = "passkey"

    id: Mapped[FactorId] = mapped_column(IDENTIFIER, primary_key=True)
    user_id: Mapped[StaffUserId] = mapped_column(ForeignKey("staff_user.id"), index=True)
    name: Mapped[str] = mapped_column(String(LONGEST_FACTOR_NAME))
    credential_id: Mapped[bytes] = mapped_column(LargeBinary(1023), unique=True)  # WebAuthn 3, section 4: 1023 bytes at most
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    # Zero for keys that are copied between devices; a count that goes back betrays a cloned key.
    use_count: Mapped[int] = mapped_column(BigInteger)
    transports: Mapped[list[str]] = mapped_column(JSON)
    created_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class PasskeyChallenge(Base):
    """What a passkey has to sign next. One per sign-in or half sign-in, used once; `digest` is that of its token."""

    __tablename__ = "passkey_challenge"

    digest: Mapped[bytes] = mapped_column(DIGEST, primary_key=True)
    challenge: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(index=True)


class RecoveryCode(Base):
    """A code on paper for when telephone and passkey are gone. Kept as a keyed hash; works once."""

    __tablename__ = "recovery_code"

    digest: Mapped[bytes] = mapped_column(BLIND, primary_key=True)
    user_id: Mapped[StaffUserId] = mapped_column(ForeignKey("staff_user.id"), index=True)
    created_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


def new_recovery_code() -> str:
    """80 random bits in groups of four: `abcd-efgh-ijkl-mnop`. Base32 (RFC 4648) has no 0, 1 and 8 to misread."""
    code = b32encode(secrets.token_bytes(_RECOVERY_CODE_BYTES)).decode().lower()
    return "-".join(code[start : start + 4] for start in range(0, len(code), 4))


def plain_code(typed: str) -> str:
    """A typed code without the spaces and dashes that apps and paper show it with, in lower case."""
    return _NOT_IN_CODES.sub("", typed).lower()


def factor_name(typed: str) -> str:
    """The name by which its owner knows a factor. Raises `NameMissing`, `NameTooLong`."""
    name = " ".join(typed.replace("\x00", "").split())
    if not name:
        raise NameMissing
    if len(name) > LONGEST_FACTOR_NAME:
        raise NameTooLong(limit=LONGEST_FACTOR_NAME)
    return name
