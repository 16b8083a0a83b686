"""The key ring in a local directory: the embedded default.

Files of 32 random bytes, readable by the owner alone, outside the database and its backups.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from datetime import date
from pathlib import Path
from typing import Final

from zegelpost.ports import KeyDestroyedError, KeyRingError, WeekKeys

_KEY_BYTES: Final = 32
_WEEK: Final = re.compile(r"\d{4}-W\d{2}\Z")
_PURPOSE: Final = re.compile(r"[a-z]+\Z")
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class DirectoryKeyRing:
    """`weeks/2026-W52.link` and `.sender`, `installation/people`, `outbox/2026-11-23`; `.destroyed` marks what is gone."""

    def __init__(self, root: Path) -> None:
        self._root = root
        for folder in (root, root / "weeks", root / "installation", root / "outbox"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _require_private(folder)

    def week(self, week: str) -> WeekKeys:
        if not _WEEK.match(week):
            raise ValueError("not an ISO week")
        folder = self._root / "weeks"
        if (folder / f"{week}.destroyed").exists():
            raise KeyDestroyedError("the keys of this week were destroyed", is_permanent=True)
        return WeekKeys(week, _read_or_make(folder / f"{week}.link"), _read_or_make(folder / f"{week}.sender"))

    def destroy_week(self, week: str) -> None:
        if not _WEEK.match(week):
            raise ValueError("not an ISO week")
        folder = self._root / "weeks"
        # The mark comes first: whatever happens then, the keys are not made anew.
        (folder / f"{week}.destroyed").touch(mode=0o600)
        _sync(folder)
        for kind in ("link", "sender"):
            _destroy(folder / f"{week}.{kind}")
        _sync(folder)

    def weeks(self) -> list[str]:
        return sorted(path.stem for path in (self._root / "weeks").glob("*.link"))

    def installation(self, purpose: str) -> bytes:
        if not _PURPOSE.match(purpose):
            raise ValueError("not a purpose")
        return _read_or_make(self._root / "installation" / purpose)

    def outbox_day(self, day: date) -> bytes:
        folder = self._root / "outbox"
        horizon = _horizon(folder)
        if horizon is not None and day < horizon:
            raise KeyDestroyedError("the outbox secret of this day was destroyed", is_permanent=True)
        return _read_or_make(folder / day.isoformat())

    def destroy_outbox_days_before(self, day: date) -> None:
        folder = self._root / "outbox"
        before = [path for path in folder.iterdir() if _is_day(path.name) and path.name < day.isoformat()]
        if not before:
            return
        (folder / f"before-{day.isoformat()}.destroyed").touch(mode=0o600)
        _sync(folder)
        for path in before:
            _destroy(path)
        for mark in folder.glob("before-*.destroyed"):
            if mark.name < f"before-{day.isoformat()}.destroyed":
                mark.unlink(missing_ok=True)
        _sync(folder)


def _read_or_make(path: Path) -> bytes:
    """The key in this file; the first of several processes makes it, the others read what it made."""
    try:
        return _read(path)
    except FileNotFoundError:
        pass
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    try:
        os.write(handle, secrets.token_bytes(_KEY_BYTES))
        os.fsync(handle)
    finally:
        os.close(handle)
    try:
        # Atomic, and fails when another process was first.
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
    _sync(path.parent)
    return _read(path)


def _read(path: Path) -> bytes:
    handle = os.open(path, os.O_RDONLY)
    try:
        if os.fstat(handle).st_mode & _OTHERS:
            raise KeyRingError(f"{path} can be read by others: chmod it to 0400", is_permanent=True)
        key = os.read(handle, _KEY_BYTES + 1)
    finally:
        os.close(handle)
    if len(key) != _KEY_BYTES:
        raise KeyRingError(f"{path} is damaged: restore it from the key backup", is_permanent=True)
    return key


def _require_private(folder: Path) -> None:
    if folder.stat().st_mode & _OTHERS:
        raise KeyRingError(f"{folder} can be read by others: chmod it to 0700", is_permanent=True)


def _destroy(path: Path) -> None:
    """Overwrite and remove. On copy-on-write file systems and flash the overwriting promises nothing; removal is what counts."""
    if not path.exists():
        return
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.write(secrets.token_bytes(_KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_day(name: str) -> bool:
    try:
        date.fromisoformat(name)
    except ValueError:
        return False
    return True


def _horizon(folder: Path) -> date | None:
    marks = [path.name.removeprefix("before-").removesuffix(".destroyed") for path in folder.glob("before-*.destroyed")]
    return max((date.fromisoformat(mark) for mark in marks), default=None)
