"""File requests: staff ask, an outsider sends, staff judge what came."""

from __future__ import annotations

import html
import re

import httpx2
import pytest
from starlette.applications import Starlette
from tests.conftest import MovableClock, Outbox, Portal, browser
from tests.web.acts import DOCUMENT, ROSA, enter, recognise, sentences, words

pytestmark = pytest.mark.anyio

ASKED = {
    "name": ROSA.name,
    "email": ROSA.email,
    "mobile": "",
    "subject": "Onderzoek Visser",
    "reference": "Z-77",
    "note": "Wij hebben nog twee stukken nodig.",
    "items": "Kopie diploma\n\nVerklaring  omtrent gedrag\n",
    "due_on": "2026-12-10",
    "language": "en",
}


async def ask(portal: Portal, **fields: str) -> str:
    """Send a request; returns its identifier."""
    answer = await portal.press("/requests", **(ASKED | fields))
    found = re.fullmatch(r"/requests/([a-z2-7]{26})", answer.url.path)
    assert found, sentences(answer)
    return found.group(1)


async def come_in(guest: httpx2.AsyncClient, outbox: Outbox) -> str:
    """Follow the link in the latest mail; returns where its pages begin."""
    link = await outbox.link(ROSA.email)
    answer = await recognise(guest, link)
    assert answer.status_code == 200, words(answer)
    return link[0]


async def hand_in(
    guest: httpx2.AsyncClient, base: str, *items: str, note: str = "", name: str = "diploma.pdf"
) -> httpx2.Response:
    await guest.post(f"{base}/answer")
    added = await guest.post(f"{base}/answer/documents", files={"documents": (name, DOCUMENT)})
    assert added.status_code == 200, words(added)
    page = added.text
    ids = [_item_id(page, item) for item in items]
    return await guest.post(f"{base}/answer/send", data={"note": note, "item": ids})


def _item_id(page: str, item: str) -> str:
    found = re.search(rf'for="item-([a-z2-7]{{26}})">{re.escape(html.escape(item))}', page)
    assert found, item
    return found.group(1)


async def test_from_asking_to_received(app: Starlette, anna_portal: Portal, outbox: Outbox, database_kind: str) -> None:
    request_id = await ask(anna_portal)
    mail = (await outbox.all(kind="mail", to=ROSA.email))[-1]
    assert "asks you for documents" in mail["subject"]
    assert "10 December 2026" in mail["text"]
    for secret in ("diploma", "Onderzoek", "twee stukken", "Z-77"):
        assert secret not in mail["text"] + mail["subject"]

    async with browser(app) as guest:
        base = await come_in(guest, outbox)
        assert base.startswith("/r/")
        page = await guest.get(f"{base}/answer")
        facts = ("Onderzoek Visser", "Kopie diploma", "Verklaring omtrent gedrag", "Anna de Vries", "10 December 2026", "Z-77")
        assert [each for each in facts if each not in words(page)] == []
        done = await hand_in(guest, base, "Kopie diploma", note="Hierbij mijn diploma.")
        assert done.url.path == f"{base}/transfer", words(done)
        assert "We have received it" in words(done)
        number = re.search(r"Number ([A-Z2-7]{4}-[A-Z2-7]{4})", words(done))
        assert number
        receipt = (await outbox.all(kind="mail", to=ROSA.email))[-1]
        assert number.group(1) in receipt["subject"]
        assert number.group(1) in receipt["text"]
        assert "diploma" not in receipt["text"]

    notice = (await outbox.all(kind="mail", to="anna@zegelpost.example"))[-1]
    found = re.search(r"http://127\.0\.0\.1:8000(/received/[a-z2-7]{26})", notice["text"])
    assert found
    received = await anna_portal.client.get(found.group(1))
    for told in ("Re: Onderzoek Visser", "Hierbij mijn diploma.", "diploma.pdf", ROSA.name, "Z-77"):
        assert told in words(received)
    document = re.search(rf'href="({found.group(1)}/documents/[a-z2-7]{{26}})"', received.text)
    assert document
    assert (await anna_portal.client.get(document.group(1))).content == DOCUMENT
    overview = words(await anna_portal.client.get(f"/requests/{request_id}"))
    assert "Partly answered" in overview
    assert "Kopie diploma Sent in" in overview
    assert "Verklaring omtrent gedrag Asked for" in overview


