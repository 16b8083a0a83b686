"""The key ring in a local directory: the embedded default.

Files of 32 random bytes, readable by the owner alone, outside the database and its backups.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
        with _as_key_ring_errors():
            for folder in (root, root / "weeks", root / "installation", root / "outbox"):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                _require_private(folder)

    def week(self, week: str) -> WeekKeys:
        mark, link, sender = self._week_files(week)
        with _as_key_ring_errors():
            return WeekKeys(week, *_keys_unless(mark.exists, link, sender))

    def destroy_week(self, week: str) -> None:
        mark, link, sender = self._week_files(week)
        with _as_key_ring_errors():
            # The mark comes first: whatever happens then, the keys are not made anew.
            mark.touch(mode=0o600)
            _sync(mark.parent)
            _destroy(link, sender)

    def weeks(self) -> list[str]:
        return sorted(path.stem for path in (self._root / "weeks").glob("*.link"))

    def installation(self, purpose: str) -> bytes:
        if not _PURPOSE.match(purpose):
            raise ValueError("not a purpose")
        with _as_key_ring_errors():
            return _read_or_make(self._root / "installation" / purpose)

    def outbox_day(self, day: date) -> bytes:
        folder = self._root / "outbox"
        with _as_key_ring_errors():
            return _keys_unless(lambda: day < _horizon(folder), folder / day.isoformat())[0]

    def destroy_outbox_days_before(self, day: date) -> None:
        folder = self._root / "outbox"
        with _as_key_ring_errors():
            before = [path for path in folder.iterdir() if _is_day(path.name) and path.name < day.isoformat()]
            if not before:
                return
            (folder / f"before-{day.isoformat()}.destroyed").touch(mode=0o600)
            _sync(folder)
            _destroy(*before)
            for mark in folder.glob("before-*.destroyed"):
                if mark.name < f"before-{day.isoformat()}.destroyed":
                    mark.unlink(missing_ok=True)
            _sync(folder)

    def _week_files(self, week: str) -> tuple[Path, Path, Path]:
        """The mark of destruction and the two keys."""
        if not _WEEK.match(week):
            raise ValueError("not an ISO week")
        folder = self._root / "weeks"
        return folder / f"{week}.destroyed", folder / f"{week}.link", folder / f"{week}.sender"


def _keys_unless(is_destroyed: Callable[[], bool], *paths: Path) -> list[bytes]:
    """The keys in these files, made if need be; never after their destruction, not even when it happens meanwhile."""
    if not is_destroyed():
        try:
            keys = [_read_or_make(path) for path in paths]
        except FileNotFoundError:
            if not is_destroyed():
                raise
        else:
            if not is_destroyed():
                return keys
        # What was made after the mark was set is ours to remove.
        _destroy(*paths)
    raise KeyDestroyedError("this key was destroyed", is_permanent=True)


def _read_or_make(path: Path) -> bytes:
    """The key in this file; the first of several processes makes it, the others read what it made."""
    try:
        return _read(path)
    except FileNotFoundError:
        pass
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    try:
        try:
            os.write(handle, secrets.token_bytes(_KEY_BYTES))
            os.fsync(handle)
        finally:
            os.close(handle)
        with contextlib.suppress(FileExistsError):
            # Atomic, and fails when another process was first.
            os.link(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)
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


def _destroy(*paths: Path) -> None:
    """Overwrite and remove; absent is fine.

    On copy-on-write file systems and flash the overwriting promises nothing; removal is what counts.
    """
    for path in paths:
        # A process that died while making the key may have left a second name for it.
        for name in (path, *path.parent.glob(f".{path.name}.*")):
            with contextlib.suppress(FileNotFoundError):
                name.chmod(0o600)
                with name.open("r+b") as file:
                    file.write(secrets.token_bytes(_KEY_BYTES))
                    file.flush()
                    os.fsync(file.fileno())
                name.unlink()
        _sync(path.parent)


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


def _horizon(folder: Path) -> date:
    """The first day whose secret may exist."""
    marks = [path.name.removeprefix("before-").removesuffix(".destroyed") for path in folder.glob("before-*.destroyed")]
    return max((date.fromisoformat(mark) for mark in marks), default=date.min)


@contextmanager
def _as_key_ring_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise KeyRingError(f"the key ring's disk refused: {errno.errorcode.get(error.errno or 0, 'unknown')}") from error
