from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zegelpost.model.file_name import FileName
from zegelpost.model.refusals import FileNameInvalid


@pytest.mark.parametrize(
    ("given_name", "harmless"),
    [
        ("verslag 2026.pdf", "verslag 2026.pdf"),
        ("Überprüfung, concept (2).docx", "Überprüfung, concept (2).docx"),
        ("e\u0301tude.pdf", "étude.pdf"),
        # Paths.
        ("../../etc/passwd", "passwd"),
        ("..\\..\\windows\\system32\\drivers.sys", "drivers.sys"),
        ("C:\\Users\\rosa\\scan.pdf", "scan.pdf"),
        ("C:scan.pdf", "C_scan.pdf"),
        ("\\\\server\\share\\scan.pdf", "scan.pdf"),
        ("/scan.pdf", "scan.pdf"),
        ("..scan.pdf", "_scan.pdf"),
        ("scan.pdf::$DATA", "scan.pdf__$DATA"),
        ("https://evil.example/a?b=c.pdf", "a_b=c.pdf"),
        # What hides.
        ("scan\u202efdp.exe", "scanfdp.exe"),
        ("scan.p\u200bdf", "scan.pdf"),
        ("\ufeffscan.pdf", "scan.pdf"),
        ("scan\x00.pdf", "scan.pdf"),
        ("scan.exe\x00.pdf", "scan.exe.pdf"),
        ("scan\r\nX-Header: 1.pdf", "scanX-Header_ 1.pdf"),
        ("scan\u2028.pdf", "scan.pdf"),
        ("\ud800scan.pdf", "scan.pdf"),
        ("scan\u3164.pdf", "scan.pdf"),
        ("  scan   nieuw .pdf", "scan nieuw .pdf"),
        # What some system treats specially.
        (".htaccess", "_htaccess"),
        ("...pdf", "_pdf"),
        ("scan.pdf.", "scan.pdf"),
        ("scan.exe. . .", "scan.exe"),
        ("nul", "_nul"),
        ("CON.pdf", "_CON.pdf"),
        ("con .pdf", "_con .pdf"),
        ("aux.tar.gz", "_aux.tar.gz"),
        ("COM1.pdf", "_COM1.pdf"),
        ("lpt².pdf", "_lpt².pdf"),
        ("conout$", "_conout$"),
        ("com10.pdf", "com10.pdf"),
        ("console.pdf", "console.pdf"),
        ('a"b|c<d>e*f?.pdf', "a_b_c_d_e_f_.pdf"),
    ],
)
def test_makes_names_harmless(given_name: str, harmless: str) -> None:
    assert str(FileName.parse(given_name)) == harmless


@pytest.mark.parametrize("given_name", ["", ".", "..", "...", "/", "map/", "   ", "\x00", "\u202e", "\u2800", "__", "?", ". . ."])
def test_refuses_names_of_which_nothing_is_left(given_name: str) -> None:
    with pytest.raises(FileNameInvalid):
        FileName.parse(given_name)


@pytest.mark.parametrize(
    ("given_name", "length_bytes", "end"),
    [
        ("a" * 236 + ".pdf", 240, "a.pdf"),
        ("a" * 237 + ".pdf", 240, "a.pdf"),
        ("é" * 200 + ".pdf", 240, "é.pdf"),
        ("é" * 200 + ".jpg2", 239, "é.jpg2"),
        ("👩" * 100 + ".pdf", 240, "👩.pdf"),
        ("a." + "b" * 300, 240, "bbb"),
        ("a" * 300, 240, "aaa"),
    ],
)
def test_shortens_the_stem_and_keeps_characters_whole(given_name: str, length_bytes: int, end: str) -> None:
    name = str(FileName.parse(given_name))

    assert len(name.encode()) == length_bytes
    assert name.endswith(end)


@given(st.text())
def test_whatever_is_given_one_parse_is_enough(given_name: str) -> None:
    try:
        name = FileName.parse(given_name)
    except FileNameInvalid:
        return

    assert FileName.parse(str(name)) == name
    assert not set(str(name)) & set('/\\<>:"|?*\x00\r\n')
    assert 0 < len(str(name).encode()) <= 240
    assert not str(name).startswith(".")


@pytest.mark.parametrize(
    ("name", "extension", "second"),
    [
        ("scan.PDF", "pdf", "scan (2).PDF"),
        ("backup.tar.gz", "gz", "backup.tar (2).gz"),
        ("README", "", "README (2)"),
        ("_htaccess", "", "_htaccess (2)"),
    ],
)
def test_numbers_names_before_the_extension(name: str, extension: str, second: str) -> None:
    parsed = FileName.parse(name)

    assert parsed.extension == extension
    assert str(parsed.numbered(2)) == second
