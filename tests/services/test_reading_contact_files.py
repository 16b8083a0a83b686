"""Files as Outlook, Google, telephones and spreadsheets really write them, and ones that nobody should write."""

from __future__ import annotations

import re
from dataclasses import astuple
from typing import Final

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from zegelpost.model.contact import MOST_CONTACTS, Card, TypedContact
from zegelpost.model.email_address import EmailAddress
from zegelpost.model.phone_number import PhoneNumber
from zegelpost.model.refusals import ContactColumnsMissing, ContactFileMissing, ContactFileUnreadable, Refusal, TooManyContacts
from zegelpost.services.exporting_contacts import contacts_csv, contacts_vcard
from zegelpost.services.reading_contact_files import read_contact_file

ZOE: Final = ("Zoë de Vries", "Huisartsen Zuid", "zoe@huisarts.example", "06-12345678")
OUTLOOK_NL: Final = (
    '"Titel";"Voornaam";"Middelste naam";"Achternaam";"Achtervoegsel";"Bedrijf";"Afdeling";"Functie";"Telefoon op werk";'
    '"Telefoon thuis";"Mobiele telefoon";"E-mailadres";"E-mailtype";"E-mail, weergegeven naam";"Notities"\r\n'
    '"";"Zoë";"de";"Vries";"";"Huisartsen Zuid";"";"arts";"020-1234567";"";"06-12345678";"zoe@huisarts.example";"SMTP";'
    '"Zoë de Vries (zoe@huisarts.example)";"regel 1\r\nregel 2; en ""meer"""\r\n'
)
OUTLOOK_EN: Final = (
    "First Name,Middle Name,Last Name,Title,Company,Business Phone,Home Phone,Mobile Phone,E-mail Address,E-mail 2 Address\r\n"
    'Zoë,de,Vries,,Huisartsen Zuid,020-1234567,,06-12345678,zoe@huisarts.example,"andere@adres.example"\r\n'
)
GOOGLE_EN: Final = (
    "First Name,Middle Name,Last Name,Organization Name,Organization Title,Photo,Labels,E-mail 1 - Label,E-mail 1 - Value,"
    "E-mail 2 - Label,E-mail 2 - Value,Phone 1 - Label,Phone 1 - Value,Phone 2 - Label,Phone 2 - Value\n"
    "Zoë,de,Vries,Huisartsen Zuid,,,* myContacts,Work,zoe@huisarts.example ::: andere@adres.example,,,"
    "Work,020-1234567,Mobile,06-12345678\n"
)
GOOGLE_OLD: Final = (
    "Name,Given Name,Additional Name,Family Name,Group Membership,E-mail 1 - Type,E-mail 1 - Value,Phone 1 - Type,"
    "Phone 1 - Value,Organization 1 - Type,Organization 1 - Name\n"
    "Zoë de Vries,Zoë,de,Vries,* myContacts,* ,zoe@huisarts.example,Mobile,06-12345678,,Huisartsen Zuid\n"
)
GOOGLE_NL: Final = (
    "Voornaam,Tweede voornaam,Achternaam,Naam van organisatie,E-mail 1 - Label,E-mail 1 - Waarde,Telefoon 1 - Label,"
    "Telefoon 1 - Waarde\nZoë,de,Vries,Huisartsen Zuid,Werk,zoe@huisarts.example,Mobiel,06-12345678\n"
)
BY_HAND: Final = "Naam;Organisatie;E-mail;Mobiel\nZoë de Vries;Huisartsen Zuid;zoe@huisarts.example;06-12345678\n"


def read(content: bytes) -> list[tuple[str, str, str, str] | None]:
    return [astuple(row.typed) if row.typed else None for row in read_contact_file(content)]


