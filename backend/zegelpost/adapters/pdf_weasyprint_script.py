"""Runs in a process of its own: the document as JSON on standard input becomes a PDF on standard output.

1. Limit memory, before anything is read.
2. Load the engine, then close the way out: no socket and no other process from here on.
3. Print, with a fetcher that refuses every address; only the attachment is added.
"""

from __future__ import annotations

import json
import re
import resource
import sys
from typing import Any

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


def main() -> None:
    # 1.
    asked = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_AS, (asked["memory_bytes"], asked["memory_bytes"]))
    # 2.
    from weasyprint import CSS, HTML, Attachment  # type: ignore[import-untyped]  # noqa: PLC0415 - not before the limit
    from weasyprint.urls import URLFetcher  # type: ignore[import-untyped]  # noqa: PLC0415

    class NoFetcher(URLFetcher):  # type: ignore[misc]  # WeasyPrint has no types
        def fetch(self, *_: object) -> Any:
            raise PermissionError("a report holds all that it needs")

    sys.addaudithook(close_the_way_out)
    # 3.
    document = asked["document"]
    fetcher = NoFetcher()
    attachment = Attachment(
        string=document["attachment"].encode(), name=document["attachment_name"], relationship="Data", url_fetcher=fetcher
    )
    style = CSS(string=page_style(document), url_fetcher=fetcher)
    # Attachments that the markup asks for go through the fetcher too.
    printed = HTML(string=document["html"], url_fetcher=fetcher).render(stylesheets=[style], pdf_variant="pdf/a-3a")
    printed.metadata.title = document["title"]
    pdf = printed.write_pdf(attachments=[attachment], pdf_variant="pdf/a-3a")
    sys.stdout.buffer.write(pdf)


if __name__ == "__main__":
    main()
