"""Recording events: facts that happened, written in the unit of work in which they happen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.model.event import ActorKind, Event, EventTag
from zegelpost.model.identifiers import DocumentId, RecipientId, StaffUserId, TransferId


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What an event is about and who did it. Identifiers only; names and addresses are never in an event."""

    actor: ActorKind
    staff_user_id: StaffUserId | None = None
    transfer_id: TransferId | None = None
    recipient_id: RecipientId | None = None
    document_id: DocumentId | None = None


def fact(tag: EventTag, subject: Subject, now: datetime, **facts: str | int | bool | None) -> dict[str, Any]:
    """The row of an event, for whoever writes many rows at once."""
    return {
        "at": now,
        "tag": tag,
        "actor_kind": subject.actor,
        "staff_user_id": subject.staff_user_id,
        "transfer_id": subject.transfer_id,
        "recipient_id": subject.recipient_id,
        "document_id": subject.document_id,
        "facts": facts,
    }


def record(session: AsyncSession, tag: EventTag, subject: Subject, now: datetime, **facts: str | int | bool | None) -> None:
    """Add an event to the unit of work. If it cannot be written, what it tells did not happen either."""
    session.add(Event(**fact(tag, subject, now, **facts)))
