"""PDF with pdfkit and wkhtmltopdf: fast, also for long reports, but not tagged and not for archives."""

from __future__ import annotations

import shutil

from zegelpost.adapters.pdf_process import PdfProcess
from zegelpost.ports import PrintableDocument


class PdfkitPrinter:
    """`program` is the path of wkhtmltopdf; upstream it is archived, and Debian 13 no longer has it."""

    def __init__(self, program: str, process: PdfProcess | None = None) -> None:
        self._program = program
        self._process = process or PdfProcess("pdf_pdfkit_script.py")

    @staticmethod
    def program() -> str | None:
        """The path of wkhtmltopdf on this machine."""
        return shutil.which("wkhtmltopdf")

    async def print(self, document: PrintableDocument) -> bytes:
        # Qt draws what comes after, such as emoji, but leaves it out of the text that can be searched and copied.
        return await self._process.run(document, last_character=0xFFFF, program=self._program)
