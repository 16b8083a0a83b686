"""Erasing events: after five years nobody needs to know any more who it was. That it happened stays, and so does the tree."""

from __future__ import annotations

from typing import Final

from sqlalchemy import select, update

from zegelpost.database import Database
from zegelpost.evidence.leaf import commitment
from zegelpost.model.audit import PERSONAL_KEPT, TREE, AuditLeaf, AuditTree
from zegelpost.model.clock import Clock
from zegelpost.model.event import ActorKind, Event, EventTag
from zegelpost.services.observing_time import ObservingTime
from zegelpost.services.recording import Subject, record
from zegelpost.services.sequencing import EVENT_COLUMNS, personal_of

_BATCH: Final = 500


class ErasingEvents:
    def __init__(self, database: Database, observing: ObservingTime, clock: Clock) -> None:
        self._database = database
        self._observing = observing
        self._clock = clock

    async def run(self) -> int:
        """Erase what is due, a batch at a time, from the oldest place on; returns of how many events. Safe to interrupt."""
        now = self._clock()
        due = await self._observing.believed() - PERSONAL_KEPT
        async with self._database.reading() as session:
            erased = select(AuditTree.erased_size).where(AuditTree.id == TREE).scalar_subquery()
            oldest = select(Event.at).join(AuditLeaf, AuditLeaf.event_id == Event.id).where(AuditLeaf.position == erased)
            at = await session.scalar(oldest)
            if at is None or at > due:
                return 0
        async with self._database.work() as session:
            tree = await session.scalar(select(AuditTree).where(AuditTree.id == TREE).with_for_update())
            assert tree is not None
            rows = (
                await session.execute(
                    select(AuditLeaf.position, AuditLeaf.salt, *EVENT_COLUMNS)
                    .join(Event, Event.id == AuditLeaf.event_id)
                    .where(AuditLeaf.position >= tree.erased_size)
                    .order_by(AuditLeaf.position)
                    .limit(_BATCH)
                )
            ).all()
            count = 0
            for row in rows:
                # In the order of places, so that one mark says how far this has come; places follow time but for seconds.
                if row.at > due or row.position != tree.erased_size:
                    break
                tree.erased_size += 1
                if row.salt is None:
                    continue
                await session.execute(
                    update(AuditLeaf)
                    .where(AuditLeaf.position == row.position)
                    .values(salt=None, commitment=commitment(row.salt, personal_of(row)))
                    .execution_options(synchronize_session=False)
                )
                await session.execute(
                    update(Event)
                    .where(Event.id == row.id)
                    .values(staff_user_id=None, recipient_id=None, facts={})
                    .execution_options(synchronize_session=False)
                )
                count += 1
            if count:
                record(session, EventTag.AUDIT_ERASED, Subject(actor=ActorKind.SYSTEM), now, count=count)
        return count
