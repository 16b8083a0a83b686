"""Runs in a process of its own: the document as JSON on standard input becomes a PDF on standard output.

1. Limit memory, before anything is read.
2. Load the engine, then close the way out: no socket and no other process from here on.
3. Print, with a fetcher that refuses every address but a picture that is its own; only the attachment is added.
4. Mend what screen readers need and WeasyPrint leaves out, and say that it is PDF/UA-1 (ISO 14289-1) besides PDF/A-3a.
"""

from __future__ import annotations

import base64
import io
import json
import re
import resource
import sys
from collections.abc import Iterator
from typing import Any

_OWN_PICTURE = "data:image/png;base64,"  # RFC 2397
_LEAVING = ("socket.", "subprocess.", "os.exec", "os.posix_spawn", "os.fork", "os.system", "urllib.")


def close_the_way_out(event: str, _: tuple[object, ...]) -> None:
    """Audit hook (PEP 578); it cannot be taken away again."""
    if event.startswith(_LEAVING):
        raise PermissionError(f"{event} while printing")


def css_string(text: str) -> str:
    """A CSS string that says `text` and cannot end early: everything but letters, digits and spaces is escaped."""
    return '"' + re.sub(r"[^\w ]|_", lambda found: f"\\{ord(found[0]):06x}", text) + '"'


def page_style(document: dict[str, Any]) -> str:
    """Header, footer and page numbers."""
    pieces = re.split(r"(\{pages?\})", document["page_words"])
    words = [f"counter({piece[1:-1]})" if piece in {"{page}", "{pages}"} else css_string(piece) for piece in pieces]
    return f"""
        @page {{
          size: A4; margin: 25mm 16mm 22mm;
          font: 8pt "Liberation Sans", "DejaVu Sans", sans-serif; color: #444; overflow-wrap: anywhere;
          @top-left {{ content: {css_string(document["header_start"])}; width: 55%; text-align: left }}
          @top-right {{ content: {css_string(document["header_end"])}; width: 45%; text-align: right }}
          @bottom-left {{ content: {css_string(document["footer_start"])}; width: 75%; text-align: left }}
          @bottom-right {{ content: {" ".join(words)}; width: 25%; text-align: right }}
        }}"""


# 4.

# PDF/A wants every property that it does not know itself described (ISO 19005-3, 6.6.2.3).
_PDF_UA = b"""
<rdf:Description rdf:about="" xmlns:pdfuaid="http://www.aiim.org/pdfua/ns/id/"><pdfuaid:part>1</pdfuaid:part></rdf:Description>
<rdf:Description rdf:about="" xmlns:pdfaExtension="http://www.aiim.org/pdfa/ns/extension/"
  xmlns:pdfaSchema="http://www.aiim.org/pdfa/ns/schema#" xmlns:pdfaProperty="http://www.aiim.org/pdfa/ns/property#">
<pdfaExtension:schemas><rdf:Bag><rdf:li rdf:parseType="Resource">
<pdfaSchema:schema>PDF/UA Universal Accessibility Schema</pdfaSchema:schema>
<pdfaSchema:namespaceURI>http://www.aiim.org/pdfua/ns/id/</pdfaSchema:namespaceURI>
<pdfaSchema:prefix>pdfuaid</pdfaSchema:prefix>
<pdfaSchema:property><rdf:Seq><rdf:li rdf:parseType="Resource">
<pdfaProperty:name>part</pdfaProperty:name><pdfaProperty:valueType>Integer</pdfaProperty:valueType>
<pdfaProperty:category>internal</pdfaProperty:category>
<pdfaProperty:description>The part of ISO 14289 that the file follows</pdfaProperty:description>
</rdf:li></rdf:Seq></pdfaSchema:property>
</rdf:li></rdf:Bag></pdfaExtension:schemas></rdf:Description>
"""


def elements(parent: Any) -> Iterator[Any]:
    """All structure elements under this one, in the order of reading."""
    for kid in kids(parent):
        if not isinstance(kid, int):
            yield kid
            yield from elements(kid)


def kids(parent: Any) -> list[Any]:
    import pikepdf  # noqa: PLC0415 - not before the limit

    found = parent.get("/K", [])
    return list(found) if isinstance(found, pikepdf.Array) else [found]


