"""Judging what was held back: a guest's document goes through after all, or its bytes are removed.

Neither needs to read anything: the document stays sealed under its transfer's key, and only its state decides whether those
who hold that key are handed it. That is why an administrator, who sees no post of anyone, can judge too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.clock import Clock
from zegelpost.model.document import Document, DocumentState
from zegelpost.model.event import EventTag
from zegelpost.model.held_back import HeldBack, HoldOutcome, HoldReason
from zegelpost.model.identifiers import DocumentId
from zegelpost.model.refusals import AlreadyJudged, NotFound
from zegelpost.model.transfer import Transfer, TransferState, receipt_number
from zegelpost.services.access import StaffActor, held_back_of, held_back_of_anyone, received_transfer
from zegelpost.services.completing import remove_document
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.presenting import Presenting
from zegelpost.services.recording import record

_MOST_LISTED = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What an administrator sees of a document that waits for a verdict: no name, no subject, no content."""

    document_id: DocumentId
    number: str
    at: datetime
    reason: HoldReason
    length_bytes: int
    sender_email: str = field(repr=False)


class JudgingHeld:
    def __init__(self, database: Database, keeping_keys: KeepingKeys, presenting: Presenting, clock: Clock) -> None:
        self._database = database
        self._keys = keeping_keys
        self._presenting = presenting
        self._clock = clock

    async def waiting(self, actor: StaffActor) -> Sequence[Held]:
        """All that waits in the organisation, oldest first, for administrators; to others it does not exist."""
        if not actor.user.is_administrator:
            raise NotFound
        async with self._database.reading() as session:
            rows = await session.execute(
                select(HeldBack, Transfer)
                .join(Transfer, Transfer.id == HeldBack.transfer_id)
                .where(HeldBack.outcome.is_(None), Transfer.state == TransferState.SENT, Transfer.expires_at > self._clock())
                .order_by(HeldBack.at, HeldBack.id)
                .limit(_MOST_LISTED)
            )
            return [
                Held(
                    document_id=held.document_id,
                    number=receipt_number(transfer.id),
                    at=held.at,
                    reason=held.reason,
                    length_bytes=held.length_bytes,
                    sender_email=(await self._presenting.sender_of(session, transfer)).email,
                )
                for held, transfer in rows.all()
            ]

    async def judge_received(self, actor: StaffActor, transfer_id: str, document_id: str, outcome: HoldOutcome) -> None:
        """By someone who received it. Raises `NotFound`, `AlreadyJudged`, `ReleaseNotAllowed`."""
        index = self._keys.index("email", actor.user.email)
        async with self._database.work() as session:
            transfer, _ = await received_transfer(session, actor, index, transfer_id, self._clock())
            held = await held_back_of(session, transfer, document_id)
            await self._judge(session, actor, transfer, held, outcome)

    async def judge_any(self, actor: StaffActor, document_id: str, outcome: HoldOutcome) -> None:
        """By an administrator. Raises `NotFound`, `AlreadyJudged`."""
        async with self._database.work() as session:
            held, transfer = await held_back_of_anyone(session, actor, document_id)
            transfer.require_open(self._clock())
            await self._judge(session, actor, transfer, held, outcome)

    async def _judge(
        self, session: AsyncSession, actor: StaffActor, transfer: Transfer, held: HeldBack, outcome: HoldOutcome
    ) -> None:
        now = self._clock()
        held.judge(outcome, by=actor.user.id, is_administrator=actor.user.is_administrator, now=now)
        document = await session.get(Document, held.document_id, with_for_update=True)
        if document is None or document.state != DocumentState.HELD:
            raise AlreadyJudged
        subject = actor.subject(transfer, document_id=document.id)
        if outcome == HoldOutcome.RELEASED:
            document.state = DocumentState.COMPLETE
            record(session, EventTag.DOCUMENT_RELEASED, subject, now, reason=held.reason.value)
        else:
            await remove_document(session, document, now)
            record(session, EventTag.DOCUMENT_DISCARDED, subject, now, reason=held.reason.value)
