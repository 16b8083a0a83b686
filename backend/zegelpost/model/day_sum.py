"""The numbers of days that are over, counted before anybody asks for them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, String
from sqlalchemy.orm import Mapped, mapped_column

from zegelpost.model.base import Base


class DaySum(Base):
    """One day of one mailbox, with nobody in it. What it was counted of is all still there, so it can always be had anew."""

    __tablename__ = "day_sum"

    day: Mapped[str] = mapped_column(String(10), primary_key=True)  # of Amsterdam
    mailbox: Mapped[str] = mapped_column(String(26), primary_key=True)  # as it is asked for; everything when empty
    # By the names of `Tally`. A day that was counted by a version that knew other names is counted anew.
    numbers: Mapped[dict[str, int]] = mapped_column(JSON)
    counted_at: Mapped[datetime]
