"""Migrations: how a database gets from any earlier version to this one (Alembic)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.pool import ConnectionPoolEntry

from zegelpost.database import Database

_HERE: Final = Path(__file__).parent


class SchemaOutdated(Exception):
    """The database is of another version than the program."""


def migrate_database(url: str) -> None:
    """Bring the database at `url` to this program's version. Not from inside an event loop."""

    async def run() -> None:
        database = Database(url)
        if database.is_sqlite:
            # To change a column SQLite makes the table anew (https://sqlite.org/lang_altertable.html, section 7): other tables
            # refer to nothing in between, which is checked at the end instead.
            event.listen(database.engine.sync_engine, "connect", _drop_references)
        async with database.engine.begin() as connection:
            await connection.run_sync(_upgrade)
            if database.is_sqlite:
                broken = (await connection.exec_driver_sql("PRAGMA foreign_key_check")).all()
                if broken:
                    raise SchemaOutdated(f"{len(broken)} rows refer to nothing after the migration; nothing was changed")
        await database.close()

    asyncio.run(run())


async def require_current_schema(database: Database) -> None:
    """Raise `SchemaOutdated` unless the database is of this program's version."""
    await schema_version(database)


async def schema_version(database: Database) -> str:
    """The version that program and database have in common. Raises `SchemaOutdated` when they have none."""
    async with database.engine.connect() as connection:
        current = await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())
    if current is None or current != ScriptDirectory(str(_HERE)).get_current_head():
        raise SchemaOutdated("the database is of another version: run `zegelpost migrate`")
    return current


def _drop_references(connection: Any, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=OFF")
    cursor.close()


def _upgrade(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_HERE))
    attributes: dict[str, Any] = config.attributes
    attributes["configure_logger"] = False
    return config
