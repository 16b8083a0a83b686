"""Scanning: the malware scanner looks along while a document arrives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from zegelpost.model.document import ScanVerdict
from zegelpost.ports import Scanner


class StreamScan:
    """One scan of one document that comes in one stream.

    The scanner gets each segment before its buffer is used again, so memory stays flat; a slow scanner slows the line down
    instead. When it fails, the stream goes on without it, and `verdict` tells.
    """

    def __init__(self, scanner: Scanner, length_bytes: int) -> None:
        self._pieces: asyncio.Queue[memoryview | None] = asyncio.Queue(1)
        self._scan = asyncio.create_task(scanner.scan(self._stream(), length_bytes=length_bytes))

    async def offer(self, piece: memoryview) -> None:
        """Show the next bytes. They may be overwritten once this returns."""
        await self._hand_over(piece)

    async def verdict(self) -> ScanVerdict:
        """After the last byte. Raises `ScannerError` when the scanner failed at any moment."""
        await self._hand_over(None)
        return await self._scan

    async def stop(self) -> None:
        """Forget about it: the document is not whole, or is not wanted. Harmless after `verdict`."""
        self._scan.cancel()
        with suppress(asyncio.CancelledError, Exception):  # what it would have said no longer matters
            await self._scan

    async def _hand_over(self, piece: memoryview | None) -> None:
        if self._scan.done():
            return
        self._pieces.put_nowait(piece)
        taken = asyncio.create_task(self._pieces.join())
        try:
            await asyncio.wait({taken, self._scan}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            taken.cancel()

    async def _stream(self) -> AsyncIterator[memoryview]:
        while (piece := await self._pieces.get()) is not None:
            yield piece
            self._pieces.task_done()  # asked for more, so done with this one
        self._pieces.task_done()
