"""The key ring in a local directory: the embedded default.

Files of 32 random bytes, readable by the owner alone, outside the database and its backups.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from zegelpost.ports import EarlierKey, KeyDestroyedError, KeyRingError, WeekKeys

_KEY_BYTES: Final = 32
_OF_WEEK: Final = re.compile(r"\.?(\d{4}-W\d{2})\.(?:link|sender)(?:\.|\Z)")
_WEEK: Final = re.compile(r"\d{4}-W\d{2}\Z")
_PURPOSE: Final = re.compile(r"[a-z]+\Z")
# Not `checkpoint`: every checkpoint that was mailed is checked with it (`backend/docs/audit-format.md`, section 5).
_ROTATING: Final = ("people", "index", "codes", "factors")
_EARLIER: Final = ".until-"
_ROTATION: Final = "%Y%m%dT%H%M%S%f"
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class DirectoryKeyRing:
    """`weeks/2026-W52.link` and `.sender`, `installation/people`, `outbox/2026-11-23`; `.destroyed` marks what is gone.

    `installation/people.until-20261123T120000` is the key that a rotation replaced; `rotation` names the one that is under way.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        with _as_key_ring_errors():
            for folder in (root, root / "weeks", root / "installation", root / "outbox"):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                _require_private(folder)

    def week(self, week: str) -> WeekKeys:
        mark, link, sender = self._week_files(week)
        with _as_key_ring_errors():
            # The key of before is looked for after its successor was read: whoever replaces it puts it there first.
            link_salt, sender_key = _keys_unless(mark.exists, link, sender)
            return WeekKeys(week, link_salt, sender_key, _earlier(sender))

    def destroy_week(self, week: str) -> None:
        mark, link, sender = self._week_files(week)
        with _as_key_ring_errors():
            # The mark comes first: whatever happens then, the keys are not made anew.
            mark.touch(mode=0o600)
            _sync(mark.parent)
            _destroy(link, sender, *(path for path, _ in _earlier_files(sender)))

    def weeks(self) -> list[str]:
        # Whatever there is of a key: of a destruction that died halfway something is left, and nobody would ask for it again.
        files = (_OF_WEEK.match(path.name) for path in (self._root / "weeks").glob("*"))
        return sorted({found[1] for found in files if found})

    def installation(self, purpose: str) -> bytes:
        if not _PURPOSE.match(purpose):
            raise ValueError("not a purpose")
        folder = self._root / "installation"
        with _as_key_ring_errors():
            if purpose != "feeds":
                return _read_or_make(folder / purpose)
            index = _read_or_make(folder / "index")
            # Made before the index is replaced for the first time: where it is not there yet, that one was still the same.
            return _read(folder / "feeds") if (folder / "feeds").exists() else index

    def installation_keys(self, purpose: str) -> tuple[bytes, ...]:
        current = self.installation(purpose)
        with _as_key_ring_errors():
            return current, *_earlier(self._root / "installation" / purpose)

    @contextmanager
    def rotating(self) -> Iterator[None]:
        with _as_key_ring_errors():
            handle = os.open(self._root / "rotation.lock", os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                # Ends with the process, however that ends.
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
                raise KeyRingError("another process is rotating keys: wait until it is done") from None
        try:
            yield
        finally:
            os.close(handle)

    def begin_rotation(self, now: datetime) -> str:
        mark = self._root / "rotation"
        with _as_key_ring_errors():
            if not mark.exists():
                fresh = self._root / ".rotation.new"
                fresh.write_text(f"{now:{_ROTATION}}", encoding="ascii")
                _sync(self._root)
                fresh.replace(mark)
                _sync(self._root)
            return mark.read_text(encoding="ascii")

    def renew(self, rotation: str, now: datetime) -> int:
        with _as_key_ring_errors():
            installation = self._root / "installation"
            for purpose in _ROTATING:
                _read_or_make(installation / purpose)
            if not (installation / "feeds").exists():
                _put(installation / "feeds", _read(installation / "index"))
            count = sum(_replace(installation / purpose, rotation, now) for purpose in _ROTATING)
            return count + sum(self._renew_week(week, rotation, now) for week in self.weeks())

    def _renew_week(self, week: str, rotation: str, now: datetime) -> bool:
        """Of one week, as `_replace`; of a week that is destroyed meanwhile, what was copied goes with it."""
        mark, _, sender = self._week_files(week)
        is_new = False
        try:
            is_new = _replace(sender, rotation, now)
        except FileNotFoundError:
            # Just destroyed, or who was making it died before this half of it was there.
            if sender.exists():
                raise
        if not mark.exists():
            return is_new
        _destroy(sender, *(path for path, _ in _earlier_files(sender)))
        return False

    def end_rotation(self) -> None:
        with _as_key_ring_errors():
            (self._root / "rotation").unlink(missing_ok=True)
            _sync(self._root)

    def earlier_keys(self) -> list[EarlierKey]:
        with _as_key_ring_errors():
            if (self._root / "rotation").exists():
                return []
            files = [*(self._root / "installation").iterdir(), *(self._root / "weeks").glob("*.sender")]
            return sorted(
                EarlierKey(path.name, rotation, datetime.fromtimestamp(earlier.stat().st_mtime, UTC))
                for path in files
                if not path.name.startswith(".") and _EARLIER not in path.name
                for earlier, rotation in _earlier_files(path)
            )

    def destroy_earlier(self, key: EarlierKey) -> None:
        folder = "weeks" if key.name.endswith(".sender") else "installation"
        with _as_key_ring_errors():
            _destroy(self._root / folder / f"{key.name}{_EARLIER}{key.rotation}")

    def is_destroyed(self, week: str) -> bool:
        with _as_key_ring_errors():
            return self._week_files(week)[0].exists()

    def remembered(self) -> str:
        try:
            return (self._root / "checkpoint.newest").read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise KeyRingError(f"the key ring's disk refused: {errno.errorcode.get(error.errno or 0, 'unknown')}") from error

    def remember(self, note: str) -> None:
        with _as_key_ring_errors():
            fresh = self._root / f".checkpoint.{secrets.token_hex(8)}"
            with fresh.open("x", encoding="utf-8") as file:
                file.write(note)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._root / "checkpoint.newest")
            _sync(self._root)

    def outbox_day(self, day: date) -> bytes:
        folder = self._root / "outbox"
        with _as_key_ring_errors():
            return _keys_unless(lambda: day < _horizon(folder), folder / day.isoformat())[0]

    def first_outbox_day(self) -> date:
        with _as_key_ring_errors():
            return _horizon(self._root / "outbox")

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


