"""Blobs in a local directory: the embedded default."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from zegelpost.model.identifiers import BlobName, is_identifier
from zegelpost.ports import BlobError, BlobMissingError, BlobSpaceError

_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_BUFFER_BYTES: Final = 1024 * 1024  # a segment of the sealed format, so that most writes are one call
_READ_AHEAD_EVERY_BYTES: Final = 4 * 1024 * 1024  # to ask costs as much for what is in the page cache already
_READ_AHEAD_BYTES: Final = 8 * 1024 * 1024
_PREPARING: Final = "preparing"
_FOLDER: Final = re.compile(r"[a-z2-7]{2}\Z")


class DirectoryBlobs:
    """One file per blob, in folders by the first two characters so that none grows too long to list.

    Needs a file system with atomic rename and a working fsync; network file systems without them lose what was acknowledged.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        # Folders whose own entry is known to be durable.
        self._durable: set[Path] = set()
        with _as_blob_errors():
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            (root / _PREPARING).mkdir(mode=0o700, exist_ok=True)

    def create(self, name: BlobName) -> DirectoryBlobWriter:
        return DirectoryBlobWriter(self._root / _PREPARING / _checked(name), self._path(name), self._durable)

    def read(self, name: BlobName, start: int, length: int) -> bytes:
        with self._reading(name) as handle:
            return os.pread(handle, length, start)

    def read_into(self, name: BlobName, start: int, view: memoryview) -> int:
        with self._reading(name) as handle:
            count = os.preadv(handle, [view], start)
            if start % _READ_AHEAD_EVERY_BYTES < count:
                # Whoever reads goes forward: let the disk be at it while we unseal.
                os.posix_fadvise(handle, start + count, _READ_AHEAD_BYTES, os.POSIX_FADV_WILLNEED)
            return count

    @contextmanager
    def _reading(self, name: BlobName) -> Iterator[int]:
        with _as_blob_errors():
            handle = os.open(self._path(name), os.O_RDONLY)
            try:
                yield handle
            finally:
                os.close(handle)

    def size(self, name: BlobName) -> int:
        with _as_blob_errors():
            return self._path(name).stat().st_size

    def delete(self, name: BlobName) -> None:
        with _as_blob_errors():
            self._path(name).unlink(missing_ok=True)
            (self._root / _PREPARING / _checked(name)).unlink(missing_ok=True)

    def names(self) -> list[BlobName]:
        with _as_blob_errors():
            # A file system of its own brings `lost+found`, which only root may read.
            folders = [folder for folder in self._root.iterdir() if _FOLDER.match(folder.name)]
            return [BlobName(path.name) for folder in folders for path in folder.iterdir() if is_identifier(path.name)]

    def _path(self, name: BlobName) -> Path:
        return self._root / _checked(name)[:2] / name


class DirectoryBlobWriter:
    """Writes beside the final place and renames, so that a torn blob is never visible under its name.

    Bytes go to the disk itself and not through the page cache (open(2), O_DIRECT), where the file system can do that: large
    documents would push everything else out, and filling fresh pages cost more processor time than all our other work together.
    """

    def __init__(self, preparing: Path, final: Path, durable: set[Path]) -> None:
        self._preparing = preparing
        self._final = final
        self._durable = durable
        self._filled = 0
        with _as_blob_errors():
            self._handle: int | None = _open_new(preparing)
            # Anonymous memory is page-aligned, as the disk wants it, and costs nothing until it is filled.
            self._buffer = mmap.mmap(-1, _BUFFER_BYTES)

    def write(self, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        if not self._filled and len(rest) == _BUFFER_BYTES and _is_aligned(rest):
            # A whole segment, where the disk can take it from.
            self._write_out(rest)
            return
        while rest:
            count = min(len(rest), _BUFFER_BYTES - self._filled)
            self._buffer[self._filled : self._filled + count] = rest[:count]
            self._filled += count
            rest = rest[count:]
            if self._filled == _BUFFER_BYTES:
                self._flush()

    def _flush(self) -> None:
        with memoryview(self._buffer) as buffer:
            self._write_out(buffer[: self._filled])
        self._filled = 0

    def _write_out(self, data: memoryview) -> None:
        assert self._handle is not None
        with _as_blob_errors():
            written = 0
            while written < len(data):
                try:
                    written += os.write(self._handle, data[written:])
                except OSError as error:
                    # The end of a blob, or what a short write left, does not fit the disk's blocks.
                    if error.errno != errno.EINVAL or not _stop_direct(self._handle):
                        raise

    def commit(self) -> None:
        assert self._handle is not None
        self._flush()
        with _as_blob_errors():
            os.fsync(self._handle)
            self._close()
            folder = self._final.parent
            folder.mkdir(mode=0o700, exist_ok=True)
            if folder not in self._durable:
                # Also when another process made it, which may not have got round to this.
                _sync_directory(folder.parent)
                self._durable.add(folder)
            self._preparing.rename(self._final)
            _sync_directory(folder)

    def abort(self) -> None:
        with _as_blob_errors():
            self._close()
            self._preparing.unlink(missing_ok=True)

    def _close(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)
            self._buffer.close()


def _open_new(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        return os.open(path, flags | os.O_DIRECT, 0o600)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    # A file system that lives in memory; it may have made the file before it refused.
    path.unlink(missing_ok=True)
    return os.open(path, flags, 0o600)


def _is_aligned(view: memoryview) -> bool:
    """Whether it begins at the beginning of a page; in doubt not."""
    return not view.readonly and ctypes.addressof(ctypes.c_char.from_buffer(view)) % mmap.PAGESIZE == 0


def _stop_direct(handle: int) -> bool:
    """Write through the page cache from now on; returns whether that changes anything."""
    flags = fcntl.fcntl(handle, fcntl.F_GETFL)
    fcntl.fcntl(handle, fcntl.F_SETFL, flags & ~os.O_DIRECT)
    return bool(flags & os.O_DIRECT)


def _checked(name: BlobName) -> str:
    if not is_identifier(name):
        raise ValueError("not the name of a blob")
    return name


def _sync_directory(path: Path) -> None:
    # Without this a power cut may forget the name though it kept the bytes.
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _as_blob_errors() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise BlobMissingError("a stored part is missing") from None
    except OSError as error:
        if error.errno in _FULL:
            raise BlobSpaceError("the disk is full") from None
        raise BlobError(f"the disk refused: {errno.errorcode.get(error.errno or 0, 'unknown')}") from error
