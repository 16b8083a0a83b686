"""Every notice in both languages, to its last byte, and the one text message."""

from __future__ import annotations

import re
from base64 import encodebytes
from binascii import b2a_qp
from datetime import UTC, date, datetime
from email import message_from_bytes
from email.header import Header, decode_header, make_header
from email.message import EmailMessage, Message
from email.policy import compat32, default
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zegelpost.model.email_address import EmailAddress
from zegelpost.model.house_style import HouseStyle
from zegelpost.model.identifiers import OutgoingId
from zegelpost.model.logo import LogoPicture
from zegelpost.model.outgoing import Purpose
from zegelpost.model.policy import Policy
from zegelpost.services import composing as composing_module
from zegelpost.services.alarming import Alarm
from zegelpost.services.composing import Composing, Organisation, is_gsm_7
from zegelpost.services.governing import Governing

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
LINK = "https://post.example.nl/o/aaaaaaaaaaaaaaaaaaaaaaaaaa#abcdefghijklmnopqrstuvwxyz234567"
PAGE = "https://post.example.nl/o/aaaaaaaaaaaaaaaaaaaaaaaaaa"
PRINTED = "abcd-efgh-ijkl-mnop-qrst-uvwx-yz23-4567"
HOSTILE = 'aaa "q" <z@z.nl>, <b>&amp; {{ 7 * 7 }} =?utf-8?q?=0aBcc=3a_x=40y.nl?='
NOTICES = [purpose for purpose in Purpose if purpose != Purpose.CODE]
WAY_IN = {"link": LINK, "page": PAGE, "printed_code": PRINTED, "needs_mobile": True, "is_called": False, "last_digits": "78"}
TO_RECIPIENT = {
    "name": HOSTILE,
    "sender_name": HOSTILE,
    "sender_email": "anna@zegelpost.example",
    "sent_at": NOW,
    "expires_at": NOW,
}
TO_SENDER = {"sender_name": HOSTILE, "name": HOSTILE, "email": "rosa@zorg.example", "link": "https://post.example.nl/transfers/a"}
TO_STAFF = {"name": HOSTILE, "link": "https://post.example.nl/account/confirm/" + "s" * 43}
CHANGES = ("password_changed", "passkey_added", "app_added", "factor_removed", "codes_renewed")
FROM_GUEST = {"number": "ABCD-EFGH", "document_count": 2, "held_count": 0}
FOR_SENDER = {"sender_name": HOSTILE, "sent_at": NOW, "expires_at": NOW, "link": "https://post.example.nl/transfers/a"}
NOTICING = (Purpose.NOTICE_UNOPENED, Purpose.NOTICE_EXPIRING)
ASKING = (Purpose.REQUEST, Purpose.REQUEST_REMINDER, Purpose.REQUEST_NEW_LINK, Purpose.ITEM_SENT_BACK)
VARIANTS: list[tuple[Purpose, dict[str, Any]]] = [
    (Purpose.INVITATION, TO_RECIPIENT | WAY_IN),
    (Purpose.INVITATION, TO_RECIPIENT | WAY_IN | {"needs_mobile": False, "last_digits": ""}),
    (Purpose.INVITATION, TO_RECIPIENT | WAY_IN | {"needs_mobile": False, "is_called": True}),
    (Purpose.NEW_LINK, TO_RECIPIENT | WAY_IN | {"needs_mobile": False, "is_called": True}),
    (Purpose.COLLEAGUE_INVITATION, TO_RECIPIENT | {"link": "https://post.example.nl/received/a"}),
    (Purpose.NEW_LINK, TO_RECIPIENT | WAY_IN),
    (Purpose.NEW_LINK, TO_RECIPIENT | WAY_IN | {"needs_mobile": False}),
    (Purpose.REMINDER, TO_RECIPIENT | WAY_IN),
    (Purpose.REMINDER, TO_RECIPIENT),
    (Purpose.REVOKED, TO_RECIPIENT),
    (
        Purpose.DEVICE_REMEMBERED,
        {
            "name": HOSTILE,
            "remembered_at": NOW,
            "remembered_until": NOW,
            "link": "https://post.example.nl/o/device/aaaaaaaaaaaaaaaaaaaaaaaaaa",
        },
    ),
    (Purpose.SENT_COPY, TO_SENDER),
    *((purpose, TO_RECIPIENT | WAY_IN | {"due_on": due_on}) for purpose in ASKING for due_on in (None, date(2026, 12, 31))),
    (Purpose.REQUEST, TO_RECIPIENT | WAY_IN | {"due_on": None, "needs_mobile": False}),
    (
        Purpose.ANSWER_RECEIVED,
        TO_RECIPIENT
        | FROM_GUEST
        | {"link": "https://post.example.nl/received/a", "held_count": 2, "has_macros": True, "has_malware": True},
    ),
    *(
        (Purpose.HELD_WAITING, {"name": HOSTILE, "count": count, "link": "https://post.example.nl/admin/quarantine"})
        for count in (1, 2)
    ),
    *(
        (
            Purpose.HELD_JUDGED,
            {
                "name": HOSTILE,
                "is_released": is_released,
                "judged_by": HOSTILE,
                "number": "ABCD-EFGH",
                "link": "https://post.example.nl/received/a",
            },
        )
        for is_released in (True, False)
    ),
    *(
        (
            Purpose.HELD_RECEIPT,
            {"name": HOSTILE, "sender_name": HOSTILE, "sent_at": NOW, "number": "ABCD-EFGH"}
            | {"is_released": is_released, "has_macros": has_macros},
        )
        for is_released, has_macros in ((True, True), (False, True), (False, False))
    ),
    (Purpose.INTAKE_CODE, {"code": "123456", "minutes": 30}),
    (Purpose.INTAKE_OPENED, TO_RECIPIENT | WAY_IN | {"needs_mobile": False, "last_digits": ""}),
    *(
        (Purpose.ANSWER_RECEIPT, {"name": HOSTILE, "sender_name": HOSTILE, "sent_at": NOW} | FROM_GUEST | {"held_count": count})
        for count in (0, 1, 2)
    ),
    (Purpose.LINK_LOCKED, TO_SENDER),
    (Purpose.NOTICE_DOWNLOADED, TO_SENDER),
    *((purpose, FOR_SENDER | {"waiting_count": count}) for purpose in NOTICING for count in (1, 2)),
    (Purpose.HELP_ASKED, TO_SENDER),
    *(
        (Purpose.PARKED, {"sender_name": HOSTILE, "names": "R", "count": count, "expires_at": NOW, "link": TO_SENDER["link"]})
        for count in (1, 2)
    ),
    (
        Purpose.CHECKPOINT,
        {
            "today": NOW,
            "size": 20852,
            "verbatim": f"{HOSTILE}\npost.example.nl/audit\n20852\nCsUYapGG=\n\n— post.example.nl/audit Az3grlgt=\n",
        },
    ),
    *((Purpose.ALARM, {"name": HOSTILE, "what": alarm.value, "limit": 2000}) for alarm in Alarm),
    (Purpose.DELIVERY_FAILED, TO_SENDER | {"kind": "sms", "reason": "The number is wrong."}),
    (Purpose.DELIVERY_FAILED, TO_SENDER | {"kind": "call", "reason": "Nobody answered."}),
    (Purpose.DELIVERY_FAILED, TO_SENDER | {"kind": "mail", "reason": "Check the address."}),
    (Purpose.ACCOUNT_CONFIRM, TO_STAFF | {"hours": 24}),
    (Purpose.ACCOUNT_EXISTS, TO_STAFF),
    (Purpose.ACCOUNT_MISSING, {"email": HOSTILE, "link": "https://post.example.nl/account/new"}),
    (Purpose.PASSWORD_LINK, TO_STAFF | {"hours": 2}),
    *((Purpose.ACCOUNT_CHANGED, TO_STAFF | {"what": what, "factor": HOSTILE}) for what in CHANGES),
]


