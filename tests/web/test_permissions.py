"""Who may do what: every route of the application, with every kind of actor, and identifiers of others in paths and bodies.

The routes come from the application. A new one is in no list here, and fails the first test until somebody says whose it is.
"""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from sqlalchemy import select
from starlette.applications import Starlette
from starlette.routing import Mount, Route
from tests.conftest import Outbox
from tests.web.acts import ROSA, form_of
from tests.web.permissions_stage import CANARIES, Actor, Stage, World, masked, set_stage

from zegelpost.main import Services
from zegelpost.model.base import Base
from zegelpost.model.identifiers import new_identifier
from zegelpost.model.policy_fields import PolicyGroup
from zegelpost.model.refusals import NotFound
from zegelpost.model.secret import SecretToken
from zegelpost.model.staff_user import SignInKind
from zegelpost.services.access import auditor_actor
from zegelpost.web.guest_pages import PREFIXES

pytestmark = pytest.mark.anyio

# Open to everyone, and nothing of anyone in them.
OPEN = {
    *("/sign-in", "/sign-in/second-factor", "/sign-in/passkey", "/sign-in/passkey/question"),
    *("/sign-in/organisation", "/sign-in/callback", "/sign-in/join"),
    *("/account/new", "/account/forgot", "/account/confirm/{secret}", "/account/reset/{secret}"),
    *("/i", "/i/new", "/i/confirm", "/i/confirm/again", "/o/device/{device_id}"),
    *("/manual", "/manual/{chapter}", "/manual/pictures/{language}/{name}", "/help", "/privacy", "/accessibility", "/security"),
    *("/addin/pane", "/addin/launchevent.html", "/addin/launchevent.js", "/addin/manifest.xml", "/addin/manifest-onprem.xml"),
    *("/addin/icons/icon-{size:int}.png", "/addin/support", "/.well-known/microsoft-officeaddins-allowed.json"),
    *("/demo/outlook", "/api/v1/sign-in/code", "/api/v1/sign-in/provider"),
    # Numbers without anybody in them, for this machine and whoever has the token; test_metrics.py.
    "/metrics",
    # Whoever reports there has to sign.
    *("/webhooks/sms/{outgoing_id}", "/webhooks/calls/{outgoing_id}", "/webhooks/calls/{outgoing_id}/key"),
    # What pages of everyone look like.
    *("/house-style/{colour}.css", "/logo/{digest}"),
    *("/.well-known/security.txt", "/security.txt", "/healthz", "/favicon.ico", "/demo/outbox", "/demo/outbox.json"),
    *("/api/v1/openapi.json", "/api/v1/sign-in"),
}
# For whoever is signed in; each sees only their own there.
STAFF_ONLY = {
    *("/", "/sent", "/received", "/requests", "/requests/new", "/transfers", "/transfers/new", "/sign-out", "/stay"),
    *("/departments", "/departments/new", "/contacts", "/contacts/new", "/contacts/suggestions", "/contacts/import"),
    *("/contacts/import/confirm", "/contacts/export.csv", "/contacts/export.vcf", "/templates", "/templates/new"),
    *("/templates/signature", "/account", "/account/notices", "/account/password", "/account/sign-out-everywhere"),
    *("/account/second-factor", "/account/second-factor/app", "/account/second-factor/passkey"),
    *("/account/second-factor/passkey/question", "/account/second-factor/codes", "/uploads"),
    *("/api/v1/me", "/api/v1/policy", "/api/v1/transfers", "/api/v1/file-requests", "/api/v1/contacts", "/api/v1/templates"),
    *("/api/v1/uploads", "/api/v1/contacts/lookup", "/addin/sign-in", "/admin", "/admin/add-in", "/admin/quarantine"),
    *("/contacts/exchange", "/contacts/exchange/switch", "/contacts/exchange/read"),
    *("/admin/address-books", "/admin/address-books/agree", "/admin/address-books/read"),
    *("/admin/address-books/list", "/admin/address-books/list/confirm", "/admin/address-books/list/remove"),
    *("/admin/numbers.csv", "/admin/accounts", "/admin/policy", "/admin/policy/default", "/admin/policy/logo"),
    *(f"/admin/policy/{group}" for group in PolicyGroup),
    *("/admin/holds", "/admin/persons", "/admin/persons/export", "/admin/persons/erase"),
    *("/audit", "/audit/export", "/audit/zegelpost_verify.py"),
}
# Of the actors, who may see and do everything in each world. Chris administers and sees no post of anyone.
MAY = {"mine": {"anna"}, "department": {"anna", "bram"}}
# Departments are also the administrator's; members may look, and change nothing.
DEPARTMENT_VIEWERS, DEPARTMENT_MANAGERS = {"anna", "bram", "chris"}, {"anna", "chris"}
# Where the actor's own words stand between them and the object, so that nothing is refused for a form's sake.
FORM = {
    **form_of(ROSA),
    "days": "30",
    "is_handled": "1",
    "email": "mallory@zegelpost.example",
    "name": "X",
    "sender_name": "X",
    "text": "X",
    "reason": "X",
    "role": "manager",
    "use": "send",
    "note": "X",
}
BODIES: dict[str, dict[str, Any]] = {
    "/extend": {"days": 30},
    "/complete": {"mobile": "06-12 34 56 78"},
    "/send-back": {"reason": "X"},
    "/transfers/{transfer_id}": {"subject": "X"},
    "/contacts/{contact_id}": {"name": "X", "email": "x@zorg.example"},
    "/templates/{template_id}": {"name": "X", "text": "X"},
}


