"""Tracking codes: what the provider says afterwards became of a text message, told to whoever waits for it and to the sender."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.clock import Clock
from zegelpost.model.event import EventTag
from zegelpost.model.identifiers import OutgoingId, is_identifier
from zegelpost.model.outgoing import CarrierState, Outgoing, OutgoingKind
from zegelpost.model.recipient import Challenge
from zegelpost.model.refusals import ReportForged
from zegelpost.ports import SmsErrorKind, SmsReports
from zegelpost.services.carrying_codes import report_path
from zegelpost.services.notifying import Notifying, subject_of
from zegelpost.services.recording import record


@dataclass(frozen=True, slots=True)
class CodeNews:
    """What we are told afterwards about something that carried a code."""

    provider_reference: str
    state: CarrierState
    failure: SmsErrorKind | None = None


class TrackingCodes:
    """`reports` is nothing where no report can be checked; then there are none."""

    def __init__(self, database: Database, notifying: Notifying, reports: SmsReports | None, base_url: str, clock: Clock) -> None:
        self._database = database
        self._notifying = notifying
        self._reports = reports
        self._base_url = base_url
        self._clock = clock

    async def reported(
        self, outgoing_id: str, fields: Sequence[tuple[str, str]], headers: Mapping[str, str], *, query: str = ""
    ) -> None:
        """Take down a report. `query`: of its address, for those that tell it there. Raises `ReportForged`.

        1. It is our provider's, for this very address.
        2. It is about the message that we handed over here; an old report, or one about another message, changes nothing.
        3. One conditional update: of reports that come twice or in disorder, only news counts.
        4. What did not arrive is told to the sender, unless the recipient got in with that code all the same.
        """
        # 1.
        if self._reports is None or not is_identifier(outgoing_id):
            raise ReportForged
        address = self._base_url + report_path(OutgoingId(outgoing_id)) + (f"?{query}" if query else "")
        report = self._reports.read(address=address, fields=fields, headers=headers)
        if report.state is None:
            return
        async with self._database.work() as session:
            # 2. and 3.
            news = CodeNews(report.provider_reference, report.state, report.kind)
            outgoing = await take_news(session, OutgoingId(outgoing_id), OutgoingKind.SMS, news, self._clock())
            if outgoing is None or report.state == CarrierState.SENT:
                return
            is_lost = report.state == CarrierState.UNDELIVERED
            tag = EventTag.SMS_UNDELIVERED if is_lost else EventTag.SMS_DELIVERED
            failure = (report.kind or SmsErrorKind.OTHER).value if is_lost else None
            record(session, tag, subject_of(outgoing), self._clock(), purpose=outgoing.purpose.value, failure=failure)
            # 4.
            if failure and not await is_used(session, outgoing):
                await self._notifying.tell_sender(session, outgoing, failure)


async def take_news(
    session: AsyncSession, outgoing_id: OutgoingId, kind: OutgoingKind, news: CodeNews, now: datetime
) -> Outgoing | None:
    """One conditional update; nothing when it is no news, or about something that we did not hand over as this."""
    return await session.scalar(
        update(Outgoing)
        .where(
            Outgoing.id == outgoing_id,
            Outgoing.kind == kind,
            # A report may overtake the answer that names the message, and after an unclear answer it is all we have.
            or_(Outgoing.acceptance.is_(None), Outgoing.acceptance == news.provider_reference),
            or_(Outgoing.carrier_state.is_(None), Outgoing.carrier_state.in_(news.state.earlier)),
        )
        .values(
            carrier_state=news.state,
            carrier_told_at=now,
            carrier_failure=news.failure.value if news.failure else None,
            acceptance=func.coalesce(Outgoing.acceptance, news.provider_reference[:200]),
        )
        .returning(Outgoing)
        .execution_options(synchronize_session=False)
    )


async def is_used(session: AsyncSession, outgoing: Outgoing) -> bool:
    """Whether somebody got in with this code."""
    challenge = await session.scalar(select(Challenge).where(Challenge.id == outgoing.challenge_id))
    return challenge is not None and challenge.used_at is not None
