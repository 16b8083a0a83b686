"""Inspecting: whether a document's content is what its name says."""

from __future__ import annotations

import io
from typing import Final

import magic

from zegelpost.model.file_name import FileName
from zegelpost.model.refusals import ContentMismatch, MacroDocument
from zegelpost.sealing.document import DocumentReader
from zegelpost.services.finding_macros import COMPOUND, Unreadable, holds_macros

_LOOKED_AT: Final = 64 * 1024  # bytes that libmagic sees; compound documents name themselves well within these

# Content that no name makes acceptable: programs, scripts and web pages, which act when they are opened.
_ACTIVE: Final = frozenset({
    "application/x-dosexec", "application/vnd.microsoft.portable-executable", "application/x-executable",
    "application/x-pie-executable", "application/x-sharedlib", "application/x-mach-binary", "application/x-msdownload",
    "application/java-archive", "application/x-java-applet", "application/x-ms-shortcut", "text/x-shellscript",
    "text/x-msdos-batch", "text/html", "image/svg+xml", "application/x-shockwave-flash",
})  # fmt: skip
# libmagic calls this also whatever begins with one of a few common bytes, as old COM programs did: one in eighty of all
# compressed or encrypted documents. Those programs have run on no computer for twenty years.
_DOS: Final = "application/x-dosexec"
_OOXML: Final = frozenset({"docx", "xlsx", "pptx", "ppsx"})
_OLD_OFFICE: Final = frozenset({"doc", "xls", "ppt", "pps"})
_ZIPPED: Final = ("application/zip", "application/octet-stream")
_OLE: Final = ("application/x-ole-storage", "application/cdfv2", "application/octet-stream")
_TEXT: Final = ("text/", "application/json", "application/csv", "application/octet-stream", "message/", "application/mbox")

# What libmagic may call the content of a name; prefixes where they end in a slash. Names that are not here hold too many
# forms for libmagic to tell apart (dcm, heic on old databases, 7z volumes); there only active content is refused.
_EXPECTED: Final[dict[str, tuple[str, ...]]] = {
    "pdf": ("application/pdf",),
    "gif": ("image/gif",),
    "jpeg": ("image/jpeg",),
    "jpg": ("image/jpeg",),
    "png": ("image/png",),
    "tif": ("image/tiff",),
    "tiff": ("image/tiff",),
    "eps": ("application/postscript", "image/x-eps", "application/eps", "image/"),
    "doc": ("application/msword", "text/rtf", *_OLE),
    "xls": ("application/vnd.ms-excel", "application/vnd.ms-office", *_OLE),
    "ppt": ("application/vnd.ms-powerpoint", "application/vnd.ms-office", *_OLE),
    "pps": ("application/vnd.ms-powerpoint", "application/vnd.ms-office", *_OLE),
    "msg": ("application/vnd.ms-outlook", "application/vnd.ms-office", *_OLE),
    "docx": ("application/vnd.openxmlformats-officedocument.", *_ZIPPED, *_OLE),
    "xlsx": ("application/vnd.openxmlformats-officedocument.", *_ZIPPED, *_OLE),
    "pptx": ("application/vnd.openxmlformats-officedocument.", *_ZIPPED, *_OLE),
    "ppsx": ("application/vnd.openxmlformats-officedocument.", *_ZIPPED, *_OLE),
    "odt": ("application/vnd.oasis.opendocument.", *_ZIPPED),
    "ods": ("application/vnd.oasis.opendocument.", *_ZIPPED),
    "odp": ("application/vnd.oasis.opendocument.", *_ZIPPED),
    "zip": ("application/zip", "application/vnd.", "application/epub+zip", "application/octet-stream"),
    "rar": ("application/x-rar", "application/vnd.rar"),
    "7z": ("application/x-7z-compressed",),
    "gz": ("application/gzip", "application/x-gzip"),
    "gzip": ("application/gzip", "application/x-gzip"),
    "tgz": ("application/gzip", "application/x-gzip"),
    "bz2": ("application/x-bzip2",),
    "bzip2": ("application/x-bzip2",),
    "cab": ("application/vnd.ms-cab-compressed", "application/x-installshield"),
    "rtf": ("text/rtf", "application/rtf"),
    "txt": _TEXT,
    "csv": _TEXT,
    "eml": _TEXT,
    "mp3": ("audio/", "application/octet-stream"),
    "m4a": ("audio/", "video/"),
    "mp4": ("video/", "audio/"),
    "heic": ("image/heic", "image/heif", "application/octet-stream"),
}


def inspect(name: FileName, document: DocumentReader) -> None:
    """Raise `ContentMismatch` when the bytes contradict the name, `MacroDocument` when a name without macros hides some.

    An empty document has no content that could contradict anything.
    """
    if document.total_bytes == 0:
        return
    head = b"".join(document.read_range(0, min(_LOOKED_AT, document.total_bytes)))
    kind = magic.from_buffer(head, mime=True).lower()
    expected = _EXPECTED.get(name.extension)
    if kind == _DOS and not head.startswith(b"MZ"):
        kind = "application/octet-stream"
    if kind in _ACTIVE:
        raise ContentMismatch(extension=name.extension)
    if expected is not None and not kind.startswith(expected):
        raise ContentMismatch(extension=name.extension)
    if name.extension in _OOXML or (name.extension in _OLD_OFFICE and head.startswith(COMPOUND)):
        try:
            has_macros = holds_macros(io.BufferedReader(_SeekableDocument(document)))
        except Unreadable:
            raise ContentMismatch(extension=name.extension) from None
        if has_macros:
            raise MacroDocument


class _SeekableDocument(io.RawIOBase):
    """A sealed document as a file that can be read from any place, for readers of zip and compound files."""

    def __init__(self, document: DocumentReader) -> None:
        self._document = document
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._document.total_bytes}[whence]
        if base + offset < 0:
            raise ValueError("before the start")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        stop = min(self._position + len(buffer), self._document.total_bytes)
        if stop <= self._position:
            return 0
        data = b"".join(self._document.read_range(self._position, stop))
        buffer[: len(data)] = data
        self._position = stop
        return len(data)
