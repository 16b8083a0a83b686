"""What staff receive: finding it, reading it, marking it as handled, passing it on and answering."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette
from tests.conftest import MovableClock, Outbox, Portal, browser
from tests.web.acts import BRAM, DOCUMENT, ROSA, open_link, send, sentences, words

pytestmark = pytest.mark.anyio


@pytest.fixture
async def bram_portal(app: Starlette) -> AsyncIterator[Portal]:
    async with browser(app) as client:
        portal = Portal(client)
        await portal.sign_in("bram@zegelpost.example")
        yield portal


@pytest.fixture
async def mallory_portal(app: Starlette) -> AsyncIterator[Portal]:
    async with browser(app) as client:
        portal = Portal(client)
        await portal.sign_in("mallory@zegelpost.example")
        yield portal


async def test_the_mail_asks_to_sign_in_and_comes_back(app: Starlette, anna_portal: Portal, outbox: Outbox) -> None:
    sent = await send(anna_portal, BRAM, documents={"intern.pdf": DOCUMENT})
    mail = (await outbox.all(kind="mail", to=BRAM.email))[-1]
    assert f"/received/{sent}" in mail["text"]
    assert "Dossier" not in mail["text"]
    async with browser(app) as bram:
        asked = await bram.get(f"/received/{sent}")
        assert asked.url.path == "/sign-in"
        inside = await bram.post(
            "/sign-in", data={"email": BRAM.email, "password": "demo-zegelpost-2026", "next": f"/received/{sent}"}
        )
        assert inside.url.path == f"/received/{sent}"
        facts = ("Dossier Visser", "Z-1", "Beste Rosa", "Anna de Vries", "intern.pdf", "4 weeks", "Received at")
        assert [fact for fact in facts if fact not in words(inside)] == []


async def test_pages_of_twenty_newest_first_and_none_lost(
    anna_portal: Portal, bram_portal: Portal, clock: MovableClock, database_kind: str
) -> None:
    for number in range(23):
        await send(anna_portal, BRAM, subject=f"Stuk {number:02d}")
        clock.forward(seconds=1)
    first = re.findall(r"Stuk \d\d", words(await bram_portal.client.get("/received")))
    second = re.findall(r"Stuk \d\d", words(await bram_portal.client.get("/received?page=2")))
    assert first + second == [f"Stuk {number:02d}" for number in range(22, -1, -1)]
    assert len(first) == 20


async def test_handled_is_marked_with_a_name_and_can_be_taken_back(
    anna_portal: Portal, bram_portal: Portal, mallory_portal: Portal, clock: MovableClock
) -> None:
    sent = await send(anna_portal, BRAM, subject="Eén")
    clock.forward(seconds=1)
    await send(anna_portal, BRAM, subject="Twee")
    for path in ("handled", "forward"):
        assert (await mallory_portal.press(f"/received/{sent}/{path}", is_handled="1", email=BRAM.email)).status_code == 404
        assert (await anna_portal.press(f"/received/{sent}/{path}", is_handled="1", email=BRAM.email)).status_code == 404
    done = await bram_portal.press(f"/received/{sent}/handled", is_handled="1")
    assert "by Bram Jansen" in words(done)
    lists = {
        kind: re.findall("Eén|Twee", words(await bram_portal.client.get(f"/received?handled={kind}")))
        for kind in ("new", "open", "handled", "all", "nonsense")
    }
    assert lists == {
        "new": ["Twee"],
        "open": ["Twee"],
        "handled": ["Eén"],
        "all": ["Twee", "Eén"],
        "nonsense": ["Twee", "Eén"],
    }
    await bram_portal.press(f"/received/{sent}/handled", is_handled="0")
    assert "Eén" in words(await bram_portal.client.get("/received?handled=open"))


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ({"sender": "anna"}, ["Nieuw", "Oud"]),
        ({"sender": "DE VRIES"}, ["Nieuw", "Oud"]),
        ({"sender": "@zegelpost.example"}, ["Nieuw", "Oud"]),
        ({"sender": "rosa"}, []),
        ({"reference": "z-2"}, ["Nieuw"]),
        ({"reference": "z"}, []),
        ({"first_day": "2026-11-26"}, ["Nieuw"]),
        ({"last_day": "25-11-2026"}, ["Oud"]),
        ({"first_day": "2026-11-23", "last_day": "2026-11-23"}, ["Oud"]),
        ({"first_day": "2026-11-24", "last_day": "2026-11-25"}, []),
        ({"handled": "handled"}, []),
        ({"mailbox": "mine", "reference": "Z-1"}, ["Oud"]),
    ],
)
async def test_search(
    anna_portal: Portal, bram_portal: Portal, clock: MovableClock, typed: dict[str, str], found: list[str]
) -> None:
    await send(anna_portal, BRAM, subject="Oud", reference="Z-1")
    clock.forward(days=3)
    for portal, email in ((anna_portal, "anna"), (bram_portal, "bram")):
        await portal.sign_in(f"{email}@zegelpost.example")
    await send(anna_portal, BRAM, subject="Nieuw", reference="Z-2")
    answer = await bram_portal.press("/received", **typed)
    assert re.findall("Nieuw|Oud", words(answer)) == found
    # Names and case numbers stay out of addresses, and with that out of logs.
    assert answer.url.query == b""


async def test_a_wrong_day_is_told_and_what_was_typed_stays(bram_portal: Portal) -> None:
    answer = await bram_portal.press("/received", sender="Visser", first_day="gisteren")
    assert answer.status_code == 422
    assert sentences(answer)["first_day"].startswith("Enter a date")
    assert 'value="Visser"' in answer.text
    assert 'value="gisteren"' in answer.text


@pytest.mark.parametrize("day", ["9999-12-31", "0001-01-01", "31-12-3000"])
async def test_a_day_at_the_end_of_the_calendar_is_a_wrong_day(bram_portal: Portal, day: str) -> None:
    for name in ("first_day", "last_day"):
        assert (await bram_portal.press("/received", **{name: day})).status_code == 422


async def test_passed_on_to_a_colleague_and_never_outside(
    app: Starlette, anna_portal: Portal, bram_portal: Portal, mallory_portal: Portal, outbox: Outbox, database_kind: str
) -> None:
    sent = await send(anna_portal, BRAM, documents={"intern.pdf": DOCUMENT})
    for typed, status, sentence in (
        ("rosa@zorg.example", 422, "Use your e-mail address of the organisation"),
        ("niks", 422, "Enter a valid e-mail address"),
        (BRAM.email, 409, "has it already"),
    ):
        refused = await bram_portal.press(f"/received/{sent}/forward", email=typed)
        assert refused.status_code == status
        assert sentence in words(refused)
        assert f'value="{typed}"' in refused.text
    assert await outbox.all(kind="mail", to=ROSA.email) == []

    assert (await mallory_portal.client.get(f"/received/{sent}")).status_code == 404
    passed = await bram_portal.press(f"/received/{sent}/forward", email="Mallory@zegelpost.example")
    assert "can read it too" in words(passed)
    mail = (await outbox.all(kind="mail"))[-1]
    assert mail["to"].lower() == "mallory@zegelpost.example"
    read = await mallory_portal.client.get(f"/received/{sent}")
    document = re.search(rf"/received/{sent}/documents/[a-z2-7]{{26}}", read.text)
    assert document
    assert (await mallory_portal.client.get(document.group(0))).content == DOCUMENT
    assert "forwarded" in words(await anna_portal.client.get(f"/transfers/{sent}/report")).lower()
    # The sender's withdrawal reaches them too.
    await anna_portal.press(f"/transfers/{sent}/revoke")
    assert (await mallory_portal.client.get(document.group(0))).status_code == 410


async def test_answering_a_guest_begins_with_what_we_know(app: Starlette, anna_portal: Portal, outbox: Outbox) -> None:
    await send(anna_portal, documents={"besluit.pdf": DOCUMENT})
    async with browser(app) as rosa:
        base = await open_link(rosa, outbox)
        await rosa.post(f"{base}/answer")
        await rosa.post(f"{base}/answer/send", data={"note": "Ik ben het er niet mee eens."})
    listed = (await anna_portal.client.get("/received")).text
    came = re.search(r"/received/([a-z2-7]{26})", listed)
    assert came
    page = await anna_portal.client.get(f"/received/{came.group(1)}")
    assert "Gemeente" not in words(page)  # Rosa is nobody's colleague
    assert "Dossier Visser" in words(page)
    form = await anna_portal.client.get(f"/transfers/new?answers={came.group(1)}")
    for value in ("Re: Dossier Visser", "Z-1", ROSA.name, ROSA.email, ROSA.number):
        assert f'value="{value}"' in form.text
    sent = await send(anna_portal, subject="Re: Dossier Visser", answers=came.group(1))
    thread = (await anna_portal.client.get(f"/received/{came.group(1)}")).text
    assert f'href="/transfers/{sent}"' in thread


async def test_nobody_answers_what_they_did_not_receive(anna_portal: Portal, mallory_portal: Portal) -> None:
    sent = await send(anna_portal, BRAM)
    assert (await mallory_portal.client.get(f"/transfers/new?answers={sent}")).status_code == 404
    answer = await mallory_portal.press(
        "/transfers",
        subject="Vals",
        expires_in_days="28",
        language="nl",
        answers=sent,
        **{"recipient-0-name": "R", "recipient-0-email": ROSA.email, "recipient-0-mobile": ROSA.mobile},
    )
    assert answer.status_code == 404
