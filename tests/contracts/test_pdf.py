"""What everything that makes PDFs does: A4 with page numbers and the attachment, and nothing that the markup asks of it."""

from __future__ import annotations

import asyncio
import io
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from PIL import Image

from zegelpost.adapters.pdf_pdfkit import PdfkitPrinter
from zegelpost.adapters.pdf_process import PdfProcess
from zegelpost.adapters.pdf_weasyprint import WeasyPrintPrinter
from zegelpost.model.logo import LogoPicture
from zegelpost.ports import PdfError, PdfPrinter, PrintableDocument

CANARY = "canary-in-a-file"
ROWS = "".join(f"<tr><td>Regel {number}</td><td>Geëerde mevrouw Ž</td></tr>" for number in range(150))
PAGE = '<!doctype html><html lang="nl"><head><meta charset="utf-8"><title>Rapportage</title></head><body>{}</body></html>'
DOCUMENT = PrintableDocument(
    html=PAGE.format(f"<h1>Rapportage</h1><table>{ROWS}</table>"),
    title="Rapportage van één verzending",
    language="nl",
    header_start="Gemeente Voorbeeld",
    header_end='Kenmerk "Ž-1\\',
    footer_start="Gemaakt op 23 november",
    page_words="Pagina {page} van {pages}",
    attachment_name="rapportage.json",
    attachment='{"naam": "Ž"}',
)


@pytest.fixture(params=["pdfkit", "weasyprint"])
def printer(request: pytest.FixtureRequest) -> PdfPrinter:
    return printer_of(request.param)


def printer_of(kind: str, **limits: Any) -> PdfPrinter:
    if kind == "weasyprint":
        assert WeasyPrintPrinter.is_installed()
        return WeasyPrintPrinter(PdfProcess("pdf_weasyprint_script.py", **limits))
    program = PdfkitPrinter.program()
    if program is None:
        pytest.skip("this release has no wkhtmltopdf")
    return PdfkitPrinter(program, PdfProcess("pdf_pdfkit_script.py", **limits))


def words_of(pdf: bytes) -> str:
    """The text as it stands on the pages."""
    text = subprocess.run(["pdftotext", "-layout", "-", "-"], input=pdf, capture_output=True, check=True).stdout
    return " ".join(text.decode().split())


def cells_of(pdf: bytes) -> str:
    """The text cell by cell, where `words_of` goes line by line across columns."""
    text = subprocess.run(["pdftotext", "-raw", "-", "-"], input=pdf, capture_output=True, check=True).stdout
    return " ".join(text.decode().split())


def opened(pdf: bytes) -> pikepdf.Pdf:
    return pikepdf.open(io.BytesIO(pdf))


def attachments_of(pdf: bytes) -> dict[str, bytes]:
    document = opened(pdf)  # held on to: its attachments are views into it, and crash when it has gone
    return {name: attached.get_file().read_bytes() for name, attached in document.attachments.items()}


# What it makes


async def test_pages_are_a4_numbered_and_headed(printer: PdfPrinter) -> None:
    pdf = await printer.print(DOCUMENT)

    document = opened(pdf)
    pages = document.pages
    assert len(pages) > 1
    for page in pages:
        left, bottom, right, top = (float(edge) for edge in page.mediabox)
        assert (round(right - left), round(top - bottom)) == (595, 842)
    text = words_of(pdf)
    for number in range(1, len(pages) + 1):
        assert f"Pagina {number} van {len(pages)}" in text
    for said in ("Gemeente Voorbeeld", 'Kenmerk "Ž-1\\', "Gemaakt op 23 november"):
        assert text.count(said) == len(pages)
    assert [int(number) for number in re.findall(r"Regel (\d+) Geëerde mevrouw Ž", text)] == list(range(150))


