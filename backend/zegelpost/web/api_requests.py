"""The API's part on file requests: asking outsiders for documents and following up what comes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from zegelpost.model import refusals as r
from zegelpost.model.file_request import ItemState, RequestState
from zegelpost.services.access import StaffActor
from zegelpost.services.requesting import ReceivedAnswer, RequestOverview, RequestPage
from zegelpost.web.api_handlers import as_json, parsed, queried, signed_in
from zegelpost.web.api_models import EventView, Input, View
from zegelpost.web.openapi import PREFIX, Answer, Operation
from zegelpost.web.request_pages import TypedRequest, parse_request
from zegelpost.web.translation import Language


class FileRequestInput(Input):
    name: str
    email: str
    mobile: Annotated[str | None, Field(description="With a number they get a code first; else the link is enough.")] = None
    subject: str
    reference: str = ""
    note: Annotated[str, Field(description="Explanation, readable behind the link only.")] = ""
    items: Annotated[tuple[str, ...], Field(description="What is asked for by name.", strict=False)] = ()
    due_on: Annotated[str | None, Field(description="A day, such as 2026-12-31.")] = None
    language: Language | None = None
    department_id: str | None = None


class ReasonInput(Input):
    reason: Annotated[str, Field(description="What is wrong; the guest reads it behind the link.")]


class FileRequestQuery(BaseModel):
    """Read from the address, where everything is text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    page: Annotated[int, Field(ge=1, le=1_000_000)] = 1


class ItemView(View):
    id: str
    name: str
    state: ItemState
    reason: str


class AnswerView(View):
    """One time that the guest sent something. Read it as a received transfer, by its id."""

    id: str
    number: str
    sent_at: datetime
    is_opened: bool
    is_withdrawn: bool

    @classmethod
    def of(cls, answer: ReceivedAnswer) -> AnswerView:
        return cls(
            id=answer.id,
            number=answer.number,
            sent_at=answer.sent_at,
            is_opened=answer.is_opened,
            is_withdrawn=answer.is_withdrawn,
        )


class FileRequestView(View):
    id: str
    state: RequestState
    name: str
    email: str
    mobile: str | None
    subject: str
    reference: str
    note: str
    due_on: date | None
    sent_at: datetime
    expires_at: datetime
    closed_at: datetime | None
    items: Sequence[ItemView]
    answers: Sequence[AnswerView]
    history: Sequence[EventView]

    @classmethod
    def of(cls, asked: RequestOverview) -> FileRequestView:
        return cls(
            id=asked.id,
            state=asked.state,
            name=asked.guest.name,
            email=str(asked.guest.email),
            mobile=asked.guest.mobile.e164 if asked.guest.mobile else None,
            subject=asked.text.subject,
            reference=asked.text.reference,
            note=asked.text.note,
            due_on=asked.due_on,
            sent_at=asked.sent_at,
            expires_at=asked.expires_at,
            closed_at=asked.closed_at,
            items=[ItemView(id=item.id, name=item.name, state=item.state, reason=item.reason) for item in asked.items],
            answers=[AnswerView.of(answer) for answer in asked.answers],
            history=[EventView.of(event) for event in asked.history],
        )


class FileRequestsView(View):
    items: Sequence[FileRequestView]
    page: int
    page_count: int
    total_count: int

    @classmethod
    def of(cls, page: RequestPage) -> FileRequestsView:
        items = [FileRequestView.of(item) for item in page.items]
        return cls(items=items, page=page.number, page_count=page.last, total_count=page.total_count)


