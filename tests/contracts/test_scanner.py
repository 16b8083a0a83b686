"""What every scanner does, with a real clamd: never clean what was not looked at, and an error when in doubt."""

from __future__ import annotations

import asyncio
import io
import os
import secrets
import signal
import tempfile
import zipfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.stand_ins.clamd import EICAR, Clamd, clamd
from tests.stand_ins.raw_server import raw_server

from zegelpost.adapters.scanner_clamd import ClamdScanner
from zegelpost.adapters.scanner_off import NoScanner
from zegelpost.model.document import ScanVerdict
from zegelpost.ports import Scanner, ScannerError

MEGABYTE = 1024 * 1024


@pytest.fixture
def folder() -> Iterator[Path]:
    """Socket paths may hold no more than 107 characters, and pytest's folders are deep."""
    with tempfile.TemporaryDirectory(prefix="zegelpost-clamd-") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def shared_clamd() -> Iterator[Clamd]:
    with tempfile.TemporaryDirectory(prefix="zegelpost-clamd-") as name, clamd(Path(name), MaxFileSize="20M") as running:
        yield running


@pytest.fixture
def scanner(shared_clamd: Clamd) -> ClamdScanner:
    return ClamdScanner(shared_clamd.url, timeout_seconds=30)


class Content:
    """A document as it streams by; knows how much of it was taken."""

    def __init__(self, data: bytes, piece_bytes: int = 64 * 1024) -> None:
        self.data = data
        self.piece_bytes = piece_bytes
        self.taken_bytes = 0

    async def __aiter__(self) -> AsyncIterator[bytes | memoryview]:
        for start in range(0, len(self.data), self.piece_bytes):
            piece = memoryview(self.data)[start : start + self.piece_bytes]
            self.taken_bytes += len(piece)
            yield piece


async def scan(scanner: Scanner, data: bytes | Content, length: int | None = None) -> ScanVerdict:
    content = data if isinstance(data, Content) else Content(data)
    verdict = await scanner.scan(aiter(content), length_bytes=len(content.data) if length is None else length)
    assert content.taken_bytes == len(content.data)
    return verdict


def zipped(data: bytes, name: str = "brief.txt") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return file.getvalue()


def locked(archive: bytes) -> bytes:
    """A ZIP that says that its content needs a password."""
    locked = bytearray(archive)
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[locked.index(signature) + flags] |= 1
    return bytes(locked)


@pytest.mark.parametrize(
    ("data", "verdict"),
    [
        (b"", ScanVerdict.CLEAN),
        (b"x", ScanVerdict.CLEAN),
        (b"Beste Rosa" * 10_000, ScanVerdict.CLEAN),
        (zipped(b"Beste Rosa"), ScanVerdict.CLEAN),
        (EICAR, ScanVerdict.INFECTED),
        (b"x" * 300_000 + EICAR + b"x" * 300_000, ScanVerdict.INFECTED),
        (zipped(EICAR), ScanVerdict.INFECTED),
        (zipped(zipped(zipped(EICAR), "b.zip"), "a.zip"), ScanVerdict.INFECTED),
        (locked(zipped(b"Beste Rosa" * 100)), ScanVerdict.NOT_SCANNED),
    ],
    ids=["empty", "byte", "text", "zip", "eicar", "eicar-inside", "eicar-in-zip", "eicar-in-zip-in-zip-in-zip", "password"],
)
async def test_clamd_says_what_it_found(scanner: ClamdScanner, data: bytes, verdict: ScanVerdict) -> None:
    assert await scan(scanner, data) is verdict


@pytest.mark.parametrize("piece_bytes", [1, 7, 68, MEGABYTE])
async def test_pieces_of_any_size_make_one_document(scanner: ClamdScanner, piece_bytes: int) -> None:
    assert await scan(scanner, Content(b"voor" + EICAR + b"na", piece_bytes)) is ScanVerdict.INFECTED


async def test_an_empty_piece_does_not_end_the_document(scanner: ClamdScanner) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"", EICAR[:30], b"", b"", EICAR[30:], b""):
            yield piece

    assert await scanner.scan(pieces(), length_bytes=len(EICAR)) is ScanVerdict.INFECTED


async def test_the_buffer_may_be_reused_after_each_piece(scanner: ClamdScanner) -> None:
    buffer = bytearray(4 * MEGABYTE)

    async def pieces() -> AsyncIterator[memoryview]:
        buffer[-len(EICAR) :] = EICAR
        yield memoryview(buffer)
        buffer[:] = secrets.token_bytes(len(buffer))
        yield memoryview(buffer)

    assert await scanner.scan(pieces(), length_bytes=2 * len(buffer)) is ScanVerdict.INFECTED


async def test_what_clamd_did_not_look_at_is_not_called_clean(scanner: ClamdScanner) -> None:
    assert await scan(scanner, secrets.token_bytes(21 * MEGABYTE)) is ScanVerdict.NOT_SCANNED
    assert await scan(scanner, bytes(21 * MEGABYTE) + EICAR) is ScanVerdict.NOT_SCANNED


@pytest.mark.parametrize(("length", "verdict"), [(1000, ScanVerdict.INFECTED), (1001, ScanVerdict.NOT_SCANNED)])
async def test_longer_documents_than_the_engine_takes_are_not_scanned(
    shared_clamd: Clamd, length: int, verdict: ScanVerdict
) -> None:
    scanner = ClamdScanner(shared_clamd.url, largest_bytes=1000)

    assert await scan(scanner, EICAR + bytes(length - len(EICAR))) is verdict


