"""Erasing while others work: no extension, sending or other worker is overtaken, and nothing waits behind what is broken."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import httpx2
import pytest
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from tests.conftest import MovableClock, Portal
from tests.web.acts import ROSA, SAM, draft, send
from tests.web.tus import VERSION, announced

from zegelpost.adapters.keys_directory import DirectoryKeyRing
from zegelpost.main import Services, build_services
from zegelpost.model.document import OrphanBlob, Part, Upload
from zegelpost.model.event import Event, EventTag
from zegelpost.model.identifiers import new_identifier
from zegelpost.model.policy import Policy
from zegelpost.model.transfer import Transfer, TransferState
from zegelpost.services import erasing
from zegelpost.settings import Settings

DOCUMENT = {"brief.pdf": b"%PDF-1.7\n1 0 obj << >> endobj\ntrailer << >>\n%%EOF\n"}
LINK_ONLY = Policy(staff_domains=("zegelpost.example",), requires_second_factor=False, has_sender_copy=False)


async def state(services: Services, transfer_id: str) -> TransferState:
    async with services.database.reading() as session:
        return (await session.get_one(Transfer, transfer_id)).state


@pytest.mark.parametrize("was", ["expiring", "expired", "draft"])
async def test_what_someone_extends_or_sends_at_that_moment_is_left_alone(
    services: Services, clock: MovableClock, anna_portal: Portal, was: str, database_kind: str
) -> None:
    """They have the row in hand, and what they read of it was true."""
    make = draft if was == "draft" else send
    transfer_id = await make(anna_portal, ROSA, documents=DOCUMENT, expires_in_days="7")
    if was == "expired":
        clock.forward(days=7, hours=1)
        assert (await services.erasing.run()).expired_count == 1
    clock.forward(days=7 if was == "expiring" else 14, hours=1)

    async with services.database.work() as session:
        transfer = await session.get_one(Transfer, transfer_id, with_for_update=True)
        transfer.state = TransferState.SENT
        transfer.expires_at = clock.now + timedelta(days=28)
        await session.flush()
        sweep = asyncio.create_task(services.erasing.run())
        # It need not be done: on SQLite it waits for us, and comes after.
        await asyncio.wait([sweep], timeout=1)
    await sweep

    assert await state(services, transfer_id) == TransferState.SENT


async def test_two_workers_expire_and_erase_each_transfer_once(
    services: Services,
    settings: Settings,
    policy: Policy,
    clock: MovableClock,
    anna_portal: Portal,
    chris_portal: Portal,
    database_kind: str,
) -> None:
    for _ in range(5):
        await send(anna_portal, ROSA, documents=DOCUMENT, expires_in_days="7")
    await send(anna_portal, SAM, documents=DOCUMENT, expires_in_days="7")
    await chris_portal.press("/admin/holds", kind="person", what=SAM.email, reason="x", until="31-12-2026")
    other = build_services(settings, clock=clock, on_clock=clock.on, policy=policy)
    for days in (8, 15, 30):
        clock.forward(days=days)
        await asyncio.gather(services.erasing.run(), other.erasing.run())
    await other.database.close()

    async with services.database.reading() as session:
        counts = await session.execute(
            select(Event.tag, func.count())
            .where(Event.tag.in_([EventTag.TRANSFER_EXPIRED, EventTag.TRANSFER_ERASED, EventTag.TRANSFER_RELEASED]))
            .group_by(Event.tag)
        )
        assert {row[0]: row[1] for row in counts} == {
            EventTag.TRANSFER_EXPIRED: 6,
            EventTag.TRANSFER_ERASED: 6,
            EventTag.TRANSFER_RELEASED: 1,
        }


@pytest.mark.parametrize("policy", [LINK_ONLY], ids=["link-only"])
async def test_a_hold_that_came_too_late_for_a_link_only_transfer_stops_nothing(
    services: Services, settings: Settings, clock: MovableClock, chris_portal: Portal, anna_portal: Portal, policy: Policy
) -> None:
    held = await send(anna_portal, ROSA, documents=DOCUMENT, expires_in_days="7")
    other = await send(anna_portal, SAM, documents=DOCUMENT, expires_in_days="7")
    async with services.database.reading() as session:
        week = (await session.get_one(Transfer, held)).week
        assert week is not None
    await chris_portal.press("/admin/holds", kind="transfer", what=held, reason="x")
    DirectoryKeyRing(settings.keys_dir).destroy_week(week)

    clock.forward(days=60)
    for _ in range(2):
        await services.erasing.run()

    assert await state(services, other) == TransferState.ERASED
    async with services.database.reading() as session:
        assert (await session.get_one(Transfer, held)).week == week


@pytest.mark.parametrize("broken", ["destroyed", "damaged"])
async def test_what_is_held_behind_a_batch_that_cannot_be_carried_is_carried(
    services: Services,
    settings: Settings,
    clock: MovableClock,
    chris_portal: Portal,
    anna_portal: Portal,
    broken: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(erasing, "_BATCH", 2)
    ids = sorted([await send(anna_portal, ROSA, documents=DOCUMENT, expires_in_days="7") for _ in range(4)])
    await chris_portal.press("/admin/holds", kind="person", what=ROSA.email, reason="x")
    async with services.database.work() as session:
        lost = update(Transfer).where(Transfer.id.in_(ids[:3]))
        await session.execute(lost.values(week="2026-W01") if broken == "destroyed" else lost.values(sender_wrap=b"nonsense"))
        week = (await session.get_one(Transfer, ids[3])).week
        assert week is not None
    ring = DirectoryKeyRing(settings.keys_dir)
    if broken == "destroyed":
        ring.destroy_week("2026-W01")

    for _ in range(8):
        clock.forward(days=7)
        await services.erasing.run()

    async with services.database.reading() as session:
        kept = await session.get_one(Transfer, ids[3])
        assert kept.week is not None
        assert kept.week > week
        assert services.keeping_keys.text(services.keeping_keys.sender_key(kept), kept).subject == "Dossier Visser"
    # What may still be mended keeps its keys; what is lost keeps nobody else's.
    assert ring.is_destroyed(week) == (broken == "destroyed")


@pytest.mark.parametrize("way", ["erased", "swept", "removed"])
async def test_the_bytes_of_a_part_that_arrives_at_that_moment_are_swept_too(
    services: Services, clock: MovableClock, anna: httpx2.AsyncClient, way: str, database_kind: str
) -> None:
    """Otherwise they would stay for good, known to nobody."""
    url = await announced(anna, 9)
    clock.forward(hours=1)
    if way != "removed":
        clock.forward(days=15)
    blob = new_identifier()

    async with services.database.work() as session:
        # As one part of the upload is committed.
        document = (
            await session.scalars(update(Upload).values(offset_bytes=5, part_count=1).returning(Upload.document_id))
        ).one()
        session.add(Part(document_id=document, number=0, offset_bytes=0, length_bytes=5, header=b"", blob=blob))
        await session.flush()
        acting: asyncio.Future[object]
        if way == "removed":
            acting = asyncio.ensure_future(anna.delete(url, headers=VERSION))
        else:
            acting = asyncio.ensure_future(services.erasing.run() if way == "erased" else services.clearing_uploads.run())
        await asyncio.wait([acting], timeout=1)
    await acting

    async with services.database.reading() as session:
        assert (await session.scalars(select(Part.blob))).all() == []
        # The sweep of uploads goes on to remove the bytes themselves.
        assert (await session.scalars(select(OrphanBlob.name))).all() == ([] if way == "swept" else [blob])


async def test_a_hold_is_placed_before_or_after_the_erasing_and_never_for_nothing(
    services: Services,
    clock: MovableClock,
    anna_portal: Portal,
    chris_portal: Portal,
    database_kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever is told that something is kept must not have come a moment too late."""
    transfer_id = await send(anna_portal, ROSA, documents=DOCUMENT, expires_in_days="7")
    clock.forward(days=22)
    await chris_portal.sign_in("chris@zegelpost.example")
    placing: list[asyncio.Task[httpx2.Response]] = []
    erase = erasing.erase

    async def interrupted(session: AsyncSession, transfer: Transfer, now: datetime) -> None:
        placing.append(asyncio.create_task(chris_portal.press("/admin/holds", kind="transfer", what=transfer_id, reason="x")))
        await asyncio.wait(placing, timeout=1)
        await erase(session, transfer, now)

    monkeypatch.setattr(erasing, "erase", interrupted)
    for _ in range(2):
        await services.erasing.run()

    [answer] = [await each for each in placing]
    assert (answer.status_code, await state(services, transfer_id)) == (422, TransferState.ERASED)