def request_operations() -> list[Operation]:
    """The rows of the table in `api.py` that are about file requests."""
    one = "/file-requests/{request_id}"
    item = one + "/items/{item_id}"
    now = [Answer(description="The request as it is now.", models=[FileRequestView])]
    not_open = (r.NotFound, r.RequestClosed, r.TransferExpired)
    return [
        Operation(
            method="POST",
            path="/file-requests",
            name="create_file_request",
            summary="Ask an outsider for documents: they get a link by mail.",
            handler=signed_in(_create),
            body=FileRequestInput,
            answers=[
                Answer(status=201, description="Sent.", models=[FileRequestView], headers={"Location": "Address of the request."})
            ],
            refusals=[r.FormRefused],
        ),
        Operation(
            method="GET",
            path="/file-requests",
            name="list_file_requests",
            summary="Requests, newest first, without their history.",
            handler=signed_in(_list),
            query=FileRequestQuery,
            answers=[Answer(description="One page.", models=[FileRequestsView])],
        ),
        Operation(
            method="GET",
            path=one,
            name="get_file_request",
            summary="One request, with what came.",
            handler=signed_in(_get),
            answers=now,
            refusals=[r.NotFound],
        ),
        Operation(
            method="POST",
            path=f"{one}/remind",
            name="remind_file_request",
            summary="Mail the guest again, with a new link.",
            handler=signed_in(_remind),
            answers=now,
            refusals=[*not_open, r.TransferRevoked, r.NothingToRemind, r.RemindedRecently],
        ),
        Operation(
            method="POST",
            path=f"{one}/close",
            name="close_file_request",
            summary="Take nothing more.",
            handler=signed_in(_close),
            answers=now,
            refusals=[r.NotFound, r.RequestClosed],
        ),
        Operation(
            method="POST",
            path=f"{one}/reopen",
            name="reopen_file_request",
            summary="Let the guest add something after all.",
            handler=signed_in(_reopen),
            answers=now,
            refusals=[r.NotFound, r.TransferExpired],
        ),
        Operation(
            method="POST",
            path=f"{item}/accept",
            name="accept_item",
            summary="Approve something that was asked for by name.",
            handler=signed_in(_accept),
            answers=now,
            refusals=[r.NotFound],
        ),
        Operation(
            method="POST",
            path=f"{item}/send-back",
            name="send_item_back",
            summary="Ask for it again, with a reason.",
            handler=signed_in(_send_back),
            body=ReasonInput,
            answers=now,
            refusals=[*not_open, r.TransferRevoked, r.FormRefused],
        ),
    ]


async def _create(request: Request, actor: StaffActor) -> Response:
    wanted = await parsed(request, FileRequestInput)
    services = request.app.state.services
    typed = TypedRequest(
        name=wanted.name,
        email=wanted.email,
        mobile=wanted.mobile or "",
        subject=wanted.subject,
        reference=wanted.reference,
        note=wanted.note,
        items="\n".join(" ".join(item.split()) for item in wanted.items),
        due_on=wanted.due_on or "",
        language=(wanted.language or actor.user.language),
        department_id=wanted.department_id or "",
    )
    content = parse_request(typed, services.policy, actor, services.clock().date())
    transfer_id = await services.requesting.ask(actor, content)
    view = FileRequestView.of(await services.requesting.request(actor, transfer_id))
    return as_json(view, 201, {"Location": f"{PREFIX}/file-requests/{transfer_id}"})


async def _list(request: Request, actor: StaffActor) -> Response:
    wanted = queried(request, FileRequestQuery)
    return as_json(FileRequestsView.of(await request.app.state.services.requesting.requests(actor, page=wanted.page)))


async def _get(request: Request, actor: StaffActor) -> Response:
    return as_json(FileRequestView.of(await request.app.state.services.requesting.request(actor, _id(request))))


async def _remind(request: Request, actor: StaffActor) -> Response:
    await request.app.state.services.requesting.remind(actor, _id(request))
    return await _get(request, actor)


async def _close(request: Request, actor: StaffActor) -> Response:
    await request.app.state.services.requesting.close(actor, _id(request))
    return await _get(request, actor)


async def _reopen(request: Request, actor: StaffActor) -> Response:
    await request.app.state.services.requesting.reopen(actor, _id(request))
    return await _get(request, actor)


async def _accept(request: Request, actor: StaffActor) -> Response:
    await request.app.state.services.requesting.accept(actor, _id(request), request.path_params["item_id"])
    return await _get(request, actor)


async def _send_back(request: Request, actor: StaffActor) -> Response:
    wanted = await parsed(request, ReasonInput)
    await request.app.state.services.requesting.send_back(actor, _id(request), request.path_params["item_id"], wanted.reason)
    return await _get(request, actor)


def _id(request: Request) -> str:
    request_id: str = request.path_params["request_id"]
    return request_id
