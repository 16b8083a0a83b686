"""Transfers: one act of giving documents to recipients."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import ForeignKey, Index, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column

from zegelpost.model.base import BLIND, IDENTIFIER, Base, text_of
from zegelpost.model.identifiers import DepartmentId, RecipientId, StaffUserId, TransferId
from zegelpost.model.refusals import (
    FormRefused,
    NoteTooLong,
    ReferenceTooLong,
    Refusal,
    SubjectMissing,
    SubjectTooLong,
    TransferExpired,
    TransferNotDraft,
    TransferNotSent,
    TransferRevoked,
)

DRAFT_LIFETIME: Final = timedelta(days=14)
GRACE: Final = timedelta(days=14)  # after expiry, in which the sender re-opens with one click


LONGEST_SUBJECT: Final = 200  # characters
LONGEST_REFERENCE: Final = 100
LONGEST_NOTE: Final = 20_000


class TransferKind(StrEnum):
    """Who gives documents to whom, and how it began. What guests send always answers one of the other three."""

    SENDING = "sending"  # staff to recipients
    REQUEST = "request"  # staff ask one outsider; the recipient is the guest who answers
    INTAKE = "intake"  # begun by the guest, who is its recipient
    ANSWER = "answer"  # a guest to staff


class TransferState(StrEnum):
    DRAFT = "draft"
    SENT = "sent"
    REVOKED = "revoked"
    EXPIRED = "expired"
    ERASED = "erased"


# By name, and not as "all but": an index then passes by what was erased, which after a year is nearly everything.
NOT_ERASED: Final = (TransferState.DRAFT, TransferState.SENT, TransferState.REVOKED, TransferState.EXPIRED)
# Of what was sent, what is not erased: in the words of the indexes of lists.
IS_KEPT: Final = "state IN ('sent', 'revoked', 'expired')"


class Transfer(Base):
    """The message key that opens what is sealed here is itself only stored wrapped, see `services/keeping_keys.py`."""

    __tablename__ = "transfer"
    __table_args__ = (
        Index("ix_transfer_sender_state_sent", "sender_id", "state", "sent_at"),
        Index("ix_transfer_department_state_sent", "department_id", "state", "sent_at"),
        # What expires and what is to be erased. Most are erased, so their time of expiry alone finds the wrong ones.
        Index("ix_transfer_state_expires", "state", "expires_at"),
        # The list of a mailbox, by itself: what is not on the page is passed by without looking at the transfer.
        *(
            Index(
                f"ix_transfer_kept_of_{whose}", column, "kind", "sent_at", "id", sqlite_where=text(of), postgresql_where=text(of)
            )
            for whose, column, of in (
                ("sender", "sender_id", f"department_id IS NULL AND {IS_KEPT}"),
                ("department", "department_id", IS_KEPT),
            )
        ),
        # What is counted of all transfers of a period is in the index itself.
        Index("ix_transfer_sent_kind_department", "sent_at", "kind", "department_id"),
    )

    id: Mapped[TransferId] = mapped_column(IDENTIFIER, primary_key=True)
    kind: Mapped[TransferKind] = mapped_column(text_of(TransferKind), default=TransferKind.SENDING)
    # Missing when a guest sends, or when nobody of staff has looked at an intake yet.
    sender_id: Mapped[StaffUserId | None] = mapped_column(ForeignKey("staff_user.id"))
    # On whose behalf; then it is the department's, and no longer the sender's own.
    department_id: Mapped[DepartmentId | None] = mapped_column(ForeignKey("department.id"))
    # For an answer: to what, and which of its recipients sent it.
    answers_id: Mapped[TransferId | None] = mapped_column(ForeignKey("transfer.id"), index=True)
    guest_id: Mapped[RecipientId | None] = mapped_column(
        ForeignKey("recipient.id", use_alter=True, name="fk_transfer_guest_id_recipient"), index=True
    )
    state: Mapped[TransferState] = mapped_column(text_of(TransferState), default=TransferState.DRAFT)
    language: Mapped[str] = mapped_column(String(2))
    has_sender_copy: Mapped[bool]
    expires_in_days: Mapped[int]
    sealed_subject: Mapped[bytes] = mapped_column(LargeBinary)
    sealed_reference: Mapped[bytes] = mapped_column(LargeBinary)
    sealed_note: Mapped[bytes] = mapped_column(LargeBinary)
    # Keyed hash for exact search: the database alone cannot be asked which case a transfer belongs to.
    reference_index: Mapped[bytes | None] = mapped_column(BLIND, index=True)
    # Wrapped under the token of the sign-in that made the draft; dropped when the transfer is sent.
    draft_wrap: Mapped[bytes | None] = mapped_column(LargeBinary)
    sender_wrap: Mapped[bytes | None] = mapped_column(LargeBinary)
    # Of an answer: wrapped under the key of what it answers, so that the guest's own link also opens what they sent.
    guest_wrap: Mapped[bytes | None] = mapped_column(LargeBinary)
    # Once a hold tied it to a later week: the salt of that wrap from the week it was made in, sealed under the later week.
    carried_salt: Mapped[bytes | None] = mapped_column(LargeBinary)
    week: Mapped[str | None] = mapped_column(String(8), index=True)
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    # Since when a legal hold keeps it from being erased, as far as a sweep has seen.
    held_at: Mapped[datetime | None] = mapped_column(index=True)
    erased_at: Mapped[datetime | None]
    # When the sender was told that nobody opened it, and that it expires soon.
    unopened_told_at: Mapped[datetime | None]
    expiring_told_at: Mapped[datetime | None]

    def require_draft(self) -> None:
        if self.state != TransferState.DRAFT:
            raise TransferNotDraft

    def require_sent(self) -> None:
        """For what senders do afterwards: also within the grace period after expiry."""
        if self.state not in {TransferState.SENT, TransferState.EXPIRED}:
            raise TransferNotSent

    def require_open(self, now: datetime) -> None:
        """For what recipients do. Time decides, not whether a worker has already changed the state."""
        if self.state == TransferState.REVOKED:
            raise TransferRevoked
        if self.state != TransferState.SENT or self.expires_at is None or now >= self.expires_at:
            raise TransferExpired


@dataclass(frozen=True, slots=True)
class TransferText:
    """What the sender wrote: sealed under the message key, so never in a log, a mail or a header."""

    subject: str = field(repr=False)
    reference: str = field(repr=False)
    note: str = field(repr=False)

    @classmethod
    def parse(cls, *, subject: str, reference: str, note: str) -> TransferText:
        """Check lengths and trim; raise `FormRefused` with every field that was refused."""
        text = cls(" ".join(subject.split()), " ".join(reference.split()), note.replace("\r\n", "\n").strip())
        refused: dict[str, Refusal] = {}
        if not text.subject:
            refused["subject"] = SubjectMissing()
        if len(text.subject) > LONGEST_SUBJECT:
            refused["subject"] = SubjectTooLong(limit=LONGEST_SUBJECT)
        if len(text.reference) > LONGEST_REFERENCE:
            refused["reference"] = ReferenceTooLong(limit=LONGEST_REFERENCE)
        if len(text.note) > LONGEST_NOTE:
            refused["note"] = NoteTooLong(limit=LONGEST_NOTE)
        if refused:
            raise FormRefused(refused)
        return text


def receipt_number(transfer_id: TransferId) -> str:
    """What people call a transfer on the telephone: the first eight characters, in two groups. Opens nothing."""
    return f"{transfer_id[:4]}-{transfer_id[4:8]}".upper()


def week_of(moment: datetime) -> str:
    """The ISO 8601 week in which something expires; its keys are destroyed when the week and the grace period are over."""
    year, week, _ = moment.isocalendar()
    return f"{year}-W{week:02d}"
