"""Reports of what is not one person's transfer: of a department, and of a file request. They say who really acted."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import delete, select
from starlette.applications import Starlette
from tests.conftest import MovableClock, Outbox, Portal, browser
from tests.contracts.test_pdf import attachments_of, cells_of
from tests.web.acts import DOCUMENT, ROSA, SAM, Row, draft, open_link, send, words
from tests.web.test_requests import ask, come_in, hand_in

from zegelpost.main import Services
from zegelpost.model.department import Department, Membership
from zegelpost.model.event import EventTag
from zegelpost.model.identifiers import DepartmentId, StaffUserId, new_identifier
from zegelpost.model.outgoing import Purpose
from zegelpost.model.staff_user import StaffUser
from zegelpost.web.rendering import WEB

pytestmark = pytest.mark.anyio
VARIANTS = ("plain", "archive")


async def facts_of(portal: Portal, transfer_id: str) -> dict[str, Any]:
    answer = await portal.client.get(f"/transfers/{transfer_id}/report.json")
    assert answer.status_code == 200, answer.text
    facts: dict[str, Any] = answer.json()
    return facts


async def pdf_of(portal: Portal, transfer_id: str, variant: str = "plain") -> bytes:
    answer = await portal.client.get(f"/transfers/{transfer_id}/report.pdf", params={"variant": variant})
    assert answer.status_code == 200, words(answer)
    return answer.content


@pytest.fixture
async def bram_portal(app: Starlette) -> AsyncIterator[Portal]:
    async with browser(app) as client:
        portal = Portal(client)
        await portal.sign_in("bram@zegelpost.example")
        yield portal


@pytest.fixture
async def department(services: Services, app: Starlette, clock: MovableClock) -> DepartmentId:
    """Anna and Bram work for it."""
    department = DepartmentId(new_identifier())
    async with services.database.work() as session:
        session.add(
            Department(
                id=department,
                name="Toezicht",
                sender_name="Team Toezicht <b>",
                email="toezicht@zegelpost.example",
                created_at=clock.now,
            )
        )
        await session.flush()
        for email in ("anna@zegelpost.example", "bram@zegelpost.example"):
            session.add(Membership(department_id=department, user_id=await _user_id(session, email), created_at=clock.now))
    return department


async def _user_id(session: Any, email: str) -> StaffUserId:
    found: StaffUserId = await session.scalar(select(StaffUser.id).where(StaffUser.email == email))
    return found


# Departments


async def test_a_departments_report_names_it_as_sender_and_who_really_acted(
    anna_portal: Portal, bram_portal: Portal, department: DepartmentId, outbox: Outbox, clock: MovableClock
) -> None:
    transfer_id = await send(anna_portal, ROSA, documents={"a.pdf": DOCUMENT}, department_id=department)
    await outbox.deliver()
    clock.forward(minutes=1)
    await bram_portal.press(f"/transfers/{transfer_id}/extend", days="60")

    for portal in (anna_portal, bram_portal):
        facts = await facts_of(portal, transfer_id)
        assert facts["transfer"]["sender"] == {"name": "Team Toezicht <b>", "email": "toezicht@zegelpost.example"}
        acted = {event["event"]: event["staff_name"] for event in facts["events"]}
        assert (acted["transfer:sent"], acted["transfer:extended"]) == ("Anna de Vries", "Bram Jansen")
        assert acted["mail:accepted"] is None
        page = words(await portal.client.get(f"/transfers/{transfer_id}/report"))
        texts = [page, *[cells_of(await pdf_of(portal, transfer_id, variant)) for variant in VARIANTS]]
        for text in texts:
            told = ("Team Toezicht <b>", "toezicht@zegelpost.example", "Anna de Vries", "Bram Jansen")
            assert [each for each in told if each not in text] == []


async def test_a_departments_report_is_only_for_who_works_for_it_now(
    app: Starlette, anna_portal: Portal, bram_portal: Portal, department: DepartmentId, services: Services
) -> None:
    transfer_id = await send(anna_portal, ROSA, department_id=department)
    async with browser(app) as client:
        mallory = Portal(client)
        await mallory.sign_in("mallory@zegelpost.example")
        async with services.database.work() as session:
            await session.execute(
                delete(Membership).where(Membership.user_id == await _user_id(session, "anna@zegelpost.example"))
            )
        for path in ("report", "report.json", "report.pdf", "report.pdf?variant=archive"):
            # Anna sent it, and left.
            for portal, status in ((bram_portal, 200), (anna_portal, 404), (mallory, 404)):
                assert (await portal.client.get(f"/transfers/{transfer_id}/{path}")).status_code == status


async def test_a_departments_draft_has_no_report(bram_portal: Portal, anna_portal: Portal, department: DepartmentId) -> None:
    transfer_id = await draft(anna_portal, ROSA, department_id=department)
    assert (await bram_portal.client.get(f"/transfers/{transfer_id}/report.pdf")).status_code == 404
    assert (await anna_portal.client.get(f"/transfers/{transfer_id}/report.pdf")).status_code == 409


# File requests


async def test_the_report_of_a_file_request_tells_what_the_guest_did(
    app: Starlette, anna_portal: Portal, outbox: Outbox, clock: MovableClock
) -> None:
    request_id = await ask(anna_portal)
    async with browser(app) as guest:
        base = await come_in(guest, outbox)
        clock.forward(minutes=1)
        await hand_in(guest, base, "Kopie diploma", note="canary-of-the-note")
    shown = await anna_portal.client.get(f"/requests/{request_id}")
    assert f'href="/transfers/{request_id}/report"' in shown.text
    item = re.findall(rf"/requests/{request_id}/items/([a-z2-7]{{26}})/accept", shown.text)[0]
    clock.forward(minutes=1)
    await anna_portal.press(f"/requests/{request_id}/items/{item}/accept")
    await anna_portal.press(f"/requests/{request_id}/close")
    await outbox.deliver()

    facts = await facts_of(anna_portal, request_id)

    assert facts["transfer"]["kind"] == "request"
    [rosa] = facts["recipients"]
    assert (rosa["name"], rosa["method"], rosa["mobile"]) == (ROSA.name, "link", None)
    assert rosa["proved"]["utc"] == "2026-11-23T12:00:00Z"
    events = {event["event"]: event for event in facts["events"]}
    assert (events["answer:received"]["actor"], events["answer:received"]["recipient_number"]) == ("guest", 1)
    number = events["answer:received"]["facts"]["answer"]
    assert (events["item:accepted"]["item_name"], events["item:accepted"]["staff_name"]) == ("Kopie diploma", "Anna de Vries")
    assert (events["request:closed"]["nta_7516"], events["request:closed"]["staff_name"]) == ("changed", "Anna de Vries")
    page = words(await anna_portal.client.get(f"/transfers/{request_id}/report"))
    assert f"/requests/{request_id}" in (await anna_portal.client.get(f"/transfers/{request_id}/report")).text
    for variant in VARIANTS:
        pdf = await pdf_of(anna_portal, request_id, variant)
        [attached] = attachments_of(pdf).values()
        assert json.loads(attached)["events"] == facts["events"]
        text = cells_of(pdf)
        assert "Report of a file request" in text
        for form in (page, text):
            told = (
                "Link by e-mail only",
                "Someone with the link",
                f"{number[:4]}-{number[4:8]}".upper(),
                "Kopie diploma",
                "A file request holds no documents.",
            )
            assert [each for each in told if each not in form] == []
            assert "canary-of-the-note" not in form


# What is said of anyone's


async def test_who_was_shut_out_is_told_at_their_name(anna_portal: Portal, outbox: Outbox, clock: MovableClock) -> None:
    transfer_id = await send(anna_portal, ROSA, SAM)
    await outbox.deliver()
    overview = (await anna_portal.client.get(f"/transfers/{transfer_id}")).text
    rosa = re.findall(rf"/transfers/{transfer_id}/recipients/([a-z2-7]{{26}})/block", overview)[0]
    clock.forward(minutes=5)
    await anna_portal.press(f"/transfers/{transfer_id}/recipients/{rosa}/block")
    said = "Access ended by the sender: 23 Nov 2026 13:05:00 (CET)"
    page = words(await anna_portal.client.get(f"/transfers/{transfer_id}/report"))
    for text in (page, *[cells_of(await pdf_of(anna_portal, transfer_id, variant)) for variant in VARIANTS]):
        assert said in text


async def test_unseen_characters_in_names_are_seen_on_paper(app: Starlette, anna_portal: Portal, outbox: Outbox) -> None:
    row = Row("Rosa \u202egpj.Visser", ROSA.email, ROSA.mobile, ROSA.number)
    transfer_id = await send(anna_portal, row)
    async with browser(app) as rosa:
        await open_link(rosa, outbox, row)
    facts = await facts_of(anna_portal, transfer_id)
    for variant in VARIANTS:
        text = cells_of(await pdf_of(anna_portal, transfer_id, variant))
        assert ("[U+202E]" in text) is ("\u202e" in facts["recipients"][0]["name"])
        assert "\u202e" not in text


_AROUND = {
    "audit",
    "address_book",
    "account",
    "password",
    "second_factor",
    "sign_in",
    "recovery_codes",
    "department",
    "member",
    "contact",
    "contacts",
    "policy",
    "person",
    "hold",
    "keys",
    "database",
    "key_ring",
}


def test_everything_that_can_happen_to_a_transfer_is_said_in_words() -> None:
    macros = (WEB / "templates/macros/transfers.html").read_text(encoding="utf-8")
    tags = [tag.value for tag in EventTag if tag.value.partition(":")[0] not in _AROUND]
    assert [tag for tag in tags if f'"{tag}": _(' not in macros] == []
    macros = (WEB / "templates/macros/report.html").read_text(encoding="utf-8")
    purposes = [purpose.value for purpose in Purpose if not purpose.value.startswith(("account_", "password_"))]
    assert [purpose for purpose in purposes if f'"{purpose}": _(' not in macros] == []
