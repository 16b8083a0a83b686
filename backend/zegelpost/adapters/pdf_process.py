"""A process of its own for making one PDF: it is given the document and nothing else, and is ended when it takes too long."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Final

from zegelpost.adapters.pdf_characters import Fonts
from zegelpost.ports import PdfError, PrintableDocument

_TIMEOUT_SECONDS: Final = 60.0
# Address space, of which a browser engine reserves more than it uses.
_MEMORY_BYTES: Final = 2 * 1024**3
_SPOKEN_BYTES: Final = 2000  # of what went wrong, for the log


class PdfProcess:
    """Runs a script next to this file. One at a time: a report can wait a second, uploads cannot wait for reports."""

    def __init__(self, script: str, *, timeout_seconds: float = _TIMEOUT_SECONDS, memory_bytes: int = _MEMORY_BYTES) -> None:
        self._script = Path(__file__).with_name(script)
        self._timeout_seconds = timeout_seconds
        self._memory_bytes = memory_bytes
        self._turn = asyncio.Semaphore(1)
        self._fonts: Fonts | None = None

    async def run(self, document: PrintableDocument, *, last_character: int = sys.maxunicode, **options: str) -> bytes:
        """The finished PDF. Raises `PdfError`, permanent unless it was a matter of time.

        Characters after `last_character` are printed as their number, whatever fonts there are.
        """
        async with self._turn:
            # A folder that goes away afterwards: engines write their caches where HOME is.
            with tempfile.TemporaryDirectory(prefix="zegelpost-pdf-") as folder:
                environment = _environment(folder)
                self._fonts = self._fonts or await Fonts.installed(environment)
                fields = self._fonts.up_to(last_character).legible_document(document)
                asked = json.dumps({"document": fields, "options": options, "memory_bytes": self._memory_bytes})
                return await self._run(asked.encode(), folder, environment)

    async def _run(self, asked: bytes, folder: str, environment: dict[str, str]) -> bytes:
        # Isolated (-I): no variable and no folder of whoever started us changes what is imported.
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            str(self._script),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
        try:
            pdf, errors = await asyncio.wait_for(process.communicate(asked), self._timeout_seconds)
        except TimeoutError:
            raise PdfError("making the PDF took too long") from None
        finally:
            _end(process.pid)
            await process.wait()
        if process.returncode or not pdf.startswith(b"%PDF-"):
            last = errors[-_SPOKEN_BYTES:].decode(errors="replace").strip().rpartition("\n")[2]
            # Engines name addresses and file names in what they say; of that only the kind of error may reach a log.
            raise PdfError(f"the PDF could not be made ({last.partition(':')[0][:80]})", is_permanent=True)
        return pdf


def _environment(folder: str) -> dict[str, str]:
    """Nothing of our own environment: it holds secrets."""
    return {
        "PATH": os.defpath,
        "HOME": folder,
        "XDG_RUNTIME_DIR": folder,
        "LANG": "C.UTF-8",
        "QT_QPA_PLATFORM": "offscreen",
    }


def _end(session: int) -> None:
    """End the process and whatever it started: all of it is one session."""
    try:
        os.killpg(session, signal.SIGKILL)
    except ProcessLookupError:
        return
