"""Composing mail and SMS: each notice the product sends, rendered once to its final bytes.

No text of a user ever reaches a header: subjects are ours and the organisation's, `To` is an address alone. That closes the
class of injections in which Python's own library turns a crafted name into another recipient (CVE-2024-6923 and others).
"""

from __future__ import annotations

import re
from binascii import b2a_qp
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from email.header import Header
from email.utils import format_datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from babel.dates import format_date
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from zegelpost.model.email_address import EmailAddress
from zegelpost.model.identifiers import OutgoingId
from zegelpost.model.logo import LogoPicture
from zegelpost.model.outgoing import Purpose
from zegelpost.model.return_address import ReturnAddress
from zegelpost.ports import Speech
from zegelpost.services.governing import Governing

_MAILS: Final = Path(__file__).parent / "mails"
_TIME_ZONE: Final = ZoneInfo("Europe/Amsterdam")
_GSM_7: Final = re.compile(  # 3GPP TS 23.038, section 6.2.1: the characters that cost one seventh less than an octet
    "[@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,\\-./0-9:;<=>?¡A-ZÄÖÑÜ§¿a-zäöñüà]*\\Z"
)
# Letters with marks that GSM-7 lacks, and the quotes and dashes of word processors.
_NEAREST: Final = str.maketrans("ëïêâáíóúôûîÏËÊ\u2018\u2019\u201c\u201d\u2013\u2014", "eieaaiououiIEE''\"\"--")
SMS_SEGMENT: Final = 160  # characters; longer messages are split and cost double


@dataclass(frozen=True, slots=True)
class Organisation:
    """Who sends, as outsiders see it at this moment."""

    governing: Governing
    base_url: str
    mail_from: EmailAddress
    # Where what cannot be delivered comes back to; without one, to the sender address of notices.
    return_address: ReturnAddress | None = None

    @property
    def name(self) -> str:
        return self.governing.house_style.name

    @property
    def help_phone(self) -> str | None:
        return self.governing.house_style.help_phone

    def language(self, wanted: str) -> str:
        """The one that was wanted, where the organisation has it; else its first."""
        offered = self.governing.house_style.languages
        return wanted if wanted in offered else offered[0]

    @property
    def accent(self) -> str:
        """The colour of bars and buttons, `#rrggbb`: it stands in the style of a mail."""
        return self.governing.house_style.accent

    @property
    def logo(self) -> LogoPicture | None:
        return self.governing.logo

    @property
    def host(self) -> str:
        return urlsplit(self.base_url).hostname or ""

    @property
    def message_id_host(self) -> str:
        """The right-hand side of every Message-ID of ours."""
        return self.host or "zegelpost"


class Composing:
    """Templates live in `mails/`, one per notice and language: `invitation.nl.j2`. The first block is the subject."""

    def __init__(self, organisation: Organisation) -> None:
        self.organisation = organisation
        self._text = _Mails(is_html=False)
        self._html = _Mails(is_html=True)

    def mail(
        self, purpose: Purpose, language: str, to: EmailAddress, outgoing_id: OutgoingId, now: datetime, **facts: Any
    ) -> bytes:
        """The complete RFC 5322 bytes of a notice, with fixed Message-ID and Date, so that a resend is byte-identical.

        Written out here: every header is a value that was parsed and is short, and the parts are ASCII. Python's generator folds
        and checks them all again, which took a sixth of the time of sending. A test holds the bytes against what it makes.
        """
        language = self.organisation.language(language)
        name = f"{purpose.value}.{language}.j2"
        logo = self.organisation.logo
        logo_id = f"logo.{outgoing_id}@{self.organisation.message_id_host}"
        values = {"organisation": self.organisation, "language": language, "logo": logo, "logo_id": logo_id, **facts}
        text = self._text.template(name)
        subject = " ".join("".join(text.blocks["subject"](text.new_context(values))).split())
        values["mail_subject"] = subject
        # From the identifier, so that nothing is searched for it; quoted-printable never writes `=_` (RFC 2045, section 6.7).
        boundary = f"=_{outgoing_id}"
        headers = (
            f"From: {self.organisation.mail_from}",
            f"To: {to}",
            f"Subject: {_subject(subject)}",
            f"Date: {format_datetime(now)}",
            f"Message-ID: <{outgoing_id}@{self.organisation.message_id_host}>",
            # RFC 3834, section 5: keeps holiday answers from coming back.
            "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0",
            f'Content-Type: multipart/alternative; boundary="{boundary}"',
            f"Content-Language: {language}",
        )
        page = _part("html", self._html.template(name).render(values, layout=self._html.layout))
        parts = (
            _part("plain", text.render(values, layout=self._text.layout)),
            page if logo is None else _with_logo(page, logo, logo_id, f"=_logo_{outgoing_id}"),
        )
        return "\r\n".join([*headers, "", *_joined(parts, boundary), ""]).encode("ascii")

    def code_sms(self, code: str, language: str) -> str:
        """The code message: one GSM-7 segment, no link, and a last line that lets telephones fill the code in on our page only.

        WICG, Origin-bound one-time codes: `@host #code` alone on the last line.
        """
        language, name = self.organisation.language(language), _gsm_7(self.organisation.name)
        bound = f"@{self.organisation.host} #{code}"
        for template in _CODE_TEXTS[language]:
            text = f"{template.format(code=code, organisation=name)}\n{bound}"
            if len(text) <= SMS_SEGMENT:
                return text
        # A host name so long that it does not fit: half a name would bind the code to a stranger's page, so it goes without.
        return _CODE_TEXTS[language][-1].format(code=code)

    def call_greeting(self, language: str) -> Speech:
        """What whoever picks up hears, an answering machine too: who calls and which key to press. No code."""
        language = self.organisation.language(language)
        return Speech(language, [sentence.format(organisation=self.organisation.name) for sentence in _GREETINGS[language]])

    def spoken_code(self, code: str, language: str) -> Speech:
        """The code, digit by digit, and once more."""
        language = self.organisation.language(language)
        before, again, after = _CODE_SPOKEN[language]
        return Speech(language, [before, *code, again, *code, after])

    def spoken_refusal(self, language: str) -> Speech:
        """For whoever presses the key when the code no longer works."""
        language = self.organisation.language(language)
        return Speech(language, [_TOO_LATE[language]])


