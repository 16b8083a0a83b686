"""File requests: one outsider is asked to send us documents. The request itself is a transfer; this is what it has besides."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import Date, ForeignKey, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from zegelpost.model.base import IDENTIFIER, Base, text_of
from zegelpost.model.identifiers import ItemId, TransferId
from zegelpost.model.refusals import ItemNameTooLong, RequestClosed, TooManyItems

MOST_ITEMS: Final = 30
LONGEST_ITEM: Final = 200  # characters
LONGEST_REASON: Final = 1000


class FileRequest(Base):
    __tablename__ = "file_request"

    transfer_id: Mapped[TransferId] = mapped_column(ForeignKey("transfer.id"), primary_key=True)
    due_on: Mapped[date | None] = mapped_column(Date)
    closed_at: Mapped[datetime | None]

    def require_open(self) -> None:
        if self.closed_at is not None:
            raise RequestClosed


class ItemState(StrEnum):
    ASKED = "asked"
    SENT = "sent"  # the guest says that it is among what they sent
    ACCEPTED = "accepted"
    SENT_BACK = "sent_back"  # asked again, with a reason


class RequestItem(Base):
    """Something that is asked for by name, such as a copy of a diploma."""

    __tablename__ = "request_item"

    id: Mapped[ItemId] = mapped_column(IDENTIFIER, primary_key=True)
    transfer_id: Mapped[TransferId] = mapped_column(ForeignKey("transfer.id"), index=True)
    position: Mapped[int]
    sealed_name: Mapped[bytes] = mapped_column(LargeBinary)
    state: Mapped[ItemState] = mapped_column(text_of(ItemState), default=ItemState.ASKED)
    sealed_reason: Mapped[bytes | None] = mapped_column(LargeBinary)


class RequestState(StrEnum):
    OPEN = "open"
    PARTLY_ANSWERED = "partly_answered"
    ANSWERED = "answered"
    CLOSED = "closed"


def request_state(request: FileRequest, items: list[ItemState], *, has_answers: bool) -> RequestState:
    """How far a request is: answered when everything that was named has come, or anything when nothing was named."""
    if request.closed_at is not None:
        return RequestState.CLOSED
    if not has_answers:
        return RequestState.OPEN
    is_waiting = any(state in {ItemState.ASKED, ItemState.SENT_BACK} for state in items)
    return RequestState.PARTLY_ANSWERED if is_waiting else RequestState.ANSWERED


def parse_items(typed: str) -> list[str]:
    """One item a line, empty lines left out. Raises `TooManyItems`, `ItemNameTooLong`."""
    items = [" ".join(line.split()) for line in typed.splitlines()]
    items = [item for item in items if item]
    if len(items) > MOST_ITEMS:
        raise TooManyItems(limit=MOST_ITEMS)
    if any(len(item) > LONGEST_ITEM for item in items):
        raise ItemNameTooLong(limit=LONGEST_ITEM)
    return items
