"""Malware scanning by ClamAV's `clamd`, over its INSTREAM command."""

from __future__ import annotations

import asyncio
import io
import re
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import unquote, urlsplit

from zegelpost.model.document import ScanVerdict
from zegelpost.ports import ScannerError

_PORT: Final = 3310
# What clamd reports as found when it gave up: its own limits were hit, or it had no password.
_UNSEEN: Final = ("Heuristics.Limits.Exceeded", "Heuristics.Encrypted")
_CONNECT_SECONDS: Final = 10
_LONGEST_REPLY_BYTES: Final = 4096
# More layers than any `MaxRecursion` that clamd accepts.
_CANARY_LAYERS: Final = 120
# clamd(8), VERSION: `ClamAV 1.0.9/27834/Tue Nov 24 08:27:45 2026`; without official signatures only the first part.
_VERSION: Final = re.compile(r"ClamAV ([0-9A-Za-z.+~-]+)(?:/\d+/(\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}))?")


@dataclass(frozen=True, slots=True)
class ScannerFacts:
    version: str
    signatures_of: datetime | None  # as clamd's own clock has it; taken as UTC, hours do not matter here


class ClamdScanner:
    """Streams each document to `tcp://host:port` or `unix:///path`, one connection per scan.

    clamd.conf needs `StreamMaxLength` of at least `largest_bytes` and `AlertExceedsMax yes`. Without the latter clamd answers OK
    to what its limits kept it from looking at, so the first scan tries that out and refuses to work with such a clamd.
    """

    def __init__(self, url: str, *, largest_bytes: int = 2_000_000_000, timeout_seconds: float = 300) -> None:
        """`largest_bytes` is sent at most (the engine stops at 2 GB); `timeout_seconds` bounds each step of the conversation."""
        parts = urlsplit(url)
        self._path = unquote(parts.path) if parts.scheme == "unix" else None
        self._address = (parts.hostname or "", parts.port or _PORT)
        if not (self._path or (parts.scheme == "tcp" and parts.hostname)):
            raise ValueError("CLAMD_URL must be tcp://host:port or unix:///path")
        self._largest_bytes = largest_bytes
        self._timeout_seconds = timeout_seconds
        self._is_honest = False

    async def scan(self, content: AsyncIterator[bytes | memoryview], *, length_bytes: int) -> ScanVerdict:
        if length_bytes > self._largest_bytes:
            async for _ in content:
                pass
            return ScanVerdict.NOT_SCANNED
        if not self._is_honest:
            await self._require_honesty()
        return _verdict(await self._ask(content))

    async def probe(self) -> ScannerFacts:
        """Which clamd answers, and how old what it knows is. Raises `ScannerError`, also for a dishonest one."""
        reader, writer = await self._connect()
        try:
            await self._send(writer, b"zVERSION\0")
            async with self._step():
                reply = await reader.readuntil(b"\0")
        finally:
            writer.transport.abort()
        version = _VERSION.match(reply[:-1].decode("ascii", "replace"))
        if version is None:
            raise ScannerError("what answers is no clamd")
        await self._require_honesty()
        made = version[2] and datetime.strptime(version[2], "%a %b %d %H:%M:%S %Y").replace(tzinfo=UTC)
        return ScannerFacts(version[1], made or None)

    async def _require_honesty(self) -> None:
        if _verdict(await self._ask(_once(_canary()))) is not ScanVerdict.NOT_SCANNED:
            raise ScannerError("clamd calls clean what it did not look at: set AlertExceedsMax yes in clamd.conf")
        self._is_honest = True

    async def _ask(self, content: AsyncIterator[bytes | memoryview]) -> str:
        """One INSTREAM conversation (clamd(8), COMMANDS): length-prefixed chunks, an empty one at the end, one reply."""
        reader, writer = await self._connect()
        try:
            await self._send(writer, b"zINSTREAM\0")
            async for data in content:
                # An empty chunk would end the stream.
                if data:
                    await self._send(writer, len(data).to_bytes(4), data)
            await self._send(writer, bytes(4))
            async with self._step():
                reply = await reader.readuntil(b"\0")
        finally:
            writer.transport.abort()
        return reply[:-1].decode("ascii", "replace").strip()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            async with asyncio.timeout(min(_CONNECT_SECONDS, self._timeout_seconds)):
                if self._path:
                    reader, writer = await asyncio.open_unix_connection(self._path, limit=_LONGEST_REPLY_BYTES)
                else:
                    reader, writer = await asyncio.open_connection(*self._address, limit=_LONGEST_REPLY_BYTES)
        except OSError:
            raise ScannerError("clamd cannot be reached") from None
        # Nothing stays behind in our buffer, so that the caller may reuse its own after each step.
        writer.transport.set_write_buffer_limits(high=0)
        return reader, writer

    async def _send(self, writer: asyncio.StreamWriter, *pieces: bytes | memoryview) -> None:
        async with self._step():
            for piece in pieces:
                writer.write(piece)
            await writer.drain()

    @asynccontextmanager
    async def _step(self) -> AsyncIterator[None]:
        """One exchange with clamd: in time, and with its troubles as ours. What the content raises is not among them."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                yield
        except TimeoutError:
            raise ScannerError("clamd did not answer in time") from None
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            # Also what becomes of a stream longer than clamd's own limit; its explanation is lost in the reset.
            raise ScannerError("clamd broke off: is StreamMaxLength in clamd.conf large enough?") from None


def _verdict(reply: str) -> ScanVerdict:
    finding = reply.removeprefix("stream: ")
    if finding == "OK":
        return ScanVerdict.CLEAN
    if finding.endswith(" FOUND"):
        return ScanVerdict.NOT_SCANNED if finding.startswith(_UNSEEN) else ScanVerdict.INFECTED
    if "size limit exceeded" in finding:
        raise ScannerError("clamd takes no stream of this length: raise StreamMaxLength in clamd.conf")
    raise ScannerError("clamd reported an error: see its log")


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _canary() -> bytes:
    """A few kilobytes that are packed too deep for clamd to look into."""
    data = b"canary"
    for _ in range(_CANARY_LAYERS):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("z.zip", data)
        data = packed.getvalue()
    return data
