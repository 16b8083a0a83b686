"""Databases for tests: a fresh SQLite file, or a fresh database in a PostgreSQL server that this test run started."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg


def is_of_the_policy(statement: str) -> bool:
    """A request that takes more than a moment asks for the policy anew: on a busy machine, here more often than there."""
    return "FROM policy_choices" in statement


@contextmanager
def database_urls(kind: str, folder: Path, *, is_durable: bool = False) -> Iterator[str]:
    """The address of an empty database, removed afterwards. Tests need none that outlives a power cut; benchmarks do."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'database.sqlite3'}"
        return
    socket_folder = _postgresql(is_durable=is_durable)
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(host=socket_folder, dbname="postgres", user="zegelpost", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0".encode())
        try:
            yield f"postgresql://zegelpost@/{name}?host={socket_folder}"
        finally:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())


@functools.cache
def _postgresql(*, is_durable: bool) -> str:
    """A server that ends with this test run; returns its socket's folder."""
    folder = Path(tempfile.mkdtemp(prefix="zegelpost-postgresql-"))
    stop = started_postgresql(folder, is_durable=is_durable)

    def remove() -> None:
        stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return str(folder)


def started_postgresql(folder: Path, *, is_durable: bool, options: Mapping[str, str] | None = None) -> Callable[[str], None]:
    """Start a server of our own on a Unix socket in `folder`, with its data under it; returns what stops it, given how.

    It refuses root, so it runs as postgres.
    """
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    as_other: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
        as_other = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    data = folder / "data"

    def run(*command: str) -> None:
        subprocess.run(
            [*as_other, *command], check=True, cwd=folder, capture_output=True, env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}
        )

    if not data.exists():
        run(str(programs / "initdb"), "-D", str(data), "-U", "zegelpost", "--auth=trust", "-E", "UTF8", "--no-sync")
    chosen = {"listen_addresses": "", "unix_socket_directories": str(folder), "max_connections": "200", **(options or {})}
    if not is_durable:
        chosen["fsync"] = "off"
    arguments = " ".join(f"-c {name}='{value}'" for name, value in chosen.items())
    run(str(programs / "pg_ctl"), "-D", str(data), "-w", "-t", "300", "-l", str(folder / "log"), "-o", arguments, "start")

    def stop(mode: str) -> None:
        run(str(programs / "pg_ctl"), "-D", str(data), "-w", "-t", "300", "-m", mode, "stop")

    return stop
