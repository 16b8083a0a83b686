"""Choosing a logo: an administrator hands in a picture, and pages show a new one that we drew from its dots.

Nothing of the file itself is given to anybody: what else it holds, such as where a photograph was taken or a page hidden
behind the picture, ends here. Drawings (SVG) are not taken: they are programs as much as pictures.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
from typing import Final

from PIL import Image, UnidentifiedImageError

from zegelpost.database import Database
from zegelpost.model.logo import LARGEST_LOGO, LARGEST_LOGO_BYTES, SMALLEST_LOGO, Logo
from zegelpost.model.refusals import LogoTooLarge, LogoUnusable, NotFound
from zegelpost.services.access import StaffActor, require_administrator
from zegelpost.services.changing_policy import ChangingPolicy

# Twice what the header shows, for telephones.
_HIGHEST, _WIDEST = 96, 480
_MEDIA_TYPE: Final = "image/png"


class ChoosingLogo:
    def __init__(self, database: Database, changing_policy: ChangingPolicy) -> None:
        self._database = database
        self._changing = changing_policy

    async def choose(self, actor: StaffActor, content: bytes) -> None:
        """Have pages show this picture. Raises `NotFound`, `LogoTooLarge`, `LogoUnusable`, and what `ChangingPolicy` does."""
        require_administrator(actor)
        if len(content) > LARGEST_LOGO_BYTES:
            raise LogoTooLarge(limit=LARGEST_LOGO_BYTES // 1024)
        # Decoding takes its time: others need not wait for it.
        drawn, width, height = await asyncio.to_thread(_drawn_anew, content)
        digest = hashlib.sha256(drawn).hexdigest()
        async with self._database.work() as session:
            if await session.get(Logo, digest) is None:
                session.add(Logo(digest=digest, media_type=_MEDIA_TYPE, content=drawn, width=width, height=height))
            await self._changing.choose(actor, session, "logo", digest)

    async def logo(self, digest: str) -> Logo:
        """A picture that was chosen once. Raises `NotFound`."""
        async with self._database.reading() as session:
            found = await session.get(Logo, digest) if digest.isascii() and digest.isalnum() else None
            if found is None:
                raise NotFound
            return found


def _drawn_anew(content: bytes) -> tuple[bytes, int, int]:
    """The dots of a picture as a PNG of ours, its width and its height. Raises `LogoUnusable`."""
    refusal = LogoUnusable(shortest=SMALLEST_LOGO, longest=LARGEST_LOGO)
    try:
        with Image.open(io.BytesIO(content), formats=["PNG", "JPEG"]) as picture:
            # What the file says of itself, before room is made for the dots: kilobytes can claim to be gigabytes.
            if not all(SMALLEST_LOGO <= side <= LARGEST_LOGO for side in picture.size):
                raise refusal
            drawn = picture.convert("RGBA")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError):
        raise refusal from None
    drawn.thumbnail((_WIDEST, _HIGHEST))
    # Onto a new sheet: only dots come along.
    sheet = Image.new("RGBA", drawn.size)
    sheet.paste(drawn)
    written = io.BytesIO()
    sheet.save(written, "PNG", optimize=True)
    return written.getvalue(), sheet.width, sheet.height
