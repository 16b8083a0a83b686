"""PDF with WeasyPrint: tagged, for screen readers, and for archives (PDF/A-3a, ISO 19005-3) with the facts attached."""

from __future__ import annotations

import ctypes.util
import functools
from importlib.util import find_spec

from zegelpost.adapters.pdf_process import PdfProcess
from zegelpost.ports import PrintableDocument


class WeasyPrintPrinter:
    def __init__(self, process: PdfProcess | None = None) -> None:
        self._process = process or PdfProcess("pdf_weasyprint_script.py")

    @staticmethod
    @functools.cache
    def is_installed() -> bool:
        """Whether the package and the libraries under it are there; asked without loading them, which takes half a second."""
        libraries = ("pango-1.0", "pangoft2-1.0", "harfbuzz", "harfbuzz-subset")
        return find_spec("weasyprint") is not None and all(map(ctypes.util.find_library, libraries))

    async def print(self, document: PrintableDocument) -> bytes:
        return await self._process.run(document)
