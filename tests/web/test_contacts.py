"""Contacts: kept by a person or a department, found while sending, saved while sending, and which number worked when."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from sqlalchemy import text
from starlette.applications import Starlette
from tests.conftest import MovableClock, Outbox, Portal, browser, make_administrator
from tests.web.acts import (
    DOCUMENT,
    ROSA,
    SAM,
    Row,
    enter,
    form_of,
    open_link,
    other_than,
    recognise,
    send,
    sentences,
    values,
    words,
)

from zegelpost.main import Services

pytestmark = pytest.mark.anyio

DEPARTMENT = {"name": "Klachtenafdeling", "sender_name": "Klachten", "email": "klachten@zegelpost.example"}
CARD = {"name": "Rosa Visser", "organisation": "Zorggroep Noord", "email": ROSA.email, "mobile": ROSA.mobile}


@dataclass
class Cast:
    """Anna manages the department and Bram works for it; Mallory has nothing to do with it."""

    anna: Portal
    bram: Portal
    mallory: Portal
    department: str


@pytest.fixture
async def cast(app: Starlette, services: Services) -> AsyncIterator[Cast]:
    await make_administrator(services)
    async with browser(app) as anna, browser(app) as bram, browser(app) as chris, browser(app) as mallory:
        portals = [Portal(client) for client in (anna, bram, chris, mallory)]
        for portal, name in zip(portals, ("anna", "bram", "chris", "mallory"), strict=True):
            await portal.sign_in(f"{name}@zegelpost.example")
        opened = await portals[2].press("/departments", **DEPARTMENT, manager="anna@zegelpost.example")
        found = re.fullmatch(r"/departments/([a-z2-7]{26})", opened.url.path)
        assert found, sentences(opened)
        await portals[0].press(f"{opened.url.path}/members", email="bram@zegelpost.example", role="member")
        yield Cast(portals[0], portals[1], portals[3], found.group(1))


async def add(portal: Portal, **fields: str) -> str:
    """Make a contact; returns the path of its page."""
    answer = await portal.press("/contacts/new", **(CARD | fields))
    assert re.fullmatch(r"/contacts/[a-z2-7]{26}", answer.url.path), sentences(answer)
    return answer.url.path


async def suggested(portal: Portal, letters: str) -> list[dict[str, str]]:
    answer = await portal.press("/contacts/suggestions", letters=letters)
    assert answer.headers["content-type"] == "application/json"
    found: list[dict[str, str]] = answer.json()["contacts"]
    return found


def names(found: Sequence[dict[str, str]]) -> list[str]:
    return [contact["name"] for contact in found]


async def test_made_seen_changed_and_removed(anna_portal: Portal, database_kind: str) -> None:
    one = await add(anna_portal)
    page = words(await anna_portal.client.get(one))
    for shown in ("Rosa Visser", "Zorggroep Noord", ROSA.email, ROSA.number):
        assert shown in page
    assert "Rosa Visser" in words(await anna_portal.client.get("/contacts"))

    form = values(await anna_portal.client.get(f"{one}/edit"))
    assert form == CARD | {"mobile": ROSA.number}
    changed = await anna_portal.press(f"{one}/edit", **(form | {"name": "Rosa Visser-Bos", "mobile": SAM.mobile}))
    assert SAM.number in words(changed)
    assert "Rosa Visser-Bos" in words(changed)

    asked = words(await anna_portal.client.get(f"{one}/remove"))
    assert "Rosa Visser-Bos" in asked
    removed = await anna_portal.press(f"{one}/remove")
    assert "The contact has been removed." in words(removed)
    assert "Rosa" not in words(removed)
    assert (await anna_portal.client.get(one)).status_code == 404


@pytest.mark.parametrize(
    ("field", "typed", "sentence"),
    [
        ("name", " ", "Enter a name."),
        ("name", "R" * 121, "This name is too long"),
        ("organisation", "Z" * 201, "This name is too long: 200"),
        ("email", "rosa", "Enter a valid e-mail address"),
        ("email", "SAM@advocaat.example", "This e-mail address is in this address book already."),
        ("mobile", "020-1234567", "This is not a mobile number."),
        ("mobile", "+7 912 345 67 89", "We cannot send codes to numbers that start with +7."),
        ("mobile", "zes", "This is not a telephone number."),
        ("department_id", "a" * 26, "There is no such department."),
    ],
)
async def test_what_is_wrong_is_told_at_its_field_and_the_rest_is_kept(cast: Cast, field: str, typed: str, sentence: str) -> None:
    await add(cast.anna, name="Sam", email=SAM.email)
    answer = await cast.anna.press("/contacts/new", **(CARD | {field: typed}))
    assert answer.status_code == 422
    assert sentence in sentences(answer)[field]
    kept = values(answer)
    assert {name: kept[name] for name in CARD if name != field} == {name: CARD[name] for name in CARD if name != field}


async def test_an_address_once_in_a_book_and_again_in_another(cast: Cast) -> None:
    own = await add(cast.anna)
    shared = await add(cast.anna, department_id=cast.department, name="Rosa van klachten")
    await add(cast.bram)
    other = await add(cast.anna, email=SAM.email)
    taken = await cast.anna.press(f"{other}/edit", **(CARD | {"email": ROSA.email.upper()}))
    assert "already" in sentences(taken)["email"]
    # Its own address is not taken.
    assert (await cast.anna.press(f"{own}/edit", **(CARD | {"email": ROSA.email.upper()}))).status_code == 200
    assert "Rosa van klachten" in words(await cast.bram.client.get(shared))


async def test_nobody_elses_contacts_whatever_they_try(cast: Cast) -> None:
    own, shared = await add(cast.anna), await add(cast.anna, email=SAM.email, name="Sam", department_id=cast.department)
    for stranger, paths in ((cast.mallory, (own, shared)), (cast.bram, (own,))):
        for path in paths:
            for page in ("", "/edit", "/remove"):
                assert (await stranger.client.get(path + page)).status_code == 404, path + page
            assert (await stranger.press(f"{path}/edit", **CARD)).status_code == 404
            assert (await stranger.press(f"{path}/remove")).status_code == 404
            picked = await stranger.client.get("/transfers/new", params={"contact": path.rpartition("/")[2]})
            assert picked.status_code == 404
    assert await suggested(cast.mallory, "sam") == []
    assert "Sam" not in words(await cast.mallory.client.get(f"/contacts?book={cast.department}"))
    assert "Sam" not in words(await cast.mallory.press("/contacts", letters="sam", book=cast.department))
    for name in ("export.csv", "export.vcf"):
        assert "rosa" not in (await cast.mallory.client.get(f"/contacts/{name}")).text.lower()
    refused = await cast.mallory.press("/contacts/new", **CARD, department_id=cast.department)
    assert "There is no such department." in words(refused)
    # Saving while sending is no way around it either.
    form = form_of(ROSA) | {"recipient-0-save": "1", "recipient-0-book": cast.department}
    answer = await cast.mallory.press("/transfers", **form)
    assert "There is no such department." in words(answer)
    assert names(await suggested(cast.bram, "rosa")) == []


async def test_who_leaves_a_department_leaves_its_contacts(cast: Cast) -> None:
    shared = await add(cast.bram, department_id=cast.department)
    shown = (await cast.anna.client.get(f"/departments/{cast.department}")).text
    bram = re.search(r"Bram Jansen.*?/members/([a-z2-7]{26})/remove", shown, re.DOTALL)
    assert bram
    await cast.anna.press(f"/departments/{cast.department}/members/{bram.group(1)}/remove")
    assert (await cast.bram.client.get(shared)).status_code == 404
    assert await suggested(cast.bram, "rosa") == []
    assert "Rosa Visser" not in words(await cast.bram.client.get("/contacts"))
    assert "Rosa Visser" in words(await cast.anna.client.get(shared))


async def test_outsiders_get_nothing(app: Starlette) -> None:
    async with browser(app) as nobody:
        for path in ("/contacts", "/contacts/new", "/contacts/import", "/contacts/export.csv", f"/contacts/{'a' * 26}"):
            assert (await nobody.get(path)).url.path == "/sign-in", path
        assert (await nobody.post("/contacts/suggestions", data={"letters": "rosa"})).url.path == "/sign-in"


async def test_a_form_of_another_page_is_refused(anna_portal: Portal) -> None:
    for path in ("/contacts", "/contacts/suggestions", "/contacts/new"):
        assert (await anna_portal.client.post(path, data=CARD)).status_code == 403, path
    for path in ("/contacts/import", "/contacts/import/confirm"):
        answer = await anna_portal.client.post(path, data={"rows": "[]"}, files={"file": ("a.csv", b"Naam;E-mail\nA;a@b.nl")})
        assert answer.status_code == 403, path


async def test_found_by_any_part_without_capitals_or_marks(cast: Cast) -> None:
    await add(cast.anna, name="Zoë de Vries", email="zoe@huisarts.example", organisation="Huisartsen Zuid")
    await add(cast.anna, name="Bert Vriesema", email="bert@zorg.example", organisation="", department_id=cast.department)
    for letters, expected in {
        "zoe": ["Zoë de Vries"],
        "VRIES": ["Bert Vriesema", "Zoë de Vries"],
        "vries zu": ["Zoë de Vries"],
        "@zorg": ["Bert Vriesema"],
        "ZUID": ["Zoë de Vries"],
        "0612 34": ["Bert Vriesema", "Zoë de Vries"],
        "9999": [],
        "niemand": [],
        "": [],
    }.items():
        assert names(await suggested(cast.anna, letters)) == expected, letters
    assert (await suggested(cast.anna, "bert"))[0] == {
        "name": "Bert Vriesema",
        "organisation": "",
        "email": "bert@zorg.example",
        "mobile": ROSA.number,
        "book": "Klachtenafdeling",
        "worked": "",
        "proposed": "",
    }
    found = words(await cast.anna.press("/contacts", letters="vries", book="mine"))
    assert "Zoë de Vries" in found
    assert "Bert" not in found
    assert "Nothing found." in words(await cast.anna.press("/contacts", letters="niemand"))
    only = words(await cast.anna.client.get(f"/contacts?book={cast.department}"))
    assert "Bert" in only
    assert "Zoë" not in only


async def test_at_most_ten_suggestions_who_begins_so_first_and_one_person_once(cast: Cast) -> None:
    for number in range(12):
        await add(cast.anna, name=f"Achter Rosa {number:02}", email=f"r{number}@zorg.example")
    await add(cast.anna)
    await add(cast.anna, department_id=cast.department)
    found = names(await suggested(cast.anna, "rosa"))
    assert found == ["Rosa Visser", *(f"Achter Rosa {number:02}" for number in range(9))]


async def test_the_list_goes_by_name_in_pages(services: Services, anna_portal: Portal) -> None:
    for number in range(52):
        await add(anna_portal, name=f"Persoon {number:02}", email=f"p{number}@zorg.example")
    first = words(await anna_portal.client.get("/contacts"))
    assert first.index("Persoon 00") < first.index("Persoon 01") < first.index("Persoon 49")
    assert "Persoon 50" not in first
    assert "Persoon 51" in words(await anna_portal.client.get("/contacts?page=2"))


async def test_sending_to_one_and_to_several_that_were_picked(anna_portal: Portal) -> None:
    rosa, sam = await add(anna_portal), await add(anna_portal, name="Sam Smit", email=SAM.email, mobile=SAM.mobile)
    assert f'href="/transfers/new?contact={rosa.rpartition("/")[2]}"' in (await anna_portal.client.get(rosa)).text
    ids = [path.rpartition("/")[2] for path in (sam, rosa, sam)]
    form = values(await anna_portal.client.get("/transfers/new", params={"contact": ids}))
    assert [form[f"recipient-{row}-{field}"] for row in (0, 1) for field in ("name", "email", "mobile")] == [
        *("Sam Smit", SAM.email, SAM.number),
        *("Rosa Visser", ROSA.email, ROSA.number),
    ]
    assert "recipient-2-name" not in form
    for wrong in ("a" * 26, "geen"):
        assert (await anna_portal.client.get("/transfers/new", params={"contact": wrong})).status_code == 404


async def test_saved_while_sending_in_the_book_of_choice(cast: Cast, database_kind: str) -> None:
    form = form_of(ROSA, SAM, Row("Bram Jansen", "bram@zegelpost.example")) | {
        "recipient-0-save": "1",
        "recipient-1-save": "1",
        "recipient-1-book": cast.department,
    }
    answer = await cast.anna.press("/transfers", **form)
    assert answer.url.path.endswith("/documents"), sentences(answer)
    assert names(await suggested(cast.anna, "e")) == ["Rosa Visser", "Sam Smit"]
    assert names(await suggested(cast.bram, "e")) == ["Sam Smit"]

    # Saving again changes what is known, and takes nothing away.
    path = answer.url.path.removesuffix("/documents")
    rosa = (await cast.anna.client.get("/contacts?book=mine")).text
    found = re.search(r"/contacts/[a-z2-7]{26}", rosa)
    assert found
    await cast.anna.press(f"{found.group()}/edit", **CARD)
    again = form_of(Row("Rosa Visser-Bos", ROSA.email.upper(), SAM.mobile)) | {"recipient-0-save": "1"}
    await cast.anna.press(f"{path}/edit", **again)
    contact = words(await cast.anna.client.get(found.group()))
    for shown in ("Rosa Visser-Bos", "Zorggroep Noord", SAM.number):
        assert shown in contact


async def test_nothing_is_saved_of_a_form_that_is_refused_and_the_choice_stays(cast: Cast) -> None:
    form = form_of(ROSA, subject="") | {"recipient-0-save": "1", "recipient-0-book": cast.department}
    refused = await cast.anna.press("/transfers", **form)
    assert refused.status_code == 422
    assert re.search(r'name="recipient-0-save" value="1" checked', refused.text)
    assert f'<option value="{cast.department}" selected>' in refused.text
    assert await suggested(cast.anna, "rosa") == []


# Which number worked when


async def open_with_code(app: Starlette, outbox: Outbox, row: Row = ROSA) -> None:
    async with browser(app) as rosa:
        await open_link(rosa, outbox, row)


async def test_a_number_that_worked_is_remembered(
    app: Starlette, cast: Cast, outbox: Outbox, clock: MovableClock, database_kind: str
) -> None:
    one = await add(cast.anna)
    assert "not yet on this number" in words(await cast.anna.client.get(one))
    await send(cast.anna, documents={"besluit.pdf": DOCUMENT})
    async with browser(app) as rosa:
        path, secret = await outbox.link(ROSA.email)
        await recognise(rosa, (path, secret))
        await rosa.post(f"{path}/code")
        code = await outbox.code(ROSA.number)
        await enter(rosa, path, other_than(code))
        assert "not yet on this number" in words(await cast.anna.client.get(one))
        clock.forward(minutes=1)
        await enter(rosa, path, code)
    for page in (one, "/contacts"):
        assert "23 November 2026" in words(await cast.anna.client.get(page))
    assert (await suggested(cast.anna, "rosa"))[0]["worked"] == "Number worked on 23 November 2026"
    cast.anna.client.headers["Accept-Language"] = "nl"
    assert (await suggested(cast.anna, "rosa"))[0]["worked"] == "Nummer werkte op 23 november 2026"
    cast.anna.client.headers["Accept-Language"] = "en"

    # It stays when the name changes, and says nothing of another number.
    await cast.anna.press(f"{one}/edit", **(CARD | {"name": "Rosa Bos"}))
    assert "23 November 2026" in words(await cast.anna.client.get(one))
    await cast.anna.press(f"{one}/edit", **(CARD | {"mobile": SAM.mobile}))
    assert "not yet on this number" in words(await cast.anna.client.get(one))


async def test_only_the_book_that_the_transfer_belongs_to_remembers(app: Starlette, cast: Cast, outbox: Outbox) -> None:
    of_anna, of_bram = await add(cast.anna), await add(cast.bram)
    shared = await add(cast.anna, department_id=cast.department)
    await send(cast.bram, documents={"eigen.pdf": DOCUMENT})
    await open_with_code(app, outbox)
    assert "23 November 2026" in words(await cast.bram.client.get(of_bram))
    # Nor does a department learn of what someone sends as themselves.
    for path in (of_anna, shared):
        assert "not yet on this number" in words(await cast.anna.client.get(path))
    await send(cast.anna, documents={"besluit.pdf": DOCUMENT}, department_id=cast.department)
    await open_with_code(app, outbox)
    for path in (of_anna, shared):
        assert "23 November 2026" in words(await cast.anna.client.get(path))


async def test_who_left_does_not_learn_from_what_the_department_sent(app: Starlette, cast: Cast, outbox: Outbox) -> None:
    of_bram, shared = await add(cast.bram), await add(cast.bram, department_id=cast.department)
    await send(cast.bram, documents={"besluit.pdf": DOCUMENT}, department_id=cast.department)
    shown = (await cast.anna.client.get(f"/departments/{cast.department}")).text
    bram = re.search(r"Bram Jansen.*?/members/([a-z2-7]{26})/remove", shown, re.DOTALL)
    assert bram
    await cast.anna.press(f"/departments/{cast.department}/members/{bram.group(1)}/remove")
    await open_with_code(app, outbox)
    assert "not yet on this number" in words(await cast.bram.client.get(of_bram))
    assert "23 November 2026" in words(await cast.anna.client.get(shared))


async def test_another_number_or_an_access_code_says_nothing(
    app: Starlette, cast: Cast, anna: httpx2.AsyncClient, outbox: Outbox
) -> None:
    one = await add(cast.anna, mobile=SAM.mobile)
    await send(cast.anna, documents={"besluit.pdf": DOCUMENT})
    await open_with_code(app, outbox)
    assert "not yet on this number" in words(await cast.anna.client.get(one))
    recipient = {"name": "Rosa", "email": ROSA.email, "mobile": SAM.mobile, "method": "access_code", "access_code": "appeltaart9"}
    made = await anna.post("/api/v1/transfers", json={"subject": "S", "note": "N", "recipients": [recipient]})
    await anna.post(f"/api/v1/transfers/{made.json()['id']}/send")
    async with browser(app) as rosa:
        path, secret = await outbox.link(ROSA.email)
        await recognise(rosa, (path, secret))
        answer = await enter(rosa, path, "appeltaart9")
        assert answer.url.path.endswith("/transfer")
    assert "not yet on this number" in words(await cast.anna.client.get(one))


# What the database holds, and the record


async def test_the_database_holds_no_name_address_or_number(services: Services, anna_portal: Portal) -> None:
    await add(anna_portal)
    async with services.database.reading() as session:
        row = (await session.execute(text("SELECT * FROM contact"))).one()
        events = (await session.execute(text("SELECT tag, facts FROM event WHERE tag LIKE 'contact%'"))).all()
    stored = repr(row) + repr(events)
    for clear in ("Rosa", "Visser", "Zorggroep", ROSA.email, "612345678", "zorg.example"):
        assert clear not in stored


async def test_the_record_says_who_did_what_to_a_shared_book(services: Services, cast: Cast) -> None:
    shared = await add(cast.bram, department_id=cast.department)
    await cast.anna.press(f"{shared}/edit", **(CARD | {"name": "Rosa"}), department_id=cast.department)
    await cast.anna.press(f"{shared}/remove")
    await cast.anna.client.get("/contacts/export.csv")
    async with services.database.reading() as session:
        rows: Sequence[Any] = (
            await session.execute(
                text(
                    "SELECT event.tag, staff_user.email, event.facts FROM event JOIN staff_user"
                    " ON staff_user.id = event.staff_user_id WHERE tag LIKE 'contact%' ORDER BY event.id"
                )
            )
        ).all()
    assert [(row.tag, row.email.partition("@")[0]) for row in rows] == [
        ("contact:added", "bram"),
        ("contact:changed", "anna"),
        ("contact:removed", "anna"),
        ("contacts:exported", "anna"),
    ]
    assert all(cast.department in str(row.facts) for row in rows[:3])
