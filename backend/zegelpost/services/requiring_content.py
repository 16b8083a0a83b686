"""Requiring content: what has to be there before something is sent."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.model.document import Document, DocumentState, ScanVerdict
from zegelpost.model.refusals import ContentMissing, MalwareFound, UploadsUnfinished
from zegelpost.model.transfer import Transfer, TransferText


async def require_content(session: AsyncSession, transfer: Transfer, text: TransferText) -> None:
    """Documents that have all arrived, or a note. What is held back has arrived too.

    Raises `UploadsUnfinished`, `MalwareFound`, `ContentMissing`.
    """
    rows = await session.execute(select(Document.state, Document.scan_verdict).where(Document.transfer_id == transfer.id))
    documents = rows.all()
    unfinished = sum(document.state == DocumentState.ARRIVING for document in documents)
    if unfinished:
        raise UploadsUnfinished(count=unfinished)
    if any(each.scan_verdict == ScanVerdict.INFECTED and each.state != DocumentState.HELD for each in documents):
        raise MalwareFound
    if not documents and not text.note:
        raise ContentMissing
