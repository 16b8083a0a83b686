"""Turning templates into pages: one Jinja environment per language, over the files that the front-end build made.

Every template is escaped, whatever its name, and a name that was not given is an error instead of an empty place.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final, Literal
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime, format_timedelta
from babel.numbers import format_currency, format_decimal
from babel.units import format_unit
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from zegelpost.model.staff_user import SIGN_IN_IDLE
from zegelpost.services.explaining_failures import call_reason, sms_reason
from zegelpost.web.translation import Language, Translator, load_translators

WEB: Final = Path(__file__).resolve().parent
# Where the routes mount `static/`.
STATIC_ADDRESS: Final = "/static"
TIME_ZONE: Final = ZoneInfo("Europe/Amsterdam")

# British English: the day comes first, as in Dutch.
_LOCALES: Final = {Language.NL: Locale("nl", "NL"), Language.EN: Locale("en", "GB")}
_AT: Final = {Language.NL: "d MMMM y 'om' HH:mm", Language.EN: "d MMMM y 'at' HH:mm"}
LANGUAGE_NAMES: Final = {Language.NL: "Nederlands", Language.EN: "English"}
_UNITS: Final = ("byte", "kilobyte", "megabyte", "gigabyte", "terabyte")
_STEP: Final = 1000


class AssetsMissing(Exception):
    """The front-end was not built. The text says how to build it."""


@dataclass(frozen=True, slots=True)
class Assets:
    """What the front-end build made: hashed files by source name, and the icons' drawings by name."""

    files: Mapping[str, str]
    icons: Mapping[str, Markup]

    @classmethod
    def read(cls, dist: Path) -> Assets:
        """Read the build's output; raise `AssetsMissing` when it is not there."""
        manifest = dist / "manifest.json"
        if not manifest.is_file():
            raise AssetsMissing(f"{manifest} is missing: run `npm ci && npm run build` in backend/frontend")
        icons = {path.stem: _inline(path.read_text(encoding="utf-8")) for path in (dist / "icons").glob("*.svg")}
        return cls(files=json.loads(manifest.read_text(encoding="utf-8")), icons=icons)

    def asset(self, name: str) -> str:
        """The address of a built file. Its name holds a hash of its content: it may be cached for ever."""
        return f"{STATIC_ADDRESS}/dist/{self.files[name]}"

    def icon(self, name: str) -> Markup:
        """An icon to stand next to words; screen readers pass it over."""
        return self.icons[name]


def _inline(drawing: str) -> Markup:
    """A drawing as an element of the page. The drawings are ours, from the build, so they count as safe."""
    shapes = drawing[drawing.index(">", drawing.index("<svg")) + 1 : drawing.rindex("</svg>")]
    opening = (
        '<svg class="zp-icon" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2"'
        ' stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">'
    )
    return Markup(opening + "".join(line.strip() for line in shapes.splitlines()) + "</svg>")  # noqa: S704