class GoverningWithLogo(Governing):
    logo = LogoPicture("d" * 64, bytes(range(256)) * 3, 240, 96)


def organisation(
    name: str = "Gemeente Voorbeeld",
    host: str = "post.example.nl",
    phone: str | None = "014 000",
    governing_by: type[Governing] = Governing,
) -> Organisation:
    governing = governing_by(Policy(), HouseStyle(name=name, help_phone=phone))
    return Organisation(governing, f"https://{host}", EmailAddress.parse("post@example.nl"))


def composed(purpose: Purpose, language: str, facts: dict[str, Any], phone: str | None = "014 000") -> bytes:
    composing = Composing(organisation(phone=phone))
    return composing.mail(purpose, language, EmailAddress.parse("rosa@zorg.example"), OutgoingId("o" * 26), NOW, **facts)


def read(message: bytes) -> tuple[EmailMessage, str, str]:
    """The mail, its text and its HTML."""
    parsed = message_from_bytes(message, policy=default)
    assert isinstance(parsed, EmailMessage)
    text, page = parsed.get_body(("plain",)), parsed.get_body(("html",))
    assert text is not None
    assert page is not None
    return parsed, text.get_content().replace("\r\n", "\n"), page.get_content()


def test_every_notice_is_written_in_both_languages_and_proven_here() -> None:
    written = {path.name for path in (Path(composing_module.__file__).parent / "mails").glob("*.j2")}

    assert written - {"layout.txt.j2", "layout.html.j2"} == {
        f"{p.value}.{language}.j2" for p in NOTICES for language in ("nl", "en")
    }
    assert {purpose for purpose, _ in VARIANTS} == set(NOTICES)


