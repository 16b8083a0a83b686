"""Handing over someone's post: a colleague or a department goes on with it, and the administrator sees numbers only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from sqlalchemy import select
from starlette.applications import Starlette
from tests.conftest import MovableClock, Outbox, Portal, browser, signed_in
from tests.web import intake_acts
from tests.web.acts import ROSA, open_link, words
from tests.web.policy_acts import draft
from tests.web.tus import uploaded

from zegelpost.main import Services, build_app
from zegelpost.model.event import Event
from zegelpost.model.recipient import Recipient
from zegelpost.model.staff_user import StaffUser
from zegelpost.model.transfer import Transfer
from zegelpost.services.reassigning import Reassigning

pytestmark = pytest.mark.anyio
ANNA, BRAM = "anna@zegelpost.example", "bram@zegelpost.example"
SECRET = "KANARIE-geheim.pdf"
PDF = b"%PDF-1.4\n%%EOF\n"


async def account_id(services: Services, email: str) -> str:
    async with services.database.reading() as session:
        return str((await session.scalars(select(StaffUser.id).where(StaffUser.email == email))).one())


async def send(program: httpx2.AsyncClient, **fields: Any) -> str:
    made = (await program.post("/api/v1/transfers", json=draft(**fields))).json()["id"]
    await uploaded(program, made, SECRET, PDF)
    assert (await program.post(f"/api/v1/transfers/{made}/send")).status_code == 200
    return str(made)


async def events(services: Services, *tags: str) -> list[Mapping[str, Any]]:
    async with services.database.reading() as session:
        return [row.facts for row in await session.scalars(select(Event).where(Event.tag.in_(tags)).order_by(Event.id))]


async def leave(services: Services, chris: Portal, email: str = ANNA) -> str:
    page = f"/admin/accounts/{await account_id(services, email)}"
    await chris.press(f"{page}/switch-off")
    return page


async def hand_over(chris: Portal, page: str, to: str) -> httpx2.Response:
    asked = await chris.press(f"{page}/hand-over", email=to)
    assert "This cannot be taken back" in words(asked)
    assert f", {to}" in words(asked)
    assert "KANARIE" not in asked.text
    return await chris.press(f"{page}/hand-over/confirm", email=to)


TO_ANNA = [{"name": "Anna", "email": ANNA}]


async def test_a_colleague_goes_on_with_what_was_sent_and_received(
    app: Starlette,
    services: Services,
    chris_portal: Portal,
    anna: httpx2.AsyncClient,
    bram: httpx2.AsyncClient,
    mallory: httpx2.AsyncClient,
    outbox: Outbox,
    database_kind: str,
) -> None:
    sent = await send(anna)
    received = await send(mallory, recipients=TO_ANNA)
    kept = (await anna.post("/api/v1/transfers", json=draft())).json()["id"]
    page = await leave(services, chris_portal)
    shown = words(await chris_portal.client.get(page))
    assert "Transfers sent 1 File requests 0 Received 1" in shown
    done = await hand_over(chris_portal, page, BRAM)
    assert "Everything has been handed over." in words(done)
    assert "Hand over the post" not in words(done)
    # Sent: seen, opened and followed up by Bram; Rosa's link goes on working.
    assert (await bram.get(f"/api/v1/transfers/{sent}")).json()["subject"] == "Brief"
    document = (await bram.get(f"/api/v1/transfers/{sent}")).json()["documents"][0]["id"]
    assert (await bram.get(f"/api/v1/transfers/{sent}/documents/{document}")).content == PDF
    assert (await bram.post(f"/api/v1/transfers/{sent}/extend", json={"days": 60})).status_code == 200
    async with browser(app) as rosa:
        await open_link(rosa, outbox, ROSA)
    # Received: in Bram's list, and it opens.
    async with browser(app) as client:
        portal = Portal(client)
        await portal.sign_in(BRAM)
        assert SECRET in (await client.get(f"/received/{received}")).text
        link = re.search(rf"/received/{received}/documents/[a-z2-7]+", (await client.get(f"/received/{received}")).text)
        assert link
        assert (await client.get(link.group())).content == PDF
    # A draft is only its maker's.
    assert (await bram.get(f"/api/v1/transfers/{kept}")).status_code == 404
    anna_id, bram_id = await account_id(services, ANNA), await account_id(services, BRAM)
    assert await events(services, "transfer:reassigned") == [{"account": anna_id, "to": bram_id}] * 2
    counts = {"sent": 1, "requests": 0, "received": 1}
    assert await events(services, "account:relieved") == [{"account": anna_id, "to": bram_id, **counts}]
    assert await events(services, "account:entrusted") == [{"account": bram_id, "from": anna_id, **counts}]


async def test_whoever_comes_back_does_not_find_it_again(
    app: Starlette, services: Services, chris_portal: Portal, anna: httpx2.AsyncClient, mallory: httpx2.AsyncClient
) -> None:
    sent, received = await send(anna), await send(mallory, recipients=TO_ANNA)
    page = await leave(services, chris_portal)
    await hand_over(chris_portal, page, BRAM)
    await chris_portal.press(f"{page}/switch-on")
    again = await signed_in(app, ANNA)
    assert (await again.get(f"/api/v1/transfers/{sent}")).status_code == 404
    assert received not in (await again.get("/api/v1/transfers?box=received")).text
    async with browser(app) as client:
        portal = Portal(client)
        await portal.sign_in(ANNA)
        assert (await client.get(f"/received/{received}")).status_code == 404
    await again.aclose()


async def test_a_department_goes_on_with_it(
    app: Starlette, services: Services, chris_portal: Portal, anna: httpx2.AsyncClient, mallory: httpx2.AsyncClient
) -> None:
    """Its members see it, whoever is no member does not; and whoever joins later does."""
    sent, received = await send(anna), await send(mallory, recipients=TO_ANNA)
    department = {"name": "Klachten", "sender_name": "Klachten", "email": "klachten@zegelpost.example", "manager": BRAM}
    opened = await chris_portal.press("/departments", **department)
    assert opened.status_code == 200, words(opened)
    page = await leave(services, chris_portal)
    await hand_over(chris_portal, page, "klachten@zegelpost.example")
    bram = await signed_in(app, BRAM)
    assert (await bram.get(f"/api/v1/transfers/{sent}")).json()["subject"] == "Brief"
    async with browser(app) as client:
        portal = Portal(client)
        await portal.sign_in(BRAM)
        assert SECRET in (await client.get(f"/received/{received}")).text
    assert (await mallory.get(f"/api/v1/transfers/{sent}")).status_code == 404
    [first, second] = await events(services, "transfer:reassigned")
    assert set(first) == set(second) == {"account", "department"}
    await bram.aclose()


async def test_what_a_guest_adds_later_goes_to_the_new_owner(
    app: Starlette, services: Services, chris_portal: Portal, anna_portal: Portal, outbox: Outbox, clock: MovableClock
) -> None:
    async with browser(app) as rosa:
        request = {"name": "Rosa", "email": "rosa@zorg.example", "mobile": "", "due_on": "", "language": "en"}
        words_of_it = {"subject": "Diploma", "note": "x", "reference": "", "items": "", "department_id": ""}
        await anna_portal.press("/requests", **request, **words_of_it)
        link = await outbox.link("rosa@zorg.example")
        page = await leave(services, chris_portal)
        assert "File requests 1" in words(await chris_portal.client.get(page))
        await hand_over(chris_portal, page, BRAM)
        from tests.web.acts import recognise

        await recognise(rosa, link)
        await rosa.post(f"{link[0]}/answer")
        await rosa.post(f"{link[0]}/answer/send", data={"note": "Bijgaand."})
    notice = (await outbox.all(kind="mail", to=BRAM))[-1]
    found = re.search(r"(/received/[a-z2-7]{26})", notice["text"])
    assert found
    async with browser(app) as client:
        portal = Portal(client)
        await portal.sign_in(BRAM)
        assert "Bijgaand." in words(await client.get(found.group(1)))
    assert await outbox.all(kind="mail", to=ANNA) == []


async def test_whoever_started_unasked_comes_to_the_new_owner_too(
    app: Starlette, services: Services, chris_portal: Portal, outbox: Outbox
) -> None:
    """Addressed to Anna: what came goes over, and so does what the guest adds afterwards."""
    async with browser(app) as guus:
        base = await intake_acts.come_in(guus, outbox, to="", colleague=ANNA)
        await intake_acts.hand_in(guus, base)
        page = await leave(services, chris_portal)
        assert "Received 1" in words(await chris_portal.client.get(page))
        await hand_over(chris_portal, page, BRAM)
        await intake_acts.hand_in(guus, base)
    bram = await signed_in(app, BRAM)
    assert len((await bram.get("/api/v1/transfers?box=received")).json()["items"]) == 2
    await bram.aclose()


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("nobody@zegelpost.example", "Nobody with an account has this address"),
        (ANNA, "Nobody with an account has this address"),
        ("rosa@zorg.example", "Nobody with an account has this address"),
        ("chris@zegelpost.example", "You would get to read it yourself"),
        ("x", "Enter a valid e-mail address"),
        ("", "Enter a valid e-mail address"),
    ],
)
async def test_to_whom_it_cannot_go(
    services: Services, chris_portal: Portal, anna: httpx2.AsyncClient, to: str, said: str
) -> None:
    sent = await send(anna)
    page = await leave(services, chris_portal)
    for step in ("hand-over", "hand-over/confirm"):
        answer = await chris_portal.press(f"{page}/{step}", email=to)
        assert answer.status_code == 422
        assert said in words(answer)
        assert f'value="{to}"' in answer.text
    async with services.database.reading() as session:
        assert await session.scalar(select(Transfer.sender_id).where(Transfer.id == sent)) == page.rsplit("/", 1)[-1]


async def test_nor_to_a_department_of_the_administrator(
    services: Services, chris_portal: Portal, anna: httpx2.AsyncClient
) -> None:
    await send(anna)
    own = {"name": "Klachten", "sender_name": "Klachten", "email": "klachten@zegelpost.example"}
    await chris_portal.press("/departments", **own, manager="chris@zegelpost.example")
    page = await leave(services, chris_portal)
    refused = await chris_portal.press(f"{page}/hand-over/confirm", email=own["email"])
    assert "You would get to read it yourself" in words(refused)
    assert await events(services, "transfer:reassigned") == []


async def test_only_of_who_is_switched_off_and_never_ones_own(
    services: Services, chris_portal: Portal, anna: httpx2.AsyncClient
) -> None:
    await send(anna)
    page = f"/admin/accounts/{await account_id(services, ANNA)}"
    own = f"/admin/accounts/{await account_id(services, 'chris@zegelpost.example')}"
    for step in ("hand-over", "hand-over/confirm"):
        refused = await chris_portal.press(f"{page}/{step}", email=BRAM)
        assert (refused.status_code, "Switch this account off first." in words(refused)) == (409, True)
        assert (await chris_portal.press(f"{own}/{step}", email=BRAM)).status_code == 409
    # Nor to someone who is switched off.
    await leave(services, chris_portal, BRAM)
    await leave(services, chris_portal)
    assert (await chris_portal.press(f"{page}/hand-over/confirm", email=BRAM)).status_code == 422
    assert await events(services, "transfer:reassigned", "account:relieved") == []


async def test_what_the_new_owner_had_already_is_not_given_twice(
    services: Services, chris_portal: Portal, mallory: httpx2.AsyncClient
) -> None:
    both = [*TO_ANNA, {"name": "Bram", "email": BRAM}]
    received = await send(mallory, recipients=both)
    page = await leave(services, chris_portal)
    await hand_over(chris_portal, page, BRAM)
    async with services.database.reading() as session:
        rows = list(await session.scalars(select(Recipient.id).where(Recipient.transfer_id == received)))
    assert len(rows) == 2


async def test_more_than_one_batch(
    services: Services, chris_portal: Portal, anna: httpx2.AsyncClient, mallory: httpx2.AsyncClient
) -> None:
    in_twos = replace(services, reassigning=Reassigning(services.database, services.keeping_keys, services.clock, batch=2))
    for _ in range(5):
        await send(anna)
        await send(mallory, recipients=TO_ANNA)
    page = await leave(services, chris_portal)
    async with browser(build_app(in_twos, has_worker=False)) as client:
        client.cookies = chris_portal.client.cookies
        await hand_over(Portal(client, chris_portal.csrf), page, BRAM)
    [told] = await events(services, "account:relieved")
    assert (told["sent"], told["received"]) == (5, 5)


@pytest.mark.parametrize("how", ["revoke", "block"])
@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
async def test_what_the_sender_ends_at_that_very_moment_is_not_handed_over(
    services: Services,
    chris_portal: Portal,
    mallory: httpx2.AsyncClient,
    bram: httpx2.AsyncClient,
    database_kind: str,
    how: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On SQLite one waits for the other."""
    received = await send(mallory, recipients=TO_ANNA)
    page = await leave(services, chris_portal)
    address = f"/api/v1/transfers/{received}"
    recipient = (await mallory.get(address)).json()["recipients"][0]["id"]
    ordinary = services.reassigning._take_over

    async def overtaken(*found: Any) -> bool:
        ended = f"{address}/revoke" if how == "revoke" else f"{address}/recipients/{recipient}/block"
        assert (await mallory.post(ended)).status_code == 200
        return await ordinary(*found)

    monkeypatch.setattr(services.reassigning, "_take_over", overtaken)
    await hand_over(chris_portal, page, BRAM)

    assert (await bram.get("/api/v1/transfers?box=received")).json()["items"] == []
    assert len((await mallory.get(address)).json()["recipients"]) == 1
