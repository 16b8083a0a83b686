"""Notifying: the transactional outbox. What leaves is rendered and sealed in the unit of work that causes it.

`dispatching` hands it over afterwards.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import afterwards, insert_all
from zegelpost.model.clock import Clock
from zegelpost.model.email_address import EmailAddress
from zegelpost.model.event import ActorKind
from zegelpost.model.identifiers import ChallengeId, OutgoingId, new_identifier
from zegelpost.model.outgoing import (
    GIVE_UP_AFTER,
    WAITED_FOR,
    Outgoing,
    OutgoingKind,
    OutgoingState,
    Purpose,
)
from zegelpost.model.phone_number import PhoneNumber
from zegelpost.model.recipient import Person, Recipient, VerificationMethod
from zegelpost.model.transfer import Transfer, TransferKind
from zegelpost.ports import (
    KeyRing,
)
from zegelpost.sealing.text import open_bytes
from zegelpost.services.carrying_codes import CarryingCodes
from zegelpost.services.explaining_failures import call_reason, mail_reason, sms_reason
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.mailing import Mailing
from zegelpost.services.presenting import Correspondent, Presenting
from zegelpost.services.recording import Subject

_LOG: Final = structlog.get_logger()
_BATCH: Final = 20
WITHDRAWN: Final = "withdrawn"  # by us, because something newer took its place


class Notifying:
    def __init__(
        self,
        keeping_keys: KeepingKeys,
        ring: KeyRing,
        presenting: Presenting,
        mailing: Mailing,
        carrying: CarryingCodes,
        base_url: str,
        clock: Clock,
    ) -> None:
        self._keys = keeping_keys
        self._ring = ring
        self._presenting = presenting
        self._mailing = mailing
        self._carrying = carrying
        self._base_url = base_url
        self._clock = clock
        # Set when this process put something in the outbox, by whether somebody sits and waits for it: a code leaves at once.
        self.wakes = {True: asyncio.Event(), False: asyncio.Event()}

    def queue_mail(
        self,
        session: AsyncSession,
        purpose: Purpose,
        to: EmailAddress,
        language: str,
        *,
        transfer: Transfer | None = None,
        recipient: Recipient | None = None,
        lifetime: timedelta = GIVE_UP_AFTER,
        **facts: Any,
    ) -> None:
        """Render a notice to its final bytes and seal it in the outbox. After `lifetime` it is of no use to anyone."""
        mail = self.mail(session, purpose, to, language, transfer=transfer, recipient=recipient, lifetime=lifetime, facts=facts)
        self.queue(session, mail)

    def queue(self, session: AsyncSession, row: dict[str, Any]) -> None:
        """Put something finished in the outbox."""
        session.add(Outgoing(**row))
        afterwards(session, self.wakes[row["purpose"] in WAITED_FOR].set)

    async def queue_all(self, session: AsyncSession, rows: Sequence[dict[str, Any]]) -> None:
        """Put many finished notices in the outbox at once."""
        await insert_all(session, Outgoing.__table__, rows)
        for is_urgent in {row["purpose"] in WAITED_FOR for row in rows}:
            afterwards(session, self.wakes[is_urgent].set)

    def mail(
        self,
        session: AsyncSession,
        purpose: Purpose,
        to: EmailAddress,
        language: str,
        *,
        transfer: Transfer | None = None,
        recipient: Recipient | None = None,
        lifetime: timedelta = GIVE_UP_AFTER,
        facts: dict[str, Any],
    ) -> dict[str, Any]:
        """A notice, finished and sealed: its row, for whoever puts it in the outbox in the same unit of work."""
        now = self._clock()
        outgoing_id = OutgoingId(new_identifier())
        envelope = self._mailing.envelope(purpose, language, to, outgoing_id, now, transfer, facts)
        return self._sealed(
            session,
            envelope,
            now,
            id=outgoing_id,
            kind=OutgoingKind.MAIL,
            purpose=purpose,
            transfer_id=transfer.id if transfer else None,
            recipient_id=recipient.id if recipient else None,
            useless_after=now + lifetime,
        )

    def queue_code(
        self,
        session: AsyncSession,
        challenge_id: ChallengeId,
        to: PhoneNumber,
        code: str,
        language: str,
        *,
        transfer: Transfer,
        recipient: Recipient,
        useless_after: datetime,
    ) -> None:
        """Seal a code in the outbox, in the recipient's way. The challenge is unique there: one code never leaves twice."""
        kind = OutgoingKind.CALL if recipient.method == VerificationMethod.SPOKEN else OutgoingKind.SMS
        sealed = self._sealed(
            session,
            {"to": to.e164} | self._carrying.content(kind, code, language),
            self._clock(),
            id=OutgoingId(new_identifier()),
            kind=kind,
            purpose=Purpose.CODE,
            transfer_id=transfer.id,
            recipient_id=recipient.id,
            challenge_id=challenge_id,
            useless_after=useless_after,
        )
        self.queue(session, sealed)

    async def queue_to_sender(
        self,
        session: AsyncSession,
        purpose: Purpose,
        *,
        transfer: Transfer,
        recipient: Recipient,
        **facts: Any,
    ) -> None:
        """A notice to the sender, or their department, about one of their recipients."""
        sender = await self._presenting.follower_of(session, transfer)
        if sender is None:
            return
        person = self._keys.person(recipient)
        self.queue_mail(
            session,
            purpose,
            sender.address,
            sender.language,
            transfer=transfer,
            recipient=recipient,
            sender_name=sender.name,
            name=person.name,
            email=str(person.email),
            # An intake has no page of its own for staff; what came of it is among what they received.
            link=f"{self._base_url}/" + ("received" if transfer.kind == TransferKind.INTAKE else f"transfers/{transfer.id}"),
            **facts,
        )

    async def withdraw(self, session: AsyncSession, recipient: Recipient, *purposes: Purpose) -> None:
        """Take back what still waits for this recipient, because it would bring a link or code that no longer works."""
        await session.execute(
            update(Outgoing)
            .where(
                Outgoing.recipient_id == recipient.id,
                Outgoing.purpose.in_(purposes),
                Outgoing.state == OutgoingState.WAITING,
            )
            .values(state=OutgoingState.FAILED, sealed_payload=None, failure=WITHDRAWN)
            .execution_options(synchronize_session=False)
        )

    def _sealed(self, session: AsyncSession, envelope: dict[str, str], now: datetime, **columns: Any) -> dict[str, Any]:
        payload = json.dumps(envelope).encode()
        day, sealed = self._keys.within(session).seal_outgoing(columns["id"], now.date(), payload)
        return {
            **columns,
            "day": day.isoformat(),
            "sealed_payload": sealed,
            "state": OutgoingState.WAITING,
            "created_at": now,
            "due_at": now,
            "attempt_count": 0,
        }

    def envelope(self, outgoing: Outgoing) -> dict[str, str]:
        """What is sealed in the outbox. Raises `KeyDestroyedError` days later."""
        assert outgoing.sealed_payload is not None
        secret = self._ring.outbox_day(datetime.fromisoformat(outgoing.day).date())
        envelope: dict[str, str] = json.loads(open_bytes(secret, f"outgoing/{outgoing.id}", outgoing.sealed_payload))
        return envelope

    async def tell_sender(self, session: AsyncSession, outgoing: Outgoing, failure: str) -> None:
        """Mail the sender that something for a recipient of theirs did not arrive, and what they can do about it."""
        if outgoing.transfer_id is None or outgoing.recipient_id is None or outgoing.purpose in _TO_SENDER:
            return
        transfer = await session.get_one(Transfer, outgoing.transfer_id)
        recipient = await session.get_one(Recipient, outgoing.recipient_id)
        sender = await self._presenting.follower_of(session, transfer)
        if sender is None:
            return
        reason = _REASONS[outgoing.kind](sender.language, failure)
        await self.queue_to_sender(
            session, Purpose.DELIVERY_FAILED, transfer=transfer, recipient=recipient, kind=outgoing.kind.value, reason=reason
        )


def subject_of(outgoing: Outgoing) -> Subject:
    return Subject(actor=ActorKind.SYSTEM, transfer_id=outgoing.transfer_id, recipient_id=outgoing.recipient_id)


def recipient_facts(person: Person, sender: Correspondent, transfer: Transfer) -> dict[str, Any]:
    """What every mail to a recipient may say."""
    return {
        "name": person.name,
        "sender_name": sender.name,
        "sender_email": sender.email,
        "expires_at": transfer.expires_at,
        "sent_at": transfer.sent_at,
    }


_TO_SENDER: Final = {
    Purpose.ANSWER_RECEIVED,
    Purpose.DELIVERY_FAILED,
    Purpose.HELP_ASKED,
    Purpose.LINK_LOCKED,
    Purpose.NOTICE_DOWNLOADED,
    Purpose.PARKED,
}
_REASONS: Final = {OutgoingKind.MAIL: mail_reason, OutgoingKind.SMS: sms_reason, OutgoingKind.CALL: call_reason}
