"""The record of events: what is recorded gets its place once, and no change afterwards goes unseen."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import func, insert, select, text
from tests.conftest import MovableClock, Outbox, Portal
from tests.web.acts import ROSA, open_link, send
from tests.web.audit_acts import Record, event_at, stand_alone

from zegelpost.evidence.checkpoint import Checkpoint
from zegelpost.evidence.leaf import commitment
from zegelpost.evidence.note import NoteSigner
from zegelpost.evidence.tree import Frontier, leaf_hash
from zegelpost.main import Services, build_services
from zegelpost.model.audit import PERSONAL_KEPT, AuditLeaf, AuditNode
from zegelpost.model.event import ActorKind, Event, EventTag
from zegelpost.services import proving_events
from zegelpost.services.sequencing import EVENT_COLUMNS, leaf_of, personal_of
from zegelpost.settings import Settings
from zegelpost.verifier import zegelpost_verify

pytestmark = pytest.mark.usefixtures("app")


@pytest.fixture
def record(services: Services) -> Record:
    return Record(services)


async def test_everything_that_happens_to_a_transfer_gets_its_place(
    database_kind: str, record: Record, anna_portal: Portal, outbox: Outbox, services: Services
) -> None:
    await send(anna_portal, ROSA, documents={"a.txt": b"a"})
    await outbox.deliver()

    await services.sequencing.catch_up()

    verified = await record.verify()
    assert verified.size == await record.event_count() > 3
    assert verified.waiting_count == 0
    assert await services.sequencing.catch_up() == 0


async def test_many_sequencers_at_once_give_each_event_one_place(
    database_kind: str, record: Record, settings: Settings, clock: MovableClock, services: Services
) -> None:
    others = [build_services(settings, clock=clock) for _ in range(3)]
    await record.fill(700)

    await asyncio.gather(*(each.sequencing.catch_up() for each in [*others, services] for _ in range(3)))
    await record.fill(3)
    await asyncio.gather(*(each.sequencing.catch_up(waits=True) for each in others))

    for each in others:
        await each.database.close()
    assert (await record.verify()).size == await record.event_count()


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
async def test_an_event_of_a_transaction_that_commits_late_is_not_lost(
    database_kind: str, record: Record, services: Services
) -> None:
    """PostgreSQL numbers events before it is known which of them come to be; SQLite has one writer at a time."""
    async with services.database.engine.connect() as slow:
        began = await slow.begin()
        number = await slow.scalar(text("SELECT nextval(pg_get_serial_sequence('event', 'id'))"))
        await slow.execute(
            insert(Event).values(
                id=number, at=services.clock(), tag=EventTag.CODE_FAILED, actor_kind=ActorKind.STRANGER, facts={}
            )
        )
        for _ in range(4):
            await record.grow(5)
        tree = await record.tree()
        assert tree.settled_id < number
        assert await record.event_count() == tree.size
        await began.commit()

    await record.grow()
    await record.grow(1)
    await record.grow()

    assert (await record.verify()).waiting_count == 0
    assert (await record.tree()).settled_id > number


async def test_sequencers_that_are_killed_lose_nothing_and_double_nothing(
    database_kind: str, record: Record, services: Services, settings: Settings
) -> None:
    for _ in range(3):
        await record.fill(1200)
        working = await asyncio.create_subprocess_exec(
            sys.executable, "-c", SEQUENCE_FOR_EVER, env=environment_of(settings), stdout=asyncio.subprocess.PIPE
        )
        assert working.stdout is not None
        assert await working.stdout.readline() == b"begun\n"
        await record.fill(600)
        working.kill()
        await working.wait()

    await services.sequencing.catch_up(waits=True)

    verified = await record.verify()
    assert (verified.size, verified.waiting_count) == (await record.event_count(), 0)


SEQUENCE_FOR_EVER = """
import asyncio
from zegelpost.main import build_services
from zegelpost.settings import Settings

async def work():
    services = build_services(Settings.from_environment())
    print("begun", flush=True)
    while True:
        await services.sequencing.catch_up()

