"""Contacts in and out as files: told beforehand, confirmed, and reported row by row."""

from __future__ import annotations

import html
import json
import re
import tempfile
from typing import Any

import httpx2
import pytest
from sqlalchemy import text
from tests.conftest import Portal
from tests.web.acts import ROSA, SAM, sentences, words
from tests.web.test_contacts import CARD, Cast, add, cast, names, suggested

from zegelpost.main import Services
from zegelpost.model.contact import MOST_CONTACTS

__all__ = ["cast"]
pytestmark = pytest.mark.anyio

FILE = (
    "Naam;Organisatie;E-mailadres;Mobiel nummer\r\n"
    "Rosa Visser;Zorggroep Noord;rosa@zorg.example;06-12345678\r\n"
    "Sam Smit;;sam@advocaat.example;020-1234567\r\n"
    "Dubbel;;ROSA@zorg.example;\r\n"
    "Zonder;Adres BV;;0612345678\r\n"
    "Fout;;geen adres;\r\n"
    "Rus;;rus@verweg.example;+7 912 345 67 89\r\n"
)


async def upload(portal: Portal, content: str | bytes, *, name: str = "contacten.csv", **fields: str) -> httpx2.Response:
    body = content.encode() if isinstance(content, str) else content
    return await portal.client.post("/contacts/import", data={"csrf": portal.csrf, **fields}, files={"file": (name, body)})


async def confirm(portal: Portal, preview: httpx2.Response, **other: str) -> httpx2.Response:
    """Press the button below a preview."""
    found = re.findall(r'<input type="hidden" name="(rows|department_id)" value="([^"]*)">', preview.text)
    fields = {name: html.unescape(value) for name, value in found} | other
    assert "rows" in fields, words(preview)
    return await portal.client.post("/contacts/import/confirm", data={"csrf": portal.csrf, **fields}, files={"none": ("", b"")})


def reported(answer: httpx2.Response) -> dict[str, list[str]]:
    """The rows of a report, by what became of them."""
    parts = re.findall(r"<summary>(.*?) \(\d+\)</summary>(.*?)</details>", answer.text, re.DOTALL)
    return {
        title: [
            " ".join(html.unescape(re.sub(r"<[^>]*>", " ", row)).split())
            for row in re.findall(r"<li>(.*?)</li>", rows, re.DOTALL)
        ]
        for title, rows in parts
    }


async def test_told_beforehand_then_done_and_reported_row_by_row(anna_portal: Portal, database_kind: str) -> None:
    expected = {
        "Skipped": [
            "Row 4 Dubbel, ROSA@zorg.example This e-mail address is in the file twice; the first one counts.",
            "Row 5 Zonder, Adres BV, 0612345678 There is no e-mail address.",
            "Row 6 Fout, geen adres The e-mail address is not valid.",
        ],
        "New": [
            "Row 2 Rosa Visser, Zorggroep Noord, rosa@zorg.example, 06-12345678",
            "Row 3 Sam Smit, sam@advocaat.example, 020-1234567 Without the number: it is not a mobile number.",
            "Row 7 Rus, rus@verweg.example, +7 912 345 67 89 Without the number: we cannot send text messages to this country.",
        ],
    }
    preview = await upload(anna_portal, FILE)
    assert reported(preview) == expected
    assert await suggested(anna_portal, "e") == []

    done = await confirm(anna_portal, preview)
    assert reported(done) == expected
    assert "The contacts are in the address book." in words(done)
    assert [(each["name"], each["mobile"]) for each in await suggested(anna_portal, "e")] == [
        ("Rosa Visser", ROSA.number),
        ("Rus", ""),
        ("Sam Smit", ""),
    ]

    # The same file again, with one number mended; nothing that is empty takes anything away.
    mended = FILE.replace("020-1234567", "06-87654321").replace("Zorggroep Noord;", ";")
    again = await upload(anna_portal, mended)
    assert [row[:14] for row in reported(again)["Changed"]] == ["Row 3 Sam Smit"]
    assert len(reported(again)["There already, the same"]) == 2
    await confirm(anna_portal, again)
    assert [each["organisation"] for each in await suggested(anna_portal, "rosa")] == ["Zorggroep Noord"]
    assert [each["mobile"] for each in await suggested(anna_portal, "sam")] == [SAM.number]
    nothing = await upload(anna_portal, mended)
    assert "There is nothing to save." in words(nothing)


