"""Templates: escaping, formats per language, and the files of the front-end build."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from zegelpost.model.event import EventTag
from zegelpost.model.outgoing import Purpose
from zegelpost.model.recipient import VerificationMethod
from zegelpost.services.reporting import Nta7516
from zegelpost.web.rendering import WEB, AssetsMissing, Formats, Templates, create_templates
from zegelpost.web.translation import Language

FRONTEND = Path(__file__).parents[2] / "backend/frontend"
NL, EN = Formats(Language.NL), Formats(Language.EN)


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """A build with just enough in it."""
    dist = tmp_path / "dist"
    (dist / "icons").mkdir(parents=True)
    (dist / "manifest.json").write_text(json.dumps({"app.css": "app-ABCDEFGH.css"}))
    (dist / "icons/mail.svg").write_text('<svg\n  class="x"\n>\n  <path d="M3 7" />\n</svg>')
    return dist


def pages(tmp_path: Path, dist: Path, **sources: str) -> Templates:
    for name, source in sources.items():
        (tmp_path / f"{name}.html").write_text(source, encoding="utf-8")
    return create_templates(templates=tmp_path, dist=dist, site=lambda: {"organisation": "Gemeente Voorbeeld"})


def test_everything_is_escaped_and_texts_follow_the_language(tmp_path: Path, dist: Path) -> None:
    templates = pages(
        tmp_path,
        dist,
        page='<html lang="{{ language }}">{{ organisation }} {{ _("Sign out") }} {{ name }} '
        '{{ _("At most %(size)s per file.", size=name) }}',
    )
    assert templates.render("page.html", Language.NL, name="<b>") == (
        '<html lang="nl">Gemeente Voorbeeld Uitloggen &lt;b&gt; Maximaal &lt;b&gt; per bestand.'
    )
    assert "Sign out" in templates.render("page.html", Language.EN, name="x")


def test_a_forgotten_name_is_an_error(tmp_path: Path, dist: Path) -> None:
    with pytest.raises(UndefinedError, match="subject"):
        pages(tmp_path, dist, page="{{ subject }}").render("page.html", Language.NL)


def test_assets_and_icons_come_from_the_build(tmp_path: Path, dist: Path) -> None:
    page = pages(tmp_path, dist, page="{{ asset('app.css') }} {{ icon('mail') }}").render("page.html", Language.NL)
    address, drawing = page.split(" ", 1)
    assert address == "/static/dist/app-ABCDEFGH.css"
    assert drawing.startswith('<svg class="zp-icon"')
    assert 'aria-hidden="true" focusable="false"' in drawing
    assert drawing.endswith('><path d="M3 7" /></svg>')


def test_a_missing_build_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(AssetsMissing, match="npm run build"):
        create_templates(dist=tmp_path)


def test_every_icon_in_a_template_is_in_the_build() -> None:
    available = set(json.loads((FRONTEND / "icons.json").read_text()))
    used = {
        name
        for path in (WEB / "templates").rglob("*.html")
        for name in re.findall(r"""\bicon(?:_name=|\()["']([\w-]+)["']""", path.read_text(encoding="utf-8"))
    }
    assert used
    assert used <= available


def test_moments_are_told_in_dutch_time() -> None:
    winter = datetime(2026, 11, 23, 13, 5, tzinfo=UTC)
    summer = datetime(2026, 7, 1, 22, 30, tzinfo=UTC)
    assert NL.moment(winter) == "23 november 2026 om 14:05"
    assert EN.moment(winter) == "23 November 2026 at 14:05"
    assert NL.moment(summer) == "2 juli 2026 om 00:30"
    assert NL.day(summer) == "2 juli 2026"
    assert EN.day(summer) == "2 July 2026"


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        NL.moment(datetime(2026, 11, 23, 13, 5))  # noqa: DTZ001 - the mistake under test


@pytest.mark.parametrize(
    ("size_bytes", "dutch", "english"),
    [
        (0, "0 byte", "0 byte"),
        (999, "999 byte", "999 byte"),
        (1_000, "1 kB", "1 kB"),
        (220_400, "220 kB", "220 kB"),
        (999_499, "999 kB", "999 kB"),
        (999_500, "1 MB", "1 MB"),
        (1_234_567, "1,2 MB", "1.2 MB"),
        (999_960_000, "1 GB", "1 GB"),
        (3_800_000_000, "3,8 GB", "3.8 GB"),
        (20_000_000_000, "20 GB", "20 GB"),
        (5_000_000_000_000_000, "5.000 TB", "5,000 TB"),
    ],
)
def test_sizes(size_bytes: int, dutch: str, english: str) -> None:
    assert NL.filesize(size_bytes) == dutch
    assert EN.filesize(size_bytes) == english


@pytest.mark.parametrize(
    ("left", "dutch", "english"),
    [
        (timedelta(days=26, hours=3), "3 weken, 5 dagen", "3 weeks, 5 days"),
        (timedelta(days=28), "4 weken", "4 weeks"),
        (timedelta(days=1, hours=23), "1 dag", "1 day"),
        (timedelta(hours=23, minutes=59), "23 uur", "23 hours"),
        (timedelta(hours=1), "1 uur", "1 hour"),
        (timedelta(minutes=59, seconds=1), "1 uur", "1 hour"),
        (timedelta(minutes=12), "12 minuten", "12 minutes"),
        (timedelta(seconds=1), "1 minuut", "1 minute"),
        (timedelta(days=-3), "0 minuten", "0 minutes"),
    ],
)
def test_what_is_left(left: timedelta, dutch: str, english: str) -> None:
    assert NL.remaining(left) == dutch
    assert EN.remaining(left) == english


def test_everything_that_a_report_can_tell_has_words() -> None:
    """A tag, purpose or method that is added later must not show its code, let alone fail."""
    macros = WEB / "templates/macros"
    events, report = (macros / "transfers.html").read_text(), (macros / "report.html").read_text()
    about_transfers = ("transfer", "document", "archive", "recipient", "link", "code", "mail", "sms", "answer", "item", "request")
    told = [tag.value for tag in EventTag if tag.value.split(":")[0] in about_transfers]
    assert [tag for tag in told if f'"{tag}": _(' not in events] == []
    to_recipients = [purpose.value for purpose in Purpose if not purpose.value.startswith(("account", "password"))]
    words = [*to_recipients, *(method.value for method in VerificationMethod), *(word.value for word in Nta7516)]
    assert [word for word in words if f'"{word}": _(' not in report] == []
