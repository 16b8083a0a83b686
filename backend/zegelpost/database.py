"""The database: how we connect and what a unit of work is. Not a port; SQLite and PostgreSQL both run the suite."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import cache
from typing import Any

from sqlalchemy import ARRAY, FromClause, Insert, Select, Table, bindparam, event, func, insert, select
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

_READING = "zegelpost_reading"
_GLANCING = "zegelpost_glancing"
_AFTERWARDS = "zegelpost_afterwards"


class Database:
    """Hands out units of work. One use case is one unit: state, event and outgoing notice commit together or not at all."""

    def __init__(self, url: str) -> None:
        self.is_sqlite = url.startswith("sqlite")
        options: dict[str, Any] = {} if self.is_sqlite else {"pool_size": 10, "max_overflow": 20, "pool_pre_ping": True}
        # An error's text ends up in logs, where the parameters of its statement, such as an address, do not belong.
        self.engine: AsyncEngine = create_async_engine(url, hide_parameters=True, **options)
        # Many new rows are one statement with many values: psycopg would send one for each row, and wait for each.
        self.engine.dialect.use_insertmanyvalues_wo_returning = not self.is_sqlite
        if self.is_sqlite:
            event.listen(self.engine.sync_engine, "connect", _set_up_sqlite)
            event.listen(self.engine.sync_engine, "begin", _begin_sqlite)
        # SQLite has one writer at a time, and lets the others knock in vain; here they queue, first come first served.
        self._turn: AbstractAsyncContextManager[None] = asyncio.Lock() if self.is_sqlite else nullcontext()
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False, autoflush=True)
        # A query by itself needs no transaction around it; SQLite would be told that in a call of its own.
        glancing: dict[str, Any] = {_GLANCING: True} if self.is_sqlite else {"isolation_level": "AUTOCOMMIT"}
        self._glancing = self.engine.execution_options(**glancing)
        # As SQLite has it anyway. By default PostgreSQL shows each statement what was committed up to then, and what is put
        # together from several, such as a verification of the whole record, fits no moment at all.
        self._reading: dict[str, Any] = {_READING: True} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        self._first: Callable[[AsyncSession], Awaitable[None]] | None = None

    @asynccontextmanager
    async def work(self) -> AsyncIterator[AsyncSession]:
        """A unit of work: commits when the block ends, rolls back when it raises."""
        async with self._turn, self._sessions() as session:
            async with session.begin():
                if self._first is not None:
                    await self._first(session)
                yield session
            for call in session.info.get(_AFTERWARDS, ()):
                call()

    def begin_work_with(self, first: Callable[[AsyncSession], Awaitable[None]]) -> None:
        """Have this done at the start of every unit of work that writes, so that nobody can forget it."""
        self._first = first

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """One consistent view; on SQLite it does not wait for writers."""
        async with self._sessions() as session:
            await session.connection(execution_options=self._reading)
            yield session

    async def glance(self, query: Select[int]) -> int | None:
        """One number, outside any unit of work: a third of what a unit costs, for what every request asks."""
        async with self._glancing.connect() as connection:
            found: int | None = await connection.scalar(query)
            return found

    async def close(self) -> None:
        await self.engine.dispose()


def afterwards(session: AsyncSession, call: Callable[[], None]) -> None:
    """Have this called once the unit of work is committed, and not when it is rolled back. It must not fail or wait."""
    session.info.setdefault(_AFTERWARDS, []).append(call)


async def insert_all(session: AsyncSession, table: FromClause, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write new rows now, in one statement, past SQLAlchemy's unit of work, which takes seven times as long.

    What they refer to must have been written. For rows that the rest of the unit of work has no need of.
    """
    if rows:
        await session.execute(_insert_into(table), rows)


async def insert_thousands(session: AsyncSession, table: FromClause, rows: Sequence[Mapping[str, Any]]) -> None:
    """As `insert_all`, of so many that it counts how the database is given them; each with a value for every column."""
    if rows and session.get_bind().dialect.name == "postgresql":
        await session.execute(_in_columns(table), {name: [row[name] for row in rows] for name in rows[0]})
    else:
        await insert_all(session, table, rows)


@cache
def _insert_into(table: FromClause) -> Insert:
    assert isinstance(table, Table)
    return insert(table)


@cache
def _in_columns(table: FromClause) -> Insert:
    """With a parameter for each column: psycopg looks for the place of each, of thousands too, in the text of a statement."""
    names = [column.name for column in table.columns]
    values = (func.unnest(bindparam(column.name, type_=ARRAY(column.type))) for column in table.columns)
    return _insert_into(table).from_select(names, select(*values))


def _set_up_sqlite(connection: Any, _entry: ConnectionPoolEntry) -> None:
    # The driver's own transaction handling would begin too late; see `_begin_sqlite`.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "busy_timeout=30000",
        "journal_size_limit=67108864",
    ):
        # FULL: with NORMAL a power cut loses commits that were acknowledged.
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
    # Its own knows no letters but those of ASCII, and would not find Élise by her name.
    connection.create_function("lower", 1, _lower, deterministic=True)


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE: a transaction that first reads and then writes would otherwise fail at the write when another came between.
    options = connection.get_execution_options()
    if options.get(_GLANCING):
        return
    reading = options.get(_READING, False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
