"""Searching the audit: for auditors, by person, transfer and period. Looking is on record like everything else.

Fields are those of NEN 7513: who, what, when, about what, and on whose behalf.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, func, select, union_all
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from zegelpost.database import Database
from zegelpost.model.audit import AuditLeaf
from zegelpost.model.clock import Clock
from zegelpost.model.department import Department
from zegelpost.model.email_address import EmailAddress
from zegelpost.model.event import ActorKind, Event, EventTag
from zegelpost.model.identifiers import is_identifier
from zegelpost.model.recipient import Recipient
from zegelpost.model.staff_user import StaffUser
from zegelpost.model.transfer import Transfer
from zegelpost.services.access import AuditorActor
from zegelpost.services.exporting_audit import Head, audit_head, sequenced
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.recording import record
from zegelpost.services.reporting import NTA_7516
from zegelpost.services.sequencing import Sequencing

PAGE: Final = 50
_BATCH: Final = 500
_TIME_ZONE: Final = ZoneInfo("Europe/Amsterdam")
# Places follow time but for the seconds until an event gets its own; a clock that is set back is within this too.
_SLACK: Final = timedelta(hours=2)
# Facts that are the identifier of a colleague, and the one that is a department's.
_COLLEAGUES: Final = ("member", "account", "to", "from")
_DEPARTMENT: Final = "department"
# What events around accounts and departments count as in NTA 7516; those of transfers are with reports.
NTA_7516_OF_ACCOUNTS: Final[Mapping[str, str]] = {
    "account:opened": "account opened",
    "account:joined": "changed",
    "account:closed": "account closed",
    "account:reopened": "account opened",
    "account:rights_changed": "rights changed",
    "account:relieved": "rights changed",
    "account:entrusted": "rights changed",
    "member:added": "rights changed",
    "member:changed": "rights changed",
    "member:removed": "rights changed",
    "password:changed": "changed",
    "second_factor:added": "rights changed",
    "second_factor:removed": "rights changed",
    "recovery_codes:renewed": "rights changed",
    "person:consulted": "consulted",
    "person:exported": "consulted",
    "person:erased": "deleted",
    "audit:viewed": "consulted",
    "audit:exported": "consulted",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditQuery:
    """What is looked for; everything that is given has to fit. Days are those of Amsterdam, both included."""

    person: EmailAddress | None = field(default=None, repr=False)
    transfer: str = ""
    first_day: date | None = None
    last_day: date | None = None

    @property
    def is_everything(self) -> bool:
        return self == AuditQuery()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One event as an auditor sees it. Names are those of now; nothing where the personal part was erased."""

    position: int
    event_id: int
    at: datetime
    tag: str
    nta_7516: str | None
    actor: str
    staff_name: str = field(repr=False)
    staff_email: str = field(repr=False)
    behalf: str  # the department that it was done for; nothing where it was done for the organisation
    recipient_name: str = field(repr=False)
    recipient_email: str = field(repr=False)
    transfer_id: str | None
    document_id: str | None
    facts: Mapping[str, Any]
    names: Mapping[str, str] = field(repr=False)  # of colleagues and departments among the facts, by the name of the fact
    is_erased: bool
    hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    entries: Sequence[AuditEntry]
    older_before: int | None  # the position to go on from, when there are more
    head: Head


