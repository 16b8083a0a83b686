"""A clock that jumps ahead by weeks: nothing that cannot be had back is done by it for a day, and administrators hear of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import date, timedelta

import httpx2
import pytest
from sqlalchemy import select
from starlette.applications import Starlette
from tests.conftest import MovableClock, Outbox, Portal, browser, make_administrator
from tests.web.acts import ROSA, SAM, open_link, send, words
from tests.web.tus import announced, patch, sha256_of

from zegelpost.adapters.keys_directory import DirectoryKeyRing
from zegelpost.main import Services, build_services, build_worker
from zegelpost.model.outgoing import Outgoing
from zegelpost.model.policy import Policy
from zegelpost.model.transfer import Transfer, TransferState, week_of
from zegelpost.ports import KeyDestroyedError
from zegelpost.settings import Settings


@pytest.fixture
async def transfer_id(anna_portal: Portal, services: Services, outbox: Outbox) -> str:
    transfer_id = await send(anna_portal, ROSA, documents={"brief.pdf": b"%PDF-1.7\n%%EOF\n"})
    await outbox.deliver()
    await build_worker(services).sweep()
    return transfer_id


async def state(services: Services, transfer_id: str) -> TransferState:
    async with services.database.reading() as session:
        return (await session.get_one(Transfer, transfer_id)).state


async def test_no_key_is_destroyed_and_nothing_is_lost_when_the_clock_is_put_right(
    app: Starlette,
    services: Services,
    settings: Settings,
    clock: MovableClock,
    outbox: Outbox,
    transfer_id: str,
    database_kind: str,
) -> None:
    await make_administrator(services)
    ring = DirectoryKeyRing(settings.keys_dir)
    weeks = ring.weeks()

    clock.jump(weeks=20)
    for _ in range(20):
        await build_worker(services).sweep()
        clock.forward(hours=1)

    assert ring.weeks() == weeks
    assert await state(services, transfer_id) == TransferState.SENT
    [mail] = [each for each in await outbox.all(kind="mail", to="chris@zegelpost.example") if "klok" in each["subject"].lower()]
    assert "24 uur" in mail["text"]
    clock.jump(weeks=-20)
    await build_worker(services).sweep()
    async with browser(app) as rosa:
        path = await open_link(rosa, outbox)
        assert "brief.pdf" in words(await rosa.get(f"{path}/transfer"))


async def test_what_arrived_of_an_unfinished_document_stays(
    app: Starlette, anna: httpx2.AsyncClient, services: Services, clock: MovableClock
) -> None:
    """It was acknowledged, and whoever is sending goes on when the clock is right."""
    await build_worker(services).sweep()
    content = b"0123456789" * 100
    url = await announced(anna, len(content))
    await patch(anna, url, 0, content[:400])
    has_begun, may_end = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield content[400:700]
        has_begun.set()
        await may_end.wait()
        yield content[700:]

    writing = asyncio.create_task(patch(anna, url, 400, slow()))
    await has_begun.wait()

    clock.jump(weeks=20)
    await build_worker(services).sweep()
    clock.jump(weeks=-20)
    await build_worker(services).sweep()
    may_end.set()

    assert (await writing).headers["upload-sha256"] == sha256_of(content)


async def test_a_clock_that_still_says_so_after_a_day_is_right(
    services: Services, settings: Settings, clock: MovableClock, transfer_id: str
) -> None:
    ring = DirectoryKeyRing(settings.keys_dir)
    clock.jump(weeks=20)
    await build_worker(services).sweep()
    clock.forward(hours=25)
    await build_worker(services).sweep()  # expires
    await build_worker(services).sweep()  # erases

    assert await state(services, transfer_id) == TransferState.ERASED
    assert ring.weeks() == []


@pytest.mark.parametrize(("unit", "count"), [("days", 9), ("weeks", 20)])
async def test_mail_leaves_after_a_clock_that_was_wrong_for_long_is_put_right(
    app: Starlette, services: Services, clock: MovableClock, outbox: Outbox, transfer_id: str, unit: str, count: int
) -> None:
    """By then it was believed, and keys of days and weeks that are now still to come were destroyed by it."""
    ring = DirectoryKeyRing(services.settings.keys_dir)
    clock.jump(**{unit: count})
    for _ in range(3):
        await build_worker(services).sweep()
        clock.forward(hours=25)
    clock.jump(**{unit: -count})
    await build_worker(services).sweep()
    assert ring.is_destroyed(week_of(clock.now + timedelta(days=28))) == (unit == "weeks")

    async with browser(app) as client:
        anna = Portal(client)
        await anna.sign_in("anna@zegelpost.example")
        again = await send(anna, SAM)
    async with browser(app) as sam:
        await open_link(sam, outbox, SAM)
    assert again != transfer_id
    # And once its turn has come, what sealed it is destroyed as well.
    async with services.database.reading() as session:
        [day] = set(await session.scalars(select(Outgoing.day).where(Outgoing.transfer_id == again)))
    clock.forward(days=count * 7 + 14)
    await build_worker(services).sweep()
    with pytest.raises(KeyDestroyedError):
        ring.outbox_day(date.fromisoformat(day))


async def test_each_process_counts_the_same_hours_once(
    services: Services, settings: Settings, policy: Policy, clock: MovableClock, transfer_id: str
) -> None:
    """Two workers that look in turns would otherwise see a day pass in twelve hours."""
    other = build_services(settings, clock=clock, on_clock=clock.on, policy=policy)
    clock.jump(weeks=20)
    for _ in range(23):
        for each in (services, other):
            await each.erasing.run()
        clock.forward(hours=1)
    await other.erasing.run()
    await other.database.close()

    assert await state(services, transfer_id) == TransferState.SENT


async def test_a_machine_that_was_just_switched_on_waits_too(
    services: Services, settings: Settings, policy: Policy, clock: MovableClock, transfer_id: str
) -> None:
    """It may have been off for weeks, or its clock may be wrong: only time tells."""
    off = MovableClock(clock.now)
    off.forward(weeks=20)
    fresh = build_services(
        settings, clock=off, on_clock=lambda: type(off.on())("another boot", off.on().seconds - 1e6), policy=policy
    )
    await fresh.erasing.run()
    off.forward(hours=23)
    await fresh.erasing.run()
    assert await state(services, transfer_id) == TransferState.SENT

    off.forward(hours=2)
    await fresh.erasing.run()
    await fresh.database.close()

    assert await state(services, transfer_id) in {TransferState.EXPIRED, TransferState.ERASED}


async def test_recipients_are_refused_by_the_clock_itself(
    app: Starlette, clock: MovableClock, outbox: Outbox, transfer_id: str, client: httpx2.AsyncClient
) -> None:
    path, secret = await outbox.link(ROSA.email)
    clock.jump(weeks=20)

    assert (await client.post(path, data={"link_secret": secret})).status_code == 410
