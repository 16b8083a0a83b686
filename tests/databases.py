"""Databases for tests: a fresh SQLite file, or a fresh database in a PostgreSQL server that this test run started."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg


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
    """Start a server of our own on a Unix socket; returns the socket's folder. It refuses root, so it runs as postgres."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    folder = Path(tempfile.mkdtemp(prefix="zegelpost-postgresql-"))
    as_other: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
        as_other = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    data = folder / "data"

    def run(*command: str) -> None:
        subprocess.run(
            [*as_other, *command], check=True, cwd=folder, capture_output=True, env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}
        )

    run(str(programs / "initdb"), "-D", str(data), "-U", "zegelpost", "--auth=trust", "-E", "UTF8", "--no-sync")
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c max_connections=200"
    options += "" if is_durable else " -c fsync=off"
    run(str(programs / "pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")

    def stop() -> None:
        run(str(programs / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(stop)
    return str(folder)
