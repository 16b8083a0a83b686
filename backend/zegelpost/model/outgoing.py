"""Outgoing mail and SMS: what waits in the outbox."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from sqlalchemy import ForeignKey, Index, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column

from zegelpost.model.base import IDENTIFIER, Base, text_of
from zegelpost.model.identifiers import ChallengeId, OutgoingId, RecipientId, TransferId

# Back-off between attempts. A mail server that is down for a weekend is not the sender's problem.
RETRY_AFTER: Final = tuple(timedelta(seconds=s) for s in (10, 30, 60, 120, 300, 600, 900, 1800))
GIVE_UP_AFTER: Final = timedelta(days=3)
LEASE: Final = timedelta(minutes=5)  # longer than every time-out of the gateways together
# From someone's own mailbox so many times; then by the relay, as people wait for the link.
MOST_MAILBOX_TRIES: Final = 4
LONGEST_MAILBOX_PAUSE: Final = timedelta(minutes=5)
OUTBOX_KEYS_KEPT: Final = timedelta(days=4)
# Servers give up after four or five days (RFC 5321, section 4.5.4.1) and say so. After that, silence means that it arrived.
DELAY_LASTS: Final = timedelta(days=5)
_STATUS_IN_REPLY: Final = re.compile(r"(?<![\d.])[245]\.(\d{1,3})\.(\d{1,3})(?![\d.])")


class OutgoingKind(StrEnum):
    MAIL = "mail"
    SMS = "sms"
    CALL = "call"  # a telephone call in which a code is read out


IS_KEPT_CALL: Final = "kind = 'call' AND sealed_payload IS NOT NULL"


class OutgoingState(StrEnum):
    WAITING = "waiting"
    SENDING = "sending"
    ACCEPTED = "accepted"
    FAILED = "failed"  # permanently, or given up
    BOUNCED = "bounced"  # a mail server took it, and could not deliver it
    UNKNOWN = "unknown"  # an SMS or a call that may have left; never tried again


class MailFault(StrEnum):
    """Why a mail does not arrive, as far as its sender can do something about it; each has its own sentence."""

    ADDRESS = "address"
    FULL = "full"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"

    @classmethod
    def of(cls, failure: str | None) -> MailFault:
        """From the enhanced status code (RFC 3463, section 3) in what we keep of a failure. In doubt it is the address."""
        found = _STATUS_IN_REPLY.search(failure or "")
        if found is None:
            return cls.ADDRESS
        if found.groups() in {("2", "2"), ("2", "3")}:
            # 5.2.3: longer than the mailbox takes, and ours are a few thousand bytes.
            return cls.FULL
        return {"4": cls.UNREACHABLE, "7": cls.REFUSED}.get(found[1], cls.ADDRESS)


class CarrierState(StrEnum):
    """What the provider said afterwards about a code that it took. `DELIVERED` is the telephone company's word, no proof."""

    SENT = "sent"  # left the provider
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"

    @property
    def earlier(self) -> tuple[CarrierState, ...]:
        """What this may follow, besides nothing: reports come twice and in any order, and a later state never goes back."""
        return () if self == CarrierState.SENT else (CarrierState.SENT,)


class CodeState(StrEnum):
    """How far a code has come on its way to a telephone."""

    WAITING = "waiting"
    UNKNOWN = "unknown"  # it may have left
    HANDED_OVER = "handed_over"  # to the provider
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"  # the telephone company could not
    FAILED = "failed"  # it never left


class Purpose(StrEnum):
    """Which notice it is; one function in `services/composing.py` writes each."""

    INVITATION = "invitation"
    COLLEAGUE_INVITATION = "colleague_invitation"
    NEW_LINK = "new_link"
    REQUEST = "request"
    REQUEST_REMINDER = "request_reminder"
    REQUEST_NEW_LINK = "request_new_link"
    ITEM_SENT_BACK = "item_sent_back"
    INTAKE_CODE = "intake_code"
    INTAKE_OPENED = "intake_opened"
    ANSWER_RECEIVED = "answer_received"
    ANSWER_RECEIPT = "answer_receipt"
    REMINDER = "reminder"
    SENT_COPY = "sent_copy"
    REVOKED = "revoked"
    DEVICE_REMEMBERED = "device_remembered"
    CODE = "code"
    LINK_LOCKED = "link_locked"
    HELP_ASKED = "help_asked"
    NOTICE_DOWNLOADED = "notice_downloaded"
    NOTICE_UNOPENED = "notice_unopened"
    NOTICE_EXPIRING = "notice_expiring"
    PARKED = "parked"
    HELD_WAITING = "held_waiting"
    HELD_JUDGED = "held_judged"
    HELD_RECEIPT = "held_receipt"
    DELIVERY_FAILED = "delivery_failed"
    ALARM = "alarm"
    CHECKPOINT = "checkpoint"
    ACCOUNT_CONFIRM = "account_confirm"
    ACCOUNT_EXISTS = "account_exists"
    ACCOUNT_MISSING = "account_missing"
    ACCOUNT_CHANGED = "account_changed"
    PASSWORD_LINK = "password_link"  # noqa: S105 - the word, not one


