"""With a year of an organisation's post, lists are complete, the last page is right, and nobody waits for others' post."""

from __future__ import annotations

import asyncio
import csv
import io
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, text, update
from starlette.applications import Starlette
from tests.benchmarks.filling import Filled, fill
from tests.benchmarks.organisation import (
    ADMINISTRATOR,
    MEMBER,
    SYSTEM,
    USUAL,
    Plan,
    address_of,
    department_id,
    staff_id,
)
from tests.conftest import BASE_URL, PASSWORD, MovableClock, Portal, browser
from tests.databases import database_urls, is_of_the_policy

from zegelpost.main import Services, build_app, build_services
from zegelpost.migrations import migrate_database
from zegelpost.model.day_sum import DaySum
from zegelpost.model.policy import Policy
from zegelpost.services.counting import Tally
from zegelpost.services.hashing_passwords import hash_password
from zegelpost.services.overseeing import PAGE
from zegelpost.settings import Settings

UNTIL = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
TRANSFERS = 2000
# What grows with the post of others.
LARGE = ("transfer", "recipient", "document", "link", "challenge", "outgoing", "event", "audit_leaf", "upload", "part")


@dataclass(frozen=True)
class Year:
    settings: Settings
    filled: Filled


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory, database_kind: str) -> Iterator[Year]:
    """Made once for all tests of this page; they look and write next to nothing."""
    folder = tmp_path_factory.mktemp("year")
    with database_urls(database_kind, folder) as url:
        settings = Settings.from_environment(
            {
                "ZEGELPOST_DEMO": "1",
                "ZEGELPOST_BASE_URL": BASE_URL,
                "ZEGELPOST_DATA_DIR": str(folder / "data"),
                "ZEGELPOST_DATABASE_URL": url,
            }
        )
        settings.data_dir.mkdir(mode=0o700)
        migrate_database(settings.database_url)
        # More for those who are looked at than they would have of so few: their lists have several pages.
        plan = Plan(TRANSFERS, 60, UNTIL, asyncio.run(hash_password(PASSWORD)), system_share=0.15, post_room_share=0.2)
        filled = fill(settings, plan)
        yield Year(settings, filled)
        shutil.rmtree(settings.data_dir)


@dataclass
class Stage:
    """The application on that year, and what it asks of the database."""

    app: Starlette
    services: Services
    asked: list[tuple[str, Any]] = field(default_factory=list)

    @contextmanager
    def statements(self) -> Iterator[list[tuple[str, Any]]]:
        """Those of the block."""
        self.asked.clear()
        yield self.asked
        self.asked = []

    async def portal(self, number: int) -> Portal:
        portal = Portal(browser(self.app))
        await portal.sign_in(address_of(number))
        return portal

    async def scalars(self, query: str) -> list[Any]:
        async with self.services.database.reading() as session:
            return list(await session.scalars(text(query)))


