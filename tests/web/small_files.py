"""Small real files of every kind that people send, and of the kinds that nobody may, built here byte by byte."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from email.message import EmailMessage
from typing import Any, Final, TypeAlias

TEXT: Final = "Beste Rosa,\nBijgaand het verslag van 12 mei.\nMet vriendelijke groet, Anna\n"
_OFFICE: Final = "application/vnd.openxmlformats-officedocument."
_MACROS: Final = "application/vnd.ms-"
_PARTS: Final = {  # extension: the folder, its main part, and what the part is called without and with macros
    "docx": ("word", "document", f"{_OFFICE}wordprocessingml.document.main+xml", f"{_MACROS}word.document.macroEnabled.main+xml"),
    "xlsx": ("xl", "workbook", f"{_OFFICE}spreadsheetml.sheet.main+xml", f"{_MACROS}excel.sheet.macroEnabled.main+xml"),
    "pptx": (
        "ppt", "presentation", f"{_OFFICE}presentationml.presentation.main+xml",
        f"{_MACROS}powerpoint.presentation.macroEnabled.main+xml",
    ),
    "ppsx": (
        "ppt", "presentation", f"{_OFFICE}presentationml.slideshow.main+xml",
        f"{_MACROS}powerpoint.slideshow.macroEnabled.main+xml",
    ),
}  # fmt: skip
_OPEN_DOCUMENT: Final = {"odt": "text", "ods": "spreadsheet", "odp": "presentation"}


def zipped(members: Mapping[str, bytes | str]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def macro_kind(extension: str) -> str:
    """What the main part of a document with macros is called."""
    return _PARTS[extension][3]


def office(
    extension: str, *, kind: str = "", macro_part: str = "", encoding: str = "UTF-8", extra: Mapping[str, bytes] | None = None
) -> bytes:
    """A document of Word, Excel or PowerPoint (ECMA-376); its list of contents can be made to tell of macros."""
    folder, part, plain, _ = _PARTS[extension]
    head = f'<?xml version="1.0" encoding="{encoding}" standalone="yes"?>\n'
    macros = f'<Override PartName="{macro_part}" ContentType="application/vnd.ms-office.vbaProject"/>' if macro_part else ""
    types = (
        f'{head}<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/{folder}/{part}.xml" ContentType="{kind or plain}"/>{macros}</Types>'
    ).encode(encoding)
    relations = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1"'
        ' Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"'
        f' Target="{folder}/{part}.xml"/></Relationships>'
    )
    members: dict[str, bytes | str] = {
        "[Content_Types].xml": types,
        "_rels/.rels": relations,
        f"{folder}/{part}.xml": f"<!-- {TEXT} --><root/>",
    }
    return zipped({**members, **(extra or {})})


def with_macros(extension: str) -> bytes:
    """A `.docm`, `.xlsm`, `.pptm` or `.ppsm`, as Office makes it."""
    place = f"{_PARTS[extension][0]}/vbaProject.bin"
    return office(extension, kind=macro_kind(extension), macro_part=f"/{place}", extra={place: compound()})


def open_document(extension: str) -> bytes:
    """A document of LibreOffice (ISO/IEC 26300): the first member says what it is, uncompressed."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("mimetype", f"application/vnd.oasis.opendocument.{_OPEN_DOCUMENT[extension]}")
        archive.writestr("content.xml", f"<!-- {TEXT} --><root/>", zipfile.ZIP_DEFLATED)
    return file.getvalue()


Tree: TypeAlias = "Mapping[str, bytes | Tree]"


