"""Measuring: how the installation fares, in numbers without anybody in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import ColumnElement, and_, func, select

from zegelpost.database import Database
from zegelpost.model.address_book import AddressFeed
from zegelpost.model.clock import Clock
from zegelpost.model.document import Upload
from zegelpost.model.held_back import HeldBack
from zegelpost.model.outgoing import Outgoing, OutgoingKind, OutgoingState
from zegelpost.services.notifying import WITHDRAWN

_UNSENT: Final = (OutgoingState.WAITING, OutgoingState.SENDING)
LOST: Final = (OutgoingState.FAILED, OutgoingState.BOUNCED, OutgoingState.UNKNOWN)
LOST_WITHIN: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Waiting:
    """What has not left yet, and since how many seconds the oldest of it waits."""

    count: int = 0
    oldest_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Measured:
    """`lost`: mails and SMS of the last day that will not arrive, by kind and state. `feeds`: address books, by trouble."""

    waiting: Mapping[OutgoingKind, Waiting]
    lost: Mapping[tuple[OutgoingKind, OutgoingState], int]
    unfinished_uploads: int
    held_back: int
    feeds: Mapping[str, int]


class Measuring:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def measure(self) -> Measured:
        """As it is now. Costs what waits and what failed, not what was ever sent."""
        now = self._clock()
        async with self._database.reading() as session:
            unsent = await session.execute(
                select(Outgoing.kind, func.count(), func.min(Outgoing.created_at))
                .where(Outgoing.state.in_(_UNSENT))
                .group_by(Outgoing.kind)
            )
            waiting = {kind: Waiting(count, (now - oldest).total_seconds()) for kind, count, oldest in unsent}
            lost = await session.execute(
                select(Outgoing.kind, Outgoing.state, func.count())
                .where(Outgoing.state.in_(LOST), Outgoing.due_at > now - LOST_WITHIN, ~is_withdrawn())
                .group_by(Outgoing.kind, Outgoing.state)
            )
            feeds = await session.execute(
                select(AddressFeed.trouble, func.count()).where(AddressFeed.is_switched_on).group_by(AddressFeed.trouble)
            )
            uploads = select(func.count()).select_from(Upload).where(Upload.offset_bytes < Upload.length_bytes)
            held = select(func.count()).select_from(HeldBack).where(HeldBack.outcome.is_(None))
            return Measured(
                waiting={kind: waiting.get(kind, Waiting()) for kind in OutgoingKind},
                lost={(kind, state): 0 for kind in OutgoingKind for state in LOST}
                | {(kind, state): count for kind, state, count in lost},
                unfinished_uploads=await session.scalar(uploads) or 0,
                held_back=await session.scalar(held) or 0,
                feeds={trouble.value if trouble else "none": count for trouble, count in feeds},
            )


def is_withdrawn() -> ColumnElement[bool]:
    """What we took back ourselves, because something newer took its place: nobody misses it."""
    return and_(Outgoing.state == OutgoingState.FAILED, Outgoing.failure.is_not(None), Outgoing.failure == WITHDRAWN)
