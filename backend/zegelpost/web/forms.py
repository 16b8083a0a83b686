"""Forms of people: reading them, and giving them back as typed with a sentence at each field that was refused."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from starlette.requests import Request

from zegelpost.model.refusals import DateInvalid, FormRefused, Refusal
from zegelpost.services.addressing import TypedRecipient
from zegelpost.web.errors import sentence

# Others are slips of the finger, and at the ends of the calendar there is no day before or after.
_YEARS: Final = range(1900, 3000)
# What date fields send, and what people type where there are none.
_ISO: Final = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})\Z")
_DUTCH: Final = re.compile(r"(\d{1,2})[-/. ](\d{1,2})[-/. ](\d{4})\Z")
_UNWRITABLE: Final = re.compile("[\x00\ud800-\udfff]")
_ROW: Final = re.compile(r"recipient-(\d{1,3})-(name|email|mobile|method|access_code|hint|save|book|park)\Z")


@dataclass(frozen=True, slots=True)
class TypedTransfer:
    """The form of a draft, nothing checked yet."""

    subject: str = ""
    reference: str = ""
    note: str = ""
    expires_in_days: str = "28"
    language: str = "nl"
    department_id: str = ""
    answers: str = ""
    recipients: Sequence[TypedRecipient] = field(default=(TypedRecipient("", ""),))


async def fields(request: Request) -> dict[str, str]:
    """The text fields of a form. Files are not taken here: they go another way, which seals them.

    With U+FFFD for what nobody types: NUL, with which PostgreSQL cannot even be asked, and halves of characters, which forms
    in odd encodings can hold and no page, mail or file can.
    """
    form = await request.form(max_files=0, max_fields=1000)
    return {name: _UNWRITABLE.sub("\ufffd", value) for name, value in form.multi_items() if isinstance(value, str)}


def typed_transfer(form: Mapping[str, str]) -> TypedTransfer:
    return TypedTransfer(
        subject=form.get("subject", ""),
        reference=form.get("reference", ""),
        note=form.get("note", ""),
        expires_in_days=form.get("expires_in_days", ""),
        language=form.get("language", "nl"),
        department_id=form.get("department_id", ""),
        answers=form.get("answers", ""),
        recipients=_recipients(form),
    )


def _recipients(form: Mapping[str, str]) -> list[TypedRecipient]:
    rows: dict[int, dict[str, str]] = {}
    for name, value in form.items():
        if match := _ROW.match(name):
            rows.setdefault(int(match.group(1)), {})[match.group(2)] = value
    return [
        TypedRecipient(
            row.get("name", ""),
            row.get("email", ""),
            row.get("mobile", ""),
            row.get("method", ""),
            row.get("access_code", ""),
            row.get("hint", ""),
            is_kept="save" in row,
            book=row.get("book", ""),
            is_parked="park" in row,
        )
        for _, row in sorted(rows.items())
    ]


def sentences(request: Request, refused: FormRefused) -> dict[str, str]:
    """What was refused, by the name of the control on the page."""
    translator = request.app.state.services.translators[request.state.language]
    return {_control(name): sentence(refusal, translator) for name, refusal in refused.fields.items()}


def spoken(request: Request, refusal: Refusal) -> str:
    """A refusal's sentence in the language of this page."""
    text: str = sentence(refusal, request.app.state.services.translators[request.state.language])
    return text


def _control(name: str) -> str:
    parts = name.split(".")
    if parts[0] != "recipients":
        return name
    return f"recipient-{parts[1]}-{parts[2]}" if len(parts) > 2 else "recipient-0-name"  # noqa: PLR2004 - recipients, row, field


def parse_day(typed: str) -> date | None:
    """A day as date fields send it or as people type it; nothing for nothing. Raises `DateInvalid`."""
    typed = typed.strip()
    if not typed:
        return None
    if match := _ISO.match(typed):
        year, month, day = map(int, match.groups())
    elif match := _DUTCH.match(typed):
        day, month, year = map(int, match.groups())
    else:
        raise DateInvalid
    if year not in _YEARS:
        raise DateInvalid
    try:
        return date(year, month, day)
    except ValueError:
        raise DateInvalid from None