async def test_says_its_title_and_language_and_holds_the_attachment(printer: PdfPrinter) -> None:
    made = await printer.print(DOCUMENT)

    pdf = opened(made)
    assert str(pdf.docinfo["/Title"]) == DOCUMENT.title
    assert str(pdf.Root["/Lang"]) == "nl"
    assert attachments_of(made) == {"rapportage.json": DOCUMENT.attachment.encode()}
    assert "rapportage.json" in [str(file["/UF"]) for file in pdf.Root["/AF"].as_list()]


async def test_the_one_for_archives_is_tagged_and_says_so() -> None:
    pdf = opened(await printer_of("weasyprint").print(DOCUMENT))
    with pdf.open_metadata() as metadata:
        assert (metadata["pdfaid:part"], metadata["pdfaid:conformance"]) == ("3", "A")
        assert metadata["pdfuaid:part"] == "1"
    assert bool(pdf.Root["/MarkInfo"]["/Marked"])
    assert bool(pdf.Root["/ViewerPreferences"]["/DisplayDocTitle"])
    assert "/OutputIntents" in pdf.Root
    [file] = pdf.Root["/AF"].as_list()
    assert (str(file["/AFRelationship"]), str(file["/F"]), str(file["/Desc"])) == ("/Data", "rapportage.json", DOCUMENT.title)
    assert str(file["/EF"]["/F"]["/Subtype"]) == "/application/json"
    for found in pdf.objects:
        if isinstance(found, pikepdf.Dictionary) and found.get("/Type") == "/FontDescriptor":
            assert {"/FontFile", "/FontFile2", "/FontFile3"} & set(found.keys()), found


def structure(parent: Any) -> Iterator[tuple[Any, Any]]:
    """Every structure element, or number of a piece of content, with the element that holds it."""
    kids = parent.get("/K", [])
    for kid in list(kids) if isinstance(kids, pikepdf.Array) else [kids]:
        yield parent, kid
        if not isinstance(kid, int):
            yield from structure(kid)


async def test_in_the_one_for_archives_all_content_has_its_place_and_cells_know_their_heads() -> None:
    head = '<thead><tr><th scope="col">Nr.</th><th scope="col">Naam</th></tr></thead>'
    rows = "".join(f'<tr><th scope="row">{number}</th><td>Regel</td></tr>' for number in range(60))
    page = PAGE.format(f"<h1>Rapportage</h1><table>{head}<tbody>{rows}</tbody></table>")
    pdf = opened(await printer_of("weasyprint").print(replace(DOCUMENT, html=page)))
    root = pdf.Root["/StructTreeRoot"]
    told: dict[tuple[int, int], set[int]] = {}
    scopes, identifiers = [], set()
    for parent, kid in structure(root):
        if isinstance(kid, int):
            told.setdefault(parent["/Pg"].objgen, set()).add(kid)
        elif kid["/S"] == "/TH":
            scopes.append(str(kid["/A"]["/Scope"]))
            identifiers.add(str(kid["/ID"]))
    assert scopes.count("/Row") == 60
    assert scopes.count("/Column") == 2 * len(pdf.pages)
    assert set(pikepdf.NameTree(root["/IDTree"])) == identifiers
    margins = 0
    for sheet in pdf.pages:
        open_marks: list[str] = []
        for instruction in pikepdf.parse_content_stream(sheet):
            operands: Any = instruction.operands
            operator = str(instruction.operator)
            match operator:
                case "BMC" | "BDC":
                    mcid = operands[1].get("/MCID") if operator == "BDC" else None
                    assert str(operands[0]) == "/Artifact" if mcid is None else int(mcid) in told[sheet.obj.objgen]
                    margins += operator == "BDC" and mcid is None
                    open_marks.append(str(operands[0]))
                case "EMC":
                    open_marks.pop()
                case "Tj" | "TJ" | "f" | "S" | "B" | "Do":
                    assert open_marks, "painted without a mark"
    assert margins == 4 * len(pdf.pages)


