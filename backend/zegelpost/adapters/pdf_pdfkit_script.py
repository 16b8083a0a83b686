"""Runs in a process of its own: the document as JSON on standard input becomes a PDF on standard output.

1. Limit memory, also of wkhtmltopdf, which is started from here.
2. Print on one page as long as it takes, to measure what may not be cut in two. Debian's build cuts rows in two at the end of a
   page, leaves headings alone there, and does not repeat the heads of tables.
3. Decide where pages begin, and print on A4, with everything shut that could fetch or run something.
4. Stamp header, footer and page numbers, because that build leaves those out without a word.
5. Add what it cannot: title, language and the attachment.
"""

from __future__ import annotations

import copy
import html
import io
import json
import resource
import secrets
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_MILLIMETRE = 72 / 25.4  # points
_HEIGHT, _TOP, _BOTTOM = 297, 25, 22  # millimetres: of A4, and of its margins, in which header and footer stand
_LONGEST = 200_000  # millimetres of page to measure on; what is further down is not measured, and breaks where it breaks
# Points that are left free on each page: lengths are rounded to pixels, and what stands around a table is not measured.
_SLACK = 6.0
_STRIP, _STRIP_TOP = 13, 10  # millimetres: height of a header or footer, and how far from the top of its margin it stands
# Colours that we never use, one for each thing that is measured: `#c00001` and so on. There are four million.
_FIRST_COLOUR = 0xC00001
# Debian's build prints a point as three quarters of one, whatever its option `zoom` says.
_ZOOM = "body { zoom: 1.32 }"
_MENDED = (
    f"{_ZOOM} thead, tbody {{ display: block }}"
    "tr { display: table; table-layout: fixed; width: 100%; page-break-inside: avoid }"
    ".zp-begins { margin-top: 0 !important; page-break-before: always }"
)
_STRIPS_STYLE = (
    '.zp-strip { color: #444; font: 8pt "Liberation Sans", "DejaVu Sans", sans-serif; page-break-before: always }'
    ".zp-strip table { border-spacing: 0; table-layout: fixed; width: 100% }"
    ".zp-strip td { border: 0; padding: 0; vertical-align: top; width: 50%; word-wrap: break-word }"
    ".zp-strip td + td { padding-left: 3mm; text-align: right }"
)
_LOCKED: dict[str, str] = {
    "encoding": "UTF-8",
    "quiet": "",
    "page-width": "210mm",
    "margin-top": f"{_TOP}mm",
    "margin-bottom": f"{_BOTTOM}mm",
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


@dataclass(frozen=True)
class Block:
    """What is never cut in two: a row of a table, or whatever else stands in the page. In points, downwards."""

    element: Any
    top: float
    bottom: float
    head: float = 0.0  # height of the head of its table, which comes again above it on a new page
    leads: bool = False  # never the last on a page: headings, and heads of tables


def printed(program: str, tree: Any, height: int) -> Any:
    """One run of wkhtmltopdf on pages of `height` millimetres."""
    import pdfkit  # type: ignore[import-untyped]  # noqa: PLC0415 - not before the limit
    import pikepdf  # noqa: PLC0415
    from lxml.html import tostring  # type: ignore[import-untyped]  # noqa: PLC0415

    page = tostring(tree, doctype="<!doctype html>", encoding="unicode")
    # pdfkit turns `<meta name="pdfkit-…">` in a document into options of the program (compare CVE-2025-26240). It does not
    # look in files, and with a prefix that nobody knows it would find nothing.
    configuration = pdfkit.configuration(wkhtmltopdf=program, meta_tag_prefix=secrets.token_hex())
    options = {**_LOCKED, "page-height": f"{height}mm"}
    pdf = pdfkit.from_file(io.StringIO(page), False, options=options, configuration=configuration)
    if not isinstance(pdf, bytes) or not pdf.startswith(b"%PDF-"):
        raise RuntimeError("wkhtmltopdf made nothing")  # it does so with status 0, too
    return pikepdf.open(io.BytesIO(pdf))


# 2.


def parts(body: Any) -> Iterator[Any]:
    """What is measured: rows, and what stands in the page next to tables."""
    for child in body.iterchildren("*"):
        yield from child.xpath("./tr | ./*/tr") if child.tag == "table" else [child]


def coloured(number: int) -> str:
    return f"; background: #{_FIRST_COLOUR + number:06x} !important"


def measured(program: str, tree: Any) -> list[Block]:
    """Each part with its place on a page without end. What shows nothing has no place and is left out."""
    painted = copy.deepcopy(tree)
    for number, part in enumerate(parts(painted.body)):
        part.set("style", part.get("style", "") + coloured(number))
    pdf = printed(program, painted, _LONGEST)  # held on to: its page is a view into it
    places = dict(rectangles(pdf.pages[0]))
    found = [(part, *places[number]) for number, part in enumerate(parts(tree.body)) if number in places]
    heads: dict[Any, float] = {}
    for part, top, bottom in found:
        if part.getparent().tag == "thead":
            table = part.getparent().getparent()
            heads[table] = heads.get(table, 0.0) + bottom - top
    return [Block(part, top, bottom, *_role(part, heads)) for part, top, bottom in found]


def _role(part: Any, heads: dict[Any, float]) -> tuple[float, bool]:
    if part.tag != "tr":
        return 0.0, part.tag in {"h1", "h2", "h3"}
    if part.getparent().tag == "thead":
        return 0.0, True
    return heads.get(table_of(part), 0.0), False


def table_of(row: Any) -> Any:
    return next(row.iterancestors("table"))


def rectangles(page: Any) -> Iterator[tuple[int, tuple[float, float]]]:
    """Top and bottom of everything that is filled with a colour of ours, in points from the top of the page."""
    import pikepdf  # noqa: PLC0415

    height = float(page.mediabox[3])
    matrix, fill = pikepdf.Matrix(), -1
    stack, box = [(matrix, fill)], None
    for instruction in pikepdf.parse_content_stream(page, "q Q cm scn re f"):
        operands: Any = instruction.operands
        match str(instruction.operator):
            case "q":
                stack.append((matrix, fill))
            case "Q":
                matrix, fill = stack.pop()
            case "cm":
                matrix = pikepdf.Matrix(*(float(operand) for operand in operands)) @ matrix
            case "scn" if len(operands) == 3:  # noqa: PLR2004 - red, green and blue
                red, green, blue = (round(float(operand) * 255) for operand in operands)
                fill = (red << 16 | green << 8 | blue) - _FIRST_COLOUR
            case "re":
                box = [float(operand) for operand in operands]
            case "f" if box is not None and fill >= 0:
                left, top, width, deep = box
                corners = [matrix.transform((left, top)), matrix.transform((left + width, top + deep))]
                heights = [height - corner[1] for corner in corners]
                yield fill, (min(heights), max(heights))


# 3.


def beginnings(blocks: Sequence[Block], room: float) -> list[Block]:
    """What begins a page, after the first. A heading goes along to the page of what it leads to."""
    found, first, head, page_top = [], 0, 0.0, _TOP * _MILLIMETRE
    for number, block in enumerate(blocks):
        if number == first or head + block.bottom - page_top <= room:
            continue
        start = number
        while start > first + 1 and blocks[start - 1].leads:
            start -= 1
        first, head, page_top = start, blocks[start].head, blocks[start].top
        found.append(blocks[start])
    return found


def begin_page(part: Any) -> None:
    """Mark what begins a page. A table that goes on there becomes another one, with the same head."""
    if part.tag == "tr":
        part = table_of(part) if part.getparent().tag == "thead" else other_table(part)
    part.set("class", f"{part.get('class', '')} zp-begins")


def other_table(row: Any) -> Any:
    """Move a row and all that follow it to a table of their own; returns that."""
    table, group = table_of(row), row.getparent()
    other, rest = table.makeelement(table.tag, dict(table.attrib)), group.makeelement(group.tag, dict(group.attrib))
    other.set("class", other.get("class", "").replace("zp-begins", ""))
    for head in table.findall("thead"):
        other.append(copy.deepcopy(head))
    following = list(row.itersiblings())
    after = [] if group is table else list(group.itersiblings())
    rest.extend([row, *following])
    if group is table:
        other.extend(list(rest))
    else:
        other.extend([rest, *after])
    other.tail, table.tail = table.tail, None
    table.addnext(other)
    return other


# 4.


def strips(document: dict[str, Any], page_count: int) -> str:
    """The header, and for each page its footer; each at the top of a page of its own, to be put where it belongs."""
    footers = [
        (document["footer_start"], document["page_words"].replace("{pages}", str(page_count)).replace("{page}", str(number)))
        for number in range(1, page_count + 1)
    ]
    return "".join(
        f'<div class="zp-strip"><table><tr><td>{html.escape(start)}</td><td>{html.escape(end)}</td></tr></table></div>'
        for start, end in [(document["header_start"], document["header_end"]), *footers]
    )


def with_strips(program: str, tree: Any, document: dict[str, Any], page_count: int) -> tuple[Any, int]:
    """The pages with all strips behind them, and how many are pages. Printed again when it were not as many as was thought."""
    from lxml.html import fragments_fromstring  # noqa: PLC0415

    while True:
        whole = copy.deepcopy(tree)
        whole.body.extend(fragments_fromstring(strips(document, page_count)))
        pdf = printed(program, whole, _HEIGHT)
        came = len(pdf.pages) - 1 - page_count
        if came == page_count:
            return pdf, page_count
        page_count = came


def stamp(pdf: Any, page_count: int) -> None:
    """Move the strips from the pages at the end to the margins of those before."""
    import pikepdf  # noqa: PLC0415

    left, bottom, right, top = (float(edge) for edge in pdf.pages[0].mediabox)
    high = _STRIP * _MILLIMETRE
    for strip in pdf.pages[page_count:]:
        # Pages of wkhtmltopdf are white, not transparent: a stamp may be no larger than where it goes.
        strip.mediabox = pikepdf.Array([left, top - _TOP * _MILLIMETRE - high, right, top - _TOP * _MILLIMETRE])
    header_top, footer_top = top - _STRIP_TOP * _MILLIMETRE, bottom + (_BOTTOM - _STRIP_TOP) * _MILLIMETRE
    for number in range(page_count):
        page, footer = pdf.pages[number], pdf.pages[page_count + 1 + number]
        page.add_overlay(pdf.pages[page_count], pikepdf.Rectangle(left, header_top - high, right, header_top))
        page.add_overlay(footer, pikepdf.Rectangle(left, footer_top - high, right, footer_top))
    del pdf.pages[page_count:]


# 5.


def add_facts(pdf: Any, document: dict[str, Any]) -> None:
    """Title, language and the attachment."""
    import pikepdf  # noqa: PLC0415

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
        description=document["title"],
        mime_type="application/json",
        relationship=pikepdf.Name.Data,
    )
    pdf.attachments[document["attachment_name"]] = attached
    pdf.Root["/AF"] = pikepdf.Array([attached.obj])


def main() -> None:
    # 1.
    asked = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_AS, (asked["memory_bytes"], asked["memory_bytes"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold the document
    from lxml.html import document_fromstring, fragment_fromstring  # noqa: PLC0415

    document, program = asked["document"], asked["options"]["program"]
    tree = document_fromstring(document["html"])
    tree.head.append(fragment_fromstring(f"<style>{_MENDED}{_STRIPS_STYLE}</style>"))
    # 2.
    blocks = measured(program, tree)
    # 3.
    starts = beginnings(blocks, (_HEIGHT - _TOP - _BOTTOM) * _MILLIMETRE - _SLACK)
    for block in starts:
        begin_page(block.element)
    pdf, page_count = with_strips(program, tree, document, len(starts) + 1)
    # 4.
    stamp(pdf, page_count)
    # 5.
    add_facts(pdf, document)
    finished = io.BytesIO()
    pdf.save(finished)
    sys.stdout.buffer.write(finished.getvalue())


if __name__ == "__main__":
    main()
