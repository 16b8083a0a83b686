"""Pages about address books that Exchange or a file feeds: one's own for everyone, all of them for administrators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from zegelpost.model.refusals import NotFound
from zegelpost.services.access import StaffActor
from zegelpost.web.pages import page, signed_in, staff_form

_DONE: Final = frozenset({"on", "off", "soon", "chosen", "agreed", "removed"})


def _done(request: Request) -> str:
    done = request.query_params.get("done", "")
    return done if done in _DONE else ""


async def own_book(request: Request, actor: StaffActor) -> Response:
    own = await request.app.state.services.overseeing_address_books.own(actor)
    if own is None:
        raise NotFound
    return page(request, "contacts_exchange.html", actor, current_page="contacts", own=own, done=_done(request))


async def switch(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
    is_on = form.get("is_on") == "1"
    await request.app.state.services.overseeing_address_books.switch(actor, is_on=is_on)
    return RedirectResponse(f"/contacts/exchange?done={'on' if is_on else 'off'}", 303)


async def read_own(request: Request, actor: StaffActor, _: Mapping[str, str]) -> Response:
    await request.app.state.services.overseeing_address_books.read_soon(actor)
    return RedirectResponse("/contacts/exchange?done=soon", 303)


async def books(request: Request, actor: StaffActor) -> Response:
    found = await request.app.state.services.overseeing_address_books.organisation(actor)
    return page(request, "address_books.html", actor, current_page="administration", books=found, done=_done(request))


async def choose(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
    await request.app.state.services.overseeing_address_books.choose(
        actor,
        reads_directory="reads_directory" in form,
        reads_mailboxes="reads_mailboxes" in form,
        writes_back="writes_back" in form,
    )
    return RedirectResponse("/admin/address-books?done=chosen", 303)


async def agree(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
    await request.app.state.services.overseeing_address_books.agree(actor, form.get("place", ""))
    return RedirectResponse("/admin/address-books?done=agreed", 303)


async def read_lists(request: Request, actor: StaffActor, _: Mapping[str, str]) -> Response:
    await request.app.state.services.overseeing_address_books.read_lists_soon(actor)
    return RedirectResponse("/admin/address-books?done=soon", 303)


def routes() -> list[Route]:
    get, post = ["GET"], ["POST"]
    return [
        Route("/contacts/exchange", signed_in(own_book), methods=get),
        Route("/contacts/exchange/switch", staff_form(switch), methods=post),
        Route("/contacts/exchange/read", staff_form(read_own), methods=post),
        Route("/admin/address-books", signed_in(books), methods=get),
        Route("/admin/address-books", staff_form(choose), methods=post),
        Route("/admin/address-books/agree", staff_form(agree), methods=post),
        Route("/admin/address-books/read", staff_form(read_lists), methods=post),
    ]
