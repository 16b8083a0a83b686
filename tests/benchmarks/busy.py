"""A busy hour in a minute: one upload, while others print reports and sign in, and somebody looks at a page."""

from __future__ import annotations

import concurrent.futures
import statistics
import threading
import time
from dataclasses import dataclass

import httpx2
from tests.benchmarks.servers import Zegelpost

PASSWORD = "demo-zegelpost-2026"
_REPORTS, _SIGN_INS, _AT_ONCE = 20, 50, 6


@dataclass(frozen=True, slots=True)
class Report:
    """What one report costs. `cpu_seconds` counts the server and the programs that lay pages out."""

    size_bytes: int
    cpu_seconds: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Busy:
    """How it went while much was asked at once."""

    work: str
    seconds: float
    look_count: int
    page_p95_seconds: float
    slowest_piece_seconds: float


def sent_transfer(ours: Zegelpost, recipient_count: int, document_count: int) -> str:
    """A transfer that was sent, with something to report about."""
    transfer_id = ours.draft(recipient_count)
    for number in range(document_count):
        assert ours.patch(ours.begin(transfer_id, 1000, f"beeld-{number}.dcm"), 1000).status == 204
    ours.api.post(f"/transfers/{transfer_id}/send").raise_for_status()
    return transfer_id


def one_report(ours: Zegelpost, transfer_id: str, rounds: int) -> Report:
    """The PDF of a transfer, medians."""
    cpu: list[float] = []
    seconds: list[float] = []
    size = 0
    for _ in range(rounds):
        before, start = ours.group.cpu_seconds(), time.perf_counter()
        answer = ours.api.get(f"/transfers/{transfer_id}/report.pdf").raise_for_status()
        seconds.append(time.perf_counter() - start)
        # The program that printed has been waited for: its seconds stand with the server's.
        cpu.append(ours.group.cpu_seconds() - before)
        size = len(answer.content)
        assert answer.content.startswith(b"%PDF-")
    return Report(size, statistics.median(cpu), statistics.median(seconds))


def busy_hour(ours: Zegelpost, transfer_id: str, upload_bytes: int) -> Busy:
    """How long a page takes, and whether the upload goes on, while 20 reports are printed and 50 people sign in."""
    page_seconds: list[float] = []
    gaps: list[float] = []
    over = threading.Event()
    upload = ours.begin(ours.draft(), upload_bytes)
    piece = upload_bytes // 16

    def look() -> None:
        with httpx2.Client(base_url=ours.base, timeout=60) as browser:
            browser.post("/sign-in", data={"email": "bram@zegelpost.example", "password": PASSWORD}, follow_redirects=True)
            while not over.is_set():
                start = time.perf_counter()
                assert browser.get("/sent").status_code == 200
                page_seconds.append(time.perf_counter() - start)
                time.sleep(0.05)

    def send_pieces() -> None:
        for number in range(16):
            start = time.perf_counter()
            assert ours.patch(upload, piece, offset=number * piece).status == 204
            gaps.append(time.perf_counter() - start)

    def report() -> None:
        ours.api.get(f"/transfers/{transfer_id}/report.pdf").raise_for_status()

    def sign_in() -> None:
        who = {"email": "anna@zegelpost.example", "password": PASSWORD}
        httpx2.post(f"{ours.base}/api/v1/sign-in", json=who, timeout=60).raise_for_status()

    watcher = threading.Thread(target=look)
    watcher.start()
    start = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
        sending = pool.submit(send_pieces)
        others = [pool.submit(report) for _ in range(_REPORTS)] + [pool.submit(sign_in) for _ in range(_SIGN_INS)]
        for each in (*others, sending):
            each.result()
    seconds = time.perf_counter() - start
    over.set()
    watcher.join()
    return Busy(
        work=f"{_REPORTS} reports, {_SIGN_INS} sign-ins and an upload of {upload_bytes / 1e6:.0f} MB",
        seconds=seconds,
        look_count=len(page_seconds),
        page_p95_seconds=statistics.quantiles(page_seconds, n=20)[-1],
        slowest_piece_seconds=max(gaps),
    )
