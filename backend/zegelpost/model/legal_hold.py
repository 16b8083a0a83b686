"""Legal holds: what may not be erased for now, because a court, an inquiry or a law asks for it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import ForeignKey, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from zegelpost.model.base import IDENTIFIER, Base, text_of
from zegelpost.model.email_address import EmailAddress
from zegelpost.model.identifiers import HoldId, StaffUserId
from zegelpost.model.refusals import (
    EmailAddressInvalid,
    FormRefused,
    HoldReasonMissing,
    HoldSubjectMissing,
    ReasonTooLong,
    ReferenceTooLong,
    Refusal,
)
from zegelpost.model.transfer import LONGEST_REFERENCE

LONGEST_REASON: Final = 200


class HoldKind(StrEnum):
    """What a hold goes by."""

    TRANSFER = "transfer"  # one, and what answers it
    REFERENCE = "reference"  # every transfer with this reference, also later ones
    PERSON = "person"  # everything to, from or by this address, also later


class LegalHold(Base):
    """It keeps from being erased, and gives nobody anything to open."""

    __tablename__ = "legal_hold"

    id: Mapped[HoldId] = mapped_column(IDENTIFIER, primary_key=True)
    kind: Mapped[HoldKind] = mapped_column(text_of(HoldKind))
    # What it goes by and why, sealed under an installation key. Keyed hashes of it are made when they are needed.
    sealed_words: Mapped[bytes] = mapped_column(LargeBinary)
    until: Mapped[datetime | None]
    placed_at: Mapped[datetime]
    placed_by_id: Mapped[StaffUserId] = mapped_column(ForeignKey("staff_user.id"))
    lifted_at: Mapped[datetime | None] = mapped_column(index=True)
    lifted_by_id: Mapped[StaffUserId | None] = mapped_column(ForeignKey("staff_user.id"))


@dataclass(frozen=True, slots=True)
class HoldWords:
    """`what` is an identifier or receipt number, a reference, or an address."""

    what: str = field(repr=False)
    reason: str = field(repr=False)

    @classmethod
    def parse(cls, kind: HoldKind, what: str, reason: str) -> HoldWords:
        """Raises `FormRefused` that names each field."""
        what, reason = " ".join(what.split()), " ".join(reason.split())
        refused: dict[str, Refusal] = {}
        if not what:
            refused["what"] = HoldSubjectMissing()
        elif kind == HoldKind.PERSON:
            try:
                what = EmailAddress.parse(what).comparable
            except EmailAddressInvalid as refusal:
                refused["what"] = refusal
        elif len(what) > LONGEST_REFERENCE:
            refused["what"] = ReferenceTooLong(limit=LONGEST_REFERENCE)
        if not reason:
            refused["reason"] = HoldReasonMissing()
        if len(reason) > LONGEST_REASON:
            refused["reason"] = ReasonTooLong(limit=LONGEST_REASON)
        if refused:
            raise FormRefused(refused)
        return cls(what, reason)

    def to_json(self) -> str:
        return json.dumps({"what": self.what, "reason": self.reason})

    @classmethod
    def from_json(cls, text: str) -> HoldWords:
        return cls(**json.loads(text))
