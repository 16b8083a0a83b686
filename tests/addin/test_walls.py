"""The add-in's house: who may say `Office`, and both languages complete."""

from __future__ import annotations

import re
from pathlib import Path

ADDIN = Path(__file__).parents[2] / "addin/src"


def test_only_the_office_wall_touches_outlook() -> None:
    for path in ADDIN.rglob("*.ts"):
        # The stand-in is what `Office` is in a demonstration.
        if path.parent.name in {"office", "stand-in"} or path.name == "outlook.ts":
            continue
        assert not re.search(r"\bOffice\.", path.read_text(encoding="utf-8")), path


def test_the_token_is_never_stored_and_markup_never_made() -> None:
    # Uploads keep hashes, by which they go on after a reload.
    files = [path for path in ADDIN.rglob("*.ts") if path.parent.name not in {"upload", "stand-in"}]
    assert len(files) > 20
    for file in files:
        found = re.search(
            r"localStorage|sessionStorage|document\.cookie|innerHTML|insertAdjacentHTML", file.read_text(encoding="utf-8")
        )
        assert not found, file


def test_words_in_both_languages_have_the_same_places() -> None:
    text = (ADDIN / "i18n/words.ts").read_text(encoding="utf-8")
    dutch, english = (
        dict(re.findall(r"^  (\w+): '((?:[^'\\]|\\.)*)',?$", part, re.MULTILINE))
        for part in (text.partition("const NL")[2].partition("as const")[0], text.partition("const EN")[2].partition("\n}\n")[0])
    )
    assert dutch.keys() == english.keys()
    assert len(dutch) > 50
    code = "\n".join(path.read_text(encoding="utf-8") for path in ADDIN.rglob("*.ts") if path.name != "words.ts")
    for name in dutch:
        # Fates and steps are words by their own names.
        assert re.search(rf"words\.{name}\b|'{name}'", code), f"{name} is said nowhere"
    for name, sentence in dutch.items():
        assert sorted(re.findall(r"{\w+}", sentence)) == sorted(re.findall(r"{\w+}", english[name])), name
