"""No malware scanner: every document stays `NOT_SCANNED`, and the screen says so."""

from __future__ import annotations

from collections.abc import AsyncIterator

from zegelpost.model.document import ScanVerdict


class NoScanner:
    """What an installation without a scanner has."""

    async def scan(self, content: AsyncIterator[bytes | memoryview], *, length_bytes: int) -> ScanVerdict:  # noqa: ARG002 - the port's signature
        async for _ in content:
            pass
        return ScanVerdict.NOT_SCANNED
