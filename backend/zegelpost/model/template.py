"""Templates: standard texts with places that are filled in."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from zegelpost.model.base import IDENTIFIER, Base, text_of
from zegelpost.model.identifiers import DepartmentId, StaffUserId, TemplateId
from zegelpost.model.refusals import FormRefused, NameMissing, NameTooLong, NoteTooLong, PlaceholderUnknown, Refusal, TextMissing
from zegelpost.model.transfer import LONGEST_NOTE, TransferText

LONGEST_TEMPLATE_NAME: Final = 120  # characters
MOST_TEMPLATES: Final = 200  # of one owner
# What people write between braces, in Dutch and English, and what it stands for.
_PLACEHOLDERS: Final[Mapping[str, str]] = {
    "name": "name",
    "naam": "name",
    "reference": "reference",
    "kenmerk": "reference",
    "signature": "signature",
    "ondertekening": "signature",
}
_IN_BRACES: Final = re.compile(r"\{ *([^\W\d_]+) *\}")


class TemplateUse(StrEnum):
    """Where a template is offered, and where it can be the text that is there already."""

    SEND = "send"
    REQUEST = "request"
    ANSWER = "answer"


@dataclass(frozen=True, slots=True)
class TemplateText:
    """Sealed in the database under an installation key."""

    name: str
    text: str = field(repr=False)

    @classmethod
    def parse(cls, *, name: str, text: str) -> TemplateText:
        """Check and trim; raise `FormRefused` with every field that was refused."""
        refused: dict[str, Refusal] = {}
        name, text = " ".join(name.split()), text.replace("\r\n", "\n").strip()
        if not name:
            refused["name"] = NameMissing()
        if len(name) > LONGEST_TEMPLATE_NAME:
            refused["name"] = NameTooLong(limit=LONGEST_TEMPLATE_NAME)
        if not text:
            refused["text"] = TextMissing()
        if len(text) > LONGEST_NOTE:
            refused["text"] = NoteTooLong(limit=LONGEST_NOTE)
        unknown = [word for word in _IN_BRACES.findall(text) if word.lower() not in _PLACEHOLDERS]
        if unknown:
            refused["text"] = PlaceholderUnknown(placeholder=unknown[0][:40])
        if refused:
            raise FormRefused(refused)
        return cls(name, text)

    def to_json(self) -> str:
        return json.dumps({"name": self.name, "text": self.text})

    @classmethod
    def from_json(cls, text: str) -> TemplateText:
        return cls(**json.loads(text))


class Template(Base):
    __tablename__ = "template"
    __table_args__ = (CheckConstraint("(owner_id IS NULL) <> (department_id IS NULL)", name="one_owner"),)

    id: Mapped[TemplateId] = mapped_column(IDENTIFIER, primary_key=True)
    owner_id: Mapped[StaffUserId | None] = mapped_column(ForeignKey("staff_user.id"), index=True)
    department_id: Mapped[DepartmentId | None] = mapped_column(ForeignKey("department.id"), index=True)
    use: Mapped[TemplateUse] = mapped_column(text_of(TemplateUse))
    is_default: Mapped[bool] = mapped_column(default=False)
    sealed_text: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]


def fill(text: str, **values: str) -> str:
    """The text with the places filled in that `values` (name, reference, signature) gives; the others stay as they are."""

    def value(match: re.Match[str]) -> str:
        meaning = _PLACEHOLDERS.get(match.group(1).lower(), "")
        return values.get(meaning, match.group(0))

    return _IN_BRACES.sub(value, text)


def fill_in(text: TransferText, name: str) -> TransferText:
    """What was written, as one recipient reads it."""
    return replace(text, note=fill(text.note, name=name, reference=text.reference))


def insert(note: str, text: str) -> str:
    """The note with a template in it. What was typed is never thrown away, and nothing is inserted twice."""
    note = note.replace("\r\n", "\n")
    if not note.strip():
        return text
    return note if text in note else f"{note.rstrip()}\n\n{text}"
