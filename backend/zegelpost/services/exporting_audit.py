"""Exporting the audit: events as the tree has them, in a file that can be verified elsewhere (`audit-format.md`, section 6)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, select
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.evidence.leaf import commitment
from zegelpost.model.audit import TREE, AuditLeaf, AuditTree
from zegelpost.model.event import Event
from zegelpost.model.recipient import Recipient
from zegelpost.model.staff_user import StaffUser
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.proving_events import inclusion_proofs
from zegelpost.services.sequencing import EVENT_COLUMNS, Sequencing, leaf_of, personal_of

FORMAT: Final = "zegelpost-audit/1"
_BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class Head:
    """What an export is proven under."""

    size: int
    checkpoint: str
    key: str


async def audit_head(session: AsyncSession, sequencing: Sequencing) -> Head:
    tree = await session.get_one(AuditTree, TREE)
    return Head(tree.size, tree.checkpoint, str(sequencing.key(tree)))


async def sequenced(
    session: AsyncSession,
    size: int,
    after: int,
    chosen: Sequence[ColumnElement[bool]],
    limit: int,
    *,
    newest_first: bool = False,
) -> Sequence[Row[Any]]:
    """Events in the tree of `size` leaves, behind the position `after`, that every condition holds for."""
    query = (
        select(AuditLeaf.position, AuditLeaf.salt, AuditLeaf.commitment, AuditLeaf.hash, *EVENT_COLUMNS)
        .join(Event, Event.id == AuditLeaf.event_id)
        .where(AuditLeaf.position > after, AuditLeaf.position < size, *chosen)
    )
    order = AuditLeaf.position.desc() if newest_first else AuditLeaf.position
    return (await session.execute(query.order_by(order).limit(limit))).all()


def proven(row: Row[Any], proof: Sequence[bytes] | None) -> dict[str, Any]:
    """An event with all that checking it takes: the leaf, what it commits to, and the way to the root."""
    personal = personal_of(row) if row.salt is not None else None
    committed = commitment(row.salt, personal) if personal is not None else row.commitment
    return {
        "position": row.position,
        "leaf": leaf_of(row, row.position, committed).text(),
        "personal": personal,
        "salt": row.salt.hex() if row.salt is not None else None,
        "proof": [step.hex() for step in proof] if proof is not None else None,
    }


class ExportingAudit:
    def __init__(self, database: Database, keeping_keys: KeepingKeys, sequencing: Sequencing) -> None:
        self._database = database
        self._keys = keeping_keys
        self._sequencing = sequencing

    async def lines(self, chosen: Sequence[ColumnElement[bool]] = ()) -> AsyncIterator[str]:
        """The whole record, or the events that every condition of `chosen` holds for, each with its proof.

        A unit of work for each batch: a slow reader holds nothing up, and what is in the tree does not change.
        """
        await self._sequencing.catch_up(waits=True)
        async with self._database.reading() as session:
            head = await audit_head(session, self._sequencing)
        is_whole = not chosen
        yield _line({"format": FORMAT, "checkpoint": head.checkpoint, "key": head.key, "is_whole": is_whole})
        after = -1
        while True:
            async with self._database.reading() as session:
                rows = await sequenced(session, head.size, after, chosen, _BATCH)
                if not rows:
                    return
                proofs = {} if is_whole else await inclusion_proofs(session, (row.position for row in rows), head.size)
                people = await self._people(session, rows)
            for row in rows:
                yield _line(proven(row, proofs.get(row.position)) | {"people": people.get(row.position, {})})
            after = rows[-1].position

    async def _people(self, session: AsyncSession, rows: Sequence[Row[Any]]) -> dict[int, dict[str, Any]]:
        """Who the identifiers stand for, as we know them now."""
        staff_ids = {row.staff_user_id for row in rows if row.staff_user_id}
        recipient_ids = {row.recipient_id for row in rows if row.recipient_id}
        staff = {user.id: user for user in await session.scalars(select(StaffUser).where(StaffUser.id.in_(staff_ids)))}
        found = {each.id: each for each in await session.scalars(select(Recipient).where(Recipient.id.in_(recipient_ids)))}
        named: dict[int, dict[str, Any]] = {}
        for row in rows:
            people = {}
            if user := staff.get(row.staff_user_id):
                people["staff"] = {"name": user.name, "email": user.email}
            if recipient := found.get(row.recipient_id):
                person = self._keys.person(recipient)
                people["recipient"] = {"name": person.name, "email": str(person.email)}
            named[row.position] = people
        return named


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"
