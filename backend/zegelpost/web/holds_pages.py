"""Pages about legal holds, for administrators: what may not be erased for now, and why."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from zegelpost.model.legal_hold import HoldKind
from zegelpost.model.refusals import DateInvalid, FormRefused
from zegelpost.services.access import StaffActor
from zegelpost.web.errors import ANSWERS
from zegelpost.web.forms import parse_day, sentences
from zegelpost.web.pages import page, signed_in, staff_form
from zegelpost.web.rendering import TIME_ZONE

_DONE: Final = frozenset({"placed", "lifted"})


async def holds(request: Request, actor: StaffActor) -> Response:
    return await _page(request, actor, {}, {})


async def _page(
    request: Request, actor: StaffActor, typed: Mapping[str, str], errors: Mapping[str, str], status: int = 200
) -> Response:
    live, ended = await request.app.state.services.holding.all(actor)
    done = request.query_params.get("done", "")
    return page(
        request,
        "holds.html",
        actor,
        status,
        current_page="administration",
        live=live,
        ended=ended,
        second=timedelta(seconds=1),  # a hold ends when its last day does
        typed={"kind": "transfer", "what": "", "reason": "", "until": "", **typed},
        errors=errors,
        done=done if done in _DONE else "",
        language_href="/admin/holds",
    )


async def place(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
    typed = {name: form.get(name, "")[:500] for name in ("kind", "what", "reason", "until")}
    kind = HoldKind(typed["kind"]) if typed["kind"] in set(HoldKind) else HoldKind.TRANSFER
    try:
        try:
            day = parse_day(typed["until"])
        except DateInvalid as refusal:
            raise FormRefused({"until": refusal}) from None
        # Until the end of that day, where the organisation is.
        until = datetime.combine(day + timedelta(days=1), time.min, TIME_ZONE) if day else None
        await request.app.state.services.holding.place(actor, kind, typed["what"], typed["reason"], until)
    except FormRefused as refusal:
        return await _page(request, actor, typed, sentences(request, refusal), ANSWERS[FormRefused].status)
    return RedirectResponse("/admin/holds?done=placed", 303)


async def lift(request: Request, actor: StaffActor, _: Mapping[str, str]) -> Response:
    await request.app.state.services.holding.lift(actor, request.path_params["hold_id"])
    return RedirectResponse("/admin/holds?done=lifted", 303)


def routes() -> list[Route]:
    return [
        Route("/admin/holds", signed_in(holds), methods=["GET"]),
        Route("/admin/holds", staff_form(place), methods=["POST"]),
        Route("/admin/holds/{hold_id}/lift", staff_form(lift), methods=["POST"]),
    ]
