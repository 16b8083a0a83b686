"""What each unavoidable part of moving a document costs on this machine: `python -m tests.benchmarks.floor`.

Processor seconds for a gigabyte (10^9 bytes), the least of many tries, so that other work on the machine counts as little as it
can. What `make benchmark` measures of a whole upload or download cannot be less than the sum.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from isal.isal_zlib import crc32

_PIECE_BYTES = 1024 * 1024
_TRIES = 200
_NONCE = bytes(12)  # the key is made for this, and nothing that is sealed is kept


def least(work: Callable[[], object]) -> float:
    """Processor seconds a gigabyte of work on one piece."""
    found = float("inf")
    for _ in range(_TRIES):
        start = time.thread_time_ns()
        work()
        found = min(found, time.thread_time_ns() - start)
    return found / _PIECE_BYTES


def floor(folder: Path) -> dict[str, float]:
    """Processor seconds a gigabyte, by part."""
    plain = memoryview(bytearray(os.urandom(_PIECE_BYTES)))
    sealed = memoryview(bytearray(_PIECE_BYTES + 16))
    page_aligned = mmap.mmap(-1, _PIECE_BYTES)
    cipher = AESGCM(os.urandom(32))
    cipher.encrypt_into(_NONCE, plain, None, sealed)
    hasher = hashlib.sha256()
    costs = {
        "seal (AES-256-GCM)": least(lambda: cipher.encrypt_into(_NONCE, plain, None, sealed)),
        "hash (SHA-256)": least(lambda: hasher.update(plain)),
        "checksum of an archive (CRC-32)": least(lambda: crc32(plain)),
        "copy in memory": least(lambda: page_aligned.__setitem__(slice(None), plain)),
    }
    cipher.encrypt_into(_NONCE, plain, None, sealed)
    costs["unseal (AES-256-GCM)"] = least(lambda: cipher.decrypt_into(_NONCE, sealed, None, plain))
    path = folder / "floor"
    path.touch(0o600)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_DIRECT)
    except OSError:
        handle = os.open(path, os.O_WRONLY)  # a file system in memory
    try:
        costs["write around the page cache"] = least(lambda: os.write(handle, page_aligned))
    finally:
        os.close(handle)
    handle = os.open(path, os.O_RDONLY)
    try:
        os.preadv(handle, [plain], 0)
        costs["read from the page cache"] = least(lambda: os.preadv(handle, [plain], 0))
    finally:
        os.close(handle)
        path.unlink()
    costs |= _line(plain)
    return costs


def _line(piece: memoryview) -> dict[str, float]:
    """Both ends of a connection on this machine, each in a thread of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_connection(listening.getsockname()) as sender:
        receiver, _ = listening.accept()
        spent: list[float] = []
        count = _TRIES * 4

        def receive() -> None:
            buffer = memoryview(bytearray(_PIECE_BYTES))
            start = time.thread_time()
            left = count * _PIECE_BYTES
            while left:
                left -= receiver.recv_into(buffer)
            spent.append(time.thread_time() - start)

        with receiver:
            thread = threading.Thread(target=receive)
            thread.start()
            start = time.thread_time()
            for _ in range(count):
                sender.sendall(piece)
            sending = time.thread_time() - start
            thread.join()
    gigabytes = count * _PIECE_BYTES / 1e9
    return {"receive from a socket": spent[0] / gigabytes, "send to a socket": sending / gigabytes}


def told(costs: dict[str, float]) -> str:
    """The parts, and what an upload and a download cannot do without."""
    up = ("receive from a socket", "hash (SHA-256)", "seal (AES-256-GCM)", "write around the page cache")
    down = ("read from the page cache", "unseal (AES-256-GCM)", "send to a socket")
    lines = ["| part | CPU s/GB |", "|---|---|", *(f"| {name} | {cost:.3f} |" for name, cost in costs.items())]
    for title, parts in (("an upload", up), ("a download", down)):
        lines.append(f"| least for {title} | {sum(costs[part] for part in parts):.3f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="zegelpost-floor-") as made:
        sys.stdout.write(told(floor(Path(made))) + "\n")
