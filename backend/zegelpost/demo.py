"""The people of the demonstration, and the departments that they work for."""

from __future__ import annotations

from typing import Final

from sqlalchemy import select

from zegelpost.database import Database
from zegelpost.model.clock import system_clock
from zegelpost.model.department import Department, DepartmentRole, Membership
from zegelpost.model.identifiers import DepartmentId, new_identifier
from zegelpost.model.staff_user import StaffUser
from zegelpost.services.registering import create_account
from zegelpost.settings import Settings

DEMO_PASSWORD: Final = "demo-zegelpost-2026"  # noqa: S105 - printed on the sign-in page, and demo only runs on loopback
_PEOPLE: Final = (
    ("anna@zegelpost.example", "Anna de Vries", False),
    ("bram@zegelpost.example", "Bram Jansen", False),
    ("chris@zegelpost.example", "Chris Bakker", True),
)


# Name, address, whether outsiders can choose it, and its members: the first one manages it.
_DEPARTMENTS: Final = (
    ("Klachtenafdeling", "klachten@zegelpost.example", True, ("anna@zegelpost.example", "bram@zegelpost.example")),
    ("Inspectie Zorg", "inspectie@zegelpost.example", False, ("bram@zegelpost.example",)),
)


async def seed_people(settings: Settings) -> None:
    """Make the accounts that are not there yet. Refuses outside a demonstration."""
    if not settings.is_demo:
        raise ValueError("demonstration accounts have a known password")
    database = Database(settings.database_url)
    for email, name, is_administrator in _PEOPLE:
        await create_account(
            database, system_clock, email=email, name=name, password=DEMO_PASSWORD, is_administrator=is_administrator
        )
    await _seed_departments(database)
    await database.close()


async def _seed_departments(database: Database) -> None:
    now = system_clock()
    async with database.work() as session:
        if await session.scalar(select(Department.id).limit(1)) is not None:
            return
        for name, email, is_on_intake, members in _DEPARTMENTS:
            department = Department(
                id=DepartmentId(new_identifier()),
                name=name,
                sender_name=name,
                email=email,
                is_on_intake=is_on_intake,
                created_at=now,
            )
            session.add(department)
            await session.flush()
            for number, member in enumerate(members):
                user_id = (await session.scalars(select(StaffUser.id).where(StaffUser.email == member))).one()
                role = DepartmentRole.MEMBER if number else DepartmentRole.MANAGER
                session.add(Membership(department_id=department.id, user_id=user_id, role=role, created_at=now))
