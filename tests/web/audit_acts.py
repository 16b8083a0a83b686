"""What happens to a record of events: it fills, it is kept, and someone lays hands on it."""

from __future__ import annotations

import asyncio
import contextlib
import io
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import func, select, text

from zegelpost.main import Services
from zegelpost.model.audit import TREE, AuditTree
from zegelpost.model.event import ActorKind, Event, EventTag
from zegelpost.model.identifiers import DocumentId, StaffUserId
from zegelpost.model.staff_user import StaffUser
from zegelpost.services.recording import Subject, record
from zegelpost.services.verifying_audit import AuditBroken, Verified
from zegelpost.verifier import zegelpost_verify


@dataclass
class Record:
    """An installation's events and their tree, with both verifiers at hand."""

    services: Services

    async def fill(self, count: int) -> None:
        """So many events, that no later test confuses."""
        async with self.services.database.work() as session:
            anna = await session.scalar(select(StaffUser.id).where(StaffUser.email == "anna@zegelpost.example"))
            assert anna is not None
            for number in range(count):
                record(
                    session,
                    EventTag.DOCUMENT_CONSULTED,
                    Subject(actor=ActorKind.STAFF, staff_user_id=StaffUserId(anna), document_id=DocumentId("d" * 26)),
                    self.services.clock(),
                    count=number,
                )

    async def grow(self, count: int = 0) -> str:
        """Fill, and give all of it its place; returns the signed checkpoint."""
        await self.fill(count)
        await self.services.sequencing.catch_up(waits=True)
        return (await self.tree()).checkpoint

    async def tree(self) -> AuditTree:
        async with self.services.database.reading() as session:
            return await session.get_one(AuditTree, TREE)

    async def event_count(self) -> int:
        async with self.services.database.reading() as session:
            return await session.scalar(select(func.count()).select_from(Event)) or 0

    async def tamper(self, *statements: str, **values: object) -> None:
        """What whoever has the database can do to it."""
        async with self.services.database.engine.begin() as connection:
            for statement in statements:
                await connection.execute(text(statement), values)

    async def verify(self, *earlier: str) -> Verified:
        return await self.services.verifying_audit.verify(earlier)

    async def first_bad(self, *earlier: str) -> tuple[int, str]:
        """Which entry is named, and how."""
        try:
            await self.verify(*earlier)
        except AuditBroken as broken:
            return broken.position, str(broken)
        raise AssertionError("nothing was found")

    async def export(self, path: Path) -> Path:
        lines = [line async for line in self.services.exporting_audit.lines()]
        await asyncio.to_thread(path.write_text, "".join(lines), encoding="utf-8")
        return path


async def event_at(record: Record, position: int) -> int:
    """The number of the event with this place."""
    async with record.services.database.reading() as session:
        found = await session.scalar(text("SELECT event_id FROM audit_leaf WHERE position = :p").bindparams(p=position))
    assert isinstance(found, int)
    return found


def stand_alone(*arguments: object, now: datetime = datetime(2026, 11, 24, tzinfo=UTC)) -> tuple[int, str]:
    """Run the stand-alone verifier in this process: how it ends, and what it says."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = zegelpost_verify.main([str(argument) for argument in arguments], now)
    return code, said.getvalue()
