"""The sweep: what cannot be done now keeps nothing else from being done."""

from __future__ import annotations

import httpx2
import pytest
from sqlalchemy import func, select
from tests.conftest import MovableClock, Outbox, Portal
from tests.web.acts import ROSA, send
from tests.web.tus import VERSION, announced, blobs_of, new_draft, patch

from zegelpost.main import Services, build_worker
from zegelpost.model.audit import AuditCheckpoint
from zegelpost.model.document import OrphanBlob
from zegelpost.ports import BlobError
from zegelpost.settings import Settings


@pytest.fixture
async def stubborn(anna: httpx2.AsyncClient, services: Services) -> str:
    """Three documents that were taken out; of one of them the store does not let go."""
    transfer_id = await new_draft(anna)
    for _ in range(3):
        url = await announced(anna, 4, transfer_id=transfer_id)
        await patch(anna, url, 0, b"\0" * 4)
        await anna.delete(url, headers=VERSION)
    async with services.database.reading() as session:
        name = (await session.scalars(select(OrphanBlob.name).order_by(OrphanBlob.name))).first()
    assert name is not None
    path = services.settings.data_dir / "blobs" / name[:2] / name
    path.unlink()
    path.mkdir()
    return name


async def test_a_blob_that_cannot_be_removed_keeps_no_other_and_no_key(
    services: Services,
    settings: Settings,
    clock: MovableClock,
    stubborn: str,
    anna_portal: Portal,
    outbox: Outbox,
) -> None:
    await send(anna_portal, ROSA)
    await outbox.deliver()
    days = settings.keys_dir / "outbox"
    assert (days / clock.now.date().isoformat()).exists()
    today = clock.now.date().isoformat()
    clock.forward(days=6)

    for _ in range(3):
        with pytest.raises(BlobError):
            await build_worker(services).sweep()
        clock.forward(hours=2)

    assert not (days / today).exists()
    async with services.database.reading() as session:
        assert (await session.scalars(select(OrphanBlob.name))).all() == [stubborn]
        assert await session.scalar(select(func.count()).select_from(AuditCheckpoint))
    assert blobs_of(services).names() == [stubborn]
    (settings.data_dir / "blobs" / stubborn[:2] / stubborn).rmdir()
    await build_worker(services).sweep()
    async with services.database.reading() as session:
        assert (await session.scalars(select(OrphanBlob.name))).all() == []
