"""House style: how the organisation calls itself and looks, on pages, in mails and in text messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PLAIN_ACCENT: Final = "#0b5a75"
# Of the product, by their IETF tags.
LANGUAGES: Final = ("nl", "en")


@dataclass(frozen=True, slots=True, kw_only=True)
class HouseStyle:
    name: str = "Zegelpost"
    help_phone: str | None = None
    # Behind white letters and on white: buttons, links and the bar of mails.
    accent: str = PLAIN_ACCENT
    # Which are offered; the first is for whoever's browser asks for neither.
    languages: tuple[str, ...] = LANGUAGES
    # Digest of the picture in the header; nothing: the product's own mark.
    logo: str = ""
    # The organisation's own words, by language: whom to turn to, and what to know before sending unasked.
    help_text_nl: str = ""
    help_text_en: str = ""
    intake_text_nl: str = ""
    intake_text_en: str = ""

    def help_text(self, language: str) -> str:
        return self.help_text_nl if language == "nl" else self.help_text_en

    def intake_text(self, language: str) -> str:
        return self.intake_text_nl if language == "nl" else self.intake_text_en
