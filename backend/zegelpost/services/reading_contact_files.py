"""Reading contact files: what Outlook, Google, telephones and spreadsheets export, as rows that nobody has checked yet.

CSV by the names of its columns, Dutch or English, with commas, semicolons or tabs; vCard 2.1, 3.0 and 4.0. In UTF-8, UTF-16
with a mark, or Windows-1252, which is what Excel and Outlook write in the Netherlands.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import vobject  # type: ignore[import-untyped]

from zegelpost.model.contact import MOST_CONTACTS, TypedContact
from zegelpost.model.phone_number import PhoneNumber
from zegelpost.model.refusals import (
    ContactColumnsMissing,
    ContactFileMissing,
    ContactFileUnreadable,
    Refusal,
    TooManyContacts,
)

LARGEST_FILE_BYTES: Final = 10 * 1024 * 1024
_LONGEST_CARD: Final = 20_000  # characters, of the lines that are read
_MARKS: Final = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
# What a spreadsheet might take for a formula, and the apostrophe that keeps it from doing so; see `exporting_contacts.py`.
_GUARDED: Final = re.compile(r"'+[=+\-@\t\r]")
_DELIMITERS: Final = (";", ",", "\t")


@dataclass(frozen=True, slots=True)
class FileRow:
    """`number`: the line in the spreadsheet, or the place of the card. Without `typed` it could not be read."""

    number: int
    typed: TypedContact | None


def read_contact_file(content: bytes, *, most: int = MOST_CONTACTS) -> list[FileRow]:
    """All rows that say anything, at most so many.

    Raises `ContactFileMissing`, `ContactFileUnreadable`, `ContactColumnsMissing`, `TooManyContacts`. Takes seconds for the
    largest files: not for the event loop.
    """
    if not content.strip():
        raise ContactFileMissing
    text = _decoded(content)
    rows: list[FileRow] = []
    is_vcard = text.lstrip()[:11].upper() == "BEGIN:VCARD"
    for row in _cards(text) if is_vcard else _lines(text):
        rows.append(row)
        if len(rows) > most:
            raise TooManyContacts(limit=most)
    return rows


def _decoded(content: bytes) -> str:
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return _text(content[len(mark) :], encoding)
    if b"\x00" in content:
        # Spreadsheets, pictures and archives; no text without a mark has it.
        raise ContactFileUnreadable
    try:
        return _text(content, "utf-8")
    except ContactFileUnreadable:
        return _text(content, "cp1252")


def _text(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        raise ContactFileUnreadable from None


# CSV

# Each column by what it is called once capitals and punctuation are gone, in Outlook, Google and hand-made lists. What stands
# first is wanted most.
_COLUMNS: Final[Mapping[str, Sequence[str]]] = {
    "name": ("naam", "volledige naam", "name", "full name", "weergavenaam", "display name", "contactpersoon", "contact"),
    "first": ("voornaam", "first name", "given name", "roepnaam"),
    "middle": (
        *("tussenvoegsel", "tussenvoegsels", "middelste naam", "tweede voornaam", "tweede naam"),
        *("middle name", "additional name"),
    ),
    "last": ("achternaam", "last name", "family name", "surname"),
    "shown": ("e mail weergegeven naam", "e mail weergavenaam", "e mail display name"),
    "organisation": (
        *("organisatie", "bedrijf", "bedrijfsnaam", "naam organisatie", "naam van organisatie", "instelling"),
        *("organisation", "organization", "company", "organization name", "organization 1 name", "organisatie 1 naam"),
    ),
    "email": (
        *("e mailadres", "e mail adres", "emailadres", "email adres", "e mail", "email", "mail"),
        *("e mail address", "email address", "e mail 1 value", "e mail 1 waarde", "e mailadres 1"),
        *("e mailadres 2", "e mail 2 adres", "e mail 2 address", "e mail 2 value", "e mail 2 waarde"),
        *("e mailadres 3", "e mail 3 adres", "e mail 3 address", "e mail 3 value", "e mail 3 waarde"),
    ),
    "mobile": (
        *("mobiel nummer", "mobiel", "mobiele telefoon", "mobiele nummer", "mobielnummer", "mobiel telefoonnummer"),
        *("gsm", "06 nummer", "mobile number", "mobile phone", "mobile", "cell phone", "cell"),
    ),
    "phone": (
        *("telefoon", "telefoonnummer", "hoofdtelefoon", "phone", "phone number", "telephone", "primary phone"),
        *("telefoon op werk", "telefoon op werk 2", "telefoon werk", "telefoon thuis", "telefoon thuis 2", "andere telefoon"),
        *("business phone", "business phone 2", "home phone", "home phone 2", "other phone", "company main phone"),
    ),
}
_KIND_OF: Final = {heading: (kind, rank) for kind, headings in _COLUMNS.items() for rank, heading in enumerate(headings)}
_NUMBERED: Final = re.compile(r"(?:phone|telefoon) (\d) (label|type|soort|value|waarde)\Z")
_MOBILE_LABELS: Final = ("mobil", "mobiel", "cell", "gsm", "iphone")


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where what stands. `numbers`: pairs of the columns of a label and of a number, as Google has them."""

    places: Mapping[str, Sequence[int]]
    numbers: Sequence[tuple[int | None, int]]

    @classmethod
    def of(cls, headings: Sequence[str]) -> _Columns:
        found: dict[str, list[tuple[int, int]]] = {}
        numbered: dict[str, dict[bool, int]] = {}
        for place, heading in enumerate(headings):
            plain = _plain(heading)
            if match := _NUMBERED.match(plain):
                numbered.setdefault(match.group(1), {})[match.group(2) in {"value", "waarde"}] = place
            elif plain in _KIND_OF:
                kind, rank = _KIND_OF[plain]
                found.setdefault(kind, []).append((rank, place))
        return cls(
            {kind: [place for _, place in sorted(places)] for kind, places in found.items()},
            [(pair.get(False), pair[True]) for pair in numbered.values() if True in pair],
        )

    @property
    def has_addresses(self) -> bool:
        return "email" in self.places

    @property
    def count(self) -> int:
        return sum(map(len, self.places.values())) + len(self.numbers)

    def contact(self, cells: Sequence[str]) -> TypedContact:
        def every(kind: str) -> list[str]:
            texts = [cells[place] for place in self.places.get(kind, ()) if place < len(cells)]
            return [text for text in map(_cell, texts) if text]

        def one(kind: str) -> str:
            return next(iter(every(kind)), "")

        whole = " ".join(filter(None, (one("first"), one("middle"), one("last"))))
        mobiles, phones = every("mobile"), every("phone")
        for label, value in self.numbers:
            kind = _cell(cells[label]).casefold() if label is not None and label < len(cells) else ""
            texts = _cell(cells[value]).split(":::") if value < len(cells) else []
            (mobiles if any(word in kind for word in _MOBILE_LABELS) else phones).extend(filter(None, map(str.strip, texts)))
        # Google puts several addresses of one kind in one cell.
        email = one("email").split(":::")[0].strip()
        return _contact(one("name") or whole or one("shown"), one("organisation"), email, [*mobiles, *phones])


