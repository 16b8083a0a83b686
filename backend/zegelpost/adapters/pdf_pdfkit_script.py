"""Runs in a process of its own: the document as JSON on standard input becomes a PDF on standard output.

1. Limit memory, also of wkhtmltopdf, which is started from here.
2. Print the document, with everything shut that could fetch or run something.
3. Stamp header, footer and page numbers, because Debian's build leaves those out without a word.
4. Add what it cannot: title, language and the attachment.
"""

from __future__ import annotations

import html
import io
import json
import resource
import secrets
import sys
from typing import Any

_MILLIMETRE = 72 / 25.4  # points
_TOP, _BOTTOM = 25, 22  # millimetres of margin, in which header and footer stand
# Debian's build prints a point as three quarters of one, whatever its option `zoom` says; and it cuts rows of tables in two at
# the end of a page, but leaves blocks whole. A heading takes along room for what comes under it by being that much taller.
_ZOOM = "body { zoom: 1.32 }"
_MENDED = f"""<style>{_ZOOM} thead, tbody {{ display: block }}
tr {{ display: table; table-layout: fixed; width: 100%; page-break-inside: avoid }}
h2 {{ page-break-inside: avoid }} h2:after {{ content: ""; display: block; height: 20mm; margin-bottom: -20mm }}</style></head>"""
_STRIP_TOP = 10  # millimetres from the top of a strip to its text
_LOCKED: dict[str, str] = {
    "encoding": "UTF-8",
    "quiet": "",
    "page-size": "A4",
    "margin-left": "16mm",
    "margin-right": "16mm",
    "disable-javascript": "",
    "disable-plugins": "",
    "disable-local-file-access": "",
    "disable-external-links": "",
    "disable-internal-links": "",
    # The discard port: what would be fetched all the same gets nowhere.
    "proxy": "http://127.0.0.1:9",
    "load-error-handling": "ignore",
    "load-media-error-handling": "ignore",
}


def printed(program: str, page: str, top: int, bottom: int) -> bytes:
    """One run of wkhtmltopdf; margins in millimetres."""
    import pdfkit  # type: ignore[import-untyped]  # noqa: PLC0415 - not before the limit

    # pdfkit turns `<meta name="pdfkit-…">` in a document into options of the program (compare CVE-2025-26240). It does not
    # look in files, and with a prefix that nobody knows it would find nothing.
    configuration = pdfkit.configuration(wkhtmltopdf=program, meta_tag_prefix=secrets.token_hex())
    options = {**_LOCKED, "margin-top": f"{top}mm", "margin-bottom": f"{bottom}mm"}
    pdf = pdfkit.from_file(io.StringIO(page), False, options=options, configuration=configuration)
    if not isinstance(pdf, bytes) or not pdf.startswith(b"%PDF-"):
        raise RuntimeError("wkhtmltopdf made nothing")  # it does so with status 0, too
    return pdf


def strips(document: dict[str, Any], page_count: int) -> str:
    """A page with the header, and for each page one with its footer; each at the top, to be put where it belongs."""
    footers = [
        (document["footer_start"], document["page_words"].replace("{pages}", str(page_count)).replace("{page}", str(number)))
        for number in range(1, page_count + 1)
    ]
    rows = "".join(
        f'<table><tr><td>{html.escape(start)}</td><td class="end">{html.escape(end)}</td></tr></table>'
        for start, end in [(document["header_start"], document["header_end"]), *footers]
    )
    style = _ZOOM + (
        'body { margin: 0; font: 8pt "Liberation Sans", "DejaVu Sans", sans-serif; color: #444 }'
        "table { border-spacing: 0; page-break-after: always; table-layout: fixed; width: 100% }"
        "td { padding: 0; vertical-align: top; width: 50%; word-wrap: break-word } .end { padding-left: 3mm; text-align: right }"
    )
    return f'<!doctype html><html><head><meta charset="utf-8"><style>{style}</style></head><body>{rows}</body></html>'


def main() -> None:
    # 1.
    asked = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_AS, (asked["memory_bytes"], asked["memory_bytes"]))
    import pikepdf  # noqa: PLC0415 - not before the limit

    document, program = asked["document"], asked["options"]["program"]
    # 2.
    pdf = pikepdf.open(io.BytesIO(printed(program, document["html"].replace("</head>", _MENDED, 1), _TOP, _BOTTOM)))
    # 3.
    stamps = pikepdf.open(io.BytesIO(printed(program, strips(document, len(pdf.pages)), _STRIP_TOP, 0)))
    for number, page in enumerate(pdf.pages, 1):
        left, bottom, right, top = (float(edge) for edge in page.mediabox)
        header, footer = stamps.pages[0], stamps.pages[number]
        # Pages of wkhtmltopdf are white, not transparent: a stamp may be no larger than the margin it goes on.
        header.mediabox = pikepdf.Array([left, top - _TOP * _MILLIMETRE, right, top])
        footer.mediabox = pikepdf.Array([left, top - _BOTTOM * _MILLIMETRE, right, top])
        page.add_overlay(header, pikepdf.Rectangle(left, top - _TOP * _MILLIMETRE, right, top))
        page.add_overlay(footer, pikepdf.Rectangle(left, bottom, right, bottom + _BOTTOM * _MILLIMETRE))
    # 4.
    with pdf.open_metadata() as metadata:
        metadata["dc:title"] = document["title"]
        metadata["dc:language"] = {document["language"]}
    pdf.docinfo["/Title"] = document["title"]
    pdf.Root["/Lang"] = pikepdf.String(document["language"])
    pdf.Root["/ViewerPreferences"] = pikepdf.Dictionary(DisplayDocTitle=True)
    attached = pikepdf.AttachedFileSpec(
        pdf,
        document["attachment"].encode(),
        filename=document["attachment_name"],
        mime_type="application/json",
        relationship=pikepdf.Name.Data,
    )
    pdf.attachments[document["attachment_name"]] = attached
    pdf.Root["/AF"] = pikepdf.Array([attached.obj])
    finished = io.BytesIO()
    pdf.save(finished)
    sys.stdout.buffer.write(finished.getvalue())


if __name__ == "__main__":
    main()
