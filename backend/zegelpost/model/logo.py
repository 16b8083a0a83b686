"""Logo: the organisation's picture, in the header of pages, in mails and on printed reports."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from functools import cached_property
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

    @property
    def picture(self) -> LogoPicture:
        return LogoPicture(self.digest, self.content, self.width, self.height)


@dataclass(frozen=True)
class LogoPicture:
    """A PNG, for where nothing is fetched. Width and height in dots: it is drawn for half of them."""

    digest: str
    content: bytes = field(repr=False)
    width: int
    height: int

    @cached_property
    def base64(self) -> str:
        """In lines that mail carries (RFC 2045, section 6.8), without an end."""
        return base64.encodebytes(self.content).decode("ascii").rstrip("\n").replace("\n", "\r\n")

    @cached_property
    def data_url(self) -> str:
        """The picture itself as an address (RFC 2397)."""
        return "data:image/png;base64," + base64.b64encode(self.content).decode("ascii")
