"""Documents from guests that are held back: kept sealed, given to nobody, until someone of ours judges them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, ForeignKey, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from zegelpost.model.base import IDENTIFIER, Base, text_of
from zegelpost.model.identifiers import DocumentId, HeldBackId, StaffUserId, TransferId
from zegelpost.model.refusals import AlreadyJudged, ReleaseNotAllowed


class HoldReason(StrEnum):
    MALWARE = "malware"  # the scanner says so
    MACROS = "macros"  # programs inside an Office document whose name promises none


class HoldOutcome(StrEnum):
    RELEASED = "released"
    REMOVED = "removed"


class HeldBack(Base):
    """Why a document was held back, and what came of it. Outlives the document: both sides go on seeing its name."""

    __tablename__ = "held_back"

    id: Mapped[HeldBackId] = mapped_column(IDENTIFIER, primary_key=True)
    transfer_id: Mapped[TransferId] = mapped_column(ForeignKey("transfer.id"), index=True)
    document_id: Mapped[DocumentId] = mapped_column(IDENTIFIER, index=True)
    # As it was sealed for the document, whose identifier belongs to its place.
    sealed_name: Mapped[bytes] = mapped_column(LargeBinary)
    length_bytes: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime]
    reason: Mapped[HoldReason] = mapped_column(text_of(HoldReason))
    # When administrators were mailed that this waits for them.
    told_at: Mapped[datetime | None]
    outcome: Mapped[HoldOutcome | None] = mapped_column(text_of(HoldOutcome))
    judged_at: Mapped[datetime | None]
    judged_by_id: Mapped[StaffUserId | None] = mapped_column(ForeignKey("staff_user.id"))

    def judge(self, outcome: HoldOutcome, *, by: StaffUserId, is_administrator: bool, now: datetime) -> None:
        """Raises `AlreadyJudged`; `ReleaseNotAllowed` when someone other than an administrator lets malware through.

        Whoever asked for a document can tell whether its macros belong there. Whether a scanner is mistaken is not for the
        person to say to whom the mail with the invoice is addressed.
        """
        if self.outcome is not None:
            raise AlreadyJudged
        if outcome == HoldOutcome.RELEASED and self.reason == HoldReason.MALWARE and not is_administrator:
            raise ReleaseNotAllowed
        self.outcome, self.judged_at, self.judged_by_id = outcome, now, by