def _earlier_files(path: Path) -> list[tuple[Path, str]]:
    """What is kept of before, newest first, each with the rotation that replaced it."""
    beginning = path.name + _EARLIER
    # Looked for with every key that is read; `Path.glob` takes three times as long.
    with os.scandir(path.parent) as files:
        rotations = [file.name.removeprefix(beginning) for file in files if file.name.startswith(beginning)]
    return [(path.with_name(beginning + rotation), rotation) for rotation in sorted(rotations, reverse=True)]


def _earlier(path: Path) -> tuple[bytes, ...]:
    keys = []
    for each, _ in _earlier_files(path):
        with contextlib.suppress(FileNotFoundError):  # destroyed meanwhile
            keys.append(_read(each))
    return tuple(keys)


def _replace(path: Path, rotation: str, now: datetime) -> bool:
    """Put a new key in the place of this one, once for each rotation; says whether it did.

    1. The key is copied to where keys of before are kept. A copy and no second name: destroying overwrites.
    2. A new one takes its place, all at once. As long as both are the same, this did not happen.
    """
    for left in path.parent.glob(f".{path.name}.*"):
        left.unlink(missing_ok=True)
    earlier = path.with_name(f"{path.name}{_EARLIER}{rotation}")
    # 1.
    if not earlier.exists():
        _put(earlier, _read(path))
    if _read(earlier) != _read(path):
        return False
    os.utime(earlier, (now.timestamp(), now.timestamp()))
    # 2.
    _put(path, secrets.token_bytes(_KEY_BYTES))
    return True


def _put(path: Path, key: bytes) -> None:
    """Write a key, durable, and all of it or nothing."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    try:
        try:
            os.write(handle, key)
            os.fsync(handle)
        finally:
            os.close(handle)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    _sync(path.parent)


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
