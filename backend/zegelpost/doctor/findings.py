"""What the doctor says, and what a check is given to look with."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from dns.asyncresolver import Resolver

from zegelpost.model.clock import Clock
from zegelpost.settings import Settings


class Level(StrEnum):
    FINE = "fine"
    NOTE = "note"  # works, but could be better or could not be looked at; no alarm
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """`text` says what is there, `remedy` what to change."""

    level: Level
    text: str
    remedy: str = ""


def fine(text: str) -> Finding:
    return Finding(Level.FINE, text)


def note(text: str, remedy: str = "") -> Finding:
    return Finding(Level.NOTE, text, remedy)


def wrong(text: str, remedy: str) -> Finding:
    return Finding(Level.WRONG, text, remedy)


@dataclass(slots=True, kw_only=True)
class Examination:
    """One round of checks. `trust` and `resolver` replace the system's own authorities and name servers."""

    settings: Settings
    environment: Mapping[str, str]
    clock: Clock
    resolver: Resolver
    trust: ssl.SSLContext | None = None
    # Other clocks that a check came across: whose, what it said, and what ours said then.
    clocks: list[tuple[str, datetime, datetime]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Check:
    """`settings` are the names that it judges, without prefix. Each finding becomes a line that starts with `name`."""

    name: str
    settings: tuple[str, ...]
    run: Callable[[Examination], AsyncIterator[Finding]]
