"""Characters on paper. What no font here can draw, and what cannot be seen, is printed as its number: `[U+4E2D]`.

The engines leave such characters out, or draw a box. Evidence may not lose part of a name without a word, nor let an unseen
character turn a name around.
"""

from __future__ import annotations

import asyncio
import bisect
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from zegelpost.ports import PrintableDocument

# Control, format (which holds the right-to-left override), surrogate, private and unassigned characters and line separators.
_UNSEEN: Final = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_LAYOUT: Final = frozenset("\n\r\t")
# Latin letters, punctuation, the bullet and the euro: in every font that the styles name.
_SURE: Final = ((0x20, 0x17F), (0x2010, 0x2027), (0x20AC, 0x20AC))


@dataclass(frozen=True, slots=True)
class Fonts:
    """What the fonts of this machine can draw: ranges of code points, in order and apart."""

    ranges: tuple[tuple[int, int], ...]

    @classmethod
    async def installed(cls, environment: Mapping[str, str]) -> Fonts:
        """Ask fontconfig, as the engines do. Fonts in colour do not count: an engine may leave them out."""
        try:
            process = await asyncio.create_subprocess_exec(
                "fc-list",
                ":color=false",
                "--format=%{charset} ",
                env=dict(environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
        except FileNotFoundError:
            return cls(_SURE)
        told, _ = await process.communicate()
        return cls(_joined([*_SURE, *map(_range, told.decode().split())]))

    def up_to(self, last_character: int) -> Fonts:
        return Fonts(tuple((first, min(last, last_character)) for first, last in self.ranges if first <= last_character))

    def may_draw(self, character: str) -> bool:
        place = bisect.bisect_right(self.ranges, ord(character), key=lambda found: found[0])
        return place > 0 and ord(character) <= self.ranges[place - 1][1]

    def legible(self, text: str) -> str:
        """The text with numbers for what would not be seen."""
        hidden = {
            ord(character): f"[U+{ord(character):04X}]"
            for character in set(text) - _LAYOUT
            if unicodedata.category(character) in _UNSEEN or not self.may_draw(character)
        }
        return text.translate(hidden) if hidden else text

    def legible_document(self, document: PrintableDocument) -> dict[str, str]:
        """The fields of a document; the title and the attachment, which nobody draws, as they are."""
        return {
            "html": self.legible(document.html),
            "title": document.title,
            "language": document.language,
            "header_start": self.legible(document.header_start),
            "header_end": self.legible(document.header_end),
            "footer_start": self.legible(document.footer_start),
            "page_words": self.legible(document.page_words),
            "attachment_name": document.attachment_name,
            "attachment": document.attachment,
        }


def _range(told: str) -> tuple[int, int]:
    """`20-7e`, or `ad` alone."""
    first, _, last = told.partition("-")
    return int(first, 16), int(last or first, 16)


def _joined(ranges: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    joined: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return tuple(joined)
