"""Attesting: for the events of one transfer, all that checking them elsewhere takes (`audit-format.md`, sections 6 and 8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.model.audit import AuditLeaf
from zegelpost.model.event import Event
from zegelpost.services.exporting_audit import Head, audit_head, proven
from zegelpost.services.proving_events import inclusion_proofs
from zegelpost.services.sequencing import EVENT_COLUMNS, Sequencing

_CHUNK: Final = 500  # identifiers in one query


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """Events by their numbers, each with leaf, personal part and proof; those without a place yet are not among them."""

    head: Head
    entries: Mapping[int, Mapping[str, Any]]


async def attest(
    session: AsyncSession, sequencing: Sequencing, events: Sequence[Event], told_facts: Sequence[str]
) -> Attestation:
    """Prove these events under the newest checkpoint.

    The commitment is to all facts of an event, so whoever checks it has to see all of them. Where one is not among
    `told_facts`, who it was stays closed, and the event itself is proven all the same.
    """
    head = await audit_head(session, sequencing)
    numbers = [event.id for event in events]
    rows = [
        row
        for at in range(0, len(numbers), _CHUNK)
        for row in await session.execute(
            select(AuditLeaf.position, AuditLeaf.salt, AuditLeaf.commitment, *EVENT_COLUMNS)
            .join(Event, Event.id == AuditLeaf.event_id)
            .where(Event.id.in_(numbers[at : at + _CHUNK]), AuditLeaf.position < head.size)
        )
    ]
    proofs = await inclusion_proofs(session, (row.position for row in rows), head.size)
    entries = {}
    for row in rows:
        entry = proven(row, proofs[row.position])
        if set(row.facts) - set(told_facts):
            entry |= {"personal": None, "salt": None}
        entries[row.id] = entry
    return Attestation(head=head, entries=entries)
