"""Observing time: looking at two clocks, and saying how far the one that can be set is believed (`model/believed_time.py`)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.believed_time import BELIEVED, FORGET_BOOTS_AFTER, BelievedTime, ObservedBoot
from zegelpost.model.clock import Clock, OnClock
from zegelpost.services.alarming import Alarm, raise_alarm
from zegelpost.services.notifying import Notifying

_LOG: Final = structlog.get_logger()


class ObservingTime:
    def __init__(self, database: Database, notifying: Notifying, clock: Clock, on_clock: OnClock) -> None:
        self._database = database
        self._notifying = notifying
        self._clock = clock
        self._on_clock = on_clock

    async def believed(self) -> datetime:
        """What time it is, for what cannot be undone; at most what the clock says.

        Every look of any process on any machine counts, and counts once: time that two of them observed is the same time. When
        the clock begins to say too much, administrators are told; they have a day.
        """
        now = self._clock()
        async with self._database.work() as session:
            kept = await session.get_one(BelievedTime, BELIEVED, with_for_update=True)
            kept.observed_seconds = await self._observed(session, kept.observed_seconds)
            was_doubted = kept.doubted_at is not None
            believed = kept.observe(now)
            if kept.doubted_at is not None and not was_doubted:
                _LOG.error("clock_doubted", says=now.isoformat(), believed=believed.isoformat())
                await raise_alarm(session, self._notifying, Alarm.CLOCK_JUMPED, now)
        return believed

    async def _observed(self, session: AsyncSession, before: float) -> float:
        """Time that was observed in all, by this machine's look and by those before it."""
        on = self._on_clock()
        boot = await session.get(ObservedBoot, on.boot)
        if boot is None:
            boot = ObservedBoot(boot=on.boot, on_seconds=on.seconds, observed_seconds=before)
            session.add(boot)
        observed = max(before, boot.observed_seconds + max(0.0, on.seconds - boot.on_seconds))
        boot.on_seconds, boot.observed_seconds = on.seconds, observed
        old = observed - FORGET_BOOTS_AFTER / timedelta(seconds=1)
        await session.execute(delete(ObservedBoot).where(ObservedBoot.observed_seconds < old))
        return observed
