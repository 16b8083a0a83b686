"""The handbook: help, statements and the manual, written in Markdown in `docs/`, one file per page and language.

A file begins with its title and a paragraph that says what it is about. It is a template first, so that it can tell this
installation's own names and numbers, and call a button what the button is called; what is filled in is text and never
Markdown. HTML in Markdown stays text too.
"""

from __future__ import annotations

import re
import struct
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from zegelpost.web.translation import PACKAGE, Language, Translator

# In the order in which they are read.
CHAPTERS: Final = (
    "account",
    "second-step",
    "sending",
    "outlook",
    "documents",
    "outsiders",
    "following-up",
    "report",
    "requests",
    "received",
    "contacts",
    "templates",
    "departments",
    "management",
    "problems",
)
PICTURES_ADDRESS: Final = "/manual/pictures"
# A picture holds so many of its own dots for each of the page's, so that it is sharp on a telephone.
PICTURE_SCALE: Final = 2

_PUNCTUATION: Final = re.compile(r"([!-/:-@\[-`{-~])")  # CommonMark 0.31, section 2.4: a backslash makes each of them plain
_TITLE_TOKENS: Final = ("heading_open", "inline", "heading_close", "paragraph_open", "inline", "paragraph_close")
# By kind of element, and for list items by what stands before them.
_CLASSES: Final = {
    ("paragraph_open", ""): "utrecht-paragraph",
    ("bullet_list_open", "-"): "utrecht-unordered-list",
    ("list_item_open", "-"): "utrecht-unordered-list__item",
    ("ordered_list_open", "."): "zp-numbered",
    ("blockquote_open", ">"): "zp-tip",
}
_PNG_SIZE: Final = slice(16, 24)  # RFC 2083, section 4.1.1: width and height begin the first chunk


def docs_folder() -> Path:
    """Inside the package when it was installed, which takes the pages along (pyproject.toml); beside it in a clone."""
    inside = PACKAGE / "docs"
    return inside if inside.is_dir() else PACKAGE.parent / "docs"


@dataclass(frozen=True, slots=True)
class Section:
    id: str
    title: str


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the handbook, ready to be shown; `lead` is the paragraph under the title."""

    title: str
    lead: Markup
    body: Markup
    sections: Sequence[Section]


@dataclass(frozen=True, slots=True)
class Handbook:
    """Reads each page once for what it may fill in: `facts` gives that, of a language, and `edition` tells when it changes."""

    translators: Mapping[Language, Translator]
    facts: Callable[[Language], Mapping[str, object]]
    edition: Callable[[], int] = field(default=lambda: 0)
    docs: Path = field(default_factory=docs_folder)
    _read: dict[tuple[Path, Language], tuple[int, Page]] = field(default_factory=dict, init=False, repr=False)

    def chapter(self, name: str, language: Language) -> Page:
        """A chapter of the manual, by one of `CHAPTERS`."""
        return self._page(Path("manual"), name, language)

    def page(self, name: str, language: Language) -> Page:
        """Help, or a statement, by the name of its file."""
        return self._page(Path("pages"), name, language)

    def picture(self, language: Language, name: str) -> Path:
        """The file of a picture, whether or not it is there; `name` has no folder in it."""
        return self.docs / "manual/pictures" / language.value / name

    def _page(self, shelf: Path, name: str, language: Language) -> Page:
        place = shelf / language.value / f"{name}.md"
        edition = self.edition()
        known, page = self._read.get((place, language), (None, None))
        if page is None or known != edition:
            page = self._rendered(place, language)
            self._read[place, language] = edition, page
        return page

    def _rendered(self, place: Path, language: Language) -> Page:
        environment = Environment(  # noqa: S701 - `finalize` escapes for Markdown, and Markdown escapes for HTML
            loader=FileSystemLoader(self.docs),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=_as_text,
        )
        environment.globals |= {"ui": self.translators[language].gettext, **self.facts(language)}
        markdown = MarkdownIt("commonmark", {"html": False})
        tokens = markdown.parse(environment.get_template(place.as_posix()).render())
        if tuple(token.type for token in tokens[: len(_TITLE_TOKENS)]) != _TITLE_TOKENS:
            raise ValueError(f"{place} does not begin with a title and a paragraph")
        sections = list(self._dress(tokens, language))

        def html(part: Sequence[Token]) -> Markup:
            # Of our own files, with the HTML in them and in what was filled in made text.
            return Markup(markdown.renderer.render(part, markdown.options, {}))  # noqa: S704

        return Page(_plain(tokens[1]), html([tokens[4]]), html(tokens[len(_TITLE_TOKENS) :]), sections)

    def _dress(self, tokens: Sequence[Token], language: Language) -> Iterator[Section]:
        """Give the elements the classes and addresses that they have on our pages; tell of each section."""
        for number, token in enumerate(tokens):
            if name := _CLASSES.get((token.type, token.markup)):
                token.attrSet("class", name)
            if token.type.startswith("blockquote_"):
                token.tag = "div"
            if token.type == "heading_open":
                title = _plain(tokens[number + 1])
                token.attrSet("class", f"utrecht-heading-{token.tag[1]}")
                token.attrSet("id", section_id(title))
                if token.tag == "h2":
                    yield Section(section_id(title), title)
            for inline in token.children or ():
                self._dress_inline(inline, language)

    def _dress_inline(self, token: Token, language: Language) -> None:
        if token.type == "link_open":
            token.attrSet("class", "utrecht-link")
            token.attrSet("href", re.sub(r"^([a-z-]+)\.md\b", r"/manual/\1", str(token.attrGet("href"))))
        elif token.type == "image":
            name = str(token.attrGet("src")).rpartition("/")[2]
            width, height = struct.unpack(">II", self.picture(language, name).read_bytes()[_PNG_SIZE])
            token.attrSet("class", "zp-picture")
            token.attrSet("src", f"{PICTURES_ADDRESS}/{language.value}/{name}")
            token.attrSet("width", str(width // PICTURE_SCALE))
            token.attrSet("height", str(height // PICTURE_SCALE))


def section_id(title: str) -> str:
    """What stands behind `#` in the address of a section: `Wie mag dit zien?` becomes `wie-mag-dit-zien`."""
    letters = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", letters).strip("-")


def _plain(inline: Token) -> str:
    return "".join(child.content for child in inline.children or ())


def _as_text(value: object) -> str:
    """What is filled in, as Markdown that means exactly these letters, on one line."""
    return _PUNCTUATION.sub(r"\\\1", " ".join(str(value).split()))
