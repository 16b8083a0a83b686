"""What the pages of staff have in common: being rendered, asking who is there, and taking forms."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from zegelpost.model.refusals import SignInRequired
from zegelpost.model.whole_number import whole_number
from zegelpost.services.access import HalfActor, StaffActor
from zegelpost.web.forms import fields
from zegelpost.web.sessions import csrf_token, portal_actor, require_csrf

Handler = Callable[[Request], Awaitable[Response]]
StaffHandler = Callable[[Request, StaffActor], Awaitable[Response]]
StaffFormHandler = Callable[[Request, StaffActor, Mapping[str, str]], Awaitable[Response]]


def page(request: Request, name: str, actor: StaffActor | HalfActor | None, status: int = 200, /, **context: object) -> Response:
    """A page. Only someone who is all the way in gets the menu; whoever is halfway gets the token for their form."""
    services = request.app.state.services
    if actor is not None:
        context["csrf"] = csrf_token(actor)
    if isinstance(actor, StaffActor):
        context["user"] = actor.user
        context["departments_of_user"] = [(each, works_for.name) for each, works_for in actor.departments.items()]
    context.setdefault("now", services.clock())
    return HTMLResponse(services.templates.render(name, request.state.language, **context), status)


def signed_in(handler: StaffHandler) -> Handler:
    """For pages: whoever is not signed in goes to sign in first, and comes back to where they were going."""

    @functools.wraps(handler)
    async def wrapped(request: Request) -> Response:
        try:
            actor = await portal_actor(request)
        except SignInRequired:
            path = request.scope["path"]
            if request.method != "GET":
                return RedirectResponse("/sign-in" if path == "/sign-out" else "/sign-in?done=nothing", 303)
            # Only our own path, never an address: nothing to redirect elsewhere with.
            return RedirectResponse(f"/sign-in?next={path}" if path != "/" else "/sign-in", 303)
        return await handler(request, actor)

    return wrapped


def staff_form(handler: StaffFormHandler) -> Handler:
    """For forms: signed in, and from a page of this sign-in."""

    async def checked(request: Request, actor: StaffActor) -> Response:
        form = await fields(request)
        require_csrf(actor, form.get("csrf", ""))
        return await handler(request, actor, form)

    return signed_in(checked)


def page_number(request: Request) -> int:
    """Which page of a list is asked for; the first when it is none."""
    return max(1, whole_number(request.query_params.get("page", ""), most_digits=6) or 1)