class SearchingAudit:
    def __init__(self, database: Database, keeping_keys: KeepingKeys, sequencing: Sequencing, clock: Clock) -> None:
        self._database = database
        self._keys = keeping_keys
        self._sequencing = sequencing
        self._clock = clock

    async def search(self, actor: AuditorActor, query: AuditQuery, *, before: int | None = None) -> Found:
        """The newest events that fit, before a position; what was looked for is recorded first."""
        await self._record(actor, EventTag.AUDIT_VIEWED, query)
        await self._sequencing.catch_up(waits=True)
        async with self._database.reading() as session:
            head = await audit_head(session, self._sequencing)
            chosen = await self._conditions(session, query, head.size)
            end = head.size if before is None else min(before, head.size)
            rows = await sequenced(session, end, -1, chosen, PAGE + 1, newest_first=True)
            entries = await self.entries(session, rows[:PAGE])
        return Found(entries=entries, older_before=rows[PAGE - 1].position if len(rows) > PAGE else None, head=head)

    async def conditions(self, actor: AuditorActor, query: AuditQuery, form: str) -> Sequence[ColumnElement[bool]]:
        """For an export in this form, which is recorded here: before a byte of it leaves. None at all for the whole record."""
        await self._record(actor, EventTag.AUDIT_EXPORTED, query, form=form)
        await self._sequencing.catch_up(waits=True)
        async with self._database.reading() as session:
            return await self._conditions(session, query, (await audit_head(session, self._sequencing)).size)

    async def _record(self, actor: AuditorActor, tag: EventTag, query: AuditQuery, **facts: str) -> None:
        """Whom they looked for, as a keyed hash: whoever asks later about an address can tell that it was this one."""
        told: dict[str, str | None] = {
            "person_index": self._keys.index("email", query.person.comparable).hex() if query.person else None,
            "transfer": query.transfer or None,
            "first_day": query.first_day.isoformat() if query.first_day else None,
            "last_day": query.last_day.isoformat() if query.last_day else None,
        }
        async with self._database.work() as session:
            record(session, tag, actor.subject(), self._clock(), **{name: fact for name, fact in told.items() if fact}, **facts)

    async def _conditions(self, session: AsyncSession, query: AuditQuery, size: int) -> list[ColumnElement[bool]]:
        chosen: list[ColumnElement[bool]] = []
        if query.person is not None:
            chosen.append(self._is_about(query.person))
        if query.transfer:
            # No more than one has the form of an identifier; others are in no event.
            chosen.append(Event.transfer_id == (query.transfer if is_identifier(query.transfer) else ""))
        # Events have no index by time, which every event that is written would pay for; their places do.
        if query.first_day is not None:
            start = datetime.combine(query.first_day, time.min, _TIME_ZONE).astimezone(UTC)
            chosen += [Event.at >= start, AuditLeaf.position >= await _position_at(session, size, start - _SLACK)]
        if query.last_day is not None:
            end = datetime.combine(query.last_day + timedelta(days=1), time.min, _TIME_ZONE).astimezone(UTC)
            chosen += [Event.at < end, AuditLeaf.position < await _position_at(session, size, end + _SLACK)]
        return chosen

    def _is_about(self, person: EmailAddress) -> ColumnElement[bool]:
        """What they did with an account of ours, and what happened to them as a recipient or guest."""
        account = select(StaffUser.id).where(func.lower(StaffUser.email) == person.comparable)
        index = self._keys.index("email", person.comparable)
        as_recipient = select(Recipient.id).where(Recipient.email_index == index)
        transfers = select(Recipient.transfer_id).where(Recipient.email_index == index)
        # Their events first, each side by an index of its own. As one condition with "or" it was held against every event of
        # the house, newest first, until there were enough of theirs.
        done, undergone = aliased(Event), aliased(Event)
        return Event.id.in_(
            union_all(
                select(done.id).where(done.staff_user_id.in_(account)),
                # By transfer first: events have an index for that, and none for recipients.
                select(undergone.id).where(undergone.transfer_id.in_(transfers), undergone.recipient_id.in_(as_recipient)),
            )
        )

    async def every_entry(self, chosen: Sequence[ColumnElement[bool]]) -> AsyncIterator[AuditEntry]:
        """All events that fit, oldest first, a unit of work for each batch."""
        async with self._database.reading() as session:
            head = await audit_head(session, self._sequencing)
        after = -1
        while True:
            async with self._database.reading() as session:
                rows = await sequenced(session, head.size, after, chosen, _BATCH)
                entries = await self.entries(session, rows)
            for entry in entries:
                yield entry
            if len(rows) < _BATCH:
                return
            after = rows[-1].position

    async def entries(self, session: AsyncSession, rows: Sequence[Row[Any]]) -> list[AuditEntry]:
        """With the people and departments behind the identifiers."""
        named = {row.facts.get(name) for row in rows for name in _COLLEAGUES}
        staff = {user.id: user for user in await _all(session, StaffUser, {row.staff_user_id for row in rows} | named)}
        recipients = {each.id: each for each in await _all(session, Recipient, {row.recipient_id for row in rows})}
        transfers = {each.id: each for each in await _all(session, Transfer, {row.transfer_id for row in rows})}
        wanted = {transfer.department_id for transfer in transfers.values()} | {_department(row) for row in rows}
        departments = {each.id: each.name for each in await _all(session, Department, wanted)}
        found = []
        for row in rows:
            user, recipient, transfer = (
                staff.get(row.staff_user_id),
                recipients.get(row.recipient_id),
                transfers.get(row.transfer_id),
            )
            person = self._keys.person(recipient) if recipient is not None else None
            # A department is who staff act for; what recipients do, they do for themselves.
            is_ours = row.actor_kind == ActorKind.STAFF
            department = (transfer.department_id if transfer is not None and is_ours else None) or _department(row)
            names = {name: staff[row.facts[name]].name for name in _COLLEAGUES if row.facts.get(name) in staff}
            if _department(row) in departments:
                names[_DEPARTMENT] = departments[_department(row)]
            found.append(
                AuditEntry(
                    position=row.position,
                    event_id=row.id,
                    at=row.at,
                    tag=row.tag,
                    nta_7516=_nta_7516(row.tag),
                    actor=row.actor_kind,
                    staff_name=user.name if user else "",
                    staff_email=user.email if user else "",
                    behalf=departments.get(department, ""),
                    recipient_name=person.name if person else "",
                    recipient_email=str(person.email) if person else "",
                    transfer_id=row.transfer_id,
                    document_id=row.document_id,
                    facts=row.facts,
                    names=names,
                    is_erased=row.salt is None,
                    hash=row.hash,
                )
            )
        return found


async def _position_at(session: AsyncSession, size: int, moment: datetime) -> int:
    """The first place of an event that is not before `moment`, by halving; as exact as places follow time."""
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        at = await session.scalar(
            select(Event.at).join(AuditLeaf, AuditLeaf.event_id == Event.id).where(AuditLeaf.position == middle)
        )
        if at is not None and at < moment:
            low = middle + 1
        else:
            high = middle
    return low


async def _all(session: AsyncSession, kind: Any, ids: set[Any]) -> Sequence[Any]:
    return (await session.scalars(select(kind).where(kind.id.in_(ids - {None})))).all()


def _department(row: Row[Any]) -> Any:
    return row.facts.get(_DEPARTMENT)


def _nta_7516(tag: str) -> str | None:
    words = {known.value: word.value for known, word in NTA_7516.items()}
    return words.get(tag) or NTA_7516_OF_ACCOUNTS.get(tag)
