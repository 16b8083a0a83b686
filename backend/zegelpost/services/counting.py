"""Counting: how much goes to and fro, day by day, and what is the matter now. Numbers only, and nobody in them.

Each kind of fact is one grouped query that begins at an index on its moment, so that it costs what happened in the period and
not what was ever sent. Of a year with a million transfers that is seconds, so days that are over are counted beforehand, see
`summing.py`. Databases count by hour of UTC, and days are put together here: SQLite knows no time zones, and the hours
of Amsterdam are those of UTC under other names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, Self
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, and_, case, func, literal_column, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, aliased

from zegelpost.database import Database
from zegelpost.model.address_book import FeedTrouble
from zegelpost.model.base import UtcDateTime
from zegelpost.model.clock import Clock
from zegelpost.model.department import Department
from zegelpost.model.document import Document, DocumentState, Part
from zegelpost.model.identifiers import DepartmentId
from zegelpost.model.outgoing import CarrierState, Outgoing, OutgoingKind, OutgoingState, Prices, Purpose
from zegelpost.model.recipient import Recipient
from zegelpost.model.refusals import DateInvalid, PeriodImpossible
from zegelpost.model.transfer import Transfer, TransferKind, TransferState
from zegelpost.services.access import StaffActor, own_department, require_administrator
from zegelpost.services.keeping_days import KeptDay, kept_days
from zegelpost.services.measuring import LOST, LOST_WITHIN, Measured, Measuring, is_withdrawn

LONGEST_PERIOD: Final = timedelta(days=366)
USUAL_PERIOD: Final = timedelta(days=28)
# What belongs to no department.
OWN: Final = "own"
# Of these, today included, everything is counted when it is asked for: mail comes back for five days.
FRESH_DAYS: Final = 8
# What was counted longer ago is counted when it is asked for, as if nobody had.
_KEPT_COUNTS_FOR: Final = timedelta(hours=48)
# Mail that waits longer says that the relay is down, or that no worker runs.
WAITS_TOO_LONG: Final = timedelta(minutes=10)
# Of all mail or SMS of the last day. One wrong address is nobody's alarm; a sender that is blocked loses all of it.
LOST_SHARE: Final = 0.1
FEW_LOST: Final = 5
_TIME_ZONE: Final = ZoneInfo("Europe/Amsterdam")
_FIRST_YEAR: Final = 2000
_BRINGS_THE_LINK: Final = (
    *(Purpose.INVITATION, Purpose.COLLEAGUE_INVITATION, Purpose.NEW_LINK),
    *(Purpose.REQUEST, Purpose.REQUEST_NEW_LINK, Purpose.INTAKE_OPENED),
)
# Of address books: what asks for nothing to be done.
_MENDS_ITSELF: Final = ("none", FeedTrouble.BUSY, FeedTrouble.MAILBOX_MISSING)
_COUNTED_KINDS: Final = (TransferKind.SENDING, TransferKind.REQUEST, TransferKind.ANSWER)


@dataclass(frozen=True, slots=True)
class Period:
    """Days of Amsterdam, the last one included."""

    first_day: date
    last_day: date

    @classmethod
    def chosen(cls, first_day: date | None, last_day: date | None, today: date) -> Self:
        """The usual one where nothing is chosen; never later than today. Raises `DateInvalid` and `PeriodImpossible`."""
        if any(day is not None and day.year < _FIRST_YEAR for day in (first_day, last_day)):
            raise DateInvalid
        last = min(last_day or today, today)
        first = first_day or last - USUAL_PERIOD + timedelta(days=1)
        if first > last or last - first >= LONGEST_PERIOD:
            raise PeriodImpossible(limit=LONGEST_PERIOD.days)
        return cls(first, last)

    @property
    def days(self) -> list[date]:
        return [self.first_day + timedelta(days=number) for number in range((self.last_day - self.first_day).days + 1)]

    def holds(self, moment: InstrumentedAttribute[Any]) -> ColumnElement[bool]:
        """Whether a moment is in it."""
        return and_(moment >= _start(self.first_day), moment < _start(self.last_day + timedelta(days=1)))


def day_of(moment: datetime) -> date:
    """The day that it is then in Amsterdam."""
    return moment.astimezone(_TIME_ZONE).date()


def _start(day: date) -> datetime:
    return datetime.combine(day, time.min, _TIME_ZONE).astimezone(UTC)


@dataclass(slots=True, kw_only=True)
class Tally:
    """What happened on some days. Recipients, and who of them opened and fetched, count on the day of sending."""

    sent_count: int = 0
    requested_count: int = 0
    received_count: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0
    recipient_count: int = 0
    opened_count: int = 0
    fetched_count: int = 0
    mail_count: int = 0
    lost_mail_count: int = 0
    sms_count: int = 0
    lost_sms_count: int = 0
    call_count: int = 0
    lost_call_count: int = 0

    def __add__(self, other: Tally) -> Tally:
        """Both together."""
        return Tally(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(Tally)})


def is_whole(numbers: Mapping[str, int]) -> bool:
    """Whether everything was counted that is counted now."""
    return numbers.keys() == {each.name for each in fields(Tally)}


@dataclass(frozen=True, slots=True)
class Counted:
    """A day without anything is there too. `mailbox` as it was asked for, with the name of the department that it is."""

    period: Period
    days: Mapping[date, Tally]
    mailbox: str
    department: str
    prices: Prices
    # When the oldest of its numbers was counted, if that was not now, and the last day of which that holds.
    counted_at: datetime | None = None
    counted_until: date | None = None

    @property
    def total(self) -> Tally:
        return sum(self.days.values(), Tally())

    @property
    def codes_euros(self) -> Decimal | None:
        """About what codes cost, by the prices of the set-up; nothing when it has none for what there was."""
        total, prices = self.total, self.prices
        if prices.of_sms is None or (total.call_count and prices.of_call is None):
            return None
        return total.sms_count * prices.of_sms + total.call_count * (prices.of_call or 0)


class ConcernKind(StrEnum):
    """What an administrator has to do something about."""

    WAITS = "waits"  # mail or SMS that should have left
    LOST = "lost"  # much of what left today
    HELD_BACK = "held_back"
    ADDRESS_BOOKS = "address_books"


@dataclass(frozen=True, slots=True)
class Concern:
    """`count`: of what. `outgoing` and `since` where they mean something."""

    kind: ConcernKind
    count: int
    outgoing: OutgoingKind | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How it is now, for the whole organisation. `undelivered`: recipients of open transfers whom no mail with a link reached."""

    measured: Measured
    concerns: Sequence[Concern] = field(default=())
    waiting_since: Mapping[OutgoingKind, datetime]
    undelivered_count: int
    undelivered_since: datetime | None
    stored_bytes: int

    @property
    def feed_count(self) -> int:
        return sum(self.measured.feeds.values())

    @property
    def troubled_feed_count(self) -> int:
        return self.feed_count - self.measured.feeds.get("none", 0)


