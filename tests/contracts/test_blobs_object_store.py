"""What only object stores do: prefixes, uploads in pieces, and stores in trouble."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from tests.contracts.object_storage import S3Server, environment, store_that_answers, use_endpoint

from zegelpost.adapters.blobs_object_store import ObjectStoreBlobs
from zegelpost.model.identifiers import BlobName, new_identifier
from zegelpost.ports import BlobError, BlobMissingError, BlobSpaceError, BlobWriter

PIECE = 8 * 1024 * 1024


@pytest.fixture
def bucket(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    name = new_identifier()
    s3.make_bucket(name)
    use_endpoint(monkeypatch, s3.url)
    return name


def test_objects_lie_under_the_prefix(s3: S3Server, bucket: str) -> None:
    blobs = ObjectStoreBlobs(f"s3://{bucket}/sealed/bytes")
    name = BlobName(new_identifier())
    writer = blobs.create(name)
    writer.write(b"x")
    writer.commit()

    assert s3.keys(bucket) == [f"sealed/bytes/{name}"]


def test_what_others_put_in_the_bucket_is_not_ours(s3: S3Server, bucket: str) -> None:
    for key in (new_identifier(), "sealed/notes.txt", f"sealed/deeper/{new_identifier()}", f"sealedtoo/{new_identifier()}"):
        s3.put(bucket, key, b"theirs")

    assert ObjectStoreBlobs(f"s3://{bucket}/sealed").names() == []


def test_an_aborted_upload_leaves_no_pieces_to_pay_for(s3: S3Server, bucket: str) -> None:
    writer = ObjectStoreBlobs(f"s3://{bucket}").create(BlobName(new_identifier()))
    writer.write(bytes(2 * PIECE))
    deadline = time.monotonic() + 10
    while not s3.unfinished_uploads(bucket):
        assert time.monotonic() < deadline, "the upload never began"
        time.sleep(0.01)

    writer.abort()

    assert s3.unfinished_uploads(bucket) == []
    assert s3.keys(bucket) == []


def test_memory_does_not_grow_with_the_blob(s3: S3Server, bucket: str) -> None:
    """In a process of its own, because the server here keeps what it gets."""
    program = f"""
import resource
from zegelpost.adapters.blobs_object_store import ObjectStoreBlobs
from zegelpost.model.identifiers import new_identifier
def write(blobs, megabytes):
    writer = blobs.create(new_identifier())
    for _ in range(megabytes):
        writer.write(bytes(1024 * 1024))
    writer.commit()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
blobs = ObjectStoreBlobs("s3://{bucket}")
print(write(blobs, 40), write(blobs, 160))
"""
    output = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment(s3.url)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    before_kilobytes, after_kilobytes = map(int, output.split())

    assert after_kilobytes - before_kilobytes < 40 * 1024


@pytest.mark.parametrize(("status", "code"), [(507, "XMinioStorageFull"), (507, "InsufficientStorage"), (403, "QuotaExceeded")])
@pytest.mark.parametrize("length", [5, 6 * PIECE])
def test_a_full_store_says_so_and_holds_nobody_up(monkeypatch: pytest.MonkeyPatch, status: int, code: str, length: int) -> None:
    with store_that_answers(status, code) as url:
        use_endpoint(monkeypatch, url)
        writer = ObjectStoreBlobs("s3://bucket").create(BlobName(new_identifier()))

        with pytest.raises(BlobSpaceError):
            _write_and_commit(writer, length)
        writer.abort()


@pytest.mark.parametrize("length", [5, 6 * PIECE])
def test_refused_credentials_are_named(monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    with store_that_answers(403, "InvalidAccessKeyId") as url:
        use_endpoint(monkeypatch, url)
        writer = ObjectStoreBlobs("s3://bucket").create(BlobName(new_identifier()))

        with pytest.raises(BlobError, match="AWS_"):
            _write_and_commit(writer, length)
        writer.abort()


def test_a_store_that_is_gone_is_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    with store_that_answers(200, "") as url:
        pass
    use_endpoint(monkeypatch, url)
    blobs = ObjectStoreBlobs("s3://bucket")
    name = BlobName(new_identifier())

    for refused in (
        lambda: blobs.read(name, 0, 1),
        lambda: blobs.size(name),
        lambda: blobs.delete(name),
        blobs.names,
        lambda: _write_and_commit(blobs.create(name), 5),
    ):
        with pytest.raises(BlobError) as caught:
            refused()
        assert not isinstance(caught.value, BlobMissingError | BlobSpaceError)


def test_a_failing_read_is_not_the_end_of_the_blob(monkeypatch: pytest.MonkeyPatch) -> None:
    with store_that_answers(403, "AccessDenied") as url:
        use_endpoint(monkeypatch, url)

        with pytest.raises(BlobError, match="credentials"):
            ObjectStoreBlobs("s3://bucket").read(BlobName(new_identifier()), 0, 10)


def _write_and_commit(writer: BlobWriter, length: int) -> None:
    for start in range(0, length, PIECE):
        writer.write(bytes(min(PIECE, length - start)))
    writer.commit()
