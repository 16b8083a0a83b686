"""Pages about contacts: the address book, with files in and out, and suggestions while a recipient is typed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from zegelpost.model.contact import Card
from zegelpost.model.refusals import FormRefused, Refusal
from zegelpost.services.access import StaffActor
from zegelpost.services.keeping_contacts import ContactOverview, ImportedRow
from zegelpost.services.reading_contact_files import read_contacts, write_csv, write_vcards
from zegelpost.web.downloads import disposition
from zegelpost.web.forms import sentences, spoken
from zegelpost.web.pages import page, signed_in, staff_form
from zegelpost.web.rendering import Formats
from zegelpost.web.sessions import require_csrf

_DONE: Final = frozenset({"saved", "deleted"})
_FIELDS: Final = ("name", "organisation", "email", "mobile", "department_id")
_SHOWN: Final = 200


async def contacts(request: Request, actor: StaffActor) -> Response:
    return await _list(request, actor, "")


async def search(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
    """Posted, so that names stay out of addresses and logs."""
    return await _list(request, actor, form.get("letters", ""))


async def _list(request: Request, actor: StaffActor, letters: str) -> Response:
    found = await request.app.state.services.keeping_contacts.contacts(actor, letters=letters)
    done = request.query_params.get("done", "")
    return page(
        request,
        "contacts.html",
        actor,
        current_page="contacts",
        contacts=found[:_SHOWN],
        count=len(found),
        letters=letters,
        done=done if done in _DONE else "",
        language_href="/contacts",
    )


async def suggest(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
    """For the combobox of the send form."""
    found = await request.app.state.services.keeping_contacts.suggestions(actor, form.get("letters", ""))
    formats = Formats(request.state.language)
    translator = request.app.state.services.translators[request.state.language]

    def hint(each: ContactOverview) -> str:
        if each.number_worked_at is None:
            return ""
        return str(translator.gettext("Number worked on %(day)s")) % {"day": formats.day(each.number_worked_at)}

    rows = [
        {
            "name": each.card.name,
            "organisation": each.card.organisation,
            "email": str(each.card.email),
            "mobile": each.card.mobile.e164 if each.card.mobile else "",
            "hint": hint(each),
        }
        for each in found
    ]
    return JSONResponse({"contacts": rows}, headers={"Cache-Control": "no-store"})


async def new_contact(request: Request, actor: StaffActor) -> Response:
    return _form(request, actor, dict.fromkeys(_FIELDS, ""), "/contacts/new", {})


def _form(
    request: Request,
    actor: StaffActor,
    typed: Mapping[str, str],
    action: str,
    errors: Mapping[str, str],
    known: ContactOverview | None = None,
) -> Response:
    return page(
        request,
        "contact_form.html",
        actor,
        422 if errors else 200,
        current_page="contacts",
        typed=typed,
        action=action,
        errors=errors,
        known=known,
        language_href=action,
    )


def _typed(form: Mapping[str, str]) -> dict[str, str]:
    return {name: form.get(name, "") for name in _FIELDS}


def card_of(typed: Mapping[str, str]) -> Card:
    """What was typed, checked. Raises `FormRefused`."""
    return Card.parse(name=typed["name"], organisation=typed["organisation"], email=typed["email"], mobile=typed["mobile"])


async def add_contact(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
    typed = _typed(form)
    try:
        await request.app.state.services.keeping_contacts.add(actor, card_of(typed), typed["department_id"])
    except FormRefused as refused:
        return _form(request, actor, typed, "/contacts/new", sentences(request, refused))
    except Refusal as refusal:
        return _form(request, actor, typed, "/contacts/new", {"email": spoken(request, refusal)})
    return RedirectResponse("/contacts?done=saved", 303)


async def edit_contact(request: Request, actor: StaffActor) -> Response:
    known = await request.app.state.services.keeping_contacts.contact(actor, request.path_params["contact_id"])
    typed = {
        "name": known.card.name,
        "organisation": known.card.organisation,
        "email": str(known.card.email),
        "mobile": known.card.mobile.e164 if known.card.mobile else "",
        "department_id": known.department_id,
    }
    return _form(request, actor, typed, f"/contacts/{known.id}", {}, known)


async def change_contact(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
    keeping, typed = request.app.state.services.keeping_contacts, _typed(form)
    known = await keeping.contact(actor, request.path_params["contact_id"])
    try:
        await keeping.change(actor, known.id, card_of(typed), typed["department_id"])
    except FormRefused as refused:
        return _form(request, actor, typed, f"/contacts/{known.id}", sentences(request, refused), known)
    return RedirectResponse("/contacts?done=saved", 303)


async def delete_contact(request: Request, actor: StaffActor, _: Mapping[str, str]) -> Response:
    await request.app.state.services.keeping_contacts.delete(actor, request.path_params["contact_id"])
    return RedirectResponse("/contacts?done=deleted", 303)


async def import_page(request: Request, actor: StaffActor) -> Response:
    return _import(request, actor, [], "")


def _import(
    request: Request, actor: StaffActor, report: list[tuple[ImportedRow, str]], error: str, department_id: str = ""
) -> Response:
    return page(
        request,
        "contacts_import.html",
        actor,
        422 if error else 200,
        current_page="contacts",
        report=report,
        error=error,
        department_id=department_id,
        language_href="/contacts/import",
    )


async def take_in(request: Request, actor: StaffActor) -> Response:
    """A file of contacts; held in memory, where the limit of all forms bounds it."""
    async with request.form(max_files=1, max_fields=10) as form:
        require_csrf(actor, str(form.get("csrf", "")))
        department_id = str(form.get("department_id", ""))
        file = form.get("file")
        content = await file.read() if isinstance(file, UploadFile) else b""
    try:
        rows = read_contacts(content)
        report = await request.app.state.services.keeping_contacts.take_in(actor, rows, department_id)
    except FormRefused as refused:
        return _import(request, actor, [], next(iter(sentences(request, refused).values())), department_id)
    except Refusal as refusal:
        return _import(request, actor, [], spoken(request, refusal), department_id)
    told = [(row, " ".join(spoken(request, refusal) for refusal in row.refusals)) for row in report]
    return _import(request, actor, told, "", department_id)


async def export(request: Request, actor: StaffActor) -> Response:
    """All contacts of this person and their departments."""
    found = await request.app.state.services.keeping_contacts.contacts(actor)
    cards = [each.card for each in found]
    is_csv = request.path_params["kind"] == "csv"
    content = write_csv(cards) if is_csv else write_vcards(cards)
    name = f"contactpersonen.{'csv' if is_csv else 'vcf'}"
    headers = {"Content-Disposition": disposition(name), "Cache-Control": "private, no-store"}
    return Response(content, headers=headers, media_type="text/csv" if is_csv else "text/vcard")


def routes() -> list[Route]:
    one, get, post = "/contacts/{contact_id}", ["GET"], ["POST"]
    return [
        Route("/contacts", signed_in(contacts), methods=get),
        Route("/contacts", staff_form(search), methods=post),
        Route("/contacts/suggestions", staff_form(suggest), methods=post),
        Route("/contacts/new", signed_in(new_contact), methods=get),
        Route("/contacts/new", staff_form(add_contact), methods=post),
        Route("/contacts/import", signed_in(import_page), methods=get),
        Route("/contacts/import", signed_in(take_in), methods=post),
        Route("/contacts/export.{kind:str}", signed_in(export), methods=get),
        Route(one, signed_in(edit_contact), methods=get),
        Route(one, staff_form(change_contact), methods=post),
        Route(f"{one}/delete", staff_form(delete_contact), methods=post),
    ]
