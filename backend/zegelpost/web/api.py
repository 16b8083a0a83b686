"""The JSON API under `/api/v1`, for the add-in and for programs: the table of its operations, and the routes made from it.

Who asks is in the bearer token; cookies are not looked at.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from zegelpost.model import refusals as r
from zegelpost.web import api_handlers as handlers
from zegelpost.web.api_contacts import contact_operations
from zegelpost.web.api_handlers import Handler, signed_in
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
from zegelpost.web.api_requests import request_operations
from zegelpost.web.api_templates import template_operations
from zegelpost.web.api_uploads import upload_operations
from zegelpost.web.openapi import PREFIX, Answer, Header, Operation, document
from zegelpost.web.report_pages import report_json
from zegelpost.web.report_views import ReportView

_DOCUMENT_HEADERS: Final = {"ETag": "Changes with the content.", "Content-Disposition": "The document's name."}
_REPORT_HEADERS: Final = {"Content-Disposition": "A name for the file."}
_RANGE_HEADERS: Final = {**_DOCUMENT_HEADERS, "Content-Range": "Which bytes of how many."}


async def describe(_: Request) -> Response:
    return JSONResponse(openapi_document())


@functools.cache
def openapi_document() -> dict[str, Any]:
    """The description of this API, uploads included."""
    return document([*_operations(), *upload_operations()])


def _operations() -> list[Operation]:
    one = "/transfers/{transfer_id}"
    recipient = one + "/recipients/{recipient_id}"
    draft_refusals = (r.FormRefused, r.DepartmentNotFound)
    sent_refusals = (r.NotFound, r.TransferNotSent)
    received_refusals = (r.NotFound, r.TransferRevoked, r.TransferExpired, r.RecipientBlocked, r.LinkLocked)
    transfer = [Answer(description="The transfer as it is now.", models=[TransferView])]
    return [
        Operation(
            method="POST",
            path="/sign-in",
            name="sign_in",
            summary="Get an access token.",
            handler=handlers.sign_in,
            is_open=True,
            body=SignInInput,
            answers=[Answer(description="Signed in.", models=[SignInView])],
            refusals=[
                r.SignInIncorrect,
                r.SecondFactorRequired,
                r.SecondFactorIncorrect,
                r.SecondFactorNotSetUp,
                r.SignInAtProvider,
                r.TooManyAttempts,
            ],
        ),
        Operation(
            method="POST",
            path="/sign-in/code",
            name="sign_in_by_code",
            summary="Exchange the code that the add-in's dialog made for an access token.",
            handler=handlers.sign_in_by_code,
            is_open=True,
            body=SignInCodeInput,
            answers=[Answer(description="Signed in.", models=[SignInView])],
            refusals=[r.SignInRequired],
        ),
        Operation(
            method="POST",
            path="/sign-in/provider",
            name="sign_in_by_provider",
            summary="Exchange an access token of the organisation's Entra ID, given to the add-in, for one of ours.",
            handler=handlers.sign_in_by_provider,
            is_open=True,
            body=SignInProviderInput,
            answers=[Answer(description="Signed in.", models=[SignInView])],
            refusals=[r.NotFound, r.IdentityRefused, r.IdentityUnknown, r.AccountSwitchedOff, r.TooManyAttempts],
        ),
        Operation(
            method="DELETE",
            path="/sign-in",
            name="sign_out",
            summary="End this access token, everywhere and at once.",
            handler=signed_in(handlers.sign_out),
            answers=[Answer(status=204, description="Ended.")],
        ),
        Operation(
            method="GET",
            path="/me",
            name="me",
            summary="Who the token belongs to.",
            handler=signed_in(handlers.me),
            answers=[Answer(description="The staff user.", models=[MeView])],
        ),
        Operation(
            method="GET",
            path="/policy",
            name="policy",
            summary="Limits and defaults of the organisation.",
            handler=signed_in(handlers.policy),
            answers=[Answer(description="The policy.", models=[PolicyView])],
        ),
        Operation(
            method="POST",
            path="/transfers",
            name="create_transfer",
            summary="Make a draft. Documents follow as uploads; nothing leaves before it is sent.",
            handler=signed_in(handlers.create_transfer),
            body=TransferInput,
            answers=[
                Answer(status=201, description="Made.", models=[TransferView], headers={"Location": "Address of the transfer."})
            ],
            refusals=draft_refusals,
        ),
        Operation(
            method="GET",
            path="/transfers",
            name="list_transfers",
            summary="Transfers sent, or received from colleagues.",
            handler=signed_in(handlers.list_transfers),
            query=BoxQuery,
            answers=[Answer(description="One page.", models=[BoxView])],
            refusals=[r.DepartmentNotFound],
        ),
        Operation(
            method="GET",
            path=one,
            name="get_transfer",
            summary="A transfer of one's own with the history of each recipient, or one received from a colleague.",
            handler=signed_in(handlers.get_transfer),
            answers=[Answer(description="The transfer.", models=[TransferView, ReceivedView])],
            refusals=received_refusals,
        ),
        Operation(
            method="PATCH",
            path=one,
            name="change_transfer",
            summary="Change a draft.",
            handler=signed_in(handlers.change_transfer),
            body=TransferChange,
            answers=transfer,
            refusals=[r.NotFound, r.TransferNotDraft, r.TransferExpired, *draft_refusals],
        ),
        Operation(
            method="POST",
            path=f"{one}/send",
            name="send",
            summary="Send a draft: every recipient gets a link, colleagues get a notice.",
            handler=signed_in(handlers.send),
            answers=transfer,
            refusals=[
                r.NotFound,
                r.TransferNotDraft,
                r.TransferExpired,
                r.RecipientsMissing,
                r.ContentMissing,
                r.UploadsUnfinished,
                r.MalwareFound,
            ],
        ),
        Operation(
            method="POST",
            path=f"{one}/revoke",
            name="revoke",
            summary="Nobody can open the transfer any more, also who is reading now.",
            handler=signed_in(handlers.revoke),
            body=RevokeInput,
            is_body_optional=True,
            answers=transfer,
            refusals=sent_refusals,
        ),
        Operation(
            method="POST",
            path=f"{one}/extend",
            name="extend",
            summary="Let it expire later; links keep working. Re-opens what expired a short while ago.",
            handler=signed_in(handlers.extend),
            body=ExtendInput,
            answers=transfer,
            refusals=[*sent_refusals, r.ExpiryOutOfRange, r.TransferExpired],
        ),
        Operation(
            method="POST",
            path=f"{one}/remind",
            name="remind",
            summary="Mail who has not fetched it.",
            handler=signed_in(handlers.remind),
            answers=[Answer(description="Mailed.", models=[RemindedView])],
            refusals=[
                *sent_refusals,
                r.TransferRevoked,
                r.TransferExpired,
                r.NothingToRemind,
                r.RemindedRecently,
                r.LinkNotReissuable,
            ],
        ),
        Operation(
            method="POST",
            path=f"{recipient}/reissue",
            name="reissue",
            summary="Mail a new link; the old one stops working. Lets a blocked or locked recipient in again.",
            handler=signed_in(handlers.reissue),
            answers=transfer,
            refusals=[*sent_refusals, r.TransferExpired, r.LinkNotReissuable, r.PhoneNumberMissing],
        ),
        Operation(
            method="POST",
            path=f"{recipient}/complete",
            name="complete",
            summary="Give the number of a parked recipient, who then gets a link as the others did.",
            handler=signed_in(handlers.complete),
            body=CompleteInput,
            answers=transfer,
            refusals=[
                *sent_refusals,
                r.TransferRevoked,
                r.TransferExpired,
                r.RecipientBlocked,
                r.RecipientNotParked,
                r.FormRefused,
            ],
        ),
        Operation(
            method="POST",
            path=f"{recipient}/block",
            name="block",
            summary="Shut out one recipient.",
            handler=signed_in(handlers.block),
            answers=transfer,
            refusals=sent_refusals,
        ),
        Operation(
            method="GET",
            path=f"{one}/report.json",
            name="get_report",
            summary="The evidence of a transfer of one's own: who got it, who fetched what and when. Also after it was erased.",
            handler=signed_in(report_json),
            answers=[Answer(description="The report.", models=[ReportView], headers=_REPORT_HEADERS)],
            refusals=sent_refusals,
        ),
        Operation(
            method="GET",
            path=f"{one}/report.pdf",
            name="get_report_pdf",
            summary="The same facts on paper, with the JSON attached.",
            handler=signed_in(handlers.get_report_pdf),
            query=ReportQuery,
            answers=[Answer(description="A PDF.", media_type="application/pdf", headers=_REPORT_HEADERS)],
            refusals=[*sent_refusals, r.PdfNotAvailable],
        ),
        Operation(
            method="DELETE",
            path=f"{one}/documents/{{document_id}}",
            name="remove_document",
            summary="Take a document out of a draft.",
            handler=signed_in(handlers.remove_document),
            answers=[Answer(status=204, description="Removed.")],
            refusals=[r.NotFound, r.TransferNotDraft],
        ),
        Operation(
            method="GET",
            path=f"{one}/documents/{{document_id}}",
            name="get_document",
            summary="One document: from the sender's own copy, or received from a colleague.",
            handler=signed_in(handlers.get_document),
            headers=[Header(name="Range", description="One range of bytes (RFC 9110, section 14).")],
            answers=[
                Answer(description="The whole.", media_type="application/octet-stream", headers=_DOCUMENT_HEADERS),
                Answer(status=206, description="The range.", media_type="application/octet-stream", headers=_RANGE_HEADERS),
            ],
            refusals=[*received_refusals, r.LinkNotReissuable, r.RangeNotSatisfiable],
        ),
        Operation(
            method="GET",
            path=f"{one}/archive.zip",
            name="get_archive",
            summary="All documents in one file.",
            handler=signed_in(handlers.get_archive),
            answers=[Answer(description="A ZIP file.", media_type="application/zip")],
            refusals=[*received_refusals, r.LinkNotReissuable],
        ),
        *request_operations(),
        *contact_operations(),
        *template_operations(),
        Operation(
            method="GET",
            path="/openapi.json",
            name="openapi",
            summary="This document.",
            handler=describe,
            is_open=True,
            answers=[Answer(description="An OpenAPI 3.1 document.", media_type="application/json")],
        ),
    ]


def api_routes() -> list[Route]:
    """One route per path, so that a wrong method is told all the right ones (RFC 9110, section 15.5.6)."""
    paths: dict[str, dict[str, Handler]] = defaultdict(dict)
    for operation in _operations():
        assert operation.handler is not None
        paths[operation.path][operation.method] = operation.handler
    return [Route(PREFIX + path, _by_method(by_method), methods=list(by_method)) for path, by_method in paths.items()]


def _by_method(by_method: dict[str, Handler]) -> Handler:
    async def dispatch(request: Request) -> Response:
        # Starlette routes HEAD wherever it routes GET, and has refused every other method already.
        return await by_method["GET" if request.method == "HEAD" else request.method](request)

    return dispatch
