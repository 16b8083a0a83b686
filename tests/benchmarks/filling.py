"""Filling a database with a year of post, in minutes: rows are made in all processors, and PostgreSQL takes them by `COPY`.

Events get their numbers and their places in the tree in the order of time, with the product's own hashing, so that
`verify-audit` finds them all to be true.
"""

from __future__ import annotations

import heapq
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final, NamedTuple

import psycopg
from sqlalchemy import Table, create_engine, event, insert, update
from sqlalchemy.engine import Connection
from tests.benchmarks.organisation import Happened, KnownLink, Plan, Rows, people
from tests.benchmarks.year import Year

from zegelpost.adapters.keys_directory import DirectoryKeyRing
from zegelpost.evidence.checkpoint import Checkpoint
from zegelpost.evidence.leaf import SALT_BYTES, Leaf, commitment, personal_part
from zegelpost.evidence.note import NoteSigner
from zegelpost.evidence.tree import Frontier, leaf_hash
from zegelpost.model.audit import NODE_LEVELS, TREE, AuditCheckpoint, AuditLeaf, AuditNode, AuditTree
from zegelpost.model.event import Event
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.settings import Settings

MOST_LINKS: Final = 2000
_CHUNK: Final = 1000  # units

_Made = tuple[Any, list[Happened], list[KnownLink], int]


