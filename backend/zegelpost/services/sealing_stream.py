"""Sealing a stream as it arrives: collect a segment, seal and store it in a thread while the next one comes in."""

from __future__ import annotations

import asyncio
import mmap
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from zegelpost.ports import BlobWriter
from zegelpost.sealing.keys import DocumentKey
from zegelpost.sealing.parts import SEGMENT_BYTES, TAG_BYTES, PartContext, PartSealer, capacity
from zegelpost.services.scanning import StreamScan

_TOGETHER: Final = 2  # segments that change hands at once; one makes more hops between threads, four need more memory


class BodyCut(Exception):
    """The line dropped before the body was whole. There is nobody left to answer."""


@dataclass(frozen=True, slots=True)
class SealedPart:
    """What became of a body. When it was too long, or held nothing, nothing was stored."""

    header: bytes
    length_bytes: int
    is_cut: bool
    is_too_long: bool


class Body(Protocol):
    """The bytes of one request. `announced_bytes` is what its client says of their number: a hint, never a fact."""

    announced_bytes: int | None

    async def readinto(self, view: memoryview) -> int:
        """Put what comes next into the buffer, as much as fits; returns how much, 0 at the end. Raises `BodyCut`."""


class PiecewiseBody:
    """A body that comes in pieces of its own size."""

    def __init__(self, pieces: AsyncIterator[bytes | memoryview], announced_bytes: int | None = None) -> None:
        self._pieces = pieces
        self.announced_bytes = announced_bytes
        self._rest = memoryview(b"")

    async def readinto(self, view: memoryview) -> int:
        while not self._rest:
            try:
                self._rest = memoryview(await anext(self._pieces))
            except StopAsyncIteration:
                return 0
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _room(index: int) -> int:
    """Bytes of plaintext in the buffer of this index."""
    return sum(capacity(index * _TOGETHER + each) for each in range(_TOGETHER))


class _SegmentPipeline:
    """Two buffers: one is filled from the network while a thread seals and stores the other, and another one hashes it.

    OpenSSL, hashlib and `write` let go of the interpreter, so this is one core for the network and one for the rest. More
    buffers would only hide a disk that is too slow; with two, the client feels it at once and memory stays flat.
    """

    def __init__(self, sealer: PartSealer, blob: BlobWriter, hashers: Sequence[Any], scan: StreamScan | None) -> None:
        self._sealer = sealer
        self._blob = blob
        self._hashers = hashers
        self._scan = scan
        self._current = memoryview(bytearray(_TOGETHER * SEGMENT_BYTES))
        self._other = memoryview(bytearray(_TOGETHER * SEGMENT_BYTES))
        # Anonymous memory is page-aligned: a disk takes it as it is. The header stands before the first segment.
        self._sealed = memoryview(mmap.mmap(-1, SEGMENT_BYTES))
        self._sealed[: len(sealer.header)] = sealer.header
        self._begin = len(sealer.header)
        self._running: asyncio.Future[list[None]] | None = None
        self.length_bytes = 0

    async def run(self, body: Body, most_bytes: int) -> bool:
        """Seal the body to its end, or until the line drops; returns whether it was longer than it may be.

        Only when a byte of what comes next is there is it certain that a full buffer was not the last.
        """
        filled = room = 0
        index = 0
        is_cut = False
        while True:
            room = _room(index)
            try:
                while filled < room and (count := await body.readinto(self._current[filled:room])):
                    filled += count
                    self.length_bytes += count
                    if self.length_bytes > most_bytes:
                        return True
                if filled < room:
                    break
                await self._wait()  # the other buffer is free again
                # One byte, for a body may fill what it is given before it returns, and sealing waits for the answer.
                ahead = await body.readinto(self._other[:1])
            except BodyCut:
                is_cut = True
                break
            if not ahead:
                break
            self.length_bytes += ahead
            if self.length_bytes > most_bytes:
                return True
            await self._flush(filled, is_last=False)
            filled, index = ahead, index + 1
        if self.length_bytes:
            await self._flush(filled, is_last=True)
            await self._wait()
        if is_cut:
            raise BodyCut
        return False

    async def stop(self) -> None:
        """Let a running thread end before its buffers and blob are dropped."""
        if self._running is not None:
            await asyncio.gather(self._running, return_exceptions=True)

    async def _flush(self, filled: int, *, is_last: bool) -> None:
        await self._wait()
        plain = self._current[:filled]
        # No `to_thread`: it makes a task and copies the context, each time for both.
        loop = asyncio.get_running_loop()
        work: list[Awaitable[None]] = [
            loop.run_in_executor(None, self._seal, plain, is_last),
            loop.run_in_executor(None, self._hash, plain),
        ]
        if self._scan is not None:
            work.append(self._scan.offer(plain))
        self._running = asyncio.gather(*work)
        self._current, self._other = self._other, self._current

    async def _wait(self) -> None:
        if self._running is not None:
            await self._running
            self._running = None

    def _seal(self, plain: memoryview, is_last: bool) -> None:  # noqa: FBT001 - executors pass no keywords
        while plain:
            segment, plain = plain[: self._sealer.next_capacity], plain[self._sealer.next_capacity :]
            end = self._begin + len(segment) + TAG_BYTES
            self._sealer.seal_segment_into(segment, self._sealed[self._begin : end], is_last=is_last and not plain)
            self._blob.write(self._sealed[:end])
            self._begin = 0

    def _hash(self, plain: memoryview) -> None:
        for hasher in self._hashers:
            hasher.update(plain)


async def seal_stream(
    body: Body,
    *,
    key: DocumentKey,
    context: PartContext,
    blob: BlobWriter,
    hashers: Sequence[Any],
    scan: StreamScan | None,
    most_bytes: int,
) -> SealedPart:
    """Seal a body into one blob and make it durable. `hashers` and `scan` see the plaintext.

    A cut line is no error: what arrived is a part like any other, and the result says so.
    """
    sealer = PartSealer(key, context)
    pipeline = _SegmentPipeline(sealer, blob, hashers, scan)
    is_cut = is_too_long = False
    try:
        try:
            is_too_long = await pipeline.run(body, most_bytes)
        except BodyCut:
            is_cut = True
        if is_too_long or pipeline.length_bytes == 0:
            await pipeline.stop()
            blob.abort()
        else:
            await asyncio.to_thread(blob.commit)
    except BaseException:
        await pipeline.stop()
        blob.abort()
        raise
    return SealedPart(sealer.header, pipeline.length_bytes, is_cut, is_too_long)
