"""Logo: the organisation's picture in the header of pages."""

from __future__ import annotations

from typing import Final

from sqlalchemy import LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from zegelpost.model.base import Base

LARGEST_LOGO_BYTES: Final = 256 * 1024
# Dots; smaller is blurred on a telephone, larger is only slow.
SMALLEST_LOGO, LARGEST_LOGO = 24, 2000


class Logo(Base):
    """Written once; another picture is another row."""

    __tablename__ = "logo"

    # Hexadecimal SHA-256 of the content: its name in addresses, so that it may be kept for ever.
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    media_type: Mapped[str] = mapped_column(String(20))
    content: Mapped[bytes] = mapped_column(LargeBinary)
    width: Mapped[int]
    height: Mapped[int]