asyncio.run(work())
"""


def environment_of(settings: Settings, **changed: str) -> dict[str, str]:
    return {
        "ZEGELPOST_DEMO": "1",
        "ZEGELPOST_BASE_URL": settings.base_url,
        "ZEGELPOST_DATA_DIR": str(settings.data_dir),
        "ZEGELPOST_DATABASE_URL": settings.database_url,
        "PATH": "/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
    } | {f"ZEGELPOST_{name}": value for name, value in changed.items()}


@pytest.mark.parametrize(
    "statements",
    [
        ["UPDATE event SET facts = '{\"count\": 99}' WHERE id = :event"],
        ["UPDATE event SET tag = 'document:downloaded' WHERE id = :event"],
        ["UPDATE event SET tag = 'no:such' WHERE id = :event"],
        ["UPDATE event SET staff_user_id = NULL WHERE id = :event"],
        ["UPDATE event SET at = '2026-11-22 12:00:00.000000' WHERE id = :event"],
        ["UPDATE event SET document_id = NULL WHERE id = :event"],
        ["UPDATE audit_leaf SET salt = hash WHERE position = 7"],
        ["UPDATE audit_leaf SET hash = salt WHERE position = 7"],
        ["DELETE FROM event WHERE id = :event"],
        ["DELETE FROM audit_leaf WHERE position = 7"],
        ["DELETE FROM event WHERE id = :event", "DELETE FROM audit_leaf WHERE position = 7"],
        # The next one takes its place, and so on to the end.
        [
            "DELETE FROM audit_leaf WHERE position = 7",
            "UPDATE audit_leaf SET position = -position WHERE position > 7",
            "UPDATE audit_leaf SET position = -position - 1 WHERE position < 0",
        ],
        # Two change places.
        [
            "UPDATE audit_leaf SET position = -1 WHERE position = 7",
            "UPDATE audit_leaf SET position = 7 WHERE position = 9",
            "UPDATE audit_leaf SET position = 9 WHERE position = -1",
        ],
        # Hidden behind an erasure that is not due.
        [
            "UPDATE audit_leaf SET commitment = hash, salt = NULL WHERE position = 7",
            "UPDATE event SET staff_user_id = NULL, facts = '{}' WHERE id = :event",
        ],
        ["UPDATE audit_leaf SET commitment = hash, salt = NULL WHERE position = 7"],
    ],
    ids=lambda statements: statements[0][:60],
)
async def test_the_entry_that_was_tampered_with_is_named(database_kind: str, record: Record, statements: list[str]) -> None:
    await record.grow(20)
    kept = await record.grow(3)
    event = await event_at(record, 7)

    for statement in statements:
        await record.tamper(statement, **({"event": event} if ":event" in statement else {}))

    position, words = await record.first_bad(kept)
    assert position == 7, words
    assert "7" in words


async def rewrite(record: Record, position: int) -> None:
    """Change an event and everything that is computed from it, with the key of the record: as if it had always been so."""
    event = await event_at(record, position)
    await record.tamper("UPDATE event SET facts = '{\"count\": 99}' WHERE id = :event", event=event)
    frontier = Frontier()
    async with record.services.database.work() as session:
        rows = (
            await session.execute(
                select(AuditLeaf, *EVENT_COLUMNS).join(Event, Event.id == AuditLeaf.event_id).order_by(AuditLeaf.position)
            )
        ).all()
        for row in rows:
            leaf: AuditLeaf = row[0]
            assert leaf.salt is not None
            leaf.hash = leaf_hash(leaf_of(row, leaf.position, commitment(leaf.salt, personal_of(row))).text().encode())
            for subtree in frontier.append(leaf.hash):
                node = await session.get(AuditNode, (subtree.level, subtree.index))
                if node is not None:
                    node.hash = subtree.hash
    tree = await record.tree()
    signer = NoteSigner(tree.origin, (record.services.settings.keys_dir / "installation" / "checkpoint").read_bytes())
    note = Checkpoint(tree.origin, tree.size, frontier.root()).signed(signer)
    async with record.services.database.work() as session:
        tree = await session.merge(tree)
        tree.frontier, tree.checkpoint = frontier.to_bytes(), note


async def test_a_history_that_was_rewritten_and_signed_anew_does_not_fit_what_was_mailed(
    database_kind: str, record: Record
) -> None:
    first = await record.grow(10)
    second = await record.grow(10)
    await record.grow(10)
    await rewrite(record, 14)

    await record.verify()  # nobody can tell from the database alone
    await record.verify(first)
    size = zegelpost_verify.open_checkpoint(first, zegelpost_verify.read_key(str((await record.verify()).key))).size
    position, words = await record.first_bad(first, second)

    assert position == size <= 14
    assert "two histories" in words


async def test_a_subtree_that_was_forgotten_in_rewriting_gives_it_away(database_kind: str, record: Record) -> None:
    await record.grow(600)
    async with record.services.database.work() as session:
        node = await session.get_one(AuditNode, (8, 1))
        node.hash = bytes(32)

    position, words = await record.first_bad()

    assert (position, "from 256 to 511" in words) == (256, True)


async def test_an_end_that_was_cut_off_is_seen_with_a_checkpoint_that_was_kept(database_kind: str, record: Record) -> None:
    early = await record.grow(10)
    before = await record.tree()
    late = await record.grow(5)
    await record.tamper("DELETE FROM audit_leaf WHERE position >= :size", size=before.size)
    async with record.services.database.work() as session:
        await session.merge(before)

    assert (await record.verify(early)).waiting_count == 5
    position, words = await record.first_bad(early, late)

    assert position == before.size
    assert "cut off" in words


async def test_a_checkpoint_of_another_installation_does_not_count(record: Record) -> None:
    await record.grow(3)
    note = Checkpoint("elsewhere.example/audit", 1, bytes(32)).signed(NoteSigner("elsewhere.example/audit", bytes(32)))

    assert "does not count" in (await record.first_bad(note))[1]


async def test_after_five_years_nobody_knows_who_it_was_and_the_tree_still_holds(
    database_kind: str, record: Record, clock: MovableClock, services: Services, tmp_path: Path
) -> None:
    old = await record.grow(10)
    size = (await record.tree()).size
    clock.now += PERSONAL_KEPT - timedelta(seconds=1)
    kept = await record.grow(2)
    assert await services.erasing_events.run() == 0
    clock.forward(seconds=2)

    assert await services.erasing_events.run() == size
    assert await services.erasing_events.run() == 0

    await record.grow()
    verified = await record.verify(old, kept)
    assert (verified.erased_count, verified.size) == (size, size + 3)
    async with services.database.reading() as session:
        left = await session.scalar(
            select(func.count())
            .select_from(AuditLeaf)
            .join(Event, Event.id == AuditLeaf.event_id)
            .where(AuditLeaf.position < size, Event.staff_user_id.is_not(None) | AuditLeaf.salt.is_not(None))
        )
        told = await session.scalar(select(Event.facts).where(Event.tag == EventTag.AUDIT_ERASED))
    assert (left, told) == (0, {"count": size})
    code, said = stand_alone(await record.export(tmp_path / "export"), now=clock.now)
    assert (code, f"Of {size} of them" in said) == (0, True), said


async def test_each_event_has_a_proof_that_leads_to_the_checkpoint(
    database_kind: str, record: Record, services: Services
) -> None:
    note = await record.grow(700)
    tree = await record.tree()
    checkpoint = zegelpost_verify.open_checkpoint(note, zegelpost_verify.read_key(str((await record.verify()).key)))
    positions = [0, 1, 255, 256, 300, 511, 512, tree.size - 1]
    async with services.database.reading() as session:
        proofs = await proving_events.inclusion_proofs(session, positions, tree.size)
        hashes = {row.position: row.hash for row in await session.execute(select(AuditLeaf.position, AuditLeaf.hash))}

    for position in positions:
        assert zegelpost_verify.root_by_proof(hashes[position], position, tree.size, proofs[position]) == checkpoint.root


# Exports, and the program that auditors take home


async def test_the_stand_alone_verifier_runs_on_its_own(record: Record, tmp_path: Path) -> None:
    (tmp_path / "mail.txt").write_text(await record.grow(30), encoding="utf-8")
    export = await record.export(tmp_path / "export.jsonl")
    key = (await record.verify()).key

    done = await asyncio.to_thread(run_alone, tmp_path, export.name, "--checkpoint=mail.txt", f"--key={key}")

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{(await record.tree()).size} events" in done.stdout
    assert "nothing before the last of these was rewritten" in done.stdout
    assert "whose signature" not in done.stdout


def run_alone(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The one file, somewhere else, without our packages."""
    (folder / "verify.py").write_bytes(Path(zegelpost_verify.__file__).read_bytes())
    command = [sys.executable, "-I", "-S", "verify.py", *arguments]
    return subprocess.run(command, cwd=folder, env={"LC_ALL": "C.UTF-8"}, capture_output=True, text=True, check=False)