@dataclass(frozen=True)
class Way:
    """One method on one route."""

    method: str
    path: str

    @property
    def parameters(self) -> set[str]:
        return set(re.findall(r"{(\w+)}", self.path))

    @property
    def is_guests(self) -> bool:
        return "link_id" in self.parameters

    @property
    def is_api(self) -> bool:
        return self.path.startswith("/api/")


def ways(app: Starlette) -> Iterator[Way]:
    for route in app.routes:
        if isinstance(route, Mount):
            assert route.path == "/static"
            continue
        assert isinstance(route, Route)
        for method in sorted((route.methods or set()) - {"OPTIONS"}):
            if method != "HEAD" or "/uploads" in route.path:
                yield Way(method, route.path)


@pytest.fixture
async def stage(app: Starlette, services: Services, outbox: Outbox) -> AsyncIterator[Stage]:
    found = await set_stage(app, services, outbox)
    yield found
    for actor in found.actors.values():
        await actor.portal.client.aclose()
        await actor.program.aclose()


async def test_every_route_is_somebodys(app: Starlette) -> None:
    known = {"transfer_id", "document_id", "recipient_id", "upload_id", "item_id", "request_id"}
    known |= {"contact_id", "template_id", "department_id", "user_id", "sign_in_id", "factor_id", "hold_id"}
    unclear = [
        way
        for way in ways(app)
        if way.path not in OPEN | STAFF_ONLY and not way.is_guests and not (way.parameters and way.parameters <= known)
    ]
    assert unclear == []
    paths = {way.path for way in ways(app)}
    assert paths >= OPEN | STAFF_ONLY, "a route is gone; take it out of the lists"


def ids_for(way: Way, world: World) -> list[dict[str, str]]:
    """What to put into the path: of this world, of the kind that the route is about."""
    ids = dict(world.ids) | {"factor_id": new_identifier()}
    if "/held/" in way.path or way.path.startswith("/admin/quarantine"):
        return [ids | world.held]
    if way.path.startswith("/received"):
        return [ids | world.received]
    if way.path.startswith(("/requests", "/api/v1/file-requests")):
        return [ids | world.request]
    if "{transfer_id}" in way.path:
        return [ids, ids | world.drafts]
    return [ids]


def may(way: Way, world: World, actor: Actor) -> bool:
    if way.path.startswith("/admin"):
        return actor.name == "chris"
    if "department_id" in way.parameters:
        return actor.name in (DEPARTMENT_VIEWERS if way.method == "GET" else DEPARTMENT_MANAGERS)
    if "sign_in_id" in way.parameters or "factor_id" in way.parameters:
        return actor.name == "anna"
    if "upload_id" in way.parameters or ("/documents" in way.path and "/received" not in way.path and way.method == "DELETE"):
        return actor.name == "anna"  # a draft is only its maker's, also for a department
    return actor.name in MAY[world.owner]


