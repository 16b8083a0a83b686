"""Limiting tries: counting guesses in the database, so that all web processes count together and a restart forgets nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.model.refusals import TooManyAttempts
from zegelpost.model.staff_user import SignInAttempt

WINDOW: Final = timedelta(minutes=15)
LONGEST_WINDOW: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many tries of one kind, about one thing, within a time."""

    kind: str
    value: str
    most: int
    within: timedelta = WINDOW

    @property
    def key(self) -> bytes:
        """What is stored instead of addresses and networks."""
        return hashlib.sha256(f"{self.kind}\x00{self.value}".encode()).digest()


async def count_try(session: AsyncSession, limits: Sequence[Limit], now: datetime) -> list[SignInAttempt]:
    """Count one try against every limit; raise `TooManyAttempts` where there is no room.

    The caller commits before judging the try: what is let through counts until it turns out right, so that many tries at
    once are not one. Two that count the same thing wait for each other: else both would find room for the last one.
    """
    await _take_turns(session, limits)
    for limit in limits:
        if await tries_of(session, limit, now) >= limit.most:
            raise TooManyAttempts(retry_after_seconds=int(limit.within.total_seconds()))
    tries = [SignInAttempt(key=key, at=now) for key in dict.fromkeys(limit.key for limit in limits)]
    session.add_all(tries)
    return tries


async def tries_of(session: AsyncSession, limit: Limit, now: datetime) -> int:
    """How many count now."""
    found = await session.scalar(
        select(func.count()).where(SignInAttempt.key == limit.key, SignInAttempt.at > now - limit.within)
    )
    return found or 0


async def _take_turns(session: AsyncSession, limits: Sequence[Limit]) -> None:
    """SQLite has one writer at a time. PostgreSQL locks by number until the unit of work ends.

    In order, so that nobody waits in a circle.
    """
    if session.get_bind().dialect.name != "postgresql":
        return
    for number in sorted({int.from_bytes(limit.key[:8], "big", signed=True) for limit in limits}):
        await session.execute(select(func.pg_advisory_xact_lock(number)))


async def forget_tries(session: AsyncSession, *keys: bytes) -> None:
    """A right answer takes the wrong ones before it away."""
    await session.execute(delete(SignInAttempt).where(SignInAttempt.key.in_(keys)))


async def forget_old_tries(session: AsyncSession, now: datetime) -> None:
    await session.execute(delete(SignInAttempt).where(SignInAttempt.at <= now - LONGEST_WINDOW))
