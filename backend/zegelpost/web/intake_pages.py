"""The public page: an outsider starts unasked, says who they are and for whom it is, and confirms by a code from their mailbox.

From there on they are a guest with a link, see `guest_pages.py`. Everything works without script; then there is no proof of work,
and fewer may start from one network.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from zegelpost.model.intake import TypedIntroduction
from zegelpost.model.link import LINK_PREFIXES
from zegelpost.model.refusals import (
    CodeAskedTooSoon,
    CodeExpired,
    CodeIncomplete,
    CodeIncorrect,
    CodeLimitReached,
    CodeTriesExhausted,
    FormRefused,
    IntakeClosed,
    IntakeOver,
    Refusal,
    TooManyAttempts,
    TooManyUnfinished,
)
from zegelpost.model.transfer import TransferKind
from zegelpost.web.errors import ANSWERS
from zegelpost.web.forms import fields, sentences, spoken
from zegelpost.web.network import client_network
from zegelpost.web.pages import Handler
from zegelpost.web.recipient_pages import link_page
from zegelpost.web.sessions import end_introduced, introduced_cookie, start_introduced, start_recipient

BASE = LINK_PREFIXES[TransferKind.INTAKE]


def _unless_over(handler: Handler) -> Handler:
    """An introduction that is gone starts anew; a closed public page says so, whatever was asked of it."""

    async def wrapped(request: Request) -> Response:
        try:
            return await handler(request)
        except IntakeOver:
            return RedirectResponse(f"{BASE}?over=1", 303)
        except IntakeClosed as refusal:
            return link_page(
                request,
                "intake_closed.html",
                ANSWERS[type(refusal)].status,
                sentence=spoken(request, refusal),
                language_href=BASE,
            )

    return wrapped


async def start(request: Request) -> Response:
    request.app.state.services.introducing.require_open()
    return link_page(request, "intake.html", is_over="over" in request.query_params, language_href=BASE)


async def new(request: Request) -> Response:
    typed = await request.app.state.services.introducing.typed(introduced_cookie(request))
    return await _form(request, typed or TypedIntroduction())


async def _form(
    request: Request, typed: TypedIntroduction, errors: Mapping[str, str] | None = None, error: str = "", status: int = 200
) -> Response:
    introducing = request.app.state.services.introducing
    return link_page(
        request,
        "intake_new.html",
        status,
        departments=await introducing.addressable(),
        domains=request.app.state.services.policy.staff_domains,
        puzzle=json.dumps(request.app.state.services.proving_work.puzzle()),
        typed=typed,
        errors=errors or {},
        error=error,
        language_href=f"{BASE}/new",
    )


async def introduce(request: Request) -> Response:
    form = await fields(request)
    typed = TypedIntroduction(**{name: form.get(name, "") for name in TypedIntroduction.__dataclass_fields__})
    try:
        token = await request.app.state.services.introducing.introduce(
            typed,
            proof=form.get("proof", ""),
            network=client_network(request),
            language=request.state.language.value,
        )
    except FormRefused as refused:
        return await _form(request, typed, sentences(request, refused), status=422)
    except TooManyAttempts as refusal:
        return await _form(request, typed, error=spoken(request, refusal), status=429)
    response = RedirectResponse(f"{BASE}/confirm", 303)
    start_introduced(request, response, token)
    return response


async def confirm_page(request: Request) -> Response:
    return await _confirm(request, is_news="again" in request.query_params)


async def _confirm(request: Request, error: str = "", status: int = 200, *, is_news: bool = False) -> Response:
    waiting = await request.app.state.services.introducing.waiting(introduced_cookie(request))
    return link_page(
        request,
        "intake_confirm.html",
        status,
        waiting=waiting,
        error=error,
        is_news=is_news,
        language_href=f"{BASE}/confirm",
    )


async def confirm(request: Request) -> Response:
    code = (await fields(request)).get("code", "")
    try:
        begun = await request.app.state.services.introducing.confirm(
            introduced_cookie(request), code, network=client_network(request)
        )
    except (CodeIncomplete, CodeIncorrect, CodeExpired, CodeTriesExhausted, TooManyAttempts, TooManyUnfinished) as refusal:
        return await _refused(request, refusal)
    except FormRefused as refused:
        return await _mend(request, refused)
    answering = request.app.state.services.answering
    await answering.begin(await answering.guest(begun.link_id, begun.cookie))
    response = RedirectResponse(f"{BASE}/{begun.link_id}/answer", 303)
    end_introduced(request, response)
    start_recipient(request, response, begun.link_id, begun.cookie)
    return response


async def send_again(request: Request) -> Response:
    await fields(request)
    try:
        await request.app.state.services.introducing.send_again(introduced_cookie(request))
    except (CodeAskedTooSoon, CodeLimitReached, TooManyAttempts) as refusal:
        return await _refused(request, refusal)
    except FormRefused as refused:
        return await _mend(request, refused)
    return RedirectResponse(f"{BASE}/confirm?again=1", 303)


async def _mend(request: Request, refused: FormRefused) -> Response:
    """What was right when it was typed is not any more: a department left the list. Back to the form, with all of it."""
    typed = await request.app.state.services.introducing.typed(introduced_cookie(request))
    return await _form(request, typed or TypedIntroduction(), sentences(request, refused), status=422)


async def _refused(request: Request, refusal: Refusal) -> Response:
    return await _confirm(request, spoken(request, refusal), ANSWERS[type(refusal)].status)


def routes() -> list[Route]:
    get, post = ["GET"], ["POST"]
    return [
        Route(BASE, _unless_over(start), methods=get),
        Route(f"{BASE}/new", _unless_over(new), methods=get),
        Route(f"{BASE}/new", _unless_over(introduce), methods=post),
        Route(f"{BASE}/confirm", _unless_over(confirm_page), methods=get),
        Route(f"{BASE}/confirm", _unless_over(confirm), methods=post),
        Route(f"{BASE}/confirm/again", _unless_over(send_again), methods=post),
    ]