@pytest.fixture
async def stage(year: Year) -> AsyncIterator[Stage]:
    policy = Policy(staff_domains=("zegelpost.example",), requires_second_factor=False)
    services = build_services(year.settings, clock=MovableClock(UNTIL), policy=policy)
    made = Stage(build_app(services, has_worker=False), services)

    @event.listens_for(services.database.engine.sync_engine, "before_cursor_execute")
    def keep(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if not is_of_the_policy(statement):
            made.asked.append((statement, parameters))

    yield made
    await services.database.close()


async def every_page(portal: Portal, path: str, pattern: str) -> list[str]:
    """What the links of a list lead to, from the first page to the last."""
    found: list[str] = []
    number = 1
    while True:
        answer = await portal.client.get(path, params={"page": number})
        assert answer.status_code == 200
        on_page = re.findall(pattern, answer.text)
        found += on_page
        number += 1
        if f"page={number}" not in answer.text:
            return found


async def test_audit_of_the_year_is_true(stage: Stage, year: Year) -> None:
    verified = await stage.services.verifying_audit.verify([])
    assert verified.size >= year.filled.event_count > 10 * TRANSFERS
    assert verified.waiting_count == 0


@pytest.mark.parametrize(
    ("number", "whose"),
    [
        (SYSTEM, f"sender_id = '{staff_id(SYSTEM)}' AND department_id IS NULL"),
        (MEMBER, f"department_id = '{department_id(0)}'"),
    ],
)
async def test_sent_list_holds_all_of_theirs_newest_first(stage: Stage, number: int, whose: str) -> None:
    expected = await stage.scalars(
        f"SELECT id FROM transfer WHERE {whose} AND kind = 'sending' AND state NOT IN ('draft', 'erased')"
        " ORDER BY sent_at DESC, id"
    )
    assert len(expected) > 2 * PAGE
    found = await every_page(await stage.portal(number), "/sent", r'href="/transfers/([a-z2-7]{26})"')
    assert found == expected


async def test_received_list_holds_all_that_is_open_newest_first(stage: Stage) -> None:
    expected = await stage.scalars(
        "SELECT transfer.id FROM transfer JOIN recipient ON recipient.transfer_id = transfer.id"
        f" WHERE recipient.department_id = '{department_id(0)}' AND transfer.state = 'sent'"
        " ORDER BY transfer.sent_at DESC, transfer.id"
    )
    assert len(expected) > 1
    portal = await stage.portal(MEMBER)
    found = await every_page(portal, "/received", r'href="/received/([a-z2-7]{26})"')
    assert [each for each in found if each in set(expected)] == expected
    # Names are sealed: finding one opens everything that came in.
    answer = await portal.press("/received", sender="praktijk")
    assert set(re.findall(r'href="/received/([a-z2-7]{26})"', answer.text)) >= set(expected)


@pytest.mark.parametrize("path", ["/", "/sent", "/received", "/requests"])
async def test_long_list_asks_as_often_as_a_short_one(stage: Stage, path: str) -> None:
    """One statement for each transfer of a page would be seen here, and nowhere else until there is much of it."""
    counts = {}
    for number in (USUAL, MEMBER):
        portal = await stage.portal(number)
        with stage.statements() as asked:
            assert (await portal.client.get(path)).status_code == 200
            counts[number] = len(asked)
    # Of a page without guests, departments or colleagues, nobody is looked up.
    assert counts[MEMBER] <= counts[USUAL] + 6
    assert counts[MEMBER] <= 24


async def test_search_asks_as_often_however_much_came_in(stage: Stage) -> None:
    portal = await stage.portal(MEMBER)
    with stage.statements() as asked:
        await portal.press("/received", sender="nobody has this name")
        assert len(asked) <= 10


async def test_year_is_counted_beforehand_and_to_the_same_numbers(stage: Stage) -> None:
    portal = await stage.portal(ADMINISTRATOR)
    year = {"first_day": "2025-11-24", "last_day": "2026-11-23"}
    whole = ("", "own", department_id(0))

    async def numbers() -> list[str]:
        return [(await portal.client.get("/admin/numbers.csv", params={**year, "department": each})).text for each in whole]

    before = await numbers()
    assert sum(int(row["Sent"]) for row in csv.DictReader(io.StringIO(before[0].lstrip("\ufeff")))) > TRANSFERS / 2
    days = 0
    while counted := await stage.services.summing.run():
        days += counted
    assert days == 2 * (366 - 7)
    assert await numbers() == before
    with stage.statements() as asked:
        page = await portal.client.get("/admin", params=year)
    # What is over is not counted again: only the last days are looked for among transfers.
    since = [parameters for statement, parameters in asked if "sum(document.length_bytes)" in statement]
    assert len(since) == 1
    assert "2026-11-15" in str(since[0]) or "2026, 11, 15" in str(since[0])
    assert "were counted on" in page.text
    # Whoever looks at less than a week sees nothing of it.
    assert "were counted on" not in (await portal.client.get("/admin", params={"first_day": "2026-11-20"})).text


async def test_what_was_counted_too_long_ago_counts_no_more(stage: Stage) -> None:
    portal = await stage.portal(ADMINISTRATOR)
    while await stage.services.summing.run():
        pass
    async with stage.services.database.work() as session:
        await session.execute(text("UPDATE day_sum SET numbers = '{\"sent_count\": 1}' WHERE day = '2026-10-01'"))
        await session.execute(update(DaySum).where(DaySum.day == "2026-10-02").values(counted_at=UNTIL - timedelta(hours=49)))
        await session.execute(
            update(DaySum).where(DaySum.day == "2026-10-02").values(numbers={**asdict(Tally()), "sent_count": 123456})
        )
    answer = await portal.client.get("/admin/numbers.csv", params={"first_day": "2026-09-28", "last_day": "2026-10-04"})
    sent = {row["Day"]: int(row["Sent"]) for row in csv.DictReader(io.StringIO(answer.text.lstrip("\ufeff")))}
    assert sent["2026-10-01"] > 1
    assert 1 < sent["2026-10-02"] < 100
    # And is counted anew when its turn comes.
    assert await stage.services.summing.run() == 2 * 2


async def test_what_a_clock_that_ran_ahead_counted_is_counted_anew(stage: Stage) -> None:
    """Otherwise days that had not come yet would stay at nothing until they were weeks old."""
    while await stage.services.summing.run():
        pass
    ahead = update(DaySum).where(DaySum.day == "2026-10-02").values(counted_at=UNTIL + timedelta(days=30))
    async with stage.services.database.work() as session:
        await session.execute(ahead.values(numbers=asdict(Tally())))
    assert await stage.services.summing.run() == 2
    portal = await stage.portal(ADMINISTRATOR)
    answer = await portal.client.get("/admin/numbers.csv", params={"first_day": "2026-09-28", "last_day": "2026-10-04"})
    sent = {row["Day"]: int(row["Sent"]) for row in csv.DictReader(io.StringIO(answer.text.lstrip("\ufeff")))}
    assert sent["2026-10-02"] > 1


async def test_several_workers_count_the_same_days_at_once(stage: Stage) -> None:
    async with stage.services.database.work() as session:
        await session.execute(text("DELETE FROM day_sum"))
    counted = await asyncio.gather(*(stage.services.summing.run() for _ in range(4)))
    assert sum(counted) >= 14  # of each mailbox a turn, whoever was first
    while await stage.services.summing.run():
        pass
    assert await stage.scalars("SELECT count(*) FROM day_sum") == [2 * (366 - 7)]
