"""Pages about what was held back: judging it with what came in, and the administrator's list."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from zegelpost.model.held_back import HoldOutcome
from zegelpost.model.refusals import AlreadyJudged, ReleaseNotAllowed
from zegelpost.services.access import StaffActor
from zegelpost.web.errors import ANSWERS
from zegelpost.web.forms import spoken
from zegelpost.web.pages import StaffFormHandler, page, signed_in, staff_form
from zegelpost.web.received_pages import transfer_page

_DONE = frozenset(outcome.value for outcome in HoldOutcome)


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


def routes() -> list[Route]:
    one, any_, post = "/received/{transfer_id}/held/{document_id}", "/admin/quarantine/{document_id}", ["POST"]
    return [
        Route(f"{one}/release", staff_form(_with_what_came_in(HoldOutcome.RELEASED)), methods=post),
        Route(f"{one}/remove", staff_form(_with_what_came_in(HoldOutcome.REMOVED)), methods=post),
        Route("/admin/quarantine", signed_in(quarantine), methods=["GET"]),
        Route(f"{any_}/release", staff_form(_of_anyone(HoldOutcome.RELEASED)), methods=post),
        Route(f"{any_}/remove", staff_form(_of_anyone(HoldOutcome.REMOVED)), methods=post),
    ]
