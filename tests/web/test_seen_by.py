"""One transfer as everyone sees it: sender, department, other colleagues, administrator, recipient, guest, stranger."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx2
import pytest
from starlette.applications import Starlette
from tests.conftest import Outbox, Portal, browser, make_administrator
from tests.web.acts import DOCUMENT, ROSA, SAM, Row, open_link, recognise, send, sentences, words

from zegelpost.main import Services

pytestmark = pytest.mark.anyio

SUBJECT, NOTE, REFERENCE, NAME = "Dossier Visser", "Beste Rosa", "Z-1", "besluit.pdf"
CONTENT = (SUBJECT, NOTE, REFERENCE, NAME)


@dataclass
class Seen:
    """A transfer of the department, sent by Anna to Rosa and to a colleague outside the department."""

    portals: dict[str, Portal]
    transfer_id: str
    department_id: str

    async def look(self, who: str, path: str) -> httpx2.Response:
        return await self.portals[who].client.get(path)


@pytest.fixture
async def seen(app: Starlette, services: Services) -> AsyncIterator[Seen]:
    await make_administrator(services)
    await services.registering.create_account(email="dirk@zegelpost.example", name="Dirk Smit", password="demo-zegelpost-2026")
    portals = {name: Portal(browser(app)) for name in ("anna", "bram", "chris", "dirk", "mallory")}
    for name, portal in portals.items():
        await portal.sign_in(f"{name}@zegelpost.example")
    opened = await portals["chris"].press(
        "/departments",
        name="Klachten",
        sender_name="Klachten",
        email="klachten@zegelpost.example",
        manager="anna@zegelpost.example",
    )
    department = opened.url.path.rsplit("/", 1)[-1]
    await portals["anna"].press(f"/departments/{department}/members", email="bram@zegelpost.example", role="member")
    dirk = Row("Dirk Smit", "dirk@zegelpost.example")
    fields = {"subject": SUBJECT, "note": NOTE, "reference": REFERENCE, "department_id": department}
    transfer_id = await send(portals["anna"], ROSA, SAM, dirk, documents={NAME: DOCUMENT}, **fields)
    yield Seen(portals, transfer_id, department)
    for portal in portals.values():
        await portal.client.aclose()


def told(answer: httpx2.Response) -> set[str]:
    return {each for each in CONTENT if each in words(answer)}


@pytest.mark.parametrize("who", ["anna", "bram"])
async def test_the_sender_and_the_department_see_and_steer(seen: Seen, who: str) -> None:
    page = await seen.look(who, f"/transfers/{seen.transfer_id}")
    assert told(page) >= {SUBJECT, REFERENCE, NAME}
    for recipient in (ROSA, SAM):
        assert recipient.email in words(page)
    assert SUBJECT in words(await seen.look(who, "/sent"))
    report = await seen.look(who, f"/transfers/{seen.transfer_id}/report")
    assert report.status_code == 200
    assert ROSA.number not in report.text
    extended = await seen.portals[who].press(f"/transfers/{seen.transfer_id}/extend", days="40")
    assert extended.status_code == 200, sentences(extended)


@pytest.mark.parametrize("who", ["mallory", "chris"])
async def test_other_colleagues_and_the_administrator_see_that_there_is_nothing(seen: Seen, who: str) -> None:
    for path in ("", "/report", "/report.json", "/report.pdf", "/documents", "/check", "/revoke", "/edit"):
        answer = await seen.look(who, f"/transfers/{seen.transfer_id}{path}")
        assert (answer.status_code, told(answer)) == (404, set()), path
    for path in ("/", "/sent", "/received", f"/received/{seen.transfer_id}", f"/departments/{seen.department_id}"):
        assert told(await seen.look(who, path)) == set(), path
    # Who is in a department an administrator does see.
    assert (await seen.look(who, f"/departments/{seen.department_id}")).status_code == (200 if who == "chris" else 404)


async def test_a_colleague_who_received_it_reads_and_does_not_steer(seen: Seen, outbox: Outbox) -> None:
    mail = (await outbox.all(kind="mail", to="dirk@zegelpost.example"))[-1]
    assert f"/received/{seen.transfer_id}" in mail["text"]
    page = await seen.look("dirk", f"/received/{seen.transfer_id}")
    assert told(page) == set(CONTENT)
    document = re.search(rf"/received/{seen.transfer_id}/documents/[a-z2-7]{{26}}", page.text)
    assert document
    assert (await seen.look("dirk", document.group(0))).content == DOCUMENT
    # Neither who else got it, nor what became of it.
    assert ROSA.email not in page.text
    assert (await seen.look("dirk", f"/transfers/{seen.transfer_id}")).status_code == 404
    assert (await seen.look("dirk", f"/transfers/{seen.transfer_id}/report")).status_code == 404
    refused = await seen.portals["dirk"].press(f"/transfers/{seen.transfer_id}/extend", days="40")
    assert refused.status_code == 404


async def test_a_recipient_reads_after_the_code_and_nothing_of_the_others(seen: Seen, app: Starlette, outbox: Outbox) -> None:
    async with browser(app) as rosa, browser(app) as sam:
        link = await outbox.link(ROSA.email)
        assert told(await rosa.get(link[0])) == set()
        door = await recognise(rosa, link)
        assert told(door) == set()
        assert "78" in words(door)
        assert "Klachten" in words(door)
        base = await open_link(rosa, outbox)
        page = await rosa.get(f"{base}/transfer")
        assert told(page) == set(CONTENT)
        assert "Anna" not in page.text
        for other in (SAM.email, SAM.name, "Dirk Smit"):
            assert other not in page.text
        # Sam's own link is another door to the same.
        theirs = await open_link(sam, outbox, SAM)
        assert theirs != base
        assert told(await sam.get(f"{theirs}/transfer")) == set(CONTENT)
        assert told(await rosa.get(f"{theirs}/transfer")) == set()


async def test_a_guest_sees_what_they_sent_and_others_do_not(seen: Seen, app: Starlette, outbox: Outbox) -> None:
    async with browser(app) as rosa, browser(app) as sam:
        base = await open_link(rosa, outbox)
        await rosa.post(f"{base}/answer")
        sent = await rosa.post(f"{base}/answer/send", data={"note": "ANTWOORD VAN ROSA"})
        assert "ANTWOORD VAN ROSA" in words(sent)
        theirs = await open_link(sam, outbox, SAM)
        assert "ANTWOORD VAN ROSA" not in (await sam.get(f"{theirs}/transfer")).text
    notice = (await outbox.all(kind="mail", to="klachten@zegelpost.example"))[-1]
    received = re.search(r"(/received/[a-z2-7]{26})", notice["text"])
    assert received
    for who, is_theirs in (("anna", True), ("bram", True), ("dirk", False), ("mallory", False), ("chris", False)):
        answer = await seen.look(who, received.group(1))
        assert ("ANTWOORD VAN ROSA" in answer.text, answer.status_code) == (is_theirs, 200 if is_theirs else 404), who


async def test_a_stranger_sees_nothing(seen: Seen, app: Starlette, outbox: Outbox) -> None:
    link = await outbox.link(ROSA.email)
    async with browser(app) as stranger:
        for path in (
            f"/transfers/{seen.transfer_id}",
            f"/received/{seen.transfer_id}",
            f"/api/v1/transfers/{seen.transfer_id}",
            link[0],
            f"{link[0]}/verify",
            f"{link[0]}/transfer",
            f"{link[0]}/archive.zip",
        ):
            answer = await stranger.get(path)
            assert told(answer) == set(), path
            assert "klachten@" not in answer.text, path
        wrong = await recognise(stranger, (link[0], "a" * 32))
        assert told(wrong) == set()
