"""What each operation of the API does: read what was sent, call one service, answer in JSON."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from zegelpost.model.refusals import DepartmentNotFound, InputInvalid, NotFound
from zegelpost.model.secret import SecretToken
from zegelpost.model.seen_outlook import OUTLOOK_HEADER, OutlookKind
from zegelpost.model.staff_user import SignInKind
from zegelpost.services.access import StaffActor
from zegelpost.services.fetching_back import FetchingBack
from zegelpost.services.handling import Wanted
from zegelpost.web.api_drafts import changed_content, new_content
from zegelpost.web.api_models import (
    BoxQuery,
    BoxView,
    CompleteInput,
    ExtendInput,
    MeView,
    PolicyView,
    ReceivedView,
    RemindedView,
    ReportQuery,
    RevokeInput,
    SignInCodeInput,
    SignInInput,
    SignInProviderInput,
    SignInView,
    TransferChange,
    TransferInput,
    TransferView,
)
from zegelpost.web.downloads import archive_response, document_response, give_archive, give_document, part_of
from zegelpost.web.network import client_network
from zegelpost.web.openapi import PREFIX
from zegelpost.web.report_pages import pdf_response
from zegelpost.web.sessions import api_actor

M = TypeVar("M", bound=BaseModel)
Handler = Callable[[Request], Awaitable[Response]]
StaffHandler = Callable[[Request, StaffActor], Awaitable[Response]]
_LONGEST_PLACE: Final = 100  # characters; the names of unknown fields are the caller's, and may be endless


def signed_in(handler: StaffHandler) -> Handler:
    @functools.wraps(handler)
    async def wrapped(request: Request) -> Response:
        return await handler(request, await api_actor(request))

    return wrapped


# Reading and answering


async def parsed(request: Request, model: type[M], *, is_optional: bool = False) -> M:
    """The body as `model`. Raises `InputInvalid` with the places that are wrong, and none of their values."""
    body = await request.body()
    if not body and is_optional:
        return model()
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise InputInvalid(problems=[{"place": "content-type", "kind": "not_json"}])
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise InputInvalid(problems=_problems(error)) from None


def queried(request: Request, model: type[M]) -> M:
    pairs = request.query_params.multi_items()
    repeated = sorted({name for name, _ in pairs if len(request.query_params.getlist(name)) > 1} & model.model_fields.keys())
    if repeated:
        raise InputInvalid(problems=[{"place": name, "kind": "repeated"} for name in repeated])
    try:
        return model.model_validate_strings(dict(pairs))
    except ValidationError as error:
        raise InputInvalid(problems=_problems(error)) from None


def _problems(error: ValidationError) -> list[dict[str, str]]:
    details = error.errors(include_url=False, include_context=False, include_input=False)
    return [
        {"place": ".".join(str(step) for step in detail["loc"])[:_LONGEST_PLACE], "kind": detail["type"]} for detail in details
    ]


def as_json(view: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(view.model_dump_json(), status, headers, "application/json")


def _services(request: Request) -> Any:
    return request.app.state.services


def _transfer_id(request: Request) -> str:
    return str(request.path_params["transfer_id"])


async def _transfer(request: Request, actor: StaffActor, transfer_id: str) -> TransferView:
    return TransferView.of(await _services(request).overseeing.transfer(actor, transfer_id))


# Signing in


async def sign_in_by_code(request: Request) -> Response:
    wanted = await parsed(request, SignInCodeInput)
    signed_in = await _services(request).handing_over_sign_in.redeem(SecretToken(wanted.code))
    return as_json(SignInView(access_token=signed_in.token.value, expires_at=signed_in.expires_at))


async def sign_in_by_provider(request: Request) -> Response:
    wanted = await parsed(request, SignInProviderInput)
    identifying = _services(request).identifying
    if identifying is None:
        raise NotFound
    signed_in = await identifying.take_token(wanted.access_token, network=client_network(request))
    return as_json(SignInView(access_token=signed_in.token.value, expires_at=signed_in.expires_at))


async def sign_in(request: Request) -> Response:
    wanted = await parsed(request, SignInInput)
    signed_in = await _services(request).signing_in.sign_in(
        email=wanted.email,
        password=wanted.password,
        network=client_network(request),
        kind=SignInKind.API,
        second_factor=wanted.second_factor,
    )
    return as_json(SignInView(access_token=signed_in.token.value, expires_at=signed_in.expires_at))


async def sign_out(request: Request, actor: StaffActor) -> Response:
    await _services(request).signing_in.sign_out(actor)
    return Response(status_code=204)


async def me(request: Request, actor: StaffActor) -> Response:
    """The first that a pane asks; it says in which Outlook it is."""
    if (kind := OutlookKind.told(request.headers.get(OUTLOOK_HEADER, ""))) is not None:
        await _services(request).seeing_outlooks.see(kind)
    return as_json(MeView.of(actor))


async def policy(request: Request, _: StaffActor) -> Response:
    return as_json(PolicyView.of(_services(request).policy))


# Drafts


async def create_transfer(request: Request, actor: StaffActor) -> Response:
    services = _services(request)
    content = new_content(await parsed(request, TransferInput), services.policy, actor.user.language)
    transfer_id = await services.sending.create(actor, content)
    location = f"{services.settings.base_url}{PREFIX}/transfers/{transfer_id}"
    return as_json(await _transfer(request, actor, transfer_id), 201, {"Location": location})


async def change_transfer(request: Request, actor: StaffActor) -> Response:
    services = _services(request)
    change = await parsed(request, TransferChange)
    transfer = await services.overseeing.transfer(actor, _transfer_id(request))
    await services.sending.change(actor, transfer.id, changed_content(transfer, change, services.policy))
    return as_json(await _transfer(request, actor, transfer.id))


async def remove_document(request: Request, actor: StaffActor) -> Response:
    await _services(request).uploading.remove_document(actor, _transfer_id(request), request.path_params["document_id"])
    return Response(status_code=204)


async def send(request: Request, actor: StaffActor) -> Response:
    await _services(request).sending.send(actor, _transfer_id(request))
    return as_json(await _transfer(request, actor, _transfer_id(request)))


# Overseeing


async def list_transfers(request: Request, actor: StaffActor) -> Response:
    query = queried(request, BoxQuery)
    mailbox = query.department_id or ""
    if mailbox and mailbox not in actor.departments:
        raise DepartmentNotFound
    if query.box == "sent":
        return as_json(BoxView.sent(await _services(request).overseeing.sent(actor, page=query.page, mailbox=mailbox)))
    received = await _services(request).handling.received(actor, Wanted(mailbox=mailbox), page=query.page)
    return as_json(BoxView.received(received))


async def get_transfer(request: Request, actor: StaffActor) -> Response:
    try:
        return as_json(await _transfer(request, actor, _transfer_id(request)))
    except NotFound:
        receiving = _services(request).receiving
        reader = await receiving.by_sign_in(actor, _transfer_id(request))
        return as_json(ReceivedView.of(await receiving.read(reader)))


async def get_report_pdf(request: Request, actor: StaffActor) -> Response:
    return await pdf_response(request, actor, is_archival=queried(request, ReportQuery).variant == "archive")


# Following up


async def revoke(request: Request, actor: StaffActor) -> Response:
    wanted = await parsed(request, RevokeInput, is_optional=True)
    await _services(request).following_up.revoke(actor, _transfer_id(request), tell_recipients=wanted.tell_recipients)
    return as_json(await _transfer(request, actor, _transfer_id(request)))


async def extend(request: Request, actor: StaffActor) -> Response:
    wanted = await parsed(request, ExtendInput)
    await _services(request).following_up.extend(actor, _transfer_id(request), wanted.days)
    return as_json(await _transfer(request, actor, _transfer_id(request)))


async def complete(request: Request, actor: StaffActor) -> Response:
    wanted = await parsed(request, CompleteInput)
    recipient_id = request.path_params["recipient_id"]
    await _services(request).following_up.complete(actor, _transfer_id(request), recipient_id, wanted.mobile)
    return as_json(await _transfer(request, actor, _transfer_id(request)))


async def remind(request: Request, actor: StaffActor) -> Response:
    count = await _services(request).following_up.remind(actor, _transfer_id(request))
    return as_json(RemindedView(reminded=count))


async def reissue(request: Request, actor: StaffActor) -> Response:
    await _services(request).following_up.reissue(actor, _transfer_id(request), request.path_params["recipient_id"])
    return as_json(await _transfer(request, actor, _transfer_id(request)))


async def block(request: Request, actor: StaffActor) -> Response:
    await _services(request).following_up.block(actor, _transfer_id(request), request.path_params["recipient_id"])
    return as_json(await _transfer(request, actor, _transfer_id(request)))


# Documents


async def get_document(request: Request, actor: StaffActor) -> Response:
    """The sender's own copy, or what a colleague sent."""
    services = _services(request)
    fetching = FetchingBack(services.database, services.keeping_keys, services.clock)
    try:
        copy = await fetching.document(actor, _transfer_id(request), request.path_params["document_id"])
    except NotFound:
        return await give_document(request, await services.receiving.by_sign_in(actor, _transfer_id(request)))
    opened = await services.downloading.open(copy.key, copy.documents[0])
    return document_response(
        request, opened, part_of(request, opened), on_handed=functools.partial(fetching.handed_over, actor, copy)
    )


async def get_archive(request: Request, actor: StaffActor) -> Response:
    """All documents of one's own transfer, or of what a colleague sent."""
    services = _services(request)
    fetching = FetchingBack(services.database, services.keeping_keys, services.clock)
    try:
        copy = await fetching.documents(actor, _transfer_id(request))
    except NotFound:
        return await give_archive(request, await services.receiving.by_sign_in(actor, _transfer_id(request)))
    opened = await services.downloading.open_all(copy.key, copy.documents)
    return archive_response(request, opened, "documents.zip", on_whole=functools.partial(fetching.fetched, actor, copy))
