"""Verifying the audit: holding every event in the database against the tree, and the tree against what was signed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hmac import compare_digest
from typing import Any, Final

from sqlalchemy import exists, func, select
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.evidence.checkpoint import Checkpoint
from zegelpost.evidence.errors import EvidenceBroken
from zegelpost.evidence.leaf import commitment, positions_in
from zegelpost.evidence.note import VerifierKey
from zegelpost.evidence.tree import Frontier, leaf_hash
from zegelpost.model.audit import NODE_LEVELS, PERSONAL_KEPT, TREE, AuditCheckpoint, AuditLeaf, AuditNode, AuditTree
from zegelpost.model.clock import Clock
from zegelpost.model.event import Event, EventTag
from zegelpost.services.recognising_restore import ancestors
from zegelpost.services.sequencing import EVENT_COLUMNS, Sequencing, leaf_of, personal_of

_BATCH: Final = 1000


class AuditBroken(Exception):
    """The record is not what it was. `position` is the first bad entry, or the first that can be."""

    def __init__(self, position: int, words: str) -> None:
        super().__init__(words)
        self.position = position


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What holds: `size` events of which `erased_count` without their personal part, and `checkpoint_count` checkpoints."""

    origin: str
    size: int
    root: bytes
    erased_count: int
    checkpoint_count: int
    waiting_count: int  # events that have no place yet
    requested_count: int  # of those that were erased, before five years, on somebody's request
    lost_count: int  # checkpoints that tell of events which were lost when an older database was restored
    key: VerifierKey


class VerifyingAudit:
    def __init__(self, database: Database, sequencing: Sequencing, clock: Clock) -> None:
        self._database = database
        self._sequencing = sequencing
        self._clock = clock

    async def verify(self, earlier: Sequence[str] = ()) -> Verified:
        """Raise `AuditBroken` for the first entry that is wrong.

        `earlier` are checkpoints that were kept elsewhere. Without any, whoever has database and key ring can have made all of it
        anew.

        1. The head, every kept checkpoint and every earlier one are signed with this installation's key.
        2. Each entry is there, in its place, is that of its event, and its event is what was hashed.
        3. Stored subtrees and each checkpoint are those of the leaves up to there.
        4. No checkpoint tells of more entries than there are, and no entry is outside the tree.
        """
        async with self._database.reading() as session:
            tree = await session.get_one(AuditTree, TREE)
            key = self._sequencing.key(tree)
            # 1.
            checkpoints, lost_count = await self._checkpoints(session, tree, key, earlier)
            # 2, 3.
            walk = _Walk(self._clock(), checkpoints, await _blanked_on_request(session))
            while rows := await _entries(session, walk.frontier.size, tree.size):
                nodes = await _nodes(session, walk.frontier.size, rows[-1].position)
                for row in rows:
                    walk.step(row, nodes)
            # 4.
            walk.end(tree, await session.scalar(select(func.max(AuditLeaf.position))))
            waiting = await session.scalar(
                select(func.count()).select_from(Event).where(~exists().where(AuditLeaf.event_id == Event.id))
            )
        return Verified(
            origin=key.name,
            size=tree.size,
            root=walk.frontier.root(),
            erased_count=walk.erased_count,
            checkpoint_count=len(checkpoints),
            waiting_count=waiting or 0,
            lost_count=lost_count,
            requested_count=walk.requested_count,
            key=key,
        )

    async def _checkpoints(
        self, session: AsyncSession, tree: AuditTree, key: VerifierKey, earlier: Sequence[str]
    ) -> tuple[list[Checkpoint], int]:
        """All that hold the tree, by size, and how many tell of what was lost.

        In a name of before a restore, a checkpoint holds the tree up to where that name ended.
        """
        names = ancestors(key.name)
        lost_count = 0
        kept = await session.scalars(select(AuditCheckpoint).order_by(AuditCheckpoint.size))
        named = [(f"the checkpoint of {each.day} in the database", each.note) for each in kept]
        named += [(f"number {number} of the checkpoints that were given", note) for number, note in enumerate(earlier, 1)]
        if tree.size:
            named.append(("the newest checkpoint", tree.checkpoint))
        opened = []
        for name, note in named:
            try:
                name_of_note = note.split("\n", 1)[0]
                checkpoint = Checkpoint.open(note, VerifierKey(name_of_note, key.public) if name_of_note in names else key)
                if checkpoint.size > names.get(checkpoint.origin, checkpoint.size):
                    lost_count += 1
                    continue
                opened.append(checkpoint)
            except EvidenceBroken as error:
                raise AuditBroken(0, f"{name} does not count: {error}") from None
        if tree.size and opened[-1].size != tree.size:
            raise AuditBroken(min(tree.size, opened[-1].size), "the newest checkpoint is of another size than the record")
        return sorted(opened, key=lambda checkpoint: checkpoint.size), lost_count


