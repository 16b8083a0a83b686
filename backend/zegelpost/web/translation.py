"""The two languages: choosing one, and the texts in it.

Source strings are English, in templates and in Python. Their Dutch is in `locale/nl/LC_MESSAGES/zegelpost.po`, which is
read as it stands: there is no compiled copy to forget. `python -m zegelpost.web.translation` brings that file up to date
with the sources; a test fails while a text is missing.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from gettext import GNUTranslations, NullTranslations
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

PACKAGE: Final = Path(__file__).resolve().parents[1]
LOCALE: Final = PACKAGE / "web/locale"
DOMAIN: Final = "zegelpost"

# Without dates and names: those change at every update, and every change is a merge conflict.
_HEADER: Final = (
    'msgid ""\n'
    'msgstr ""\n'
    '"Language: nl\\n"\n'
    '"Content-Type: text/plain; charset=utf-8\\n"\n'
    '"Content-Transfer-Encoding: 8bit\\n"\n'
    '"Plural-Forms: nplurals=2; plural=(n != 1);\\n"\n'
    "\n"
)
# A text's first argument is the message, or both numbers of it; `translatable` marks one that is looked up later.
_KEYWORDS: Final[dict[str, tuple[int, ...] | None]] = {
    "_": None,
    "gettext": None,
    "ngettext": (1, 2),
    "translatable": None,
}


class Language(StrEnum):
    """A language of the product, by its IETF tag."""

    NL = "nl"
    EN = "en"

    @classmethod
    def of(cls, tag: str | None) -> Language | None:
        """The language of a tag such as `nl-BE`; nothing for any other language, and for no tag."""
        primary = (tag or "").strip().lower().partition("-")[0]
        return next((language for language in cls if language.value == primary), None)


def negotiate(
    *,
    query: str | None = None,
    cookie: str | None = None,
    accept_language: str | None = None,
    offered: Sequence[Language] = (Language.NL, Language.EN),
) -> Language:
    """Choose a language: what the person asked for just now, else before, else what the browser prefers.

    Only one that is `offered`, and the first of those for who wants neither. `accept_language` is the header's text
    (RFC 9110, 12.5.4).
    """
    for choice in (query, cookie):
        if (language := Language.of(choice)) in offered and language:
            return language
    return next((language for language in _preferred(accept_language or "") if language in offered), offered[0])


def _preferred(header: str) -> Iterator[Language]:
    """The languages of an Accept-Language header that we have, most wanted first; nonsense in it is passed over."""
    ranked: list[tuple[float, Language]] = []
    for item in header.split(","):
        tag, _, parameter = item.partition(";")
        name, _, weight = parameter.strip().partition("=")
        try:
            quality = float(weight) if name.strip().lower() == "q" else 1.0
        except ValueError:
            continue
        language = Language.of(tag)
        if language and quality > 0:
            ranked.append((quality, language))
    ranked.sort(key=lambda pair: -pair[0])
    return (language for _, language in ranked)


def translatable(message: str) -> str:
    """Mark a source string that a `Translator` looks up later, such as one in a table; returns it unchanged."""
    return message


@dataclass(frozen=True, slots=True)
class Translator:
    """The texts of one language. Placeholders are `%(name)s`; put the facts in with `%` afterwards."""

    language: Language
    texts: NullTranslations = field(repr=False)

    def gettext(self, message: str) -> str:
        return self.texts.gettext(message)

    def ngettext(self, singular: str, plural: str, count: int) -> str:
        return self.texts.ngettext(singular, plural, count)


def load_translators(locale: Path = LOCALE) -> Mapping[Language, Translator]:
    """Read the catalogues. English needs none: it is the source."""
    compiled = io.BytesIO()
    write_mo(compiled, read_catalog(locale / f"nl/LC_MESSAGES/{DOMAIN}.po"))
    compiled.seek(0)
    return {
        Language.NL: Translator(Language.NL, GNUTranslations(compiled)),
        Language.EN: Translator(Language.EN, NullTranslations()),
    }


def read_catalog(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale="nl", domain=DOMAIN)


def extract_catalog(package: Path = PACKAGE) -> Catalog:
    """Every source string in the package's Python files and in everything under a folder `templates`."""
    catalog = Catalog(locale="nl", domain=DOMAIN)
    options = {"trimmed": "true", "silent": "false", "newstyle_gettext": "true"}
    for path in sorted(package.rglob("*")):
        is_template = "templates" in path.parts and path.suffix in {".html", ".txt", ".xml"}
        if not is_template and path.suffix != ".py":
            continue
        method = "jinja2" if is_template else "python"
        with path.open("rb") as file:
            for _, message, comments, _ in extract(method, file, _KEYWORDS, ("Translators:",), options):
                catalog.add(message, auto_comments=comments)
    return catalog


def update(locale: Path = LOCALE, package: Path = PACKAGE) -> Catalog:
    """Rewrite the Dutch catalogue: new source strings without a text, gone ones dropped, sorted; return it."""
    path = locale / f"nl/LC_MESSAGES/{DOMAIN}.po"
    catalog = read_catalog(path) if path.exists() else Catalog(locale="nl", domain=DOMAIN)
    catalog.update(extract_catalog(package), no_fuzzy_matching=True)
    text = io.BytesIO()
    write_po(text, catalog, width=110, no_location=True, omit_header=True, sort_output=True, ignore_obsolete=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_HEADER + text.getvalue().decode(), encoding="utf-8")
    return catalog


def untranslated(catalog: Catalog) -> list[str]:
    """The source strings of a catalogue that have no text, half a text, or a guessed one."""
    missing = []
    for message in catalog:
        texts = message.string if isinstance(message.string, (tuple, list)) else (message.string,)
        if message.id and (message.fuzzy or not all(texts)):
            missing.append(message.id[0] if isinstance(message.id, (tuple, list)) else message.id)
    return missing


if __name__ == "__main__":
    for source in untranslated(update()):
        print("no Dutch text yet:", source)  # noqa: T201  # a command's output
