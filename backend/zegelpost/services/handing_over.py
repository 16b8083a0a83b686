"""Handing over: whether a reader asks for a document anew, and whether they have all of it by now.

A document counts as downloaded when each of its bytes was handed over to one reader, in one answer or in several: downloads
break off and are resumed, and some programs fetch parts side by side. The last byte alone proves nothing.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.model.document import Document
from zegelpost.model.handed_over import HandedOver, Piece, joined


async def is_asked_anew(session: AsyncSession, document: Document, reader_id: str, now: datetime) -> bool:
    """Whether asking for a piece begins a download. If not, it goes on with one that is on record already."""
    going_on = await _locked(session, document, reader_id)
    if going_on is None:
        session.add(HandedOver(document_id=document.id, reader_id=reader_id, pieces=[], asked_at=now))
        return True
    if going_on.is_going_on(now):
        return False
    going_on.asked_at = now
    return True


async def has_all(session: AsyncSession, document: Document, reader_id: str, piece: Piece, now: datetime) -> bool:
    """Remember one more piece; returns whether that was the last that was missing. Then the next download begins anew."""
    whole = (0, document.length_bytes)
    kept = await _locked(session, document, reader_id)
    pieces = joined(kept.pieces if kept else [], piece)
    if pieces == [whole]:
        await session.execute(delete(HandedOver).where(HandedOver.document_id == document.id, HandedOver.reader_id == reader_id))
        return True
    if kept is None:
        kept = HandedOver(document_id=document.id, reader_id=reader_id, asked_at=now)
        session.add(kept)
    kept.pieces = pieces
    return False


async def _locked(session: AsyncSession, document: Document, reader_id: str) -> HandedOver | None:
    # The document's row is there to lock; the one that is looked for may not be.
    await session.execute(select(Document.id).where(Document.id == document.id).with_for_update())
    return await session.get(HandedOver, (document.id, reader_id))