def changed(export: Path, position: int, **fields: object) -> None:
    lines = export.read_text(encoding="utf-8").splitlines()
    lines[position + 1] = json.dumps(json.loads(lines[position + 1]) | fields)
    export.write_text("\n".join(lines), encoding="utf-8")


async def test_the_stand_alone_verifier_names_the_first_bad_entry(record: Record, tmp_path: Path) -> None:
    first = tmp_path / "first"
    first.write_text(await record.grow(10), encoding="utf-8")
    earlier = await record.export(tmp_path / "earlier")
    second = tmp_path / "second"
    second.write_text(await record.grow(10), encoding="utf-8")
    good = (await record.export(tmp_path / "good")).read_text(encoding="utf-8")
    lines = good.splitlines()
    export = tmp_path / "export"

    def verify(*shown: str, options: tuple[str, ...] = ()) -> str:
        export.write_text("\n".join(shown) + "\n", encoding="utf-8")
        code, said = stand_alone(export, *options)
        assert code == 1, said
        return said

    entry = json.loads(lines[8])
    edited = entry["leaf"].replace("document:consulted", "document:downloaded")
    assert "entry 7" in verify(*lines[:8], json.dumps(entry | {"personal": entry["personal"].replace("7", "8")}), *lines[9:])
    assert "from 0 to" in verify(*lines[:8], json.dumps(entry | {"leaf": edited}), *lines[9:])
    size = json.loads(earlier.read_text(encoding="utf-8").splitlines()[-1])["position"] + 1
    assert f"from 0 to {size - 1}" in verify(
        *lines[:8], json.dumps(entry | {"leaf": edited}), *lines[9:], options=(f"--checkpoint={first}", f"--checkpoint={second}")
    )
    assert "entry 7 is not what the earlier export has" in verify(
        *lines[:8], json.dumps(entry | {"leaf": edited}), *lines[9:], options=(f"--earlier={earlier}",)
    )
    assert "entry 7 is missing" in verify(*lines[:8], *lines[9:])
    assert "entry 7 is missing, or not in its place" in verify(*lines[:8], lines[9], lines[8], *lines[10:])
    assert "entry 7 was moved" in verify(
        *lines[:8], json.dumps(json.loads(lines[9]) | {"position": 7}), json.dumps(entry | {"position": 8}), *lines[10:]
    )
    assert f"entry {len(lines) - 2} is missing" in verify(*lines[:-1])
    assert "cut off" in verify(*earlier.read_text(encoding="utf-8").splitlines(), options=(f"--checkpoint={second}",))
    assert "cut off" in verify(*earlier.read_text(encoding="utf-8").splitlines(), options=(f"--earlier={tmp_path / 'good'}",))
    head = json.loads(lines[0])
    assert "signature" in verify(
        json.dumps(head | {"checkpoint": head["checkpoint"].replace(f"\n{len(lines) - 1}\n", "\n9\n")}), *lines[1:]
    )


