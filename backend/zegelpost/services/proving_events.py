"""Proving events: reading from the database what inclusion and consistency proofs are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.evidence.tree import consistency_proof, inclusion_proof, node_hash
from zegelpost.model.audit import NODE_LEVELS, AuditLeaf, AuditNode

_RANGES: Final = 50  # in one query; SQLite bounds how deep an expression may be
_NOTHING: Final = bytes(32)
# A level of the tree, and from where up to where hashes of that level are wanted.
_Range = tuple[int, int]


async def inclusion_proofs(session: AsyncSession, positions: Iterable[int], size: int) -> dict[int, list[bytes]]:
    """A proof for each position, in the tree of the first `size` leaves."""
    wanted = list(positions)
    subtrees = await _subtrees(session, lambda ask: [inclusion_proof(position, size, ask) for position in wanted])
    return {position: inclusion_proof(position, size, lambda level, index: subtrees[level, index]) for position in wanted}


async def proof_of_growth(session: AsyncSession, old: int, new: int) -> list[bytes]:
    """That the tree of `new` leaves begins with that of `old`."""
    subtrees = await _subtrees(session, lambda ask: consistency_proof(old, new, ask))
    return consistency_proof(old, new, lambda level, index: subtrees[level, index])


async def _subtrees(
    session: AsyncSession, prove: Callable[[Callable[[int, int], bytes]], object]
) -> Mapping[tuple[int, int], bytes]:
    """The subtrees that a proof asks for. It is made once for nothing, to hear which those are."""
    asked: set[tuple[int, int]] = set()

    def hear(level: int, index: int) -> bytes:
        asked.add((level, index))
        return _NOTHING

    prove(hear)
    ranges: dict[int, list[_Range]] = {}
    for level, index in asked:
        kept, width = _stored(level)
        ranges.setdefault(kept, []).append((index * width, (index + 1) * width))
    stored = {level: await _hashes(session, level, wanted) for level, wanted in ranges.items()}
    found = {}
    for level, index in asked:
        kept, width = _stored(level)
        found[level, index] = _joined([stored[kept][at] for at in range(index * width, (index + 1) * width)])
    return found


def _stored(level: int) -> tuple[int, int]:
    """The level below of which hashes are kept, and how many of them make one of `level`."""
    kept = level - level % NODE_LEVELS
    return kept, 1 << (level - kept)


async def _hashes(session: AsyncSession, level: int, ranges: Iterable[_Range]) -> dict[int, bytes]:
    merged: list[_Range] = []
    for start, end in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    found: dict[int, bytes] = {}
    place = AuditNode.index if level else AuditLeaf.position
    query = select(AuditNode.index, AuditNode.hash).where(AuditNode.level == level) if level else select(place, AuditLeaf.hash)
    for at in range(0, len(merged), _RANGES):
        chosen = or_(*(and_(place >= start, place < end) for start, end in merged[at : at + _RANGES]))
        found.update((index, hashed) for index, hashed in await session.execute(query.where(chosen)))
    return found


def _joined(hashes: Sequence[bytes]) -> bytes:
    while len(hashes) > 1:
        hashes = [node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
    return hashes[0]
