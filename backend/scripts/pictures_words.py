"""What people write in the pictures of the documentation. All of it is invented."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    subject: str
    note: str
    days: str
    documents: dict[str, int]  # names and sizes in bytes
    answer: str
    answer_document: str
    others: tuple[tuple[tuple[str, str, str], str, str], ...]  # recipient, subject, reference
    request_subject: str
    request_note: str
    items: tuple[str, ...]
    item_document: str
    contacts: tuple[tuple[str, str, str, str], ...]  # name, organisation, e-mail address, mobile number
    letters: str  # typed at a recipient, to get suggestions


_SAM: Final = ("Sam de Groot", "s.degroot@example.org", "06 23 45 67 89")
_JAN: Final = ("Jan Hendriks", "jan.hendriks@example.com", "+32 470 12 34 56")
_BRAM: Final = ("Bram Jansen", "bram@zegelpost.example", "")

WORDS: Final = {
    "nl": Words(
        subject="Indicatiebesluit 2026",
        note="Beste mevrouw Blom,\n\nHierbij stuur ik u het besluit en de bijlage.\n\nMet vriendelijke groet,\nAnna de Vries",
        days="28",
        documents={"Indicatiebesluit.pdf": 1_240_000, "Toelichting bij het besluit.pdf": 386_000},
        answer="Beste mevrouw De Vries,\n\nHierbij de getekende verklaring.\n\nRosa Blom",
        answer_document="Verklaring getekend.pdf",
        others=(
            (_SAM, "Stukken voor de zitting", "Z-2026-0388"),
            (_JAN, "Verslag van de keuring", ""),
            (_BRAM, "Overdracht", ""),
        ),
        request_subject="Toets vakbekwaamheid",
        request_note="Beste mevrouw El Amrani,\n\nWij toetsen of u als verpleegkundige mag werken. Wij hebben documenten nodig.",
        items=("Kopie van uw diploma", "Verklaring omtrent het gedrag", "Werkgeversverklaring"),
        item_document="Diploma verpleegkunde.pdf",
        contacts=(
            ("Rosa Blom", "Thuiszorg De Linde", "rosa.blom@example.nl", "06 12 34 56 78"),
            ("Roos Hendriks", "Wijkteam Noord", "roos.hendriks@example.nl", "06 11 22 33 44"),
            ("Sam de Groot", "De Groot Advocaten", "s.degroot@example.org", "06 23 45 67 89"),
            ("Fatima El Amrani", "", "fatima@example.com", "06 87 65 43 21"),
        ),
        letters="ro",
    ),
    "en": Words(
        subject="Care decision 2026",
        note="Dear Ms Blom,\n\nHere are the decision and its annex.\n\nKind regards,\nAnna de Vries",
        days="28",
        documents={"Care decision.pdf": 1_240_000, "Notes to the decision.pdf": 386_000},
        answer="Dear Ms De Vries,\n\nHere is the signed statement.\n\nRosa Blom",
        answer_document="Statement signed.pdf",
        others=((_SAM, "Papers for the hearing", "Z-2026-0388"), (_JAN, "Report of the inspection", ""), (_BRAM, "Handover", "")),
        request_subject="Assessment of skills",
        request_note="Dear Ms El Amrani,\n\nWe assess whether you may work as a nurse. For that we need some documents.",
        items=("Copy of your diploma", "Certificate of conduct", "Statement of your employer"),
        item_document="Nursing diploma.pdf",
        contacts=(
            ("Rosa Blom", "Home Care De Linde", "rosa.blom@example.nl", "06 12 34 56 78"),
            ("Roos Hendriks", "Neighbourhood Team North", "roos.hendriks@example.nl", "06 11 22 33 44"),
            ("Sam de Groot", "De Groot Lawyers", "s.degroot@example.org", "06 23 45 67 89"),
            ("Fatima El Amrani", "", "fatima@example.com", "06 87 65 43 21"),
        ),
        letters="ro",
    ),
}
