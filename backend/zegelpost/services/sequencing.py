"""Sequencing: giving each event that was committed its place in the tree (`backend/docs/audit-format.md`, section 4).

Not in the unit of work that records it: places have no gaps, so giving them out there would make everyone wait for everyone.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import structlog
from sqlalchemy import String, func, insert, select, text, type_coerce
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.evidence.checkpoint import Checkpoint
from zegelpost.evidence.leaf import SALT_BYTES, Leaf, commitment, personal_part
from zegelpost.evidence.note import NoteSigner, VerifierKey
from zegelpost.evidence.tree import Frontier, Subtree, leaf_hash
from zegelpost.model.audit import NODE_LEVELS, TREE, AuditCheckpoint, AuditLeaf, AuditNode, AuditTree
from zegelpost.model.event import Event
from zegelpost.ports import KeyRing

_LOG: Final = structlog.get_logger()
_BATCH: Final = 500
_EVERY_SECONDS: Final = 2
# Words as they stand there: one that this version does not know must not keep the others from being read.
EVENT_COLUMNS: Final = (
    Event.id,
    Event.at,
    type_coerce(Event.tag, String).label("tag"),
    type_coerce(Event.actor_kind, String).label("actor_kind"),
    Event.staff_user_id,
    Event.transfer_id,
    Event.recipient_id,
    Event.document_id,
    Event.facts,
)


class Sequencing:
    """`origin` is what the record is called from its first event on, also when the address changes later."""

    def __init__(self, database: Database, ring: KeyRing, origin: str) -> None:
        self._database = database
        self._ring = ring
        self._origin = origin

    def key(self, tree: AuditTree) -> VerifierKey:
        """What checkpoints are checked with."""
        return self._signer(tree.origin or self._origin).key

    def sign(self, checkpoint: Checkpoint) -> str:
        """The note of this checkpoint."""
        return checkpoint.signed(self._signer(checkpoint.origin))

    async def run(self, stop: asyncio.Event) -> None:
        """Catch up every two seconds until told to stop."""
        while not stop.is_set():
            try:
                await self.catch_up()
            except Exception:  # noqa: BLE001 - logged, and tried again in two seconds
                _LOG.exception("sequencing_failed")
            try:
                await asyncio.wait_for(stop.wait(), _EVERY_SECONDS)
            except TimeoutError:
                continue

    async def catch_up(self, *, is_thorough: bool = False, waits: bool = False) -> int:
        """Give every event that waits its place; returns how many there were. Any number of processes may do so at once.

        `is_thorough` looks among the events of the last days, for those that the mark in the tree has passed by (see `_settle`).
        Who `waits` is sure that all that was committed before has its place; others leave it to the process that is at it.
        """
        count = 0
        if not is_thorough and not await self._has_more():
            return 0
        while (placed := await self._place(is_thorough=is_thorough, waits=waits)) > 0:
            count += placed
            if placed < _BATCH:
                break
        return count

    async def _has_more(self) -> bool:
        """Asked without writing, so that no writer waits for nothing."""
        async with self._database.reading() as session:
            settled = select(AuditTree.settled_id).where(AuditTree.id == TREE).scalar_subquery()
            # In order, so that PostgreSQL goes by the key: a third of all could be above a number it does not know yet.
            newer = select(Event.id).where(Event.id > settled).order_by(Event.id).limit(1)
            return await session.scalar(newer) is not None

    async def _place(self, *, is_thorough: bool, waits: bool) -> int:
        """One batch, one unit of work.

        1. Lock the tree; if another process has it, that one is at it.
        2. Ask which transactions have ended, before looking at events.
        3. Read events without a place, by number.
        4. Grow the tree, sign its head.
        5. Note up to where nothing can come any more.
        """
        async with self._database.work() as session:
            # 1.
            tree = await session.scalar(select(AuditTree).where(AuditTree.id == TREE).with_for_update(skip_locked=not waits))
            if tree is None:
                return 0
            # 2.
            ended_before = await self._transaction(session, "xmin")
            # 3.
            rows = (
                await session.execute(
                    select(*EVENT_COLUMNS)
                    .outerjoin(AuditLeaf, AuditLeaf.event_id == Event.id)
                    .where(
                        Event.id > (await _thoroughly_looked_at(session) if is_thorough else tree.settled_id),
                        AuditLeaf.event_id.is_(None),
                    )
                    .order_by(Event.id)
                    .limit(_BATCH)
                )
            ).all()
            # 4.
            if rows:
                await self._grow(session, tree, rows)
            # 5.
            if not is_thorough:
                await self._settle(session, tree, rows, ended_before)
        return len(rows)

    async def _grow(self, session: AsyncSession, tree: AuditTree, rows: Sequence[Row[Any]]) -> None:
        tree.origin = tree.origin or self._origin
        frontier = Frontier.from_bytes(tree.size, tree.frontier)
        leaves, nodes = [], []
        for row in rows:
            salt = secrets.token_bytes(SALT_BYTES)
            hashed = leaf_hash(leaf_of(row, frontier.size, commitment(salt, personal_of(row))).text().encode("ascii"))
            leaves.append({"position": frontier.size, "event_id": row.id, "hash": hashed, "salt": salt})
            nodes += [_node(subtree) for subtree in frontier.append(hashed) if subtree.level % NODE_LEVELS == 0]
        await session.execute(insert(AuditLeaf), leaves)
        if nodes:
            await session.execute(insert(AuditNode), nodes)
        tree.size, tree.frontier = frontier.size, frontier.to_bytes()
        tree.checkpoint = Checkpoint(tree.origin, tree.size, frontier.root()).signed(self._signer(tree.origin))

    async def _settle(self, session: AsyncSession, tree: AuditTree, rows: Sequence[Row[Any]], ended_before: int) -> None:
        """Move the mark below which no event can appear any more, so that looking for new ones stays cheap.

        SQLite commits transactions one by one, in the order of its numbers. PostgreSQL hands out numbers to transactions side by
        side, and one that began early may commit late: a number is settled when all transactions have ended that had begun when
        it was seen. One that was given an event's number before it had one itself is not among them; it would have to stand
        still in that very moment, and then the thorough look, once a day, finds its event.
        """
        last = rows[-1].id if rows else 0
        if self._database.is_sqlite:
            tree.settled_id = max(tree.settled_id, last)
            return
        saw_all = len(rows) < _BATCH
        if tree.watched_id is not None and tree.watched_transaction is not None:
            if ended_before < tree.watched_transaction or not (saw_all or last >= tree.watched_id):
                return
            tree.settled_id = tree.watched_id
        tree.watched_id = await session.scalar(select(func.max(Event.id)).where(Event.id > tree.settled_id))
        # In this order: whoever was given a lower number has begun by now.
        tree.watched_transaction = await self._transaction(session, "xmax") if tree.watched_id else None

    async def _transaction(self, session: AsyncSession, which: str) -> int:
        """`xmin`: every transaction before this number has ended. `xmax`: none that is yet to begin has a lower one."""
        if self._database.is_sqlite:
            return 0
        # A 64-bit number that is never used twice, unlike the one that rows hold (PostgreSQL 16, section 9.27.14).
        query = {"xmin": "pg_snapshot_xmin", "xmax": "pg_snapshot_xmax"}[which]
        return int(await session.scalar(text(f"SELECT {query}(pg_current_snapshot())::text")))

    def _signer(self, origin: str) -> NoteSigner:
        return NoteSigner(origin, self._ring.installation("checkpoint"))


async def _thoroughly_looked_at(session: AsyncSession) -> int:
    """The last event under the checkpoint before the last.

    Whatever has a lower number was looked for when those were made, and no transaction lasts for days. To look among all events
    takes as long as there are years of them, with nobody getting a place meanwhile. `verify-audit` does look among all.
    """
    size = await session.scalar(select(AuditCheckpoint.size).order_by(AuditCheckpoint.day.desc()).offset(1).limit(1))
    if not size:
        return 0
    return await session.scalar(select(AuditLeaf.event_id).where(AuditLeaf.position == size - 1)) or 0


def personal_of(row: Row[Any]) -> str:
    """The personal part of an event, given its columns."""
    return personal_part(staff=row.staff_user_id, recipient=row.recipient_id, facts=row.facts)


def leaf_of(row: Row[Any], position: int, committed: bytes) -> Leaf:
    """The leaf of an event, given its columns."""
    at: datetime = row.at
    return Leaf(
        position=position,
        event=row.id,
        at=at,
        tag=row.tag,
        actor=row.actor_kind,
        transfer=row.transfer_id,
        document=row.document_id,
        personal=committed,
    )


def _node(subtree: Subtree) -> dict[str, Any]:
    return {"level": subtree.level, "index": subtree.index, "hash": subtree.hash}
