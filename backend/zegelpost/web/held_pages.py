"""Pages about what was held back: judging it with what came in, and the administrator's list. Both ask once more."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from zegelpost.model.held_back import HoldOutcome
from zegelpost.model.refusals import AlreadyJudged, NotFound, ReleaseNotAllowed
from zegelpost.services.access import StaffActor
from zegelpost.web.errors import ANSWERS
from zegelpost.web.forms import spoken
from zegelpost.web.pages import StaffFormHandler, StaffHandler, page, signed_in, staff_form
from zegelpost.web.received_pages import transfer_page

_DONE = frozenset(outcome.value for outcome in HoldOutcome)


def _ask_who_received_it(outcome: HoldOutcome) -> StaffHandler:
    async def ask(request: Request, actor: StaffActor) -> Response:
        transfer_id, document_id = request.path_params["transfer_id"], request.path_params["document_id"]
        standing = await request.app.state.services.handling.standing(actor, transfer_id)
        held = next((each for each in standing.held_back if each.id == document_id), None)
        if held is None:
            raise NotFound
        base = f"/received/{transfer_id}"
        if held.outcome is not None:
            return RedirectResponse(base, 303)
        action = f"{base}/held/{document_id}/{_verb(outcome)}"
        context = {"action": action, "outcome": outcome.value, "name": held.name, "reason": held.reason, "back": base}
        return page(request, "held_confirm.html", actor, current_page="received", language_href=action, **context)

    return ask


def _ask_administrator(outcome: HoldOutcome) -> StaffHandler:
    async def ask(request: Request, actor: StaffActor) -> Response:
        document_id = request.path_params["document_id"]
        waiting = await request.app.state.services.judging_held.waiting(actor)
        held = next((each for each in waiting if each.document_id == document_id), None)
        if held is None:
            raise NotFound
        action = f"/admin/quarantine/{document_id}/{_verb(outcome)}"
        context = {"action": action, "outcome": outcome.value, "number": held.number, "reason": held.reason}
        context |= {"back": "/admin/quarantine", "sender_email": held.sender_email}
        return page(request, "held_confirm.html", actor, current_page="administration", language_href=action, **context)

    return ask


def _with_what_came_in(outcome: HoldOutcome) -> StaffFormHandler:
    async def judge(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:  # noqa: ARG001 - the button says it
        transfer_id, document_id = request.path_params["transfer_id"], request.path_params["document_id"]
        try:
            await request.app.state.services.judging_held.judge_received(actor, transfer_id, document_id, outcome)
        except (AlreadyJudged, ReleaseNotAllowed) as refusal:
            status = ANSWERS[type(refusal)].status
            return await transfer_page(request, actor, hold_error=spoken(request, refusal), status=status)
        return RedirectResponse(f"/received/{transfer_id}?done={outcome.value}", 303)

    return judge


def _of_anyone(outcome: HoldOutcome) -> StaffFormHandler:
    async def judge(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:  # noqa: ARG001
        try:
            await request.app.state.services.judging_held.judge_any(actor, request.path_params["document_id"], outcome)
        except AlreadyJudged as refusal:
            return await _list(request, actor, error=spoken(request, refusal), status=ANSWERS[type(refusal)].status)
        return RedirectResponse(f"/admin/quarantine?done={outcome.value}", 303)

    return judge


async def quarantine(request: Request, actor: StaffActor) -> Response:
    return await _list(request, actor)


async def _list(request: Request, actor: StaffActor, *, error: str = "", status: int = 200) -> Response:
    done = request.query_params.get("done", "")
    return page(
        request,
        "quarantine.html",
        actor,
        status,
        current_page="administration",
        waiting=await request.app.state.services.judging_held.waiting(actor),
        done=done if done in _DONE else "",
        error=error,
        language_href="/admin/quarantine",
    )


def _verb(outcome: HoldOutcome) -> str:
    return {HoldOutcome.RELEASED: "release", HoldOutcome.REMOVED: "remove"}[outcome]


def routes() -> list[Route]:
    one, any_, get, post = "/received/{transfer_id}/held/{document_id}", "/admin/quarantine/{document_id}", ["GET"], ["POST"]
    found = [Route("/admin/quarantine", signed_in(quarantine), methods=get)]
    for outcome in HoldOutcome:
        verb = _verb(outcome)
        found += [
            Route(f"{one}/{verb}", signed_in(_ask_who_received_it(outcome)), methods=get),
            Route(f"{one}/{verb}", staff_form(_with_what_came_in(outcome)), methods=post),
            Route(f"{any_}/{verb}", signed_in(_ask_administrator(outcome)), methods=get),
            Route(f"{any_}/{verb}", staff_form(_of_anyone(outcome)), methods=post),
        ]
    return found