class Counting:
    def __init__(self, database: Database, measuring: Measuring, prices: Prices, clock: Clock) -> None:
        self._database = database
        self._measuring = measuring
        self._prices = prices
        self._clock = clock

    async def departments(self, actor: StaffActor) -> list[tuple[DepartmentId, str]]:
        """All there are or were, with those that are closed last. Raises `NotFound` for who is no administrator."""
        require_administrator(actor)
        async with self._database.reading() as session:
            rows = await session.execute(
                select(Department.id, Department.name).order_by(Department.closed_at.is_not(None), Department.name)
            )
            return [(row.id, row.name) for row in rows]

    async def standing(self, actor: StaffActor) -> Standing:
        """As it is now. Costs what waits, what failed and what is stored, not what was ever sent. Raises `NotFound`."""
        require_administrator(actor)
        now = self._clock()
        measured = await self._measuring.measure()
        async with self._database.reading() as session:
            left = await session.execute(
                select(Outgoing.kind, func.count())
                .where(Outgoing.state.in_(list(OutgoingState)), Outgoing.due_at > now - LOST_WITHIN, ~is_withdrawn())
                .group_by(Outgoing.kind)
            )
            undelivered = await _undelivered(session, now)
            stored = await session.scalar(select(func.sum(Part.length_bytes)))
            since = {
                kind: now - timedelta(seconds=waiting.oldest_seconds)
                for kind, waiting in measured.waiting.items()
                if waiting.count
            }
            return Standing(
                measured=measured,
                concerns=_concerns(measured, {row[0]: row[1] for row in left}, since, now),
                waiting_since=since,
                undelivered_count=undelivered[0],
                undelivered_since=undelivered[1],
                stored_bytes=int(stored or 0),
            )

    async def count(self, actor: StaffActor, period: Period, mailbox: str = "") -> Counted:
        """Day by day. `mailbox` narrows it: `OWN`, or a department's identifier. Raises `NotFound` for one that is not there."""
        require_administrator(actor)
        async with self._database.reading() as session:
            department = await own_department(session, actor, mailbox) if mailbox not in {"", OWN} else None
            kept = await self._kept(session, period, mailbox) if mailbox in {"", OWN} else {}
            missing = [day for day in period.days if day not in kept]
            days = {day: Tally(**kept[day].numbers) if day in kept else Tally() for day in period.days}
            if missing:
                counted = await self._counted(session, Period(missing[0], missing[-1]), mailbox)
                days |= {day: counted[day] for day in missing}
            return Counted(
                period,
                days,
                mailbox,
                department.name if department else "",
                self._prices,
                counted_at=min((day.counted_at for day in kept.values()), default=None),
                counted_until=max(kept, default=None),
            )

    async def count_anew(self, period: Period, mailbox: str) -> Mapping[date, Tally]:
        """As `count`, of everything or of `OWN`, for whoever keeps it; nobody has to be an administrator for that."""
        async with self._database.reading() as session:
            return await self._counted(session, period, mailbox)

    async def _kept(self, session: AsyncSession, period: Period, mailbox: str) -> dict[date, KeptDay]:
        """What was counted beforehand, as far as it counts."""
        now = self._clock()
        last = min(period.last_day, day_of(now) - timedelta(days=FRESH_DAYS))
        kept = await kept_days(session, period.first_day, last, mailbox)
        return {day: each for day, each in kept.items() if is_whole(each.numbers) and each.counted_at > now - _KEPT_COUNTS_FOR}

    async def _counted(self, session: AsyncSession, period: Period, mailbox: str) -> dict[date, Tally]:
        days = {day: Tally() for day in period.days}
        is_in = _is_in(mailbox)
        await self._count_transfers(session, days, period, is_in)
        await self._count_outgoing(session, days, period, is_in)
        return days

    async def _count_transfers(
        self, session: AsyncSession, days: Mapping[date, Tally], period: Period, is_in: ColumnElement[bool] | None
    ) -> None:
        hour = self._hour(Transfer.sent_at)
        chosen = [period.holds(Transfer.sent_at), *([is_in] if is_in is not None else [])]
        # Transfers keep their row when they are erased, and so does what was counted.
        numbers = await session.execute(
            select(hour, Transfer.kind, func.count())
            .where(*chosen, Transfer.kind.in_(_COUNTED_KINDS))
            .group_by(hour, Transfer.kind)
        )
        for at, kind, count in numbers:
            tally = days[_day(at)]
            if kind == TransferKind.SENDING:
                tally.sent_count += count
            elif kind == TransferKind.REQUEST:
                tally.requested_count += count
            else:
                tally.received_count += count
        sizes = await session.execute(
            select(hour, Transfer.kind, func.sum(Document.length_bytes))
            .join(Document, Document.transfer_id == Transfer.id)
            .where(*chosen, Document.state != DocumentState.ARRIVING)
            .group_by(hour, Transfer.kind)
        )
        for at, kind, size_bytes in sizes:
            if kind == TransferKind.SENDING:
                days[_day(at)].sent_bytes += int(size_bytes)
            else:
                days[_day(at)].received_bytes += int(size_bytes)
        people = await session.execute(
            # Whoever fetched has opened, also where nobody wrote that down.
            select(
                hour,
                func.count(),
                func.count(func.coalesce(Recipient.opened_at, Recipient.fetched_at)),
                func.count(Recipient.fetched_at),
            )
            .select_from(Transfer)
            .join(Recipient, Recipient.transfer_id == Transfer.id)
            .where(*chosen, Transfer.kind == TransferKind.SENDING)
            .group_by(hour)
        )
        for at, recipients, opened, fetched in people:
            tally = days[_day(at)]
            tally.recipient_count += recipients
            tally.opened_count += opened
            tally.fetched_count += fetched

    async def _count_outgoing(
        self, session: AsyncSession, days: Mapping[date, Tally], period: Period, is_in: ColumnElement[bool] | None
    ) -> None:
        """By when each was last tried: for that there is an index, and every mail would pay for another one."""
        hour = self._hour(Outgoing.due_at)
        is_lost = or_(Outgoing.state.in_(LOST), Outgoing.carrier_state == CarrierState.UNDELIVERED)
        query = select(hour, Outgoing.kind, func.count(), func.sum(case((is_lost, 1), else_=0)))
        if is_in is not None:
            query = query.join(Transfer, Transfer.id == Outgoing.transfer_id).where(is_in)
        rows = await session.execute(
            query.where(Outgoing.state.in_(list(OutgoingState)), period.holds(Outgoing.due_at), ~is_withdrawn()).group_by(
                hour, Outgoing.kind
            )
        )
        for at, kind, count, lost in rows:
            tally = days[_day(at)]
            if kind == OutgoingKind.MAIL:
                tally.mail_count += count
                tally.lost_mail_count += int(lost)
            elif kind == OutgoingKind.SMS:
                tally.sms_count += count
                tally.lost_sms_count += int(lost)
            else:
                tally.call_count += count
                tally.lost_call_count += int(lost)

    def _hour(self, moment: InstrumentedAttribute[Any]) -> ColumnElement[Any]:
        """The hour of UTC that a moment is in. Without parameters: PostgreSQL would not see that this is what is grouped by."""
        if self._database.is_sqlite:
            # Moments are text there: `2026-11-23 12:05:09.000000`.
            return func.substr(moment, literal_column("1"), literal_column("13")).label("hour")
        return func.date_trunc(literal_column("'hour'"), moment, literal_column("'UTC'"), type_=UtcDateTime()).label("hour")


