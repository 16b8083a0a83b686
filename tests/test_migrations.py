"""A version that still runs works beside the database of the next one: migrations add, and what they add fills itself in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, MetaData, Table, create_engine, event, insert, inspect
from sqlalchemy.engine import Connection
from tests.databases import database_urls

from zegelpost import migrations

# Since when that is promised, and from when on it is looked at: in between one migration dropped a column that was in use.
PROMISED: Final = "0020"
LOOKED_AT: Final = "0017"
BROKEN_BEFORE: Final = {"recipient"}
_VALUES: Final[Mapping[type, Any]] = {
    str: "x",
    bytes: b"x",
    int: 7,  # of some tables there is one row, which is there from the beginning, and its number is 1
    float: 1.5,
    bool: True,
    datetime: datetime(2026, 11, 23, tzinfo=UTC),
    date: date(2026, 11, 23),
    object: {},  # JSON
}

Shape = dict[str, dict[str, Any]]


def revisions() -> list[str]:
    script = ScriptDirectory(str(Path(migrations.__file__).parent))
    return [each.revision for each in reversed(list(script.walk_revisions()))]


def upgrade(engine: Engine, revision: str) -> None:
    with engine.begin() as connection:
        config = migrations._config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def shape(connection: Connection) -> Shape:
    """Columns by table, as the database has them."""
    looking = inspect(connection)
    return {
        table: {column["name"]: column for column in looking.get_columns(table)}
        for table in looking.get_table_names()
        if table != "alembic_version"
    }


def unique(connection: Connection) -> dict[str, set[tuple[str, ...]]]:
    looking = inspect(connection)
    return {
        table: {tuple(each["column_names"]) for each in looking.get_unique_constraints(table)}
        | {tuple(str(name) for name in each["column_names"]) for each in looking.get_indexes(table) if each["unique"]}
        for table in looking.get_table_names()
    }


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, database_kind: str) -> Iterator[Engine]:
    with database_urls(database_kind, tmp_path_factory.mktemp("migrations")) as url:
        made = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        if database_kind == "sqlite":
            # As in `migrate_database`.
            event.listen(made, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys=OFF").close())
        yield made
        made.dispose()


@pytest.fixture(scope="module")
def steps(engine: Engine) -> list[tuple[str, Shape, dict[str, set[tuple[str, ...]]]]]:
    """Every version of the database since then, the last one as it is left."""
    found = []
    for revision in revisions():
        if revision >= LOOKED_AT:
            upgrade(engine, revision)
            with engine.connect() as connection:
                found.append((revision, shape(connection), unique(connection)))
    return found


def test_migrations_only_add(steps: list[tuple[str, Shape, dict[str, set[tuple[str, ...]]]]]) -> None:
    head, newest, newest_unique = steps[-1]
    for revision, older, older_unique in steps:
        if revision < PROMISED:
            continue
        for table, columns in older.items():
            assert table in newest, f"{head} has no {table} any more, which {revision} uses"
            for name, column in columns.items():
                now = newest[table].get(name)
                assert now is not None, f"{head} has no {table}.{name} any more, which {revision} uses"
                assert str(now["type"]) == str(column["type"]), f"{table}.{name} is of another type than in {revision}"
                assert now["nullable"] or not column["nullable"], f"{table}.{name} may be empty in {revision}, and no longer"
            for name in newest[table].keys() - columns.keys():
                now = newest[table][name]
                has_default = now["default"] is not None
                assert now["nullable"] or has_default, f"{revision} writes {table} without {name}, which has no server default"
            added = newest_unique[table] - older_unique[table]
            assert not added, f"{revision} may write the same {added} twice in {table}"


def test_rows_of_the_versions_before_can_be_written(
    engine: Engine, steps: list[tuple[str, Shape, dict[str, set[tuple[str, ...]]]]]
) -> None:
    written = 0
    for revision, older, _ in steps:
        for name, columns in older.items():
            if revision < PROMISED and name in BROKEN_BEFORE:
                continue
            row = {
                column: _VALUES[each["type"].python_type]
                for column, each in columns.items()
                if each["default"] is None or column == "id"
            }
            with engine.connect() as connection:
                if engine.dialect.name == "postgresql":
                    # What a row refers to is not what this is about.
                    connection.exec_driver_sql("SET session_replication_role = replica")
                table = Table(name, MetaData(), autoload_with=connection)
                if "owner_id" in row:
                    row.pop("department_id", None)  # what is someone's is no department's
                connection.execute(insert(table).values({table.c[column]: value for column, value in row.items()}))
                connection.rollback()
                written += 1
    assert written > 100
