"""Running departments: opening them, who works for them, how they appear to outsiders, and closing them.

Administrators open and close departments and say who manages them, but see nothing of what a department sends and receives
unless they work for it themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.clock import Clock
from zegelpost.model.department import LONGEST_DEPARTMENT_NAME, Department, DepartmentRole, Membership
from zegelpost.model.email_address import EmailAddress
from zegelpost.model.event import EventTag
from zegelpost.model.identifiers import DepartmentId, StaffUserId, is_identifier, new_identifier
from zegelpost.model.refusals import (
    ColleagueUnknown,
    DepartmentTaken,
    EmailAddressInvalid,
    EmailAddressNotStaff,
    FormRefused,
    LastManager,
    NameMissing,
    NameTooLong,
    NotFound,
    Refusal,
)
from zegelpost.model.staff_user import StaffUser
from zegelpost.services.access import StaffActor, managed_department, own_department, require_administrator
from zegelpost.services.governing import Governing
from zegelpost.services.recording import record


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedDepartment:
    """The form of a department, nothing checked yet."""

    name: str = ""
    sender_name: str = ""
    email: str = ""
    is_on_intake: bool = False


@dataclass(frozen=True, slots=True)
class Member:
    user_id: StaffUserId
    name: str
    email: str
    role: DepartmentRole


@dataclass(frozen=True, slots=True, kw_only=True)
class DepartmentOverview:
    id: DepartmentId
    name: str
    sender_name: str
    email: str
    is_on_intake: bool
    is_closed: bool
    may_manage: bool
    members: Sequence[Member]


class RunningDepartments:
    def __init__(self, database: Database, governing: Governing, clock: Clock) -> None:
        self._database = database
        self._governing = governing
        self._clock = clock

    async def departments(self, actor: StaffActor) -> list[DepartmentOverview]:
        """Those that this person works for; to administrators all of them."""
        query = select(Department).order_by(Department.closed_at.is_not(None), Department.name)
        if not actor.user.is_administrator:
            query = query.where(Department.id.in_(list(actor.departments)))
        async with self._database.reading() as session:
            return [await _overview(session, actor, department) for department in await session.scalars(query)]

    async def department(self, actor: StaffActor, department_id: str) -> DepartmentOverview:
        """One department. Raises `NotFound` to who neither works for it nor is an administrator."""
        async with self._database.reading() as session:
            return await _overview(session, actor, await own_department(session, actor, department_id))

    async def open(self, actor: StaffActor, typed: TypedDepartment, manager_email: str) -> DepartmentId:
        """Make a department with its first manager. Administrators only; raises `FormRefused`."""
        require_administrator(actor)
        now = self._clock()
        async with self._database.work() as session:
            refused = await self._refused(session, typed, None)
            manager: StaffUser | None = None
            try:
                manager = await _colleague(session, manager_email)
            except ColleagueUnknown as refusal:
                refused["manager"] = refusal
            if refused or manager is None:
                raise FormRefused(refused)
            department = Department(id=DepartmentId(new_identifier()), created_at=now)
            _write(department, typed)
            session.add(department)
            await session.flush()
            session.add(Membership(department_id=department.id, user_id=manager.id, role=DepartmentRole.MANAGER, created_at=now))
            record(session, EventTag.DEPARTMENT_OPENED, actor.subject(), now, department=department.id)
            record(session, EventTag.MEMBER_ADDED, actor.subject(), now, department=department.id, member=manager.id)
        return department.id

    async def change(self, actor: StaffActor, department_id: str, typed: TypedDepartment) -> None:
        """How it is called and appears. Raises `FormRefused`."""
        now = self._clock()
        async with self._database.work() as session:
            department = await managed_department(session, actor, department_id)
            if refused := await self._refused(session, typed, department):
                raise FormRefused(refused)
            _write(department, typed)
            record(session, EventTag.DEPARTMENT_CHANGED, actor.subject(), now, department=department.id)

    async def add_member(self, actor: StaffActor, department_id: str, email: str, role: DepartmentRole) -> None:
        """Let a colleague work for it, or change the role of who does. Raises `FormRefused`, `LastManager`."""
        now = self._clock()
        async with self._database.work() as session:
            department = await managed_department(session, actor, department_id)
            try:
                user = await _colleague(session, email)
            except ColleagueUnknown as refusal:
                raise FormRefused({"email": refusal}) from None
            membership = await session.get(Membership, (department.id, user.id))
            if membership is not None:
                await _set_role(session, membership, role)
                tag = EventTag.MEMBER_CHANGED
            else:
                session.add(Membership(department_id=department.id, user_id=user.id, role=role, created_at=now))
                tag = EventTag.MEMBER_ADDED
            record(session, tag, actor.subject(), now, department=department.id, member=user.id, role=role.value)

    async def set_role(self, actor: StaffActor, department_id: str, user_id: str, role: DepartmentRole) -> None:
        """Raises `LastManager` when nobody would be left to manage it."""
        now = self._clock()
        async with self._database.work() as session:
            department = await managed_department(session, actor, department_id)
            membership = await _membership(session, department, user_id)
            await _set_role(session, membership, role)
            record(
                session,
                EventTag.MEMBER_CHANGED,
                actor.subject(),
                now,
                department=department.id,
                member=membership.user_id,
                role=role.value,
            )

    async def remove_member(self, actor: StaffActor, department_id: str, user_id: str) -> None:
        """From their next request on they see nothing of it. What they sent for it stays. Raises `LastManager`."""
        now = self._clock()
        async with self._database.work() as session:
            department = await managed_department(session, actor, department_id)
            membership = await _membership(session, department, user_id)
            await _require_other_manager(session, membership)
            await session.delete(membership)
            record(session, EventTag.MEMBER_REMOVED, actor.subject(), now, department=department.id, member=membership.user_id)

    async def close(self, actor: StaffActor, department_id: str) -> None:
        """Administrators only. Nobody sends for it or opens what it received any more; nothing is removed before its time."""
        require_administrator(actor)
        now = self._clock()
        async with self._database.work() as session:
            department = await managed_department(session, actor, department_id)
            department.closed_at = department.closed_at or now
            department.is_on_intake = False
            record(session, EventTag.DEPARTMENT_CLOSED, actor.subject(), now, department=department.id)

    async def reopen(self, actor: StaffActor, department_id: str) -> None:
        """Undo closing, with the members it had. Administrators only."""
        require_administrator(actor)
        now = self._clock()
        async with self._database.work() as session:
            department = await managed_department(session, actor, department_id)
            department.closed_at = None
            record(session, EventTag.DEPARTMENT_CHANGED, actor.subject(), now, department=department.id)

    async def _refused(self, session: AsyncSession, typed: TypedDepartment, department: Department | None) -> dict[str, Refusal]:
        refused: dict[str, Refusal] = {}
        for field in ("name", "sender_name"):
            text = " ".join(getattr(typed, field).split())
            if not text:
                refused[field] = NameMissing()
            elif len(text) > LONGEST_DEPARTMENT_NAME:
                refused[field] = NameTooLong(limit=LONGEST_DEPARTMENT_NAME)
        try:
            email = EmailAddress.parse(typed.email)
            if not self._governing.policy.is_staff_address(email):
                refused["email"] = EmailAddressNotStaff()
        except EmailAddressInvalid as refusal:
            refused["email"] = refusal
            return refused
        same = select(Department).where(
            (func.lower(Department.name) == " ".join(typed.name.split()).lower()) | (Department.email == email.comparable)
        )
        for other in await session.scalars(same):
            if department is None or other.id != department.id:
                refused["email" if other.email == email.comparable else "name"] = DepartmentTaken()
        if await session.scalar(select(StaffUser.id).where(StaffUser.email == email.comparable)) is not None:
            # A person's own post would go to everyone.
            refused["email"] = DepartmentTaken()
        return refused


def _write(department: Department, typed: TypedDepartment) -> None:
    department.name = " ".join(typed.name.split())
    department.sender_name = " ".join(typed.sender_name.split())
    department.email = EmailAddress.parse(typed.email).comparable
    department.is_on_intake = typed.is_on_intake and department.closed_at is None


async def _colleague(session: AsyncSession, email: str) -> StaffUser:
    user = await session.scalar(select(StaffUser).where(StaffUser.email == email.strip().lower()))
    if user is None or user.is_switched_off:
        raise ColleagueUnknown
    return user


async def _membership(session: AsyncSession, department: Department, user_id: str) -> Membership:
    membership = await session.get(Membership, (department.id, StaffUserId(user_id))) if is_identifier(user_id) else None
    if membership is None:
        raise NotFound
    return membership


async def _set_role(session: AsyncSession, membership: Membership, role: DepartmentRole) -> None:
    if role != DepartmentRole.MANAGER:
        await _require_other_manager(session, membership)
    membership.role = role


async def _require_other_manager(session: AsyncSession, membership: Membership) -> None:
    if membership.role != DepartmentRole.MANAGER:
        return
    # Locked, so that two managers who leave at once do not each count on the other.
    await session.get_one(Department, membership.department_id, with_for_update=True)
    others = await session.scalar(
        select(func.count())
        .select_from(Membership)
        .join(StaffUser, StaffUser.id == Membership.user_id)
        .where(
            StaffUser.is_switched_off.is_(False),
            Membership.department_id == membership.department_id,
            Membership.user_id != membership.user_id,
            Membership.role == DepartmentRole.MANAGER,
        )
    )
    if not others:
        raise LastManager


async def _overview(session: AsyncSession, actor: StaffActor, department: Department) -> DepartmentOverview:
    rows = await session.execute(
        select(StaffUser, Membership.role)
        .join(Membership, Membership.user_id == StaffUser.id)
        .where(Membership.department_id == department.id)
        .order_by(StaffUser.name)
    )
    works_for = actor.departments.get(department.id)
    return DepartmentOverview(
        id=department.id,
        name=department.name,
        sender_name=department.sender_name,
        email=department.email,
        is_on_intake=department.is_on_intake,
        is_closed=department.closed_at is not None,
        may_manage=actor.user.is_administrator or (works_for is not None and works_for.role == DepartmentRole.MANAGER),
        members=[Member(user.id, user.name, user.email, role) for user, role in rows.all()],
    )
