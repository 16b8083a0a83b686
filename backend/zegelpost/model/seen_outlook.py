"""Which Outlooks opened the pane, and with which manifest: numbers, and nobody in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from zegelpost.model.base import Base

OUTLOOK_HEADER: Final = "Zegelpost-Outlook"
SHOWN_FOR: Final = timedelta(days=30)
KEPT_FOR: Final = timedelta(days=90)
# More kinds than an organisation has; whoever makes them up fills no disk.
MOST_KINDS: Final = 500

_TOLD: Final = re.compile(
    r"(?P<manifest>\d{1,3}(?:\.\d{1,5}){3}|-) (?P<host>[A-Za-z]{1,30}) (?P<platform>[A-Za-z]{1,20})"
    r" (?P<version>\d{1,5}(?:\.\d{1,6}){0,4})"
)
_PARTS_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class OutlookKind:
    """What a pane tells of where it runs: `mailbox.diagnostics` and `platform` of Office's script.

    `manifest` is the version of the manifest that opened the pane; empty when that is one of before manifests told it. `version`
    is Outlook's own in three parts: with the fourth there would be a kind for every week of every computer.
    """

    manifest: str
    host: str
    platform: str
    version: str

    @classmethod
    def told(cls, text: str) -> Self | None:
        """Nothing when it is not what our pane says."""
        found = _TOLD.fullmatch(text)
        if found is None:
            return None
        version = ".".join(found["version"].split(".")[:_PARTS_SHOWN])
        return cls(found["manifest"].strip("-"), found["host"], found["platform"], version)


class SeenOutlook(Base):
    __tablename__ = "seen_outlook"

    manifest: Mapped[str] = mapped_column(String(24), primary_key=True)
    host: Mapped[str] = mapped_column(String(30), primary_key=True)
    platform: Mapped[str] = mapped_column(String(20), primary_key=True)
    version: Mapped[str] = mapped_column(String(24), primary_key=True)
    opened_count: Mapped[int]
    last_seen_at: Mapped[datetime]
