"""Running accounts: who of the organisation gets in, and who administers and audits. For administrators, over others only.

That nobody decides about themselves also keeps the last administrator in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.clock import Clock
from zegelpost.model.event import EventTag
from zegelpost.model.identifiers import StaffUserId
from zegelpost.model.staff_user import StaffUser, SwitchedOffBy
from zegelpost.services.access import StaffActor, account_of_another, account_of_anyone, require_administrator
from zegelpost.services.governing import Governing
from zegelpost.services.recording import record
from zegelpost.services.signing_in import end_sign_ins

PAGE: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountOverview:
    """Someone with an account, as administrators see them."""

    id: StaffUserId
    name: str = field(repr=False)
    email: str = field(repr=False)
    is_administrator: bool
    is_auditor: bool
    switched_off_by: SwitchedOffBy | None
    is_switched_off: bool
    is_own: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class AccountPage:
    accounts: Sequence[AccountOverview]
    number: int
    total_count: int

    @property
    def last(self) -> int:
        return max(1, -(-self.total_count // PAGE))


class RunningAccounts:
    def __init__(self, database: Database, governing: Governing, clock: Clock) -> None:
        self._database = database
        self._governing = governing
        self._clock = clock

    @property
    def given_elsewhere(self) -> frozenset[str]:
        """The rights that the sign-in provider gives and takes: what is said about them here would not last."""
        rights = (
            ("is_administrator", self._governing.policy.administrator_roles),
            ("is_auditor", self._governing.policy.auditor_roles),
        )
        return frozenset(right for right, roles in rights if roles)

    async def accounts(self, actor: StaffActor, *, page: int = 1, letters: str = "") -> AccountPage:
        """By name; with `letters` only those who have them in their name or address. Raises `NotFound`."""
        require_administrator(actor)
        wanted = letters.strip().lower()
        chosen = [
            or_(
                func.lower(StaffUser.name).contains(wanted, autoescape=True),
                func.lower(StaffUser.email).contains(wanted, autoescape=True),
            )
        ]
        query = select(StaffUser).where(*(chosen if wanted else []))
        async with self._database.reading() as session:
            total = await session.scalar(select(func.count()).select_from(query.subquery())) or 0
            found = await session.scalars(
                query.order_by(func.lower(StaffUser.name), StaffUser.id).limit(PAGE).offset((page - 1) * PAGE)
            )
            return AccountPage([_overview(user, actor) for user in found], page, total)

    async def account(self, actor: StaffActor, user_id: str) -> AccountOverview:
        """One account. Raises `NotFound`."""
        async with self._database.reading() as session:
            return _overview(await account_of_anyone(session, actor, user_id), actor)

    async def switch_off(self, actor: StaffActor, user_id: str) -> None:
        """Let someone in no more, and end what they have open. What they sent and received stays. Raises `OwnAccount`."""
        async with self._database.work() as session:
            user = await account_of_another(session, actor, user_id)
            before = user.switched_off_by
            was_on = user.switch_off(SwitchedOffBy.ADMINISTRATOR)
            if was_on or before != user.switched_off_by:
                await end_sign_ins(session, user.id)
                self._record(session, EventTag.ACCOUNT_CLOSED, actor, user)

    async def switch_on(self, actor: StaffActor, user_id: str) -> None:
        """Let someone in again, whoever switched them off. Raises `OwnAccount`."""
        async with self._database.work() as session:
            user = await account_of_another(session, actor, user_id)
            if user.switch_on(SwitchedOffBy.ADMINISTRATOR):
                self._record(session, EventTag.ACCOUNT_REOPENED, actor, user)

    async def give_rights(self, actor: StaffActor, user_id: str, *, is_administrator: bool, is_auditor: bool) -> None:
        """From the next request on. Rights in `given_elsewhere` stay as they are. Raises `OwnAccount`."""
        async with self._database.work() as session:
            user = await account_of_another(session, actor, user_id)
            changed: dict[str, bool] = {}
            for right, has_right in (("is_administrator", is_administrator), ("is_auditor", is_auditor)):
                if right not in self.given_elsewhere and getattr(user, right) != has_right:
                    setattr(user, right, has_right)
                    changed[right] = has_right
            if changed:
                self._record(session, EventTag.ACCOUNT_RIGHTS_CHANGED, actor, user, **changed)

    def _record(self, session: AsyncSession, tag: EventTag, actor: StaffActor, user: StaffUser, **changed: bool) -> None:
        by = SwitchedOffBy.ADMINISTRATOR.value
        record(session, tag, actor.subject(), self._clock(), by=by, account=user.id, **changed)


def _overview(user: StaffUser, actor: StaffActor) -> AccountOverview:
    return AccountOverview(
        id=user.id,
        name=user.name,
        email=user.email,
        is_administrator=user.is_administrator,
        is_auditor=user.is_auditor,
        switched_off_by=user.switched_off_by,
        is_switched_off=user.is_switched_off,
        is_own=user.id == actor.user.id,
        created_at=user.created_at,
    )
