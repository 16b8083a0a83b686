"""The address book: whose it is, finding people while typing, files in and out, and which number worked when."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import select
from starlette.applications import Starlette
from tests.conftest import Outbox, Portal, browser
from tests.web.acts import DOCUMENT, ROSA, open_link, send, sentences, words

from zegelpost.main import Services
from zegelpost.model.contact import Contact

pytestmark = pytest.mark.anyio

CARD = {"name": "Rosa Visser", "organisation": "Zorggroep Oost", "email": "rosa@zorg.example", "mobile": "06-12345678"}


async def suggested(portal: Portal, letters: str) -> list[str]:
    answer = await portal.press("/contacts/suggestions", letters=letters)
    assert answer.status_code == 200, answer.text
    return [contact["name"] for contact in answer.json()["contacts"]]


async def import_file(portal: Portal, content: bytes, name: str = "adressen.csv") -> str:
    answer = await portal.client.post("/contacts/import", data={"csrf": portal.csrf}, files={"file": (name, content)})
    return words(answer)


async def test_kept_found_changed_and_deleted(anna_portal: Portal, services: Services, database_kind: str) -> None:
    await anna_portal.press("/contacts/new", **CARD)
    listed = words(await anna_portal.client.get("/contacts"))
    for fact in ("Rosa Visser", "Zorggroep Oost", "rosa@zorg.example", "+31612345678"):
        assert fact in listed
    for letters in ("ros", "VISSER", "zorggroep", "rosa@", "0612345", "+31 6 123"):
        assert await suggested(anna_portal, letters) == ["Rosa Visser"], letters
    for letters in ("", "r", "bram", "9999"):
        assert await suggested(anna_portal, letters) == [], letters
    async with services.database.reading() as session:
        contact = (await session.scalars(select(Contact))).one()
        for part in (b"Rosa", b"zorg", b"12345678"):
            assert part not in contact.sealed_card
    await anna_portal.press(f"/contacts/{contact.id}", **(CARD | {"name": "Rosa de Groot", "mobile": ""}))
    assert "Rosa de Groot" in words(await anna_portal.client.get("/contacts"))
    await anna_portal.press(f"/contacts/{contact.id}/delete")
    assert "Rosa" not in words(await anna_portal.client.get("/contacts"))


async def test_books_are_apart(app: Starlette, anna_portal: Portal, services: Services) -> None:
    await anna_portal.press("/contacts/new", **CARD)
    async with services.database.reading() as session:
        contact = (await session.scalars(select(Contact))).one()
    async with browser(app) as client:
        mallory = Portal(client)
        await mallory.sign_in("mallory@zegelpost.example")
        assert await suggested(mallory, "rosa") == []
        assert "Rosa" not in words(await client.get("/contacts"))
        assert "Rosa" not in (await client.get("/contacts/export.csv")).text
        assert (await client.get(f"/contacts/{contact.id}")).status_code == 404
        assert (await client.get(f"/transfers/new?contact={contact.id}")).status_code == 404
        for path in ("", "/delete"):
            assert (await mallory.press(f"/contacts/{contact.id}{path}", **CARD)).status_code == 404
        foreign = await mallory.press("/contacts/new", **CARD, department_id="a" * 26)
        assert foreign.status_code == 422
        # The same address in another's book is another contact.
        assert (await mallory.press("/contacts/new", **CARD)).url.path == "/contacts"
    assert await suggested(anna_portal, "rosa") == ["Rosa Visser"]


@pytest.mark.parametrize(
    ("field", "typed", "sentence"),
    [
        ("name", " ", "Enter a name."),
        ("name", "x" * 121, "too long: 120"),
        ("organisation", "x" * 201, "too long: 200"),
        ("email", "rosa", "Enter a valid e-mail address"),
        ("email", "sam@zorg.example", "in this address book already"),
        ("mobile", "020 123 4567", "not a mobile number"),
    ],
)
async def test_what_is_wrong_is_told_and_the_rest_stays(anna_portal: Portal, field: str, typed: str, sentence: str) -> None:
    await anna_portal.press("/contacts/new", name="Sam", email="sam@zorg.example")
    answer = await anna_portal.press("/contacts/new", **(CARD | {field: typed}))
    assert answer.status_code == 422
    assert sentence in sentences(answer)[field]
    assert [value for name, value in CARD.items() if name != field and f'value="{value}"' not in answer.text] == []


async def test_sending_to_saving_from_and_remembering_the_number(app: Starlette, anna_portal: Portal, outbox: Outbox) -> None:
    await send(anna_portal, documents={"a.pdf": DOCUMENT}, **{"recipient-0-save": "1"})
    page = await anna_portal.client.get("/contacts")
    assert ROSA.name in words(page)
    assert "worked on" not in words(page)
    async with browser(app) as rosa:
        await open_link(rosa, outbox)
    assert "worked on 23 November 2026" in words(await anna_portal.client.get("/contacts"))
    contact = re.search(r"/transfers/new\?contact=([a-z2-7]{26})", page.text)
    assert contact
    form = (await anna_portal.client.get(contact.group(0))).text
    for value in (ROSA.name, ROSA.email, ROSA.number):
        assert f'value="{value}"' in form
    # Another number has proved nothing yet.
    await anna_portal.press(f"/contacts/{contact.group(1)}", name=ROSA.name, email=ROSA.email, mobile="0687654321")
    assert "worked on" not in words(await anna_portal.client.get("/contacts"))


OUTLOOK = "\ufeffVoornaam;Achternaam;Bedrijf;E-mailadres;Mobiele telefoon\r\nRosa;Visser;Zorg;rosa@zorg.example;06-12345678\r\n"
GOOGLE = (
    "First Name,Last Name,Organization Name,E-mail 1 - Value,Phone 1 - Value\n"
    '"Rosa","Visser","Zorg","rosa@zorg.example","+31 6 12345678"\n'
)
VCARD = (
    "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Rosa Visser\r\nN:Visser;Rosa;;;\r\nORG:Zorg\r\nEMAIL;TYPE=WORK:rosa@zorg.example\r\n"
    "TEL;TYPE=WORK:0201234567\r\nTEL;TYPE=CELL:0612345678\r\nEND:VCARD\r\n"
)
VCARD_4 = VCARD.replace("VERSION:3.0", "VERSION:4.0").replace("TEL;TYPE=CELL:", "TEL;VALUE=uri;TYPE=cell:tel:")


@pytest.mark.parametrize(
    "content",
    [
        OUTLOOK.encode(),
        OUTLOOK.replace("\ufeff", "").encode("windows-1252"),
        OUTLOOK.replace(";", "\t").encode("utf-16"),
        GOOGLE.encode(),
        VCARD.encode(),
        VCARD_4.encode(),
    ],
)
async def test_files_of_real_address_books(anna_portal: Portal, content: bytes) -> None:
    assert "1 added, 0 changed, 0 skipped" in await import_file(anna_portal, content)
    listed = words(await anna_portal.client.get("/contacts"))
    for fact in ("Rosa Visser", "Zorg", "rosa@zorg.example", "+31612345678"):
        assert fact in listed
    assert "0 added, 0 changed, 0 skipped" in await import_file(anna_portal, content)


async def test_each_row_gets_its_own_word(anna_portal: Portal) -> None:
    await anna_portal.press("/contacts/new", **CARD)
    rows = (
        "Naam;E-mailadres;Mobiel",
        "Rosa Visser;ROSA@zorg.example;0687654321",
        "Zoë Ümlaut;zoe@zorg.example;020 123 45 67",
        "Kapot;geen adres;",
        ";naamloos@zorg.example;",
        "Dubbel;zoe@zorg.example;0611111111",
        "",
    )
    told = await import_file(anna_portal, "\n".join(rows).encode("windows-1252"))
    assert "2 added, 2 changed, 1 skipped" in told
    assert "Zoë Ümlaut Added This is not a mobile number" in told
    assert "Kapot Skipped Enter a valid e-mail address" in told
    listed = words(await anna_portal.client.get("/contacts"))
    assert "+31687654321" in listed
    assert "naamloos" in listed
    assert "Zorggroep Oost" in listed  # what a file does not know stays


@pytest.mark.parametrize("content", [b"", b"\0\0\0", b"Naam\nRosa", b"BEGIN:VCARD\nkapot", b"\xff\xfe\x00", b"E-mailadres\n"])
async def test_a_file_that_is_none_is_told(anna_portal: Portal, content: bytes) -> None:
    assert "We cannot read this file" in await import_file(anna_portal, content)


async def test_what_goes_out_comes_back_the_same_and_is_no_formula(anna_portal: Portal) -> None:
    for name, email in (
        ("=HYPERLINK(1)", "een@zorg.example"),
        ('@Sam; "Smit"', "twee@zorg.example"),
        ("Zoë", "drie@zorg.example"),
    ):
        await anna_portal.press("/contacts/new", name=name, email=email, mobile="0612345678")
    before = words(await anna_portal.client.get("/contacts"))
    for kind in ("csv", "vcf"):
        exported = (await anna_portal.client.get(f"/contacts/export.{kind}")).content
        if kind == "csv":
            cells = exported.decode("utf-8-sig").replace("\r\n", ";").split(";")
            assert [cell for cell in cells if re.match(r'"[=+\-@]', cell)] == []
        assert "0 added, 0 changed, 0 skipped" in await import_file(anna_portal, exported, f"a.{kind}")
    assert words(await anna_portal.client.get("/contacts")) == before


async def test_forms_come_from_our_own_pages(app: Starlette, anna_portal: Portal) -> None:
    for path in ("/contacts/suggestions", "/contacts/new", "/contacts"):
        refused = await anna_portal.client.post(path, data={**CARD, "letters": "rosa"})
        assert refused.status_code == 403, path
    refused = await anna_portal.client.post("/contacts/import", files={"file": ("a.csv", OUTLOOK.encode())})
    assert refused.status_code == 403