async def go(way: Way, actor: Actor, path: str) -> httpx2.Response:
    """Ask, in the way that a page or a program of ours would."""
    if way.is_api and "/uploads" not in path:
        tail = next((tail for tail in BODIES if way.path.endswith(tail)), None)
        body = None if way.method not in {"POST", "PATCH"} else BODIES[tail] if tail else {}
        return await actor.program.request(way.method, path, json=body, follow_redirects=False)
    if "/uploads" in path:
        headers = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
        client = actor.program if way.is_api else actor.portal.client
        return await client.request(way.method, path, headers=headers, follow_redirects=False)
    if way.method == "POST":
        data = FORM | {"csrf": actor.portal.csrf}
        return await actor.portal.client.post(path, data=data, follow_redirects=False)
    return await actor.portal.client.request(way.method, path, follow_redirects=False)


async def everything(services: Services) -> dict[str, list[Any]]:
    """All rows but those that say that someone was here."""
    notes = {"event", "sign_in", "sign_in_attempt", "outgoing", "grant"}
    async with services.database.reading() as session:
        return {
            table.name: sorted(map(repr, (await session.execute(select(table))).all()))
            for table in Base.metadata.sorted_tables
            if table.name not in notes
        }


async def test_of_others_nobody_finds_or_changes_anything(app: Starlette, services: Services, stage: Stage) -> None:
    """Absent and forbidden are one answer, and whatever was tried, the database is as it was."""
    before = await everything(services)
    count = 0
    for way in ways(app):
        if way.is_guests or not way.parameters or way.path in OPEN:
            continue
        for world in stage.worlds.values():
            for ids in ids_for(way, world):
                for actor in stage.actors.values():
                    if may(way, world, actor):
                        continue
                    where = (way, world.owner, actor.name)
                    absent = {name: new_identifier() for name in ids}
                    real = await go(way, actor, way.path.format(**ids))
                    other = await go(way, actor, way.path.format(**absent))
                    assert masked(real) == masked(other), where
                    assert real.status_code in ({303, 401} if actor.name in {"nobody", "off"} else {404}), where
                    if real.status_code == 303:
                        assert real.headers["location"].startswith("/sign-in"), where
                    assert not any(canary in real.text for canary in CANARIES.values()), where
                    count += 1
    assert count > 1000
    assert await everything(services) == before


async def test_who_may_look_sees(app: Starlette, stage: Stage) -> None:
    """The other half: the test above would pass on an application that refuses everyone."""
    count = 0
    for way in ways(app):
        if way.method != "GET" or way.is_guests or not way.parameters or way.path in OPEN:
            continue
        for world in stage.worlds.values():
            for actor in stage.actors.values():
                if not may(way, world, actor) or "factor_id" in way.parameters:
                    continue
                # Some pages are of drafts only, some of what was sent.
                answers = [await go(way, actor, way.path.format(**ids)) for ids in ids_for(way, world)]
                assert any(answer.status_code in {200, 303} for answer in answers), (way, world.owner, actor.name)
                assert not any(answer.headers.get("location", "").startswith("/sign-in") for answer in answers)
                count += 1
    assert count > 50


async def test_lists_hold_only_ones_own(app: Starlette, stage: Stage) -> None:
    for way in ways(app):
        if way.path not in STAFF_ONLY or way.method != "GET":
            continue
        for actor in stage.actors.values():
            answer = await go(way, actor, way.path)
            if actor.name in {"nobody", "off"}:
                assert answer.status_code in {303, 401}, (way, actor.name)
            if (way.path, actor.name) == ("/audit", "vera"):
                # The record names who recipients and guests are, and nothing that was sent; test_audit_pages.py.
                continue
            for world, canary in CANARIES.items():
                if actor.name not in MAY[world]:
                    assert canary not in answer.text, (way, actor.name)
    for way in (Way("POST", "/contacts/suggestions"), Way("POST", "/received")):
        for actor in (stage.actors["mallory"], stage.actors["chris"], stage.actors["left"], stage.actors["nobody"]):
            data = {"csrf": actor.portal.csrf, "q": "KANARIE", "query": "KANARIE", "sender": "Rosa", "text": "KANARIE"}
            answer = await actor.portal.client.post(way.path, data=data)
            assert "KANARIE-" not in answer.text.replace("KANARIE-", "", answer.text.count('value="KANARIE-')), (way, actor.name)


