"""Following the organisation's directory: who is switched off or gone there gets in here no more, until it says otherwise.

Only what it says of someone counts: that a page, or a whole list, does not name them says nothing. Whom a pass did not name is
asked after by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.model.address_book import DirectoryAccount
from zegelpost.model.event import ActorKind, EventTag
from zegelpost.model.identity import Identity
from zegelpost.model.staff_user import StaffUser, SwitchedOffBy
from zegelpost.services.recording import Subject, record
from zegelpost.services.signing_in import end_sign_ins

# Below the smallest bound of parameters in a statement that any SQLite has.
_AT_ONCE: Final = 500


async def follow_directory(
    session: AsyncSession, issuer: str, accounts: Sequence[DirectoryAccount], generation: int, now: datetime
) -> None:
    """Switch accounts as the directory says; `issuer` is the sign-in provider whose people it names.

    1. Who has no account here, or has not joined it, is nobody's business.
    2. Who was named in this pass need not be asked after.
    3. Switched off there: every sign-in ends at once, tokens of programs and the add-in's codes too. What they sent and
       received stays where it is, a department's with the department.
    4. Switched on there: only who was switched off by the directory comes back.
    """
    told = {each.subject: each.is_enabled for each in accounts}  # later counts
    subjects = list(told)
    for start in range(0, len(subjects), _AT_ONCE):
        # 1.
        rows = await session.execute(
            select(Identity, StaffUser)
            .join(StaffUser, StaffUser.id == Identity.user_id)
            .where(Identity.issuer == issuer, Identity.subject.in_(subjects[start : start + _AT_ONCE]))
            .with_for_update(of=StaffUser)
        )
        for identity, user in rows.all():
            # 2.
            identity.generation = generation
            subject = Subject(actor=ActorKind.SYSTEM, staff_user_id=user.id)
            if not told[identity.subject]:
                # 3.
                if user.switch_off(SwitchedOffBy.DIRECTORY):
                    await end_sign_ins(session, user.id)
                    record(session, EventTag.ACCOUNT_CLOSED, subject, now, by=SwitchedOffBy.DIRECTORY.value)
            elif user.switch_on(SwitchedOffBy.DIRECTORY):
                # 4.
                record(session, EventTag.ACCOUNT_REOPENED, subject, now, by=SwitchedOffBy.DIRECTORY.value)


async def unnamed(session: AsyncSession, issuer: str, generation: int, *, most: int) -> list[str]:
    """Who has joined an account here and was not named since this pass over the directory began."""
    query = select(Identity.subject).where(Identity.issuer == issuer, Identity.generation < generation)
    return list(await session.scalars(query.order_by(Identity.subject).limit(most)))
