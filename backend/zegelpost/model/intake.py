"""Intakes: an outsider starts unasked. First an introduction, and once its mailed code was right, a transfer that is theirs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from zegelpost.model.base import DIGEST, Base
from zegelpost.model.identifiers import TransferId

INTRODUCTION_LIFETIME: Final = timedelta(hours=4)  # the page may stay open over lunch
# Longer than by SMS: mail servers that do not know us yet make the first mail wait (greylisting).
MAILED_CODE_LIFETIME: Final = timedelta(minutes=30)
MAILED_CODES: Final = 4  # for one introduction
TRIES_PER_MAILED_CODE: Final = 5
# Whoever has the mailbox is told at once, and is given a holiday to open an account; after that the address may be another's.
WAITS_FOR_ACCOUNT: Final = timedelta(days=14)
PROOF_LIFETIME: Final = timedelta(hours=2)


class Introduction(Base):
    """Who a guest says to be and for whom it is meant, until the code from their mailbox was right. Delivers nothing."""

    __tablename__ = "introduction"

    digest: Mapped[bytes] = mapped_column(DIGEST, primary_key=True)  # of the browser's cookie
    # Everything typed, under an installation key.
    sealed_words: Mapped[bytes] = mapped_column(LargeBinary)
    language: Mapped[str] = mapped_column(String(2))
    code_hash: Mapped[bytes] = mapped_column(DIGEST)
    code_sent_at: Mapped[datetime]
    code_count: Mapped[int] = mapped_column(default=1)
    try_count: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(index=True)

    def is_live(self, now: datetime) -> bool:
        return now - self.created_at < INTRODUCTION_LIFETIME


class SpentProof(Base):
    """A proof of work that was handed in. It counts once."""

    __tablename__ = "spent_proof"

    digest: Mapped[bytes] = mapped_column(DIGEST, primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)


class Intake(Base):
    """What a transfer of this kind has besides: for whom it is, and since when we know the guest's mailbox to be theirs."""

    __tablename__ = "intake"

    transfer_id: Mapped[TransferId] = mapped_column(ForeignKey("transfer.id"), primary_key=True)
    # The colleague's address as the guest typed it; nothing for a department, which stands with the transfer.
    sealed_colleague: Mapped[bytes | None] = mapped_column(LargeBinary)
    email_confirmed_at: Mapped[datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedIntroduction:
    """The form, nothing checked yet. `to` is a department's identifier, or empty for a colleague."""

    to: str = ""
    colleague: str = ""
    name: str = ""
    email: str = ""
    mobile: str = ""
    subject: str = field(default="", repr=False)
    reference: str = field(default="", repr=False)