@pytest.mark.parametrize("language", ["nl", "en"])
@pytest.mark.parametrize("phone", ["014 000", None])
@pytest.mark.parametrize(("purpose", "facts"), VARIANTS)
def test_every_notice_renders_whole(purpose: Purpose, facts: dict[str, Any], language: str, phone: str | None) -> None:
    mail, text, page = read(composed(purpose, language, facts, phone))

    addresses = re.findall(r"https?://\S+", text)
    assert addresses == [facts[name] for name in ("link", "page") if name in facts]
    for address in addresses:
        assert address in text.split("\n")  # alone on its line, so that no mail program takes a full stop along
    assert re.findall(r'href="([^"]+)"', page) == addresses
    assert ("printed_code" in facts) == (PRINTED in text.split("\n")) == (PRINTED in page)
    assert "<b>" not in page
    # The code for the public page goes to whoever a stranger names: it holds nothing that anyone typed.
    is_said = purpose != Purpose.INTAKE_CODE
    assert (HOSTILE in text.replace("\n", " ")) == is_said
    assert ("&lt;b&gt;&amp;amp; {{ 7 * 7 }}" in page) == is_said
    assert not re.search(r"\bNone\b|Undefined|\{%|%\}|  ,", text)
    is_for_staff = purpose in {Purpose.COLLEAGUE_INVITATION, Purpose.ANSWER_RECEIVED, *NOTICING}
    names_phone = not is_for_staff and ("sent_at" in facts or purpose == Purpose.DEVICE_REMEMBERED)
    assert ("014 000" in text) == (phone is not None and names_phone)
    assert mail["Subject"]
    assert mail["Content-Language"] == language
    if "expires_at" in facts and purpose != Purpose.REVOKED:
        assert "23 november 2026" in text.lower()


@pytest.mark.parametrize("language", ["nl", "en"])
@pytest.mark.parametrize(("purpose", "facts"), VARIANTS)
def test_no_text_of_a_user_reaches_a_header(purpose: Purpose, facts: dict[str, Any], language: str) -> None:
    message = composed(purpose, language, facts)
    head = message.partition(b"\r\n\r\n")[0]
    mail, _, _ = read(message)

    assert [name for name, _ in mail.items()] == [
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "Auto-Submitted",
        "MIME-Version",
        "Content-Type",
        "Content-Language",
    ]
    assert b"\r\nTo: rosa@zorg.example\r\n" in head
    assert len(mail["To"].addresses) == 1
    for fragment in (b"z.nl", b"aaa", b"y.nl", b"utf-8?q?=0a", b"Bcc"):
        assert fragment not in head
    assert all(len(line) <= 998 for line in message.split(b"\r\n"))
    assert b"\n" not in message.replace(b"\r\n", b"")


def test_a_mail_names_its_row_and_its_moment() -> None:
    mail, _, _ = read(composed(Purpose.REVOKED, "en", TO_RECIPIENT))

    assert mail["Message-ID"] == f"<{'o' * 26}@post.example.nl>"
    assert mail["Date"].datetime == NOW


# The code message

LONG = "Samenwerkingsverband Gezondheids- en Jeugdzorg Noordoost-Brabant en Omstreken, locatie Oost"


@pytest.mark.parametrize("language", ["nl", "en"])
@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("Gemeente Voorbeeld", "post.example.nl"),
        ("Coöperatie “Zorg” \u2013 Fryslân & Ĳsselmeer 安全", "post.example.nl"),
        (LONG, "post.example.nl"),
        ("x" * 500, "post.example.nl"),
        ("Gemeente Voorbeeld", "veilig-bestanden-delen.samenwerkingsverband-noordoost-brabant.example.nl"),
        (LONG, "a." * 30 + "veilig-bestanden-delen.samenwerkingsverband.example.nl"),
        ("€uro [haak] {x} ~^|\\", "post.example.nl"),
    ],
)
def test_the_code_is_one_segment_bound_to_our_page(name: str, host: str, language: str) -> None:
    text = Composing(organisation(name, host)).code_sms("012345", language)

    assert len(text) <= 160
    assert is_gsm_7(text)
    assert text.split("\n")[-1] == f"@{host} #012345"
    assert text.count("012345") == 2
    assert "://" not in text
    assert "/o/" not in text


