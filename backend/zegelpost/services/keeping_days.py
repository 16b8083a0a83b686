"""Keeping days: the numbers of days that are over, as they were last counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import insert_all
from zegelpost.model.day_sum import DaySum


@dataclass(frozen=True, slots=True)
class KeptDay:
    """What was counted of a day, by name, and when."""

    numbers: Mapping[str, int]
    counted_at: datetime


async def kept_days(session: AsyncSession, first: date, last: date, mailbox: str) -> dict[date, KeptDay]:
    """Those from `first` up to and including `last`, however long ago they were counted."""
    rows = await session.scalars(
        select(DaySum).where(DaySum.mailbox == mailbox, DaySum.day >= first.isoformat(), DaySum.day <= last.isoformat())
    )
    return {date.fromisoformat(row.day): KeptDay(row.numbers, row.counted_at) for row in rows}


async def keep_days(session: AsyncSession, mailbox: str, days: Mapping[date, Mapping[str, int]], now: datetime) -> None:
    """In the place of what was kept of these days. Of two who do so at once, one gets `IntegrityError`."""
    rows: list[dict[str, Any]] = [
        {"day": day.isoformat(), "mailbox": mailbox, "numbers": dict(numbers), "counted_at": now} for day, numbers in days.items()
    ]
    await session.execute(delete(DaySum).where(DaySum.mailbox == mailbox, DaySum.day.in_([row["day"] for row in rows])))
    await insert_all(session, DaySum.__table__, rows)
