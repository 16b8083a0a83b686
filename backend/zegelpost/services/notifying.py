"""Notifying: the transactional outbox and its dispatch.

What leaves is rendered and sealed in the unit of work that causes it, and handed over afterwards. A mail may, after a crash
at the worst moment, be handed over again, but only as exactly the same bytes. A code, by SMS or by telephone, is handed over at
most once.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database, afterwards, insert_all
from zegelpost.model.clock import Clock
from zegelpost.model.email_address import EmailAddress
from zegelpost.model.event import ActorKind, EventTag
from zegelpost.model.identifiers import ChallengeId, OutgoingId, new_identifier
from zegelpost.model.outgoing import (
    GIVE_UP_AFTER,
    LEASE,
    OUTBOX_KEYS_KEPT,
    RETRY_AFTER,
    Outgoing,
    OutgoingKind,
    OutgoingState,
    Purpose,
)
from zegelpost.model.phone_number import PhoneNumber
from zegelpost.model.recipient import Person, Recipient, VerificationMethod
from zegelpost.model.transfer import Transfer, TransferKind
from zegelpost.ports import (
    KeyDestroyedError,
    KeyRing,
    MailError,
    MailGateway,
    OutageError,
    SenderMailboxes,
    SmsError,
    SmsErrorKind,
    SmsGateway,
    SmsReports,
    Telephone,
)
from zegelpost.sealing.text import open_bytes
from zegelpost.services.alarming import Alarm, raise_alarm
from zegelpost.services.carrying_codes import CarryingCodes
from zegelpost.services.composing import Composing
from zegelpost.services.explaining_failures import call_reason, mail_reason, sms_reason
from zegelpost.services.forgetting_devices import forget_untold
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.mailing import Mailing
from zegelpost.services.presenting import Correspondent, Presenting
from zegelpost.services.recording import Subject, record

_LOG: Final = structlog.get_logger()
_BATCH: Final = 20
WITHDRAWN: Final = "withdrawn"  # by us, because something newer took its place


@dataclass(frozen=True, slots=True)
class Gateways:
    mail: MailGateway
    sms: SmsGateway
    mailboxes: SenderMailboxes | None = None
    sms_reports: SmsReports | None = None  # nothing: nobody tells us what became of a message
    telephone: Telephone | None = None  # nothing: no code is read out


class Notifying:
    def __init__(
        self,
        database: Database,
        keeping_keys: KeepingKeys,
        ring: KeyRing,
        composing: Composing,
        presenting: Presenting,
        gateways: Gateways,
        clock: Clock,
    ) -> None:
        self._database = database
        self._keys = keeping_keys
        self._ring = ring
        self._composing = composing
        self._presenting = presenting
        self._carrying = CarryingCodes(composing, gateways.sms, gateways.telephone)
        self._mailing = Mailing(composing, keeping_keys, gateways.mail, gateways.mailboxes)
        self._clock = clock
        # Set when something was put in the outbox by this process, so that a code leaves at once.
        self.wake = asyncio.Event()

    # Putting into the outbox, within the caller's unit of work

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
        afterwards(session, self.wake.set)

    async def queue_all(self, session: AsyncSession, rows: Sequence[dict[str, Any]]) -> None:
        """Put many finished notices in the outbox at once."""
        await insert_all(session, Outgoing.__table__, rows)
        afterwards(session, self.wake.set)

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
            link=f"{self._composing.organisation.base_url}/"
            + ("received" if transfer.kind == TransferKind.INTAKE else f"transfers/{transfer.id}"),
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
        return {
            **columns,
            "day": now.date().isoformat(),
            "sealed_payload": self._keys.within(session).seal_outgoing(columns["id"], now.date(), payload),
            "state": OutgoingState.WAITING,
            "created_at": now,
            "due_at": now,
            "attempt_count": 0,
        }

    # Handing over

    async def dispatch(self) -> int:
        """Hand over what is due, once; returns how many were tried. Any number of processes may do so at once."""
        worker = new_identifier()
        claimed = await self._claim(worker)
        await asyncio.gather(*(self._hand_over(outgoing, worker) for outgoing in claimed))
        return len(claimed)

    async def run(self, stop: asyncio.Event) -> None:
        """Dispatch until told to stop: at once when something was queued here, and every second for what others queued."""
        while not stop.is_set():
            self.wake.clear()
            try:
                count = await self.dispatch()
            except Exception:  # noqa: BLE001 - logged, and tried again in a second
                # A database that is away for a moment must not end delivery for good.
                _LOG.exception("dispatch_failed")
                count = 0
            if count < _BATCH:
                waits = [asyncio.ensure_future(self.wake.wait()), asyncio.ensure_future(stop.wait())]
                await asyncio.wait(waits, timeout=1, return_when=asyncio.FIRST_COMPLETED)
                for wait in waits:
                    wait.cancel()

    async def _claim(self, worker: str) -> list[Outgoing]:
        now = self._clock()
        interrupted = (
            (Outgoing.kind != OutgoingKind.MAIL) & (Outgoing.state == OutgoingState.SENDING) & (Outgoing.leased_until <= now)
        )
        async with self._database.reading() as session:
            if await session.scalar(select(Outgoing.id).where(or_(_is_due(now), interrupted)).limit(1)) is None:
                return []  # nothing to write, so no writer is kept waiting
        async with self._database.work() as session:
            # A worker died with a code in hand: it may have left, so it is never tried again.
            lost = await session.scalars(
                update(Outgoing)
                .where(interrupted)
                .values(state=OutgoingState.UNKNOWN, sealed_payload=None, worker=None, leased_until=None, failure="interrupted")
                .returning(Outgoing)
                .execution_options(synchronize_session=False)
            )
            for outgoing in lost:
                tag = _FAILED[outgoing.kind]
                record(session, tag, subject_of(outgoing), now, purpose=outgoing.purpose.value, failure="interrupted")
            due = (
                select(Outgoing.id).where(_is_due(now)).order_by(Outgoing.due_at).limit(_BATCH).with_for_update(skip_locked=True)
            )
            rows = await session.scalars(
                update(Outgoing)
                .where(Outgoing.id.in_(due.scalar_subquery()))
                .values(
                    worker=worker, leased_until=now + LEASE, state=OutgoingState.SENDING, attempt_count=Outgoing.attempt_count + 1
                )
                .returning(Outgoing)
                .execution_options(synchronize_session=False)
            )
            return list(rows)

    async def _hand_over(self, outgoing: Outgoing, worker: str) -> None:
        now = self._clock()
        if now >= outgoing.useless_after:
            await self._finish(outgoing, worker, OutgoingState.FAILED, failure=outgoing.failure or "too late")
            return
        passed_over: SmsErrorKind | None = None
        try:
            envelope = self.envelope(outgoing)
            if outgoing.kind == OutgoingKind.MAIL:
                mail = await self._mailing.deliver(outgoing, envelope)
                acceptance = f"{mail.server} {mail.reply_code} {mail.tls_version or 'no TLS'}"
            else:
                taken = await self._carrying.deliver(outgoing, envelope, now)
                acceptance, passed_over = taken.provider_reference, taken.passed_over
        except SmsError as error:
            if error.may_have_been_sent:
                await self._finish(outgoing, worker, OutgoingState.UNKNOWN, failure=error.kind.value)
            elif error.is_permanent:
                await self._finish(outgoing, worker, OutgoingState.FAILED, failure=error.kind.value)
            else:
                await self._postpone(outgoing, worker, error.kind.value, wait_seconds=error.retry_after_seconds)
        except KeyDestroyedError:
            await self._finish(outgoing, worker, OutgoingState.FAILED, failure="too late")
        except OutageError as error:
            if error.is_permanent:
                await self._finish(outgoing, worker, OutgoingState.FAILED, failure=error.reason)
            else:
                pause = error.retry_after_seconds if isinstance(error, MailError) else None
                await self._postpone(outgoing, worker, error.reason, wait_seconds=pause)
        else:
            await self._finish(outgoing, worker, OutgoingState.ACCEPTED, acceptance=acceptance, passed_over=passed_over)

    def envelope(self, outgoing: Outgoing) -> dict[str, str]:
        """What is sealed in the outbox. Raises `KeyDestroyedError` days later."""
        assert outgoing.sealed_payload is not None
        secret = self._ring.outbox_day(datetime.fromisoformat(outgoing.day).date())
        envelope: dict[str, str] = json.loads(open_bytes(secret, f"outgoing/{outgoing.id}", outgoing.sealed_payload))
        return envelope

    async def _postpone(self, outgoing: Outgoing, worker: str, reason: str, *, wait_seconds: float | None = None) -> None:
        """`wait_seconds` is what the other side asked for; sooner would make it worse, and too late is told at once."""
        delay = RETRY_AFTER[min(outgoing.attempt_count, len(RETRY_AFTER)) - 1]
        if outgoing.kind != OutgoingKind.MAIL:
            # Someone is waiting for it; minutes later it is of no use.
            delay = min(delay, timedelta(seconds=20))
        delay = max(delay, timedelta(seconds=wait_seconds or 0))
        now = self._clock()
        _LOG.warning(
            "outgoing_postponed", outgoing=outgoing.id, kind=outgoing.kind.value, reason=reason, attempt=outgoing.attempt_count
        )
        if now + delay >= outgoing.useless_after:
            await self._finish(outgoing, worker, OutgoingState.FAILED, failure=reason)
            return
        async with self._database.work() as session:
            await session.execute(
                update(Outgoing)
                .where(Outgoing.id == outgoing.id, Outgoing.worker == worker, Outgoing.state == OutgoingState.SENDING)
                .values(state=OutgoingState.WAITING, due_at=now + delay, worker=None, leased_until=None, failure=reason[:200])
                .execution_options(synchronize_session=False)
            )

    async def _finish(
        self,
        outgoing: Outgoing,
        worker: str,
        state: OutgoingState,
        *,
        acceptance: str | None = None,
        failure: str | None = None,
        passed_over: SmsErrorKind | None = None,
    ) -> None:
        """Write down the outcome, blank the payload, tell the sender of a failure: one unit of work.

        A call's stays until the call is over: the code is read out when somebody presses the key.
        """
        now = self._clock()
        keeps_payload = outgoing.kind == OutgoingKind.CALL and state in {OutgoingState.ACCEPTED, OutgoingState.UNKNOWN}
        async with self._database.work() as session:
            ended = await session.execute(
                update(Outgoing)
                .where(Outgoing.id == outgoing.id, Outgoing.worker == worker, Outgoing.state == OutgoingState.SENDING)
                .values(
                    state=state,
                    sealed_payload=Outgoing.sealed_payload if keeps_payload else None,
                    worker=None,
                    leased_until=None,
                    acceptance=acceptance and acceptance[:200],
                    failure=failure and failure[:200],
                    accepted_at=now if state == OutgoingState.ACCEPTED else None,
                )
                .returning(Outgoing.id)
                .execution_options(synchronize_session=False)
            )
            if ended.first() is None:
                return  # the lease ran out and another worker took over; its outcome counts
            tag = (_ACCEPTED if state == OutgoingState.ACCEPTED else _FAILED)[outgoing.kind]
            record(
                session, tag, subject_of(outgoing), now, purpose=outgoing.purpose.value, acceptance=acceptance, failure=failure
            )
            if state == OutgoingState.FAILED:
                await forget_untold(session, outgoing, now)
                await self.tell_sender(session, outgoing, failure or "")
            refusal = failure if failure or passed_over is None else passed_over.value
            if outgoing.kind != OutgoingKind.MAIL and refusal in _ALARMS:
                await raise_alarm(session, self, _ALARMS[refusal], now)

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

    async def forget_old(self) -> None:
        """Destroy the outbox secrets of days past the retry horizon, and what was left of calls nobody told the end of."""
        async with self._database.work() as session:
            await session.execute(
                update(Outgoing)
                .where(
                    Outgoing.kind == OutgoingKind.CALL,
                    Outgoing.useless_after <= self._clock(),
                    Outgoing.sealed_payload.is_not(None),
                    Outgoing.state.in_([OutgoingState.ACCEPTED, OutgoingState.UNKNOWN]),
                )
                .values(sealed_payload=None)
                .execution_options(synchronize_session=False)
            )
        await asyncio.to_thread(self._ring.destroy_outbox_days_before, (self._clock() - OUTBOX_KEYS_KEPT).date())


def _is_due(now: datetime) -> Any:
    return or_(
        (Outgoing.state == OutgoingState.WAITING) & (Outgoing.due_at <= now),
        # A worker died with a mail in hand; the same bytes may go again.
        (Outgoing.kind == OutgoingKind.MAIL) & (Outgoing.state == OutgoingState.SENDING) & (Outgoing.leased_until <= now),
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
_ACCEPTED: Final = {
    OutgoingKind.MAIL: EventTag.MAIL_ACCEPTED,
    OutgoingKind.SMS: EventTag.SMS_ACCEPTED,
    OutgoingKind.CALL: EventTag.CALL_ACCEPTED,
}
_FAILED: Final = {
    OutgoingKind.MAIL: EventTag.MAIL_FAILED,
    OutgoingKind.SMS: EventTag.SMS_FAILED,
    OutgoingKind.CALL: EventTag.CALL_FAILED,
}
_REASONS: Final = {OutgoingKind.MAIL: mail_reason, OutgoingKind.SMS: sms_reason, OutgoingKind.CALL: call_reason}
# What no sender can mend.
_ALARMS: Final[dict[str | None, Alarm]] = {
    SmsErrorKind.OUR_SETUP.value: Alarm.SMS_SETUP,
    SmsErrorKind.SUSPICIOUS.value: Alarm.SMS_SUSPICIOUS,
}
