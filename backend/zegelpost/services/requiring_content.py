"""Requiring content: what has to be there before something is sent."""

from __future__ import annotations

from typing import Final

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.model.document import Document, DocumentState, ScanVerdict
from zegelpost.model.refusals import ContentMissing, MalwareFound, UploadsUnfinished
from zegelpost.model.transfer import Transfer, TransferText

# Made once, as in `access.py`.
_DOCUMENTS: Final = select(Document.state, Document.scan_verdict).where(Document.transfer_id == bindparam("transfer_id"))


async def require_content(session: AsyncSession, transfer: Transfer, text: TransferText) -> None:
    """Documents that have all arrived, or a note. What is held back has arrived too.

    Raises `UploadsUnfinished`, `MalwareFound`, `ContentMissing`.
    """
    documents = (await session.execute(_DOCUMENTS, {"transfer_id": transfer.id})).all()
    unfinished = sum(document.state == DocumentState.ARRIVING for document in documents)
    if unfinished:
        raise UploadsUnfinished(count=unfinished)
    if any(each.scan_verdict == ScanVerdict.INFECTED and each.state != DocumentState.HELD for each in documents):
        raise MalwareFound
    if not documents and not text.note:
        raise ContentMissing
