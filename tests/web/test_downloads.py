"""Downloads: the bytes that were asked for or an error that shows, harmless names, and archives that unpack where they should."""

from __future__ import annotations

import asyncio
import io
import os
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from tests.conftest import Outbox, Portal, browser
from tests.web.acts import BRAM, ROSA, open_link, send
from tests.web.test_upload_lines import FIRST, FULL, Line, anna_line, port  # noqa: F401 - fixtures
from tests.web.tus import (
    TRANSFERS,
    announced,
    documents_of,
    events,
    new_draft,
    patch,
    uploaded,
)

from zegelpost.main import Services
from zegelpost.model.event import EventTag

CONTENT = os.urandom(2_400_000)  # three segments
TOTAL = len(CONTENT)


@pytest.fixture
async def transfer_id(anna: httpx2.AsyncClient, anna_portal: Portal) -> str:
    """Sent to Rosa and Bram, with a document of three segments and a small one."""
    return await send(anna_portal, ROSA, BRAM, documents={"beeld.dcm": CONTENT, "brief.txt": b"Beste Rosa"})


@pytest.fixture
async def rosa(app: Starlette, transfer_id: str, outbox: Outbox) -> AsyncIterator[httpx2.AsyncClient]:
    """Her browser, after the code; addresses are relative to her link."""
    async with browser(app) as client:
        client.base_url = client.base_url.join(await open_link(client, outbox))
        yield client


@pytest.fixture
async def path(anna: httpx2.AsyncClient, transfer_id: str) -> str:
    """Of the first document, below a link or the transfer's own address."""
    return f"documents/{(await documents_of(anna, transfer_id))[0]['id']}"


# Ranges (RFC 9110, section 14)


async def test_one_range_is_given_as_asked(rosa: httpx2.AsyncClient, path: str) -> None:
    table = {
        "bytes=0-0": (0, 1),
        "bytes=0-": (0, TOTAL),
        f"bytes=0-{TOTAL - 1}": (0, TOTAL),
        f"bytes=0-{TOTAL}": (0, TOTAL),
        f"bytes=5-{10**17}": (5, TOTAL),
        f"bytes={FIRST - 1}-{FIRST}": (FIRST - 1, FIRST + 1),
        f"bytes={FIRST}-{FIRST + FULL - 1}": (FIRST, FIRST + FULL),
        f"bytes={FIRST + FULL - 3}-": (FIRST + FULL - 3, TOTAL),
        f"bytes={TOTAL - 1}-": (TOTAL - 1, TOTAL),
        f"bytes={TOTAL - 1}-{TOTAL - 1}": (TOTAL - 1, TOTAL),
        "bytes=-1": (TOTAL - 1, TOTAL),
        "bytes=-700000": (TOTAL - 700_000, TOTAL),
        f"bytes=-{TOTAL + 5}": (0, TOTAL),
        "bytes=00-007": (0, 8),
    }

    for asked, (start, stop) in table.items():
        answer = await rosa.get(path, headers={"Range": asked})
        assert (asked, answer.status_code) == (asked, 206)
        assert answer.content == CONTENT[start:stop], asked
        assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{TOTAL}"
        assert answer.headers["content-length"] == str(stop - start)


async def test_a_range_beyond_the_end_is_refused_with_the_length(rosa: httpx2.AsyncClient, path: str) -> None:
    for asked in (f"bytes={TOTAL}-", f"bytes={TOTAL}-{TOTAL + 5}", f"bytes={10**17}-", "bytes=-0"):
        answer = await rosa.get(path, headers={"Range": asked})
        assert (asked, answer.status_code) == (asked, 416)
        assert answer.headers["content-range"] == f"bytes */{TOTAL}"
        assert CONTENT[:50] not in answer.content


async def test_what_is_no_single_range_is_answered_with_the_whole(rosa: httpx2.AsyncClient, path: str) -> None:
    """Allowed by RFC 9110, section 14.2; several ranges at once are how downloads were made to cost a thousandfold."""
    for asked in (
        "bytes=0-1,5-6", "bytes=0-,0-,0-", "bytes=5-3", "bytes=-", "bytes=", "bytes", "0-5", "bytes=a-b", "bytes=1-2-3",
        "bytes=0x0-5", "bytes= 0-5", "lines=0-5", "bytes=--5", f"bytes={'9' * 5000}-", f"bytes=-{'9' * 5000}", "bytes=\xb2-",
    ):  # fmt: skip
        answer = await rosa.get(path, headers={b"Range": asked.encode("latin-1")})
        assert (asked[:20], answer.status_code) == (asked[:20], 200)
        assert answer.content == CONTENT
        assert "content-range" not in answer.headers