async def test_a_number_means_a_code_first(app: Starlette, anna_portal: Portal, outbox: Outbox) -> None:
    await ask(anna_portal, mobile="+32 470 12 34 56")
    async with browser(app) as guest:
        link = await outbox.link(ROSA.email)
        asked = await recognise(guest, link)
        assert asked.url.path == f"{link[0]}/verify"
        for path in ("transfer", "answer"):
            refused = await guest.get(f"{link[0]}/{path}")
            assert "Onderzoek Visser" not in refused.text
        await guest.post(f"{link[0]}/code")
        inside = await enter(guest, link[0], await outbox.code("+32470123456"))
        assert inside.url.path == f"{link[0]}/answer"
        assert "Onderzoek Visser" in words(inside)


async def test_an_item_comes_back_with_a_reason_and_is_then_approved(app: Starlette, anna_portal: Portal, outbox: Outbox) -> None:
    request_id = await ask(anna_portal)
    async with browser(app) as guest:
        base = await come_in(guest, outbox)
        await hand_in(guest, base, "Kopie diploma", "Verklaring omtrent gedrag")
        page = await anna_portal.client.get(f"/requests/{request_id}")
        assert "Answered" in words(page)
        items = re.findall(rf"/requests/{request_id}/items/([a-z2-7]{{26}})/accept", page.text)
        assert len(items) == 2

        silent = await anna_portal.press(f"/requests/{request_id}/items/{items[0]}/send-back", reason="  ")
        assert silent.status_code == 422
        assert sentences(silent)[f"reason-{items[0]}"].startswith("Write what is wrong")
        returned = await anna_portal.press(
            f"/requests/{request_id}/items/{items[0]}/send-back", reason="De achterkant ontbreekt."
        )
        assert "Kopie diploma Asked again De achterkant ontbreekt." in words(returned)
        mail = (await outbox.all(kind="mail", to=ROSA.email))[-1]
        assert "achterkant" not in mail["text"]

        base = await come_in(guest, outbox)
        assert "De achterkant ontbreekt." in words(await guest.get(f"{base}/transfer"))
        await hand_in(guest, base, "Kopie diploma", name="diploma-2.pdf")
        for item in items:
            approved = await anna_portal.press(f"/requests/{request_id}/items/{item}/accept")
        assert words(approved).count("Approved") == 2
        page = await guest.get(f"{base}/transfer")
        assert words(page).count("Approved") == 2
        assert words(page).count("Received") >= 2


async def test_closed_takes_nothing_and_shows_what_came(app: Starlette, anna_portal: Portal, outbox: Outbox) -> None:
    request_id = await ask(anna_portal)
    async with browser(app) as guest:
        base = await come_in(guest, outbox)
        await hand_in(guest, base)
        await anna_portal.press(f"/requests/{request_id}/close")
        shown = words(await guest.get(f"{base}/transfer"))
        assert "This request has been closed" in shown
        assert "diploma.pdf" in shown
        for path in ("answer", "answer/send"):
            assert "has been closed" in words(await guest.post(f"{base}/{path}", data={"note": "nog iets"}))
        refused = await guest.post(
            f"{base}/uploads", headers={"Tus-Resumable": "1.0.0", "Upload-Length": "1", "Upload-Metadata": ""}
        )
        assert (refused.status_code, refused.json()["code"]) == (410, "request_closed")

        await anna_portal.press(f"/requests/{request_id}/reopen")
        assert (await hand_in(guest, base, name="nog-een.pdf")).url.path == f"{base}/transfer"