@pytest.mark.parametrize(
    "text", [OUTLOOK_NL, OUTLOOK_EN, GOOGLE_EN, GOOGLE_OLD, GOOGLE_NL, BY_HAND], ids=["onl", "oen", "gen", "gold", "gnl", "hand"]
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_the_same_contact_from_everywhere(text: str, encoding: str) -> None:
    assert read(text.encode(encoding)) == [ZOE]


@pytest.mark.parametrize("delimiter", [";", ",", "\t"])
def test_every_delimiter_also_the_one_that_excel_names(delimiter: str) -> None:
    text = BY_HAND.replace(";", delimiter)
    assert read(text.encode()) == [ZOE]
    rows = read_contact_file(f"sep={delimiter}\r\n{text}".encode())
    assert [row.number for row in rows] == [3]
    assert rows[0].typed == TypedContact(*ZOE)


def test_rows_are_numbered_as_in_the_spreadsheet_and_empty_ones_left_out() -> None:
    rows = read_contact_file(b"Naam;E-mail\nA;a@b.nl\n;\n\n  ;  \nB;b@b.nl\nC\n")
    assert [(row.number, row.typed.name if row.typed else None) for row in rows] == [(2, "A"), (6, "B"), (7, "C")]


def test_who_has_no_name_is_called_otherwise() -> None:
    text = "Naam;Bedrijf;E-mailadres;E-mail, weergegeven naam\n;Zorg BV;a@b.nl;\n;;c@d.nl;\n;;e@f.nl;Ed F.\n"
    assert [row[0] for row in read(text.encode()) if row] == ["Zorg BV", "c@d.nl", "Ed F."]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ("06-12345678;020-1234567", "06-12345678"),
        (";06 87654321", "06 87654321"),
        ("020-1234567;06 87654321", "06 87654321"),
        ("020-1234567;", "020-1234567"),
        ("612345678;", "612345678"),
        ("'+31612345678;", "+31612345678"),
        (";", ""),
    ],
)
def test_the_number_that_can_get_codes_is_taken(cells: str, expected: str) -> None:
    found = read(f"Naam;E-mail;Mobiel;Telefoon\nA;a@b.nl;{cells}\n".encode())
    assert found == [("A", "", "a@b.nl", expected)]


VCARD_21: Final = (
    "BEGIN:VCARD\r\nVERSION:2.1\r\nN;LANGUAGE=nl;CHARSET=Windows-1252;ENCODING=QUOTED-PRINTABLE:de Vries;Zo=EB\r\n"
    "FN;CHARSET=Windows-1252;ENCODING=QUOTED-PRINTABLE:Zo=EB de=\r\n Vries\r\nORG:Huisartsen Zuid;Praktijk 2\r\n"
    "TEL;WORK;VOICE:020-1234567\r\nTEL;CELL;VOICE:06-12345678\r\nEMAIL;PREF;INTERNET:zoe@huisarts.example\r\n"
    "PHOTO;TYPE=JPEG;ENCODING=BASE64:\r\n /9j/4AAQSkZJRgABAQEAYABgAAD\r\n BEGIN:VCARD\r\n\r\nX-MS-OL-DESIGN:x\r\nEND:VCARD\r\n"
)
VCARD_3: Final = (
    "BEGIN:VCARD\nVERSION:3.0\nPRODID:-//Apple Inc.//iPhone OS 17//EN\nN:Vries;Zoë;de;;\nFN:Zoë de\n  Vries\n"
    "ORG:Huisartsen Zuid;\nitem1.EMAIL;type=INTERNET;type=HOME:andere@adres.example\n"
    "item2.EMAIL;type=INTERNET;type=WORK;type=pref:zoe@huisarts.example\nitem2.X-ABLabel:_$!<Work>!$_\n"
    "TEL;type=HOME;type=VOICE:020-1234567\nTEL;type=CELL;type=VOICE;type=pref:06-12345678\nEND:VCARD\n"
)
VCARD_4: Final = (
    "BEGIN:VCARD\nVERSION:4.0\nKIND:individual\nFN:Zoë de Vries\nORG;SORT-AS=zuid:Huisartsen Zuid\n"
    'TEL;VALUE=uri;PREF=1;TYPE="voice,home":tel:020-1234567;ext=9\nTEL;VALUE=uri;TYPE="cell":tel:06-12345678\n'
    "EMAIL;PREF=50:andere@adres.example\nEMAIL;PREF=1:mailto:zoe@huisarts.example\nEND:VCARD\n"
)