async def test_a_range_of_an_empty_document_does_not_exist(anna: httpx2.AsyncClient) -> None:
    transfer_id = await new_draft(anna)
    await uploaded(anna, transfer_id, "leeg.txt", b"")
    url = f"{TRANSFERS}/{transfer_id}/documents/{(await documents_of(anna, transfer_id))[0]['id']}"

    assert ((whole := await anna.get(url)).status_code, whole.content, whole.headers["content-length"]) == (200, b"", "0")
    for asked in ("bytes=0-", "bytes=0-0", "bytes=-1"):
        answer = await anna.get(url, headers={"Range": asked})
        assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */0")


async def test_a_range_of_another_version_gives_the_whole(rosa: httpx2.AsyncClient, path: str) -> None:
    """If-Range (RFC 9110, section 13.1.5): a client must not glue halves of two documents together."""
    whole = await rosa.get(path)
    tag = whole.headers["etag"]
    assert tag.startswith('"')

    for condition, status in (
        (tag, 206), ('"other"', 200), (f"W/{tag}", 200), (tag.strip('"'), 200), ("Mon, 23 Nov 2026 12:00:00 GMT", 200), ("", 200),
    ):  # fmt: skip
        answer = await rosa.get(path, headers={"Range": "bytes=5-9", "If-Range": condition})
        assert (condition, answer.status_code) == (condition, status)
        assert answer.content == (CONTENT[5:10] if status == 206 else CONTENT)
    assert (await rosa.get(path)).headers["etag"] == tag


async def test_the_tag_tells_nothing_and_differs_for_the_same_content(anna: httpx2.AsyncClient) -> None:
    transfer_id = await new_draft(anna)
    for name in ("a.dcm", "b.dcm"):
        await uploaded(anna, transfer_id, name, b"dezelfde inhoud")
    urls = [f"{TRANSFERS}/{transfer_id}/documents/{document['id']}" for document in await documents_of(anna, transfer_id)]

    first, second = [(await anna.get(url)).headers["etag"] for url in urls]
    assert first != second


PARTS = ((0, 1), (1, 1000), (1000, 1_500_000), (1_500_000, 2_600_000))
PARTS_TOTAL = PARTS[-1][1]
EDGES = st.sampled_from(
    [0, 1, 999, 1000, 1001, 999 + FIRST, 1000 + FIRST, 1_500_000, PARTS_TOTAL - 1, PARTS_TOTAL, PARTS_TOTAL + 1]
)
PLACES = st.none() | EDGES | st.integers(0, PARTS_TOTAL + 10)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=PLACES, last=PLACES)
async def test_any_range_is_the_slice(
    anna: httpx2.AsyncClient, in_parts: tuple[str, bytes], first: int | None, last: int | None
) -> None:
    url, content = in_parts
    wanted: range | None
    if first is None:
        wanted = None if last is None else range(max(0, PARTS_TOTAL - last), PARTS_TOTAL)
    elif last is not None and last < first:
        wanted = None  # no range at all, so all of it
    else:
        wanted = range(first, PARTS_TOTAL if last is None else min(last + 1, PARTS_TOTAL))

    answer = await anna.get(url, headers={"Range": f"bytes={'' if first is None else first}-{'' if last is None else last}"})

    if wanted is None:
        assert (answer.status_code, answer.content == content) == (200, True)
    elif not wanted:
        assert answer.status_code == 416
    else:
        assert (answer.status_code, answer.content == content[wanted.start : wanted.stop]) == (206, True)
        assert answer.headers["content-range"] == f"bytes {wanted.start}-{wanted.stop - 1}/{PARTS_TOTAL}"


@pytest.fixture
async def in_parts(anna: httpx2.AsyncClient) -> tuple[str, bytes]:
    """A document of parts of one byte, of one segment, and of more."""
    content = os.urandom(PARTS_TOTAL)
    transfer_id = await new_draft(anna)
    url = await announced(anna, len(content), transfer_id=transfer_id)
    for start, stop in PARTS:
        assert (await patch(anna, url, start, content[start:stop])).status_code == 204
    (document,) = await documents_of(anna, transfer_id)
    return f"{TRANSFERS}/{transfer_id}/documents/{document['id']}", content


