"""An installation with a year of post, on a PostgreSQL of its own: made once in a folder, and measured as often as one likes."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from tests.benchmarks.filling import Filled, fill
from tests.benchmarks.measuring import Group
from tests.benchmarks.organisation import KnownLink, Plan
from tests.benchmarks.servers import free_port, start
from tests.databases import started_postgresql

from zegelpost.migrations import migrate_database
from zegelpost.services.hashing_passwords import hash_password
from zegelpost.settings import Settings

PASSWORD = "demo-zegelpost-2026"
# A quarter of the memory for PostgreSQL, and what its manual advises for a disk without moving parts (section 20.7.2).
_OPTIONS = {"shared_buffers": "2GB", "effective_cache_size": "8GB", "work_mem": "16MB", "random_page_cost": "1.1"}


@dataclass(frozen=True, slots=True)
class Served:
    """A web process with its worker inside."""

    base: str
    group: Group


@dataclass(frozen=True, slots=True)
class Installation:
    """`socket_folder`: where its PostgreSQL listens."""

    folder: Path
    environment: dict[str, str]
    filled: Filled
    plan: Plan

    @property
    def settings(self) -> Settings:
        return Settings.from_environment(self.environment)

    def database(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.environment["ZEGELPOST_DATABASE_URL"], autocommit=True)

    @contextmanager
    def served(self) -> Iterator[Served]:
        """As long as the block lasts."""
        port = free_port()
        program = Path(sys.executable).with_name("zegelpost")
        environment = {**os.environ, **self.environment, "ZEGELPOST_BASE_URL": f"http://127.0.0.1:{port}"}
        group = start([str(program), "serve", "--port", str(port)], port, self.folder, environment)
        try:
            yield Served(f"http://127.0.0.1:{port}", group)
        finally:
            group.stop()


@contextmanager
def installation(folder: Path, transfers: int, staff: int) -> Iterator[Installation]:
    """The one in this folder; filled if it is new."""
    (folder / "postgresql").mkdir(parents=True, exist_ok=True)
    stop = started_postgresql(folder / "postgresql", is_durable=True, options=_OPTIONS)
    environment = {
        "ZEGELPOST_DEMO": "1",
        # Fixed, because the record of events is called after it.
        "ZEGELPOST_BASE_URL": "http://127.0.0.1:8000",
        "ZEGELPOST_DATA_DIR": str(folder / "data"),
        "ZEGELPOST_DATABASE_URL": f"postgresql://zegelpost@/zegelpost?host={folder / 'postgresql'}",
        "ZEGELPOST_SMS_PER_DAY": "20000",
    }
    kept = folder / "filled.json"
    try:
        if not kept.exists():
            _make(folder, environment, Plan(transfers, staff, datetime.now(UTC), asyncio.run(hash_password(PASSWORD))))
        told = json.loads(kept.read_text())
        migrate_database(Settings.from_environment(environment).database_url)
        filled = Filled(told["transfer_count"], told["event_count"], [KnownLink(**link) for link in told["links"]])
        plan = Plan(told["transfers"], told["staff"], datetime.fromisoformat(told["until"]), "")
        yield Installation(folder, environment, filled, plan)
    finally:
        stop("fast")


def _make(folder: Path, environment: dict[str, str], plan: Plan) -> None:
    settings = Settings.from_environment(environment)
    settings.data_dir.mkdir(exist_ok=True)
    with psycopg.connect(host=str(folder / "postgresql"), dbname="postgres", user="zegelpost", autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS zegelpost")
        connection.execute("CREATE DATABASE zegelpost ENCODING 'UTF8' TEMPLATE template0")
    migrate_database(settings.database_url)
    begun = time.monotonic()
    last = begun

    def tell(line: str) -> None:
        nonlocal last
        if time.monotonic() - last > 10 or line == "indexes":
            last = time.monotonic()
            print(f"filling, {last - begun:.0f} s: {line}", flush=True)

    filled = fill(settings, plan, processes=os.cpu_count() or 2, tell=tell)
    print(
        f"filled in {time.monotonic() - begun:.0f} s: {filled.transfer_count} transfers, {filled.event_count} events", flush=True
    )
    told = {
        "transfers": plan.transfers,
        "staff": plan.staff,
        "until": plan.until.isoformat(),
        "transfer_count": filled.transfer_count,
        "event_count": filled.event_count,
        "links": [asdict(link) for link in filled.links],
    }
    (folder / "filled.json").write_text(json.dumps(told))


def links_of(made: Installation, count: int) -> Sequence[KnownLink]:
    return made.filled.links[-count:]
