"""Names of documents as outsiders give them, made harmless."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Self

from zegelpost.model.refusals import FileNameInvalid

_LONGEST_BYTES = 240  # most file systems stop at 255 bytes; room is left for " (12)" in archives
_SEPARATORS = re.compile(r"[/\\]")
# Control, format (which holds the right-to-left override), surrogate, private and unassigned characters and line separators.
_HIDDEN_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
# Letters and symbols that show nothing: Hangul fillers, the empty Braille pattern, the combining grapheme joiner.
_BLANK = set("\u115f\u1160\u3164\uffa0\u2800\u034f")
_WINDOWS_FORBIDDEN = str.maketrans(dict.fromkeys('<>:"|?*', "_"))
_WINDOWS_DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\.|\Z)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FileName:
    """A file name without path, hidden characters or names that some system treats specially."""

    text: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Keep the last path component, drop what hides or misleads; raise `FileNameInvalid` when nothing is left."""
        name = unicodedata.normalize("NFC", text)
        name = _SEPARATORS.split(name)[-1]
        name = "".join(c for c in name if unicodedata.category(c) not in _HIDDEN_CATEGORIES and c not in _BLANK)
        # Windows drops dots and spaces at the end, so `report.exe.` would arrive as `report.exe`.
        name = " ".join(name.translate(_WINDOWS_FORBIDDEN).split()).rstrip(". ")
        if name.startswith("."):
            name = "_" + name.lstrip(".")
        if _WINDOWS_DEVICES.match(name):
            name = "_" + name
        if not name.strip("_ "):
            raise FileNameInvalid
        return cls(_shortened(name))

    @property
    def stem(self) -> str:
        return self.text[: -len(self.extension) - 1] if self.extension else self.text

    @property
    def extension(self) -> str:
        """Lower-case text behind the last dot, without the dot; empty when there is none."""
        stem, dot, extension = self.text.rpartition(".")
        return extension.lower() if dot and stem else ""

    def numbered(self, number: int) -> FileName:
        """The same name with ` (2)` and so on before the extension, for archives that hold two of one name."""
        suffix = f".{self.text.rpartition('.')[2]}" if self.extension else ""
        return FileName(f"{self.stem} ({number}){suffix}")

    def __str__(self) -> str:
        return self.text


def _shortened(name: str) -> str:
    """Cut the stem, never the extension, and never inside a character."""
    if len(name.encode()) <= _LONGEST_BYTES:
        return name
    stem, dot, extension = name.rpartition(".")
    if not dot or not stem or len(extension.encode()) > 20:  # noqa: PLR2004 - no real extension is longer
        stem, suffix = name, ""
    else:
        suffix = f".{extension}"
    room = _LONGEST_BYTES - len(suffix.encode())
    return stem.encode()[:room].decode(errors="ignore").rstrip(". ") + suffix
