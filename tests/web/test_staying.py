"""Whoever is at work stays signed in, also while they ask nothing of the server; nobody else does."""

from __future__ import annotations

import httpx2
import pytest
from starlette.applications import Starlette
from tests.conftest import MovableClock, Outbox, Portal, browser
from tests.web.acts import DOCUMENT, ROSA, open_link, send
from tests.web.audit_acts import Record

from zegelpost.main import Services

pytestmark = pytest.mark.anyio


async def test_who_types_stays_in_and_who_does_not_is_out(
    anna_portal: Portal, clock: MovableClock, services: Services, database_kind: str
) -> None:
    before = await Record(services).event_count()
    for _ in range(3):
        clock.forward(minutes=110)
        told = await anna_portal.client.post("/stay")
        assert (told.status_code, told.json()["csrf"]) == (200, anna_portal.csrf)
    assert (await anna_portal.client.get("/sent")).url.path == "/sent"
    assert told.headers["cache-control"] == "no-store"

    clock.forward(minutes=121)

    assert (await anna_portal.client.post("/stay")).status_code == 401
    assert (await anna_portal.client.get("/sent")).url.path == "/sign-in"
    assert await Record(services).event_count() == before


async def test_nobody_stays_in_for_ever(anna_portal: Portal, clock: MovableClock) -> None:
    answers = []
    for _ in range(13):
        clock.forward(hours=1)
        answers.append((await anna_portal.client.post("/stay")).status_code)
    assert answers == [200] * 11 + [401] * 2


async def test_who_signs_in_anew_gets_a_token_for_the_forms_of_before(anna_portal: Portal) -> None:
    account, before = (await anna_portal.client.post("/stay")).json()["account"], anna_portal.csrf
    await anna_portal.press("/sign-out")
    assert (await anna_portal.client.post("/stay")).status_code == 401

    await anna_portal.sign_in("anna@zegelpost.example")
    told = (await anna_portal.client.post("/stay")).json()
    assert (told["account"], told["csrf"]) == (account, anna_portal.csrf)
    assert told["csrf"] != before
    await anna_portal.press("/sign-out")
    await anna_portal.sign_in("bram@zegelpost.example")
    assert (await anna_portal.client.post("/stay")).json()["account"] != account


async def test_a_guest_who_writes_stays_in_and_what_can_be_read_closes(
    app: Starlette, anna_portal: Portal, outbox: Outbox, clock: MovableClock, client: httpx2.AsyncClient, database_kind: str
) -> None:
    await send(anna_portal, ROSA, documents={"besluit.pdf": DOCUMENT})
    async with browser(app) as rosa:
        base = await open_link(rosa, outbox)
        await rosa.post(f"{base}/answer")
        for _ in range(3):
            clock.forward(minutes=110)
            assert (await rosa.post(f"{base}/stay")).status_code == 204
        assert (await rosa.get(f"{base}/answer")).url.path == f"{base}/answer"
        assert (await rosa.get(f"{base}/transfer")).url.path == base  # a new code, to read
        clock.forward(minutes=121)
        assert (await rosa.post(f"{base}/stay")).status_code == 401
        assert (await client.post(f"{base}/stay")).status_code == 401


async def test_a_guest_who_reads_stays_in_for_an_hour_at_most(
    app: Starlette, anna_portal: Portal, outbox: Outbox, clock: MovableClock
) -> None:
    await send(anna_portal, ROSA, documents={"besluit.pdf": DOCUMENT})
    async with browser(app) as rosa:
        base = await open_link(rosa, outbox)
        answers = []
        for _ in range(5):
            clock.forward(minutes=14)
            answers.append((await rosa.post(f"{base}/transfer/stay")).status_code)
        assert answers == [204] * 4 + [401]
