"""What only the directory does: file modes, a full disk, a crash, and strangers in the folder."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from zegelpost.adapters.blobs_directory import DirectoryBlobs
from zegelpost.model.identifiers import BlobName, new_identifier
from zegelpost.ports import BlobError, BlobMissingError, BlobSpaceError, BlobWriter


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data" / "blobs"


def fresh() -> BlobName:
    return BlobName(new_identifier())


def written(writer: BlobWriter, content: bytes) -> None:
    writer.write(content)
    writer.commit()


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def test_nobody_else_can_read_blobs(root: Path) -> None:
    previous = os.umask(0o000)
    try:
        blobs = DirectoryBlobs(root)
        written(blobs.create(fresh()), b"sealed")
        half = blobs.create(fresh())
        half.write(b"sealed")
    finally:
        os.umask(previous)

    modes = {stat.S_IMODE(path.stat().st_mode) for path in (root, *root.rglob("*")) if path.is_dir()}
    assert modes == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files(root)} == {0o600}
    half.abort()


@contextmanager
def files_of_at_most(length: int) -> Iterator[None]:
    """What a full quota looks like to a process: EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (length, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("limit", [100_000, 400_000])
def test_a_full_disk_leaves_nothing_of_the_blob(root: Path, limit: int) -> None:
    blobs = DirectoryBlobs(root)
    writer = blobs.create(fresh())
    with files_of_at_most(limit):
        for _ in range(2):
            writer.write(bytes(limit - 10_000))
        with pytest.raises(BlobSpaceError):
            writer.commit()
    writer.abort()

    assert files(root) == []


def test_a_disk_that_fills_up_under_a_large_blob_is_told_while_it_is_written(root: Path) -> None:
    writer = DirectoryBlobs(root).create(fresh())
    with files_of_at_most(5_000_000), pytest.raises(BlobSpaceError):
        writer.write(bytes(10_000_000))
    writer.abort()

    assert files(root) == []


def test_a_name_is_written_once_at_a_time(root: Path) -> None:
    blobs, name = DirectoryBlobs(root), fresh()
    first = blobs.create(name)

    with pytest.raises(BlobError, match="EEXIST"):
        blobs.create(name)

    written(first, b"first")
    assert blobs.read(name, 0, 10) == b"first"


def test_what_a_dead_process_left_is_invisible_and_deletable(root: Path) -> None:
    name = fresh()
    program = f"""
import os
from pathlib import Path
from zegelpost.adapters.blobs_directory import DirectoryBlobs
DirectoryBlobs(Path({str(root)!r})).create({str(name)!r}).write(b"half")
os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=30, check=False).returncode == -9
    blobs = DirectoryBlobs(root)
    assert len(files(root)) == 1

    assert blobs.names() == []
    with pytest.raises(BlobMissingError):
        blobs.size(name)
    blobs.delete(name)

    assert files(root) == []


def test_strangers_in_the_folder_are_no_blobs(root: Path) -> None:
    blobs, name = DirectoryBlobs(root), fresh()
    written(blobs.create(name), b"ours")
    (root / "lost+found").mkdir()
    (root / "lost+found" / new_identifier()).touch()
    (root / ".DS_Store").touch()
    (root / name[:2] / ".nfs000001").touch()

    assert blobs.names() == [name]


def test_two_instances_see_each_others_blobs(root: Path) -> None:
    one, other = DirectoryBlobs(root), DirectoryBlobs(root)
    name = fresh()

    written(one.create(name), b"shared")

    assert other.read(name, 0, 6) == b"shared"
    other.delete(name)
    with pytest.raises(BlobMissingError):
        one.size(name)


def test_a_root_that_is_no_folder_is_an_outage(tmp_path: Path) -> None:
    (tmp_path / "blobs").touch()

    with pytest.raises(BlobError):
        DirectoryBlobs(tmp_path / "blobs")
