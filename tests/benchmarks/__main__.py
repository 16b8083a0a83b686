"""`make benchmark`: installs the peers, measures in interleaved rounds, prints tables and which targets were met."""

from __future__ import annotations

import argparse
import concurrent.futures
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.busy import busy_hour, one_report, sent_transfer
from tests.benchmarks.floor import floor, told
from tests.benchmarks.measuring import PeakMemory, Series
from tests.benchmarks.sending import sent_a_second
from tests.benchmarks.servers import Nginx, NodeTus, Server, Zegelpost
from tests.benchmarks.syncing import kept_a_second
from tests.benchmarks.targets import Target, Targets

MEBIBYTE = 1024**2
GIBIBYTE = 1024**3


def one_client(targets: Targets, servers: list[Server], size_bytes: int, rounds: int) -> None:
    """One client, one document: up, then down, each server in turn, several times."""
    up = {server.name: Series() for server in servers}
    down = {server.name: Series() for server in servers}
    for _ in range(rounds):
        for server in servers:
            where: list[str] = []
            up[server.name].run(server.group, lambda server=server, where=where: where.append(server.upload(size_bytes)))  # type: ignore[misc]
            # Once without counting: the peers' file is still in the page cache from writing it, ours went around it.
            server.download(where[0])
            for _repeat in range(2):

                def fetch(server: Server = server, url: str = where[0]) -> None:
                    assert server.download(url).body_bytes == size_bytes

                down[server.name].run(server.group, fetch)
            server.forget(where[0])
    for title, series in (("upload", up), ("download", down)):
        print(f"\n{title} of {size_bytes // MEBIBYTE} MiB, one client, {rounds} rounds, medians")
        print("| server | MB/s | min-max | CPU s/GB | x Node tus | CPU x Node tus | x nginx |")
        print("|---|---|---|---|---|---|---|")
        for server in servers:
            mine = series[server.name]
            rate, cpu = mine.megabytes_a_second(size_bytes), mine.cpu_a_gigabyte(size_bytes)
            node = series["Node tus"]
            print(
                f"| {server.name} | {rate:.0f} | {mine.spread(size_bytes)} | {cpu:.2f}"
                f" | {rate / node.megabytes_a_second(size_bytes):.2f} | {cpu / node.cpu_a_gigabyte(size_bytes):.2f}"
                f" | {rate / series['nginx'].megabytes_a_second(size_bytes):.2f} |"
            )
        targets.keep(*_against_peers(title, series, size_bytes))


def _against_peers(title: str, series: dict[str, Series], size_bytes: int) -> list[Target]:
    """What was promised, and the upper bound on this machine: a server that only moves plaintext."""
    ours, node, nginx = (series[name] for name in ("Zegelpost", "Node tus", "nginx"))
    rates = [each.megabytes_a_second(size_bytes) for each in (ours, node, nginx)]
    processor = [each.cpu_a_gigabyte(size_bytes) for each in (ours, node, nginx)]
    most_cpu, least_of_nginx = {"upload": (0.6, 0.45), "download": (0.5, 0.5)}[title]
    bound = f"{rates[2] / rates[1]:.2f} x Node tus at {processor[2] / processor[1]:.2f} x its CPU"
    print(f"nginx, which neither seals nor hashes nor waits for the disk: {bound}")
    return [
        Target.at_least(f"{title}, one client", rates[0] / rates[1], 2.0, "x Node tus"),
        Target.at_most(f"{title}, CPU a GB", processor[0] / processor[1], most_cpu, "x Node tus"),
        Target.at_least(f"{title}, one client", rates[0] / rates[2], least_of_nginx, "x nginx"),
    ]


def eight_clients(targets: Targets, ours: Zegelpost, size_bytes: int) -> None:
    """Eight uploads at once, then their eight downloads: fairness, sum, and memory above idle."""
    transfers = [ours.draft() for _ in range(8)]
    uploads = [ours.begin(transfer, size_bytes) for transfer in transfers]

    def upload(number: int) -> None:
        assert ours.patch(uploads[number], size_bytes).status == 204

    _at_once(targets, ours, "uploads", upload, size_bytes)
    urls = [ours.document_url(transfer) for transfer in transfers]

    def download(number: int) -> None:
        assert ours.download(urls[number]).body_bytes == size_bytes

    _at_once(targets, ours, "downloads", download, size_bytes)
    for url in urls:
        ours.forget(url)