class _Walk:
    """Goes along the entries from the first, growing the tree anew."""

    def __init__(self, now: datetime, checkpoints: Sequence[Checkpoint], on_request: set[int]) -> None:
        self.frontier = Frontier()
        self.erased_count = 0
        self._now = now
        self._on_request = on_request
        self.requested_count = 0
        self._ahead = list(checkpoints)
        self._good_size = 0  # of the last checkpoint that fitted
        self._pass_checkpoints()

    def step(self, row: Row[Any], nodes: dict[tuple[int, int], bytes]) -> None:
        position = self.frontier.size
        if row.position != position:
            raise AuditBroken(position, f"entry {position} is missing")
        name = f"entry {position} (event {row.event_id})"
        if row.id is None:
            raise AuditBroken(position, f"{name}: its event was removed")
        committed = self._erased(row, name) if row.salt is None else commitment(row.salt, personal_of(row))
        hashed = leaf_hash(leaf_of(row, position, committed).text().encode("ascii"))
        if not compare_digest(hashed, row.hash):
            raise AuditBroken(position, f"{name}, {row.tag} of {row.at:%Y-%m-%d %H:%M} UTC, was changed or moved")
        for subtree in self.frontier.append(hashed):
            kept = nodes.get((subtree.level, subtree.index))
            if subtree.level % NODE_LEVELS == 0 and (kept is None or not compare_digest(kept, subtree.hash)):
                first = max(subtree.index << subtree.level, self._good_size)
                raise AuditBroken(first, f"an entry from {first} to {position} was changed, and its hash with it")
        self._pass_checkpoints()

    def _erased(self, row: Row[Any], name: str) -> bytes:
        self.erased_count += 1
        if row.commitment is None or row.staff_user_id or row.recipient_id or row.facts:
            raise AuditBroken(row.position, f"{name}: its personal part cannot be checked, and is still there")
        if row.at + PERSONAL_KEPT > self._now:
            if row.position not in self._on_request:
                raise AuditBroken(row.position, f"{name}: its personal part was erased before five years were over")
            self.requested_count += 1
        committed: bytes = row.commitment
        return committed

    def _pass_checkpoints(self) -> None:
        while self._ahead and self._ahead[0].size == self.frontier.size:
            checkpoint = self._ahead.pop(0)
            if not compare_digest(checkpoint.root, self.frontier.root()):
                first, last = self._good_size, checkpoint.size - 1
                which = f"entry {first}" if first >= last else f"an entry from {first} to {last}"
                raise AuditBroken(
                    first, f"{which} is not what the checkpoint of {checkpoint.size} entries tells: there are two histories"
                )
            self._good_size = checkpoint.size

    def end(self, tree: AuditTree, last_position: int | None) -> None:
        size = self.frontier.size
        if size < tree.size:
            raise AuditBroken(size, f"entry {size} is missing")
        if self._ahead:
            raise AuditBroken(
                size, f"the record ends at {size} entries, but a checkpoint tells of {self._ahead[-1].size}: its end was cut off"
            )
        if last_position is not None and last_position >= tree.size:
            raise AuditBroken(tree.size, f"entry {tree.size} and what follows it is not in the tree")
        if tree.frontier != self.frontier.to_bytes():
            raise AuditBroken(size, "the tree would grow from another head than that of its entries")


async def _blanked_on_request(session: AsyncSession) -> set[int]:
    """The entries that an event names whose personal part was erased with a person. That event is an entry like all others."""
    told = await session.scalars(select(Event.facts).where(Event.tag == EventTag.PERSON_ERASED))
    return {position for facts in told for position in positions_in(str(facts.get("positions", "")))}


async def _entries(session: AsyncSession, start: int, size: int) -> Sequence[Row[Any]]:
    return (
        await session.execute(
            select(
                AuditLeaf.position,
                AuditLeaf.event_id,
                AuditLeaf.hash,
                AuditLeaf.salt,
                AuditLeaf.commitment,
                *EVENT_COLUMNS,
            )
            .outerjoin(Event, Event.id == AuditLeaf.event_id)
            .where(AuditLeaf.position >= start, AuditLeaf.position < size)
            .order_by(AuditLeaf.position)
            .limit(_BATCH)
        )
    ).all()


async def _nodes(session: AsyncSession, first: int, last: int) -> dict[tuple[int, int], bytes]:
    """Stored subtrees that end among these entries."""
    found = {}
    for level in range(NODE_LEVELS, 64, NODE_LEVELS):
        start, end = first >> level, (last + 1) >> level
        if end == 0:
            break
        rows = await session.execute(
            select(AuditNode.index, AuditNode.hash).where(
                AuditNode.level == level, AuditNode.index >= start, AuditNode.index < end
            )
        )
        found.update({(level, index): hashed for index, hashed in rows})
    return found
