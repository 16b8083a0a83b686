"""The real program as a process of its own, which can be killed and started again on the same data."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class RunningDemo:
    """`zegelpost demo` on a free port."""

    data_dir: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.data_dir.with_suffix(".log")

    def start(self) -> None:
        """Start and wait until it answers; a server that ends or hangs fails the test, and its log tells why."""
        program = Path(sys.executable).with_name("zegelpost")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ZEGELPOST_")}
        environment |= {"PORT": str(self.port), "ZEGELPOST_DATA_DIR": str(self.data_dir)}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(program), "demo"], env=environment, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if httpx2.get(f"{self.base_url}/healthz", timeout=1).status_code == 200:
                    return
            except httpx2.HTTPError:
                time.sleep(0.02)
        self.kill()
        raise AssertionError(self.log.read_text())

    def kill(self) -> None:
        """No goodbye: what a power cut leaves to the operating system."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
            self.process = None

    def outbox(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = httpx2.get(f"{self.base_url}/demo/outbox.json").json()
        return entries

    def wait_for(self, kind: str, to: str, *, more_than: int = 0) -> dict[str, Any]:
        """The latest mail or SMS to someone, once there are more than so many."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            found = [entry for entry in self.outbox() if entry["kind"] == kind and entry["to"] == to]
            if len(found) > more_than:
                return found[-1]
            time.sleep(0.05)
        raise AssertionError(f"no {kind} to {to}: {self.log.read_text()[-2000:]}")
