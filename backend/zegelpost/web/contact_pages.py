"""Pages about contacts: finding, making, changing and removing them, and sending to those that were picked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from zegelpost.model.contact import ContactSource, TypedContact
from zegelpost.model.recipient import VerificationMethod
from zegelpost.model.refusals import FormRefused, TooManyContacts
from zegelpost.services.access import MINE, StaffActor
from zegelpost.services.addressing import TypedRecipient
from zegelpost.services.exporting_contacts import contacts_csv, contacts_vcard
from zegelpost.services.finding_contacts import ContactOverview
from zegelpost.services.keeping_contacts import ToKeep
from zegelpost.web.downloads import disposition
from zegelpost.web.errors import ANSWERS
from zegelpost.web.forms import sentences, spoken
from zegelpost.web.pages import page, page_number, signed_in, staff_form
from zegelpost.web.rendering import Formats
from zegelpost.web.translation import translatable

MOST_FOUND: Final = 100
_DONE: Final = frozenset({"added", "changed", "removed", "reset"})
_WORKED: Final = translatable("Number worked on %(day)s")
_PROPOSED: Final = {
    ContactSource.EXCHANGE: translatable("From your contacts in Exchange, as it was on %(day)s. Check the number."),
    ContactSource.DIRECTORY: translatable("From the organisation's list, as it was on %(day)s. Check the number."),
}


async def contacts(request: Request, actor: StaffActor) -> Response:
    """The list. What is typed to search is posted instead, so that names stay out of addresses and logs."""
    book = _book(actor, request.query_params.get("book", ""))
    found = await request.app.state.services.finding_contacts.contacts(actor, book=book, page=page_number(request))
    done = request.query_params.get("done", "")
    return await _list(request, actor, found, book=book, done=done if done in _DONE else "")


async def find(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
    letters, book = form.get("letters", ""), _book(actor, form.get("book", ""))
    found = await request.app.state.services.finding_contacts.contacts(actor, letters=letters, book=book, count=MOST_FOUND)
    return await _list(request, actor, found, book=book, letters=letters, is_search=True)


def _book(actor: StaffActor, typed: str) -> str:
    return typed if typed == MINE or typed in actor.departments else ""


async def _list(request: Request, actor: StaffActor, found: Any, **context: object) -> Response:
    context = {"letters": "", "is_search": False, "done": "", **context}
    return page(
        request,
        "contacts.html",
        actor,
        current_page="contacts",
        page=found,
        most=MOST_FOUND,
        has_lists=await request.app.state.services.overseeing_address_books.has_lists(),
        has_own_book=await request.app.state.services.overseeing_address_books.own(actor) is not None,
        most_recipients=request.app.state.services.policy.most_recipients,
        language_href="/contacts",
        **context,
    )


async def suggest(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
    """What fits what is being typed at a recipient, for the page's own script."""
    found = await request.app.state.services.finding_contacts.suggest(actor, form.get("letters", ""))
    return JSONResponse({"contacts": [_suggestion(request, contact) for contact in found]})


def _suggestion(request: Request, contact: ContactOverview) -> dict[str, str]:
    translator, formats = request.app.state.services.translators[request.state.language], Formats(request.state.language)
    card, worked, proposed = contact.card, "", ""
    if contact.number_worked_at is not None:
        worked = translator.gettext(_WORKED) % {"day": formats.day(contact.number_worked_at)}
    elif contact.is_listed and card.mobile is not None:
        proposed = translator.gettext(_PROPOSED[contact.source]) % {"day": formats.day(contact.changed_at)}
    return {
        "name": card.name,
        "organisation": card.organisation,
        "email": str(card.email),
        "mobile": card.mobile.e164 if card.mobile else "",
        "book": contact.department_name,
        "worked": worked,
        "proposed": proposed,
    }


# One contact


async def contact_page(request: Request, actor: StaffActor) -> Response:
    finding = request.app.state.services.finding_contacts
    contact = await finding.contact(actor, request.path_params["contact_id"])
    done = request.query_params.get("done", "")
    return page(
        request,
        "contact.html",
        actor,
        current_page="contacts",
        contact=contact,
        listed=None if contact.is_listed else await finding.listed_version(actor, contact.id),
        done=done if done in _DONE else "",
    )


async def new_contact(request: Request, actor: StaffActor) -> Response:
    return _form(request, actor, TypedContact(), book=_book(actor, request.query_params.get("book", "")))


def _form(
    request: Request,
    actor: StaffActor,
    typed: TypedContact,
    *,
    book: str = "",
    contact_id: str = "",
    errors: Mapping[str, str] | None = None,
    error: str = "",
    status: int = 200,
) -> Response:
    return page(
        request,
        "contact_form.html",
        actor,
        status,
        current_page="contacts",
        typed=typed,
        book=book,
        contact_id=contact_id,
        errors=errors or {},
        error=error,
        language_href=f"/contacts/{contact_id}/edit" if contact_id else "/contacts/new",
    )


def _typed(form: Mapping[str, str]) -> TypedContact:
    return TypedContact(form.get("name", ""), form.get("organisation", ""), form.get("email", ""), form.get("mobile", ""))