# Somebody sits and waits for these: they go before all others, and by themselves.
WAITED_FOR: Final = frozenset({Purpose.CODE, Purpose.INTAKE_CODE})


@dataclass(frozen=True, slots=True)
class Prices:
    """What one code costs, in euros; nothing where nobody said so."""

    of_sms: Decimal | None = None
    of_call: Decimal | None = None


class Outgoing(Base):
    __tablename__ = "outgoing"
    __table_args__ = (
        Index("ix_outgoing_state_due", "state", "due_at"),
        # The few calls that nobody told the end of.
        Index("ix_outgoing_call_kept", "useless_after", sqlite_where=text(IS_KEPT_CALL), postgresql_where=text(IS_KEPT_CALL)),
    )

    id: Mapped[OutgoingId] = mapped_column(IDENTIFIER, primary_key=True)
    kind: Mapped[OutgoingKind] = mapped_column(text_of(OutgoingKind))
    purpose: Mapped[Purpose] = mapped_column(text_of(Purpose))
    transfer_id: Mapped[TransferId | None] = mapped_column(ForeignKey("transfer.id"), index=True)
    recipient_id: Mapped[RecipientId | None] = mapped_column(ForeignKey("recipient.id"), index=True)
    challenge_id: Mapped[ChallengeId | None] = mapped_column(ForeignKey("challenge.id"), unique=True)
    state: Mapped[OutgoingState] = mapped_column(text_of(OutgoingState), default=OutgoingState.WAITING)
    # Address and finished bytes, sealed under that day's outbox secret, blanked once accepted: they hold links and codes.
    sealed_payload: Mapped[bytes | None] = mapped_column(LargeBinary)
    day: Mapped[str] = mapped_column(String(10))
    created_at: Mapped[datetime]
    due_at: Mapped[datetime]
    useless_after: Mapped[datetime]
    attempt_count: Mapped[int] = mapped_column(default=0)
    # Fencing: a worker that lost its lease finds another's mark here and does not record an outcome.
    worker: Mapped[str | None] = mapped_column(IDENTIFIER)
    leased_until: Mapped[datetime | None]
    accepted_at: Mapped[datetime | None]
    acceptance: Mapped[str | None] = mapped_column(String(200))
    failure: Mapped[str | None] = mapped_column(String(200))
    # When a server told that it took the mail and could not deliver it yet.
    delayed_at: Mapped[datetime | None]
    carrier_state: Mapped[CarrierState | None] = mapped_column(text_of(CarrierState))
    carrier_told_at: Mapped[datetime | None]
    carrier_failure: Mapped[str | None] = mapped_column(String(32))  # a class of `SmsErrorKind`

    @property
    def code_state(self) -> CodeState:
        """Of a code: what the telephone company says counts for more than what we saw when it was handed over."""
        if self.carrier_state == CarrierState.DELIVERED:
            return CodeState.DELIVERED
        if self.carrier_state == CarrierState.UNDELIVERED:
            return CodeState.UNDELIVERED
        if self.carrier_state == CarrierState.SENT:
            return CodeState.HANDED_OVER
        return _CODE_STATES[self.state]


_CODE_STATES: Final = {
    OutgoingState.WAITING: CodeState.WAITING,
    OutgoingState.SENDING: CodeState.WAITING,
    OutgoingState.ACCEPTED: CodeState.HANDED_OVER,
    OutgoingState.UNKNOWN: CodeState.UNKNOWN,
    OutgoingState.FAILED: CodeState.FAILED,
}
