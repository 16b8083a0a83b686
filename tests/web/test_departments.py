"""Departments: who works for one sees and does everything of it, who left nothing, and the record says who did what."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from sqlalchemy import update
from starlette.applications import Starlette
from tests.conftest import Outbox, Portal, browser, make_administrator
from tests.web.acts import DOCUMENT, ROSA, Row, draft, form_of, open_link, send, sentences, words
from tests.web.tus import VERSION, metadata

from zegelpost.main import Services
from zegelpost.model.staff_user import StaffUser

pytestmark = pytest.mark.anyio

FORM = {"name": "Klachtenafdeling", "sender_name": "Klachten van de gemeente", "email": "klachten@zegelpost.example"}


@dataclass
class Cast:
    """Anna manages the department, Bram works for it, Chris administers and Mallory has nothing to do with it."""

    anna: Portal
    bram: Portal
    chris: Portal
    mallory: Portal
    department: str

    @property
    def page(self) -> str:
        return f"/departments/{self.department}"


@pytest.fixture
async def cast(app: Starlette, services: Services) -> AsyncIterator[Cast]:
    await make_administrator(services)
    async with browser(app) as anna, browser(app) as bram, browser(app) as chris, browser(app) as mallory:
        portals = [Portal(client) for client in (anna, bram, chris, mallory)]
        for portal, name in zip(portals, ("anna", "bram", "chris", "mallory"), strict=True):
            await portal.sign_in(f"{name}@zegelpost.example")
        opened = await portals[2].press("/departments", **FORM, manager="anna@zegelpost.example")
        found = re.fullmatch(r"/departments/([a-z2-7]{26})", opened.url.path)
        assert found, sentences(opened)
        people = Cast(portals[0], portals[1], portals[2], portals[3], found.group(1))
        added = await people.anna.press(f"{people.page}/members", email="bram@zegelpost.example", role="member")
        assert "Bram Jansen" in words(added)
        yield people


async def member_id(portal: Portal, page: str, name: str) -> str:
    shown = (await portal.client.get(page)).text
    found = re.search(rf"{name}.*?/members/([a-z2-7]{{26}})/remove", shown, re.DOTALL)
    assert found
    return found.group(1)


async def test_a_member_follows_up_what_another_sent_and_the_record_says_who(
    cast: Cast, app: Starlette, outbox: Outbox, database_kind: str
) -> None:
    sent = await send(cast.anna, documents={"besluit.pdf": DOCUMENT}, department_id=cast.department)
    mail = (await outbox.all(kind="mail", to=ROSA.email))[-1]
    assert "Klachten van de gemeente" in mail["text"]
    assert "Anna" not in mail["text"]
    assert "Dossier Visser" in words(await cast.bram.client.get("/sent"))
    for query, is_there in ((f"?mailbox={cast.department}", True), ("?mailbox=mine", False)):
        assert ("Dossier Visser" in words(await cast.bram.client.get(f"/sent{query}"))) == is_there
    extended = await cast.bram.press(f"/transfers/{sent}/extend", days="60")
    assert "Extended (Bram Jansen)" in words(extended)
    assert "Sent (Anna de Vries)" in words(extended)
    assert "besluit.pdf" in words(extended)
    report = words(await cast.bram.client.get(f"/transfers/{sent}/report"))
    assert "Bram Jansen" in report
    assert "Klachten van de gemeente" in report
    async with browser(app) as rosa:
        base = await open_link(rosa, outbox)
        page = words(await rosa.get(f"{base}/transfer"))
        assert "Klachten van de gemeente" in page
        assert "Anna" not in page

        # What comes back is the department's too.
        await rosa.post(f"{base}/answer")
        await rosa.post(f"{base}/answer/send", data={"note": "Dank u wel"})
    notice = (await outbox.all(kind="mail", to="klachten@zegelpost.example"))[-1]
    found = re.search(r"(/received/[a-z2-7]{26})", notice["text"])
    assert found
    for portal in (cast.anna, cast.bram):
        assert "Dank u wel" in words(await portal.client.get(found.group(1)))
    for portal in (cast.mallory, cast.chris):
        assert (await portal.client.get(found.group(1))).status_code == 404


async def test_who_is_no_member_finds_nothing_whatever_they_try(cast: Cast, outbox: Outbox) -> None:
    sent = await send(cast.anna, documents={"besluit.pdf": DOCUMENT}, department_id=cast.department)
    shown = (await cast.anna.client.get(f"/transfers/{sent}")).text
    recipient = re.search(r"/recipients/([a-z2-7]{26})/", shown)
    assert recipient
    for stranger in (cast.mallory, cast.chris):
        for path in ("", "/report", "/report.json", "/revoke", "/documents", "/check"):
            assert (await stranger.client.get(f"/transfers/{sent}{path}")).status_code == 404, path
        for path in (
            "revoke",
            "extend",
            "remind",
            f"recipients/{recipient.group(1)}/reissue",
            f"recipients/{recipient.group(1)}/block",
        ):
            assert (await stranger.press(f"/transfers/{sent}/{path}", days="60")).status_code == 404, path
        assert "Dossier" not in (await stranger.client.get(f"/sent?mailbox={cast.department}")).text
        # Nor can they send in its name, by form or for a request.
        refused = await stranger.press(
            "/transfers",
            subject="Vals",
            expires_in_days="28",
            language="nl",
            department_id=cast.department,
            **{"recipient-0-name": "R", "recipient-0-email": ROSA.email, "recipient-0-mobile": ROSA.mobile},
        )
        assert refused.status_code == 422
        asked = await stranger.press(
            "/requests", name="R", email=ROSA.email, subject="Vals", department_id=cast.department, language="nl"
        )
        assert asked.status_code == 422
    assert len(await outbox.all(kind="mail", to=ROSA.email)) == 1


async def test_who_leaves_loses_everything_at_once_and_nothing_is_lost(cast: Cast, outbox: Outbox) -> None:
    sent = await send(cast.bram, documents={"besluit.pdf": DOCUMENT}, department_id=cast.department)
    begun = await draft(cast.bram, documents={"half.pdf": DOCUMENT}, department_id=cast.department, subject="Half af")
    own = await send(cast.bram, documents={"eigen.pdf": DOCUMENT}, subject="Van Bram zelf")
    bram = await member_id(cast.anna, cast.page, "Bram Jansen")
    await cast.anna.press(f"{cast.page}/members/{bram}/remove")

    for path in (f"/transfers/{sent}", f"/transfers/{begun}/documents", cast.page, f"/transfers/{sent}/report"):
        assert (await cast.bram.client.get(path)).status_code == 404, path
    announced = {**VERSION, "Upload-Length": "3", **metadata(begun, "a.pdf")}
    assert (await cast.bram.client.post("/uploads", headers=announced)).status_code == 404
    assert (await cast.bram.press(f"/transfers/{begun}/send")).status_code == 404
    listed = words(await cast.bram.client.get("/sent"))
    assert "Van Bram zelf" in listed
    assert "Dossier Visser" not in listed
    assert (await cast.bram.client.get(f"/transfers/{own}")).status_code == 200
    assert "Dossier Visser" in words(await cast.anna.client.get(f"/transfers/{sent}"))
    assert "Sent (Bram Jansen)" in words(await cast.anna.client.get(f"/transfers/{sent}"))


async def test_a_draft_is_its_makers_alone(cast: Cast) -> None:
    begun = await draft(cast.anna, department_id=cast.department)
    assert (await cast.bram.client.get(f"/transfers/{begun}/documents")).status_code == 404
    assert (await cast.bram.press(f"/transfers/{begun}/send")).status_code == 404
    assert "Half" not in (await cast.bram.client.get("/")).text
    page = await cast.anna.client.get(f"/transfers/{begun}/edit")
    assert f'<option value="{cast.department}" selected>' in page.text


async def test_a_colleague_sends_to_a_department(cast: Cast, outbox: Outbox) -> None:
    to = Row("Klachten", "Klachten@zegelpost.example")
    sent = await send(cast.mallory, to, documents={"intern.pdf": DOCUMENT}, subject="Voor de afdeling")
    assert await outbox.all(kind="mail", to="klachten@zegelpost.example") or await outbox.all(
        kind="mail", to="Klachten@zegelpost.example"
    )
    for portal in (cast.anna, cast.bram):
        assert "Voor de afdeling" in words(await portal.client.get("/received"))
        assert "intern.pdf" in words(await portal.client.get(f"/received/{sent}"))
    assert (await cast.chris.client.get(f"/received/{sent}")).status_code == 404
    bram = await member_id(cast.anna, cast.page, "Bram Jansen")
    await cast.anna.press(f"{cast.page}/members/{bram}/remove")
    assert (await cast.bram.client.get(f"/received/{sent}")).status_code == 404


async def test_a_manager_who_is_switched_off_is_no_manager(cast: Cast, services: Services) -> None:
    anna, bram = await member_id(cast.anna, cast.page, "Anna de Vries"), await member_id(cast.anna, cast.page, "Bram Jansen")
    await cast.anna.press(f"{cast.page}/members/{bram}/role", role="manager")
    async with services.database.work() as session:
        await session.execute(update(StaffUser).where(StaffUser.email == "bram@zegelpost.example").values(is_switched_off=True))
    assert (await cast.bram.client.get(cast.page)).url.path == "/sign-in"
    assert (await cast.anna.press(f"{cast.page}/members/{anna}/remove")).status_code == 409


async def test_managers_manage_members_do_not(cast: Cast) -> None:
    anna, bram = await member_id(cast.anna, cast.page, "Anna de Vries"), await member_id(cast.anna, cast.page, "Bram Jansen")
    for person in (cast.bram, cast.mallory):
        for path, form in (
            ("", FORM),
            ("/members", {"email": "mallory@zegelpost.example", "role": "manager"}),
            (f"/members/{bram}/role", {"role": "manager"}),
            (f"/members/{anna}/remove", {}),
            ("/close", {}),
            ("/reopen", {}),
        ):
            assert (await person.press(cast.page + path, **form)).status_code == 404, path
    assert (await cast.mallory.client.get(cast.page)).status_code == 404
    assert (await cast.anna.press("/departments", **FORM, manager="anna@zegelpost.example")).status_code == 404
    assert (await cast.anna.press(f"{cast.page}/close")).status_code == 404

    last = await cast.anna.press(f"{cast.page}/members/{anna}/remove")
    assert last.status_code == 409
    assert "Someone has to manage this department" in words(last)
    demoted = await cast.anna.press(f"{cast.page}/members/{anna}/role", role="member")
    assert demoted.status_code == 409
    await cast.anna.press(f"{cast.page}/members/{bram}/role", role="manager")
    left = await cast.anna.press(f"{cast.page}/members/{anna}/remove")
    assert left.url.path == "/departments"
    assert (await cast.anna.client.get(cast.page)).status_code == 404


@pytest.mark.parametrize(
    ("field", "typed", "sentence"),
    [
        ("name", "", "Enter a name."),
        ("name", "klachtenAFDELING", "This is in use already."),
        ("sender_name", " ", "Enter a name."),
        ("email", "klachten", "Enter a valid e-mail address"),
        ("email", "klachten@elders.example", "Use your e-mail address of the organisation"),
        ("email", "anna@zegelpost.example", "This is in use already."),
        ("email", "klachten@zegelpost.example", "This is in use already."),
        ("manager", "niemand@zegelpost.example", "There is no colleague"),
    ],
)
async def test_what_is_wrong_with_a_department_is_told(cast: Cast, field: str, typed: str, sentence: str) -> None:
    form = {"name": "Vergunningen", "sender_name": "Team Vergunningen", "email": "vergunning@zegelpost.example"}
    answer = await cast.chris.press("/departments", **(form | {"manager": "bram@zegelpost.example", field: typed}))
    assert answer.status_code == 422
    assert sentence in sentences(answer)[field]
    kept = [value for name, value in form.items() if name != field and value not in answer.text]
    assert kept == []


async def test_closed_is_out_of_reach_until_it_is_opened_again(cast: Cast, app: Starlette, outbox: Outbox) -> None:
    sent = await send(cast.anna, documents={"besluit.pdf": DOCUMENT}, department_id=cast.department)
    await cast.chris.press(f"{cast.page}/close")
    assert (await cast.anna.client.get(f"/transfers/{sent}")).status_code == 404
    to = form_of(Row("Klachten", "klachten@zegelpost.example"))
    refused = await cast.mallory.press("/transfers", **to)
    assert sentences(refused)["recipient-0-email"] == "There is no such department."
    async with browser(app) as rosa:
        base = await open_link(rosa, outbox)
        assert "besluit.pdf" in words(await rosa.get(f"{base}/transfer"))
    await cast.chris.press(f"{cast.page}/reopen")
    assert (await cast.anna.client.get(f"/transfers/{sent}")).status_code == 200


async def test_programs_send_as_a_department(cast: Cast, app: Starlette) -> None:
    async with browser(app) as program:
        signed = await program.post(
            "/api/v1/sign-in", json={"email": "anna@zegelpost.example", "password": "demo-zegelpost-2026"}
        )
        program.headers["Authorization"] = f"Bearer {signed.json()['access_token']}"
        me = (await program.get("/api/v1/me")).json()
        shown = {"id": cast.department, "name": "Klachtenafdeling", "email": "klachten@zegelpost.example", "role": "manager"}
        assert me["departments"] == [shown]
        recipients = [{"name": ROSA.name, "email": ROSA.email, "mobile": ROSA.mobile}]
        made = await program.post(
            "/api/v1/transfers",
            json={"subject": "Besluit", "note": "Zie hier", "recipients": recipients, "department_id": cast.department},
        )
        assert made.json()["department_id"] == cast.department
        assert (await program.post(f"/api/v1/transfers/{made.json()['id']}/send")).status_code == 200
        box = (await program.get(f"/api/v1/transfers?department_id={cast.department}")).json()
        assert [item["subject"] for item in box["items"]] == ["Besluit"]
        refused = await program.get(f"/api/v1/transfers?department_id={'a' * 26}")
        assert refused.json()["code"] == "department_not_found"
        own = await program.post("/api/v1/transfers", json={"subject": "Eigen", "recipients": recipients})
        moved = await program.patch(f"/api/v1/transfers/{own.json()['id']}", json={"department_id": cast.department})
        assert moved.json()["department_id"] == cast.department
        back = await program.patch(f"/api/v1/transfers/{own.json()['id']}", json={"department_id": ""})
        assert back.json()["department_id"] is None
        foreign = await program.patch(f"/api/v1/transfers/{own.json()['id']}", json={"department_id": "b" * 26})
        assert foreign.json()["code"] == "department_not_found"


async def test_a_request_of_a_department_is_everyones(cast: Cast, outbox: Outbox) -> None:
    asked = await cast.anna.press(
        "/requests", name="Rosa", email=ROSA.email, subject="Stukken", department_id=cast.department, language="nl"
    )
    assert asked.url.path.startswith("/requests/"), sentences(asked)
    assert "Klachten van de gemeente" in (await outbox.all(kind="mail", to=ROSA.email))[-1]["text"]
    assert "Stukken" in words(await cast.bram.client.get("/requests"))
    assert (await cast.bram.press(f"{asked.url.path}/close")).status_code == 200
    assert (await cast.mallory.client.get(asked.url.path)).status_code == 404