# What comes along


async def test_what_was_uploaded_is_saved_and_never_shown(
    rosa: httpx2.AsyncClient, anna: httpx2.AsyncClient, bram: httpx2.AsyncClient, transfer_id: str, path: str
) -> None:
    for reader, base in ((rosa, ""), (anna, f"{TRANSFERS}/{transfer_id}/"), (bram, f"{TRANSFERS}/{transfer_id}/")):
        for where, kind, asked in (
            (path, "application/octet-stream", ""),
            (path, "application/octet-stream", "bytes=0-5"),
            ("archive.zip", "application/zip", ""),
        ):
            answer = await reader.get(base + where, headers={"Range": asked} if asked else {})
            headers = answer.headers
            assert answer.status_code == (206 if asked else 200)
            assert headers["content-type"] == kind
            assert headers["content-disposition"].startswith("attachment; ")
            assert headers["x-content-type-options"] == "nosniff"
            assert "no-store" in headers["cache-control"]
            assert {"default-src 'none'", "sandbox"} <= set(headers["content-security-policy"].split("; "))
            assert "allow-" not in headers["content-security-policy"]
            assert headers["x-frame-options"] == "DENY"
            assert headers["referrer-policy"] == "same-origin"
            assert headers["cross-origin-resource-policy"] == "same-origin"
            assert "content-encoding" not in headers
            assert "set-cookie" not in headers
        assert headers.get("accept-ranges") is None


async def test_names_reach_every_browser(anna: httpx2.AsyncClient) -> None:
    """RFC 6266 and RFC 8187; the plain name is for the few programs that know no other."""
    transfer_id = await new_draft(anna)
    table = {
        "verslag 2026.pdf": "attachment; filename=\"verslag 2026.pdf\"; filename*=UTF-8''verslag%202026.pdf",
        "café é.pdf": "attachment; filename=\"caf_ _.pdf\"; filename*=UTF-8''caf%C3%A9%20%C3%A9.pdf",
        "50% korting; x=y.pdf": "attachment; filename=\"50_ korting; x=y.pdf\"; filename*=UTF-8''50%25%20korting%3B%20x%3Dy.pdf",
        "漢字👩.pdf": "attachment; filename=\"___.pdf\"; filename*=UTF-8''%E6%BC%A2%E5%AD%97%F0%9F%91%A9.pdf",
        "d'or (2).pdf": "attachment; filename=\"d'or (2).pdf\"; filename*=UTF-8''d%27or%20%282%29.pdf",
    }
    for name in table:
        await uploaded(anna, transfer_id, name, b"%PDF-1.7\n")

    for document, (name, expected) in zip(await documents_of(anna, transfer_id), table.items(), strict=True):
        told = (await anna.get(f"{TRANSFERS}/{transfer_id}/documents/{document['id']}")).headers["content-disposition"]
        assert told == expected
        assert unquote(told.partition("UTF-8''")[2]) == name


async def test_the_archive_is_named_in_the_readers_language(rosa: httpx2.AsyncClient) -> None:
    for language, name in (("en", "documents.zip"), ("nl", "documenten.zip")):
        answer = await rosa.get("archive.zip", headers={"Accept-Language": language})
        assert f'filename="{name}"' in answer.headers["content-disposition"]


async def test_asking_for_the_headers_gives_no_byte_and_counts_for_nothing(
    rosa: httpx2.AsyncClient, anna: httpx2.AsyncClient, services: Services, transfer_id: str, path: str
) -> None:
    for reader, base in ((rosa, ""), (anna, f"{TRANSFERS}/{transfer_id}/")):
        whole = await reader.head(base + path)
        assert (whole.status_code, whole.content, whole.headers["content-length"]) == (200, b"", str(TOTAL))
        assert whole.headers["accept-ranges"] == "bytes"
        some = await reader.head(base + path, headers={"Range": "bytes=-5"})
        assert (some.status_code, some.content, some.headers["content-length"]) == (206, b"", "5")
        assert some.headers["etag"] == whole.headers["etag"]
    tags = {event.tag for event in await events(services)}
    assert not tags & {EventTag.DOCUMENT_CONSULTED, EventTag.DOCUMENT_DOWNLOADED, EventTag.ARCHIVE_DOWNLOADED}


