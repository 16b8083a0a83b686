"""Dispatching: handing over what is in the outbox.

A mail may, after a crash at the worst moment, be handed over again, but only as exactly the same bytes. A code, by SMS or by
telephone, is handed over at most once.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import ColumnElement, or_, select, text, update

from zegelpost.database import Database
from zegelpost.model.clock import Clock
from zegelpost.model.event import EventTag
from zegelpost.model.identifiers import new_identifier
from zegelpost.model.outgoing import (
    IS_KEPT_CALL,
    LEASE,
    OUTBOX_KEYS_KEPT,
    RETRY_AFTER,
    WAITED_FOR,
    Outgoing,
    OutgoingKind,
    OutgoingState,
)
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
from zegelpost.services.alarming import Alarm, raise_alarm
from zegelpost.services.carrying_codes import CarryingCodes
from zegelpost.services.forgetting_devices import forget_untold
from zegelpost.services.mailing import Mailing
from zegelpost.services.notifying import Notifying, subject_of
from zegelpost.services.observing_time import ObservingTime
from zegelpost.services.recording import record

_LOG: Final = structlog.get_logger()
_BATCH: Final = 20


@dataclass(frozen=True, slots=True)
class Gateways:
    mail: MailGateway
    sms: SmsGateway
    mailboxes: SenderMailboxes | None = None
    sms_reports: SmsReports | None = None  # nothing: nobody tells us what became of a message
    telephone: Telephone | None = None  # nothing: no code is read out


class Dispatching:
    def __init__(
        self,
        database: Database,
        ring: KeyRing,
        notifying: Notifying,
        mailing: Mailing,
        carrying: CarryingCodes,
        observing: ObservingTime,
        clock: Clock,
    ) -> None:
        self._database = database
        self._ring = ring
        self._notifying = notifying
        self._mailing = mailing
        self._carrying = carrying
        self._observing = observing
        self._clock = clock

    async def dispatch(self, among: ColumnElement[bool] | None = None) -> int:
        """Hand over what is due, once; returns how many were tried. Any number of processes may do so at once."""
        worker = new_identifier()
        claimed = await self._claim(worker, among)
        await asyncio.gather(*(self._hand_over(outgoing, worker) for outgoing in claimed))
        return len(claimed)

    async def run(self, stop: asyncio.Event) -> None:
        """Dispatch until told to stop: at once when something was queued here, and every second for what others queued.

        What somebody waits for goes by itself: a mail server that does not answer for a minute must not hold up codes.
        """
        wakes = self._notifying.wakes
        await asyncio.gather(self._run(stop, ~_CAN_WAIT, wakes[True]), self._run(stop, _CAN_WAIT, wakes[False]))

    async def _run(self, stop: asyncio.Event, among: ColumnElement[bool], wake: asyncio.Event) -> None:
        while not stop.is_set():
            wake.clear()
            try:
                count = await self.dispatch(among)
            except Exception:  # noqa: BLE001 - logged, and tried again in a second
                # A database that is away for a moment must not end delivery for good.
                _LOG.exception("dispatch_failed")
                count = 0
            if count < _BATCH:
                waits = [asyncio.ensure_future(wake.wait()), asyncio.ensure_future(stop.wait())]
                await asyncio.wait(waits, timeout=1, return_when=asyncio.FIRST_COMPLETED)
                for wait in waits:
                    wait.cancel()

    async def _claim(self, worker: str, among: ColumnElement[bool] | None) -> list[Outgoing]:
        now = self._clock()
        is_due = _is_due(now) if among is None else _is_due(now) & among
        # What somebody waits for first: many mails take longer than a code lasts.
        order = (_CAN_WAIT, Outgoing.due_at) if among is None else (Outgoing.due_at,)
        interrupted = (
            (Outgoing.kind != OutgoingKind.MAIL) & (Outgoing.state == OutgoingState.SENDING) & (Outgoing.leased_until <= now)
        )
        async with self._database.reading() as session:
            if await session.scalar(select(Outgoing.id).where(or_(is_due, interrupted)).limit(1)) is None:
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
            in_turn = select(Outgoing.id).where(is_due).order_by(*order)
            due = in_turn.limit(_BATCH).with_for_update(skip_locked=True)
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
            envelope = self._notifying.envelope(outgoing)
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
                await self._notifying.tell_sender(session, outgoing, failure or "")
            refusal = failure if failure or passed_over is None else passed_over.value
            if outgoing.kind != OutgoingKind.MAIL and refusal in _ALARMS:
                await raise_alarm(session, self._notifying, _ALARMS[refusal], now)

    async def forget_old(self) -> None:
        """Destroy the outbox secrets of days past the retry horizon, and what was left of calls nobody told the end of."""
        async with self._database.work() as session:
            await session.execute(
                update(Outgoing)
                .where(
                    text(IS_KEPT_CALL),  # in the words of its index
                    Outgoing.useless_after <= self._clock(),
                    Outgoing.state.in_([OutgoingState.ACCEPTED, OutgoingState.UNKNOWN]),
                )
                .values(sealed_payload=None)
                .execution_options(synchronize_session=False)
            )
        horizon = (await self._observing.believed() - OUTBOX_KEYS_KEPT).date()
        await asyncio.to_thread(self._ring.destroy_outbox_days_before, horizon)


def _is_due(now: datetime) -> Any:
    return or_(
        (Outgoing.state == OutgoingState.WAITING) & (Outgoing.due_at <= now),
        # A worker died with a mail in hand; the same bytes may go again.
        (Outgoing.kind == OutgoingKind.MAIL) & (Outgoing.state == OutgoingState.SENDING) & (Outgoing.leased_until <= now),
    )


_CAN_WAIT: Final = Outgoing.purpose.not_in(WAITED_FOR)
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
# What no sender can mend.
_ALARMS: Final[dict[str | None, Alarm]] = {
    SmsErrorKind.OUR_SETUP.value: Alarm.SMS_SETUP,
    SmsErrorKind.SUSPICIOUS.value: Alarm.SMS_SUSPICIOUS,
}