async def test_reminders_bring_a_new_link_and_not_too_many(
    app: Starlette, anna_portal: Portal, outbox: Outbox, clock: MovableClock
) -> None:
    request_id = await ask(anna_portal)
    first = await outbox.link(ROSA.email)
    await anna_portal.press(f"/requests/{request_id}/remind")
    second = await outbox.link(ROSA.email)
    assert second != first
    async with browser(app) as guest:
        assert "There is a newer link" in words(await recognise(guest, first))
        again = await anna_portal.press(f"/requests/{request_id}/remind")
        assert again.status_code == 429
        clock.forward(hours=1)
        base = await come_in(guest, outbox)
        await hand_in(guest, base, "Kopie diploma", "Verklaring omtrent gedrag")
    clock.forward(hours=1)
    await anna_portal.sign_in("anna@zegelpost.example")
    assert (await anna_portal.press(f"/requests/{request_id}/remind")).status_code == 409


@pytest.mark.parametrize(
    ("field", "typed", "sentence"),
    [
        ("email", "rosa", "Enter a valid e-mail address"),
        ("name", " ", "Enter a name"),
        ("subject", "", "Enter a subject"),
        ("mobile", "020 123 45 67", "not a mobile number"),
        ("due_on", "morgen", "Enter a date"),
        ("due_on", "31-02-2027", "Enter a date"),
        ("due_on", "01-01-2020", "This date has passed"),
        ("items", "\n".join(f"stuk {n}" for n in range(31)), "These are too many: 30"),
        ("items", "x" * 201, "too long: 200"),
        ("department_id", "a" * 26, "There is no such department"),
    ],
)
async def test_what_is_wrong_is_told_at_the_field_and_the_rest_stays(
    anna_portal: Portal, outbox: Outbox, field: str, typed: str, sentence: str
) -> None:
    answer = await anna_portal.press("/requests", **(ASKED | {field: typed}))
    assert answer.status_code == 422
    if field != "department_id":  # she has none, so there is nothing to choose
        assert sentence in sentences(answer)[field]
    for name, value in ASKED.items():
        if name not in (field, "language", "mobile", "items"):
            assert html.escape(value) in answer.text
    assert await outbox.all(kind="mail", to=ROSA.email) == []


async def test_others_find_nothing(app: Starlette, anna_portal: Portal, outbox: Outbox) -> None:
    request_id = await ask(anna_portal)
    async with browser(app) as guest:
        await hand_in(guest, await come_in(guest, outbox), "Kopie diploma")
    page = await anna_portal.client.get(f"/requests/{request_id}")
    item = re.findall(r"/items/([a-z2-7]{26})/accept", page.text)[0]
    async with browser(app) as client:
        mallory = Portal(client)
        await mallory.sign_in("mallory@zegelpost.example")
        assert (await client.get(f"/requests/{request_id}")).status_code == 404
        assert "Onderzoek" not in (await client.get("/requests")).text
        for path in ("remind", "close", "reopen", f"items/{item}/accept", f"items/{item}/send-back"):
            assert (await mallory.press(f"/requests/{request_id}/{path}", reason="nee")).status_code == 404
        own = await ask(mallory, email="iemand@elders.example")
        for path in (f"items/{item}/accept", f"items/{item}/send-back"):
            assert (await mallory.press(f"/requests/{own}/{path}", reason="nee")).status_code == 404
    assert "Kopie diploma Sent in" in words(await anna_portal.client.get(f"/requests/{request_id}"))


async def test_two_guests_see_nothing_of_each_other(app: Starlette, anna_portal: Portal, outbox: Outbox) -> None:
    await ask(anna_portal)
    await ask(anna_portal, email="sam@advocaat.example", subject="Zaak Smit")
    async with browser(app) as rosa, browser(app) as sam:
        base = await come_in(rosa, outbox)
        link = await outbox.link("sam@advocaat.example")
        await recognise(sam, link)
        await hand_in(rosa, base, note="Alleen voor Anna")
        sent = re.search(r"/answers/([a-z2-7]{26})/withdraw", (await rosa.get(f"{base}/transfer")).text)
        assert sent
        assert (await sam.post(f"{link[0]}/answers/{sent.group(1)}/withdraw")).status_code == 404
        assert "Alleen voor Anna" not in (await sam.get(f"{link[0]}/transfer")).text
        # Sam's cookie is for Sam's link only.
        assert "Onderzoek" not in (await sam.get(f"{base}/transfer")).text
