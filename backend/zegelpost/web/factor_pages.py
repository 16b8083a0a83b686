"""Pages for second factors: setting them up, removing them, recovery codes.

Whoever is halfway signing in gets to set up their first one here; the same pages serve people who add another.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from zegelpost.model.refusals import FormRefused, Refusal, SignInRequired
from zegelpost.services.access import HalfActor, StaffActor
from zegelpost.services.adding_second_factor import Added, NewApp
from zegelpost.web.errors import ANSWERS
from zegelpost.web.forms import fields, sentences, spoken
from zegelpost.web.pages import Handler, page, signed_in, staff_form
from zegelpost.web.sessions import end_half, forget_wanted, half_actor, portal_actor, require_csrf, start_portal, wanted
from zegelpost.web.sign_in_pages import own_path

Holder = StaffActor | HalfActor
HolderHandler = Callable[[Request, Holder, Mapping[str, str]], Awaitable[Response]]


def can_use_passkeys(request: Request) -> bool:
    """Browsers make passkeys for names, not for numbers (WebAuthn 3, section 5.1.3: a valid domain)."""
    try:
        ipaddress.ip_address(request.app.state.services.settings.host.rpartition(":")[0].strip("[]"))
    except ValueError:
        return True
    return False


def _enrolling(handler: HolderHandler) -> Handler:
    """For the signed in, and for whoever is halfway and has nothing to show yet. A form has to come from their own page."""

    @functools.wraps(handler)
    async def wrapped(request: Request) -> Response:
        try:
            holder: Holder = await portal_actor(request)
        except SignInRequired:
            try:
                holder, has_factor = await half_actor(request)
            except SignInRequired:
                return RedirectResponse("/sign-in", 303)
            if has_factor:
                return RedirectResponse("/sign-in/second-factor", 303)
        form: Mapping[str, str] = {}
        if request.method == "POST":
            form = await fields(request)
            require_csrf(holder, form.get("csrf", ""))
        return await handler(request, holder, form)

    return wrapped


def _page(request: Request, name: str, holder: Holder, status: int = 200, /, **context: object) -> Response:
    return page(
        request,
        name,
        holder,
        status,
        current_page="account",
        is_halfway=isinstance(holder, HalfActor),
        **({"errors": {}, "error": ""} | context),
    )


def _refused(request: Request, refusal: Refusal) -> tuple[int, dict[str, Any]]:
    """Status and sentences: at the fields, or above the form."""
    status = ANSWERS[type(refusal)].status
    if isinstance(refusal, FormRefused):
        return status, {"errors": sentences(request, refusal)}
    return status, {"error": spoken(request, refusal)}


def _added(request: Request, holder: Holder, added: Added) -> Response:
    """On to the account, by way of the recovery codes when there are new ones: they are shown here and never again."""
    if added.recovery_codes:
        response = _codes(request, holder, added.recovery_codes)
        forget_wanted(request, response)
    else:
        response = RedirectResponse("/account?done=added", 303)
    if added.signed_in is not None:
        start_portal(request, response, added.signed_in.token)
        end_half(request, response)
    return response


def _codes(request: Request, holder: Holder, codes: list[str]) -> Response:
    go_on = own_path(wanted(request)) if isinstance(holder, HalfActor) else "/account"
    return _page(request, "account_codes.html", holder, codes=codes, go_on=go_on, language_href="/account")


async def choose_page(request: Request, holder: Holder, _: Mapping[str, str]) -> Response:
    return _page(request, "account_choose_factor.html", holder, can_use_passkeys=can_use_passkeys(request))


async def app_page(request: Request, holder: Holder, _: Mapping[str, str]) -> Response:
    return _app(request, holder, request.app.state.services.adding_second_factor.new_app(holder), {})


def _app(
    request: Request, holder: Holder, app: NewApp, form: Mapping[str, str], status: int = 200, **context: object
) -> Response:
    typed = {"name": form.get("name", "")}
    return _page(request, "account_app.html", holder, status, app=app, typed=typed, **context)


async def add_app(request: Request, holder: Holder, form: Mapping[str, str]) -> Response:
    adding = request.app.state.services.adding_second_factor
    app_id, sealed = form.get("app_id", ""), form.get("sealed", "")
    shown = adding.same_app(holder, app_id, sealed)
    try:
        added = await adding.add_app(
            holder,
            app_id=app_id,
            sealed=sealed,
            name=form.get("name", ""),
            code=form.get("code", ""),
            password=form.get("password", ""),
        )
    except Refusal as refusal:
        status, context = _refused(request, refusal)
        return _app(request, holder, shown, form, status, **context)
    return _added(request, holder, added)


async def passkey_page(request: Request, holder: Holder, _: Mapping[str, str]) -> Response:
    return _page(request, "account_passkey.html", holder, typed={"name": ""})


async def passkey_question(request: Request, holder: Holder, _: Mapping[str, str]) -> Response:
    options = await request.app.state.services.adding_second_factor.ask_new_passkey(holder)
    return Response(options, media_type="application/json")


async def add_passkey(request: Request, holder: Holder, form: Mapping[str, str]) -> Response:
    name = form.get("name", "")
    try:
        added = await request.app.state.services.adding_second_factor.add_passkey(
            holder, answer=form.get("answer", ""), name=name, password=form.get("password", "")
        )
    except Refusal as refusal:
        status, context = _refused(request, refusal)
        return _page(request, "account_passkey.html", holder, status, typed={"name": name}, **context)
    return _added(request, holder, added)


async def remove_page(request: Request, actor: StaffActor) -> Response:
    factor = await request.app.state.services.adding_second_factor.factor(actor, request.path_params["factor_id"])
    return _page(request, "account_remove_factor.html", actor, factor=factor)


async def remove(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
    adding = request.app.state.services.adding_second_factor
    factor = await adding.factor(actor, request.path_params["factor_id"])
    try:
        await adding.remove(actor, factor.id, form.get("password", ""))
    except Refusal as refusal:
        status, context = _refused(request, refusal)
        return _page(request, "account_remove_factor.html", actor, status, factor=factor, **context)
    return RedirectResponse("/account?done=removed", 303)


async def codes_page(request: Request, actor: StaffActor) -> Response:
    return _page(request, "account_renew_codes.html", actor)


async def renew_codes(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
    try:
        codes = await request.app.state.services.adding_second_factor.renew_codes(actor, form.get("password", ""))
    except Refusal as refusal:
        status, context = _refused(request, refusal)
        return _page(request, "account_renew_codes.html", actor, status, **context)
    return _codes(request, actor, codes)


def routes() -> list[Route]:
    get, post = ["GET"], ["POST"]
    base = "/account/second-factor"
    return [
        Route(base, _enrolling(choose_page), methods=get),
        Route(f"{base}/app", _enrolling(app_page), methods=get),
        Route(f"{base}/app", _enrolling(add_app), methods=post),
        Route(f"{base}/passkey", _enrolling(passkey_page), methods=get),
        Route(f"{base}/passkey", _enrolling(add_passkey), methods=post),
        Route(f"{base}/passkey/question", _enrolling(passkey_question), methods=post),
        Route(f"{base}/codes", signed_in(codes_page), methods=get),
        Route(f"{base}/codes", staff_form(renew_codes), methods=post),
        Route(f"{base}/{{factor_id}}/remove", signed_in(remove_page), methods=get),
        Route(f"{base}/{{factor_id}}/remove", staff_form(remove), methods=post),
    ]
