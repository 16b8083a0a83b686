"""The people of the demonstration."""

from __future__ import annotations

from typing import Final

from zegelpost.database import Database
from zegelpost.model.clock import system_clock
from zegelpost.services.registering import create_account
from zegelpost.settings import Settings

DEMO_PASSWORD: Final = "demo-zegelpost-2026"  # noqa: S105 - printed on the sign-in page, and demo only runs on loopback
_PEOPLE: Final = (
    ("anna@zegelpost.example", "Anna de Vries", False),
    ("bram@zegelpost.example", "Bram Jansen", False),
    ("chris@zegelpost.example", "Chris Bakker", True),
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
    await database.close()
