"""Believed time: how far the clock is believed, for what cannot be undone.

Keys are destroyed by the clock, and a clock can jump. Beside it runs one that cannot be set: how long machines have been on.
What the clock says is believed as far as that one confirms it; when it says much more, a day later, if it still says so.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import SmallInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from zegelpost.model.base import Base

BELIEVED: Final = 1  # there is one
# What passes unseen: between the last look before a restart and the first one after it, and by daily corrections.
LEEWAY: Final = timedelta(hours=1)
HOLD: Final = timedelta(hours=24)
FORGET_BOOTS_AFTER: Final = timedelta(days=60)


class ObservedBoot(Base):
    """A machine since it was switched on: how long that was ago, and how much time had been observed in all, at the last look."""

    __tablename__ = "observed_boot"

    boot: Mapped[str] = mapped_column(String(64), primary_key=True)
    on_seconds: Mapped[float]
    observed_seconds: Mapped[float]


class BelievedTime(Base):
    """From `anchored_at` on, the clock is believed as far as observed time confirms it. Nothing until it is first looked at."""

    __tablename__ = "believed_time"

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    observed_seconds: Mapped[float]
    anchored_at: Mapped[datetime | None]
    anchored_seconds: Mapped[float]
    # Since when, in observed time, the clock says more than that, and what it said then.
    doubted_at: Mapped[datetime | None]
    doubted_seconds: Mapped[float]

    def observe(self, now: datetime) -> datetime:
        """What is believed while the clock says `now`, after `observed_seconds` was brought up to date. Never later than `now`.

        1. A clock that was set back is followed: being late destroys nothing.
        2. As far as observed time confirms it, with some leeway, the clock is believed.
        3. More than that is believed when it has said so for `HOLD`, all the time and by the same distance.
        """
        observed = timedelta(seconds=self.observed_seconds)
        if self.anchored_at is None:
            self._anchor(now)
            return now
        confirmed = self.anchored_at + observed - timedelta(seconds=self.anchored_seconds)
        # 1.
        if now < confirmed - LEEWAY:
            self._anchor(now)
            return now
        # 2.
        if now <= confirmed + LEEWAY:
            self.doubted_at = None
            return now
        # 3.
        since = observed - timedelta(seconds=self.doubted_seconds)
        if self.doubted_at is None or abs(now - self.doubted_at - since) > LEEWAY:
            self.doubted_at, self.doubted_seconds = now, self.observed_seconds
        elif since >= HOLD:
            self._anchor(now)
            return now
        return confirmed

    def _anchor(self, now: datetime) -> None:
        self.anchored_at, self.anchored_seconds, self.doubted_at = now, self.observed_seconds, None