async def test_a_fork_is_found_with_what_was_mailed_from_the_other_branch(record: Record, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text(await record.grow(10), encoding="utf-8")
    await rewrite(record, 4)
    await record.grow(5)
    export = await record.export(tmp_path / "export")

    assert stand_alone(export)[0] == 0
    code, said = stand_alone(export, f"--checkpoint={kept}")

    assert (code, "two histories" in said) == (1, True), said


async def test_a_part_of_the_record_is_proved_entry_by_entry(
    database_kind: str, record: Record, services: Services, tmp_path: Path
) -> None:
    await record.grow(400)
    chosen = [Event.tag == EventTag.DOCUMENT_CONSULTED, Event.id % 7 == 0]
    lines = [line async for line in services.exporting_audit.lines(chosen)]
    export = tmp_path / "part"
    export.write_text("".join(lines), encoding="utf-8")

    code, said = stand_alone(export)
    assert (code, "a part of the record" in said) == (0, True), said

    changed(export, 5, leaf=json.loads(lines[6])["leaf"].replace("consulted", "downloaded"))
    code, said = stand_alone(export)
    assert (code, "was changed: its proof" in said) == (1, True), said


# Mailing what it is held against


@pytest.fixture
async def audited(settings: Settings, clock: MovableClock, services: Services) -> AsyncIterator[Services]:
    environment = environment_of(settings, AUDIT_MAIL="ciso@zegelpost.example, auditor@elders.example")
    built = build_services(Settings.from_environment(environment), clock=clock)
    yield built
    await built.database.close()


async def test_each_day_a_checkpoint_is_mailed_once_and_holds_the_record(
    database_kind: str, audited: Services, record: Record, clock: MovableClock, tmp_path: Path
) -> None:
    await record.fill(10)
    done = await asyncio.gather(*(audited.checkpointing.run() for _ in range(3)))
    assert sorted(done) == [False, False, True]
    await Outbox(audited).deliver()
    clock.forward(days=1)
    await record.fill(10)
    assert await audited.checkpointing.run()
    assert not await audited.checkpointing.run()

    mails = await Outbox(audited).all(kind="mail", to="auditor@elders.example")
    assert len(mails) == 2
    assert len(await Outbox(audited).all(kind="mail", to="ciso@zegelpost.example")) == 2
    notes = [zegelpost_verify.find_notes(mail["text"].encode()) for mail in mails]
    assert all(len(each) == 1 for each in notes), mails[0]["text"]
    verified = await record.verify(*notes[0], *notes[1])
    assert verified.checkpoint_count == 5
    assert all(str(verified.key) in mail["text"] for mail in mails)
    # As saved by a mail program.
    for number, mail in enumerate(mails):
        (tmp_path / str(number)).write_text(mail["text"], encoding="utf-8")
    options = [f"--checkpoint={tmp_path / str(number)}" for number in range(2)]
    code, said = stand_alone(await record.export(tmp_path / "export"), *options, f"--key={verified.key}")
    assert (code, "fits 2 checkpoint(s)" in said) == (0, True), said
    # The mails alone show that the record only grew, and that someone who rewrote it cannot go on from there.
    code, said = stand_alone(tmp_path / "1", f"--checkpoint={tmp_path / '0'}", f"--key={verified.key}")
    assert (code, "PROVEN: it goes on from" in said) == (0, True), said
    await rewrite(record, 4)
    clock.forward(days=1)
    assert await audited.checkpointing.run()
    later = (await Outbox(audited).all(kind="mail", to="auditor@elders.example"))[-1]["text"]
    (tmp_path / "2").write_text(later, encoding="utf-8")
    code, said = stand_alone(tmp_path / "2", f"--checkpoint={tmp_path / '1'}")
    assert (code, "rewritten" in said) == (1, True), said


async def test_the_record_keeps_its_name_when_the_address_changes(record: Record, settings: Settings, services: Services) -> None:
    kept = await record.grow(3)
    environment = environment_of(settings, BASE_URL="http://localhost:9000")
    moved = Record(build_services(Settings.from_environment(environment), clock=services.clock))
    await moved.grow(3)

    assert (await moved.verify(kept)).origin == "127.0.0.1:8000/audit"
    await moved.services.database.close()


# The command


def run_command(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("zegelpost")), "verify-audit", *arguments]
    return subprocess.run(command, env=environment_of(settings), capture_output=True, text=True, check=False)