async def test_administering_and_auditing_are_apart(app: Starlette, services: Services, stage: Stage) -> None:
    """Only Chris gets what administrators have, and only Vera is an auditor."""
    for way in ways(app):
        if way.method == "GET" and way.path.startswith("/admin") and not way.parameters:
            statuses = {name: (await go(way, stage.actors[name], way.path)).status_code for name in ("chris", "vera", "anna")}
            assert statuses == {"chris": 200, "vera": 404, "anna": 404}, way
        if way.method == "GET" and way.path.startswith("/audit"):
            statuses = {name: (await go(way, stage.actors[name], way.path)).status_code for name in ("chris", "vera", "anna")}
            assert statuses == {"chris": 404, "vera": 200, "anna": 404}, way
    for name in ("anna", "bram", "chris", "vera"):
        me = (await stage.actors[name].program.get("/api/v1/me")).json()
        assert (me["is_administrator"], me["is_auditor"]) == (name == "chris", name == "vera")
        token = SecretToken(stage.actors[name].program.headers["Authorization"].removeprefix("Bearer "))
        actor = await services.signing_in.actor(token, SignInKind.API)
        if name == "vera":
            assert auditor_actor(actor).subject().staff_user_id == actor.user.id
        else:
            with pytest.raises(NotFound):
                auditor_actor(actor)


async def test_nothing_is_done_for_who_is_not_signed_in_or_no_administrator(
    app: Starlette, services: Services, stage: Stage
) -> None:
    """What changes something without naming anything in its path: all of it asks who is there first."""
    before = await everything(services)
    count = 0
    for way in ways(app):
        if way.path in STAFF_ONLY and way.method != "GET":
            for name in ("nobody", "off"):
                answer = await go(way, stage.actors[name], way.path)
                assert answer.status_code in {303, 401}, (way, name)
                assert answer.status_code == 401 or answer.headers["location"].startswith("/sign-in"), (way, name)
                count += 1
        if way.path in STAFF_ONLY and way.path.startswith("/admin"):
            for name in ("anna", "bram", "mallory", "left"):
                assert (await go(way, stage.actors[name], way.path)).status_code == 404, (way, name)
                count += 1
    assert count > 60
    assert await everything(services) == before


async def test_a_guest_gets_behind_no_link_but_their_own(app: Starlette, services: Services, stage: Stage) -> None:
    """With a cookie of another link, with the right link before the code, and without any."""
    before = await everything(services)
    base = stage.links["verified"]
    strangers = {
        "other": stage.guests["other"],
        "unverified": stage.guests["unverified"],
        "nobody": stage.actors["nobody"].portal.client,
        "mallory": stage.actors["mallory"].portal.client,
    }
    count = 0
    for way in ways(app):
        # The first page and its button tell nothing; asking for help tells the sender, at most once an hour.
        if not way.is_guests or way.path.split("}")[-1] in {"", "/help", "/leave"}:
            continue
        prefix = next(prefix for prefix in PREFIXES if way.path.startswith(prefix + "/"))
        link_id = base.rsplit("/", 1)[-1]
        world = stage.worlds["mine"]
        for name, client in strangers.items():
            for target in (link_id, stage.links["unverified"].rsplit("/", 1)[-1]) if name == "unverified" else (link_id,):
                path = way.path.format(
                    link_id=target,
                    document_id=world.ids["document_id"],
                    upload_id=world.ids["upload_id"],
                    answer_id=world.received["transfer_id"],
                )
                headers = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
                is_upload = "/uploads" in path
                answer = await client.request(
                    way.method,
                    path,
                    headers=headers if is_upload else None,
                    data=None if is_upload or way.method == "GET" else {"note": "X", "code": "000000"},
                    follow_redirects=False,
                )
                where = (way, name, prefix, answer.status_code)
                is_door = target != link_id and path.endswith(("/verify", "/code"))
                if not is_door:
                    assert answer.status_code in {303, 401, 404, 409, 400, 411, 422}, where
                    if answer.status_code == 303:
                        assert answer.headers["location"].endswith("?again=1"), where
                assert "KANARIE" not in answer.text, where
                count += 1
    assert count > 100
    after = await everything(services)
    # A code that was asked for before the door is a challenge; nothing else moved.
    assert {name: rows for name, rows in after.items() if name not in {"challenge", "recipient"}} == {
        name: rows for name, rows in before.items() if name not in {"challenge", "recipient"}
    }


