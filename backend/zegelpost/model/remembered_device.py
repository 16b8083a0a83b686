"""Remembered devices: where a recipient need not enter a code by text message again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from zegelpost.model.base import BLIND, DIGEST, IDENTIFIER, Base
from zegelpost.model.identifiers import DeviceId, RecipientId

REMEMBERED_FOR: Final = timedelta(days=30)  # from the code that was entered; using the device does not lengthen it
MOST_DEVICES: Final = 10  # of one address; the oldest makes room


class RememberedDevice(Base):
    """A browser of someone who got a code on a number, by the digest of its cookie.

    It stands for that code alone: the same address, the same number. The link is still needed, and is what opens.
    """

    __tablename__ = "remembered_device"

    digest: Mapped[bytes] = mapped_column(DIGEST, primary_key=True)
    # In the mailed address at which anyone who has that mail can remove it.
    id: Mapped[DeviceId] = mapped_column(IDENTIFIER, unique=True)
    # Where it began, for the record.
    recipient_id: Mapped[RecipientId] = mapped_column(ForeignKey("recipient.id"), index=True)
    email_index: Mapped[bytes] = mapped_column(BLIND, index=True)
    number_index: Mapped[bytes] = mapped_column(BLIND)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
