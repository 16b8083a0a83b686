"""What readers were handed over of a document so far, when it goes in pieces."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import JSON, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from zegelpost.model.base import IDENTIFIER, Base
from zegelpost.model.identifiers import DocumentId

Piece = tuple[int, int]  # from, up to; in bytes
MOST_PIECES: Final = 200  # that lie apart; programs that fetch a document in parts have some sixteen
# As long as one verification counts: after that, going on is asking anew.
ONE_DOWNLOAD: Final = timedelta(hours=1)


class HandedOver(Base):
    """One document and one reader: the recipient, or of a department the very colleague. Gone once they have all of it."""

    __tablename__ = "handed_over"

    document_id: Mapped[DocumentId] = mapped_column(ForeignKey("document.id"), primary_key=True)
    reader_id: Mapped[str] = mapped_column(IDENTIFIER, primary_key=True)
    pieces: Mapped[list[Piece]] = mapped_column(JSON, default=list)
    asked_at: Mapped[datetime]

    def is_going_on(self, now: datetime) -> bool:
        """Whether asking for a piece now belongs to the download that was recorded."""
        return now - self.asked_at < ONE_DOWNLOAD


def joined(pieces: Iterable[Piece], piece: Piece) -> list[Piece]:
    """The pieces with one more, those that touch made one. What is beyond `MOST_PIECES` is forgotten, and so never counts."""
    whole: list[Piece] = []
    for start, stop in sorted([*((start, stop) for start, stop in pieces), piece]):
        if whole and start <= whole[-1][1]:
            whole[-1] = (whole[-1][0], max(whole[-1][1], stop))
        else:
            whole.append((start, stop))
    return whole[:MOST_PIECES]
