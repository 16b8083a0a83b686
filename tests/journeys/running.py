"""The real program as a process of its own, which can be killed and started again on the same data."""

from __future__ import annotations

import multiprocessing
import multiprocessing.context
import os
import re
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from tests.free_ports import free_port

from zegelpost.cli import main

_START_SECONDS = 60  # on a machine that is busy with other things


def _run(arguments: list[str], log: Path, environment: dict[str, str], code: Path | None) -> None:
    with log.open("ab") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    for name in [name for name in os.environ if name.startswith("ZEGELPOST_")]:
        del os.environ[name]
    os.environ |= environment
    if code is not None:
        os.environ["PYTHONPATH"] = str(code)  # before where the environment has ours
        os.execv(sys.executable, [sys.executable, "-c", "from zegelpost.cli import main; main()", *arguments])
    sys.argv = ["zegelpost", *arguments]
    main()


def start_program(
    arguments: list[str], log: Path, environment: dict[str, str], code: Path | None = None
) -> multiprocessing.context.ForkServerProcess:
    """The command `zegelpost` with these arguments and settings and no others, and its output in the log.

    `code`: the folder of another version of it, with the package in it.
    """
    # Forked from a process that has imported everything: some thirty times faster than a new interpreter, and as killable.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["zegelpost.cli", "zegelpost.main", "zegelpost.demo", "uvicorn.protocols.http.httptools_impl"])
    process = context.Process(target=_run, args=(arguments, log, environment, code), daemon=True)
    process.start()
    return process


@dataclass(kw_only=True)
class Running:
    """A program of ours that was started, and can be killed and started again on the same data."""

    port: int = field(default_factory=free_port)
    process: multiprocessing.context.ForkServerProcess | None = field(default=None, init=False)
    log: Path = field(init=False)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_until_it_answers(self) -> None:
        """A server that ends or hangs fails the test, and its log tells why."""
        assert self.process is not None
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            assert self.process.is_alive(), self.log.read_text()
            try:
                if httpx2.get(f"{self.base_url}/healthz", timeout=5).status_code == 200:
                    return
            except httpx2.HTTPError:
                time.sleep(0.02)
        self.kill()
        raise AssertionError(self.log.read_text())

    def kill(self) -> None:
        """No goodbye: what a power cut leaves to the operating system."""
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.join(30)
            self.kill()


@dataclass
class RunningDemo(Running):
    """`zegelpost demo` on a free port, with these settings besides."""

    data_dir: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.log = self.data_dir.with_suffix(".log")

    def start(self) -> None:
        """Start and wait until it answers."""
        environment = {"PORT": str(self.port), "ZEGELPOST_DATA_DIR": str(self.data_dir)} | self.environment
        self.process = start_program(["demo"], self.log, environment)
        self.wait_until_it_answers()

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

    def find(self, to: str, pattern: str) -> str:
        """What the first group of `pattern` finds in the latest mail to this address that has it."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            for entry in reversed(self.outbox()):
                if entry["kind"] == "mail" and entry["to"] == to and (found := re.search(pattern, entry["text"])):
                    return found.group(1)
            time.sleep(0.1)
        raise AssertionError(f"nothing like {pattern} to {to}: {self.log.read_text()[-2000:]}")
