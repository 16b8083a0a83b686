"""A measuring client on raw sockets, so that the client is never what is slow, and a process group's CPU and memory."""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_PIECE_BYTES = 1024 * 1024
_NOISE = memoryview(os.urandom(_PIECE_BYTES))


@dataclass
class Group:
    """A server process and all its children."""

    process: subprocess.Popen[bytes]

    def _stats(self) -> list[list[str]]:
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(") ")[2].split()
            except OSError:
                continue  # ended meanwhile
            if int(fields[2]) == self.process.pid:  # process group
                found.append(fields)
        return found

    def cpu_seconds(self) -> float:
        return sum(sum(int(fields[i]) for i in (11, 12, 13, 14)) for fields in self._stats()) / _TICKS

    def resident_bytes(self) -> int:
        return sum(int(fields[21]) for fields in self._stats()) * _PAGE_BYTES

    def stop(self) -> None:
        os.killpg(self.process.pid, 15)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, 9)
            self.process.wait()


class PeakMemory:
    """Resident bytes above what it was at the start, looked at twenty times a second."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._before = group.resident_bytes()
        self._stop = threading.Event()
        self.peak_bytes = 0
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.05):
            self.peak_bytes = max(self.peak_bytes, self._group.resident_bytes() - self._before)


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body_bytes: int
    first_byte_seconds: float = 0.0  # of the body, after the request was sent


def exchange(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body_bytes: int = 0,
    *,
    cut_after: int | None = None,
    port: int | None = None,
) -> Answer:
    """One request with a body of noise; counts what comes back. `cut_after` drops the line after so many bytes.

    `port` takes it to another process than the address names.
    """
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, port or parts.port), timeout=300) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        lines = [f"{method} {target} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close"]
        if body_bytes or method in {"POST", "PUT", "PATCH"}:
            lines.append(f"Content-Length: {body_bytes}")
        lines += [f"{name}: {value}" for name, value in headers.items()]
        line.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        left = body_bytes if cut_after is None else cut_after
        while left:
            piece = _NOISE[: min(left, _PIECE_BYTES)]
            line.sendall(piece)
            left -= len(piece)
        if cut_after is not None:
            return Answer(0, {}, 0)
        return _read_answer(line)


def _read_answer(line: socket.socket) -> Answer:
    start = time.perf_counter()
    buffer = bytearray(_PIECE_BYTES)
    head = b""
    while b"\r\n\r\n" not in head:
        count = line.recv_into(buffer)
        if not count:
            raise ConnectionError(head[:200])
        head += buffer[:count]
    raw, _, rest = head.partition(b"\r\n\r\n")
    first, *fields = raw.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (entry.partition(":") for entry in fields)}
    body_bytes = len(rest)
    length = int(headers.get("content-length", -1))
    first_byte = time.perf_counter() if body_bytes else 0.0
    while body_bytes != length and (count := line.recv_into(buffer)):
        first_byte = first_byte or time.perf_counter()
        body_bytes += count
    # Let the server hang up first: a Node server whose client is gone a moment too early does not survive it.
    while line.recv_into(buffer):
        pass
    return Answer(int(first.split()[1]), headers, body_bytes, max(first_byte - start, 0.0))


@dataclass
class Series:
    """Rounds of one measurement."""

    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)

    def run(self, group: Group, work: Callable[[], object]) -> None:
        cpu = group.cpu_seconds()
        start = time.perf_counter()
        work()
        self.seconds.append(time.perf_counter() - start)
        self.cpu_seconds.append(group.cpu_seconds() - cpu)

    def megabytes_a_second(self, size_bytes: int) -> float:
        return size_bytes / 1e6 / statistics.median(self.seconds)

    def spread(self, size_bytes: int) -> str:
        rates = [size_bytes / 1e6 / seconds for seconds in self.seconds]
        return f"{min(rates):.0f}-{max(rates):.0f}"

    def cpu_a_gigabyte(self, size_bytes: int) -> float:
        return statistics.median(self.cpu_seconds) / (size_bytes / 1e9)
