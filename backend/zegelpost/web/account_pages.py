"""Pages about one's own account: opening one, the password, where one is signed in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from zegelpost.model.account_link import PASSWORD_LINK_HOURS, REGISTRATION_HOURS
from zegelpost.model.password import LONGEST_PASSWORD, SHORTEST_PASSWORD
from zegelpost.model.refusals import FormRefused, PasswordIncorrect, Refusal, TooManyAttempts
from zegelpost.model.secret import SecretToken
from zegelpost.services.access import StaffActor
from zegelpost.services.noticing import TypedNotices
from zegelpost.web import factor_pages
from zegelpost.web.errors import ANSWERS
from zegelpost.web.forms import fields, sentences, spoken
from zegelpost.web.network import client_network
from zegelpost.web.pages import page, signed_in, staff_form
from zegelpost.web.sessions import end_portal
from zegelpost.web.sign_in_pages import let_in

_DONE: Final = frozenset({"notices", "password", "ended", "added", "removed"})
_LIMITS: Final = {"shortest": SHORTEST_PASSWORD, "longest": LONGEST_PASSWORD}


# Opening an account


async def new_page(request: Request) -> Response:
    return _new(request, {}, {})


def _new(request: Request, form: Mapping[str, str], errors: Mapping[str, str], error: str = "", status: int = 200) -> Response:
    domains = request.app.state.services.policy.staff_domains
    return page(
        request,
        "account_new.html",
        None,
        status,
        typed={name: form.get(name, "") for name in ("name", "email")},
        errors=errors,
        error=error,
        domains=domains,
        **_LIMITS,
    )


async def ask_account(request: Request) -> Response:
    form = await fields(request)
    try:
        await request.app.state.services.registering.ask(
            name=form.get("name", ""),
            email=form.get("email", ""),
            password=form.get("password", ""),
            network=client_network(request),
            language=request.state.language.value,
        )
    except FormRefused as refused:
        return _new(request, form, sentences(request, refused), status=422)
    except TooManyAttempts as refusal:
        return _new(request, form, {}, spoken(request, refusal), 429)
    return _mailed(request, form, is_new=True)


def _mailed(request: Request, form: Mapping[str, str], *, is_new: bool) -> Response:
    """The answer to whoever asked, which is the same for every address."""
    hours = REGISTRATION_HOURS if is_new else PASSWORD_LINK_HOURS
    back = "/account/new" if is_new else "/account/forgot"
    return page(
        request,
        "account_mailed.html",
        None,
        email=form.get("email", "").strip(),
        hours=hours,
        is_new=is_new,
        back=back,
        language_href=back,
    )


def _secret(request: Request) -> SecretToken:
    return SecretToken(str(request.path_params["secret"]))


def _link_refused(request: Request, refusal: Refusal, back: str) -> Response:
    status = ANSWERS[type(refusal)].status
    return page(
        request, "account_link_refused.html", None, status, sentence=spoken(request, refusal), back=back, language_href=back
    )


async def confirm_page(request: Request) -> Response:
    try:
        await request.app.state.services.registering.require_link(_secret(request))
    except Refusal as refusal:
        return _link_refused(request, refusal, "/account/new")
    return page(request, "account_confirm.html", None, errors={}, error="")


async def confirm(request: Request) -> Response:
    form = await fields(request)
    try:
        outcome = await request.app.state.services.registering.confirm(_secret(request), form.get("password", ""))
    except PasswordIncorrect as refusal:
        return page(request, "account_confirm.html", None, 422, errors={"password": spoken(request, refusal)}, error="")
    except TooManyAttempts as refusal:
        return page(request, "account_confirm.html", None, 429, errors={}, error=spoken(request, refusal))
    except Refusal as refusal:
        return _link_refused(request, refusal, "/account/new")
    return let_in(request, outcome, "/")


# Forgot the password


async def forgot_page(request: Request) -> Response:
    return page(request, "account_forgot.html", None, email="", errors={}, error="")


async def ask_password_link(request: Request) -> Response:
    form = await fields(request)
    email = form.get("email", "")
    try:
        await request.app.state.services.changing_password.ask_link(
            email=email, network=client_network(request), language=request.state.language.value
        )
    except FormRefused as refused:
        return page(request, "account_forgot.html", None, 422, email=email, errors=sentences(request, refused), error="")
    except TooManyAttempts as refusal:
        return page(request, "account_forgot.html", None, 429, email=email, errors={}, error=spoken(request, refusal))
    return _mailed(request, form, is_new=False)


async def reset_page(request: Request) -> Response:
    try:
        await request.app.state.services.changing_password.require_link(_secret(request))
    except Refusal as refusal:
        return _link_refused(request, refusal, "/account/forgot")
    return page(request, "account_reset.html", None, errors={}, **_LIMITS)


async def reset(request: Request) -> Response:
    form = await fields(request)
    try:
        await request.app.state.services.changing_password.reset(_secret(request), form.get("new_password", ""))
    except FormRefused as refused:
        return page(request, "account_reset.html", None, 422, errors=sentences(request, refused), **_LIMITS)
    except Refusal as refusal:
        return _link_refused(request, refusal, "/account/forgot")
    return RedirectResponse("/sign-in?done=password", 303)


# One's own account


async def account(request: Request, actor: StaffActor) -> Response:
    user = actor.user
    notices = TypedNotices(user.tells_first_download, str(user.tells_unopened_after_days), str(user.tells_expiring_before_days))
    return await _account(request, actor, notices, {})


async def _account(request: Request, actor: StaffActor, notices: TypedNotices, errors: Mapping[str, str]) -> Response:
    services = request.app.state.services
    done = request.query_params.get("done", "")
    return page(
        request,
        "account.html",
        actor,
        422 if errors else 200,
        current_page="account",
        notices=notices,
        errors=errors,
        factors=await services.adding_second_factor.factors(actor),
        sign_ins=await services.signing_in.sign_ins(actor),
        is_joined=bool(services.identifying) and await services.identifying.is_joined(actor.user.id),
        can_use_passkeys=factor_pages.can_use_passkeys(request),
        done=done if done in _DONE else "",
        language_href="/account",
    )


async def choose_notices(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
    typed = TypedNotices("first_download" in form, form.get("unopened_days", ""), form.get("expiring_days", ""))
    try:
        await request.app.state.services.noticing.choose(actor, typed)
    except FormRefused as refused:
        return await _account(request, actor, typed, sentences(request, refused))
    return RedirectResponse("/account?done=notices", 303)


async def password_page(request: Request, actor: StaffActor) -> Response:
    return page(request, "account_password.html", actor, current_page="account", errors={}, error="", **_LIMITS)


async def change_password(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
    try:
        await request.app.state.services.changing_password.change(
            actor, old=form.get("old_password", ""), new=form.get("new_password", "")
        )
    except FormRefused as refused:
        errors, error, status = sentences(request, refused), "", 422
    except TooManyAttempts as refusal:
        errors, error, status = {}, spoken(request, refusal), 429
    else:
        return RedirectResponse("/account?done=password", 303)
    return page(request, "account_password.html", actor, status, current_page="account", errors=errors, error=error, **_LIMITS)


async def end_sign_in(request: Request, actor: StaffActor, _: Mapping[str, str]) -> Response:
    await request.app.state.services.signing_in.end(actor, request.path_params["sign_in_id"])
    return RedirectResponse("/account?done=ended", 303)


async def sign_out_everywhere(request: Request, actor: StaffActor, _: Mapping[str, str]) -> Response:
    await request.app.state.services.signing_in.end_all(actor)
    response = RedirectResponse("/sign-in?done=everywhere", 303)
    end_portal(request, response)
    return response


def routes() -> list[Route]:
    get, post = ["GET"], ["POST"]
    return [
        Route("/account/new", new_page, methods=get),
        Route("/account/new", ask_account, methods=post),
        Route("/account/confirm/{secret}", confirm_page, methods=get),
        Route("/account/confirm/{secret}", confirm, methods=post),
        Route("/account/forgot", forgot_page, methods=get),
        Route("/account/forgot", ask_password_link, methods=post),
        Route("/account/reset/{secret}", reset_page, methods=get),
        Route("/account/reset/{secret}", reset, methods=post),
        Route("/account", signed_in(account), methods=get),
        Route("/account/notices", staff_form(choose_notices), methods=post),
        Route("/account/password", signed_in(password_page), methods=get),
        Route("/account/password", staff_form(change_password), methods=post),
        Route("/account/sign-ins/{sign_in_id}/end", staff_form(end_sign_in), methods=post),
        Route("/account/sign-out-everywhere", staff_form(sign_out_everywhere), methods=post),
        *factor_pages.routes(),
    ]
