"""Erasing: transfers expire, are erased after their grace period, and weeks whose keys nobody needs are destroyed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import Select, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.clock import Clock
from zegelpost.model.document import Document, OrphanBlob, Part, Upload
from zegelpost.model.event import ActorKind, EventTag
from zegelpost.model.handed_over import HandedOver
from zegelpost.model.recipient import Grant, Link, Recipient
from zegelpost.model.refusals import NotFound, TransferExpired
from zegelpost.model.transfer import DRAFT_LIFETIME, GRACE, Transfer, TransferState, week_of
from zegelpost.ports import KeyRing
from zegelpost.sealing.errors import SealBroken
from zegelpost.services.carrying_over import carry_over
from zegelpost.services.holding import Holding, held_transfers, require_no_hold_meanwhile
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.observing_time import ObservingTime
from zegelpost.services.recording import Subject, record

_BATCH: Final = 100
_DAY: Final = timedelta(days=1)
_CARRIED_BEFORE: Final = timedelta(days=14)  # the end of its week
_CARRIED_FOR: Final = timedelta(days=28)
_LOG: Final = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Erased:
    expired_count: int
    erased_count: int
    destroyed_weeks: tuple[str, ...]


class Erasing:
    def __init__(
        self,
        database: Database,
        ring: KeyRing,
        keeping_keys: KeepingKeys,
        observing: ObservingTime,
        holding: Holding,
        clock: Clock,
    ) -> None:
        self._database = database
        self._ring = ring
        self._keys = keeping_keys
        self._observing = observing
        self._holding = holding
        self._clock = clock

    async def run(self) -> Erased:
        """Do all that is due, a batch at a time. Safe to repeat and to interrupt.

        Due is what is so by the time that is believed: a clock that jumped ahead undoes nothing that cannot be had back.
        Recipients are refused by the clock itself, and let in again when it is right.
        """
        believed = await self._observing.believed()
        await self._holding.mark(believed)
        expired = await self._expire(believed)
        erased = await self._erase(believed)
        await self._carry_held(believed)
        return Erased(expired, erased, await self._destroy_weeks(believed))

    async def _expire(self, believed: datetime) -> int:
        async with self._database.work() as session:
            over = (Transfer.state == TransferState.SENT) & (Transfer.expires_at <= believed)
            due = await _batch(session, select(Transfer).where(over))
            for transfer in due:
                transfer.state = TransferState.EXPIRED
                record(session, EventTag.TRANSFER_EXPIRED, _system(transfer), self._clock())
        return len(due)

    async def _erase(self, believed: datetime) -> int:
        now = self._clock()
        over = (
            (Transfer.state.in_([TransferState.EXPIRED, TransferState.REVOKED]) & (Transfer.expires_at <= believed - GRACE))
            | ((Transfer.state == TransferState.DRAFT) & (Transfer.created_at <= believed - DRAFT_LIFETIME))
        )  # fmt: skip
        async with self._database.work() as session:
            await require_no_hold_meanwhile(session)
            held = await held_transfers(session, self._keys, believed)
            due = await _batch(session, select(Transfer).where(over, ~held))
            for transfer in due:
                await erase(session, transfer, now)
                record(session, EventTag.TRANSFER_ERASED, _system(transfer), now)
        return len(due)

    async def _carry_held(self, believed: datetime) -> None:
        """Tie what a legal hold keeps to a later week: all others of its own are erased on time, in backups too."""
        soon = week_of(believed - GRACE - timedelta(days=7) - _DAY + _CARRIED_BEFORE)
        last = ""
        while True:
            async with self._database.work() as session:
                keys = self._keys.within(session)
                held = await held_transfers(session, keys, believed)
                kept = select(Transfer).where(held, Transfer.week < soon, Transfer.state != TransferState.ERASED)
                # On past what cannot be carried: it would be all that a batch finds, each time, and nothing behind it would be.
                batch = await _batch(session, kept.where(Transfer.id > last).order_by(Transfer.id))
                for transfer in batch:
                    last = transfer.id
                    await self._carry(session, keys, transfer, believed + _CARRIED_FOR)
            if len(batch) < _BATCH:
                return

    async def _carry(self, session: AsyncSession, keys: KeepingKeys, transfer: Transfer, until: datetime) -> None:
        """All of a transfer, or nothing of it: one that cannot be carried must not keep the others from being."""
        transfer_id = transfer.id
        try:
            async with session.begin_nested():
                await carry_over(session, keys, transfer, until)
        except TransferExpired:
            _LOG.warning("held_too_late", transfer=transfer_id)  # its week was destroyed before the hold
        except (NotFound, SealBroken):
            # Damaged, or of another key ring. Its week's keys stay: they may be what it is to be mended with.
            _LOG.error("held_unreadable", transfer=transfer_id)

    async def _destroy_weeks(self, believed: datetime) -> tuple[str, ...]:
        """Destroy the keys of weeks that are over, grace period included, and in which no transfer is left.

        A day is kept in hand besides: destroyed keys cannot be had back.
        """
        horizon = week_of(believed - GRACE - timedelta(days=7) - _DAY)
        past = [week for week in await asyncio.to_thread(self._ring.weeks) if week < horizon]
        destroyed: list[str] = []
        for week in past:
            async with self._database.reading() as session:
                in_use = await session.scalar(
                    select(Transfer.id).where(Transfer.week == week, Transfer.state != TransferState.ERASED).limit(1)
                )
            if in_use is None:
                await asyncio.to_thread(self._ring.destroy_week, week)
                destroyed.append(week)
        return tuple(destroyed)


async def _batch(session: AsyncSession, query: Select[Transfer]) -> list[Transfer]:
    """Some of these, locked, and as they are then. What somebody has in hand at this moment has its turn next time."""
    return list(await session.scalars(query.limit(_BATCH).with_for_update(skip_locked=True)))


async def erase(session: AsyncSession, transfer: Transfer, now: datetime) -> None:
    """Drop every wrap of the message key; the sealed bytes, now meaningless, are left to the sweep."""
    transfer.state = TransferState.ERASED
    transfer.erased_at = now
    transfer.draft_wrap = transfer.sender_wrap = transfer.guest_wrap = transfer.carried_salt = None
    transfer.reference_index = None
    recipients = select(Recipient.id).where(Recipient.transfer_id == transfer.id).scalar_subquery()
    unsynchronised = {"synchronize_session": False}
    await session.execute(
        update(Link)
        .where(Link.recipient_id.in_(recipients))
        .values(wrap=None, secret_check=None)
        .execution_options(**unsynchronised)
    )
    await session.execute(delete(Grant).where(Grant.recipient_id.in_(recipients)).execution_options(**unsynchronised))
    await session.execute(
        update(Recipient).where(Recipient.transfer_id == transfer.id).values(staff_wrap=None).execution_options(**unsynchronised)
    )
    documents = select(Document.id).where(Document.transfer_id == transfer.id).scalar_subquery()
    # First, so that no part can come after those that are looked up.
    await session.execute(delete(Upload).where(Upload.transfer_id == transfer.id).execution_options(**unsynchronised))
    for blob in await session.scalars(select(Part.blob).where(Part.document_id.in_(documents))):
        session.add(OrphanBlob(name=blob, due_at=now))
    await session.execute(delete(Part).where(Part.document_id.in_(documents)).execution_options(**unsynchronised))
    await session.execute(delete(HandedOver).where(HandedOver.document_id.in_(documents)).execution_options(**unsynchronised))
    await session.execute(
        update(Document)
        .where(Document.transfer_id == transfer.id)
        .values(sealed_manifest=None, manifest_digest=None)
        .execution_options(**unsynchronised)
    )


def _system(transfer: Transfer) -> Subject:
    return Subject(actor=ActorKind.SYSTEM, transfer_id=transfer.id)