_CODE_TEXTS: Final = {
    "nl": (
        "Uw code voor de documenten van {organisation}: {code}. Geef deze code aan niemand.",
        "Uw code voor uw documenten: {code}. Geef deze code aan niemand.",
        "Uw code: {code}",
    ),
    "en": (
        "Your code for the documents from {organisation}: {code}. Never share this code.",
        "Your code for your documents: {code}. Never share this code.",
        "Your code: {code}",
    ),
}


KEY: Final = "1"  # that has to be pressed; a call that reaches a machine hears none
_GREETINGS: Final = {
    "nl": (
        "Goedendag. Dit is een automatisch telefoontje van {organisation}.",
        "Er is een code gevraagd om documenten te openen.",
        "Druk op de 1 om de code te horen.",
        "Heeft u niets gevraagd? Hang dan op.",
    ),
    "en": (
        "Hello. This is an automatic call from {organisation}.",
        "Somebody asked for a code to open documents.",
        "Press 1 to hear the code.",
        "Did you not ask for anything? Then hang up.",
    ),
}
_CODE_SPOKEN: Final = {
    "nl": ("Uw code is:", "Ik herhaal:", "Geef deze code aan niemand. Tot ziens."),
    "en": ("Your code is:", "I repeat:", "Never share this code. Goodbye."),
}
_TOO_LATE: Final = {
    "nl": "Deze code werkt niet meer. Vraag op de pagina een nieuwe code. Tot ziens.",
    "en": "This code no longer works. Ask for a new one on the page. Goodbye.",
}


@lru_cache(maxsize=64)
def _subject(subject: str) -> str:
    """Folded and, where need be, in encoded words (RFC 2047). There are as many subjects as kinds of notices."""
    return Header(subject, None if subject.isascii() else "utf-8", header_name="Subject").encode(linesep="\r\n")


def _part(subtype: str, content: str) -> str:
    """Quoted-printable keeps every line below 998 octets (RFC 5322, section 2.1.1) whatever people typed."""
    encoded = b2a_qp(content.encode(), istext=True).decode("ascii").replace("\r\n", "\n").replace("\n", "\r\n")
    head = f'Content-Type: text/{subtype}; charset="utf-8"\r\nContent-Transfer-Encoding: quoted-printable'
    return f"{head}\r\n\r\n{encoded}"


def _with_logo(page: str, logo: LogoPicture, logo_id: str, boundary: str) -> str:
    """The page and the picture in it (RFC 2387). Sent along: fetching it would tell us who looks at their mail, and when."""
    head = ('Content-Type: multipart/related; type="text/html";', f' boundary="{boundary}"', "")
    picture = (
        "Content-Type: image/png",
        "Content-Transfer-Encoding: base64",
        f"Content-ID: <{logo_id}>",
        'Content-Disposition: inline; filename="logo.png"',
        "",
        logo.base64,
    )
    return "\r\n".join([*head, *_joined((page, "\r\n".join(picture)), boundary), ""])


def _joined(parts: Sequence[str], boundary: str) -> list[str]:
    return [*(line for part in parts for line in (f"--{boundary}", part)), f"--{boundary}--"]


def _gsm_7(text: str) -> str:
    """The text with what GSM-7 lacks left out: one `ï` would make the message twice as expensive."""
    replaced = text.translate(_NEAREST)
    return "".join(c for c in replaced if _GSM_7.match(c))


def is_gsm_7(text: str) -> bool:
    return _GSM_7.match(text) is not None


class _Mails:
    """The templates in one form, each looked up once: Jinja's own look-up, three for a mail, took a twentieth of sending."""

    def __init__(self, *, is_html: bool) -> None:
        self.template: Callable[[str], Template] = cache(_environment(is_html=is_html).get_template)
        self.layout = self.template("layout.html.j2" if is_html else "layout.txt.j2")


def _environment(*, is_html: bool) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_MAILS),
        autoescape=is_html,  # noqa: S701 - the other environment makes plain text
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
        auto_reload=False,
    )
    environment.filters["paragraphs"] = _html_paragraphs if is_html else _text_paragraphs
    environment.filters["day"] = _day
    return environment


def _paragraphs(text: str) -> list[str]:
    return [" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", text) if paragraph.strip()]


def _html_paragraphs(text: str) -> Markup:
    # The block was rendered with autoescape, so its text is escaped already.
    escaped = str(escape(text))
    return Markup("\n".join(f'<p style="margin:0 0 16px">{paragraph}</p>' for paragraph in _paragraphs(escaped)))  # noqa: S704


def _text_paragraphs(text: str) -> str:
    return "\n\n".join(_paragraphs(text))


def _day(moment: date, language: str) -> str:
    return _day_in_words(moment.astimezone(_TIME_ZONE).date() if isinstance(moment, datetime) else moment, language)


@lru_cache(maxsize=1024)
def _day_in_words(day: date, language: str) -> str:
    return format_date(day, "d MMMM y", locale=language)