def lines_of(pdf: bytes) -> list[list[str]]:
    """The lines of each page between header and footer."""
    text = subprocess.run(["pdftotext", "-layout", "-", "-"], input=pdf, capture_output=True, check=True).stdout.decode()
    pages = [[" ".join(line.split()) for line in page.splitlines() if line.strip()] for page in text.split("\f")[:-1]]
    for page in pages:
        assert "Gemeente Voorbeeld" in page[0]
        assert "Pagina" in page[-1]
    return [page[1:-1] for page in pages]


def section(number: int, row_count: int) -> str:
    rows = "".join(f"<tr><td>begin {number}-{row}<br>midden<br>eind {number}-{row}</td></tr>" for row in range(row_count))
    return f"<h2>Kop {number}</h2><table><thead><tr><th>Tabelkop {number}</th></tr></thead><tbody>{rows}</tbody></table>"


async def test_rows_are_whole_headings_lead_to_something_and_heads_of_tables_come_again(printer: PdfPrinter) -> None:
    style = "<style>h2 { page-break-after: avoid } thead { display: table-header-group } tr { page-break-inside: avoid }</style>"
    lengths = [3, 4, 5, 6, 7, 8, 9, 40, 1, 2, 11, 12, 13]
    sections = "".join(section(number, length) for number, length in enumerate(lengths))

    pdf = await printer.print(replace(DOCUMENT, html=PAGE.format(sections).replace("</head>", f"{style}</head>")))

    pages = lines_of(pdf)
    assert len(pages) > 6
    for lines in pages:
        assert not lines[-1].startswith(("Kop", "Tabelkop", "begin", "midden")), lines
        assert lines[0].startswith(("Kop", "Tabelkop")), lines
        # Every row stands under the head of its own table.
        under = ""
        for line in lines:
            if found := re.fullmatch(r"Tabelkop (\d+)", line):
                under = found[1]
            if found := re.fullmatch(r"begin (\d+)-\d+", line):
                assert found[1] == under
    said = [line for lines in pages for line in lines]
    for word in ("begin", "eind"):
        expected = [f"{word} {number}-{row}" for number, length in enumerate(lengths) for row in range(length)]
        assert [line for line in said if line.startswith(word)] == expected
    assert [line for line in said if line.startswith("Kop")] == [f"Kop {number}" for number in range(len(lengths))]


async def test_a_row_longer_than_a_page_loses_nothing(printer: PdfPrinter) -> None:
    cell = "<br>".join(f"deel {number}" for number in range(150))
    pdf = await printer.print(replace(DOCUMENT, html=PAGE.format(f"<table><tr><td>{cell}</td></tr></table><p>slot</p>")))
    said = [line for lines in lines_of(pdf) for line in lines]
    assert said == [*(f"deel {number}" for number in range(150)), "slot"]
    assert f"Pagina 1 van {len(opened(pdf).pages)}" in words_of(pdf)


@pytest.mark.parametrize("character", ["Ж", "Ω", "中", "😀", "\U000e0041", "\u202e", "\u200b", "\ue000"])
async def test_what_no_font_draws_and_what_cannot_be_seen_is_printed_as_its_number(printer: PdfPrinter, character: str) -> None:
    pdf = await printer.print(replace(DOCUMENT, html=PAGE.format(f"<p>voor{character}na</p>"), header_end=f"kop{character}x"))
    text = words_of(pdf)
    number = f"[U+{ord(character):04X}]"
    is_seen = unicodedata.category(character) not in {"Cf", "Co"}
    for start, end in (("voor", "na"), ("kop", "x")):
        assert f"{start}{number}{end}" in text or (is_seen and f"{start}{character}{end}" in text), text


