"""Values of the policy as people type them, as the database keeps them, and as the program has them."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from zegelpost.model.email_address import EmailAddress
from zegelpost.model.policy import GIGABYTE
from zegelpost.model.public_mail import PUBLIC_MAIL_DOMAINS
from zegelpost.model.recipient import VerificationMethod
from zegelpost.model.refusals import (
    AccentInvalid,
    AccentTooLight,
    CountryInvalid,
    DomainInvalid,
    DomainPublic,
    EmailAddressInvalid,
    ExtensionInvalid,
    ExtensionRunsPrograms,
    MethodTwice,
    NameMissing,
    NothingListed,
    NumberOutOfRange,
    OptionUnknown,
    TextTooLong,
)
from zegelpost.model.whole_number import whole_number

# What systems run when it is opened; a list of what may be sent is no place for it (compare Outlook's blocked attachments).
_PROGRAMS: Final = (
    "ade adp app appx bat chm cmd com cpl dll exe gadget hta inf ins isp jar js jse jnlp lnk mde msc msi msp mst pif ps1 ps2 psm1"
    " py reg scf scr sct shb sys url vb vbe vbs ws wsc wsf wsh xbap xll"
)
RUNS_PROGRAMS: Final = frozenset(_PROGRAMS.split())
_EXTENSION: Final = re.compile(r"[a-z0-9]{1,12}\Z")
_COUNTRY: Final = re.compile(r"\+[1-9][0-9]{0,2}\Z")
_ACCENT: Final = re.compile(r"#[0-9a-f]{6}\Z")
_MOST_WORDS: Final = 300
# WCAG 2.2, 1.4.3: of letters of ordinary size.
LEAST_CONTRAST: Final = 4.5


class Kind(ABC):
    """How one kind of value is read and written. What the database keeps, `restore` reads back, or raises."""

    @abstractmethod
    def parse(self, typed: str) -> Any:
        """The value that someone typed; raises a refusal."""

    def typed(self, value: Any) -> str:
        """As someone would type it."""
        return str(value)

    def keep(self, value: Any) -> str:
        return self.typed(value)

    def restore(self, kept: str) -> Any:
        return self.parse(kept)


@dataclass(frozen=True, slots=True)
class Size(Kind):
    """Bytes, typed as gigabytes with at most one decimal."""

    smallest_bytes: int = GIGABYTE // 10
    largest_bytes: int = 100_000 * GIGABYTE

    def parse(self, typed: str) -> int:
        refusal = NumberOutOfRange(shortest=self.smallest_bytes / GIGABYTE, longest=self.largest_bytes // GIGABYTE)
        try:
            size_bytes = Decimal(typed.strip().replace(",", ".")) * GIGABYTE
        except ArithmeticError:  # no number, or one without end
            raise refusal from None
        # Finite first: nothing compares with what is not a number.
        if not size_bytes.is_finite() or not self.smallest_bytes <= size_bytes <= self.largest_bytes:
            raise refusal
        return int(round(size_bytes / (GIGABYTE // 10)) * (GIGABYTE // 10))

    def typed(self, value: int) -> str:
        return f"{value / GIGABYTE:.1f}".removesuffix(".0")

    def keep(self, value: int) -> str:
        return str(value)

    def restore(self, kept: str) -> int:
        return int(kept)


@dataclass(frozen=True, slots=True)
class Count(Kind):
    smallest: int
    largest: int

    def parse(self, typed: str) -> int:
        number = whole_number(typed.strip(), most_digits=9)
        if number is None or not self.smallest <= number <= self.largest:
            raise NumberOutOfRange(shortest=self.smallest, longest=self.largest)
        return number


@dataclass(frozen=True, slots=True)
class Words(Kind):
    """A list in a fixed order without doubles; typed with commas, spaces or lines between."""

    word: Callable[[str], str]

    def parse(self, typed: str) -> tuple[str, ...]:
        words = tuple(dict.fromkeys(self.word(part) for part in re.split(r"[\s,;]+", typed.strip()) if part))
        if not words:
            raise NothingListed
        if len(words) > _MOST_WORDS:
            raise TextTooLong(limit=_MOST_WORDS)
        return words

    def typed(self, value: Sequence[str]) -> str:
        return ", ".join(value)


@dataclass(frozen=True, slots=True)
class YesNo(Kind):
    def parse(self, typed: str) -> bool:
        if typed not in {"yes", "no"}:
            raise OptionUnknown
        return typed == "yes"

    def typed(self, value: bool) -> str:  # noqa: FBT001 - one value, of a kind that is yes or no
        return "yes" if value else "no"


@dataclass(frozen=True, slots=True)
class OneOf(Kind):
    """One of a few words that the program knows."""

    options: Sequence[str]
    make: Callable[[str], Any] = str

    def parse(self, typed: str) -> Any:
        if typed not in self.options:
            raise OptionUnknown
        return self.make(typed)


@dataclass(frozen=True, slots=True)
class Languages(Kind):
    options: Sequence[str] = ("nl,en", "en,nl", "nl", "en")

    def parse(self, typed: str) -> tuple[str, ...]:
        if typed not in self.options:
            raise OptionUnknown
        return tuple(typed.split(","))

    def typed(self, value: Sequence[str]) -> str:
        return ",".join(value)


@dataclass(frozen=True, slots=True)
class Methods(Kind):
    """In the order in which senders are offered them; typed with commas between, nothing for a place that is empty."""

    def parse(self, typed: str) -> tuple[VerificationMethod, ...]:
        words = [part.strip() for part in typed.split(",") if part.strip()]
        known = {VerificationMethod.SMS, VerificationMethod.SPOKEN, VerificationMethod.ACCESS_CODE}
        if not words:
            raise NothingListed
        if not set(words) <= known:
            raise OptionUnknown
        if len(set(words)) < len(words):
            raise MethodTwice
        return tuple(VerificationMethod(word) for word in words)

    def typed(self, value: Sequence[VerificationMethod]) -> str:
        return ",".join(method.value for method in value)


@dataclass(frozen=True, slots=True)
class Line(Kind):
    """One line of text."""

    longest: int
    is_required: bool = True

    def parse(self, typed: str) -> str | None:
        text = " ".join("".join(letter if letter.isprintable() else " " for letter in typed).split())
        if not text and self.is_required:
            raise NameMissing
        if len(text) > self.longest:
            raise TextTooLong(limit=self.longest)
        return text or None

    def typed(self, value: str | None) -> str:
        return value or ""


@dataclass(frozen=True, slots=True)
class Text(Kind):
    """Paragraphs, with an empty line between; may be empty."""

    longest: int = 600

    def parse(self, typed: str) -> str:
        lines = typed.replace("\r\n", "\n").replace("\r", "\n").strip()
        text = "".join(letter for letter in lines if letter.isprintable() or letter == "\n")
        if len(text) > self.longest:
            raise TextTooLong(limit=self.longest)
        return text


@dataclass(frozen=True, slots=True)
class Accent(Kind):
    """A colour that white letters can be read on, and that can be read on white."""

    def parse(self, typed: str) -> str:
        text = typed.strip().lower()
        text = text if text.startswith("#") else f"#{text}"
        if not _ACCENT.match(text):
            raise AccentInvalid
        # The grounds on which it stands as letters: cards, pages, and the lightest tint of itself.
        contrast = min(contrast_of(text, ground) for ground in ("#ffffff", "#f3f5f8", tint(text, 0.1)))
        if contrast < LEAST_CONTRAST:
            raise AccentTooLight(contrast=int(contrast * 10) / 10, shortest=LEAST_CONTRAST)
        return text


@dataclass(frozen=True, slots=True)
class Picture(Kind):
    """The digest of a picture that is kept; nobody types it."""

    def parse(self, typed: str) -> str:
        if not re.fullmatch(r"[0-9a-f]{64}|", typed):
            raise OptionUnknown
        return typed


def contrast_of(one: str, other: str) -> float:
    """Contrast ratio of two colours `#rrggbb`, from 1 to 21 (WCAG 2.2)."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def tint(colour: str, share: float) -> str:
    """So much of a colour, and for the rest white; below zero, so much black added to it."""
    parts = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
    mixed = [part * share + 255 * (1 - share) if share >= 0 else part * (1 + share) for part in parts]
    return "#" + "".join(f"{round(part):02x}" for part in mixed)


def _luminance(colour: str) -> float:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)  # noqa: PLR2004
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def extension(typed: str) -> str:
    word = typed.lower().removeprefix("*").removeprefix(".")
    if not _EXTENSION.match(word):
        raise ExtensionInvalid(word=typed[:40])
    if word in RUNS_PROGRAMS:
        raise ExtensionRunsPrograms(extension=word)
    return word


def staff_domain(typed: str) -> str:
    """A mail domain of the organisation's own: whoever has an address there may open an account."""
    try:
        domain = EmailAddress.parse(f"x@{typed.removeprefix('@')}").domain
    except EmailAddressInvalid:
        raise DomainInvalid(word=typed[:100]) from None
    if domain in PUBLIC_MAIL_DOMAINS:
        raise DomainPublic(word=domain)
    return domain


def country_prefix(typed: str) -> str:
    if not _COUNTRY.match(typed):
        raise CountryInvalid(word=typed[:40])
    return typed
