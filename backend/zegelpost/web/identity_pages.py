"""Pages for signing in at the organisation's own provider: there, back, and joining an account that was there already."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from zegelpost.model.identity import ARRIVAL
from zegelpost.model.refusals import IdentityOver, NotFound, PasswordIncorrect, Refusal, SignInRequired, TooManyAttempts
from zegelpost.ports import IdentityError
from zegelpost.services.access import StaffActor
from zegelpost.services.identifying import Identifying, ToBeJoined
from zegelpost.web.errors import ANSWERS, OUTAGE_OF_PROVIDER
from zegelpost.web.forms import fields, spoken
from zegelpost.web.network import client_network
from zegelpost.web.pages import page
from zegelpost.web.sessions import (
    end_joining,
    end_visit,
    joining_cookie,
    portal_actor,
    require_csrf,
    start_joining,
    start_visit,
    visit_cookie,
)
from zegelpost.web.sign_in_pages import let_in, own_path

DEPART: Final = "/sign-in/organisation"
JOIN: Final = "/sign-in/join"
_LOG: Final = structlog.get_logger()


def _identifying(request: Request) -> Identifying:
    found: Identifying | None = request.app.state.services.identifying
    if found is None:
        raise NotFound
    return found


async def depart(request: Request) -> Response:
    identifying = _identifying(request)
    wanted = own_path(request.query_params.get("next", "/"))
    try:
        token, url = await identifying.depart(wanted=wanted, network=client_network(request))
    except (IdentityError, TooManyAttempts) as problem:
        return _not_in(request, problem, wanted)
    response = RedirectResponse(url, 303)
    start_visit(request, response, token)
    return response


async def arrive(request: Request) -> Response:
    identifying = _identifying(request)
    token = visit_cookie(request)
    try:
        if token is None:
            raise IdentityOver
        outcome, wanted = await identifying.arrive(token, dict(request.query_params), language=request.state.language.value)
    except (IdentityError, Refusal) as problem:
        response = _not_in(request, problem, "")
        end_visit(request, response)
        return response
    if isinstance(outcome, ToBeJoined):
        response = RedirectResponse(JOIN, 303)
        start_joining(request, response, outcome.token)
    else:
        response = let_in(request, outcome, wanted)
    end_visit(request, response)
    return response


def _not_in(request: Request, problem: IdentityError | Refusal, wanted: str) -> Response:
    """The sign-in page again, with what went wrong; whoever has a password can go on with that."""
    if isinstance(problem, IdentityError):
        _LOG.error("outage", kind=type(problem).__name__, reason=problem.reason)
        status, error = 503, request.app.state.services.translators[request.state.language].gettext(OUTAGE_OF_PROVIDER)
    else:
        status, error = ANSWERS[type(problem)].status, spoken(request, problem)
    return page(request, "sign_in.html", None, status, next=wanted, email="", error=error, done="", language_href="/sign-in")


async def join_page(request: Request) -> Response:
    return await _join_page(request, await _actor(request))


async def _join_page(request: Request, actor: StaffActor | None, refusal: Refusal | None = None) -> Response:
    identifying, token = _identifying(request), joining_cookie(request)
    if token is None:
        raise IdentityOver
    joining = await identifying.joining(token, actor)
    return page(
        request,
        "sign_in_join.html",
        actor,
        ANSWERS[type(refusal)].status if refusal else 200,
        joining=joining,
        sign_in_href=f"/sign-in?next={quote(JOIN)}",
        is_signed_in=actor is not None,
        error=spoken(request, refusal) if refusal else "",
        language_href=JOIN,
    )


async def join(request: Request) -> Response:
    identifying, token, actor = _identifying(request), joining_cookie(request), await _actor(request)
    if token is None:
        raise IdentityOver
    if actor is None:
        return RedirectResponse(JOIN, 303)
    form = await fields(request)
    require_csrf(actor, form.get("csrf", ""))
    try:
        wanted = await identifying.join(token, actor, form.get("password", ""))
    except (PasswordIncorrect, TooManyAttempts) as refusal:
        return await _join_page(request, actor, refusal)
    response = RedirectResponse(own_path(wanted), 303)
    end_joining(request, response)
    return response


async def _actor(request: Request) -> StaffActor | None:
    try:
        return await portal_actor(request)
    except SignInRequired:
        return None


def routes() -> list[Route]:
    get, post = ["GET"], ["POST"]
    return [
        Route(DEPART, depart, methods=get),
        Route(ARRIVAL, arrive, methods=get),
        Route(JOIN, join_page, methods=get),
        Route(JOIN, join, methods=post),
    ]
