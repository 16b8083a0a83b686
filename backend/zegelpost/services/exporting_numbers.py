"""Exporting numbers: what was counted, a line for each day, for spreadsheets."""

from __future__ import annotations

import csv
import io
from typing import Final

from zegelpost.services.counting import OWN, Counted
from zegelpost.services.exporting_contacts import DELIMITERS, guarded

_HEADINGS: Final = {
    "nl": (
        *("Dag", "Afdeling", "Verzonden", "Documentverzoeken", "Ontvangen", "Bytes verzonden", "Bytes ontvangen"),
        *("Ontvangers", "Geopend", "Opgehaald", "Mails", "Mails mislukt", "Sms'en", "Sms'en mislukt"),
        *("Telefoongesprekken", "Telefoongesprekken mislukt"),
    ),
    "en": (
        *("Day", "Department", "Sent", "File requests", "Received", "Bytes sent", "Bytes received"),
        *("Recipients", "Opened", "Fetched", "Mails", "Mails failed", "Text messages", "Text messages failed"),
        *("Telephone calls", "Telephone calls failed"),
    ),
}
_MAILBOXES: Final = {
    "nl": {"": "Alles", OWN: "Zonder afdeling"},
    "en": {"": "Everything", OWN: "Without a department"},
}


def numbers_csv(counted: Counted, language: str) -> bytes:
    """With a mark in front: without it Excel reads UTF-8 as Windows-1252."""
    mailbox = counted.department or _MAILBOXES[language][counted.mailbox]
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=DELIMITERS[language], lineterminator="\r\n")
    writer.writerow(_HEADINGS[language])
    for day, tally in counted.days.items():
        numbers = (
            *(tally.sent_count, tally.requested_count, tally.received_count, tally.sent_bytes, tally.received_bytes),
            *(tally.recipient_count, tally.opened_count, tally.fetched_count, tally.mail_count, tally.lost_mail_count),
            *(tally.sms_count, tally.lost_sms_count, tally.call_count, tally.lost_call_count),
        )
        writer.writerow(guarded([day.isoformat(), mailbox, *map(str, numbers)]))
    return text.getvalue().encode("utf-8-sig")
