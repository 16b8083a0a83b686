"""Holding: placing and lifting legal holds, for administrators, who see no content by it.

A transfer that is held expires for its recipients as it would have. It is not erased, and is tied to later weeks so that the keys
of its own are destroyed on time for everyone else in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, false, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.believed_time import BELIEVED, BelievedTime
from zegelpost.model.clock import Clock
from zegelpost.model.event import ActorKind, EventTag
from zegelpost.model.identifiers import HoldId, TransferId, is_identifier, new_identifier
from zegelpost.model.legal_hold import HoldKind, HoldWords, LegalHold
from zegelpost.model.recipient import Recipient
from zegelpost.model.refusals import DatePassed, FormRefused, NotFound, TransferUnknown
from zegelpost.model.staff_user import StaffUser
from zegelpost.model.transfer import Transfer, TransferState
from zegelpost.services.access import StaffActor, require_administrator
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.recording import Subject, record

_BATCH: Final = 200
_MOST_ENDED: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldOverview:
    """A hold as administrators see it, with how many transfers it keeps from being erased."""

    id: HoldId
    kind: HoldKind
    what: str = field(repr=False)
    reason: str = field(repr=False)
    until: datetime | None
    placed_at: datetime
    placed_by: str = field(repr=False)
    lifted_at: datetime | None
    transfer_count: int


class Holding:
    def __init__(self, database: Database, keeping_keys: KeepingKeys, clock: Clock) -> None:
        self._database = database
        self._keys = keeping_keys
        self._clock = clock

    async def all(self, actor: StaffActor) -> tuple[Sequence[HoldOverview], Sequence[HoldOverview]]:
        """Those that hold now, and the newest that ended. Raises `NotFound`."""
        require_administrator(actor)
        now = self._clock()
        async with self._database.reading() as session:
            keys = self._keys.within(session)
            newest = select(LegalHold).order_by(LegalHold.placed_at.desc())
            live = list(await session.scalars(newest.where(_is_live(now))))
            ended = list(await session.scalars(newest.where(~_is_live(now)).limit(_MOST_ENDED)))
            names = {
                user.id: user.name
                for user in await session.scalars(
                    select(StaffUser).where(StaffUser.id.in_({hold.placed_by_id for hold in [*live, *ended]}))
                )
            }

            async def overview(hold: LegalHold, *, is_live: bool) -> HoldOverview:
                words = keys.hold_words(hold)
                held = select(func.count()).where(_holds(keys, hold.kind, words.what), Transfer.state != TransferState.ERASED)
                return HoldOverview(
                    id=hold.id,
                    kind=hold.kind,
                    what=words.what,
                    reason=words.reason,
                    until=hold.until,
                    placed_at=hold.placed_at,
                    placed_by=names.get(hold.placed_by_id, ""),
                    lifted_at=hold.lifted_at,
                    transfer_count=(await session.scalar(held) or 0) if is_live else 0,
                )

            return [await overview(each, is_live=True) for each in live], [await overview(each, is_live=False) for each in ended]

    async def place(self, actor: StaffActor, kind: HoldKind, what: str, reason: str, until: datetime | None) -> HoldId:
        """Hold from now on. Raises `NotFound` for others than administrators, and `FormRefused`."""
        require_administrator(actor)
        words = HoldWords.parse(kind, what, reason)
        now = self._clock()
        if until is not None and until <= now:
            raise FormRefused({"until": DatePassed()})
        hold_id = HoldId(new_identifier())
        async with self._database.work() as session:
            # What is being erased at this moment is erased by then, and not kept for anyone.
            await session.get_one(BelievedTime, BELIEVED, with_for_update=True)
            if kind == HoldKind.TRANSFER:
                words = HoldWords(await _transfer_id(session, words.what), words.reason)
            hold = LegalHold(id=hold_id, kind=kind, until=until, placed_at=now, placed_by_id=actor.user.id, lifted_at=None)
            hold.sealed_words = self._keys.seal_hold_words(words, hold_id)
            session.add(hold)
            record(
                session,
                EventTag.HOLD_PLACED,
                actor.subject(),
                now,
                hold=hold_id,
                kind=kind.value,
                reason=words.reason,
                until=until.isoformat() if until else None,
            )
        await self.mark(now)
        return hold_id

    async def lift(self, actor: StaffActor, hold_id: str) -> None:
        """Let what it held be erased when it is due, which may be now. Twice is once. Raises `NotFound`."""
        require_administrator(actor)
        now = self._clock()
        async with self._database.work() as session:
            hold = await session.get(LegalHold, hold_id, with_for_update=True) if is_identifier(hold_id) else None
            if hold is None:
                raise NotFound
            if hold.lifted_at is not None:
                return
            hold.lifted_at, hold.lifted_by_id = now, actor.user.id
            record(session, EventTag.HOLD_LIFTED, actor.subject(), now, hold=hold.id)
        await self.mark(now)

    async def mark(self, now: datetime) -> None:
        """Write on each transfer whether it is held, for its sender and its report; a batch at a time."""
        for is_begin in (True, False):
            while True:
                async with self._database.work() as session:
                    held = await held_transfers(session, self._keys, now)
                    chosen = (held & Transfer.held_at.is_(None)) if is_begin else (~held & Transfer.held_at.is_not(None))
                    query = select(Transfer).where(chosen, Transfer.state != TransferState.ERASED).order_by(Transfer.id)
                    # Locked, so that of two who mark at once one writes that it happened; in order, so that both get there.
                    found = list(await session.scalars(query.limit(_BATCH).with_for_update()))
                    for transfer in found:
                        transfer.held_at = now if is_begin else None
                        tag = EventTag.TRANSFER_RETAINED if is_begin else EventTag.TRANSFER_RELEASED
                        record(session, tag, Subject(actor=ActorKind.SYSTEM, transfer_id=transfer.id), now)
                if len(found) < _BATCH:
                    break


async def require_no_hold_meanwhile(session: AsyncSession) -> None:
    """For who erases: holds that are there are seen, and others are placed when this unit of work is over."""
    await session.get_one(BelievedTime, BELIEVED, with_for_update={"read": True})


async def is_held(session: AsyncSession, keeping_keys: KeepingKeys, transfer: Transfer, now: datetime) -> bool:
    """Whether this one is, for who is about to destroy something of it; a hold that comes later finds it done."""
    await require_no_hold_meanwhile(session)
    held = await held_transfers(session, keeping_keys, now)
    return await session.scalar(select(Transfer.id).where(Transfer.id == transfer.id, held)) is not None


async def held_transfers(session: AsyncSession, keeping_keys: KeepingKeys, now: datetime) -> ColumnElement[bool]:
    """Which transfers are held at this time, as a condition. Asked anew each time: a hold counts from the moment it is there."""
    keys = keeping_keys.within(session)
    live = await session.scalars(select(LegalHold).where(_is_live(now)))
    return or_(false(), *(_holds(keys, hold.kind, keys.hold_words(hold).what) for hold in live))


def _is_live(now: datetime) -> ColumnElement[bool]:
    return LegalHold.lifted_at.is_(None) & (LegalHold.until.is_(None) | (LegalHold.until > now))


def _holds(keys: KeepingKeys, kind: HoldKind, what: str) -> ColumnElement[bool]:
    if kind == HoldKind.TRANSFER:
        return (Transfer.id == what) | func.coalesce(Transfer.answers_id == what, false())
    if kind == HoldKind.REFERENCE:
        index = keys.index("reference", what.casefold())
        return func.coalesce(Transfer.reference_index.in_(index.all), false())
    index = keys.index("email", what)
    theirs = select(Recipient.id).where(Recipient.email_index == index)
    named = select(Recipient.transfer_id).where(Recipient.email_index == index)
    account = select(StaffUser.id).where(func.lower(StaffUser.email) == what)
    return (
        Transfer.id.in_(named)
        | func.coalesce(Transfer.sender_id.in_(account), false())
        | func.coalesce(Transfer.guest_id.in_(theirs), false())
    )


async def _transfer_id(session: AsyncSession, typed: str) -> TransferId:
    """By its identifier, or by the receipt number that people know, if only one has it."""
    plain = typed.replace("-", "").replace(" ", "").lower()
    if len(plain) < 8 or not plain.isascii() or not plain.isalnum():  # noqa: PLR2004 - `receipt_number`
        raise FormRefused({"what": TransferUnknown()})
    query: Any = select(Transfer.id).where(Transfer.id.startswith(plain), Transfer.state != TransferState.ERASED).limit(2)
    found = list(await session.scalars(query))
    if len(found) != 1:
        raise FormRefused({"what": TransferUnknown()})
    return TransferId(found[0])
