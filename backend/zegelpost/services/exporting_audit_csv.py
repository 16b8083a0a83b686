"""The audit for spreadsheets: to read and to count, not to verify. Place and hash lead back to the export that can be."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Final

from zegelpost.evidence.leaf import moment
from zegelpost.services.exporting_contacts import DELIMITERS, guarded
from zegelpost.services.searching_audit import AuditEntry

_HEADINGS: Final = {
    "nl": (
        *("Plaats", "Tijd (UTC)", "Gebeurtenis", "NTA 7516", "Soort persoon", "Wie", "E-mailadres", "Namens", "Ontvanger"),
        *("E-mailadres ontvanger", "Verzending", "Document", "Feiten", "Hash"),
    ),
    "en": (
        *("Place", "Time (UTC)", "Event", "NTA 7516", "Kind of person", "Who", "E-mail address", "On behalf of", "Recipient"),
        *("Recipient's e-mail address", "Transfer", "Document", "Facts", "Hash"),
    ),
}


async def audit_csv(entries: AsyncIterator[AuditEntry], language: str) -> AsyncIterator[bytes]:
    """With a mark in front: without it Excel reads UTF-8 as Windows-1252."""
    yield "\ufeff".encode() + _line(list(_HEADINGS[language]), language)
    async for entry in entries:
        yield _line(_cells(entry), language)


def _cells(entry: AuditEntry) -> list[str]:
    return [
        str(entry.position),
        moment(entry.at),
        entry.tag,
        entry.nta_7516 or "",
        entry.actor,
        entry.staff_name,
        entry.staff_email,
        entry.behalf,
        entry.recipient_name,
        entry.recipient_email,
        entry.transfer_id or "",
        entry.document_id or "",
        json.dumps(entry.facts, ensure_ascii=False, sort_keys=True) if entry.facts else "",
        entry.hash.hex(),
    ]


def _line(cells: list[str], language: str) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=DELIMITERS[language], lineterminator="\r\n").writerow(guarded(cells))
    return text.getvalue().encode()
