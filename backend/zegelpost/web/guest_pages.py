"""Pages for who sends us something: what they were asked, adding documents, sending, and what became of it.

They stand behind the same links as `recipient_pages`, and work without script too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from python_multipart.multipart import parse_options_header
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from zegelpost.model.link import LINK_PREFIXES
from zegelpost.model.recipient import GRANT_IDLE, SENDING_GRANT_IDLE
from zegelpost.model.refusals import FormRefused, Refusal, VerificationRequired
from zegelpost.model.transfer import TransferKind
from zegelpost.services.access import GuestActor
from zegelpost.services.conversing import Answer
from zegelpost.web.errors import ANSWERS
from zegelpost.web.forms import fields, sentences, spoken
from zegelpost.web.plain_upload import rows_of, take_documents
from zegelpost.web.recipient_pages import base_of, kindly, link_id_of, link_page
from zegelpost.web.sessions import recipient_cookie
from zegelpost.web.uploads import upload_routes

_DONE: Final = frozenset({"sent", "withdrawn", "kept"})
GuestHandler = Callable[[Request, GuestActor], Awaitable[Response]]


async def adding_guest(request: Request) -> GuestActor:
    """The guest of this browser and link, who may add something. Raises what stands in the way."""
    link_id = link_id_of(request)
    guest: GuestActor = await request.app.state.services.answering.adding_guest(link_id, recipient_cookie(request, link_id))
    return guest


async def _guest(request: Request) -> GuestActor:
    link_id = link_id_of(request)
    guest: GuestActor = await request.app.state.services.answering.guest(link_id, recipient_cookie(request, link_id))
    return guest


async def transfer(request: Request) -> Response:
    """What is behind the link: the documents, or what was asked; with what the guest sent."""
    services, link_id, base = request.app.state.services, link_id_of(request), base_of(request)
    guest = await _guest(request)
    done = request.query_params.get("done", "")
    shared: dict[str, object] = {"base": base, "done": done if done in _DONE else "", "language_href": f"{base}/transfer"}
    if guest.transfer.kind == TransferKind.SENDING:
        # Reading what was sent has a shorter time than sending something back.
        reader = await services.receiving.by_grant(link_id, recipient_cookie(request, link_id))
        shared["transfer"] = await services.receiving.read(reader)
        shared |= {"stay_address": f"{base}/transfer/stay", "idle_seconds": int(GRANT_IDLE.total_seconds()), "only_reads": True}
    else:
        shared["asked"] = await services.conversing.asked(guest)
    template = "opened.html" if "transfer" in shared else "asked.html"
    return link_page(request, template, conversation=await services.conversing.conversation(guest), **shared)


async def begin(request: Request) -> Response:
    guest = await adding_guest(request)
    await request.app.state.services.answering.begin(guest)
    return RedirectResponse(f"{base_of(request)}/answer", 303)


async def answer_page(request: Request) -> Response:
    return await _answer(request, await adding_guest(request))


async def _answer(
    request: Request,
    guest: GuestActor,
    *,
    note: str | None = None,
    chosen: tuple[str, ...] = (),
    upload_error: str = "",
    error: str = "",
    errors: dict[str, str] | None = None,
    status: int = 200,
) -> Response:
    services, base = request.app.state.services, base_of(request)
    conversation = await services.conversing.conversation(guest)
    draft: Answer | None = conversation.draft
    if draft is None:
        return RedirectResponse(f"{base}/transfer", 303)
    arrived, unfinished = rows_of(draft.documents, draft.uploads)
    return link_page(
        request,
        "answer.html",
        status,
        base=base,
        asked=await services.conversing.asked(guest),
        conversation=conversation,
        draft=draft,
        documents=arrived,
        unfinished=unfinished,
        note=draft.note if note is None else note,
        chosen=chosen,
        policy=services.policy,
        upload_error=upload_error,
        error=error,
        errors=errors or {},
        done="kept" if request.query_params.get("done") == "kept" else "",
        language_href=f"{base}/answer",
        stay_address=f"{base}/stay",
        idle_seconds=int(SENDING_GRANT_IDLE.total_seconds()),
    )


async def stay(request: Request) -> Response:
    """As `staying.stay`, of who writes an answer."""
    return await _still_in(adding_guest(request))


async def stay_reading(request: Request) -> Response:
    """The same, of who reads: for as long as that can be."""
    link_id = link_id_of(request)
    return await _still_in(request.app.state.services.receiving.by_grant(link_id, recipient_cookie(request, link_id)))


async def _still_in(being_let_in: Awaitable[object]) -> Response:
    try:
        await being_let_in
    except VerificationRequired:
        return Response(status_code=401)
    return Response(status_code=204)


async def add_documents(request: Request) -> Response:
    """Documents from a plain form, for browsers without script."""
    guest = await adding_guest(request)
    boundary = parse_options_header(request.headers.get("content-type", ""))[1].get(b"boundary", b"")
    transfer_id = await request.app.state.services.answering.begin(guest)
    try:
        await take_documents(request, guest, transfer_id, boundary)
    except Refusal as refusal:
        return await _answer(request, guest, upload_error=spoken(request, refusal), status=ANSWERS[type(refusal)].status)
    return RedirectResponse(f"{base_of(request)}/answer", 303)


async def remove_document(request: Request) -> Response:
    guest = await adding_guest(request)
    await request.app.state.services.uploading.cancel(guest, request.path_params["upload_id"])
    return RedirectResponse(f"{base_of(request)}/answer", 303)


async def send(request: Request) -> Response:
    """Send it, or only keep the text for later; what was typed stays when something is refused."""
    guest = await adding_guest(request)
    answering = request.app.state.services.answering
    form = await request.form(max_files=0, max_fields=100)
    note = str(form.get("note", ""))
    chosen = tuple(str(item) for item in form.getlist("item"))
    transfer_id = await answering.begin(guest)
    try:
        if "keep" in form:
            await answering.keep_note(guest, transfer_id, note)
            return RedirectResponse(f"{base_of(request)}/answer?done=kept", 303)
        await answering.send(guest, transfer_id, note, chosen)
    except FormRefused as refused:
        return await _answer(request, guest, note=note, chosen=chosen, errors=sentences(request, refused), status=422)
    except VerificationRequired:
        raise
    except Refusal as refusal:
        error = spoken(request, refusal)
        return await _answer(request, guest, note=note, chosen=chosen, error=error, status=ANSWERS[type(refusal)].status)
    return RedirectResponse(f"{base_of(request)}/transfer?done=sent", 303)


async def withdraw(request: Request) -> Response:
    guest = await _guest(request)
    await fields(request)
    try:
        await request.app.state.services.answering.withdraw(guest, request.path_params["answer_id"])
    except Refusal as refusal:
        services, base = request.app.state.services, base_of(request)
        return link_page(
            request,
            "asked.html",
            ANSWERS[type(refusal)].status,
            base=base,
            asked=await services.conversing.asked(guest),
            conversation=await services.conversing.conversation(guest),
            done="",
            error=spoken(request, refusal),
            language_href=f"{base}/transfer",
        )
    return RedirectResponse(f"{base_of(request)}/transfer?done=withdrawn", 303)


def routes(prefix: str) -> list[Route]:
    """The pages under `prefix` for links of one kind."""
    get, post = ["GET"], ["POST"]
    one = f"{prefix}/{{link_id}}"
    return [
        Route(f"{one}/transfer", kindly(transfer), methods=get),
        Route(f"{one}/transfer/stay", kindly(stay_reading), methods=post),
        Route(f"{one}/answer", kindly(answer_page), methods=get),
        Route(f"{one}/answer", kindly(begin), methods=post),
        Route(f"{one}/answer/documents", kindly(add_documents), methods=post),
        Route(f"{one}/answer/documents/{{upload_id}}/remove", kindly(remove_document), methods=post),
        Route(f"{one}/stay", kindly(stay), methods=post),
        Route(f"{one}/answer/send", kindly(send), methods=post),
        Route(f"{one}/answers/{{answer_id}}/withdraw", kindly(withdraw), methods=post),
        *upload_routes(f"{one}/uploads", adding_guest),
    ]


PREFIXES: Final = tuple(LINK_PREFIXES.values())