async def test_a_report_in_dutch_of_a_windows_file(anna_portal: Portal) -> None:
    anna_portal.client.headers["Accept-Language"] = "nl"
    preview = await upload(anna_portal, "Naam;E-mail\nZoë;zoe@zorg.example\nX;fout\n".encode("cp1252"))
    assert reported(preview)["Overgeslagen"] == ["Rij 3 X, fout Het e-mailadres klopt niet."]
    assert reported(preview)["Nieuw"] == ["Rij 2 Zoë, zoe@zorg.example"]


async def test_into_a_departments_book_and_no_other(cast: Cast) -> None:
    preview = await upload(cast.bram, FILE, department_id=cast.department)
    await confirm(cast.bram, preview)
    assert [each["book"] for each in await suggested(cast.anna, "rosa")] == ["Klachtenafdeling"]
    for answer in (
        await upload(cast.mallory, FILE, department_id=cast.department),
        await confirm(cast.mallory, preview, department_id=cast.department),
    ):
        assert answer.status_code == 422
        assert "There is no such department." in words(answer)
    mine = await confirm(cast.mallory, preview, department_id="")
    assert "New: 3" in words(mine)
    assert len(await suggested(cast.anna, "rosa")) == 1


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "Choose a file first."),
        (b"PK\x03\x04\x00\x00", "This is not a CSV file or a vCard."),
        (b"Naam;Straat\nA;B\n", "There is no column with e-mail addresses."),
        (b"E-mail\n" + b"a@b.nl\n" * (MOST_CONTACTS + 1), f"too many contacts: {MOST_CONTACTS}"),
        (b"E-mail\n" + b"a" * (10 * 1024 * 1024), "This is too large."),
    ],
)
async def test_what_is_wrong_with_a_file_is_told_at_its_field(anna_portal: Portal, content: bytes, sentence: str) -> None:
    answer = await upload(anna_portal, content)
    assert answer.status_code == 422
    assert sentence in sentences(answer)["file"]


async def test_a_form_that_is_larger_still_is_not_even_read(anna_portal: Portal) -> None:
    assert (await upload(anna_portal, b"x" * (12 * 1024 * 1024))).status_code == 413


@pytest.mark.parametrize(
    "rows",
    ["", "x", "{}", "[[]]", "[[1,2]]", '[["1","a","","a@b.nl",""]]', "[" * 100_000, '[[1,"\\ud800","","a@b.nl",""]]', "[1]"],
)
async def test_rows_that_no_page_of_ours_held_are_refused(anna_portal: Portal, rows: str) -> None:
    preview = await upload(anna_portal, FILE)
    assert (await confirm(anna_portal, preview, rows=rows)).status_code == 422
    assert await suggested(anna_portal, "e") == []


async def test_rows_that_were_changed_on_the_way_are_checked_again(anna_portal: Portal) -> None:
    preview = await upload(anna_portal, FILE)
    rows: list[Any] = [[2, "", "", "leeg@b.nl", ""], [3, "N" * 200, "", "lang@b.nl", ""], [4, "Goed", "", "goed@b.nl", "x"], [5]]
    done = await confirm(anna_portal, preview, rows=json.dumps(rows))
    assert [row.rpartition("  ")[2] for row in reported(done)["Skipped"]] == [
        "Row 2 leeg@b.nl There is no name.",
        f"Row 3 {'N' * 200}, lang@b.nl The name is too long.",
        "Row 5 This row could not be read.",
    ]
    assert names(await suggested(anna_portal, "b.nl")) == ["Goed"]
    many = await confirm(anna_portal, preview, rows=json.dumps([[1]] * (MOST_CONTACTS + 1)))
    assert many.status_code == 422


