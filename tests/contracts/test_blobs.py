"""What every store of blobs does, for each that we have."""

from __future__ import annotations

import secrets
import threading
from pathlib import Path

import pytest
from tests.contracts.object_storage import S3Server, use_endpoint

from zegelpost.adapters.blobs_directory import DirectoryBlobs
from zegelpost.adapters.blobs_object_store import ObjectStoreBlobs, blobs_from_url
from zegelpost.model.identifiers import BlobName, new_identifier
from zegelpost.ports import BlobMissingError, Blobs

MEGABYTE = 1024 * 1024
# What an object store takes in one request; more than that goes in pieces.
PIECE = 8 * MEGABYTE


@pytest.fixture(params=["directory", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Blobs:
    if request.param == "directory":
        return blobs_from_url((tmp_path / "blobs").as_uri())
    s3: S3Server = request.getfixturevalue("s3")
    bucket = new_identifier()
    s3.make_bucket(bucket)
    use_endpoint(monkeypatch, s3.url)
    return blobs_from_url(f"s3://{bucket}/sealed/bytes")


def fresh() -> BlobName:
    return BlobName(new_identifier())


def stored(blobs: Blobs, *pieces: bytes) -> BlobName:
    name = fresh()
    writer = blobs.create(name)
    for piece in pieces:
        writer.write(piece)
    writer.commit()
    return name


@pytest.mark.parametrize(
    ("start", "length", "expected"),
    [
        (0, 10, b"0123456789"),
        (0, 1, b"0"),
        (9, 1, b"9"),
        (3, 4, b"3456"),
        (7, 100, b"789"),
        (10, 1, b""),
        (500, 5, b""),
        (4, 0, b""),
    ],
)
def test_any_range_can_be_read(blobs: Blobs, start: int, length: int, expected: bytes) -> None:
    name = stored(blobs, b"01234", b"56789")

    assert blobs.read(name, start, length) == expected
    view = memoryview(bytearray(length))
    assert view[: blobs.read_into(name, start, view)] == expected
    assert blobs.size(name) == 10


@pytest.mark.parametrize("length", [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 12345])
def test_blobs_of_any_length_come_back_as_they_were(blobs: Blobs, length: int) -> None:
    content = secrets.token_bytes(length)

    name = stored(blobs, *(content[start : start + 3 * MEGABYTE] for start in range(0, length, 3 * MEGABYTE)))

    assert blobs.size(name) == length
    assert blobs.read(name, 0, length) == content
    view = memoryview(bytearray(length))
    assert (blobs.read_into(name, 0, view), bytes(view)) == (length, content)
    border = max(0, PIECE - 5)
    assert blobs.read(name, border, 10) == content[border : border + 10]


def test_one_write_may_be_longer_than_a_piece(blobs: Blobs) -> None:
    content = secrets.token_bytes(2 * PIECE + 7)

    name = stored(blobs, content)

    assert blobs.read(name, 0, len(content)) == content


@pytest.mark.parametrize("count", [3, 3 * PIECE // MEGABYTE])
def test_the_buffer_may_be_reused_after_each_write(blobs: Blobs, count: int) -> None:
    buffer = bytearray(MEGABYTE)
    name = fresh()
    writer = blobs.create(name)

    for number in range(count):
        buffer[:] = bytes([number + 1]) * MEGABYTE
        writer.write(memoryview(buffer))
    buffer[:] = bytes(MEGABYTE)
    writer.commit()

    for number in range(count):
        assert blobs.read(name, number * MEGABYTE, MEGABYTE) == bytes([number + 1]) * MEGABYTE


@pytest.mark.parametrize("length", [5, 2 * PIECE + 5])
def test_a_blob_is_invisible_until_it_is_committed(blobs: Blobs, length: int) -> None:
    name = fresh()
    writer = blobs.create(name)
    writer.write(bytes(length))

    assert blobs.names() == []
    with pytest.raises(BlobMissingError):
        blobs.size(name)
    with pytest.raises(BlobMissingError):
        blobs.read(name, 0, 5)

    writer.commit()

    assert blobs.names() == [name]
    assert blobs.size(name) == length


@pytest.mark.parametrize("length", [0, 5, PIECE, 2 * PIECE + 5])
def test_an_aborted_blob_leaves_nothing(blobs: Blobs, length: int) -> None:
    name = fresh()
    writer = blobs.create(name)
    writer.write(bytes(length))

    writer.abort()
    writer.abort()

    assert blobs.names() == []
    with pytest.raises(BlobMissingError):
        blobs.size(name)


@pytest.mark.parametrize("length", [5, PIECE + 5])
def test_aborting_after_the_commit_changes_nothing(blobs: Blobs, length: int) -> None:
    name = fresh()
    writer = blobs.create(name)
    writer.write(bytes(length))
    writer.commit()

    writer.abort()

    assert blobs.size(name) == length


def test_a_missing_blob_is_missing_and_may_be_deleted(blobs: Blobs) -> None:
    for length in (0, 1):
        with pytest.raises(BlobMissingError):
            blobs.read(fresh(), 0, length)
    with pytest.raises(BlobMissingError):
        blobs.size(fresh())

    blobs.delete(fresh())


def test_deleting_removes_one_blob_and_can_be_repeated(blobs: Blobs) -> None:
    gone, kept = stored(blobs, b"gone"), stored(blobs, b"kept")

    blobs.delete(gone)
    blobs.delete(gone)

    with pytest.raises(BlobMissingError):
        blobs.read(gone, 0, 4)
    assert blobs.names() == [kept]
    assert blobs.read(kept, 0, 4) == b"kept"


def test_every_committed_blob_is_listed(blobs: Blobs) -> None:
    assert blobs.names() == []

    names = {stored(blobs, b"x") for _ in range(30)}

    assert sorted(blobs.names()) == sorted(names)


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "a" * 25, "A" * 26, "a" * 25 + "/", "a" * 26 + "\n"])
def test_only_identifiers_are_names(blobs: Blobs, name: str) -> None:
    for refused in (blobs.create, blobs.size, blobs.delete, lambda given: blobs.read(given, 0, 1)):
        with pytest.raises(ValueError, match="not the name of a blob"):
            refused(BlobName(name))


def test_writers_do_not_disturb_each_other(blobs: Blobs) -> None:
    contents = {fresh(): secrets.token_bytes(PIECE + number) for number in range(4)}

    def write(name: BlobName, content: bytes) -> None:
        writer = blobs.create(name)
        for start in range(0, len(content), MEGABYTE):
            writer.write(content[start : start + MEGABYTE])
        writer.commit()

    threads = [threading.Thread(target=write, args=item) for item in contents.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for name, content in contents.items():
        assert blobs.read(name, 0, len(content) + 1) == content


def test_the_url_chooses_the_store(tmp_path: Path) -> None:
    folder = tmp_path / "with space"

    assert isinstance(blobs_from_url(folder.as_uri()), DirectoryBlobs)
    assert (folder / "preparing").is_dir()
    assert isinstance(blobs_from_url("s3://bucket"), ObjectStoreBlobs)


def test_azure_is_the_other_object_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "zegelpost")

    assert isinstance(blobs_from_url("az://container/prefix"), ObjectStoreBlobs)


@pytest.mark.parametrize("url", ["gs://bucket", "s3://", "https://bucket/prefix", "bucket"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="BLOBS_URL"):
        blobs_from_url(url)
