"""Limiting codes: nobody is bombed with text messages or calls, and nobody earns money by making us send them.

Only staff enter numbers, and only to countries of the policy. What is left is asking again and again, from many links at once:
that is bounded here for a link, a number, a sender, a network and the whole installation, each counted when a code is asked for.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from math import ceil
from typing import Final

import structlog
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.model.policy import Policy
from zegelpost.model.recipient import (
    CALL_COOL_DOWN,
    CODE_COOL_DOWNS,
    CODES_PER_DAY,
    CODES_PER_HOUR,
    Challenge,
    Link,
    Recipient,
    VerificationMethod,
)
from zegelpost.model.refusals import CodeAskedTooSoon, CodeLimitReached, TooManyAttempts
from zegelpost.model.transfer import Transfer
from zegelpost.services.alarming import Alarm, raise_alarm
from zegelpost.services.limiting_tries import Limit, count_try, tries_of
from zegelpost.services.notifying import Notifying

_LOG: Final = structlog.get_logger()
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
# A hospital has one address for everyone in it.
CODES_PER_NETWORK_AND_HOUR: Final = 60
_NEARLY: Final = 0.8


async def count_code(
    session: AsyncSession,
    notifying: Notifying,
    policy: Policy,
    transfer: Transfer,
    recipient: Recipient,
    network: str,
    now: datetime,
) -> None:
    """Count one code that is about to be made. Raises `CodeAskedTooSoon`, `CodeLimitReached`.

    Whoever takes the last one of a sender, a network or the day raises the alarm, in the unit of work that counts it: what is
    refused afterwards is rolled back, and would tell nobody.
    """
    # The department's where it sends; guests who answer it are none of our senders.
    sender = transfer.department_id or transfer.sender_id or ""
    limits = {
        Alarm.CODES_OF_SENDER: Limit("code-sender", sender, policy.codes_per_sender_and_day, _DAY),
        Alarm.CODES_FROM_NETWORK: Limit("code-network", network, CODES_PER_NETWORK_AND_HOUR, _HOUR),
        Alarm.CODES_OF_DAY: Limit("code-day", "", policy.codes_per_day, _DAY),
    }
    try:
        await count_try(session, list(limits.values()), now)
    except TooManyAttempts as refusal:
        _LOG.warning("code_refused", transfer=transfer.id)
        raise CodeLimitReached(**refusal.facts) from None
    # Now that everyone who asks waits for each other, also those who hold other links to the same number.
    await _require_room_for_person(session, recipient, now)
    await session.flush()
    for alarm, limit in limits.items():
        count = await tries_of(session, limit, now)
        if count == limit.most:
            await raise_alarm(session, notifying, alarm, now, limit=limit.most)
        elif alarm == Alarm.CODES_OF_DAY and count == int(limit.most * _NEARLY):
            await raise_alarm(session, notifying, Alarm.CODES_OF_DAY_NEARLY, now, limit=limit.most)


async def _require_room_for_person(session: AsyncSession, recipient: Recipient, now: datetime) -> None:
    rows = await session.execute(
        select(Challenge.created_at, Challenge.used_at)
        .where(Challenge.recipient_id == recipient.id, Challenge.created_at > now - _HOUR)
        .order_by(Challenge.created_at.desc(), Challenge.id.desc())
    )
    asked = list(rows)
    newest_link = await session.scalar(select(func.max(Link.created_at)).where(Link.recipient_id == recipient.id))
    # Whoever asks again and again, and enters none, waits longer each time; who got in, or got a new link, begins anew.
    news = (number for number, code in enumerate(asked) if code.used_at or (newest_link and code.created_at < newest_link))
    in_vain = next(news, len(asked))
    if asked:
        pause = CODE_COOL_DOWNS[min(max(in_vain, 1), len(CODE_COOL_DOWNS)) - 1]
        if recipient.method == VerificationMethod.SPOKEN and in_vain:
            pause = max(pause, CALL_COOL_DOWN)
        since = now - asked[0].created_at
        if since < pause:
            raise CodeAskedTooSoon(retry_after_seconds=ceil((pause - since).total_seconds()))
    for window, limit in ((_HOUR, CODES_PER_HOUR), (_DAY, CODES_PER_DAY)):
        for mine in (Challenge.recipient_id == recipient.id, Challenge.number_index == recipient.number_index):
            count = await session.scalar(select(func.count()).where(mine, Challenge.created_at > now - window))
            if (count or 0) >= limit:
                raise CodeLimitReached(retry_after_seconds=int(window.total_seconds()))
