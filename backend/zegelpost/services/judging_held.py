"""Judging what was held back: a guest's document goes through after all, or its bytes are removed.

Neither needs to read anything: the document stays sealed under its transfer's key, and only its state decides whether those
who hold that key are handed it. That is why an administrator, who sees no post of anyone, can judge too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Select, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.clock import Clock
from zegelpost.model.document import Document, DocumentState
from zegelpost.model.email_address import EmailAddress
from zegelpost.model.event import EventTag
from zegelpost.model.held_back import HeldBack, HoldOutcome, HoldReason
from zegelpost.model.identifiers import DocumentId
from zegelpost.model.outgoing import Purpose
from zegelpost.model.recipient import Recipient
from zegelpost.model.refusals import AlreadyJudged
from zegelpost.model.transfer import Transfer, TransferState, receipt_number
from zegelpost.services.access import StaffActor, held_back_of, held_back_of_anyone, received_transfer, require_administrator
from zegelpost.services.alarming import administrators
from zegelpost.services.completing import remove_document
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.notifying import Notifying
from zegelpost.services.presenting import Correspondent, Presenting
from zegelpost.services.recording import record

_MOST_LISTED: Final = 200
_TOLD_EVERY: Final = timedelta(hours=1)


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
    def __init__(
        self,
        database: Database,
        keeping_keys: KeepingKeys,
        notifying: Notifying,
        presenting: Presenting,
        base_url: str,
        clock: Clock,
    ) -> None:
        self._database = database
        self._keys = keeping_keys
        self._notifying = notifying
        self._presenting = presenting
        self._base_url = base_url
        self._clock = clock

    async def tell_waiting(self) -> int:
        """Mail administrators that something waits which only they can judge; returns how many documents that is new of.

        At most once in `_TOLD_EVERY`, for all that came meanwhile: who sends a hundred viruses must not send a hundred mails.
        Whoever received macros judges those, and was told when they came.
        """
        now = self._clock()
        async with self._database.reading() as session:
            if await session.scalar(select(HeldBack.id).where(HeldBack.told_at > now - _TOLD_EVERY).limit(1)):
                return 0
        async with self._database.work() as session:
            people = await administrators(session)
            found = await session.execute(_waiting(now).where(HeldBack.reason == HoldReason.MALWARE))
            waiting = [held.id for held, _ in found.all()]
            # Two workers may come here at once: the mark is whose it is to tell.
            marked = await session.scalars(
                update(HeldBack)
                .where(HeldBack.id.in_(waiting if people else []), HeldBack.told_at.is_(None))
                .values(told_at=now)
                .returning(HeldBack.id)
                .execution_options(synchronize_session=False)
            )
            new_count = len(marked.all())
            for user in people if new_count else []:
                self._notifying.queue_mail(
                    session,
                    Purpose.HELD_WAITING,
                    EmailAddress.parse(user.email),
                    user.language,
                    name=user.name,
                    count=len(waiting),
                    link=f"{self._base_url}/admin/quarantine",
                )
        return new_count

    async def waiting(self, actor: StaffActor) -> Sequence[Held]:
        """All that waits in the organisation, oldest first, for administrators; to others it does not exist."""
        require_administrator(actor)
        async with self._database.reading() as session:
            rows = await session.execute(_waiting(self._clock()))
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
            transfer, mine = await received_transfer(session, actor, index, transfer_id, self._clock())
            held = await held_back_of(session, transfer, document_id)
            await self._judge(session, actor, transfer, held, outcome)
            await self._tell(session, actor, transfer, held, told_already=mine)

    async def judge_any(self, actor: StaffActor, document_id: str, outcome: HoldOutcome) -> None:
        """By an administrator. Raises `NotFound`, `AlreadyJudged`."""
        async with self._database.work() as session:
            held, transfer = await held_back_of_anyone(session, actor, document_id)
            transfer.require_open(self._clock())
            await self._judge(session, actor, transfer, held, outcome)
            await self._tell(session, actor, transfer, held, told_already=None)

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

    async def _tell(
        self, session: AsyncSession, actor: StaffActor, transfer: Transfer, held: HeldBack, *, told_already: Recipient | None
    ) -> None:
        """Mail what came of it to everyone of ours who received it, and to the guest. `told_already` sees it on the page."""
        is_released = held.outcome == HoldOutcome.RELEASED
        number = receipt_number(transfer.id)
        receivers = await session.scalars(
            select(Recipient).where(Recipient.transfer_id == transfer.id, Recipient.blocked_at.is_(None))
        )
        for receiver in receivers:
            if told_already is not None and receiver.id == told_already.id:
                continue
            person = self._keys.person(receiver)
            ours, _ = await self._presenting.colleague(session, Correspondent(person.name, str(person.email)))
            self._notifying.queue_mail(
                session,
                Purpose.HELD_JUDGED,
                person.email,
                ours.language,
                transfer=transfer,
                recipient=receiver,
                name=ours.name,
                is_released=is_released,
                judged_by=actor.user.name,
                number=number,
                link=f"{self._base_url}/received/{transfer.id}",
            )
        if transfer.guest_id is None or transfer.answers_id is None:
            return
        guest = await session.get_one(Recipient, transfer.guest_id)
        asked = await session.get_one(Transfer, transfer.answers_id)
        person = self._keys.person(guest)
        self._notifying.queue_mail(
            session,
            Purpose.HELD_RECEIPT,
            person.email,
            transfer.language,
            transfer=asked,
            recipient=guest,
            name=person.name,
            # As the receipt called them.
            sender_name=(await self._presenting.sender_of(session, asked)).name,
            sent_at=transfer.sent_at,
            number=number,
            is_released=is_released,
            has_macros=held.reason == HoldReason.MACROS,
        )


def _waiting(now: datetime) -> Select[HeldBack, Transfer]:
    """What nobody has judged yet of what was sent and can still be opened, oldest first."""
    return (
        select(HeldBack, Transfer)
        .join(Transfer, Transfer.id == HeldBack.transfer_id)
        .where(HeldBack.outcome.is_(None), Transfer.state == TransferState.SENT, Transfer.expires_at > now)
        .order_by(HeldBack.at, HeldBack.id)
        .limit(_MOST_LISTED)
    )
