"""Composing mail and SMS: each notice the product sends, rendered once to its final bytes.

No text of a user ever reaches a header: subjects are ours and the organisation's, `To` is an address alone. That closes the
class of injections in which Python's own library turns a crafted name into another recipient (CVE-2024-6923 and others).
"""

from __future__ import annotations

import re
from binascii import b2a_qp
from dataclasses import dataclass
from datetime import date, datetime
from email.header import Header
from email.message import Message
from email.policy import compat32
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from babel.dates import format_date
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from zegelpost.model.email_address import EmailAddress
from zegelpost.model.identifiers import OutgoingId
from zegelpost.model.outgoing import Purpose
from zegelpost.model.return_address import ReturnAddress

# The older of Python's mail policies: it takes headers as they are, and ours are made of parsed values. The newer one parses each
# again, which took three quarters of the time of sending.
_POLICY: Final = compat32.clone(linesep="\r\n", mangle_from_=False)
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
    """Who sends, as outsiders see it."""

    name: str
    base_url: str
    mail_from: EmailAddress
    help_phone: str | None
    # Where what cannot be delivered comes back to; without one, to the sender address of notices.
    return_address: ReturnAddress | None = None

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
        self._text = _environment(is_html=False)
        self._html = _environment(is_html=True)

    def mail(
        self, purpose: Purpose, language: str, to: EmailAddress, outgoing_id: OutgoingId, now: datetime, **facts: Any
    ) -> bytes:
        """The complete RFC 5322 bytes of a notice, with fixed Message-ID and Date, so that a resend is byte-identical."""
        name = f"{purpose.value}.{language}.j2"
        values = {"organisation": self.organisation, "language": language, **facts}
        text = self._text.get_template(name)
        subject = " ".join("".join(text.blocks["subject"](text.new_context(values))).split())
        values["mail_subject"] = subject
        message = Message(policy=_POLICY)
        message["From"] = str(self.organisation.mail_from)
        message["To"] = str(to)
        message["Subject"] = subject if subject.isascii() else Header(subject, "utf-8").encode()
        message["Date"] = format_datetime(now)
        message["Message-ID"] = f"<{outgoing_id}@{self.organisation.message_id_host}>"
        # RFC 3834, section 5: keeps holiday answers from coming back.
        message["Auto-Submitted"] = "auto-generated"
        message["MIME-Version"] = "1.0"
        # From the identifier, so that nothing is searched for it; quoted-printable never writes `=_` (RFC 2045, section 6.7).
        message["Content-Type"] = f'multipart/alternative; boundary="=_{outgoing_id}"'
        message["Content-Language"] = language
        message.set_payload(
            [
                _part("plain", text.render(values, layout="layout.txt.j2")),
                _part("html", self._html.get_template(name).render(values, layout="layout.html.j2")),
            ]
        )
        return message.as_bytes()

    def code_sms(self, code: str, language: str) -> str:
        """The code message: one GSM-7 segment, no link, and a last line that lets telephones fill the code in on our page only.

        WICG, Origin-bound one-time codes: `@host #code` alone on the last line.
        """
        name = _gsm_7(self.organisation.name)
        bound = f"@{self.organisation.host} #{code}"
        for template in _CODE_TEXTS[language]:
            text = f"{template.format(code=code, organisation=name)}\n{bound}"
            if len(text) <= SMS_SEGMENT:
                return text
        # A host name so long that it does not fit: half a name would bind the code to a stranger's page, so it goes without.
        return _CODE_TEXTS[language][-1].format(code=code)


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


def _part(subtype: str, content: str) -> Message:
    """Quoted-printable keeps every line below 998 octets (RFC 5322, section 2.1.1) whatever people typed."""
    part = Message(policy=_POLICY)
    part["Content-Type"] = f'text/{subtype}; charset="utf-8"'
    part["Content-Transfer-Encoding"] = "quoted-printable"
    part.set_payload(b2a_qp(content.encode(), istext=True).decode("ascii"))
    return part


def _gsm_7(text: str) -> str:
    """The text with what GSM-7 lacks left out: one `ï` would make the message twice as expensive."""
    replaced = text.translate(_NEAREST)
    return "".join(c for c in replaced if _GSM_7.match(c))


def is_gsm_7(text: str) -> bool:
    return _GSM_7.match(text) is not None


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
    return Markup("\n").join(Markup('<p style="margin:0 0 16px">{}</p>').format(Markup(p)) for p in _paragraphs(escaped))  # noqa: S704


def _text_paragraphs(text: str) -> str:
    return "\n\n".join(_paragraphs(text))


def _day(moment: date, language: str) -> str:
    day = moment.astimezone(_TIME_ZONE) if isinstance(moment, datetime) else moment
    return format_date(day, "d MMMM y", locale=language)
