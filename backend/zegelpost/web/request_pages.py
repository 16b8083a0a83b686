"""Pages about file requests: asking an outsider for documents and following up what comes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from zegelpost.model.file_request import parse_items
from zegelpost.model.identifiers import DepartmentId
from zegelpost.model.policy import Policy
from zegelpost.model.recipient import VerificationMethod
from zegelpost.model.refusals import DateInvalid, DepartmentNotFound, DueDatePassed, FormRefused, Refusal
from zegelpost.model.template import TemplateUse, insert
from zegelpost.model.transfer import TransferText
from zegelpost.services.access import StaffActor
from zegelpost.services.addressing import TypedRecipient, address
from zegelpost.services.requesting import RequestContent
from zegelpost.web.errors import ANSWERS
from zegelpost.web.forms import parse_day, sentences, spoken
from zegelpost.web.pages import page, page_number, signed_in, staff_form
from zegelpost.web.translation import Language

_DONE: Final = frozenset({"sent", "reminded", "closed", "reopened", "accepted", "sent_back", "reissued"})


@dataclass(frozen=True, slots=True)
class TypedRequest:
    """The form, nothing checked yet."""

    name: str = ""
    email: str = ""
    mobile: str = ""
    subject: str = ""
    reference: str = ""
    note: str = ""
    items: str = ""
    due_on: str = ""
    language: str = "nl"
    department_id: str = ""


async def requests(request: Request, actor: StaffActor) -> Response:
    found = await request.app.state.services.requesting.requests(actor, page=page_number(request))
    return page(request, "requests.html", actor, current_page="requests", page=found)


async def new_request(request: Request, actor: StaffActor) -> Response:
    note = await request.app.state.services.keeping_templates.default_text(actor, TemplateUse.REQUEST)
    return await _form(request, actor, TypedRequest(language=request.state.language.value, note=note), {})


async def _form(request: Request, actor: StaffActor, typed: TypedRequest, errors: Mapping[str, str]) -> Response:
    status = 422 if errors else 200
    return page(
        request,
        "request_form.html",
        actor,
        status,
        current_page="requests",
        typed=typed,
        errors=errors,
        templates=await request.app.state.services.keeping_templates.templates(actor, TemplateUse.REQUEST),
        language_href="/requests/new",
    )


async def create_request(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
    typed = TypedRequest(**{name: form.get(name, "") for name in TypedRequest.__dataclass_fields__})
    services = request.app.state.services
    if "insert_template" in form:
        if chosen := form.get("template", ""):
            typed = replace(typed, note=insert(typed.note, await services.keeping_templates.inserted(actor, chosen)))
        return await _form(request, actor, typed, {})
    try:
        content = parse_request(typed, services.policy, actor, services.clock().date())
        transfer_id = await services.requesting.ask(actor, content)
    except FormRefused as refused:
        return await _form(request, actor, typed, sentences(request, refused))
    return RedirectResponse(f"/requests/{transfer_id}?done=sent", 303)


def parse_request(typed: TypedRequest, policy: Policy, actor: StaffActor, today: date) -> RequestContent:
    """Check everything at once. Raises `FormRefused` that names each refused field."""
    refused: dict[str, Refusal] = {}
    due_on: date | None = None
    items: list[str] = []
    try:
        due_on = _due_date(typed.due_on, today)
    except Refusal as refusal:
        refused["due_on"] = refusal
    try:
        items = parse_items(typed.items)
    except Refusal as refusal:
        refused["items"] = refusal
    # The link alone will do when nobody knows a number; then the method is not checked against the policy's.
    method = VerificationMethod.SMS if typed.mobile.strip() else VerificationMethod.LINK
    try:
        addressees = address([TypedRecipient(typed.name, typed.email, typed.mobile, method.value)], policy, is_guest=True)
    except FormRefused as form:
        refused |= {name.removeprefix("recipients.0."): refusal for name, refusal in form.fields.items()}
    try:
        text = TransferText.parse(subject=typed.subject, reference=typed.reference, note=typed.note)
    except FormRefused as form:
        refused |= form.fields
    if typed.department_id and typed.department_id not in actor.departments:
        refused["department_id"] = DepartmentNotFound()
    if refused:
        raise FormRefused(refused)
    return RequestContent(
        text=text,
        guest=addressees[0].person,
        items=items,
        due_on=due_on,
        language=(Language.of(typed.language) or Language.NL).value,
        department_id=DepartmentId(typed.department_id) if typed.department_id else None,
    )


def _due_date(typed: str, today: date) -> date | None:
    due_on = parse_day(typed)
    if due_on is None:
        return None
    if due_on < today:
        raise DueDatePassed
    if (due_on - today).days > 365:  # noqa: PLR2004 - a year ahead is a slip of the finger
        raise DateInvalid
    return due_on


async def request_page(request: Request, actor: StaffActor) -> Response:
    return await _request(request, actor, "")


async def _request(
    request: Request, actor: StaffActor, error: str, status: int = 200, errors: Mapping[str, str] | None = None, reason: str = ""
) -> Response:
    overview = await request.app.state.services.requesting.request(actor, request.path_params["transfer_id"])
    done = request.query_params.get("done", "")
    return page(
        request,
        "request.html",
        actor,
        status,
        current_page="requests",
        asked=overview,
        done=done if done in _DONE else "",
        error=error,
        errors=errors or {},
        reason=reason,
        language_href=f"/requests/{overview.id}",
    )


def _action(done: str, act: Callable[[Any, Request, StaffActor, Mapping[str, str]], Awaitable[object]]) -> Any:
    """A button on a request: do it and show the request again, with what became of it."""

    async def handler(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
        try:
            await act(request.app.state.services, request, actor, form)
        except FormRefused as refused:
            return await _request(request, actor, "", 422, sentences(request, refused), form.get("reason", ""))
        except Refusal as refusal:
            return await _request(request, actor, spoken(request, refusal), ANSWERS[type(refusal)].status)
        return RedirectResponse(f"/requests/{request.path_params['transfer_id']}?done={done}", 303)

    return staff_form(handler)


def routes() -> list[Route]:
    one, get, post = "/requests/{transfer_id}", ["GET"], ["POST"]
    item = one + "/items/{item_id}"

    def ids(request: Request) -> tuple[str, str]:
        return request.path_params["transfer_id"], request.path_params["item_id"]

    def of(request: Request) -> str:
        transfer_id: str = request.path_params["transfer_id"]
        return transfer_id

    return [
        Route("/requests", signed_in(requests), methods=get),
        Route("/requests/new", signed_in(new_request), methods=get),
        Route("/requests", staff_form(create_request), methods=post),
        Route(one, signed_in(request_page), methods=get),
        Route(f"{one}/remind", _action("reminded", lambda s, r, a, _: s.requesting.remind(a, of(r))), methods=post),
        Route(f"{one}/close", _action("closed", lambda s, r, a, _: s.requesting.close(a, of(r))), methods=post),
        Route(f"{one}/reopen", _action("reopened", lambda s, r, a, _: s.requesting.reopen(a, of(r))), methods=post),
        Route(
            f"{one}/new-link",
            _action("reissued", lambda s, r, a, form: s.following_up.reissue(a, of(r), form.get("recipient", ""))),
            methods=post,
        ),
        Route(f"{item}/accept", _action("accepted", lambda s, r, a, _: s.requesting.accept(a, *ids(r))), methods=post),
        Route(
            f"{item}/send-back",
            _action("sent_back", lambda s, r, a, form: s.requesting.send_back(a, *ids(r), form.get("reason", ""))),
            methods=post,
        ),
    ]
