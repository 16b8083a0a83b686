"""Sealing a stream as it arrives: collect a segment, seal and store it in a thread while the next one comes in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Sequence
from dataclasses import dataclass
from typing import Any

from zegelpost.ports import BlobWriter
from zegelpost.sealing.keys import DocumentKey
from zegelpost.sealing.parts import SEGMENT_BYTES, TAG_BYTES, PartContext, PartSealer, capacity


class BodyCut(Exception):
    """The line dropped before the body was whole. There is nobody left to answer."""


@dataclass(frozen=True, slots=True)
class SealedPart:
    """What became of a body. When it was too long, or held nothing, nothing was stored."""

    header: bytes
    length_bytes: int
    is_cut: bool
    is_too_long: bool


class _SegmentPipeline:
    """Two buffers: one is filled by the event loop while a thread seals and stores the other, and another one hashes it.

    OpenSSL, hashlib and `write` let go of the interpreter, so this is one core for the network and one for the rest. More
    buffers would only hide a disk that is too slow; with two, the client feels it at once and memory stays flat.
    """

    def __init__(self, sealer: PartSealer, blob: BlobWriter, hashers: Sequence[Any]) -> None:
        self._sealer = sealer
        self._blob = blob
        self._hashers = hashers
        self._buffers = [bytearray(SEGMENT_BYTES), bytearray(SEGMENT_BYTES)]
        self._sealed = bytearray(SEGMENT_BYTES)
        self._filled = 0
        self._running: asyncio.Future[tuple[None, None]] | None = None
        self.length_bytes = 0

    async def take(self, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        while rest:
            room = self._capacity - self._filled
            if not room:
                # Only now is it certain that this was not the last segment.
                await self._flush(is_last=False)
                continue
            count = min(room, len(rest))
            self._buffers[0][self._filled : self._filled + count] = rest[:count]
            self._filled += count
            self.length_bytes += count
            rest = rest[count:]

    async def finish(self) -> None:
        await self._flush(is_last=True)
        await self._wait()

    async def stop(self) -> None:
        """Let a running thread end before its buffers and blob are dropped."""
        if self._running is not None:
            await asyncio.gather(self._running, return_exceptions=True)

    @property
    def _capacity(self) -> int:
        # By position, not by the sealer's own count: a thread may be moving that on right now.
        return capacity(0 if self.length_bytes == self._filled else 1)

    async def _flush(self, *, is_last: bool) -> None:
        await self._wait()
        plain = memoryview(self._buffers[0])[: self._filled]
        self._running = asyncio.gather(
            asyncio.to_thread(self._seal, plain, is_last=is_last),
            asyncio.to_thread(self._hash, plain),
        )
        self._buffers.reverse()
        self._filled = 0

    async def _wait(self) -> None:
        if self._running is not None:
            await self._running
            self._running = None

    def _seal(self, plain: memoryview, *, is_last: bool) -> None:
        out = memoryview(self._sealed)[: len(plain) + TAG_BYTES]
        self._sealer.seal_segment_into(plain, out, is_last=is_last)
        self._blob.write(out)

    def _hash(self, plain: memoryview) -> None:
        for hasher in self._hashers:
            hasher.update(plain)


async def seal_stream(
    body: AsyncIterable[bytes | memoryview],
    *,
    key: DocumentKey,
    context: PartContext,
    blob: BlobWriter,
    hashers: Sequence[Any],
    most_bytes: int,
) -> SealedPart:
    """Seal a body into one blob and make it durable. `hashers` see the plaintext.

    A cut line is no error: what arrived is a part like any other, and the result says so.
    """
    sealer = PartSealer(key, context)
    pipeline = _SegmentPipeline(sealer, blob, hashers)
    is_cut = is_too_long = False
    try:
        blob.write(sealer.header)
        try:
            async for data in body:
                if pipeline.length_bytes + len(data) > most_bytes:
                    is_too_long = True
                    break
                await pipeline.take(data)
        except BodyCut:
            is_cut = True
        if is_too_long or pipeline.length_bytes == 0:
            await pipeline.stop()
            blob.abort()
        else:
            await pipeline.finish()
            await asyncio.to_thread(blob.commit)
    except BaseException:
        await pipeline.stop()
        blob.abort()
        raise
    return SealedPart(sealer.header, pipeline.length_bytes, is_cut, is_too_long)
