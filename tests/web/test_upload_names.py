"""Names of uploads, as hostile as they come: harmless once they are in, and nothing hides an extension that is not allowed."""

from __future__ import annotations

import io
import zipfile
from urllib.parse import unquote

import httpx2
from tests.conftest import Portal
from tests.web.acts import words
from tests.web.tus import TRANSFERS, UPLOADS, VERSION, base64_of, create, documents_of, is_refused, new_draft, uploaded

HARMLESS = {
    "../../../etc/cron.d/beeld.dcm": "beeld.dcm",
    "..\\..\\windows\\system32\\beeld.dcm": "beeld.dcm",
    "/etc/beeld.dcm": "beeld.dcm",
    "C:beeld.dcm": "C_beeld.dcm",
    "file:///etc/passwd?.dcm": "passwd_.dcm",
    "beeld.exe\x00.dcm": "beeld.exe.dcm",
    "beeld\r\nSet-Cookie: x=1;.dcm": "beeldSet-Cookie_ x=1;.dcm",
    "beeld\x1b[31m\x7f.dcm": "beeld[31m.dcm",
    "beeldmcd.\u202e\u2066exe.dcm": "beeldmcd.exe.dcm",
    "bee\u200bld\u2060.dcm": "beeld.dcm",
    "con.dcm": "_con.dcm",
    "LPT9 .dcm": "_LPT9 .dcm",
    ".dcm.dcm": "_dcm.dcm",
    "beeld.dcm. . .": "beeld.dcm",
    "<script>alert(1)</script>.dcm": "script_.dcm",
    "<img src=x onerror=alert(1)>.dcm": "_img src=x onerror=alert(1)_.dcm",
    "a\"b';--{{7*7}}%0d%0a.dcm": "a_b';--{{7_7}}%0d%0a.dcm",
    "b" * 5000 + ".dcm": "b" * 236 + ".dcm",
    "👩" * 100 + ".DCM": "👩" * 59 + ".DCM",
    "verslag é ü ł 漢字.dcm": "verslag é ü ł 漢字.dcm",
}


async def test_a_hostile_name_is_made_harmless_once_and_for_all(anna: httpx2.AsyncClient, anna_portal: Portal) -> None:
    transfer_id = await new_draft(anna)
    for given in HARMLESS:
        await uploaded(anna, transfer_id, given, b"abcd")

    documents = await documents_of(anna, transfer_id)
    assert [document["name"] for document in documents] == list(HARMLESS.values())
    page = await anna_portal.client.get(f"/transfers/{transfer_id}/check")
    for name in HARMLESS.values():
        assert name in words(page)
    assert not [text for text in ("<script>alert", "<img src=x", "\r\n", "\x1b", "\x7f", "\u202e", "\x00") if text in page.text]


async def test_a_harmless_name_stays_so_on_the_way_out(anna: httpx2.AsyncClient) -> None:
    transfer_id = await new_draft(anna)
    for given in HARMLESS:
        await uploaded(anna, transfer_id, given, b"abcd")

    for document in await documents_of(anna, transfer_id):
        answer = await anna.get(f"{TRANSFERS}/{transfer_id}/documents/{document['id']}")
        plain, _, encoded = answer.headers["content-disposition"].partition("; filename*=UTF-8''")
        assert unquote(encoded) == document["name"]
        assert plain.startswith('attachment; filename="')
        assert plain.isascii()
        assert plain.count('"') == 2
        assert not set(plain) & set("\\%\r\n")
    archive = await anna.get(f"{TRANSFERS}/{transfer_id}/archive.zip")
    with zipfile.ZipFile(io.BytesIO(archive.content)) as unpacked:
        names = unpacked.namelist()
    assert len({name.casefold() for name in names}) == len(HARMLESS)
    assert not [name for name in names if set(name) & set("/\\:") or name.startswith(".")]


async def test_a_name_of_which_nothing_is_left_is_refused(anna: httpx2.AsyncClient) -> None:
    transfer_id = await new_draft(anna)

    for given in ("", ".", "..", "map/", "\x00", "\u202e\u200b", "   ", ". . .", "???"):
        assert await is_refused(await create(anna, transfer_id, given, 4), 422, "file_name_invalid"), given
    assert await documents_of(anna, transfer_id) == []


async def test_an_extension_that_is_not_allowed_hides_behind_nothing(anna: httpx2.AsyncClient) -> None:
    transfer_id = await new_draft(anna)
    names = (
        "brief.exe", "brief.EXE", "brief.pdf.exe", "brief.exe.", "brief.exe ", "brief.exe. .", "brief.exe\u200b",
        "brief.\u202eexe", "brief.ex\x00e", "brief.pdf/brief.exe", "brief.pdf\\brief.exe", "brief.exe:.pdf\x00/a.exe",
        "brief.docm", "brief.html", "brief.svg", "brief.js", "brief.lnk", "brief.pdf;.hta",
        "brief.\uff50\uff44\uff46",
    )  # fmt: skip

    for given in names:
        assert await is_refused(await create(anna, transfer_id, given, 4), 415, "extension_not_allowed"), given
    for given in ("brief", ".pdf", "pdf", "brief."):
        assert await is_refused(await create(anna, transfer_id, given, 4), 415, "extension_missing"), given
    assert await documents_of(anna, transfer_id) == []


async def test_an_extension_counts_as_people_see_it(anna: httpx2.AsyncClient) -> None:
    transfer_id = await new_draft(anna)

    for given in ("BEELD.DCM", "beeld.DcM", "beeld.exe.dcm", "beeld .dcm", "beeld.d\u200bcm"):
        assert (await create(anna, transfer_id, given, 4)).status_code == 201, given


async def test_metadata_that_names_no_document_makes_none(anna: httpx2.AsyncClient) -> None:
    transfer_id = await new_draft(anna)
    pairs = {
        None: "upload_metadata_invalid",
        "": "upload_metadata_invalid",
        "filename YS5kY20=": "upload_metadata_invalid",
        "transfer_id {id}": "upload_metadata_invalid",
        "transfer_id {id},filename": "file_name_invalid",
        "transfer_id {id},filename YS5kY20": "upload_metadata_invalid",
        "transfer_id {id},filename a.dcm": "upload_metadata_invalid",
        "transfer_id {id},filename YS5k Y20=": "upload_metadata_invalid",
        "transfer_id {id},filename /+9hLmRjbQ==": "upload_metadata_invalid",  # not UTF-8
        "transfer_id,filename YS5kY20=": "not_found",
        "transfer_id {id};filename YS5kY20=": "upload_metadata_invalid",
        "TRANSFER_ID {id},FILENAME YS5kY20=": "upload_metadata_invalid",
    }

    for told, code in pairs.items():
        headers = {**VERSION, "Upload-Length": "4"}
        if told is not None:
            headers["Upload-Metadata"] = told.replace("{id}", base64_of(transfer_id))
        answer = await anna.post(UPLOADS, headers=headers)
        assert answer.json()["code"] == code, told
        assert 400 <= answer.status_code < 500
    assert await documents_of(anna, transfer_id) == []