async def test_identifiers_of_others_in_bodies_are_worth_nothing(app: Starlette, services: Services, stage: Stage) -> None:
    """Departments, templates, answered transfers, items and books, named in forms and programs by who may not."""
    shared, mine = stage.worlds["department"], stage.worlds["mine"]
    for name in ("mallory", "left", "chris"):
        actor = stage.actors[name]
        before = await everything(services)
        department = {"department_id": stage.department_id}
        request = {
            "name": "X",
            "email": "x@zorg.example",
            "subject": "X",
            "language": "en",
            "items": "",
            "due_on": "",
            "mobile": "",
        }
        forms: list[tuple[str, dict[str, str]]] = [
            ("/transfers", form_of(ROSA) | department),
            ("/requests", request | {"note": "X", "reference": ""} | department),
            ("/contacts/new", {"name": "X", "email": "x@zorg.example"} | department),
            ("/templates/new", {"name": "X", "text": "X", "use": "send"} | department),
            ("/contacts/import", department),
        ]
        for path, form in forms:
            answer = await actor.portal.press(path, **form)
            assert answer.status_code in {404, 422}, (name, path)
        inserted = await actor.portal.press(
            "/transfers", **form_of(ROSA, note=""), template=shared.ids["template_id"], insert_template="1"
        )
        assert "KANARIE" not in inserted.text
        program = actor.program
        recipients = [{"name": "X", "email": "x@zorg.example", "mobile": "0612345678"}]
        for path, body in (
            ("/api/v1/transfers", {"subject": "X", "recipients": recipients, **department}),
            ("/api/v1/file-requests", {"subject": "X", "name": "X", "email": "x@zorg.example", **department}),
            ("/api/v1/contacts", {"name": "X", "email": "x@zorg.example", **department}),
            ("/api/v1/templates", {"name": "X", "text": "X", "use": "send", **department}),
        ):
            refused = await program.post(path, json=body)
            # Because of the department, not of the rest.
            assert refused.status_code in {404, 422}, (name, path)
            assert refused.json()["code"] == "not_found" or "department_not_found" in refused.text, refused.text
        assert await everything(services) == before, name
        # Saving in a book of others while sending, and answering what one did not get.
        await actor.portal.press(
            "/transfers", **(form_of(ROSA) | {"recipient-0-save": "1", "recipient-0-book": stage.department_id})
        )
        for answered in (shared.received["transfer_id"], mine.received["transfer_id"]):
            shown = await actor.portal.client.get(f"/transfers/new?answers={answered}")
            assert "KANARIE" not in shown.text
            await actor.portal.press("/transfers", **(form_of(ROSA) | {"answers": answered}))
        after = await everything(services)
        assert after["contact"] == before["contact"], name
        new = set(after["transfer"]) - set(before["transfer"])
        assert not any(id_ in row for row in new for id_ in (shared.received["transfer_id"], mine.received["transfer_id"])), name


