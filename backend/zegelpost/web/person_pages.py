"""Pages about what is kept of one person, for administrators: to look, to hand over, and to erase (AVG, articles 15 and 17).

Addresses are posted, so that they stay out of addresses of pages and of logs.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from zegelpost.model.refusals import AccountStillOn, AddressNotRepeated, EmailAddressInvalid, OwnAccount
from zegelpost.services.access import StaffActor, require_administrator
from zegelpost.services.erasing_person import ErasedPerson
from zegelpost.services.knowing_person import Known
from zegelpost.web.errors import ANSWERS
from zegelpost.web.forms import spoken
from zegelpost.web.pages import page, signed_in, staff_form

_LONGEST: Final = 254


async def persons(request: Request, actor: StaffActor) -> Response:
    require_administrator(actor)
    return _page(request, actor, "")


def _page(
    request: Request,
    actor: StaffActor,
    email: str,
    status: int = 200,
    *,
    known: Known | None = None,
    erased: ErasedPerson | None = None,
    errors: Mapping[str, str] | None = None,
    refused: str = "",
) -> Response:
    return page(
        request,
        "persons.html",
        actor,
        status,
        current_page="administration",
        email=email,
        known=known,
        erased=erased,
        errors=errors or {},
        refused=refused,
        language_href="/admin/persons",
    )


async def look(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
    email = form.get("email", "")[:_LONGEST]
    try:
        known = await request.app.state.services.knowing_person.know(actor, email)
    except EmailAddressInvalid as refusal:
        return _page(request, actor, email, 422, errors={"email": spoken(request, refusal)})
    return _page(request, actor, email, known=known)


async def export(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
    """One archive: for programs as JSON, and as a page that everyone can read."""
    email = form.get("email", "")[:_LONGEST]
    try:
        known = await request.app.state.services.knowing_person.know(actor, email, is_export=True)
    except EmailAddressInvalid as refusal:
        return _page(request, actor, email, 422, errors={"email": spoken(request, refusal)})
    readable = request.app.state.services.templates.render("person_export.html", request.state.language, known=known)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("person.html", readable)
        archive.writestr("person.json", known.to_json())
    # Without the address: names of files end up in lists of downloads.
    headers = {"Content-Disposition": 'attachment; filename="person.zip"', "Cache-Control": "no-store"}
    return Response(packed.getvalue(), media_type="application/zip", headers=headers)


async def erase(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
    email, services = form.get("email", "")[:_LONGEST], request.app.state.services
    try:
        if form.get("again", "").strip().lower() != email.strip().lower():
            known = await services.knowing_person.know(actor, email)
            return _page(request, actor, email, 422, known=known, errors={"again": spoken(request, AddressNotRepeated())})
        erased = await services.erasing_person.erase(actor, email, with_record="with_record" in form)
    except EmailAddressInvalid as refusal:
        return _page(request, actor, email, 422, errors={"email": spoken(request, refusal)})
    except (AccountStillOn, OwnAccount) as refusal:
        known = await services.knowing_person.know(actor, email)
        status = ANSWERS[type(refusal)].status
        return _page(request, actor, email, status, known=known, refused=spoken(request, refusal))
    return _page(request, actor, "", erased=erased)


def routes() -> list[Route]:
    return [
        Route("/admin/persons", signed_in(persons), methods=["GET"]),
        Route("/admin/persons", staff_form(look), methods=["POST"]),
        Route("/admin/persons/export", staff_form(export), methods=["POST"]),
        Route("/admin/persons/erase", staff_form(erase), methods=["POST"]),
    ]