async def test_a_picture_of_its_own_is_printed_and_described(printer: PdfPrinter) -> None:
    written = io.BytesIO()
    Image.new("RGBA", (240, 96), (122, 31, 92, 200)).save(written, "PNG")
    picture = LogoPicture("d" * 64, written.getvalue(), 240, 96)
    page = PAGE.format(f'<h1>Rapportage</h1><p><img src="{picture.data_url}" alt="Gemeente Voorbeeld"></p>')

    made = await printer.print(replace(DOCUMENT, html=page))

    pdf = opened(made)
    [drawn] = pdf.pages[0].get_images().values()
    assert (int(drawn.Width), int(drawn.Height)) == (240, 96)
    if "/StructTreeRoot" in pdf.Root:
        kids = [kid for _, kid in structure(pdf.Root.StructTreeRoot) if not isinstance(kid, int)]
        assert [str(kid.Alt) for kid in kids if pikepdf.Name.Figure == kid.S] == ["Gemeente Voorbeeld"]
        assert "/Interpolate" not in drawn
        assert "/Interpolate" not in drawn.SMask


# What it refuses: markup that can only be there when escaping failed


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Hears whoever fetches something."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


HOSTILE = {
    "picture": '<img src="{url}">',
    "picture file": '<img src="{picture}">',
    "style": '<link rel="stylesheet" href="{url}">',
    "import": '<style>@import "{url}"; body {{ background: url({url}) }}</style>',
    "font": "<style>@font-face {{ font-family: x; src: url({url}) }} body {{ font-family: x }}</style>",
    "frame": '<iframe src="{url}" width="500" height="500"></iframe>',
    "frame file": '<iframe src="{file}" width="500" height="500"></iframe>',
    "object": '<object data="{url}"></object><embed src="{url}">',
    "object file": '<object data="{file}"></object><embed src="{file}">',
    "attachment": '<link rel="attachment" href="{url}"><a rel="attachment" href="{url}">x</a>',
    "attachment file": '<link rel="attachment" href="{file}"><a rel="attachment" href="{file}">x</a>',
    "script": "<p id='x'>x</p><script>document.getElementById('x').innerHTML = 'canary-in-' + 'a-file'</script>",
    "script fetch": "<script>var x = new XMLHttpRequest(); x.open('GET', '{url}', false); x.send()</script>",
    "refresh": '<meta http-equiv="refresh" content="0;url={url}">',
    "base": '<base href="{url}"><img src="x">',
    "svg": '<svg><image href="{url}" xlink:href="{url}" width="9" height="9"/></svg>',
    "content": "<style>p:before {{ content: url({picture}) }}</style><p>x</p>",
    "options": '<meta name="pdfkit-allow" content="{folder}"><meta name="pdfkit-enable-local-file-access" content="">'
    '<meta name="pdfkit-cookie-jar" content="{folder}/jar"><iframe src="{file}" width="500" height="500"></iframe>',
}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Files that must not be read, and where nothing must be written."""
    (tmp_path / "secret.txt").write_text(CANARY, encoding="utf-8")
    (tmp_path / "secret.svg").write_text(f"<svg xmlns='http://www.w3.org/2000/svg'><text y='9'>{CANARY}</text></svg>", "utf-8")
    yield tmp_path
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret.svg", "secret.txt"]


@pytest.mark.parametrize("how", HOSTILE)
async def test_fetches_nothing_reads_no_file_and_runs_no_script(
    printer: PdfPrinter, listener: socket.socket, folder: Path, how: str
) -> None:
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
    files = {"file": (folder / "secret.txt").as_uri(), "picture": (folder / "secret.svg").as_uri()}
    markup = HOSTILE[how].format(url=url, folder=folder, **files)
    page = PAGE.format(f"{markup}<p>te lezen</p>").replace("</head>", f"{markup}</head>")

    answer = (await asyncio.gather(printer.print(replace(DOCUMENT, html=page)), return_exceptions=True))[0]

    with pytest.raises(BlockingIOError):
        listener.accept()
    if isinstance(answer, bytes):
        assert CANARY not in words_of(answer)
        assert list(attachments_of(answer)) == ["rapportage.json"]
        assert CANARY.encode() not in b"".join(stream_contents(answer))
    else:
        assert isinstance(answer, PdfError)
        assert CANARY not in answer.reason
        assert str(folder) not in answer.reason


def stream_contents(pdf: bytes) -> Iterator[bytes]:
    document = opened(pdf)
    for found in document.objects:
        if isinstance(found, pikepdf.Stream):
            try:
                yield found.read_bytes()
            except pikepdf.PdfError:
                yield found.read_raw_bytes()


def test_the_listener_hears_whoever_comes(listener: socket.socket) -> None:
    """Else the tests above would also pass when it is deaf."""
    with socket.create_connection(listener.getsockname()):
        listener.accept()[0].close()


@pytest.mark.parametrize("what", ["header_start", "header_end", "footer_start", "page_words", "title"])
async def test_what_stands_around_the_page_is_text_and_never_markup_or_style(
    printer: PdfPrinter, listener: socket.socket, what: str
) -> None:
    port = listener.getsockname()[1]
    hostile = f'"}} @import url(http://127.0.0.1:{port}/); </style><img src=http://127.0.0.1:{port}/>\\'

    pdf = await printer.print(replace(DOCUMENT, html=PAGE.format("x"), **{what: hostile}))

    with pytest.raises(BlockingIOError):
        listener.accept()
    if what != "title":
        assert "</style><img" in words_of(pdf).replace(" ", "")


# When it goes wrong


@pytest.fixture
def printing_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where printers have their home in this test: other tests print at the same time, in processes of their own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def children(printing_below: Path) -> set[str]:
    """Processes that print at this moment, for this test."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words, home = path.read_bytes().split(b"\0"), path.with_name("environ").read_bytes()
        except OSError:
            continue  # ended meanwhile, or somebody else's
        is_printer = any(word.endswith((b"pdf_pdfkit_script.py", b"pdf_weasyprint_script.py")) for word in words)
        if is_printer and f"HOME={printing_below}".encode() in home:
            found.add(path.parent.name)
    return found


