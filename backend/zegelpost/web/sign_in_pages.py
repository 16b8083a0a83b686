"""Pages for signing in: the password, the second step, and out again."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from zegelpost.model.refusals import (
    PasskeyRefused,
    Refusal,
    SecondFactorIncorrect,
    SignInAtProvider,
    SignInIncorrect,
    SignInRequired,
    TooManyAttempts,
)
from zegelpost.services.access import HalfActor, StaffActor
from zegelpost.services.signing_in import HalfSignedIn, SignedIn
from zegelpost.web.errors import ANSWERS
from zegelpost.web.forms import fields, spoken
from zegelpost.web.network import client_network
from zegelpost.web.pages import Handler, page, staff_form
from zegelpost.web.sessions import end_half, end_portal, half_actor, remember_wanted, require_csrf, start_half, start_portal

SECOND_STEP: Final = "/sign-in/second-factor"
SET_UP: Final = "/account/second-factor"
HalfHandler = Callable[[Request, HalfActor, Mapping[str, str]], Awaitable[Response]]


def let_in(request: Request, outcome: SignedIn | HalfSignedIn, wanted: str) -> Response:
    """On to where they were going, or to the second step first."""
    if isinstance(outcome, SignedIn):
        response: Response = RedirectResponse(own_path(wanted), 303)
        start_portal(request, response, outcome.token)
        end_half(request, response)
        return response
    if outcome.has_factor:
        path = own_path(wanted)
        response = RedirectResponse(f"{SECOND_STEP}?next={path}" if path != "/" else SECOND_STEP, 303)
    else:
        response = RedirectResponse(SET_UP, 303)
        remember_wanted(request, response, own_path(wanted))
    start_half(request, response, outcome.token)
    return response


def own_path(wanted: str) -> str:
    """A path of ours, or home. Two slashes, or a slash and a backslash, are addresses of others to a browser."""
    is_ours = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and wanted.isascii() and wanted.isprintable()
    return wanted if is_ours else "/"


async def sign_in_page(request: Request) -> Response:
    return page(request, "sign_in.html", None, next=request.query_params.get("next", ""), email="", error="", done=_done(request))


def _done(request: Request) -> str:
    done = request.query_params.get("done", "")
    return done if done in {"password", "everywhere", "nothing"} else ""


async def sign_in(request: Request) -> Response:
    form = await fields(request)
    email, wanted = form.get("email", ""), form.get("next", "")
    try:
        outcome = await request.app.state.services.signing_in.begin(
            email=email, password=form.get("password", ""), network=client_network(request)
        )
    except (SignInIncorrect, SignInAtProvider, TooManyAttempts) as refusal:
        status = ANSWERS[type(refusal)].status
        return page(request, "sign_in.html", None, status, next=wanted, email=email, error=spoken(request, refusal), done="")
    return let_in(request, outcome, wanted)


async def sign_out(request: Request, actor: StaffActor, _: Mapping[str, str]) -> Response:
    services = request.app.state.services
    await services.signing_in.sign_out(actor)
    provider_url = await services.identifying.sign_out_url(actor.user.id) if services.identifying else None
    # Not sent on at once: that ends everything else they have open there too, and a form may only lead to pages of ours.
    response = (
        page(request, "signed_out.html", None, provider_url=provider_url) if provider_url else RedirectResponse("/sign-in", 303)
    )
    end_portal(request, response)
    return response


# The second step


def _halfway(handler: HalfHandler) -> Handler:
    """For whoever knew the password and has a second factor; a form has to come from their own page."""

    @functools.wraps(handler)
    async def wrapped(request: Request) -> Response:
        try:
            half, has_factor = await half_actor(request)
        except SignInRequired:
            return RedirectResponse("/sign-in", 303)
        if not has_factor:
            return RedirectResponse(SET_UP, 303)
        form: Mapping[str, str] = {}
        if request.method == "POST":
            form = await fields(request)
            require_csrf(half, form.get("csrf", ""))
        return await handler(request, half, form)

    return wrapped


async def second_step_page(request: Request, half: HalfActor, _: Mapping[str, str]) -> Response:
    return await _second_step(request, half, request.query_params.get("next", ""))


async def _second_step(request: Request, half: HalfActor, wanted: str, refusal: Refusal | None = None) -> Response:
    return page(
        request,
        "account_second_step.html",
        half,
        ANSWERS[type(refusal)].status if refusal else 200,
        next=wanted,
        error=spoken(request, refusal) if refusal else "",
        has_passkey=await request.app.state.services.signing_in.has_passkey(half),
        is_about_passkey=isinstance(refusal, PasskeyRefused),
        language_href=SECOND_STEP,
    )


async def second_step(request: Request, half: HalfActor, form: Mapping[str, str]) -> Response:
    wanted = form.get("next", "")
    try:
        outcome = await request.app.state.services.signing_in.finish_with_code(half, form.get("code", ""))
    except (SecondFactorIncorrect, TooManyAttempts) as refusal:
        return await _second_step(request, half, wanted, refusal)
    return let_in(request, outcome, wanted)


async def passkey_question(request: Request, half: HalfActor, _: Mapping[str, str]) -> Response:
    options = await request.app.state.services.signing_in.ask_passkey(half)
    return Response(options, media_type="application/json")


async def passkey_answer(request: Request, half: HalfActor, form: Mapping[str, str]) -> Response:
    wanted = form.get("next", "")
    try:
        outcome = await request.app.state.services.signing_in.finish_with_passkey(half, form.get("answer", ""))
    except (PasskeyRefused, TooManyAttempts) as refusal:
        return await _second_step(request, half, wanted, refusal)
    return let_in(request, outcome, wanted)


def routes() -> list[Route]:
    get, post = ["GET"], ["POST"]
    return [
        Route("/sign-in", sign_in_page, methods=get),
        Route("/sign-in", sign_in, methods=post),
        Route("/sign-out", staff_form(sign_out), methods=post),
        Route(SECOND_STEP, _halfway(second_step_page), methods=get),
        Route(SECOND_STEP, _halfway(second_step), methods=post),
        Route("/sign-in/passkey/question", _halfway(passkey_question), methods=post),
        Route("/sign-in/passkey", _halfway(passkey_answer), methods=post),
    ]
