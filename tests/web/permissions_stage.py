"""A stage with something of everything on it: Anna's own, a department's, and guests'; and everyone who might want it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import httpx2
from sqlalchemy import select, update
from starlette.applications import Starlette
from tests.conftest import PASSWORD, Outbox, Portal, browser, make_administrator, make_auditor
from tests.web.acts import DOCUMENT, Row, draft, enter, recognise, send, sentences
from tests.web.small_files import with_macros
from tests.web.tus import announced

from zegelpost.main import Services
from zegelpost.model.document import Document, DocumentState
from zegelpost.model.file_request import RequestItem
from zegelpost.model.legal_hold import LegalHold
from zegelpost.model.recipient import Recipient
from zegelpost.model.staff_user import SignIn, StaffUser
from zegelpost.model.transfer import Transfer

# Stands in every subject, name and note of a world; whoever may not see that world never meets it.
CANARIES = {"mine": "KANARIE-EIGEN", "department": "KANARIE-AFDELING"}
ROSA = Row("Rosa Visser", "rosa@zorg.example", "06-12 34 56 78", "+31612345678")
# Vera audits, and by that sees no post of anyone.
STAFF = ("anna", "bram", "chris", "mallory", "vera", "left", "off")


@dataclass
class Actor:
    """Someone with a browser and a program; `nobody` has neither account nor cookie."""

    name: str
    portal: Portal
    program: httpx2.AsyncClient


@dataclass
class World:
    """Identifiers of one owner, by the name they have in routes; `sets` replaces some of them by others of the same world."""

    owner: str
    ids: dict[str, str] = field(default_factory=dict)
    drafts: dict[str, str] = field(default_factory=dict)
    request: dict[str, str] = field(default_factory=dict)
    received: dict[str, str] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)


@dataclass
class Stage:
    actors: dict[str, Actor]
    worlds: dict[str, World]
    department_id: str
    links: dict[str, str]  # where the pages of each guest begin
    guests: dict[str, httpx2.AsyncClient]


async def _account(services: Services, name: str) -> None:
    await services.registering.create_account(email=f"{name}@zegelpost.example", name=name.title(), password=PASSWORD)


async def set_stage(app: Starlette, services: Services, outbox: Outbox) -> Stage:
    """Everyone signs in first, so that whoever left or was switched off still holds what they got then."""
    for name in ("vera", "left", "off"):
        await _account(services, name)
    await make_administrator(services)
    await make_auditor(services, "vera@zegelpost.example")
    actors = {name: Actor(name, Portal(browser(app)), browser(app)) for name in (*STAFF, "nobody")}
    for name in STAFF:
        actor, email = actors[name], f"{name}@zegelpost.example"
        await actor.portal.sign_in(email)
        answer = await actor.program.post("/api/v1/sign-in", json={"email": email, "password": PASSWORD})
        actor.program.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    anna, chris = actors["anna"].portal, actors["chris"].portal
    opened = await chris.press(
        "/departments",
        name="Klachten",
        sender_name="Klachten",
        email="klachten@zegelpost.example",
        manager="anna@zegelpost.example",
    )
    department = opened.url.path.rsplit("/", 1)[-1]
    for name in ("bram", "left"):
        await anna.press(f"/departments/{department}/members", email=f"{name}@zegelpost.example", role="member")
    mine = await _world(app, services, outbox, actors["anna"], "mine", "")
    shared = await _world(app, services, outbox, actors["anna"], "department", department)
    async with services.database.work() as session:
        left = (await session.scalars(select(StaffUser.id).where(StaffUser.email == "left@zegelpost.example"))).one()
        bram = (await session.scalars(select(StaffUser.id).where(StaffUser.email == "bram@zegelpost.example"))).one()
        mine.ids["sign_in_id"] = shared.ids["sign_in_id"] = (
            await session.scalars(
                select(SignIn.id)
                .join(StaffUser, StaffUser.id == SignIn.user_id)
                .where(StaffUser.email == "anna@zegelpost.example")
            )
        ).first() or ""
        await session.execute(update(StaffUser).where(StaffUser.email == "off@zegelpost.example").values(is_switched_off=True))
    removed = await anna.press(f"/departments/{department}/members/{left}/remove")
    assert removed.status_code == 200, sentences(removed)
    for world in (mine, shared):
        world.ids |= {"department_id": department, "user_id": bram}
    await chris.press("/admin/holds", kind="person", what="not-here@zorg.example", reason="Z-9")
    async with services.database.reading() as session:
        hold = (await session.scalars(select(LegalHold.id))).one()
    for world in (mine, shared):
        world.ids["hold_id"] = hold
    guests, links = await _guests(app, outbox)
    return Stage(actors, {"mine": mine, "department": shared}, department, links, guests)


async def _world(app: Starlette, services: Services, outbox: Outbox, anna: Actor, name: str, department: str) -> World:
    canary, portal, world = CANARIES[name], anna.portal, World(name)
    words = {"subject": canary, "note": canary, "reference": "", "department_id": department}
    sent = await send(portal, ROSA, documents={f"{canary}.pdf": DOCUMENT}, **words)
    made = await draft(portal, ROSA, documents={f"{canary}-concept.pdf": DOCUMENT}, **words)
    upload = (await announced(anna.program, 10, f"{canary}.bin.pdf", made)).rsplit("/", 1)[-1]
    form = {"name": canary, "email": ROSA.email, "mobile": "", "items": canary, "due_on": "", "language": "en"}
    asked = await portal.press("/requests", **(form | words))
    request = asked.url.path.rsplit("/", 1)[-1]
    assert len(request) == 26, sentences(asked)
    received = await _answered(app, services, outbox, canary, request)
    contact = await portal.press("/contacts/new", name=canary, email=f"{name}@zorg.example", department_id=department)
    template = await portal.press("/templates/new", name=canary, text=canary, use="send", department_id=department)
    assert contact.status_code == template.status_code == 200, (sentences(contact), sentences(template))
    contacts = await anna.program.get("/api/v1/contacts", params={"q": canary})
    templates = await anna.program.get("/api/v1/templates")
    async with services.database.reading() as session:

        async def first(query: Any) -> str:
            return str((await session.scalars(query)).first())

        world.ids = {
            "transfer_id": sent,
            "document_id": await first(select(Document.id).where(Document.transfer_id == sent)),
            "recipient_id": await first(select(Recipient.id).where(Recipient.transfer_id == sent)),
            "upload_id": upload,
            "contact_id": _id_of(contacts.json(), canary),
            "template_id": _id_of(templates.json(), canary),
        }
        world.drafts = {"transfer_id": made, "document_id": await first(select(Document.id).where(Document.transfer_id == made))}
        item = await first(select(RequestItem.id).where(RequestItem.transfer_id == request))
        world.request = {"transfer_id": request, "request_id": request, "item_id": item}
        documents = select(Document.id).where(Document.transfer_id == received)
        for place, state in ((world.received, DocumentState.COMPLETE), (world.held, DocumentState.HELD)):
            place |= {"transfer_id": received, "document_id": await first(documents.where(Document.state == state))}
    return world


def _id_of(listing: Any, canary: str) -> str:
    rows = listing if isinstance(listing, list) else next(value for value in listing.values() if isinstance(value, list))
    return str(next(row["id"] for row in rows if canary in str(row)))


async def _answered(app: Starlette, services: Services, outbox: Outbox, canary: str, request: str) -> str:
    """Rosa answers the request; returns what came in."""
    async with browser(app) as rosa:
        link = await outbox.link(ROSA.email)
        await recognise(rosa, link)
        await rosa.post(f"{link[0]}/answer")
        for name, content in ((f"{canary}.pdf", DOCUMENT), (f"{canary}.docx", with_macros("docx"))):
            await rosa.post(f"{link[0]}/answer/documents", files={"documents": (name, content)})
        answer = await rosa.post(f"{link[0]}/answer/send", data={"note": canary})
        assert answer.status_code == 200
    async with services.database.reading() as session:
        return str((await session.scalars(select(Transfer.id).where(Transfer.answers_id == request))).one())


async def _guests(app: Starlette, outbox: Outbox) -> tuple[dict[str, httpx2.AsyncClient], dict[str, str]]:
    """Two recipients of Anna's and their links: one verified, one that only showed the link's secret."""
    anna = Portal(browser(app))
    await anna.sign_in("anna@zegelpost.example")
    guests: dict[str, httpx2.AsyncClient] = {}
    links: dict[str, str] = {}
    for name, number in (("verified", "+31687654321"), ("unverified", "+31687654322"), ("other", "+31687654323")):
        row = Row(name.title(), f"{name}@elders.example", number, number)
        await send(anna, row, documents={f"{name}.pdf": DOCUMENT}, subject=f"KANARIE-{name}", note=f"KANARIE-{name}")
        link = await outbox.link(row.email)
        guests[name], links[name] = browser(app), link[0]
        await recognise(guests[name], link)
        if name != "unverified":
            await guests[name].post(f"{link[0]}/code")
            await enter(guests[name], link[0], await outbox.code(number))
    return guests, links


def masked(answer: httpx2.Response) -> tuple[int, str, str]:
    """An answer without what differs by the address that was asked for: identifiers, and tokens of forms."""
    text = re.sub(r"[a-z2-7]{26}", "…", answer.text)
    text = re.sub(r'name="csrf" value="[^"]*"', "", text)
    return answer.status_code, re.sub(r"[a-z2-7]{26}", "…", answer.headers.get("location", "")), text