async def test_ones_own_goes_into_no_book_or_transfer_of_others(services: Services, stage: Stage) -> None:
    """Moving what is one's own, picking, listing, uploading: wherever a form, a program or an address names an identifier."""
    shared, mine = stage.worlds["department"], stage.worlds["mine"]
    for name in ("mallory", "left", "chris"):
        actor = stage.actors[name]
        portal, program = actor.portal, actor.program
        recipients = [{"name": "X", "email": "x@zorg.example", "mobile": "0612345678"}]
        own = {
            "transfers": (await program.post("/api/v1/transfers", json={"subject": "X", "recipients": recipients})).json()["id"],
            "contacts": (await program.post("/api/v1/contacts", json={"name": "X", "email": f"{name}@x.example"})).json()["id"],
            "templates": (await program.post("/api/v1/templates", json={"name": "X", "text": "X", "use": "send"})).json()["id"],
        }
        before = await everything(services)
        department = {"department_id": stage.department_id}
        for kind, id_ in own.items():
            answer = await program.patch(f"/api/v1/{kind}/{id_}", json=department)
            assert answer.status_code in {404, 422}, (name, kind)
            assert answer.json()["code"] == "not_found" or "department_not_found" in answer.text, (name, kind)
        for path, form in (
            (f"/transfers/{own['transfers']}/edit", form_of(ROSA) | department),
            (f"/contacts/{own['contacts']}/edit", {"name": "X", "email": f"{name}@x.example"} | department),
            (f"/templates/{own['templates']}", {"name": "X", "text": "X", "use": "send"} | department),
        ):
            answer = await portal.press(path, **form)
            assert answer.status_code in {404, 422}, (name, path)
        row = '[[1,"X","","x@zorg.example",""]]'
        files = {"file": ("x.csv", b"")}
        fields = {"csrf": portal.csrf, "rows": row} | department
        answer = await portal.client.post("/contacts/import/confirm", data=fields, files=files)
        assert answer.status_code in {400, 404, 422}, name
        # Documents for transfers of others, over both doors.
        for world in (shared, mine):
            for transfer_id in (world.drafts["transfer_id"], world.ids["transfer_id"], world.request["transfer_id"]):
                for client, path in ((program, "/api/v1/uploads"), (portal.client, "/uploads")):
                    metadata = f"transfer_id {_b64(transfer_id)},filename {_b64('x.pdf')}"
                    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "1", "Upload-Metadata": metadata}
                    headers["X-CSRF-Token"] = portal.csrf
                    assert (await client.post(path, headers=headers)).status_code == 404, (name, path)
        assert await everything(services) == before, name
        # What an address picks or filters by.
        for path in (
            f"/transfers/new?contact={shared.ids['contact_id']}",
            f"/transfers/new?contact={mine.ids['contact_id']}",
            f"/contacts?book={stage.department_id}",
            f"/contacts/new?book={stage.department_id}",
            f"/received?mailbox={stage.department_id}",
            f"/sent?mailbox={stage.department_id}",
        ):
            assert "KANARIE" not in (await portal.client.get(path)).text, (name, path)
        for box in ("sent", "received"):
            listed = await program.get("/api/v1/transfers", params={"box": box, "department_id": stage.department_id})
            assert "KANARIE" not in listed.text, (name, box)


async def test_a_guest_names_items_and_uploads_of_others_in_vain(services: Services, stage: Stage) -> None:
    guest, base = stage.guests["verified"], stage.links["verified"]
    item, upload = stage.worlds["mine"].request["item_id"], stage.worlds["mine"].ids["upload_id"]
    before = await everything(services)
    await guest.post(f"{base}/answer")
    removed = await guest.post(f"{base}/answer/documents/{upload}/remove")
    assert removed.status_code == 404
    for transfer_id in (stage.worlds["mine"].drafts["transfer_id"], stage.worlds["mine"].ids["transfer_id"]):
        refused = await guest.post(
            f"{base}/uploads",
            headers={
                "Tus-Resumable": "1.0.0",
                "Upload-Length": "1",
                "Upload-Metadata": f"transfer_id {_b64(transfer_id)},filename {_b64('x.pdf')}",
            },
        )
        assert refused.status_code == 404
    await guest.post(f"{base}/answer/send", data={"note": "X", "item": item})
    after = await everything(services)
    assert after["request_item"] == before["request_item"]
    assert after["upload"] == before["upload"]


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
