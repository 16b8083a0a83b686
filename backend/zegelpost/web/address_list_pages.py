"""The organisation's address list from a file: an administrator hands it in, sees row by row what would happen, and agrees."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from zegelpost.model.address_book import MOST_UPLOADED
from zegelpost.model.refusals import BodyTooLarge, ListInUse
from zegelpost.services.access import StaffActor, require_administrator
from zegelpost.services.reading_contact_files import LARGEST_FILE_BYTES
from zegelpost.services.uploading_lists import ListReport
from zegelpost.web.contact_import_pages import OF_THE_FILE, checked_file_form, read_rows, written_rows
from zegelpost.web.forms import spoken
from zegelpost.web.pages import page, signed_in, staff_form

PATH = "/admin/address-books/list"


async def list_page(request: Request, actor: StaffActor) -> Response:
    require_administrator(actor)
    return _form(request, actor, {})


def _form(request: Request, actor: StaffActor, errors: Mapping[str, str], status: int = 200) -> Response:
    return page(
        request,
        "address_list.html",
        actor,
        status,
        current_page="administration",
        errors=errors,
        most=MOST_UPLOADED,
        language_href=PATH,
    )


async def preview(request: Request, actor: StaffActor) -> Response:
    require_administrator(actor)
    _, content = await checked_file_form(request, actor)
    try:
        if len(content) > LARGEST_FILE_BYTES:
            raise BodyTooLarge(limit_bytes=LARGEST_FILE_BYTES)
        rows, report = await request.app.state.services.uploading_lists.preview(actor, content)
    except OF_THE_FILE as refusal:
        return _form(request, actor, {"file": spoken(request, refusal)}, 422)
    return _report(request, actor, report, written_rows(rows))


async def take_over(request: Request, actor: StaffActor) -> Response:
    require_administrator(actor)
    form, _ = await checked_file_form(request, actor)
    rows = read_rows(form.get("rows", ""), most=MOST_UPLOADED)
    try:
        report = await request.app.state.services.uploading_lists.take_over(actor, rows)
    except ListInUse as refusal:
        return _form(request, actor, {"file": spoken(request, refusal)}, 409)
    return _report(request, actor, report, "")


def _report(request: Request, actor: StaffActor, report: ListReport, rows: str) -> Response:
    """Before (with `rows`, to be sent back) and after (without)."""
    return page(
        request,
        "address_list_report.html",
        actor,
        current_page="administration",
        report=report,
        rows=rows,
        language_href=PATH,
    )


async def remove(request: Request, actor: StaffActor, _: Mapping[str, str]) -> Response:
    await request.app.state.services.uploading_lists.remove(actor)
    return RedirectResponse("/admin/address-books?done=removed", 303)


def routes() -> list[Route]:
    return [
        Route(PATH, signed_in(list_page), methods=["GET"]),
        Route(PATH, signed_in(preview), methods=["POST"]),
        Route(f"{PATH}/confirm", signed_in(take_over), methods=["POST"]),
        Route(f"{PATH}/remove", staff_form(remove), methods=["POST"]),
    ]