def _at_once(targets: Targets, ours: Zegelpost, title: str, load: Callable[[int], None], size_bytes: int) -> None:
    seconds: list[float] = []

    def timed(number: int) -> None:
        start = time.perf_counter()
        load(number)
        seconds.append(time.perf_counter() - start)

    start = time.perf_counter()
    with PeakMemory(ours.group) as memory, concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(timed, range(8)))
    total = 8 * size_bytes / 1e6 / (time.perf_counter() - start)
    fairness = statistics.median(seconds) / max(seconds)
    work = f"8 {title} of {size_bytes / GIBIBYTE:.2f} GiB at once"
    targets.tell(
        f"{work}: {total:.0f} MB/s together",
        Target.at_least(f"{work}, slowest client", fairness, 0.5, "of the median"),
        Target.at_most(f"{work}, memory above idle", memory.peak_bytes / MEBIBYTE, 64, "MiB"),
    )


def archive(targets: Targets, ours: Zegelpost, count: int, total_bytes: int) -> None:
    """All documents of a transfer as one ZIP, against one document of the same size."""
    transfer_id = ours.draft()
    size = total_bytes // count
    for number in range(count):
        assert ours.patch(ours.begin(transfer_id, size, f"beeld-{number}.dcm"), size).status == 204
    url = f"{ours.base}/api/v1/transfers/{transfer_id}/archive.zip"
    single = ours.upload(total_bytes)
    zipped, alone, first_byte = Series(), Series(), [ours.download(url).first_byte_seconds]
    for _ in range(3):

        def fetch_all() -> None:
            answer = ours.download(url)
            assert answer.body_bytes > total_bytes
            first_byte.append(answer.first_byte_seconds)

        zipped.run(ours.group, fetch_all)
        alone.run(ours.group, lambda: ours.download(single))
    rate = zipped.megabytes_a_second(total_bytes)
    ours.forget(single)
    work = f"archive of {count} documents, {total_bytes / GIBIBYTE:.1f} GiB"
    targets.tell(
        f"{work}: {rate:.0f} MB/s at {zipped.cpu_a_gigabyte(total_bytes):.2f} CPU s/GB",
        Target.at_least(work, rate / alone.megabytes_a_second(total_bytes), 0.7, "x the single download"),
        Target.at_most(f"{work}, first byte", max(first_byte), 0.2, "s"),
    )


def resume(targets: Targets, ours: Zegelpost, size_bytes: int) -> None:
    """The line drops half-way; how much had to be sent twice."""
    upload = ours.begin(ours.draft(), size_bytes)
    half = size_bytes // 2
    ours.patch(upload, size_bytes, cut_after=half)
    deadline = time.monotonic() + 60
    while ours.offset(upload) == 0 and time.monotonic() < deadline:
        time.sleep(0.2)
    kept = ours.offset(upload)
    while ours.patch(upload, size_bytes - kept, offset=kept).status == 423:
        time.sleep(0.2)
    work = f"resume after a cut at half of {size_bytes / GIBIBYTE:.1f} GiB"
    # Without what was in flight, which nobody sees: the bound is the stricter one.
    targets.tell(work, Target.at_most(f"{work}, sent twice", (half - kept) / MEBIBYTE, 1, "MiB"))