def name_headers(pdf: Any) -> None:
    """Say of each head of a table whether it is that of a column or of a row, and where identifiers lead."""
    import pikepdf  # noqa: PLC0415

    identifiers = pikepdf.NameTree.new(pdf)
    for element in elements(pdf.Root.StructTreeRoot):
        if element.S == pikepdf.Name.TH:
            is_column = pikepdf.Name.THead == element.P.P.S
            element.A.Scope = pikepdf.Name.Column if is_column else pikepdf.Name.Row
        if "/ID" in element:
            identifiers[str(element.ID)] = element
    pdf.Root.StructTreeRoot.IDTree = identifiers.obj


def set_margins_aside(pdf: Any) -> None:
    """Header and footer are tagged as text, under nothing. As artifacts, screen readers do not read them on every page."""
    import pikepdf  # noqa: PLC0415

    read: dict[Any, set[int]] = {}
    for element in elements(pdf.Root.StructTreeRoot):
        read.setdefault(element.Pg.objgen if "/Pg" in element else None, set()).update(
            kid for kid in kids(element) if isinstance(kid, int)
        )
    parents = pikepdf.NumberTree(pdf.Root.StructTreeRoot.ParentTree)
    artifact = pikepdf.Dictionary(Type=pikepdf.Name.Pagination)
    for page in pdf.pages:
        mine, changed = read.get(page.obj.objgen, set()), []
        for instruction in pikepdf.parse_content_stream(page):
            operands: Any = instruction.operands
            if str(instruction.operator) == "BDC" and (mcid := operands[1].get("/MCID")) is not None and mcid not in mine:
                parents[page.StructParents][int(mcid)] = None
                changed.append(([pikepdf.Name.Artifact, artifact], instruction.operator))
            else:
                changed.append((operands, instruction.operator))
        page.Contents = pdf.make_stream(pikepdf.unparse_content_stream(changed))


def mended(made: bytes) -> bytes:
    """The same pages for screen readers."""
    import pikepdf  # noqa: PLC0415

    pdf = pikepdf.open(io.BytesIO(made))
    name_headers(pdf)
    set_margins_aside(pdf)
    for picture in pdf.objects:
        # What a reader makes up between dots is no part of an archive (ISO 19005-3, 6.2.8.1).
        if isinstance(picture, pikepdf.Stream) and "/Interpolate" in picture:
            del picture.Interpolate
    metadata = pdf.Root.Metadata.read_bytes().replace(b"</rdf:RDF>", _PDF_UA + b"</rdf:RDF>")
    pdf.Root.Metadata = pdf.make_stream(metadata, Type=pikepdf.Name.Metadata, Subtype=pikepdf.Name.XML)
    pdf.Root.AF = pikepdf.Array([pdf.Root.AF[0]])  # WeasyPrint names the one attachment twice
    finished = io.BytesIO()
    pdf.save(finished)
    return finished.getvalue()


def main() -> None:
    # 1.
    asked = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_AS, (asked["memory_bytes"], asked["memory_bytes"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold the document
    # 2.
    import pikepdf  # noqa: F401, PLC0415 - before the way out is closed
    from weasyprint import CSS, HTML, Attachment  # type: ignore[import-untyped]  # noqa: PLC0415 - not before the limit
    from weasyprint.urls import URLFetcher, URLFetcherResponse  # type: ignore[import-untyped]  # noqa: PLC0415

    class NoFetcher(URLFetcher):  # type: ignore[misc]  # WeasyPrint has no types
        def fetch(self, url: str, *_: object) -> Any:
            if not url.startswith(_OWN_PICTURE):
                raise PermissionError("a report holds all that it needs")
            content = base64.b64decode(url.removeprefix(_OWN_PICTURE), validate=True)
            return URLFetcherResponse(url, content, {"Content-Type": "image/png"})

    sys.addaudithook(close_the_way_out)
    # 3.
    document = asked["document"]
    fetcher = NoFetcher()
    attachment = Attachment(
        string=document["attachment"].encode(),
        name=document["attachment_name"],
        description=document["title"],
        relationship="Data",
        url_fetcher=fetcher,
    )
    style = CSS(string=page_style(document), url_fetcher=fetcher)
    # Attachments that the markup asks for go through the fetcher too.
    printed = HTML(string=document["html"], url_fetcher=fetcher).render(stylesheets=[style], pdf_variant="pdf/a-3a")
    printed.metadata.title = document["title"]
    pdf = printed.write_pdf(attachments=[attachment], pdf_variant="pdf/a-3a")
    # 4.
    sys.stdout.buffer.write(mended(pdf))


if __name__ == "__main__":
    main()
