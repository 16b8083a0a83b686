"""Noticing: telling senders how their transfers fare, as far as they want to be told.

The first download is told at once, in the unit of work that records it. What did not happen is found by the worker; a mark on
the transfer, set in the same unit of work as the mail, keeps two workers from telling it twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, exists, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.clock import Clock
from zegelpost.model.outgoing import Purpose
from zegelpost.model.recipient import Recipient
from zegelpost.model.refusals import DaysOutOfRange, FormRefused, Refusal
from zegelpost.model.staff_user import MOST_NOTICE_DAYS, StaffUser
from zegelpost.model.transfer import Transfer, TransferKind, TransferState
from zegelpost.model.whole_number import whole_number
from zegelpost.services.access import StaffActor
from zegelpost.services.notifying import Notifying
from zegelpost.services.presenting import Presenting

_BATCH: Final = 100
# Who is parked has got nothing yet, and their sender was told so when it was sent.
_CAN_OPEN: Final = Recipient.blocked_at.is_(None) & Recipient.locked_at.is_(None) & Recipient.parked_at.is_(None)


@dataclass(frozen=True, slots=True)
class TypedNotices:
    """The form, nothing checked yet. No days means never."""

    is_first_download: bool
    unopened_days: str
    expiring_days: str


class Noticing:
    def __init__(self, database: Database, notifying: Notifying, presenting: Presenting, base_url: str, clock: Clock) -> None:
        self._database = database
        self._notifying = notifying
        self._presenting = presenting
        self._base_url = base_url
        self._clock = clock

    async def choose(self, actor: StaffActor, typed: TypedNotices) -> None:
        """What this person wants to be told. Raises `FormRefused`."""
        refused: dict[str, Refusal] = {}
        days: dict[str, int] = {}
        for name in ("unopened_days", "expiring_days"):
            text = getattr(typed, name).strip() or "0"
            number = whole_number(text, most_digits=3)
            if number is None or number > MOST_NOTICE_DAYS:
                refused[name] = DaysOutOfRange(limit=MOST_NOTICE_DAYS)
            else:
                days[name] = number
        if refused:
            raise FormRefused(refused)
        async with self._database.work() as session:
            await session.execute(
                update(StaffUser)
                .where(StaffUser.id == actor.user.id)
                .values(
                    tells_first_download=typed.is_first_download,
                    tells_unopened_after_days=days["unopened_days"],
                    tells_expiring_before_days=days["expiring_days"],
                )
            )

    async def first_download(self, session: AsyncSession, transfer: Transfer, recipient: Recipient) -> None:
        """Called where the first download is recorded."""
        if transfer.sender_id is None:
            return
        sender = await session.get_one(StaffUser, transfer.sender_id)
        if sender.tells_first_download:
            await self._notifying.queue_to_sender(session, Purpose.NOTICE_DOWNLOADED, transfer=transfer, recipient=recipient)

    async def run(self) -> int:
        """Tell all that is due, a batch at a time; returns how many mails that makes. Safe to repeat and to interrupt."""
        now = self._clock()
        count = 0
        for days in await self._chosen(StaffUser.tells_unopened_after_days):
            is_due = (Transfer.sent_at <= now - timedelta(days=days)) & Transfer.unopened_told_at.is_(None)
            wants = StaffUser.tells_unopened_after_days == days
            count += await self._tell(Purpose.NOTICE_UNOPENED, wants & is_due, Recipient.opened_at.is_(None), now)
        for days in await self._chosen(StaffUser.tells_expiring_before_days):
            is_due = (Transfer.expires_at <= now + timedelta(days=days)) & Transfer.expiring_told_at.is_(None)
            wants = StaffUser.tells_expiring_before_days == days
            count += await self._tell(Purpose.NOTICE_EXPIRING, wants & is_due, Recipient.fetched_at.is_(None), now)
        return count

    async def _chosen(self, column: Any) -> list[int]:
        """The different numbers of days that people chose: a few, whatever the number of people."""
        async with self._database.reading() as session:
            return list(await session.scalars(select(column).where(column > 0).distinct().order_by(column)))

    async def _tell(self, purpose: Purpose, is_due: ColumnElement[bool], is_waiting: ColumnElement[bool], now: datetime) -> int:
        waiting = (Recipient.transfer_id == Transfer.id) & is_waiting & _CAN_OPEN
        query = (
            select(Transfer.id)
            .join(StaffUser, StaffUser.id == Transfer.sender_id)
            .where(
                Transfer.kind == TransferKind.SENDING,
                Transfer.state == TransferState.SENT,
                Transfer.expires_at > now,
                is_due,
                exists().where(waiting),
            )
            .order_by(Transfer.sent_at)
            .limit(_BATCH)
        )
        async with self._database.reading() as session:
            due = list(await session.scalars(query))
        return sum([await self._tell_one(purpose, transfer_id, is_waiting, now) for transfer_id in due])

    async def _tell_one(self, purpose: Purpose, transfer_id: str, is_waiting: ColumnElement[bool], now: datetime) -> int:
        mark = Transfer.unopened_told_at if purpose == Purpose.NOTICE_UNOPENED else Transfer.expiring_told_at
        async with self._database.work() as session:
            marked = await session.scalar(
                update(Transfer)
                .where(Transfer.id == transfer_id, Transfer.state == TransferState.SENT, mark.is_(None))
                .values({mark: now})
                .returning(Transfer.id)
                .execution_options(synchronize_session=False)
            )
            if marked is None:
                return 0  # another worker was first, or it was withdrawn a moment ago
            transfer = await session.get_one(Transfer, transfer_id)
            sender = await self._presenting.follower_of(session, transfer)
            waiting = await session.scalars(
                select(Recipient.id).where(
                    Recipient.transfer_id == transfer.id,
                    is_waiting,
                    _CAN_OPEN,
                )
            )
            if sender is None:
                return 0
            self._notifying.queue_mail(
                session,
                purpose,
                sender.address,
                sender.language,
                transfer=transfer,
                sender_name=sender.name,
                waiting_count=len(waiting.all()),
                sent_at=transfer.sent_at,
                expires_at=transfer.expires_at,
                link=f"{self._base_url}/transfers/{transfer.id}",
            )
        return 1
