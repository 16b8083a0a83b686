"""The API's part on contacts: the address books of the person and their departments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from zegelpost.model import refusals as r
from zegelpost.model.contact import ContactSource, TypedContact
from zegelpost.services.access import StaffActor
from zegelpost.services.finding_contacts import ContactOverview
from zegelpost.web.api_handlers import as_json, parsed, queried, signed_in
from zegelpost.web.api_models import Input, View
from zegelpost.web.openapi import PREFIX, Answer, Operation

_PAGE = 100


class ContactInput(Input):
    name: str
    organisation: str = ""
    email: str
    mobile: Annotated[str | None, Field(description="In any notation.")] = None
    department_id: Annotated[str | None, Field(description="In whose address book; left out: one's own.")] = None


class ContactChange(Input):
    """What is left out, or null, stays."""

    name: str | None = None
    organisation: str | None = None
    email: str | None = None
    mobile: Annotated[str | None, Field(description="Empty: none.")] = None
    department_id: Annotated[str | None, Field(description="Empty: one's own.")] = None


class LookupInput(Input):
    emails: Annotated[list[Annotated[str, Field(max_length=320)]], Field(max_length=100)]


class ContactQuery(BaseModel):
    """Read from the address, where everything is text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    page: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    department_id: Annotated[str | None, Field(description="Only what is in this department's address book.")] = None
    q: Annotated[str, Field(max_length=120, description="Letters of a name, organisation or address, or digits.")] = ""


class ContactView(View):
    id: str
    name: str
    organisation: str
    email: str
    mobile: str | None
    department_id: str | None
    number_worked_at: Annotated[datetime | None, Field(description="When a code sent to this number came back right.")]
    source: Annotated[
        ContactSource, Field(description="`exchange` and `directory` are listed by others: the number is a proposal.")
    ]
    changed_at: Annotated[datetime, Field(description="When it last changed, by the account of where it came from.")]

    @classmethod
    def of(cls, contact: ContactOverview) -> ContactView:
        return cls(
            id=contact.id,
            name=contact.card.name,
            organisation=contact.card.organisation,
            email=str(contact.card.email),
            mobile=contact.card.mobile.e164 if contact.card.mobile else None,
            department_id=contact.department_id or None,
            number_worked_at=contact.number_worked_at,
            source=contact.source,
            changed_at=contact.changed_at,
        )


class LookupView(View):
    """Per address that is known the contact to use: whose number worked last, and of those the one that changed last."""

    contacts: Sequence[ContactView]


class ContactsView(View):
    items: Sequence[ContactView]
    page: int
    page_count: int
    total_count: int


def contact_operations() -> list[Operation]:
    """The rows of the table in `api.py` that are about contacts."""
    one = "/contacts/{contact_id}"
    return [
        Operation(
            method="POST",
            path="/contacts",
            name="create_contact",
            summary="Add a contact.",
            handler=signed_in(_create),
            body=ContactInput,
            answers=[
                Answer(status=201, description="Added.", models=[ContactView], headers={"Location": "Address of the contact."})
            ],
            refusals=[r.FormRefused, r.TooManyContacts],
        ),
        Operation(
            method="POST",
            path="/contacts/lookup",
            name="look_up_contacts",
            summary="Who of these addresses is in an address book of the person or their departments.",
            handler=signed_in(_look_up),
            body=LookupInput,
            answers=[Answer(description="Those that are known.", models=[LookupView])],
        ),
        Operation(
            method="GET",
            path="/contacts",
            name="list_contacts",
            summary="Contacts of the person and their departments, by name.",
            handler=signed_in(_list),
            query=ContactQuery,
            answers=[Answer(description="One page.", models=[ContactsView])],
            refusals=[r.DepartmentNotFound],
        ),
        Operation(
            method="GET",
            path=one,
            name="get_contact",
            summary="One contact.",
            handler=signed_in(_get),
            answers=[Answer(description="The contact.", models=[ContactView])],
            refusals=[r.NotFound],
        ),
        Operation(
            method="PATCH",
            path=one,
            name="change_contact",
            summary="Change a contact. Of one that is listed an own version is made, with another identifier.",
            handler=signed_in(_change),
            body=ContactChange,
            answers=[Answer(description="The contact as it is now.", models=[ContactView])],
            refusals=[r.NotFound, r.FormRefused, r.TooManyContacts],
        ),
        Operation(
            method="DELETE",
            path=one,
            name="delete_contact",
            summary="Delete a contact.",
            handler=signed_in(_delete),
            answers=[Answer(status=204, description="Deleted.")],
            refusals=[r.NotFound],
        ),
    ]


async def _create(request: Request, actor: StaffActor) -> Response:
    wanted = await parsed(request, ContactInput)
    keeping = request.app.state.services.keeping_contacts
    typed = TypedContact(wanted.name, wanted.organisation, wanted.email, wanted.mobile or "")
    contact_id = await keeping.add(actor, typed, wanted.department_id or "")
    view = ContactView.of(await request.app.state.services.finding_contacts.contact(actor, contact_id))
    return as_json(view, 201, {"Location": f"{PREFIX}/contacts/{contact_id}"})


async def _look_up(request: Request, actor: StaffActor) -> Response:
    wanted = await parsed(request, LookupInput)
    found = await request.app.state.services.finding_contacts.known(actor, wanted.emails)
    return as_json(LookupView(contacts=[ContactView.of(each) for each in found]))


async def _list(request: Request, actor: StaffActor) -> Response:
    wanted = queried(request, ContactQuery)
    book = wanted.department_id or ""
    if book and book not in actor.departments:
        raise r.DepartmentNotFound
    finding = request.app.state.services.finding_contacts
    found = await finding.contacts(actor, letters=wanted.q, book=book, page=wanted.page, count=_PAGE)
    items = [ContactView.of(each) for each in found.items]
    page_count = max(1, -(-found.total_count // _PAGE))
    return as_json(ContactsView(items=items, page=found.number, page_count=page_count, total_count=found.total_count))


async def _get(request: Request, actor: StaffActor) -> Response:
    contact = await request.app.state.services.finding_contacts.contact(actor, request.path_params["contact_id"])
    return as_json(ContactView.of(contact))


async def _change(request: Request, actor: StaffActor) -> Response:
    wanted = await parsed(request, ContactChange)
    services = request.app.state.services
    known: ContactOverview = await services.finding_contacts.contact(actor, request.path_params["contact_id"])
    mobile = known.card.mobile.e164 if known.card.mobile else ""
    typed = TypedContact(
        name=known.card.name if wanted.name is None else wanted.name,
        organisation=known.card.organisation if wanted.organisation is None else wanted.organisation,
        email=str(known.card.email) if wanted.email is None else wanted.email,
        mobile=mobile if wanted.mobile is None else wanted.mobile,
    )
    department_id = (known.department_id or "") if wanted.department_id is None else wanted.department_id
    contact_id = await services.keeping_contacts.change(actor, known.id, typed, department_id)
    return as_json(ContactView.of(await services.finding_contacts.contact(actor, contact_id)))


async def _delete(request: Request, actor: StaffActor) -> Response:
    await request.app.state.services.keeping_contacts.delete(actor, request.path_params["contact_id"])
    return Response(status_code=204)