def _day(hour: str | datetime) -> date:
    at = datetime.strptime(hour, "%Y-%m-%d %H").replace(tzinfo=UTC) if isinstance(hour, str) else hour
    return day_of(at)


def _is_in(mailbox: str) -> ColumnElement[bool] | None:
    """Whose transfers. What guests send has no department of its own: it is for whoever receives it."""
    if not mailbox:
        return None
    # Under a name of its own: queries that count recipients have that table already.
    receiver = aliased(Recipient)
    is_answer = Transfer.kind == TransferKind.ANSWER
    if mailbox == OWN:
        is_for = select(receiver.id).where(receiver.transfer_id == Transfer.id, receiver.department_id.is_not(None))
        return or_(and_(~is_answer, Transfer.department_id.is_(None)), and_(is_answer, ~is_for.exists()))
    # Each side begins at an index on the department.
    theirs = select(receiver.transfer_id).where(receiver.department_id == mailbox)
    return or_(and_(~is_answer, Transfer.department_id == mailbox), and_(is_answer, Transfer.id.in_(theirs)))


async def _undelivered(session: AsyncSession, now: datetime) -> tuple[int, datetime | None]:
    """Recipients whose latest mail with a link failed, while what it leads to is still there; and since when the first."""
    later = aliased(Outgoing)
    is_made_up_for = (
        select(later.id)
        .where(
            later.recipient_id == Outgoing.recipient_id,
            later.purpose.in_(_BRINGS_THE_LINK),
            later.created_at > Outgoing.created_at,
        )
        .exists()
    )
    row = (
        await session.execute(
            select(func.count(Outgoing.recipient_id.distinct()), func.min(Outgoing.created_at))
            .join(Recipient, Recipient.id == Outgoing.recipient_id)
            .join(Transfer, Transfer.id == Outgoing.transfer_id)
            .where(
                Outgoing.state.in_([OutgoingState.FAILED, OutgoingState.BOUNCED]),
                Outgoing.purpose.in_(_BRINGS_THE_LINK),
                ~is_withdrawn(),
                Recipient.opened_at.is_(None),
                Recipient.blocked_at.is_(None),
                Transfer.state == TransferState.SENT,
                Transfer.expires_at > now,
                ~is_made_up_for,
            )
        )
    ).one()
    return row[0], row[1]


def _concerns(
    measured: Measured, left: Mapping[OutgoingKind, int], since: Mapping[OutgoingKind, datetime], now: datetime
) -> list[Concern]:
    """The worst first."""
    found = [
        Concern(ConcernKind.WAITS, measured.waiting[kind].count, kind, at)
        for kind, at in since.items()
        if now - at > WAITS_TOO_LONG
    ]
    for kind in OutgoingKind:
        lost = sum(count for (of, _), count in measured.lost.items() if of == kind)
        if lost >= FEW_LOST and lost >= LOST_SHARE * left.get(kind, 0):
            found.append(Concern(ConcernKind.LOST, lost, kind))
    if measured.held_back:
        found.append(Concern(ConcernKind.HELD_BACK, measured.held_back))
    if troubled := sum(count for trouble, count in measured.feeds.items() if trouble not in _MENDS_ITSELF):
        found.append(Concern(ConcernKind.ADDRESS_BOOKS, troubled))
    return found
