"""Events: facts that happened, append-only."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Integer
from sqlalchemy.orm import Mapped, mapped_column

from zegelpost.model.base import IDENTIFIER, Base, text_of
from zegelpost.model.identifiers import DocumentId, RecipientId, StaffUserId, TransferId


class EventTag(StrEnum):
    """`subject:action`, past tense, a closed set; `backend/docs/events.md` says what each means."""

    TRANSFER_CREATED = "transfer:created"
    TRANSFER_CHANGED = "transfer:changed"
    TRANSFER_SENT = "transfer:sent"
    TRANSFER_REVOKED = "transfer:revoked"
    TRANSFER_EXTENDED = "transfer:extended"
    TRANSFER_EXPIRED = "transfer:expired"
    TRANSFER_ERASED = "transfer:erased"
    TRANSFER_RETAINED = "transfer:retained"
    TRANSFER_RELEASED = "transfer:released"
    TRANSFER_HANDLED = "transfer:handled"
    TRANSFER_REOPENED = "transfer:reopened"
    TRANSFER_FORWARDED = "transfer:forwarded"
    TRANSFER_REASSIGNED = "transfer:reassigned"
    DOCUMENT_COMPLETED = "document:completed"
    DOCUMENT_REFUSED = "document:refused"
    DOCUMENT_REMOVED = "document:removed"
    DOCUMENT_QUARANTINED = "document:quarantined"
    DOCUMENT_RELEASED = "document:released"
    DOCUMENT_DISCARDED = "document:discarded"
    DOCUMENT_CONSULTED = "document:consulted"
    DOCUMENT_DOWNLOADED = "document:downloaded"
    ARCHIVE_CONSULTED = "archive:consulted"
    ARCHIVE_DOWNLOADED = "archive:downloaded"
    RECIPIENT_BLOCKED = "recipient:blocked"
    RECIPIENT_PARKED = "recipient:parked"
    RECIPIENT_COMPLETED = "recipient:completed"
    RECIPIENT_REMINDED = "recipient:reminded"
    RECIPIENT_HELP_ASKED = "recipient:help_asked"
    ANSWER_RECEIVED = "answer:received"
    ANSWER_REVOKED = "answer:revoked"
    INTAKE_ASKED = "intake:asked"
    INTAKE_OPENED = "intake:opened"
    ITEM_ACCEPTED = "item:accepted"
    ITEM_RETURNED = "item:returned"
    REQUEST_CLOSED = "request:closed"
    REQUEST_REOPENED = "request:reopened"
    LINK_REISSUED = "link:reissued"
    LINK_RECOGNISED = "link:recognised"
    LINK_LOCKED = "link:locked"
    CODE_REQUESTED = "code:requested"
    CODE_FAILED = "code:failed"
    CODE_VERIFIED = "code:verified"
    DEVICE_REMEMBERED = "device:remembered"
    DEVICE_RECOGNISED = "device:recognised"
    DEVICE_REMOVED = "device:removed"
    MAIL_ACCEPTED = "mail:accepted"
    MAIL_FAILED = "mail:failed"
    MAIL_DELAYED = "mail:delayed"
    MAIL_BOUNCED = "mail:bounced"
    SMS_ACCEPTED = "sms:accepted"
    SMS_FAILED = "sms:failed"
    SMS_DELIVERED = "sms:delivered"
    SMS_UNDELIVERED = "sms:undelivered"
    CALL_ACCEPTED = "call:accepted"
    CALL_FAILED = "call:failed"
    CALL_ANSWERED = "call:answered"
    CALL_MISSED = "call:missed"
    DEPARTMENT_OPENED = "department:opened"
    DEPARTMENT_CHANGED = "department:changed"
    DEPARTMENT_CLOSED = "department:closed"
    MEMBER_ADDED = "member:added"
    MEMBER_CHANGED = "member:changed"
    MEMBER_REMOVED = "member:removed"
    CONTACT_ADDED = "contact:added"
    CONTACT_CHANGED = "contact:changed"
    CONTACT_REMOVED = "contact:removed"
    CONTACTS_IMPORTED = "contacts:imported"
    CONTACTS_EXPORTED = "contacts:exported"
    ADDRESS_BOOK_CHANGED = "address_book:changed"
    ADDRESS_BOOK_SWITCHED = "address_book:switched"
    ADDRESS_BOOK_RESTARTED = "address_book:restarted"
    SIGN_IN_SUCCEEDED = "sign_in:succeeded"
    SIGN_IN_FAILED = "sign_in:failed"
    SIGN_IN_ENDED = "sign_in:ended"
    SIGN_IN_ALL_ENDED = "sign_in:all_ended"
    ACCOUNT_ASKED = "account:asked"
    ACCOUNT_OPENED = "account:opened"
    ACCOUNT_JOINED = "account:joined"
    ACCOUNT_CLOSED = "account:closed"
    ACCOUNT_REOPENED = "account:reopened"
    ACCOUNT_RIGHTS_CHANGED = "account:rights_changed"
    ACCOUNT_RELIEVED = "account:relieved"
    ACCOUNT_ENTRUSTED = "account:entrusted"
    POLICY_CHANGED = "policy:changed"
    PASSWORD_LINK_ASKED = "password:link_asked"  # noqa: S105 - the word, not one
    PASSWORD_CHANGED = "password:changed"  # noqa: S105
    SECOND_FACTOR_ADDED = "second_factor:added"
    SECOND_FACTOR_REMOVED = "second_factor:removed"
    SECOND_FACTOR_FAILED = "second_factor:failed"
    RECOVERY_CODES_RENEWED = "recovery_codes:renewed"
    PERSON_CONSULTED = "person:consulted"
    PERSON_EXPORTED = "person:exported"
    PERSON_ERASED = "person:erased"
    HOLD_PLACED = "hold:placed"
    HOLD_LIFTED = "hold:lifted"
    KEYS_ROTATED = "keys:rotated"
    DATABASE_RESTORED = "database:restored"
    KEY_RING_RESTORED = "key_ring:restored"
    AUDIT_ERASED = "audit:erased"
    AUDIT_VIEWED = "audit:viewed"
    AUDIT_EXPORTED = "audit:exported"


class ActorKind(StrEnum):
    STAFF = "staff"
    RECIPIENT = "recipient"
    GUEST = "guest"
    SYSTEM = "system"
    STRANGER = "stranger"


class Event(Base):
    __tablename__ = "event"

    # SQLite only numbers by itself for INTEGER.
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)
    at: Mapped[datetime]
    tag: Mapped[EventTag] = mapped_column(text_of(EventTag))
    actor_kind: Mapped[ActorKind] = mapped_column(text_of(ActorKind))
    staff_user_id: Mapped[StaffUserId | None] = mapped_column(ForeignKey("staff_user.id"), index=True)
    transfer_id: Mapped[TransferId | None] = mapped_column(ForeignKey("transfer.id"), index=True)
    recipient_id: Mapped[RecipientId | None] = mapped_column(ForeignKey("recipient.id"))
    document_id: Mapped[DocumentId | None] = mapped_column(IDENTIFIER)
    facts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
