"""Checkpointing: once a day, what the tree came to is written down and mailed to people outside.

That mail is what a rewritten database is held against; without it, whoever has the server could sign another history.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

from sqlalchemy import select

from zegelpost.database import Database
from zegelpost.model.audit import TREE, AuditCheckpoint, AuditTree
from zegelpost.model.clock import Clock
from zegelpost.model.email_address import EmailAddress
from zegelpost.model.outgoing import Purpose
from zegelpost.services.notifying import Notifying
from zegelpost.services.proving_events import proof_of_growth
from zegelpost.services.sequencing import Sequencing


class Checkpointing:
    """`addresses` get the mail; none is allowed, and the doctor complains about it."""

    def __init__(
        self, database: Database, sequencing: Sequencing, notifying: Notifying, addresses: Sequence[EmailAddress], clock: Clock
    ) -> None:
        self._database = database
        self._sequencing = sequencing
        self._notifying = notifying
        self._addresses = addresses
        self._clock = clock

    async def run(self) -> bool:
        """Keep and mail the checkpoint of today (in UTC) if nobody did; says whether it did."""
        now = self._clock()
        day = now.date().isoformat()
        async with self._database.reading() as session:
            if await session.get(AuditCheckpoint, day) is not None:
                return False
        await self._sequencing.catch_up(is_thorough=True, waits=True)
        async with self._database.work() as session:
            tree = await session.scalar(select(AuditTree).where(AuditTree.id == TREE).with_for_update())
            assert tree is not None
            if tree.size == 0 or await session.get(AuditCheckpoint, day) is not None:
                return False
            before = await session.scalar(select(AuditCheckpoint).order_by(AuditCheckpoint.day.desc()).limit(1))
            grown = before is not None and 0 < before.size < tree.size
            proof = await proof_of_growth(session, before.size, tree.size) if before is not None and grown else []
            session.add(AuditCheckpoint(day=day, size=tree.size, note=tree.checkpoint, created_at=now))
            for address in self._addresses:
                self._notifying.queue_mail(
                    session,
                    Purpose.CHECKPOINT,
                    address,
                    "nl",
                    today=now,
                    size=tree.size,
                    verbatim="\n".join(_lines(tree, str(self._sequencing.key(tree)), before, proof)),
                )
        return True


def _lines(tree: AuditTree, key: str, before: AuditCheckpoint | None, proof: Sequence[bytes]) -> list[str]:
    """The checkpoint, the key, and that the tree began as it was the day before."""
    lines = [tree.checkpoint, key]
    if before is not None and proof:
        lines += ["", f"{before.size} → {tree.size}", *(base64.b64encode(step).decode() for step in proof)]
    return lines
