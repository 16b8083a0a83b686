"""Exporting contacts: files that spreadsheets, Outlook and telephones open, and that come back in unchanged."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Final

import vobject  # type: ignore[import-untyped]

from zegelpost.model.contact import Card

# OWASP, CSV Injection: with one of these first, a spreadsheet may run what is in the cell. The apostrophe makes it text. One
# that has apostrophes already gets one more, so that taking one off always gives what was there.
_FORMULA: Final = re.compile(r"'*[=+\-@\t\r]")
_HEADINGS: Final = {
    "nl": ("Naam", "Organisatie", "E-mailadres", "Mobiel nummer"),
    "en": ("Name", "Organisation", "E-mail address", "Mobile number"),
}
# What Excel expects where the comma separates decimals.
DELIMITERS: Final = {"nl": ";", "en": ","}


def contacts_csv(cards: Iterable[Card], language: str) -> bytes:
    """With a mark in front: without it Excel reads UTF-8 as Windows-1252."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=DELIMITERS[language], quoting=csv.QUOTE_MINIMAL, lineterminator="\r\n")
    writer.writerow(_HEADINGS[language])
    for card in cards:
        writer.writerow(guarded([card.name, card.organisation, str(card.email), card.mobile.e164 if card.mobile else ""]))
    return text.getvalue().encode("utf-8-sig")


def guarded(cells: Sequence[str]) -> list[str]:
    """Cells that no spreadsheet takes for a formula."""
    return [f"'{cell}" if _FORMULA.match(cell) else cell for cell in cells]


def contacts_vcard(cards: Iterable[Card]) -> bytes:
    """VCard 4.0 (RFC 6350), one after the other."""
    return "".join(_vcard(card) for card in cards).encode()


def _vcard(card: Card) -> str:
    written = vobject.vCard()
    written.add("version").value = "4.0"
    written.add("fn").value = card.name
    if card.organisation:
        written.add("org").value = [card.organisation]
    written.add("email").value = str(card.email)
    if card.mobile:
        number = written.add("tel")
        number.params = {"TYPE": ["cell"], "VALUE": ["uri"]}
        number.value = f"tel:{card.mobile.e164}"
    text: str = written.serialize()
    return text
