"""Ports for programs that are told theirs before they start, and that come back at the same one after they were killed."""

from __future__ import annotations

import os
import random
import socket
from typing import Final

# Below those that the kernel gives to whoever connects somewhere: any connection could otherwise be at a port that was free a
# moment ago, or while its program lay down.
_FIRST: Final = 20_000
_OF_EACH_PROCESS: Final = 3_000  # of a test run in several
_given: set[int] = set()


def free_port() -> int:
    """One that nobody listens at, and that this process got for nothing else."""
    number = int("".join(filter(str.isdigit, os.environ.get("PYTEST_XDIST_WORKER", ""))) or 0)
    first = _FIRST + number % 4 * _OF_EACH_PROCESS
    for port in random.SystemRandom().sample(range(first, first + _OF_EACH_PROCESS), 200):
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
    raise AssertionError("no port is free")
