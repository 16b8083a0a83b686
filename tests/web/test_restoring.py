"""Backup and restore, rehearsed: database and documents as one backup, the key ring as another, into an empty installation."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from dns.asyncresolver import Resolver
from sqlalchemy import select
from starlette.applications import Starlette
from tests.conftest import MovableClock, Outbox, Portal, browser, make_administrator
from tests.databases import database_urls
from tests.web.acts import ROSA, SAM, open_link, send, words

from zegelpost.adapters.keys_directory import DirectoryKeyRing
from zegelpost.doctor.examining import CHECKS, examine
from zegelpost.doctor.findings import Examination, Level
from zegelpost.evidence.checkpoint import Checkpoint
from zegelpost.main import Services, build_app, build_services, build_worker
from zegelpost.model.audit import TREE, AuditTree
from zegelpost.model.event import Event, EventTag
from zegelpost.model.policy import Policy
from zegelpost.model.refusals import TransferExpired
from zegelpost.model.transfer import Transfer
from zegelpost.services.recognising_restore import RestoreFound
from zegelpost.services.verifying_audit import AuditBroken
from zegelpost.settings import Settings

CONTENT = b"%PDF-1.7\n1 0 obj << >> endobj\ntrailer << >>\n%%EOF\n% what Rosa may read\n"


def url_of(settings: Settings) -> str:
    return settings.database_url.replace("+aiosqlite", "").replace("+psycopg", "")


def program(name: str) -> str:
    return str(max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name)) / name)


def back_up(settings: Settings, folder: Path) -> None:
    """While it runs: first the database, then the documents. The key ring is another backup."""
    folder.mkdir()
    url = url_of(settings)
    if url.startswith("sqlite"):
        source, copy = sqlite3.connect(url.removeprefix("sqlite:///")), sqlite3.connect(folder / "database.sqlite3")
        with closing(source), closing(copy):
            source.backup(copy)
    else:
        subprocess.run([program("pg_dump"), "--format=custom", f"--file={folder / 'database.dump'}", url], check=True)
    shutil.copytree(settings.data_dir / "blobs", folder / "blobs")


@dataclass
class Restored:
    """An empty installation elsewhere, into which backups are put."""

    folder: Path
    url: str
    clock: MovableClock
    policy: Policy
    built: list[Services] = field(default_factory=list)

    def put(self, backup: Path, keys: Path) -> Services:
        data = self.folder / "data"
        data.mkdir(mode=0o700)
        shutil.copytree(backup / "blobs", data / "blobs")
        shutil.copytree(keys, self.folder / "keys")
        if self.url.startswith("sqlite"):
            shutil.copyfile(backup / "database.sqlite3", self.url.removeprefix("sqlite:///"))
        else:
            dump = str(backup / "database.dump")
            subprocess.run([program("pg_restore"), f"--dbname={self.url}", "--no-owner", dump], check=True)
        return self.start()

    def start(self) -> Services:
        settings = Settings.from_environment(
            {
                "ZEGELPOST_DEMO": "1",
                "ZEGELPOST_BASE_URL": "http://127.0.0.1:8000",
                "ZEGELPOST_DATA_DIR": str(self.folder / "data"),
                "ZEGELPOST_KEYS_DIR": str(self.folder / "keys"),
                "ZEGELPOST_DATABASE_URL": self.url,
            }
        )
        self.built.append(build_services(settings, clock=self.clock, on_clock=self.clock.on, policy=self.policy))
        return self.built[-1]


@pytest.fixture
async def restored(
    tmp_path: Path, request: pytest.FixtureRequest, clock: MovableClock, policy: Policy
) -> AsyncIterator[Restored]:
    kind = request.getfixturevalue("database_kind") if "database_kind" in request.fixturenames else "sqlite"
    folder = tmp_path / "elsewhere"
    folder.mkdir(mode=0o700)
    with database_urls(kind, folder) as url:
        stage = Restored(folder, url, clock, policy)
        yield stage
        for services in stage.built:
            await services.database.close()


async def test_a_transfer_opens_and_a_destroyed_week_stays_closed(
    app: Starlette,
    services: Services,
    settings: Settings,
    anna_portal: Portal,
    outbox: Outbox,
    clock: MovableClock,
    restored: Restored,
    tmp_path: Path,
    database_kind: str,
) -> None:
    short = await send(anna_portal, SAM, documents={"oud.pdf": CONTENT}, expires_in_days="7")
    kept = await send(anna_portal, ROSA, documents={"brief.pdf": CONTENT}, expires_in_days="90")
    link_of_short = await outbox.link(SAM.email)
    link_of_kept = await outbox.link(ROSA.email)
    await build_worker(services).sweep()
    back_up(settings, tmp_path / "backup")
    kept_checkpoint = await newest_checkpoint(services)
    # Weeks pass; the short one is erased, and with its week its key. More happens than the backup knows.
    for _ in range(4):
        clock.forward(days=10)
        await build_worker(services).sweep()
    lost_checkpoint = await newest_checkpoint(services)
    shutil.copytree(settings.keys_dir, tmp_path / "key-backup")

    elsewhere = restored.put(tmp_path / "backup", tmp_path / "key-backup")

    # 1. It is found to be older, in a line that says what to do, and nothing starts.
    with pytest.raises(RestoreFound, match=r"older than it was: its record has \d+ events, and \d+ were signed.*accept-restore"):
        await elsewhere.recognising_restore.require()
    # 2. Somebody agrees.
    origin = await elsewhere.recognising_restore.accept()
    assert origin == await elsewhere.recognising_restore.accept()
    stand = await elsewhere.recognising_restore.require()
    assert stand.lost_week_count == 1
    # 3. What is kept opens, by the link that was mailed long ago, and by the sender.
    again = build_app(elsewhere, has_worker=False)
    after = Outbox(elsewhere)
    async with browser(again) as rosa:
        await rosa.post(link_of_kept[0], data={"link_secret": link_of_kept[1]})
        await rosa.post(f"{link_of_kept[0]}/code")
        await rosa.post(f"{link_of_kept[0]}/verify", data={"code": await after.code(ROSA.number)})
        page = await rosa.get(f"{link_of_kept[0]}/transfer")
        address = page.text.partition(f'href="{link_of_kept[0]}/documents/')[2].partition('"')[0]
        assert (await rosa.get(f"{link_of_kept[0]}/documents/{address}")).content == CONTENT
    async with browser(again) as anna:
        portal = Portal(anna)
        await portal.sign_in("anna@zegelpost.example")
        assert "Rosa Visser" in words(await anna.get(f"/transfers/{kept}"))
    # 4. What was destroyed is not there for anyone, though every wrap and every byte came back.
    async with browser(again) as sam:
        answer = await sam.post(link_of_short[0], data={"link_secret": link_of_short[1]})
        assert (answer.status_code, "no longe" in words(answer)) == (410, True)
    async with elsewhere.database.reading() as session:
        transfer = await session.get_one(Transfer, short)
        assert transfer.sender_wrap is not None
        with pytest.raises(TransferExpired):
            elsewhere.keeping_keys.sender_key(transfer)
    # 5. The record goes on in another name; what was signed before the backup still fits, what came after is told as lost.
    await build_worker(elsewhere).sweep()
    found = await elsewhere.verifying_audit.verify([kept_checkpoint, lost_checkpoint])
    assert (found.origin, found.lost_count) == (origin, 1)
    assert re.fullmatch(r"[^/]+/audit/from-\d+", origin)
    async with elsewhere.database.reading() as session:
        facts = await session.scalar(select(Event.facts).where(Event.tag == EventTag.DATABASE_RESTORED))
    assert facts is not None
    assert facts["signed_size"] > facts["size"]


async def newest_checkpoint(services: Services) -> str:
    """What the key ring remembers after a sweep."""
    await services.sequencing.catch_up(waits=True)
    await services.recognising_restore.remember()
    return DirectoryKeyRing(services.settings.keys_dir).remembered()


async def test_never_two_histories_in_one_name(
    app: Starlette, services: Services, settings: Settings, anna_portal: Portal, restored: Restored, tmp_path: Path
) -> None:
    await send(anna_portal, ROSA)
    await build_worker(services).sweep()
    back_up(settings, tmp_path / "backup")
    await send(anna_portal, SAM)
    await build_worker(services).sweep()
    signed = DirectoryKeyRing(settings.keys_dir).remembered()
    elsewhere = restored.put(tmp_path / "backup", settings.keys_dir)

    await elsewhere.recognising_restore.accept()
    await build_worker(elsewhere).sweep()
    await make_administrator(elsewhere)
    async with browser(build_app(elsewhere, has_worker=False)) as anna:
        await Portal(anna).sign_in("anna@zegelpost.example")
    await build_worker(elsewhere).sweep()

    newest = DirectoryKeyRing(restored.folder / "keys").remembered()
    assert newest.split("\n")[0] != signed.split("\n")[0]
    # A note in the name of before counts for as far as that name went, and only if it was signed.
    size = signed.split("\n")[1]
    with pytest.raises(AuditBroken):
        await elsewhere.verifying_audit.verify([signed.replace(f"\n{size}\n", "\n1\n")])
    assert Checkpoint.open(newest, (await elsewhere.verifying_audit.verify([signed])).key).origin == newest.split("\n")[0]


async def test_an_empty_database_beside_a_key_ring_that_signed_is_told(
    services: Services, settings: Settings, app: Starlette, anna_portal: Portal, restored: Restored, tmp_path: Path
) -> None:
    back_up(settings, tmp_path / "backup")
    await send(anna_portal, ROSA)
    await build_worker(services).sweep()
    elsewhere = restored.put(tmp_path / "backup", settings.keys_dir)

    with pytest.raises(RestoreFound, match="older than it was"):
        await elsewhere.recognising_restore.require()


async def test_the_key_ring_of_another_installation_is_told(
    app: Starlette, services: Services, settings: Settings, anna_portal: Portal, restored: Restored, tmp_path: Path
) -> None:
    await send(anna_portal, ROSA)
    await build_worker(services).sweep()
    back_up(settings, tmp_path / "backup")
    DirectoryKeyRing(tmp_path / "others").installation("people")
    elsewhere = restored.put(tmp_path / "backup", tmp_path / "others")

    with pytest.raises(RestoreFound, match="not the one of this database"):
        await elsewhere.recognising_restore.require()


async def test_a_database_from_before_a_rotation_is_told(
    services: Services, anna_portal: Portal, clock: MovableClock, restored: Restored, tmp_path: Path
) -> None:
    await send(anna_portal, ROSA)
    await services.sequencing.catch_up(waits=True)
    back_up(services.settings, tmp_path / "backup")
    await services.rotating_keys.run()
    clock.forward(hours=2)
    assert "people" in await services.rotating_keys.finish()
    elsewhere = restored.put(tmp_path / "backup", services.settings.keys_dir)

    with pytest.raises(RestoreFound, match="from before a rotation"):
        await elsewhere.recognising_restore.require()


async def test_a_key_ring_from_an_old_backup_loses_its_destroyed_weeks_again(
    app: Starlette, services: Services, settings: Settings, anna_portal: Portal, clock: MovableClock, tmp_path: Path
) -> None:
    """What deploy.md warns of, and what is done about it at the next sweep."""
    await send(anna_portal, ROSA, expires_in_days="7")
    ring = DirectoryKeyRing(settings.keys_dir)
    shutil.copytree(settings.keys_dir, tmp_path / "old")
    for _ in range(5):
        clock.forward(days=10)
        await build_worker(services).sweep()
    assert ring.weeks() == []
    shutil.rmtree(settings.keys_dir)
    shutil.copytree(tmp_path / "old", settings.keys_dir)
    assert ring.weeks() != []

    await build_worker(services).sweep()

    assert ring.weeks() == []


async def test_a_key_ring_that_is_older_than_the_database_is_told(
    app: Starlette,
    services: Services,
    settings: Settings,
    anna_portal: Portal,
    outbox: Outbox,
    tmp_path: Path,
    database_kind: str,
) -> None:
    await send(anna_portal, SAM, documents={"oud.pdf": CONTENT}, expires_in_days="7")
    await services.sequencing.catch_up(waits=True)
    shutil.copytree(settings.keys_dir, tmp_path / "old")
    transfer_id = await send(anna_portal, ROSA, documents={"brief.pdf": CONTENT})
    link = await outbox.link(ROSA.email)
    async with services.database.reading() as session:
        week = (await session.get_one(Transfer, transfer_id)).week
    await services.recognising_restore.require()
    shutil.rmtree(settings.keys_dir)
    shutil.copytree(tmp_path / "old", settings.keys_dir)

    # 1. It is found, by the doctor too, who makes no keys in the place of those that are missing.
    examination = Examination(settings=settings, environment={}, clock=services.clock, resolver=Resolver(configure=False))
    for _ in range(2):
        lines = await examine(examination, [check for check in CHECKS if check.name in {"keys", "restore"}])
        [told] = [line.finding for line in lines if line.finding.level == Level.WRONG]
        assert f"no keys of {week}, which 1 transfers need" in told.text
        with pytest.raises(RestoreFound, match=r"older than the database.*restore the newest key ring, or run .*accept-restore"):
            await services.recognising_restore.require()
    # 2. Somebody goes on without: that is on record, once, and what comes now works.
    origin = await services.recognising_restore.accept()
    assert (origin, await services.recognising_restore.accept()) == (f"{settings.host}/audit", origin)
    await services.recognising_restore.require()
    async with services.database.reading() as session:
        facts = list(await session.scalars(select(Event.facts).where(Event.tag == EventTag.KEY_RING_RESTORED)))
    assert facts == [{"weeks": week}]
    await send(anna_portal, SAM, documents={"brief.pdf": CONTENT})
    async with browser(app) as sam:
        await open_link(sam, outbox, SAM)
    # 3. What is lost does not open, and says so.
    async with browser(app) as rosa:
        answer = await rosa.post(link[0], data={"link_secret": link[1]})
        assert answer.status_code == 404
    assert (await anna_portal.client.get(f"/transfers/{transfer_id}")).status_code < 500


@pytest.mark.parametrize("wrong", ["of another installation", "rotated since"])
async def test_nothing_is_accepted_with_a_key_ring_that_does_not_fit(
    services: Services, anna_portal: Portal, clock: MovableClock, restored: Restored, tmp_path: Path, wrong: str
) -> None:
    """Both at once: an older database, and the wrong keys. The command says so, and leaves everything for another try."""
    await send(anna_portal, ROSA)
    await newest_checkpoint(services)
    back_up(services.settings, tmp_path / "backup")
    keys = services.settings.keys_dir
    if wrong == "rotated since":
        await services.rotating_keys.run()
        clock.forward(hours=2)
        assert "people" in await services.rotating_keys.finish()
        await newest_checkpoint(services)
    else:
        keys = tmp_path / "others"
        DirectoryKeyRing(keys).remember("another.example/audit\n99999\n" + "A" * 43 + "=\n")
    elsewhere = restored.put(tmp_path / "backup", keys)

    with pytest.raises(RestoreFound, match="not the one of this" if keys != services.settings.keys_dir else "before a rotation"):
        await elsewhere.recognising_restore.accept()

    assert DirectoryKeyRing(restored.folder / "keys").remembered() == DirectoryKeyRing(keys).remembered()
    async with elsewhere.database.reading() as session:
        assert "/from-" not in (await session.get_one(AuditTree, TREE)).origin
