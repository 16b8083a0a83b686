"""Pages for staff: home, making and sending a transfer, following it up, and what colleagues sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from python_multipart.multipart import parse_options_header
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from zegelpost.model.recipient import VerificationMethod
from zegelpost.model.refusals import DepartmentNotFound, ExpiryOutOfRange, FormRefused, Refusal
from zegelpost.model.template import TemplateUse, fill_in, insert
from zegelpost.model.transfer import TransferKind, TransferState, TransferText
from zegelpost.model.whole_number import whole_number
from zegelpost.services.access import MINE, StaffActor
from zegelpost.services.addressing import TypedRecipient, address, keep_access_codes
from zegelpost.services.handling import Wanted
from zegelpost.services.overseeing import PAGE, Progress, TransferOverview
from zegelpost.services.sending import DraftContent
from zegelpost.web.contact_pages import to_keep, typed_recipients
from zegelpost.web.forms import TypedTransfer, sentences, spoken, typed_transfer
from zegelpost.web.pages import page as _page
from zegelpost.web.pages import page_number
from zegelpost.web.pages import signed_in as _signed_in
from zegelpost.web.pages import staff_form as _form
from zegelpost.web.plain_upload import rows_of, take_documents
from zegelpost.web.translation import Language

_ON_HOME: Final = 5
# What a sender chooses; the others follow from who the recipient is.
_DONE: Final = frozenset({"sent", "revoked", "extended", "reissued", "reminded", "blocked", "completed"})


# Overviews


async def home(request: Request, actor: StaffActor) -> Response:
    overseeing = request.app.state.services.overseeing
    return _page(
        request,
        "home.html",
        actor,
        current_page="home",
        sent=await overseeing.sent(actor, count=_ON_HOME),
        drafts=await overseeing.drafts(actor),
        received=(await request.app.state.services.handling.received(actor, Wanted(), count=_ON_HOME)).items,
    )


async def sent(request: Request, actor: StaffActor) -> Response:
    mailbox = request.query_params.get("mailbox", "")
    mailbox = mailbox if mailbox == MINE or mailbox in actor.departments else ""
    page = await request.app.state.services.overseeing.sent(actor, page=page_number(request), count=PAGE, mailbox=mailbox)
    return _page(request, "sent.html", actor, current_page="sent", page=page, mailbox=mailbox)


# Making a transfer: what and to whom, documents, check and send


async def new_transfer(request: Request, actor: StaffActor) -> Response:
    days = request.app.state.services.policy.default_expiry_days
    typed = TypedTransfer(expires_in_days=str(days), language=request.state.language)
    if chosen := list(dict.fromkeys(request.query_params.getlist("contact"))):
        typed = replace(typed, recipients=await typed_recipients(request, actor, chosen))
    if answers := request.query_params.get("answers", ""):
        question = await request.app.state.services.handling.question(actor, answers)
        typed = replace(
            typed,
            subject=question.subject,
            reference=question.reference,
            department_id=question.department_id,
            answers=answers,
            recipients=[TypedRecipient(question.name, question.email, question.mobile)],
        )
    note = await request.app.state.services.keeping_templates.default_text(actor, _use(typed), typed.department_id)
    return await _transfer_form(request, actor, replace(typed, note=note), action="/transfers")


async def _transfer_form(
    request: Request, actor: StaffActor, typed: TypedTransfer, *, action: str, errors: Mapping[str, str] | None = None
) -> Response:
    policy = request.app.state.services.policy
    return _page(
        request,
        "transfer_form.html",
        actor,
        422 if errors else 200,
        current_page="new",
        typed=typed,
        action=action,
        errors=errors or {},
        policy=policy,
        templates=await request.app.state.services.keeping_templates.templates(actor, _use(typed)),
        language_href="/transfers/new",
    )


def _use(typed: TypedTransfer) -> TemplateUse:
    return TemplateUse.ANSWER if typed.answers else TemplateUse.SEND


async def create_transfer(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
    return await _save_transfer(request, actor, form, None)


async def edit_transfer(request: Request, actor: StaffActor) -> Response:
    overview = await request.app.state.services.overseeing.transfer(actor, request.path_params["transfer_id"])
    if overview.state != TransferState.DRAFT or overview.text is None:
        return RedirectResponse(f"/transfers/{overview.id}", 303)
    return await _transfer_form(request, actor, _as_typed(overview), action=f"/transfers/{overview.id}/edit")


async def change_transfer(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
    return await _save_transfer(request, actor, form, request.path_params["transfer_id"])


async def _save_transfer(request: Request, actor: StaffActor, form: Mapping[str, str], transfer_id: str | None) -> Response:
    """Save the form and go on to the documents; or show it again, with everything that was typed."""
    services = request.app.state.services
    typed = typed_transfer(form)
    action = f"/transfers/{transfer_id}/edit" if transfer_id else "/transfers"
    if (rows := _changed_rows(form, list(typed.recipients))) is not None:
        return await _transfer_form(request, actor, replace(typed, recipients=rows), action=action)
    if "insert_template" in form:
        if chosen := form.get("template", ""):
            typed = replace(typed, note=insert(typed.note, await services.keeping_templates.inserted(actor, chosen)))
        return await _transfer_form(request, actor, typed, action=action)
    # Rows that were left empty go before anything is checked, so that each sentence stands at the row it is about.
    typed = replace(typed, recipients=[row for row in typed.recipients if not row.is_empty] or [TypedRecipient("", "")])
    try:
        if transfer_id is None:
            content = _content(request, actor, typed)
            await services.keeping_contacts.keep(actor, to_keep(typed.recipients))
            transfer_id = await services.sending.create(actor, content)
        else:
            known = (await services.overseeing.transfer(actor, transfer_id)).recipients
            typed = replace(typed, recipients=keep_access_codes(typed.recipients, known))
            content = _content(request, actor, typed)
            await services.keeping_contacts.keep(actor, to_keep(typed.recipients))
            await services.sending.change(actor, transfer_id, content)
    except FormRefused as refused:
        return await _transfer_form(request, actor, typed, action=action, errors=sentences(request, refused))
    return RedirectResponse(f"/transfers/{transfer_id}/documents", 303)


def _changed_rows(form: Mapping[str, str], rows: list[TypedRecipient]) -> list[TypedRecipient] | None:
    """Rows after *add* or *remove* was pressed without script; nothing when neither was."""
    if "add_recipient" in form:
        return [*rows, TypedRecipient("", "")]
    removed = whole_number(form.get("remove_recipient", ""), most_digits=3)
    if removed is not None and removed < len(rows):
        return rows[:removed] + rows[removed + 1 :] or [TypedRecipient("", "")]
    return None


def _content(request: Request, actor: StaffActor, typed: TypedTransfer) -> DraftContent:
    """Check everything at once, so that people see all that is wrong in one go."""
    policy = request.app.state.services.policy
    refused: dict[str, Refusal] = {}
    days = whole_number(typed.expires_in_days, most_digits=4) or 0
    try:
        policy.require_expiry(days)
    except ExpiryOutOfRange as refusal:
        refused["expires_in_days"] = refusal
    try:
        addressees = address([row for row in typed.recipients if not row.is_empty], policy)
    except FormRefused as form:
        refused |= form.fields
    try:
        text = TransferText.parse(subject=typed.subject, reference=typed.reference, note=typed.note)
    except FormRefused as form:
        refused |= form.fields
    if typed.department_id and typed.department_id not in actor.departments:
        refused["department_id"] = DepartmentNotFound()
    if refused:
        raise FormRefused(refused)
    language = (Language.of(typed.language) or Language.NL).value
    department_id = typed.department_id or None
    return DraftContent(
        text=text,
        addressees=addressees,
        expires_in_days=days,
        language=language,
        department_id=department_id,
        answers_id=typed.answers or None,
    )


def _as_typed(overview: TransferOverview) -> TypedTransfer:
    assert overview.text is not None
    return TypedTransfer(
        overview.text.subject,
        overview.text.reference,
        overview.text.note,
        str(overview.expires_in_days),
        overview.language,
        overview.department_id or "",
        "",
        [
            TypedRecipient(
                r.person.name,
                str(r.person.email),
                r.person.mobile.e164 if r.person.mobile else "",
                "" if r.method == VerificationMethod.SIGN_IN else r.method.value,
                hint=r.hint,
                has_access_code=r.method == VerificationMethod.ACCESS_CODE,
                is_parked=r.progress == Progress.PARKED,
            )
            for r in overview.recipients
        ],
    )


async def documents_page(request: Request, actor: StaffActor) -> Response:
    return await _documents(request, actor, "")


async def _documents(request: Request, actor: StaffActor, error: str) -> Response:
    services = request.app.state.services
    overview = await services.overseeing.transfer(actor, request.path_params["transfer_id"])
    if overview.state != TransferState.DRAFT:
        return RedirectResponse(f"/transfers/{overview.id}", 303)
    uploads = {upload.document_id: upload for upload in await services.overseeing.arriving(actor, overview.id)}
    arrived, unfinished = rows_of(overview.documents, uploads)
    return _page(
        request,
        "transfer_documents.html",
        actor,
        422 if error else 200,
        current_page="new",
        transfer=overview,
        documents=arrived,
        unfinished=unfinished,
        policy=services.policy,
        error=error,
        language_href=f"/transfers/{overview.id}/documents",
    )


async def add_documents(request: Request, actor: StaffActor) -> Response:
    """Documents from a plain form, for browsers without script; sealed as they come, like any other."""
    boundary = parse_options_header(request.headers.get("content-type", ""))[1].get(b"boundary", b"")
    try:
        await take_documents(request, actor, request.path_params["transfer_id"], boundary)
    except Refusal as refusal:
        return await _documents(request, actor, spoken(request, refusal))
    return RedirectResponse(f"/transfers/{request.path_params['transfer_id']}/documents", 303)


async def remove_document(request: Request, actor: StaffActor, _: Mapping[str, str]) -> Response:
    await request.app.state.services.uploading.cancel(actor, request.path_params["upload_id"])
    return RedirectResponse(f"/transfers/{request.path_params['transfer_id']}/documents", 303)


async def check_page(request: Request, actor: StaffActor) -> Response:
    return await _check(request, actor, "")


async def _check(request: Request, actor: StaffActor, error: str) -> Response:
    services = request.app.state.services
    overview = await services.overseeing.transfer(actor, request.path_params["transfer_id"])
    if overview.state != TransferState.DRAFT:
        return RedirectResponse(f"/transfers/{overview.id}", 303)
    name = overview.recipients[0].person.name if overview.recipients else ""
    by_number = [(str(each.person.email), each.person.mobile) for each in overview.recipients if each.person.mobile]
    return _page(
        request,
        "transfer_check.html",
        actor,
        422 if error else 200,
        current_page="new",
        transfer=overview,
        preview=fill_in(overview.text, name) if overview.text else None,
        proposed=await services.finding_contacts.proposed(actor, by_number),
        policy=services.policy,
        error=error,
        language_href=f"/transfers/{overview.id}/check",
    )


async def send(request: Request, actor: StaffActor, _: Mapping[str, str]) -> Response:
    transfer_id = request.path_params["transfer_id"]
    try:
        await request.app.state.services.sending.send(actor, transfer_id)
    except Refusal as refusal:
        return await _check(request, actor, spoken(request, refusal))
    return RedirectResponse(f"/transfers/{transfer_id}?done=sent", 303)


# Following up


async def transfer_page(request: Request, actor: StaffActor) -> Response:
    return await _transfer(request, actor, "")


async def _transfer(request: Request, actor: StaffActor, error: str, *, missing: Mapping[str, str] | None = None) -> Response:
    """`missing`: a number that was typed for one recipient, and what is wrong with it."""
    services = request.app.state.services
    overview = await services.overseeing.transfer(actor, request.path_params["transfer_id"])
    if overview.state == TransferState.DRAFT:
        return RedirectResponse(f"/transfers/{overview.id}/documents", 303)
    if overview.kind == TransferKind.REQUEST:
        return RedirectResponse(f"/requests/{overview.id}", 303)
    done = request.query_params.get("done", "")
    return _page(
        request,
        "transfer.html",
        actor,
        422 if error or missing else 200,
        current_page="sent",
        transfer=overview,
        missing=missing or {},
        leaves_from_mailbox=services.settings.mailboxes_url is not None,
        done=done if done in _DONE else "",
        error=error,
        policy=services.policy,
        language_href=f"/transfers/{overview.id}",
    )


def _action(done: str, act: Callable[[Any, Request, StaffActor, Mapping[str, str]], Awaitable[object]]) -> Any:
    """A button on a sent transfer: do it and show the transfer again, with what became of it."""

    async def handler(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
        try:
            await act(request.app.state.services.following_up, request, actor, form)
        except Refusal as refusal:
            return await _transfer(request, actor, spoken(request, refusal))
        return RedirectResponse(f"/transfers/{request.path_params['transfer_id']}?done={done}", 303)

    return _form(handler)


def _days(form: Mapping[str, str]) -> int:
    return whole_number(form.get("days", ""), most_digits=4) or 0


async def complete_recipient(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
    """The number of a recipient who waits for one."""
    transfer_id, recipient_id = request.path_params["transfer_id"], request.path_params["recipient_id"]
    typed = form.get("mobile", "")
    try:
        await request.app.state.services.following_up.complete(actor, transfer_id, recipient_id, typed)
    except FormRefused as refused:
        missing = {"recipient_id": recipient_id, "mobile": typed, "error": sentences(request, refused)["mobile"]}
        return await _transfer(request, actor, "", missing=missing)
    except Refusal as refusal:
        return await _transfer(request, actor, spoken(request, refusal))
    return RedirectResponse(f"/transfers/{transfer_id}?done=completed", 303)


async def confirm_revoke(request: Request, actor: StaffActor) -> Response:
    overview = await request.app.state.services.overseeing.transfer(actor, request.path_params["transfer_id"])
    return _page(request, "transfer_revoke.html", actor, current_page="sent", transfer=overview)


def routes() -> list[Route]:
    one = "/transfers/{transfer_id}"
    recipient = one + "/recipients/{recipient_id}"
    get, post = ["GET"], ["POST"]

    def ids(request: Request) -> tuple[str, str]:
        return request.path_params["transfer_id"], request.path_params["recipient_id"]

    return [
        Route("/", _signed_in(home), methods=get),
        Route("/sent", _signed_in(sent), methods=get),
        Route("/transfers/new", _signed_in(new_transfer), methods=get),
        Route("/transfers", _form(create_transfer), methods=post),
        Route(one, _signed_in(transfer_page), methods=get),
        Route(f"{one}/edit", _signed_in(edit_transfer), methods=get),
        Route(f"{one}/edit", _form(change_transfer), methods=post),
        Route(f"{one}/documents", _signed_in(documents_page), methods=get),
        Route(f"{one}/documents", _signed_in(add_documents), methods=post),
        Route(f"{one}/documents/{{upload_id}}/remove", _form(remove_document), methods=post),
        Route(f"{one}/check", _signed_in(check_page), methods=get),
        Route(f"{one}/send", _form(send), methods=post),
        Route(f"{one}/revoke", _signed_in(confirm_revoke), methods=get),
        Route(
            f"{one}/revoke",
            _action(
                "revoked",
                lambda following, request, actor, form: following.revoke(
                    actor, request.path_params["transfer_id"], tell_recipients="tell_recipients" in form
                ),
            ),
            methods=post,
        ),
        Route(
            f"{one}/extend",
            _action(
                "extended",
                lambda following, request, actor, form: following.extend(actor, request.path_params["transfer_id"], _days(form)),
            ),
            methods=post,
        ),
        Route(
            f"{one}/remind",
            _action("reminded", lambda following, request, actor, _: following.remind(actor, request.path_params["transfer_id"])),
            methods=post,
        ),
        Route(f"{recipient}/complete", _form(complete_recipient), methods=post),
        Route(
            f"{recipient}/reissue",
            _action("reissued", lambda following, request, actor, _: following.reissue(actor, *ids(request))),
            methods=post,
        ),
        Route(
            f"{recipient}/block",
            _action("blocked", lambda following, request, actor, _: following.block(actor, *ids(request))),
            methods=post,
        ),
    ]
