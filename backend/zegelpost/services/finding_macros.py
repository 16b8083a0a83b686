"""Finding macros: whether an Office document holds programs that run when it is opened.

New documents are zip files that list what their parts are. Old ones, and new ones with a password, are compound files, which
olefile reads: small, without dependencies, and all that telling takes. oletools can tell too, and brings a disassembler.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import Final
from xml.etree import ElementTree as ET

import olefile  # type: ignore[import-untyped]

COMPOUND: Final = bytes.fromhex("d0cf11e0a1b11ae1")
_LARGEST_CONTENT_TYPES: Final = 1_000_000  # bytes; a real one is a few kilobytes
# Of a stream as much as is read into memory. What tells of macros stands well within it; what does not is not believed.
_MOST_READ: Final = 16 * 1024 * 1024
_UNREADABLE_ZIP: Final = (KeyError, NotImplementedError, RuntimeError, ValueError, EOFError)  # besides zipfile's own
_UNREADABLE_COMPOUND: Final = (OSError, ValueError, IndexError, TypeError, RecursionError, struct.error)
_IN_ZIP: Final = ("macroenabled", "vbaproject", "macrosheet")
_XLS_SHEET, _XLS_ENCRYPTED, _XLS_STRINGS, _XLS_END = 0x0085, 0x002F, 0x00FC, 0x000A  # MS-XLS, section 2.3.1
_XLS_MACRO_SHEET: Final = b"\x01"  # MS-XLS, section 2.4.28: Excel 4.0 macros, older than VBA and still run
_PPT_MACROS: Final = struct.pack("<HI", 0x0400, 12)  # kind and length of a VBAInfoAtom (MS-PPT, section 2.4.11)
_WORKBOOKS: Final = ("Workbook", "Book")
_PRESENTATION: Final = "PowerPoint Document"


class Unreadable(Exception):
    """The content is not what it begins as, so whatever opens it may see something else than we do."""


def holds_macros(file: io.BufferedReader) -> bool:
    """Whether a document of Word, Excel or PowerPoint holds macros; in doubt it does. Raises `Unreadable`."""
    file.seek(0)
    is_compound = file.read(len(COMPOUND)) == COMPOUND
    file.seek(0)
    return _in_compound(file) if is_compound else _in_zip(file)


def _in_zip(file: io.BufferedReader) -> bool:
    """ECMA-376, part 2."""
    try:
        with zipfile.ZipFile(file) as archive:
            if any(entry.lower().endswith("vbaproject.bin") for entry in archive.namelist()):
                return True
            types = archive.getinfo("[Content_Types].xml")
            if types.file_size > _LARGEST_CONTENT_TYPES:
                return True  # a bomb is not worth opening
            # UTF-16 and character references hide words from a search in the bytes. Entities cannot explode here: expat
            # limits their amplification since 2.4.
            root = ET.fromstring(archive.read(types))  # noqa: S314
    except (zipfile.BadZipFile, ET.ParseError, zlib.error, *_UNREADABLE_ZIP):
        raise Unreadable from None
    kinds = " ".join(each.get("ContentType", "") for each in root.iter()).lower()
    return any(word in kinds for word in _IN_ZIP)


def _in_compound(file: io.BufferedReader) -> bool:
    """MS-CFB. With a password everything is in one stream, and nobody can look into that."""
    try:
        with olefile.OleFileIO(file) as compound:
            places = [[part.lower() for part in place] for place in compound.listdir(streams=True, storages=True)]
            # MS-OVBA, section 2.2.1: a project is a storage `VBA` with a stream of this name, wherever the application puts it.
            if any(place[-1].startswith("_vba_project") for place in places):
                return True
            contents = {name: _start_of(compound, name) for name in (*_WORKBOOKS, _PRESENTATION)}
            return any(_in_workbook(contents[name]) for name in _WORKBOOKS) or _in_presentation(contents[_PRESENTATION])
    except _UNREADABLE_COMPOUND:
        raise Unreadable from None


def _in_workbook(content: bytes) -> bool:
    """Whether a sheet is one of Excel 4.0 macros. The sheets are listed before the strings and the cells."""
    at = 0
    while at + 4 <= len(content):
        kind, length = struct.unpack_from("<HH", content, at)
        if kind == _XLS_SHEET and content[at + 9 : at + 10] == _XLS_MACRO_SHEET:
            return True
        if kind in {_XLS_ENCRYPTED, _XLS_STRINGS, _XLS_END}:
            return False
        at += 4 + length
    return len(content) == _MOST_READ


def _in_presentation(content: bytes) -> bool:
    """PowerPoint keeps its project compressed among the slides, and says so in an atom of its own.

    Searched for instead of walked to: saving again and again leaves older lists behind, and any of them may be read.
    """
    at = content.find(_PPT_MACROS)
    while at != -1:
        has_macros = content[at + len(_PPT_MACROS) + 4 :][:4]  # after an identifier
        if has_macros != bytes(4):
            return True
        at = content.find(_PPT_MACROS, at + 1)
    return len(content) == _MOST_READ


def _start_of(compound: olefile.OleFileIO, name: str) -> bytes:
    """A stream as far as `_MOST_READ`, or nothing. olefile itself would read all of it, as much as someone likes to send."""
    entry = compound.root.kids_dict.get(name.lower())
    if entry is None:
        return b""
    if entry.size < compound.minisectorcutoff:
        return bytes(compound.openstream([entry.name]).read())
    pieces: list[bytes] = []
    sector, left = entry.isectStart, min(_MOST_READ, entry.size)
    while left > 0:
        compound.fp.seek((sector + 1) * compound.sectorsize)
        piece = compound.fp.read(min(left, compound.sectorsize))
        if not piece:
            raise OSError("a sector is missing")
        pieces.append(piece)
        left -= len(piece)
        sector = compound.fat[sector]
    return b"".join(pieces)