async def test_a_file_never_touches_the_disk_unsealed(anna_portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_file(*_: object, **__: object) -> None:
        raise AssertionError("a temporary file was made")

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", no_file)
    photo = "PHOTO;ENCODING=b:" + "A" * (3 * 1024 * 1024)
    card = f"BEGIN:VCARD\nVERSION:3.0\nFN:Rosa\nEMAIL:rosa@zorg.example\n{photo}\nEND:VCARD\n"
    preview = await upload(anna_portal, card, name="rosa.vcf")
    assert reported(preview)["New"] == ["Row 1 Rosa, rosa@zorg.example"]


async def test_exports_come_back_in_as_they_were(cast: Cast) -> None:
    await add(cast.anna, name="=1+1", organisation="@zorg")
    await add(cast.anna, name="'t Hart", email=SAM.email, department_id=cast.department)
    for name, media_type in (("csv", "text/csv"), ("vcf", "text/vcard")):
        answer = await cast.anna.client.get(f"/contacts/export.{name}")
        assert answer.headers["content-type"].startswith(media_type)
        assert (
            answer.headers["content-disposition"]
            == f"attachment; filename=\"contactpersonen.{name}\"; filename*=UTF-8''contactpersonen.{name}"
        )
        preview = await upload(cast.mallory, answer.content, name=name)
        if "New" in reported(preview):
            await confirm(cast.mallory, preview)
        else:
            # What the first file brought is what the second one says.
            assert len(reported(preview)["There already, the same"]) == 2
    found = await suggested(cast.mallory, "1+1")
    assert [(each["name"], each["organisation"], each["mobile"]) for each in found] == [("=1+1", "@zorg", ROSA.number)]
    assert names(await suggested(cast.mallory, "hart")) == ["'t Hart"]
    cells = (await cast.anna.client.get("/contacts/export.csv")).text
    assert f",'{ROSA.number}" in cells
    cast.anna.client.headers["Accept-Language"] = "nl"
    assert "Naam;Organisatie;E-mailadres;Mobiel nummer" in (await cast.anna.client.get("/contacts/export.csv")).text


async def test_a_full_book_takes_no_more(services: Services, anna_portal: Portal) -> None:
    rows = "".join(f"Persoon {number};p{number}@zorg.example\n" for number in range(MOST_CONTACTS - 1))
    await confirm(anna_portal, await upload(anna_portal, f"Naam;E-mail\n{rows}"))
    preview = await upload(anna_portal, "Naam;E-mail\nLaatste;l@b.nl\nTe veel;t@b.nl\n")
    assert reported(preview)["Skipped"] == ["Row 3 Te veel, t@b.nl The address book is full."]
    await confirm(anna_portal, preview)
    refused = await anna_portal.press("/contacts/new", **CARD)
    assert refused.status_code == 422
    assert "There are too many contacts: 5000 at most." in words(refused)
    assert "Rosa Visser" in refused.text
    # Nor while sending; the draft is not made without it.
    form = {"recipient-0-name": "Rosa", "recipient-0-email": ROSA.email, "recipient-0-mobile": ROSA.mobile}
    draft = {"subject": "S", "note": "", "reference": "", "expires_in_days": "28", "language": "nl", "recipient-0-save": "1"}
    answer = await anna_portal.press("/transfers", **form, **draft)
    assert "There are too many contacts" in sentences(answer)["recipient-0-save"]
    async with services.database.reading() as session:
        count = await session.scalar(text("SELECT count(*) FROM contact"))
        facts = (await session.scalars(text("SELECT facts FROM event WHERE tag = 'contacts:imported' ORDER BY id"))).all()
    assert count == MOST_CONTACTS
    assert [json.loads(each)["added_count"] for each in facts] == [MOST_CONTACTS - 1, 1]
