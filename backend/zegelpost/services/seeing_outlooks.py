"""Seeing Outlooks: counting where the pane opens, so that administrators know who still has an old manifest."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError

from zegelpost.database import Database
from zegelpost.model.clock import Clock
from zegelpost.model.seen_outlook import KEPT_FOR, MOST_KINDS, SHOWN_FOR, OutlookKind, SeenOutlook
from zegelpost.services.access import StaffActor, require_administrator


class SeeingOutlooks:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def see(self, kind: OutlookKind) -> None:
        """Count a pane that opened there."""
        if not await self._count(kind):
            try:
                await self._begin(kind)
            except IntegrityError:  # another pane of the same kind was first
                await self._count(kind)

    async def seen(self, actor: StaffActor) -> Sequence[SeenOutlook]:
        """What was seen lately, most seen first. Raises `NotFound` for who is no administrator."""
        require_administrator(actor)
        async with self._database.reading() as session:
            lately = SeenOutlook.last_seen_at > self._clock() - SHOWN_FOR
            order = (SeenOutlook.opened_count.desc(), SeenOutlook.host, SeenOutlook.version)
            return list(await session.scalars(select(SeenOutlook).where(lately).order_by(*order)))

    async def _count(self, kind: OutlookKind) -> bool:
        is_it = (
            SeenOutlook.manifest == kind.manifest,
            SeenOutlook.host == kind.host,
            SeenOutlook.platform == kind.platform,
            SeenOutlook.version == kind.version,
        )
        async with self._database.work() as session:
            counted = await session.scalar(
                update(SeenOutlook)
                .where(*is_it)
                .values(opened_count=SeenOutlook.opened_count + 1, last_seen_at=self._clock())
                .returning(SeenOutlook.opened_count)
                .execution_options(synchronize_session=False)
            )
            return counted is not None

    async def _begin(self, kind: OutlookKind) -> None:
        now = self._clock()
        async with self._database.work() as session:
            await session.execute(delete(SeenOutlook).where(SeenOutlook.last_seen_at < now - KEPT_FOR))
            if (await session.scalar(select(func.count()).select_from(SeenOutlook)) or 0) < MOST_KINDS:
                session.add(
                    SeenOutlook(
                        manifest=kind.manifest,
                        host=kind.host,
                        platform=kind.platform,
                        version=kind.version,
                        opened_count=1,
                        last_seen_at=now,
                    )
                )
