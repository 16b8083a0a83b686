"""Fetched is who got every byte: no wrong byte ever leaves, what breaks off shows, and nothing leaves after the end."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import select
from starlette.applications import Starlette
from tests.conftest import MovableClock, Outbox, Portal, browser, signed_in
from tests.web.acts import BRAM, ROSA, open_link, send
from tests.web.test_upload_lines import FULL, Line, anna_line, port  # noqa: F401 - fixtures
from tests.web.tus import TRANSFERS, documents_of, events, new_draft, stored_blobs, uploaded

from zegelpost.main import Services
from zegelpost.model.event import ActorKind, EventTag
from zegelpost.model.handed_over import HandedOver, Piece

CONTENT = os.urandom(2_400_000)  # three segments
TOTAL = len(CONTENT)
Damage = Callable[[Path, Path], None]
DOWNLOADED = {EventTag.DOCUMENT_DOWNLOADED, EventTag.ARCHIVE_DOWNLOADED}


@pytest.fixture
async def transfer_id(anna: httpx2.AsyncClient, anna_portal: Portal) -> str:
    """Sent to Rosa and Bram, with one document."""
    return await send(anna_portal, ROSA, BRAM, documents={"beeld.dcm": CONTENT})


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


async def downloads(services: Services) -> list[tuple[EventTag, ActorKind]]:
    return [(event.tag, event.actor_kind) for event in await events(services) if event.tag in DOWNLOADED]


async def pieces(services: Services) -> list[list[Piece]]:
    """What every reader has so far, of documents they have not got whole."""
    async with services.database.reading() as session:
        return list(await session.scalars(select(HandedOver.pieces)))


async def states(anna: httpx2.AsyncClient, transfer_id: str) -> dict[str, str]:
    transfer = (await anna.get(f"{TRANSFERS}/{transfer_id}")).json()
    return {recipient["name"]: recipient["state"] for recipient in transfer["recipients"]}


# Altered, lost, out of order


def flip(place: int) -> Damage:
    def damage(blob: Path, _: Path) -> None:
        content = bytearray(blob.read_bytes())
        content[place] ^= 1
        blob.write_bytes(content)

    return damage


def cut(blob: Path, _: Path) -> None:
    blob.write_bytes(blob.read_bytes()[:-1])


def extend(blob: Path, _: Path) -> None:
    blob.write_bytes(blob.read_bytes() + b"x")


def swap(blob: Path, other: Path) -> None:
    blob.write_bytes(other.read_bytes())


def lose(blob: Path, _: Path) -> None:
    blob.unlink()


DAMAGES = {
    "header": flip(3),
    "first byte": flip(40),
    "second segment": flip(FULL + 16 + 10),
    "last byte": flip(-1),
    "cut": cut,
    "extended": extend,
    "of another document": swap,
    "lost": lose,
}


@pytest.mark.parametrize("how", DAMAGES)
async def test_of_what_was_altered_no_wrong_byte_leaves_and_the_download_does_not_look_whole(
    anna: httpx2.AsyncClient,
    anna_line: Line,  # noqa: F811 - fixture
    services: Services,
    how: str,
) -> None:
    transfer_id = await new_draft(anna)
    await uploaded(anna, transfer_id, "beeld.dcm", CONTENT)
    (blob,) = stored_blobs(services)
    await uploaded(anna, transfer_id, "ander.dcm", os.urandom(TOTAL))
    (other,) = set(stored_blobs(services)) - {blob}
    url = f"{TRANSFERS}/{transfer_id}/documents/{(await documents_of(anna, transfer_id))[0]['id']}"
    archive_url = f"{TRANSFERS}/{transfer_id}/archive.zip"
    good = blob.read_bytes()

    blob.chmod(0o600)
    DAMAGES[how](blob, other)
    for address, asked in ((url, {}), (url, {"Range": "bytes=5-"}), (archive_url, {})):
        head, body = await until_the_end(anna_line, address, **asked)
        if b" 200 " in head or b" 206 " in head:
            start = 5 if asked else 0
            assert len(body) < announced_bytes(head)
            if address == url:
                assert announced_bytes(head) == TOTAL - start
                assert CONTENT[start:].startswith(body)
        else:
            assert head.startswith(b"HTTP/1.1 500 ")
    assert await downloads(services) == []

    blob.write_bytes(good)
    head, body = await until_the_end(anna_line, archive_url)
    assert (b" 200 " in head, len(body)) == (True, announced_bytes(head))
    assert (await until_the_end(anna_line, url))[1] == CONTENT
    assert len(await downloads(services)) == 2


async def until_the_end(line: Line, url: str, **headers: str) -> tuple[bytes, bytes]:
    """Headers and everything that comes until the server hangs up."""
    await line.close()
    await line.open()
    await line.send(line.head("GET", url, Connection="close", **headers))
    whole = await asyncio.wait_for(line.reader.read(-1), 20)
    head, _, body = whole.partition(b"\r\n\r\n")
    return head, body


def announced_bytes(head: bytes) -> int:
    (told,) = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return int(told.partition(b":")[2])


# Who fetched what


async def test_fetched_is_who_got_every_byte(
    rosa: httpx2.AsyncClient, anna: httpx2.AsyncClient, services: Services, transfer_id: str, path: str
) -> None:
    for asked in ("bytes=0-0", "bytes=-1", f"bytes=5-{TOTAL // 2}", f"bytes=0-{TOTAL // 2 - 1}", f"bytes={TOTAL}-"):
        await rosa.get(path, headers={"Range": asked})
        assert await downloads(services) == []
    assert await states(anna, transfer_id) == {"Rosa Visser": "opened", "Bram Jansen": "waiting"}

    await rosa.get(path, headers={"Range": f"bytes={TOTAL // 2}-"})  # the rest of a download that was broken off

    assert await downloads(services) == [(EventTag.DOCUMENT_DOWNLOADED, ActorKind.RECIPIENT)]
    assert await states(anna, transfer_id) == {"Rosa Visser": "fetched", "Bram Jansen": "waiting"}
    # The next download begins at nothing again.
    await rosa.get(path, headers={"Range": "bytes=-1"})
    assert len(await downloads(services)) == 1


async def test_pieces_fetched_side_by_side_count_once_they_are_all(
    rosa: httpx2.AsyncClient, services: Services, path: str, database_kind: str
) -> None:
    edges = [TOTAL * number // 16 for number in range(17)]
    ranges = [f"bytes={start}-{stop - 1}" for start, stop in itertools.pairwise(edges)]

    await asyncio.gather(*(rosa.get(path, headers={"Range": asked}) for asked in ranges[1:]))
    assert await downloads(services) == []
    await rosa.get(path, headers={"Range": ranges[0]})

    assert await downloads(services) == [(EventTag.DOCUMENT_DOWNLOADED, ActorKind.RECIPIENT)]
    assert [event.tag for event in await events(services)].count(EventTag.DOCUMENT_CONSULTED) == 1


async def test_what_two_people_got_together_nobody_has(
    rosa: httpx2.AsyncClient, bram: httpx2.AsyncClient, services: Services, transfer_id: str, path: str
) -> None:
    await rosa.get(path, headers={"Range": "bytes=0-999999"})
    await bram.get(f"{TRANSFERS}/{transfer_id}/{path}", headers={"Range": "bytes=1000000-"})
    assert await downloads(services) == []


async def test_asking_for_a_piece_is_on_record_and_going_on_is_not_asking_again(
    rosa: httpx2.AsyncClient, services: Services, clock: MovableClock, path: str
) -> None:
    async def consulted() -> int:
        return [event.tag for event in await events(services)].count(EventTag.DOCUMENT_CONSULTED)

    await rosa.get(path, headers={"Range": "bytes=-1"})
    assert await consulted() == 1
    for asked in ("bytes=0-9", "bytes=0-0", f"bytes={TOTAL}-"):
        await rosa.get(path, headers={"Range": asked})
    assert await consulted() == 1
    await rosa.get(path)  # all of it, so from the beginning
    assert await consulted() == 2
    for minutes in range(10, 60, 10):
        clock.forward(minutes=10)
        await rosa.get(path, headers={"Range": f"bytes={minutes}-{minutes}"})
    assert await consulted() == 3  # the whole ended what went before
    await rosa.head(path, headers={"Range": "bytes=0-0"})
    assert await consulted() == 3


async def test_going_on_after_an_hour_is_asking_again(
    bram: httpx2.AsyncClient, services: Services, clock: MovableClock, transfer_id: str, path: str
) -> None:
    url = f"{TRANSFERS}/{transfer_id}/{path}"
    await bram.get(url, headers={"Range": "bytes=0-999999"})
    clock.forward(minutes=59)
    await bram.get(url, headers={"Range": "bytes=0-0"})
    assert [event.tag for event in await events(services)].count(EventTag.DOCUMENT_CONSULTED) == 1
    clock.forward(minutes=2)
    await bram.get(url, headers={"Range": "bytes=1000000-"})
    assert [event.tag for event in await events(services)].count(EventTag.DOCUMENT_CONSULTED) == 2
    assert await downloads(services) == [(EventTag.DOCUMENT_DOWNLOADED, ActorKind.STAFF)]


async def test_an_archive_that_was_asked_for_is_on_record(rosa: httpx2.AsyncClient, services: Services) -> None:
    def told() -> list[EventTag]:
        return [event.tag for event in recorded if event.tag.value.startswith("archive:")]

    await rosa.head("archive.zip")
    recorded = await events(services)
    assert told() == []
    await rosa.get("archive.zip")
    recorded = await events(services)
    assert told() == [EventTag.ARCHIVE_CONSULTED, EventTag.ARCHIVE_DOWNLOADED]


async def test_a_download_that_broke_off_and_was_resumed_counts(
    app: Starlette,
    anna: httpx2.AsyncClient,
    anna_portal: Portal,
    outbox: Outbox,
    services: Services,
    port: int,  # noqa: F811 - fixture
) -> None:
    content = os.urandom(30_000_000)
    transfer_id = await send(anna_portal, ROSA, documents={"beeld.dcm": content})
    path = f"documents/{(await documents_of(anna, transfer_id))[0]['id']}"
    async with browser(app) as rosa:
        url = f"{await open_link(rosa, outbox)}/{path}"
        line = await Line(port, "").open()
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in rosa.cookies.jar)
        await line.send(line.head("GET", url, Cookie=cookies))
        await asyncio.wait_for(line.reader.readuntil(b"\r\n\r\n"), 20)
        begun = await asyncio.wait_for(line.reader.readexactly(5_000_000), 20)
        line.writer.transport.abort()
        for _ in range(400):
            if any(await pieces(services)):
                break
            await asyncio.sleep(0.05)
        assert await downloads(services) == []

        rest = await rosa.get(url, headers={"Range": f"bytes={len(begun)}-"})

        assert begun + rest.content == content
        assert await downloads(services) == [(EventTag.DOCUMENT_DOWNLOADED, ActorKind.RECIPIENT)]
        assert [event.tag for event in await events(services)].count(EventTag.DOCUMENT_CONSULTED) == 1


async def test_each_reader_counts_alone_and_the_sender_for_nobody(
    rosa: httpx2.AsyncClient,
    anna: httpx2.AsyncClient,
    bram: httpx2.AsyncClient,
    services: Services,
    transfer_id: str,
    path: str,
) -> None:
    for where in (path, "archive.zip"):
        assert (await anna.get(f"{TRANSFERS}/{transfer_id}/{where}")).status_code == 200
    assert await states(anna, transfer_id) == {"Rosa Visser": "opened", "Bram Jansen": "waiting"}

    assert (await bram.get(f"{TRANSFERS}/{transfer_id}/{path}")).content == CONTENT
    assert await states(anna, transfer_id) == {"Rosa Visser": "opened", "Bram Jansen": "fetched"}
    assert (await rosa.get("archive.zip")).status_code == 200
    assert await states(anna, transfer_id) == {"Rosa Visser": "fetched", "Bram Jansen": "fetched"}

    mine, other, brams, rosas = [event for event in await events(services) if event.tag in DOWNLOADED]
    assert [event.actor_kind for event in (mine, other, brams, rosas)] == [*[ActorKind.STAFF] * 3, ActorKind.RECIPIENT]
    assert (mine.recipient_id, other.recipient_id) == (None, None)
    assert None not in {brams.recipient_id, rosas.recipient_id}
    assert brams.recipient_id != rosas.recipient_id


@pytest.mark.parametrize("where", ["document", "archive"])
async def test_who_leaves_halfway_has_not_fetched(
    app: Starlette,
    anna: httpx2.AsyncClient,
    anna_portal: Portal,
    outbox: Outbox,
    services: Services,
    port: int,  # noqa: F811 - fixture
    where: str,
) -> None:
    """Far more than kernels hold on the way: what was handed to them and never arrived must not count."""
    transfer_id = await send(anna_portal, ROSA, documents={"beeld.dcm": os.urandom(30_000_000)})
    document_path = f"documents/{(await documents_of(anna, transfer_id))[0]['id']}"
    async with browser(app) as rosa:
        link = await open_link(rosa, outbox)
        line = await Line(port, "").open()
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in rosa.cookies.jar)
        url = f"{link}/{document_path if where == 'document' else 'archive.zip'}"
        await line.send(line.head("GET", url, Cookie=cookies))
        begun = await asyncio.wait_for(line.reader.readexactly(1_000_000), 20)
        line.writer.transport.abort()
        await asyncio.sleep(0.5)

        assert begun.startswith(b"HTTP/1.1 200 ")
        assert await downloads(services) == []
        assert await states(anna, transfer_id) == {"Rosa Visser": "opened"}
        assert (await rosa.get(url)).status_code == 200
        assert len(await downloads(services)) == 1
        assert await states(anna, transfer_id) == {"Rosa Visser": "fetched"}


# Between two ranges


@pytest.mark.parametrize("is_revoked", [True, False])
async def test_no_further_byte_after_the_end(
    app: Starlette,
    anna_portal: Portal,
    anna: httpx2.AsyncClient,
    outbox: Outbox,
    clock: MovableClock,
    services: Services,
    *,
    is_revoked: bool,
) -> None:
    transfer_id = await send(anna_portal, ROSA, BRAM, documents={"beeld.dcm": CONTENT}, expires_in_days="1")
    overview = (await anna.get(f"{TRANSFERS}/{transfer_id}")).json()
    document = f"documents/{overview['documents'][0]['id']}"
    clock.now = datetime.fromisoformat(overview["expires_at"]) - timedelta(minutes=5)
    bram, sender = await signed_in(app, "bram@zegelpost.example"), await signed_in(app, "anna@zegelpost.example")
    async with aclosing(bram), aclosing(sender), browser(app) as rosa:
        readers = ((rosa, await open_link(rosa, outbox)), (bram, f"{TRANSFERS}/{transfer_id}"))
        for reader, base in readers:
            begun = await reader.get(f"{base}/{document}", headers={"Range": "bytes=0-99"})
            assert (begun.status_code, begun.content) == (206, CONTENT[:100])

        if is_revoked:
            assert (await sender.post(f"{TRANSFERS}/{transfer_id}/revoke")).status_code == 200
        else:
            clock.forward(minutes=6)

        for reader, base in readers:
            for where, asked in ((document, "bytes=100-199"), (document, "bytes=-1"), (document, ""), ("archive.zip", "")):
                for method in ("GET", "HEAD"):
                    answer = await reader.request(method, f"{base}/{where}", headers={"Range": asked} if asked else {})
                    assert not {"content-range", "etag", "content-disposition"} & set(answer.headers)
                    assert answer.headers["content-type"].partition(";")[0] in {"text/html", "application/problem+json"}
                    is_back_at_the_link = reader is rosa and answer.url.path == base
                    assert answer.status_code == 410 or is_back_at_the_link
        assert await downloads(services) == []
        # Her own copy stays the sender's, until it is erased.
        assert (await sender.get(f"{TRANSFERS}/{transfer_id}/{document}")).content == CONTENT
