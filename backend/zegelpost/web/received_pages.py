"""Pages about what came in: finding it, reading it, marking it as handled, passing it on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from zegelpost.model.refusals import EmailAddressInvalid, NotFound, Refusal
from zegelpost.services.access import MINE, StaffActor
from zegelpost.services.handling import MOST_FOUND, PAGE, Handled, ReceivedPage, Wanted
from zegelpost.web.downloads import give_archive, give_document
from zegelpost.web.errors import ANSWERS
from zegelpost.web.forms import parse_day, spoken
from zegelpost.web.pages import page, page_number, signed_in, staff_form

_DONE: Final = frozenset({"handled", "reopened", "forwarded", "released", "removed"})
_FIELDS: Final = ("mailbox", "handled", "sender", "reference", "first_day", "last_day")


async def received(request: Request, actor: StaffActor) -> Response:
    """The list. What is typed to search is posted instead, so that names and case numbers stay out of addresses and logs."""
    form = {name: request.query_params.get(name, "") for name in ("mailbox", "handled")}
    wanted, _ = _wanted(request, actor, form)
    found = await request.app.state.services.handling.received(actor, wanted, page=page_number(request))
    return _list(request, actor, found, form)


def _list(
    request: Request,
    actor: StaffActor,
    found: ReceivedPage,
    form: Mapping[str, str],
    *,
    errors: Mapping[str, str] | None = None,
    is_search: bool = False,
) -> Response:
    return page(
        request,
        "received.html",
        actor,
        422 if errors else 200,
        current_page="received",
        page=found,
        typed={name: form.get(name, "") for name in _FIELDS},
        errors=errors or {},
        is_search=is_search,
        most=MOST_FOUND,
        language_href="/received",
    )


async def search(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
    wanted, errors = _wanted(request, actor, form)
    found = [] if errors else await request.app.state.services.handling.find(actor, wanted)
    return _list(request, actor, ReceivedPage(found, 1, min(len(found), PAGE)), form, errors=errors, is_search=True)


def _wanted(request: Request, actor: StaffActor, form: Mapping[str, str]) -> tuple[Wanted, dict[str, str]]:
    mailbox = form.get("mailbox", "")
    handled = form.get("handled", "")
    errors: dict[str, str] = {}
    days: dict[str, date | None] = {}
    for name in ("first_day", "last_day"):
        try:
            days[name] = parse_day(form.get(name, ""))
        except Refusal as refusal:
            errors[name] = spoken(request, refusal)
    return (
        Wanted(
            mailbox=mailbox if mailbox == MINE or mailbox in actor.departments else "",
            handled=Handled(handled) if handled in set(Handled) else Handled.ALL,
            sender=form.get("sender", ""),
            reference=form.get("reference", ""),
            first_day=days.get("first_day"),
            last_day=days.get("last_day"),
        ),
        errors,
    )


async def received_transfer(request: Request, actor: StaffActor) -> Response:
    return await transfer_page(request, actor)


async def transfer_page(
    request: Request, actor: StaffActor, *, error: str = "", hold_error: str = "", typed_email: str = "", status: int = 200
) -> Response:
    """What came in, with what was refused about it: `error` at passing on, `hold_error` at what was held back."""
    services, transfer_id = request.app.state.services, request.path_params["transfer_id"]
    reader = await services.receiving.by_sign_in(actor, transfer_id)
    readable = await services.receiving.read(reader)
    done = request.query_params.get("done", "")
    base = f"/received/{readable.id}"
    return page(
        request,
        "received_transfer.html",
        actor,
        status,
        current_page="received",
        transfer=readable,
        standing=await services.handling.standing(actor, transfer_id),
        base=base,
        error=error,
        hold_error=hold_error,
        typed_email=typed_email,
        done=done if done in _DONE else "",
        language_href=base,
    )


async def set_handled(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
    is_handled = form.get("is_handled") == "1"
    transfer_id = request.path_params["transfer_id"]
    await request.app.state.services.handling.set_handled(actor, transfer_id, is_handled=is_handled)
    return RedirectResponse(f"/received/{transfer_id}?done={'handled' if is_handled else 'reopened'}", 303)


async def forward(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
    transfer_id, email = request.path_params["transfer_id"], form.get("email", "")
    try:
        await request.app.state.services.handling.forward(actor, transfer_id, email)
    except NotFound:
        raise
    except Refusal as refusal:
        status = 422 if isinstance(refusal, EmailAddressInvalid) else ANSWERS[type(refusal)].status
        return await transfer_page(request, actor, error=spoken(request, refusal), typed_email=email, status=status)
    return RedirectResponse(f"/received/{transfer_id}?done=forwarded", 303)


async def document(request: Request, actor: StaffActor) -> Response:
    reader = await request.app.state.services.receiving.by_sign_in(actor, request.path_params["transfer_id"])
    return await give_document(request, reader)


async def archive(request: Request, actor: StaffActor) -> Response:
    reader = await request.app.state.services.receiving.by_sign_in(actor, request.path_params["transfer_id"])
    return await give_archive(request, reader)


def routes() -> list[Route]:
    one, get, post = "/received/{transfer_id}", ["GET"], ["POST"]
    return [
        Route("/received", signed_in(received), methods=get),
        Route("/received", staff_form(search), methods=post),
        Route(one, signed_in(received_transfer), methods=get),
        Route(f"{one}/handled", staff_form(set_handled), methods=post),
        Route(f"{one}/forward", staff_form(forward), methods=post),
        Route(f"{one}/documents/{{document_id}}", signed_in(document), methods=get),
        Route(f"{one}/archive.zip", signed_in(archive), methods=get),
    ]