@pytest.mark.parametrize("text", [VCARD_21, VCARD_3, VCARD_4], ids=["2.1", "3.0", "4.0"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_the_same_contact_from_every_vcard(text: str, encoding: str) -> None:
    assert read(text.encode(encoding)) == [ZOE]
    assert read((text + "\n" + text).encode(encoding)) == [ZOE, ZOE]


def test_only_a_structured_name() -> None:
    text = "BEGIN:VCARD\nVERSION:3.0\nN:Vries;Zoë;de;dr.;\nEMAIL:zoe@huisarts.example\nEND:VCARD\n"
    assert read(text.encode()) == [("dr. Zoë de Vries", "", "zoe@huisarts.example", "")]


@pytest.mark.parametrize(
    "broken",
    [
        "BEGIN:VCARD\nVERSION:3.0\nFN;ENCODING=QUOTED-PRINTABLE;CHARSET=klingon:=EB\nEMAIL:a@b.nl\nEND:VCARD\n",
        "BEGIN:VCARD\nVERSION:3.0\nN:a;b;c;d;e;f;g\nFN;=:\nEND:VCARD\n",
        "BEGIN:VCARD\nVERSION:3.0\nFN:" + "x" * 30_000 + "\nEND:VCARD\n",
    ],
    ids=["charset", "parameter", "long"],
)
def test_a_broken_card_does_not_spoil_the_others(broken: str) -> None:
    good = VCARD_4
    found = read((good + broken + good).encode())
    assert found[0] == found[-1] == ZOE
    assert len(found) == 3
    assert found[1] is None


def test_a_card_that_was_cut_off_is_told() -> None:
    assert read((VCARD_3 + VCARD_4[:60]).encode()) == [ZOE, None]


def test_a_card_within_a_card_is_not_one_of_its_own() -> None:
    inner = VCARD_3.replace("zoe@", "assistent@")
    assert read(VCARD_3.replace("ORG:", f"AGENT:\n{inner}ORG:").encode()) == [ZOE]


def test_a_quote_that_is_never_closed_takes_only_what_it_must() -> None:
    text = 'Naam;E-mail\nA;a@b.nl\nB;"b@b.nl\n' + "x" * 200_000
    found = read_contact_file(text.encode())
    assert found[0].typed == TypedContact("A", "", "a@b.nl")
    assert found[1].typed is None


@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        (b"", ContactFileMissing),
        (b" \r\n", ContactFileMissing),
        (b"PK\x03\x04\x14\x00\x06\x00", ContactFileUnreadable),
        (b"\xff\xfe\x00\xd8", ContactFileUnreadable),
        (b"dit is gewoon een brief\nmet twee regels", ContactFileUnreadable),
        (b"\x81\x8d\x8f", ContactFileUnreadable),
        (b"Naam;Straat\nA;Dorpsstraat 1\n", ContactColumnsMissing),
        (b"A;a@b.nl\nB;b@b.nl\n", ContactColumnsMissing),
        (b"Naam\nA\n", ContactColumnsMissing),
        (b"E-mail\n" + b"a@b.nl\n" * (MOST_CONTACTS + 1), TooManyContacts),
    ],
)
def test_what_is_no_address_book_is_refused(content: bytes, refusal: type[Refusal]) -> None:
    with pytest.raises(refusal):
        read_contact_file(content)


# Out and in again

_TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60).map(lambda text: " ".join(text.split()))
_NASTY = st.sampled_from(
    ["=1+1", "+31", "-x", "@som", "'=x", "''+a", "'t Hart", "a;b,c", 'zeg "ja"', "\\n", "BEGIN:VCARD", "tel:", "sep=;"]
)
_CARDS = st.builds(
    Card,
    name=(_TEXTS | _NASTY).filter(bool),
    organisation=_TEXTS | _NASTY,
    email=st.sampled_from([EmailAddress("rosa", "zorg.example"), EmailAddress("=cmd", "b.nl"), EmailAddress("+x-'", "b.nl")]),
    mobile=st.sampled_from([None, PhoneNumber("+31612345678")]),
)


def as_typed(card: Card) -> tuple[str, str, str, str]:
    return card.name, card.organisation, str(card.email), card.mobile.e164 if card.mobile else ""


@given(st.lists(_CARDS, min_size=1, max_size=4), st.sampled_from(["nl", "en"]))
@hypothesis_settings(derandomize=True, database=None, max_examples=150)
def test_what_goes_out_comes_back_unchanged_and_is_no_formula(cards: list[Card], language: str) -> None:
    content = contacts_csv(cards, language)
    assert read(content) == [as_typed(card) for card in cards]
    cells = re.findall(r'(?:^|[;,\n])"?([^;,\n"]?)', content.decode("utf-8-sig").replace("\r\n", "\n"))
    assert not set(cells) & set("=+-@\t\r")


@given(st.lists(_CARDS, min_size=1, max_size=4))
@hypothesis_settings(derandomize=True, database=None, max_examples=150)
def test_vcards_too(cards: list[Card]) -> None:
    content = contacts_vcard(cards)
    assert read(content) == [as_typed(card) for card in cards]
    assert content.count(b"VERSION:4.0\r\n") >= len(cards)


def test_what_leaves_is_what_excel_and_telephones_expect() -> None:
    card = Card("=HYPERLINK(1)", "Zorg; Noord", EmailAddress("rosa", "zorg.example"), PhoneNumber("+31612345678"))
    assert contacts_csv([card], "nl").decode("utf-8-sig") == (
        "Naam;Organisatie;E-mailadres;Mobiel nummer\r\n'=HYPERLINK(1);\"Zorg; Noord\";rosa@zorg.example;'+31612345678\r\n"
    )
    assert contacts_csv([], "en") == "\ufeffName,Organisation,E-mail address,Mobile number\r\n".encode()
    assert contacts_vcard([card]).decode() == (
        "BEGIN:VCARD\r\nVERSION:4.0\r\nEMAIL:rosa@zorg.example\r\nFN:=HYPERLINK(1)\r\nORG:Zorg\\; Noord\r\n"
        "TEL;TYPE=cell;VALUE=uri:tel:+31612345678\r\nEND:VCARD\r\n"
    )