class Inserting:
    """Through SQLAlchemy: for any database, and for some thousands of transfers."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url)
        if url.startswith("sqlite"):
            # Rows come in the order in which they are made, and everything is there at the end.
            event.listen(self._engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys=OFF").close())
        self._connection: Connection = self._engine.connect()
        if not url.startswith("sqlite"):
            self._connection.exec_driver_sql("SET session_replication_role = replica")

    def write(self, packed: Rows) -> None:
        for table, columns in packed.tables.items():
            names = {name for row in columns for name in row}
            self._connection.execute(insert(table), [{name: row.get(name) for name in names} for row in columns])

    def grow(self, leaves: Mapping[str, Any]) -> None:
        self._connection.execute(update(AuditTree).where(AuditTree.id == TREE).values(**leaves))

    def finish(self) -> None:
        if self._connection.dialect.name == "postgresql":
            self._connection.exec_driver_sql("SELECT setval('event_id_seq', (SELECT max(id) FROM event))")
        self._connection.commit()
        self._connection.close()
        self._engine.dispose()


class _Text(NamedTuple):
    """Rows as `COPY` reads them (PostgreSQL 16, COPY, "Text Format")."""

    table: str
    columns: str
    lines: str


class Copying:
    """By `COPY`, past foreign keys, and with indexes made when everything is there: seven times as fast."""

    def __init__(self, url: str) -> None:
        self._indexes: list[str] = []
        connection = self._connection = psycopg.connect(url, autocommit=True)
        connection.execute("SET session_replication_role = replica")
        connection.execute("SET synchronous_commit = off")
        found = connection.execute(
            "SELECT indexname, indexdef FROM pg_indexes"
            " WHERE schemaname = 'public' AND indexname NOT IN (SELECT conname FROM pg_constraint)"
        ).fetchall()
        for name, definition in found:
            connection.execute(f'DROP INDEX "{name}"'.encode())
            self._indexes.append(definition)

    def write(self, packed: Sequence[_Text]) -> None:
        for text in packed:
            with (
                self._connection.cursor() as cursor,
                cursor.copy(f'COPY "{text.table}" ({text.columns}) FROM STDIN'.encode()) as copy,
            ):
                copy.write(text.lines)

    def grow(self, leaves: Mapping[str, Any]) -> None:
        columns = ", ".join(f"{name} = %s" for name in leaves)
        self._connection.execute(f"UPDATE audit_tree SET {columns} WHERE id = {TREE}".encode(), list(leaves.values()))

    def finish(self) -> None:
        self._connection.execute("SELECT setval('event_id_seq', (SELECT max(id) FROM event))")
        self._connection.execute("SET maintenance_work_mem = '1GB'")
        for definition in self._indexes:
            self._connection.execute(definition.encode())
        self._connection.execute("VACUUM ANALYZE")
        self._connection.execute("CHECKPOINT")
        self._connection.close()


def packed_as_they_are(rows: Rows) -> Rows:
    """For `Inserting`."""
    return rows


def packed_text(rows: Rows) -> list[_Text]:
    """For `Copying`; made by the processes that make the rows."""
    return [_as_text(table, columns) for table, columns in rows.tables.items()]


def _as_text(table: Table, rows: Sequence[Mapping[str, Any]]) -> _Text:
    names = sorted({name for row in rows for name in row})
    lines = "".join(["\t".join([_value(row.get(name)) for name in names]) + "\n" for row in rows])
    return _Text(table.name, ", ".join(f'"{name}"' for name in names), lines)


def _value(value: Any) -> str:
    if value is None:
        return "\\N"
    if isinstance(value, str):
        return value.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")
    if isinstance(value, bytes):
        return "\\\\x" + value.hex()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return _value(json.dumps(value))
    return str(value)


@dataclass
class _History:
    """Puts events that come unit by unit in the order of time, and grows the tree with them."""

    ring: DirectoryKeyRing
    origin: str
    waiting: list[Happened] = field(default_factory=list)
    frontier: Frontier = field(default_factory=Frontier)
    day: str = ""

    def take(self, happened: Sequence[Happened], before: datetime) -> Rows:
        """The rows of everything that happened before a moment, after which nothing earlier will be told."""
        for each in happened:
            heapq.heappush(self.waiting, each)
        rows = Rows()
        events, leaves, nodes = [], [], []
        while self.waiting and self.waiting[0].at < before:
            told = heapq.heappop(self.waiting)
            if (day := told.at.date().isoformat()) != self.day:
                self._keep_checkpoint(rows, told.at, day)
            position, salt = self.frontier.size, os.urandom(SALT_BYTES)
            committed = commitment(salt, personal_part(staff=told.staff, recipient=told.recipient, facts=told.facts))
            leaf = Leaf(
                position=position,
                event=position + 1,
                at=told.at,
                tag=told.tag.value,
                actor=told.actor.value,
                transfer=told.transfer,
                document=told.document,
                personal=committed,
            )
            hashed = leaf_hash(leaf.text().encode("ascii"))
            events.append(_row(told, position + 1))
            leaves.append({"position": position, "event_id": position + 1, "hash": hashed, "salt": salt})
            nodes += [
                {"level": subtree.level, "index": subtree.index, "hash": subtree.hash}
                for subtree in self.frontier.append(hashed)
                if subtree.level % NODE_LEVELS == 0
            ]
        for kind, made in ((Event, events), (AuditLeaf, leaves), (AuditNode, nodes)):
            if made:
                rows.tables[kind.__table__] = made
        return rows

    def _keep_checkpoint(self, rows: Rows, at: datetime, day: str) -> None:
        self.day = day
        if self.frontier.size:
            rows.add(AuditCheckpoint, day=day, size=self.frontier.size, note=self.checkpoint(), created_at=at)

    def checkpoint(self) -> str:
        signer = NoteSigner(self.origin, self.ring.installation("checkpoint"))
        return Checkpoint(self.origin, self.frontier.size, self.frontier.root()).signed(signer)

    def tree(self) -> dict[str, Any]:
        return {
            "origin": self.origin,
            "size": self.frontier.size,
            "frontier": self.frontier.to_bytes(),
            "checkpoint": self.checkpoint(),
            "settled_id": self.frontier.size,
        }


def _row(told: Happened, number: int) -> dict[str, Any]:
    return {
        "id": number,
        "at": told.at,
        "tag": told.tag,
        "actor_kind": told.actor,
        "staff_user_id": told.staff,
        "transfer_id": told.transfer,
        "recipient_id": told.recipient,
        "document_id": told.document,
        "facts": told.facts,
    }


@dataclass(frozen=True, slots=True)
class Filled:
    """How much there is now, and links of outsiders that still open, the newest last."""

    transfer_count: int
    event_count: int
    links: Sequence[KnownLink]


@dataclass(frozen=True, slots=True)
class _Maker:
    """What each process needs to make rows; it has keys of its own in memory."""

    plan: Plan
    keys_dir: Any
    pack: Callable[[Rows], Any]

    def __call__(self, span: tuple[int, int]) -> _Made:
        rows = Year(self.plan, kept_keys(self.keys_dir)).rows(*span)
        count = sum(len(made) for table, made in rows.tables.items() if table.name == "transfer")
        return self.pack(rows), rows.events, rows.links, count


def kept_keys(keys_dir: Any) -> KeepingKeys:
    """Keys read once in each process: files are read for each name otherwise."""
    found = _KEPT.get(keys_dir)
    if found is None:
        found = _KEPT[keys_dir] = KeepingKeys(_Remembering(DirectoryKeyRing(keys_dir)))
    return found


_KEPT: Final[dict[Any, KeepingKeys]] = {}


class _Remembering:
    def __init__(self, ring: DirectoryKeyRing) -> None:
        self._ring = ring
        self._known: dict[Any, Any] = {}

    def first_outbox_day(self) -> date:
        return self._ring.first_outbox_day()

    def week(self, week: str) -> Any:
        return self._recalled(self._ring.week, week)

    def installation(self, purpose: str) -> Any:
        return self._recalled(self._ring.installation, purpose)

    def installation_keys(self, purpose: str) -> Any:
        return (self.installation(purpose),)

    def outbox_day(self, day: Any) -> Any:
        return self._recalled(self._ring.outbox_day, day)

    def _recalled(self, read: Callable[[Any], Any], what: Any) -> Any:
        if what not in self._known:
            self._known[what] = read(what)
        return self._known[what]


def fill(settings: Settings, plan: Plan, *, processes: int = 1, tell: Callable[[str], None] = lambda _: None) -> Filled:
    """Write the year; the database has its tables and nothing in them."""
    ring = DirectoryKeyRing(settings.keys_dir)
    writer: Any  # takes what is packed for it
    pack: Callable[[Rows], Any]
    if processes > 1:
        writer, pack = Copying(settings.database_url.replace("postgresql+psycopg", "postgresql")), packed_text
    else:
        writer, pack = Inserting(settings.database_url.replace("sqlite+aiosqlite", "sqlite")), packed_as_they_are
    writer.write(pack(people(plan)))
    history = _History(ring, f"{settings.host}/audit")
    links: list[KnownLink] = []
    transfers = 0
    spans = [(first, min(first + _CHUNK, plan.units)) for first in range(0, plan.units, _CHUNK)]
    for (_, last), made in zip(spans, _made(_Maker(plan, settings.keys_dir, pack), spans, processes), strict=True):
        packed, events, known, count = made
        writer.write(packed)
        transfers += count
        links = (links + known)[-MOST_LINKS:]
        writer.write(pack(history.take(events, plan.begins(last) if last < plan.units else plan.until)))
        tell(f"{transfers} transfers, {history.frontier.size} events")
    writer.grow(history.tree())
    tell("indexes")
    writer.finish()
    return Filled(transfers, history.frontier.size, links)


def _made(maker: _Maker, spans: Sequence[tuple[int, int]], processes: int) -> Iterator[_Made]:
    if processes == 1:
        yield from map(maker, spans)
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        # No further ahead than a few: rows take more memory than the database they go to.
        for start in range(0, len(spans), processes * 4):
            yield from pool.imap(maker, spans[start : start + processes * 4])
