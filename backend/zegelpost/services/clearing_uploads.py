"""Clearing uploads: what nobody will finish, and blobs without a part."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, select, text, update

from zegelpost.database import Database
from zegelpost.model.document import IS_ARRIVING, Document, OrphanBlob, Upload
from zegelpost.model.identifiers import BlobName
from zegelpost.ports import BlobError, Blobs
from zegelpost.services.completing import remove_document
from zegelpost.services.observing_time import ObservingTime

_STUBBORN_AGAIN_AFTER: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Swept:
    blob_count: int
    upload_count: int


class ClearingUploads:
    def __init__(self, database: Database, blobs: Blobs, observing: ObservingTime) -> None:
        self._database = database
        self._blobs = blobs
        self._observing = observing

    async def run(self) -> Swept:
        """Remove what nobody will finish: uploads that were left, and blobs without a part.

        By the time that is believed: what arrived of them was acknowledged, and a blob may be being written at this moment.
        """
        now = await self._observing.believed()
        async with self._database.work() as session:
            left = await session.execute(
                select(Upload, Document)
                .join(Document, Document.id == Upload.document_id)
                .where(Upload.expires_at <= now, text(f"document.{IS_ARRIVING}"))  # in the words of its index
                .limit(100)
            )
            uploads = left.all()
            for _, document in uploads:
                await remove_document(session, document, now)
        async with self._database.reading() as session:
            orphans = list(await session.scalars(select(OrphanBlob.name).where(OrphanBlob.due_at <= now).limit(1000)))
        removed: list[BlobName] = []
        try:
            for name in orphans:
                await asyncio.to_thread(self._blobs.delete, name)
                removed.append(name)
        except BlobError:
            # One that the store does not let go of would be the first of every sweep.
            await self._postpone_orphan(orphans[len(removed)], now)
            raise
        finally:
            if removed:
                async with self._database.work() as session:
                    await session.execute(delete(OrphanBlob).where(OrphanBlob.name.in_(removed)))
        return Swept(len(removed), len(uploads))

    async def _postpone_orphan(self, name: BlobName, now: datetime) -> None:
        async with self._database.work() as session:
            await session.execute(update(OrphanBlob).where(OrphanBlob.name == name).values(due_at=now + _STUBBORN_AGAIN_AFTER))