# All at once


async def test_an_archive_holds_all_under_names_that_stay_apart(anna: httpx2.AsyncClient) -> None:
    transfer_id = await new_draft(anna)
    given = {
        "verslag.txt": "verslag.txt",
        "VERSLAG.TXT": "VERSLAG (2).TXT",
        "verslag (2).txt": "verslag (2) (2).txt",
        "map/verslag.txt": "verslag (3).txt",
        "../../verslag.txt": "verslag (4).txt",
        "café.txt": "café.txt",
        "cafe\u0301.txt": "café (2).txt",
        "Straße.txt": "Straße.txt",
        "STRASSE.txt": "STRASSE (2).txt",
        "con.txt": "_con.txt",
        "x" * 300 + ".txt": "x" * 236 + ".txt",
        "x" * 301 + ".txt": "x" * 236 + " (2).txt",
        "leeg.txt": "leeg.txt",
    }
    contents = [b"" if name == "leeg.txt" else f"inhoud {number}\n".encode() * 10_000 for number, name in enumerate(given)]
    for name, content in zip(given, contents, strict=True):
        await uploaded(anna, transfer_id, name, content)

    archive = await anna.get(f"{TRANSFERS}/{transfer_id}/archive.zip")

    assert archive.status_code == 200
    with zipfile.ZipFile(io.BytesIO(archive.content)) as unpacked:
        assert unpacked.testzip() is None  # reads everything and compares checksums
        assert unpacked.namelist() == list(given.values())
        assert [unpacked.read(name) for name in unpacked.namelist()] == contents
        assert {(member.date_time[:3], member.is_dir()) for member in unpacked.infolist()} == {((2026, 11, 23), False)}
        assert not unpacked.comment
        (accented,) = [member for member in unpacked.infolist() if member.filename == "café.txt"]
        assert accented.flag_bits & 0x800  # names are UTF-8, and say so


async def test_an_archive_tells_its_length_before_its_first_byte(
    anna: httpx2.AsyncClient,
    anna_line: Line,  # noqa: F811 - fixture
) -> None:
    transfer_id = await new_draft(anna)
    contents = {"groot.dcm": os.urandom(20_000_000), "klein.dcm": b"inhoud"}  # more than the kernel takes at once
    for name, content in contents.items():
        await uploaded(anna, transfer_id, name, content)
    url = f"{TRANSFERS}/{transfer_id}/archive.zip"
    told = (await anna.head(url)).headers["content-length"]

    for _ in range(2):  # and the line is good for more
        await anna_line.send(anna_line.head("GET", url))
        head = await asyncio.wait_for(anna_line.reader.readuntil(b"\r\n\r\n"), 20)
        assert f"\r\ncontent-length: {told}\r\n" in head.decode().lower()
        archive = await asyncio.wait_for(anna_line.reader.readexactly(int(told)), 60)
        with zipfile.ZipFile(io.BytesIO(archive)) as unpacked:
            assert {name: unpacked.read(name) for name in unpacked.namelist()} == contents


async def test_an_archive_unpacks_where_it_should(anna: httpx2.AsyncClient, tmp_path: Path) -> None:
    transfer_id = await new_draft(anna)
    for name in ("../a.txt", "/etc/b.txt", "..\\c.txt", "C:\\d.txt", "~/e.txt", "f.txt"):
        await uploaded(anna, transfer_id, name, b"inhoud")
    archive = (await anna.get(f"{TRANSFERS}/{transfer_id}/archive.zip")).content

    with zipfile.ZipFile(io.BytesIO(archive)) as unpacked:
        names = unpacked.namelist()
        unpacked.extractall(tmp_path / "uit")

    assert names == ["a.txt", "b.txt", "c.txt", "d.txt", "e.txt", "f.txt"]
    assert sorted(path.name for path in (tmp_path / "uit").iterdir()) == names


async def test_what_has_not_arrived_is_not_in_the_archive(anna: httpx2.AsyncClient) -> None:
    transfer_id = await new_draft(anna)
    await announced(anna, 10, "half.txt", transfer_id)
    await uploaded(anna, transfer_id, "heel.txt", b"inhoud")

    archive = (await anna.get(f"{TRANSFERS}/{transfer_id}/archive.zip")).content

    with zipfile.ZipFile(io.BytesIO(archive)) as unpacked:
        assert unpacked.namelist() == ["heel.txt"]
