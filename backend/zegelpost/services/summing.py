"""Summing: counting days that are over once a day, so that a year of a large organisation is on the page at once.

Most numbers of a day never change any more. Who opened and fetched does, for as long as a transfer is open: hence every day anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import date, timedelta
from typing import Final

from sqlalchemy.exc import IntegrityError

from zegelpost.database import Database
from zegelpost.model.clock import Clock
from zegelpost.services.counting import FRESH_DAYS, LONGEST_PERIOD, OWN, Counting, Period, day_of, is_whole
from zegelpost.services.keeping_days import keep_days, kept_days

# So that each is counted anew within a day, whatever the hour at which its turn comes.
_AGAIN_AFTER: Final = timedelta(hours=18)
# At a time: a second with a million transfers a year, and other work of the worker waits for it. In four hours all are done.
_MOST_DAYS: Final = 7
# What is asked for most, and would take longest. A department's own post is not that much.
_MAILBOXES: Final = ("", OWN)


class Summing:
    def __init__(self, database: Database, counting: Counting, clock: Clock) -> None:
        self._database = database
        self._counting = counting
        self._clock = clock

    async def run(self) -> int:
        """Count some of the days whose turn it is; returns how many. Safe to repeat and to interrupt."""
        count = 0
        for mailbox in _MAILBOXES:
            if days := await self._due(mailbox):
                counted = await self._counting.count_anew(Period(days[0], days[-1]), mailbox)
                # Another worker that counted them at the same moment came to the same.
                with suppress(IntegrityError):
                    async with self._database.work() as session:
                        await keep_days(session, mailbox, {day: asdict(tally) for day, tally in counted.items()}, self._clock())
                    count += len(counted)
        return count

    async def _due(self, mailbox: str) -> Sequence[date]:
        """The first days that were counted too long ago, or never; no longer a stretch than is counted at a time."""
        now = self._clock()
        last = day_of(now) - timedelta(days=FRESH_DAYS)
        first = day_of(now) - LONGEST_PERIOD
        async with self._database.reading() as session:
            kept = await kept_days(session, first, last, mailbox)
        every_day = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        due = [
            day
            for day in every_day
            if day not in kept or not is_whole(kept[day].numbers) or not now - _AGAIN_AFTER < kept[day].counted_at <= now
        ]
        return [day for day in due if day < due[0] + timedelta(days=_MOST_DAYS)] if due else []
