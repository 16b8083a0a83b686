"""Blobs in S3 or Azure Blob storage, and the choice between them and a directory."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from zegelpost.adapters.blobs_directory import DirectoryBlobs
from zegelpost.model.identifiers import BlobName, is_identifier
from zegelpost.ports import BlobError, BlobMissingError, Blobs, BlobSpaceError

if TYPE_CHECKING:
    from obstore.store import AzureStore, S3Store

# 10,000 pieces is the most that S3 takes: 78 GiB in one blob.
_PIECE_BYTES: Final = 8 * 1024 * 1024
# How stores say that they are full: S3's and Azure's codes, MinIO's, and the HTTP status.
_FULL: Final = ("QuotaExceeded", "StorageFull", "AccountLimitExceeded", "status code: 507")
_RETRY_TIMEOUT: Final = timedelta(seconds=30)


def blobs_from_url(url: str) -> Blobs:
    """The store that `file:///folder`, `s3://bucket/prefix` or `az://container/prefix` names."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return DirectoryBlobs(Path(unquote(parts.path)))
    return ObjectStoreBlobs(url)


class ObjectStoreBlobs:
    """One object per blob, under the prefix. Credentials and endpoint come from the usual environment (`AWS_*`, `AZURE_*`).

    Only obstore's blocking functions are used: its async ones abort the process at exit now and then. No put is conditional,
    because some stores (OpenStack Swift's S3 layer) refuse that and our names are never reused.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if not parts.hostname or parts.scheme not in {"s3", "az"}:
            raise ValueError("BLOBS_URL must be s3://bucket/prefix or az://container/prefix")
        # 40 ms that only installations with an object store pay.
        from obstore.store import AzureStore, S3Store  # noqa: PLC0415

        store = S3Store if parts.scheme == "s3" else AzureStore
        self._store: S3Store | AzureStore = store(
            parts.netloc, prefix=parts.path.strip("/") or None, retry_config={"max_retries": 3, "retry_timeout": _RETRY_TIMEOUT}
        )

    def create(self, name: BlobName) -> ObjectStoreBlobWriter:
        return ObjectStoreBlobWriter(self._store, _checked(name))

    def read(self, name: BlobName, start: int, length: int) -> bytes:
        import obstore  # noqa: PLC0415

        if length <= 0 or start < 0:
            self.size(name)
            return b""
        with _as_blob_errors():
            try:
                return bytes(obstore.get_range(self._store, _checked(name), start=start, length=length))
            except obstore.exceptions.GenericError:
                # A range that starts at the end or later is an error to the stores (HTTP 416), not to the port.
                if start < obstore.head(self._store, name)["size"]:
                    raise
                return b""

    def read_into(self, name: BlobName, start: int, view: memoryview) -> int:
        data = self.read(name, start, len(view))
        view[: len(data)] = data
        return len(data)

    def size(self, name: BlobName) -> int:
        import obstore  # noqa: PLC0415

        with _as_blob_errors():
            return obstore.head(self._store, _checked(name))["size"]

    def delete(self, name: BlobName) -> None:
        import obstore  # noqa: PLC0415

        with _as_blob_errors(), contextlib.suppress(FileNotFoundError):
            obstore.delete(self._store, _checked(name))

    def names(self) -> list[BlobName]:
        import obstore  # noqa: PLC0415

        with _as_blob_errors():
            # A bucket may hold more than ours.
            return [BlobName(one["path"]) for page in obstore.list(self._store) for one in page if is_identifier(one["path"])]


class ObjectStoreBlobWriter:
    """Small blobs leave in one request at commit; larger ones as a multipart upload, fed piece by piece to a thread.

    obstore ends a multipart upload that its source breaks off, but not one whose file object is dropped: hence a source in a
    thread and not obstore's writable file. Memory is about four pieces however long the blob.
    """

    def __init__(self, store: S3Store | AzureStore, name: str) -> None:
        self._store = store
        self._name = name
        self._piece = bytearray()
        self._upload: _MultipartUpload | None = None

    def write(self, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        while rest:
            room = _PIECE_BYTES - len(self._piece)
            self._piece += rest[:room]
            rest = rest[room:]
            if len(self._piece) == _PIECE_BYTES:
                if self._upload is None:
                    self._upload = _MultipartUpload(self._store, self._name)
                self._upload.feed(self._piece)
                self._piece = bytearray()

    def commit(self) -> None:
        import obstore  # noqa: PLC0415

        if self._upload is None:
            with _as_blob_errors():
                obstore.put(self._store, self._name, self._piece, use_multipart=False)
        else:
            if self._piece:
                self._upload.feed(self._piece)
            self._upload.finish()
            self._upload = None
        self._piece = bytearray()

    def abort(self) -> None:
        if self._upload is not None:
            self._upload.break_off()
            self._upload = None
        self._piece = bytearray()


class _BrokenOff(Exception):
    pass


class _MultipartUpload:
    """A multipart upload in its own thread, which takes one piece at a time from whoever writes."""

    def __init__(self, store: S3Store | AzureStore, name: str) -> None:
        self._store = store
        self._name = name
        self._pieces: queue.Queue[bytearray | _BrokenOff | None] = queue.Queue(maxsize=1)
        self._result: Future[None] = Future()
        # A daemon, so that a writer that was forgotten does not keep the process alive.
        threading.Thread(target=self._run, name="blob upload", daemon=True).start()

    def feed(self, piece: bytearray) -> None:
        if self._result.done():
            self._raise()
        self._pieces.put(piece)

    def finish(self) -> None:
        self._pieces.put(None)
        self._raise()

    def break_off(self) -> None:
        self._pieces.put(_BrokenOff())
        self._result.exception()

    def _raise(self) -> None:
        with _as_blob_errors():
            self._result.result()

    def _run(self) -> None:
        import obstore  # noqa: PLC0415

        source = self._source()
        try:
            obstore.put(self._store, self._name, source, chunk_size=_PIECE_BYTES, max_concurrency=1)
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever writes
            self._result.set_exception(error)
            # Whoever writes must never wait for a thread that has stopped taking.
            with contextlib.suppress(_BrokenOff):
                for _ in source:
                    pass
        else:
            self._result.set_result(None)

    def _source(self) -> Iterator[bytearray]:
        while (piece := self._pieces.get()) is not None:
            if isinstance(piece, _BrokenOff):
                raise piece
            yield piece


def _checked(name: BlobName) -> str:
    if not is_identifier(name):
        raise ValueError("not the name of a blob")
    return name


@contextmanager
def _as_blob_errors() -> Iterator[None]:
    from obstore import exceptions  # noqa: PLC0415

    try:
        yield
    except FileNotFoundError:
        raise BlobMissingError("a stored part, or the bucket itself, is missing") from None
    except exceptions.BaseError as error:
        if any(sign in str(error) for sign in _FULL):
            raise BlobSpaceError("the object store is full") from None
        if isinstance(error, exceptions.UnauthenticatedError | exceptions.PermissionDeniedError):
            raise BlobError("the object store refused us: check the credentials in AWS_… or AZURE_…") from None
        raise BlobError("the object store does not work") from error
