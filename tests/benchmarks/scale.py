"""`make scale`: a year of a large organisation in PostgreSQL, and how long people wait then.

    python -m tests.benchmarks.scale FOLDER [--transfers 1000000] [--staff 10000] [--seconds 20]

The folder keeps the year: the first time it is filled, after that it is only measured. A million transfers need about 10 GB.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import statistics
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
from tests.benchmarks.installation import PASSWORD, Installation, Served, installation
from tests.benchmarks.organisation import (
    ADMINISTRATOR,
    AUDITOR,
    MEMBER,
    SYSTEM,
    USUAL,
    KnownLink,
    address_of,
    outsider_address,
    reference_of,
)
from tests.benchmarks.targets import Target, Targets

from zegelpost.main import Services, build_services, build_worker

# `backend/docs/decisions/speed.md` and the first targets of this house.
LIST_SECONDS = 0.05
PAGE_SECONDS = 0.2
YEAR_SECONDS = 1.0
CLIENTS = 20
_MOST_LINKS = 20
_SENT = re.compile(r'href="(/transfers/[a-z2-7]{26})"')
_RECEIVED = re.compile(r'href="(/received/[a-z2-7]{26})"')


class Browser:
    """Someone who is signed in."""

    def __init__(self, base: str, number: int | None) -> None:
        self.client = httpx2.Client(base_url=base, timeout=300, follow_redirects=True)
        self.csrf = ""
        if number is not None:
            answer = self.client.post("/sign-in", data={"email": address_of(number), "password": PASSWORD})
            self.csrf = self._csrf(answer)

    @staticmethod
    def _csrf(answer: httpx2.Response) -> str:
        found = re.search(r'name="csrf" value="([^"]+)"', answer.text)
        assert found, answer.status_code
        return found[1]

    def get(self, path: str) -> httpx2.Response:
        return self.client.get(path)

    def press(self, path: str, **fields: str) -> httpx2.Response:
        return self.client.post(path, data={"csrf": self.csrf, **fields})

    def deep_page(self, path: str) -> str:
        """Beyond the middle of a list, however long it is."""
        number = 1
        while f"page={2 * number}" in self.get(f"{path}?page={2 * number - 1}").text:
            number *= 2
        return f"{path}?page={number}"


@dataclass(frozen=True, slots=True)
class Asked:
    """One thing that people do, and within what nineteen of twenty have it on their screen."""

    work: str
    do: Callable[[], httpx2.Response]
    bound_seconds: float


def seconds_of(do: Callable[[], httpx2.Response], times: int) -> list[float]:
    taken = []
    do()
    for _ in range(times):
        start = time.perf_counter()
        answer = do()
        taken.append(time.perf_counter() - start)
        assert answer.status_code == 200, (answer.status_code, answer.url)
    return taken


def p95(taken: Sequence[float]) -> float:
    return statistics.quantiles(taken, n=20)[-1]


def pages_of_staff(served: Served, made: Installation) -> Iterator[Asked]:
    last_year = made.plan.until - timedelta(days=364)
    period = {"first_day": last_year.date().isoformat(), "last_day": made.plan.until.date().isoformat()}
    for name, number in (("someone", USUAL), ("a department's member", MEMBER), ("a system's account", SYSTEM)):
        one = Browser(served.base, number)
        yield Asked(f"home page of {name}", partial(one.get, "/"), LIST_SECONDS)
        yield Asked(f"sent list of {name}", partial(one.get, "/sent"), LIST_SECONDS)
        deep = one.deep_page("/sent")
        yield Asked(f"{deep} of {name}", partial(one.get, deep), LIST_SECONDS)
        yield Asked(f"requests of {name}", partial(one.get, "/requests"), LIST_SECONDS)
        yield Asked(f"received list of {name}", partial(one.get, "/received"), LIST_SECONDS)
        deep = one.deep_page("/received")
        yield Asked(f"{deep} of {name}", partial(one.get, deep), LIST_SECONDS)
        for what, fields in (
            ("reference", {"reference": reference_of(made.plan.units - 50)}),
            ("period", period),
            ("sender", {"sender": "Fatima"}),
            ("a sender who is not there", {"sender": "nobody has this name"}),
        ):
            yield Asked(
                f"search by {what} of {name}",
                partial(one.press, "/received", **fields),
                LIST_SECONDS if what != "a sender who is not there" else PAGE_SECONDS,
            )
        for pattern, path in ((_SENT, "/sent"), (_RECEIVED, "/received")):
            if found := pattern.search(one.get(path).text):
                yield Asked(f"one transfer of {path} of {name}", partial(one.get, found[1]), PAGE_SECONDS)


def pages_of_overseers(served: Served, made: Installation) -> Iterator[Asked]:
    chris, auditor = Browser(served.base, ADMINISTRATOR), Browser(served.base, AUDITOR)
    last = made.plan.until.date()
    for name, days, bound in (("month", 28, YEAR_SECONDS), ("year", 365, YEAR_SECONDS)):
        chosen = f"first_day={last - timedelta(days=days - 1)}&last_day={last}"
        yield Asked(f"dashboard of a {name}", partial(chris.get, f"/admin?{chosen}"), bound)
        yield Asked(f"CSV of a {name}", partial(chris.get, f"/admin/numbers.csv?{chosen}"), bound)
    yield Asked("accounts", lambda: chris.get("/admin/accounts"), PAGE_SECONDS)
    month = {"first_day": str(last - timedelta(days=60)), "last_day": str(last - timedelta(days=32))}
    transfer = made.database().execute("SELECT id FROM transfer LIMIT 1").fetchone()
    assert transfer
    for what, fields in (
        ("newest", {}),
        ("a period", month),
        ("a transfer", {"transfer": str(transfer[0])}),
        ("an outsider", {"person": str(outsider_address(10))}),
        ("someone", {"person": address_of(USUAL)}),
        ("a system's account", {"person": address_of(SYSTEM)}),
    ):
        bound = PAGE_SECONDS if what != "a system's account" else YEAR_SECONDS
        yield Asked(f"audit: {what}", partial(auditor.press, "/audit", **fields), bound)
    yield Asked("metrics", lambda: chris.get("/metrics"), PAGE_SECONDS)


def opened(served: Served, links: Sequence[KnownLink]) -> list[float]:
    """From the link to the note: the page, the button, the code that came by SMS, and what it opens."""
    taken = []
    for link in links:
        nobody = Browser(served.base, None)
        path = f"/o/{link.id}"
        start = time.perf_counter()
        nobody.get(path)
        nobody.client.post(path, data={"link_secret": link.secret})
        nobody.client.post(f"{path}/code")
        paused = time.perf_counter()
        code = _code_to(nobody, link.number)
        paused = time.perf_counter() - paused
        answer = nobody.client.post(f"{path}/verify", data={"code": code})
        taken.append(time.perf_counter() - start - paused)
        assert answer.url.path.endswith("/transfer"), answer.url
    return taken


def _code_to(nobody: Browser, number: str) -> str:
    for _ in range(100):
        sent = [each for each in nobody.get("/demo/outbox.json").json() if each["to"] == number]
        if sent and (found := re.search(r"#(\d{6})$", sent[-1]["text"])):
            return found[1]
        time.sleep(0.1)
    raise AssertionError("no code came")


@dataclass(frozen=True, slots=True)
class Together:
    """How long each page took, and what it cost the server."""

    seconds: Sequence[float]
    cpu_seconds_a_page: float


def at_once(served: Served, seconds: float) -> Together:
    """Twenty people who each look at a list, and a second later at the next one."""
    # Signed in before: hashing their passwords would be most of it.
    people = [Browser(served.base, (USUAL, MEMBER, SYSTEM, 10 + number)[number % 4]) for number in range(CLIENTS)]
    taken: list[float] = []
    before, begun = served.group.cpu_seconds(), time.monotonic()

    def look(number: int) -> None:
        time.sleep(number / CLIENTS)
        while time.monotonic() < begun + seconds:
            start = time.perf_counter()
            assert people[number].get(("/sent", "/received")[number % 2]).status_code == 200
            taken.append(time.perf_counter() - start)
            time.sleep(max(0.0, 1 - (time.perf_counter() - start)))

    looking = [threading.Thread(target=look, args=(number,)) for number in range(CLIENTS)]
    for each in looking:
        each.start()
    for each in looking:
        each.join()
    return Together(taken, (served.group.cpu_seconds() - before) / len(taken))


async def work_of(services: Services, targets: Targets) -> None:
    """What the worker does at every turn, and what it has to keep up with."""
    worker = build_worker(services)
    parts: Sequence[tuple[str, Callable[[], Awaitable[Any]]]] = (
        ("days counted beforehand, one turn", services.summing.run),
        ("notices", worker.noticing.run),
        ("expire and erase", worker.erasing.run),
        ("sweep of uploads", worker.clearing_uploads.run),
        ("outbox, nothing due", worker.dispatching.dispatch),
        ("codes that were left", worker.dispatching.forget_old),
        ("events, nothing new", worker.sequencing.catch_up),
        ("events, thorough look", lambda: worker.sequencing.catch_up(is_thorough=True)),
        ("erasing of events", worker.erasing_events.run),
    )
    for name, run in parts:
        taken = []
        for _ in range(5):
            start = time.perf_counter()
            await run()
            taken.append(time.perf_counter() - start)
        targets.tell(f"worker: {name}: {max(taken):.3f} s at most of five", Target.at_most(f"worker: {name}", max(taken), 1, "s"))
    turns, start = 0, time.perf_counter()
    while await services.summing.run():
        turns += 1
    print(f"worker: the rest of the days, once a day: {time.perf_counter() - start:.1f} s in {turns} turns", flush=True)


async def verified(services: Services) -> None:
    start = time.perf_counter()
    found = await services.verifying_audit.verify([])
    taken = time.perf_counter() - start
    print(f"verify-audit: {found.size} events in {taken:.0f} s, {found.size / taken:.0f} a second", flush=True)


def sizes(made: Installation) -> None:
    print("\n| table | rows | bytes a row | MB | MB of indexes |\n|---|---|---|---|---|")
    with made.database() as connection:
        rows = connection.execute(
            "SELECT relname, reltuples::bigint, pg_table_size(oid), pg_indexes_size(oid) FROM pg_class"
            " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND reltuples > 0"
            " ORDER BY pg_total_relation_size(oid) DESC LIMIT 14"
        )
        for row in rows:
            count, size, index = (int(str(value)) for value in row[1:])
            print(f"| {row[0]} | {count} | {(size + index) / count:.0f} | {size / 1e6:.0f} | {index / 1e6:.0f} |")
        whole = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        assert whole
        print(f"all: {int(str(whole[0])) / 1e9:.2f} GB, {int(str(whole[0])) / made.filled.transfer_count:.0f} bytes a transfer\n")


def measure(made: Installation, seconds: float) -> Targets:
    targets = Targets()
    sizes(made)
    services = build_services(made.settings)

    async def work() -> None:
        await work_of(services, targets)
        await services.database.close()

    asyncio.run(work())
    with made.served() as served:
        print(f"\n{'work':60} median   p95")
        for asked in (*pages_of_staff(served, made), *pages_of_overseers(served, made)):
            taken = seconds_of(asked.do, 40)
            targets.keep(Target.at_most(f"{asked.work}, p95", p95(taken), asked.bound_seconds, "s"))
            print(f"{asked.work:60} {statistics.median(taken):.3f} {p95(taken):.3f}", flush=True)
        if made.filled.links:
            taken = opened(served, made.filled.links[-_MOST_LINKS:])
            targets.tell(
                f"link opened with a code: median {statistics.median(taken):.3f} s",
                Target.at_most("link opened with a code, four requests, p95", p95(taken), 4 * PAGE_SECONDS, "s"),
            )
        together = at_once(served, seconds)
        targets.tell(
            f"{CLIENTS} people looking at lists, one page a second each: {len(together.seconds)} pages,"
            f" {together.cpu_seconds_a_page * 1000:.0f} ms of the processor a page,"
            f" {served.group.resident_bytes() / 1e6:.0f} MB",
            Target.at_most(f"lists, {CLIENTS} people at once, one web process, p95", p95(together.seconds), LIST_SECONDS, "s"),
        )
    return targets


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.scale", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--transfers", type=int, default=1_000_000)
    parser.add_argument("--staff", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=20, help="of twenty people looking at once")
    parser.add_argument("--verify", action="store_true", help="verify the whole audit too, which takes minutes")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with installation(arguments.folder, arguments.transfers, arguments.staff) as made, contextlib.suppress(KeyboardInterrupt):
        print(
            f"{made.filled.transfer_count} transfers, {made.filled.event_count} events; load {os.getloadavg()[0]:.1f}", flush=True
        )
        measure(made, arguments.seconds).print_table()
        if arguments.verify:
            services = build_services(made.settings)
            asyncio.run(verified(services))


if __name__ == "__main__":
    main()