@pytest.mark.parametrize("kind", ["pdfkit", "weasyprint"])
async def test_what_takes_too_long_is_ended_with_all_that_it_started(kind: str, printing_below: Path) -> None:
    slow = printer_of(kind, timeout_seconds=0.3)

    with pytest.raises(PdfError) as caught:
        await slow.print(replace(DOCUMENT, html=PAGE.format(f"<table>{ROWS * 40}</table>")))

    assert not caught.value.is_permanent
    assert children(printing_below) == set()


@pytest.mark.parametrize("kind", ["pdfkit", "weasyprint"])
async def test_what_takes_too_much_memory_is_refused(kind: str) -> None:
    with pytest.raises(PdfError) as caught:
        await printer_of(kind, memory_bytes=60 * 1024**2).print(DOCUMENT)
    assert caught.value.is_permanent


async def test_who_goes_away_leaves_no_process(printer: PdfPrinter, printing_below: Path) -> None:
    task = asyncio.create_task(printer.print(replace(DOCUMENT, html=PAGE.format(f"<table>{ROWS * 40}</table>"))))
    while not children(printing_below):
        assert not task.done()
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert children(printing_below) == set()


async def test_gets_nothing_of_our_environment(printer: PdfPrinter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any Python that looks at PYTHONPATH would load this in place of the standard module, and end."""
    (tmp_path / "json.py").write_text("raise SystemExit(1)", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    looking = await asyncio.create_subprocess_exec(sys.executable, "-c", "import json")
    assert await looking.wait() == 1

    assert (await printer.print(DOCUMENT)).startswith(b"%PDF-")


async def test_a_program_that_is_not_there_is_an_outage() -> None:
    if shutil.which("wkhtmltopdf") is None:
        pytest.skip("this release has no wkhtmltopdf")
    with pytest.raises(PdfError):
        await PdfkitPrinter("/nowhere/wkhtmltopdf").print(DOCUMENT)
