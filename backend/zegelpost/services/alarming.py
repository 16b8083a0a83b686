"""Alarming: what cannot wait until someone looks. A line in the log for whoever watches it, and a mail to every administrator.

At most once a day for each alarm: whoever gets a hundred mails reads none.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.model.email_address import EmailAddress
from zegelpost.model.outgoing import Purpose
from zegelpost.model.refusals import TooManyAttempts
from zegelpost.model.staff_user import StaffUser
from zegelpost.services.limiting_tries import Limit, count_try

if TYPE_CHECKING:
    from zegelpost.services.notifying import Notifying

_LOG: Final = structlog.get_logger()
_EVERY: Final = timedelta(days=1)


class Alarm(StrEnum):
    """What happened; the mail has a sentence for each."""

    CODES_OF_DAY_NEARLY = "codes_of_day_nearly"
    CODES_OF_DAY = "codes_of_day"
    CODES_OF_SENDER = "codes_of_sender"
    CODES_FROM_NETWORK = "codes_from_network"
    SMS_SETUP = "sms_setup"  # the provider refuses us
    CLOCK_JUMPED = "clock_jumped"
    SMS_SUSPICIOUS = "sms_suspicious"  # the provider takes us for a fraud


async def administrators(session: AsyncSession) -> Sequence[StaffUser]:
    """Whom to mail about what only an administrator can do."""
    found = await session.scalars(
        select(StaffUser).where(StaffUser.is_administrator.is_(True), StaffUser.is_switched_off.is_(False))
    )
    return found.all()


async def raise_alarm(session: AsyncSession, notifying: Notifying, alarm: Alarm, now: datetime, *, limit: int = 0) -> None:
    """Tell administrators and the log, in the caller's unit of work. `limit` is how many codes were allowed."""
    try:
        await count_try(session, [Limit("alarm", alarm.value, 1, _EVERY)], now)
    except TooManyAttempts:
        return
    _LOG.error("alarm", alarm=alarm.value, limit=limit)
    for user in await administrators(session):
        notifying.queue_mail(
            session,
            Purpose.ALARM,
            EmailAddress.parse(user.email),
            user.language,
            name=user.name,
            what=alarm.value,
            limit=limit,
        )
