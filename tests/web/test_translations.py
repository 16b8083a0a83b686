"""Both languages are complete: every text in templates and Python has its Dutch, with the same placeholders."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from zegelpost.web.translation import (
    DOMAIN,
    LOCALE,
    Language,
    extract_catalog,
    load_translators,
    negotiate,
    read_catalog,
    untranslated,
    update,
)

CATALOGUE = LOCALE / f"nl/LC_MESSAGES/{DOMAIN}.po"
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|\{\w+\}")


def texts(value: object) -> tuple[str, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (str(value),)


def test_every_source_string_has_its_dutch() -> None:
    catalogue = read_catalog(CATALOGUE)
    sources = {message.id for message in extract_catalog() if message.id}
    assert sources, "nothing was extracted: the extractor no longer finds the templates"
    assert sources - {message.id for message in catalogue} == set(), "run python -m zegelpost.web.translation"
    assert untranslated(catalogue) == []


def test_dutch_keeps_the_placeholders() -> None:
    for message in read_catalog(CATALOGUE):
        # Form by form: *one document* needs no number where *3 documents* does.
        forms = zip(texts(message.id), texts(message.string), strict=False) if message.id else ()
        for source, text in forms:
            # A text that is not there yet is the other test's business.
            assert not text or set(PLACEHOLDER.findall(text)) == set(PLACEHOLDER.findall(source)), message.id


def write_source(package: Path, template: str) -> None:
    (package / "templates").mkdir(parents=True, exist_ok=True)
    (package / "templates/page.html").write_text(template, encoding="utf-8")


def test_update_adds_new_texts_drops_gone_ones_and_keeps_the_rest(tmp_path: Path) -> None:
    write_source(tmp_path, '{{ _("Kept") }}{{ _("Gone") }}')
    (tmp_path / "errors.py").write_text('SENTENCE = translatable("From Python")\n', encoding="utf-8")
    update(tmp_path, tmp_path)
    path = tmp_path / f"nl/LC_MESSAGES/{DOMAIN}.po"
    path.write_text(path.read_text().replace('msgid "Kept"\nmsgstr ""', 'msgid "Kept"\nmsgstr "Blijft"'))

    write_source(tmp_path, '{{ _("Kept") }}{% trans count=n %}{{ count }} day{% pluralize %}{{ count }} days{% endtrans %}')
    missing = untranslated(update(tmp_path, tmp_path))

    assert sorted(missing) == ["%(count)s day", "From Python"]
    written = path.read_text()
    assert 'msgid "Kept"\nmsgstr "Blijft"' in written
    assert "Gone" not in written
    update(tmp_path, tmp_path)
    assert path.read_text() == written


def test_a_fuzzy_text_counts_as_missing(tmp_path: Path) -> None:
    path = tmp_path / "guessed.po"
    path.write_text('#, fuzzy\nmsgid "Sent"\nmsgstr "Gestuurd"\n\nmsgid "Home"\nmsgstr "Home"\n', encoding="utf-8")
    assert untranslated(read_catalog(path)) == ["Sent"]


def test_translators_speak_their_language() -> None:
    translators = load_translators()
    dutch, english = translators[Language.NL], translators[Language.EN]
    assert dutch.gettext("Sign out") == "Uitloggen"
    assert english.gettext("Sign out") == "Sign out"
    pair = ("Something is wrong with %(count)s field", "Something is wrong with %(count)s fields")
    assert dutch.ngettext(*pair, 1) % {"count": 1} == "Er is iets mis met 1 veld"
    assert dutch.ngettext(*pair, 2) % {"count": 2} == "Er is iets mis met 2 velden"
    assert english.ngettext(*pair, 2) == pair[1]


@pytest.mark.parametrize(
    ("query", "cookie", "header", "expected"),
    [
        (None, None, None, "nl"),
        ("en", "nl", "nl", "en"),
        (None, "en", "nl", "en"),
        ("tlh", "en", "nl", "en"),
        (None, "tlh", "en-GB,en;q=0.9", "en"),
        (None, None, "en-GB,en;q=0.9,nl;q=0.8", "en"),
        (None, None, "en;q=0.5,nl-BE;q=0.8", "nl"),
        (None, None, "de,fr;q=0.9", "nl"),
        (None, None, "en;q=0", "nl"),
        (None, None, "en;q=much,,;q=1", "nl"),
        (None, None, "EN", "en"),
    ],
)
def test_the_choice_goes_query_cookie_browser_dutch(
    query: str | None, cookie: str | None, header: str | None, expected: str
) -> None:
    assert negotiate(query=query, cookie=cookie, accept_language=header) == Language(expected)