@pytest.mark.parametrize(("host_length", "is_bound"), [(130, True), (250, False)])
def test_a_host_that_does_not_fit_is_left_out_rather_than_cut(host_length: int, is_bound: bool) -> None:
    host = ("h" * 50 + ".") * 5
    host = host[: host_length - 3] + ".nl"

    text = Composing(organisation(host=host)).code_sms("012345", "en")

    assert ("@" in text, text.endswith(f"@{host} #012345")) == (is_bound, is_bound)
    assert "012345" in text
    assert len(text) <= 160


@given(name=st.text(max_size=300), language=st.sampled_from(["nl", "en"]))
def test_whatever_the_organisation_is_called_the_message_is_one_segment(name: str, language: str) -> None:
    text = Composing(organisation(name)).code_sms("012345", language)

    assert len(text) <= 160
    assert is_gsm_7(text)
    assert text.split("\n")[-1] == "@post.example.nl #012345"


@pytest.mark.parametrize("governing_by", [Governing, GoverningWithLogo])
@pytest.mark.parametrize("language", ["nl", "en"])
@pytest.mark.parametrize("name", ["Gemeente Voorbeeld", "Één gemeente", "Het " + "heel lange " * 12 + "woord", "x" * 200])
def test_the_bytes_are_what_pythons_own_generator_makes(language: str, name: str, governing_by: type[Governing]) -> None:
    """It is what everyone else's mail comes from; ours is written out for speed alone."""
    to = EmailAddress.parse("rosa@zorg.example")
    facts = TO_RECIPIENT | WAY_IN
    sender = organisation(name, governing_by=governing_by)
    mail = Composing(sender).mail(Purpose.INVITATION, language, to, OutgoingId("a" * 26), NOW, **facts)
    parsed = message_from_bytes(mail, policy=compat32)

    assert mail == written_anew(parsed).as_bytes()
    assert max(map(len, mail.split(b"\r\n"))) <= 998
    assert b"\n" not in mail.replace(b"\r\n", b"")


def written_anew(parsed: Message) -> Message:
    """The same mail, all of it written by Python."""
    theirs = Message(policy=compat32.clone(linesep="\r\n", mangle_from_=False))
    for header, value in parsed.items():
        subject = str(make_header(decode_header(value))) if header == "Subject" else ""
        theirs[header] = value if not subject else subject if subject.isascii() else Header(subject, "utf-8").encode()
    content = parsed.get_payload(decode=True)
    if parsed.is_multipart():
        theirs.set_payload([written_anew(part) for part in parsed.get_payload() if isinstance(part, Message)])
    elif isinstance(content, bytes) and parsed.get_content_maintype() == "image":
        theirs.set_payload(encodebytes(content).decode("ascii").rstrip("\n"))
    elif isinstance(content, bytes):
        theirs.set_payload(b2a_qp(content.replace(b"\r\n", b"\n"), istext=True).decode("ascii"))
    return theirs


@pytest.mark.parametrize("language", ["nl", "en"])
@pytest.mark.parametrize(("purpose", "facts"), VARIANTS)
def test_every_notice_bears_the_logo_and_fetches_nothing(purpose: Purpose, facts: dict[str, Any], language: str) -> None:
    composing = Composing(organisation(governing_by=GoverningWithLogo))
    to = EmailAddress.parse("rosa@zorg.example")
    mail, _, page = read(composing.mail(purpose, language, to, OutgoingId("a" * 26), NOW, **facts))

    [picture] = [part for part in mail.walk() if part.get_content_type() == "image/png"]
    assert picture.get_content() == GoverningWithLogo.logo.content
    assert re.findall(r'src="([^"]*)"', page) == ["cid:" + picture["Content-ID"].strip("<>")]
    assert 'width="120" height="48"' in page
    assert list(mail.iter_attachments()) == []  # a paper clip beside a notice makes people look for what is not there
    assert [part.get_content_type() for part in mail.walk()] == [
        *("multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png")
    ]


def test_a_long_subject_is_folded_and_comes_back_whole() -> None:
    name = "É" * 90
    to = EmailAddress.parse("rosa@zorg.example")
    mail = Composing(organisation(name)).mail(Purpose.REVOKED, "nl", to, OutgoingId("a" * 26), NOW, **TO_RECIPIENT)

    head = mail.partition(b"\r\n\r\n")[0]
    assert max(map(len, head.split(b"\r\n"))) <= 78
    assert name in read(mail)[0]["Subject"]
