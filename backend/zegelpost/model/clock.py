"""Time as a value that is passed in, so that rules can be tested at any moment."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """Now, aware and in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class OnTime:
    """How long a machine has been on, sleep included, and which time it was switched on that is."""

    boot: str
    seconds: float


OnClock = Callable[[], OnTime]


def system_on_clock() -> OnTime:
    """Of this machine. Nobody can set it; every process on it sees the same."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        boot = _PROCESS  # not Linux: then each process is on its own
    return OnTime(boot, time.clock_gettime(time.CLOCK_BOOTTIME))


_PROCESS: Final = secrets.token_hex(16)