async def test_verify_audit_says_what_holds_and_names_what_does_not(
    record: Record, settings: Settings, tmp_path: Path, services: Services
) -> None:
    kept = tmp_path / "kept"
    kept.write_text(await record.grow(10), encoding="utf-8")
    export = await record.export(tmp_path / "export")

    fine = await asyncio.to_thread(run_command, settings, f"--checkpoint={kept}")
    assert (fine.returncode, fine.stdout.split(":")[0]) == (0, "fine"), fine.stdout + fine.stderr
    assert "not proven" not in fine.stdout
    alone = await asyncio.to_thread(run_command, settings)
    assert "not proven" in alone.stdout
    file = await asyncio.to_thread(run_command, settings, str(export), f"--checkpoint={kept}")
    assert file.returncode == 0, file.stdout

    await record.tamper("UPDATE event SET facts = '{}' WHERE id = :event", event=await event_at(record, 7))
    wrong = await asyncio.to_thread(run_command, settings)
    assert wrong.returncode == 1
    assert wrong.stdout.startswith("wrong: entry 7 ")


async def test_what_a_recipient_does_is_in_it_too(
    record: Record, anna_portal: Portal, outbox: Outbox, client: httpx2.AsyncClient
) -> None:
    await send(anna_portal, ROSA, documents={"a.txt": b"a"})
    await open_link(client, outbox)

    await record.grow()

    assert (await record.verify()).size == await record.event_count()