def compound(content: Tree | None = None) -> bytes:
    """A compound file (MS-CFB, version 3): the shell of old Office documents, and of encrypted new ones."""
    rows: list[list[Any]] = []  # name, kind, child, sibling, start, size
    streams: list[bytes] = []

    def add(name: str, kind: int, node: bytes | Tree) -> int:
        place = len(rows)
        row = [name, kind, _NONE, _NONE, _END, 0]
        rows.append(row)
        if isinstance(node, bytes):
            streams.append(node.ljust(4096, b"\0"))  # shorter ones have a place of their own, which this spares
            row[4:] = [len(streams) - 1, len(streams[-1])]
            return place
        before = row
        for number, child in enumerate(sorted(node, key=lambda each: (len(each), each.upper()))):
            before[3 if number else 2] = made = add(child, 2 if isinstance(node[child], bytes) else 1, node[child])
            before = rows[made]
        return place

    add("Root Entry", 5, content or {})
    folders = -(-len(rows) // 4)
    table = [0xFFFFFFFD, *range(2, folders + 1), _END]
    starts = []
    for stream in streams:
        starts.append(len(table))
        table += [*range(len(table) + 1, len(table) + -(-len(stream) // 512)), _END]
    assert len(table) <= 128
    header = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    header += struct.pack("<IIIIIIIII", 0, 1, 1, 0, 4096, _END, 0, _END, 0) + struct.pack("<I", 0)
    listed = b"".join(_entry(row, starts[row[4]] if row[1] == 2 else row[4]) for row in rows)
    sectors = struct.pack(f"<{len(table)}I", *table).ljust(512, b"\xff") + listed.ljust(512 * folders, b"\0")
    return (
        header.ljust(512, b"\xff") + sectors + b"".join(stream.ljust(-(-len(stream) // 512) * 512, b"\0") for stream in streams)
    )


_NONE: Final = 0xFFFFFFFF
_END: Final = 0xFFFFFFFE


def _entry(row: list[Any], start: int) -> bytes:
    name, kind, child, sibling, _, size = row
    wide: bytes = name.encode("utf-16-le")
    head = wide.ljust(64, b"\0") + struct.pack("<HBBIII", len(wide) + 2, kind, 1, _NONE, sibling, child)
    return head + bytes(36) + struct.pack("<IQ", start, size)


_PROJECT: Final[Tree] = {"VBA": {"dir": b"\1", "_VBA_PROJECT": b"\xcc\x61", "ThisDocument": b"\1"}, "PROJECT": b'ID="{0}"\r\n'}


def _workbook(kind: int) -> bytes:
    """The head of a workbook (MS-XLS) with one sheet: of cells (0), or of Excel 4.0 macros (1)."""
    sheet = struct.pack("<IBB", 100, 0, kind) + b"\x05\0Blad1"
    start = struct.pack("<HH", 0x0809, 16) + struct.pack("<HHHHII", 0x0600, 5, 0, 0, 0, 0)
    return start + struct.pack("<HH", 0x0085, len(sheet)) + sheet + struct.pack("<HH", 0x000A, 0)


def _slides(*, has_macros: bool) -> bytes:
    """The head of a presentation (MS-PPT) whose list of projects says whether there are macros."""
    project = struct.pack("<HHI", 2, 0x0400, 12) + struct.pack("<III", 3, int(has_macros), 2)
    project = struct.pack("<HHI", 0x1F, 0x03FF, len(project)) + project
    lists = struct.pack("<HHI", 0xF, 0x07D0, len(project)) + project
    return struct.pack("<HHI", 0xF, 0x03E8, len(lists)) + lists


def old_office(extension: str) -> bytes:
    """A `.doc`, `.xls`, `.ppt` or `.pps` without macros, as far as its directory and its first records go."""
    return compound({
        "doc": {"WordDocument": b"\xec\xa5\xc1\0", "1Table": b"\0"},
        "xls": {"Workbook": _workbook(0)},
        "ppt": {"PowerPoint Document": _slides(has_macros=False), "Current User": b"\0"},
        "pps": {"PowerPoint Document": _slides(has_macros=False), "Current User": b"\0"},
    }[extension])  # fmt: skip


# Old documents with macros, wherever the program keeps them.
OLD_MACROS: Final[dict[str, tuple[str, bytes]]] = {
    "of Word": ("doc", compound({"WordDocument": b"\xec\xa5\xc1\0", "Macros": _PROJECT})),
    "of Excel": ("xls", compound({"Workbook": _workbook(0), "_VBA_PROJECT_CUR": _PROJECT})),
    "of Excel 4.0": ("xls", compound({"Workbook": _workbook(1)})),
    "of Excel 5.0": ("xls", compound({"Book": _workbook(0), "_VBA_PROJECT": _PROJECT})),
    "of PowerPoint": ("ppt", compound({"PowerPoint Document": _slides(has_macros=True), "Current User": b"\0"})),
    "of a slide show": ("pps", compound({"PowerPoint Document": _slides(has_macros=True)})),
    "of Word, saved anew after": ("doc", compound({"WordDocument": b"\xec\xa5\xc1\0", "Elders": {"Dieper": _PROJECT}})),
}


def png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixels = chunk(b"IDAT", zlib.compress(b"\0\x80"))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)) + pixels + chunk(b"IEND", b"")


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("brief.txt")
        member.size = len(TEXT)
        archive.addfile(member, io.BytesIO(TEXT.encode()))
    return file.getvalue()


def cabinet() -> bytes:
    """A cabinet (MS-CAB) of one file that is not compressed."""
    folder = struct.pack("<IHH", 36 + 8 + 26, 1, 0)
    file = struct.pack("<IIHHHH", len(TEXT), 0, 0, 0x5CAC, 0x6000, 0x20) + b"brief.txt\0"
    data = struct.pack("<IHH", 0, len(TEXT), len(TEXT)) + TEXT.encode()
    length = 36 + len(folder + file + data)
    head = b"MSCF" + struct.pack("<IIIII", 0, length, 0, 44, 0) + struct.pack("<BBHHHHH", 3, 1, 1, 1, 0, 1, 0)
    return head + folder + file + data


def mail() -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "Anna <anna@zegelpost.example>", "rosa@zorg.example", "Verslag"
    message["Date"], message["Message-ID"] = "Tue, 12 May 2026 12:00:00 +0200", "<1@zegelpost.example>"
    message.set_content(TEXT)
    message.add_alternative(f"<html><body><p>{TEXT}</p></body></html>", subtype="html")
    return message.as_bytes()


def media(brand: bytes) -> bytes:
    """The start of an ISO base media file (ISO/IEC 14496-12): film, sound or a photo, by its brand."""
    return struct.pack(">I", 24) + b"ftyp" + brand + struct.pack(">I", 0) + b"isom" + brand + struct.pack(">I", 8) + b"mdat"


def program() -> bytes:
    """A Windows program (PE) that would do nothing."""
    header = b"MZ" + bytes(58) + struct.pack("<I", 64)
    sections = b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664, 0, 0, 0, 0, 240, 0x22) + struct.pack("<H", 0x20B) + bytes(238)
    return header + sections


PDF: Final = b"%PDF-1.7\n1 0 obj << >> endobj\ntrailer << >>\n%%EOF\n"
JPEG: Final = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffdb004300") + bytes(range(1, 65)) + b"\xff\xd9"
GIF: Final = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;"
TIFF: Final = b"II*\0\x08\0\0\0\x01\0\0\x01\x03\0\x01\0\0\0\x01\0\0\0\0\0\0\0"
RTF: Final = rb"{\rtf1\ansi Beste Rosa}"
HTML: Final = b"<!DOCTYPE html>\n<html><head><title>x</title></head><body><script>alert(1)</script></body></html>\n"
SVG: Final = (
    b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><rect width="1" height="1"/></svg>\n'
)
SHORTCUT: Final = bytes.fromhex("4c0000000114020000000000c000000000000046") + bytes(56)
DICOM: Final = bytes(128) + b"DICM" + b"\x02\0\0\0UL\x04\0" + bytes(4)

# What people send, by the name it has.
REAL: Final[dict[str, bytes]] = {
    **{f"stuk.{extension}": office(extension) for extension in _PARTS},
    **{f"stuk.{extension}": open_document(extension) for extension in _OPEN_DOCUMENT},
    **{f"stuk.{extension}": old_office(extension) for extension in ("doc", "xls", "ppt", "pps")},
    "leeg.doc": compound(),
    "stuk.msg": compound(),
    "stuk.pdf": PDF,
    "stuk.rtf": RTF,
    "stuk.txt": TEXT.encode(),
    "latin.txt": "Café, geëvalueerd\r\n".encode("latin-1"),
    "wide.txt": TEXT.encode("utf-16"),
    "stuk.csv": b"naam;bedrag\r\nVisser;12,50\r\nJansen;7,00\r\n",
    "stuk.eml": mail(),
    "stuk.png": png(),
    "stuk.gif": GIF,
    "stuk.jpg": JPEG,
    "stuk.jpeg": JPEG,
    "stuk.tif": TIFF,
    "stuk.tiff": TIFF,
    "stuk.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n%%EOF\n",
    "stuk.heic": media(b"heic"),
    "stuk.mp4": media(b"mp42"),
    "stuk.m4a": media(b"M4A "),
    "stuk.mp3": b"ID3\x04\0\0\0\0\0\0" + b"\xff\xfb\x90\x64" + bytes(413),
    "stuk.dcm": DICOM,
    "stuk.zip": zipped({"brief.txt": TEXT}),
    "leeg.zip": zipped({}),
    "office.zip": office("docx"),
    "stuk.gz": gzip.compress(TEXT.encode(), mtime=0),
    "stuk.gzip": gzip.compress(TEXT.encode(), mtime=0),
    "stuk.tgz": gzip.compress(tarred(), mtime=0),
    "stuk.bz2": bz2.compress(TEXT.encode()),
    "stuk.bzip2": bz2.compress(TEXT.encode()),
    "stuk.lzma": lzma.compress(TEXT.encode(), lzma.FORMAT_ALONE),
    "stuk.z": b"\x1f\x9d\x90" + bytes(20),
    "stuk.7z": b"7z\xbc\xaf\x27\x1c\0\x04" + bytes(24),
    "stuk.rar": b"Rar!\x1a\x07\x01\0" + bytes(20),
    "stuk.cab": cabinet(),
}
