"""The page that administrators start from: what is the matter, how much goes to and fro, and the way to the other pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from zegelpost.model.refusals import Refusal
from zegelpost.services.access import StaffActor, require_administrator
from zegelpost.services.counting import Counted, Period, Tally, day_of
from zegelpost.services.exporting_numbers import numbers_csv
from zegelpost.web.bars import Bars, bars
from zegelpost.web.downloads import disposition
from zegelpost.web.forms import parse_day, spoken
from zegelpost.web.pages import page, signed_in
from zegelpost.web.translation import Language

# Days; what the page offers next to days of one's own choice.
_PERIODS: Final = (7, 28, 91, 365)
# More days than this are shown by week.
_MOST_DAYS: Final = 31
_FIELDS: Final = ("first_day", "last_day", "department")


@dataclass(frozen=True, slots=True)
class Column:
    """One day, or several that are shown as one."""

    first_day: date
    last_day: date
    tally: Tally


async def administration(request: Request, actor: StaffActor) -> Response:
    require_administrator(actor)
    period, errors = _period(request)
    return await _page(request, actor, period, errors)


async def numbers(request: Request, actor: StaffActor) -> Response:
    """What the page counts, for a spreadsheet."""
    require_administrator(actor)
    services = request.app.state.services
    period, errors = _period(request)
    if period is None:
        return await _page(request, actor, period, errors)
    language: Language = request.state.language
    counted = await services.counting.count(actor, period, request.query_params.get("department", ""))
    name = "cijfers" if language == Language.NL else "numbers"
    return Response(
        numbers_csv(counted, language.value),
        headers={"Content-Disposition": disposition(f"{name}-{period.first_day}-{period.last_day}.csv")},
        media_type="text/csv; charset=utf-8",
    )


async def _page(request: Request, actor: StaffActor, period: Period | None, errors: dict[str, str]) -> Response:
    services = request.app.state.services
    typed = {name: request.query_params.get(name, "") for name in _FIELDS}
    counted: Counted | None = None
    columns: list[Column] = []
    if period is not None:
        counted = await services.counting.count(actor, period, typed["department"])
        columns = _columns(counted)
        typed |= {"first_day": period.first_day.isoformat(), "last_day": period.last_day.isoformat()}
    today = day_of(services.clock())
    return page(
        request,
        "administration.html",
        actor,
        422 if errors else 200,
        current_page="administration",
        standing=await services.counting.standing(actor),
        counted=counted,
        columns=columns,
        is_by_week=period is not None and len(period.days) > _MOST_DAYS,
        pictures=_pictures(columns),
        departments=await services.counting.departments(actor),
        periods=[(days, _address(today - timedelta(days=days - 1), today, typed["department"])) for days in _PERIODS],
        chosen_days=len(period.days) if period is not None and period.last_day == today else 0,
        export=_address(period.first_day, period.last_day, typed["department"]) if period is not None else "",
        typed=typed,
        errors=errors,
        language_href="/admin",
    )


def _period(request: Request) -> tuple[Period | None, dict[str, str]]:
    errors: dict[str, str] = {}
    days: dict[str, date | None] = {}
    for name in ("first_day", "last_day"):
        try:
            days[name] = parse_day(request.query_params.get(name, ""))
        except Refusal as refusal:
            errors[name] = spoken(request, refusal)
    if errors:
        return None, errors
    try:
        return Period.chosen(days["first_day"], days["last_day"], day_of(request.app.state.services.clock())), errors
    except Refusal as refusal:
        return None, {"first_day": spoken(request, refusal)}


def _address(first_day: date, last_day: date, department: str) -> str:
    chosen = {"first_day": first_day.isoformat(), "last_day": last_day.isoformat()}
    return urlencode(chosen | ({"department": department} if department else {}))


def _columns(counted: Counted) -> list[Column]:
    """Days, or weeks from Monday to Sunday, of which the first and the last may be cut off."""
    if len(counted.days) <= _MOST_DAYS:
        return [Column(day, day, tally) for day, tally in counted.days.items()]
    weeks: dict[date, list[date]] = {}
    for day in counted.days:
        weeks.setdefault(day - timedelta(days=day.weekday()), []).append(day)
    return [Column(week[0], week[-1], sum((counted.days[day] for day in week), Tally())) for week in weeks.values()]


def _pictures(columns: Sequence[Column]) -> dict[str, Bars]:
    tallies = [column.tally for column in columns]
    return {
        "transfers": bars([(each.sent_count, each.requested_count, each.received_count) for each in tallies]),
        "volume": bars([(each.sent_bytes, each.received_bytes) for each in tallies]),
        "opened": bars(
            [
                (
                    each.fetched_count,
                    max(0, each.opened_count - each.fetched_count),
                    max(0, each.recipient_count - max(each.opened_count, each.fetched_count)),
                )
                for each in tallies
            ]
        ),
        "mails": bars([(each.mail_count - each.lost_mail_count, each.lost_mail_count) for each in tallies]),
        "codes": bars(
            [
                (
                    each.sms_count - each.lost_sms_count,
                    each.call_count - each.lost_call_count,
                    each.lost_sms_count + each.lost_call_count,
                )
                for each in tallies
            ]
        ),
    }


def routes() -> list[Route]:
    return [
        Route("/admin", signed_in(administration), methods=["GET"]),
        Route("/admin/numbers.csv", signed_in(numbers), methods=["GET"]),
    ]
