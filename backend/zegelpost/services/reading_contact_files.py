"""Reading and writing contact files: CSV as address books and spreadsheets make it, and vCard (RFC 2426, RFC 6350)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any, Final

import vobject  # type: ignore[import-untyped]

from zegelpost.model.contact import Card
from zegelpost.model.refusals import ContactFileUnreadable
from zegelpost.services.keeping_contacts import TypedContact

# What Outlook, Google and spreadsheets of people call these columns, in Dutch and English; the first that is filled counts.
_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "name": ("naam", "name", "volledige naam", "full name", "weergavenaam", "display name", "contactpersoon"),
    "first": ("voornaam", "first name", "given name"),
    "middle": ("tussenvoegsel", "middelste naam", "middle name", "additional name"),
    "last": ("achternaam", "last name", "family name", "surname"),
    "organisation": (
        *("organisatie", "organisation", "organization", "bedrijf", "company"),
        *("organization name", "organization 1 - name"),
    ),
    "email": (
        *("e-mailadres", "e-mail", "email", "e-mail address", "email address"),
        *("e-mail 1 - value", "mail", "e-mailadres 1"),
    ),
    "mobile": (
        *("mobiel", "mobiel nummer", "mobiele telefoon", "mobile", "mobile number", "mobile phone", "gsm"),
        *("phone 1 - value", "telefoon", "phone"),
    ),
}
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_HEADINGS: Final = ("Naam", "Organisatie", "E-mailadres", "Mobiel")


def read_contacts(content: bytes) -> list[TypedContact]:
    """The rows of a file, whichever of the two it is. Raises `ContactFileUnreadable`."""
    text = _text(content)
    found = _cards(text) if text.lstrip().upper().startswith("BEGIN:VCARD") else _rows(text)
    if not found:
        raise ContactFileUnreadable
    return found


def _text(content: bytes) -> str:
    for encoding in ("utf-8-sig", "utf-16") if content[:2] in {b"\xff\xfe", b"\xfe\xff"} else ("utf-8-sig",):
        try:
            return content.decode(encoding).lstrip("\ufeff")
        except UnicodeDecodeError:
            continue
    # What Excel saves in the Netherlands. Five of its bytes mean nothing.
    return content.decode("windows-1252", errors="replace")


def _rows(text: str) -> list[TypedContact]:
    if "\0" in text:
        raise ContactFileUnreadable
    head = text.split("\n", 1)[0]
    delimiter = max(";,\t", key=head.count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error:
        raise ContactFileUnreadable from None
    if not rows:
        raise ContactFileUnreadable
    places = {name.strip().casefold(): place for place, name in enumerate(rows[0])}
    columns = {field: [places[name] for name in names if name in places] for field, names in _COLUMNS.items()}
    if not columns["email"]:
        raise ContactFileUnreadable

    def value(row: list[str], field: str) -> str:
        filled = (row[place].strip() for place in columns[field] if place < len(row) and row[place].strip())
        return next(filled, "").removeprefix("'")

    return [
        TypedContact(
            name=value(row, "name") or " ".join(filter(None, (value(row, part) for part in ("first", "middle", "last")))),
            organisation=value(row, "organisation"),
            email=value(row, "email"),
            mobile=value(row, "mobile"),
        )
        for row in rows[1:]
        if any(cell.strip() for cell in row)
    ]


def _cards(text: str) -> list[TypedContact]:
    try:
        return [_card(card) for card in vobject.readComponents(text, ignoreUnreadable=True)]
    except Exception:  # noqa: BLE001 - the library raises whatever its parts raise, and the file is a stranger's
        raise ContactFileUnreadable from None


def _card(card: Any) -> TypedContact:
    organisation = card.contents.get("org")
    value = organisation[0].value if organisation else ""
    return TypedContact(
        name=_first(card, "fn"),
        organisation=" ".join(value) if isinstance(value, list) else str(value),
        email=_first(card, "email"),
        mobile=_mobile(card),
    )


def _first(card: Any, name: str) -> str:
    lines = card.contents.get(name, [])
    return str(lines[0].value).removeprefix("mailto:") if lines else ""


def _mobile(card: Any) -> str:
    """The number that is called a mobile one, else the first."""
    lines = card.contents.get("tel", [])
    mobile = [line for line in lines if "CELL" in ",".join(line.params.get("TYPE", [])).upper()]
    chosen = mobile or lines
    return str(chosen[0].value).removeprefix("tel:") if chosen else ""


def write_csv(cards: Iterable[Card]) -> bytes:
    """For spreadsheets in the Netherlands: semicolons, and a mark that says UTF-8. No cell is taken for a formula (CWE-1236)."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=";", quoting=csv.QUOTE_ALL)
    writer.writerow(_HEADINGS)
    for card in cards:
        cells = (card.name, card.organisation, str(card.email), card.mobile.e164 if card.mobile else "")
        writer.writerow([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells])
    return text.getvalue().encode("utf-8-sig")


def write_vcards(cards: Iterable[Card]) -> bytes:
    """VCard 3.0, which every address book reads."""
    written: list[str] = []
    for card in cards:
        vcard: Any = vobject.vCard()
        vcard.add("fn").value = card.name
        vcard.add("n").value = vobject.vcard.Name(family=card.name)
        if card.organisation:
            vcard.add("org").value = [card.organisation]
        vcard.add("email").value = str(card.email)
        if card.mobile:
            number = vcard.add("tel")
            number.value, number.type_param = card.mobile.e164, "CELL"
        written.append(vcard.serialize())
    return "".join(written).encode()