@dataclass(frozen=True, slots=True)
class Formats:
    """How one language writes moments, sizes and durations. Moments are told in Dutch time."""

    language: Language

    def moment(self, at: datetime) -> str:
        """`23 november 2026 om 14:05`."""
        return self._written(at, _AT[self.language])

    def local_exactly(self, at: datetime) -> str:
        """`23 nov. 2026 14:05:09 (CET)`: to the second, and unambiguous in the hour that comes twice."""
        return f"{self._written(at, 'd MMM y HH:mm:ss')} ({at.astimezone(TIME_ZONE):%Z})"

    def day(self, at: date) -> str:
        """`23 november 2026`, of a moment or of a day that has none."""
        if not isinstance(at, datetime):
            return format_date(at, "d MMMM y", locale=self._locale)
        return self._written(at, "d MMMM y")

    def number(self, number: int) -> str:
        """`12.345` in Dutch, `12,345` in English."""
        return format_decimal(number, format="#,##0", locale=self._locale)

    def euros(self, amount: Decimal) -> str:
        """`€ 12,40` in Dutch, `€12.40` in English."""
        return format_currency(amount, "EUR", locale=self._locale)

    def short_day(self, at: date) -> str:
        """`23 nov.`, for where the year is known."""
        return format_date(at, "d MMM", locale=self._locale)

    def share(self, part: int, whole: int) -> str:
        """`85%`; nothing of nothing. Only all of it is 100%."""
        if not whole:
            return ""
        return f"{min(round(100 * part / whole), 100 if part >= whole else 99)}%"

    def filesize(self, size_bytes: int) -> str:
        """Decimal units, as phones and file managers show them: `220 kB`, `1,2 MB`."""
        number, power = float(size_bytes), 0
        # Rounding comes first: 999,999 bytes are one megabyte, not a thousand kilobytes.
        while power < len(_UNITS) - 1 and _rounded(number, power) >= _STEP:
            number, power = number / _STEP, power + 1
        amount = format_decimal(_rounded(number, power), format="#,##0.#", locale=self._locale)
        return format_unit(amount, f"digital-{_UNITS[power]}", length="short", locale=self._locale)

    def remaining(self, left: timedelta) -> str:
        """How long something still lasts: weeks and days, under a day hours, under an hour minutes; never below zero."""
        minutes = max(0, math.ceil(left / timedelta(minutes=1)))
        hours, days = minutes // 60, minutes // (24 * 60)
        if not hours:
            return self._count(minutes, "minute")
        if not days:
            return self._count(hours, "hour")
        weeks, days = divmod(days, 7)
        parts = [self._count(weeks, "week") if weeks else "", self._count(days, "day") if days else ""]
        return ", ".join(filter(None, parts))

    @property
    def _locale(self) -> Locale:
        return _LOCALES[self.language]

    def _written(self, at: datetime, pattern: str) -> str:
        if at.tzinfo is None:
            raise ValueError(f"{at} has no time zone: times in Zegelpost are aware UTC")
        return format_datetime(at.astimezone(TIME_ZONE), pattern, locale=self._locale)

    def _count(self, count: int, unit: Literal["week", "day", "hour", "minute"]) -> str:
        # Not `format_unit`: Babel 2.18 finds no Dutch there for days and hours. A threshold out of reach keeps the unit.
        length = timedelta(**{f"{unit}s": count})
        return format_timedelta(length, granularity=unit, threshold=math.inf, locale=self._locale)


def _rounded(number: float, power: int) -> float:
    """Bytes and kilobytes as whole numbers, larger units with one decimal."""
    return round(number, 1 if power > 1 else 0)


def _iso(at: datetime) -> str:
    """The moment for a machine, for `<time datetime>`."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _utc_exactly(at: datetime) -> str:
    """`2026-11-23 13:05:09 UTC`, the same in every language."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


@dataclass(frozen=True, slots=True)
class Templates:
    """The pages, per language."""

    environments: Mapping[Language, Environment]
    # What every page knows besides, asked for anew for each: administrators change it while the program runs.
    site: Callable[[], Mapping[str, object]]

    def render(self, name: str, language: Language, /, **context: object) -> str:
        """The page `name` with `context`; raise `jinja2.UndefinedError` for a name that the page needs and did not get."""
        return self.environments[language].get_template(name).render({**self.site(), **context})


def create_templates(
    *,
    templates: Path = WEB / "templates",
    dist: Path = WEB / "static/dist",
    translators: Mapping[Language, Translator] | None = None,
    site: Callable[[], Mapping[str, object]] = dict,
) -> Templates:
    """Build the environments.

    `site` gives what every page knows: `organisation`, `is_demo`, and what the footer shows. Raises `AssetsMissing` when the
    front-end was not built.
    """
    assets = Assets.read(dist)
    loader = FileSystemLoader(templates)
    texts = translators or load_translators()
    return Templates({language: _environment(loader, assets, texts[language]) for language in Language}, site)


def _environment(loader: FileSystemLoader, assets: Assets, translator: Translator) -> Environment:
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    install: Callable[..., None] = environment.install_gettext_callables  # type: ignore[attr-defined]  # from the extension
    install(translator.gettext, translator.ngettext, newstyle=True)
    formats = Formats(translator.language)
    environment.filters |= {
        "datetime": formats.moment,
        "date": formats.day,
        "filesize": formats.filesize,
        "number": formats.number,
        "euros": formats.euros,
        "short_day": formats.short_day,
        "share_of": formats.share,
        "remaining": formats.remaining,
        "iso": _iso,
        "local_exactly": formats.local_exactly,
        "utc_exactly": _utc_exactly,
    }
    environment.globals |= {
        "asset": assets.asset,
        "icon": assets.icon,
        "language": translator.language.value,
        "sms_reason": sms_reason,
        "call_reason": call_reason,
        "staff_idle_seconds": int(SIGN_IN_IDLE.total_seconds()),
        "languages": {language.value: name for language, name in LANGUAGE_NAMES.items()},
    }
    return environment
