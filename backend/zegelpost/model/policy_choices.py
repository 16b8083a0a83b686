"""What administrators chose on screen in the place of what the settings say: one row, read with every unit of work."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import JSON
from sqlalchemy.orm import Mapped, mapped_column

from zegelpost.model.base import Base
from zegelpost.model.identifiers import StaffUserId

# The only row; the migration makes it.
THE_ROW: Final = 1


@dataclass(frozen=True, slots=True)
class Choice:
    """The latest change of one field: to a value of its own, or back to the default."""

    value: str  # as its kind keeps it; empty where it went back to the default
    is_default: bool
    changed_at: datetime
    changed_by: StaffUserId
    version: int  # of the whole, that this change made


class PolicyChoices(Base):
    """Holds no personal data but identifiers of who chose."""

    __tablename__ = "policy_choices"

    id: Mapped[int] = mapped_column(primary_key=True)
    # Grows by one with every change, in the unit of work that makes it: who knows the number knows the rest.
    version: Mapped[int]
    choices: Mapped[dict[str, Any]] = mapped_column(JSON)

    def read(self) -> dict[str, Choice]:
        """By the name of the field."""
        return {
            name: Choice(
                value=kept["value"],
                is_default=kept["is_default"],
                changed_at=datetime.fromisoformat(kept["changed_at"]),
                changed_by=StaffUserId(kept["changed_by"]),
                version=kept["version"],
            )
            for name, kept in self.choices.items()
        }

    def write(self, name: str, choice: Choice) -> None:
        self.choices = self.choices | {
            name: {
                "value": choice.value,
                "is_default": choice.is_default,
                "changed_at": choice.changed_at.isoformat(),
                "changed_by": choice.changed_by,
                "version": choice.version,
            }
        }
        self.version = choice.version
