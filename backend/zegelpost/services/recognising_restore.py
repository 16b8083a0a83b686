"""Recognising a restore: a database that is older than what was signed, or of another or an older key ring, is told.

The key ring remembers the newest checkpoint that a sweep saw. A database whose record is shorter is an older one; going on with
it in the same name would sign a second history of the same record. It goes on in a new name, once somebody has said so.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.evidence.checkpoint import Checkpoint
from zegelpost.evidence.errors import EvidenceBroken
from zegelpost.model.audit import TREE, AuditTree
from zegelpost.model.clock import Clock
from zegelpost.model.event import ActorKind, EventTag
from zegelpost.model.recipient import Recipient
from zegelpost.model.transfer import Transfer, TransferState
from zegelpost.ports import KeyRing
from zegelpost.sealing.errors import SealBroken
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.recording import Subject, record
from zegelpost.services.sequencing import Sequencing

_FROM: Final = re.compile(r"(.+)/from-(\d+)\Z")


class RestoreFound(Exception):
    """The database and the key ring are not of one time or not of one installation. The words say what to do."""


@dataclass(frozen=True, slots=True)
class Stand:
    """Where database and key ring are."""

    size: int  # events in the record
    signed_size: int  # events that the key ring knows were signed
    lost_week_count: int  # transfers that are there, of weeks that were destroyed


def ancestors(origin: str) -> dict[str, int]:
    """Names under which the record was known before it was restored, each with up to how many events they are the same."""
    found: dict[str, int] = {}
    size: int | None = None
    while (match := _FROM.match(origin)) is not None:
        origin = match[1]
        size = int(match[2]) if size is None else min(size, int(match[2]))
        found[origin] = size
    return found


class RecognisingRestore:
    def __init__(
        self, database: Database, ring: KeyRing, keeping_keys: KeepingKeys, sequencing: Sequencing, clock: Clock
    ) -> None:
        self._database = database
        self._ring = ring
        self._keys = keeping_keys
        self._sequencing = sequencing
        self._clock = clock

    async def remember(self) -> None:
        """Have the key ring remember how far the record came. It only ever moves forward."""
        async with self._database.reading() as session:
            tree = await session.get_one(AuditTree, TREE)
        if tree.size > self._signed_size(await asyncio.to_thread(self._ring.remembered)):
            await asyncio.to_thread(self._ring.remember, tree.checkpoint)

    async def require(self) -> Stand:
        """Say where things are. Raises `RestoreFound`.

        1. The record was signed with this key ring's key.
        2. What it holds about people opens with this key ring.
        3. It is no shorter than what was signed.
        4. The keys of every week that something is kept for are there, or were destroyed on purpose.
        """
        remembered = await asyncio.to_thread(self._ring.remembered)
        async with self._database.reading() as session:
            tree = await session.get_one(AuditTree, TREE)
            # 1. and 2.
            await self._require_keys(session, tree)
            # 3.
            signed = self._signed_size(remembered)
            if tree.size < signed:
                raise RestoreFound(
                    f"the database is older than it was: its record has {tree.size} events, and {signed} were signed; restore a"
                    " newer backup, or run `zegelpost accept-restore` to go on without what is lost"
                )
            kept = await _kept_by_week(session)
        # 4. Before anything asks for them: what is asked for and missing is made anew, and opens nothing.
        missing, lost = await asyncio.to_thread(self._gone, kept)
        if missing:
            raise RestoreFound(
                f"the key ring is older than the database: it has no keys of {', '.join(sorted(missing))}, which"
                f" {sum(missing.values())} transfers need; restore the newest key ring, or run `zegelpost accept-restore` to go"
                " on without what is lost"
            )
        return Stand(tree.size, signed, sum(lost.values()))

    def _gone(self, kept: Mapping[str, int]) -> tuple[dict[str, int], dict[str, int]]:
        """Of these weeks, those whose keys are not there, and those whose keys were destroyed."""
        there = set(self._ring.weeks())
        lost = {week: count for week, count in kept.items() if self._ring.is_destroyed(week)}
        return {week: count for week, count in kept.items() if week not in there and week not in lost}, lost

    async def _require_keys(self, session: AsyncSession, tree: AuditTree) -> None:
        """Steps 1 and 2 of `require`."""
        # 1.
        if tree.size:
            try:
                Checkpoint.open(tree.checkpoint, self._sequencing.key(tree))
            except EvidenceBroken:
                raise RestoreFound(
                    "the key ring is not the one of this database: restore the one that belongs to it, or correct"
                    " ZEGELPOST_KEYS_DIR"
                ) from None
        # 2.
        recipients = select(Recipient).join(Transfer, Transfer.id == Recipient.transfer_id)
        newest = await session.scalar(recipients.order_by(Transfer.created_at.desc()).limit(1))
        if newest is not None:
            try:
                self._keys.person(newest)
            except SealBroken:
                raise RestoreFound(
                    "the database was sealed with keys that the key ring no longer has: it is from before a rotation; restore"
                    " a newer one, or the key ring of its time"
                ) from None

    async def accept(self) -> str:
        """Go on with an older database, in a new name for its record, or with an older key ring; returns the record's name.

        What was signed in the name of before stays true of what was then: nothing is ever signed in it again. Safe to repeat.
        Raises `RestoreFound` when the keys do not fit: then this is no database to go on with.
        """
        remembered = await asyncio.to_thread(self._ring.remembered)
        signed = self._signed_size(remembered)
        async with self._database.work() as session:
            tree = await session.get_one(AuditTree, TREE, with_for_update=True)
            await self._require_keys(session, tree)
            if tree.size < signed:
                key = self._sequencing.key(tree)
                tree.origin = f"{key.name}/from-{tree.size}"
                if tree.size:
                    opened = Checkpoint.open(tree.checkpoint, key)
                    tree.checkpoint = self._sequencing.sign(Checkpoint(tree.origin, opened.size, opened.root))
                record(
                    session,
                    EventTag.DATABASE_RESTORED,
                    Subject(actor=ActorKind.SYSTEM),
                    self._clock(),
                    size=tree.size,
                    signed_size=signed,
                )
            missing, _ = await asyncio.to_thread(self._gone, await _kept_by_week(session))
            if missing:
                record(
                    session,
                    EventTag.KEY_RING_RESTORED,
                    Subject(actor=ActorKind.SYSTEM),
                    self._clock(),
                    weeks=" ".join(sorted(missing)),
                )
        for week in missing:
            await asyncio.to_thread(self._ring.week, week)  # new ones, for what is sent from now on
        if tree.size < signed:
            await asyncio.to_thread(self._ring.remember, tree.checkpoint)
        return tree.origin

    @staticmethod
    def _signed_size(note: str) -> int:
        return int(note.split("\n")[1]) if note else 0


async def _kept_by_week(session: AsyncSession) -> dict[str, int]:
    """How many transfers that somebody may still open are of each week."""
    rows = await session.execute(
        select(Transfer.week, func.count())
        .where(Transfer.week.is_not(None), Transfer.state.in_([TransferState.SENT, TransferState.DRAFT]))
        .group_by(Transfer.week)
    )
    return {week: count for week, count in rows if week is not None}
