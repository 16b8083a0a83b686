"""`make benchmark`: installs the peers, measures in interleaved rounds, prints tables."""

from __future__ import annotations

import argparse
import concurrent.futures
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.busy import busy_hour, one_report, sent_transfer
from tests.benchmarks.measuring import PeakMemory, Series
from tests.benchmarks.sending import sent_a_second
from tests.benchmarks.servers import Nginx, NodeTus, Server, Zegelpost
from tests.benchmarks.syncing import kept_a_second

MEBIBYTE = 1024**2
GIBIBYTE = 1024**3


def one_client(servers: list[Server], size_bytes: int, rounds: int) -> None:
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


def eight_clients(ours: Zegelpost, size_bytes: int) -> None:
    """Eight uploads at once, then their eight downloads: fairness, sum, and memory above idle."""
    transfers = [ours.draft() for _ in range(8)]
    uploads = [ours.begin(transfer, size_bytes) for transfer in transfers]

    def upload(number: int) -> None:
        assert ours.patch(uploads[number], size_bytes).status == 204

    _at_once(ours, "uploads", upload, size_bytes)
    urls = [ours.document_url(transfer) for transfer in transfers]

    def download(number: int) -> None:
        assert ours.download(urls[number]).body_bytes == size_bytes

    _at_once(ours, "downloads", download, size_bytes)
    for url in urls:
        ours.forget(url)


def _at_once(ours: Zegelpost, title: str, work: Callable[[int], None], size_bytes: int) -> None:
    seconds: list[float] = []

    def timed(number: int) -> None:
        start = time.perf_counter()
        work(number)
        seconds.append(time.perf_counter() - start)

    start = time.perf_counter()
    with PeakMemory(ours.group) as memory, concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(timed, range(8)))
    total = 8 * size_bytes / 1e6 / (time.perf_counter() - start)
    fairness = statistics.median(seconds) / max(seconds)
    print(
        f"8 {title} of {size_bytes / GIBIBYTE:.2f} GiB at once: {total:.0f} MB/s together,"
        f" slowest client {fairness:.2f} of the median, {memory.peak_bytes / MEBIBYTE:.0f} MiB above idle"
    )


def archive(ours: Zegelpost, count: int, total_bytes: int) -> None:
    """All documents of a transfer as one ZIP, against one document of the same size."""
    transfer_id = ours.draft()
    size = total_bytes // count
    for number in range(count):
        assert ours.patch(ours.begin(transfer_id, size, f"beeld-{number}.dcm"), size).status == 204
    start = time.perf_counter()
    answer = ours.download(f"{ours.base}/api/v1/transfers/{transfer_id}/archive.zip")
    rate = answer.body_bytes / 1e6 / (time.perf_counter() - start)
    single = ours.upload(total_bytes)
    start = time.perf_counter()
    assert ours.download(single).body_bytes == total_bytes
    alone = total_bytes / 1e6 / (time.perf_counter() - start)
    ours.forget(single)
    gibibytes = total_bytes / GIBIBYTE
    print(f"archive of {count} documents, {gibibytes:.1f} GiB: {rate:.0f} MB/s, {rate / alone:.2f} x the single download")


def resume(ours: Zegelpost, size_bytes: int) -> None:
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
    print(f"resume after a cut at half of {size_bytes / GIBIBYTE:.1f} GiB: {half - kept} bytes sent twice")


def two_processes(ours: Zegelpost, size_bytes: int) -> None:
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
    print(
        f"8 uploads of {size_bytes / GIBIBYTE:.2f} GiB over two web processes: {together:.0f} MB/s together,"
        f" {together / single:.2f} x one client's, slowest client {statistics.median(seconds) / max(seconds):.2f} of the median"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    arguments = parser.parse_args()
    size, rounds, big = (64 * MEBIBYTE, 2, 128 * MEBIBYTE) if arguments.quick else (GIBIBYTE, 5, 4 * GIBIBYTE)
    with tempfile.TemporaryDirectory(prefix="zegelpost-benchmark-") as folder:
        base = Path(folder)
        for name in ("ours", "node", "nginx"):
            (base / name).mkdir()
        ours = Zegelpost(base / "ours")
        servers: list[Server] = [ours, NodeTus(base / "node"), Nginx(base / "nginx")]
        try:
            one_client(servers, size, rounds)
            print()
            eight_clients(ours, big)
            archive(ours, 200, 2 * size)
            resume(ours, big)
            two_processes(ours, size)
            transfer_id = sent_transfer(ours, 5, 20)
            printed = one_report(ours, transfer_id, rounds)
            print(
                f"report PDF of 5 recipients and 20 documents: {printed.cpu_seconds:.2f} s CPU, {printed.seconds:.2f} s,"
                f" {printed.size_bytes / 1000:.0f} kB"
            )
            print(busy_hour(ours, transfer_id, size // 4))
            count = 50 if arguments.quick else 200
            for kind, processes in (("sqlite", 1), ("postgresql", 1), ("postgresql", 2)):
                rate = sent_a_second(kind, count, processes)
                print(f"sending to 5 recipients with 5 documents, {kind}, {processes} process(es): {rate:.0f} a second")
            for kind in ("sqlite", "postgresql"):
                people = 5_000 if arguments.quick else 100_000
                kept = kept_a_second(kind, people)
                print(
                    f"address book of {people} contacts, {kind}: first pass {kept.first_seconds:.0f} s"
                    f" ({kept.first_rate:.0f} a second), 1% changed {kept.change_seconds:.2f} s,"
                    f" nothing changed {kept.idle_seconds:.3f} s, found in {kept.find_seconds * 1000:.0f} ms"
                )
        finally:
            for server in servers:
                server.group.stop()


if __name__ == "__main__":
    main()