async def test_without_a_scanner_everything_is_consumed_and_not_scanned() -> None:
    assert await scan(NoScanner(), EICAR * 10_000) is ScanVerdict.NOT_SCANNED
    assert await scan(NoScanner(), b"") is ScanVerdict.NOT_SCANNED


async def test_scans_may_run_at_the_same_time(scanner: ClamdScanner) -> None:
    documents = [EICAR if number % 2 else b"schoon" for number in range(10)]

    verdicts = await asyncio.gather(*(scan(scanner, document) for document in documents))

    assert [verdict is ScanVerdict.INFECTED for verdict in verdicts] == [document == EICAR for document in documents]


async def test_clamd_answers_over_tcp_too(shared_clamd: Clamd) -> None:
    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_unix_connection(str(shared_clamd.socket_path))

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
            sink.close()

        try:
            await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))
        finally:
            inner_writer.close()

    async with raw_server(relay) as port:
        scanner = ClamdScanner(f"tcp://127.0.0.1:{port}")
        assert await scan(scanner, zipped(EICAR)) is ScanVerdict.INFECTED
        assert await scan(scanner, b"schoon") is ScanVerdict.CLEAN


# Trouble


async def test_a_clamd_that_calls_clean_what_it_skipped_is_not_trusted(folder: Path) -> None:
    with clamd(folder, AlertExceedsMax="no") as lenient:
        for _ in range(2):
            with pytest.raises(ScannerError, match="AlertExceedsMax"):
                await scan(ClamdScanner(lenient.url), b"schoon")


@pytest.mark.parametrize("recursion", ["1", "100"])
async def test_other_limits_make_no_clamd_untrustworthy(folder: Path, recursion: str) -> None:
    with clamd(folder, MaxRecursion=recursion) as strict:
        assert await scan(ClamdScanner(strict.url), b"schoon") is ScanVerdict.CLEAN
        assert await scan(ClamdScanner(strict.url), EICAR) is ScanVerdict.INFECTED


async def test_a_stream_longer_than_clamd_takes_is_an_error(folder: Path) -> None:
    with clamd(folder, StreamMaxLength="1M") as small:
        with pytest.raises(ScannerError, match="StreamMaxLength"):
            await scan(ClamdScanner(small.url), bytes(30 * MEGABYTE))
        assert await scan(ClamdScanner(small.url), b"schoon") is ScanVerdict.CLEAN


async def test_a_dead_clamd_is_an_error_until_it_is_back(folder: Path) -> None:
    with clamd(folder) as mortal:
        scanner = ClamdScanner(mortal.url)
        assert await scan(scanner, b"schoon") is ScanVerdict.CLEAN

        mortal.stop()

        with pytest.raises(ScannerError) as caught:
            await scan(scanner, b"schoon")
        assert not caught.value.is_permanent


async def test_a_clamd_that_dies_midway_is_an_error(folder: Path) -> None:
    with clamd(folder) as mortal:
        scanner = ClamdScanner(mortal.url)
        assert await scan(scanner, b"schoon") is ScanVerdict.CLEAN

        async def pieces() -> AsyncIterator[bytes]:
            for number in range(100):
                if number == 5:
                    mortal.process.kill()
                yield bytes(MEGABYTE)

        with pytest.raises(ScannerError):
            await scanner.scan(pieces(), length_bytes=100 * MEGABYTE)


async def test_a_clamd_that_hangs_is_given_up(folder: Path) -> None:
    with clamd(folder) as stuck:
        assert await scan(ClamdScanner(stuck.url), b"schoon") is ScanVerdict.CLEAN
        os.kill(stuck.process.pid, signal.SIGSTOP)
        try:
            for data in (b"schoon", bytes(20 * MEGABYTE)):
                async with asyncio.timeout(60):
                    with pytest.raises(ScannerError, match="in time"):
                        await scan(ClamdScanner(stuck.url, timeout_seconds=0.5), data)
        finally:
            os.kill(stuck.process.pid, signal.SIGCONT)


@pytest.mark.parametrize(
    "reply",
    [
        b"stream: OK",  # and cut, before its end was said
        b"",
        b"stream: Can't allocate memory ERROR\0",
        b"INSTREAM size limit exceeded. ERROR\0",
        b"UNKNOWN COMMAND\0",
        b"stream: NOK\0",
        b"\0",
        b"x" * 100_000,
    ],
)
async def test_any_other_answer_is_an_error(reply: bytes) -> None:
    async def odd(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readuntil(b"\0") == b"zINSTREAM\0"
        while length := int.from_bytes(await reader.readexactly(4)):
            await reader.readexactly(length)
        writer.write(reply)

    async with raw_server(odd) as port:
        with pytest.raises(ScannerError):
            await scan(ClamdScanner(f"tcp://127.0.0.1:{port}", timeout_seconds=5), b"brief")


async def test_what_goes_wrong_with_the_document_is_not_the_scanners_fault(scanner: ClamdScanner) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"begin"
        raise OSError(5, "the disk")

    with pytest.raises(OSError, match="the disk"):
        await scanner.scan(broken(), length_bytes=10)


@pytest.mark.parametrize("url", ["", "clamd", "http://127.0.0.1:3310", "unix://", "tcp://"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="CLAMD_URL"):
        ClamdScanner(url)