async def add_contact(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
    typed, book = _typed(form), form.get("department_id", "")
    try:
        contact_id = await request.app.state.services.keeping_contacts.add(actor, typed, book)
    except FormRefused as refused:
        return _form(request, actor, typed, book=book, errors=sentences(request, refused), status=422)
    except TooManyContacts as refusal:
        status = ANSWERS[type(refusal)].status
        return _form(request, actor, typed, book=book, error=spoken(request, refusal), status=status)
    return RedirectResponse(f"/contacts/{contact_id}?done=added", 303)


async def edit_contact(request: Request, actor: StaffActor) -> Response:
    contact = await request.app.state.services.finding_contacts.contact(actor, request.path_params["contact_id"])
    card = contact.card
    typed = TypedContact(card.name, card.organisation, str(card.email), card.mobile.e164 if card.mobile else "")
    return _form(request, actor, typed, book=contact.department_id or "", contact_id=contact.id)


async def change_contact(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
    contact_id, typed, book = request.path_params["contact_id"], _typed(form), form.get("department_id", "")
    try:
        changed_id = await request.app.state.services.keeping_contacts.change(actor, contact_id, typed, book)
    except FormRefused as refused:
        errors = sentences(request, refused)
        return _form(request, actor, typed, book=book, contact_id=contact_id, errors=errors, status=422)
    except TooManyContacts as refusal:
        status = ANSWERS[type(refusal)].status
        return _form(request, actor, typed, book=book, contact_id=contact_id, error=spoken(request, refusal), status=status)
    return RedirectResponse(f"/contacts/{changed_id}?done=changed", 303)


async def confirm_remove(request: Request, actor: StaffActor) -> Response:
    contact = await request.app.state.services.finding_contacts.contact(actor, request.path_params["contact_id"])
    return page(request, "contact_remove.html", actor, current_page="contacts", contact=contact)


async def remove_contact(request: Request, actor: StaffActor, _: Mapping[str, str]) -> Response:
    await request.app.state.services.keeping_contacts.delete(actor, request.path_params["contact_id"])
    return RedirectResponse("/contacts?done=removed", 303)


async def reset_contact(request: Request, actor: StaffActor, _: Mapping[str, str]) -> Response:
    listed_id = await request.app.state.services.keeping_contacts.reset(actor, request.path_params["contact_id"])
    return RedirectResponse(f"/contacts/{listed_id}?done=reset", 303)


# Files


async def export_csv(request: Request, actor: StaffActor) -> Response:
    cards = await request.app.state.services.keeping_contacts.export(actor, "csv")
    return _file(contacts_csv(cards, request.state.language.value), "contactpersonen.csv", "text/csv")


async def export_vcard(request: Request, actor: StaffActor) -> Response:
    cards = await request.app.state.services.keeping_contacts.export(actor, "vcard")
    return _file(contacts_vcard(cards), "contactpersonen.vcf", "text/vcard")


def _file(content: bytes, name: str, media_type: str) -> Response:
    return Response(content, headers={"Content-Disposition": disposition(name)}, media_type=media_type)


# On the send form


async def typed_recipients(request: Request, actor: StaffActor, contact_ids: Sequence[str]) -> list[TypedRecipient]:
    """The rows of a send form for contacts that were picked. Raises `NotFound`."""
    finding, most = request.app.state.services.finding_contacts, request.app.state.services.policy.most_recipients
    cards = [(await finding.contact(actor, contact_id)).card for contact_id in contact_ids[:most]]
    return [TypedRecipient(card.name, str(card.email), card.mobile.e164 if card.mobile else "") for card in cards]


def to_keep(rows: Sequence[TypedRecipient]) -> dict[int, ToKeep]:
    """Whom to save, by their row."""
    return {
        number: ToKeep(
            # A contact's number gets text messages, and who is called may have no such number.
            typed=TypedContact(
                name=row.name, email=row.email, mobile="" if row.method == VerificationMethod.SPOKEN else row.mobile
            ),
            department_id=row.book,
        )
        for number, row in enumerate(rows)
        if row.is_kept
    }


def routes() -> list[Route]:
    one, get, post = "/contacts/{contact_id}", ["GET"], ["POST"]
    return [
        Route("/contacts", signed_in(contacts), methods=get),
        Route("/contacts", staff_form(find), methods=post),
        Route("/contacts/suggestions", staff_form(suggest), methods=post),
        Route("/contacts/new", signed_in(new_contact), methods=get),
        Route("/contacts/new", staff_form(add_contact), methods=post),
        Route("/contacts/export.csv", signed_in(export_csv), methods=get),
        Route("/contacts/export.vcf", signed_in(export_vcard), methods=get),
        Route(one, signed_in(contact_page), methods=get),
        Route(f"{one}/edit", signed_in(edit_contact), methods=get),
        Route(f"{one}/edit", staff_form(change_contact), methods=post),
        Route(f"{one}/remove", signed_in(confirm_remove), methods=get),
        Route(f"{one}/remove", staff_form(remove_contact), methods=post),
        Route(f"{one}/reset", staff_form(reset_contact), methods=post),
    ]
