"""A real clamd on a Unix socket, with one signature of its own: no internet, no freshclam, up in a tenth of a second."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# The harmless test file of eicar.org, in two halves so that scanners leave this one alone.
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}" + rb"$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
_PROGRAM = shutil.which("clamd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@dataclass(frozen=True, slots=True)
class Clamd:
    """`url` goes into `ZEGELPOST_CLAMD_URL`."""

    socket_path: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"unix://{self.socket_path}"

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


@contextmanager
def clamd(folder: Path, **options: str) -> Iterator[Clamd]:
    """A running clamd; `options` are lines of clamd.conf."""
    assert _PROGRAM, "clamd is missing: install clamav-daemon"
    signatures = folder / "signatures"
    signatures.mkdir()
    (signatures / "eicar.ndb").write_text(f"Eicar-Test-Signature:0:*:{EICAR.hex()}\n")
    socket_path = folder / "clamd.socket"
    lines = {
        "DatabaseDirectory": str(signatures),
        "LocalSocket": str(socket_path),
        "TemporaryDirectory": str(folder),
        "Foreground": "yes",
        "AlertExceedsMax": "yes",
        "AlertEncrypted": "yes",
        "StreamMaxLength": "2000M",
        "MaxThreads": "2",
        **options,
    }
    if os.geteuid() == 0:
        lines["User"] = "root"
    configuration = folder / "clamd.conf"
    configuration.write_text("".join(f"{name} {value}\n" for name, value in lines.items()))
    with (folder / "clamd.log").open("wb") as log:
        process = subprocess.Popen([_PROGRAM, f"--config-file={configuration}"], stdout=log, stderr=log)
    running = Clamd(socket_path, process)
    try:
        _wait_for(running, folder / "clamd.log")
        yield running
    finally:
        running.stop()


def _wait_for(running: Clamd, log: Path) -> None:
    deadline = time.monotonic() + 20
    while True:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(running.socket_path))
                probe.sendall(b"zPING\0")
                if probe.recv(10) == b"PONG\0":
                    return
            except OSError:
                pass
        assert running.process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)