def two_processes(targets: Targets, ours: Zegelpost, size_bytes: int) -> None:
    """Eight clients at once over two web processes on the same data, against one client alone."""
    start = time.perf_counter()
    alone = ours.upload(size_bytes)
    single = size_bytes / 1e6 / (time.perf_counter() - start)
    ours.forget(alone)
    uploads = [ours.begin(ours.draft(), size_bytes) for _ in range(8)]
    group, port = ours.second_process()
    seconds: list[float] = []

    def upload(number: int) -> None:
        begun = time.perf_counter()
        assert ours.patch(uploads[number], size_bytes, port=port if number % 2 else None).status == 204
        seconds.append(time.perf_counter() - begun)

    try:
        start = time.perf_counter()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(upload, range(8)))
        together = 8 * size_bytes / 1e6 / (time.perf_counter() - start)
    finally:
        group.stop()
    work = f"8 uploads of {size_bytes / GIBIBYTE:.2f} GiB over two web processes"
    targets.tell(
        f"{work}: {together:.0f} MB/s together",
        Target.at_least(work, together / single, 1.2, "x one client's"),
        Target.at_least(f"{work}, slowest client", statistics.median(seconds) / max(seconds), 0.5, "of the median"),
    )


def reports(targets: Targets, ours: Zegelpost, rounds: int, upload_bytes: int) -> None:
    """What a report costs, and whether others notice when many are printed."""
    transfer_id = sent_transfer(ours, 5, 20)
    printed = one_report(ours, transfer_id, rounds)
    work = "report PDF of 5 recipients and 20 documents"
    targets.tell(
        f"{work}: {printed.seconds:.2f} s, {printed.size_bytes / 1000:.0f} kB",
        Target.at_most(work, printed.cpu_seconds, 1, "s CPU"),
    )
    busy = busy_hour(ours, transfer_id, upload_bytes)
    targets.tell(
        f"{busy.work} in {busy.seconds:.1f} s, {busy.look_count} looks",
        Target.at_most(f"{busy.work}, pages p95", busy.page_p95_seconds, 1, "s"),
        # What a client with a time-out of its own, or a person at a bar that stands still, would call a stall.
        Target.at_most(f"{busy.work}, slowest sixteenth of the upload", busy.slowest_piece_seconds, 2, "s"),
    )


def sending(targets: Targets, count: int) -> None:
    """SQLite with one process, as embedded; PostgreSQL with two, as it is run, and with one to compare."""
    for kind, processes, bound in (("sqlite", 1, 100), ("postgresql", 1, None), ("postgresql", 2, 200)):
        rate = sent_a_second(kind, count, processes)
        work = f"sending to 5 recipients with 5 documents, {kind}, {processes} process{'es' if processes > 1 else ''}"
        wanted = [Target.at_least(work, rate, bound, "a second")] if bound else []
        targets.tell(f"{work}: {rate:.0f} a second", *wanted)


def address_book(targets: Targets, people: int) -> None:
    """The first pass, and that what follows costs as much as what changed."""
    for kind in ("sqlite", "postgresql"):
        kept = kept_a_second(kind, people)
        work = f"address book of {people} contacts, {kind}"
        targets.tell(
            f"{work}: first pass {kept.first_seconds:.0f} s, nothing changed {kept.idle_seconds:.3f} s,"
            f" found in {kept.find_seconds * 1000:.0f} ms",
            Target.at_least(f"{work}, first pass", kept.first_rate, 2000, "a second"),
            Target.at_most(f"{work}, 1% changed", kept.change_seconds / kept.first_seconds, 0.05, "of the first pass"),
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    arguments = parser.parse_args()
    size, rounds, big = (64 * MEBIBYTE, 2, 128 * MEBIBYTE) if arguments.quick else (GIBIBYTE, 5, 4 * GIBIBYTE)
    targets = Targets()
    with tempfile.TemporaryDirectory(prefix="zegelpost-benchmark-") as folder:
        base = Path(folder)
        for name in ("ours", "node", "nginx"):
            (base / name).mkdir()
        print(told(floor(base)))
        ours = Zegelpost(base / "ours")
        servers: list[Server] = [ours, NodeTus(base / "node"), Nginx(base / "nginx")]
        try:
            one_client(targets, servers, size, rounds)
            print()
            eight_clients(targets, ours, big)
            archive(targets, ours, 200, 2 * size)
            resume(targets, ours, big)
            two_processes(targets, ours, size)
            reports(targets, ours, rounds, size // 4)
            sending(targets, 50 if arguments.quick else 400)
            address_book(targets, 5_000 if arguments.quick else 100_000)
        finally:
            for server in servers:
                server.group.stop()
    targets.print_table()


if __name__ == "__main__":
    main()