def _plain(heading: str) -> str:
    return " ".join(re.sub(r"[^\w]+", " ", heading.casefold().replace("_", " ")).split())


def _cell(text: str) -> str:
    text = text.strip(" ")
    return (text[1:] if _GUARDED.match(text) else text).strip()


def _lines(text: str) -> Iterator[FileRow]:
    first, _, rest = text.partition("\n")
    # Excel's own way to name the delimiter.
    named = re.fullmatch(r"\"?sep=(.)\"?\s*", first, re.IGNORECASE)
    skipped = 1 if named else 0
    if named:
        text = rest
    delimiters = [named.group(1)] if named else _DELIMITERS
    delimiter = max(delimiters, key=lambda each: _Columns.of(next(_records(text, each), [])).count)
    records = enumerate(_records(text, delimiter), start=1 + skipped)
    columns = _Columns.of(next(records, (0, []))[1])
    if not columns.has_addresses:
        raise ContactColumnsMissing if columns.count or delimiter in first else ContactFileUnreadable
    for number, cells in records:
        if any(cell.strip() for cell in cells):
            yield FileRow(number, columns.contact(cells))
        elif cells is _UNREADABLE:
            yield FileRow(number, None)


_UNREADABLE: Final[list[str]] = []


def _records(text: str, delimiter: str) -> Iterator[list[str]]:
    """The lines of a CSV file (RFC 4180, quotes and all)."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error:
            # A cell longer than the library takes, mostly a quote that is never closed.
            yield _UNREADABLE


# vCard

# The rest is not looked at: pictures and certificates make most of a file and nothing of a contact.
_LINE: Final = re.compile(r"(?:[\w-]+\.)?(BEGIN|END|VERSION|FN|N|ORG|EMAIL|TEL)(?=[;:])", re.IGNORECASE)
_SOFT_BREAK: Final = re.compile(r"quoted-printable.*=\Z", re.IGNORECASE | re.DOTALL)


def _cards(text: str) -> Iterator[FileRow]:
    for number, card in enumerate(_split(text), start=1):
        yield FileRow(number, _card(card))


def _split(text: str) -> Iterator[str]:
    """One card at a time, so that one that is wrong does not spoil the others."""
    lines: list[str] = []
    depth, is_taken, is_broken = 0, False, False
    for line in text.splitlines():
        if is_broken or line.startswith((" ", "\t")):
            if is_taken:
                lines.append(line)
            is_broken = is_broken and line.endswith("=")
            continue
        match = _LINE.match(line)
        kind = match.group(1).upper() if match else ""
        is_broken = _SOFT_BREAK.search(line) is not None
        if kind == "BEGIN":
            depth += 1
            lines = [] if depth == 1 else lines
        is_taken = bool(kind) and depth == 1
        if is_taken:
            lines.append(line)
        if kind == "END" and depth:
            depth -= 1
            if depth == 0:
                yield "\n".join(lines) + "\n"
                lines = []
    if lines:
        # Begun and never ended: cut off on its way here.
        yield ""


def _card(text: str) -> TypedContact | None:
    if not text or len(text) > _LONGEST_CARD:
        return None
    try:
        card = vobject.readOne(text, allowQP=True)
        return _contact(
            _text_of(card, "fn") or _name(card), _organisation(card), _first(card, "email"), _phones(card.contents.get("tel", []))
        )
    except Exception:  # noqa: BLE001 - the library raises nearly anything for what is malformed (unknown codecs, KeyError, …)
        return None


def _text_of(card: Any, name: str) -> str:
    return str(card.contents[name][0].value).strip() if name in card.contents else ""


def _name(card: Any) -> str:
    if "n" not in card.contents:
        return ""
    name = card.contents["n"][0].value
    parts = [name.prefix, name.given, name.additional, name.family]
    return " ".join(" ".join(part) if isinstance(part, list) else part for part in parts)


def _organisation(card: Any) -> str:
    # Departments follow the organisation (RFC 6350, section 6.6.4).
    first = next(iter(card.contents["org"][0].value), "") if "org" in card.contents else ""
    return ", ".join(first) if isinstance(first, list) else str(first)


def _first(card: Any, name: str) -> str:
    lines = sorted(card.contents.get(name, []), key=_preference)
    return re.sub(r"^mailto:", "", str(lines[0].value).strip(), flags=re.IGNORECASE) if lines else ""


def _phones(lines: Iterable[Any]) -> list[str]:
    ranked = sorted(lines, key=lambda line: (not _types(line) & {"CELL", "MOBILE", "IPHONE"}, _preference(line)))
    # As an address (RFC 3966) it may have parameters, such as an extension.
    return [re.sub(r"^tel:", "", str(line.value).strip(), flags=re.IGNORECASE).partition(";")[0] for line in ranked]


def _types(line: Any) -> set[str]:
    values = [*line.params.get("TYPE", []), *line.singletonparams]
    return {each.strip().upper() for value in values for each in value.split(",")}


def _preference(line: Any) -> int:
    """1 is wanted most (RFC 6350, section 5.3); `PREF` among the types is the older way to say so."""
    number = next(iter(line.params.get("PREF", [])), "")
    if number.isascii() and number.isdecimal():
        return int(number[:4])
    return 1 if "PREF" in _types(line) else 101


def _contact(name: str, organisation: str, email: str, phones: Sequence[str]) -> TypedContact:
    """Who has no name is called as the organisation, or else as the address."""
    mobile = next(filter(_is_mobile, phones), next(iter(phones), ""))
    return TypedContact(name or organisation or email, organisation, email, mobile)


def _is_mobile(typed: str) -> bool:
    try:
        PhoneNumber.parse(typed)
    except Refusal:
        return False
    return True
